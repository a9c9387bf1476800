package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/daruma-io/daruma"
)

// extrasMax bounds how many files beside its source a bundle is watched by.
const extrasMax = 20_000

// bundleAsToldBy bundles the entry points that the template's BuildProperties
// name, in-process. Properties have the names and meanings SAM gives them:
// esbuild's options in camel case.
func (j *job) bundleAsToldBy(ctx context.Context) error {
	o := j.bundling()
	o.Target, o.MinifyIdentifiers, o.MinifySyntax, o.MinifyWhitespace = api.ES2020, true, true, true
	if err := setProperties(&o, j.src.Properties); err != nil {
		return err
	}
	if len(o.EntryPoints) == 0 {
		entry := j.entry()
		if entry == "" {
			return daruma.Invalidf("no BuildProperties.EntryPoints, and no file for handler %q", j.Handler)
		}
		o.EntryPoints = []string{entry}
	}
	return j.bundle(ctx, o)
}

// bundleTypeScript bundles the TypeScript file the handler names, so that it
// runs without any Metadata. What of the AWS SDK the package does not bring is
// left to the runtime. Files that are no code lie beside the bundle as before.
func (j *job) bundleTypeScript(ctx context.Context) error {
	o := j.bundling()
	entry := j.typeScript()
	stem := strings.TrimSuffix(strings.TrimPrefix(entry, j.src.Path+string(filepath.Separator)), filepath.Ext(entry))
	o.EntryPointsAdvanced = []api.EntryPoint{{InputPath: entry, OutputPath: stem}}
	o.Engines = []api.Engine{{Name: api.EngineNode, Version: nodeMajor(j.Runtime)}}
	o.Sourcemap, o.KeepNames = api.SourceMapLinked, true
	o.Plugins = []api.Plugin{leaveSDK}
	m, err := readManifest(j.src.Path)
	if err != nil {
		return err
	}
	if ext := filepath.Ext(entry); ext == ".mts" || ext != ".cts" && m.Type == "module" {
		o.Format = api.FormatESModule
		o.OutExtension = map[string]string{".js": ".mjs"}
		// CommonJS packages inside an ES module still call require.
		o.Banner = map[string]string{"js": `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`}
	}
	code := regexp.MustCompile(`(\.ts|\.tsx|\.mts|\.cts)$|^(tsconfig.*|package|package-lock)\.json$`)
	if err := (&copier{skip: withModules, leave: code.MatchString}).copy(j.src.Path, j.out); err != nil {
		return err
	}
	return j.bundle(ctx, o)
}

// bundling returns what every bundle has in common.
func (j *job) bundling() api.BuildOptions {
	return api.BuildOptions{
		AbsWorkingDir: j.src.Path, Outdir: j.out, Bundle: true, Write: true, Metafile: true,
		Platform: api.PlatformNode, Format: api.FormatCommonJS, LogLevel: api.LogLevelSilent,
	}
}

// bundle runs esbuild until it is done or ctx is.
func (j *job) bundle(ctx context.Context, o api.BuildOptions) error {
	modules, err := j.bundledModules(ctx)
	if err != nil {
		return err
	}
	if modules != "" {
		o.NodePaths = []string{modules}
	}
	b, bad := api.Context(o)
	if bad != nil {
		return messages(bad.Errors)
	}
	defer b.Dispose()
	stop := context.AfterFunc(ctx, b.Cancel)
	defer stop()
	r := b.Rebuild()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, text := range api.FormatMessages(r.Warnings, api.FormatMessagesOptions{Kind: api.WarningMessage}) {
		fmt.Fprint(j.Log, text)
	}
	if len(r.Errors) > 0 {
		return messages(r.Errors)
	}
	return j.noteInputs(r.Metafile)
}

// bundledModules returns a directory with the package's dependencies when they
// are not installed beside it or above it, or "".
func (j *job) bundledModules(ctx context.Context) (string, error) {
	m, err := readManifest(j.src.Path)
	if err != nil {
		return "", err
	}
	for name := range m.Dependencies {
		if !resolvable(j.src.Path, name) {
			return j.modules(ctx, m)
		}
	}
	return "", nil
}

func resolvable(dir, name string) bool {
	for range aboveMax {
		if isDir(filepath.Join(dir, "node_modules", name)) {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
	return false
}

// noteInputs keeps which files outside the source the bundle was made from.
func (j *job) noteInputs(metafile string) error {
	var meta struct {
		Inputs map[string]json.RawMessage `json:"inputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return fmt.Errorf("read what was bundled: %w", err)
	}
	for name := range meta.Inputs {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(j.src.Path, file)
		}
		if strings.HasPrefix(file, j.Cache) || filepath.IsLocal(name) && !strings.HasPrefix(name, "node_modules/") || !isFile(file) {
			continue
		}
		if len(j.inputs) < extrasMax {
			j.inputs = append(j.inputs, file)
		}
	}
	return nil
}

func messages(m []api.Message) error {
	text := strings.Join(api.FormatMessages(m, api.FormatMessagesOptions{Kind: api.ErrorMessage}), "")
	return &daruma.Error{Kind: daruma.KindInvalid, Err: errors.New("esbuild:\n" + strings.TrimSpace(text))}
}

// leaveSDK leaves imports of the AWS SDK that cannot be resolved to the runtime, which brings it.
var leaveSDK = api.Plugin{Name: "aws-sdk", Setup: func(b api.PluginBuild) {
	b.OnResolve(api.OnResolveOptions{Filter: `^(@aws-sdk/|@smithy/|aws-sdk(/|$))`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
		if a.PluginData != nil {
			return api.OnResolveResult{}, nil // our own question below
		}
		r := b.Resolve(a.Path, api.ResolveOptions{ResolveDir: a.ResolveDir, Kind: a.Kind, Importer: a.Importer, PluginData: true})
		if len(r.Errors) > 0 {
			return api.OnResolveResult{Path: a.Path, External: true}, nil
		}
		return api.OnResolveResult{Path: r.Path, External: r.External}, nil
	})
}}

// entry returns the file the handler names, relative to the source, or "".
func (j *job) entry() string {
	base := filepath.Base(j.Handler)
	stem := filepath.Join(filepath.Dir(j.Handler), strings.SplitN(base, ".", 2)[0])
	for _, ext := range []string{".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx"} {
		if filepath.IsLocal(stem) && isFile(filepath.Join(j.src.Path, stem+ext)) {
			return stem + ext
		}
	}
	return ""
}

// nodeMajor returns the Node.js version a runtime id names, as esbuild wants it.
func nodeMajor(id string) string {
	digits := strings.TrimPrefix(id, "nodejs")
	if i := strings.IndexByte(digits, '.'); i >= 0 {
		digits = digits[:i]
	}
	if _, err := strconv.Atoi(digits); err != nil {
		return "18"
	}
	return digits
}

// relative makes sure an entry point lies below the source.
func relative(entry string) (string, error) {
	clean := filepath.Clean(entry)
	if !filepath.IsLocal(clean) {
		return "", daruma.Invalidf("BuildProperties.EntryPoints: %q does not lie below CodeUri", entry)
	}
	if !strings.HasPrefix(clean, "."+string(os.PathSeparator)) {
		clean = "." + string(os.PathSeparator) + clean
	}
	return clean, nil
}
