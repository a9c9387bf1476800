//go:build linux

package namespace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox/namespace/inside"
)

// A link is the platform's end of the socket to a builder or a room. One
// goroutine reads it until the other side is gone, which closes done.
type link struct {
	conn   *net.UnixConn
	ended  func(*inside.Reply) // told of ended processes, by the reader
	lost   func()              // told of the other side's end, by the reader
	done   chan struct{}
	mu     sync.Mutex // guards what follows
	next   uint64
	calls  map[uint64]*call
	broken bool
}

// A call waits for its answer.
type call struct {
	answered func(*inside.Reply, []int) // by the reader, before anything that comes later
	answer   chan answer
}

type answer struct {
	reply *inside.Reply
	files []int
}

// errGone is that the other side of a link is no more.
var errGone error = &daruma.Error{Kind: daruma.KindUnavailable, Err: errors.New("the place is gone")}

// newLink makes a pair of sockets: the link and the file for the other side.
func newLink(ended func(*inside.Reply), lost func()) (*link, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	mine, other := os.NewFile(uintptr(fds[0]), "platform"), os.NewFile(uintptr(fds[1]), "place")
	defer func() { _ = mine.Close() }()
	conn, err := net.FileConn(mine)
	if err != nil {
		_ = other.Close()
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	l := &link{conn: conn.(*net.UnixConn), ended: ended, lost: lost, done: make(chan struct{}), calls: map[uint64]*call{}}
	go l.read()
	return l, other, nil
}

// do sends a request with files and waits for its answer, which may bring
// descriptors that the caller then owns.
func (l *link) do(ctx context.Context, req *inside.Request, files []int, answered func(*inside.Reply, []int)) (*inside.Reply, []int, error) {
	c := &call{answered: answered, answer: make(chan answer, 1)}
	l.mu.Lock()
	if l.broken {
		l.mu.Unlock()
		return nil, nil, errGone
	}
	l.next++
	id := l.next
	l.calls[id] = c
	l.mu.Unlock()
	if err := l.send(id, req, files); err != nil {
		l.forget(id)
		return nil, nil, err
	}
	select {
	case a := <-c.answer:
		return a.reply, a.files, a.reply.Err()
	case <-l.done:
	case <-ctx.Done():
	}
	l.forget(id)
	select { // it may have come at the last moment
	case a := <-c.answer:
		return a.reply, a.files, a.reply.Err()
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return nil, nil, errGone
}

func (l *link) send(id uint64, req *inside.Request, files []int) error {
	r := *req
	r.ID = id
	body, err := json.Marshal(&r)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if len(body) > inside.MessageBytesMax {
		return &daruma.Error{Kind: daruma.KindTooLarge, Err: fmt.Errorf("%d bytes of arguments and environment, at most %d", len(body), inside.MessageBytesMax)}
	}
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	if _, _, err := l.conn.WriteMsgUnix(body, oob, nil); err != nil {
		return errGone
	}
	return nil
}

func (l *link) forget(id uint64) {
	l.mu.Lock()
	delete(l.calls, id)
	l.mu.Unlock()
}

// read hands out answers until the other side is gone.
func (l *link) read() {
	defer close(l.done)
	buf, oob := make([]byte, inside.ReplyBytesMax), make([]byte, 256)
	for {
		n, oobn, _, _, err := l.conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			break
		}
		files, _ := inside.Descriptors(oob[:oobn])
		r := new(inside.Reply)
		if err := json.Unmarshal(buf[:n], r); err != nil {
			closeAll(files)
			break
		}
		l.hand(r, files)
	}
	l.mu.Lock()
	l.broken = true
	l.mu.Unlock()
	_ = l.conn.Close()
	if l.lost != nil {
		l.lost()
	}
}

func (l *link) hand(r *inside.Reply, files []int) {
	if r.ID == 0 {
		closeAll(files)
		if l.ended != nil {
			l.ended(r)
		}
		return
	}
	l.mu.Lock()
	c := l.calls[r.ID]
	delete(l.calls, r.ID)
	if c != nil && c.answered != nil {
		c.answered(r, files)
	}
	if c != nil {
		c.answer <- answer{r, files}
	}
	l.mu.Unlock()
	if c == nil {
		closeAll(files) // whoever asked has stopped waiting
	}
}

// close ends the link, which the other side takes as its end, and waits for the reader.
func (l *link) close() {
	_ = l.conn.Close()
	<-l.done
}

func closeAll(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd)
	}
}
