package lambda

import (
	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// alias is AliasConfiguration of the service model.
type alias struct {
	AliasArn, Name, FunctionVersion, Description string
	RoutingConfig                                *routing `json:",omitempty"`
	RevisionId                                   string
}

type routing struct{ AdditionalVersionWeights map[string]float64 }

func aliasOf(view *catalog.View, a *catalog.Alias) alias {
	out := alias{
		AliasArn: view.Place.FunctionARN(daruma.Target{Function: a.Function, Qualifier: a.Name}),
		Name:     a.Name, FunctionVersion: a.Version, Description: a.Description, RevisionId: a.Revision,
	}
	if a.Second != "" {
		out.RoutingConfig = &routing{map[string]float64{a.Second: a.Weight}}
	}
	return out
}

// getAlias answers GetAlias.
func (d *Door) getAlias(c *call) (any, *wire.Error) {
	f, err := c.whole(&functionName)
	if err != nil {
		return nil, err
	}
	var v violations
	v.check(&aliasName, c.args[1], "name")
	if err := v.error(); err != nil {
		return nil, err
	}
	a := c.view.Alias(f.Name, c.args[1])
	if a == nil {
		return nil, notFound("Cannot find alias arn: " + c.view.Place.FunctionARN(daruma.Target{Function: f.Name, Qualifier: c.args[1]}))
	}
	return aliasOf(c.view, a), nil
}

// listAliases answers ListAliases: all of a function's, or those that lead to
// one version.
func (d *Door) listAliases(c *call) (any, *wire.Error) {
	f, err := c.whole(&functionName)
	if err != nil {
		return nil, err
	}
	version := c.query.Get("FunctionVersion")
	if c.query.Has("FunctionVersion") {
		var v violations
		v.check(&versionShape, version, "functionVersion")
		if err := v.error(); err != nil {
			return nil, err
		}
	}
	var all []*catalog.Alias
	for _, a := range c.view.Aliases(f.Name) {
		if version == "" || a.Version == version || a.Second == version {
			all = append(all, a)
		}
	}
	some, next, err := page(c, all, 10000, func(a *catalog.Alias) string { return a.Name })
	if err != nil {
		return nil, err
	}
	answer := struct {
		NextMarker *string
		Aliases    []alias
	}{NextMarker: optional(next), Aliases: make([]alias, 0, len(some))}
	for _, a := range some {
		answer.Aliases = append(answer.Aliases, aliasOf(c.view, a))
	}
	return answer, nil
}
