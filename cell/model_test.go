package cell_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// An op is one thing a script does to the state.
type op struct {
	Kind  string // set, delete, range, count, back, inside, fail
	Key   string
	Value string // of a set; the end of a range
	Ops   []op   // inside: what the other machine is to do
}

// script does what the command's body says, and returns what it has read.
type script struct{ name string }

func (s script) Name() string { return s.name }

func (s script) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	var ops []op
	if err := json.Unmarshal(cmd.Body, &ops); err != nil {
		return nil, err
	}
	var read []string
	for _, o := range ops {
		switch o.Kind {
		case "set":
			tx.Set([]byte(o.Key), []byte(o.Value))
		case "delete":
			tx.Delete([]byte(o.Key))
		case "range":
			tx.DeleteRange(cell.Range{Lower: []byte(o.Key), Upper: []byte(o.Value)})
		case "get":
			v, ok := tx.Get([]byte(o.Key))
			read = append(read, o.Key+"="+string(v)+map[bool]string{true: "!", false: "?"}[ok])
		case "count", "back":
			scan := tx.Scan
			if o.Kind == "back" {
				scan = tx.ScanBack
			}
			for k, v := range scan(cell.Prefix([]byte(o.Key))) {
				read = append(read, string(k)+"="+string(v))
				tx.Set(append([]byte("z"), k...), v) // a scan does not see what is written during it
			}
		case "inside":
			body, _ := json.Marshal(o.Ops)
			v, err := tx.Do(cell.Command{Machine: o.Key, Name: "run", Body: body})
			if err != nil {
				read = append(read, err.Error())
			} else {
				read = append(read, v.([]string)...)
			}
		case "fail":
			return nil, errRefused
		}
	}
	return read, nil
}

// model is the same with a map for each machine.
type model map[string]map[string]string

func (m model) copy() model {
	c := model{}
	for k, v := range m {
		c[k] = maps.Clone(v)
	}
	return c
}

func (m model) run(machine string, ops []op) (read []string, err error) {
	under := func(prefix string) []string {
		state := m[machine]
		var keys []string
		for _, k := range slices.Sorted(maps.Keys(state)) {
			if strings.HasPrefix(k, prefix) {
				keys = append(keys, k)
			}
		}
		return keys
	}
	for _, o := range ops {
		state := m[machine] // another one after something inside was undone
		switch o.Kind {
		case "set":
			state[o.Key] = o.Value
		case "delete":
			delete(state, o.Key)
		case "range":
			maps.DeleteFunc(state, func(k, _ string) bool { return k >= o.Key && k < o.Value })
		case "get":
			v, ok := state[o.Key]
			read = append(read, o.Key+"="+v+map[bool]string{true: "!", false: "?"}[ok])
		case "count", "back":
			keys := under(o.Key)
			if o.Kind == "back" {
				slices.Reverse(keys)
			}
			before := maps.Clone(state)
			for _, k := range keys {
				read = append(read, k+"="+before[k])
				state["z"+k] = before[k]
			}
		case "inside":
			saved := m.copy()
			inner, err := m.run(o.Key, o.Ops)
			if err != nil {
				for k := range m {
					m[k] = saved[k]
				}
				read = append(read, err.Error())
			} else {
				read = append(read, inner...)
			}
		case "fail":
			return nil, errRefused
		}
	}
	return read, nil
}

func drawOps(rt *rapid.T, depth int) []op {
	key := rapid.StringMatching(`[abz]{0,3}`)
	kinds := []string{"set", "set", "set", "delete", "range", "get", "count", "back", "fail"}
	if depth < 2 {
		kinds = append(kinds, "inside", "inside")
	}
	var ops []op
	for range rapid.IntRange(1, 5).Draw(rt, "ops") {
		o := op{Kind: rapid.SampledFrom(kinds).Draw(rt, "kind"), Key: key.Draw(rt, "key"), Value: key.Draw(rt, "value")}
		if o.Kind == "inside" {
			o.Key = rapid.SampledFrom([]string{"a", "ab"}).Draw(rt, "machine")
			o.Ops = drawOps(rt, depth+1)
		}
		ops = append(ops, o)
	}
	return ops
}

// exercise has a cell and a model do the same, with restarts, and compares
// every answer and the state at the end.
func exercise(rt *rapid.T, p journal.Place) {
	machines := []cell.Machine{script{"a"}, script{"ab"}} // one name begins with the other
	reopen := func() *cell.Cell {
		c, err := cell.Open(context.Background(), cell.Config{Journal: p, Machines: machines})
		if err != nil {
			rt.Fatal(err)
		}
		return c
	}
	c, want := reopen(), model{"a": {}, "ab": {}}
	for range rapid.IntRange(1, 12).Draw(rt, "commands") {
		machine := rapid.SampledFrom([]string{"a", "ab"}).Draw(rt, "machine")
		ops := drawOps(rt, 0)
		body, _ := json.Marshal(ops)
		got, err := c.Do(context.Background(), cell.Command{Machine: machine, Name: "run", Body: body})
		after := want.copy()
		read, wantErr := after.run(machine, ops)
		if !errors.Is(err, wantErr) {
			rt.Fatalf("got error %v, want %v", err, wantErr)
		}
		if wantErr == nil {
			want = after
			if diff := cmp.Diff(read, got.([]string)); diff != "" {
				rt.Fatal(diff)
			}
		}
		if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
			if err := c.Close(); err != nil {
				rt.Fatal(err)
			}
			c = reopen()
		}
	}
	for machine, state := range want {
		got := map[string]string{}
		err := c.View(context.Background(), "a", func(r *cell.Reader) error {
			last := []byte(nil)
			for k, v := range r.Of(machine).Scan(cell.Range{}) {
				if last != nil && bytes.Compare(last, k) >= 0 {
					rt.Fatalf("%q comes after %q", k, last)
				}
				last = k
				got[string(k)] = string(v)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(state, got); diff != "" {
			rt.Fatalf("%s: %s", machine, diff)
		}
	}
	if err := c.Close(); err != nil {
		rt.Fatal(err)
	}
}

func TestACellDoesWhatItsModelDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { exercise(rt, new(memory.Medium)) })
}

func TestACellOnADiskDoesWhatItsModelDoes(t *testing.T) {
	base, n := t.TempDir(), 0
	deadline := 0
	rapid.Check(t, func(rt *rapid.T) {
		if deadline++; deadline > 20 {
			return // the disk is slow, and the memory journal has seen the rest
		}
		n++
		exercise(rt, smallPlace(base+"/"+string(rune('a'+n))))
	})
}

// recorder keeps the entries that pass through it.
type recorder struct {
	journal.Place
	entries []journal.Entry
}

func (r *recorder) Open(ctx context.Context, apply journal.Apply) (journal.Journal, error) {
	j, err := r.Place.Open(ctx, apply)
	return &recording{j, r}, err
}

type recording struct {
	journal.Journal
	to *recorder
}

func (r *recording) Append(e journal.Entry, done journal.Done) error {
	r.to.entries = append(r.to.entries, e)
	return r.Journal.Append(e, done)
}

// replayer applies entries that were recorded elsewhere before anything else.
type replayer struct {
	journal.Place
	entries []journal.Entry
}

func (r replayer) Open(ctx context.Context, apply journal.Apply) (journal.Journal, error) {
	j, err := r.Place.Open(ctx, apply)
	for _, e := range r.entries {
		if err == nil {
			err = j.Append(e, func(uint64, any, error) {})
		}
	}
	return j, err
}
