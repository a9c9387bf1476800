package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/route"
)

// message is a message of a tenant.
func message(tenant string, n int) string {
	return fmt.Sprintf(`{"tenant":%q,"n":%d}`, tenant, n)
}

func tenantIn(body string) string {
	_, rest, _ := strings.Cut(body, `:"`)
	tenant, _, _ := strings.Cut(rest, `"`)
	return tenant
}

// sendTo sends a message of a tenant; in a FIFO queue to a group.
func (x *mapped) sendTo(group, tenant string, n int) {
	x.Helper()
	m := queue.Message{Body: []byte(message(tenant, n))}
	if x.q.Queue("Q").FIFO {
		m.Group, m.Once = group, fmt.Sprint(tenant, n)
	}
	if _, err := x.q.Send(x.Context(), "Q", m); err != nil {
		x.Fatal(err)
	}
}

// downFor is a function that fails for a tenant until a time has passed since it was called first.
func downFor(tenant string, lasts time.Duration) func([]string) daruma.Outcome {
	until := sync.OnceValue(func() time.Time { return time.Now().Add(lasts) })
	return func(bodies []string) daruma.Outcome {
		if time.Now().Before(until()) && slices.ContainsFunc(bodies, func(b string) bool { return tenantIn(b) == tenant }) {
			return broken
		}
		return daruma.Outcome{Kind: daruma.Done}
	}
}

func TestABatchIsOfOneKeyAndAReceiveMakesSeveral(t *testing.T) {
	flow(t, queue.Settings{}, mapping.Settings{Batch: 5, Disabled: true}, &mapped{path: "$.body.tenant", answer: done, lasts: time.Second}, func(x *mapped) {
		for i := range 10 {
			x.send(message("a", i), message("b", i), message("c", i), fmt.Sprintf(`{"n":%d}`, i))
		}
		x.change(func(s *mapping.Settings) { s.Disabled = false })
		pass(x.T, 500*time.Millisecond)
		if len(x.ran()) < 4 {
			x.Errorf("of four keys %d batches run at first", len(x.ran()))
		}
		pass(x.T, 10*time.Second)
		all := 0
		for _, batch := range x.ran() {
			all += len(batch)
			for _, body := range batch {
				if tenantIn(body) != tenantIn(batch[0]) || len(batch) > 5 {
					x.Errorf("a batch has %q", batch)
				}
			}
		}
		if all != 40 || len(x.ran()) != 8 {
			x.Errorf("%d messages ran in %d batches, want 40 in 8", all, len(x.ran()))
		}
	})
}

func TestMessagesOfAKeyThatIsDownWaitAndSpendNothing(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		flow(t, queue.Settings{FIFO: fifo, Hide: 10 * time.Second, DeadLetter: &queue.DeadLetter{Queue: "D", After: 1}}, mapping.Settings{Batch: 3},
			&mapped{path: "$.body.tenant", answer: downFor("down", 2*time.Minute), lasts: 10 * time.Millisecond}, func(x *mapped) {
				for i := range 60 {
					x.sendTo(fmt.Sprint("down", i%10), "down", 2*i)
					x.sendTo(fmt.Sprint("down", i%10), "down", 2*i+1)
					x.sendTo(fmt.Sprint("up", i%10), "up", i)
					pass(x.T, time.Second)
				}
				up := 0
				for _, batch := range x.ran() {
					if tenantIn(batch[0]) == "up" {
						up += len(batch)
					}
				}
				if up != 60 {
					x.Errorf("FIFO %v: %d messages of the others are done after a minute, want 60", fifo, up)
				}
				if a := x.account(); !fifo && a.Delayed < 80 || a.InFlight > 30 {
					x.Errorf("FIFO %v: what waits takes of what may be in flight: %+v", fifo, a)
				}
				if s := x.g.Statuses(); len(s) != 2 || s[0].Held() || s[1].Key != "down" || !s[1].Held() {
					x.Errorf("FIFO %v: the breakers are %+v", fifo, s)
				}
				pass(x.T, 2*time.Minute)
				if a := x.account(); a.Messages() != 0 || a.DeadLetters != 0 {
					x.Errorf("FIFO %v: at last the queue is %+v", fifo, a)
				}
				if fifo {
					last := map[string]int{}
					for i, batch := range x.ran() {
						if x.at[i].Sub(x.at[0]) < 2*time.Minute {
							continue // it may have failed, and come again
						}
						for _, body := range batch {
							var n int
							if _, rest, _ := strings.Cut(body, `"n":`); rest != "" {
								_, _ = fmt.Sscanf(rest, "%d}", &n)
							}
							group := fmt.Sprint(tenantIn(body), n/2%10)
							if tenantIn(body) == "up" {
								group = fmt.Sprint("up", n%10)
							}
							if n < last[group] {
								x.Errorf("in group %s %d ran after %d", group, n, last[group])
							}
							last[group] = n
						}
					}
				}
			})
	}
}

func TestWhatFollowsAKeyWithoutRoomInItsGroupWaits(t *testing.T) {
	// One group has messages of two tenants: however they are held, its order is kept.
	x := &mapped{path: "$.body.tenant", answer: downFor("down", time.Minute), lasts: 10 * time.Millisecond}
	flow(t, queue.Settings{FIFO: true, Hide: 10 * time.Second, DeadLetter: &queue.DeadLetter{Queue: "D", After: 1}}, mapping.Settings{Batch: 10}, x, func(x *mapped) {
		for i := range 10 {
			x.sendTo(fmt.Sprint(i), "down", i) // groups of their own: they make the hold
			pass(x.T, 100*time.Millisecond)
		}
		pass(x.T, 5*time.Second)
		n := 0
		for _, tenant := range []string{"up", "down", "up", "up", "down", "up"} {
			x.sendTo("mixed", tenant, 100+n)
			n++
		}
		pass(x.T, 5*time.Second)
		mixed := func() (all []string) {
			for _, batch := range x.ran() {
				for _, body := range batch {
					if i := strings.Index(body, `"n":10`); i > 0 && !slices.Contains(all, body) {
						all = append(all, body)
					}
				}
			}
			return all
		}
		if got := mixed(); len(got) > 2 || got[0] != message("up", 100) { // the second may have been a probe
			x.Fatalf("of the group %q ran", got)
		}
		pass(x.T, 2*time.Minute)
		got := mixed()
		if len(got) != 6 || !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(a[len(a)-4:], b[len(b)-4:]) }) {
			x.Errorf("of the group %q ran", got)
		}
		if a := x.account(); a.Messages() != 0 || a.DeadLetters != 0 {
			x.Errorf("at last the queue is %+v", a)
		}
	})
}

func TestAGroupOfSeveralKeysKeepsItsOrder(t *testing.T) {
	x := &mapped{path: "$.body.tenant", answer: done, lasts: time.Second}
	flow(t, queue.Settings{FIFO: true}, mapping.Settings{Batch: 10, Disabled: true}, x, func(x *mapped) {
		other := message("b", 9)
		x.sendTo("another", "b", 9) // a batch of b that is not the group's
		var want []string
		for n, tenant := range []string{"a", "a", "b", "a", "b", "b"} {
			x.sendTo("g", tenant, n)
			want = append(want, message(tenant, n))
		}
		x.change(func(s *mapping.Settings) { s.Disabled = false })
		pass(x.T, 10*time.Second)
		if got := slices.DeleteFunc(slices.Concat(x.ran()...), func(b string) bool { return b == other }); !slices.Equal(got, want) || x.most != 2 {
			x.Errorf("%q ran, %d batches at once, want %q, and two", got, x.most, want)
		}
	})
}

func TestAKeyThatIsDoneIsAnsweredAndOneWithoutRoomLetsItGo(t *testing.T) {
	x := &mapped{path: "$.body.tenant", rule: &once.Rule{Path: "$.body.n", For: time.Hour}, answer: downFor("down", 30*time.Second), lasts: 10 * time.Millisecond}
	flow(t, queue.Settings{Hide: 10 * time.Second}, mapping.Settings{Batch: 1}, x, func(x *mapped) {
		for i := range 20 {
			x.send(message("down", i), message("down", i))
		}
		pass(x.T, 2*time.Minute)
		tallied(x.T, x.tallies, 20, 20, 0)
		if a := x.account(); a.Messages() != 0 {
			x.Errorf("at last the queue is %+v", a)
		}
	})
}

func TestAsynchronousEventsOfAKeyThatIsDownWaitAndSpendNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := delivery.NewMachine(delivery.Config{ARN: func(t daruma.Target) string { return t.Function }})
		c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, once.Machine{}, m}})
		if err != nil {
			t.Fatal(err)
		}
		d, l := delivery.New(c, m), ledger.New(c)
		answer := downFor("down", 2*time.Minute)
		var mu sync.Mutex
		runs, probes := map[string]int{}, map[int64]int{}
		r := runner(func(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
			o := lasting(10*time.Millisecond)(ctx, inv)
			mu.Lock()
			defer mu.Unlock()
			tenant := tenantIn(string(inv.Payload))
			if is := answer([]string{string(inv.Payload)}); is.Kind != daruma.Done {
				probes[time.Now().Unix()]++
				return is
			}
			runs[tenant]++
			return o
		})
		g := heal.New(heal.Config{Most: 32, Dependency: func(string) string { return "$.tenant" }})
		source := dispatch.NewDeliveries(d, func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} }, l).Governed(g)
		stop := run(t, dispatch.Config{Sources: []dispatch.Source{source}, Runner: r, Heal: g})
		accept := func(tenant string, n int) {
			events := make([]delivery.Event, n)
			for i := range events {
				events[i] = delivery.Event{Target: daruma.Target{Function: "F"}, Payload: []byte(message(tenant, i)), Policy: &delivery.Policy{Retries: new(int)}}
			}
			if _, err := d.Accept(t.Context(), events...); err != nil {
				t.Error(err)
			}
		}
		accept("down", 2000)
		pass(t, time.Second)
		began := time.Now()
		for range 30 {
			accept("up", 20)
			pass(t, time.Second)
		}
		mu.Lock()
		if runs["up"] < 590 || runs["down"] > 0 {
			t.Errorf("after %v %d of 600 of the others are done", time.Since(began), runs["up"])
		}
		for second, n := range probes {
			if n > 2 && second > began.Unix() {
				t.Errorf("%d probes in second %d", n, second-began.Unix())
			}
		}
		mu.Unlock()
		pass(t, 3*time.Minute)
		all, _, err := d.Accounts(t.Context())
		if err != nil || all.Done != 2600 || all.Failed != 0 {
			t.Errorf("at last they are %+v, %v", all, err)
		}
		stop()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
