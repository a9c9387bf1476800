package sim

import (
	"cmp"
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

// A FlowPlan is everything a seed decides about messages that flow from a queue to a
// function through a mapping.
type FlowPlan struct {
	Seed     uint64
	Strict   bool
	Keyed    bool // the function declares that its events depend on their group
	Busy     bool // nothing is wrong but outages, and there is much to do: no message may become a dead letter
	Queue    queue.Settings
	Mapping  mapping.Settings
	Groups   int
	Messages []Sending
	Poison   int           // of 100 messages
	Rare     bool          // one of 200 messages is poison instead
	Stops    bool          // with a report: the function stops at the first message that fails
	Throttle int           // runs at once; 0: as many as are wanted
	Slowest  time.Duration // of a run
	Outages  []Outage
	Troubles []Trouble
	Turns    []time.Duration // when the mapping is disabled, and a while later enabled again
}

// A Sending is a message that is sent at a time.
type Sending struct {
	At    time.Duration
	Body  string // "<group>/<number in it>"
	Group string
}

// An Outage is a time in which every run fails.
type Outage struct{ From, To time.Duration }

const (
	flowLasts = 5 * time.Minute
	flowQueue = "Q"
	flowDead  = "D"
)

// NewFlowPlan makes the plan of a seed.
func NewFlowPlan(seed uint64) FlowPlan {
	r := rand.New(rand.NewPCG(seed, 2))
	p := FlowPlan{Seed: seed, Strict: r.IntN(4) == 0, Groups: 1 + r.IntN(5), Poison: pick(r, 0, 0, 10, 40), Stops: r.IntN(2) == 0, Slowest: pick(r, 20*time.Millisecond, time.Second, 8*time.Second)}
	p.Queue = queue.Settings{FIFO: r.IntN(2) == 0, Hide: pick(r, 10*time.Second, 30*time.Second), DeadLetter: &queue.DeadLetter{Queue: flowDead, After: 1 + r.IntN(4)}}
	if p.Strict {
		p.Slowest = min(p.Slowest, time.Second) // there a run that outlasts the time-out runs again, as on AWS
	}
	p.Mapping = mapping.Settings{Function: "F", Batch: 1 + r.IntN(10), Partial: r.IntN(2) == 0, AtOnce: pick(r, 0, 0, 2)}
	if !p.Queue.FIFO {
		p.Mapping.Window = time.Duration(r.IntN(3)) * time.Second
		p.Queue.Delay = pick(r, 0, 0, 3*time.Second)
	}
	if r.IntN(4) == 0 {
		p.Throttle = 1 + r.IntN(2)
	}
	counts := map[string]int{}
	for range 1 + r.IntN(60) {
		g := fmt.Sprint("g", r.IntN(p.Groups))
		counts[g]++
		p.Messages = append(p.Messages, Sending{At: time.Duration(r.Int64N(int64(flowLasts))), Group: g})
	}
	slices.SortFunc(p.Messages, func(a, b Sending) int { return cmp.Compare(a.At, b.At) })
	clear(counts)
	for i := range p.Messages {
		g := p.Messages[i].Group
		p.Messages[i].Body = fmt.Sprintf("%s/%d", g, counts[g])
		counts[g]++
	}
	for range r.IntN(3) {
		from := time.Duration(r.Int64N(int64(flowLasts)))
		p.Outages = append(p.Outages, Outage{from, from + time.Duration(r.Int64N(int64(2*time.Minute)))})
	}
	for range r.IntN(4) {
		p.Troubles = append(p.Troubles, Trouble{At: time.Duration(r.Int64N(int64(flowLasts))), Kind: pick(r, "crash", "torn", "restart"), Held: time.Duration(r.Int64N(int64(time.Second))), Down: time.Duration(r.Int64N(int64(20 * time.Second)))})
	}
	slices.SortFunc(p.Troubles, func(a, b Trouble) int { return cmp.Compare(a.At, b.At) })
	if r.IntN(4) == 0 {
		p.Turns = append(p.Turns, time.Duration(r.Int64N(int64(flowLasts))))
	}
	p.Keyed = r.IntN(3) == 0
	return p
}

// NewFIFOPlan makes a plan of n messages in order, of which one in two hundred is
// poison, with outages and crashes.
func NewFIFOPlan(seed uint64, n int) FlowPlan {
	r := rand.New(rand.NewPCG(seed, 4))
	p := FlowPlan{Seed: seed, Groups: 300, Slowest: 40 * time.Millisecond, Rare: true, Stops: true}
	p.Queue = queue.Settings{FIFO: true, Hide: 10 * time.Second, DeadLetter: &queue.DeadLetter{Queue: flowDead, After: 3}}
	p.Mapping = mapping.Settings{Function: "F", Batch: 10, Partial: true}
	counts := map[string]int{}
	for i := range n {
		g := fmt.Sprint("g", r.IntN(p.Groups))
		p.Messages = append(p.Messages, Sending{At: time.Duration(i) * time.Millisecond, Group: g, Body: fmt.Sprintf("%s/%d", g, counts[g])})
		counts[g]++
	}
	lasts := time.Duration(n) * time.Millisecond
	p.Outages = []Outage{{lasts / 10, lasts / 6}, {lasts * 17 / 25, lasts * 18 / 25}}
	for i := range 4 {
		p.Troubles = append(p.Troubles, Trouble{At: lasts * time.Duration(i+1) / 5, Kind: "crash", Down: time.Second})
	}
	return p
}

// NewRestPlan makes a plan of n messages that are sent at once, of which one in
// two hundred is poison: when the others are done, nothing else is left, and then
// the platform is killed.
func NewRestPlan(seed uint64, n int) FlowPlan {
	p := FlowPlan{Seed: seed, Slowest: 20 * time.Millisecond, Rare: true}
	p.Queue = queue.Settings{Hide: 3 * time.Second, DeadLetter: &queue.DeadLetter{Queue: flowDead, After: 3}}
	p.Mapping = mapping.Settings{Function: "F", Batch: 10, Partial: seed%2 == 0}
	if !p.Mapping.Partial {
		p.Mapping.Batch = 1
	}
	for i := range n {
		p.Messages = append(p.Messages, Sending{At: time.Duration(i) * 100 * time.Microsecond, Body: fmt.Sprintf("g/%d", i)})
	}
	p.Troubles = []Trouble{{At: 3 * time.Second, Kind: "crash", Down: time.Second}}
	return p
}

// poison says whether a message fails whatever else works.
func (p *FlowPlan) poison(body string) bool {
	h := uint64(14695981039346656037) ^ p.Seed
	for _, b := range []byte(body) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	if p.Rare {
		return (h>>17)%200 == 0
	}
	return int((h>>17)%100) < p.Poison
}

// down says whether a time lies in an outage.
func (p *FlowPlan) down(at time.Duration) bool {
	return slices.ContainsFunc(p.Outages, func(o Outage) bool { return at >= o.From && at < o.To })
}

// NewBusyPlan makes the plan of a seed in which nothing is wrong but outages,
// there is much to do all the time, and a message may be received once only.
func NewBusyPlan(seed uint64) FlowPlan {
	r := rand.New(rand.NewPCG(seed, 3))
	p := FlowPlan{Seed: seed, Busy: true, Keyed: seed%2 == 1, Groups: 40, Slowest: pick(r, 20*time.Millisecond, 200*time.Millisecond)}
	p.Queue = queue.Settings{FIFO: r.IntN(2) == 0, Hide: 30 * time.Second, DeadLetter: &queue.DeadLetter{Queue: flowDead, After: 1}}
	p.Mapping = mapping.Settings{Function: "F", Batch: 1 + r.IntN(3), Partial: r.IntN(2) == 0}
	counts := map[string]int{}
	for i := range 1500 {
		g := fmt.Sprint("g", r.IntN(p.Groups))
		p.Messages = append(p.Messages, Sending{At: time.Duration(i) * 40 * time.Millisecond, Group: g, Body: fmt.Sprintf("%s/%d", g, counts[g])})
		counts[g]++
	}
	for from := 5 * time.Second; from < 50*time.Second; {
		to := from + 5*time.Second + time.Duration(r.Int64N(int64(15*time.Second)))
		p.Outages = append(p.Outages, Outage{from, to})
		from = to + 5*time.Second + time.Duration(r.Int64N(int64(10*time.Second)))
	}
	return p
}

// A FlowWorld is a FlowPlan being carried out. It lives in a synctest bubble.
type FlowWorld struct {
	FlowPlan
	host
	Tally map[string]int64

	mu      sync.Mutex // guards the rest
	acked   map[string]bool
	good    map[string][]handled // by message: runs that went well
	running int
	tried   map[string]bool // flaky messages that have failed
	early   [][2]string     // a message, and one before it in its group that was not handled well yet
	q       *queue.Queues
	m       *mapping.Mappings
	l       *ledger.Ledger
	g       *heal.Governor
	src     *dispatch.Mappings
}

// handled is when a run of a message went well, and where it stood in its batch.
type handled struct {
	at    time.Time
	place int
}

// NewFlowWorld makes a world. It starts nothing.
func NewFlowWorld(p FlowPlan) *FlowWorld {
	return &FlowWorld{FlowPlan: p, host: newHost(), acked: map[string]bool{}, tried: map[string]bool{}, good: map[string][]handled{}, Tally: map[string]int64{}}
}

// Live carries the plan out until every message is done or a dead letter.
func (w *FlowWorld) Live(ctx context.Context) error { return w.last(ctx, w.open, w.live) }

func (w *FlowWorld) live(ctx context.Context, workload *sync.WaitGroup) error {
	workload.Go(func() { w.send(ctx) })
	for _, at := range w.Turns {
		workload.Go(func() { w.turn(ctx, at) })
	}
	for _, t := range w.Troubles {
		w.until(ctx, t.At)
		w.suffer(ctx, t)
		if err := w.open(ctx, false); err != nil {
			return err
		}
		w.mu.Lock()
		w.Tally[t.Kind]++
		w.mu.Unlock()
	}
	workload.Wait()
	for i := range 6 * 60 * 4 {
		a, err := w.q.Account(ctx, flowQueue)
		if err != nil {
			return err
		}
		if !a.Closes() {
			return fmt.Errorf("the account does not close: %+v", a)
		}
		if a.Messages() == 0 {
			return w.check(ctx, a)
		}
		if i == patience {
			if err := w.person(ctx); err != nil {
				return err
			}
		}
		_ = w.clock.Sleep(ctx, 10*time.Second)
	}
	a, _ := w.q.Account(ctx, flowQueue)
	return fmt.Errorf("after four hours messages are left: %+v, ready %v, breakers %+v, flow %+v", a, w.q.Ready(flowQueue), w.g.Statuses(), w.src.Flow(w.m.All()[0]))
}

// patience is after how many looks a person does something: two hours.
const patience = 6 * 60 * 2

// person closes the breaker when nothing is left but messages that can only
// fail: what looks like an outage is none, and nobody else can know that.
func (w *FlowWorld) person(ctx context.Context) error {
	left, err := w.q.Peek(ctx, flowQueue, 0, queue.PeekMax)
	if err != nil {
		return err
	}
	first := map[string]bool{} // groups whose first message was looked at: what is behind it waits for it
	for _, m := range left {
		if w.Queue.FIFO && first[m.Group] {
			continue
		}
		first[m.Group] = true
		if !w.poison(string(m.Body)) {
			return fmt.Errorf("after two hours %s is left, with %d others: nothing is wrong with it", m.Body, len(left)-1)
		}
	}
	w.mu.Lock()
	g := w.g
	w.Tally["closed by a person"]++
	w.mu.Unlock()
	_, err = g.Force(ctx, hold.Unit{Function: "F"}, hold.Closed, "they are broken")
	return err
}

// send sends every message in order, each until that is certain.
func (w *FlowWorld) send(ctx context.Context) {
	for i, s := range w.Messages {
		w.until(ctx, s.At)
		message := queue.Message{Body: []byte(s.Body), Group: s.Group}
		if w.Queue.FIFO {
			message.Once = fmt.Sprint(i)
		}
		sent := w.again(ctx, func() bool {
			w.mu.Lock()
			q := w.q
			w.mu.Unlock()
			_, err := q.Send(ctx, flowQueue, message)
			if err == nil {
				w.mu.Lock()
				w.acked[s.Body] = true
				w.mu.Unlock()
			}
			return err == nil || daruma.KindOf(err) == daruma.KindDoubtful && !w.Queue.FIFO // again it might be there twice
		})
		if !sent {
			return
		}
	}
}

// turn disables the mapping for a minute.
func (w *FlowWorld) turn(ctx context.Context, at time.Duration) {
	w.until(ctx, at)
	for _, disabled := range []bool{true, false} {
		w.again(ctx, func() bool {
			w.mu.Lock()
			m := w.m
			w.mu.Unlock()
			_, err := m.Change(ctx, m.All()[0].UUID, func(s *mapping.Settings) error { s.Disabled = disabled; return nil })
			return err == nil
		})
		_ = w.clock.Sleep(ctx, time.Minute)
	}
}

// open starts the process.
func (w *FlowWorld) open(ctx context.Context, first bool) error {
	queued, mapped := queue.NewMachine(), mapping.NewMachine()
	c, err := cell.Open(ctx, cell.Config{Journal: w.medium, Clock: w.clock, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, hold.Machine{}, queued, mapped}})
	if err != nil {
		return err
	}
	q, err := queue.Open(ctx, c, queued, w.clock)
	if err != nil {
		return err
	}
	m := mapping.Open(c, mapped)
	if first {
		if _, err := q.Create(ctx, flowDead, queue.Settings{FIFO: w.Queue.FIFO, Hide: time.Minute}); err != nil {
			return err
		}
		if _, err := q.Create(ctx, flowQueue, w.Queue); err != nil {
			return err
		}
		if _, err := m.Create(ctx, mapping.Source{Kind: dispatch.QueueKind, Name: flowQueue, ARN: "arn:" + flowQueue}, w.Mapping, nil); err != nil {
			return err
		}
	}
	holds := hold.New(c)
	known, err := holds.All(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q, w.m, w.l = q, m, ledger.New(c)
	run := w.begin(c)
	w.g = heal.New(heal.Config{Strict: w.Strict, Most: 20, Store: holds, Known: known, Clock: w.clock, Seed: w.Seed, Dependency: tenantAt(w.Keyed)})
	source := dispatch.NewMappings(dispatch.MappingsConfig{Store: m, Heal: w.g, Strict: w.Strict, Clock: w.clock, Facts: func(daruma.Target, daruma.Outcome) route.Facts { return route.Facts{} },
		Kinds: map[string]dispatch.Kind{dispatch.QueueKind: {Origin: dispatch.NewQueues(q, w.clock), Encode: encode, JSON: tenantOf, View: func(*mapping.Mapping, dispatch.Record) pattern.Value { return pattern.Value{} }, Report: readReport}}})
	w.src = source
	x := dispatch.New(dispatch.Config{Sources: []dispatch.Source{source}, Runner: flowRunner{w, w.life}, Clock: w.clock, Total: 40, Drain: 20 * time.Second,
		Heal: w.g})
	run(source.Run, x.Run)
	return nil
}

// encode makes an event of messages: their bodies, a line each.
func encode(_ *mapping.Mapping, records []dispatch.Record) ([]byte, int, error) {
	lines := make([]string, len(records))
	for i, r := range records {
		m := r.Body.(queue.Received)
		lines[i] = string(m.Body)
	}
	return []byte(strings.Join(lines, "\n")), len(records), nil
}

// readReport reads the positions of those that failed, a letter each: "a" is the first.
func readReport(answer []byte, _ []dispatch.Record) (failed []int, err error) {
	if string(answer) == "nonsense" {
		return nil, fmt.Errorf("it is nonsense")
	}
	for _, b := range answer {
		failed = append(failed, int(b-'a'))
	}
	return failed, nil
}
