package inject_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault/inject"
)

// lines is an event of records: a queue's name, and a line for each.
func lines(event []byte) (inject.Batch, bool) {
	all := bytes.Split(event, []byte("\n"))
	name, ok := bytes.CutPrefix(all[0], []byte("queue "))
	if !ok {
		return inject.Batch{}, false
	}
	b := inject.Batch{Queue: string(name), Event: func(each [][]byte) []byte { return bytes.Join(append([][]byte{all[0]}, each...), []byte("\n")) },
		Damaged: func(record []byte, instead string) []byte {
			if instead == "" {
				instead = "damaged"
			}
			return fmt.Append(nil, `{"id":"`, instead, `"}`)
		}}
	if table, ok := bytes.CutPrefix(all[0], []byte("queue table ")); ok {
		b.Queue, b.Table = "", string(table)
	}
	for _, line := range all[1:] {
		var r struct{ ID string }
		if json.Unmarshal(line, &r) != nil {
			return b, false
		}
		b.Records = append(b.Records, inject.Record{ID: r.ID, JSON: line})
	}
	return b, true
}

// taking is a Runner that keeps what it was handed.
type taking struct{ events [][]byte }

func (t *taking) Run(_ context.Context, inv daruma.Invocation) daruma.Outcome {
	t.events = append(t.events, inv.Payload)
	return daruma.Outcome{Kind: daruma.Done}
}

// batch is an event of records from a source.
func batch(source string, ids ...int) []byte {
	b := []byte("queue " + source)
	for _, id := range ids {
		b = fmt.Appendf(b, "\n{\"id\":\"m%d\"}", id)
	}
	return b
}

// handed runs an event, and returns what the function was handed and what it was marked with.
func handed(s *inject.Faults, event []byte) (string, []string) {
	next := &taking{}
	o := s.Runner(next).Run(context.Background(), daruma.Invocation{ID: daruma.NewID(), Attempt: 1, Target: daruma.Target{Function: "Work"}, Payload: event})
	return string(next.events[0]), o.Faults
}

func TestTheSameRecordsAreAlwaysPoison(t *testing.T) {
	s := inject.New(inject.Config{Records: lines})
	r := start(t, s, `{"kind":"poison-record","target":{"queue":"Jobs"},"dose":{"rate":0.2},"seed":3}`)
	const n = 5000
	var poison []int
	for id := range n {
		if got, _ := handed(s, batch("Jobs", id)); strings.Contains(got, "damaged") {
			poison = append(poison, id)
		}
	}
	if want, spread := 0.2*n, 4*math.Sqrt(n*0.2*0.8); math.Abs(float64(len(poison))-want) > spread {
		t.Errorf("%d of %d are poison, want %g give or take %g", len(poison), n, want, spread)
	}
	if got := r.State(); got.Met != uint64(len(poison)) || got.Seen != n {
		t.Errorf("got met %d of %d counted, want %d of %d", got.Met, got.Seen, len(poison), n)
	}
	for id := range 200 { // again, with others: as a batch is that is cut in halves
		got, marks := handed(s, batch("Jobs", id, id+1, id+2))
		for i, record := range strings.Split(got, "\n")[1:] {
			if is, want := strings.Contains(record, "damaged"), slices.Contains(poison, id+i); is != want {
				t.Fatalf("record %d of the batch from %d: got damaged %v, want %v as the first time", i, id, is, want)
			}
		}
		if marked := len(marks) == 1; marked != strings.Contains(got, "damaged") {
			t.Fatalf("the batch from %d is marked %v, and is %s", id, marks, got)
		}
	}
	if got := r.State(); got.Met != uint64(len(poison)) {
		t.Errorf("a record that comes again is counted again: %d, want %d", got.Met, len(poison))
	}
	r.Stop()
	if got, marks := handed(s, batch("Jobs", poison[0])); strings.Contains(got, "damaged") || len(marks) > 0 {
		t.Errorf("after its end: got %s marked %v", got, marks)
	}
}

func TestPoisonIsOfOneSourceAndOfTheRecordsThatFit(t *testing.T) {
	for _, c := range []struct {
		target string
		event  []byte
		want   int
	}{
		{`{"queue":"Jobs"}`, batch("Jobs", 1, 2), 2},
		{`{"queue":"Jobs"}`, batch("Other", 1, 2), 0},
		{`{"queue":"Jobs"}`, batch("table Jobs", 1, 2), 0},
		{`{"table":"Orders"}`, batch("table Orders", 1, 2), 2},
		{`{"queue":"Jobs","function":"Work"}`, batch("Jobs", 1), 1},
		{`{"queue":"Jobs","function":"Rest"}`, batch("Jobs", 1), 0},
		{`{"queue":"Jobs","match":[{"path":"$.id","value":"m2"}]}`, batch("Jobs", 1, 2, 3), 1},
		{`{"queue":"Jobs"}`, []byte(`{"no":"batch"}`), 0},
	} {
		t.Run(c.target+" "+string(c.event), func(t *testing.T) {
			s := inject.New(inject.Config{Records: lines})
			start(t, s, `{"kind":"poison-record","target":`+c.target+`}`)
			if got, _ := handed(s, c.event); strings.Count(got, "damaged") != c.want {
				t.Errorf("got %s, want %d records damaged", got, c.want)
			}
		})
	}
}

func TestPoisonMayBeGiven(t *testing.T) {
	s := inject.New(inject.Config{Records: lines})
	start(t, s, `{"kind":"poison-record","target":{"queue":"Jobs"},"with":{"body":"drunk"}}`)
	if got, _ := handed(s, batch("Jobs", 1)); !strings.Contains(got, "drunk") {
		t.Errorf("got %s", got)
	}
}

func TestAStuckShardGoesOnWhenTheFaultEndsOrItsCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inject.New(inject.Config{Records: lines})
		r := start(t, s, `{"kind":"stuck-shard","target":{"table":"Orders"}}`)
		ctx, leave := context.WithCancel(t.Context())
		run := func(ctx context.Context) <-chan daruma.Outcome {
			ended := make(chan daruma.Outcome, 1)
			go func() {
				ended <- s.Runner(&answering{}).Run(ctx, daruma.Invocation{ID: daruma.NewID(), Target: daruma.Target{Function: "Work"}, Payload: batch("table Orders", 1, 2)})
			}()
			return ended
		}
		stays, leaves := run(t.Context()), run(ctx)
		synctest.Wait()
		if len(stays)+len(leaves) != 0 {
			t.Fatal("a shard that is stuck went on")
		}
		leave()
		if o := <-leaves; o.Kind.Ran() || !slices.Equal(o.Faults, []string{"FT-1 stuck-shard"}) {
			t.Errorf("whose caller left: got %+v, want one that did not run, and is marked", o)
		}
		r.Stop()
		if o := <-stays; o.Kind != daruma.Done || !slices.Equal(o.Faults, []string{"FT-1 stuck-shard"}) {
			t.Errorf("after the end: got %+v, want it done, and marked", o)
		}
		if got := r.State().Met; got != 2 {
			t.Errorf("got %d met, want 2", got)
		}
	})
}
