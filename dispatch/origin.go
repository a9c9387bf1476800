package dispatch

import (
	"context"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/mapping"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/route"
)

// An Origin is one kind of source that mappings take records from. It holds what
// it hands out by leases, and counts how often a record was tried. Its methods
// may be called from any goroutine.
type Origin interface {
	// Waiting says how many records there are to take for a mapping; it may say 1
	// for any number when the mapping has no window. It is cheap when there are none.
	Waiting(ctx context.Context, m *mapping.Mapping) (int, error)
	// Take takes up to n records, those of one group in their order, and holds
	// them for as long as the source says; for hold at least, when that is not 0.
	Take(ctx context.Context, m *mapping.Mapping, n int, hold time.Duration) ([]Record, error)
	// Settle says what becomes of records, in their order and, unless much is to be
	// said of them, in one atomic step. Those that are not held any more are left
	// alone, so it may be said again when it ended in an error.
	Settle(ctx context.Context, m *mapping.Mapping, fates []Fate) error
	// Reclaim takes back what was held before this process began.
	Reclaim(ctx context.Context, m *mapping.Mapping) error
	// Wake holds a token when there may be something to take.
	Wake() <-chan struct{}
}

// A Record is one record of a source.
type Record struct {
	Event  string    // what tells it apart, for people and breakers
	Group  string    // records of one group are handed out in order; "" has none
	Number uint64    // its source's own, with Lease; records are compared by it
	Lease  uint64    //
	Again  time.Time // when it comes back if it fails
	Until  time.Time // when it is not held any more
	Trace  string    // of its sender
	Body   any       // what it is, for who encodes it

	ID       string    // a message's, for its story
	Since    time.Time // when it came, or was taken last
	Receives int       // the how manyth time it is taken
	From     string    // the failure whose event it is, sent back: "F-17"; or ""
	Alone    bool      // it has failed while most others went well
}

// A Fate is what becomes of a record.
type Fate struct {
	Record
	Do    Do
	After time.Duration // of Failed, Untried and Aside: when it may be taken again; of Kept: how long from now
	Try   *Try          // of Failed and GivenUp: what is known
	Once  *once.Entry   // of Finished and GivenUp: its idempotency key, kept or counted in the same step
}

// Do is what is done with a record.
type Do uint8

// What is done with records.
const (
	Finished Do = iota + 1 // it is done
	Failed                 // it was tried, and that counts
	Untried                // it was not tried, as far as it counts
	Aside                  // likewise, and of what waits so there may be more than may be held at once
	Kept                   // it is still being tried
	GivenUp                // it is not run any more, because of what it is
)

// A Try is a run that failed, for the ledger.
type Try struct {
	Target  daruma.Target
	Outcome daruma.Outcome
	Facts   route.Facts
	Started time.Time
}

// A Kind is all there is to know of one kind of source.
type Kind struct {
	Origin
	// Encode makes the event of the first n records, as many as fit.
	Encode func(m *mapping.Mapping, records []Record) (payload []byte, n int, err error)
	// View is what filters look at.
	View func(m *mapping.Mapping, r Record) pattern.Value
	// JSON is a record as keys are found in it: those of idempotency and of dependencies.
	JSON func(m *mapping.Mapping, r Record) []byte
	// Report reads which of a batch's records a function reports as failed, by
	// their position, ascending. An error says that the report makes no sense.
	Report func(answer []byte, records []Record) (failed []int, err error)
}
