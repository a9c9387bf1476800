package lambda

import (
	"encoding/json"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// recursionConfig is what both operations of recursion answer.
type recursionConfig struct{ RecursiveLoop string }

// getRecursion answers GetFunctionRecursionConfig.
func (d *Door) getRecursion(c *call) (any, *wire.Error) {
	ref, err := c.function(&unqualifiedName, false)
	if err != nil {
		return nil, err
	}
	f, err := c.exists(ref)
	if err != nil {
		return nil, err
	}
	return recursionConfig{c.view.Recursion(f.Name)}, nil
}

// putRecursion answers PutFunctionRecursionConfig.
func (d *Door) putRecursion(c *call) (any, *wire.Error) {
	var ask struct{ RecursiveLoop *string }
	if json.Unmarshal(c.Body, &ask) != nil {
		return nil, invalidContent("Could not parse request body into json.")
	}
	if ask.RecursiveLoop == nil {
		return nil, &wire.Error{Status: 400, Code: "ValidationException", Message: "1 validation error detected: Value null at 'recursiveLoop' failed to satisfy constraint: Member must not be null"}
	}
	ref, err := c.function(&unqualifiedName, false)
	if err != nil {
		return nil, err
	}
	mode := *ask.RecursiveLoop
	if mode != catalog.RecursionAllow && mode != catalog.RecursionTerminate {
		var v violations
		v.add(mode, "recursiveLoop", "satisfy enum value set: [Terminate, Allow]")
		return nil, v.error()
	}
	f, err := c.exists(ref)
	if err != nil {
		return nil, err
	}
	if err := d.cfg.Settings.SetRecursion(c.HTTP.Context(), f.Name, mode); err != nil {
		return nil, fromKind(daruma.KindOf(err), err.Error())
	}
	return recursionConfig{mode}, nil
}
