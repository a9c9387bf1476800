// Package lambda is the door for the Lambda API: SDKs, CLIs and functions
// invoke functions through it and read what is deployed.
//
// It turns requests into calls of a [daruma.Runner] and reads of a
// [catalog.View], and answers as the Lambda API Reference has it: the same
// status codes, headers, error names and, where they are known, texts. What
// nobody waits for goes to an [Acceptor]. It writes the few settings that AWS
// keeps beside a function's configuration: reserved concurrency, how
// asynchronous invocations are treated, what is done about loops. Everything
// else that changes functions is refused by name: they come from the template.
//
// The door holds no state and starts nothing. It may be used from any number
// of goroutines at once.
package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/mapping"
)

// Concurrency is where reserved concurrency is written.
type Concurrency interface {
	// SetReserved sets a function's reserved concurrency: n executions at
	// once, 0 for none at all, nil for no reservation. It returns once the
	// change is durable and in force.
	SetReserved(ctx context.Context, function string, n *int) error
}

// Settings is where settings of asynchronous invocation and of recursion are written.
type Settings interface {
	// ChangeEventInvoke changes how asynchronous invocations of a function
	// through a qualifier are treated, and returns what is then configured. It
	// returns once the change is durable and in force.
	ChangeEventInvoke(ctx context.Context, c catalog.EventInvokeChange) (*catalog.EventInvokeConfig, error)
	// SetRecursion sets what is done about loops: catalog.RecursionAllow or
	// catalog.RecursionTerminate.
	SetRecursion(ctx context.Context, function, mode string) error
}

// ConcurrencyDefault is an account's pool of concurrent executions (Lambda quotas).
const ConcurrencyDefault = 1000

// unreservedMin is how much of the pool must stay unreserved (Lambda quotas).
const unreservedMin = 100

// Config says what the door needs. Runner, View, Concurrency and Settings must be given.
type Config struct {
	Runner      daruma.Runner
	View        func() *catalog.View // the catalog at this moment; never nil
	Concurrency Concurrency
	Settings    Settings
	Mappings    Mappings                                 // event source mappings; nil: they are refused
	EventSource func(arn string) (EventSource, error)    // finds the source of a mapping: KindNotFound when there is none; needed with Mappings
	LastResult  func(uuid string) (mapping.Result, bool) // of a mapping; needed with Mappings
	Tags        Tags                                     // of functions and mappings, to be changed; nil: they are refused
	Acceptor    Acceptor                                 // takes asynchronous invocations; nil: they are refused
	Clock       daruma.Clock                             // stamps invocations; the system's when nil
	Pool        int                                      // concurrent executions of all functions together; ConcurrencyDefault when 0
	// Takes says whether something here takes records that are sent to an ARN
	// which is no function's: nil, KindNotFound, or KindUnsupported for a kind
	// of thing that nothing here takes. nil stands for a Takes that is always unsupported.
	Takes   func(arn string) error
	URL     func(*catalog.URL) string // the address of a function URL; nil: AWS's host name for it
	Spanned func(daruma.Span)         // is told of each request that named a function, once it is answered; may be nil
}

// A Door answers the Lambda API.
type Door struct {
	cfg    Config
	routes []route
}

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Runner == nil || cfg.View == nil || cfg.Concurrency == nil || cfg.Settings == nil {
		return nil, &daruma.Error{Op: "lambda door", Kind: daruma.KindInvalid, Hint: "Runner, View, Concurrency and Settings must be given"}
	}
	if cfg.Clock == nil {
		cfg.Clock = daruma.SystemClock{}
	}
	if cfg.Pool == 0 {
		cfg.Pool = ConcurrencyDefault
	}
	if cfg.Takes == nil {
		cfg.Takes = func(arn string) error { return &daruma.Error{Ref: arn, Kind: daruma.KindUnsupported} }
	}
	if cfg.URL == nil {
		cfg.URL = func(u *catalog.URL) string {
			return "https://" + u.ID + ".lambda-url." + cfg.View().Place.Region + ".on.aws/"
		}
	}
	return &Door{cfg: cfg, routes: routes()}, nil
}

// Service is how the door is registered at a front, under "lambda".
func (d *Door) Service() wire.Service {
	return wire.Service{Handler: d, BodyBytesMax: daruma.PayloadBytesMax, TooLarge: tooLarge()}
}

// A call is one request on its way to its operation.
type call struct {
	*wire.Request
	op    string
	args  []string // the path's labels, unescaped
	query url.Values
	view  *catalog.View
	takes func(arn string) error
}

// ServeAWS finds the operation and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	if name, ok := invocation(r); ok {
		d.invoke(w, r, name)
		return
	}
	route, args := match(d.routes, r)
	if route == nil {
		wire.Refuse(w, r, &wire.Error{Status: http.StatusNotFound, Code: "UnknownOperationException", Message: "No operation of this service has the method and path " + r.HTTP.Method + " " + r.Path})
		return
	}
	switch {
	case route.stream != nil:
		route.stream(d, w, r, args[0])
	case route.serve == nil:
		wire.Refuse(w, r, refusal(route))
	default:
		c := &call{Request: r, op: route.op, args: args, query: r.HTTP.URL.Query(), view: d.cfg.View(), takes: d.cfg.Takes}
		if route.mappings && d.cfg.Mappings == nil {
			wire.Refuse(w, r, refusal(route))
			return
		}
		answer, err := route.serve(d, c)
		if err != nil {
			wire.Refuse(w, r, err)
			return
		}
		reply(w, answer)
	}
}

// invocation recognizes the one request that must be answered fast.
func invocation(r *wire.Request) (name string, ok bool) {
	if r.HTTP.Method != http.MethodPost {
		return "", false
	}
	if name, ok = strings.CutPrefix(r.Path, "/2015-03-31/functions/"); !ok {
		return "", false
	}
	if name, ok = strings.CutSuffix(name, "/invocations"); !ok || strings.Contains(name, "/") {
		return "", false
	}
	if strings.Contains(name, "%") {
		plain, err := url.PathUnescape(name)
		return plain, err == nil
	}
	return name, name != ""
}

// reply sends an answer as JSON, or 204 when there is nothing to say.
func reply(w http.ResponseWriter, answer any) {
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	status := http.StatusOK
	if a, ok := answer.(accepted); ok {
		answer, status = a.answer, http.StatusAccepted
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(answer); err != nil {
		panic(err) // our own types: they always encode
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
