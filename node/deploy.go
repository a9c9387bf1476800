package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/build"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/web"
	"github.com/daruma-io/daruma/template"
)

// An app is what was last read from the template and made of it.
type app struct {
	mu       sync.Mutex // guards what follows
	template *template.App
	failures map[string]error // functions that could not be built or have no runtime here, by name
}

func (a *app) set(t *template.App, failures map[string]error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.template, a.failures = t, failures
}

func (a *app) get() (*template.App, map[string]error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.template, a.failures
}

// failure says why a function has no code.
func (a *app) failure(function string) error {
	_, failures := a.get()
	if err := failures[function]; err != nil {
		return err
	}
	return errors.New("it was not built")
}

// read reads the template. What is wrong, and what is not supported unless one
// goes on without, is one error with the whole list.
func (n *Node) read(ctx context.Context) (*template.App, error) {
	o := template.Options{
		Path: n.cfg.Template, Params: n.cfg.Params, Region: n.cfg.Region, Account: Account,
		StackName: n.cfg.StackName, ConfigEnv: n.cfg.ConfigEnv, Alarm: CheckAlarm, ExperimentTemplate: CheckExperimentTemplate,
	}
	if n.parameters != nil {
		o.Stored = func(name string, version uint64, declared *template.StoredText) (string, error) {
			return n.stored(ctx, name, version, declared)
		}
	}
	t, err := template.Load(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(t.Unsupported) > 0 && !n.cfg.AllowUnsupported {
		return nil, &daruma.Error{Op: "read template", Ref: t.Path, Kind: daruma.KindUnsupported, Err: fmt.Errorf("not supported here:\n%w", t.Unsupported), Hint: "--allow-unsupported goes on without"}
	}
	if t.Keeps {
		return t, nil // it is read again, with what is kept
	}
	for _, w := range t.Warnings {
		n.cfg.Progress(w.Error())
	}
	return t, nil
}

// point fills addresses of this node into t's outputs.
func (n *Node) point(t *template.App) {
	// Outputs name addresses, and an address depends on which other APIs there are.
	addresses := web.URLs(catalog.NewView(t.Place, t.Functions, nil, t.APIs, nil), n.listeners.web.Addr().String())
	find := func(logicalID, stage string) string {
		for _, a := range addresses {
			if a.LogicalID == logicalID && (stage == "" || a.Stage == stage) {
				return a.URL
			}
		}
		return ""
	}
	t.PointTo(template.Addresses{
		API:      func(api *catalog.API, stage string) string { return find(api.LogicalID, stage) },
		Function: func(f *catalog.Function) string { return find(f.LogicalID, "") },
	})
}

// deploy builds what t asks for and makes it what there is. A function that
// cannot be built stays as it was; one that never had code is deployed
// without, so that whoever invokes it is told why. When nothing at all could
// be built, that is an error, as it is when something else that t declares is
// wrong: nothing is changed then.
func (n *Node) deploy(ctx context.Context, t *template.App) error {
	w, err := n.wishesOf(t)
	if err != nil {
		return err
	}
	failures := map[string]error{}
	d := catalog.Deployment{APIs: t.APIs}
	for _, l := range t.Layers {
		layer := *l
		layer.Version, layer.ARN = 0, n.layerARN(l.Name)
		code, err := build.Build(ctx, l.Source, n.buildOptions(l.LogicalID, build.Options{Runtime: layerRuntime(t, l)}))
		if err != nil {
			for _, f := range t.Functions {
				if slices.ContainsFunc(f.Layers, func(x catalog.Layer) bool { return x.Name == l.Name }) {
					failures[f.Name] = fmt.Errorf("its layer %s: %w", l.LogicalID, err)
				}
			}
			continue
		}
		layer.Code = code
		d.Layers = append(d.Layers, &layer)
	}
	for _, given := range t.Functions {
		f := *given
		f.Layers = slices.Clone(f.Layers)
		for i := range f.Layers {
			f.Layers[i] = catalog.Layer{Name: f.Layers[i].Name} // the catalog knows the rest
		}
		if failures[f.Name] == nil {
			code, err := build.Build(ctx, f.Source, n.functionBuild(&f))
			f.Code = code
			if err == nil {
				err = n.prepare(ctx, &f)
			}
			failures[f.Name] = err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if failures[f.Name] == nil {
			delete(failures, f.Name)
		} else {
			if old := n.catalog.View().Function(f.Name, catalog.Latest); old != nil && old.Code.Dir != "" {
				d.Keep = append(d.Keep, f.Name)
				defer n.kept(ctx, f.Name, failures[f.Name])()
				continue
			}
			f.Code, f.Layers = catalog.Code{}, nil
		}
		d.Functions = append(d.Functions, &f)
	}
	if len(failures) > 0 && len(failures) == len(t.Functions) {
		return everyFailure(failures)
	}
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		n.cfg.Progress(failure(name, failures[name]).Error())
	}
	publications(&d, t, failures)
	if d.Needed, err = n.needed(ctx); err != nil {
		return err
	}
	if err := n.deployQueues(ctx, w.queues); err != nil {
		return err
	}
	if err := n.deployTables(ctx, w.tables); err != nil {
		return err
	}
	if err := n.deployParameters(ctx, w.parameters); err != nil {
		return err
	}
	changes, err := n.catalog.Deploy(ctx, d)
	if err != nil {
		return err
	}
	if err := n.configureEvents(ctx); err != nil {
		return err
	}
	if err := n.topics.Deploy(ctx, w.topics); err != nil {
		return err
	}
	if err := n.deployMappings(ctx, t); err != nil {
		return err
	}
	if err := n.deployAlarms(ctx, t); err != nil {
		return err
	}
	if err := n.deployDrills(ctx, w.drills); err != nil {
		return err
	}
	n.app.set(t, failures)
	if err := n.useChannels(t); err != nil {
		return err
	}
	for _, name := range slices.Concat(changes.Updated, changes.Removed) {
		n.pool.Retire(name)
		n.governor.Hurry(name) // it may work now
	}
	return nil
}

// prepare makes sure that a function can be started: that there is an
// interpreter for it, and what its runtime brings along.
func (n *Node) prepare(ctx context.Context, f *catalog.Function) error {
	if n.cfg.ExactRuntimes && strings.HasPrefix(f.Runtime, "nodejs") {
		if err := n.runtimes.Install(ctx, f.Runtime); err != nil {
			return err
		}
	}
	_, err := n.runtimes.Launch(ctx, f)
	return err
}

// failure names the function where its error does not.
func failure(name string, err error) error {
	if e, ok := errors.AsType[*daruma.Error](err); ok && strings.HasPrefix(e.Op, "build ") && err.Error() == e.Error() {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

func everyFailure(failures map[string]error) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		errs = append(errs, failure(name, failures[name]))
	}
	return &daruma.Error{Kind: daruma.KindOf(errs[0]), Err: errors.Join(errs...), Hint: daruma.HintOf(failures[slices.Sorted(maps.Keys(failures))[0]])}
}

// publications fills in which versions and aliases t asks for, and how
// asynchronous invocations through them are treated; functions without code
// publish nothing.
func publications(d *catalog.Deployment, t *template.App, failures map[string]error) {
	built := func(name string) bool { return failures[name] == nil }
	for _, p := range t.Publish {
		if built(p.Function) {
			d.Publish = append(d.Publish, catalog.Publication{Function: p.Function, Alias: p.Alias, Description: p.Description, Configuration: p.AllProperties, Key: p.CodeSHA256})
		}
	}
	for _, v := range t.Versions {
		if built(v.Function) {
			d.Publish = append(d.Publish, catalog.Publication{Function: v.Function, LogicalID: v.LogicalID, Description: v.Description})
		}
	}
	for _, a := range t.Aliases {
		if built(a.Function) {
			alias := a.Alias
			d.Aliases = append(d.Aliases, &catalog.AliasWish{Alias: alias, VersionID: a.VersionID, SecondID: a.SecondID})
		}
	}
	for _, e := range t.EventInvoke {
		if built(e.Function) {
			d.EventInvoke = append(d.EventInvoke, &catalog.EventInvokeWish{EventInvokeConfig: e.EventInvokeConfig, VersionID: e.VersionID})
		}
	}
}

func (n *Node) layerARN(name string) string {
	p := n.catalog.View().Place
	return "arn:aws:lambda:" + p.Region + ":" + p.Account + ":layer:" + name
}

// functionBuild says how a function is built.
func (n *Node) functionBuild(f *catalog.Function) build.Options {
	return n.buildOptions(f.LogicalID, build.Options{Runtime: f.Runtime, Handler: f.Handler, Architecture: f.Architecture})
}

// buildOptions completes o with what is the same for everything.
func (n *Node) buildOptions(name string, o build.Options) build.Options {
	o.Name, o.Python = name, n.runtimes.Interpreter
	o.Out, o.Cache = filepath.Join(n.cfg.Data, "build"), n.cfg.cacheDir(n.cfg.Data)
	o.Progress = func(text string) { n.cfg.Progress(name + ": " + text) }
	return o
}

// layerRuntime returns the runtime a layer is built for: that of a function which uses it, or the first it names.
func layerRuntime(t *template.App, l *catalog.Layer) string {
	for _, f := range t.Functions {
		if slices.ContainsFunc(f.Layers, func(x catalog.Layer) bool { return x.Name == l.Name }) && (len(l.Runtimes) == 0 || slices.Contains(l.Runtimes, f.Runtime)) {
			return f.Runtime
		}
	}
	if len(l.Runtimes) > 0 {
		return l.Runtimes[0]
	}
	return ""
}

// needed names the revisions that open failures happened with, by function.
func (n *Node) needed(ctx context.Context) (map[string][]string, error) {
	list, err := n.ledger.Releases(ctx)
	if err != nil {
		return nil, err
	}
	needed := map[string][]string{}
	for _, r := range list {
		needed[r.Function] = append(needed[r.Function], r.Revision)
	}
	return needed, nil
}

// collect removes code that no function, version or layer needs any more, nor
// an open failure.
func (n *Node) collect() error {
	needed := map[string]bool{}
	v := n.catalog.View()
	for _, latest := range v.Functions() {
		for _, f := range v.Versions(latest.Name) {
			needed[f.Code.Dir] = true
			for _, l := range f.Layers {
				needed[l.Code.Dir] = true
			}
		}
	}
	for _, f := range v.Past() {
		needed[f.Code.Dir] = true
		for _, l := range f.Layers {
			needed[l.Code.Dir] = true
		}
	}
	for _, l := range v.Layers() {
		needed[l.Code.Dir] = true
	}
	dir := filepath.Join(n.cfg.Data, "build", "code")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &daruma.Error{Op: "collect code", Ref: dir, Err: err}
	}
	for _, e := range entries {
		if path := filepath.Join(dir, e.Name()); e.IsDir() && !needed[path] {
			if err := removeAll(path); err != nil {
				return &daruma.Error{Op: "collect code", Ref: path, Err: err}
			}
		}
	}
	return nil
}

// removeAll removes a tree whose directories may be read-only.
func removeAll(path string) error {
	err := filepath.WalkDir(path, func(p string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(path))
}

// urlAddress is where people reach a function URL.
func (n *Node) urlAddress(u *catalog.URL) string {
	v := n.catalog.View()
	for _, f := range v.Functions() {
		if f.URL == nil || f.URL.ID != u.ID {
			continue
		}
		for _, a := range web.URLs(v, n.listeners.web.Addr().String()) {
			if a.Kind == web.KindURL && a.LogicalID == f.LogicalID {
				return a.URL
			}
		}
	}
	return ""
}
