package egress

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// chunkBytes is how much is carried before a copy looks up. A peer that takes
// less than this in the idle time while more waits for it counts as idle.
const chunkBytes = 128 << 10

// splice carries bytes between a function and a peer until both directions
// have ended, or one broke, or nothing moved for idle (and at most twice that). What one
// side ends, the other sees end, while the opposite direction goes on; a side
// that breaks resets the other. Between two TCP connections the bytes never
// enter the process (splice(2)); at most a pipe's worth waits in the kernel
// for each direction.
func splice(function, up net.Conn, p *peer, idle time.Duration) {
	var moved atomic.Int64 // Unix nanoseconds of the last movement, either way
	moved.Store(time.Now().UnixNano())
	var broken atomic.Bool
	var wg sync.WaitGroup
	carry := func(dst, src net.Conn, count *atomic.Int64) {
		if err := pump(dst, src, count, &moved, idle); err != nil {
			broken.Store(true)
			abort(dst)
			abort(src)
		}
	}
	wg.Go(func() { carry(up, function, &p.out) })
	carry(function, up, &p.in)
	wg.Wait()
	if !broken.Load() {
		function.Close()
		up.Close()
	}
}

// pump carries one direction to its end and passes the end on.
func pump(dst, src net.Conn, count, moved *atomic.Int64, idle time.Duration) error {
	look := idle / 4 // how often to look up; a movement is known that much late
	for {
		start := time.Now()
		src.SetReadDeadline(soon(look))
		dst.SetWriteDeadline(soon(2 * idle))
		n, err := io.CopyN(dst, src, chunkBytes)
		count.Add(n)
		if n > 0 {
			moved.Store(time.Now().UnixNano())
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if h, ok := dst.(interface{ CloseWrite() error }); ok {
				return h.CloseWrite()
			}
			return errors.New("the connection cannot be half closed")
		case errors.Is(err, os.ErrDeadlineExceeded) && time.Since(start) < 2*idle && time.Since(time.Unix(0, moved.Load())) < idle+look:
			// Reading ended, so nothing is lost in between, and something
			// moved: the other way, or this way and less than a chunk.
		default:
			return err
		}
	}
}
