package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/catalog"
)

// cors is a catalog.CORS with its header values made.
type cors struct {
	origins []string
	any     bool // "*" is among origins
	methods string
	headers string
	expose  string
	age     string
	creds   bool
}

func newCORS(c *catalog.CORS) *cors {
	if c == nil {
		return nil
	}
	made := &cors{
		origins: c.Origins,
		any:     slices.Contains(c.Origins, "*"),
		methods: strings.Join(c.Methods, ","),
		headers: strings.Join(c.Headers, ","),
		expose:  strings.Join(c.Expose, ","),
		creds:   c.Credentials,
	}
	if c.MaxAge > 0 {
		made.age = strconv.Itoa(c.MaxAge)
	}
	return made
}

// preflight returns the method a preflight asks about, or "" when r is none.
func preflight(r *http.Request) string {
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" {
		return ""
	}
	return r.Header.Get("Access-Control-Request-Method")
}

// allow returns the value of Access-Control-Allow-Origin for origin, or ""
// when it may not read answers. "https://*" stands for every origin of that scheme.
func (c *cors) allow(origin string) string {
	if origin == "" {
		return ""
	}
	if c.any && !c.creds {
		return "*"
	}
	for _, o := range c.origins {
		if scheme, ok := strings.CutSuffix(o, "://*"); ok && strings.HasPrefix(origin, scheme+"://") {
			return origin
		}
		if o == origin {
			return origin
		}
	}
	return ""
}

// apply sets the headers of an ordinary answer and takes those away that the
// function set: what the configuration says wins.
func (c *cors) apply(h http.Header, origin string) {
	for name := range h {
		if len(name) > 15 && strings.EqualFold(name[:15], "Access-Control-") {
			delete(h, name)
		}
	}
	allowed := c.allow(origin)
	if allowed == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", allowed)
	if allowed != "*" {
		h.Add("Vary", "Origin")
	}
	if c.creds {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if c.expose != "" {
		h.Set("Access-Control-Expose-Headers", c.expose)
	}
}

// answer sets the headers of a preflight's answer.
func (c *cors) answer(h http.Header, origin string) {
	c.apply(h, origin)
	if c.allow(origin) == "" {
		return
	}
	for _, f := range [...]struct{ name, value string }{
		{"Access-Control-Allow-Methods", c.methods},
		{"Access-Control-Allow-Headers", c.headers},
		{"Access-Control-Max-Age", c.age},
	} {
		if f.value != "" {
			h.Set(f.name, f.value)
		}
	}
}
