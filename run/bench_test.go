package run_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/watch"
)

// lean is an echo function on a bare socket: the next GET goes out in one
// write with the answer.
func lean(g *guest) {
	g.dial()
	runtime.GOMAXPROCS(1)
	next := []byte("GET " + invocation + "next HTTP/1.1\r\nHost: r\r\n\r\n")
	g.conn.Write(next)
	buf, n := make([]byte, 64<<10), 0
	var out []byte
	for {
		r, err := g.conn.Read(buf[n:])
		if err != nil {
			return
		}
		n += r
		for {
			head := bytes.Index(buf[:n], []byte("\r\n\r\n"))
			if head < 0 {
				break
			}
			length, _ := strconv.Atoi(field(buf[:head+2], "Content-Length: "))
			end := head + 4 + length
			if n < end {
				break
			}
			if !bytes.HasPrefix(buf, []byte("HTTP/1.1 202")) {
				out = append(out[:0], "POST "+invocation...)
				out = append(out, field(buf[:head+2], "Lambda-Runtime-Aws-Request-Id: ")...)
				out = append(out, "/response HTTP/1.1\r\nHost: r\r\nContent-Length: "...)
				out = strconv.AppendInt(out, int64(length), 10)
				out = append(out, "\r\n\r\n"...)
				out = append(out, buf[head+4:end]...)
				g.conn.Write(append(out, next...))
			}
			n = copy(buf, buf[end:n])
		}
	}
}

func field(head []byte, name string) string {
	_, rest, _ := bytes.Cut(head, []byte(name))
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(value)
}

// A bare is the Runtime API and nothing else: no limits, states, logs or
// deadlines. It is what the protocol and the kernel cost.
type bare struct {
	mu    sync.Mutex
	idle  []*bareConn
	queue []*bareCall
}

type bareConn struct {
	c    net.Conn
	call *bareCall
	out  []byte
}

type bareCall struct {
	id      string
	payload []byte
	answer  []byte
	done    chan struct{}
}

func (b *bare) run(payload []byte) []byte {
	call := &bareCall{id: daruma.NewID(), payload: payload, done: make(chan struct{})}
	b.mu.Lock()
	var c *bareConn
	if n := len(b.idle); n > 0 {
		c = b.idle[n-1]
		b.idle = b.idle[:n-1]
	} else {
		b.queue = append(b.queue, call)
	}
	b.mu.Unlock()
	if c != nil {
		c.send(call, nil)
	}
	<-call.done
	return call.answer
}

// next takes a call that waits; when there is none, c waits for one.
func (b *bare) next(c *bareConn) (call *bareCall) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > 0 {
		call = b.queue[0]
		b.queue = b.queue[1:]
	} else if c != nil {
		b.idle = append(b.idle, c)
	}
	return call
}

func (c *bareConn) send(call *bareCall, before []byte) {
	c.call = call
	c.out = append(c.out[:0], before...)
	c.out = append(c.out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "...)
	c.out = append(c.out, call.id...)
	c.out = append(c.out, "\r\nLambda-Runtime-Deadline-Ms: "...)
	c.out = strconv.AppendInt(c.out, time.Now().UnixMilli()+3000, 10)
	c.out = append(c.out, "\r\nContent-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(call.payload)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), call.payload...)
	c.c.Write(c.out)
}

func (b *bare) serve(nc net.Conn) {
	defer nc.Close()
	c := &bareConn{c: nc}
	buf, n := make([]byte, 16<<10), 0
	for {
		r, err := nc.Read(buf[n:])
		if err != nil {
			return
		}
		n += r
		var owed []byte
		for {
			head := bytes.Index(buf[:n], []byte("\r\n\r\n"))
			if head < 0 {
				break
			}
			length, _ := strconv.Atoi(field(buf[:head+2], "Content-Length: "))
			end := head + 4 + length
			if n < end {
				break
			}
			if buf[0] == 'P' {
				c.call.answer = append([]byte(nil), buf[head+4:end]...)
				close(c.call.done)
				owed = []byte("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
			} else {
				if call := b.next(nil); call != nil {
					c.send(call, owed)
				} else {
					if owed != nil {
						nc.Write(owed)
					}
					if call := b.next(c); call != nil {
						c.send(call, nil)
					}
				}
				owed = nil
			}
			n = copy(buf, buf[end:n])
		}
		if owed != nil {
			nc.Write(owed)
		}
	}
}

// startBare starts n lean processes for a bare loop.
func startBare(b *testing.B, n int) *bare {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	loop := &bare{}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go loop.serve(nc)
		}
	}()
	exe, _ := os.Executable()
	var cmds []*exec.Cmd
	for range n {
		cmd := exec.Command(exe)
		cmd.Env = []string{"_HANDLER=lean", "AWS_LAMBDA_RUNTIME_API=" + ln.Addr().String()}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	b.Cleanup(func() {
		ln.Close()
		for _, cmd := range cmds {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return loop
}

// drive keeps a number of calls in flight and reports the rate and the median.
func drive(b *testing.B, inFlight int, one func()) {
	took := make([][]time.Duration, inFlight)
	var wait sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for i := range inFlight {
		n := b.N / inFlight
		if i < b.N%inFlight {
			n++
		}
		wait.Go(func() {
			took[i] = make([]time.Duration, 0, n)
			for range n {
				t := time.Now()
				one()
				took[i] = append(took[i], time.Since(t))
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "calls/s")
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-µs")
}

// BenchmarkWarmEcho runs a warm echo through the pool, and through a bare
// Runtime API loop with as many of the same processes.
func BenchmarkWarmEcho(b *testing.B) {
	payload := []byte(`{"message":"hello","n":12345}`)
	for _, inFlight := range []int{1, 16, 64} {
		environments := min(inFlight, 4*runtime.NumCPU())
		b.Run(fmt.Sprintf("bare/%d", inFlight), func(b *testing.B) {
			loop := startBare(b, environments)
			for range 100 {
				loop.run(payload)
			}
			drive(b, inFlight, func() { loop.run(payload) })
		})
		b.Run(fmt.Sprintf("pool/%d", inFlight), func(b *testing.B) {
			w := newWorld(b, func(c *run.Config) { c.Observer = nil; c.EnvironmentsMax = environments }, function("lean"))
			one := func() {
				o := w.pool.Run(context.Background(), daruma.Invocation{ID: daruma.NewID(), Target: daruma.Target{Function: "f"}, Payload: payload})
				if o.Kind != daruma.Done {
					b.Errorf("got %v: %v", o.Kind, o.Failure)
				}
			}
			for warm := 0; warm < 2000; warm += inFlight { // until every environment is there
				var wait sync.WaitGroup
				for range inFlight {
					wait.Go(one)
				}
				wait.Wait()
			}
			b.ReportAllocs()
			drive(b, inFlight, one)
			b.ReportMetric(float64(len(w.pool.Environments())), "environments")
		})
	}
}

// BenchmarkWarmTold runs a warm echo while nobody is told of it, while its log
// is kept, and while its spans are kept, too: what tracing costs a warm run.
func BenchmarkWarmTold(b *testing.B) {
	payload := []byte(`{"message":"hello","n":12345}`)
	for _, told := range []string{"nobody", "log", "log and spans"} {
		b.Run(told, func(b *testing.B) {
			var observer daruma.Observer
			if told != "nobody" {
				kept, err := watch.New(watch.Config{Dir: b.TempDir()})
				if err != nil {
					b.Fatal(err)
				}
				ctx, stop := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- kept.Run(ctx) }()
				b.Cleanup(func() {
					stop()
					if err := <-done; err != nil {
						b.Error(err)
					}
				})
				if observer = kept; told == "log" {
					observer = spanless{kept}
				}
			}
			w := newWorld(b, func(c *run.Config) { c.Observer = observer; c.EnvironmentsMax = 1 }, function("lean"))
			one := func() {
				inv := daruma.Invocation{ID: daruma.NewID(), Target: daruma.Target{Function: "f"}, Payload: payload, At: time.Now(), Trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=a87bd80c:1"}
				if o := w.pool.Run(context.Background(), inv); o.Kind != daruma.Done {
					b.Errorf("got %v: %v", o.Kind, o.Failure)
				}
			}
			for range 2000 {
				one()
			}
			b.ReportAllocs()
			drive(b, 1, one)
		})
	}
}

// spanless is an observer that is not told of spans.
type spanless struct{ daruma.Observer }

func (spanless) Spanned(daruma.Span) {}
