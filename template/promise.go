package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// A promise is what a template asks for beside what runs: protection, or a view.
// Everything runs the same without it, so a template that asks for it is taken,
// and a warning says once, with the names of all who ask, that nobody keeps it here.
type promise struct{ message, hint string }

// The promises that are not kept.
var (
	enforcement = promise{"resource policies are kept, not enforced", "whoever has a key of this node may use each of its queues and topics: allow and deny at the application, or on AWS"}
	recovery    = promise{"point-in-time recovery is not supported: no table can be brought back to an earlier time", "daruma tables export copies a table's items to a file, daruma tables import takes them in"}
	encryption  = promise{"encryption with keys is not supported: what is stored lies in the node's directory as it is", "only its owner can read the directory; an encrypted disk protects it when it is lost"}
	network     = promise{"VpcConfig is kept, and functions run in networks of their own: subnets, routes and security groups keep nothing out or in, and the internet is reached without a NAT gateway", "daruma up --egress deny keeps functions from hosts outside; aws:network:disrupt-connectivity cuts those in a subnet off"}
	insights    = promise{"contributor insights are not supported: no reports tell of keys that are used much", ""}
)

// unkept is who asks for a promise, and where the first does.
type unkept struct {
	promise
	at    tree.Pos
	names []string
}

// unkeep notes that the resource in hand asks for a promise.
func (l *loader) unkeep(what promise, at tree.Pos) {
	i := slices.IndexFunc(l.unkept, func(u unkept) bool { return u.promise == what })
	if i < 0 {
		i = len(l.unkept)
		l.unkept = append(l.unkept, unkept{promise: what, at: at})
	}
	u := &l.unkept[i]
	u.names = append(u.names, l.current.id)
}

// unkeep notes a promise that a property asks for, when it is there.
func (p *properties) unkeep(name string, what promise) {
	if p.value(name) != nil {
		p.l.unkeep(what, p.at(name))
	}
}

// warnUnkept says which promises are not kept.
func (l *loader) warnUnkept() {
	for _, u := range l.unkept {
		slices.Sort(u.names)
		l.warn(u.at, u.message+": "+strings.Join(slices.Compact(u.names), ", "), u.hint)
	}
}
