package template

import (
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// restCORS is what SAM's Cors of a REST API makes: an OPTIONS method of each
// path with a fixed answer. Other answers are the function's own affair.
type restCORS struct {
	origin, methods, headers, age string
	credentials                   bool
	at                            tree.Pos
}

// restCORS reads Cors: an origin, or a map. Values are quoted for the gateway: "'*'".
func (l *loader) restCORS(p *properties) *restCORS {
	v := p.value("Cors")
	if v == nil {
		return nil
	}
	c := &restCORS{origin: "*", at: v.Pos}
	switch v.Kind {
	case tree.String:
		c.origin = l.quoted(p, "Cors", v)
	case tree.Map:
		m := l.within("Cors", v)
		for name, to := range map[string]*string{"AllowOrigin": &c.origin, "AllowMethods": &c.methods, "AllowHeaders": &c.headers, "MaxAge": &c.age} {
			m.text(name)
			if given := m.value(name); given.IsScalar() {
				*to = l.quoted(m, name, given)
			}
		}
		if v := m.value("AllowCredentials"); v != nil {
			c.credentials = v.IsScalar() && v.Text == "true"
			if !c.credentials && v.Text != "false" {
				l.warn(v.Pos, "AllowCredentials has no effect: it is not true", "")
			}
		}
		if c.credentials && c.origin == "*" {
			m.fault("AllowCredentials", m.at("AllowCredentials"), `Unable to add Cors configuration because 'AllowCredentials' can not be true when 'AllowOrigin' is "'*'" or not set`, "name the origin")
		}
		m.done()
	default:
		p.fault("Cors", v.Pos, "Invalid value for 'Cors' property", "it is a string such as \"'*'\", or a map")
		return nil
	}
	return c
}

// quoted takes the quotes off a value for the gateway, which a number may lack.
func (l *loader) quoted(p *properties, name string, v *tree.Node) string {
	if len(v.Text) >= 2 && v.Text[0] == '\'' && v.Text[len(v.Text)-1] == '\'' {
		return v.Text[1 : len(v.Text)-1]
	}
	if len(v.Refs) == 0 && v.Kind == tree.String && v.Text != "" {
		p.fault(name, v.Pos, "the value "+v.Text+" must be in single quotes within the string, as the gateway takes it", `write "'`+v.Text+`'"`)
	}
	return v.Text
}

// preflights adds the OPTIONS methods. A path that has one keeps its own.
func (c *restCORS) preflights(a *api) {
	byPath := map[string][]string{}
	for _, r := range a.api.Routes {
		byPath[r.Path] = append(byPath[r.Path], r.Method)
	}
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		methods := byPath[path]
		if slices.Contains(methods, "OPTIONS") || path != "/" && strings.HasSuffix(path, "/") && byPath[strings.TrimSuffix(path, "/")] != nil {
			continue
		}
		headers := map[string]string{"Access-Control-Allow-Origin": c.origin, "Access-Control-Allow-Methods": c.methods}
		if c.methods == "" {
			headers["Access-Control-Allow-Methods"] = allowedMethods(methods)
		}
		if c.headers != "" {
			headers["Access-Control-Allow-Headers"] = c.headers
		}
		if c.age != "" {
			headers["Access-Control-Max-Age"] = c.age
		}
		if c.credentials {
			headers["Access-Control-Allow-Credentials"] = "true"
		}
		a.api.Routes = append(a.api.Routes, catalog.Route{Method: "OPTIONS", Path: path, Payload: "1.0", Mock: &catalog.Mock{Status: 200, Headers: headers}, Position: c.at.String()})
	}
}

// allowedMethods lists the methods of a path and OPTIONS, or all when it takes any.
func allowedMethods(methods []string) string {
	if slices.Contains(methods, catalog.AnyMethod) {
		return "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
	}
	all := append(slices.Clone(methods), "OPTIONS")
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}
