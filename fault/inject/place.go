package inject

import (
	"time"

	"github.com/daruma-io/daruma/fault"
)

// A Place is what an environment is made with.
type Place struct {
	MemoryBytes int64
	TmpBytes    int64
	Skew        time.Duration // by how much its time of day is ahead of the machine's
}

// pageBytes is the smallest /tmp there is; no limit at all would be 0.
const pageBytes = 4096

// Place changes what an environment is about to be made with, by Memory, Disk
// and ClockSkew faults, and marks all that will run in it.
func (s *Faults) Place(w Who, p Place) Place {
	active := s.active.Load()
	if active == nil {
		return p
	}
	for _, f := range active[fault.Places] {
		if f.fault.Kind == fault.Variable || f.fault.Kind == fault.Secret || !f.meets(&w) {
			continue
		}
		memory, left := int64(f.fault.With.MemoryMB)<<20, int64(f.fault.With.LeftMB)<<20
		if filled := int64(f.fault.With.FilledMB) << 20; filled > 0 {
			left = p.TmpBytes - filled
		}
		if f.fault.Kind == fault.Memory && p.MemoryBytes > 0 && memory >= p.MemoryBytes || f.fault.Kind == fault.Disk && p.TmpBytes > 0 && left >= p.TmpBytes {
			continue // it has no more, and nothing would be broken
		}
		if _, met := f.meet(); !met {
			continue
		}
		s.marks.addEnvironment(w.Environment, f.mark())
		switch f.fault.Kind {
		case fault.Memory:
			p.MemoryBytes = memory
			s.note(f, w, "the environment has less memory than the function asks for")
		case fault.Disk:
			p.TmpBytes = max(pageBytes, left)
			s.note(f, w, "the environment has less room in /tmp than the function asks for")
		case fault.ClockSkew:
			p.Skew = time.Duration(f.fault.With.By)
			s.note(f, w, "the environment's clock is wrong by "+f.fault.With.By.String())
		}
	}
	return p
}

// Variables returns the variables, "NAME=value", that an environment is to see
// instead of its own, by Variable faults, and as "NAME" those that it is not to
// see, by Secret faults. It marks all that will run in it.
func (s *Faults) Variables(w Who) []string {
	active := s.active.Load()
	if active == nil {
		return nil
	}
	var vars []string
	for _, f := range active[fault.Places] {
		if f.fault.Kind != fault.Variable && f.fault.Kind != fault.Secret || !f.meets(&w) {
			continue
		}
		if _, met := f.meet(); !met {
			continue
		}
		s.marks.addEnvironment(w.Environment, f.mark())
		if f.fault.Kind == fault.Secret {
			s.note(f, w, "the environment does not see "+f.fault.With.Name)
			vars = append(vars, f.fault.With.Name)
			continue
		}
		s.note(f, w, "the environment sees another value of "+f.fault.With.Name)
		vars = append(vars, f.fault.With.Name+"="+f.fault.With.Value)
	}
	return vars
}
