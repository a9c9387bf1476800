package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/dispatch"
	"github.com/daruma-io/daruma/heal"
	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/route"
)

// A Partial is an outage of a part: ten tenants of one function send messages to
// one queue, and each has a database of its own. For a while that of the first is
// down and that of the second slow. The queue, the mapping, the dispatcher, the
// breakers and the limiters are the product's own.
type Partial struct {
	Name     string
	Seed     uint64
	Keyed    bool          // the function declares its tenants
	Sound    bool          // nothing is wrong
	Hangs    bool          // what is down does not refuse: its callers give up
	Backlog  int           // messages the first tenant sends at once when its database goes down
	Batch    int           // of the mapping
	Killed   time.Duration // when the platform is; 0: never
	From, To time.Duration // of the trouble
	Lasts    time.Duration
}

const (
	tenants     = 10
	sendEvery   = 100 * time.Millisecond // of each tenant
	wantedIn    = 2 * time.Second        // of what is done later nobody has any use
	killedFor   = time.Second
	partReceive = 3 // receives before a message is a dead letter
)

// A Parted is what came of a Partial.
type Parted struct {
	Others float64       // share of the messages of the tenants with nothing wrong, sent in the trouble, that were done in time
	Slow   int           // messages of the slow tenant done in the trouble
	Back   time.Duration // of the first tenant: from the end of the trouble until it did for a second what it is sent
	Probes int           // most runs of it in one second, once the trouble was known for five
	Spent  int           // of its messages, those that used a receive up in the trouble
	Dead   [tenants]int  // dead letters, by tenant
	Holds  []string      // what the healing log says was held
	Known  []hold.Hold   // what was known right before the platform was killed
	After  []hold.Hold   // and what the next one began with
}

// A partialWorld is a Partial being carried out.
type partialWorld struct {
	Partial
	host
	parts []*dependency

	mu    sync.Mutex // guards the rest
	q     *queue.Queues
	h     *hold.Holds
	l     *ledger.Ledger
	sent  map[string]time.Duration
	done  map[string]time.Duration
	runs  []time.Duration // of the first tenant
	spent map[string]bool
}

// Live carries a Partial out, in a synctest bubble.
func (p Partial) Live(ctx context.Context) (Parted, error) {
	w := &partialWorld{Partial: p, host: newHost(), sent: map[string]time.Duration{}, done: map[string]time.Duration{}, spent: map[string]bool{}}
	w.began = w.clock.Now()
	for i := range tenants {
		w.parts = append(w.parts, &dependency{o: Overload{Slots: 10, Serve: w.serve(i)}, clock: w.clock, began: w.began, dice: rand.New(rand.NewPCG(p.Seed, uint64(i))), free: make([]time.Time, 10)})
	}
	if err := w.open(ctx, true); err != nil {
		return Parted{}, err
	}
	var senders sync.WaitGroup
	for i := range tenants {
		senders.Go(func() { w.send(ctx, i) })
	}
	var r Parted
	if p.Killed > 0 {
		w.until(ctx, p.Killed)
		var err error
		if r.Known, err = w.h.All(ctx); err != nil {
			return r, err
		}
		w.suffer(ctx, Trouble{Kind: "crash", Down: killedFor})
		if err := w.open(ctx, false); err != nil {
			return r, err
		}
		if r.After, err = w.h.All(ctx); err != nil {
			return r, err
		}
	}
	w.until(ctx, p.Lasts)
	senders.Wait()
	err := w.account(ctx, &r)
	w.stop()
	return r, err
}

// serve is how long a tenant's database takes for one call.
func (w *partialWorld) serve(tenant int) func(*rand.Rand, time.Duration) time.Duration {
	return func(_ *rand.Rand, at time.Duration) time.Duration {
		const base = 50 * time.Millisecond
		in := !w.Sound && at >= w.From && at < w.To
		switch {
		case in && tenant == 0:
			return -1
		case in && tenant == 1:
			return 16 * base
		}
		return base
	}
}

func (w *partialWorld) open(ctx context.Context, first bool) error {
	queued, mapped := queue.NewMachine(), mapping.NewMachine()
	c, err := cell.Open(ctx, cell.Config{Journal: w.medium, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, hold.Machine{}, queued, mapped}})
	if err != nil {
		return err
	}
	q, err := queue.Open(ctx, c, queued, w.clock)
	if err != nil {
		return err
	}
	m, holds := mapping.Open(c, mapped), hold.New(c)
	if first {
		if _, err := q.Create(ctx, flowDead, queue.Settings{Hide: time.Minute}); err != nil {
			return err
		}
		if _, err := q.Create(ctx, flowQueue, queue.Settings{Hide: 30 * time.Second, DeadLetter: &queue.DeadLetter{Queue: flowDead, After: partReceive}}); err != nil {
			return err
		}
		if _, err := m.Create(ctx, mapping.Source{Kind: dispatch.QueueKind, Name: flowQueue, ARN: "arn:" + flowQueue}, mapping.Settings{Function: "F", Batch: w.Batch}, nil); err != nil {
			return err
		}
	}
	known, err := holds.All(ctx)
	if err != nil {
		return err
	}
	g := heal.New(heal.Config{Most: 32, Store: holds, Known: known, Clock: w.clock, Seed: w.Seed, Dependency: tenantAt(w.Keyed)})
	source := dispatch.NewMappings(dispatch.MappingsConfig{Store: m, Heal: g, Clock: w.clock, Facts: func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} },
		Kinds: map[string]dispatch.Kind{dispatch.QueueKind: {Origin: dispatch.NewQueues(q, w.clock), Encode: w.encode, JSON: tenantOf,
			View: func(*mapping.Mapping, dispatch.Record) pattern.Value { return pattern.Value{} }, Report: readReport}}})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q, w.h, w.l = q, holds, ledger.New(c)
	run := w.begin(c)
	run(source.Run, g.Run, dispatch.New(dispatch.Config{Sources: []dispatch.Source{source}, Runner: partRunner{w, w.life}, Clock: w.clock, Total: 64, Drain: callMax, Heal: g}).Run)
	return nil
}

// tenantAt is where functions say that their events have a key, if they do.
func tenantAt(keyed bool) func(function string) string {
	return func(string) string {
		if keyed {
			return "$.tenant"
		}
		return ""
	}
}

// tenantOf is a message, "<tenant>/<number>", as its key is found in it.
func tenantOf(_ *mapping.Mapping, r dispatch.Record) []byte {
	tenant, _, _ := strings.Cut(string(r.Body.(queue.Received).Body), "/")
	return fmt.Appendf(nil, `{"tenant":%q}`, tenant)
}

// encode makes an event, and sees how often its messages were received.
func (w *partialWorld) encode(m *mapping.Mapping, records []dispatch.Record) ([]byte, int, error) {
	w.mu.Lock()
	for _, r := range records {
		if body := string(r.Body.(queue.Received).Body); r.Receives > 1 && strings.HasPrefix(body, "0/") {
			w.spent[body] = true
		}
	}
	w.mu.Unlock()
	return encode(m, records)
}

// send sends the messages of a tenant, each until that is certain.
func (w *partialWorld) send(ctx context.Context, tenant int) {
	n := 0
	one := func() {
		body := fmt.Sprintf("%d/%d", tenant, n)
		n++
		for {
			w.mu.Lock()
			q := w.q
			w.mu.Unlock()
			at := w.clock.Now().Sub(w.began)
			if _, err := q.Send(ctx, flowQueue, queue.Message{Body: []byte(body)}); err == nil {
				w.mu.Lock()
				w.sent[body] = at
				w.mu.Unlock()
				return
			}
			if w.clock.Sleep(ctx, 100*time.Millisecond) != nil {
				return
			}
		}
	}
	backlog := w.Backlog
	for at := time.Duration(tenant) * sendEvery / tenants; at < w.Lasts-10*time.Second; at += sendEvery {
		w.until(ctx, at)
		if tenant == 0 && at >= w.From {
			for ; backlog > 0; backlog-- {
				one()
			}
		}
		one()
	}
}

// A partRunner runs the function in one life of the process: for each message it
// asks its tenant's database.
type partRunner struct {
	w    *partialWorld
	life context.Context
}

// Run handles a batch.
func (r partRunner) Run(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
	w := r.w
	both, stop := context.WithCancel(ctx)
	defer context.AfterFunc(r.life, stop)()
	defer stop()
	bodies, took := strings.Split(string(inv.Payload), "\n"), time.Duration(0)
	for _, body := range bodies {
		tenant := int(body[0] - '0')
		at := w.clock.Now().Sub(w.began)
		if tenant == 0 {
			w.mu.Lock()
			w.runs = append(w.runs, at)
			w.mu.Unlock()
		}
		if tenant == 0 && w.Hangs && !w.Sound && at >= w.From && at < w.To {
			if w.clock.Sleep(both, callMax) != nil {
				return daruma.Outcome{Kind: daruma.Unknown}
			}
			return daruma.Outcome{Kind: daruma.TimedOut, Failure: &daruma.Failure{Type: "Sandbox.Timedout", Message: "Task timed out after 1.00 seconds"}}
		}
		o := w.parts[tenant].Run(both, inv)
		if o.Kind != daruma.Done {
			return o
		}
		took += o.Duration
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, body := range bodies {
		if _, twice := w.done[body]; !twice {
			w.done[body] = w.clock.Now().Sub(w.began)
		}
	}
	return daruma.Outcome{Kind: daruma.Done, Duration: took}
}

// account says what came of it.
func (w *partialWorld) account(ctx context.Context, r *Parted) error {
	dead, err := w.q.Peek(ctx, flowDead, 0, queue.PeekMax)
	if err != nil {
		return err
	}
	for _, m := range dead {
		r.Dead[m.Body[0]-'0']++
	}
	repairs, err := w.l.Repairs(ctx, 0, "", 100)
	if err != nil {
		return err
	}
	for _, one := range repairs {
		r.Holds = append(r.Holds, one.What)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all, good, mine := 0, 0, map[int]int{} // mine: done by the first tenant, by second
	for body, at := range w.sent {
		done, is := w.done[body]
		if body[0] == '0' && is {
			mine[int(done/time.Second)]++
		}
		if body[0] == '1' && is && done >= w.From && done < w.To {
			r.Slow++
		}
		if body[0] < '2' || at < w.From || at >= w.To-wantedIn {
			continue
		}
		if w.Killed > 0 && at > w.Killed-wantedIn && at < w.Killed+killedFor+wantedIn {
			continue // nobody can do anything while there is no platform
		}
		if all++; is && done-at <= wantedIn {
			good++
		}
	}
	r.Others, r.Back, r.Spent = float64(good)/float64(all), w.Lasts, len(w.spent)
	for s := int(w.To / time.Second); s < int(w.Lasts/time.Second); s++ {
		if mine[s] >= int(time.Second/sendEvery)*9/10 {
			r.Back = time.Duration(s)*time.Second - w.To
			break
		}
	}
	slices.Sort(w.runs)
	in := map[int]int{}
	for _, at := range w.runs {
		if second := at.Truncate(time.Second); second >= w.From+5*time.Second && second < w.To-time.Second && (w.Killed == 0 || second < w.Killed-time.Second || second > w.Killed+2*killedFor) {
			in[int(second/time.Second)]++
			r.Probes = max(r.Probes, in[int(second/time.Second)])
		}
	}
	return nil
}
