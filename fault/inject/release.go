package inject

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
)

// A BadRelease fault is on code: that of the version or alias that its target
// names, as it is when the fault begins, or any that comes after that. A version
// is led back by moving an alias, or by deploying what was there before: what
// then runs is other code, and is not met.

// released says whether code is that of the release that goes wrong.
func (r *Running) released(code string) bool {
	named := r.fault.Target.Version != "" || r.fault.Target.Alias != ""
	return slices.Contains(r.codes, code) == named
}

// release has an event meet a release that goes wrong; over says that it is
// answered with an error.
func (t *Station) release(h hit, p *plan) (over bool) {
	what := fmt.Sprintf("version %s with the code %.12s is a bad release: ", t.who.Version, t.who.Code)
	if h.fault.With.Latency > 0 {
		t.set.note(h.Running, p.who, what+fmt.Sprintf("the event is held for %s", h.latency.Round(time.Microsecond)))
		return false
	}
	t.set.note(h.Running, p.who, what+"the event is answered with an error; the function does not run")
	return true
}

// known finds the code that a BadRelease fault tells others from.
func (s *Faults) known(f *fault.Fault) ([]string, error) {
	if f.Kind != fault.BadRelease || s.cfg.Codes == nil {
		return nil, nil
	}
	codes, err := s.cfg.Codes(&f.Target)
	if err == nil && len(codes) == 0 && (f.Target.Version != "" || f.Target.Alias != "") {
		err = fmt.Errorf("target.version, target.alias: there is no %s", strings.Join(slices.DeleteFunc([]string{f.Target.Version, f.Target.Alias}, func(s string) bool { return s == "" }), " of "))
	}
	if err != nil {
		return nil, &daruma.Error{Op: "start fault", Ref: f.String(), Kind: daruma.KindNotFound, Err: err}
	}
	return codes, nil
}
