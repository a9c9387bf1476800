package topic_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/topic"
)

// archived makes a FIFO topic that keeps what is published for some days.
func (w *world) archived(name string, days int) {
	w.topic(topic.Topic{Name: name, FIFO: true, OnceByBody: true, Keep: time.Duration(days) * 24 * time.Hour})
}

// in is a message of a group.
func in(group, body string) topic.Message { return topic.Message{Body: []byte(body), Group: group} }

// tick moves the clock, so that what was published before is older than what comes.
func (w *world) tick() time.Time {
	w.now.ahead.Add(int64(20 * time.Millisecond))
	at := w.now.Now()
	w.now.ahead.Add(int64(20 * time.Millisecond))
	return at
}

// replay asks for a replay of a subscription.
func (w *world) replay(s *topic.Subscription, r *topic.Replay) error {
	if r != nil {
		r.ID = daruma.NewID()
	}
	return w.topics.Adjust(context.Background(), s.Topic, s.ID, func(_ *topic.Topic, is *topic.Subscription) error {
		is.Replay = r
		return nil
	})
}

// catchUp hands on all that is to be replayed, and returns in how many parts.
func (w *world) catchUp() (parts int) {
	w.Helper()
	for {
		turns := w.topics.Replays()
		if len(turns) == 0 {
			return parts
		}
		for _, t := range turns {
			if _, err := w.topics.Replay(context.Background(), t); err != nil {
				w.Fatal(err)
			}
			parts++
		}
	}
}

// await waits until something is so, looking after each change of topics.
func (w *world) await(what string, so func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for position := uint64(0); !so(); {
		var err error
		if position, err = w.cell.Changed(ctx, "topic", position); err != nil {
			w.Fatalf("%s: %v", what, err)
		}
	}
}

func rawTo(t, queue string) topic.Subscription {
	s := toQueue(t, queue)
	s.Raw = true
	return s
}

func numbered(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestWhatIsPublishedIsInTheArchiveWithItsSize(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	w.topic(topic.Topic{Name: "none", FIFO: true, OnceByBody: true})
	w.publish("t", in("g", "1"), in("g", "2"), in("g", "1"))
	w.publish("none", in("g", "1"))
	if a := w.account("t"); a.Archived != 2 || a.ArchivedBytes < 100 || a.Published != 2 || a.Duplicates != 1 {
		t.Errorf("got %+v", a)
	}
	if a := w.account("none"); a.Archived != 0 || a.ArchivedBytes != 0 {
		t.Errorf("got %+v", a)
	}
	is, err := w.topics.Topic("t")
	if err != nil {
		t.Fatal(err)
	}
	if begins, now := w.topics.Archive(is); begins != is.Since || now.Sub(begins) > time.Minute || is.Since.IsZero() {
		t.Errorf("it begins at %v, and it is %v", begins, now)
	}
	w.now.move(48 * time.Hour)
	if begins, now := w.topics.Archive(is); now.Sub(begins) != 24*time.Hour {
		t.Errorf("later, it begins at %v, and it is %v", begins, now)
	}
}

func TestWhatIsTooOldLeavesTheArchive(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 2)
	for i := range 13 { // more than one step takes out
		var all []topic.Message
		for j := range 90 {
			all = append(all, in("g", fmt.Sprint(90*i+j)))
		}
		w.publish("t", all...)
	}
	again := func(ahead time.Duration) {
		w.cell.Close()
		w.now.move(ahead)
		w.open()
	}
	again(36 * time.Hour)
	w.publish("t", in("g", "young"))
	again(49 * time.Hour)
	w.await("what is old is gone", func() bool { return w.account("t").Archived == 1 })
	s := rawTo("t", "a")
	s.Replay = &topic.Replay{ID: daruma.NewID(), From: time.Unix(1, 0)}
	w.subscribe(s)
	w.catchUp()
	if got := w.bodies("a"); !slices.Equal(got, []string{"young"}) {
		t.Errorf("got %d: %q", len(got), got[:min(3, len(got))])
	}
	if err := w.topics.Change(context.Background(), "t", func(is *topic.Topic) error { is.Keep = 24 * time.Hour; return nil }); err != nil {
		t.Fatal(err)
	}
	again(36*time.Hour + 25*time.Hour)
	w.await("all is gone", func() bool { return w.account("t").Archived == 0 })
	if a := w.account("t"); a.ArchivedBytes != 0 {
		t.Errorf("nothing takes %d bytes", a.ArchivedBytes)
	}
	w.publish("t", in("g", "new"))
	if a := w.account("t"); a.Archived != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestATopicThatKeepsAnArchiveIsRemovedOnlyWithoutIt(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.archived("t", 30)
	sub := w.subscribe(rawTo("t", "a"))
	w.publish("t", in("g", "1"))
	if err := w.topics.Remove(ctx, "t"); !errors.Is(err, topic.ErrArchive) || daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("got %v", err)
	}
	if err := w.replay(sub, &topic.Replay{From: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	end := func() error {
		return w.topics.Change(ctx, "t", func(is *topic.Topic) error { is.Keep = 0; return nil })
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if a := w.account("t"); a.Archived != 0 || a.ArchivedBytes != 0 || len(w.topics.Replays()) != 0 || w.topics.ReplayState("t", sub.ID) != topic.ReplayFailed {
		t.Errorf("got %+v, %s", a, w.topics.ReplayState("t", sub.ID))
	}
	w.publish("t", in("g", "2"))
	if got := w.bodies("a"); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %q", got)
	}
	if err := w.topics.Remove(ctx, "t"); err != nil {
		t.Error(err)
	}
	w.archived("t", 30)
	if a := w.account("t"); a.Archived != 0 {
		t.Errorf("a new topic has the archive of the one before: %+v", a)
	}
}

func TestADeploymentKeepsArchivesAndBeginsAReplayOnce(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	day := 24 * time.Hour
	deploy := func(keep time.Duration, replay *topic.Replay) {
		t.Helper()
		s := rawTo("t", "a")
		s.ID, s.LogicalID, s.Replay = "s", "S", replay
		if err := w.topics.Deploy(ctx, topic.Deployment{Topics: []topic.Topic{{Name: "t", LogicalID: "T", FIFO: true, OnceByBody: true, Keep: keep}}, Subscriptions: []topic.Subscription{s}}); err != nil {
			t.Fatal(err)
		}
		w.catchUp()
	}
	from := func() *topic.Replay { return &topic.Replay{ID: daruma.NewID(), From: time.Unix(1, 0)} }
	has := func(want ...string) {
		t.Helper()
		if got := w.bodies("a"); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	deploy(day, nil)
	w.publish("t", in("g", "1"))
	deploy(day, from())
	has("1", "1")
	deploy(day, from())
	has("1", "1") // it asks for the same
	if err := w.topics.Adjust(ctx, "t", "s", func(_ *topic.Topic, s *topic.Subscription) error {
		s.Replay = from()
		s.Replay.Until = w.tick()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.catchUp()
	has("1", "1", "1")
	deploy(day, from())
	has("1", "1", "1")
	w.publish("t", in("g", "2"))
	has("1", "1", "1") // what was asked for by hand holds
	deploy(day, nil)
	w.publish("t", in("g", "3"))
	has("1", "1", "1", "3")

	deploy(0, nil)
	if a := w.account("t"); a.Archived != 0 {
		t.Errorf("what is not declared any more: %+v", a)
	}
	if err := w.topics.Change(ctx, "t", func(is *topic.Topic) error { is.Keep = day; return nil }); err != nil {
		t.Fatal(err)
	}
	w.publish("t", in("g", "4"))
	deploy(0, nil)
	if a := w.account("t"); a.Archived != 1 {
		t.Errorf("what was made by hand: %+v", a)
	}
	if err := w.topics.Deploy(ctx, topic.Deployment{}); err != nil {
		t.Fatal(err)
	}
	is, err := w.topics.Topic("t")
	if err != nil || is.LogicalID != "" || w.account("t").Archived != 1 || len(w.topics.Subscriptions("t")) != 0 {
		t.Errorf("a topic with an archive that is not declared any more: %+v, %v", is, err)
	}
}

func TestWhatIsMadeAgainHasNothingOfWhatWasThereBefore(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	deploy := func(t topic.Topic, replay *topic.Replay) {
		w.Helper()
		t.Name, t.LogicalID = "t", "T"
		s := rawTo("t", "a")
		s.ID, s.LogicalID, s.Replay = "s", "S", replay
		if err := w.topics.Deploy(ctx, topic.Deployment{Topics: []topic.Topic{t}, Subscriptions: []topic.Subscription{s}}); err != nil {
			w.Fatal(err)
		}
	}
	fifo := topic.Topic{FIFO: true, OnceByBody: true, Keep: topic.KeepMin}
	deploy(fifo, &topic.Replay{ID: "1", From: time.Unix(1, 0), Until: time.Unix(2, 0)})
	w.publish("t", in("g", "1"), in("g", "2"), in("g", "3"))
	deploy(topic.Topic{}, nil) // of another kind: the one before is gone
	deploy(fifo, nil)
	w.cell.Close()
	w.open()
	w.publish("t", in("g", "4")) // its first one
	if err := w.topics.Adjust(ctx, "t", "s", func(_ *topic.Topic, s *topic.Subscription) error {
		s.Replay = &topic.Replay{ID: "2", From: time.Unix(1, 0)}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.catchUp()
	if got := w.bodies("a"); !slices.Equal(got, []string{"4", "4"}) {
		t.Errorf("got %q", got)
	}
	begins := len(w.archives())
	deploy(topic.Topic{}, nil)
	if left := len(w.archives()); begins != 1 || left != 0 {
		t.Errorf("%d messages of archives are left of %d", left, begins)
	}
}

// archives is the keys of all that lies in archives.
func (w *world) archives() (keys []string) {
	w.Helper()
	err := w.cell.View(context.Background(), "topic", func(r *cell.Reader) error {
		for key := range r.Scan(cell.Prefix([]byte("m"))) {
			keys = append(keys, string(key))
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return keys
}

// A past is the machine of an earlier version: it writes what it is given.
type past struct{}

func (past) Name() string { return "topic" }

func (past) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	tx.Set([]byte(cmd.Name), cmd.Body)
	return nil, nil
}

func TestABookOfVersion1IsRead(t *testing.T) {
	w := newWorld(t)
	w.archived("t", 1)
	w.cell.Close()
	c, err := cell.Open(context.Background(), cell.Config{Journal: &w.place, Machines: []cell.Machine{past{}}, Clock: w.now})
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	for _, n := range []uint64{7, 0, 7, 1, 0, 5, 4, 0, 1, 0, 0, 1, 0} {
		body = binary.AppendUvarint(body, n)
	}
	if _, err := c.Do(context.Background(), cell.Command{Machine: "topic", Name: "at", Body: cell.Seal(1, body)}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	w.open()
	if a := w.account("t"); a.Published != 7 || a.Matched != 5 || a.DeadLetters != 1 || a.Archived != 0 {
		t.Errorf("got %+v", a)
	}
	if got := w.publish("t", in("g", "x")); got[0].Number != 8 {
		t.Errorf("got %+v", got)
	}
	if a := w.account("t"); a.Published != 8 || a.Archived != 1 {
		t.Errorf("got %+v", a)
	}
}

func TestArchivesAndReplaysThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.archived("t", 1)
	w.topic(topic.Topic{Name: "none", FIFO: true})
	with := func(t string, r topic.Replay) error {
		s := rawTo(t, strings.Repeat("q", 3))
		s.ID, s.Replay = daruma.NewID(), &r
		return second(w.topics.Subscribe(ctx, s, nil))
	}
	past, soon := w.now.Now().Add(-time.Hour), w.now.Now().Add(time.Hour)
	for name, err := range map[string]error{
		"not FIFO":              second(w.topics.Create(ctx, topic.Topic{Name: "x", Keep: 24 * time.Hour}, nil)),
		"too short":             second(w.topics.Create(ctx, topic.Topic{Name: "x", FIFO: true, Keep: time.Hour}, nil)),
		"too long":              second(w.topics.Create(ctx, topic.Topic{Name: "x", FIFO: true, Keep: 366 * 24 * time.Hour}, nil)),
		"no archive":            with("none", topic.Replay{ID: "1", From: past}),
		"no beginning":          with("t", topic.Replay{ID: "1"}),
		"no ID":                 with("t", topic.Replay{From: past}),
		"the end before it":     with("t", topic.Replay{ID: "1", From: past, Until: past.Add(-1)}),
		"the end in the future": with("t", topic.Replay{ID: "1", From: past, Until: soon}),
	} {
		if err == nil || daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v, want KindInvalid", name, err)
		}
	}
	if err := with("none", topic.Replay{ID: "1", From: past}); !errors.Is(err, topic.ErrNoArchive) {
		t.Errorf("got %v", err)
	}
	if len(w.topics.Subscriptions("t"))+len(w.topics.Subscriptions("none")) != 0 {
		t.Error("a subscription was made with a replay that was refused")
	}
	if _, err := w.topics.Create(ctx, topic.Topic{Name: "t", FIFO: true, Keep: 48 * time.Hour}, nil); !errors.Is(err, topic.ErrAttributes) {
		t.Errorf("another archive: %v", err)
	}
}
