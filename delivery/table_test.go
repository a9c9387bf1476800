package delivery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

// The tests of this file hold the table of the Lambda Developer Guide line by
// line; docs/semantics/async.md names them.

func TestAThrottleSpendsNoAttempt(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	most := time.Second
	for i := range 40 {
		got := w.settle(w.one(), delivery.NotRun)
		pause := got.Due.Sub(w.clock.Now())
		if got.State != delivery.StateWaiting || got.Attempts != 0 || pause <= 0 || pause > most {
			t.Fatalf("try %d: got %+v after %v, want no attempt and a pause of at most %v", i+1, got, pause, most)
		}
		w.clock.Advance(pause)
		most = min(2*most, 5*time.Minute)
	}
	if got := w.settle(w.one(), delivery.Failure); got.State != delivery.StateWaiting || got.Attempts != 1 || got.Due.Sub(w.clock.Now()) != time.Minute {
		t.Fatalf("got %+v, want the first attempt spent, and a minute", got)
	}
	if a := w.closes(); a.Throttled != 40 || a.Attempts != 1 {
		t.Fatalf("got %d throttled and %d attempts, want 40 and 1", a.Throttled, a.Attempts)
	}
}

func TestABackOffHasFullJitter(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		w.accept(event("Orders"))
	}
	short, long := 0, 0
	for _, l := range w.lease(200) {
		switch pause := w.settle(l, delivery.NotRun).Due.Sub(w.clock.Now()); {
		case pause < time.Second/4:
			short++
		case pause > 3*time.Second/4:
			long++
		}
	}
	if short < 20 || long < 20 {
		t.Fatalf("of 200 first pauses %d are below 250ms and %d above 750ms, want about 50 each", short, long)
	}
}

func TestTheAgeRuleIsAppliedBeforeTheNextAttempt(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		runs int
	}{{time.Minute, 1}, {100 * time.Second, 2}, {4 * time.Minute, 3}} {
		w := newWorld(t)
		w.configure("Orders", delivery.Policy{Age: c.age})
		w.accept(event("Orders"))
		began := w.clock.Now()
		for runs := 1; ; runs++ {
			l := w.one()
			w.clock.Advance(time.Second)
			got := w.settle(l, delivery.Failure)
			if got.State == delivery.StateWaiting {
				w.clock.Advance(got.Due.Sub(w.clock.Now()))
				continue
			}
			want := delivery.EventAgeExceeded
			if runs == 3 {
				want = delivery.RetriesExhausted
			}
			if runs != c.runs || got.Attempts != runs || got.Condition != want {
				t.Fatalf("with an age of %v: got %+v after %d runs, want %s after %d", c.age, got, runs, want, c.runs)
			}
			if waited := w.clock.Now().Sub(began); waited > c.age {
				t.Fatalf("it sat out %v", waited)
			}
			break
		}
	}
}

func TestAnOldEventIsGivenUpWithoutARun(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{Age: time.Minute, OnFailure: &delivery.Destination{Kind: "sink", Name: "S"}})
	w.accept(event("Orders"))
	w.clock.Advance(time.Minute + time.Nanosecond)
	if got := w.lease(1); len(got) != 0 {
		t.Fatal("an old event was handed out")
	}
	f := w.failures()
	if len(f) != 1 || f[0].Condition != delivery.EventAgeExceeded || f[0].Runs != 0 {
		t.Fatalf("got %+v", f)
	}
	body := string(w.told(delivery.OnFailure).Body)
	if strings.Contains(body, "responseContext") || strings.Contains(body, "responsePayload") || !strings.Contains(body, `"approximateInvokeCount":0`) {
		t.Fatalf("got %s, want no response of a function that never ran", body)
	}
	if a := w.closes(); a.Expired != 1 {
		t.Fatalf("got %+v", a)
	}
}

func TestAnEventOfExactlyItsAgeStillRuns(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{Age: time.Minute})
	w.accept(event("Orders"))
	w.clock.Advance(time.Minute)
	w.one()
}

func TestAnOldEventIsGivenUpWhileItsFunctionIsHeldBack(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{Age: time.Minute})
	w.accept(event("Orders"))
	want := delivery.Want{N: 10, For: time.Minute, Limits: map[string]int{"Orders": 0}}
	got, err := w.d.Lease(t.Context(), want)
	if err != nil || len(got.Events) != 0 || !got.Next.Equal(w.clock.Now().Add(time.Minute+time.Nanosecond)) {
		t.Fatalf("got %+v, %v, want to be asked again when the event is too old", got, err)
	}
	w.clock.Advance(got.Next.Sub(w.clock.Now()))
	if _, err := w.d.Lease(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if a := w.closes(); a.Expired != 1 || a.InProgress() != 0 {
		t.Fatalf("got %+v", a)
	}
}

func TestAReservedConcurrencyOfZeroFailsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{OnFailure: &delivery.Destination{Kind: "sink", Name: "S"}})
	w.accept(event("Orders"))
	got := w.settle(w.one(), delivery.Reserved)
	if got.State != delivery.StateFailed || got.Condition != delivery.ZeroReservedConcurrency || got.Attempts != 0 {
		t.Fatalf("got %+v", got)
	}
	body := string(w.told(delivery.OnFailure).Body)
	if !strings.Contains(body, `"condition":"ZeroReservedConcurrency","approximateInvokeCount":0}`) || strings.Contains(body, "response") {
		t.Fatalf("got %s", body)
	}
}

func TestNoRetriesMeansOneAttempt(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{Retries: new(0)})
	w.accept(event("Orders"))
	if got := w.settle(w.one(), delivery.Failure); got.Condition != delivery.RetriesExhausted || got.Attempts != 1 {
		t.Fatalf("got %+v", got)
	}
}

func TestADestinationRecordIsWhatLambdaSends(t *testing.T) {
	w := newWorld(t)
	to := &delivery.Destination{Kind: "sink", Name: "S"}
	w.configure("Orders", delivery.Policy{Retries: new(0), OnSuccess: to, OnFailure: to})
	e := event("Orders")
	e.Request, e.Payload = "11111111-2222-4333-8444-555555555555", []byte(`{"b": 1,  "a":1.50}`)
	w.accept(e)
	w.settle(w.one(), delivery.Failure)
	e.Request = "21111111-2222-4333-8444-555555555555"
	w.accept(e)
	w.settle(w.one(), delivery.Success)
	const failed = `{"version":"1.0","timestamp":"2026-01-02T03:04:05.000Z","requestContext":{"requestId":"11111111-2222-4333-8444-555555555555",` +
		`"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:Orders:$LATEST","condition":"RetriesExhausted","approximateInvokeCount":1},"requestPayload":{"b": 1,  "a":1.50},` +
		`"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"responsePayload":{"errorMessage":"it broke","errorType":"Error"}}`
	const done = `{"version":"1.0","timestamp":"2026-01-02T03:04:05.000Z","requestContext":{"requestId":"21111111-2222-4333-8444-555555555555",` +
		`"functionArn":"arn:aws:lambda:us-east-1:123456789012:function:Orders:$LATEST","condition":"Success","approximateInvokeCount":1},"requestPayload":{"b": 1,  "a":1.50},` +
		`"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":{"errorMessage":"it broke","errorType":"Error"}}`
	if d := cmp.Diff(failed, string(w.told(delivery.OnFailure).Body)); d != "" {
		t.Errorf("after a failure (-want +got):\n%s", d)
	}
	if d := cmp.Diff(done, string(w.told(delivery.OnSuccess).Body)); d != "" {
		t.Errorf("after a success (-want +got):\n%s", d)
	}
	if h := w.told(delivery.OnFailure); h.Trace != e.Trace || h.Attributes != nil {
		t.Errorf("got %+v, want the trace and no attributes", h)
	}
}

func TestDeadLetterAndDestinationAreBothTold(t *testing.T) {
	w := newWorld(t)
	to := &delivery.Destination{Kind: "sink", Name: "S"}
	w.configure("Orders", delivery.Policy{Retries: new(0), OnFailure: to, DeadLetter: to})
	e := event("Orders")
	e.Request = "11111111-2222-4333-8444-555555555555"
	w.accept(e)
	w.settle(w.one(), delivery.Failure)
	w.told(delivery.OnFailure)
	letter := w.told(delivery.DeadLetter)
	if string(letter.Body) != `{"n":1}` {
		t.Errorf("got the dead letter %s, want the event and nothing else", letter.Body)
	}
	want := []delivery.Attribute{{Name: "RequestID", Type: "String", Value: e.Request}, {Name: "ErrorCode", Type: "Number", Value: "200"}, {Name: "ErrorMessage", Type: "String", Value: "it broke"}}
	if d := cmp.Diff(want, letter.Attributes); d != "" {
		t.Errorf("attributes (-want +got):\n%s", d)
	}
	if a := w.closes(); a.DeadLetters != 1 || a.Destinations != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestADeadLetterOfAThrottledEventSays429(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{Age: time.Minute, DeadLetter: &delivery.Destination{Kind: "sink", Name: "S"}})
	w.accept(event("Orders"))
	w.settle(w.one(), delivery.NotRun)
	w.clock.Advance(2 * time.Minute)
	w.lease(1)
	letter := w.told(delivery.DeadLetter)
	if letter.Attributes[1].Value != "429" || letter.Attributes[2].Value != "Rate Exceeded." {
		t.Fatalf("got %+v", letter.Attributes)
	}
}

func TestTheDeadLetterOfTheVersionThatRanCounts(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	l := w.one()
	r := delivery.Report{Held: l.Held(), Verdict: delivery.Never, DeadLetter: &delivery.Destination{Kind: "sink", Name: "of version 3"}}
	if _, err := w.d.Settle(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.handovers()[delivery.DeadLetter]; len(got) != 1 || got[0].To.Name != "of version 3" {
		t.Fatalf("got %+v", got)
	}
}

func TestWhatADestinationDoesNotTakeIsKeptAndCountedAndHandedOnLater(t *testing.T) {
	w := newWorld(t)
	to := &delivery.Destination{Kind: "sink", Name: "S", ARN: "arn:sink:S"}
	w.configure("Orders", delivery.Policy{Retries: new(0), OnFailure: to, DeadLetter: to})
	w.accept(event("Orders"))
	w.sink.refuse = true
	if got := w.settle(w.one(), delivery.Failure); got.State != delivery.StateFailed {
		t.Fatalf("got %+v, want the event ended all the same", got)
	}
	if a := w.closes(); a.DeadLetterErrors != 1 || a.DestinationErrors != 1 || a.Failed != 1 {
		t.Fatalf("got %+v", a)
	}
	f := w.failures()
	if len(f) != 3 || f[1].Hop != ledger.DeadLetter || f[2].Hop != ledger.Destination || !strings.Contains(f[2].Message, "it takes nothing") {
		t.Fatalf("got %+v", f)
	}
	if _, err := w.d.Redrive(t.Context(), f[2].Number, nil); daruma.KindOf(err) != daruma.KindDenied {
		t.Fatalf("got %v, want the destination's own refusal", err)
	}
	w.sink.refuse = false
	for _, id := range []ledger.ID{f[1].Number, f[2].Number} {
		for range 2 {
			if _, err := w.d.Redrive(t.Context(), id, nil); err != nil && daruma.KindOf(err) != daruma.KindConflict {
				t.Fatal(err)
			}
		}
	}
	got := w.handovers()
	if len(got[delivery.OnFailure]) != 1 || len(got[delivery.DeadLetter]) != 1 || string(got[delivery.DeadLetter][0].Body) != `{"n":1}` || len(got[delivery.DeadLetter][0].Attributes) != 3 {
		t.Fatalf("got %+v, want each handed on once", got)
	}
	if f = w.failures(); f[1].State != ledger.Resolved || f[2].State != ledger.Resolved {
		t.Fatalf("got %s and %s, want both resolved", f[1].State, f[2].State)
	}
}

func TestAFunctionAsADestinationGetsAnEventOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{OnSuccess: &delivery.Destination{Kind: delivery.FunctionKind, Name: "Billing", Qualifier: "live"}})
	e := event("Orders")
	id := w.accept(e)[0]
	w.settle(w.one(), delivery.Success)
	got := w.one()
	if got.Target != (daruma.Target{Function: "Billing", Qualifier: "live"}) || got.Request == id || got.Trace != e.Trace || got.Depth != 1 || !strings.Contains(string(got.Payload), `"requestPayload":{"n":1}`) {
		t.Fatalf("got %+v", got)
	}
	if a := w.closes(); a.Accepted != 2 || a.Done != 1 || a.Leased != 1 {
		t.Fatalf("got %+v", a)
	}
}

func TestFunctionsThatAreOneAnothersDestinationsEnd(t *testing.T) {
	w := newWorld(t)
	w.configure("A", delivery.Policy{OnSuccess: &delivery.Destination{Kind: delivery.FunctionKind, Name: "B"}})
	w.configure("B", delivery.Policy{OnSuccess: &delivery.Destination{Kind: delivery.FunctionKind, Name: "A"}})
	w.accept(event("A"))
	runs := 0
	for l := w.lease(1); len(l) == 1; l = w.lease(1) {
		w.settle(l[0], delivery.Success)
		runs++
	}
	if f := w.failures(); runs != 16 || len(f) != 1 || f[0].Hop != ledger.Destination {
		t.Fatalf("got %d runs and %+v, want 16 and one record that could not be handed on", runs, f)
	}
}

func TestPoliciesAreThoseOfTheQualifier(t *testing.T) {
	w := newWorld(t)
	w.configure("Orders", delivery.Policy{Retries: new(0)})
	e := event("Orders")
	e.Target.Qualifier = "live"
	w.accept(e)
	if got := w.settle(w.one(), delivery.Failure); got.State != delivery.StateWaiting {
		t.Fatalf("got %+v, want the defaults: there is no inheritance", got)
	}
	latest := event("Orders")
	latest.Target.Qualifier = "$LATEST"
	w.accept(latest)
	if got := w.settle(w.one(), delivery.Failure); got.State != delivery.StateFailed {
		t.Fatalf("got %+v, want $LATEST to be what no qualifier is", got)
	}
}

func TestAPolicyThatCannotBeIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		policy delivery.Policy
		kind   daruma.Kind
	}{
		{delivery.Policy{Retries: new(3)}, daruma.KindInvalid},
		{delivery.Policy{Retries: new(-1)}, daruma.KindInvalid},
		{delivery.Policy{Age: 59 * time.Second}, daruma.KindInvalid},
		{delivery.Policy{Age: 6*time.Hour + time.Second}, daruma.KindInvalid},
		{delivery.Policy{OnFailure: &delivery.Destination{Kind: "function", Name: "Orders"}}, daruma.KindInvalid},
		{delivery.Policy{DeadLetter: &delivery.Destination{Kind: "function", Name: "Other"}}, daruma.KindInvalid},
		{delivery.Policy{OnSuccess: &delivery.Destination{Kind: "bus", Name: "b"}}, daruma.KindUnsupported},
	} {
		if err := w.d.Configure(t.Context(), delivery.Wish{Function: "Orders", Policy: &c.policy}); daruma.KindOf(err) != c.kind || err == nil {
			t.Errorf("%+v: got %v, want %v", c.policy, err, c.kind)
		}
		e := event("Orders")
		e.Policy = &c.policy
		if _, err := w.d.Accept(t.Context(), e); daruma.KindOf(err) != c.kind || err == nil {
			t.Errorf("accepting with %+v: got %v, want %v", c.policy, err, c.kind)
		}
	}
	if a := w.closes(); a.Accepted != 0 {
		t.Errorf("%d events were taken in", a.Accepted)
	}
}

func TestAChangedPolicyCountsForEventsOnTheirWay(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	l := w.one()
	w.configure("Orders", delivery.Policy{Retries: new(0), DeadLetter: &delivery.Destination{Kind: "sink", Name: "S"}})
	if got := w.settle(l, delivery.Failure); got.State != delivery.StateFailed {
		t.Fatalf("got %+v, want no retries", got)
	}
	w.told(delivery.DeadLetter)
}

func TestAnEventIsResolvedAnewInEachAttempt(t *testing.T) {
	w := newWorld(t)
	e := event("Orders")
	e.Target.Qualifier = "live"
	w.accept(e)
	for range 2 {
		l := w.one()
		if l.Target != e.Target {
			t.Fatalf("got %v, want it as it was invoked: %v", l.Target, e.Target)
		}
		w.settle(l, delivery.Failure)
		w.clock.Advance(time.Minute)
	}
}

func TestAHeldEventSpendsNothingAndComesBackSoon(t *testing.T) {
	w := newWorld(t)
	w.accept(event("Orders"))
	for range 20 {
		got := w.settle(w.one(), delivery.Wait)
		if pause := got.Due.Sub(w.clock.Now()); got.Attempts != 0 || got.State != delivery.StateWaiting || pause != time.Second {
			t.Fatalf("got %+v, again in %v", got, pause)
		}
		w.clock.Advance(time.Second)
	}
}
