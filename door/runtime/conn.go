package runtime

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
)

// A conn is one connection. Its goroutine alone touches all but what is
// guarded by writing.
type conn struct {
	server *server
	net    net.Conn
	buf    []byte // buf[r:w] was read and not used yet
	r, w   int
	out    []byte // answers that were not written yet
	link   uint64 // what the guest calls this connection
	linked bool
	large  bool // it holds one of the places for large requests

	body body

	parked   atomic.Bool   // the answer to the last request is to come from the guest
	ending   atomic.Bool   // and is the last one
	unparked chan struct{} // told when it came

	writing sync.Mutex // held while an event is written
	owed    []byte     // answers that go out before the event, or at once when there is none
	event   []byte     // where an event is put together
}

const firstBuffer = 4 << 10

// serve reads and answers requests until the connection ends.
func (c *conn) serve() {
	defer func() {
		crash := recover()
		c.release()
		c.server.close(c, crash)
		if c.linked {
			c.server.guest.Detach(c.link)
		}
	}()
	c.buf = make([]byte, firstBuffer)
	var req request
	for {
		n, err := parse(c.buf[c.r:c.w], &req)
		if bad, ok := errors.AsType[*badRequest](err); ok {
			c.answerError(bad.status, "", bad.reason, true)
			_ = c.flush() // the last words: whoever is gone needs none
			return
		}
		if n == 0 {
			if !c.fill() {
				return
			}
			continue
		}
		c.r += n
		if !c.handle(&req) && !c.parked.Load() {
			_ = c.flush() // as above
			return
		}
		c.release()
		if c.parked.Load() && c.r < c.w && !c.await() {
			return
		}
	}
}

// fill reads more of a head. It returns false when the connection is of no more use.
func (c *conn) fill() bool {
	if c.flush() != nil {
		return false
	}
	partial := c.r < c.w
	if !partial {
		c.r, c.w = 0, 0
		if len(c.buf) > smallBytes {
			c.buf = make([]byte, firstBuffer)
		}
	}
	if c.w == len(c.buf) && c.r == 0 && len(c.buf) >= smallBytes && c.grab() != nil {
		return false
	}
	c.makeRoom(headerBytesMax + 4)
	if partial {
		c.net.SetReadDeadline(time.Now().Add(headWait))
		defer c.net.SetReadDeadline(time.Time{})
	}
	n, _ := c.net.Read(c.buf[c.w:])
	c.w += n
	if n > 0 && c.parked.Load() {
		return c.await()
	}
	return n > 0
}

// makeRoom makes the buffer able to take more bytes, up to limit in all.
func (c *conn) makeRoom(limit int) {
	if c.w < len(c.buf) {
		return
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
		return
	}
	grown := make([]byte, min(max(2*len(c.buf), firstBuffer), max(limit, len(c.buf)+2)))
	copy(grown, c.buf[:c.w])
	c.buf = grown
}

// await waits until the request before was answered: a client that sends the
// next one earlier gets its answers in order.
func (c *conn) await() bool {
	for c.parked.Load() {
		select {
		case <-c.unparked:
		case <-c.server.stop:
			return false
		}
	}
	return true
}

// grab takes one of the places for large requests, and waits for it.
func (c *conn) grab() error {
	if c.large {
		return nil
	}
	select {
	case c.server.large <- struct{}{}:
		c.large = true
		return nil
	case <-c.server.stop:
		return net.ErrClosed
	}
}

// release gives the place back.
func (c *conn) release() {
	if c.large {
		c.large = false
		<-c.server.large
	}
}

// flush writes the answers that wait.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	return err
}

// park readies the connection for an event that the guest will bring: whoever
// brings it writes the answers that wait along with it. end says that the
// connection ends with it.
func (c *conn) park(end bool) {
	c.writing.Lock()
	c.owed = append(c.owed[:0], c.out...)
	c.writing.Unlock()
	c.out = c.out[:0]
	select { // a stale word from the event before
	case <-c.unparked:
	default:
	}
	c.ending.Store(end)
	c.parked.Store(true)
}

// asked ends what park began, with what the guest said. Answers that nobody
// took along go out at once.
func (c *conn) asked(err error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	owed := c.owed
	c.owed = c.owed[:0]
	if err != nil {
		c.parked.Store(false)
		c.out = append(c.out, owed...)
		return err
	}
	if len(owed) > 0 {
		_, _ = c.net.Write(owed) // an error shows in the next read
	}
	return nil
}

// deliver writes an invocation, as the answer to next.
func (c *conn) deliver(d *daruma.Delivery) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.event = append(c.event[:0], c.owed...)
	c.owed = c.owed[:0]
	c.event = appendDelivery(c.event, d)
	return c.send(d.Payload)
}

// deliverEvent writes an extension's event.
func (c *conn) deliverEvent(e daruma.ExtensionEvent) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.event = append(c.event[:0], c.owed...)
	c.owed = c.owed[:0]
	c.event = appendExtensionEvent(c.event, e)
	return c.send(nil)
}

// send writes c.event and payload. The connection is free for its next
// request before the first byte leaves, because the next request may come
// before the last one has.
func (c *conn) send(payload []byte) error {
	c.parked.Store(false)
	end := c.ending.Load()
	var err error
	if len(payload) <= 16<<10 {
		c.event = append(c.event, payload...)
		_, err = c.net.Write(c.event)
	} else {
		pieces := net.Buffers{c.event, payload}
		_, err = pieces.WriteTo(c.net)
	}
	if cap(c.event) > smallBytes {
		c.event = nil
	}
	if end {
		c.net.Close()
	}
	select {
	case c.unparked <- struct{}{}:
	default:
	}
	return err
}
