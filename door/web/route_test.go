package web

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/catalog"
)

func TestHTTPAPIRoutesByPrecedence(t *testing.T) {
	api := httpAPIOf("Api", "GET /pets", "GET /pets/{id}", "GET /pets/dog", "ANY /pets/{id}", "ANY /{proxy+}", "POST /pets/{id}/toys/{toy}", "GET /pets/{proxy+}", "GET /a/b/{x}", "GET /a/{y}/c", "$default")
	tree := newTree(api, catalog.DefaultStage)
	for _, c := range []struct{ method, path, want, values string }{
		{"GET", "/pets", "GET /pets", ""},
		{"POST", "/pets", "ANY /{proxy+}", "pets"}, // the method is missing: less specific routes may answer
		{"GET", "/pets/", "ANY /{proxy+}", "pets/"},
		{"GET", "/pets/dog", "GET /pets/dog", ""},  // static before {var}
		{"GET", "/pets/7", "GET /pets/{id}", "7"},  // explicit before ANY
		{"POST", "/pets/7", "ANY /pets/{id}", "7"}, //
		{"GET", "/pets/7/toys/2", "GET /pets/{proxy+}", "7/toys/2"},
		{"POST", "/pets/7/toys/2", "POST /pets/{id}/toys/{toy}", "7|2"},
		{"POST", "/pets/7/toys", "ANY /{proxy+}", "pets/7/toys"},
		{"GET", "/a/b/c", "GET /a/b/{x}", "c"}, // compared segment by segment from the left
		{"GET", "/a/z/c", "GET /a/{y}/c", "z"},
		{"GET", "/Pets", "ANY /{proxy+}", "Pets"}, // case matters
		{"GET", "/p%65ts", "GET /pets", ""},
		{"GET", "/", "$default", ""}, // {proxy+} does not match the empty path
	} {
		s := search{method: c.method}
		r := tree.http(&s, c.path)
		if r == nil {
			r = tree.fallback.pick(c.method)
		}
		if r == nil || r.key != c.want || strings.Join(s.values, "|") != c.values {
			t.Errorf("%s %s: got %v %q, want %s %q", c.method, c.path, r, s.values, c.want, c.values)
		}
	}
}

func TestAGreedyRouteDoesNotMatchItsBarePrefix(t *testing.T) {
	w := open(t, answering(plain), setup{apis: []*catalog.API{httpAPIOf("Api", "GET /pets/{proxy+}")}})
	w.do("GET", "/pets", "").is(t, 404, `{"message":"Not Found"}`)
	w.do("GET", "/pets/", "").is(t, 404, `{"message":"Not Found"}`)
	w.do("GET", "/pets/1/2", "").is(t, 200, "ok")
	same(t, "proxy", at(w.event(), "pathParameters", "proxy"), any("1/2"))
}

func TestRESTAPIRoutesByResourceAndThenMethod(t *testing.T) {
	api := restAPIOf("Api", "Prod", "GET /", "GET /pets", "GET /pets/dog", "ANY /pets/{id}", "ANY /{proxy+}", "GET /a/b/c", "POST /pets/{id}/toys")
	tree := newTree(api, "Prod")
	for _, c := range []struct{ method, path, want, values string }{
		{"GET", "/", "GET /", ""},
		{"POST", "/", "", ""},
		{"GET", "/pets", "GET /pets", ""},
		{"GET", "/pets/", "GET /pets", ""}, // slashes at the end do not count
		{"POST", "/pets", "", ""},          // no fallback to a less specific resource
		{"GET", "/pets/dog", "GET /pets/dog", ""},
		{"POST", "/pets/dog", "", ""},
		{"POST", "/pets/7", "ANY /pets/{id}", "7"},
		{"GET", "/pets/7/toys", "", ""},
		{"GET", "/pets/7/toys/1", "ANY /{proxy+}", "pets/7/toys/1"},
		{"GET", "/a", "", ""}, // a resource without methods
		{"GET", "/x/y", "ANY /{proxy+}", "x/y"},
		{"GET", "/x/y/", "ANY /{proxy+}", "x/y"},
	} {
		s := search{method: c.method}
		key := ""
		if r := tree.rest(&s, c.path); r != nil {
			key = r.key
			if strings.Join(s.values, "|") != c.values {
				t.Errorf("%s %s: got values %q, want %q", c.method, c.path, s.values, c.values)
			}
		}
		if key != c.want {
			t.Errorf("%s %s: got %q, want %q", c.method, c.path, key, c.want)
		}
	}
}

func TestARouteIsOnlyInItsStages(t *testing.T) {
	api := restAPIOf("Api", "one", "GET /all", "GET /two")
	api.Stages = append(api.Stages, catalog.Stage{Name: "two"})
	api.Routes[1].Stages = []string{"two"}
	w := open(t, answering(plain), setup{apis: []*catalog.API{api}})
	w.do("GET", "/one/all", "").is(t, 200, "ok")
	w.do("GET", "/two/all", "").is(t, 200, "ok")
	w.do("GET", "/two/two", "").is(t, 200, "ok")
	w.do("GET", "/one/two", "").is(t, 403, `{"message":"Missing Authentication Token"}`)
}

// A naive reference: it looks at every route alone and sorts what matches.

type naive struct {
	route  catalog.Route
	rank   []int // of each segment: 0 static, 1 variable, 2 greedy
	values []string
}

func naiveMatch(route catalog.Route, path string) (naive, bool) {
	n := naive{route: route}
	want, have := strings.Split(route.Path[1:], "/"), strings.Split(path[1:], "/")
	if route.Path == "/" {
		want = nil
	}
	if path == "/" {
		have = nil
	}
	for i, segment := range want {
		switch {
		case strings.HasSuffix(segment, "+}"):
			rest := strings.Join(have[min(i, len(have)):], "/")
			n.rank, n.values = append(n.rank, 2), append(n.values, rest)
			return n, rest != ""
		case i >= len(have):
			return n, false
		case strings.HasPrefix(segment, "{"):
			if have[i] == "" {
				return n, false
			}
			n.rank, n.values = append(n.rank, 1), append(n.values, have[i])
		case segment != have[i]:
			return n, false
		default:
			n.rank = append(n.rank, 0)
		}
	}
	return n, len(want) == len(have)
}

func naiveHTTP(api *catalog.API, method, path string) (string, []string) {
	var found []naive
	for _, r := range api.Routes {
		if r.Method != method && r.Method != catalog.AnyMethod {
			continue
		}
		if n, ok := naiveMatch(r, path); ok {
			found = append(found, n)
		}
	}
	slices.SortStableFunc(found, func(a, b naive) int {
		return cmp.Or(slices.Compare(a.rank, b.rank), cmp.Compare(b2i(a.route.Method == catalog.AnyMethod), b2i(b.route.Method == catalog.AnyMethod)))
	})
	if len(found) == 0 {
		return "", nil
	}
	return found[0].route.Method + " " + found[0].route.Path, found[0].values
}

// naiveREST chooses among all resources, those on the way to a route included, before it looks at methods.
func naiveREST(api *catalog.API, method, path string) (string, []string) {
	path = "/" + strings.TrimRight(path[1:], "/")
	var found []naive
	seen := map[string]bool{}
	for _, r := range api.Routes {
		for p := r.Path; ; p = p[:strings.LastIndexByte(p, '/')] {
			if p == "" {
				p = "/"
			}
			if n, ok := naiveMatch(catalog.Route{Path: p}, path); ok && !seen[p] {
				found = append(found, n)
			}
			seen[p] = true
			if p == "/" {
				break
			}
		}
	}
	slices.SortStableFunc(found, func(a, b naive) int { return slices.Compare(a.rank, b.rank) })
	if len(found) == 0 {
		return "", nil
	}
	for _, m := range []string{method, catalog.AnyMethod} {
		for _, r := range api.Routes {
			if r.Method == m && r.Path == found[0].route.Path {
				return m + " " + r.Path, found[0].values
			}
		}
	}
	return "", nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func drawRoutes(t *rapid.T) []string {
	segment := rapid.SampledFrom([]string{"a", "b", "{x}"})
	var routes []string
	seen := map[string]bool{}
	for range rapid.IntRange(1, 8).Draw(t, "routes") {
		path := "/" + strings.Join(rapid.SliceOfN(segment, 0, 3).Draw(t, "path"), "/")
		if rapid.Bool().Draw(t, "greedy") {
			path = strings.TrimSuffix(path, "/") + "/{p+}"
		}
		r := rapid.SampledFrom([]string{"GET", "POST", "ANY"}).Draw(t, "method") + " " + path
		if !seen[r] {
			routes = append(routes, r)
		}
		seen[r] = true
	}
	return routes
}

func TestRoutingAgreesWithANaiveReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := drawRoutes(t)
		path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 4).Draw(t, "segments"), "/")
		method := rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method")
		web, rest := httpAPIOf("Web", routes...), restAPIOf("Rest", "s", routes...)
		for _, c := range []struct {
			name  string
			tree  *tree
			find  func(*tree, *search, string) *route
			naive func(*catalog.API, string, string) (string, []string)
			api   *catalog.API
		}{
			{"HTTP", newTree(web, catalog.DefaultStage), (*tree).http, naiveHTTP, web},
			{"REST", newTree(rest, "s"), (*tree).rest, naiveREST, rest},
		} {
			s := search{method: method}
			key := ""
			if r := c.find(c.tree, &s, path); r != nil {
				key = r.key
			}
			want, values := c.naive(c.api, method, path)
			if key != want || key != "" && !slices.Equal(s.values, values) {
				t.Fatalf("%s: %s %s among %q: got %q %q, want %q %q", c.name, method, path, routes, key, s.values, want, values)
			}
		}
	})
}

func FuzzRouting(f *testing.F) {
	f.Add("GET /a/{b}\nANY /{p+}", "/a/%2f/c")
	f.Add("GET /{a}/{a}\nGET /{\nGET /{}/+}", "//")
	f.Fuzz(func(t *testing.T, routes, path string) {
		if !strings.HasPrefix(path, "/") || len(routes) > 4096 {
			return
		}
		var list []string
		for _, r := range strings.Split(routes, "\n") {
			if _, p, ok := strings.Cut(r, " "); ok && strings.HasPrefix(p, "/") {
				list = append(list, r)
			}
		}
		for _, api := range []*catalog.API{httpAPIOf("A", list...), restAPIOf("A", "s", list...)} {
			tree := newTree(api, api.Stages[0].Name)
			s := search{method: "GET"}
			find := tree.http
			if api.Kind == catalog.REST {
				find = tree.rest
			}
			if r := find(&s, path); r != nil && len(r.names) != len(s.values) {
				t.Fatalf("%s: %d names, values %q", r.key, len(r.names), s.values)
			}
		}
	})
}
