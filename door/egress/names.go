package egress

import (
	"container/list"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// synthetic is where the addresses given for names come from: the range for
// benchmarks of network devices (RFC 2544), which nobody routes.
var synthetic = netip.MustParsePrefix("198.18.0.0/15")

// synthetics is how many addresses there are, without the first and the last.
const synthetics = 1<<17 - 2

// names gives each name an address and tells, when a connection comes, which
// name it stands for. A name keeps its address while it is remembered. A
// forgotten address is given to another name only after all others have had
// their turn, so that a client with a long memory is refused rather than led
// to the wrong host.
type names struct {
	max int

	mu     sync.Mutex // guards what follows
	byName map[string]*list.Element
	byAddr map[netip.Addr]*list.Element
	recent list.List // of *named, the latest used first
	turn   uint32
}

// named is one name with its address.
type named struct {
	name  string
	addr  netip.Addr
	known time.Time // until when it is known to exist
}

// address returns the address that stands for name, which is known to exist until known.
func (t *names) address(name string, known time.Time) netip.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if el := t.byName[name]; el != nil {
		t.recent.MoveToFront(el)
		n := el.Value.(*named)
		n.known = known
		return n.addr
	}
	if t.byName == nil {
		t.byName, t.byAddr = map[string]*list.Element{}, map[netip.Addr]*list.Element{}
	}
	for t.recent.Len() >= t.max {
		oldest := t.recent.Remove(t.recent.Back()).(*named)
		delete(t.byName, oldest.name)
		delete(t.byAddr, oldest.addr)
	}
	n := &named{name: name, addr: t.free(), known: known}
	el := t.recent.PushFront(n)
	t.byName[name], t.byAddr[n.addr] = el, el
	return n.addr
}

// free returns the next address in turn that stands for nothing. There always
// is one: max is at most half of them.
func (t *names) free() netip.Addr {
	first := synthetic.Addr().As4()
	for {
		t.turn = t.turn%synthetics + 1
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(first[:])+t.turn)
		if a := netip.AddrFrom4(b); t.byAddr[a] == nil {
			return a
		}
	}
}

// known returns the address of a name that was found to exist not long ago.
func (t *names) known(name string, now time.Time) (netip.Addr, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	el := t.byName[name]
	if el == nil || !now.Before(el.Value.(*named).known) {
		return netip.Addr{}, false
	}
	t.recent.MoveToFront(el)
	return el.Value.(*named).addr, true
}

// name returns the name addr stands for.
func (t *names) name(addr netip.Addr) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	el := t.byAddr[addr]
	if el == nil {
		return "", false
	}
	t.recent.MoveToFront(el)
	return el.Value.(*named).name, true
}
