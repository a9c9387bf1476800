package web

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/catalog"
)

// An aim is what a request is addressed to. When neither api nor url is set
// nothing is there.
type aim struct {
	lost   string // the marker of a host name that names nothing, or ""
	api    *api
	url    *function
	stage  *stage
	route  *route
	domain string // domainName of the event
	full   string // the path as AWS would have received it, stage included
	path   string // the path below the stage
}

// Markers of a host name that belongs to one API or function URL.
const (
	apiLabel = "execute-api"
	urlLabel = "lambda-url"
)

// prefix is the first segment of the addresses that work without name resolution.
const prefix = "/_/"

// aim finds what host and path lead to. path is undecoded and begins with a
// slash. The ways are tried in this order:
//
//  1. by host, as on AWS: <api-id>.execute-api.<region>.… and
//     <url-id>.lambda-url.<region>.…, with "localhost" instead of the region too;
//  2. by a path /_/<LogicalID>/…; the function does not see this prefix;
//  3. by path alone: see [site.ask].
//
// A host name of the first form that names nothing is lost.
func (s *site) aim(q *search, host, path string, preflight string) aim {
	if id, label, ok := s.labels(host); ok {
		if a := s.byID[id]; a != nil && label == apiLabel {
			to := a.aim(q, path)
			to.domain = hostname(host)
			return to
		}
		if u := s.urls[id]; u != nil && label == urlLabel {
			return aim{url: u, domain: hostname(host), full: path, path: path}
		}
		return aim{lost: label}
	}
	if strings.HasPrefix(path, prefix) {
		id, rest, _ := strings.Cut(path[len(prefix):], "/")
		if f, ok := s.named[id]; ok {
			if f.url != nil {
				return aim{url: f.url, domain: f.url.domain, full: "/" + rest, path: "/" + rest}
			}
			return f.api.aim(q, "/"+rest)
		}
	}
	return s.ask(q, path, preflight)
}

// hostname returns host without its port, in lower case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// IsAddress says whether host is the name of an API or a function URL on AWS,
// in whatever region and of whatever account: https://…execute-api… and the
// like lead to a Door, all other names of the cloud to the services behind it.
func IsAddress(host string) bool {
	_, rest, _ := strings.Cut(hostname(host), ".")
	label, rest, _ := strings.Cut(rest, ".")
	return (label == apiLabel || label == urlLabel) && rest != ""
}

// labels takes an AWS host name apart. ok says whether it is one of our two
// forms; id is "" when it is of another region.
func (s *site) labels(host string) (id, label string, ok bool) {
	if strings.IndexByte(host, '-') < 0 { // neither label can be in it
		return "", "", false
	}
	id, rest, _ := strings.Cut(hostname(host), ".")
	label, rest, _ = strings.Cut(rest, ".")
	if label != apiLabel && label != urlLabel || rest == "" {
		return "", "", false
	}
	if region, _, _ := strings.Cut(rest, "."); region != s.view.Place.Region && region != "localhost" {
		return "", label, true
	}
	return id, label, true
}

// aim finds the stage and the route of a path sent to this API alone.
func (a *api) aim(q *search, path string) aim {
	to := aim{api: a, domain: a.domain, full: path, path: path}
	first, rest, _ := cut(path[1:])
	if st := a.stage(first); st != nil && first != catalog.DefaultStage {
		to.stage, to.path = st, "/"+rest
	} else if a.Kind == catalog.HTTP {
		to.stage = a.stage(catalog.DefaultStage)
	}
	if to.stage != nil {
		to.route = a.find(to.stage, q, to.path)
		if to.route == nil {
			to.route = to.stage.tree.fallback.pick(q.method)
		}
	}
	return to
}

// ask finds which API answers a path that comes without an address of its
// own: REST APIs with a stage named as the first segment, then HTTP APIs
// likewise, then HTTP APIs with the stage $default (their $default routes
// last), each by logical ID, the first that has a route. When the app has one
// REST API, its first stage takes paths without the stage, too; the function
// is told the path with it. When none has a route, the first API that has the
// stage refuses.
func (s *site) ask(q *search, path, preflight string) aim {
	var miss aim
	took := func(to aim) bool {
		if to.route != nil || preflight != "" && to.api.cors != nil && to.api.wants(q, to, preflight) {
			return true
		}
		if miss.api == nil {
			miss = to
		}
		return false
	}
	first, rest, _ := cut(path[1:])
	for _, list := range [...][]*api{s.rest, s.http} {
		for _, a := range list {
			if st := a.stage(first); st != nil && first != catalog.DefaultStage {
				to := aim{api: a, stage: st, domain: a.domain, full: path, path: "/" + rest}
				if to.route = a.find(st, q, to.path); to.route == nil {
					to.route = st.tree.fallback.pick(q.method)
				}
				if took(to) {
					return to
				}
			}
		}
	}
	for _, last := range [...]bool{false, true} {
		for _, a := range s.http {
			st := a.stage(catalog.DefaultStage)
			if st == nil {
				continue
			}
			to := aim{api: a, stage: st, domain: a.domain, full: path, path: path}
			if !last {
				to.route = a.find(st, q, path)
			} else if to.route = st.tree.fallback.pick(q.method); to.route != nil {
				q.values = q.values[:0]
			}
			if took(to) {
				return to
			}
		}
	}
	if len(s.rest) == 1 && len(s.rest[0].stages) > 0 {
		a := s.rest[0]
		st := a.stages[0]
		to := aim{api: a, stage: st, domain: a.domain, full: "/" + st.Name + path, path: path}
		if to.route = a.find(st, q, path); to.route != nil || miss.api == nil {
			return to
		}
	}
	return miss
}

// wants says whether a preflight for method is this API's to answer.
func (a *api) wants(q *search, to aim, method string) bool {
	p := search{method: method, values: q.values}
	return a.find(to.stage, &p, to.path) != nil || to.stage.tree.fallback.pick(method) != nil
}

// KindURL is the Kind of an [Address] that is a function URL's.
const KindURL = "URL"

// An Address is where one stage of an API, or one function URL, is reached.
type Address struct {
	LogicalID string
	Kind      string // catalog.HTTP, catalog.REST or KindURL
	Stage     string // the stage's name; "" for a function URL
	URL       string // without a slash at the end; a function URL's has one, as on AWS
	Routes    []string
	Auth      string // catalog.AuthIAM where requests must be signed; "" where anybody may call
}

// URLs returns every address in v as reached at addr ("127.0.0.1:3000"): APIs
// by logical ID, then function URLs by function name. The addresses need no
// name resolution; they are the short ones where no other API could answer.
func URLs(v *catalog.View, addr string) []Address {
	var out []Address
	apis := v.APIs()
	for _, a := range apis {
		for _, st := range a.Stages {
			to := Address{LogicalID: a.LogicalID, Kind: a.Kind, Stage: st.Name, URL: "http://" + addr}
			if !alone(apis, st.Name) {
				to.URL += prefix + a.LogicalID
			}
			if st.Name != catalog.DefaultStage {
				to.URL += "/" + st.Name
			}
			for i := range a.Routes {
				if r := &a.Routes[i]; len(r.Stages) == 0 || slices.Contains(r.Stages, st.Name) {
					to.Routes = append(to.Routes, newRoute(a, r).key)
				}
			}
			out = append(out, to)
		}
	}
	for _, f := range v.Functions() {
		if f.URL != nil && f.LogicalID != "" {
			to := Address{LogicalID: f.LogicalID, Kind: KindURL, URL: "http://" + addr + prefix + f.LogicalID + "/"}
			if f.URL.Auth == catalog.AuthIAM {
				to.Auth = catalog.AuthIAM
			}
			out = append(out, to)
		}
	}
	return out
}

// alone says whether one API only has a stage of that name.
func alone(apis []*catalog.API, name string) bool {
	n := 0
	for _, a := range apis {
		for _, st := range a.Stages {
			if st.Name == name {
				n++
			}
		}
	}
	return n == 1
}
