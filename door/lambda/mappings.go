package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/mapping"
)

// Mappings is where event source mappings are kept: a *mapping.Mappings.
type Mappings interface {
	All() []*mapping.Mapping
	Mapping(uuid string) *mapping.Mapping
	Create(ctx context.Context, source mapping.Source, s mapping.Settings, tags map[string]string) (*mapping.Mapping, error)
	Change(ctx context.Context, uuid string, f func(*mapping.Settings) error) (*mapping.Mapping, error)
	Delete(ctx context.Context, uuid string) (*mapping.Mapping, error)
}

// An EventSource is what the door knows of a source that mappings can have.
type EventSource struct {
	mapping.Source
	Limits mapping.Limits
	Batch  int           // records of one run, unless something else is asked for
	Hide   time.Duration // how long a queue hides messages: a function must not take longer
}

// sourceServices are the services whose ARNs name event sources on AWS.
var sourceServices = []string{"sqs", "kinesis", "dynamodb", "kafka", "mq", "rds"}

// mappingUUID is the shape of a mapping's ID.
var mappingUUID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

type filter struct {
	Pattern *string `json:",omitempty"`
}

type filterCriteria struct{ Filters []filter }

type scalingConfig struct {
	MaximumConcurrency *int `json:",omitempty"`
}

// eventSourceMapping is EventSourceMappingConfiguration of the service model,
// as far as mappings of queues have it.
type eventSourceMapping struct {
	UUID                           string
	BatchSize                      int
	MaximumBatchingWindowInSeconds int
	EventSourceArn                 string
	EventSourceMappingArn          string
	FunctionArn                    string
	FunctionResponseTypes          []string
	FilterCriteria                 *filterCriteria `json:",omitempty"`
	ScalingConfig                  *scalingConfig  `json:",omitempty"`
	*streamConfiguration
	LastModified          json.Number // seconds since 1970, with milliseconds
	State                 mapping.State
	StateTransitionReason string
}

// accepted is an answer that is given with status 202.
type accepted struct{ answer any }

func mappingARN(place catalog.Place, uuid string) string {
	return "arn:aws:lambda:" + place.Region + ":" + place.Account + ":event-source-mapping:" + uuid
}

func (d *Door) mappingOf(place catalog.Place, m *mapping.Mapping) eventSourceMapping {
	out := eventSourceMapping{UUID: m.UUID, BatchSize: m.Batch, MaximumBatchingWindowInSeconds: int(m.Window / time.Second), EventSourceArn: m.Source.ARN,
		EventSourceMappingArn: mappingARN(place, m.UUID), FunctionArn: place.FunctionARN(m.Target()), FunctionResponseTypes: []string{},
		LastModified: json.Number(strconv.FormatFloat(float64(m.Changed.UnixMilli())/1000, 'f', -1, 64)), State: m.State, StateTransitionReason: "USER_INITIATED"}
	if m.Partial {
		out.FunctionResponseTypes = append(out.FunctionResponseTypes, "ReportBatchItemFailures")
	}
	if len(m.Filters) > 0 {
		out.FilterCriteria = &filterCriteria{}
		for _, text := range m.Filters {
			out.FilterCriteria.Filters = append(out.FilterCriteria.Filters, filter{&text})
		}
	}
	if m.Stream != nil {
		out.StateTransitionReason, out.streamConfiguration = "User action", d.streamOf(m)
	}
	if m.AtOnce > 0 {
		out.ScalingConfig = &scalingConfig{&m.AtOnce}
	}
	return out
}

// mappingRequest is CreateEventSourceMappingRequest and UpdateEventSourceMappingRequest.
// What is not given is nil; what mappings of queues do not have is refused by name.
type mappingRequest struct {
	EventSourceArn, FunctionName   *string
	BatchSize                      *int
	MaximumBatchingWindowInSeconds *int
	Enabled                        *bool
	FilterCriteria                 *filterCriteria
	FunctionResponseTypes          *[]string
	ScalingConfig                  *scalingConfig
	Tags                           map[string]string

	streamRequest
	ProvisionedPollerConfig             json.RawMessage
	KMSKeyArn                           json.RawMessage
	MetricsConfig                       json.RawMessage
	LoggingConfig                       json.RawMessage
	Topics                              json.RawMessage
	Queues                              json.RawMessage
	SourceAccessConfigurations          json.RawMessage
	SelfManagedEventSource              json.RawMessage
	AmazonManagedKafkaEventSourceConfig json.RawMessage
	SelfManagedKafkaEventSourceConfig   json.RawMessage
	DocumentDBEventSourceConfig         json.RawMessage
}

// foreign returns an error when r has a parameter that mappings of the source do not have.
func (r *mappingRequest) foreign(source EventSource) *wire.Error {
	if err := r.streamRequest.foreign(source); err != nil {
		return err
	}
	if r.ScalingConfig != nil && source.Limits.Stream {
		return invalidParameter("Unsupported ScalingConfig parameter for given event source mapping type.")
	}
	for _, p := range []struct {
		name string
		is   json.RawMessage
	}{
		{"Topics", r.Topics}, {"Queues", r.Queues}, {"SourceAccessConfigurations", r.SourceAccessConfigurations}, {"SelfManagedEventSource", r.SelfManagedEventSource},
		{"AmazonManagedKafkaEventSourceConfig", r.AmazonManagedKafkaEventSourceConfig}, {"SelfManagedKafkaEventSourceConfig", r.SelfManagedKafkaEventSourceConfig}, {"DocumentDBEventSourceConfig", r.DocumentDBEventSourceConfig},
	} {
		if len(p.is) > 0 && string(p.is) != "null" {
			return invalidParameter("Unsupported " + p.name + " parameter for given event source mapping type.")
		}
	}
	for name, is := range map[string]json.RawMessage{"ProvisionedPollerConfig": r.ProvisionedPollerConfig, "KMSKeyArn": r.KMSKeyArn, "MetricsConfig": r.MetricsConfig, "LoggingConfig": r.LoggingConfig} {
		if len(is) > 0 && string(is) != "null" {
			return unsupported(name + " of an event source mapping is not supported here.")
		}
	}
	return nil
}

// set puts what is given of r into s.
func (r *mappingRequest) set(s *mapping.Settings) *wire.Error {
	if r.BatchSize != nil {
		s.Batch = *r.BatchSize
	}
	if r.MaximumBatchingWindowInSeconds != nil {
		s.Window = time.Duration(*r.MaximumBatchingWindowInSeconds) * time.Second
	}
	if r.Enabled != nil {
		s.Disabled = !*r.Enabled
	}
	if r.FilterCriteria != nil {
		s.Filters = nil
		for _, f := range r.FilterCriteria.Filters {
			if f.Pattern == nil {
				return invalidParameter(mapping.ErrFilter.Error())
			}
			s.Filters = append(s.Filters, *f.Pattern)
		}
	}
	if r.FunctionResponseTypes != nil {
		s.Partial = len(*r.FunctionResponseTypes) > 0
		var v violations
		for _, t := range *r.FunctionResponseTypes {
			if t != "ReportBatchItemFailures" {
				v.add("["+strings.Join(*r.FunctionResponseTypes, ", ")+"]", "functionResponseTypes", "satisfy constraint: [Member must satisfy enum value set: [ReportBatchItemFailures]]")
			}
		}
		if err := v.error(); err != nil {
			return err
		}
	}
	if r.ScalingConfig != nil {
		s.AtOnce = 0
		if r.ScalingConfig.MaximumConcurrency != nil {
			if s.AtOnce = *r.ScalingConfig.MaximumConcurrency; s.AtOnce == 0 {
				s.AtOnce = -1 // given, and out of bounds
			}
		}
	}
	return nil
}

// target puts the function that r names into s.
func (r *mappingRequest) target(c *call, s *mapping.Settings) *wire.Error {
	if r.FunctionName == nil {
		return nil
	}
	ref, ok := functionName.parse(*r.FunctionName)
	if !ok {
		var v violations
		v.check(&functionName, *r.FunctionName, "functionName")
		return v.error()
	}
	if err := ref.local(c.view.Place, c.Caller, c.op); err != nil {
		return err
	}
	s.Function, s.Qualifier = ref.Function, ref.Qualifier
	return nil
}

// fits says what is wrong with settings for a source.
func (c *call) fits(source EventSource, s mapping.Settings) *wire.Error {
	if err := source.Limits.Check(s); err != nil {
		e, _ := errors.AsType[*daruma.Error](err)
		text := e.Err.Error()
		if errors.Is(err, mapping.ErrFilter) {
			text = mapping.ErrFilter.Error()
		}
		return invalidParameter(text)
	}
	f, err := c.view.Resolve(s.Target(), 1)
	if err != nil {
		return invalidParameter("Function does not exist")
	}
	if !source.Limits.Stream && source.Hide < f.Timeout {
		return invalidParameter("Queue visibility timeout: " + strconv.Itoa(int(source.Hide/time.Second)) + " seconds is less than Function timeout: " + strconv.Itoa(int(f.Timeout/time.Second)) + " seconds")
	}
	return nil
}

// eventSource finds the source of an ARN.
func (d *Door) eventSource(arn string) (EventSource, *wire.Error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || !slices.Contains(sourceServices, parts[2]) {
		return EventSource{}, invalidParameter("Unrecognized event source.")
	}
	if parts[2] != "sqs" && parts[2] != "dynamodb" {
		return EventSource{}, unsupported("Event sources of " + parts[2] + " are not supported here: " + arn)
	}
	source, err := d.cfg.EventSource(arn)
	if daruma.KindOf(err) == daruma.KindNotFound && parts[2] == "dynamodb" {
		return source, invalidParameter("Stream not found: " + arn)
	}
	if daruma.KindOf(err) == daruma.KindNotFound {
		return source, invalidParameter("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.")
	}
	if err != nil {
		return source, fromKind(daruma.KindOf(err), err.Error())
	}
	return source, nil
}

func (c *call) mappingRequest() (r mappingRequest, _ *wire.Error) {
	if json.Unmarshal(c.Body, &r) != nil {
		return r, invalidContent("Could not parse request body into json.")
	}
	return r, nil
}

// createMapping answers CreateEventSourceMapping.
func (d *Door) createMapping(c *call) (any, *wire.Error) {
	r, err := c.mappingRequest()
	if err != nil {
		return nil, err
	}
	if r.FunctionName == nil {
		return nil, &wire.Error{Status: http.StatusBadRequest, Code: "ValidationException", Message: "1 validation error detected: Value null at 'functionName' failed to satisfy constraint: Member must not be null"}
	}
	if r.EventSourceArn == nil {
		return nil, invalidParameter("Unrecognized event source.")
	}
	source, err := d.eventSource(*r.EventSourceArn)
	if err != nil {
		return nil, err
	}
	if err := r.foreign(source); err != nil {
		return nil, err
	}
	s := mapping.Settings{Batch: source.Batch}
	if source.Limits.Stream {
		if s.Stream, err = r.start(source.ARN); err != nil {
			return nil, err
		}
	}
	if err := r.target(c, &s); err != nil {
		return nil, err
	}
	if err := r.set(&s); err != nil {
		return nil, err
	}
	if err := d.streamSet(&r, &s); err != nil {
		return nil, err
	}
	if err := c.fits(source, s); err != nil {
		return nil, err
	}
	m, failed := d.cfg.Mappings.Create(c.HTTP.Context(), source.Source, s, r.Tags)
	if failed != nil {
		return nil, mappingFailed(source.ARN, s, failed)
	}
	return accepted{d.mappingOf(c.view.Place, m)}, nil
}

// mappingFailed is the error of a mapping that could not be made or changed.
func mappingFailed(arn string, s mapping.Settings, err error) *wire.Error {
	if there, ok := errors.AsType[*mapping.Exists](err); ok {
		function := s.Function
		if s.Qualifier != "" {
			function += ":" + s.Qualifier
		}
		what := `The event source arn (" ` + arn + ` ") and function (" ` + function + ` ") provided mapping`
		if strings.HasPrefix(arn, "arn:aws:sqs:") {
			what = `An event source mapping with SQS arn (" ` + arn + ` ") and function (" ` + function + ` ")`
		}
		return conflict(what + " already exists. Please update or delete the existing mapping with UUID " + there.UUID)
	}
	if daruma.KindOf(err) == daruma.KindConflict {
		return &wire.Error{Status: http.StatusBadRequest, Code: "ResourceInUseException", Message: "Cannot update the event source mapping because it is in use.", Members: user}
	}
	return fromKind(daruma.KindOf(err), err.Error())
}

// mapping returns the mapping that the request names.
func (d *Door) mapping(c *call) (*mapping.Mapping, *wire.Error) {
	m := d.cfg.Mappings.Mapping(strings.ToLower(c.args[0]))
	if m == nil || !mappingUUID.MatchString(c.args[0]) {
		return nil, noResource()
	}
	return m, nil
}

func noResource() *wire.Error { return notFound("The resource you requested does not exist.") }

// getMapping answers GetEventSourceMapping.
func (d *Door) getMapping(c *call) (any, *wire.Error) {
	m, err := d.mapping(c)
	if err != nil {
		return nil, err
	}
	return d.mappingOf(c.view.Place, m), nil
}

// updateMapping answers UpdateEventSourceMapping: what is not given stays.
func (d *Door) updateMapping(c *call) (any, *wire.Error) {
	r, err := c.mappingRequest()
	if err != nil {
		return nil, err
	}
	m, err := d.mapping(c)
	if err != nil {
		return nil, err
	}
	source, err := d.eventSource(m.Source.ARN)
	if err != nil {
		return nil, err
	}
	if err := r.foreign(source); err != nil {
		return nil, err
	}
	if r.StartingPosition != nil {
		return nil, invalidParameter("StartingPosition cannot be updated: delete the mapping and make another.")
	}
	var refused *wire.Error
	s := m.Settings
	changed, failed := d.cfg.Mappings.Change(c.HTTP.Context(), m.UUID, func(is *mapping.Settings) error {
		if refused = r.target(c, is); refused == nil {
			refused = r.set(is)
		}
		if refused == nil {
			refused = d.streamSet(&r, is)
		}
		if refused == nil {
			refused = c.fits(source, *is)
		}
		if s = *is; refused != nil {
			return errors.New(refused.Message)
		}
		return nil
	})
	switch {
	case refused != nil:
		return nil, refused
	case failed != nil:
		return nil, mappingFailed(source.ARN, s, failed)
	}
	return accepted{d.mappingOf(c.view.Place, changed)}, nil
}

// deleteMapping answers DeleteEventSourceMapping.
func (d *Door) deleteMapping(c *call) (any, *wire.Error) {
	m, err := d.mapping(c)
	if err != nil {
		return nil, err
	}
	gone, failed := d.cfg.Mappings.Delete(c.HTTP.Context(), m.UUID)
	if daruma.KindOf(failed) == daruma.KindNotFound {
		return nil, noResource()
	}
	if failed != nil {
		return nil, fromKind(daruma.KindOf(failed), failed.Error())
	}
	return accepted{d.mappingOf(c.view.Place, gone)}, nil
}

// listMappings answers ListEventSourceMappings.
func (d *Door) listMappings(c *call) (any, *wire.Error) {
	var only mapping.Settings
	if name := c.query.Get("FunctionName"); name != "" {
		if err := (&mappingRequest{FunctionName: &name}).target(c, &only); err != nil {
			return nil, err
		}
	}
	arn := c.query.Get("EventSourceArn")
	var wanted []*mapping.Mapping
	for _, m := range d.cfg.Mappings.All() {
		if (arn == "" || m.Source.ARN == arn) && (only.Function == "" || m.Target() == only.Target()) {
			wanted = append(wanted, m)
		}
	}
	some, next, err := page(c, wanted, mappingsPageMax, func(m *mapping.Mapping) string { return m.UUID })
	if err != nil {
		return nil, err
	}
	answer := struct {
		NextMarker          *string
		EventSourceMappings []eventSourceMapping
	}{NextMarker: optional(next), EventSourceMappings: make([]eventSourceMapping, 0, len(some))}
	for _, m := range some {
		answer.EventSourceMappings = append(answer.EventSourceMappings, d.mappingOf(c.view.Place, m))
	}
	return answer, nil
}

// mappingsPageMax is what a list may be asked for (Lambda API Reference, ListEventSourceMappings).
const mappingsPageMax = 10_000
