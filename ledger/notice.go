package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Limits of what is to be told.
const (
	NoticesMax     = 1000 // the oldest go first, and are counted
	tellingMax     = 64   // channels of one notice
	toldAgainTimes = 10   // as many failures as when it was told last make a growing group worth telling at once
)

// A NoticeID names a notice: "N-12".
type NoticeID uint64

// An Occasion is why somebody is to be told.
type Occasion string

// The occasions there are.
const (
	BecameNew       Occasion = "new"       // a group's first failure
	BecameGrowing   Occasion = "growing"   // a group's failures become more
	BecameRegressed Occasion = "regressed" // a group is back in other code
	RepairBegan     Occasion = "repair"    // the platform does something by itself
	RepairEnded     Occasion = "repaired"  // and this came of it
)

// A Notice says that an owner is to be told something. It is written in the
// same step as what it tells of, and stays until it was told through every
// channel that is wanted, or given up. While nobody was told, a later notice of
// the same group or repair takes its place.
//
// What it tells of is read when it is told, from its group, failure or repair.
type Notice struct {
	Number   NoticeID  `json:"id"`
	At       time.Time `json:"at"` // of the first occasion it stands for
	Occasion Occasion  `json:"occasion"`
	Function string    `json:"function,omitempty"`
	Owner    string    `json:"owner,omitempty"`
	Group    GroupID   `json:"group,omitempty"`
	Failure  ID        `json:"failure,omitempty"`
	Repair   RepairID  `json:"repair,omitempty"`
	Done     []string  `json:"done,omitempty"` // channels that need not be tried any more
}

// A Telling is what came of telling some notices through one channel.
type Telling struct {
	Channel  string     `json:"channel"`
	Notices  []NoticeID `json:"notices"`
	GivenUp  bool       `json:"givenUp,omitempty"`  // it could not be told, and is not tried again
	Finished []NoticeID `json:"finished,omitempty"` // no channel is left to tell these
}

// A Tally counts what became of notices, ever. One notice through two channels counts twice.
type Tally struct {
	Waiting int64 `json:"waiting"` // notices, now
	Told    int64 `json:"told"`
	GivenUp int64 `json:"givenUp"`
	Dropped int64 `json:"dropped"` // notices, to stay within NoticesMax
}

// Notices returns up to n notices that wait, the oldest first, and the tally.
func (l *Ledger) Notices(ctx context.Context, n int) (list []*Notice, t Tally, err error) {
	err = l.view(ctx, "read notices", func(r *cell.Reader) error {
		t = *tally(r)
		for _, one := range notices().All(r, cell.Prefix([]byte{spaceNotice})) {
			if len(list) >= n {
				break
			}
			list = append(list, one)
		}
		return nil
	})
	return list, t, err
}

// Told notes what came of telling notices. A notice that is gone is passed over.
func (l *Ledger) Told(ctx context.Context, t Telling) error {
	_, err := l.do(ctx, commandTold, command(commandTold, t).Body)
	return daruma.Wrap("note what was told", "", err)
}

// Changed waits until the ledger is not what it was when after was returned; see [cell.Cell.Changed].
func (l *Ledger) Changed(ctx context.Context, after uint64) (uint64, error) {
	return l.cell.Changed(ctx, machineName, after)
}

func tally(s cell.State) *Tally {
	if t := tallies().Get(s, []byte{spaceTally}); t != nil {
		return t
	}
	return &Tally{}
}

func told(tx *cell.Tx, given Telling) error {
	t := tally(tx)
	for _, n := range given.Notices {
		key := numbered(spaceNotice, uint64(n))
		one := notices().Get(tx, key)
		if one == nil || slices.Contains(one.Done, given.Channel) || len(one.Done) == tellingMax {
			continue
		}
		one.Done = append(one.Done, given.Channel)
		notices().Put(tx, key, one)
		if given.GivenUp {
			t.GivenUp++
		} else {
			t.Told++
		}
	}
	for _, n := range given.Finished {
		key := numbered(spaceNotice, uint64(n))
		if _, there := tx.Get(key); there {
			tx.Delete(key)
			t.Waiting--
		}
	}
	tallies().Put(tx, []byte{spaceTally}, t)
	return nil
}

// announce writes a notice and returns its number. before is the last one of
// the same matter: while nobody was told of it, the new one takes its place.
func announce(tx *cell.Tx, n Notice, before NoticeID) NoticeID {
	t := tally(tx)
	n.At = tx.Now()
	if old := notices().Get(tx, numbered(spaceNotice, uint64(before))); before != 0 && old != nil && len(old.Done) == 0 {
		n.At = old.At
		if n.Occasion == BecameGrowing {
			n.Occasion = old.Occasion
		}
		tx.Delete(numbered(spaceNotice, uint64(before)))
		t.Waiting--
	}
	n.Number = NoticeID(next(tx, 'N'))
	notices().Put(tx, numbered(spaceNotice, uint64(n.Number)), &n)
	t.Waiting++
	for key := range tx.Scan(cell.Prefix([]byte{spaceNotice})) {
		if t.Waiting <= NoticesMax {
			break
		}
		tx.Delete(key)
		t.Waiting--
		t.Dropped++
	}
	tallies().Put(tx, []byte{spaceTally}, t)
	return n.Number
}

// announceGroup writes a notice when f has made its group new, regressed or
// growing. What goes on growing is told again after a while, or when there is
// much more of it.
func announceGroup(tx *cell.Tx, g *Group, f *Failure) {
	this, last := g.windows(f.At)
	var why Occasion
	switch {
	case g.Count == 1:
		why = BecameNew
	case g.Regressed.Equal(f.At) && !g.Told.Equal(f.At):
		why = BecameRegressed
	case this >= GrowingMin && this >= 2*last && (f.At.Sub(g.Told) >= Window || g.Count >= toldAgainTimes*g.ToldCount):
		why = BecameGrowing
	default:
		return
	}
	g.Told, g.ToldCount = f.At, g.Count
	g.Notice = announce(tx, Notice{Occasion: why, Function: g.Function, Owner: g.Owner, Group: g.Number, Failure: f.Number}, g.Notice)
}

// announceRepair writes the notice of a repair that has begun or ended.
func announceRepair(tx *cell.Tx, r *Repair) {
	why := RepairBegan
	if r.Outcome != "" {
		why = RepairEnded
	}
	r.Notice = announce(tx, Notice{Occasion: why, Function: r.Function, Owner: r.Owner, Failure: r.Failure, Repair: r.Number}, r.Notice)
}
