package fault

import (
	"context"
	"fmt"
	"time"
)

// A Dial is a name that an environment looks up, or a connection that it opens.
type Dial struct {
	Who
	Host string
	Port int // 0 while the name is looked up
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
	for _, f := range active.hosts {
		if !f.reaches(&d) || (d.Port == 0) != (f.fault.Kind == DNS) {
			continue
		}
		latency, met := f.meet()
		if !met {
			continue
		}
		where := fmt.Sprintf("%s:%d", d.Host, d.Port)
		switch f.fault.Kind {
		case DNS:
			s.note(f, d.Who, "the name "+d.Host+" does not exist")
			return Way{Refused: f.mark() + ": the name does not exist"}
		case Refused:
			s.note(f, d.Who, "the connection to "+where+" is refused")
			return Way{Refused: f.mark() + ": the connection is refused"}
		case Blackhole:
			s.note(f, d.Who, "the connection to "+where+" gets no answer")
			if f.hang(ctx) != nil {
				return Way{Refused: f.mark() + ": nobody answered"}
			}
		case Latency:
			s.note(f, d.Who, fmt.Sprintf("the connection to %s is held for %s", where, latency.Round(time.Microsecond)))
			if f.wait(ctx, latency) != nil {
				return Way{Refused: f.mark() + ": it took too long"}
			}
		case Slow:
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
	return r.lens.names(t, d.Host) && (t.Port == 0 || d.Port == 0 || t.Port == d.Port) && like(t.Function, d.Function)
}

// names says whether a host is the target's.
func (l *lens) names(t *Target, host string) bool {
	if l.host != nil {
		return l.host.MatchString(host)
	}
	return like(t.Host, host)
}

// Reaches says whether a fault on hosts is for connections of a function to a host.
func (f *Fault) Reaches(function, host string, port int) bool {
	t := &f.Target
	l, err := t.compile()
	return err == nil && t.scope() == onHost && l.names(t, host) && (t.Port == 0 || t.Port == port) && like(t.Function, function)
}

// OnHosts says whether a fault is on hosts outside.
func (f *Fault) OnHosts() bool { return f.Target.scope() == onHost }

// OnPlaces says whether a fault meets environments as they are made, so that
// those there are have to be replaced.
func (f *Fault) OnPlaces() bool { return onPlaces(f.Kind) }

// Meets says whether a fault is on a function, or on what it asks for.
func (f *Fault) Meets(function string) bool { return like(f.Target.Function, function) }
