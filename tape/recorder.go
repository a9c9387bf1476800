package tape

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// A Recorder keeps what one environment asks outside, run by run.
type Recorder struct {
	current func() string // the request the environment is busy with; "" before its first
	redact  redactor
	names   []string

	mu      sync.Mutex        // guards the rest
	entries []*entry          // in the order they began
	runs    map[string]*usage // by request
	missed  []string
}

// A usage is what one run takes, and what was dropped for want of room.
type usage struct{ exchanges, bytes, dropped int }

// An entry is an exchange of one run.
type entry struct {
	request string
	x       Exchange
	done    bool
}

// NewRecorder returns a recorder that asks current which request an exchange
// belongs to, and keeps no value of the given names of headers, parameters and
// members.
func NewRecorder(current func() string, names []string) *Recorder {
	return &Recorder{current: current, redact: newRedactor(names), names: names, runs: map[string]*usage{}}
}

// Miss notes what is not recorded, and why. The same text is noted once.
func (r *Recorder) Miss(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if text = cut(text, textBytesMax); len(r.missed) < missesMax && !slices.Contains(r.missed, text) {
		r.missed = append(r.missed, text)
	}
}

// Fail notes a lookup or a connection that failed.
func (r *Recorder) Fail(kind, host string, port int, at time.Time, why error) {
	if e := r.add(Exchange{Kind: kind, Host: host, Port: port, At: at, Took: time.Since(at), Error: cut(why.Error(), textBytesMax)}); e != nil {
		r.mu.Lock()
		e.done = true
		r.mu.Unlock()
	}
}

// Begin notes a request. What is returned is told the rest; it may be used by
// one goroutine for the request's body and another for the answer.
func (r *Recorder) Begin(scheme, host string, port int, method string, u *url.URL, h http.Header) *Taking {
	x := Exchange{Kind: Request, At: time.Now(), Scheme: scheme, Host: host, Port: port, Method: cut(method, textBytesMax),
		Target: r.redact.target(u), Operation: cut(h.Get("X-Amz-Target"), textBytesMax), RequestHeader: r.redact.header(h)}
	return &Taking{recorder: r, entry: r.add(x), sum: sha256.New()}
}

// add keeps an exchange, or counts it when there is no room.
func (r *Recorder) add(x Exchange) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &entry{request: r.current(), x: x}
	r.compact(e.request)
	u := r.runs[e.request]
	if u == nil {
		u = &usage{}
		r.runs[e.request] = u
	}
	if u.exchanges >= ExchangesMax || u.bytes+x.bytes() > BytesMax {
		u.dropped++
		return nil
	}
	u.exchanges++
	u.bytes += x.bytes()
	r.entries = append(r.entries, e)
	return e
}

// compact drops what goes beyond the limits of the runs before the one before
// request: of those only the first exchanges are of use, those by which the
// environment learnt what it still knows.
func (r *Recorder) compact(request string) {
	last := ""
	for i := len(r.entries) - 1; i >= 0 && last == ""; i-- {
		if r.entries[i].request != request {
			last = r.entries[i].request
		}
	}
	n, bytes := 0, 0
	r.entries = slices.DeleteFunc(r.entries, func(e *entry) bool {
		if e.request == request || e.request == last && last != "" {
			return false
		}
		n++
		bytes += e.x.bytes()
		return n > BeforeMax || bytes > BeforeBytesMax
	})
	for other := range r.runs {
		if other != request && other != last {
			delete(r.runs, other)
		}
	}
}

// Take returns the tape of one request, or nil when there is nothing to tell.
// What has no answer yet is on it as pending.
func (r *Recorder) Take(request string) *Tape {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &Tape{Version: version, Redacted: slices.Clone(r.names), Missed: slices.Clone(r.missed)}
	if u := r.runs[request]; u != nil {
		t.Dropped = u.dropped
	}
	own := slices.IndexFunc(r.entries, func(e *entry) bool { return e.request == request })
	n, size := 0, 0
	for i, e := range r.entries {
		x := e.x
		x.RequestBody, x.Body = slices.Clone(x.RequestBody), slices.Clone(x.Body)
		if e.request != request {
			n++
			size += x.bytes()
			if own >= 0 && i > own || n > BeforeMax || size > BeforeBytesMax || !e.done {
				continue
			}
			x.Before = true
		}
		if !e.done {
			x.Pending, x.Took = true, time.Since(x.At)
		}
		t.Exchanges = append(t.Exchanges, r.clean(x))
	}
	if len(t.Exchanges) == 0 && len(t.Missed) == 0 && t.Dropped == 0 {
		return nil
	}
	return t
}

// clean leaves secrets out of bodies.
func (r *Recorder) clean(x Exchange) Exchange {
	x.RequestHeader, x.RequestBody = r.redact.bodies(x.RequestHeader, x.RequestBody)
	x.Header, x.Body = r.redact.bodies(x.Header, x.Body)
	return x
}

// A Taking is a request that is being recorded.
type Taking struct {
	recorder *Recorder
	entry    *entry // nil: there was no room for it
	sum      hash.Hash
}

// with changes the exchange, if it is kept and not done.
func (t *Taking) with(change func(x *Exchange)) {
	if t.entry == nil {
		return
	}
	t.recorder.mu.Lock()
	defer t.recorder.mu.Unlock()
	if !t.entry.done {
		change(&t.entry.x)
	}
}

// room takes room for n more bytes of a body, as many as there is room for.
func (t *Taking) room(n, have int) int {
	u := t.recorder.runs[t.entry.request]
	if u == nil { // a run long past
		return 0
	}
	n = max(0, min(n, BodyBytesMax-have, BytesMax-u.bytes))
	u.bytes += n
	return n
}

// Sent is told each piece of the request's body.
func (t *Taking) Sent(p []byte) {
	t.with(func(x *Exchange) {
		t.sum.Write(p)
		x.RequestSHA256 = hex.EncodeToString(t.sum.Sum(nil))
		x.RequestBody = append(x.RequestBody, p[:t.room(len(p), len(x.RequestBody))]...)
	})
}

// Answered is told the head of the answer.
func (t *Taking) Answered(status int, h http.Header) {
	t.with(func(x *Exchange) { x.Status, x.Header = status, t.recorder.redact.header(h) })
}

// Received is told each piece of the answer's body.
func (t *Taking) Received(p []byte) {
	t.with(func(x *Exchange) {
		n := t.room(len(p), len(x.Body))
		x.Cut = x.Cut || n < len(p)
		x.Body = append(x.Body, p[:n]...)
	})
}

// End is told that the answer is over: whole, or for a reason.
func (t *Taking) End(trailer http.Header, why error) {
	t.with(func(x *Exchange) {
		x.Took = time.Since(x.At)
		x.Trailer = t.recorder.redact.header(trailer)
		if why != nil {
			x.Error = cut(why.Error(), textBytesMax)
		}
		t.entry.done = true
	})
}

// Left is told that the function did not wait for the rest of the answer: it
// gave up, or was killed.
func (t *Taking) Left() {
	t.with(func(x *Exchange) {
		x.Took, x.Pending, t.entry.done = time.Since(x.At), true, true
	})
}

// Abandon is told that the exchange turned out not to be one that can be
// recorded, such as a connection that changes its protocol.
func (t *Taking) Abandon(why string) {
	if t.entry == nil {
		return
	}
	t.recorder.mu.Lock()
	name := t.entry.x.String()
	t.recorder.entries = slices.DeleteFunc(t.recorder.entries, func(e *entry) bool { return e == t.entry })
	t.recorder.mu.Unlock()
	t.recorder.Miss(fmt.Sprintf("%s: %s", name, why))
}
