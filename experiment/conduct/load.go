package conduct

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// A driver sends the requests of one load at its rate, whatever becomes of those before.
type driver struct {
	load     experiment.Load
	platform Platform
	seed     uint64
	of       string // whose IDs these are, so that no two experiments with one seed have the same
	paused   atomic.Bool
	waiting  atomic.Int64 // for answers
	acked    atomic.Int64

	mu       sync.Mutex // guards what follows
	samples  []sample
	failures map[string]int // what went wrong, how often
	missed   int            // not sent because too many waited
}

const samplesMax = 500_000 // of one load

// run sends requests until ctx ends, and waits for the answers.
func (d *driver) run(ctx context.Context) {
	var sent sync.WaitGroup
	defer sent.Wait()
	pause := time.NewTicker(time.Duration(float64(time.Second) / d.load.Rate))
	defer pause.Stop()
	for n := 1; n <= samplesMax; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		waiting := int(d.waiting.Add(1)) // first, so that who pauses loads sees this one or it sees the pause
		if d.paused.Load() {
			d.waiting.Add(-1)
			n--
			continue
		}
		if waiting > d.load.Max {
			d.waiting.Add(-1)
			d.note(sample{at: time.Now(), unsent: true}, fmt.Sprintf("not sent: %d were waiting for their answers", d.load.Max))
			continue
		}
		r := d.request(n)
		sent.Go(func() {
			defer d.waiting.Add(-1)
			began := time.Now()
			reply := d.platform.Send(context.WithoutCancel(ctx), r)
			s := sample{at: began, took: time.Since(began), ok: d.well(reply), late: overdue(reply.Err)}
			if s.ok {
				d.acked.Add(1)
			}
			d.note(s, why(reply))
		})
	}
}

func why(r Reply) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return fmt.Sprintf("status %d", r.Status)
}

// overdue says whether an error is that the time for an answer was over.
func overdue(err error) bool {
	return err != nil && (os.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded))
}

func (d *driver) well(r Reply) bool {
	if r.Err != nil {
		return false
	}
	if len(d.load.Expect) > 0 {
		return slices.Contains(d.load.Expect, r.Status)
	}
	return r.Status >= 200 && r.Status < 400
}

func (d *driver) note(s sample, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.samples = append(d.samples, s)
	if s.ok {
		return
	}
	if s.unsent {
		d.missed++
	}
	if len(what) > 160 {
		what = what[:160]
	}
	if _, known := d.failures[what]; known || len(d.failures) < 20 {
		d.failures[what]++
	}
}

// since counts the requests that were begun since a moment and have been answered.
func (d *driver) since(t time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for i := len(d.samples) - 1; i >= 0; i-- {
		if !d.samples[i].at.Before(t) {
			n++
		} else if d.samples[i].at.Before(t.Add(-time.Minute)) {
			break
		}
	}
	return n
}

// request fills a request's own names in: ${n} is its number, ${id} an ID that the same seed gives again.
func (d *driver) request(n int) Request {
	fill := func(s string) string {
		if !strings.Contains(s, "${") {
			return s
		}
		return strings.NewReplacer("${n}", fmt.Sprint(n), "${id}", fmt.Sprintf("%s-%s%x-%d", d.load.Name, d.of, d.seed, n), "${seed}", fmt.Sprint(d.seed)).Replace(s)
	}
	switch l := d.load; {
	case l.HTTP != nil:
		h := *l.HTTP
		h.URL, h.Body = fill(h.URL), fill(h.Body)
		if h.Arguments != nil {
			var v any
			if b, err := json.Marshal(h.Arguments); err == nil && json.Unmarshal([]byte(fill(string(b))), &v) == nil {
				h.Arguments = v
			}
		}
		return Request{HTTP: &h}
	case l.Invoke != nil:
		i := *l.Invoke
		i.Event = json.RawMessage(fill(string(i.Event)))
		return Request{Invoke: &i}
	case l.Put != nil:
		p := *l.Put
		p.Item = json.RawMessage(fill(string(p.Item)))
		return Request{Put: &p}
	default:
		q := *l.Queue
		q.Body, q.Group = fill(q.Body), fill(q.Group)
		return Request{Queue: &q}
	}
}
