package inject_test

import (
	"context"
	"io"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault/inject"
)

// done is a Runner that has an answer at once.
type done struct{}

func (done) Run(context.Context, daruma.Invocation) daruma.Outcome {
	return daruma.Outcome{Kind: daruma.Done}
}

// idle is a life that is handed what it is given.
type idle struct {
	deliver func(*daruma.Delivery) error
}

func (l *idle) Attach(deliver func(*daruma.Delivery) error) uint64 { l.deliver = deliver; return 1 }
func (*idle) Detach(uint64)                                        {}
func (*idle) Next(uint64) error                                    { return nil }
func (*idle) Respond(string, string, []byte) error                 { return nil }
func (*idle) Fail(string, string, []byte) error                    { return nil }
func (*idle) InitFail(string, []byte) error                        { return nil }
func (*idle) RespondStream(string, string, io.Reader, func() (string, []byte)) error {
	return nil
}

// warm returns what every seam on the way of a warm invocation does, and the same way without them.
func warm(tb testing.TB) (seams, bare func()) {
	ctx := context.Background()
	faults := inject.New(inject.Config{})
	inv := daruma.Invocation{ID: "r", Target: daruma.Target{Function: "Charge"}, Payload: []byte(`{}`)}
	d := &daruma.Delivery{}
	take := func(*daruma.Delivery) error { return nil }
	way := func(runner daruma.Runner, life inject.Runtime, inner *idle) func() {
		life.Attach(take)
		return func() {
			runner.Run(ctx, inv)
			if life.Next(1) != nil || inner.deliver(d) != nil || life.Respond("r", "application/json", nil) != nil {
				tb.Fatal("the way is barred")
			}
		}
	}
	in, out := &idle{}, &idle{}
	station := faults.Station(ctx, in, inject.Who{Function: "Charge", Environment: "e"}, func() {})
	met := way(faults.Runner(done{}), station, in)
	return func() {
		faults.Web(ctx, inject.Shown{API: "Api"})
		if faults.Calls() {
			tb.Fatal("a service is broken")
		}
		met()
		faults.Marks("r", "e")
	}, way(done{}, out, out)
}

func TestTheSeamsOfAWarmInvocationAllocateNothingWhileNoFaultIsInForce(t *testing.T) {
	seams, bare := warm(t)
	if with, without := testing.AllocsPerRun(1000, seams), testing.AllocsPerRun(1000, bare); with > without {
		t.Errorf("got %v allocations, %v without the seams", with, without)
	}
}

func BenchmarkTheWayOfAWarmInvocation(b *testing.B) {
	seams, bare := warm(b)
	for name, do := range map[string]func(){"with seams": seams, "without": bare} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				do()
			}
		})
	}
}
