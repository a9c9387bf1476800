package lambda

import (
	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// functionURL is FunctionUrlConfig of the service model. The catalog does not
// keep when a URL was made; both times are those of the function's last change.
type functionURL struct {
	FunctionUrl, FunctionArn, AuthType string
	Cors                               *cors `json:",omitempty"`
	CreationTime, LastModifiedTime     string
	InvokeMode                         string
}

type cors struct {
	AllowCredentials bool     `json:",omitempty"`
	AllowHeaders     []string `json:",omitempty"`
	AllowMethods     []string `json:",omitempty"`
	AllowOrigins     []string `json:",omitempty"`
	ExposeHeaders    []string `json:",omitempty"`
	MaxAge           int      `json:",omitempty"`
}

func (d *Door) functionURL(view *catalog.View, f *catalog.Function) functionURL {
	u := f.URL
	out := functionURL{
		FunctionUrl: d.cfg.URL(u), FunctionArn: view.Place.FunctionARN(daruma.Target{Function: f.Name, Qualifier: u.Qualifier}),
		AuthType: u.Auth, InvokeMode: "BUFFERED", CreationTime: timeText(f.Modified), LastModifiedTime: timeText(f.Modified),
	}
	if u.Stream {
		out.InvokeMode = "RESPONSE_STREAM"
	}
	if c := u.CORS; c != nil {
		out.Cors = &cors{c.Credentials, c.Headers, c.Methods, c.Origins, c.Expose, c.MaxAge}
	}
	return out
}

// getURL answers GetFunctionUrlConfig.
func (d *Door) getURL(c *call) (any, *wire.Error) {
	ref, err := c.function(&functionName, false)
	if err != nil {
		return nil, err
	}
	if c.query.Has("Qualifier") {
		var v violations
		v.check(&urlQualifier, c.query.Get("Qualifier"), "qualifier")
		if err := v.error(); err != nil {
			return nil, err
		}
		if err := ref.qualify(c.query.Get("Qualifier")); err != nil {
			return nil, err
		}
	}
	f := c.view.Function(ref.Function, catalog.Latest)
	if f == nil || f.URL == nil || f.URL.Qualifier != ref.Qualifier {
		return nil, notFound("The resource you requested does not exist.")
	}
	return d.functionURL(c.view, f), nil
}

// listURLs answers ListFunctionUrlConfigs. A function has one URL at most here.
func (d *Door) listURLs(c *call) (any, *wire.Error) {
	f, err := c.whole(&functionName)
	if err != nil {
		return nil, err
	}
	var all []*catalog.Function
	if f.URL != nil {
		all = append(all, f)
	}
	some, next, err := page(c, all, 50, func(f *catalog.Function) string { return f.Name })
	if err != nil {
		return nil, err
	}
	answer := struct {
		NextMarker         *string
		FunctionUrlConfigs []functionURL
	}{NextMarker: optional(next), FunctionUrlConfigs: make([]functionURL, 0, len(some))}
	for _, f := range some {
		answer.FunctionUrlConfigs = append(answer.FunctionUrlConfigs, d.functionURL(c.view, f))
	}
	return answer, nil
}
