package template

import (
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/once"
)

// onceRule reads which events of a function are the same: Idempotency with the
// path of a Key, and how long until it Expires.
func (l *loader) onceRule(p *properties) *once.Rule {
	s := p.sub("Idempotency")
	if s == nil {
		return nil
	}
	s.require("Key")
	r := once.Rule{Path: s.text("Key"), For: once.ForDefault}
	if v := s.value("Expires"); v != nil {
		kept, err := time.ParseDuration(s.text("Expires"))
		if err != nil {
			s.fault("Expires", v.Pos, "how long a key is kept must be a duration, not "+v.Text, "15m, 1h or 24h")
			s.done()
			return nil
		}
		r.For = kept
	}
	s.done()
	if r.Path == "" {
		return nil
	}
	if err := r.Check(); err != nil {
		s.fault("Key", s.node.Pos, err.Error(), daruma.HintOf(err))
		return nil
	}
	return &r
}
