package template

import (
	"strings"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/template/tree"
)

// dependency reads where events of a function say what they depend on: Dependency
// with the path of a Key.
func (l *loader) dependency(p *properties) (path string, at tree.Pos) {
	s := p.sub("Dependency")
	if s == nil {
		return "", at
	}
	s.require("Key")
	path, at = s.text("Key"), s.at("Key")
	s.done()
	if path == "" {
		return "", at
	}
	if err := ledger.CheckPath(path); err != nil {
		s.fault("Key", at, err.Error(), "a path is like $.tenant, or $.body.tenant of messages")
		return "", at
	}
	return path, at
}

// hides returns the sensitive path that leads to what path does, or to what that
// lies in; "" when none does. Those of a message begin in its body.
func hides(sensitive []string, path string) string {
	plain := func(p string) string { return strings.TrimPrefix(strings.TrimPrefix(p, "$"), ".") }
	whole := plain(path)
	for _, s := range sensitive {
		for _, p := range []string{whole, strings.TrimPrefix(whole, "body.")} {
			if rest, in := strings.CutPrefix(p, plain(s)); in && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				return s
			}
		}
	}
	return ""
}
