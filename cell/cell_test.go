package cell_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// counter adds to numbers by name. It can be made to fail.
type counter struct{}

func (counter) Name() string { return "counter" }

var errRefused = errors.New("refused")

func (counter) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	v, _ := tx.Get(cmd.Body)
	var n uint64
	if len(v) == 8 {
		n = binary.BigEndian.Uint64(v)
	}
	n++
	tx.Set(cmd.Body, binary.BigEndian.AppendUint64(nil, n))
	switch cmd.Name {
	case "refuse":
		return nil, errRefused
	case "panic":
		panic("a bug")
	}
	return n, nil
}

func open(t *testing.T, m *memory.Medium, machines ...cell.Machine) *cell.Cell {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: machines})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func add(ctx context.Context, c *cell.Cell, name, key string) (uint64, error) {
	v, err := c.Do(ctx, cell.Command{Machine: "counter", Name: name, Body: []byte(key)})
	n, _ := v.(uint64)
	return n, err
}

func TestWritersAtOnceAreAppliedOneAfterAnother(t *testing.T) {
	c := open(t, new(memory.Medium), counter{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if _, err := add(t.Context(), c, "add", "a"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := add(t.Context(), c, "add", "a"); n != 1601 || err != nil {
		t.Fatalf("got %d, %v, want 1601", n, err)
	}
}

func TestACommandThatFailsLeavesNothing(t *testing.T) {
	c := open(t, new(memory.Medium), counter{})
	if _, err := add(t.Context(), c, "refuse", "a"); !errors.Is(err, errRefused) {
		t.Errorf("got %v, want the machine's own error", err)
	}
	if _, err := add(t.Context(), c, "panic", "a"); daruma.KindOf(err) != daruma.KindInternal || err == nil {
		t.Errorf("got %v, want an internal error", err)
	}
	if h := c.Health(); h.State != cell.Degraded || h.Panics != 1 {
		t.Errorf("got %+v, want degraded after a panic", h)
	}
	if n, err := add(t.Context(), c, "add", "a"); n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1", n, err)
	}
}

// bell rings timers.
type bell struct {
	rung func(key string, late time.Duration)
}

func (bell) Name() string { return "bell" }

func (b bell) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	after := time.Duration(binary.BigEndian.Uint64(cmd.Body))
	tx.Schedule(tx.Now().Add(after), []byte(cmd.Name))
	return nil, nil
}

func (b bell) Due(tx *cell.Tx, key []byte, at time.Time) error {
	b.rung(string(key), tx.Now().Sub(at))
	return nil
}

func TestTimersComeDueInTheOrderOfTheirTimesAndNeverEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rung []string
		b := bell{func(key string, late time.Duration) {
			rung = append(rung, key)
			if late != 0 {
				t.Errorf("%s: got %v late, want none", key, late)
			}
		}}
		c := open(t, new(memory.Medium), b)
		for key, after := range map[string]time.Duration{"c": 3 * time.Hour, "a": time.Second, "b": time.Second + 1} {
			if _, err := c.Do(t.Context(), cell.Command{Machine: "bell", Name: key, Body: binary.BigEndian.AppendUint64(nil, uint64(after))}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait() // what was written at another goroutine's step is ours to read
		if got := len(rung); got != 3 || rung[0] != "a" || rung[1] != "b" || rung[2] != "c" {
			t.Errorf("got %v, want a b c", rung)
		}
		_ = c.Close()
	})
}
