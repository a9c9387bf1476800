// Package template reads a SAM or CloudFormation template and says what should
// exist, in the catalog's types.
//
// [Load] makes one pass and gives one complete list of what is wrong: every
// problem has its file, line and column. What is right but not supported here is
// listed apart, in [App.Unsupported], each with what would be missing; the
// caller decides whether to go on without. Nothing is ignored in silence:
// a property is read, or accepted because it changes nothing on one's own machine
// (docs/semantics/templates.md lists those), or refused by name.
//
// # Names
//
// A function is called by its FunctionName, or else by its logical ID: not
// <stack>-<logicalId>-<random> as on AWS, because locally a name is something one types and
// reads, and it should be the same on every machine and after every change.
// API and URL ids are made from the stack's name and the logical ID, so they
// are as stable.
//
// # What is not known
//
// A reference to something that is not supported has a stand-in as its value: the name
// the template gives it, or <stack>-<logicalId>-NOTAVAILABLE. Functions that are told about
// it in their environment can start; the problem of that resource says who was told.
//
// Load touches only the files it is told to read and those that CodeUri and
// ContentUri name, whose existence it checks. It keeps nothing, and any number
// of goroutines may call it.
package template

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/samconfig"
	"github.com/daruma-io/daruma/template/tree"
)

// Defaults of Options.
const (
	RegionDefault  = "us-east-1"
	AccountDefault = "123456789012"
)

// A Problem is one thing that is wrong with a template, or not supported.
type Problem = tree.Problem

// Problems is a list of them, as an error too.
type Problems = tree.Problems

// Options say what to read and how.
type Options struct {
	// Path is a template, or a directory with template.yaml, template.yml or
	// template.json in it. In a directory, .aws-sam/build/template.yaml is
	// taken as a finished build when it is not older than the template.
	Path string

	Params    map[string]string // values of parameters, before those of samconfig.toml
	Region    string            // before samconfig.toml's; RegionDefault when neither says
	Account   string            // twelve digits; AccountDefault when ""
	StackName string            // before samconfig.toml's; the directory's name when neither says
	ConfigEnv string            // the environment in samconfig.toml; "default" when ""

	// Alarm says what is wrong with an alarm, or, with an error of
	// KindUnsupported, what of it is not supported; nil takes all that can be read.
	Alarm func(p catalog.Place, a *Alarm) error

	// ExperimentTemplate says the same of a template of experiments.
	ExperimentTemplate func(e *ExperimentTemplate) error

	// Stored returns the value of a parameter of Systems Manager as it will be when
	// the app is deployed, for dynamic references; version 0 is the newest. declared
	// is what the template says of it, nil when that is nothing. When nil, only what
	// the template declares is known: see App.Keeps.
	Stored func(name string, version uint64, declared *StoredText) (string, error)
}

// An App is what a template says should exist.
type App struct {
	Name        string // the stack's name
	Description string
	Path        string   // the template that was read, absolute
	Dir         string   // the app's directory, absolute
	Built       bool     // it was read from a finished build
	Keeps       bool     `json:"-"` // dynamic references were answered without Options.Stored
	Included    []string // files that were read besides, absolute
	Place       catalog.Place
	Owner       string // of everything that has no owner of its own

	Notify        []string  // the channels told about everything that does not say who is
	Channels      []Channel // all there are but TerminalChannel, those of daruma.yaml first
	AllowNotifyTo []string  // addresses inside that notices may go to

	Functions     []*catalog.Function  // by name; Code and Revision are empty
	Layers        []*catalog.Layer     // by name; Code is empty, Version 0 and the ARN a guess until published
	APIs          []*catalog.API       // by logical ID
	Publish       []Publish            // functions that publish a version when they change
	Versions      []Version            // AWS::Lambda::Version, in the template's order
	Aliases       []Alias              // AWS::Lambda::Alias, in the template's order
	EventInvoke   []EventInvoke        // in the template's order, those of SAM's functions first
	Queues        []Queue              // in the template's order
	Tables        []Table              // in the template's order, SAM's last
	Topics        []Topic              // in the template's order
	Subscriptions []Subscription       // in the template's order, those of SAM's functions first
	Mappings      []Mapping            // in the template's order
	StoredTexts   []StoredText         // in the template's order
	Alarms        []Alarm              // in the template's order
	Experiments   []ExperimentTemplate // in the template's order
	Outputs       []Output             // in the template's order
	Parameters    []Parameter          // in the template's order

	Unsupported Problems // what will be missing
	Warnings    Problems // what works, and perhaps not as it was meant
}

// Publish says that a function publishes a version of itself, and which alias
// then names it (SAM's AutoPublishAlias). A version is published when the code
// changes; a change of configuration alone does not publish one.
type Publish struct {
	Function      string
	Alias         string
	AllProperties bool   // publish when any property changes
	CodeSHA256    string // publish when this changes, whatever the code is; "" for the code itself
	Description   string // of the version
}

// A Version is an explicit AWS::Lambda::Version: published once, for as long as its logical ID stays.
type Version struct {
	LogicalID   string
	Function    string
	Description string
	Number      int // the number it will have if nothing was published before; a guess
	Position    string
}

// An Alias is an explicit AWS::Lambda::Alias.
type Alias struct {
	catalog.Alias
	LogicalID string
	VersionID string // the logical ID of the Version that Alias.Version is a guess of, or ""
	SecondID  string // the same for Alias.Second
	Position  string
}

// An Output is one output of the template.
type Output struct {
	Name        string
	Description string
	Value       string // with the addresses of here, once App.PointTo knows them
	Declared    string // as it would be on AWS
	Symbolic    bool   // it rests on something that is not supported
}

// A Parameter is a parameter and the value it has.
type Parameter struct {
	Name        string
	Type        string
	Description string
	Value       string // "****" when NoEcho
	NoEcho      bool
}

// Load reads a template.
//
// When something is wrong the error is a *daruma.Error of KindInvalid around
// Problems with all that is wrong and all that is not supported. What is only
// unsupported is no error: see App.Unsupported. A missing file is
// KindNotFound; other trouble with files is KindInternal.
func Load(ctx context.Context, o Options) (*App, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	src, err := find(o.Path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(src.path)
	if err != nil {
		return nil, fileError("read template", src.path, err)
	}
	config, err := samconfig.Read(src.dir, o.ConfigEnv)
	if err != nil {
		return nil, err
	}
	if err := checkPlace(cmp.Or(o.StackName, config.StackName), cmp.Or(o.Region, config.Region)); err != nil {
		return nil, err
	}
	if src.settings, err = readSettingsFile(src.dir); err != nil {
		return nil, err
	}
	app, problems := load(ctx, src, data, config, o)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if app == nil {
		return nil, &daruma.Error{Op: "read template", Kind: daruma.KindInvalid, Ref: src.path, Err: problems}
	}
	return app, nil
}

var (
	stackForm  = regexp.MustCompile(`^[a-zA-Z][-a-zA-Z0-9]{0,127}$`)
	regionForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`) // it is a part of host names
)

// checkPlace refuses names that neither ARNs nor host names can be made of.
func checkPlace(stack, region string) error {
	switch {
	case stack != "" && !stackForm.MatchString(stack):
		return &daruma.Error{Op: "name the stack", Kind: daruma.KindInvalid, Ref: strconv.Quote(stack), Err: errors.New("a name is letters, digits and hyphens, a letter first, and 128 of them at most")}
	case region != "" && !regionForm.MatchString(region):
		return &daruma.Error{Op: "choose the region", Kind: daruma.KindInvalid, Ref: strconv.Quote(region), Err: errors.New("it does not look like us-east-1")}
	}
	return nil
}

// source is a template that was found.
type source struct {
	path  string // the template, absolute
	dir   string // the app's directory
	name  string // what positions call the template
	built bool

	settings []byte // the text of daruma.yaml; nil when there is none
}

// find finds the template that path means.
func find(path string) (source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return source{}, fileError("find template", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return source{}, fileError("find template", path, err)
	}
	if !info.IsDir() {
		return source{path: path, dir: filepath.Dir(path), name: filepath.Base(path)}, nil
	}
	for _, name := range []string{"template.yaml", "template.yml", "template.json"} {
		src := source{path: filepath.Join(path, name), dir: path, name: name}
		info, err := os.Stat(src.path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return source{}, fileError("find template", src.path, err)
		}
		build := filepath.Join(path, ".aws-sam", "build", "template.yaml")
		if made, err := os.Stat(build); err == nil && !made.ModTime().Before(info.ModTime()) {
			return source{path: build, dir: path, name: ".aws-sam/build/template.yaml", built: true}, nil
		}
		return src, nil
	}
	return source{}, &daruma.Error{Op: "find template", Kind: daruma.KindNotFound, Ref: path,
		Err: errors.New("no template.yaml, template.yml or template.json"), Hint: "name the template, or the directory it is in"}
}

func fileError(op, path string, err error) error {
	kind := daruma.KindInternal
	if errors.Is(err, os.ErrNotExist) {
		kind = daruma.KindNotFound
	}
	return &daruma.Error{Op: op, Kind: kind, Ref: path, Err: fmt.Errorf("%w", err)}
}
