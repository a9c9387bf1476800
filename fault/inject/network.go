package inject

import (
	"context"
	"fmt"
	"time"

	"github.com/daruma-io/daruma/fault"
)

// A Dial is a name that an environment looks up, or a connection that it opens.
type Dial struct {
	Who
	Host    string
	Port    int  // 0 while the name is looked up
	Service bool // it leads to the cloud's services, and only faults on all connections meet it
}

// A Way is what becomes of a Dial.
type Way struct {
	Refused string // why it leads nowhere; "" when it does
	// Pace returns how many bytes a second the connection carries each way, and
	// 0 once that is over; nil: it was never held up.
	Pace func() int64
}

// Dial has a lookup or a connection meet the faults of its host. It returns
// when the way is free, a fault refuses it, or ctx has ended, which refuses it too.
func (s *Faults) Dial(ctx context.Context, d Dial) Way {
	active := s.active.Load()
	if active == nil {
		return Way{}
	}
	var way Way
	for _, f := range active[fault.Hosts] {
		if !f.reaches(&d) || (d.Port == 0) != (f.fault.Kind == fault.DNS) {
			continue
		}
		latency, met := f.meet()
		if !met {
			continue
		}
		where := fmt.Sprintf("%s:%d", d.Host, d.Port)
		switch f.fault.Kind {
		case fault.DNS:
			s.note(f, d.Who, "the name "+d.Host+" does not exist")
			return Way{Refused: f.mark() + ": the name does not exist"}
		case fault.Refused:
			s.note(f, d.Who, "the connection to "+where+" is refused")
			return Way{Refused: f.mark() + ": the connection is refused"}
		case fault.Blackhole:
			s.note(f, d.Who, "the connection to "+where+" gets no answer")
			if f.hang(ctx) != nil {
				return Way{Refused: f.mark() + ": nobody answered"}
			}
		case fault.Latency:
			s.note(f, d.Who, fmt.Sprintf("the connection to %s is held for %s", where, latency.Round(time.Microsecond)))
			if f.wait(ctx, latency) != nil {
				return Way{Refused: f.mark() + ": it took too long"}
			}
		case fault.Slow:
			s.note(f, d.Who, fmt.Sprintf("the connection to %s carries %d bytes a second", where, f.fault.With.BytesPerSecond))
			way.Pace = f.pace
		}
	}
	return way
}

// pace is what a Slow fault lets through.
func (r *Running) pace() int64 {
	select {
	case <-r.done:
		return 0
	default:
		return r.fault.With.BytesPerSecond
	}
}

// reaches says whether a dial is one that the fault is for.
func (r *Running) reaches(d *Dial) bool {
	t := &r.fault.Target
	return (!d.Service || t.Outside()) && r.lens.Names(d.Host) && (t.Port == 0 || d.Port == 0 || t.Port == d.Port) && fault.Like(t.Function, d.Function)
}
