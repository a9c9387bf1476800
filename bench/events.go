package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/route"
)

// pendingEvents is how many events wait when a restart is measured.
const pendingEvents = 1_000_000

// asynchronous is what makes an invocation an event.
var asynchronous = http.Header{"X-Amz-Invocation-Type": {"Event"}}

// events are the subjects of asynchronous invocation. Each is compared with the
// canned answer, which is driven by the same client.
func (w *workshop) events() []subject {
	return []subject{
		{name: "events, cell accepts (synced)", floor: canned, measure: w.within("accept")},
		{name: "events, door accepts (synced)", floor: cannedLibrary, measure: w.atDoor},
		{name: "events, daruma, to their end", floor: "Go, bare loop", measure: w.toTheirEnd},
		{name: "events, redriven", floor: canned, measure: w.within("redrive")},
	}
}

// within measures what this program does inside of the product's parts, in a process of its own.
func (w *workshop) within(work string) func(context.Context, time.Duration) (map[int]measurement, error) {
	return func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		dir, err := os.MkdirTemp(w.dir, work+"-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }() // it goes with the workshop otherwise
		cmd := exec.CommandContext(ctx, w.self, "-inside", work, "-d", d.String(), "-dir", dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, err
		}
		got := map[int]measurement{}
		return got, json.Unmarshal(out, &got)
	}
}

// atDoor measures the door that takes events, in front of a cell on the disk.
func (w *workshop) atDoor(ctx context.Context, d time.Duration) (map[int]measurement, error) {
	dir, err := os.MkdirTemp(w.dir, "door-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it goes with the workshop otherwise
	f, err := w.startFloor("door", "", dir)
	if err != nil {
		return nil, err
	}
	defer f.stop()
	request, err := invocation(ctx, newSigner(benchKey, f.addr, "us-east-1", "lambda"), target, asynchronous)
	if err != nil {
		return nil, err
	}
	return ladder(ctx, f.addr, repeat(request), d, []int{f.cmd.Process.Pid})
}

// toTheirEnd sends events to a whole node and waits until every one has run.
func (w *workshop) toTheirEnd(ctx context.Context, d time.Duration) (map[int]measurement, error) {
	s, err := w.signer("lambda")
	if err != nil {
		return nil, err
	}
	request, err := invocation(ctx, s, target, asynchronous)
	if err != nil {
		return nil, err
	}
	return w.floods(ctx, request, d, func(ctx context.Context) (bool, error) {
		now, err := w.account(ctx)
		return now.All.InProgress() == 0, err
	})
}

// floods measures every level of load, each until nothing is left of it.
func (w *workshop) floods(ctx context.Context, request []byte, d time.Duration, ended func(context.Context) (bool, error)) (map[int]measurement, error) {
	got := map[int]measurement{}
	for _, level := range levels {
		m, err := w.flood(ctx, request, level, d, ended)
		if err != nil {
			return nil, err
		}
		got[level] = m
	}
	return got, nil
}

// flood sends a request for a time from level connections, and waits for the
// end of what that set off. Its rate is from the first one sent.
func (w *workshop) flood(ctx context.Context, request []byte, level int, d time.Duration, ended func(context.Context) (bool, error)) (measurement, error) {
	cpu, began := cpuOf(w.pids()), time.Now()
	sent, err := drive(ctx, w.addr(), repeat(request), level, began, began.Add(d))
	if err != nil {
		return measurement{}, err
	}
	late := time.Now().Add(2 * time.Minute)
	for {
		over, err := ended(ctx)
		if err != nil {
			return measurement{}, err
		}
		if over {
			spent, n := cpuOf(w.pids())-cpu, float64(sent.n)
			return measurement{Rate: n / time.Since(began).Seconds(), CPU: float64(spent.Microseconds()) / n, Memory: memoryOf(w.pids())}, nil
		}
		if time.Now().After(late) {
			return measurement{}, errors.New("it did not end within two minutes")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// account asks the node what became of events.
func (w *workshop) account(ctx context.Context) (a console.Account, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.address.Console+"/api/account", nil)
	if err != nil {
		return a, err
	}
	req.Header.Set("Authorization", "Bearer "+w.address.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	return a, json.NewDecoder(resp.Body).Decode(&a)
}

// pending measures a restart with a million events that wait, and what it
// costs a warm invocation that its failure would be kept.
func (w *workshop) pending(ctx context.Context, out io.Writer) error {
	w.stop()
	began := time.Now()
	if err := w.up(ctx); err != nil {
		return err
	}
	empty, alone := time.Since(began), memoryOfOne(w.address.PID)
	w.stop()
	dir := filepath.Join(w.data, "cell")
	fmt.Fprintf(os.Stderr, "accepting %d events\n", pendingEvents)
	fill := exec.CommandContext(ctx, w.self, "-inside", "fill", "-dir", w.data)
	fill.Stderr = os.Stderr
	if err := fill.Run(); err != nil {
		return err
	}
	began = time.Now()
	if err := w.up(ctx); err != nil {
		return err
	}
	ready := time.Since(began)
	answered, err := w.once(ctx, "Node")
	if err != nil {
		return err
	}
	now, err := w.account(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "restart with %d pending events (%s): ready after %.0f ms, a first answer %.0f ms later, %.0f MB (the platform alone); without: ready after %.0f ms, %.0f MB\n",
		now.All.InProgress(), sizeOf(dir), float64(ready.Milliseconds()), answered, memoryOfOne(w.address.PID), float64(empty.Milliseconds()), alone)
	const n = 1_000_000
	clock := daruma.NewScaledClock(60)
	began = time.Now()
	for range n {
		if inv := (daruma.Invocation{At: clock.Now()}); inv.At.IsZero() || route.Of(daruma.Done).Recorded {
			return errors.New("what ended well would be recorded")
		}
	}
	fmt.Fprintf(out, "ledger, on a warm invocation that ends well: %d ns\n", time.Since(began).Nanoseconds()/n)
	return nil
}

// sizeOf is the size of the files in a directory.
func sizeOf(dir string) string {
	var bytes int64
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error { // what goes meanwhile is not counted
		if err == nil && !e.IsDir() {
			if info, err := e.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil
	})
	return fmt.Sprintf("%d MB on disk", bytes>>20)
}
