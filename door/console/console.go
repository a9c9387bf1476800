// Package console is the door for the people and tools that look after a
// node: its health and metrics for anyone on this machine, its state, its
// logs and its stop button for who holds the node's token.
//
// Every route is listed in one table with who may use it; what is not listed
// is not found, and what does not say "open" needs the token. Requests whose
// Host is not a loopback name are refused, so that no web page can reach the
// console by a name of its own (DNS rebinding), and no answer carries a CORS header.
package console

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/fault/inject"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

// Config is what the console shows and does.
type Config struct {
	Token   string // what /api callers present as "Authorization: Bearer …"; must not be empty
	Status  func() Status
	Health  func() Health
	Metrics http.Handler
	Logs    func(ctx context.Context, q LogQuery) iter.Seq2[daruma.Line, error]
	Stop    func()           // asks the node to stop; returns at once
	Now     func() time.Time // the app's clock; time.Now when nil

	Spans Spans
	// Reproduce runs the event of a failure again and tells what came of it;
	// Bundle answers with a file to do so elsewhere.
	Reproduce, Bundle http.HandlerFunc

	Faults     *inject.Faults
	Ledger     *ledger.Ledger
	Deliveries *delivery.Deliveries
	Queues     *queue.Queues
	QueueHeld  func(queue string) string // why nothing is received from a queue for a function; may be nil
	Topics     Topics
	Tables     func() []Table
	// StopExperiment ends every fault and asks the experiment under way to end.
	StopExperiment func() error
	Experiments    Experiments
	// NotifyTest sends a sample through channels, all when none is named.
	NotifyTest func(ctx context.Context, channels []string) ([]Tried, error)
	Breakers   Breakers
	Mappings   Mappings
	Alarms     Alarms
}

// A LogQuery is what /api/logs may be asked for; see the watch package for its meaning.
type LogQuery struct {
	Function, Request, Trace, Contains string
	Since                              time.Time
	Last                               int
	Follow                             bool
}

// A Door is the console's HTTP server.
type Door struct {
	cfg    Config
	routes map[string]route // "GET /health"
}

type route struct {
	open   bool // needs no token
	handle func(http.ResponseWriter, *http.Request)
}

// New returns a console. It panics when cfg has no token: that would open every route.
func New(cfg Config) *Door {
	if cfg.Token == "" {
		panic("console: no token")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Door{cfg: cfg}
	d.routes = map[string]route{
		"GET /api/breakers": {handle: d.breakers},
		"POST /api/breaker": {handle: d.force},
		"GET /api/mappings": {handle: d.mappings},
		"POST /api/mapping": {handle: d.enable},
		"GET /api/alarms":   {handle: d.alarms},
		"GET /api/alarm":    {handle: d.alarm},

		"GET /":          {open: true, handle: d.index},
		"GET /health":    {open: true, handle: d.health},
		"GET /metrics":   {open: true, handle: cfg.Metrics.ServeHTTP},
		"GET /api/ps":    {handle: d.status},
		"GET /api/logs":  {handle: d.logs},
		"POST /api/stop": {handle: d.stop},

		"GET /api/failures": {handle: d.failures},
		"GET /api/failure":  {handle: d.failure},
		"GET /api/trace":    {handle: d.trace},
		"GET /api/groups":   {handle: d.groups},
		"GET /api/account":  {handle: d.account},
		"POST /api/redrive": {handle: d.redrive},
		"POST /api/discard": {handle: d.discard},
		"GET /api/topics":   {handle: d.topics},
		"POST /api/publish": {handle: d.publish},

		"GET /api/tables":       {handle: d.tables},
		"GET /api/queues":       {handle: d.queues},
		"GET /api/queue":        {handle: d.peek},
		"POST /api/queue/send":  {handle: d.sendMessage},
		"POST /api/queue/move":  {handle: d.moveMessages},
		"POST /api/queue/purge": {handle: d.purge},

		"GET /api/faults":        {handle: d.faults},
		"POST /api/faults":       {handle: d.startFault},
		"DELETE /api/faults":     {handle: d.stopFaults},
		"POST /api/faults/renew": {handle: d.renewFault},

		"POST /api/experiment/stop": {handle: d.stopExperiment},
		"POST /api/experiments":     {handle: d.runExperiment},
		"GET /api/experiments":      {handle: d.experiments},
		"GET /api/experiment":       {handle: d.experimentReport},

		"GET /api/repairs":      {handle: d.repairs},
		"GET /api/repair":       {handle: d.repair},
		"POST /api/notify/test": {handle: d.notifyTest},
		"POST /api/reproduce":   {handle: cfg.Reproduce},
		"GET /api/bundle":       {handle: cfg.Bundle},
	}
	return d
}

// Serve answers requests on l until ctx ends, then waits up to a second for running answers.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler:           d,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.Shutdown(grace) != nil {
			s.Close()
		}
	}()
	err := s.Serve(l)
	if ctx.Err() == nil {
		return &daruma.Error{Op: "serve console", Ref: l.Addr().String(), Err: err}
	}
	<-ended
	return nil
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Cache-Control", "no-store")
	if !loopbackHost(r.Host) {
		refuse(w, http.StatusForbidden, "this console answers to loopback names only")
		return
	}
	found, ok := d.routes[r.Method+" "+r.URL.Path]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "no such page: "+r.Method+" "+r.URL.Path)
	case !found.open && !d.authorized(r):
		refuse(w, http.StatusUnauthorized, "this needs the node's token, which is in node.json in its data directory")
	default:
		found.handle(w, r)
	}
}

func (d *Door) authorized(r *http.Request) bool {
	got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(got), []byte(d.cfg.Token)) == 1
}

func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, struct {
		Error string `json:"error"`
	}{message})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // the client may be gone: nothing to be done
}

func (d *Door) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, "Daruma\n\n/health   is this node able to take work\n/metrics  counts and latencies (Prometheus)\n\nState and logs: daruma ps, daruma logs.\n")
}

// health answers 200 when the node can take work and 503 when it cannot, as probes expect.
func (d *Door) health(w http.ResponseWriter, _ *http.Request) {
	h := d.cfg.Health()
	status := http.StatusOK
	if !h.OK {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, h)
}

func (d *Door) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, d.cfg.Status())
}

func (d *Door) stop(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusAccepted, struct {
		Stopping bool `json:"stopping"`
	}{true})
	d.cfg.Stop()
}

// logs streams one JSON line per line of log.
func (d *Door) logs(w http.ResponseWriter, r *http.Request) {
	q, err := parseLogQuery(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	if q.Follow {
		out.Flush() // so that the client knows it is connected
	}
	for l, err := range d.cfg.Logs(r.Context(), q) {
		if err != nil {
			_ = enc.Encode(daruma.Line{At: time.Now(), Stream: daruma.Platform, Text: err.Error()})
			return
		}
		if enc.Encode(l) != nil {
			return
		}
		if q.Follow && out.Flush() != nil {
			return
		}
	}
}

func parseLogQuery(r *http.Request) (LogQuery, error) {
	v := r.URL.Query()
	q := LogQuery{Function: v.Get("function"), Request: v.Get("request"), Trace: v.Get("trace"), Contains: v.Get("contains"), Follow: v.Get("follow") == "true"}
	var errs []error
	if s := v.Get("last"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1_000_000 {
			errs = append(errs, fmt.Errorf("last: %q is not a number from 1 to 1000000", s))
		}
		q.Last = n
	}
	if s := v.Get("since"); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			errs = append(errs, fmt.Errorf("since: %q is not a time such as 2026-01-02T15:04:05Z", s))
		}
		q.Since = t
	}
	return q, errors.Join(errs...)
}
