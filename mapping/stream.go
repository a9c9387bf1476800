package mapping

import (
	"time"

	"github.com/daruma-io/daruma"
)

// A Start is where a mapping begins in a stream, in AWS's words.
type Start string

// The starts there are.
const (
	TrimHorizon Start = "TRIM_HORIZON" // the first record that is there
	Latest      Start = "LATEST"       // what comes from now on
)

// Limits of mappings of streams (Lambda API, CreateEventSourceMapping).
const (
	lanesMax   = 10
	retriesMax = 10_000
	ageMin     = time.Minute
	ageMax     = 7 * 24 * time.Hour
	tumbleMax  = 15 * time.Minute
)

// Stream is what mappings of streams have beside the other settings.
type Stream struct {
	Start     Start         `json:"start"`
	Lanes     int           `json:"lanes"`               // batches of one shard at once; records of one key stay in order
	Bisect    bool          `json:"bisect,omitempty"`    // a batch that failed is tried in halves
	Retries   int           `json:"retries"`             // of a batch; -1: until its records are too old
	Age       time.Duration `json:"ageNs,omitempty"`     // records that are older are given up; 0: when they are about to be gone
	Tumble    time.Duration `json:"tumbleNs,omitempty"`  // the length of windows; 0: there are none
	OnFailure string        `json:"onFailure,omitempty"` // the ARN of what is told of a batch that is given up; ""
}

// check says what is wrong with the settings of a stream.
func (s *Stream) check(is bool) error {
	switch {
	case s == nil && !is:
		return nil
	case s == nil || !is:
		return daruma.Invalidf("StartingPosition is for event sources that are streams, and for all of them")
	case s.Start != TrimHorizon && s.Start != Latest:
		return daruma.Invalidf("Value '%s' at 'startingPosition' is not valid: TRIM_HORIZON or LATEST", s.Start)
	case s.Lanes < 1 || s.Lanes > lanesMax:
		return daruma.Invalidf("Value '%d' at 'parallelizationFactor' is not valid: from 1 to %d", s.Lanes, lanesMax)
	case s.Retries < -1 || s.Retries > retriesMax:
		return daruma.Invalidf("Value '%d' at 'maximumRetryAttempts' is not valid: from -1 to %d", s.Retries, retriesMax)
	case s.Age != 0 && (s.Age < ageMin || s.Age > ageMax):
		return daruma.Invalidf("Value '%d' at 'maximumRecordAgeInSeconds' is not valid: -1, or from 60 to %d", int(s.Age/time.Second), int(ageMax/time.Second))
	case s.Tumble < 0 || s.Tumble > tumbleMax:
		return daruma.Invalidf("Value '%d' at 'tumblingWindowInSeconds' is not valid: from 0 to %d", int(s.Tumble/time.Second), int(tumbleMax/time.Second))
	case s.Tumble > 0 && s.Lanes > 1:
		return daruma.Invalidf("TumblingWindowInSeconds together with a ParallelizationFactor of more than 1 is not supported: a window adds up the records of one shard in one order")
	}
	return nil
}
