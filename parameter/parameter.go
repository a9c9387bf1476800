// Package parameter holds parameters: texts by name, kept apart from code, that
// functions read while they run. Whoever sets one makes a new version; the last
// hundred can still be read.
//
// A parameter comes from a template or from whoever puts it. What a template
// declares is put when the declaration changes, and not at every start: a value
// that was put since stays until the template says something else.
//
// It promises that a put, or a whole deployment, is one atomic step, and that
// who reads afterwards sees it. It keeps texts as they are, so it is no place for
// secrets, and refuses to call anything one. The methods of [Parameters] may be
// called from any goroutine.
package parameter

import (
	"context"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Limits of parameters.
const (
	NameBytesMax  = 1011
	LevelsMax     = 15 // of a name that is a path
	ValueBytesMax = 8 << 10
	ParametersMax = 10_000
	VersionsMax   = 100 // that are kept of each
	TagsMax       = 50

	textBytesMax = 1 << 10 // a description, a pattern
)

// Types of parameters.
const (
	String     = "String"
	StringList = "StringList" // a text with commas between its parts
)

// What is refused, beside what is wrong with a request. Match with errors.Is.
var (
	ErrMissing = errors.New("there is no such parameter")
	ErrVersion = errors.New("it has no such version")
	ErrExists  = errors.New("the parameter exists already")
	ErrType    = errors.New("the type of a parameter does not change")
	ErrPattern = errors.New("the value does not fit the pattern of the parameter")
	ErrTooMany = errors.New("there are as many parameters as there may be")
)

// A Parameter is one version of a parameter.
type Parameter struct {
	Name        string            `json:"name"`
	Type        string            `json:"type"`
	Value       string            `json:"value"`
	Version     uint64            `json:"version"` // from 1
	Modified    time.Time         `json:"modified"`
	By          string            `json:"by,omitempty"` // who put it
	Description string            `json:"description,omitempty"`
	Pattern     string            `json:"pattern,omitempty"` // an expression that is to be found in Value
	Tier        string            `json:"tier,omitempty"`    // as it was asked for; it changes nothing here
	Tags        map[string]string `json:"tags,omitempty"`    // of the parameter, in its newest version only
	LogicalID   string            `json:"logicalID,omitempty"`
	Declared    string            `json:"declared,omitempty"` // what the template said when it last put it
	Retain      bool              `json:"retain,omitempty"`   // it stays when the template names it no more
}

// A putting asks for a new version.
type putting struct {
	Parameter
	Overwrite bool `json:"overwrite"`
}

const (
	machineName   = "parameter"
	commandPut    = "put"
	commandDelete = "delete"
	commandTag    = "tag"
	commandDeploy = "deploy"

	prefixCurrent = "p/" // p/<name>: the newest version
	prefixVersion = "v/" // v/<name>\x00<version>: each version
)

// parameters is how they are written. Version 1 is the first.
func parameters() cell.Format[Parameter] {
	return cell.Format[Parameter]{Kind: "parameter", Version: 1}
}

func currentKey(name string) []byte { return []byte(prefixCurrent + name) }

func versions(name string) []byte { return []byte(prefixVersion + name + "\x00") }

func versionKey(name string, version uint64) []byte {
	return binary.BigEndian.AppendUint64(versions(name), version)
}

// Parameters is the parameters of one cell, of which Machine is one of the machines.
type Parameters struct{ cell *cell.Cell }

// New returns the parameters that lie in c. It starts nothing.
func New(c *cell.Cell) *Parameters { return &Parameters{c} }

// Put makes a parameter, or with overwrite a new version of one. What p leaves
// empty of type, description, pattern and tier stays as it was; version and time
// are given here. Tags are for a new parameter.
//
// Errors: KindInvalid (also [ErrPattern], [ErrType]), KindExists ([ErrExists]),
// KindFull ([ErrTooMany]), and those of the cell.
func (s *Parameters) Put(ctx context.Context, p Parameter, overwrite bool) (*Parameter, error) {
	got, err := s.do(ctx, "put parameter", p.Name, commandPut, putting{p, overwrite})
	if err != nil {
		return nil, err
	}
	return got.(*Parameter), nil
}

// Delete removes parameters with all their versions, and returns the names of those there were.
func (s *Parameters) Delete(ctx context.Context, names ...string) ([]string, error) {
	got, err := s.do(ctx, "delete parameters", strings.Join(names, ", "), commandDelete, names)
	if err != nil {
		return nil, err
	}
	return got.([]string), nil
}

// A tagging changes the tags of a parameter.
type tagging struct {
	Name   string            `json:"name"`
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// Tag sets and removes tags of a parameter.
func (s *Parameters) Tag(ctx context.Context, name string, set map[string]string, remove []string) error {
	_, err := s.do(ctx, "tag parameter", name, commandTag, tagging{name, set, remove})
	return err
}

// Deploy makes the parameters that templates declare those of wishes, in one
// step: new ones and those whose declaration is another are put, those that are
// gone are removed unless they are retained. It returns the names of the removed.
// A name that was put by hand before belongs to the template from then on.
func (s *Parameters) Deploy(ctx context.Context, wishes []Parameter) (removed []string, err error) {
	got, err := s.do(ctx, "deploy parameters", "", commandDeploy, wishes)
	if err != nil {
		return nil, err
	}
	return got.([]string), nil
}

// Fulfils says whether a parameter is there because of what a template says of
// it, which is the same as it was: Deploy leaves it as it is then.
func (p *Parameter) Fulfils(wish Parameter) bool {
	return p.Declared == declaration(wish) && p.LogicalID == wish.LogicalID
}

func (s *Parameters) do(ctx context.Context, op, ref, name string, arguments any) (any, error) {
	got, err := s.cell.Ask(ctx, machineName, name, arguments)
	return got, daruma.Wrap(op, ref, err)
}

// Get returns a version of a parameter, the newest when version is 0. Errors:
// KindNotFound ([ErrMissing], [ErrVersion]) and those of the cell.
func (s *Parameters) Get(ctx context.Context, name string, version uint64) (*Parameter, error) {
	var p *Parameter
	err := s.cell.View(ctx, machineName, func(r *cell.Reader) error {
		current := parameters().Get(r, currentKey(name))
		if p = current; current == nil {
			return &daruma.Error{Kind: daruma.KindNotFound, Err: ErrMissing}
		}
		if version != 0 {
			if p = parameters().Get(r, versionKey(name, version)); p == nil {
				return &daruma.Error{Kind: daruma.KindNotFound, Err: ErrVersion}
			}
		}
		return nil
	})
	if err != nil {
		return nil, daruma.Wrap("get parameter", name, err)
	}
	return p, nil
}

// History returns the versions that are kept of a parameter, the oldest first.
func (s *Parameters) History(ctx context.Context, name string) (all []Parameter, err error) {
	err = s.cell.View(ctx, machineName, func(r *cell.Reader) error {
		for _, p := range parameters().All(r, cell.Prefix(versions(name))) {
			all = append(all, *p)
		}
		if len(all) == 0 {
			return &daruma.Error{Kind: daruma.KindNotFound, Err: ErrMissing}
		}
		return nil
	})
	return all, daruma.Wrap("read the versions of a parameter", name, err)
}

// List returns up to max parameters in the order of their names, of those that
// begin with prefix, come behind the name after, and are wanted (all when nil),
// and whether there are more.
func (s *Parameters) List(ctx context.Context, prefix, after string, wanted func(*Parameter) bool, max int) (some []Parameter, more bool, err error) {
	err = s.cell.View(ctx, machineName, func(r *cell.Reader) error {
		within := cell.Prefix(currentKey(prefix))
		if after >= prefix && after != "" {
			within.Lower = append(currentKey(after), 0)
		}
		for _, p := range parameters().All(r, within) {
			if wanted != nil && !wanted(p) {
				continue
			}
			if more = len(some) == max; more {
				break
			}
			some = append(some, *p)
		}
		return nil
	})
	return some, more, daruma.Wrap("list parameters", prefix, err)
}

// validate says what is wrong with a parameter as it is to be stored.
func (p *Parameter) validate() error {
	switch {
	case p.Name == "" || len(p.Name) > NameBytesMax || !name.MatchString(p.Name):
		return daruma.Invalidf("a name has 1 to %d letters, digits and . - _ /", NameBytesMax)
	case strings.Count(p.Name, "/") > LevelsMax:
		return daruma.Invalidf("a name has at most %d levels", LevelsMax)
	case p.Type != String && p.Type != StringList:
		return daruma.Invalidf("%q is no type of a parameter: there are %s and %s", p.Type, String, StringList)
	case p.Value == "" || len(p.Value) > ValueBytesMax:
		return daruma.Invalidf("a value has 1 to %d bytes", ValueBytesMax)
	case max(len(p.Description), len(p.Pattern), len(p.By), len(p.Tier), len(p.LogicalID)) > textBytesMax:
		return daruma.Invalidf("a description or a pattern has at most %d bytes", textBytesMax)
	case len(p.Tags) > TagsMax:
		return daruma.Invalidf("a parameter has at most %d tags", TagsMax)
	}
	if p.Pattern == "" {
		return nil
	}
	fits, err := regexp.Compile(p.Pattern)
	if err != nil {
		return daruma.Invalidf("the pattern is no expression: %w", err)
	}
	if !fits.MatchString(p.Value) {
		return &daruma.Error{Kind: daruma.KindInvalid, Ref: p.Pattern, Err: ErrPattern}
	}
	return nil
}

// name is what names are made of.
var name = regexp.MustCompile(`^[A-Za-z0-9_.\-/]+$`)
