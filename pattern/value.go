package pattern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Value is what patterns are matched with: a JSON value, read. The zero
// value is null.
type Value struct {
	of any // nil, bool, string, json.Number, []any or map[string]any, whose keys have no dots
}

// Parse reads a JSON value. What is none is an error.
func Parse(b []byte) (Value, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return Value{}, refused(fmt.Errorf("not JSON: %w", err))
	}
	if _, err := d.Token(); err != io.EOF {
		return Value{}, refused(fmt.Errorf("not JSON: something lies behind the value"))
	}
	return Value{undotted(v)}, nil
}

// Payload reads what a record carries: its JSON when it is an object or an
// array, and the text it is otherwise.
func Payload(b []byte) Value {
	if first := bytes.TrimLeft(b, " \t\r\n"); len(first) > 0 && (first[0] == '{' || first[0] == '[') {
		if v, err := Parse(b); err == nil {
			return v
		}
	}
	return Text(string(b))
}

// Text is the value of a text.
func Text(s string) Value { return Value{s} }

// Number is the value of a number as it is written in JSON. What is none is a text.
func Number(s string) Value {
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') || !json.Valid([]byte(s)) {
		return Text(s)
	}
	return Value{json.Number(s)}
}

// Object is the value of an object.
func Object(members map[string]Value) Value {
	o := make(map[string]any, len(members))
	for k, v := range members {
		o[k] = v.of
	}
	nest(o)
	return Value{o}
}

// With is an object v with one more member, or another instead of the one it
// has. The key has no dots.
func (v Value) With(key string, member Value) Value {
	o, _ := v.of.(map[string]any)
	if o = maps.Clone(o); o == nil {
		o = map[string]any{}
	}
	o[key] = member.of
	return Value{o}
}

// IsObject says whether v is an object.
func (v Value) IsObject() bool {
	_, ok := v.of.(map[string]any)
	return ok
}

// undotted is v, which nobody else knows yet, with every member "a.b" lying
// under "a", as "b". A path is its names with dots between them, whichever of
// the dots are in the names.
func undotted(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = undotted(v[i])
		}
	case map[string]any:
		for k, member := range v {
			v[k] = undotted(member)
		}
		nest(v)
	}
	return v
}

// nest moves the members of o whose names have dots to where they belong. It
// changes nothing but o.
func nest(o map[string]any) {
	var dotted []string
	for k := range o {
		if strings.Contains(k, ".") {
			dotted = append(dotted, k)
		}
	}
	slices.Sort(dotted) // the same each time
	for _, k := range dotted {
		names := strings.Split(k, ".")
		below := o[k]
		delete(o, k)
		for _, name := range slices.Backward(names[1:]) {
			below = map[string]any{name: below}
		}
		if is, there := o[names[0]]; there {
			below = merged(is, below)
		}
		o[names[0]] = below
	}
}

// merged is what lies under one name that comes twice: both.
func merged(a, b any) any {
	x, isObject := a.(map[string]any)
	y, also := b.(map[string]any)
	if !isObject || !also {
		return []any{a, b}
	}
	x = maps.Clone(x)
	for k, member := range y {
		if is, there := x[k]; there {
			member = merged(is, member)
		}
		x[k] = member
	}
	return x
}
