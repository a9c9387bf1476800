package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
)

// typed puts types beside plain values. An object with one member that is
// named like a type is taken as it is.
func typed(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return map[string]any{"NULL": true}, nil
	case bool:
		return map[string]any{"BOOL": v}, nil
	case string:
		return map[string]any{"S": v}, nil
	case json.Number:
		return map[string]any{"N": v.String()}, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = typed(v[i]); err != nil {
				return nil, err
			}
		}
		return map[string]any{"L": out}, nil
	case map[string]any:
		if len(v) == 1 {
			for k := range v {
				if slices.Contains(typeNames, k) {
					return v, nil
				}
			}
		}
		out, err := typedItem(v)
		return map[string]any{"M": out}, err
	}
	return nil, fmt.Errorf("%v is no JSON", v)
}

func typedItem(m map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for k := range m {
		var err error
		if out[k], err = typed(m[k]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plain takes the types away.
func plain(v any) any {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return v
	}
	for k, x := range m {
		switch k {
		case "NULL":
			return nil
		case "N":
			return json.Number(fmt.Sprint(x))
		case "NS":
			var out []any
			for _, e := range x.([]any) {
				out = append(out, json.Number(fmt.Sprint(e)))
			}
			return out
		case "L":
			out := []any{}
			for _, e := range x.([]any) {
				out = append(out, plain(e))
			}
			return out
		case "M":
			return plainItem(x.(map[string]any))
		}
		return x
	}
	return v
}

func plainItem(it map[string]any) map[string]any {
	out := make(map[string]any, len(it))
	for k := range it {
		out[k] = plain(it[k])
	}
	return out
}

// object reads an argument that is a JSON object, with types or plain.
func object(what, text string) (map[string]any, error) {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&m); err != nil || m == nil {
		return nil, &daruma.Error{Op: "read " + what, Ref: text, Kind: daruma.KindInvalid, Err: errors.New("it is no JSON object"), Hint: `write it as '{"id": "x"}'`}
	}
	return typedItem(m)
}

func printItem(w world, it map[string]any, asJSON bool) error {
	if asJSON {
		return printJSON(w.out, it)
	}
	return printJSON(w.out, plainItem(it))
}

var typeNames = []string{"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"}
