package ledger

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/daruma-io/daruma/cell"
)

// Limits of a query.
const (
	PageMax = 500  // failures in one answer
	lookMax = 5000 // failures looked at for one answer
)

// A Query asks for failures. What is left empty does not matter; everything
// else must hold at once.
type Query struct {
	Group       GroupID
	Function    string
	State       State
	Request     string
	Trace       string    // the trace's root
	Correlation string    // a value of a declared path
	From, To    time.Time // From ≤ at < To
	Text        string    // anywhere in message, error type, stack or log, whatever the case

	Before ID  // numbers below only: Page.Next of the page before
	Max    int // of one page; 50 when 0, at most PageMax
}

// A Page is failures, newest first.
type Page struct {
	Failures []*Failure
	Next     ID // what Before is for the next page; 0 when there is none
}

// Find returns a page of failures. It looks at a bounded number of them: a page
// may be short, or empty, and still have a next one.
func (l *Ledger) Find(ctx context.Context, q Query) (Page, error) {
	var p Page
	err := l.view(ctx, "read the ledger", func(r *cell.Reader) error {
		p = find(r, q)
		return nil
	})
	return p, err
}

// Failure returns one failure and its event. KindNotFound when there is none (any more).
func (l *Ledger) Failure(ctx context.Context, id ID) (f *Failure, event []byte, err error) {
	err = l.view(ctx, "read failure", func(r *cell.Reader) error {
		if f = failures().Get(r, numbered(spaceFailure, uint64(id))); f == nil {
			return missing(id)
		}
		var err error
		event, err = eventOf(r, id)
		return err
	})
	return f, event, err
}

// Groups returns up to n groups with numbers below before, newest first; before 0 begins at the newest.
func (l *Ledger) Groups(ctx context.Context, before GroupID, n int) ([]*Group, error) {
	var list []*Group
	err := l.view(ctx, "read groups", func(r *cell.Reader) error {
		rg := cell.Range{Lower: []byte{spaceGroup}, Upper: []byte{spaceGroup + 1}}
		if before > 0 {
			rg.Upper = numbered(spaceGroup, uint64(before))
		}
		for key := range r.ScanBack(rg) {
			if len(list) >= min(max(n, 1), PageMax) {
				break
			}
			list = append(list, groups().Get(r, key))
		}
		return nil
	})
	return list, err
}

// Group returns one group. KindNotFound when there is none (any more).
func (l *Ledger) Group(ctx context.Context, id GroupID) (g *Group, err error) {
	err = l.view(ctx, "read group", func(r *cell.Reader) error {
		if g = groups().Get(r, numbered(spaceGroup, uint64(id))); g == nil {
			return missing(id)
		}
		return nil
	})
	return g, err
}

// narrowest is the index that has the fewest failures for q, or all of them.
func (q Query) narrowest() []byte {
	switch {
	case q.Request != "":
		return indexPrefix(byRequest, q.Request)
	case q.Correlation != "":
		return indexPrefix(byCorrelation, q.Correlation)
	case q.Trace != "":
		return indexPrefix(byTrace, q.Trace)
	case q.Group != 0:
		return indexPrefix(byGroup, q.Group.String())
	case q.Function != "":
		return indexPrefix(byFunction, q.Function)
	case q.State != "":
		return indexPrefix(byState, string(q.State))
	}
	return []byte{spaceFailure}
}

func find(r *cell.Reader, q Query) Page {
	most := min(q.Max, PageMax)
	if most <= 0 {
		most = 50
	}
	prefix := q.narrowest()
	rg := cell.Prefix(prefix)
	if q.Before > 0 {
		rg.Upper = append(bytes.Clone(prefix), numbered(0, uint64(q.Before))[1:]...)
	}
	var p Page
	looked := 0
	text := strings.ToLower(q.Text)
	for key := range r.ScanBack(rg) {
		f := failures().Get(r, numbered(spaceFailure, number(key)))
		if f == nil {
			continue
		}
		if !q.From.IsZero() && f.At.Before(q.From) {
			return p // the others are older still
		}
		if q.matches(f, text) {
			p.Failures = append(p.Failures, f)
		}
		if looked++; looked == lookMax || len(p.Failures) == most {
			p.Next = f.Number
			return p
		}
	}
	return p
}

func (q Query) matches(f *Failure, text string) bool {
	switch {
	case q.Group != 0 && f.Group != q.Group, q.Function != "" && f.Function != q.Function, q.State != "" && f.State != q.State:
		return false
	case q.Request != "" && f.Request != q.Request, q.Trace != "" && f.Trace != q.Trace:
		return false
	case !q.To.IsZero() && !f.At.Before(q.To):
		return false
	case q.Correlation != "" && !f.correlates(q.Correlation):
		return false
	}
	return text == "" || f.says(text)
}

func (f *Failure) correlates(value string) bool {
	for _, v := range f.Correlations {
		if v == value {
			return true
		}
	}
	return false
}

// says whether a text, in lower case, is anywhere in what is known of f.
func (f *Failure) says(text string) bool {
	for _, s := range []string{f.Message, f.ErrorType, f.Location.String(), f.Condition, f.Reason} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	for _, lines := range [][]string{f.Stack, f.Log} {
		for _, s := range lines {
			if strings.Contains(strings.ToLower(s), text) {
				return true
			}
		}
	}
	return false
}
