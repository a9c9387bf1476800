package template

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// include reads a document that stands in a file of its own: what AWS::Include
// puts into the template, or the definition of an API. As for the SAM CLI the
// location is relative to the template. It returns nil when there is nothing to
// go on with, and has reported why.
func (l *loader) include(location string, at tree.Pos) *tree.Node {
	if strings.Contains(location, "://") {
		l.unsupported(at, location+" is not supported: nothing is fetched", "what stands there, at "+l.scope.Path(), "keep it beside the template and name the file")
		return nil
	}
	path := location
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.src.path), location)
	}
	data, err := readBounded(path)
	if err != nil {
		l.fault(at, fmt.Sprintf("%s cannot be read: %v", location, err), "it is relative to the template: "+path)
		return nil
	}
	l.app.Included = append(l.app.Included, path)
	doc, problems := tree.Read(filepath.ToSlash(filepath.Clean(location)), data)
	for _, p := range problems {
		l.report(p)
	}
	return doc
}

// readBounded reads a file that is no longer than a template may be.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path, which the caller tells
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, tree.BytesMax+1))
	if err == nil && len(data) > tree.BytesMax {
		err = fmt.Errorf("it is longer than %d bytes", tree.BytesMax)
	}
	return data, err
}

// definition returns the document that defines an API, nil when there is none.
// What DefinitionUri names is taken as it is written, as the import from S3 takes it.
func (p *properties) definition() *tree.Node {
	body, uri := p.value("DefinitionBody"), p.value("DefinitionUri")
	switch {
	case uri == nil:
		return body
	case p.given("DefinitionBody"):
		p.fault("DefinitionUri", uri.Pos, "Specify either 'DefinitionUri' or 'DefinitionBody' property and not both.", "")
	case uri.IsScalar():
		p.l.scope.At("DefinitionUri", func() { body = p.l.include(uri.Text, uri.Pos) })
		return body
	default:
		p.refuse("DefinitionUri", "the routes of the API", "nothing is fetched: name a file beside the template")
	}
	return nil
}
