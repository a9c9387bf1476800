package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// acceptPause is how long accepting waits when the process is short of something.
const acceptPause = 50 * time.Millisecond

// A serveError says whose socket broke.
type serveError struct {
	op  string
	who Ref
	err error
}

func (s *serveError) Error() string {
	return s.op + " of environment " + s.who.Environment + ": " + s.err.Error()
}
func (s *serveError) Unwrap() error { return s.err }

// serve accepts connections until ctx ends, closes ln, and returns when every
// handle has. A connection for which there is no slot is counted as denied and reset.
func (e *Egress) serve(ctx context.Context, ln net.Listener, who Ref, slots chan struct{}, handle func(context.Context, net.Conn)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			if !passing(err) {
				return &serveError{"accept connections", who, err}
			}
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			e.deny(e.peer(who, "*", 0), who, fmt.Sprintf("%d connections are open, and one environment gets no more", cap(slots)))
			abort(c)
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			handle(ctx, c)
		})
	}
}

// passing says whether accepting or receiving may work again in a moment.
func passing(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
