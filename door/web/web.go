// Package web is the door that web clients knock at: it speaks for the app's
// HTTP APIs, REST APIs and function URLs, all on one port, and makes each
// request an event for one function and the function's result an answer.
//
// It promises what the three AWS products promise, kept apart: routing and
// precedence, the fields of the events (payload formats 2.0 and 1.0), what a
// result may look like, and status, body and headers of every refusal;
// docs/semantics/http.md has a test for each line. A request that nobody
// answers in time is refused while the function runs on.
//
// It does not sign, store or retry anything, has no authorizers, and does not
// limit rates. It forwards no framing: each body is read whole and measured
// anew, and what a client says about its own connection is not believed.
//
// A [Door] may be used from any number of goroutines.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// Sizes that AWS fixes for one request.
const (
	headerBytesMax  = 10240    // request line and headers of an API's request
	apiBodyBytesMax = 10 << 20 // body of an API's request; the event must fit daruma.PayloadBytesMax, too
	urlBodyBytesMax = 6 << 20  // body of a function URL's request
)

// Config says what a door needs.
type Config struct {
	Runner daruma.Runner        // runs functions; required
	View   func() *catalog.View // the catalog as it is now; required. A new pointer is a new catalog.
	Clock  daruma.Clock         // times of events and the waits for functions; the system's when nil
	Log    *slog.Logger         // why answers were refused; silent when nil

	// Verify checks the signature of a request to a function URL with
	// AuthIAM and says who signed it. The request is as it came in, prefix
	// and all; body is whole and must not be kept. When nil, such URLs
	// refuse everybody.
	Verify func(r *http.Request, body []byte) (Caller, bool)

	Spanned func(daruma.Span) // is told of each request that a function was run for, once it is answered; may be nil

	// Around is asked of each request to an API before it is answered: the answer
	// goes through the writer that it returns, and a function that answers runs
	// with the context. May be nil.
	Around func(w http.ResponseWriter, r *http.Request, api *catalog.API, preflight bool) (http.ResponseWriter, context.Context)

	Limits Limits
}

// Limits bound what clients can make a door hold. A zero field is its default.
type Limits struct {
	Connections int           // open at once; further ones wait to be accepted (1024)
	HeaderTime  time.Duration // for one request's headers to arrive (5 s)
	BodyTime    time.Duration // for one request's body to arrive (30 s)
	IdleTime    time.Duration // between two requests of a connection (60 s)
	DrainTime   time.Duration // for requests under way when Serve is told to end (5 s)
}

func (l Limits) withDefaults() Limits {
	if l.Connections == 0 {
		l.Connections = 1024
	}
	for _, d := range [...]struct {
		at *time.Duration
		to time.Duration
	}{{&l.HeaderTime, 5 * time.Second}, {&l.BodyTime, 30 * time.Second}, {&l.IdleTime, 60 * time.Second}, {&l.DrainTime, 5 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.to
		}
	}
	return l
}

// A Door answers web requests. It is an http.Handler; Serve adds the limits
// and checks below HTTP that a handler cannot make.
type Door struct {
	cfg   Config
	site  atomic.Pointer[site]
	build sync.Mutex // held while a site is made, so that it is made once
}

// New returns a door. It starts nothing.
func New(cfg Config) *Door {
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	return &Door{cfg: cfg}
}

// now returns the site of the catalog as it is now.
func (d *Door) now() *site {
	v := d.cfg.View()
	if s := d.site.Load(); s != nil && s.view == v {
		return s
	}
	d.build.Lock()
	defer d.build.Unlock()
	if s := d.site.Load(); s != nil && s.view == v {
		return s
	}
	s := newSite(v)
	d.site.Store(s)
	return s
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := calls.Get().(*call)
	defer c.release()
	spelled, sound := witnessed(r.Context())
	c.spelled = spelled
	c.begin(r, d.cfg.Clock.Now())
	if r.ContentLength != 0 { // also where nobody reads it: net/http waits for what is left of a body
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(d.cfg.Limits.BodyTime)) // the handler alone has no connection to bound
	}

	site := d.now()
	c.place = site.view.Place
	c.search.method = r.Method
	path := c.split()
	if path == "" || !sound {
		w.Header().Set("Connection", "close")
		c.refuse(w, httpAPI, badRequest[httpAPI])
		return
	}
	asks := preflight(r)
	c.to = site.aim(&c.search, r.Host, path, asks)
	to := &c.to
	p := c.product()
	if d.cfg.Around != nil && to.api != nil {
		var ctx context.Context
		if w, ctx = d.cfg.Around(w, r, to.api.API, asks != ""); ctx != r.Context() {
			c.r = r.WithContext(ctx)
		}
	}
	c.request = c.extended
	if p != httpAPI {
		c.request = daruma.NewID()
	}
	switch {
	case to.lost != "":
		c.refuse(w, p, forbidden[p])
	case p != functionURL && headerBytes(r) > headerBytesMax:
		w.Header().Set("Connection", "close")
		c.refuse(w, p, headersTooLarge[p])
	case asks != "" && to.cors() != nil:
		c.answerPreflight(w, p)
	case p != functionURL && to.api != nil && to.stage == nil:
		c.refuse(w, p, forbidden[p])
	case p != functionURL && to.route == nil:
		c.refuse(w, p, notFound[p])
	case p != functionURL && to.route.Mock != nil:
		c.answerMock(w)
	default:
		d.invoke(w, c, p)
	}
}

// split notes the query and returns the path, both undecoded; "" when the
// request names no path.
func (c *call) split() string {
	target := c.r.RequestURI
	if !strings.HasPrefix(target, "/") {
		if c.r.URL == nil || !strings.HasPrefix(c.r.URL.Path, "/") { // "*", or a CONNECT
			return ""
		}
		target = c.r.URL.EscapedPath() // the absolute form, as proxies are asked
		c.query = c.r.URL.RawQuery
		return target
	}
	path, query, _ := strings.Cut(target, "?")
	c.query = query
	return path
}

// answerPreflight answers instead of the function: HTTP APIs with 204, function URLs with 200.
func (c *call) answerPreflight(w http.ResponseWriter, p product) {
	h := w.Header()
	c.stamp(h, p)
	c.to.cors().answer(h, c.r.Header.Get("Origin"))
	if p == functionURL {
		h["Content-Length"] = []string{"0"}
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// answerMock gives a route's fixed answer.
func (c *call) answerMock(w http.ResponseWriter) {
	m := c.to.route.Mock
	a := answer{status: m.Status, chosen: true}
	for name, value := range m.Headers {
		a.headers = append(a.headers, field{name: name, value: value})
	}
	c.send(w, restAPI, &a)
}

// invoke reads the body, makes the event, hands it to the function and sends what comes back.
func (d *Door) invoke(w http.ResponseWriter, c *call, p product) {
	if why, ok := d.take(w, c, p); !ok {
		c.refuse(w, p, why)
		return
	}
	inv := c.event(p)
	if len(inv.Payload) > daruma.PayloadBytesMax {
		c.refuse(w, p, tooLarge[p])
		return
	}
	var s *stream
	if p == functionURL && c.to.url.Stream || p != functionURL && c.to.route.Stream {
		s = &stream{c: c, p: p, w: w, ctrl: http.NewResponseController(w)}
		inv.Stream = s
	}
	out, late := d.run(c, p, inv)
	defer d.tell(c, &inv, &out, late)
	if s != nil {
		d.endStream(w, c, s, &out, late)
		return
	}
	if late || out.Kind != daruma.Done {
		d.refuseRun(w, c, p, &out, late)
		return
	}
	a, err := decodeAnswer(out.Payload, c.form(p))
	if err == nil && a.encoded && c.wantsBinary(&a) {
		err = a.unpack()
	}
	if err != nil {
		d.cfg.Log.Warn("a function's result cannot be sent", "function", inv.Target.String(), "request", inv.ID, "reason", err.Error())
		c.refuse(w, p, badAnswer[p])
		return
	}
	c.send(w, p, &a)
}

// take reads the body and checks who sent it.
func (d *Door) take(w http.ResponseWriter, c *call, p product) (refusal, bool) {
	limit := apiBodyBytesMax
	if p == functionURL {
		limit = urlBodyBytesMax
	}
	if c.r.ContentLength != 0 {
		err := c.read(limit)
		if err != nil {
			w.Header().Set("Connection", "close")
			if errors.Is(err, errTooLarge) {
				return tooLarge[p], false
			}
			return badRequest[p], false
		}
		http.NewResponseController(w).SetReadDeadline(time.Time{}) // the function may run for longer
	}
	if p == functionURL && c.to.url.Auth != catalog.AuthNone {
		if d.cfg.Verify == nil {
			return forbiddenURL, false
		}
		caller, ok := d.cfg.Verify(c.r, c.body)
		if !ok {
			return forbiddenURL, false
		}
		c.caller = &caller
	}
	return refusal{}, true
}

// event makes the call an invocation.
func (c *call) event(p product) daruma.Invocation {
	if p == functionURL {
		inv := c.invocation(c.to.url.target, c.event2(), "url")
		inv.ID = c.request // as AWS does: one ID for the request and the invocation
		return inv
	}
	if p == restAPI || c.to.route.Payload == "1.0" {
		return c.invocation(c.to.route.Target, c.event1(), "http")
	}
	return c.invocation(c.to.route.Target, c.event2(), "http")
}

// errLate ends a wait that took longer than the route allows.
var errLate = errors.New("the function did not answer in time")

// run hands the event over and waits. late says that the route's time ran
// out: nobody waits any more, and the function runs on.
func (d *Door) run(c *call, p product, inv daruma.Invocation) (out daruma.Outcome, late bool) {
	ctx := c.r.Context()
	if p == functionURL {
		return d.cfg.Runner.Run(ctx, inv), false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := d.cfg.Clock.AfterFunc(c.to.route.timeout, func() { cancel(errLate) })
	out = d.cfg.Runner.Run(ctx, inv)
	stop()
	late = errors.Is(context.Cause(ctx), errLate) && (out.Kind == daruma.Unknown || !out.Kind.Ran())
	cancel(nil)
	return out, late
}

// form says how the function's result is read.
func (c *call) form(p product) form {
	switch {
	case p == restAPI:
		return formREST
	case p == httpAPI && c.to.route.Payload == "1.0":
		return form1
	}
	return form2
}

// wantsBinary says whether a REST API decodes an answer in base64: when what
// the client accepts first, or what the function says it is, is a binary type.
func (c *call) wantsBinary(a *answer) bool {
	accepts, _, _ := strings.Cut(c.r.Header.Get("Accept"), ",")
	if accepts != "" && c.to.api.isBinary(accepts) {
		return true
	}
	kind := jsonType
	for _, f := range a.headers {
		if strings.EqualFold(f.name, "Content-Type") {
			kind = f.value
		}
	}
	return c.to.api.isBinary(kind)
}

// refuseRun answers for a run that did not end well.
func (d *Door) refuseRun(w http.ResponseWriter, c *call, p product, out *daruma.Outcome, late bool) {
	if out.Kind == daruma.Throttled && p == functionURL {
		w.Header().Set("Retry-After", retryAfter(out.Failure))
	}
	c.refuse(w, p, refusalFor(p, out, late))
}

// endStream ends a streamed answer. Once the status is sent, a failure can
// only be told by breaking the connection off.
func (d *Door) endStream(w http.ResponseWriter, c *call, s *stream, out *daruma.Outcome, late bool) {
	sent, err := s.close()
	if sent && err == nil && out.Kind == daruma.Done && !late {
		return
	}
	if err != nil && !errors.Is(err, errClosed) {
		d.cfg.Log.Warn("a function's streamed result cannot be sent", "request", c.request, "reason", err.Error())
	}
	if sent {
		panic(http.ErrAbortHandler)
	}
	if out.Kind != daruma.Done || late {
		d.refuseRun(w, c, s.p, out, late)
		return
	}
	c.refuse(w, s.p, badAnswer[s.p])
}
