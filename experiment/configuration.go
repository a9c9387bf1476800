package experiment

import (
	"regexp"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// configuration reads the values that ${NAME} stands for in the rest of the document.
func (r *reader) configuration(n *tree.Node) {
	r.vars = map[string]any{}
	for _, section := range []string{"configuration", "secrets"} {
		v := n.Get(section)
		if v == nil || v.Kind == tree.Null {
			continue
		}
		if v.Kind != tree.Map {
			r.wrong(v.Pos, "", "%s must be a map, not %s", section, v.Kind)
			continue
		}
		for _, f := range v.Fields {
			if section == "secrets" && f.Value.Kind == tree.Map && f.Value.Get("type") == nil { // secrets come in groups
				for _, one := range f.Value.Fields {
					r.variable(one)
				}
				continue
			}
			r.variable(f)
		}
	}
	for name, value := range r.o.Vars {
		r.vars[name] = value
	}
}

func (r *reader) variable(f tree.Field) {
	if f.Value.Kind != tree.Map || f.Value.Get("type") == nil {
		r.vars[f.Name] = f.Value.Value()
		return
	}
	switch kind := f.Value.Get("type").Text; kind {
	case "env":
		key := f.Value.Get("key")
		if key == nil {
			r.wrong(f.Pos, "", "%s comes from the environment and has no key", f.Name)
			return
		}
		if r.o.Lookup != nil {
			if value, ok := r.o.Lookup(key.Text); ok {
				r.vars[f.Name] = value
				return
			}
		}
		if def := f.Value.Get("default"); def != nil {
			r.vars[f.Name] = def.Value()
			return
		}
		if _, given := r.o.Vars[f.Name]; !given {
			r.wrong(f.Pos, "set it, give a default, or use --var "+f.Name+"=VALUE", "%s is the variable %s of the environment, which is not set", f.Name, key.Text)
		}
	default:
		r.wrong(f.Pos, "use type: env", "%s has the type %s, which is not supported", f.Name, kind)
	}
}

var variables = regexp.MustCompile(`\$\{(\w+)\}`)

// fill puts values in the place of their names. What has no value stays: loads have names of their own.
func (r *reader) fill(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	return variables.ReplaceAllStringFunc(s, func(use string) string {
		if v, ok := r.vars[use[2:len(use)-1]]; ok {
			return text(v)
		}
		return use
	})
}

func (r *reader) fillAll(v any) any {
	switch in := v.(type) {
	case string:
		if m := variables.FindStringSubmatch(in); m != nil && m[0] == in {
			if v, ok := r.vars[m[1]]; ok {
				return v
			}
		}
		return r.fill(in)
	case []any:
		for i := range in {
			in[i] = r.fillAll(in[i])
		}
	case map[string]any:
		for k := range in {
			in[k] = r.fillAll(in[k])
		}
	}
	return v
}
