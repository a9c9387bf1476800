package inject

import (
	"encoding/json"

	"github.com/daruma-io/daruma/fault"
)

// An Effect is what a failure flag does, by one fault.
type Effect struct {
	ID     fault.ID
	Effect json.RawMessage
}

// Flag returns what a failure flag in a function's own code is to do now. The
// labels, a JSON object, are what the fault's Match and Pattern look at.
func (s *Faults) Flag(w Who, name string, labels json.RawMessage) []Effect {
	active := s.active.Load()
	if active == nil {
		return nil
	}
	var all []Effect
	for _, f := range active[fault.Flags] {
		if !f.meets(&w) || !fault.Like(f.fault.With.Name, name) || !f.lens.Fits(labels) {
			continue
		}
		if _, met := f.meet(); met {
			s.note(f, w, "the failure flag "+name+" has an effect")
			all = append(all, Effect{f.id, f.fault.With.Effect})
		}
	}
	return all
}
