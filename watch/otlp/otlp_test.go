package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/daruma-io/daruma"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A receiver is a collector: it decodes what is sent to it.
type receiver struct {
	*httptest.Server
	requests chan *collector.ExportTraceServiceRequest
	status   atomic.Int32 // what it answers
	asked    atomic.Int32
}

func receive(t *testing.T) *receiver {
	r := &receiver{requests: make(chan *collector.ExportTraceServiceRequest, 64)}
	r.status.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		if status := int(r.status.Load()); status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(q.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		var m collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(b, &m)
		}
		if err != nil || q.URL.Path != "/v1/traces" || q.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", q.URL, q.Header, err)
		}
		r.requests <- &m
	}))
	t.Cleanup(func() {
		r.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// next returns what comes next.
func (r *receiver) next(t *testing.T) *collector.ExportTraceServiceRequest {
	t.Helper()
	select {
	case m := <-r.requests:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("no spans came")
		return nil
	}
}

// run runs an exporter until stop is called or the test ends.
func run(t *testing.T, cfg Config) (e *Exporter, stop func()) {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return e, stop
}

const root = "1-5759e988-bd862e3fe1be46a994272793"

func at(ms int) time.Time { return time.Unix(1_700_000_000, int64(ms)*1e6) }

func spans() []daruma.Span {
	return []daruma.Span{
		{ID: "00000000000000aa", Parent: "53995c3f42cd8ad8", Trace: root, State: "v=1", Kind: daruma.SpanCall, Name: "POST /orders\xff", At: at(0), Duration: 400 * time.Millisecond, Function: "Orders", Request: "r1", Source: "http", Outcome: daruma.Done, Status: 201},
		{ID: "00000000000000bb", Parent: "00000000000000aa", Trace: root, Kind: daruma.SpanRun, At: at(300), Wait: 50 * time.Millisecond, Init: 250 * time.Millisecond, Duration: 60 * time.Millisecond, Cold: true, MemoryBytes: 7,
			Function: "Orders", Version: "3", Environment: "e1", Request: "r1", Source: "http", Outcome: daruma.Done, Keys: []string{"o-1", "c-2"}, Faults: []string{"FT-3 error"}},
		{ID: "00000000000000cc", Parent: "00000000000000aa", Trace: root, Kind: daruma.SpanRun, At: at(500), Function: "Charge", Request: "r2", Attempt: 2, From: "F-1", Outcome: daruma.TimedOut, ErrorType: "Sandbox.Timedout"},
	}
}

func TestTheCollectorGetsTheSameSpans(t *testing.T) {
	r := receive(t)
	e, stop := run(t, Config{URL: r.URL, App: "shop", Version: "1.2", Every: time.Hour})
	for _, s := range spans() {
		e.Send(s)
	}
	e.Send(daruma.Span{ID: "no ID", Trace: root})
	stop() // sends what waits
	got := map[string]*trace.Span{}
	services := map[string]string{}
	for _, rs := range r.next(t).ResourceSpans {
		for _, scope := range rs.ScopeSpans {
			if scope.Scope.Name != "daruma" || scope.Scope.Version != "1.2" {
				t.Errorf("got scope %v", scope.Scope)
			}
			for _, s := range scope.Spans {
				got[string(s.SpanId)] = s
				services[s.Name] = value(rs.Resource.Attributes, "service.name").GetStringValue() + " of " + value(rs.Resource.Attributes, "service.namespace").GetStringValue()
			}
		}
	}
	if want := map[string]string{"POST /orders\uFFFD": "shop of shop", "Orders": "Orders of shop", "Charge": "Charge of shop"}; !cmp.Equal(services, want) {
		t.Errorf("got services %v, want %v", services, want)
	}
	for _, s := range spans() {
		m := got[string(decode(s.ID, 8))]
		if m == nil {
			t.Errorf("%s did not come", s.ID)
			continue
		}
		if !bytes.Equal(m.TraceId, []byte{0x57, 0x59, 0xe9, 0x88, 0xbd, 0x86, 0x2e, 0x3f, 0xe1, 0xbe, 0x46, 0xa9, 0x94, 0x27, 0x27, 0x93}) || !bytes.Equal(m.ParentSpanId, decode(s.Parent, 8)) || m.TraceState != s.State ||
			m.StartTimeUnixNano != uint64(s.At.UnixNano()) || m.EndTimeUnixNano != uint64(s.End().UnixNano()) || (m.Status.GetCode() == trace.Status_STATUS_CODE_ERROR) != (s.Outcome != daruma.Done) {
			t.Errorf("got %v for %+v", m, s)
		}
		a := m.Attributes
		if value(a, "faas.invocation_id").GetStringValue() != s.Request || value(a, "faas.version").GetStringValue() != s.Version || value(a, "http.response.status_code").GetIntValue() != int64(s.Status) ||
			value(a, "daruma.attempt").GetIntValue() != int64(s.Attempt) || value(a, "daruma.sent_back_from").GetStringValue() != s.From || value(a, "error.type").GetStringValue() != s.ErrorType ||
			value(a, "faas.coldstart").GetBoolValue() != s.Cold || value(a, "daruma.wait_s").GetDoubleValue() != s.Wait.Seconds() || value(a, "daruma.init_s").GetDoubleValue() != s.Init.Seconds() ||
			len(value(a, "daruma.keys").GetArrayValue().GetValues()) != len(s.Keys) || len(value(a, "daruma.faults").GetArrayValue().GetValues()) != len(s.Faults) || value(a, "daruma.outcome").GetStringValue() != s.Outcome.String() {
			t.Errorf("got attributes %v for %+v", a, s)
		}
	}
	if n := count(e.sent); n != 4 {
		t.Errorf("got %v spans sent, want 4", n)
	}
}

func count(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}

func value(attributes []*common.KeyValue, name string) *common.AnyValue {
	for _, a := range attributes {
		if a.Key == name {
			return a.Value
		}
	}
	return nil
}

func TestABatchIsSentWhenItIsFull(t *testing.T) {
	r := receive(t)
	e, _ := run(t, Config{URL: r.URL, Every: time.Hour, Batch: 3})
	for _, s := range append(spans(), spans()...) {
		e.Send(s)
	}
	for range 2 {
		n := 0
		for _, rs := range r.next(t).ResourceSpans {
			n += len(rs.ScopeSpans[0].Spans)
		}
		if n != 3 {
			t.Errorf("got a batch of %d, want 3", n)
		}
	}
}

func TestACollectorThatIsDownHoldsNobodyUp(t *testing.T) {
	r := receive(t)
	r.status.Store(http.StatusServiceUnavailable)
	e, stop := run(t, Config{URL: r.URL, Queue: 10, Batch: 5, Every: time.Millisecond, Retry: 100 * time.Millisecond})
	for range 1000 {
		e.Send(spans()[0]) // never blocks: the test would not end
	}
	deadline := time.Now().Add(30 * time.Second)
	for r.asked.Load() < 3 {
		if time.Now().After(deadline) {
			t.Fatal("it is not tried again")
		}
		e.Send(spans()[0])
	}
	r.status.Store(http.StatusOK)
	for count(e.sent) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("spans do not flow again")
		}
		e.Send(spans()[0])
		select { // nobody reads what came
		case <-r.requests:
		default:
		}
	}
	r.status.Store(http.StatusBadRequest) // for good: not tried again
	stop()
	if n := count(e.dropped); n < 900 {
		t.Errorf("got %v spans dropped, want most of a thousand", n)
	}
}

func TestACollectorsURLIsChecked(t *testing.T) {
	for sent, want := range map[string]string{"http://localhost:4318": "http://localhost:4318/v1/traces", "https://c.example/": "https://c.example/v1/traces", "https://c.example/otlp/traces": "https://c.example/otlp/traces"} {
		if got, err := Endpoint(sent); got != want || err != nil {
			t.Errorf("%s: got %s and %v, want %s", sent, got, err, want)
		}
	}
	for _, sent := range []string{"localhost:4318", "ftp://x", "http://", "http://x?y=z", "http://user@x", "%zz", ""} {
		if got, err := Endpoint(sent); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), "find the collector") {
			t.Errorf("%s: got %s and %v, want an error that says so", sent, got, err)
		}
	}
}
