package template

import (
	"regexp"
	"strings"

	"github.com/daruma-io/daruma/catalog"
)

var (
	apiURL      = regexp.MustCompile(`(https?|wss?)://([a-z0-9]{10})\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?(/[^/\s?#]*)?`)
	functionURL = regexp.MustCompile(`https?://([a-z2-7]{32})\.lambda-url\.[a-z0-9-]+\.on\.aws`)
)

// Addresses say where people reach what has a host on AWS. An address that is
// not known is "".
type Addresses struct {
	API      func(api *catalog.API, stage string) string // of a stage, with its path
	Function func(f *catalog.Function) string            // of a function URL
}

// PointTo has the values of outputs name the addresses of here where they are
// declared to name those on AWS. What the outputs declare stays.
func (a *App) PointTo(here Addresses) {
	for i := range a.Outputs {
		o := &a.Outputs[i]
		o.Value = apiURL.ReplaceAllStringFunc(o.Declared, func(match string) string { return a.apiHere(match, here) })
		o.Value = functionURL.ReplaceAllStringFunc(o.Value, func(match string) string { return a.functionHere(match, here) })
	}
}

func (a *App) apiHere(match string, here Addresses) string {
	m := apiURL.FindStringSubmatch(match)
	for _, api := range a.APIs {
		if api.ID != m[2] {
			continue
		}
		stage, rest := catalog.DefaultStage, m[3]
		for _, s := range api.Stages {
			if s.Name == strings.TrimPrefix(m[3], "/") {
				stage, rest = s.Name, ""
			}
		}
		if address := here.API(api, stage); address != "" {
			return strings.TrimSuffix(address, "/") + rest
		}
	}
	return match
}

func (a *App) functionHere(match string, here Addresses) string {
	m := functionURL.FindStringSubmatch(match)
	for _, f := range a.Functions {
		if f.URL == nil || f.URL.ID != m[1] {
			continue
		}
		if address := here.Function(f); address != "" {
			return strings.TrimSuffix(address, "/")
		}
	}
	return match
}
