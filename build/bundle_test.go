package build_test

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/build"
	"github.com/daruma-io/daruma/build/buildtest"
	"github.com/daruma-io/daruma/catalog"
)

// eval runs an expression in Node.js with m bound to the module at file.
func eval(t testing.TB, file, expression string) string {
	t.Helper()
	out, err := exec.Command("node", "-e", "import('"+file+"').then(m => m.default ?? m).then(async m => console.log("+expression+"))").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestTypeScriptRunsWithoutAnyMetadata(t *testing.T) {
	shared := buildtest.Write(t, map[string]string{"shared.ts": "export const far: string = 'far'"})
	dir := filepath.Join(shared, "fn")
	buildtest.Put(t, dir, map[string]string{
		"src/app.ts":  "import { near } from './near'; import { far } from '../../shared'; import { S3Client } from '@aws-sdk/client-s3';\nenum E { A = 'a' }\nexport const handler = async (e: { x: number }): Promise<string> => [E.A, near, far, e.x, typeof S3Client].join()",
		"src/near.ts": "export const near = 'near' as const", "data.json": "{}", "tsconfig.json": "{}", "package.json": "{}",
	})
	src, o := catalog.Source{Path: dir}, options(t, "nodejs20.x", "src/app.handler")
	code := mustBuild(t, src, o)
	wantTree(t, code, "data.json", "src/app.js", "src/app.js.map")
	if got := read(t, code, "src/app.js"); !strings.Contains(got, `require("@aws-sdk/client-s3")`) {
		t.Errorf("got %s, want the SDK left to the runtime", got)
	}
	buildtest.Put(t, code.Dir, map[string]string{"node_modules/@aws-sdk/client-s3/index.js": "exports.S3Client = class {}"})
	if got := eval(t, filepath.Join(code.Dir, "src/app.js"), "await m.handler({ x: 1 })"); got != "a,near,far,1,function" {
		t.Errorf("got %s, want what the handler returns", got)
	}
	if got := build.Extra(src, o); len(got) != 1 || got[0] != filepath.Join(shared, "shared.ts") {
		t.Errorf("got extra inputs %v, want the file beside the source", got)
	}
	buildtest.Put(t, shared, map[string]string{"shared.ts": "export const far: string = 'further'"})
	if again := mustBuild(t, src, o); again.SHA256 == code.SHA256 {
		t.Error("got the old code after a file beside the source changed")
	}
}

func TestTypeScriptModulesBecomeModules(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{
		"app.ts":  "import fs from 'node:fs'; import cjs from './old.cjs'; const v = await Promise.resolve(1); export const handler = async () => [typeof fs.readFileSync, cjs, v].join()",
		"old.cjs": "module.exports = typeof require('node:os').cpus", "package.json": `{"type":"module"}`,
	})
	code := mustBuild(t, catalog.Source{Path: dir}, options(t, "nodejs20.x", "app.handler"))
	if got := eval(t, filepath.Join(code.Dir, "app.mjs"), "await m.handler()"); got != "function,function,1" {
		t.Errorf("got %s, want what the handler returns", got)
	}
}

func TestABrokenTypeScriptFileIsNamedWithTheLine(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"app.ts": "export const handler = (\n"})
	_, err := build.Build(t.Context(), catalog.Source{Path: dir, Position: "t.yaml:1:1"}, options(t, "nodejs20.x", "app.handler"))
	wantError(t, err, daruma.KindInvalid, "t.yaml:1:1: build Orders: esbuild:", "Unexpected end of file", "app.ts:2:0")
}

func TestEsbuildFollowsTheTemplatesProperties(t *testing.T) {
	files := map[string]string{
		"src/a.ts": "import text from './t.txt'; import dep from 'dep'; import ext from 'ext';\nexport const handler = async () => [text.trim(), dep, WHO, typeof ext, longName(1)].join();\nfunction longName(parameter: number) { return parameter ?? 0 }",
		"src/b.ts": "export const handler = async () => 'b'", "src/t.txt": "text", "node_modules/dep/index.js": "module.exports = 'dep'", "package.json": `{"dependencies":{"dep":"1"}}`,
	}
	dir := buildtest.Write(t, files)
	o := options(t, "nodejs20.x", "a.handler")
	p := map[string]any{
		"EntryPoints": []any{"src/a.ts", "src/b.ts"}, "Target": "es2020", "Format": "esm", "OutExtension": []any{".js=.mjs"}, "Minify": false, "Sourcemap": true,
		"External": []any{"ext"}, "Loader": []any{".txt=text"}, "Define": map[string]any{"WHO": `"me"`}, "Banner": []any{"js=/* hello */"},
	}
	code := mustBuild(t, catalog.Source{Path: dir, Method: "esbuild", Properties: p}, o)
	wantTree(t, code, "a.mjs", "a.mjs.map", "b.mjs", "b.mjs.map")
	a := read(t, code, "a.mjs")
	for _, want := range []string{"/* hello */", "longName(parameter)", `from "ext"`} {
		if !strings.Contains(a, want) {
			t.Errorf("got %s, want %s in it", a, want)
		}
	}
	buildtest.Put(t, code.Dir, map[string]string{"node_modules/ext/index.js": "module.exports = () => {}"})
	if got := eval(t, filepath.Join(code.Dir, "a.mjs"), "await m.handler()"); got != "text,dep,me,function,1" {
		t.Errorf("got %s, want what the handler returns", got)
	}

	delete(p, "Minify")
	delete(p, "Format")
	p["Sourcemap"], p["OutExtension"] = "false", map[string]any{".js": ".cjs"}
	code = mustBuild(t, catalog.Source{Path: dir, Method: "esbuild", Properties: p}, o)
	wantTree(t, code, "a.cjs", "b.cjs")
	if a := read(t, code, "a.cjs"); strings.Contains(a, "parameter") || !strings.Contains(a, "module.exports") {
		t.Errorf("got %s, want CommonJS, minified, as sam does by default", a)
	}

	for name, v := range map[string]any{"Watch": true, "Target": "chrome1", "Format": "umd", "EntryPoints": []any{"../x.ts"}, "Minify": "perhaps", "Loader": []any{".x=y"}} {
		_, err := build.Build(t.Context(), catalog.Source{Path: dir, Method: "esbuild", Properties: map[string]any{name: v}}, o)
		if err == nil || !strings.Contains(err.Error(), "BuildProperties."+name) {
			t.Errorf("%s: got %v, want it refused by name", name, err)
		}
	}
	code = mustBuild(t, catalog.Source{Path: dir, Method: "esbuild"}, options(t, "nodejs20.x", "src/b.handler"))
	wantTree(t, code, "b.js")
}

func TestEsbuildInstallsWhatIsNotThere(t *testing.T) {
	buildtest.NeedRegistry(t)
	dir := buildtest.Write(t, map[string]string{"app.ts": "import ms from 'ms'; export const handler = async () => ms('1s')", "package.json": `{"dependencies":{"ms":"2.1.3"}}`})
	code := mustBuild(t, catalog.Source{Path: dir, Method: "esbuild"}, options(t, "nodejs20.x", "app.handler"))
	wantTree(t, code, "app.js")
	if got := eval(t, filepath.Join(code.Dir, "app.js"), "await m.handler()"); got != "1000" {
		t.Errorf("got %s, want 1000", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err == nil {
		t.Error("got node_modules in the source, want it unchanged")
	}
}

func TestAnArchiveIsUnpackedAsCode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "code.zip")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	w, err := z.Create("index.js")
	if err == nil {
		_, err = w.Write([]byte("1"))
	}
	if err != nil || z.Close() != nil || f.Close() != nil {
		t.Fatal(err)
	}
	o := options(t, "nodejs22.x", "index.handler")
	wantTree(t, mustBuild(t, catalog.Source{Path: file}, o), "index.js")
	wantTree(t, mustBuild(t, catalog.Source{Path: file, Built: true, Layer: true}, o), "index.js")
	if err := os.WriteFile(file, []byte("torn"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = build.Build(t.Context(), catalog.Source{Path: file, Position: "t.yaml:1:1"}, o)
	wantError(t, err, daruma.KindInvalid, "t.yaml:1:1: build Orders: unpack "+file, "not a zip archive")
}

func TestMavenLaysOutClassesAndLibraries(t *testing.T) {
	if _, err := exec.LookPath("mvn"); err != nil {
		t.Skip("Maven is not installed on this machine")
	}
	buildtest.NeedRegistry(t)
	dir := buildtest.Write(t, map[string]string{
		"pom.xml":                  `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId><version>1</version><properties><maven.compiler.source>11</maven.compiler.source><maven.compiler.target>11</maven.compiler.target></properties><dependencies><dependency><groupId>com.amazonaws</groupId><artifactId>aws-lambda-java-core</artifactId><version>1.2.3</version></dependency></dependencies></project>`,
		"src/main/java/g/App.java": "package g;\nimport com.amazonaws.services.lambda.runtime.*;\npublic class App implements RequestHandler<String, String> { public String handleRequest(String in, Context c) { return in; } }\n",
	})
	code := mustBuild(t, catalog.Source{Path: dir}, options(t, "java17", "g.App"))
	wantTree(t, code, "g/App.class", "lib/aws-lambda-java-core-1.2.3.jar")
}

func TestOneFileOfCodeIsAllThereIs(t *testing.T) {
	dir := buildtest.Write(t, map[string]string{"app.py": "def handler(e, c): return e\n", "other.py": "", "requirements.txt": "boto3\n"})
	code := mustBuild(t, catalog.Source{Path: filepath.Join(dir, "app.py")}, options(t, "python3.12", "app.handler"))
	wantTree(t, code, "app.py")
}

func TestMavenOnAnOlderJDKSaysWhichOneWouldDo(t *testing.T) {
	for text, want := range map[string]string{
		"Fatal error compiling: error: invalid target release: 21": "JDK 21", "error: release version 25 not supported": "JDK 25",
		"Unsupported class file major version 65": "JDK 21", "error: invalid source release: 17": "JDK 17", "cannot find symbol": "",
	} {
		dir := t.TempDir()
		script := "#!/bin/sh\nprintf '\\033[1;31m%s\\033[m' '" + text + "'\nexit 1\n"
		if err := os.WriteFile(filepath.Join(dir, "mvn"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
		_, err := build.Build(t.Context(), catalog.Source{Path: buildtest.Write(t, map[string]string{"pom.xml": "<project/>"})}, options(t, "java21", "g.App"))
		if hint := daruma.HintOf(err); err == nil || !strings.HasSuffix(err.Error(), "exit status 1\n"+text) || want == "" != (hint == "") || !strings.Contains(hint, want) {
			t.Errorf("%s: got %v with the hint %q, want one with %q", text, err, hint, want)
		}
	}
}
