package watch

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/quote"
)

// Limits of an answer.
const (
	SpansMax  = 10_000 // spans of one trace
	TracesMax = 100    // traces that one ID names
)

// Spanned counts and times a run unless it is a reproduction, keeps the span, or drops and counts it when
// too many are waiting, and forwards it.
func (w *Watch) Spanned(s daruma.Span) {
	if s.Kind == daruma.SpanRun && s.Source != daruma.Reproduction {
		w.metrics.ran(&s)
	}
	s.Name, s.ErrorType = cut(s.Name), cut(s.ErrorType) // clients and functions write them
	s.Links = s.Links[:min(len(s.Links), daruma.LinksMax)]
	if !w.told.add(s) {
		w.metrics.spansLost.Inc()
	}
	if w.cfg.Forward != nil {
		w.cfg.Forward(s)
	}
}

// textBytesMax is how much is kept of a text that comes from outside.
const textBytesMax = 256

func cut(s string) string {
	if len(s) <= textBytesMax {
		return s
	}
	n := textBytesMax
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// told is spans that wait to be written. Whoever tells one does not wake the
// writer, which comes by at every flush, or sooner when there are many: that
// would cost a warm run more than the span does.
type told struct {
	most int
	many chan struct{} // holds a token when half of most is waiting

	mu    sync.Mutex // guards the rest
	spans []daruma.Span
	spare []daruma.Span // what spans was before it was taken, emptied
}

// add adds a span. It returns false when too many are waiting.
func (t *told) add(s daruma.Span) bool {
	t.mu.Lock()
	n := len(t.spans)
	if n < t.most {
		t.spans = append(t.spans, s)
	}
	t.mu.Unlock()
	if n == t.most/2 {
		select {
		case t.many <- struct{}{}:
		default:
		}
	}
	return n < t.most
}

// take returns what is waiting; put gives its space back.
func (t *told) take() []daruma.Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.spans
	t.spans, t.spare = t.spare, nil
	return taken
}

func (t *told) put(taken []daruma.Span) {
	clear(taken)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spare = taken[:0]
}

func (w *Watch) keepSpans() {
	taken := w.told.take()
	for i := range taken {
		w.buf = appendSpan(w.buf[:0], &taken[i])
		if err := w.spans.append(w.buf); err != nil {
			w.metrics.logErrors.Inc()
			w.metrics.spansLost.Inc()
			continue
		}
		w.metrics.spans.Inc()
	}
	w.told.put(taken)
}

// Spans returns the spans of a trace, named by its root, and those about its messages, in the order in which
// they began, every one told before the call among them. more is how many there
// are beyond SpansMax: those told first are returned.
func (w *Watch) Spans(ctx context.Context, root string) (spans []daruma.Span, more int, err error) {
	err = w.look(ctx, root, func(s daruma.Span) {
		switch {
		case !s.In(root):
		case len(spans) == SpansMax:
			more++
		default:
			spans = append(spans, s)
		}
	})
	slices.SortStableFunc(spans, func(a, b daruma.Span) int { return a.At.Compare(b.At) })
	return spans, more, err
}

// Traces returns the first span of each trace in which id is the ID of a
// request, of a message or of a span, or one of the values that events are found by. Of more
// than TracesMax traces the last ones are returned, the newest first.
func (w *Watch) Traces(ctx context.Context, id string) ([]daruma.Span, error) {
	var found []daruma.Span
	at := map[string]int{} // by root, in found
	err := w.look(ctx, id, func(s daruma.Span) {
		link := slices.IndexFunc(s.Links, func(l daruma.Link) bool { return l.Message == id })
		if s.Request != id && s.ID != id && link < 0 && !slices.Contains(s.Keys, id) {
			return
		}
		if link >= 0 && s.Links[link].Trace != "" {
			s.Trace = s.Links[link].Trace // the story is the message's, not that of the batch it is in
		}
		if i, ok := at[s.Trace]; ok {
			if s.At.Before(found[i].At) {
				found[i] = s
			}
			return
		}
		if len(found) == 2*TracesMax { // forget the older half
			found = slices.Delete(found, 0, TracesMax)
			clear(at)
			for i, f := range found {
				at[f.Trace] = i
			}
		}
		at[s.Trace] = len(found)
		found = append(found, s)
	})
	slices.SortStableFunc(found, func(a, b daruma.Span) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Trace, b.Trace)) })
	return found[:min(len(found), TracesMax)], err
}

// look calls visit with every span on disk that contains text.
func (w *Watch) look(ctx context.Context, text string, visit func(daruma.Span)) error {
	until, err := w.join(ctx, nil)
	if err != nil {
		return err
	}
	quoted := quote.Append(nil, text)
	err = w.spans.read([][]byte{quoted}, until.spans, func(record []byte) bool {
		var s daruma.Span
		if json.Unmarshal(record, &s) == nil {
			visit(s)
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return &daruma.Error{Op: "read spans", Ref: w.cfg.Spans, Err: err}
	}
	return nil
}

// appendSpan appends s as one line of JSON, as encoding/json would write it.
func appendSpan(b []byte, s *daruma.Span) []byte {
	b = append(b, `{"time":"`...)
	b = s.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendField(b, "id", s.ID, true)
	b = appendField(b, "parent", s.Parent, false)
	b = appendField(b, "trace", s.Trace, true)
	b = appendField(b, "state", s.State, false)
	b = appendField(b, "kind", string(s.Kind), true)
	b = appendField(b, "name", s.Name, false)
	b = appendNumber(b, "waitNs", int64(s.Wait))
	b = appendNumber(b, "initNs", int64(s.Init))
	b = appendNumber(b, "durationNs", int64(s.Duration))
	b = appendField(b, "function", s.Function, false)
	b = appendField(b, "version", s.Version, false)
	b = appendField(b, "environment", s.Environment, false)
	b = appendField(b, "request", s.Request, false)
	b = appendField(b, "source", s.Source, false)
	b = appendNumber(b, "attempt", int64(s.Attempt))
	b = appendField(b, "from", s.From, false)
	b = appendField(b, "outcome", s.Outcome.String(), true)
	b = appendField(b, "errorType", s.ErrorType, false)
	b = appendNumber(b, "status", int64(s.Status))
	if s.Cold {
		b = append(b, `,"cold":true`...)
	}
	b = appendNumber(b, "memoryBytes", s.MemoryBytes)
	b = appendList(b, "faults", s.Faults)
	b = appendList(b, "keys", s.Keys)
	return append(appendLinks(b, s.Links), "}\n"...)
}

// appendList appends a field, unless it has nothing in it.
func appendList(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote.Append(b, v)
	}
	return append(b, ']')
}

func appendLinks(b []byte, links []daruma.Link) []byte {
	for i := range links {
		l := &links[i]
		if i == 0 {
			b = append(b, `,"links":[{"message":`...)
		} else {
			b = append(b, `,{"message":`...)
		}
		b = quote.Append(b, l.Message)
		b = appendField(b, "to", cut(l.To), false)
		b = appendNumber(b, "receives", int64(l.Receives))
		b = appendField(b, "trace", l.Trace, false)
		b = appendField(b, "span", l.Span, false)
		b = append(b, '}')
	}
	if len(links) > 0 {
		b = append(b, ']')
	}
	return b
}

// appendNumber appends a field, unless it is zero.
func appendNumber(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, n, 10)
}
