package build_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/build"
	"github.com/daruma-io/daruma/build/buildtest"
	"github.com/daruma-io/daruma/catalog"
)

func options(t testing.TB, runtime, handler string) build.Options {
	return build.Options{Name: "Orders", Runtime: runtime, Handler: handler, Out: t.TempDir(), Cache: t.TempDir()}
}

func mustBuild(t testing.TB, src catalog.Source, o build.Options) catalog.Code {
	t.Helper()
	code, err := build.Build(t.Context(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// tree lists the files of a directory.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, file)
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

func wantTree(t testing.TB, code catalog.Code, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, tree(t, code.Dir)); diff != "" {
		t.Errorf("got other files (-want +got):\n%s", diff)
	}
}

func read(t testing.TB, code catalog.Code, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(code.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantError(t testing.TB, err error, kind daruma.Kind, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error, want one")
	}
	if daruma.KindOf(err) != kind {
		t.Errorf("got %v (%v), want kind %v", err, daruma.KindOf(err), kind)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %q, want it to contain %q", err, text)
		}
	}
}

func TestInterpretedCodeIsCopiedAsItIs(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{
		"index.js": "1", "lib/a.js": "2", "run.sh": "#!/bin/sh\n", "node_modules/dep/index.js": "3",
		".git/config": "x", ".aws-sam/build/x": "x", ".daruma/x": "x", "__pycache__/x.pyc": "x",
	})
	if err := os.Symlink("lib/a.js", filepath.Join(dir, "inside.js")); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(buildtest.Write(t, map[string]string{"far.js": "far"}), "far.js")
	if err := os.Symlink(outside, filepath.Join(dir, "outside.js")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	code := mustBuild(t, catalog.Source{Path: dir}, options(t, "nodejs22.x", "index.handler"))
	wantTree(t, code, "index.js", "inside.js", "lib/a.js", "node_modules/dep/index.js", "outside.js", "run.sh")
	if got, _ := os.Readlink(filepath.Join(code.Dir, "inside.js")); got != "lib/a.js" {
		t.Errorf("got link to %q, want it kept", got)
	}
	if stat, err := os.Lstat(filepath.Join(code.Dir, "outside.js")); err != nil || !stat.Mode().IsRegular() || read(t, code, "outside.js") != "far" {
		t.Errorf("got %v, want what the link led to", stat)
	}
	if stat, err := os.Stat(filepath.Join(code.Dir, "run.sh")); err != nil || stat.Mode().Perm() != 0o755 {
		t.Errorf("got %v, want mode 0755", stat)
	}
	buildtest.Put(t, dir, map[string]string{"index.js": "changed"})
	if got := read(t, code, "index.js"); got != "1" {
		t.Errorf("got %q after the source changed, want finished code unchanged", got)
	}
}

func TestInlineCodeBecomesTheFileTheRuntimeLooksFor(t *testing.T) {
	for runtime, want := range map[string]string{"nodejs22.x": "index.js", "python3.12": "index.py"} {
		code := mustBuild(t, catalog.Source{Inline: "the code"}, options(t, runtime, "index.handler"))
		wantTree(t, code, want)
		if got := read(t, code, want); got != "the code" {
			t.Errorf("got %q, want the code", got)
		}
	}
	_, err := build.Build(t.Context(), catalog.Source{Inline: "x", Position: "template.yaml:3:5"}, options(t, "java21", "x"))
	wantError(t, err, daruma.KindInvalid, "template.yaml:3:5: build Orders: InlineCode is for Node.js and Python")
}

func TestTheSameContentIsKeptOnce(t *testing.T) {
	o := options(t, "nodejs22.x", "index.handler")
	files := map[string]string{"index.js": "1", "a/b.js": "2"}
	one := mustBuild(t, catalog.Source{Path: buildtest.Write(t, files)}, o)
	if two := mustBuild(t, catalog.Source{Path: buildtest.Write(t, files)}, o); two != one {
		t.Errorf("got %v and %v, want the same code", one, two)
	}
	if one.Bytes != 2 || len(one.SHA256) != 44 {
		t.Errorf("got %v, want two bytes and a base64 SHA-256", one)
	}
	for _, other := range []map[string]string{{"index.js": "2", "a/b.js": "2"}, {"index.js": "1", "a/c.js": "2"}, {"index.js": "1", "ab.js": "2"}, {"index.js": "12", "a/b.js": ""}} {
		if got := mustBuild(t, catalog.Source{Path: buildtest.Write(t, other)}, o); got.SHA256 == one.SHA256 {
			t.Errorf("got the same sum for %v", other)
		}
	}
	dir := buildtest.Write(t, files)
	if err := os.Chmod(filepath.Join(dir, "index.js"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := mustBuild(t, catalog.Source{Path: dir}, o); got.SHA256 == one.SHA256 {
		t.Error("got the same sum for another mode")
	}
	left, err := filepath.Glob(filepath.Join(o.Out, "scratch", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("got %v left in scratch, want nothing", left)
	}
}

func TestManyBuildsOfOneSourceAtOnceEndInOneCode(t *testing.T) {
	o := options(t, "nodejs22.x", "index.handler")
	src := catalog.Source{Path: buildtest.Write(t, map[string]string{"index.js": "1"})}
	var wg sync.WaitGroup
	codes := make([]catalog.Code, 8)
	for i := range codes {
		wg.Go(func() {
			var err error
			if codes[i], err = build.Build(t.Context(), src, o); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, c := range codes {
		if c != codes[0] {
			t.Errorf("got %v and %v, want one", codes[0], c)
		}
	}
}

func TestABuildIsRecalledUntilItsInputsChange(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"Makefile": "build-Orders:\n\tcp a.txt $(ARTIFACTS_DIR)/\n", "a.txt": "1"})
	src := catalog.Source{Path: dir, Method: "makefile", LogicalID: "Orders"}
	o := options(t, "provided.al2023", "x")
	runs := 0
	o.Progress = func(string) { runs++ }
	one := mustBuild(t, src, o)
	if again := mustBuild(t, src, o); again != one || runs != 1 {
		t.Errorf("got %v after %d runs of make, want %v after one", again, runs, one)
	}
	buildtest.Put(t, dir, map[string]string{".git/HEAD": "x"})
	if mustBuild(t, src, o); runs != 1 {
		t.Error("got a build after a change of what is no part of code")
	}
	buildtest.Put(t, dir, map[string]string{"a.txt": "22"})
	if two := mustBuild(t, src, o); two == one || runs != 2 || read(t, two, "a.txt") != "22" {
		t.Errorf("got %v after %d runs, want a new build of what changed", two, runs)
	}
	if err := os.RemoveAll(one.Dir); err != nil {
		t.Fatal(err)
	}
	buildtest.Put(t, dir, map[string]string{"a.txt": "1"})
	if three := mustBuild(t, src, o); three != one || !slices.Equal(tree(t, three.Dir), []string{"a.txt"}) {
		t.Errorf("got %v, want code that was deleted built again", three)
	}
}

func TestFinishedCodeIsTakenAsItIs(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"index.js": "1", "package.json": `{"dependencies":{"nowhere":"1"}}`, "node_modules/a/index.js": "2", ".git/x": "3"})
	code := mustBuild(t, catalog.Source{Path: dir, Built: true}, options(t, "nodejs22.x", "index.handler"))
	wantTree(t, code, ".git/x", "index.js", "node_modules/a/index.js", "package.json")
	buildtest.Put(t, dir, map[string]string{"node_modules/a/index.js": "changed"})
	o := options(t, "nodejs22.x", "index.handler")
	if got := mustBuild(t, catalog.Source{Path: dir, Built: true}, o); read(t, got, "node_modules/a/index.js") != "changed" {
		t.Error("got the old code")
	}
}

func TestCodeBeyondTheLimitIsRefusedInAWSsWords(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(build.BytesMax + 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = build.Build(t.Context(), catalog.Source{Path: dir}, options(t, "nodejs22.x", "x"))
	wantError(t, err, daruma.KindTooLarge, "Unzipped size must be smaller than 262144000 bytes")
}

func TestAMakefileBuildsItsTarget(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{
		"Makefile":     "build-Orders:\n\techo '#!/bin/sh' > $(ARTIFACTS_DIR)/bootstrap\n\tchmod 755 $(ARTIFACTS_DIR)/bootstrap\n\ttouch made-in-place\nbuild-Bad:\n\techo one; echo two >&2; exit 3\n",
		"sub/Makefile": "build-Orders:\n\techo sub > $(ARTIFACTS_DIR)/x\n",
	})
	code := mustBuild(t, catalog.Source{Path: dir, Method: "makefile", LogicalID: "Orders"}, options(t, "provided.al2023", "x"))
	wantTree(t, code, "bootstrap")
	if _, err := os.Stat(filepath.Join(dir, "made-in-place")); err == nil {
		t.Error("got a file in the source, want the build in a copy")
	}
	code = mustBuild(t, catalog.Source{Path: dir, Method: "makefile", LogicalID: "Orders", Properties: map[string]any{"WorkingDirectory": "sub"}}, options(t, "provided.al2023", "x"))
	wantTree(t, code, "x")

	var log bytes.Buffer
	o := options(t, "provided.al2023", "x")
	o.Log = &log
	_, err := build.Build(t.Context(), catalog.Source{Path: dir, Method: "makefile", LogicalID: "Bad", Position: "template.yaml:9:1"}, o)
	wantError(t, err, daruma.KindInvalid, "template.yaml:9:1: build Orders: make: exit status 2", "one\ntwo\n")
	if !strings.Contains(log.String(), "two") {
		t.Errorf("got log %q, want the tool's output", &log)
	}
	_, err = build.Build(t.Context(), catalog.Source{Path: dir, Method: "makefile", LogicalID: "Orders", Properties: map[string]any{"WorkingDirectory": "../x"}}, o)
	wantError(t, err, daruma.KindUnsupported, "BuildProperties.WorkingDirectory is not supported")
}

func TestAGoProgramIsCompiledStaticallyAsBootstrap(t *testing.T) {
	module := buildtest.Write(t, map[string]string{
		"go.mod":             "module example.com/app\n\ngo 1.24\n",
		"shared/shared.go":   "package shared\n\nconst Text = \"shared\"\n",
		"orders/main.go":     "package main\n\nimport \"example.com/app/shared\"\n\nfunc main() { println(shared.Text) }\n",
		"orders/config.json": "{}",
		"broken/main.go":     "package main\n\nfunc main() { undefined() }\n",
	})
	for _, src := range []catalog.Source{{Path: filepath.Join(module, "orders")}, {Path: filepath.Join(module, "orders"), Method: "go1.x", Properties: map[string]any{"TrimGoPath": true}}} {
		o := options(t, "provided.al2023", "x")
		code := mustBuild(t, src, o)
		wantTree(t, code, "bootstrap")
		out, err := exec.Command(filepath.Join(code.Dir, "bootstrap")).CombinedOutput()
		if err != nil || string(out) != "shared\n" {
			t.Errorf("got %q (%v), want what the program prints", out, err)
		}
		if !slices.Contains(build.Inputs(src), module) {
			t.Errorf("got inputs %v, want the module among them", build.Inputs(src))
		}
		buildtest.Put(t, module, map[string]string{"shared/shared.go": "package shared\n\nconst Text = \"other\"\n"})
		if other := mustBuild(t, src, o); other == code {
			t.Error("got the old code after a package beside it changed")
		}
		buildtest.Put(t, module, map[string]string{"shared/shared.go": "package shared\n\nconst Text = \"shared\"\n"})
	}
	_, err := build.Build(t.Context(), catalog.Source{Path: filepath.Join(module, "broken"), Position: "t.yaml:1:1"}, options(t, "provided.al2023", "x"))
	wantError(t, err, daruma.KindInvalid, "t.yaml:1:1: build Orders: go: exit status 1", "undefined: undefined")
	_, err = build.Build(t.Context(), catalog.Source{Path: filepath.Join(module, "orders"), Method: "go1.x", Properties: map[string]any{"Tags": "x"}}, options(t, "provided.al2023", "x"))
	wantError(t, err, daruma.KindUnsupported, "BuildProperties.Tags is not supported")
}

func TestABootstrapThatIsThereIsTakenAsItIs(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"bootstrap": "#!/bin/sh\n", "main.go": "package main\n"})
	code := mustBuild(t, catalog.Source{Path: dir}, options(t, "provided.al2023", "x"))
	wantTree(t, code, "bootstrap", "main.go")
}

func TestALayerIsTakenAsItIsUnlessItNamesAMethod(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"nodejs/node_modules/a/index.js": "1", "package.json": `{"dependencies":{"x":"1"}}`})
	code := mustBuild(t, catalog.Source{Path: dir, Layer: true}, options(t, "", ""))
	wantTree(t, code, "nodejs/node_modules/a/index.js", "package.json")
	code = mustBuild(t, catalog.Source{Path: buildtest.Write(t, map[string]string{"util.js": "1"}), Layer: true, Method: "nodejs22.x"}, options(t, "", ""))
	wantTree(t, code, "nodejs/util.js")
	code = mustBuild(t, catalog.Source{Path: buildtest.Write(t, map[string]string{"util.py": "1"}), Layer: true, Method: "python3.12"}, options(t, "", ""))
	wantTree(t, code, "python/util.py")
	code = mustBuild(t, catalog.Source{Path: buildtest.Write(t, map[string]string{"Makefile": "build-L:\n\tmkdir $(ARTIFACTS_DIR)/python\n\ttouch $(ARTIFACTS_DIR)/python/x\n"}), Layer: true, Method: "makefile", LogicalID: "L"}, options(t, "", ""))
	wantTree(t, code, "python/x")
}

func TestWhatIsNotSupportedIsRefusedByName(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"x": "1"})
	for method, want := range map[string]string{"dotnet8": "BuildMethod dotnet8 is not supported", "ruby3.3": "BuildMethod ruby3.3 is not supported", "esbuild": ""} {
		if want == "" {
			continue
		}
		_, err := build.Build(t.Context(), catalog.Source{Path: dir, Method: method}, options(t, "nodejs22.x", "x.y"))
		wantError(t, err, daruma.KindUnsupported, want)
		if daruma.HintOf(err) == "" {
			t.Errorf("%s: got no hint", method)
		}
	}
	t.Setenv("PATH", t.TempDir())
	for method, want := range map[string]string{"rust-cargolambda": "needs cargo-lambda", "python-uv": "needs uv"} {
		_, err := build.Build(t.Context(), catalog.Source{Path: dir, Method: method}, options(t, "python3.12", "x.y"))
		wantError(t, err, daruma.KindUnsupported, want)
	}
	_, err := build.Build(t.Context(), catalog.Source{Path: buildtest.Write(t, map[string]string{"build.gradle": ""})}, options(t, "java21", "x"))
	wantError(t, err, daruma.KindUnsupported, "needs gradlew or gradle, and neither was found")
	_, err = build.Build(t.Context(), catalog.Source{Path: filepath.Join(dir, "nowhere")}, options(t, "nodejs22.x", "x.y"))
	wantError(t, err, daruma.KindInvalid, "read source")
	_, err = build.Build(t.Context(), catalog.Source{Path: "relative"}, options(t, "nodejs22.x", "x.y"))
	wantError(t, err, daruma.KindInvalid, "no absolute path")
}

func TestABuildEndsWithItsContext(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"Makefile": "build-Orders:\n\t@echo started; exec sleep 600\n"})
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, "provided.al2023", "x")
	o.Log = writer(func(b []byte) { cancel() })
	_, err := build.Build(ctx, catalog.Source{Path: dir, Method: "makefile", LogicalID: "Orders"}, o)
	wantError(t, err, daruma.KindUnavailable, "context canceled")
}

type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestNpmInstallsWhatProductionNeedsOnce(t *testing.T) {
	buildtest.NeedRegistry(t)
	dir := buildtest.Write(t, map[string]string{
		"index.js":             "exports.handler = async () => require('ms')('1s') + require('near')",
		"package.json":         `{"dependencies":{"ms":"2.1.3","near":"file:./near"},"devDependencies":{"left-pad":"1.3.0"}}`,
		"near/index.js":        "module.exports = 1",
		"near/package.json":    `{"name":"near","version":"1.0.0"}`,
		"node_modules/stale/x": "1",
	})
	o := options(t, "nodejs22.x", "index.handler")
	var said []string
	o.Progress = func(text string) { said = append(said, text) }
	code := mustBuild(t, catalog.Source{Path: dir}, o)
	files := tree(t, code.Dir)
	for _, want := range []string{"index.js", "node_modules/ms/index.js", "node_modules/near/index.js"} {
		if !slices.Contains(files, want) {
			t.Errorf("got %v, want %s among them", files, want)
		}
	}
	if strings.Contains(strings.Join(files, " "), "left-pad") || slices.Contains(files, "node_modules/stale/x") {
		t.Errorf("got %v, want production packages only, installed afresh", files)
	}
	out, err := exec.Command("node", "-e", "require('"+code.Dir+"').handler().then(console.log)").CombinedOutput()
	if err != nil || string(out) != "1001\n" {
		t.Errorf("got %q (%v), want the installed packages to work", out, err)
	}
	if len(said) != 1 || said[0] != "npm install" {
		t.Errorf("got %q, want one line of progress", said)
	}
	simple := map[string]string{"index.js": "1", "package.json": `{"dependencies":{"ms":"2.1.3"}}`}
	src := catalog.Source{Path: buildtest.Write(t, simple)}
	mustBuild(t, src, o)
	buildtest.Put(t, src.Path, map[string]string{"index.js": "2"})
	said = nil
	mustBuild(t, src, o)
	if len(said) != 0 {
		t.Errorf("got %q after a change of code alone, want nothing installed again", said)
	}
	layer := mustBuild(t, catalog.Source{Path: src.Path, Layer: true, Method: "nodejs22.x"}, o)
	if !slices.Contains(tree(t, layer.Dir), "nodejs/node_modules/ms/index.js") {
		t.Errorf("got %v, want packages where Lambda looks for a layer's", tree(t, layer.Dir))
	}
}

func TestALockFileIsFollowed(t *testing.T) {
	buildtest.NeedRegistry(t)
	dir := buildtest.Write(t, map[string]string{"index.js": "1", "package.json": `{"name":"x","dependencies":{"ms":"^2.0.0"}}`})
	lock := exec.Command("npm", "install", "ms@2.1.1", "--package-lock-only", "--no-audit", "--no-fund")
	lock.Dir = dir
	if out, err := lock.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code := mustBuild(t, catalog.Source{Path: dir}, options(t, "nodejs22.x", "index.handler"))
	if got := read(t, code, "node_modules/ms/package.json"); !strings.Contains(got, `"version": "2.1.1"`) {
		t.Errorf("got %s, want the locked version", got)
	}
}

func TestAnInstallationThatFailsNamesThePackages(t *testing.T) {
	t.Setenv("npm_config_offline", "true")
	t.Setenv("npm_config_cache", t.TempDir())
	dir := buildtest.Write(t, map[string]string{"index.js": "1", "package.json": `{"dependencies":{"ms":"2.1.3"}}`})
	_, err := build.Build(t.Context(), catalog.Source{Path: dir, Position: "t.yaml:1:1"}, options(t, "nodejs22.x", "index.handler"))
	wantError(t, err, daruma.KindInvalid, "t.yaml:1:1: build Orders: install ms: npm: exit status 1", "npm error")
}

func TestPipInstallsRequirementsOnce(t *testing.T) {
	buildtest.NeedRegistry(t)
	dir := buildtest.Write(t, map[string]string{"app.py": "import six\nprint(six.__version__)", "requirements.txt": "# one\nsix==1.16.0\n"})
	o := options(t, "python3.11", "app.handler")
	var said []string
	o.Progress = func(text string) { said = append(said, text) }
	code := mustBuild(t, catalog.Source{Path: dir}, o)
	files := tree(t, code.Dir)
	for _, want := range []string{"app.py", "six.py"} {
		if !slices.Contains(files, want) {
			t.Errorf("got %v, want %s among them", files, want)
		}
	}
	again := mustBuild(t, catalog.Source{Path: buildtest.Write(t, map[string]string{"app.py": "import six\nprint(six.__version__)", "requirements.txt": "# one\nsix==1.16.0\n"})}, o)
	if again != code {
		t.Errorf("got %v and %v, want the same content from the same requirements", code, again)
	}
	layer := mustBuild(t, catalog.Source{Path: dir, Layer: true, Method: "python3.11"}, o)
	if !slices.Contains(tree(t, layer.Dir), "python/six.py") {
		t.Errorf("got %v, want packages where Lambda looks for a layer's", tree(t, layer.Dir))
	}
	if got := strings.Join(said, "|"); strings.Count(got, "pip") != 1 {
		t.Errorf("got %q, want one installation", got)
	}
	_, err := build.Build(t.Context(), catalog.Source{Path: buildtest.Write(t, map[string]string{"requirements.txt": "six==0.0.0.1\n"})}, o)
	wantError(t, err, daruma.KindInvalid, "install requirements.txt: ", "six==0.0.0.1")
}

func TestUvInstallsALockedProject(t *testing.T) {
	uv, err := exec.LookPath("uv")
	if err != nil {
		t.Skip("uv is not installed on this machine")
	}
	buildtest.NeedRegistry(t)
	dir := buildtest.Write(t, map[string]string{
		"app.py":         "import six\n",
		"pyproject.toml": "[project]\nname = \"orders\"\nversion = \"1\"\nrequires-python = \">=3.8\"\ndependencies = [\"six==1.16.0\"]\n[dependency-groups]\ndev = [\"colorama\"]\n",
	})
	lock := exec.Command(uv, "lock", "--quiet")
	lock.Dir = dir
	if out, err := lock.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, src := range map[string]catalog.Source{
		"project":      {Path: dir, Method: "python-uv"},
		"requirements": {Path: buildtest.Write(t, map[string]string{"app.py": "import six\n", "requirements.txt": "six==1.16.0\n"}), Method: "python-uv"},
	} {
		files := tree(t, mustBuild(t, src, options(t, "python3.11", "app.handler")).Dir)
		if !slices.Contains(files, "six.py") || !slices.Contains(files, "app.py") || slices.Contains(files, "colorama/__init__.py") {
			t.Errorf("%s: got %v, want the production packages beside the code", name, files)
		}
	}
}

func TestCargoLambdaCompilesARustFunction(t *testing.T) {
	if _, err := exec.LookPath("cargo-lambda"); err != nil {
		t.Skip("cargo-lambda is not installed on this machine")
	}
	dir := buildtest.Write(t, map[string]string{
		"Cargo.toml":  "[package]\nname = \"orders\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n",
		"src/main.rs": "fn main() { println!(\"rust\"); }\n",
	})
	code := mustBuild(t, catalog.Source{Path: dir, Method: "rust-cargolambda"}, options(t, "provided.al2023", "bootstrap"))
	wantTree(t, code, "bootstrap")
	out, err := exec.Command(filepath.Join(code.Dir, "bootstrap")).CombinedOutput()
	if err != nil || string(out) != "rust\n" {
		t.Errorf("got %q (%v), want what the program prints", out, err)
	}
}

func TestCodeIsBuiltAgainForAnotherInterpreter(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"app.py": ""})
	o := options(t, "python3.12", "app.handler")
	for i, c := range []struct {
		python string
		src    catalog.Source
		want   int
	}{{"/a/python3", catalog.Source{Path: dir}, 1}, {"/a/python3", catalog.Source{Path: dir}, 1}, {"/b/python3", catalog.Source{Path: dir}, 2}, {"/a/python3", catalog.Source{Path: dir}, 2}} {
		o.Python = func(context.Context, string) (string, error) { return c.python, nil }
		mustBuild(t, c.src, o)
		records, err := filepath.Glob(filepath.Join(o.Out, "records", "*.json"))
		if err != nil || len(records) != c.want {
			t.Errorf("build %d: got %d records, %v; want %d", i, len(records), err, c.want)
		}
	}
}
