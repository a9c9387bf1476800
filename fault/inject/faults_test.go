package inject_test

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/fault/inject"
)

// answering is a Runner that says Done.
type answering struct{ runs int }

func (a *answering) Run(context.Context, daruma.Invocation) daruma.Outcome {
	a.runs++
	return daruma.Outcome{Kind: daruma.Done, Payload: []byte("{}")}
}

func start(t *testing.T, s *inject.Faults, document string) *inject.Running {
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
func throttles(s *inject.Faults, n int) (refused []bool) {
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
		s := inject.New(inject.Config{})
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
	s := inject.New(inject.Config{})
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
		s := inject.New(inject.Config{})
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
	s := inject.New(inject.Config{})
	r := start(t, s, `{"kind":"throttle","target":{"function":"Charge"},"dose":{"max":3}}`)
	if got := count(throttles(s, 50)); got != 3 || r.State().Met != 3 {
		t.Errorf("got %d refused and %d counted, want 3", got, r.State().Met)
	}
}

func TestARampGrowsFromNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inject.New(inject.Config{})
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
		end          func(s *inject.Faults, id fault.ID, cancel func())
		within       time.Duration
	}{
		{"when its time is over", "time", 0, func(*inject.Faults, fault.ID, func()) {}, time.Minute},
		{"when it is stopped", "stopped", 0, func(s *inject.Faults, id fault.ID, _ func()) { _ = s.Stop(id) }, 0},
		{"when all are stopped", "stopped", 0, func(s *inject.Faults, _ fault.ID, _ func()) { s.StopAll() }, 0},
		{"when who asked for it is gone", "gone", 0, func(_ *inject.Faults, _ fault.ID, cancel func()) { cancel() }, 0},
		{"when its lease is not renewed", "gone", 10 * time.Second, func(*inject.Faults, fault.ID, func()) {}, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []fault.State
				s := inject.New(inject.Config{Changed: func(s fault.State) { told = append(told, s) }})
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
		s := inject.New(inject.Config{})
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
	s := inject.New(inject.Config{})
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
			s := inject.New(inject.Config{})
			start(t, s, `{"kind":"throttle","target":`+c.target+`}`)
			o := s.Runner(&answering{}).Run(t.Context(), daruma.Invocation{ID: "r", Target: daruma.Target{Function: "Charge"}, Payload: []byte(c.event)})
			if got := o.Kind == daruma.Throttled; got != c.met {
				t.Errorf("got met %v, want %v", got, c.met)
			}
		})
	}
}

func BenchmarkNoFaultInForce(b *testing.B) {
	s := inject.New(inject.Config{})
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
	s := inject.New(inject.Config{})
	r := start(t, s, `{"kind":"corrupt","target":{"function":"F"}}`)
	l := &life{}
	station := s.Station(t.Context(), l, inject.Who{Function: "F"}, func() {})
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
	s := inject.New(inject.Config{})
	start(t, s, `{"kind":"corrupt","target":{"function":"F"}}`)
	l := &life{}
	station := s.Station(t.Context(), l, inject.Who{Function: "F"}, func() {})
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
	s := inject.New(inject.Config{})
	start(t, s, `{"kind":"kill","target":{"function":"F"},"with":{"when":"after"}}`)
	l := &life{}
	kills := 0
	station := s.Station(t.Context(), l, inject.Who{Function: "F"}, func() { kills++ })
	link := station.Attach(func(*daruma.Delivery) error { return nil })
	if err := l.deliver(&daruma.Delivery{ID: "r-1", Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if station.Respond("r-1", "", []byte("{}")) == nil || station.Next(link) == nil || kills != 1 || len(l.said) != 0 {
		t.Errorf("got %d kills and %q said, want one kill and refusals", kills, l.said)
	}
}

func TestOneVersionOrAliasIsMetAlone(t *testing.T) {
	s := inject.New(inject.Config{})
	version := start(t, s, `{"kind":"corrupt","target":{"function":"F","version":"2"}}`)
	alias := start(t, s, `{"kind":"corrupt","target":{"function":"F","alias":"live"}}`)
	for _, v := range []string{"1", "2"} {
		l := &life{}
		s.Station(t.Context(), l, inject.Who{Function: "F", Version: v}, func() {}).Attach(func(*daruma.Delivery) error { return nil })
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
	s := inject.New(inject.Config{})
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
				if s.Call(t.Context(), inject.Call{Service: "s", Operation: "Put", Resources: []string{"Orders"}}) == (inject.Answer{}) {
					served++
				}
			}
			if served != 5 {
				t.Errorf("second %d: got %d served, want 5", second, served)
			}
			if s.Call(t.Context(), inject.Call{Service: "s", Operation: "Put", Resources: []string{"Stock"}}) != (inject.Answer{}) {
				t.Error("another table is over capacity")
			}
			time.Sleep(time.Second)
		}
	})
}

func TestDurationsAreDrawnAsTheirDistributionSays(t *testing.T) {
	for distribution, spread := range map[string][2]time.Duration{"": {0, 0}, "normal": {250, 250}, "exponential": {1000, 1000}} {
		synctest.Test(t, func(t *testing.T) {
			s := inject.New(inject.Config{})
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
				s.Call(t.Context(), inject.Call{Service: "s"})
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
	event := func(r inject.Runtime, link uint64) {
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
		station := inject.New(inject.Config{}).Station(b.Context(), l, inject.Who{Function: "F"}, func() {})
		link := station.Attach(func(*daruma.Delivery) error { return nil })
		for b.Loop() {
			event(station, link)
		}
	})
}

func TestAPlaceThatHasNoMoreIsNotMet(t *testing.T) {
	for document, want := range map[string]struct {
		place, got inject.Place
		met        uint64
	}{
		`{"kind":"memory","target":{"function":"F"},"with":{"memoryMB":64}}`:  {inject.Place{MemoryBytes: 128 << 20}, inject.Place{MemoryBytes: 64 << 20}, 1},
		`{"kind":"memory","target":{"function":"F"},"with":{"memoryMB":128}}`: {inject.Place{MemoryBytes: 128 << 20}, inject.Place{MemoryBytes: 128 << 20}, 0},
		`{"kind":"disk","target":{"function":"F"},"with":{"leftMB":10}}`:      {inject.Place{TmpBytes: 512 << 20}, inject.Place{TmpBytes: 10 << 20}, 1},
		`{"kind":"disk","target":{"function":"F"},"with":{"leftMB":600}}`:     {inject.Place{TmpBytes: 512 << 20}, inject.Place{TmpBytes: 512 << 20}, 0},
		`{"kind":"disk","target":{"function":"F"},"with":{"filledMB":500}}`:   {inject.Place{TmpBytes: 512 << 20}, inject.Place{TmpBytes: 12 << 20}, 1},
	} {
		s := inject.New(inject.Config{})
		r := start(t, s, document)
		if got := s.Place(inject.Who{Function: "F", Environment: "e"}, want.place); got != want.got || r.State().Met != want.met || len(s.Marks("", "e")) != int(want.met) {
			t.Errorf("%s: got %+v, met %d, marked %v", document, got, r.State().Met, s.Marks("", "e"))
		}
		r.Stop()
	}
}

func TestAClockIsWrongInOneEnvironmentOfSeveral(t *testing.T) {
	s := inject.New(inject.Config{})
	r := start(t, s, `{"kind":"clock-skew","target":{"function":"Charge"},"dose":{"oneIn":2},"with":{"by":"-20m"}}`)
	wrong := 0
	for i := range 10 {
		who := inject.Who{Function: "Charge", Version: "1", Environment: strconv.Itoa(i)}
		got := s.Place(who, inject.Place{MemoryBytes: 1, TmpBytes: 2})
		marked := slices.Equal(s.Marks("", who.Environment), []string{"FT-1 clock-skew"})
		switch {
		case got == inject.Place{MemoryBytes: 1, TmpBytes: 2, Skew: -20 * time.Minute} && marked:
			wrong++
		case got != inject.Place{MemoryBytes: 1, TmpBytes: 2} || marked:
			t.Errorf("got %+v, marked %v", got, marked)
		}
	}
	if wrong != 5 {
		t.Errorf("%d clocks of 10 are wrong, want 5", wrong)
	}
	if got, want := r.State().Text, "clock-skew by -20m0s on Charge, 1 in 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.Place(inject.Who{Function: "Refund"}, inject.Place{}); got != (inject.Place{}) {
		t.Errorf("another function: got %+v", got)
	}
	r.Stop()
	if got := s.Place(inject.Who{Function: "Charge"}, inject.Place{}); got != (inject.Place{}) {
		t.Errorf("after its end: got %+v", got)
	}
}

func TestOneFaultIsOnEveryConnectionThoseToServicesAsWell(t *testing.T) {
	s := inject.New(inject.Config{})
	service := inject.Dial{Who: inject.Who{Function: "Charge", Request: "r"}, Host: "dynamodb.us-east-1.amazonaws.com", Port: 443, Service: true}
	hosts := start(t, s, `{"kind":"refused","target":{"host":"*","function":"Charge"}}`)
	if way := s.Dial(t.Context(), service); way.Refused != "" {
		t.Errorf("by a fault on hosts: %+v", way)
	}
	hosts.Stop()
	all := start(t, s, `{"kind":"refused","target":{"host":"*","service":"*","function":"Charge"}}`)
	if got := all.State().Text; got != "refused on all hosts and services from Charge" {
		t.Errorf("got %q", got)
	}
	bank, other := service, service
	bank.Host, bank.Service = "bank.example.com", false
	other.Function = "Ship"
	if a, b, c := s.Dial(t.Context(), service), s.Dial(t.Context(), bank), s.Dial(t.Context(), other); a.Refused == "" || b.Refused == "" || c.Refused != "" {
		t.Errorf("got %+v, %+v and for another function %+v", a, b, c)
	}
	if got := s.Marks("r", ""); len(got) != 1 {
		t.Errorf("got the marks %v", got)
	}
	lookup := bank
	lookup.Port = 0
	if way := s.Dial(t.Context(), lookup); way.Refused != "" {
		t.Errorf("a name: %+v", way)
	}
}
