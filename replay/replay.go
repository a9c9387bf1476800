// Package replay carries replays out: it has topics hand on, part by part, what
// subscriptions want again of an archive.
//
// It owns nothing durable and may be killed at any line: how far a replay has
// come is in the step that hands a part on. It promises that replays take turns,
// that together they hand on no more than a part in each [Pause], so that what is
// published meanwhile is not kept waiting, and that a part that fails is tried
// again later and hinders no other replay. On a disk that is nearly full nothing is replayed.
package replay

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/topic"
)

const (
	// Pause is what lies between the parts of all replays, by the app's clock.
	Pause        = 20 * time.Millisecond
	troubleAfter = 5 * time.Second // before what failed is tried again
)

// A Source is where replays are.
type Source interface {
	// Replays are those that are on their way.
	Replays() []topic.Turn
	Replay(ctx context.Context, turn topic.Turn) (more bool, err error)
	// Changed waits for a change behind the position after, and returns the
	// position of the last one.
	Changed(ctx context.Context, after uint64) (uint64, error)
}

// Config says what a Replayer needs. Source must be given.
type Config struct {
	Source Source
	Clock  daruma.Clock // the system's when nil
	Logger *slog.Logger // nowhere when nil
}

// A Replayer carries replays out. Run may be called once.
type Replayer struct {
	cfg  Config
	late map[topic.Turn]time.Time // when a replay is tried again that failed
}

// New returns a Replayer. It starts nothing.
func New(cfg Config) *Replayer {
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Replayer{cfg, map[topic.Turn]time.Time{}}
}

// Run replays until ctx ends, and returns nil.
func (r *Replayer) Run(ctx context.Context) error {
	at := uint64(0)
	for ctx.Err() == nil {
		var err error
		if turns := r.cfg.Source.Replays(); len(turns) > 0 {
			r.round(ctx, turns)
		} else if at, err = r.cfg.Source.Changed(ctx, at); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error("changes of replays are not told", "error", err)
			_ = r.cfg.Clock.Sleep(ctx, troubleAfter) // ends early only with ctx
		}
	}
	return nil
}

// round gives each replay its turn, but for those that have just failed.
func (r *Replayer) round(ctx context.Context, turns []topic.Turn) {
	maps.DeleteFunc(r.late, func(_ topic.Turn, until time.Time) bool { return !until.After(r.cfg.Clock.Now()) })
	turns = slices.DeleteFunc(turns, func(t topic.Turn) bool { return !r.late[t].IsZero() })
	if len(turns) == 0 {
		_ = r.cfg.Clock.Sleep(ctx, Pause)
	}
	for _, turn := range turns {
		if _, err := r.cfg.Source.Replay(ctx, turn); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Error("a part of an archive cannot be replayed now", "topic", turn.Topic, "error", err)
			r.late[turn] = r.cfg.Clock.Now().Add(troubleAfter)
		}
		if r.cfg.Clock.Sleep(ctx, Pause) != nil {
			return
		}
	}
}
