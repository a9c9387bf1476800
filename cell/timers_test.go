package cell_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// alarm sets, moves and cancels timers, and keeps what they did in the state:
// when they came, and something random.
type alarm struct {
	failures map[string]int // how often a timer's Due is to fail
}

func (alarm) Name() string { return "alarm" }

func (alarm) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	switch cmd.Name {
	case "set":
		after := time.Duration(binary.BigEndian.Uint64(cmd.Body))
		tx.Schedule(tx.Now().Add(after), cmd.Body[8:])
	case "cancel":
		tx.Cancel(cmd.Body)
	case "fail":
		tx.Schedule(tx.Now(), cmd.Body)
		return nil, errRefused
	}
	at, ok := tx.Scheduled(cmd.Body)
	if ok != (at != time.Time{}) {
		return nil, errors.New("a timer without a time")
	}
	return nil, nil
}

func (a alarm) Due(tx *cell.Tx, key []byte, at time.Time) error {
	n, _ := tx.Get([]byte("n"))
	tx.Set([]byte("n"), append(n, '.'))
	switch {
	case bytes.HasPrefix(key, []byte("too large")):
		tx.Set(key, make([]byte, cell.ValueBytesMax+1))
	case bytes.HasPrefix(key, []byte("much")): // twelve of these are more than a command may write
		tx.Set(key, make([]byte, 3<<20))
	case bytes.HasPrefix(key, []byte("too much")):
		for i := range 3 {
			tx.Set(append(key[:len(key):len(key)], byte(i)), make([]byte, cell.StepBytesMax/3))
		}
	case string(key) == "all of it": // what taking the timer writes is too much then
		const space = len("_alarm_")
		left := cell.StepBytesMax - space - len("n") - len(n) - len(".") // the count is written, too
		for i := range 3 {
			k := slices.Concat(key, []byte{byte(i)})
			v := make([]byte, left/(3-i)-space-len(k))
			left -= space + len(k) + len(v)
			tx.Set(k, v)
		}
		return nil
	}
	if a.failures[string(key)] > 0 {
		a.failures[string(key)]-- // a test's trick: a real machine keeps nothing
		return errors.New("not yet")
	}
	tx.Set(fmt.Appendf(nil, "rung %03d", len(n)), fmt.Appendf(nil, "%s at %v, %v late, %s", key, at.Format(time.TimeOnly), tx.Now().Sub(at), tx.NewID()))
	return nil
}

func set(t *testing.T, c *cell.Cell, after time.Duration, key string) {
	t.Helper()
	if _, err := c.Do(t.Context(), cell.Command{Machine: "alarm", Name: "set", Body: append(binary.BigEndian.AppendUint64(nil, uint64(after)), key...)}); err != nil {
		t.Fatal(err)
	}
}

// rung returns what the alarms did, without what is random.
func rung(t *testing.T, c *cell.Cell) (short []string, whole map[string]string) {
	t.Helper()
	whole = map[string]string{}
	err := c.View(t.Context(), "alarm", func(r *cell.Reader) error {
		for k, v := range r.Scan(cell.Range{}) {
			whole[string(k)] = string(v)
		}
		for _, v := range r.Scan(cell.Prefix([]byte("rung "))) {
			short = append(short, string(v[:len(v)-len(", 00000000-0000-4000-8000-000000000000")]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return short, whole
}

func openAlarm(t *testing.T, cfg cell.Config, a alarm) *cell.Cell {
	t.Helper()
	cfg.Machines, cfg.CanaryEvery = []cell.Machine{a}, time.Hour
	c, err := cell.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTimersSurviveARestartAndAreLateOnlyByIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory.Medium)
		c := openAlarm(t, cell.Config{Journal: m}, alarm{})
		set(t, c, 10*time.Second, "a")
		set(t, c, 20*time.Second, "b")
		set(t, c, 40*time.Second, "c")
		time.Sleep(15 * time.Second)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		c = openAlarm(t, cell.Config{Journal: m}, alarm{})
		time.Sleep(time.Minute)
		got, _ := rung(t, c)
		want := []string{"a at 00:00:10, 0s late", "b at 00:00:20, 5s late", "c at 00:00:40, 0s late"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		_ = c.Close()
	})
}

func TestATimerCanBeMovedAndCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openAlarm(t, cell.Config{Journal: new(memory.Medium)}, alarm{})
		set(t, c, 10*time.Second, "moved")
		set(t, c, 10*time.Second, "cancelled")
		set(t, c, 20*time.Second, "moved")
		for name, key := range map[string]string{"cancel": "cancelled", "fail": "never set"} {
			_, err := c.Do(t.Context(), cell.Command{Machine: "alarm", Name: name, Body: []byte(key)})
			if (err != nil) != (name == "fail") {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		got, _ := rung(t, c)
		if diff := cmp.Diff([]string{"moved at 00:00:20, 0s late"}, got); diff != "" {
			t.Error(diff)
		}
		_ = c.Close()
	})
}

func TestATimerThatFailsLeavesNothingAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openAlarm(t, cell.Config{Journal: new(memory.Medium)}, alarm{failures: map[string]int{"a": 3}})
		set(t, c, 10*time.Second, "a")
		set(t, c, 11*time.Second, "b")
		time.Sleep(time.Hour)
		got, whole := rung(t, c)
		want := []string{"b at 00:00:11, 0s late", "a at 00:00:10, 7s late"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if whole["n"] != ".." {
			t.Errorf("got %q, want the failed tries to have left nothing", whole["n"])
		}
		_ = c.Close()
	})
}

func TestATimerThatCanNeverBeTakenDoesNotHinderOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openAlarm(t, cell.Config{Journal: new(memory.Medium)}, alarm{})
		set(t, c, 10*time.Second, "too large")
		set(t, c, 10*time.Second, "too much")
		set(t, c, 10*time.Second, "all of it")
		set(t, c, 10*time.Second, "a")
		set(t, c, 11*time.Second, "b")
		time.Sleep(5 * time.Minute)
		got, whole := rung(t, c)
		if diff := cmp.Diff([]string{"a at 00:00:10, 0s late", "b at 00:00:11, 0s late"}, got); diff != "" {
			t.Error(diff)
		}
		if whole["n"] != ".." {
			t.Errorf("got %q, want the others to have left nothing", whole["n"])
		}
		_ = c.Close()
	})
}

func TestTimersThatTogetherWriteMoreThanACommandMayAreAllTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openAlarm(t, cell.Config{Journal: new(memory.Medium)}, alarm{})
		const all = 30
		for i := range all {
			set(t, c, 10*time.Second, fmt.Sprintf("much %02d", i))
		}
		time.Sleep(time.Minute)
		got, _ := rung(t, c)
		for i, is := range got {
			if want := fmt.Sprintf("much %02d at 00:00:10, 0s late", i); is != want {
				t.Errorf("got %q, want %q", is, want)
			}
		}
		if len(got) != all {
			t.Errorf("%d timers were taken, want %d", len(got), all)
		}
		_ = c.Close()
	})
}

func TestManyTimersAreTakenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := openAlarm(t, cell.Config{Journal: new(memory.Medium)}, alarm{})
		for i := range 500 {
			set(t, c, time.Duration(i*7919%500)*time.Millisecond+time.Hour, fmt.Sprint(i))
		}
		time.Sleep(2 * time.Hour)
		got, _ := rung(t, c)
		if len(got) != 500 {
			t.Fatalf("got %d timers, want 500", len(got))
		}
		last := ""
		for _, s := range got {
			at := s[len(s)-len("00:00:00, 0s late"):]
			if at < last {
				t.Errorf("%q came after %q", at, last)
			}
			last = at
		}
		_ = c.Close()
	})
}

func TestAReplayLeadsToTheSameState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{Place: new(memory.Medium)}
		c := openAlarm(t, cell.Config{Journal: rec}, alarm{})
		for i := range 50 {
			set(t, c, time.Duration(i)*time.Minute, fmt.Sprint(i))
		}
		time.Sleep(30*time.Minute + 30*time.Second)
		_, want := rung(t, c)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if len(want) < 20 {
			t.Fatalf("only %d records: nothing is proven", len(want))
		}
		time.Sleep(time.Hour)
		c = openAlarmWithoutTimers(t, replayer{Place: new(memory.Medium), entries: rec.entries})
		_, got := rung(t, c)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		_ = c.Close()
	})
}

// openAlarmWithoutTimers opens a cell whose clock stands still, so that it
// takes no timer of its own.
func openAlarmWithoutTimers(t *testing.T, p replayer) *cell.Cell {
	t.Helper()
	return openAlarm(t, cell.Config{Journal: p, Clock: stopped{}}, alarm{})
}

type stopped struct{}

func (stopped) Now() time.Time                                   { return time.Unix(0, 0) }
func (stopped) AfterFunc(time.Duration, func()) func() bool      { return func() bool { return true } }
func (stopped) Sleep(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }
