package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/quote"
)

// A call is one request with all that its event tells. Calls are pooled: a
// call, its body and its slices are void after release.
type call struct {
	to     aim
	search search
	place  catalog.Place
	at     time.Time

	r        *http.Request
	body     []byte
	query    string // undecoded
	sourceIP string
	port     string   // the port the request came to
	proto    string   // "http" or "https"
	names    []string // of r.Header, those that events show, sorted
	spelled  []string // header names that were not written in canonical form
	caller   *Caller  // who signed it, with AuthIAM

	request  string // requestId: a UUID, or the short form for HTTP APIs
	extended string // the short form
	tracing
}

// A Caller is who signed a request to a function URL with AuthIAM.
type Caller struct {
	AccessKey, AccountID, CallerID, UserARN, UserID string
}

var calls = sync.Pool{New: func() any { return &call{body: make([]byte, 0, 8<<10)} }}

// pooledBodyMax bounds the memory a resting call keeps.
const pooledBodyMax = 64 << 10

func (c *call) release() {
	body := c.body[:0]
	if cap(body) > pooledBodyMax {
		body = make([]byte, 0, 8<<10)
	}
	clear(c.names)
	clear(c.search.values)
	*c = call{body: body, names: c.names[:0], search: search{values: c.search.values[:0]}}
	calls.Put(c)
}

// begin notes what every product's event tells.
func (c *call) begin(r *http.Request, now time.Time) {
	c.r, c.at = r, now
	c.sourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	c.sourceIP, _, _ = strings.Cut(c.sourceIP, "%")
	c.proto, c.port = "http", "80"
	if r.TLS != nil {
		c.proto, c.port = "https", "443"
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && r.TLS == nil {
		c.port = strconv.Itoa(a.Port)
	}
	c.identify()
	c.pick()
}

// pick collects the names of the headers that events show. Left out are those
// of the connection, and those that the gateway writes itself.
func (c *call) pick() {
	c.names = c.names[:0]
	named := c.r.Header["Connection"]
	for name := range c.r.Header {
		if !ownHeader(name) && (len(named) == 0 || !listed(named, name)) {
			c.names = append(c.names, name)
		}
	}
	slices.Sort(c.names)
}

// ownHeader says whether events do not copy a request's header of this name.
func ownHeader(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
		"Host", "Content-Length", daruma.TraceHeader, forwardedFor, "X-Forwarded-Port", "X-Forwarded-Proto":
		return true
	}
	return false
}

const forwardedFor = "X-Forwarded-For"

// listed says whether a Connection header names a header.
func listed(connection []string, name string) bool {
	for _, line := range connection {
		for token := range strings.SplitSeq(line, ",") {
			if textproto.CanonicalMIMEHeaderKey(textproto.TrimString(token)) == name {
				return true
			}
		}
	}
	return false
}

// forwarded appends the value of X-Forwarded-For: what the client claims, then who it is.
func (c *call) forwarded(dst []byte) []byte {
	for _, v := range c.r.Header[forwardedFor] {
		dst = append(quote.AppendInner(dst, v), ", "...)
	}
	return quote.AppendInner(dst, c.sourceIP)
}

// headerBytes is the size of the request line and the headers.
func headerBytes(r *http.Request) int {
	n := len(r.Method) + len(r.RequestURI) + len(r.Proto) + 4 + len(r.Host) + len("Host: \r\n")
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// errTooLarge says that a request's body exceeds its limit.
var errTooLarge = errors.New("request body too large")

// read takes the request's body in, at most limit bytes.
func (c *call) read(limit int) error {
	c.body = c.body[:0]
	size := c.r.ContentLength
	if size == 0 || c.r.Body == nil {
		return nil
	}
	if size > int64(limit) {
		return errTooLarge
	}
	if size > int64(cap(c.body)) {
		c.body = make([]byte, 0, size)
	}
	for {
		if len(c.body) == cap(c.body) {
			c.body = slices.Grow(c.body, max(512, len(c.body)))
		}
		n, err := c.r.Body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if len(c.body) > limit {
			return errTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// spelling returns a canonical header name as the client wrote it.
func (c *call) spelling(name string) string {
	for _, s := range c.spelled {
		if strings.EqualFold(s, name) {
			return s
		}
	}
	return name
}

// invocation makes the call what a function is handed.
func (c *call) invocation(target daruma.Target, payload []byte, source string) daruma.Invocation {
	return daruma.Invocation{ID: daruma.NewID(), Target: target, Payload: payload, At: c.at, Trace: c.handed, Source: source}
}

// appendTime appends t as the access logs write it: 12/Mar/2020:19:03:58 +0000.
func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "02/Jan/2006:15:04:05 +0000")
}
