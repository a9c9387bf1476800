package web

import (
	"hash/fnv"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
)

// Longest waits for a function, when a route says nothing else (API Gateway quotas).
const (
	restTimeout = 29 * time.Second
	httpTimeout = 30 * time.Second
)

// A route is a catalog.Route, prepared.
type route struct {
	*catalog.Route
	key      string   // "GET /pets/{id}", or "$default"
	names    []string // of its path parameters, from left to right
	resource string   // REST: resourceId; HTTP payload 1.0: the key
	timeout  time.Duration
}

// ends are the routes that end at one place of the tree, by method.
type ends struct {
	any     *route
	methods map[string]*route
}

func (e *ends) add(r *route) {
	if r.Method == catalog.AnyMethod {
		e.any = r
		return
	}
	if e.methods == nil {
		e.methods = map[string]*route{}
	}
	e.methods[r.Method] = r
}

// pick returns the route for method: the explicit one before ANY.
func (e *ends) pick(method string) *route {
	if r := e.methods[method]; r != nil {
		return r
	}
	return e.any
}

// A node is one segment of a route tree.
type node struct {
	ends     ends
	static   map[string]*node
	variable *node
	greedy   *node
}

// A tree holds the routes of one stage.
type tree struct {
	api      *catalog.API
	root     node
	fallback ends // $default, HTTP APIs only
}

// newTree builds the tree of the routes that are in stage.
func newTree(api *catalog.API, stage string) *tree {
	t := &tree{api: api}
	for i := range api.Routes {
		r := &api.Routes[i]
		if len(r.Stages) > 0 && !slices.Contains(r.Stages, stage) {
			continue
		}
		t.add(newRoute(api, r))
	}
	return t
}

func newRoute(api *catalog.API, from *catalog.Route) *route {
	r := &route{Route: from, key: from.Method + " " + from.Path, timeout: from.Timeout}
	if from.Path == catalog.DefaultRoute {
		r.key = catalog.DefaultRoute
	}
	if r.timeout == 0 {
		r.timeout = httpTimeout
		if api.Kind == catalog.REST {
			r.timeout = restTimeout
		}
	}
	r.resource = r.key
	if api.Kind == catalog.REST {
		r.resource = shortID(api.ID, from.Path)
	}
	return r
}

// shortID makes a stable identifier of six lower-case letters and digits, as
// API Gateway gives resources and deployments.
func shortID(parts ...string) string {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	n := h.Sum64()
	var id [6]byte
	for i := range id {
		id[i] = alphabet[n%36]
		n /= 36
	}
	return string(id[:])
}

func (t *tree) add(r *route) {
	if r.Path == catalog.DefaultRoute {
		t.fallback.add(r)
		return
	}
	n := &t.root
	rest := strings.TrimPrefix(r.Path, "/")
	if t.api.Kind == catalog.REST { // a resource has no slash at its end
		rest = strings.TrimRight(rest, "/")
	}
	for end := rest == ""; !end; {
		var segment string
		segment, rest, end = cut(rest)
		var name string
		n, name = n.child(segment)
		if name != "" {
			r.names = append(r.names, name)
		}
	}
	n.ends.add(r)
}

// child returns the node below n for a segment of a route's path, and the
// name of its parameter when it has one.
func (n *node) child(segment string) (child *node, name string) {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		name = segment[1 : len(segment)-1]
		at := &n.variable
		if strings.HasSuffix(name, "+") {
			name, at = name[:len(name)-1], &n.greedy
		}
		if *at == nil {
			*at = &node{}
		}
		return *at, name
	}
	if n.static == nil {
		n.static = map[string]*node{}
	}
	if n.static[segment] == nil {
		n.static[segment] = &node{}
	}
	return n.static[segment], ""
}

// cut takes the first segment off a path without its leading slash.
func cut(path string) (segment, rest string, last bool) {
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:], false
	}
	return path, "", true
}

// A search is one look-up in a tree. values holds the path parameters found, undecoded.
type search struct {
	method string
	values []string
}

// http finds the most specific route that has the method, segment by segment:
// static before {var} before {proxy+}. A route without the method does not
// count, so a less specific one may answer (Developer Guide, "Routing API
// requests"). path begins with a slash; a slash at its end is significant.
func (t *tree) http(s *search, path string) *route {
	s.values = s.values[:0]
	rest := path[1:]
	return t.root.http(s, rest, rest == "")
}

func (n *node) http(s *search, rest string, end bool) *route {
	if end {
		return n.ends.pick(s.method)
	}
	segment, tail, last := cut(rest)
	if c := n.static[decode(segment)]; c != nil {
		if r := c.http(s, tail, last); r != nil {
			return r
		}
	}
	if n.variable != nil && segment != "" {
		s.values = append(s.values, segment)
		if r := n.variable.http(s, tail, last); r != nil {
			return r
		}
		s.values = s.values[:len(s.values)-1]
	}
	if n.greedy != nil && rest != "" {
		if r := n.greedy.ends.pick(s.method); r != nil {
			s.values = append(s.values, rest)
			return r
		}
	}
	return nil
}

// rest finds the one resource a path leads to and then the method on it; a
// resource that lacks the method hides less specific ones. Slashes at the
// path's end do not count.
func (t *tree) rest(s *search, path string) *route {
	s.values = s.values[:0]
	rest := strings.TrimRight(path[1:], "/")
	n := t.root.resource(s, rest, rest == "")
	if n == nil {
		return nil
	}
	return n.ends.pick(s.method)
}

func (n *node) resource(s *search, rest string, end bool) *node {
	if end {
		return n
	}
	segment, tail, last := cut(rest)
	if c := n.static[decode(segment)]; c != nil {
		if found := c.resource(s, tail, last); found != nil {
			return found
		}
	}
	if n.variable != nil && segment != "" {
		s.values = append(s.values, segment)
		if found := n.variable.resource(s, tail, last); found != nil {
			return found
		}
		s.values = s.values[:len(s.values)-1]
	}
	if n.greedy != nil {
		s.values = append(s.values, rest)
		return n.greedy
	}
	return nil
}

// decode undoes percent-encoding once; what is not well encoded stays as it is.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	if d, err := url.PathUnescape(s); err == nil {
		return d
	}
	return s
}
