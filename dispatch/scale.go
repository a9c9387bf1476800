package dispatch

import "time"

// How many batches of one mapping are out at once: five at first, three hundred more a
// minute while there is more to do, down again as fast when there is not
// (Lambda Developer Guide, "Configuring scaling behavior" of event source mappings of queues).
const (
	scaleFirst = 5
	scaleStep  = 5 // each second
	scaleMost  = 1250
	scaleEvery = time.Second
)

// A scale is how many batches of one mapping may be out at once.
type scale struct {
	now    int
	looked time.Time
	used   int  // most batches out since it was looked at
	wanted bool // there was more to do than it allowed
}

// limit returns the limit, most at most (0: as many as there may be), and when it is worth asking again.
func (s *scale) limit(now time.Time, most int) int {
	if s.now == 0 {
		s.now, s.looked = scaleFirst, now
	}
	for steps := int(now.Sub(s.looked) / scaleEvery); steps > 0; steps-- {
		switch {
		case s.wanted:
			s.now = min(s.now+scaleStep, scaleMost)
		case s.used < s.now:
			s.now = max(s.now-scaleStep, s.used, scaleFirst)
		}
		s.looked, s.wanted, s.used = s.looked.Add(scaleEvery), false, 0
		if s.now == scaleFirst || s.now == scaleMost {
			s.looked = now // a long pause is no reason to count through it
			break
		}
	}
	if most > 0 {
		return min(s.now, most)
	}
	return s.now
}

// use notes how many are out, and whether there was more to do.
func (s *scale) use(out int, wanted bool) {
	s.used, s.wanted = max(s.used, out), s.wanted || wanted
}

// step is when the limit may be another one.
func (s *scale) step() time.Time { return s.looked.Add(scaleEvery) }
