package pattern

import (
	"encoding/json"
	"errors"
)

// A Scope is what of a message a filter policy looks at.
type Scope string

// The scopes there are.
const (
	Attributes Scope = "MessageAttributes" // its attributes; the default
	Body       Scope = "MessageBody"       // its body, which must be a JSON object
)

// CompilePolicy compiles the filter policy of a subscription, within its
// limits. What is wrong is KindInvalid, with a [SyntaxError] in it.
func CompilePolicy(text string, scope Scope) (*Pattern, error) {
	bad := func(reason string) (*Pattern, error) { return nil, refused(&SyntaxError{Reason: reason}) }
	if len(text) > PolicyBytesMax {
		return bad("FilterPolicy: Filter policy is too large")
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		return bad("FilterPolicy: failed to parse JSON.")
	}
	if len(keys) == 0 {
		return &Pattern{alternatives: []*node{{}}}, nil // it wants everything
	}
	p, err := compile(text, true)
	if is, ok := errors.AsType[*SyntaxError](err); ok {
		is.Reason = "FilterPolicy: " + is.Reason
		return nil, err
	}
	if len(keys) > PolicyKeysMax {
		return bad("FilterPolicy: Filter policy can not have more than 5 keys")
	}
	var policy map[string]any
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return bad("FilterPolicy: failed to parse JSON.")
	}
	n, nested := combinations(policy, 1, 1)
	if n > PolicyCombinationMax {
		return bad("FilterPolicy: Filter policy is too complex")
	}
	if nested && scope != Body {
		return bad("Filter policy scope MessageAttributes does not support nested filter policy")
	}
	return p, nil
}

// combinations multiplies what the keys of a policy have to choose from: the
// values of each, times how deep it lies; the objects of $or are added. It
// stops counting where it is too much. It also says whether a key is nested.
func combinations(policy map[string]any, depth, before int) (n int, nested bool) {
	n = before
	for key, v := range policy {
		switch v := v.(type) {
		case map[string]any:
			n, _ = combinations(v, depth+1, n)
			nested = true
		case []any:
			if key != or {
				n *= len(v) * depth
				break
			}
			sum := 0
			for _, choice := range v {
				object, _ := choice.(map[string]any)
				more, deeper := combinations(object, depth, n)
				sum, nested = min(sum+more, 1<<20), nested || deeper
			}
			n = sum
		}
		n = min(n, 1<<20)
	}
	return n, nested
}
