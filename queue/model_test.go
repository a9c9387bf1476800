package queue_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

const (
	modelKeep  = 10 * time.Minute
	modelAfter = 3
)

// A model is one queue, with its dead-letter queue, as one would write it
// without a store: a list of messages.
type model struct {
	fifo     bool
	messages []*modelMessage // in order
	deleted  int
	letters  map[string]bool // bodies
	dead     int             // dead letters there are
	once     map[string]onced
	sent     int
}

type onced struct {
	id queue.ID
	at time.Time
}

type modelMessage struct {
	id      queue.ID
	body    string
	group   string
	sent    time.Time
	visible time.Time // when it is, or was
	count   int
	held    bool // received and not returned by hand; it may have timed out
	aside   bool // put aside: delayed until it is visible
	now     queue.Received
	old     []queue.Received
}

func (m *modelMessage) String() string {
	return fmt.Sprintf("%s in %q, sent %s, visible %s, %d receives, held %v", m.body, m.group, m.sent.Format(time.TimeOnly), m.visible.Format(time.TimeOnly), m.count, m.held)
}

func (m *modelMessage) inFlight(now time.Time) bool { return m.held && m.visible.After(now) }

// may says whether a message may be received.
func (m *model) may(x *modelMessage, now time.Time) bool {
	if x.visible.After(now) || !x.sent.Add(modelKeep).After(now) {
		return false
	}
	if !m.fifo {
		return true
	}
	for _, o := range m.messages {
		if o.group != x.group {
			continue
		}
		if o.inFlight(now) {
			return false
		}
	}
	for _, o := range m.messages { // what is delayed holds back what is behind it
		if o == x {
			return true
		}
		if o.group == x.group && o.visible.After(now) && o.sent.Add(modelKeep).After(now) {
			return false
		}
	}
	return true
}

func TestAQueueIsWhatTheModelSays(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprint("fifo ", fifo), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { checkModel(t, rt, fifo) })
		})
	}
}

func checkModel(t *testing.T, rt *rapid.T, fifo bool) {
	w := newWorld(t)
	defer func() { _ = w.cell.Close() }()
	w.create("dead", queue.Settings{FIFO: fifo, OnceByBody: fifo, Keep: 24 * time.Hour})
	w.create("q", queue.Settings{FIFO: fifo, Keep: modelKeep, DeadLetter: &queue.DeadLetter{Queue: "dead", After: modelAfter}})
	m := &model{fifo: fifo, letters: map[string]bool{}, once: map[string]onced{}}
	rt.Repeat(map[string]func(*rapid.T){
		"send":          func(rt *rapid.T) { m.send(rt, w) },
		"receive":       func(rt *rapid.T) { m.receive(rt, w) },
		"receive again": func(rt *rapid.T) { m.receive(rt, w) },
		"delete":        func(rt *rapid.T) { m.delete(rt, w) },
		"hide":          func(rt *rapid.T) { m.hide(rt, w) },
		"settle":        func(rt *rapid.T) { m.settle(rt, w) },
		"show":          func(rt *rapid.T) { m.show(rt, w) },
		"an old handle": func(rt *rapid.T) { m.stale(rt, w) },
		"purge":         func(rt *rapid.T) { m.purge(rt, w) },
		"redrive":       func(rt *rapid.T) { m.redrive(rt, w) },
		"wait": func(rt *rapid.T) {
			w.clock.Advance(time.Duration(rapid.IntRange(1, 40).Draw(rt, "seconds")) * time.Second)
		},
		"crash": func(rt *rapid.T) { w.crash() },
		"":      func(rt *rapid.T) { m.compare(rt, w) },
	})
}

func (m *model) send(rt *rapid.T, w *world) {
	n := rapid.IntRange(1, 4).Draw(rt, "n")
	var batch []queue.Message
	for range n {
		m.sent++
		x := text("%d", m.sent)
		x.Group = rapid.SampledFrom([]string{"", "", "a", "b", "c"}).Draw(rt, "group")
		if m.fifo {
			x.Group = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "group")
			x.Once = fmt.Sprint("once", rapid.IntRange(1, 30).Draw(rt, "once"))
		}
		if rapid.IntRange(0, 4).Draw(rt, "delayed") == 0 {
			x.Delay = new(time.Duration(rapid.IntRange(0, 20).Draw(rt, "delay")) * time.Second)
		}
		batch = append(batch, x)
	}
	now := w.clock.Now()
	for i, s := range w.send("q", batch...) {
		x := batch[i]
		if before, ok := m.once[x.Once]; ok && m.fifo && now.Before(before.at.Add(queue.OnceFor)) {
			if !s.Duplicate || s.ID != before.id {
				rt.Fatalf("%s was sent as %+v, want the same as %v before", x.Body, s, before.id)
			}
			continue
		}
		if s.Duplicate {
			rt.Fatalf("%s was sent as %+v, and was not sent before", x.Body, s)
		}
		m.once[x.Once] = onced{s.ID, now}
		y := &modelMessage{id: s.ID, body: string(x.Body), group: x.Group, sent: now, visible: now}
		if x.Delay != nil {
			y.visible = now.Add(*x.Delay)
		}
		m.messages = append(m.messages, y)
	}
}

func (m *model) receive(rt *rapid.T, w *world) {
	n := rapid.IntRange(1, 10).Draw(rt, "n")
	hide := time.Duration(rapid.IntRange(1, 30).Draw(rt, "hide")) * time.Second
	got, err := w.q.Receive(w.t.Context(), "q", queue.Want{N: n, Hide: &hide})
	if err != nil {
		rt.Fatal(err)
	}
	now := w.clock.Now()
	m.bury(rt, w)
	may := map[string]bool{}
	for _, x := range m.messages {
		may[x.body] = m.may(x, now)
	}
	last := map[string]int{}
	for _, r := range got {
		at := slices.IndexFunc(m.messages, func(x *modelMessage) bool { return x.id == r.ID })
		if at < 0 {
			rt.Fatalf("received %s, which is not there", r.Body)
		}
		x := m.messages[at]
		x.count++
		switch {
		case x.body != string(r.Body) || x.group != r.Group || !x.sent.Equal(r.Sent):
			rt.Fatalf("received %+v, want %+v", r, x)
		case !may[x.body]:
			rt.Fatalf("received %s, which was not to be received at %v: %+v", r.Body, now, x)
		case r.Count != x.count || r.Count > modelAfter:
			rt.Fatalf("%s was received %d times, want %d", r.Body, r.Count, x.count)
		case m.fifo && last[x.group] > at:
			rt.Fatalf("%s was received out of order", r.Body)
		}
		last[x.group] = at
		if x.now.Handle != "" {
			x.old = append(x.old, x.now)
		}
		x.held, x.visible, x.now = true, now.Add(hide), r
	}
	if m.fifo {
		for g, at := range last { // nothing was skipped
			for _, x := range m.messages[:at] {
				if x.group == g && may[x.body] && !x.inFlight(now) {
					rt.Fatalf("%s was skipped", x.body)
				}
			}
		}
	}
	if len(got) < n {
		for _, x := range m.messages {
			if m.may(x, now) {
				rt.Fatalf("received %d of %d, and %+v was left", len(got), n, x)
			}
		}
	}
}

// bury finds out which messages have become dead letters, and whether they were to.
func (m *model) bury(rt *rapid.T, w *world) {
	now := w.clock.Now()
	list, err := w.q.Peek(w.t.Context(), "dead", 0, queue.PeekMax)
	if err != nil {
		rt.Fatal(err)
	}
	m.dead = len(list)
	for _, p := range list {
		if m.letters[p.ID.String()] {
			continue
		}
		m.letters[p.ID.String()] = true
		at := slices.IndexFunc(m.messages, func(x *modelMessage) bool { return x.id == p.ID })
		if at < 0 {
			rt.Fatalf("%s is a dead letter, and is not there", p.Body)
		}
		x := m.messages[at]
		sent := x.sent
		if m.fifo {
			sent = p.Sent
		}
		if x.count < modelAfter || !m.may(x, now) || p.Count != x.count || p.From != "q" || !p.Sent.Equal(sent) {
			rt.Fatalf("%+v is a dead letter as %+v", x, p)
		}
		m.messages = slices.Delete(m.messages, at, at+1)
	}
}

func (m *model) pick(rt *rapid.T, fit func(*modelMessage) bool) *modelMessage {
	var some []*modelMessage
	for _, x := range m.messages {
		if fit(x) {
			some = append(some, x)
		}
	}
	if len(some) == 0 {
		rt.Skip("there is none")
	}
	return rapid.SampledFrom(some).Draw(rt, "message")
}

func (m *model) remove(x *modelMessage) {
	m.messages = slices.DeleteFunc(m.messages, func(o *modelMessage) bool { return o == x })
}

func (m *model) delete(rt *rapid.T, w *world) {
	x := m.pick(rt, func(x *modelMessage) bool { return x.now.Handle != "" })
	late := !x.inFlight(w.clock.Now())
	gone := late && !x.sent.Add(modelKeep).After(w.clock.Now())
	each, err := w.q.Delete(w.t.Context(), "q", x.now.Handle)
	switch {
	case err != nil:
		rt.Fatal(err)
	case m.fifo && late && !gone && !errors.Is(each[0], queue.ErrStale):
		rt.Fatalf("%s was deleted after its time: %v", x.body, each[0])
	case (!m.fifo || !late) && each[0] != nil:
		rt.Fatal(each[0])
	case gone || m.fifo && late:
		return // it may have expired before
	}
	m.deleted++
	m.remove(x)
}

func (m *model) hide(rt *rapid.T, w *world) {
	x := m.pick(rt, func(x *modelMessage) bool { return x.now.Handle != "" })
	d := time.Duration(rapid.IntRange(0, 60).Draw(rt, "hide")) * time.Second
	now := w.clock.Now()
	each, err := w.q.Hide(w.t.Context(), "q", queue.Hiding{Handle: x.now.Handle, For: d})
	if err != nil {
		rt.Fatal(err)
	}
	if !x.inFlight(now) {
		if each[0] == nil {
			rt.Fatalf("%+v was hidden, and was not in flight", x)
		}
		return
	}
	if each[0] != nil {
		rt.Fatal(each[0])
	}
	x.visible = now.Add(d)
}

func (m *model) settle(rt *rapid.T, w *world) {
	now := w.clock.Now()
	x := m.pick(rt, func(x *modelMessage) bool { return x.inFlight(now) && x.now.Handle != "" })
	how := rapid.SampledFrom([]queue.Do{queue.Done, queue.Return, queue.Release, queue.Extend, queue.Delay, queue.Bury}).Draw(rt, "how")
	after := time.Duration(rapid.IntRange(0, 20).Draw(rt, "after")) * time.Second
	if how == queue.Delay {
		after += time.Second
	}
	s := queue.Settlement{Held: x.now.Held, Do: how, After: after}
	if how == queue.Return || how == queue.Bury {
		s.Report = &queue.Report{Function: "F", Attempt: ledger.Attempt{Outcome: "function error", ErrorType: "E", Message: "m"}}
	}
	got, err := w.q.Settle(w.t.Context(), "q", s)
	if err != nil || got[0].Err != nil {
		rt.Fatal(err, got)
	}
	switch how {
	case queue.Done:
		m.deleted++
		m.remove(x)
	case queue.Delay, queue.Release:
		x.count--
		x.held = x.held && how != queue.Delay
		fallthrough
	case queue.Return:
		x.aside = how == queue.Delay
		x.visible, x.old, x.now = now.Add(after), append(x.old, x.now), queue.Received{}
	case queue.Extend:
		x.visible = now.Add(max(1, after))
	case queue.Bury:
		m.letters[x.id.String()] = true
		m.remove(x)
		if got[0].Failure == 0 {
			rt.Fatalf("%s was buried, and is not in the ledger", x.body)
		}
	}
}

// show shows a message that was put aside, or another one, which is left alone.
func (m *model) show(rt *rapid.T, w *world) {
	now := w.clock.Now()
	x := m.pick(rt, func(x *modelMessage) bool { return len(x.old) > 0 })
	aside := x.aside && x.now.Handle == "" && x.visible.After(now)
	shown, err := w.q.Show(w.t.Context(), "q", x.old[len(x.old)-1].Number)
	if err != nil {
		rt.Fatal(err)
	}
	if want := map[bool]int{true: 1}[aside]; shown != want {
		rt.Fatalf("%d of %+v were shown, want %d", shown, x, want)
	}
	if aside {
		x.visible = now
	}
}

func (m *model) stale(rt *rapid.T, w *world) {
	x := m.pick(rt, func(x *modelMessage) bool { return len(x.old) > 0 })
	old := x.old[rapid.IntRange(0, len(x.old)-1).Draw(rt, "old")]
	each, err := w.q.Delete(w.t.Context(), "q", old.Handle)
	if err != nil || (m.fifo && !errors.Is(each[0], queue.ErrStale) || !m.fifo && each[0] != nil) && x.sent.Add(modelKeep).After(w.clock.Now()) {
		rt.Fatal(err, each)
	}
	if got, err := w.q.Settle(w.t.Context(), "q", queue.Settlement{Held: old.Held, Do: queue.Done}); err != nil || !errors.Is(got[0].Err, queue.ErrStale) {
		rt.Fatal(err, got)
	}
}

func (m *model) purge(rt *rapid.T, w *world) {
	if rapid.IntRange(0, 9).Draw(rt, "really") > 0 {
		rt.Skip("not now")
	}
	_, err := w.q.Purge(w.t.Context(), "q")
	if errors.Is(err, queue.ErrPurged) {
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	m.messages, m.once = nil, map[string]onced{}
}

// redrive sends a dead letter again.
func (m *model) redrive(rt *rapid.T, w *world) {
	list, err := w.q.Peek(w.t.Context(), "dead", 0, 1)
	if err != nil {
		rt.Fatal(err)
	}
	if len(list) == 0 {
		rt.Skip("there is none")
	}
	p, err := w.ledger.Find(w.t.Context(), ledger.Query{Request: list[0].ID.String()})
	if err != nil || len(p.Failures) != 1 {
		rt.Fatal(err, p)
	}
	got, err := w.q.Redrive(w.t.Context(), p.Failures[0].Number, nil)
	if err != nil || got.Already || got.Queue != "q" {
		rt.Fatal(err, got)
	}
	now := w.clock.Now()
	m.messages = append(m.messages, &modelMessage{id: got.ID, body: string(list[0].Body), group: list[0].Group, sent: now, visible: now})
}

func (m *model) compare(rt *rapid.T, w *world) {
	if err := w.q.Audit(w.t.Context()); err != nil {
		rt.Fatal(err)
	}
	a := w.account("q")
	now := w.clock.Now()
	live, old := 0, 0
	for _, x := range m.messages {
		if x.sent.Add(modelKeep).After(now) || x.inFlight(now) {
			live++
		} else {
			old++
		}
	}
	if there := int(a.Messages()); there < live || there > live+old || int(a.Deleted) != m.deleted || int(a.DeadLetters) != len(m.letters) {
		rt.Fatalf("got %+v; the model has %d messages, %d that are old, %d deleted, %d dead letters", a, live, old, m.deleted, len(m.letters))
	}
}
