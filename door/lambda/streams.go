package lambda

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/mapping"
)

// streamRequest is what requests for mappings of streams have beside the rest.
type streamRequest struct {
	StartingPosition           *string
	StartingPositionTimestamp  json.RawMessage
	ParallelizationFactor      *int
	BisectBatchOnFunctionError *bool
	MaximumRetryAttempts       *int
	MaximumRecordAgeInSeconds  *int
	TumblingWindowInSeconds    *int
	DestinationConfig          *destinationConfig
}

// streamConfiguration is what the answers have beside the rest.
type streamConfiguration struct {
	LastProcessingResult       string
	BisectBatchOnFunctionError bool
	DestinationConfig          streamDestinations
	MaximumRecordAgeInSeconds  int
	MaximumRetryAttempts       int
	ParallelizationFactor      int
	StartingPosition           mapping.Start
	TumblingWindowInSeconds    int
}

type streamDestination struct {
	Destination string `json:",omitempty"`
}

type streamDestinations struct{ OnFailure streamDestination }

// streamOf is what the answer says of a mapping of a stream.
func (d *Door) streamOf(m *mapping.Mapping) *streamConfiguration {
	s := m.Stream
	c := &streamConfiguration{LastProcessingResult: "No records processed", BisectBatchOnFunctionError: s.Bisect, MaximumRecordAgeInSeconds: -1, MaximumRetryAttempts: s.Retries,
		ParallelizationFactor: s.Lanes, StartingPosition: s.Start, TumblingWindowInSeconds: int(s.Tumble / time.Second), DestinationConfig: streamDestinations{streamDestination{s.OnFailure}}}
	if s.Age > 0 {
		c.MaximumRecordAgeInSeconds = int(s.Age / time.Second)
	}
	if r, ok := d.cfg.LastResult(m.UUID); ok {
		c.LastProcessingResult = r.Text
	}
	return c
}

// foreign returns an error when a mapping of another source has what only streams have.
func (r *streamRequest) foreign(source EventSource) *wire.Error {
	if source.Limits.Stream {
		return nil
	}
	if r.StartingPosition != nil || r.StartingPositionTimestamp != nil {
		return invalidParameter("StartingPosition is not supported for this event source.")
	}
	for _, p := range []struct {
		name  string
		given bool
	}{
		{"DestinationConfig", r.DestinationConfig != nil}, {"ParallelizationFactor", r.ParallelizationFactor != nil}, {"BisectBatchOnFunctionError", r.BisectBatchOnFunctionError != nil},
		{"MaximumRetryAttempts", r.MaximumRetryAttempts != nil}, {"MaximumRecordAgeInSeconds", r.MaximumRecordAgeInSeconds != nil}, {"TumblingWindowInSeconds", r.TumblingWindowInSeconds != nil},
	} {
		if p.given {
			return invalidParameter("Unsupported " + p.name + " parameter for given event source mapping type.")
		}
	}
	return nil
}

// start is a stream's settings as a new mapping has them.
func (r *streamRequest) start(arn string) (*mapping.Stream, *wire.Error) {
	switch {
	case r.StartingPosition == nil:
		return nil, invalidParameter("1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.")
	case *r.StartingPosition == "AT_TIMESTAMP" || len(r.StartingPositionTimestamp) > 0:
		return nil, invalidParameter("Unsupported starting position for arn type: " + arn)
	}
	return &mapping.Stream{Start: mapping.Start(*r.StartingPosition), Lanes: 1, Retries: -1}, nil
}

// streamSet puts what is given of r into s.
func (d *Door) streamSet(r *mappingRequest, s *mapping.Settings) *wire.Error {
	if s.Stream == nil {
		return nil
	}
	to := s.Stream
	if r.ParallelizationFactor != nil {
		to.Lanes = *r.ParallelizationFactor
	}
	if r.BisectBatchOnFunctionError != nil {
		to.Bisect = *r.BisectBatchOnFunctionError
	}
	if r.MaximumRetryAttempts != nil {
		to.Retries = *r.MaximumRetryAttempts
	}
	if r.TumblingWindowInSeconds != nil {
		to.Tumble = time.Duration(*r.TumblingWindowInSeconds) * time.Second
	}
	if age := r.MaximumRecordAgeInSeconds; age != nil {
		switch to.Age = time.Duration(*age) * time.Second; *age {
		case -1:
			to.Age = 0
		case 0:
			to.Age = time.Second // given, and out of bounds
		}
	}
	if r.DestinationConfig == nil {
		return nil
	}
	arn := ""
	if on := r.DestinationConfig.OnSuccess; on != nil && on.Destination != nil && *on.Destination != "" {
		return invalidParameter("Unsupported DestinationConfig parameter for given event source mapping type.")
	}
	if on := r.DestinationConfig.OnFailure; on != nil && on.Destination != nil {
		arn = *on.Destination
	}
	if to.OnFailure = arn; arn == "" {
		return nil
	}
	if !strings.HasPrefix(arn, "arn:aws:sqs:") && !strings.HasPrefix(arn, "arn:aws:sns:") {
		return unsupported("Destinations of streams other than queues and topics are not supported here: " + arn)
	}
	if err := d.cfg.Takes(arn); err != nil {
		return invalidParameter("The provided destination config is invalid: " + err.Error())
	}
	return nil
}
