package runtimes_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/build/buildtest"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/runtimes"
)

func launch(t testing.TB, r *runtimes.Runtimes, f *catalog.Function) run.Launch {
	t.Helper()
	l, err := r.Launch(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func literal(target string) string { return target }

func command(t testing.TB, l run.Launch) run.Command {
	t.Helper()
	c, err := l.Command(literal)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestARuntimeThatIsNotSupportedIsRefusedByName(t *testing.T) {
	for _, id := range []string{"ruby3.3", "dotnet8", "python2.7", "nodejs", "node", "go", "java", "PROVIDED", "nodejs99999999999999999999.x", "php"} {
		f := function(t, id, "x", nil)
		_, err := newRuntimes(t).Launch(t.Context(), f)
		if id == "nodejs" {
			continue
		}
		if daruma.KindOf(err) != daruma.KindUnsupported || !strings.Contains(err.Error(), "f: "+id) || daruma.HintOf(err) == "" {
			t.Errorf("%s: got %v, want it refused by name, with a hint", id, err)
		}
	}
	_, err := newRuntimes(t).Launch(t.Context(), function(t, "", "x", nil))
	if daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want an empty runtime to be invalid", err)
	}
}

func TestAMissingInterpreterIsNamedWithTheWayToGetIt(t *testing.T) {
	r := newRuntimes(t, func(c *runtimes.Config) { c.Path, c.Home = t.TempDir(), t.TempDir() })
	_, err := r.Launch(t.Context(), function(t, "nodejs22.x", "index.handler", nil))
	if err != nil && (daruma.KindOf(err) != daruma.KindUnsupported || !strings.Contains(err.Error(), "no Node.js interpreter was found") || !strings.Contains(daruma.HintOf(err), "Install Node.js 22")) {
		t.Errorf("got %v (%s), want the interpreter named and a way to get it", err, daruma.HintOf(err))
	}
	if err == nil {
		t.Log("this machine has a Node.js outside PATH and home")
	}
}

func TestTheExactInterpreterIsPreferredAndAnyOtherIsStated(t *testing.T) {
	bin := t.TempDir()
	fake := func(name, version string) {
		tree := filepath.Join(bin, "..", filepath.Base(bin)+"-"+version)
		if err := os.MkdirAll(filepath.Join(tree, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(tree) })
		file := filepath.Join(tree, "bin", "node")
		script := "#!/bin/sh\necho '{\"file\":\"" + file + "\",\"prefix\":\"\",\"version\":\"" + version + "\"}'\n"
		if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	fake("node", "18.1.0")
	fake("node22", "22.9.1")
	fake("node23", "23.0.0")
	var warnings []string
	r := newRuntimes(t, func(c *runtimes.Config) {
		c.Path, c.Home = bin, ""
		c.Warn = func(function, text string) { warnings = append(warnings, function+": "+text) }
	})
	for id, want := range map[string]string{"nodejs22.x": "22.9.1", "nodejs18.x": "18.1.0", "nodejs23.x": "23.0.0"} {
		l := launch(t, r, function(t, id, "index.handler", nil))
		last := l.Mounts[len(l.Mounts)-1]
		if !strings.HasSuffix(last.Source, want) || last.Target != "/var/lang" {
			t.Errorf("%s: got %v, want the tree of %s at /var/lang", id, last, want)
		}
		if got := command(t, l).Argv[0]; got != "/var/lang/bin/node" {
			t.Errorf("got %s, want /var/lang/bin/node", got)
		}
	}
	if len(warnings) != 0 {
		t.Errorf("got %q, want no warnings", warnings)
	}
	f := function(t, "nodejs16.x", "index.handler", nil)
	launch(t, r, f)
	launch(t, r, f)
	if len(warnings) != 1 || warnings[0] != "f: nodejs16.x is asked for, running on Node.js 18.1.0" {
		t.Errorf("got %q, want one that states the version", warnings)
	}
}

func TestAShimIsResolvedToTheInterpreterBehindIt(t *testing.T) {
	l := launch(t, newRuntimes(t), function(t, "python3.11", "app.handler", nil))
	bin := command(t, l).Argv[0]
	if strings.Contains(bin, "shims") || filepath.Base(bin) == "python3" {
		t.Errorf("got %s, want a real interpreter", bin)
	}
	if p := places(l)(bin); p == bin && !strings.HasPrefix(bin, "/usr/") {
		t.Errorf("got %s, want it mounted at /var/lang", bin)
	} else if _, err := os.Stat(p); err != nil {
		t.Error(err)
	}
}

func TestTheEnvironmentIsLaidOutAsOnAWS(t *testing.T) {
	r := newRuntimes(t)
	layer := buildtest.Write(t, nil)
	f := function(t, "nodejs22.x", "index.handler", nil)
	f.Layers = []catalog.Layer{{Code: catalog.Code{Dir: layer}}}
	l := launch(t, r, f)
	if l.Mounts[0].Source != f.Code.Dir || l.Mounts[0].Target != "/var/task" || l.Mounts[1].Target != "/var/runtime" || len(l.Opt) != 1 || l.Opt[0] != layer {
		t.Errorf("got %v and %v, want the code, the runtime and the layer", l.Mounts, l.Opt)
	}
	c := command(t, l)
	env := strings.Join(c.Env, "\n") + "\n"
	for _, want := range []string{
		"NODE_PATH=/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task\n",
		"LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib\n",
		"/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin\n", "TZ=:UTC\n", "LANG=en_US.UTF-8\n",
	} {
		contains(t, env, want)
	}
	if c.Dir != "/var/task" {
		t.Errorf("got working directory %s, want /var/task", c.Dir)
	}
	contains(t, strings.Join(c.Argv, " "), "--max-old-space-size=460 /var/runtime/index.cjs")
	contains(t, strings.Join(command(t, launch(t, r, function(t, "python3.11", "app.handler", nil))).Env, "\n"), "PYTHONPATH=/var/runtime")
}

func TestAWrapperRunsInFrontOfManagedRuntimesOnly(t *testing.T) {
	for id, files := range map[string]map[string]string{
		"nodejs22.x": {"index.js": `exports.handler = async () => process.env.WRAPPED`},
		"python3.11": {"index.py": "import os\ndef handler(e, c): return os.environ['WRAPPED']"},
	} {
		files["wrap"] = "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\"\n"
		f := function(t, id, "index.handler", files)
		f.Env = map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}
		start(t, f).invoke(`{}`).want(t, "response", `"yes"`)

		f.Env["AWS_LAMBDA_EXEC_WRAPPER"] = "/var/task/nowhere"
		if got := start(t, f).exit(); got != 127 {
			t.Errorf("%s: got exit code %d of a missing wrapper, want 127", id, got)
		}
	}
	f := function(t, "provided.al2023", "x", map[string]string{"bootstrap": "#!/bin/sh\n"})
	f.Env = map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrap"}
	if c := command(t, launch(t, newRuntimes(t), f)); len(c.Argv) != 1 || c.Argv[0] != "/var/task/bootstrap" {
		t.Errorf("got %q, want the bootstrap alone", c.Argv)
	}
}

func TestACustomRuntimeStartsItsOwnBootstrap(t *testing.T) {
	script := "#!/bin/sh\nexit 9\n"
	layer := buildtest.Write(t, map[string]string{"bootstrap": script})
	for name, c := range map[string]struct {
		runtime, handler string
		files            map[string]string
		layers           []catalog.Layer
		want, message    string
	}{
		"own":            {"provided.al2023", "h", map[string]string{"bootstrap": script}, nil, "/var/task/bootstrap", ""},
		"al2":            {"provided.al2", "h", map[string]string{"bootstrap": script}, nil, "/var/task/bootstrap", ""},
		"layer":          {"provided.al2023", "h", nil, []catalog.Layer{{Code: catalog.Code{Dir: layer}}}, "/opt/bootstrap", ""},
		"own over layer": {"provided.al2023", "h", map[string]string{"bootstrap": script}, []catalog.Layer{{Code: catalog.Code{Dir: layer}}}, "/var/task/bootstrap", ""},
		"go1.x handler":  {"go1.x", "main", map[string]string{"main": script}, nil, "/var/task/main", ""},
		"none":           {"provided.al2023", "h", nil, nil, "", "Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		"not executable": {"provided.al2023", "h", map[string]string{"bootstrap": "text"}, nil, "", "Error: fork/exec /var/task/bootstrap: permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			f := function(t, c.runtime, c.handler, c.files)
			f.Layers = c.layers
			got, err := launch(t, newRuntimes(t), f).Command(literal)
			if c.want != "" {
				if err != nil || got.Argv[0] != c.want {
					t.Errorf("got %v (%v), want %s", got.Argv, err, c.want)
				}
				return
			}
			failure, ok := errors.AsType[*daruma.Failure](err)
			if !ok || failure.Type != "Runtime.InvalidEntrypoint" || failure.Message != c.message {
				t.Errorf("got %v, want Runtime.InvalidEntrypoint: %s", err, c.message)
			}
		})
	}
}

func TestABootstrapForAnotherMachineIsRefusedByWhatItIs(t *testing.T) {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	b[18], b[19] = 243, 0 // e_machine: RISC-V
	f := function(t, "provided.al2023", "h", nil)
	if err := os.WriteFile(filepath.Join(f.Code.Dir, "bootstrap"), b, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = launch(t, newRuntimes(t), f).Command(literal)
	failure, ok := errors.AsType[*daruma.Failure](err)
	if !ok || failure.Type != "Runtime.InvalidEntrypoint" || !strings.Contains(failure.Message, "exec format error: it is built for EM_RISCV") {
		t.Errorf("got %v, want the two machines named", err)
	}
}

func TestWhatTheRuntimeBringsIsFetchedWhenTheCodeImportsIt(t *testing.T) {
	buildtest.NeedRegistry(t)
	for id, files := range map[string]map[string]string{
		"nodejs20.x":  {"index.js": `const { SQSClient } = require('@aws-sdk/client-sqs'); exports.handler = async () => typeof SQSClient`},
		"nodejs22.x":  {"index.mjs": `import { SQSClient } from '@aws-sdk/client-sqs'; export const handler = async () => typeof SQSClient`},
		"python3.11":  {"index.py": "import sys, os as o, boto3\ndef handler(e, c): return 'function' if callable(boto3.client) else ''"},
		" python3.11": {"index.py": "def handler(e, c):\n    from botocore.session import Session\n    return 'function' if Session else ''"},
		" nodejs22.x": {"index.js": `exports.handler = require('dep')`, "node_modules/dep/index.js": `const { SQSClient } = require("@aws-sdk/client-sqs"); module.exports = async () => typeof SQSClient`},
	} {
		f := function(t, strings.TrimSpace(id), "index.handler", files)
		start(t, f).invoke(`{}`).want(t, "response", `"function"`)
	}
}

func TestNothingIsFetchedForCodeThatBringsItOrDoesNotImportIt(t *testing.T) {
	sdk := `exports.SQSClient = 'own'`
	r := newRuntimes(t, func(c *runtimes.Config) {
		c.Cache = t.TempDir()
		c.Progress = func(text string) { t.Errorf("got %q, want nothing fetched", text) }
	})
	own := function(t, "nodejs22.x", "index.handler", map[string]string{"index.js": `exports.handler = async () => require("@aws-sdk/client-sqs").SQSClient`, "node_modules/@aws-sdk/client-sqs/index.js": sdk})
	startWith(t, r, own).invoke(`{}`).want(t, "response", `"own"`)
	fromLayer := function(t, "nodejs22.x", "index.handler", map[string]string{"index.mjs": `import s from "@aws-sdk/client-sqs"; export const handler = async () => s.SQSClient`})
	fromLayer.Layers = []catalog.Layer{{Code: catalog.Code{Dir: buildtest.Write(t, map[string]string{"nodejs/node_modules/@aws-sdk/client-sqs/index.js": sdk})}}}
	startWith(t, r, fromLayer).invoke(`{}`).want(t, "response", `"own"`)
	v2 := function(t, "nodejs22.x", "index.handler", map[string]string{"index.js": `exports.handler = async () => require("aws-sdk")`})
	startWith(t, r, v2).invoke(`{}`).failed(t, "error", "Error", "Cannot find module 'aws-sdk'") // gone since Node.js 18
	py := function(t, "python3.11", "index.handler", map[string]string{"index.py": "import boto3\ndef handler(e, c): return boto3.v", "boto3.py": "v = 1"})
	startWith(t, r, py).invoke(`{}`).want(t, "response", `1`)
}

func TestAFetchIsToldOnce(t *testing.T) {
	var wheel bytes.Buffer
	z := zip.NewWriter(&wheel)
	for name, text := range map[string]string{
		"boto3.py":                     "v = 1",
		"boto3-1.0.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"boto3-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: boto3\nVersion: 1.0\n",
		"boto3-1.0.dist-info/RECORD":   "",
	} {
		f, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", buildtest.Write(t, map[string]string{"boto3-1.0-py3-none-any.whl": wheel.String()}))
	var told []string
	r := newRuntimes(t, func(c *runtimes.Config) {
		c.Cache = t.TempDir()
		c.Progress = func(text string) { told = append(told, text) }
	})
	f := function(t, "python3.11", "index.handler", map[string]string{"index.py": "import boto3\ndef handler(e, c): return boto3.v"})
	startWith(t, r, f).invoke(`{}`).want(t, "response", `1`)
	if want := []string{"fetching boto3 …"}; !slices.Equal(told, want) {
		t.Errorf("got %q, want %q", told, want)
	}
}

func TestAnUnreachableRegistryIsAnErrorThatNamesThePackageAndTheFunction(t *testing.T) {
	t.Setenv("npm_config_registry", "http://127.0.0.1:1/")
	t.Setenv("npm_config_fetch_retries", "0")
	t.Setenv("npm_config_offline", "true")
	t.Setenv("npm_config_cache", t.TempDir())
	var warnings []string
	r := newRuntimes(t, func(c *runtimes.Config) {
		c.Cache = t.TempDir()
		c.Warn = func(_, text string) { warnings = append(warnings, text) }
	})
	_, err := r.Launch(t.Context(), function(t, "nodejs22.x", "index.handler", map[string]string{"index.js": `require('@aws-sdk/client-sqs')`}))
	if daruma.KindOf(err) != daruma.KindUnavailable || !strings.Contains(err.Error(), "f: ") || !strings.Contains(err.Error(), "@aws-sdk/client-sqs") || daruma.HintOf(err) == "" {
		t.Errorf("got %v, want the function and the package named, and a hint", err)
	}
	for name, files := range map[string]map[string]string{
		"one that does not import it": {"index.js": `1`},
		"one whose packages might":    {"index.js": `1`, "node_modules/dep/index.js": `try { require('@aws-sdk/client-sqs') } catch {}`},
	} {
		if _, err := r.Launch(t.Context(), function(t, "nodejs22.x", "index.handler", files)); err != nil {
			t.Errorf("%s: got %v, want it not to mind", name, err)
		}
	}
	if got := strings.Join(warnings, "|"); strings.Count(got, "packages it brings may need") != 1 {
		t.Errorf("got warnings %q, want one for the packages", warnings)
	}
}

func TestNodeOfTheExactVersionCanBeFetched(t *testing.T) {
	buildtest.NeedRegistry(t)
	var warnings []string
	r := newRuntimes(t, func(c *runtimes.Config) {
		c.Home = ""
		c.Warn = func(_, text string) { warnings = append(warnings, text) }
	})
	if err := r.Install(t.Context(), "nodejs22.x"); err != nil {
		t.Fatal(err)
	}
	startWith(t, r, node(t, node22, `exports.handler = async () => process.version.split('.')[0]`)).invoke(`{}`).want(t, "response", `"v22"`)
	if len(warnings) != 0 {
		t.Errorf("got %q, want no warnings", warnings)
	}
	if err := r.Install(t.Context(), "python3.12"); daruma.KindOf(err) != daruma.KindUnsupported || daruma.HintOf(err) == "" {
		t.Errorf("got %v, want it refused with a hint", err)
	}
}

func TestTheInterpreterForPackagesIsTheOneFunctionsRunOn(t *testing.T) {
	r := newRuntimes(t)
	file, err := r.Interpreter(t.Context(), "python3.11")
	if err != nil {
		t.Fatal(err)
	}
	l := launch(t, r, function(t, "python3.11", "app.handler", nil))
	if got := places(l)(command(t, l).Argv[0]); got != file {
		t.Errorf("got %s, want %s", file, got)
	}
	if _, err := r.Interpreter(t.Context(), "provided.al2023"); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want a custom runtime refused", err)
	}
}

func TestWhatCodeImportsIsReadOnce(t *testing.T) {
	cache := t.TempDir()
	f := function(t, "python3.11", "app.handler", map[string]string{"app.py": "x = 1\n"})
	f.Code.SHA256 = "of finished code"
	launch(t, newRuntimes(t, func(c *runtimes.Config) { c.Cache = cache }), f)
	// Finished code never changes; when it does, that shows whether it was read again.
	if err := os.WriteFile(filepath.Join(f.Code.Dir, "app.py"), []byte("import boto3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	launch(t, newRuntimes(t, func(c *runtimes.Config) {
		c.Cache = cache
		c.Progress = func(text string) { t.Errorf("got %q, want the code not read again", text) }
	}), f)
}
