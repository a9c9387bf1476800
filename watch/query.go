package watch

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// A Query chooses lines of the log. Its zero value chooses all there are.
type Query struct {
	Function string    // by name
	Request  string    // by request ID
	Trace    string    // by the trace, in any form that daruma.TraceRoot reads
	Contains string    // lines whose text contains it
	Since    time.Time // not before; zero: from the beginning
	Last     int       // only the last so many; 0: all
	Follow   bool      // go on with new lines until the context ends
}

// marks are byte strings that a line on disk must contain to be admitted: a
// cheap test before decoding. IDs are stored as they are; texts are escaped.
func (q Query) marks() (marks [][]byte) {
	for _, s := range []string{q.Request, q.root()} {
		if s != "" && !strings.ContainsAny(s, `"\<>&`) {
			marks = append(marks, []byte(s))
		}
	}
	return marks
}

// root is the root of the trace that is asked for; what names none is taken as it is, and found nowhere.
func (q Query) root() string { return cmp.Or(daruma.TraceRoot(q.Trace), q.Trace) }

func (q Query) admits(l daruma.Line) bool {
	return (q.Function == "" || l.Function == q.Function) &&
		(q.Request == "" || l.Request == q.Request) &&
		(q.Trace == "" || l.Trace == q.root()) &&
		(q.Contains == "" || strings.Contains(l.Text, q.Contains)) &&
		!l.At.Before(q.Since)
}

// A follower is somebody who reads new lines as they come.
type follower struct {
	query  Query
	lines  chan daruma.Line
	missed int
}

// offer hands l over, or counts it as missed when the reader is behind.
func (f *follower) offer(l daruma.Line) {
	if !f.query.admits(l) {
		return
	}
	if f.missed > 0 {
		select {
		case f.lines <- missedLine(f.missed):
			f.missed = 0
		default:
		}
	}
	select {
	case f.lines <- l:
	default:
		f.missed++
	}
}

func missedLine(n int) daruma.Line {
	text, _ := json.Marshal(n)
	return daruma.Line{At: time.Now(), Stream: daruma.Platform, Text: string(text) + " lines were not shown: they came faster than they were read. They are in the log."}
}

// A join is a reader's wish to see what is kept as it is now, and to follow the log from here when f is not nil.
type join struct {
	f     *follower
	marks chan marks
}

// marks are the ends of what is kept.
type marks struct{ log, spans mark }

// Logs returns the lines that q chooses, oldest first, including every line
// logged before the call. With q.Follow it goes on until ctx ends or the
// Watch stops. An error ends the sequence.
func (w *Watch) Logs(ctx context.Context, q Query) iter.Seq2[daruma.Line, error] {
	return func(yield func(daruma.Line, error) bool) {
		var f *follower
		if q.Follow {
			f = &follower{query: q, lines: make(chan daruma.Line, 4096)}
			defer w.leave(f)
		}
		until, err := w.join(ctx, f)
		if err != nil {
			yield(daruma.Line{}, err)
			return
		}
		more := true
		err = w.past(q, until.log, func(l daruma.Line) bool {
			more = ctx.Err() == nil && yield(l, nil)
			return more
		})
		if err != nil && more {
			yield(daruma.Line{}, &daruma.Error{Op: "read log", Ref: w.cfg.Dir, Err: err})
			return
		}
		for f != nil && more {
			select {
			case l, ok := <-f.lines:
				more = ok && yield(l, nil)
			case <-ctx.Done():
				return
			}
		}
	}
}

// join has the writer write what was logged before, and follow from there. A
// Watch that has stopped has nothing to follow: its log is read as it is.
func (w *Watch) join(ctx context.Context, f *follower) (marks, error) {
	j := join{f: f, marks: make(chan marks, 1)}
	select {
	case w.joins <- j:
		return <-j.marks, nil
	case <-w.stopped:
		if f != nil {
			close(f.lines)
		}
		return w.ends(), nil
	case <-ctx.Done():
		return marks{}, ctx.Err()
	}
}

// admit is join's other half, on the writer's goroutine.
func (w *Watch) admit(j join) {
	if j.f != nil {
		w.followers[j.f] = struct{}{}
	}
	j.marks <- w.ends()
}

func (w *Watch) leave(f *follower) {
	select {
	case w.leaves <- f:
	case <-w.stopped:
	}
}

// past reads the lines on disk; only the last q.Last of them when asked for.
func (w *Watch) past(q Query, until mark, yield func(daruma.Line) bool) error {
	if q.Last <= 0 {
		return w.read(q, until, yield)
	}
	ring := make([]daruma.Line, 0, min(q.Last, 1024))
	at := 0
	err := w.read(q, until, func(l daruma.Line) bool {
		if len(ring) < q.Last {
			ring = append(ring, l)
		} else {
			ring[at] = l
			at = (at + 1) % q.Last
		}
		return true
	})
	for i := range ring {
		if !yield(ring[(at+i)%len(ring)]) {
			break
		}
	}
	return err
}

// read calls yield with every line on disk that q admits, as long as it returns true.
func (w *Watch) read(q Query, until mark, yield func(daruma.Line) bool) error {
	return w.log.read(q.marks(), until, func(record []byte) bool {
		var l daruma.Line
		return json.Unmarshal(record, &l) != nil || !q.admits(l) || yield(l)
	})
}
