package delivery

import (
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/ledger"
)

// open opens deliveries in a memory cell.
func open(t testing.TB) (*cell.Cell, *Deliveries) {
	m := NewMachine(Config{ARN: func(t daruma.Target) string { return t.String() }, Sinks: map[string]Sink{"sink": PutTo("nowhere")}})
	c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{m, ledger.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, New(c, m)
}

// FuzzMachine applies commands nobody would write.
func FuzzMachine(f *testing.F) {
	cmd, err := AcceptCommand(Event{Request: "r", Target: daruma.Target{Function: "F"}, Payload: []byte(`1`), Policy: &Policy{Age: time.Hour}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cmd.Name, cmd.Body)
	for name, body := range map[string]string{commandLease: `{"N":3,"For":1000000000}`, commandExtend: `{"by":1,"held":[{"function":"F","number":1,"lease":2}]}`, commandRelease: `{"held":[{"function":"F","number":1,"lease":2}]}`,
		commandPutOff: `[{"function":"F","number":1,"lease":2,"afterNs":5}]`, commandSettle: `{"function":"F","number":1,"lease":2,"verdict":"failure"}`, commandReclaim: `{"before":9,"n":3}`, commandRedrive: `{"id":"F-1"}`, commandConfigure: `{"wishes":[{"function":"F","policy":{}}],"all":true}`} {
		f.Add(name, []byte(body))
		f.Add(name, cell.Join([]byte(body)))
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		c, d := open(t)
		if _, err := d.Accept(t.Context(), Event{Target: daruma.Target{Function: "F"}, Payload: []byte(`1`)}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Lease(t.Context(), Want{N: 1, For: time.Minute}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Do(t.Context(), cell.Command{Machine: machineName, Name: name, Body: body})
		if k := daruma.KindOf(err); err != nil && (k == daruma.KindInternal || k == daruma.KindCorrupt) {
			t.Fatal(err)
		}
		all, _, err := d.Accounts(t.Context())
		if err != nil || !all.Closes() {
			t.Fatalf("%+v, %v", all, err)
		}
	})
}

// FuzzRecords decodes what a damaged disk may hold.
func FuzzRecords(f *testing.F) {
	s := state{accepted: time.Unix(1, 2).UTC(), attempts: 1, age: time.Minute, own: true, message: "m", tried: []ledger.Attempt{{Outcome: "x"}}}
	record, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add((&Account{Accepted: 1, Bytes: 9}).encode())
	body, err := appendEvent(nil, &Event{Request: "r", Target: daruma.Target{Function: "F"}, Policy: &Policy{}})
	if err != nil {
		f.Fatal(err)
	}
	c := cell.Cursor{Rest: body}
	f.Add(c.Bytes())
	f.Fuzz(func(t *testing.T, record []byte) {
		if s, err := decodeState(record); err == nil {
			again, err := s.encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decodeState(again); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = decodeAccount(record) // must not panic
		_, _ = decodeEvent(record)
		_, _ = decodeLeased("F", record)
	})
}
