package route_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/route"
)

// told keeps what it is told.
type told struct {
	report   delivery.Report
	response []byte
	failure  ledger.Failure
	recorded int
}

func (t *told) Settle(_ context.Context, r delivery.Report, response []byte) (delivery.Settled, error) {
	t.report, t.response = r, response
	return delivery.Settled{}, nil
}

func (t *told) Record(_ context.Context, f ledger.Failure, _ []byte) (ledger.ID, error) {
	t.failure = f
	t.recorded++
	return 1, nil
}

func TestTheTableSaysWhatEachOutcomeDoes(t *testing.T) {
	for _, c := range []struct {
		kind     daruma.OutcomeKind
		verdict  delivery.Verdict
		status   int
		brake    route.Brake
		fe       bool
		recorded bool
	}{
		{daruma.Done, delivery.Success, 200, route.GoOn, false, false},
		{daruma.FunctionError, delivery.Failure, 200, route.GoOn, true, true},
		{daruma.TimedOut, delivery.Failure, 200, route.GoOn, true, true},
		{daruma.Crashed, delivery.Failure, 200, route.GoOn, true, true},
		{daruma.Throttled, delivery.NotRun, 429, route.SlowDown, false, false},
		{daruma.NoCapacity, delivery.NotRun, 500, route.SlowDown, false, false},
		{daruma.Held, delivery.Wait, 503, route.SlowDown, false, false},
		{daruma.Refused, delivery.Never, 400, route.GoOn, false, false},
		{daruma.Unknown, delivery.Unknown, 500, route.GoOn, false, true},
	} {
		var got told
		o := daruma.Outcome{Kind: c.kind, Payload: []byte(`{"errorType":"E","trace":["at f (/var/task/a.js:1:2)"]}`), LogTail: []byte("one\ntwo\n")}
		if _, err := route.Settle(t.Context(), &got, delivery.Held{Number: 1, Lease: 2}, o, route.Facts{}, time.Time{}, nil); err != nil {
			t.Fatal(err)
		}
		r := got.report
		if r.Verdict != c.verdict || r.Status != c.status || r.FunctionError != c.fe || r.Number != 1 || r.Lease != 2 || route.Of(c.kind).Brake != c.brake || route.Of(c.kind).Caller == "" {
			t.Errorf("%v: got %+v", c.kind, r)
		}
		if has := r.Location.String() == "a.js:1 f" && cmp.Equal(r.Log, []string{"one", "two"}); has != c.recorded {
			t.Errorf("%v: its place and its log are there: %v", c.kind, has)
		}
		if _, err := route.Call(t.Context(), &got, daruma.Invocation{ID: "r", Target: daruma.Target{Function: "f"}}, o, route.Facts{}, "me"); err != nil {
			t.Fatal(err)
		}
		if (got.recorded == 1) != c.recorded {
			t.Errorf("%v: a failed call is in the ledger: %v", c.kind, got.recorded == 1)
		}
		if ran := c.kind.Ran(); ran != (c.verdict == delivery.Success || c.verdict == delivery.Failure || c.verdict == delivery.Unknown) {
			t.Errorf("%v: it ran: %v, and its verdict is %s", c.kind, ran, c.verdict)
		}
	}
}

func TestEveryOutcomeIsInTheTable(t *testing.T) {
	for k := daruma.Done; k.String() != "none"; k++ {
		if k != daruma.Unknown && route.Of(k).Verdict == delivery.Unknown {
			t.Errorf("%v has no line of its own", k)
		}
	}
	for _, k := range []daruma.OutcomeKind{0, 200} {
		if got := route.Of(k).Verdict; got != delivery.Unknown {
			t.Errorf("%d: got %s, want what is no outcome to be unknown", k, got)
		}
	}
}

func TestAThrottleByAReservedConcurrencyOfZeroIsTheEnd(t *testing.T) {
	for _, c := range []struct {
		reserved *int
		want     delivery.Verdict
	}{{nil, delivery.NotRun}, {new(1), delivery.NotRun}, {new(0), delivery.Reserved}} {
		var got told
		o := daruma.Outcome{Kind: daruma.Throttled, Failure: &daruma.Failure{Type: "TooManyRequestsException", Message: "Rate Exceeded.", After: time.Second}}
		if _, err := route.Settle(t.Context(), &got, delivery.Held{}, o, route.Facts{Reserved: c.reserved}, time.Time{}, nil); err != nil {
			t.Fatal(err)
		}
		if got.report.Verdict != c.want || got.report.After != time.Second || got.report.Message != "Rate Exceeded." {
			t.Errorf("got %+v, want %s", got.report, c.want)
		}
	}
}

func TestAMissingFunctionIs404(t *testing.T) {
	var got told
	o := daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindNotFound}}
	if _, err := route.Settle(t.Context(), &got, delivery.Held{}, o, route.Facts{}, time.Time{}, nil); err != nil || got.report.Status != 404 {
		t.Fatalf("got %+v, %v", got.report, err)
	}
}

func TestAFailedCallIsKeptWithWhatIsKnown(t *testing.T) {
	var got told
	inv := daruma.Invocation{ID: "r-1", Target: daruma.Target{Function: "f", Qualifier: "live"}, Trace: "Self=1;Root=1-5759e988-bd862e3fe1be46a994272793", Source: "http", Payload: []byte(`{}`)}
	o := daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: "E", Message: "m"}, Version: "3", Environment: "e-1"}
	facts := route.Facts{CodeSHA256: "c", Revision: "rev", Declared: delivery.Declared{Owner: "shop", Sensitive: []string{"$.a"}}}
	if id, err := route.Call(t.Context(), &got, inv, o, facts, "me"); err != nil || id != 1 {
		t.Fatal(id, err)
	}
	f := got.failure
	if f.Hop != ledger.Call || f.Trace != "1-5759e988-bd862e3fe1be46a994272793" || f.Owner != "shop" || f.CodeSHA256 != "c" || f.Version != "3" || len(f.Sensitive) != 1 || len(f.Attempts) != 1 || f.Client != "me" {
		t.Fatalf("got %+v", f)
	}
}
