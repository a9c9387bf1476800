package fault_test

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
)

// answering is a Runner that says Done.
type answering struct{ runs int }

func (a *answering) Run(context.Context, daruma.Invocation) daruma.Outcome {
	a.runs++
	return daruma.Outcome{Kind: daruma.Done, Payload: []byte("{}")}
}

func start(t *testing.T, s *fault.Faults, document string) *fault.Running {
	t.Helper()
	f, err := fault.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Start(t.Context(), f, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// throttles runs n events and says which were refused.
func throttles(s *fault.Faults, n int) (refused []bool) {
	runner := s.Runner(&answering{})
	for range n {
		o := runner.Run(context.Background(), daruma.Invocation{ID: daruma.NewID(), Target: daruma.Target{Function: "Charge"}, Payload: []byte("{}")})
		refused = append(refused, o.Kind == daruma.Throttled)
	}
	return refused
}

func count(all []bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

func TestAFaultMeetsItsShareOfEvents(t *testing.T) {
	for _, rate := range []float64{0.05, 0.3, 0.9} {
		s := fault.New(fault.Config{})
		start(t, s, `{"kind":"throttle","target":{"function":"Charge"},"dose":{"rate":`+strings.TrimRight(strings.TrimRight(formatted(rate), "0"), ".")+`},"seed":7}`)
		const n = 20_000
		got := float64(count(throttles(s, n)))
		// Four standard deviations: with this seed it is a fact, with another it fails once in 15,000.
		if want, spread := rate*n, 4*math.Sqrt(n*rate*(1-rate)); math.Abs(got-want) > spread {
			t.Errorf("at a rate of %g: got %g of %d, want %g give or take %g", rate, got, n, want, spread)
		}
	}
}

func formatted(f float64) string {
	return string(append([]byte("0."), []byte{byte('0' + int(f*10)%10), byte('0' + int(math.Round(f*100))%10)}...))
}

func TestOneInTenIsExactlyOneInTen(t *testing.T) {
	s := fault.New(fault.Config{})
	start(t, s, "kind: throttle\ntarget: {function: Charge}\ndose: {oneIn: 10}\nseed: 3")
	refused := throttles(s, 1000)
	first := slices.Index(refused, true)
	for i, r := range refused {
		if want := i%10 == first; r != want {
			t.Fatalf("event %d: got refused %v, want %v (the first was %d)", i, r, want, first)
		}
	}
}

func TestTheSameSeedMakesTheSameChoices(t *testing.T) {
	choices := func(seed string) []bool {
		s := fault.New(fault.Config{})
		start(t, s, `{"kind":"throttle","target":{"function":"Charge"},"dose":{"rate":0.5},"seed":`+seed+`}`)
		return throttles(s, 200)
	}
	if !slices.Equal(choices("11"), choices("11")) {
		t.Error("the same seed made other choices")
	}
	if slices.Equal(choices("11"), choices("12")) {
		t.Error("another seed made the same choices")
	}
}

func TestAFaultMeetsNoMoreThanItsMost(t *testing.T) {
	s := fault.New(fault.Config{})
	r := start(t, s, `{"kind":"throttle","target":{"function":"Charge"},"dose":{"max":3}}`)
	if got := count(throttles(s, 50)); got != 3 || r.State().Met != 3 {
		t.Errorf("got %d refused and %d counted, want 3", got, r.State().Met)
	}
}

func TestARampGrowsFromNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.New(fault.Config{})
		start(t, s, `{"kind":"throttle","target":{"function":"Charge"},"dose":{"for":"100s","ramp":"100s"},"seed":1}`)
		var shares [4]int
		for i := range shares {
			shares[i] = count(throttles(s, 1000))
			time.Sleep(30 * time.Second)
		}
		if shares[0] != 0 || shares[1] < 200 || shares[1] > 400 || shares[2] < 500 || shares[2] > 700 || shares[3] < 800 {
			t.Errorf("got %v of 1000 each, want about 0, 300, 600 and 900", shares)
		}
	})
}

func TestAFaultEnds(t *testing.T) {
	for _, c := range []struct {
		name, ending string
		lease        time.Duration
		end          func(s *fault.Faults, id fault.ID, cancel func())
		within       time.Duration
	}{
		{"when its time is over", "time", 0, func(*fault.Faults, fault.ID, func()) {}, time.Minute},
		{"when it is stopped", "stopped", 0, func(s *fault.Faults, id fault.ID, _ func()) { _ = s.Stop(id) }, 0},
		{"when all are stopped", "stopped", 0, func(s *fault.Faults, _ fault.ID, _ func()) { s.StopAll() }, 0},
		{"when who asked for it is gone", "gone", 0, func(_ *fault.Faults, _ fault.ID, cancel func()) { cancel() }, 0},
		{"when its lease is not renewed", "gone", 10 * time.Second, func(*fault.Faults, fault.ID, func()) {}, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []fault.State
				s := fault.New(fault.Config{Changed: func(s fault.State) { told = append(told, s) }})
				f, err := fault.Parse([]byte(`{"kind":"throttle","target":{"function":"*"},"dose":{"for":"1m"}}`))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r, err := s.Start(ctx, f, c.lease)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				c.end(s, r.ID(), cancel)
				<-r.Done()
				if got := time.Since(began); got != c.within {
					t.Errorf("it ended after %s, want %s", got, c.within)
				}
				if got := count(throttles(s, 10)); got != 0 {
					t.Errorf("it met %d events after its end", got)
				}
				if len(told) != 2 || told[1].Ending != c.ending || s.Active() != 0 {
					t.Errorf("got %+v and %d in force, want a beginning and an end by %q", told, s.Active(), c.ending)
				}
			})
		})
	}
}

func TestARenewedLeaseGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.New(fault.Config{})
		f, _ := fault.Parse([]byte(`{"kind":"throttle","target":{"function":"*"}}`))
		r, err := s.Start(t.Context(), f, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(9 * time.Second)
			if err := s.Renew(r.ID()); err != nil {
				t.Fatal(err)
			}
		}
		if s.Active() != 1 {
			t.Error("a fault whose lease was renewed has ended")
		}
		<-r.Done()
	})
}

func TestWhatAFaultMeetsIsMarked(t *testing.T) {
	s := fault.New(fault.Config{})
	r := start(t, s, `{"kind":"throttle","target":{"function":"Charge"},"dose":{"max":1}}`)
	runner := s.Runner(&answering{})
	inv := daruma.Invocation{ID: "r-1", Target: daruma.Target{Function: "Charge"}, Payload: []byte("{}")}
	if got, want := runner.Run(t.Context(), inv).Faults, []string{r.ID().String() + " throttle"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := runner.Run(t.Context(), inv).Faults; len(got) != 0 {
		t.Errorf("the next attempt is marked %v, which it did not meet", got)
	}
}

func TestOnlyTheEventsThatAreMeantAreMet(t *testing.T) {
	for _, c := range []struct {
		name, target string
		event        string
		met          bool
	}{
		{"every function", `{"function":"*"}`, `{}`, true},
		{"a part of its name", `{"function":"Cha*ge"}`, `{}`, true},
		{"another function", `{"function":"Orders"}`, `{}`, false},
		{"a value", `{"function":"Charge","match":[{"path":"$.a.b[1]","value":"x"}]}`, `{"a":{"b":[0,"x"]}}`, true},
		{"a number as text", `{"function":"Charge","match":[{"path":"id","value":"7"}]}`, `{"id":7}`, true},
		{"another value", `{"function":"Charge","match":[{"path":"id","value":7}]}`, `{"id":8}`, false},
		{"both of two", `{"function":"Charge","match":[{"path":"id","value":7},{"path":"no","operator":"exists","value":false}]}`, `{"id":7}`, true},
		{"one of two", `{"function":"Charge","match":[{"path":"id","value":7},{"path":"no","operator":"exists"}]}`, `{"id":7}`, false},
		{"a beginning", `{"function":"Charge","match":[{"path":"$.id","operator":"startsWith","value":"ab"}]}`, `{"id":"abc"}`, true},
		{"an expression", `{"function":"Charge","match":[{"path":"$['id']","operator":"regex","value":"^a.c$"}]}`, `{"id":"abc"}`, true},
		{"a pattern", `{"function":"Charge","pattern":{"id":[{"prefix":"ab"}]}}`, `{"id":"abc"}`, true},
		{"no JSON", `{"function":"Charge","match":[{"path":"$.id","operator":"exists"}]}`, `{`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fault.New(fault.Config{})
			start(t, s, `{"kind":"throttle","target":`+c.target+`}`)
			o := s.Runner(&answering{}).Run(t.Context(), daruma.Invocation{ID: "r", Target: daruma.Target{Function: "Charge"}, Payload: []byte(c.event)})
			if got := o.Kind == daruma.Throttled; got != c.met {
				t.Errorf("got met %v, want %v", got, c.met)
			}
		})
	}
}

func TestWhatIsWrongWithADocumentIsSaidByName(t *testing.T) {
	for document, want := range map[string]string{
		``:                                      "empty",
		`[]`:                                    "no mapping",
		`{"kind":"earthquake"}`:                 "there is no such kind of fault",
		`{"kind":"clock-skew"}`:                 "not supported yet",
		`{"kind":"kill"}`:                       "target.function: it is needed",
		`{"kind":"kill","target":{"host":"x"}}`: "target.host: a kill fault is on target.function",
		`{"kind":"kill","target":{"function":"F"},"dose":{"rate":2}}`:                                     "dose.rate: 2",
		`{"kind":"kill","target":{"function":"F"},"dose":{"rate":0.1,"oneIn":3}}`:                         "rate or oneIn",
		`{"kind":"kill","target":{"function":"F"},"dose":{"for":"48h"}}`:                                  "dose.for",
		`{"kind":"kill","target":{"function":"F"},"dose":{"for":"soon"}}`:                                 `"soon" is no duration`,
		`{"kind":"kill","target":{"function":"F"},"with":{"latency":"1s"}}`:                               "with.latency: a kill fault does not take it",
		`{"kind":"latency","target":{"function":"F"}}`:                                                    "with.latency: a latency fault needs it",
		`{"kind":"latency","target":{"function":"F"},"with":{"latency":"2s","latencyMax":"1s"}}`:          "with.latencyMax",
		`{"kind":"kill","target":{"function":"F"},"colour":"red"}`:                                        "colour: there is no such field",
		`{"kind":"kill","target":{"function":"F","match":[{"path":"$..x"}]}}`:                             "target.match[0].path",
		`{"kind":"kill","target":{"function":"F","match":[{"path":"x","operator":"regex","value":"("}]}}`: "target.match[0].value",
		`{"kind":"kill","target":{"function":"F","pattern":{"a":1}}}`:                                     "target.pattern",
		`{"kind":"throttle","target":{"function":"F","alias":"live"}}`:                                    "does not tell versions apart",
		`{"kind":"memory","target":{"function":"F"}}`:                                                     "with.memoryMB",
		`{"kind":"error","target":{"service":"s"},"with":{"when":"after"}}`:                               "with.when",
	} {
		_, err := fault.Parse([]byte(document))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", document, err, want)
		}
		if e, ok := errors.AsType[*daruma.Error](err); err != nil && (!ok || e.Kind == daruma.KindInternal) {
			t.Errorf("%s: %v is not the caller's", document, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"latency","target":{"function":"F","match":[{"path":"$.a[0]['b']","operator":"regex","value":"a+"}]},"with":{"latency":"1s"}}`))
	f.Add([]byte("kind: error\ntarget: {service: x, operation: y}\nwith: {code: throttled}\n"))
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := fault.Parse(document)
		if err != nil {
			return
		}
		s := fault.New(fault.Config{})
		r, err := s.Start(t.Context(), got, 0)
		if err != nil {
			t.Fatalf("a fault that was read cannot be started: %v", err)
		}
		r.Stop()
	})
}

func BenchmarkNoFaultInForce(b *testing.B) {
	s := fault.New(fault.Config{})
	runner := s.Runner(&answering{})
	inv := daruma.Invocation{ID: "r"}
	b.ReportAllocs()
	for b.Loop() {
		runner.Run(context.Background(), inv)
	}
}

// life is a life of processes that takes whatever its runtime says.
type life struct {
	deliver func(*daruma.Delivery) error
	said    []string
}

func (l *life) Attach(deliver func(*daruma.Delivery) error) uint64 { l.deliver = deliver; return 1 }
func (l *life) Detach(uint64)                                      {}
func (l *life) Next(uint64) error                                  { return nil }
func (l *life) Respond(_, _ string, body []byte) error {
	l.said = append(l.said[:0], string(body))
	return nil
}
func (l *life) RespondStream(_, _ string, body io.Reader, _ func() (string, []byte)) error {
	b, err := io.ReadAll(body)
	l.said = append(l.said[:0], string(b))
	return err
}
func (l *life) Fail(_, errType string, body []byte) error {
	l.said = append(l.said[:0], errType+" "+string(body))
	return nil
}
func (l *life) InitFail(string, []byte) error { return nil }

func TestAnEventThatIsAskedForTwiceIsMetOnce(t *testing.T) {
	s := fault.New(fault.Config{})
	r := start(t, s, `{"kind":"corrupt","target":{"function":"F"}}`)
	l := &life{}
	station := s.Station(t.Context(), l, fault.Who{Function: "F"}, func() {})
	link := station.Attach(func(*daruma.Delivery) error { return nil })
	for range 2 {
		if err := station.Next(link); err != nil {
			t.Fatal(err)
		}
		if err := l.deliver(&daruma.Delivery{ID: "r-1", Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := station.Respond("r-1", "application/json", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := l.said[0]; got != `{"a` || r.State().Met != 1 {
		t.Errorf("got %q and %d met, want half of it and 1", got, r.State().Met)
	}
}

func TestAStreamedAnswerBreaksOff(t *testing.T) {
	s := fault.New(fault.Config{})
	start(t, s, `{"kind":"corrupt","target":{"function":"F"}}`)
	l := &life{}
	station := s.Station(t.Context(), l, fault.Who{Function: "F"}, func() {})
	station.Attach(func(*daruma.Delivery) error { return nil })
	if err := l.deliver(&daruma.Delivery{ID: "r-1", Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	err := station.RespondStream("r-1", "text/plain", strings.NewReader(strings.Repeat("x", 1000)), func() (string, []byte) { return "", nil })
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(l.said[0]) != 64 {
		t.Errorf("got %v after %d bytes, want a stream that breaks off after 64", err, len(l.said[0]))
	}
}

func TestAProcessThatIsKilledSaysNothingMore(t *testing.T) {
	s := fault.New(fault.Config{})
	start(t, s, `{"kind":"kill","target":{"function":"F"},"with":{"when":"after"}}`)
	l := &life{}
	kills := 0
	station := s.Station(t.Context(), l, fault.Who{Function: "F"}, func() { kills++ })
	link := station.Attach(func(*daruma.Delivery) error { return nil })
	if err := l.deliver(&daruma.Delivery{ID: "r-1", Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if station.Respond("r-1", "", []byte("{}")) == nil || station.Next(link) == nil || kills != 1 || len(l.said) != 0 {
		t.Errorf("got %d kills and %q said, want one kill and refusals", kills, l.said)
	}
}

func TestOneVersionOrAliasIsMetAlone(t *testing.T) {
	s := fault.New(fault.Config{})
	version := start(t, s, `{"kind":"corrupt","target":{"function":"F","version":"2"}}`)
	alias := start(t, s, `{"kind":"corrupt","target":{"function":"F","alias":"live"}}`)
	for _, v := range []string{"1", "2"} {
		l := &life{}
		s.Station(t.Context(), l, fault.Who{Function: "F", Version: v}, func() {}).Attach(func(*daruma.Delivery) error { return nil })
		for _, arn := range []string{"arn:aws:lambda:eu-west-1:0:function:F:live", "arn:aws:lambda:eu-west-1:0:function:F"} {
			if err := l.deliver(&daruma.Delivery{ID: v + arn, ARN: arn, Payload: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v, a := version.State().Met, alias.State().Met; v != 2 || a != 2 {
		t.Errorf("got %d by version and %d by alias, want 2 each", v, a)
	}
}

func TestACapacityIsSoManyASecond(t *testing.T) {
	s := fault.New(fault.Config{})
	synctest.Test(t, func(t *testing.T) {
		f, err := fault.Parse([]byte(`{"kind":"capacity","target":{"service":"s","resource":"Orders"},"with":{"perSecond":5}}`))
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Start(t.Context(), f, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Stop()
		for second := range 3 {
			served := 0
			for range 20 {
				if s.Call(t.Context(), fault.Call{Service: "s", Operation: "Put", Resources: []string{"Orders"}}) == (fault.Answer{}) {
					served++
				}
			}
			if served != 5 {
				t.Errorf("second %d: got %d served, want 5", second, served)
			}
			if s.Call(t.Context(), fault.Call{Service: "s", Operation: "Put", Resources: []string{"Stock"}}) != (fault.Answer{}) {
				t.Error("another table is over capacity")
			}
			time.Sleep(time.Second)
		}
	})
}

func TestDurationsAreDrawnAsTheirDistributionSays(t *testing.T) {
	for distribution, spread := range map[string][2]time.Duration{"": {0, 0}, "normal": {250, 250}, "exponential": {1000, 1000}} {
		synctest.Test(t, func(t *testing.T) {
			s := fault.New(fault.Config{})
			f, err := fault.Parse([]byte(`{"kind":"latency","target":{"service":"s"},"with":{"latency":"1s","distribution":"` + distribution + `"},"dose":{"for":"24h"},"seed":4}`))
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.Start(t.Context(), f, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Stop()
			const n = 4000
			var sum, squares float64
			for range n {
				began := time.Now()
				s.Call(t.Context(), fault.Call{Service: "s"})
				took := time.Since(began).Seconds()
				sum += took
				squares += took * took
			}
			mean := sum / n
			deviation := math.Sqrt(max(0, squares/n-mean*mean)) * 1000
			if math.Abs(mean-1) > 0.07 || math.Abs(deviation-float64(spread[0])) > 100 {
				t.Errorf("%q: got a mean of %.3f s and a deviation of %.0f ms, want 1 s and %d ms", distribution, mean, deviation, spread[0])
			}
		})
	}
}

func BenchmarkAnEventThatNoFaultMeets(b *testing.B) {
	l := &life{}
	d := &daruma.Delivery{ID: "r", Payload: []byte("{}")}
	event := func(r fault.Runtime, link uint64) {
		_ = r.Next(link)
		_ = l.deliver(d)
		_ = r.Respond("r", "", nil)
	}
	b.Run("without a station", func(b *testing.B) {
		link := l.Attach(func(*daruma.Delivery) error { return nil })
		for b.Loop() {
			event(l, link)
		}
	})
	b.Run("with one", func(b *testing.B) {
		station := fault.New(fault.Config{}).Station(b.Context(), l, fault.Who{Function: "F"}, func() {})
		link := station.Attach(func(*daruma.Delivery) error { return nil })
		for b.Loop() {
			event(station, link)
		}
	})
}
