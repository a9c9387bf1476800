package throughput

import (
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
)

// burst is how much unused throughput is kept for later (Developer Guide,
// "Burst capacity").
const burst = 300 * time.Second

// Meters keeps what is left of provisioned throughput. A request is let
// through while something is left, and charged afterwards: what it cost is
// known only then. Nothing of it is durable; after a restart every bucket is full.
type Meters struct {
	clock daruma.Clock
	mu    sync.Mutex // guards all
	all   map[meterKey]*meter
}

// New returns full meters that go by a clock.
func New(clock daruma.Clock) *Meters { return &Meters{clock: clock} }

type meterKey struct {
	table uint32
	index uint32
	write bool
}

// A meter is one bucket.
type meter struct {
	left float64
	rate float64
	at   time.Time
}

const (
	throttledTable = "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."
	throttledIndex = "The level of configured provisioned throughput for one or more global secondary indexes of the table was exceeded. Consider provisioning your under-provisioned global secondary indexes with the UpdateTable API"
)

// Admit refuses a request when the throughput of a table, or of an index, is used up.
func (m *Meters) Admit(s *schema.Table, index string, write bool) error {
	if s == nil || s.OnDemand {
		return nil
	}
	number, t, message := uint32(0), s.Throughput, throttledTable
	if x := s.Index(index); x != nil && !x.Local {
		number, t, message = x.Number, x.Throughput, throttledIndex
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.meter(s.Number, number, write, t).left > 0 {
		return nil
	}
	return refuse.Of(&refuse.Error{Code: refuse.Throttled, Message: message, Table: s.Name, Index: index, Write: write})
}

// AdmitAction refuses a check when the throughput of its table is used up, and a
// write also when that of one of its global indexes is: whether the write reaches
// the index is known only when it is taken.
func (m *Meters) AdmitAction(s *schema.Table, check bool) error {
	if s == nil || s.OnDemand {
		return nil
	}
	if err := m.Admit(s, "", !check); err != nil || check {
		return err
	}
	for i := range s.Indexes {
		if x := &s.Indexes[i]; !x.Local {
			if err := m.Admit(s, x.Name, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// AdmitAll refuses a transaction of n actions when one of them is not admitted,
// with a reason for each.
func AdmitAll(n int, admit func(i int) error) error {
	var reasons []refuse.Reason
	for i := range n {
		reason, throttled := refuse.ReasonOf(admit(i))
		if !throttled {
			continue
		}
		if reasons == nil {
			reasons = make([]refuse.Reason, n)
		}
		reasons[i] = reason
	}
	if reasons == nil {
		return nil
	}
	return refuse.Cancel(reasons)
}

// Charge takes what a request used.
func (m *Meters) Charge(s *schema.Table, c Capacity) {
	if s == nil || s.OnDemand {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	own := c.Units
	for _, x := range c.Locals {
		own += x.Units
	}
	m.meter(s.Number, 0, c.Write, s.Throughput).left -= own
	for _, u := range c.Globals {
		if x := s.Index(u.Name); x != nil {
			m.meter(s.Number, x.Number, c.Write, x.Throughput).left -= u.Units
		}
	}
}

// meter returns a bucket, filled up to now. It is called with mu held.
func (m *Meters) meter(table, index uint32, write bool, t schema.Throughput) *meter {
	rate := float64(t.Read)
	if write {
		rate = float64(t.Write)
	}
	now := m.clock.Now()
	key := meterKey{table, index, write}
	b := m.all[key]
	if b == nil || b.rate != rate {
		if m.all == nil {
			m.all = map[meterKey]*meter{}
		}
		b = &meter{left: rate * burst.Seconds(), rate: rate, at: now}
		m.all[key] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.left = min(b.left+rate*d.Seconds(), rate*burst.Seconds())
		b.at = now
	}
	return b
}
