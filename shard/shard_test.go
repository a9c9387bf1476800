package shard_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/shard"
)

func open(t testing.TB) *shard.Shards {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, Machines: []cell.Machine{ledger.Machine{}, shard.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return shard.New(c)
}

func TestALaneMovesOnOnceForEachBatch(t *testing.T) {
	x := open(t)
	r, err := x.Open(t.Context(), shard.Opening{Mapping: "m", Shard: "s", From: 5, Lanes: 1})
	if err != nil || r.Lanes[0].Next != 5 {
		t.Fatalf("got %+v, %v", r, err)
	}
	step := shard.Step{Mapping: "m", Shard: "s", Ending: shard.Done, First: 5, To: 9}
	if r, err = x.Settle(t.Context(), step); err != nil || r.Lanes[0].Next != 9 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if _, err := x.Settle(t.Context(), step); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("the same step again: got %v, want a conflict", err)
	}
	all, err := x.Readers(t.Context(), "m")
	if err != nil || len(all) != 1 || all[0].Lanes[0].Next != 9 {
		t.Errorf("got %+v, %v", all, err)
	}
	if err := x.Drop(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if all, _ := x.Readers(t.Context(), "m"); len(all) != 0 {
		t.Errorf("a mapping that is gone has %+v", all)
	}
}

func TestWhatIsGivenUpMustBeKept(t *testing.T) {
	x := open(t)
	if _, err := x.Open(t.Context(), shard.Opening{Mapping: "m", Shard: "s", Lanes: 1}); err != nil {
		t.Fatal(err)
	}
	step := shard.Step{Mapping: "m", Shard: "s", Ending: shard.Failed, First: 1, To: 3}
	if _, err := x.Settle(t.Context(), step); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want it refused", err)
	}
	step.GivenUp, step.Event = &shard.GivenUp{Failure: ledger.Failure{Function: "F", Request: "r"}}, []byte(`{"Records":[]}`)
	if r, err := x.Settle(t.Context(), step); err != nil || r.Lanes[0].Next != 3 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestStepsThatDoNotFollowAreRefused(t *testing.T) {
	x := open(t)
	for _, o := range []shard.Opening{{}, {Mapping: "m", Lanes: 1}, {Mapping: "m", Shard: "s"}, {Mapping: "m", Shard: "s", Lanes: 11}} {
		if _, err := x.Open(t.Context(), o); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%+v: got %v", o, err)
		}
	}
	if _, err := x.Open(t.Context(), shard.Opening{Mapping: "m", Shard: "s", From: 5, Lanes: 1}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []shard.Step{
		{Ending: "perhaps", First: 5, To: 6}, {Ending: shard.Done, First: 1, To: 4}, {Ending: shard.Failed, Retries: -1, First: 5, To: 7, At: 7}, {Ending: shard.Failed, Retries: -1, First: 5, To: 7, Half: 5},
	} {
		s.Mapping, s.Shard = "m", "s"
		if _, err := x.Settle(t.Context(), s); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%+v: got %v", s, err)
		}
	}
}

func TestALaneIsTriedAgainLaterEachTime(t *testing.T) {
	now := time.Unix(1000, 0)
	l := shard.Lane{Next: 1}
	step := shard.Step{Ending: shard.Failed, Retries: -1, First: 1, To: 4}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		l = l.After(step, now)
		if got := l.Due.Sub(now); got != want*time.Second || l.Tries != i+1 || l.Next != 1 || !cmp.Equal(l.Until, []uint64{4}) {
			t.Errorf("after %d tries: got %+v, want %vs", i+1, l, want)
		}
	}
	if l = l.After(shard.Step{Ending: shard.Untried, Pause: time.Second}, now); l.Tries != 8 {
		t.Errorf("what did not run counts: %+v", l)
	}
}

// However a reader's lanes are divided, each record is handed out once.
func TestEachRecordIsInOneLaneHoweverLanesAreDivided(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c, err := cell.Open(context.Background(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, shard.Machine{}}})
		if err != nil {
			r.Fatal(err)
		}
		defer c.Close()
		x := shard.New(c)
		keys := rapid.SliceOfN(rapid.StringMatching("[a-e]"), 1, 30).Draw(r, "keys")
		done := make([]int, len(keys))
		last := map[string]int{}
		settle := func(is *shard.Reader, lane int, to uint64) {
			for s := is.Lanes[lane].Next; s < to; s++ {
				if k := keys[s]; is.Wants(lane, k, s) {
					if done[s]++; int(s) < last[k] {
						r.Fatalf("record %d of %q follows %d", s, k, last[k])
					}
					last[k] = int(s)
				}
			}
			if _, err := x.Settle(context.Background(), shard.Step{Mapping: "m", Shard: "s", Lane: lane, Turn: is.Lanes[lane].Turn, Ending: shard.Done, First: is.Lanes[lane].Next, To: to}); err != nil {
				r.Fatal(err)
			}
		}
		reopen := func(n int) *shard.Reader {
			is, err := x.Open(context.Background(), shard.Opening{Mapping: "m", Shard: "s", Lanes: n})
			if err != nil {
				r.Fatal(err)
			}
			return is
		}
		n := 1
		for range rapid.IntRange(0, 12).Draw(r, "steps") {
			n = rapid.IntRange(1, 5).Draw(r, "lanes")
			is := reopen(n)
			lane := rapid.IntRange(0, n-1).Draw(r, "lane")
			settle(is, lane, uint64(rapid.IntRange(int(is.Lanes[lane].Next), len(keys)).Draw(r, "to")))
		}
		for lane := range n {
			settle(reopen(n), lane, uint64(len(keys)))
		}
		for s, times := range done {
			if times != 1 {
				r.Fatalf("record %d of %v was handed out %d times", s, keys, times)
			}
		}
	})
}

func FuzzApply(f *testing.F) {
	f.Add("settle", []byte("\x02{}"))
	f.Add("open", []byte(`{"mapping":"m","shard":"s","lanes":2}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{ledger.Machine{}, shard.Machine{}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Do(t.Context(), cell.Command{Machine: "shard", Name: name, Body: body})
		if err != nil && daruma.KindOf(err) == daruma.KindInternal {
			t.Fatal(err)
		}
	})
}
