package shard

import (
	"errors"
	"slices"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
)

const (
	machineName   = "shard"
	commandOpen   = "open"
	commandSettle = "settle"
	commandDrop   = "drop"
)

// readers is how readers are kept, under "r/<mapping>/<shard>".
//
//	1: the first
func readers() cell.Format[Reader] { return cell.Format[Reader]{Kind: "reader", Version: 1} }

func keyOf(mapping, shard string) []byte { return []byte("r/" + mapping + "/" + shard) }

// A Machine applies the commands of readers.
type Machine struct{}

// Name is the machine's name in its cell.
func (Machine) Name() string { return machineName }

// Apply takes one step.
func (Machine) Apply(tx *cell.Tx, cmd cell.Command) (any, error) { return commands.Apply(tx, cmd) }

// commands is what shards can be asked for.
var commands = cell.Commands[*cell.Tx]{
	commandOpen:   cell.Answering(open),
	commandSettle: cell.Reading(settleStep),
	commandDrop:   cell.Doing(drop),
}

func settleStep(tx *cell.Tx, body []byte) (*Reader, error) {
	s, err := decodeStep(body)
	if err != nil {
		return nil, err
	}
	return settle(tx, s)
}

func drop(tx *cell.Tx, o Opening) error {
	if o.Mapping == "" {
		return daruma.Invalidf("drop: no mapping")
	}
	tx.DeleteRange(cell.Prefix(keyOf(o.Mapping, "")))
	return nil
}

func open(tx *cell.Tx, o Opening) (*Reader, error) {
	if o.Mapping == "" || o.Shard == "" || o.Lanes < 1 || o.Lanes > LanesMax {
		return nil, daruma.Invalidf("a reader has a mapping, a shard, and from 1 to %d lanes", LanesMax)
	}
	r := readers().Get(tx, keyOf(o.Mapping, o.Shard))
	switch {
	case r == nil:
		r = &Reader{Mapping: o.Mapping, Shard: o.Shard, Lanes: make([]Lane, o.Lanes)}
		for i := range r.Lanes {
			r.Lanes[i].Next = o.From
		}
	case len(r.Lanes) == o.Lanes:
		return r, nil
	default:
		r.divide(o.Lanes)
	}
	readers().Put(tx, keyOf(o.Mapping, o.Shard), r)
	return r, nil
}

// divide gives a reader another number of lanes. All begin where the slowest
// was, and what the others have done is remembered. Batches that failed are
// tried as new ones; an open window goes with the first lane.
func (r *Reader) divide(n int) {
	was := make(Division, len(r.Lanes))
	turn := uint64(0)
	var window *Window
	for i, l := range r.Lanes {
		was[i] = l.Next
		turn = max(turn, l.Turn)
		if window == nil {
			window = l.Window
		}
	}
	from := slices.Min(was)
	r.Passed = append(slices.Clone(r.Passed), was)
	r.Lanes = make([]Lane, n)
	for i := range r.Lanes {
		r.Lanes[i] = Lane{Next: from, Turn: turn + 1}
	}
	r.Lanes[0].Window = window
	r.forget()
}

// forget drops divisions that say nothing any more.
func (r *Reader) forget() {
	from := r.Lanes[0].Next
	for _, l := range r.Lanes {
		from = min(from, l.Next)
	}
	r.Passed = slices.DeleteFunc(slices.Clone(r.Passed), func(d Division) bool { return slices.Max(d) <= from })
	if len(r.Passed) == 0 {
		r.Passed = nil
	}
	if n := len(r.Passed) - divisionsMax; n > 0 {
		r.Passed = r.Passed[n:] // what they say is forgotten: some records are handed out again
	}
}

func settle(tx *cell.Tx, s Step) (*Reader, error) {
	was := readers().Get(tx, keyOf(s.Mapping, s.Shard))
	if was == nil || s.Lane < 0 || s.Lane >= len(was.Lanes) || was.Lanes[s.Lane].Turn != s.Turn {
		return nil, &daruma.Error{Kind: daruma.KindConflict, Ref: s.Mapping + " " + s.Shard, Err: errMoved}
	}
	r := *was
	r.Lanes = slices.Clone(was.Lanes)
	lane := r.Lanes[s.Lane]
	up := lane.GivesUp(s)
	switch {
	case s.Ending != Done && s.Ending != Failed && s.Ending != Untried && !up:
		return nil, daruma.Invalidf("a batch has no ending %q", s.Ending)
	case s.To < lane.Next, s.At != 0 && (s.At < s.First || s.At >= s.To), s.Half != 0 && (s.Half <= s.First || s.Half >= s.To):
		return nil, daruma.Invalidf("a batch from %d to %d does not follow %d", s.First, s.To, lane.Next)
	case up && s.GivenUp == nil:
		return nil, daruma.Invalidf("a batch is given up, and nothing of it is kept")
	case s.Window != nil && len(s.Window.State) > StateBytesMax:
		return nil, &daruma.Error{Kind: daruma.KindTooLarge, Err: errors.New("the state of a window is too large")}
	}
	r.Lanes[s.Lane] = lane.After(s, tx.Now())
	r.forget()
	readers().Put(tx, keyOf(s.Mapping, s.Shard), &r)
	if err := once.Keep(tx, nil, s.Once...); err != nil {
		return nil, err
	}
	if !up {
		return &r, nil
	}
	return &r, giveUp(tx, s)
}

// giveUp keeps what is not tried again, and tells the destination.
func giveUp(tx *cell.Tx, s Step) error {
	f := s.GivenUp.Failure
	f.Hop = ledger.Streamed
	if _, err := ledger.Record(tx, f, s.Event); err != nil {
		return err
	}
	if s.GivenUp.Tell == nil {
		return nil
	}
	h := *s.GivenUp.Tell
	h.At = tx.Now()
	_, err := tx.Do(delivery.HandCommand(h))
	return err
}
