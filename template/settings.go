package template

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/once"
	"github.com/daruma-io/daruma/outside"
	"github.com/daruma-io/daruma/template/tree"
)

// SettingsFile lies beside the template and says what the section Daruma of its
// Metadata may say, for who cannot or does not want to change the template.
const SettingsFile = "daruma.yaml"

// Limits of what is declared for the whole app or one function.
const (
	sensitiveMax  = 64
	ownerBytesMax = 256
	channelsMax   = 32
)

// A section is what is said in one place: Metadata.Daruma of the template or of one
// resource, daruma.yaml as a whole, or what that says of one function.
type section struct {
	owner     string
	sensitive []string // JSON paths
	correlate []string
	notify    []string
	told      bool // notify was said, if only to say that nobody is told
	once      *once.Rule
	depends   string // a JSON path
	dependsAt tree.Pos
}

// declared are the settings of the app and, out of daruma.yaml, of its functions.
//
// Of an owner and of who is told the nearest counts, and beside a template
// daruma.yaml: the function in daruma.yaml, the function in the template, the
// app in daruma.yaml, the app in the template. Paths add up: what is declared
// sensitive in one place is not made public in another.
type declared struct {
	template, file section
	functions      map[string]section // by logical ID or name
	used           map[string]bool
	at             map[string]tree.Pos // of each of functions
}

// readSettingsFile returns the text of daruma.yaml in dir, nil when there is none.
func readSettingsFile(dir string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(dir, SettingsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileError("read "+SettingsFile, filepath.Join(dir, SettingsFile), err)
	}
	return data, nil
}

// settings reads what is said for the whole app. Channels come first: the rest names them.
func (l *loader) settings() {
	l.declared = declared{functions: map[string]section{}, used: map[string]bool{}, at: map[string]tree.Pos{}}
	of := l.darumaOf("Metadata", l.doc.Get("Metadata"))
	file := l.settingsFile()
	for _, p := range []*properties{file, of} { // the first to name a channel counts
		if p != nil {
			l.channels(p)
		}
	}
	if of != nil {
		l.declared.template = l.section(of)
		if of.ask("AllowNotifyTo"); of.has("AllowNotifyTo") {
			of.fault("AllowNotifyTo", of.at("AllowNotifyTo"), "a template does not open this machine's networks to itself", "say it in "+SettingsFile+", or with --allow-notify-to")
		}
		of.done()
	}
	if file == nil {
		return
	}
	l.declared.file = l.section(file)
	for _, item := range items(file, "AllowNotifyTo") {
		if _, err := outside.ParseAllow(item.Text); err != nil {
			file.fault("AllowNotifyTo", item.Pos, err.Error(), daruma.HintOf(err))
		}
		l.app.AllowNotifyTo = append(l.app.AllowNotifyTo, item.Text)
	}
	if fs := file.sub("Functions"); fs != nil {
		for _, f := range fs.node.Fields {
			if p := fs.sub(f.Name); p != nil {
				of := l.section(p)
				of.once = l.onceRule(p)
				of.depends, of.dependsAt = l.dependency(p)
				l.declared.functions[f.Name], l.declared.at[f.Name] = of, f.Pos
				p.done()
			}
		}
	}
	file.done()
}

func (l *loader) settingsFile() *properties {
	if len(bytes.TrimSpace(l.src.settings)) == 0 {
		return nil
	}
	doc, problems := tree.Read(SettingsFile, l.src.settings)
	l.problems = append(l.problems, problems...) // of duplicate keys, too: here nothing lives by them
	switch {
	case doc == nil:
		return nil
	case doc.Kind == tree.Null:
		return nil
	case doc.Kind != tree.Map:
		l.fault(doc.Pos, SettingsFile+" must be a map, not "+doc.Kind.String(), "")
		return nil
	}
	return l.within("", doc)
}

// darumaOf returns the reader of the section Daruma of a Metadata, or nil.
func (l *loader) darumaOf(path string, metadata *tree.Node) *properties {
	for _, f := range fieldsOf(metadata) {
		if !strings.EqualFold(f.Name, "Daruma") {
			continue
		}
		path += ".Daruma"
		var p *properties
		l.scope.At(path, func() {
			v := l.scope.Eval(f.Value)
			switch {
			case f.Name != "Daruma":
				l.fault(f.Pos, "the section of Metadata is not called "+f.Name, "did you mean Daruma?")
			case v == nil || v.Kind == tree.Broken || v.Kind == tree.Null:
			case v.Kind != tree.Map:
				l.fault(v.Pos, path+" must be a map, not "+v.Kind.String(), "")
			default:
				p = l.within(path, v)
			}
		})
		return p
	}
	return nil
}

// section reads what an app and a function can say alike.
func (l *loader) section(p *properties) section {
	s := section{owner: p.text("Owner"), told: p.value("Notify") != nil}
	if len(s.owner) > ownerBytesMax {
		p.fault("Owner", p.value("Owner").Pos, fmt.Sprintf("an owner is at most %d bytes long", ownerBytesMax), "")
	}
	s.sensitive, s.correlate = l.paths(p, "Sensitive", sensitiveMax), l.paths(p, "Correlate", ledger.CorrelationsMax)
	for _, item := range items(p, "Notify") {
		if name := item.Text; !l.isChannel(name) {
			p.fault("Notify", item.Pos, fmt.Sprintf("there is no channel %q", name), l.nearChannel(name))
		} else if !slices.Contains(s.notify, name) {
			s.notify = append(s.notify, name)
		}
	}
	return s
}

// items returns the scalars of a list, or of one scalar in its place.
func items(p *properties, name string) []*tree.Node {
	v := p.value(name)
	if v.IsScalar() {
		return []*tree.Node{v}
	}
	if len(p.texts(name)) == 0 { // tells what is wrong
		return nil
	}
	return slices.DeleteFunc(slices.Clone(v.Items), func(n *tree.Node) bool { return !n.IsScalar() })
}

// paths reads a list of JSON paths.
func (l *loader) paths(p *properties, name string, most int) []string {
	var all []string
	for _, item := range items(p, name) {
		if err := ledger.CheckPath(item.Text); err != nil {
			p.fault(name, item.Pos, err.Error(), "a path is like $.card.number, $.items[*].token or $['a b']")
			continue
		}
		all = append(all, item.Text)
	}
	if len(all) > most {
		p.fault(name, p.at(name), fmt.Sprintf("%d paths are more than %d", len(all), most), "")
	}
	return all
}

// settle gives a function what is declared for it, and the app's own where nothing is.
func (l *loader) settle(f *catalog.Function, own section) {
	d := &l.declared
	var file section
	for _, name := range []string{f.LogicalID, f.Name} {
		if s, ok := d.functions[name]; ok {
			file, d.used[name] = s, true
			break
		}
	}
	for _, owner := range []string{file.owner, own.owner, ownerTag(f.Tags), l.app.Owner} {
		if owner != "" {
			f.Owner = owner
			break
		}
	}
	f.Notify = l.app.Notify
	for _, s := range []section{file, own} {
		if s.told {
			f.Notify = s.notify
			break
		}
	}
	if f.Once = own.once; file.once != nil {
		f.Once = file.once
	}
	for _, s := range []section{file, own, d.file, d.template} {
		f.Sensitive, f.Correlate = union(f.Sensitive, s.sensitive), union(f.Correlate, s.correlate)
	}
	for _, s := range []section{file, own} {
		if f.Dependency = s.depends; f.Dependency != "" {
			if hidden := hides(f.Sensitive, f.Dependency); hidden != "" {
				l.fault(s.dependsAt, "what its events depend on is shown to people, and "+hidden+" is declared sensitive", "a key that says as much and may be seen")
			}
			break
		}
	}
	if len(f.Correlate) > ledger.CorrelationsMax {
		l.fault(tree.Pos{File: SettingsFile}, fmt.Sprintf("%s has %d paths to correlate by, those of the app included; at most %d are kept", f.LogicalID, len(f.Correlate), ledger.CorrelationsMax), "")
	}
}

// appSettings works out what holds for everything without settings of its own.
func (l *loader) appSettings() {
	d := l.declared
	l.app.Owner, l.app.Notify = d.file.owner, []string{TerminalChannel}
	if l.app.Owner == "" {
		l.app.Owner = d.template.owner
	}
	for _, s := range []section{d.file, d.template} {
		if s.told {
			l.app.Notify = s.notify
			break
		}
	}
}

// strangers complains about functions that daruma.yaml names and nobody knows.
func (l *loader) strangers() {
	var known []string
	for name, f := range l.functions {
		if known = append(known, name); f != nil {
			known = append(known, f.LogicalID)
		}
	}
	slices.Sort(known)
	for name, at := range l.declared.at {
		if !l.declared.used[name] && !slices.Contains(known, name) && l.resources[name] == nil {
			l.fault(at, "the template has no function "+name, tree.Near(name, slices.Compact(known)))
		}
	}
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// seconds reads a number of seconds.
func (p *properties) seconds(name string, least, most, def int) time.Duration {
	return time.Duration(p.integer(name, least, most, def)) * time.Second
}
