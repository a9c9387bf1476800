package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
)

// compileGo makes a static binary for this machine, named as custom runtimes
// want it. Nothing else is part of the code.
func (j *job) compileGo(ctx context.Context) error {
	if err := j.only("TrimGoPath"); err != nil { // which is done in any case
		return err
	}
	if a := machine(); j.Architecture != "" && j.Architecture != a {
		j.progress("%s is asked for; compiling for this machine's %s", j.Architecture, a)
	}
	if above(j.src.Path, "go.mod") == "" {
		return daruma.Invalidf("no go.mod in %s or above it", j.src.Path)
	}
	env := []string{"CGO_ENABLED=0", "GOOS=" + runtime.GOOS, "GOARCH=" + runtime.GOARCH}
	how := "-trimpath"
	if j.Debug {
		how = "-gcflags=all=-N -l"
	}
	return j.tool(ctx, j.src.Path, env, "go", "build", how, "-buildvcs=false", "-tags=lambda.norpc", "-o", filepath.Join(j.out, "bootstrap"), ".")
}

// machine names this machine's architecture as Lambda does.
func machine() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// makefile runs the target build-<logical id> of the source's Makefile, in a
// copy, with ARTIFACTS_DIR set to where the code shall be.
func (j *job) makefile(ctx context.Context) error {
	work := filepath.Join(j.dir, "source")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	if err := copyTree(j.src.Path, work, map[string]bool{".aws-sam": true, ".git": true, ".daruma": true}); err != nil {
		return err
	}
	dir := work
	for name, v := range j.src.Properties {
		text, ok := v.(string)
		if name != "WorkingDirectory" || !ok || !filepath.IsLocal(text) {
			return refused("Supported for makefile: WorkingDirectory, a directory below CodeUri.", "BuildProperties.%s is not supported", name)
		}
		dir = filepath.Join(work, text)
	}
	if j.src.LogicalID == "" {
		return daruma.Invalidf("a Makefile's target is named after a logical ID, and there is none")
	}
	return j.tool(ctx, dir, []string{"ARTIFACTS_DIR=" + j.out}, "make", "build-"+j.src.LogicalID)
}

// cargoLambda compiles a Rust function with cargo-lambda.
func (j *job) cargoLambda(ctx context.Context) error {
	if _, err := exec.LookPath("cargo-lambda"); err != nil {
		return refused("Install cargo-lambda, or build with a Makefile.", "BuildMethod rust-cargolambda needs cargo-lambda, which was not found")
	}
	made := filepath.Join(j.dir, "lambda")
	args := []string{"lambda", "build", "--release", "--lambda-dir", made}
	for name, v := range j.src.Properties {
		text, ok := v.(string)
		if name != "Binary" || !ok {
			return refused("Supported for rust-cargolambda: Binary.", "BuildProperties.%s is not supported", name)
		}
		args = append(args, "--bin", text)
	}
	// What cargo compiled for this source is kept, so the next build is a short one.
	target := sha256.Sum256([]byte(j.src.Path))
	env := []string{"CARGO_TARGET_DIR=" + filepath.Join(j.Cache, "cargo-"+hex.EncodeToString(target[:16]))}
	if err := j.tool(ctx, j.src.Path, env, "cargo", args...); err != nil {
		return err
	}
	binaries, _ := filepath.Glob(filepath.Join(made, "*", "bootstrap"))
	if len(binaries) != 1 {
		return daruma.Invalidf("cargo lambda made %d binaries, want one; name it in BuildProperties.Binary", len(binaries))
	}
	return os.Rename(binaries[0], filepath.Join(j.out, "bootstrap"))
}

// java returns how a Java source is built: by Maven or Gradle, or not at all when its classes are there.
func (j *job) java() (method, error) {
	switch {
	case isFile(filepath.Join(j.src.Path, "pom.xml")):
		return j.maven, nil
	case isGradle(j.src.Path):
		return j.gradle, nil
	}
	return func(context.Context) error { return copyTree(j.src.Path, j.out, debris) }, nil
}

// newerJava is how compilers say that they are older than the source.
var newerJava = regexp.MustCompile(`(?:invalid target release|invalid source release|release version|Unsupported class file major version)[: ]+(\d+)`)

// olderJDK adds to a failed build which JDK would do.
func olderJDK(err error) error {
	if err == nil {
		return nil
	}
	m := newerJava.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	version := m[1]
	if n, _ := strconv.Atoi(version); strings.Contains(m[0], "class file") {
		version = strconv.Itoa(n - 44) // JVM specification, table 4.1-A
	}
	return &daruma.Error{Kind: daruma.KindOf(err), Err: err, Hint: "It needs Java " + version + " and Maven runs on an older one: install JDK " + version + " and let JAVA_HOME name it."}
}

// maven compiles a module and lays out its classes, with what they need at run
// time in lib/. A layer's go into java/lib.
func (j *job) maven(ctx context.Context) error {
	work := filepath.Join(j.dir, "source")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	if err := copyTree(j.src.Path, work, map[string]bool{".aws-sam": true, ".git": true, ".daruma": true, "target": true}); err != nil {
		return err
	}
	lib := filepath.Join(j.out, "lib")
	if j.src.Layer {
		lib = filepath.Join(j.out, "java", "lib")
	}
	if err := j.tool(ctx, work, nil, "mvn", "-B", "-q", "-Dstyle.color=never", "-DskipTests", "package", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+lib); err != nil {
		return olderJDK(err)
	}
	if j.src.Layer {
		jars, _ := filepath.Glob(filepath.Join(work, "target", "*.jar"))
		for _, jar := range jars {
			if strings.HasPrefix(filepath.Base(jar), "original-") {
				continue
			}
			if err := os.MkdirAll(lib, 0o755); err != nil {
				return err
			}
			if err := os.Rename(jar, filepath.Join(lib, filepath.Base(jar))); err != nil {
				return err
			}
		}
		return nil
	}
	return copyTree(filepath.Join(work, "target", "classes"), j.out, debris)
}
