package runtime

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"time"
)

// How long a client may leave a request unfinished: its head, and between two
// pieces of a body that is read whole. A streamed body may pause as long as
// its function runs.
const (
	headWait = 60 * time.Second
	bodyWait = 2 * time.Minute
)

var errChunk = errors.New("malformed chunk")

// A body reads one request's body from its connection, and its trailers after it.
type body struct {
	conn    *conn
	left    int64 // of the body, or of the chunk that is being read
	chunked bool
	started bool // a chunk was read: the next is preceded by its CRLF
	patient bool // no limit to how long it may pause
	err     error

	errorType string // from the trailers
	errorBody []byte
}

// Read reads the body. A body that was cut short ends in io.ErrUnexpectedEOF.
func (b *body) Read(p []byte) (int, error) {
	if b.err == nil && b.left == 0 {
		b.err = b.advance()
	}
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), b.left)]
	c := b.conn
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	if n == 0 {
		if n, b.err = b.wait(p); n == 0 {
			return 0, b.err
		}
		b.err = nil
	}
	b.left -= int64(n)
	return n, nil
}

// wait reads from the socket itself: into p, past the connection's buffer.
func (b *body) wait(p []byte) (int, error) {
	if err := b.conn.flush(); err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	if !b.patient {
		b.conn.net.SetReadDeadline(time.Now().Add(bodyWait))
		defer b.conn.net.SetReadDeadline(time.Time{})
	}
	n, err := b.conn.net.Read(p)
	if n > 0 {
		return n, nil
	}
	if err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, nil
}

// advance comes to the next chunk. It returns io.EOF at the body's end.
func (b *body) advance() error {
	if !b.chunked {
		return io.EOF
	}
	if b.started {
		if line, err := b.line(2); err != nil {
			return err
		} else if len(line) != 0 {
			return errChunk
		}
	}
	b.started = true
	line, err := b.line(256)
	if err != nil {
		return err
	}
	if semi := bytes.IndexByte(line, ';'); semi >= 0 {
		line = line[:semi]
	}
	size, ok := hexadecimal(trim(line))
	if !ok {
		return errChunk
	}
	if size > 0 {
		b.left = size
		return nil
	}
	return b.trailers()
}

// trailers reads what follows the last chunk.
func (b *body) trailers() error {
	for room := trailerBytesMax; ; {
		line, err := b.line(room)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		room -= len(line) + 2
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || room < 2 {
			return errChunk
		}
		switch value := trim(line[colon+1:]); {
		case is(line[:colon], "lambda-runtime-function-error-type"):
			b.errorType = string(value)
		case is(line[:colon], "lambda-runtime-function-error-body"):
			if b.errorBody, err = base64.StdEncoding.AppendDecode(nil, value); err != nil {
				b.errorBody = nil
			}
		}
	}
}

// line reads one line of at most limit bytes, its CRLF included, which it cuts off.
func (b *body) line(limit int) ([]byte, error) {
	c := b.conn
	for seen := 0; ; {
		if i := bytes.IndexByte(c.buf[c.r+seen:c.w], '\n'); i >= 0 {
			i += seen
			line := c.buf[c.r : c.r+i]
			c.r += i + 1
			if i == 0 || line[i-1] != '\r' || i+1 > limit {
				return nil, errChunk
			}
			return line[:i-1], nil
		}
		if seen = c.w - c.r; seen >= limit {
			return nil, errChunk
		}
		c.makeRoom(limit + 2)
		n, err := b.wait(c.buf[c.w:])
		c.w += n
		if err != nil {
			return nil, err
		}
	}
}

// trailer returns what the trailers said.
func (b *body) trailer() (string, []byte) { return b.errorType, b.errorBody }

// all reads the whole body into memory of its own, or limit+1 bytes of it.
func (b *body) all(limit int64) ([]byte, error) {
	c := b.conn
	if !b.chunked && b.left <= int64(c.w-c.r) && b.left <= limit {
		out := append(make([]byte, 0, b.left), c.buf[c.r:c.r+int(b.left)]...)
		c.r += int(b.left)
		b.left, b.err = 0, io.EOF
		return out, nil
	}
	room := int64(4 << 10)
	if !b.chunked {
		room = min(b.left, limit+1, smallBytes)
	}
	out := make([]byte, 0, room)
	for {
		if len(out) == cap(out) {
			if _, err := b.Read(nil); errors.Is(err, io.EOF) || err == nil && int64(len(out)) > limit {
				return out, nil
			} else if err != nil {
				return nil, err
			}
			if len(out) >= smallBytes {
				if err := c.grab(); err != nil {
					return nil, err
				}
			}
			want := int64(cap(out)) * 4
			if !b.chunked { // the length is known, and by now much of it has come
				want = int64(len(out)) + b.left
			}
			grown := make([]byte, len(out), min(want, limit+1))
			copy(grown, out)
			out = grown
		}
		n, err := b.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// drain reads what is left and throws it away. It returns false when that is
// too much, or was cut short: the connection is of no more use then.
func (b *body) drain() bool {
	if b.err == nil && b.left == 0 && !b.chunked {
		return true
	}
	if b.err != nil {
		return errors.Is(b.err, io.EOF)
	}
	if !b.chunked && b.left > drainBytesMax {
		return false
	}
	var waste [4 << 10]byte
	for read := 0; read < drainBytesMax; {
		n, err := b.Read(waste[:])
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		read += n
	}
	return false
}
