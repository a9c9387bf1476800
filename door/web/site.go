package web

import (
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// A site is a catalog.View made ready for requests. It never changes.
type site struct {
	view  *catalog.View
	byID  map[string]*api // by host label
	urls  map[string]*function
	named map[string]face // by logical ID
	rest  []*api          // by logical ID
	http  []*api          // by logical ID
}

// A face is what a logical ID leads to: one of the two.
type face struct {
	api *api
	url *function
}

// An api is a catalog.API, prepared.
type api struct {
	*catalog.API
	domain string // its host name on AWS
	stages []*stage
	cors   *cors
}

// A stage is a catalog.Stage with its routes.
type stage struct {
	catalog.Stage
	deployment string // deploymentId
	tree       *tree
}

// A function is one that has a URL.
type function struct {
	*catalog.URL
	target daruma.Target
	domain string
	cors   *cors
}

func newSite(v *catalog.View) *site {
	s := &site{view: v, byID: map[string]*api{}, urls: map[string]*function{}, named: map[string]face{}}
	for _, f := range v.Functions() {
		if f.URL == nil {
			continue
		}
		u := &function{URL: f.URL, target: f.Target(f.URL.Qualifier), cors: newCORS(f.URL.CORS)}
		u.domain = f.URL.ID + ".lambda-url." + v.Place.Region + ".on.aws"
		s.urls[strings.ToLower(f.URL.ID)] = u
		if f.LogicalID != "" {
			s.named[f.LogicalID] = face{url: u}
		}
	}
	for _, from := range v.APIs() {
		a := newAPI(from, v.Place)
		s.byID[strings.ToLower(a.ID)] = a
		s.named[a.LogicalID] = face{api: a}
		if a.Kind == catalog.REST {
			s.rest = append(s.rest, a)
		} else {
			s.http = append(s.http, a)
		}
	}
	return s
}

func newAPI(from *catalog.API, place catalog.Place) *api {
	a := &api{API: from, domain: from.ID + ".execute-api." + place.Region + ".amazonaws.com"}
	if from.Kind == catalog.HTTP {
		a.cors = newCORS(from.CORS)
	}
	for _, st := range from.Stages {
		a.stages = append(a.stages, &stage{Stage: st, deployment: shortID(from.ID, st.Name), tree: newTree(from, st.Name)})
	}
	return a
}

// stage returns the stage of a name, or nil.
func (a *api) stage(name string) *stage {
	for _, st := range a.stages {
		if st.Name == name {
			return st
		}
	}
	return nil
}

// find looks a path below the stage up.
func (a *api) find(st *stage, s *search, path string) *route {
	if a.Kind == catalog.REST {
		return st.tree.rest(s, path)
	}
	return st.tree.http(s, path)
}
