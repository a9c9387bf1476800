package otlp

import (
	"encoding/hex"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/daruma-io/daruma"
)

// resources makes spans messages, those of one service together. Spans whose
// IDs the protocol could not carry are left out.
func resources(spans []daruma.Span, app, version string) []*trace.ResourceSpans {
	var all []*trace.ResourceSpans
	by := map[string]*trace.ScopeSpans{}
	for i := range spans {
		m, ok := message(&spans[i])
		if !ok {
			continue
		}
		service := app
		if spans[i].Kind == daruma.SpanRun {
			service = spans[i].Function
		}
		scope := by[service]
		if scope == nil {
			scope = &trace.ScopeSpans{Scope: &common.InstrumentationScope{Name: "daruma", Version: version}}
			by[service] = scope
			all = append(all, &trace.ResourceSpans{
				Resource:   &resource.Resource{Attributes: []*common.KeyValue{text("service.name", service), text("service.namespace", app)}},
				ScopeSpans: []*trace.ScopeSpans{scope},
			})
		}
		scope.Spans = append(scope.Spans, m)
	}
	return all
}

// message makes one span a message. Names of attributes are those of the
// OpenTelemetry semantic conventions where they have one.
func message(s *daruma.Span) (*trace.Span, bool) {
	id, parent := decode(s.ID, 8), decode(s.Parent, 8)
	of := decode(daruma.Trace{Root: s.Trace}.ID(), 16)
	if id == nil || of == nil {
		return nil, false
	}
	m := &trace.Span{TraceId: of, SpanId: id, ParentSpanId: parent, TraceState: valid(s.State), Name: valid(s.Name), Kind: trace.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: uint64(max(0, s.At.UnixNano())), EndTimeUnixNano: uint64(max(0, s.End().UnixNano())), Status: &trace.Status{}}
	if s.Kind == daruma.SpanRun {
		m.Name, m.Kind = valid(s.Function), trace.Span_SPAN_KIND_INTERNAL
		if s.Attempt > 0 || len(s.Links) > 0 {
			m.Kind = trace.Span_SPAN_KIND_CONSUMER
		}
	}
	switch s.Kind {
	case daruma.SpanSend:
		m.Kind = trace.Span_SPAN_KIND_PRODUCER
	case daruma.SpanPost:
		m.Kind = trace.Span_SPAN_KIND_CLIENT
	}
	for _, l := range s.Links {
		if to, span := decode(daruma.Trace{Root: l.Trace}.ID(), 16), decode(l.Span, 8); to != nil && span != nil {
			m.Links = append(m.Links, &trace.Span_Link{TraceId: to, SpanId: span, Attributes: []*common.KeyValue{text("messaging.message.id", l.Message)}})
		}
	}
	if len(s.Links) == 1 {
		m.Attributes = append(m.Attributes, text("messaging.message.id", s.Links[0].Message))
	}
	if s.Outcome != daruma.Done || s.Status >= 500 {
		m.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: s.Outcome.String()}
	}
	add := func(kv *common.KeyValue) { m.Attributes = append(m.Attributes, kv) }
	for _, a := range [...]struct{ name, value string }{
		{"faas.invocation_id", s.Request}, {"faas.invoked_name", s.Function}, {"faas.version", s.Version}, {"faas.instance", s.Environment},
		{"error.type", s.ErrorType}, {"daruma.kind", string(s.Kind)}, {"daruma.outcome", s.Outcome.String()}, {"daruma.source", s.Source}, {"daruma.sent_back_from", s.From},
	} {
		if a.value != "" {
			add(text(a.name, a.value))
		}
	}
	for _, a := range [...]struct {
		name  string
		value int64
	}{{"http.response.status_code", int64(s.Status)}, {"daruma.attempt", int64(s.Attempt)}, {"daruma.memory_bytes", s.MemoryBytes}} {
		if a.value != 0 {
			add(attribute(a.name, &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: a.value}}))
		}
	}
	if s.Kind == daruma.SpanRun {
		add(attribute("faas.coldstart", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: s.Cold}}))
		add(seconds("daruma.wait_s", s.Wait))
		add(seconds("daruma.init_s", s.Init))
	}
	if len(s.Keys) > 0 {
		add(texts("daruma.keys", s.Keys))
	}
	if len(s.Faults) > 0 {
		add(texts("daruma.faults", s.Faults))
	}
	return m, true
}

// decode returns n bytes of hexadecimal digits, nil when it is something else.
func decode(digits string, n int) []byte {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != n {
		return nil
	}
	return b
}

// valid is s as the protocol can carry it: one text that is not UTF-8 would fail its whole batch.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func attribute(name string, v *common.AnyValue) *common.KeyValue {
	return &common.KeyValue{Key: name, Value: v}
}

func text(name, value string) *common.KeyValue {
	return attribute(name, &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: valid(value)}})
}

func texts(name string, values []string) *common.KeyValue {
	list := &common.ArrayValue{}
	for _, v := range values {
		list.Values = append(list.Values, &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: valid(v)}})
	}
	return attribute(name, &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}})
}

func seconds(name string, d time.Duration) *common.KeyValue {
	return attribute(name, &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: d.Seconds()}})
}
