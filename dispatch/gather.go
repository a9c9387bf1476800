package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/mapping"
)

// gather takes records, leaves out those nobody wants, and makes lots of the rest.
func (s *Mappings) gather(ctx context.Context, m *mapping.Mapping, k Kind, f *flow, w Want, most int) ([]*lot, error) {
	hold := w.For
	if s.cfg.Strict {
		hold = 0
	}
	s.mu.Lock()
	criteria := f.criteria
	s.mu.Unlock()
	look := most
	for range filterRounds {
		taken, fates, err := s.choose(ctx, m, k, w, hold, look)
		if len(taken) == 0 || err != nil {
			return nil, err
		}
		var wanted []Record
		for _, r := range taken {
			switch {
			case criteria == nil || criteria.Match(k.View(m, r)):
				wanted = append(wanted, r)
			case plantedUnwantedStays():
				fates = append(fates, Fate{Record: r, Do: Untried})
			default:
				fates = append(fates, Fate{Record: r, Do: Finished})
			}
		}
		lots, not, err := s.admit(ctx, m, k, wanted, most)
		if err != nil {
			return nil, err // all of them come back when their leases end
		}
		fates = append(fates, not...)
		for _, l := range lots {
			fates = append(fates, s.encode(k, l)...)
		}
		if len(fates) > 0 {
			if err := k.Settle(ctx, m, fates); err != nil {
				s.leave(lots)
				return nil, err // all of them come back when their leases end
			}
		}
		lots = slices.DeleteFunc(lots, func(l *lot) bool {
			if len(l.records) == 0 {
				s.cfg.Heal.Cancel(l.permit)
			}
			return len(l.records) == 0
		})
		if len(lots) > 0 {
			s.mu.Lock()
			for _, l := range lots {
				s.last++
				l.number = s.last
				s.count(l, 1)
				if l.permit.Probe() && f.tried != nil {
					f.tried[l.records[0].Event]++
				}
			}
			s.mu.Unlock()
			return lots, nil
		}
		look = keyedLook // there are many of keys without room
	}
	return nil, nil
}

// encode makes the event of a lot, and says what becomes of its records that are not in it.
func (s *Mappings) encode(k Kind, l *lot) (fates []Fate) {
	payload, n, err := k.Encode(l.mapping, l.records)
	if err != nil || n == 0 {
		o := daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Kind: daruma.KindTooLarge, Type: "RequestTooLargeException", Message: fmt.Sprintf("the event of record %s would be larger than a function takes", l.records[0].Event)}}
		fates = append(fates, s.failed(l.records[0], l.mapping, o, s.clock.Now()))
		s.cfg.Guard.let(l.keys[0])
		n, l.records, l.keys = 0, l.records[1:], l.keys[1:]
	}
	l.payload = payload
	for _, r := range l.records[n:] {
		fates = append(fates, Fate{Record: r, Do: Untried})
	}
	s.cfg.Guard.let(l.keys[n:]...)
	l.records, l.keys = l.records[:n], l.keys[:n]
	return fates
}

// leave gives back what lots were given that do not run.
func (s *Mappings) leave(lots []*lot) {
	for _, l := range lots {
		s.cfg.Guard.let(l.keys...)
		s.cfg.Heal.Cancel(l.permit)
	}
}

// choose takes the records of one batch, or of several when each is of one key.
// Of a function that is held one is tried, the one that was tried least of those
// there are: a broken one must not speak for the others for ever. The rest is given
// back at once. Where there are keys, package heal says whose turn it is.
func (s *Mappings) choose(ctx context.Context, m *mapping.Mapping, k Kind, w Want, hold time.Duration, lots int) ([]Record, []Fate, error) {
	keyed := s.cfg.Heal.Keyed(m.Function)
	if !w.Tried[m.Function] {
		s.mu.Lock()
		s.flow(m).tried = nil
		s.mu.Unlock()
		n := min(m.Batch, recordsMost)
		if keyed {
			n = max(n, min(n*max(lots, keysLook), keyedLook))
		}
		taken, err := k.Take(ctx, m, n, hold)
		return taken, nil, err
	}
	taken, err := k.Take(ctx, m, triedLook, hold)
	if len(taken) == 0 || err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flow(m)
	if len(f.tried) > triedMost {
		f.tried = nil
	}
	if f.tried == nil {
		f.tried = map[string]int{}
	}
	if keyed {
		return f.leastTried(taken), nil, nil
	}
	chosen, groups := 0, map[string]bool{}
	for i, r := range taken {
		first := r.Group == "" || !groups[r.Group]
		groups[r.Group] = true
		if first && f.tried[r.Event] < f.tried[taken[chosen].Event] {
			chosen = i
		}
	}
	f.tried[taken[chosen].Event]++
	var fates []Fate
	for i, r := range taken {
		if i != chosen {
			fates = append(fates, Fate{Record: r, Do: Untried})
		}
	}
	return taken[chosen : chosen+1], fates, nil
}

// leastTried returns the records of which the first that has room is tried: those
// that were tried least come first, and those of a group stay in their order.
func (f *flow) leastTried(taken []Record) []Record {
	var first, others []Record
	groups := map[string]bool{}
	for _, r := range taken {
		if r.Group == "" || !groups[r.Group] {
			first = append(first, r)
		} else {
			others = append(others, r)
		}
		groups[r.Group] = true
	}
	slices.SortStableFunc(first, func(a, b Record) int { return cmp.Compare(f.tried[a.Event], f.tried[b.Event]) })
	return append(first, others...)
}
