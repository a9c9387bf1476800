package egress

import (
	"cmp"
	"fmt"
	"math/bits"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// peersMax bounds the peers of one function that are kept apart; those beyond
// are counted together under the host "*". What has no host, as a connection
// for which there was no slot, is counted there too.
const peersMax = 1000

// A Peer is one host and port that a function reached, or tried to.
type Peer struct {
	Function    string    `json:"function"`
	Host        string    `json:"host"` // a name, an address, or "*" for the rest
	Port        uint16    `json:"port"` // 0: the name was looked up
	Connections int64     `json:"connections"`
	BytesIn     int64     `json:"bytesIn"`  // to the function
	BytesOut    int64     `json:"bytesOut"` // from the function
	Failures    int64     `json:"failures"` // no such name, refused by the peer, timed out, handshake failed
	Denied      int64     `json:"denied"`   // refused by the policy, the guard or a limit
	First       time.Time `json:"first"`
	Last        time.Time `json:"last"`
}

// peers is the list of all that was reached.
type peers struct {
	mu     sync.Mutex // guards what follows
	by     map[peerKey]*peer
	counts map[string]int // of each function
}

type peerKey struct {
	function, host string
	port           uint16
}

// peer counts for one Peer. Its fields change on their own; a reader sees
// each of them right, and the set of them nearly so.
type peer struct {
	key                                             peerKey
	connections, in, out, failures, denied, lastRun atomic.Int64 // lastRun in Unix nanoseconds
	first                                           time.Time
}

// peer returns the counters for a host and port, and notes that they were used.
func (e *Egress) peer(who Ref, host string, port uint16) *peer {
	now := e.cfg.Clock.Now()
	key := peerKey{who.Function, host, port}
	e.peers.mu.Lock()
	p := e.peers.by[key]
	if p == nil && e.peers.counts[who.Function] >= peersMax {
		key = peerKey{who.Function, "*", 0}
		p = e.peers.by[key]
	}
	if p == nil {
		p = &peer{key: key, first: now}
		if e.peers.by == nil {
			e.peers.by, e.peers.counts = map[peerKey]*peer{}, map[string]int{}
		}
		e.peers.by[key] = p
		e.peers.counts[who.Function]++
	}
	e.peers.mu.Unlock()
	p.lastRun.Store(now.UnixNano())
	return p
}

// Seen returns every peer since the start, by function, host and port. The
// counts of connections that are open now are included, bytes up to the last
// 128 KiB or so.
func (e *Egress) Seen() []Peer {
	e.peers.mu.Lock()
	all := make([]Peer, 0, len(e.peers.by))
	for k, p := range e.peers.by {
		all = append(all, Peer{
			Function: k.function, Host: k.host, Port: k.port,
			Connections: p.connections.Load(), BytesIn: p.in.Load(), BytesOut: p.out.Load(),
			Failures: p.failures.Load(), Denied: p.denied.Load(),
			First: p.first, Last: time.Unix(0, p.lastRun.Load()).In(p.first.Location()),
		})
	}
	e.peers.mu.Unlock()
	slices.SortFunc(all, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return all
}

// deny counts a refusal and says it in the log: the first of a peer, then the
// second, the fourth, the eighth, so that a loop does not fill the disk.
func (e *Egress) deny(p *peer, who Ref, why string) {
	if n := p.denied.Add(1); powerOfTwo(n) {
		e.tell(who, fmt.Sprintf("egress: %s denied (%d so far): %s", p.String(), n, why))
	}
}

// fail counts a failure and says it in the log, as seldom as deny.
func (e *Egress) fail(p *peer, who Ref, why error) {
	if n := p.failures.Add(1); powerOfTwo(n) {
		e.tell(who, fmt.Sprintf("egress: %s failed (%d so far): %v", p.String(), n, why))
	}
}

func powerOfTwo(n int64) bool { return bits.OnesCount64(uint64(n)) == 1 }

// String returns host:port, or the host alone for a lookup.
func (p *peer) String() string {
	if p.key.port == 0 {
		return p.key.host
	}
	return net.JoinHostPort(p.key.host, strconv.Itoa(int(p.key.port)))
}
