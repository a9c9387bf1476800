package inject_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/fault/inject"
)

// answers hands an event to an environment of some code, and says what became of it.
func answers(t *testing.T, s *inject.Faults, who inject.Who, arn string) string {
	t.Helper()
	l := &life{}
	station := s.Station(t.Context(), l, who, func() {})
	delivered := make(chan bool, 1)
	link := station.Attach(func(*daruma.Delivery) error { delivered <- true; return nil })
	if err := station.Next(link); err != nil {
		t.Fatal(err)
	}
	if err := l.deliver(&daruma.Delivery{ID: daruma.NewID(), ARN: arn, Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	station.Close()
	select {
	case <-delivered:
		return "fine"
	default:
		return strings.Join(l.said, " ")
	}
}

func TestABadReleaseIsTheOneThatIsNamedOrTheNext(t *testing.T) {
	codes := func(t *fault.Target) ([]string, error) { // that there are when it begins
		if t.Version != "" {
			return map[string][]string{"2": {"new"}}[t.Version], nil
		}
		return []string{"old", "new"}, nil
	}
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:F"
	for _, c := range []struct {
		name, target, code, version, want string
	}{
		{"the version", `{"function":"F","version":"2"}`, "new", "2", "Function.Broken"},
		{"another version", `{"function":"F","version":"2"}`, "old", "1", "fine"},
		{"the version's code is another by now", `{"function":"F","version":"2"}`, "newer", "2", "fine"},
		{"what is there before the next release", `{"function":"F"}`, "new", "2", "fine"},
		{"the next release", `{"function":"F"}`, "newer", "3", "Function.Broken"},
		{"another function", `{"function":"G"}`, "newer", "3", "fine"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := inject.New(inject.Config{Codes: codes})
			start(t, s, `{"kind":"bad-release","target":`+c.target+`,"with":{"code":"Broken"}}`)
			if got := answers(t, s, inject.Who{Function: "F", Version: c.version, Code: c.code}, arn); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAShareOfTheRunsOfABadReleaseIsMet(t *testing.T) {
	s := inject.New(inject.Config{Codes: func(*fault.Target) ([]string, error) { return []string{"old"}, nil }})
	start(t, s, `{"kind":"bad-release","target":{"function":"F"},"dose":{"rate":0.3},"seed":4}`)
	const n = 2000
	bad := 0
	for range n {
		if answers(t, s, inject.Who{Function: "F", Code: "new"}, "") != "fine" {
			bad++
		}
	}
	if want, spread := 0.3*n, 4*math.Sqrt(n*0.3*0.7); math.Abs(float64(bad)-want) > spread {
		t.Errorf("%d of %d went wrong, want %g give or take %g", bad, n, want, spread)
	}
}

func TestABadReleaseMayBeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inject.New(inject.Config{Codes: func(*fault.Target) ([]string, error) { return nil, nil }})
		start(t, s, `{"kind":"bad-release","target":{"function":"F"},"with":{"latency":"2s"}}`)
		began := time.Now()
		if got := answers(t, s, inject.Who{Function: "F", Code: "new"}, ""); got != "fine" || time.Since(began) != 2*time.Second {
			t.Errorf("got %s after %s, want it fine after 2s", got, time.Since(began))
		}
	})
}

func TestABadReleaseThatIsNotThereIsRefused(t *testing.T) {
	s := inject.New(inject.Config{Codes: func(*fault.Target) ([]string, error) { return nil, nil }})
	f, err := fault.Parse([]byte(`{"kind":"bad-release","target":{"function":"F","version":"9"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(context.Background(), f, 0); daruma.KindOf(err) != daruma.KindNotFound || !strings.Contains(err.Error(), "target.version") {
		t.Errorf("got %v, want the field's name and that it is not there", err)
	}
}

func TestWhatAContextBearsMarksTheRun(t *testing.T) {
	s := inject.New(inject.Config{})
	start(t, s, `{"kind":"cors","target":{"api":"Shop"}}`)
	ctx, bare := s.Web(t.Context(), inject.Shown{API: "Shop"})
	if !bare {
		t.Fatal("an answer of the API was not met")
	}
	if _, bare := s.Web(t.Context(), inject.Shown{API: "Other"}); bare {
		t.Error("another API's answer was met")
	}
	o := s.Runner(&answering{}).Run(ctx, daruma.Invocation{ID: "r-1", Target: daruma.Target{Function: "F"}})
	if len(o.Faults) != 1 || o.Faults[0] != "FT-1 cors" {
		t.Errorf("got %v, want the run marked", o.Faults)
	}
}

func TestAPermissionIsWhatTheRoleMustAllow(t *testing.T) {
	for _, c := range []struct {
		target string
		call   inject.Call
		want   bool
	}{
		{`{"function":"F","service":"mail"}`, inject.Call{Operation: "Send"}, true},
		{`{"function":"F","service":"mail","operation":"Send"}`, inject.Call{Operation: "SendBatch", Allowed: "Send"}, true},
		{`{"function":"F","service":"mail","operation":"SendBatch"}`, inject.Call{Operation: "SendBatch", Allowed: "Send"}, true},
		{`{"function":"F","service":"mail","operation":"Receive"}`, inject.Call{Operation: "SendBatch", Allowed: "Send"}, false},
		{`{"function":"G","service":"mail"}`, inject.Call{Operation: "Send"}, false},
		{`{"function":"F","service":"mail","resource":"box"}`, inject.Call{Operation: "Send", Resources: []string{"bin"}}, false},
	} {
		s := inject.New(inject.Config{})
		start(t, s, `{"kind":"permission","target":`+c.target+`}`)
		c.call.Service, c.call.Function = "mail", "F"
		if got := s.Call(t.Context(), c.call).Denied; got != c.want {
			t.Errorf("%s: got denied %v for %+v, want %v", c.target, got, c.call, c.want)
		}
	}
}

func TestASecretIsTakenAwayAndAVariableReplaced(t *testing.T) {
	s := inject.New(inject.Config{})
	start(t, s, `{"kind":"secret","target":{"function":"F"},"with":{"name":"PASSWORD"}}`)
	start(t, s, `{"kind":"variable","target":{"function":"F"},"with":{"name":"GREETING"}}`)
	if got := strings.Join(s.Variables(inject.Who{Function: "F", Environment: "e-1"}), " "); got != "PASSWORD GREETING=" {
		t.Errorf("got %q, want the one by its name alone, the other empty", got)
	}
	if got := s.Marks("", "e-1"); len(got) != 2 {
		t.Errorf("got %v, want both marked", got)
	}
}
