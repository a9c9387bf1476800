package egress

import (
	"net"
	"time"
)

// Cut resets the connections that are open and chosen, those to the cloud as well,
// so that whoever needs them asks the policy again.
func (e *Egress) Cut(chosen func(Dial) bool) {
	e.mu.Lock()
	var cut []net.Conn
	for c, d := range e.open {
		if chosen(d) {
			cut = append(cut, c)
		}
	}
	e.mu.Unlock()
	for _, c := range cut {
		abort(c)
	}
}

// hold makes a connection known to Cut until it is released.
func (e *Egress) hold(d Dial, c net.Conn) (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open[c] = d
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.open, c)
	}
}

// paceEvery is how often a paced connection looks at its pace: it is no longer
// held up so soon after the pace is lifted.
const paceEvery = 20 * time.Millisecond

// A paced connection carries so many bytes a second, each way.
type paced struct {
	net.Conn
	pace func() int64
}

// share is how many of n bytes may go now, and how long that takes.
func (p *paced) share(n int) (now int, takes time.Duration) {
	bound := p.pace()
	if bound <= 0 {
		return n, 0
	}
	now = min(n, max(1, int(bound*int64(paceEvery)/int64(time.Second))))
	return now, time.Duration(now) * time.Second / time.Duration(bound)
}

// spend waits as long as some bytes take, unless the pace is lifted.
func (p *paced) spend(takes time.Duration) {
	for end := time.Now().Add(takes); ; {
		left := time.Until(end)
		if left <= 0 || p.pace() <= 0 {
			return
		}
		time.Sleep(min(left, paceEvery))
	}
}

func (p *paced) Read(b []byte) (int, error) {
	some, _ := p.share(len(b))
	n, err := p.Conn.Read(b[:some])
	if n > 0 {
		if bound := p.pace(); bound > 0 {
			p.spend(time.Duration(n) * time.Second / time.Duration(bound))
		}
	}
	return n, err
}

func (p *paced) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		some, takes := p.share(len(b) - n)
		p.spend(takes)
		var m int
		m, err = p.Conn.Write(b[n : n+some])
		n += m
	}
	return n, err
}

// CloseWrite ends one direction, where the connection below can.
func (p *paced) CloseWrite() error {
	if h, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return p.Close()
}

// SetLinger is for abort.
func (p *paced) SetLinger(seconds int) error {
	if l, ok := p.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(seconds)
	}
	return nil
}
