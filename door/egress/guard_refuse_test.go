package egress

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// noted is a connection that notes what is done with it.
type noted struct {
	net.Conn
	did []string
}

func (n *noted) note(what string) { n.did = append(n.did, what) }

func (n *noted) SetReadDeadline(t time.Time) error {
	if left := time.Until(t); left <= 0 || left > refuseAfter {
		n.note("wrong deadline")
	}
	n.note("deadline")
	return nil
}

func (n *noted) Read([]byte) (int, error) { n.note("read"); return 0, io.EOF }
func (n *noted) SetLinger(int) error      { n.note("linger"); return nil }
func (n *noted) Close() error             { n.note("close"); return nil }

func TestAConnectionThatLeadsNowhereIsResetOnceItsClientHasWrittenOrSoon(t *testing.T) {
	c := &noted{}
	refuse(c)
	if want := []string{"deadline", "read", "linger", "close"}; !slices.Equal(c.did, want) {
		t.Errorf("got %q, want %q", c.did, want)
	}
}
