package inject

import (
	"context"
	"slices"

	"github.com/daruma-io/daruma/fault"
)

// A Shown is an answer of an API to a web client.
type Shown struct {
	API       string // its logical ID
	Preflight bool
}

// Web has a request to an API meet the faults that are on its answers. bare
// says that the answer loses the headers by which browsers share it; what runs
// with the context is marked.
func (s *Faults) Web(ctx context.Context, to Shown) (marked context.Context, bare bool) {
	active := s.active.Load()
	if active == nil {
		return ctx, false
	}
	for _, f := range active[fault.Shown] {
		if !fault.Like(f.fault.Target.API, to.API) {
			continue
		}
		if _, met := f.meet(); met {
			bare = true
			ctx = s.with(ctx, f)
		}
	}
	return ctx, bare
}

// A markKey leads to the faults that met what a context is of.
type markKey struct{}

// with returns a context that bears the mark of a fault.
func (s *Faults) with(ctx context.Context, f *Running) context.Context {
	have, _ := ctx.Value(markKey{}).([]*Running)
	return context.WithValue(ctx, markKey{}, append(slices.Clip(have), f))
}

// carry marks a run with the faults that met what it is part of.
func (s *Faults) carry(ctx context.Context, who Who) {
	all, _ := ctx.Value(markKey{}).([]*Running)
	for _, f := range all {
		s.note(f, who, "the answer loses its CORS headers")
	}
}
