package tape

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// A Player answers from a tape. Each exchange is used once, in the order of
// the tape among those that fit alike.
type Player struct {
	tape   *Tape // never nil
	why    string
	redact redactor

	mu     sync.Mutex // guards the rest
	used   []bool
	played int
	misses []string
	count  int // of misses
}

// NewPlayer returns a player of t. why says, in the error of what is not on
// the tape, why it is refused: "it was not recorded".
func NewPlayer(t *Tape, why string) *Player {
	if t == nil {
		t = &Tape{}
	}
	return &Player{tape: t, why: why, redact: newRedactor(t.Redacted), used: make([]bool, len(t.Exchanges))}
}

// An Ask is a request that waits for its answer.
type Ask struct {
	Scheme, Host string
	Port         int
	Method       string
	URL          *url.URL
	Header       http.Header
	Body         []byte
}

// Answer returns the exchange that answers a request, or why there is none.
// Exchanges of the run itself come before those that were before it; one whose
// request had the same body comes before one that had another.
func (p *Player) Answer(a Ask) (*Exchange, error) {
	target, operation := p.redact.target(a.URL), a.Header.Get("X-Amz-Target")
	sum := ""
	if len(a.Body) > 0 {
		s := sha256.Sum256(a.Body)
		sum = hex.EncodeToString(s[:])
	}
	fits := func(x *Exchange) bool {
		return x.Kind == Request && x.Method == a.Method && x.Host == a.Host && (x.Port == a.Port || x.Host == Cloud) && x.Scheme == a.Scheme &&
			x.Target == target && x.Operation == operation
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, before := range []bool{false, true} {
		for _, same := range []bool{true, false} {
			for i := range p.tape.Exchanges {
				x := &p.tape.Exchanges[i]
				if p.used[i] || x.Before != before || !fits(x) || same && x.RequestSHA256 != sum {
					continue
				}
				if x.Cut {
					return nil, p.miss(fmt.Sprintf("%s: its answer was longer than the %d bytes that are kept", x, BodyBytesMax))
				}
				p.used[i] = true
				p.played++
				return x, nil
			}
		}
	}
	asked := Exchange{Kind: Request, Scheme: a.Scheme, Host: a.Host, Port: a.Port, Method: a.Method, Target: target, Operation: operation}
	return nil, p.miss(asked.String() + ": " + p.why)
}

// Connects says whether a connection to a host is made: the error is the one
// it failed with when it was recorded.
func (p *Player) Connects(host string, port int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.tape.Exchanges {
		x := &p.tape.Exchanges[i]
		if p.used[i] || x.Host != host || x.Port != port {
			continue
		}
		if x.Kind != Connection {
			return nil
		}
		p.used[i] = true
		p.played++
		return fmt.Errorf("as it was recorded: %s", x.Error)
	}
	return nil
}

// Exists says whether a name is found: not when its lookup failed, and nothing
// was asked of it.
func (p *Player) Exists(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	failed := false
	for i := range p.tape.Exchanges {
		x := &p.tape.Exchanges[i]
		if x.Host != name {
			continue
		}
		if x.Kind != Lookup {
			return true
		}
		failed = true
		if !p.used[i] {
			p.used[i] = true
			p.played++
		}
	}
	return !failed
}

// Refuse notes something that is not on the tape, and returns the error that says so.
func (p *Player) Refuse(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.miss(what + ": " + p.why)
}

// miss notes a miss. p.mu is held.
func (p *Player) miss(text string) error {
	text = cut(text, textBytesMax)
	if p.count++; len(p.misses) < missesMax && !slices.Contains(p.misses, text) {
		p.misses = append(p.misses, text)
	}
	return fmt.Errorf("%s", text)
}

// A Report says what became of a tape.
type Report struct {
	Played int      `json:"played"`           // exchanges answered from
	Missed []string `json:"missed,omitempty"` // what was asked and is not on it
	Unused []string `json:"unused,omitempty"` // exchanges of the run that nothing asked for
}

// Report says what was played so far.
func (p *Player) Report() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Report{Played: p.played, Missed: slices.Clone(p.misses)}
	for i := range p.tape.Exchanges {
		if x := &p.tape.Exchanges[i]; !p.used[i] && !x.Before && len(r.Unused) < missesMax {
			r.Unused = append(r.Unused, x.String())
		}
	}
	return r
}
