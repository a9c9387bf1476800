package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

// Spans are the spans that were kept; see package watch.
type Spans interface {
	// Spans returns the spans of a trace, named by its root, in the order in
	// which they began, and how many more there are.
	Spans(ctx context.Context, root string) (spans []daruma.Span, more int, err error)
	// Traces returns the first span of each trace in which id names a request,
	// a span or a value that events are found by, the newest first.
	Traces(ctx context.Context, id string) ([]daruma.Span, error)
}

// A Trace is what is kept of one story, or, when what was asked for names
// several, the first span of each.
type Trace struct {
	Trace    string            `json:"trace,omitempty"` // its root
	W3C      string            `json:"w3c,omitempty"`   // the same as the W3C writes it
	Spans    []daruma.Span     `json:"spans,omitempty"`
	More     int               `json:"more,omitempty"` // spans beyond those
	Failures []*ledger.Failure `json:"failures,omitempty"`
	Several  []daruma.Span     `json:"several,omitempty"`
}

// trace tells the story that an ID belongs to: that of a trace in any form, of
// a failure, of a request, of a span, or a value that events are found by.
func (d *Door) trace(w http.ResponseWriter, r *http.Request) {
	t, err := d.story(r.Context(), strings.TrimSpace(r.URL.Query().Get("id")))
	d.reply(w, t, err)
}

func (d *Door) story(ctx context.Context, id string) (Trace, error) {
	if id == "" {
		return Trace{}, &daruma.Error{Kind: daruma.KindInvalid, Err: errors.New("id: name a trace, a failure, a request, or a value that events are found by")}
	}
	root, err := d.rootOf(ctx, id)
	if err != nil {
		return Trace{}, err
	}
	if root == "" {
		found, err := d.cfg.Spans.Traces(ctx, id)
		switch {
		case err != nil:
			return Trace{}, err
		case len(found) > 1:
			return Trace{Several: found}, nil
		case len(found) == 1:
			root = found[0].Trace
		default:
			page, err := d.cfg.Ledger.Find(ctx, ledger.Query{Correlation: id, Max: 1})
			if err == nil && len(page.Failures) == 0 {
				page, err = d.cfg.Ledger.Find(ctx, ledger.Query{Request: id, Max: 1})
			}
			if err != nil || len(page.Failures) == 0 {
				return Trace{}, noTrace(id, err)
			}
			root = page.Failures[0].Trace
		}
	}
	t := Trace{Trace: root, W3C: daruma.Trace{Root: root}.ID()}
	if t.Spans, t.More, err = d.cfg.Spans.Spans(ctx, root); err != nil {
		return Trace{}, err
	}
	page, err := d.cfg.Ledger.Find(ctx, ledger.Query{Trace: root, Max: ledger.PageMax})
	if t.Failures = page.Failures; err == nil && len(t.Spans)+len(t.Failures) == 0 {
		err = noTrace(id, nil)
	}
	return t, err
}

// rootOf returns the root of the trace or of the failure that id names, "" when it names neither.
func (d *Door) rootOf(ctx context.Context, id string) (string, error) {
	if root := daruma.TraceRoot(id); root != "" {
		if found, err := d.cfg.Spans.Traces(ctx, daruma.Trace{Root: root}.ID()); err != nil || len(found) == 1 {
			if err == nil {
				root = found[0].Trace // of two names a request came with, it is the other one
			}
			return root, err
		}
		return root, nil
	}
	var number ledger.ID
	if number.UnmarshalText([]byte(id)) != nil {
		return "", nil
	}
	f, _, err := d.cfg.Ledger.Failure(ctx, number)
	if err != nil {
		return "", err
	}
	return f.Trace, nil
}

var errNoTrace = errors.New("no trace of it is kept: it is no trace, failure, request, span, or value that events are found by, or it is too old")

func noTrace(id string, err error) error {
	if err != nil {
		return err
	}
	return &daruma.Error{Ref: id, Kind: daruma.KindNotFound, Err: errNoTrace}
}
