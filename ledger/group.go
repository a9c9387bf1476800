package ledger

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/daruma-io/daruma/cell"
)

// What makes a group new, growing or quiet.
const (
	NewFor      = time.Hour        // after it was first seen
	Window      = 10 * time.Minute // its failures are compared with those of the window before
	GrowingMin  = 4                // fewer failures in a window are no growth
	QuietAfter  = time.Hour        // without a failure it is quiet
	minutesKept = 20               // both windows
)

// A Status is what the history of a group amounts to.
type Status string

// The statuses there are.
const (
	StatusNew       Status = "new"       // first seen less than NewFor ago
	StatusGrowing   Status = "growing"   // twice as many in this Window as in the one before, at least
	StatusRegressed Status = "regressed" // it was resolved or quiet, the code has changed, and it is back
	StatusSteady    Status = "steady"
	StatusQuiet     Status = "quiet"    // none for QuietAfter
	StatusResolved  Status = "resolved" // and none since
)

// A Group is failures alike in function, error type and place in the code.
// Where the place is a known function of the code its line does not count, so
// that the group survives an edit elsewhere in the file.
type Group struct {
	Number    GroupID  `json:"id"`
	Function  string   `json:"function"`
	ErrorType string   `json:"errorType,omitempty"`
	Location  Location `json:"location,omitzero"` // of the last failure
	Message   string   `json:"message,omitempty"` // of the last failure
	Owner     string   `json:"owner,omitempty"`   // of the last failure

	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	LastID     ID        `json:"lastId"`
	CodeSHA256 string    `json:"codeSha256,omitempty"` // when it was last seen
	Count      int64     `json:"count"`                // ever
	Kept       int64     `json:"kept"`                 // still in the ledger
	Open       int64     `json:"open"`                 // of these
	Resolved   time.Time `json:"resolved,omitzero"`    // when it was; zero again when it comes back
	Regressed  time.Time `json:"regressed,omitzero"`   // when it came back, until it is resolved

	Told      time.Time `json:"told,omitzero"`       // when there was a notice of it last
	ToldCount int64     `json:"toldCount,omitempty"` // Count at that time
	Notice    NoticeID  `json:"notice,omitempty"`    // the last one

	Minute  int64    `json:"minute"`            // Unix minute of the last of Minutes
	Minutes []uint32 `json:"minutes,omitempty"` // failures in each of the last minutes
}

// Status says what the group's history amounts to at a time.
func (g *Group) Status(now time.Time) Status {
	this, before := g.windows(now)
	switch {
	case !g.Resolved.IsZero():
		return StatusResolved
	case now.Sub(g.Last) >= QuietAfter:
		return StatusQuiet
	case !g.Regressed.IsZero():
		return StatusRegressed
	case now.Sub(g.First) < NewFor:
		return StatusNew
	case this >= GrowingMin && this >= 2*before:
		return StatusGrowing
	}
	return StatusSteady
}

// windows counts the failures of the last Window, and of the one before.
func (g *Group) windows(now time.Time) (this, before uint64) {
	minute := now.Unix() / 60
	const each = int64(Window / time.Minute)
	for i, n := range g.Minutes {
		at := g.Minute - int64(len(g.Minutes)-1-i)
		switch age := minute - at; {
		case age < each:
			this += uint64(n)
		case age < 2*each:
			before += uint64(n)
		}
	}
	return this, before
}

// count notes a failure at a time.
func (g *Group) count(now time.Time) {
	minute := now.Unix() / 60
	if len(g.Minutes) == 0 || minute-g.Minute >= minutesKept {
		g.Minutes, g.Minute = []uint32{0}, minute
	}
	for g.Minute < minute {
		g.Minutes = append(g.Minutes, 0)
		g.Minute++
	}
	g.Minutes = g.Minutes[max(0, len(g.Minutes)-minutesKept):]
	if last := &g.Minutes[len(g.Minutes)-1]; *last < 1<<32-1 {
		*last++
	}
}

// alikeKey is where the number of the group that f belongs to is. A function
// that fails does so whether somebody waited for it or not; something that
// could not be handed on is another matter.
func alikeKey(f *Failure) []byte {
	what := f.Hop
	if what == Async {
		what = Call
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{string(what), f.Function, f.ErrorType, f.Location.identity()}, "\x00")))
	return append([]byte{spaceAlike}, sum[:16]...)
}

// join puts a new failure into its group, which may be a new one.
func join(tx *cell.Tx, f *Failure) *Group {
	key := alikeKey(f)
	g := &Group{Function: f.Function, ErrorType: f.ErrorType, First: f.At}
	if raw, ok := tx.Get(key); ok && len(raw) == 9 {
		if old := groups().Get(tx, raw); old != nil {
			g = old
		}
	}
	if g.Number == 0 {
		g.Number = GroupID(next(tx, 'G'))
		tx.Set(key, numbered(spaceGroup, uint64(g.Number)))
	} else if changed := f.CodeSHA256 != g.CodeSHA256; changed && (!g.Resolved.IsZero() || f.At.Sub(g.Last) >= QuietAfter) {
		g.Regressed = f.At
	}
	g.Resolved = time.Time{}
	g.Location, g.Message, g.Owner, g.CodeSHA256 = f.Location, Cut(f.Message, textBytesMax), f.Owner, f.CodeSHA256
	g.Last, g.LastID = f.At, f.Number
	g.Count++
	g.Kept++
	g.Open++
	g.count(f.At)
	f.Group = g.Number
	return g
}
