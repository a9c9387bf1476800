package cell_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/celltest"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

func TestDoReturnsOnlyWhenTheCommandIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory.Medium)
		c := open(t, m, counter{})
		m.Hold()
		returned := false
		go func() {
			if n, err := add(t.Context(), c, "add", "a"); n != 1 || err != nil {
				t.Errorf("got %d, %v, want 1", n, err)
			}
			returned = true
		}()
		time.Sleep(100 * time.Millisecond)
		if returned {
			t.Error("Do has returned, and nothing is durable")
		}
		m.Release()
		synctest.Wait()
		if !returned {
			t.Error("Do has not returned, and everything is durable")
		}
		_ = c.Close()
	})
}

func TestAViewNeverShowsWhatIsNotDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory.Medium)
		c := open(t, m, counter{})
		m.Hold()
		go func() { _, _ = add(context.Background(), c, "add", "a") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := c.View(ctx, "counter", func(r *cell.Reader) error {
			if _, ok := r.Get([]byte("a")); ok {
				t.Error("a view shows a command that is not durable")
			}
			return nil
		})
		if err != nil && daruma.KindOf(err) != daruma.KindExpired {
			t.Error(err)
		}
		m.Crash()
		synctest.Wait()
		_ = c.Close()
		c = open(t, m, counter{})
		if n, err := add(t.Context(), c, "add", "a"); n != 1 || err != nil {
			t.Errorf("got %d, %v, want 1: what was lost must not have been there", n, err)
		}
		_ = c.Close()
	})
}

func TestGivingUpOnACommandOnItsWayIsDoubtful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory.Medium)
		c := open(t, m, counter{})
		m.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := add(ctx, c, "add", "a"); daruma.KindOf(err) != daruma.KindDoubtful {
			t.Errorf("got %v, want doubt", err)
		}
		m.Release()
		if n, err := add(t.Context(), c, "add", "a"); n != 2 || err != nil {
			t.Errorf("got %d, %v, want 2: it had happened", n, err)
		}
		_ = c.Close()
	})
}

func TestACrashLeavesWhatWaitedInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory.Medium)
		c := open(t, m, counter{})
		m.Hold()
		ended := make(chan error, 1)
		go func() {
			_, err := add(t.Context(), c, "add", "a")
			ended <- err
		}()
		synctest.Wait()
		m.Crash()
		if err := <-ended; daruma.KindOf(err) != daruma.KindDoubtful {
			t.Errorf("got %v, want doubt", err)
		}
		if _, err := add(t.Context(), c, "add", "a"); daruma.KindOf(err) != daruma.KindUnavailable {
			t.Errorf("got %v, want unavailable", err)
		}
		if h := c.Health(); h.State != cell.Unhealthy {
			t.Errorf("got %v, want unhealthy", h)
		}
		_ = c.Close()
	})
}

// slow blocks the apply loop until it is told to go on.
type slow struct{ began, goOn chan struct{} }

func (slow) Name() string { return "slow" }

func (s slow) Apply(*cell.Tx, cell.Command) (any, error) {
	s.began <- struct{}{}
	<-s.goOn
	return nil, nil
}

func TestTheQueueIsBoundedAndWaitsForRoomAsLongAsTheCallerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{make(chan struct{}), make(chan struct{})}
		c := open(t, new(memory.Medium), s, counter{})
		go func() { _, _ = c.Do(context.Background(), cell.Command{Machine: "slow"}) }()
		<-s.began
		for range cell.QueueMax {
			go func() { _, _ = add(context.Background(), c, "add", "a") }()
		}
		synctest.Wait()
		if h := c.Health(); h.Waiting != cell.QueueMax {
			t.Errorf("got %d waiting, want %d", h.Waiting, cell.QueueMax)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := add(ctx, c, "add", "b"); daruma.KindOf(err) != daruma.KindThrottled {
			t.Errorf("got %v, want it to be throttled", err)
		}
		close(s.goOn)
		if n, err := add(t.Context(), c, "add", "b"); n != 1 || err != nil {
			t.Errorf("got %d, %v, want 1: what was throttled has not happened", n, err)
		}
		_ = c.Close()
	})
}

func TestACommandThatWasNotBegunCanBeWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{make(chan struct{}), make(chan struct{})}
		c := open(t, new(memory.Medium), s, counter{})
		go func() { _, _ = c.Do(context.Background(), cell.Command{Machine: "slow"}) }()
		<-s.began
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := add(ctx, c, "add", "a"); daruma.KindOf(err) != daruma.KindExpired {
			t.Errorf("got %v, want it to have expired", err)
		}
		close(s.goOn)
		if n, err := add(t.Context(), c, "add", "a"); n != 1 || err != nil {
			t.Errorf("got %d, %v, want 1", n, err)
		}
		_ = c.Close()
	})
}

func TestChangedWaitsForTheMachineAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, new(memory.Medium), counter{}, celltest.Putter{})
		first, err := c.Changed(t.Context(), "counter", 0)
		if err != nil {
			t.Fatal(err)
		}
		var seen uint64
		go func() {
			seen, err = c.Changed(t.Context(), "counter", first)
		}()
		if _, err := c.Do(t.Context(), cell.Command{Machine: "putter", Body: make([]byte, 8)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if seen != 0 {
			t.Error("another machine's change was taken for the counter's")
		}
		if _, err := add(t.Context(), c, "add", "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if seen <= first || err != nil {
			t.Errorf("got %d, %v, want a mark after %d", seen, err, first)
		}
		_ = c.Close()
		if _, err := c.Changed(t.Context(), "counter", seen); daruma.KindOf(err) != daruma.KindUnavailable {
			t.Errorf("got %v, want unavailable", err)
		}
	})
}

// The older of two cells on one journal must not write any more.
func TestAStaleLeaderIsRefused(t *testing.T) {
	m := new(memory.Medium)
	old := open(t, m, counter{})
	young := open(t, m, counter{})
	if _, err := add(t.Context(), old, "add", "a"); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if n, err := add(t.Context(), young, "add", "a"); n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1", n, err)
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	c := open(t, new(memory.Medium), script{"a"})
	if _, err := c.Do(t.Context(), cell.Command{Machine: "a", Body: make([]byte, cell.CommandBytesMax+1)}); daruma.KindOf(err) != daruma.KindTooLarge {
		t.Errorf("got %v, want it to be too large", err)
	}
	long := string(make([]byte, cell.KeyBytesMax+1))
	if _, err := c.Do(t.Context(), cell.Command{Machine: "a", Body: []byte(`[{"Kind":"set","Key":"` + hex(long) + `"}]`)}); daruma.KindOf(err) != daruma.KindTooLarge {
		t.Errorf("got %v, want it to be too large", err)
	}
	if _, err := c.Do(t.Context(), cell.Command{Machine: "b"}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want it to be invalid", err)
	}
}

// hex makes printable what is as long.
func hex(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

// index keeps the number of its keys in memory.
type index struct{ n *int }

func (index) Name() string { return "index" }

func (x index) Load(r *cell.Reader) error {
	*x.n = 0
	for range r.Scan(cell.Range{}) {
		*x.n++
	}
	return nil
}

func (x index) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	tx.Set(cmd.Body, nil)
	tx.Then(func() { *x.n++ })
	switch cmd.Name {
	case "refuse":
		return nil, errRefused
	case "panic":
		*x.n = -1
		panic("a bug")
	}
	return *x.n, nil
}

func TestAnIndexFollowsWhatWasAppliedAndIsLoadedAfterAPanic(t *testing.T) {
	m := new(memory.Medium)
	n := 0
	c := open(t, m, index{&n})
	do := func(name, key string) (any, error) {
		return c.Do(t.Context(), cell.Command{Machine: "index", Name: name, Body: []byte(key)})
	}
	for i, name := range []string{"add", "refuse", "add", "panic", "add"} {
		_, _ = do(name, string(rune('a'+i)))
	}
	if got, err := do("add", "z"); got != 3 || err != nil {
		t.Errorf("got %v, %v, want 3 keys before this one", got, err)
	}
	_ = c.Close()
	open(t, m, index{&n})
	if n != 4 {
		t.Errorf("got %d after a restart, want 4", n)
	}
}
