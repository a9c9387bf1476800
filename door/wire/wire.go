// Package wire is what the doors that speak AWS protocols share: one HTTP
// front on one port that checks every request's signature, tells the services
// apart and answers errors in the shape each service's clients expect.
//
// A door hands its service to [Front.Register] and is then given requests that
// are whole (the body has been read and is what was signed), bounded, signed
// by a known access key, and carry the identity of whoever signed them. There
// is no way to be given any other: a [Handler] takes a [*Request], and only
// the gate makes those.
//
// What nobody registered is refused in its own protocol's error shape, with a
// status that no SDK tries again. The package holds no state of an app and
// knows no service but the few words of STS that SDKs ask to see whose
// credentials they hold.
//
// A Front may be used from any number of goroutines once Register is done.
package wire

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
)

// Limits of the front. Config may narrow or widen those it names.
const (
	headerBytesMax  = 16 << 10         // request line and headers
	headerTimeMax   = 5 * time.Second  // to send them
	bodyTimeMax     = 30 * time.Second // to send the body
	answerTimeMax   = 60 * time.Second // to take one answer, or one piece of a streamed one
	idleTimeMax     = 60 * time.Second // a connection with nothing to do
	unservedBodyMax = 1 << 20          // body of a request to a service nobody registered
	drainBytesMax   = 16 << 20         // read and thrown away so that a client gets to see why it was refused
	connsDefault    = 4096
	connsPerIPMax   = 2048
	graceDefault    = 30 * time.Second
)

// Config says what a Front needs. Credentials and Region must be given.
type Config struct {
	Credentials Credentials
	Region      string           // the region requests must be signed for: "us-east-1"
	Now         func() time.Time // the wall clock that signers go by, never a scaled one; time.Now when nil
	Log         *slog.Logger     // slog.Default() when nil
	Conns       int              // connections at once on one listener; 4,096 when 0
	ConnsPerIP  int              // connections at once from one address; 2,048 when 0
	Grace       time.Duration    // how long Serve waits at its end for requests under way; 30 s when 0
	// Around puts a decorator around the handler of each service, as it is
	// registered, and around what refuses a request for one that is not here, each
	// time: such a request need not have passed the gate. May be nil.
	Around func(service string, h Handler) Handler
}

// A Handler serves the requests of one service. ServeAWS is called from many
// goroutines at once; it may keep r.Body, and nothing else of r.
type Handler interface {
	ServeAWS(w http.ResponseWriter, r *Request)
}

// A Service is one AWS service at this front.
type Service struct {
	Handler      Handler
	BodyBytesMax int64  // larger requests are refused unread
	TooLarge     *Error // how they are refused; a plain 413 when nil
	Unpacks      bool   // bodies may come packed (Content-Encoding: gzip, deflate); the handler gets them plain
	Words        Words  // in which the gate refuses
}

// Words are a service's own for what the gate says, where they are not
// everybody's. They are for the JSON protocols with an X-Amz-Target.
type Words struct {
	Target    string // what the targets of the service begin with ("DynamoDB"): it tells whose a request is that nobody signed
	Namespace string // before the name of an error, in "__type"; "" for none
	Missing   string // what a request is told that nobody signed; everybody's when ""
	// Mark puts what else the service's answers carry into the headers of a refusal
	// of r with this body. May be nil.
	Mark func(h http.Header, r *Request, body []byte)
}

// A Request is one that passed the gate.
type Request struct {
	HTTP    *http.Request // its Body has been read to the end
	Path    string        // the escaped path, in normal form: what was signed
	Body    []byte        // nil when there was none
	ID      string        // answered as x-amzn-RequestId
	At      time.Time     // when it came
	Service string        // the service it was signed for: "lambda"
	Caller  Identity
}

// A Front is the HTTP front of all AWS services. It is an http.Handler, so
// listeners of other packages can lead to it too.
type Front struct {
	cfg      Config
	services map[string]Service
	public   []public
	keys     signingKeys
	buffers  sync.Pool // *[]byte, for canonical requests
}

// New returns a front that serves nothing yet but sts:GetCallerIdentity.
func New(cfg Config) (*Front, error) {
	if cfg.Credentials == nil || cfg.Region == "" {
		return nil, &daruma.Error{Op: "wire", Kind: daruma.KindInvalid, Hint: "Credentials and Region must be given"}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Conns == 0 {
		cfg.Conns = connsDefault
	}
	if cfg.ConnsPerIP == 0 {
		cfg.ConnsPerIP = connsPerIPMax
	}
	if cfg.Grace == 0 {
		cfg.Grace = graceDefault
	}
	f := &Front{cfg: cfg, services: map[string]Service{}}
	f.buffers.New = func() any { b := make([]byte, 0, 2048); return &b }
	f.Register("sts", Service{Handler: identityService{f}, BodyBytesMax: 64 << 10})
	return f, nil
}

// Register makes s serve the requests signed for name ("lambda", "sqs"). It
// must be called before the first request, and panics at a mistake of ours: a
// name registered twice, no handler, or no body limit.
func (f *Front) Register(name string, s Service) {
	switch {
	case name == "" || s.Handler == nil || s.BodyBytesMax <= 0:
		panic("wire: a service needs a name, a handler and a body limit")
	case f.services[name].Handler != nil:
		panic("wire: " + name + " is registered twice")
	}
	if f.cfg.Around != nil {
		s.Handler = f.cfg.Around(name, s.Handler)
	}
	f.services[name] = s
}

// public is what anybody may ask for.
type public struct {
	is      func(*http.Request) bool
	handler http.Handler
}

// Public makes h answer those requests that is says are for anybody: nobody has
// checked who asks, and their body is not bounded but in time. It must be called
// before the first request.
func (f *Front) Public(is func(*http.Request) bool, h http.Handler) {
	f.public = append(f.public, public{is, h})
}

// Serves returns the names of what is registered, in order.
func (f *Front) Serves() []string {
	names := make([]string, 0, len(f.services))
	for n := range f.services {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// ServeHTTP takes a request through the gate and hands it to its service.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{answer: answer{ResponseWriter: w}, front: f}
	x.req.HTTP, x.req.ID, x.req.At = r, daruma.NewID(), f.cfg.Now()
	x.id[0] = x.req.ID
	w.Header()["X-Amzn-Requestid"] = x.id[:]
	defer x.recovered()
	if r.ContentLength != 0 { // also where nobody reads it: net/http waits for what is left of a body
		x.answer.readWithin(time.Now().Add(bodyTimeMax))
	}
	if isCheckIP(r) {
		tellAddress(&x.answer, r)
		return
	}
	for _, p := range f.public {
		if p.is(r) {
			x.answer.readWithin(time.Now().Add(bodyTimeMax))
			p.handler.ServeHTTP(&x.answer, r)
			return
		}
	}
	err := x.admit()
	s, served := f.services[x.req.Service]
	switch {
	case !served:
		f.decline(x, err)
	case err != nil:
		x.refuse(err)
	default:
		s.Handler.ServeAWS(&x.answer, &x.req)
	}
}

// decline refuses a request that no service gets, whoever it is for: by its
// signature, or by the name of its host.
func (f *Front) decline(x *exchange, err *Error) {
	if err == nil {
		err = f.unserved(&x.req)
	}
	x.req.Path = cmp.Or(x.req.Path, wirePath(x.req.HTTP))
	var h Handler = declining{x, err}
	if f.cfg.Around != nil {
		h = f.cfg.Around(cmp.Or(x.req.Service, hostService(x.req.HTTP.Host)), h)
	}
	h.ServeAWS(&x.answer, &x.req)
}

// declining is what answers in the place of a service that is not here.
type declining struct {
	x   *exchange
	err *Error
}

// ServeAWS refuses the request.
func (d declining) ServeAWS(http.ResponseWriter, *Request) { d.x.refuse(d.err) }

// unserved is the refusal of a service or operation that is not here.
func (f *Front) unserved(r *Request) *Error {
	return unsupported.error(r.Service + ":" + operation(r) + " is not supported here; this endpoint serves " + strings.Join(f.Serves(), ", "))
}

// An exchange is one request with its answer, in one allocation.
type exchange struct {
	req    Request
	answer answer
	front  *Front
	id     [1]string // the value of the header with the request's ID
}

// refuse answers with err in the shape of the request's protocol. A body that
// was not read is thrown away first, within bounds: a client that is still
// sending would otherwise see a broken connection instead of the reason.
func (x *exchange) refuse(err *Error) {
	if err.closes || len(x.req.HTTP.TransferEncoding) > 0 {
		x.answer.Header()["Connection"] = []string{"close"}
	}
	x.drain()
	if err.fault != noFault {
		err = x.front.words(&x.req).of(err)
	}
	Refuse(&x.answer, &x.req, err)
}

// words returns those of the service a request is for.
func (f *Front) words(r *Request) Words {
	if s, ok := f.services[r.Service]; ok || r.Service != "" {
		return s.Words
	}
	for _, s := range f.services {
		if t := s.Words.Target; t != "" && strings.HasPrefix(r.HTTP.Header.Get("X-Amz-Target"), t) {
			return s.Words
		}
	}
	return Words{}
}

// of puts what the gate says in a service's words.
func (s Words) of(e *Error) *Error {
	own := *e
	own.namespace, own.mark = s.Namespace, s.Mark
	if e.fault == missing && s.Missing != "" {
		own.Message = s.Missing
	}
	return &own
}

// recovered ends an exchange whose handler panicked.
func (x *exchange) recovered() {
	v := recover()
	if v == nil {
		return
	}
	if v == any(http.ErrAbortHandler) {
		panic(v)
	}
	x.front.cfg.Log.Error("a request handler panicked", "service", x.req.Service, "request", x.req.ID, "panic", v, "stack", stack())
	if x.answer.started {
		panic(http.ErrAbortHandler) // cut the answer off, so that nobody takes it for whole
	}
	x.refuse(&Error{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: "The request processing has failed because of an unknown error, exception or failure."})
}
