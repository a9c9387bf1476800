package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/experiment"
	"github.com/daruma-io/daruma/experiment/conduct"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
)

// A laboratory is a running node as experiments see it: by its console and its doors, as anyone could.
// Names are those of the template where it has them.
type laboratory struct {
	now    atomic.Pointer[node.Address] // another one when the node was started again
	client *http.Client                 // many requests at once, none through a proxy

	mu     sync.Mutex // guards what follows
	tables map[string]int64
	names  map[string]string // of functions, queues and tables, by logical ID
	counts conduct.Counts    // what was counted last
	before conduct.Counts    // what was counted by processes of the node that are gone
}

func newLaboratory(a node.Address) *laboratory {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.Proxy = 256, nil
	l := &laboratory{client: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, tables: map[string]int64{}, names: map[string]string{}}
	l.now.Store(&a)
	return l
}

func (l *laboratory) at() node.Address { return *l.now.Load() }

// startedAgain says that the node is another process now. What a process counts of runs goes with it: what the last
// one was seen to have counted is counted on.
func (l *laboratory) startedAgain(a node.Address) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.Store(&a)
	l.before = l.counts
}

// goneOn adds what processes that are gone have counted of a function's runs.
func goneOn(f, before conduct.Function) conduct.Function {
	f.Runs, f.Failures, f.Throttled, f.Timeouts = f.Runs+before.Runs, f.Failures+before.Failures, f.Throttled+before.Throttled, f.Timeouts+before.Timeouts
	if len(f.Durations) == 0 {
		f.Durations = before.Durations
		return f
	}
	for i := range f.Durations {
		if i < len(before.Durations) { // a histogram has the same buckets in every process
			f.Durations[i].Count += before.Durations[i].Count
		}
	}
	return f
}

// Count reads what the node counts.
func (l *laboratory) Count(ctx context.Context) (conduct.Counts, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var account console.Account
	var queues []console.Queue
	s, err := status(ctx, l.at())
	if err == nil {
		err = get(ctx, l.at(), "/api/account", &account)
	}
	if err == nil {
		err = get(ctx, l.at(), "/api/queues", &queues)
	}
	var mappings []console.Mapping
	if err == nil {
		err = get(ctx, l.at(), "/api/mappings", &mappings)
	}
	var tables []console.Table
	if err == nil {
		err = get(ctx, l.at(), "/api/tables", &tables)
	}
	if err != nil {
		return conduct.Counts{}, err
	}
	durations, err := l.durations(ctx)
	if err != nil {
		return conduct.Counts{}, err
	}
	c := conduct.Counts{At: s.Clock.Now, Functions: map[string]conduct.Function{}, Queues: map[string]conduct.Queue{}, Dropped: account.Usage.DroppedOpen}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range s.Functions {
		name := cmp.Or(f.LogicalID, f.Name)
		l.names[name] = f.Name
		one := conduct.Function{Runs: f.Runs, Failures: f.Failures, Timeouts: f.Timeouts, Throttled: f.Refusals, Durations: durations[f.Name], Timeout: time.Duration(f.TimeoutS * float64(time.Second))}
		for _, e := range s.Environments {
			if e.Function == f.Name && e.Request != "" {
				one.Running++
			}
		}
		if i := slices.IndexFunc(account.Each, func(d delivery.Account) bool { return d.Function == f.Name }); i >= 0 {
			a := account.Each[i]
			one.Accepted, one.InProgress, one.Done, one.Failed, one.Attempts, one.DeadLetters = a.Accepted, a.InProgress(), a.Done, a.Failed, a.Attempts, a.DeadLetters
		}
		c.Functions[name] = goneOn(one, l.before.Functions[name])
	}
	for _, q := range queues {
		name, a := cmp.Or(q.LogicalID, q.Name), q.Account
		l.names[name] = q.Name
		c.Queues[name] = conduct.Queue{
			Sent: a.Sent, InProgress: a.Messages(), Deleted: a.Deleted, Ended: a.Expired + a.Purged + a.Moved, DeadLetters: a.DeadLetters,
			Received: a.Received, Returned: a.Returned, AgeS: q.UntriedFor.Seconds(), DeadLetterOf: len(q.DeadLetterOf) > 0,
		}
	}
	for _, t := range tables {
		l.names[cmp.Or(t.LogicalID, t.Name)] = t.Name
	}
	c.Tables, c.Ages = l.items(ctx, tables), map[string]float64{}
	for _, m := range mappings {
		name := m.Source.Name
		if i := slices.IndexFunc(tables, func(t console.Table) bool { return t.Name == name }); i >= 0 {
			name = cmp.Or(tables[i].LogicalID, name)
		}
		for _, lane := range m.Lanes {
			c.Ages[name] = max(c.Ages[name], lane.Age.Seconds())
		}
	}
	l.counts = c
	return c, nil
}

// items counts the items of tables; what is not answered, perhaps because it is broken on purpose, is as it was. l.mu is held.
func (l *laboratory) items(ctx context.Context, tables []console.Table) map[string]int64 {
	all := map[string]int64{}
	for _, t := range tables {
		name := cmp.Or(t.LogicalID, t.Name)
		var described struct{ Table tableInfo }
		if operate(ctx, l.at(), "DescribeTable", map[string]any{"TableName": t.Name}, &described) == nil {
			l.tables[name] = described.Table.ItemCount
		}
		all[name] = l.tables[name]
	}
	return all
}

// durations reads how long runs took, from the node's metrics.
func (l *laboratory) durations(ctx context.Context) (map[string][]conduct.Bucket, error) {
	body, err := ask(ctx, l.at(), "GET", "/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	all := map[string][]conduct.Bucket{}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "daruma_run_duration_seconds_bucket{")
		if !ok {
			continue
		}
		labels, value, ok := strings.Cut(rest, "} ")
		function, _ := label(labels, "function")
		le, known := label(labels, "le")
		if !ok || !known {
			continue
		}
		most, err := strconv.ParseFloat(le, 64) // "+Inf" too
		count, err2 := strconv.ParseFloat(value, 64)
		if err != nil || err2 != nil {
			continue
		}
		all[function] = append(all[function], conduct.Bucket{Seconds: most, Count: int64(count)})
	}
	return all, lines.Err()
}

func label(labels, name string) (string, bool) {
	_, rest, ok := strings.Cut(labels, name+`="`)
	value, _, closed := strings.Cut(rest, `"`)
	return value, ok && closed
}

// Send sends one request.
func (l *laboratory) Send(ctx context.Context, r conduct.Request) conduct.Reply {
	switch {
	case r.HTTP != nil:
		return l.http(ctx, r.HTTP)
	case r.Invoke != nil:
		answer, err := invoke(ctx, l.at(), l.named(r.Invoke.Function), invokeFlags{async: r.Invoke.Async}, r.Invoke.Event)
		if err != nil {
			return conduct.Reply{Err: err}
		}
		if answer.Error != "" {
			answer.Status = http.StatusInternalServerError
		}
		return conduct.Reply{Status: answer.Status, Body: answer.body, Headers: map[string]string{}}
	}
	if r.Put != nil {
		if err := operate(ctx, l.at(), "PutItem", map[string]any{"TableName": l.named(r.Put.Table), "Item": r.Put.Item}, &struct{}{}); err != nil {
			return conduct.Reply{Err: err}
		}
		return conduct.Reply{Status: http.StatusOK}
	}
	q := url.Values{"queue": {r.Queue.Name}, "group": {r.Queue.Group}}
	req, err := http.NewRequestWithContext(ctx, "POST", l.at().Console+"/api/queue/send?"+q.Encode(), strings.NewReader(r.Queue.Body))
	if err != nil {
		return conduct.Reply{Err: err}
	}
	body, err := send(req, l.at())
	if err != nil {
		return conduct.Reply{Err: err}
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 64<<10))
	return conduct.Reply{Status: http.StatusOK, Body: text, Err: err}
}

func (l *laboratory) named(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(l.names[name], name)
}

// answerMax bounds what is read of an answer.
const answerMax = 1 << 20

func (l *laboratory) http(ctx context.Context, h *experiment.HTTP) conduct.Reply {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	req, err := httpRequest(ctx, h, l.at().Web)
	if err != nil {
		return conduct.Reply{Err: err}
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return conduct.Reply{Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	headers := map[string]string{}
	for name := range resp.Header {
		headers[name] = resp.Header.Get(name)
	}
	return conduct.Reply{Status: resp.StatusCode, Headers: headers, Body: body, Err: err}
}

// httpRequest makes a request as the Chaos Toolkit would: arguments are the query of a GET, and else the body.
func httpRequest(ctx context.Context, h *experiment.HTTP, web string) (*http.Request, error) {
	target, body, form := h.URL, h.Body, ""
	if strings.HasPrefix(target, "/") {
		target = strings.TrimSuffix(web, "/") + target
	}
	if h.Arguments != nil {
		values := url.Values{}
		if fields, ok := h.Arguments.(map[string]any); ok {
			for name, v := range fields {
				values.Set(name, fmt.Sprint(v))
			}
		}
		switch {
		case h.Method == http.MethodGet && len(values) > 0:
			target += "?" + values.Encode()
		case strings.HasPrefix(h.Headers["Content-Type"], "application/json"):
			b, err := json.Marshal(h.Arguments)
			if err != nil {
				return nil, err
			}
			body = string(b)
		case len(values) > 0:
			body, form = values.Encode(), "application/x-www-form-urlencoded"
		default:
			body = fmt.Sprint(h.Arguments)
		}
	}
	req, err := http.NewRequestWithContext(ctx, h.Method, target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if form != "" {
		req.Header.Set("Content-Type", form)
	}
	for name, value := range h.Headers {
		req.Header.Set(name, value)
	}
	return req, nil
}

// Fault leases. Who does not renew is taken to be gone, and the fault ends.
const (
	faultLease   = 10 * time.Second
	faultLongest = "24h"
)

// Break puts a fault in force, held by a lease.
func (l *laboratory) Break(ctx context.Context, document json.RawMessage) (conduct.Injection, error) {
	var d map[string]any
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, err
	}
	dose, _ := d["dose"].(map[string]any)
	if dose == nil {
		dose = map[string]any{}
	}
	if _, given := dose["for"]; !given { // the experiment ends it
		dose["for"] = faultLongest
	}
	d["dose"] = dose
	body, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", l.at().Console+"/api/faults?lease="+faultLease.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	s, err := l.fault(req)
	if err != nil {
		return nil, err
	}
	return &leased{l, s}, nil
}

func (l *laboratory) fault(req *http.Request) (s fault.State, err error) {
	body, err := send(req, l.at())
	if err != nil {
		return s, err
	}
	defer body.Close()
	return s, json.NewDecoder(body).Decode(&s)
}

// A leased is a fault in force.
type leased struct {
	lab  *laboratory
	last fault.State
}

// Status renews the lease and says how the fault goes.
func (f *leased) Status(ctx context.Context) (conduct.Injected, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", f.lab.at().Console+"/api/faults/renew?id="+f.last.ID.String(), nil)
	if err != nil {
		return conduct.Injected{}, err
	}
	s, err := f.lab.fault(req)
	if err != nil {
		return conduct.Injected{}, err
	}
	return conduct.Injected{ID: s.ID.String(), Text: s.Text, Started: s.Started, Seen: int64(s.Seen), Met: int64(s.Met), Ended: !s.Ended.IsZero()}, nil
}

// Mend ends the fault.
func (f *leased) Mend(ctx context.Context) error {
	body, err := ask(ctx, f.lab.at(), "DELETE", "/api/faults?id="+f.last.ID.String())
	if err != nil {
		if kind := daruma.KindOf(err); kind == daruma.KindUnavailable || kind == daruma.KindNotFound {
			return nil // the node is gone, and every fault with it; or somebody has ended the fault before
		}
		return err
	}
	return body.Close()
}

// requestID is how messages of ended processes and of time-outs begin. Without it those that say the same are alike.
var requestID = regexp.MustCompile(`^(RequestId: [0-9a-f-]{36} (Error: )?|\S+Z [0-9a-f-]{36} )`)

// Alarm returns the state of an alarm.
func (l *laboratory) Alarm(ctx context.Context, name string) (string, error) {
	var a console.Alarm
	if err := get(ctx, l.at(), "/api/alarm?"+url.Values{"alarm": {name}}.Encode(), &a); err != nil {
		return "", err
	}
	return string(a.Situation.State), nil
}

// Happened returns failures and repairs since a moment, oldest first.
func (l *laboratory) Happened(ctx context.Context, since time.Time) ([]conduct.Happening, error) {
	var all []conduct.Happening
	var f failureFlags
	failures, err := f.find(ctx, l.at(), 500)
	if err != nil {
		return nil, err
	}
	for _, one := range failures {
		if one.At.Before(since) {
			continue
		}
		text := firstLine(strings.TrimPrefix(one.ErrorType+": "+requestID.ReplaceAllString(one.Message, ""), ": "))
		if one.Condition != "" && one.Condition != one.ErrorType {
			text = one.Condition + ": " + text
		}
		all = append(all, conduct.Happening{At: one.At, ID: one.Number.String(), Function: one.Function, Text: clipText(text, 200)})
	}
	var repairs []ledger.Repair
	if err := get(ctx, l.at(), "/api/repairs?max=200", &repairs); err != nil {
		return nil, err
	}
	for _, one := range repairs {
		if !one.At.Before(since) {
			all = append(all, conduct.Happening{At: one.At, ID: one.Number.String(), Function: one.Function, Text: clipText(firstLine(one.What)+", because "+firstLine(one.Why), 200), Repair: true})
		}
	}
	slices.SortStableFunc(all, func(a, b conduct.Happening) int { return a.At.Compare(b.At) })
	return all, nil
}

func clipText(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
