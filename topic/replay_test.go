package topic_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/topic"
)

func TestAReplayHandsOnTheArchiveInItsOrderAndGoesOnWithWhatIsNew(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	live := w.subscribe(rawTo("t", "live"))
	var all []topic.Message
	for i := range 250 {
		all = append(all, in(fmt.Sprint("g", i%7), fmt.Sprint(i)))
	}
	w.publish("t", all[:50]...)
	from := w.tick()
	w.publish("t", all[50:120]...)
	w.publish("t", all[120:200]...)
	w.publish("t", all[200:]...)
	s := toQueue("t", "a")
	s.Replay = &topic.Replay{ID: daruma.NewID(), From: from}
	sub := w.subscribe(s)
	state := func(want topic.ReplayState) {
		t.Helper()
		if got := w.topics.ReplayState("t", sub.ID); got != want {
			t.Errorf("its state is %q, want %q", got, want)
		}
	}
	state(topic.ReplayPending)
	turn := topic.Turn{Topic: "t", Subscription: sub.ID}
	if got := w.topics.Replays(); !slices.Equal(got, []topic.Turn{turn}) {
		t.Fatalf("got %v", got)
	}
	if more, err := w.topics.Replay(context.Background(), turn); err != nil || !more {
		t.Fatalf("%v, %v", more, err)
	}
	state(topic.ReplayRuns)
	w.publish("t", in("g1", "new")) // is not before what it comes after
	if got := len(w.letters("a")); got != 100 {
		t.Errorf("%d messages in one part", got)
	}
	w.catchUp()
	state(topic.ReplayCompleted)
	w.publish("t", in("g1", "live"))
	var want []string
	for _, n := range numbered(50, 250) {
		want = append(want, "again "+n)
	}
	want = append(want, "letter new ", "letter live ")
	if got := w.bodies("a"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	letters := w.letters("a")
	if l := letters[3]; l.Group != "g4" || l.Once == w.letters("live")[53].Once || len(l.Once) != 64 {
		t.Errorf("got %+v", l)
	}
	if got := w.bodies("live"); len(got) != 252 {
		t.Errorf("the other subscription has %d messages", len(got))
	}
	if a := w.account("t"); a.Replayed != 200 || a.Delivered != 252+202 {
		t.Errorf("got %+v", a)
	}
	if w.topics.ReplayState("t", live.ID) != "" {
		t.Error("a subscription that was asked for no replay has one")
	}
}

func TestAReplayWithAnEndPausesTheSubscription(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	sub := w.subscribe(rawTo("t", "a"))
	has := func(want ...string) {
		t.Helper()
		if got := w.bodies("a"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	begins := w.tick()
	w.publish("t", in("g", "1"), in("g", "2"))
	middle := w.tick()
	w.publish("t", in("g", "3"))
	w.tick()
	if err := w.replay(sub, &topic.Replay{From: begins, Until: middle}); err != nil {
		t.Fatal(err)
	}
	w.publish("t", in("g", "4"))
	w.catchUp()
	w.publish("t", in("g", "5"))
	has("1", "2", "3", "1", "2")
	w.cell.Close()
	w.open()
	w.publish("t", in("g", "6"))
	has("1", "2", "3", "1", "2")
	if got := w.topics.ReplayState("t", sub.ID); got != topic.ReplayCompleted {
		t.Errorf("got %q", got)
	}

	// Where it ended is where the next one begins.
	if err := w.replay(sub, &topic.Replay{From: middle}); err != nil {
		t.Fatal(err)
	}
	w.catchUp()
	w.publish("t", in("g", "7"))
	has("1", "2", "3", "1", "2", "3", "4", "5", "6", "7")

	// Without any, it gets what is published from then on.
	if err := w.replay(sub, &topic.Replay{From: begins, Until: begins}); err != nil {
		t.Fatal(err)
	}
	w.publish("t", in("g", "8"))
	w.catchUp()
	if err := w.replay(sub, nil); err != nil {
		t.Fatal(err)
	}
	w.publish("t", in("g", "9"))
	has("1", "2", "3", "1", "2", "3", "4", "5", "6", "7", "9")
	if got := w.topics.ReplayState("t", sub.ID); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestTheEndsOfAReplayAreIncluded(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	w.subscribe(toQueue("t", "gone")) // the ledger says when a message was published
	for _, n := range numbered(0, 4) {
		w.tick()
		m := in("g", n)
		m.At = time.Unix(1, 0) // its sender's clock does not count
		w.publish("t", m)
	}
	var at []time.Time
	for _, f := range w.failures() {
		at = append(at, f.Accepted)
	}
	slices.SortFunc(at, time.Time.Compare)
	s := rawTo("t", "a")
	s.Replay = &topic.Replay{ID: daruma.NewID(), From: at[1], Until: at[2]}
	w.subscribe(s)
	w.catchUp()
	if got := w.bodies("a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %q", got)
	}
}

func TestAReplayThatIsTakenAwayLeavesWhatWasPublishedMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	sub := w.subscribe(rawTo("t", "a"))
	w.publish("t", in("g", "1"), in("g", "2"))
	if err := w.replay(sub, &topic.Replay{From: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	w.publish("t", in("g", "3"))
	if err := w.replay(sub, nil); err != nil {
		t.Fatal(err)
	}
	w.publish("t", in("g", "4"))
	if got := w.topics.ReplayState("t", sub.ID); got != "" {
		t.Errorf("got %q", got)
	}
	w.catchUp()
	w.publish("t", in("g", "5"))
	if got := w.bodies("a"); !slices.Equal(got, numbered(1, 6)) {
		t.Errorf("got %q", got)
	}
	if a := w.account("t"); a.Replayed != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestAReplayThatTakesThePlaceOfAnotherKeepsNothingBack(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	sub := w.subscribe(rawTo("t", "a"))
	w.publish("t", in("g", "1"))
	if err := w.replay(sub, &topic.Replay{From: w.tick()}); err != nil {
		t.Fatal(err)
	}
	w.publish("t", in("g", "2")) // kept back by the first one
	if err := w.replay(sub, &topic.Replay{From: w.tick()}); err != nil {
		t.Fatal(err)
	}
	w.catchUp()
	if got := w.bodies("a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %q", got)
	}
}

func TestAReplayOfWhatHasLeftTheArchiveMeanwhileEnds(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	w.publish("t", in("g", "1"))
	s := rawTo("t", "a")
	s.Replay = &topic.Replay{ID: daruma.NewID(), From: time.Unix(1, 0), Until: w.tick()}
	w.tick()
	sub := w.subscribe(s)
	w.cell.Close()
	w.now.move(25 * time.Hour)
	w.open()
	w.await("it is gone", func() bool { return w.account("t").Archived == 0 })
	w.catchUp()
	if got := w.topics.ReplayState("t", sub.ID); got != topic.ReplayCompleted || len(w.letters("a")) != 0 {
		t.Errorf("got %q, and %q", got, w.bodies("a"))
	}
}

func TestEachReplayIsKnownToAQueueByTextsOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	sub := w.subscribe(rawTo("t", "a"))
	w.publish("t", in("g", "1"), in("g", "2"))
	for range 2 {
		if err := w.replay(sub, &topic.Replay{From: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		w.catchUp()
	}
	known := map[string]bool{}
	for _, l := range w.letters("a") {
		known[l.Once] = true
	}
	if len(known) != 6 {
		t.Errorf("%d texts for %d letters", len(known), len(w.letters("a")))
	}
}

func TestAFilterPolicyChoosesWhatIsReplayed(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	for i := range 6 {
		m := in("g", fmt.Sprint(i))
		m.Attributes = []topic.Attribute{{Name: "k", Type: "String", Value: []byte{byte('a' + i%2)}}}
		w.publish("t", m)
	}
	s := rawTo("t", "a")
	s.Filter, s.Replay = `{"k":["b"]}`, &topic.Replay{ID: daruma.NewID(), From: time.Unix(1, 0)}
	w.subscribe(s)
	w.catchUp()
	if got := w.bodies("a"); !slices.Equal(got, []string{"1", "3", "5"}) {
		t.Errorf("got %q", got)
	}
	if a := w.account("t"); a.Filtered != 3 || a.Matched != 3 || a.Replayed != 3 {
		t.Errorf("got %+v", a)
	}
}

func TestWhatAQueueCannotTakeOfAReplayIsInTheLedger(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	w.publish("t", in("g", "1"), in("g", "2"))
	s := toQueue("t", "gone")
	s.DeadLetter, s.Replay = "dead", &topic.Replay{ID: daruma.NewID(), From: time.Unix(1, 0)}
	w.subscribe(s)
	w.catchUp()
	if got := w.bodies("dead"); !slices.Equal(got, []string{"again 1", "again 2"}) {
		t.Errorf("got %q", got)
	}
	if a := w.account("t"); a.Failed != 2 || len(w.failures()) != 2 {
		t.Errorf("got %+v and %d failures", a, len(w.failures()))
	}
}

func TestLargeMessagesAreReplayedFewAtOnce(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	for i := range 12 {
		w.publish("t", in("g", fmt.Sprint(i)+strings.Repeat("x", 200<<10)))
	}
	s := rawTo("t", "a")
	s.Replay = &topic.Replay{ID: daruma.NewID(), From: time.Unix(1, 0)}
	w.subscribe(s)
	if parts := w.catchUp(); parts != 3 || len(w.letters("a")) != 12 {
		t.Errorf("%d messages in %d parts", len(w.letters("a")), parts)
	}
}

func TestNoMoreReplaysAreOnTheirWayThanThereMayBe(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	begin := func(queue string) error {
		s := rawTo("t", queue)
		s.ID, s.Replay = daruma.NewID(), &topic.Replay{ID: daruma.NewID(), From: time.Unix(1, 0)}
		return second(w.topics.Subscribe(context.Background(), s, nil))
	}
	for i := range topic.ReplaysMax {
		if err := begin(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := begin("more"); !errors.Is(err, topic.ErrReplays) || daruma.KindOf(err) != daruma.KindThrottled {
		t.Errorf("got %v", err)
	}
	w.catchUp()
	if err := begin("more"); err != nil {
		t.Error(err)
	}
}

// BenchmarkReplay is one part of a replay of 1 KiB messages, synced in memory only.
func BenchmarkReplay(b *testing.B) {
	w := newWorld(b)
	w.archived("t", 1)
	for i := range 200 {
		var all []topic.Message
		for j := range 50 {
			all = append(all, in(fmt.Sprint("g", j%7), fmt.Sprintf("%d.%d%s", i, j, strings.Repeat("x", 1024))))
		}
		w.publish("t", all...)
	}
	sub := w.subscribe(rawTo("t", "a"))
	b.ReportAllocs()
	for b.Loop() {
		turns := w.topics.Replays()
		if len(turns) == 0 {
			b.StopTimer()
			if err := w.replay(sub, &topic.Replay{From: time.Unix(1, 0)}); err != nil {
				b.Fatal(err)
			}
			turns = w.topics.Replays()
			b.StartTimer()
		}
		if _, err := w.topics.Replay(context.Background(), turns[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// A wisher is a subscription as the model has it: what it got, and what it is to
// get of the archive, by the index of the message.
type wisher struct {
	sub     *topic.Subscription
	queue   string
	got     []int
	seen    int   // of these, how many were found right in the queue
	want    []int // of a replay that is on its way
	running bool
	ends    bool // and then nothing more comes
	paused  bool
	head    int // how many messages there were when it began
}

// TestAReplayIsWhatTheModelSays takes random steps with replays, the process
// ending at any of them: every message of the interval is handed on in its
// order, once, and what is published meanwhile after it.
func TestAReplayIsWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{TB: t, now: &hand{}, place: memory.Medium{}}
		w.open()
		defer func() { w.cell.Close() }()
		w.archived("t", 1)
		m := &replays{world: w, rt: rt}
		rt.Repeat(map[string]func(*rapid.T){
			"publish":   m.publishSome,
			"subscribe": m.subscribeOne,
			"replay":    m.begin,
			"stop":      m.stop,
			"part":      func(rt *rapid.T) { m.part(rt, false) },
			"crash":     m.crash,
			"":          m.check,
		})
	})
}

type replays struct {
	*world
	rt     *rapid.T
	before []time.Time // of each message, a time before it
	subs   []*wisher
}

func (m *replays) messages(n int) (all []topic.Message) {
	for i := range n {
		all = append(all, in(fmt.Sprint("g", i%3), fmt.Sprint(len(m.before)+i)))
	}
	return all
}

func (m *replays) publishSome(rt *rapid.T) {
	n := rapid.SampledFrom([]int{1, 3, 60}).Draw(rt, "messages")
	at := m.tick()
	m.publish("t", m.messages(n)...)
	for range n {
		i := len(m.before)
		m.before = append(m.before, at)
		for _, s := range m.subs {
			switch {
			case s.running && !s.ends:
				s.want = append(s.want, i)
			case !s.running && !s.paused:
				s.got = append(s.got, i)
			}
		}
	}
}

func (m *replays) subscribeOne(rt *rapid.T) {
	if len(m.subs) == 4 {
		rt.Skip()
	}
	s := &wisher{queue: fmt.Sprint("q", len(m.subs))}
	s.sub = m.subscribe(rawTo("t", s.queue))
	m.subs = append(m.subs, s)
}

func (m *replays) one(rt *rapid.T) *wisher {
	if len(m.subs) == 0 || len(m.before) == 0 {
		rt.Skip()
	}
	return rapid.SampledFrom(m.subs).Draw(rt, "subscription")
}

// first is the index of the first message that was published at a time or later.
func (m *replays) first(at time.Time) int {
	i := slices.IndexFunc(m.before, func(t time.Time) bool { return !t.Before(at) })
	if i < 0 {
		return len(m.before)
	}
	return i
}

func (m *replays) begin(rt *rapid.T) {
	s := m.one(rt)
	r := &topic.Replay{From: rapid.SampledFrom(m.before).Draw(rt, "from")}
	from, until := m.first(r.From), len(m.before)
	if rapid.Bool().Draw(rt, "with an end") {
		end := rapid.IntRange(from, len(m.before)-1).Draw(rt, "until")
		r.Until = m.before[end]
		until = m.first(r.Until)
	}
	if owed := s.owed(); owed >= 0 && r.Until.IsZero() {
		from = min(from, owed)
	}
	if err := m.replay(s.sub, r); err != nil {
		rt.Fatal(err)
	}
	s.want, s.running, s.ends, s.paused, s.head = nil, true, !r.Until.IsZero(), false, len(m.before)
	for i := from; i < until; i++ {
		s.want = append(s.want, i)
	}
}

// owed is the first message that was kept from a subscription; -1: there is none.
func (s *wisher) owed() int {
	if s.running && !s.ends {
		for _, i := range s.want {
			if i >= s.head {
				return i
			}
		}
	}
	return -1
}

func (m *replays) stop(rt *rapid.T) {
	s := m.one(rt)
	if err := m.replay(s.sub, nil); err != nil {
		rt.Fatal(err)
	}
	s.paused = false
	if owed := s.owed(); owed >= 0 {
		s.want = s.want[slices.Index(s.want, owed):]
		return
	}
	s.want, s.running = nil, false
}

// part hands a part on, or tries to when its command is lost.
func (m *replays) part(rt *rapid.T, lost bool) {
	turns := m.topics.Replays()
	if len(turns) == 0 {
		rt.Skip()
	}
	turn := rapid.SampledFrom(turns).Draw(rt, "turn")
	more, err := m.topics.Replay(context.Background(), turn)
	if lost {
		if err == nil {
			rt.Fatal("a step that is lost was told of")
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	at := slices.IndexFunc(m.subs, func(s *wisher) bool { return s.sub.ID == turn.Subscription })
	s := m.subs[at]
	n := len(m.lettersFrom(s.queue, len(s.got)))
	if n > len(s.want) || n == 0 && more {
		rt.Fatalf("%d were handed on of %d, more: %v", n, len(s.want), more)
	}
	s.got, s.want = append(s.got, s.want[:n]...), s.want[n:]
	if more != (len(s.want) > 0) {
		rt.Fatalf("more: %v, and %d are left", more, len(s.want))
	}
	if !more {
		s.running, s.paused = false, s.ends
	}
}

// crash ends the process, at times with a command on its way to the disk.
func (m *replays) crash(rt *rapid.T) {
	switch doing := rapid.IntRange(0, 2).Draw(rt, "doing"); {
	case doing == 0 && len(m.topics.Replays()) > 0:
		m.lose(func() { m.part(rt, true) })
	case doing == 1:
		m.lose(func() {
			if _, err := m.topics.Publish(context.Background(), "t", m.messages(2)...); err == nil {
				rt.Fatal("a message that is lost was told of")
			}
		})
	}
	m.place.Crash()
	m.cell.Close()
	m.open()
}

// lose has f do what the end of the process undoes.
func (m *replays) lose(f func()) {
	m.place.Hold()
	done := make(chan struct{})
	go func() { m.place.Crash(); close(done) }()
	f()
	<-done
}

func (m *replays) check(rt *rapid.T) {
	for _, s := range m.subs {
		var got []string
		for _, l := range m.lettersFrom(s.queue, s.seen) {
			got = append(got, string(l.Body))
		}
		var want []string
		for _, i := range s.got[s.seen:] {
			want = append(want, fmt.Sprint(i))
		}
		if !slices.Equal(got, want) {
			rt.Fatalf("behind %d, %s has %q, want %q", s.seen, s.queue, got, want)
		}
		s.seen = len(s.got)
	}
	if a := m.account("t"); int(a.Archived) != len(m.before) || int(a.Published) != len(m.before) {
		rt.Fatalf("got %+v, want %d messages", a, len(m.before))
	}
}
