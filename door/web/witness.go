package web

import (
	"bytes"
	"context"
	"net"
	"net/textproto"
	"strconv"
	"sync"
)

// A witness reads along with net/http and keeps what its parser hides from
// handlers: how header names were written, and whether a request frames its
// body in a way two parties could read differently: Content-Length together
// with Transfer-Encoding, folded headers, lines that end in a bare LF, chunks
// in HTTP/1.0 (RFC 9112, sections 2.2, 5.2 and 6.3). A connection that did so
// once is never trusted again.
type witness struct {
	net.Conn
	free func() // gives the connection's slot back; may be called again

	// The parser below is fed by Read only, and net/http reads one at a time.
	at      place
	line    []byte // the part of a line that has come
	left    int64  // of a body or chunk
	head    head
	spelled []string

	mu    sync.Mutex // guards what follows
	heads [][]string // of requests read and not yet handled
	bad   bool
}

// place says what comes next on a connection.
type place uint8

const (
	atRequest place = iota
	atHeader
	atBody
	atChunk
	atChunkData
	atChunkEnd
	atTrailer
)

// head is what one request's head says about its body.
type head struct {
	old     bool // HTTP/1.0
	length  bool
	chunked bool
}

// wireLineMax bounds a line of a request's head.
const wireLineMax = wireHeaderBytesMax + 4096

// Read reads and looks at what came.
func (t *witness) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	if n > 0 {
		t.see(b[:n])
	}
	return n, err
}

// Close closes the connection and frees its slot.
func (t *witness) Close() error {
	err := t.Conn.Close()
	t.free()
	return err
}

func (t *witness) see(b []byte) {
	for len(b) > 0 {
		if t.at == atBody || t.at == atChunkData {
			n := min(int64(len(b)), t.left)
			b, t.left = b[n:], t.left-n
			if t.left == 0 && t.at == atBody {
				t.at = atRequest
			} else if t.left == 0 {
				t.at = atChunkEnd
			}
			continue
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			t.line = append(t.line, b...)
			if len(t.line) > wireLineMax {
				t.condemn()
			}
			return
		}
		line := b[:i]
		if len(t.line) > 0 {
			t.line = append(t.line, line...)
			line = t.line
		}
		b = b[i+1:]
		if len(line) == 0 || line[len(line)-1] != '\r' || !t.take(line[:len(line)-1]) {
			t.condemn()
			return
		}
		t.line = t.line[:0]
	}
}

// condemn gives the connection up: whatever else comes is not looked at.
func (t *witness) condemn() {
	t.mu.Lock()
	t.bad = true
	t.mu.Unlock()
	t.line, t.at, t.left = nil, atBody, 1<<62
}

// take moves on by one line and says whether it was sound.
func (t *witness) take(line []byte) bool {
	switch t.at {
	case atRequest:
		t.head, t.spelled, t.left = head{old: bytes.HasSuffix(line, []byte("HTTP/1.0"))}, nil, 0
		t.at = atHeader
		return len(line) > 0
	case atHeader:
		if len(line) == 0 {
			return t.endHead()
		}
		return t.header(line)
	case atChunk:
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 62)
		t.left, t.at = int64(n), atChunkData
		if n == 0 {
			t.at = atTrailer
		}
		return err == nil
	case atChunkEnd:
		t.at = atChunk
		return len(line) == 0
	case atTrailer:
		if len(line) == 0 {
			t.at = atRequest
		}
	}
	return true
}

func (t *witness) header(line []byte) bool {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' {
		return false
	}
	if !canonical(name) {
		t.spelled = append(t.spelled, string(name))
	}
	switch len(name) {
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			n, err := strconv.ParseUint(string(textproto.TrimBytes(value)), 10, 62)
			if err != nil || t.head.length && int64(n) != t.left {
				return false
			}
			t.head.length, t.left = true, int64(n)
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			t.head.chunked = true
		}
	}
	return true
}

// endHead hands the head over and says what follows it.
func (t *witness) endHead() bool {
	t.mu.Lock()
	t.heads = append(t.heads, t.spelled)
	t.mu.Unlock()
	switch {
	case t.head.chunked:
		t.at = atChunk
	case t.left > 0:
		t.at = atBody
	default:
		t.at = atRequest
	}
	return !t.head.chunked || !t.head.length && !t.head.old
}

// canonical says whether a header name is written as net/http would write it.
func canonical(name []byte) bool {
	upper := true
	for _, c := range name {
		if upper && c >= 'a' && c <= 'z' || !upper && c >= 'A' && c <= 'Z' {
			return false
		}
		upper = c == '-'
	}
	return true
}

type witnessKey struct{}

// witnessed returns how the request that is being handled spelled its header
// names, those that net/http changes, and whether its connection is sound. It
// is asked once for each request.
func witnessed(ctx context.Context) (spelled []string, sound bool) {
	t, ok := ctx.Value(witnessKey{}).(*witness)
	if !ok {
		return nil, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bad || len(t.heads) == 0 {
		return nil, false
	}
	spelled = t.heads[0]
	t.heads = t.heads[:copy(t.heads, t.heads[1:])]
	return spelled, true
}
