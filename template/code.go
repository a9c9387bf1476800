package template

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// serverlessCode reads CodeUri or InlineCode. It says false when the code is somewhere that is not supported.
func (l *loader) serverlessCode(r *resource, f *catalog.Function, p *properties) bool {
	uri := p.value("CodeUri")
	if inline := p.value("InlineCode"); inline != nil {
		f.Source.Inline = p.text("InlineCode")
		if f.Source.Inline == "" {
			p.fault("InlineCode", inline.Pos, "InlineCode is empty", "")
		}
		return true // it comes before CodeUri, which Globals may have put there
	}
	if uri == nil {
		if p.has("CodeUri") || p.has("InlineCode") {
			return true // AWS::NoValue, or broken and reported
		}
		uri = tree.Text(r.at, ".") // as the SAM CLI has it
	}
	return l.located(&f.Source, p, "CodeUri", uri)
}

// located reads where code or a layer's content lies: a path, or a place in S3, which is not supported.
func (l *loader) located(s *catalog.Source, p *properties, property string, n *tree.Node) bool {
	switch {
	case n.Kind == tree.Map:
		p.missing(property, n.Pos, "code in S3 is not supported: "+property+" names a bucket", what(s), "name the local directory; sam package puts buckets there")
		return false
	case !n.IsScalar():
		p.fault(property, n.Pos, "property '"+property+"' must be a path, not "+n.Kind.String(), "")
		return true
	case strings.HasPrefix(n.Text, "s3://"):
		p.missing(property, n.Pos, "code in S3 is not supported: "+n.Text, what(s), "name the local directory; sam package puts buckets there")
		return false
	case len(n.Refs) > 0:
		p.missing(property, n.Pos, "where the code lies cannot be known here: "+n.Text, what(s), "name the local directory")
		return false
	}
	return l.path(s, p, property, n)
}

// What only a build of the app's own makes.
var (
	archives     = []string{".zip", ".jar"}
	madeByBuilds = []string{"target", "dist", "build", "out", ".build", "bin"}
)

// path settles a local path and checks that it leads to something.
func (l *loader) path(s *catalog.Source, p *properties, property string, n *tree.Node) bool {
	s.Path = filepath.FromSlash(n.Text)
	if !filepath.IsAbs(s.Path) {
		s.Path = filepath.Join(filepath.Dir(l.src.path), s.Path)
	}
	s.Path, s.Built, s.Position = filepath.Clean(s.Path), l.src.built, n.Pos.String()
	info, err := os.Stat(s.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		hint := "it is relative to the template: " + s.Path
		if first, _, _ := strings.Cut(filepath.ToSlash(filepath.Clean(n.Text)), "/"); slices.Contains(madeByBuilds, first) || slices.Contains(archives, strings.ToLower(filepath.Ext(s.Path))) {
			hint = "build it first, as the app's own guide says; " + hint
		}
		p.fault(property, n.Pos, property+" "+n.Text+" does not exist", hint)
	case err != nil:
		p.fault(property, n.Pos, property+" "+n.Text+" cannot be read: "+err.Error(), "")
	case !info.IsDir() && !info.Mode().IsRegular():
		p.fault(property, n.Pos, property+" "+n.Text+" is neither a file nor a directory", "")
	}
	return true
}

// what says what is missing without a source's code.
func what(s *catalog.Source) string {
	if s.Layer {
		return "the content of the layer " + s.LogicalID
	}
	return "the function " + s.LogicalID + " and the routes to it"
}

// buildMetadata reads how code is built. What the CDK writes there says where its assets are.
func (l *loader) buildMetadata(s *catalog.Source, m *tree.Node) {
	if b := m.Get("BuildMethod"); b != nil {
		l.scope.At("Metadata.BuildMethod", func() {
			if v := l.scope.Eval(b); v.IsScalar() {
				s.Method = v.Text
			} else if v != nil && v.Kind != tree.Broken {
				l.fault(b.Pos, "BuildMethod must be a string, not "+v.Kind.String(), "")
			}
		})
	}
	if b := m.Get("BuildProperties"); b != nil {
		l.scope.At("Metadata.BuildProperties", func() {
			v := l.scope.Eval(b)
			switch {
			case v == nil || v.Kind == tree.Broken:
			case v.Kind != tree.Map:
				l.fault(v.Pos, "BuildProperties must be a map, not "+v.Kind.String(), "")
			default:
				s.Properties, _ = v.Value().(map[string]any)
			}
		})
	}
	if b := m.Get("SkipBuild"); b != nil && b.Text == "true" {
		s.Built = true
	}
}

// asset returns the local path that the CDK's metadata give for a property, or nil.
func asset(r *resource, property string) *tree.Node {
	m := r.node.Get("Metadata")
	path, of := m.Get("aws:asset:path"), m.Get("aws:asset:property")
	if path.IsScalar() && of.IsScalar() && (of.Text == property || strings.HasPrefix(of.Text, property+".")) {
		return path
	}
	return nil
}

// layer reads an AWS::Serverless::LayerVersion or an AWS::Lambda::LayerVersion.
func (l *loader) layer(r *resource) {
	p := l.properties(r)
	p.ask("LayerName")
	name := l.physicalName(r, r.at)
	if name == nil {
		p.text("LayerName")
		return
	}
	v := &catalog.Layer{Name: name.Text, LogicalID: r.id, Source: catalog.Source{LogicalID: r.id, Layer: true, Position: r.at.String()}}
	v.ARN = l.Ref(r.id, r.at).Text
	v.Runtimes = p.texts("CompatibleRuntimes")
	p.accept("Description", "CompatibleArchitectures", "LicenseInfo")
	property := "ContentUri"
	if r.typ == lambdaLayer {
		property = "Content"
	} else {
		p.accept("RetentionPolicy", "PublishLambdaVersion")
	}
	if m := r.node.Get("Metadata"); m != nil {
		l.buildMetadata(&v.Source, m)
	}
	p.require(property)
	supported := true
	if at := asset(r, property); at != nil {
		p.accept(property)
		supported = l.path(&v.Source, p, property, at)
	} else if content := p.value(property); content != nil {
		supported = l.located(&v.Source, p, property, content)
	}
	p.done()
	if other := l.layers[v.ARN]; other != nil {
		p.fault("LayerName", p.at("LayerName"), "another layer is named "+v.Name+" already", "the other is "+other.LogicalID)
		return
	}
	l.layers[v.ARN] = v
	if supported {
		l.app.Layers = append(l.app.Layers, v)
	} else {
		v.Source = catalog.Source{}
	}
}
