package node

import "github.com/daruma-io/daruma"

// spanned keeps what a door tells of a request. Doors go by the machine's
// clock and everything else in a trace by the app's.
func (n *Node) spanned(s daruma.Span) {
	s.At = n.clock.At(s.At)
	n.watch.Spanned(s)
}
