package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A measurement is what one subject did at one level of load.
type measurement struct {
	Rate     float64 // what is counted (requests, messages), a second
	P50, P99 float64 // µs, of one turn of a connection
	CPU      float64 // of the server and its children, µs for each that is counted
	Memory   float64 // of the server and its children, proportional set size in MB
}

// figures are measurements of several rounds, by level.
type figures struct{ by map[int][]measurement }

func (f *figures) add(m map[int]measurement) {
	if f.by == nil {
		f.by = map[int][]measurement{}
	}
	for level, one := range m {
		f.by[level] = append(f.by[level], one)
	}
}

// median returns the median of each figure on its own.
func (f *figures) median(level int) measurement {
	of := func(get func(measurement) float64) float64 {
		var all []float64
		for _, m := range f.by[level] {
			all = append(all, get(m))
		}
		if len(all) == 0 {
			return 0
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return measurement{
		of(func(m measurement) float64 { return m.Rate }), of(func(m measurement) float64 { return m.P50 }),
		of(func(m measurement) float64 { return m.P99 }), of(func(m measurement) float64 { return m.CPU }),
		of(func(m measurement) float64 { return m.Memory }),
	}
}

// A turn is what a connection does again and again. It returns how much it did
// of what is counted; none means that there is no more to do.
type turn func(c *conn) (n int, err error)

// repeat sends the same requests in turn, ready as they are. Each connection
// begins at another of them, and each answer counts.
func repeat(requests ...[]byte) func(i int) turn {
	return func(i int) turn {
		at := i * 61 // so that connections do not go in step
		return func(c *conn) (int, error) {
			at++
			_, err := c.ask(requests[at%len(requests)])
			return 1, err
		}
	}
}

// ladder measures every level of load against one server. turns makes the
// turn of each connection.
func ladder(ctx context.Context, addr string, turns func(i int) turn, d time.Duration, pids []int) (map[int]measurement, error) {
	got := map[int]measurement{}
	for _, level := range levels {
		m, err := load(ctx, addr, turns, level, d, pids)
		if err != nil {
			return nil, err
		}
		got[level] = m
	}
	return got, nil
}

// load keeps so many connections busy for a time, after a short warm-up.
func load(ctx context.Context, addr string, turns func(i int) turn, level int, d time.Duration, pids []int) (measurement, error) {
	const warm = 500 * time.Millisecond
	start := time.Now().Add(warm)
	before := make(chan time.Duration, 1)
	time.AfterFunc(warm, func() { before <- cpuOf(pids) })
	got, err := drive(ctx, addr, turns, level, start, start.Add(d))
	spent := cpuOf(pids) - <-before
	if err != nil {
		return measurement{}, err
	}
	if len(got.times) == 0 {
		return measurement{}, errors.New("nothing was answered")
	}
	slices.Sort(got.times)
	at := func(q float64) float64 {
		return float64(got.times[int(q*float64(len(got.times)-1))].Nanoseconds()) / 1000
	}
	n := float64(got.n)
	return measurement{
		Rate: n / got.end.Sub(start).Seconds(), P50: at(.5), P99: at(.99),
		CPU: float64(spent.Microseconds()) / n, Memory: memoryOf(pids),
	}, nil
}

// driven is what connections did that were driven for a time.
type driven struct {
	times []time.Duration // of the turns that began in that time
	n     int             // what was counted in them
	end   time.Time       // of the last of them
}

// drive has so many connections take their turns until an end. What begins before start is not counted.
func drive(ctx context.Context, addr string, turns func(i int) turn, level int, start, end time.Time) (driven, error) {
	var (
		mu   sync.Mutex
		all  driven
		errs []error
		wait sync.WaitGroup
	)
	for i := range level {
		wait.Go(func() {
			got, err := connection(ctx, addr, turns(i), start, end)
			mu.Lock()
			defer mu.Unlock()
			all.times, all.n, errs = append(all.times, got.times...), all.n+got.n, append(errs, err)
			if got.end.After(all.end) {
				all.end = got.end
			}
		})
	}
	wait.Wait()
	return all, errors.Join(errs...)
}

// connection takes turns over one connection.
func connection(ctx context.Context, addr string, next turn, start, end time.Time) (got driven, err error) {
	c, err := dial(addr)
	if err != nil {
		return got, err
	}
	defer c.Close()
	got.times = make([]time.Duration, 0, 1<<16)
	for ctx.Err() == nil {
		at := time.Now()
		if at.After(end) {
			return got, nil
		}
		n, err := next(c)
		if err != nil || n == 0 {
			return got, err
		}
		if !at.Before(start) {
			got.end, got.n = time.Now(), got.n+n
			got.times = append(got.times, got.end.Sub(at))
		}
	}
	return got, ctx.Err()
}

// A conn is one connection of the lean client: whole requests are written, answers are read with the least work.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 64<<10)}, nil
}

// ask sends a request and returns the body of its answer. It refuses any but 200 and 202.
func (c *conn) ask(request []byte) ([]byte, error) {
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	good := len(line) > 12 && bytes.Equal(line[9:11], []byte("20"))
	status := string(bytes.TrimSpace(line))
	length, chunked := 0, false
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil {
				return nil, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	var body []byte
	if chunked {
		body, err = readChunks(c.in)
	} else {
		body = make([]byte, length)
		_, err = io.ReadFull(c.in, body)
	}
	if err == nil && !good {
		err = fmt.Errorf("%s: %s", status, body)
	}
	return body, err
}
