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
	Rate     float64 // requests a second
	P50, P99 float64 // µs
	CPU      float64 // of the server and its children, µs for each request
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

// load keeps level requests in flight for a time. request is the whole of it, ready to be sent.
func load(ctx context.Context, addr string, request []byte, level int, d time.Duration, pids []int) (measurement, error) {
	const warm = 500 * time.Millisecond
	var (
		mu    sync.Mutex
		times []time.Duration
		errs  []error
		group sync.WaitGroup
	)
	start := time.Now().Add(warm)
	end := start.Add(d)
	before := make(chan time.Duration, 1)
	time.AfterFunc(warm, func() { before <- cpuOf(pids) })
	for range level {
		group.Go(func() {
			mine, err := worker(ctx, addr, request, start, end)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	group.Wait()
	spent := cpuOf(pids) - <-before
	if err := errors.Join(errs...); err != nil {
		return measurement{}, err
	}
	if len(times) == 0 {
		return measurement{}, errors.New("nothing was answered")
	}
	slices.Sort(times)
	at := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))].Nanoseconds()) / 1000 }
	n := float64(len(times))
	return measurement{
		Rate: n / d.Seconds(), P50: at(.5), P99: at(.99),
		CPU: float64(spent.Microseconds()) / n, Memory: memoryOf(pids),
	}, nil
}

// worker sends one request after the other and returns how long each that began after start took.
func worker(ctx context.Context, addr string, request []byte, start, end time.Time) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 16<<10)
	times := make([]time.Duration, 0, 1<<16)
	for ctx.Err() == nil {
		at := time.Now()
		if at.After(end) {
			return times, nil
		}
		if _, err := c.Write(request); err != nil {
			return times, err
		}
		if err := answer(in); err != nil {
			return times, err
		}
		if at.After(start) {
			times = append(times, time.Since(at))
		}
	}
	return times, ctx.Err()
}

// answer reads one answer and refuses any but 200 and 202.
func answer(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	good := len(line) > 12 && bytes.Equal(line[9:11], []byte("20"))
	status := string(bytes.TrimSpace(line))
	length, chunked := 0, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
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
				return err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	if chunked {
		return errors.New("chunked answers are not measured")
	}
	body, err := io.ReadAll(io.LimitReader(in, int64(length)))
	if err != nil {
		return err
	}
	if !good {
		return fmt.Errorf("%s: %s", status, body)
	}
	return nil
}
