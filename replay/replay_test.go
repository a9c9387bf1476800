package replay_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma/replay"
	"github.com/daruma-io/daruma/topic"
)

// A source has replays with a number of parts each, and notes whose turn it was when.
type source struct {
	left  map[string]int
	fails map[string]int // calls
	turns []string
	at    []time.Time
	news  chan uint64
}

func (s *source) Replays() (all []topic.Turn) {
	for _, id := range []string{"a", "b"} {
		if s.left[id] > 0 {
			all = append(all, topic.Turn{Topic: "t", Subscription: id})
		}
	}
	return all
}

func (s *source) Replay(_ context.Context, turn topic.Turn) (bool, error) {
	s.turns, s.at = append(s.turns, turn.Subscription), append(s.at, time.Now())
	if s.fails[turn.Subscription] > 0 {
		s.fails[turn.Subscription]--
		return false, errors.New("it is full")
	}
	s.left[turn.Subscription]--
	return s.left[turn.Subscription] > 0, nil
}

func (s *source) Changed(ctx context.Context, after uint64) (uint64, error) {
	select {
	case n := <-s.news:
		return n, nil
	case <-ctx.Done():
		return after, ctx.Err()
	}
}

// run has a source's replays carried out until nothing is left to do.
func run(s *source) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- replay.New(replay.Config{Source: s}).Run(ctx) }()
	time.Sleep(time.Minute) // in the bubble
	synctest.Wait()
	return func() error { cancel(); return <-done }
}

func TestReplaysTakeTurnsWithPausesBetweenTheirParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{left: map[string]int{"a": 3, "b": 1}, news: make(chan uint64)}
		stop := run(s)
		if want := []string{"a", "b", "a", "a"}; !slices.Equal(s.turns, want) {
			t.Errorf("got turns %q, want %q", s.turns, want)
		}
		for i := 1; i < len(s.at); i++ {
			if d := s.at[i].Sub(s.at[i-1]); d != replay.Pause {
				t.Errorf("%v between two parts", d)
			}
		}
		// One that begins later is found.
		s.left["b"] = 1
		s.news <- 1
		synctest.Wait()
		if len(s.turns) != 5 {
			t.Errorf("got turns %q", s.turns)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAReplayThatFailsIsTriedAgainLaterAndHindersNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{left: map[string]int{"a": 1, "b": 100}, fails: map[string]int{"a": 2}, news: make(chan uint64)}
		began := time.Now()
		stop := run(s)
		var tried, others []time.Duration
		for i, turn := range s.turns {
			if d := s.at[i].Sub(began); turn == "a" {
				tried = append(tried, d)
			} else {
				others = append(others, d)
			}
		}
		if len(tried) != 3 || tried[1] < 5*time.Second || tried[2] < 10*time.Second || s.left["a"] != 0 {
			t.Errorf("it was tried at %v", tried)
		}
		if len(others) != 100 || others[99] > 3*time.Second {
			t.Errorf("the other had %d parts, the last at %v", len(others), others[len(others)-1])
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
