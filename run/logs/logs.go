// Package logs makes lines of what an environment's processes write, and adds
// the lines in which the platform tells of invocations, as AWS writes them.
//
// It promises order (a call's START, what it wrote, its END and REPORT, none
// with a time before the last one's), that no process ever waits because it
// writes too much, and bounded memory. What is over the rate is dropped and
// counted. It keeps nothing: lines go to the observer, and the last 4 KB of a
// call to whoever ends it.
//
// All methods may be called from any goroutine.
package logs

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// Limits of what a function may log. What is over the rate is read and thrown
// away, so that a function never waits for us, and it is said how much.
const (
	lineBytesMax  = 256 << 10 // a longer line is cut into pieces
	logRate       = 8 << 20   // bytes a second, and
	logBurst      = 16 << 20  // at once
	pipeReadBytes = 64 << 10  // what a pipe holds
)

// Logs are one environment's. Each line is told to the observer with the request it belongs to: the one that is
// under way, or the last one. Each pipe has a goroutine that waits for it to
// become readable; whoever ends a call reads what is there by then, so that a
// call's lines come before its END.
//
// The mutex is held while the observer is told: that is what keeps lines in order.
type Logs struct {
	observer    daruma.Observer // nil: nobody is told
	function    *catalog.Function
	environment string
	region      string

	mu      sync.Mutex // guards the rest
	pipes   []*pipe
	buf     []byte
	polled  []unix.PollFd
	request string
	trace   string
	last    time.Time // that of the last line: no later one has an earlier
	tail    []byte    // of the call under way
	budget  budget
	text    []byte // where platform lines are put together
}

// A pipe is one of the two that a life's processes write to.
type pipe struct {
	stream  string
	r, w    *os.File // w is nil once the processes have it
	fd      int
	partial []byte // a line that has no end yet
	closed  bool
}

// A budget is what may still be logged.
type budget struct {
	bytes        int64
	at           time.Time
	lines, waste int64 // dropped since it was last said
}

// New returns the logs of an environment. It starts nothing. obs may be nil.
func New(obs daruma.Observer, f *catalog.Function, environment, region string) *Logs {
	return &Logs{observer: obs, function: f, environment: environment, region: region, budget: budget{bytes: logBurst}}
}

// Open makes the pipes of a life, and starts reading them.
func (l *Logs) Open(wait *sync.WaitGroup) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = make([]byte, pipeReadBytes)
	for _, stream := range [...]string{daruma.Stdout, daruma.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return &daruma.Error{Op: "open a log pipe", Kind: daruma.KindNoCapacity, Err: err}
		}
		conn, err := r.SyscallConn()
		if err != nil {
			return fmt.Errorf("open a log pipe: %w", err)
		}
		p := &pipe{stream: stream, r: r, w: w}
		if err := conn.Control(func(fd uintptr) { p.fd = int(fd) }); err != nil {
			return fmt.Errorf("open a log pipe: %w", err)
		}
		l.pipes = append(l.pipes, p)
		l.polled = append(l.polled, unix.PollFd{Fd: int32(p.fd), Events: unix.POLLIN})
		wait.Go(func() {
			_ = conn.Read(func(uintptr) bool { // an error says that it was closed
				for l.pump(p) {
				}
				return l.over(p)
			})
		})
	}
	return nil
}

// Files returns the ends that processes write to.
func (l *Logs) Files() (stdout, stderr *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pipes[0].w, l.pipes[1].w
}

// Started closes our copies of the ends that processes write to.
func (l *Logs) Started() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pipes {
		if p.w != nil {
			p.w.Close()
			p.w = nil
		}
	}
}

// Close reads what the dead processes left behind, and closes the pipes.
func (l *Logs) Close() {
	l.Started()
	l.mu.Lock()
	pipes := l.pipes
	for _, p := range pipes {
		for range 4 { // a pipe holds one piece; a process that escaped could write for ever
			if p.closed || !l.read(p) {
				break
			}
		}
		l.flush(p)
		p.closed = true
	}
	l.pipes, l.polled, l.buf = nil, nil, nil
	l.sayDropped(time.Now())
	l.mu.Unlock()
	for _, p := range pipes {
		p.r.Close() // waits for the goroutine that reads, which takes the mutex
	}
}

// pump reads one piece. It returns false when nothing is there.
func (l *Logs) pump(p *pipe) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !p.closed && l.read(p)
}

// over says whether a pipe has come to its end.
func (l *Logs) over(p *pipe) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.closed
}

// read reads one piece of a pipe. It returns false when nothing is there. l.mu is held.
func (l *Logs) read(p *pipe) bool {
	n, err := unix.Read(p.fd, l.buf)
	if err == unix.EINTR {
		return true
	}
	if n > 0 {
		l.take(p, l.buf[:n])
		return true
	}
	if err == nil || err != unix.EAGAIN { // everybody who could write is gone
		l.flush(p)
		p.closed = true
	}
	return false
}

// drain reads what the pipes hold at this moment. l.mu is held.
func (l *Logs) drain() {
	if len(l.polled) == 0 {
		return
	}
	if n, err := unix.Poll(l.polled, 0); err != nil || n == 0 {
		return
	}
	for i, p := range l.pipes {
		if l.polled[i].Revents&unix.POLLIN != 0 && !p.closed {
			l.read(p)
		}
	}
}

// take cuts data into lines. l.mu is held.
func (l *Logs) take(p *pipe, data []byte) {
	now := time.Now()
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		piece := data
		if end >= 0 {
			piece = data[:end]
		}
		room := lineBytesMax - len(p.partial)
		if len(piece) > room {
			piece = piece[:room]
			p.partial = append(p.partial, piece...)
			data = data[len(piece):]
			l.emit(now, p)
			continue
		}
		if end < 0 {
			p.partial = append(p.partial, piece...)
			return
		}
		data = data[end+1:]
		if len(p.partial) == 0 {
			l.line(now, p.stream, piece)
			continue
		}
		p.partial = append(p.partial, piece...)
		l.emit(now, p)
	}
}

// emit makes a line of what has gathered. l.mu is held.
func (l *Logs) emit(now time.Time, p *pipe) {
	l.line(now, p.stream, p.partial)
	if p.partial = p.partial[:0]; cap(p.partial) > pipeReadBytes {
		p.partial = nil
	}
}

// flush makes a line of what has no end and will not get one. l.mu is held.
func (l *Logs) flush(p *pipe) {
	if len(p.partial) > 0 {
		l.emit(time.Now(), p)
	}
}

// line takes a line of a process. l.mu is held.
func (l *Logs) line(now time.Time, stream string, text []byte) {
	l.keepTail(text)
	if !l.budget.take(now, int64(len(text))+1) {
		return
	}
	if l.budget.lines > 0 {
		l.sayDropped(now)
	}
	l.tell(now, stream, string(text))
}

// after returns now, or the time of the last line if that is later: the end of
// a call is measured before what it had written is read. l.mu is held.
func (l *Logs) after(now time.Time) time.Time {
	if now.Before(l.last) {
		return l.last
	}
	return now
}

// tell tells the observer. l.mu is held.
func (l *Logs) tell(now time.Time, stream, text string) {
	now = l.after(now)
	l.last = now
	if l.observer != nil {
		l.observer.Logged(daruma.Line{At: now, Function: l.function.Name, Version: l.function.Version, Environment: l.environment,
			Request: l.request, Trace: l.trace, Stream: stream, Text: text})
	}
}

// platform takes a line of ours. l.mu is held.
func (l *Logs) platform(now time.Time, text []byte) {
	l.keepTail(text)
	if l.observer != nil {
		l.tell(now, daruma.Platform, string(text))
	}
}

// Remark says something about the environment that belongs to no call.
func (l *Logs) Remark(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell(time.Now(), daruma.Platform, text)
}

// sayDropped says how much was thrown away. l.mu is held.
func (l *Logs) sayDropped(now time.Time) {
	if l.budget.lines == 0 {
		return
	}
	text := fmt.Sprintf("%d lines (%d bytes) of log were dropped: more than %d MiB a second", l.budget.lines, l.budget.waste, logRate>>20)
	l.budget.lines, l.budget.waste = 0, 0
	l.platform(now, []byte(text))
}

// take spends n bytes, if they are there.
func (b *budget) take(now time.Time, n int64) bool {
	if b.bytes < logBurst {
		if since := now.Sub(b.at); since > 0 {
			b.bytes = min(logBurst, b.bytes+int64(since.Seconds()*logRate))
			b.at = now
		}
	} else {
		b.at = now
	}
	if b.bytes < n {
		b.lines++
		b.waste += n
		return false
	}
	b.bytes -= n
	return true
}

// keepTail adds a line to the call's tail. l.mu is held.
func (l *Logs) keepTail(text []byte) {
	if len(text) >= daruma.LogTailBytesMax {
		text = text[len(text)-daruma.LogTailBytesMax+1:]
	}
	if len(l.tail)+len(text)+1 > 2*daruma.LogTailBytesMax {
		l.tail = append(l.tail[:0], l.tail[len(l.tail)-daruma.LogTailBytesMax:]...)
	}
	l.tail = append(append(l.tail, text...), '\n')
}

// Current returns whose lines these are.
func (l *Logs) Current() (request, trace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.request, l.trace
}
