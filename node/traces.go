package node

import (
	"context"
	"path/filepath"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/watch"
	"github.com/daruma-io/daruma/watch/otlp"
)

// openExport makes what sends spans to a collector, if there is one.
func (n *Node) openExport(app string) (err error) {
	if n.cfg.OTLP != "" {
		n.export, err = otlp.New(otlp.Config{URL: n.cfg.OTLP, App: app, Version: n.cfg.Version, Log: n.cfg.Log})
	}
	return err
}

// runExport sends spans until ctx ends.
func (n *Node) runExport(ctx context.Context) error {
	if n.export == nil {
		return nil
	}
	return n.export.Run(ctx)
}

// openWatch opens what keeps logs and spans.
func (n *Node) openWatch() (err error) {
	cfg := watch.Config{Dir: filepath.Join(n.cfg.Data, "logs"), Spans: filepath.Join(n.cfg.Data, "spans")}
	if n.export != nil {
		cfg.Forward = n.export.Send
	}
	if n.watch, err = watch.New(cfg); err != nil || n.export == nil {
		return err
	}
	return n.watch.Register(n.export)
}

// spanned keeps what a door tells of a request. Doors go by the machine's
// clock and everything else in a trace by the app's.
func (n *Node) spanned(s daruma.Span) {
	s.At = n.clock.At(s.At)
	n.watch.Spanned(s)
}
