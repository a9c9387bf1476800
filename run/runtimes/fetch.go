package runtimes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

const (
	// fetchTimeout bounds one run of a package tool.
	fetchTimeout = 10 * time.Minute
	// tailLines is how many of a failed tool's last lines are shown.
	tailLines = 12
	// javaClient is the Runtime API client for Java, by its Maven coordinates.
	javaClient = "com.amazonaws:aws-lambda-java-runtime-interface-client:2.6.0"
)

// npmInstall puts packages into dir/node_modules.
func (r *Runtimes) npmInstall(ctx context.Context, dir string, packages []string) error {
	npm := r.look("npm")
	if npm == "" {
		return missingTool("npm", packages, "Install npm, or add the packages to the function's own package.json.")
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true}`), 0o644); err != nil {
		return err
	}
	args := append([]string{"install", "--prefix", dir, "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"}, packages...)
	if err := r.fetch(ctx, dir, packages, npm, args...); err != nil {
		return err
	}
	// What is left of the installation must not say what kind of module our bootstrap is.
	return os.Remove(filepath.Join(dir, "package.json"))
}

// pipInstall puts packages into dir with i's own pip, compiled so that the
// result does not depend on file times.
func (r *Runtimes) pipInstall(ctx context.Context, i interpreter, dir string, packages []string) error {
	args := append([]string{"-m", "pip", "install", "--target", dir, "--no-compile", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--quiet", "--root-user-action=ignore"}, packages...)
	if err := r.fetch(ctx, dir, packages, i.file, args...); err != nil {
		return err
	}
	return r.tool(ctx, dir, packages, i.file, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", dir)
}

// mavenFetch puts the Java client and what it needs into dir/lib.
func (r *Runtimes) mavenFetch(ctx context.Context, dir string) error {
	packages := []string{javaClient}
	mvn := r.look("mvn")
	if mvn == "" {
		return missingTool("mvn", packages, "Install Maven, and start again.")
	}
	c := strings.Split(javaClient, ":")
	pom := fmt.Sprintf(`<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>daruma</groupId><artifactId>java</artifactId><version>1</version><dependencies><dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency></dependencies></project>`, c[0], c[1], c[2])
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(pom), 0o644); err != nil {
		return err
	}
	return r.fetch(ctx, dir, packages, mvn, "-B", "-q", "-f", filepath.Join(dir, "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, "lib"))
}

func missingTool(tool string, packages []string, hint string) error {
	return &daruma.Error{Op: "fetch " + strings.Join(packages, ", "), Kind: daruma.KindUnsupported, Err: fmt.Errorf("%s was not found", tool), Hint: hint}
}

// fetch runs a package tool that fetches packages, and tells of it.
func (r *Runtimes) fetch(ctx context.Context, dir string, packages []string, name string, args ...string) error {
	r.config.Progress("fetching " + strings.Join(packages, ", ") + " …")
	return r.tool(ctx, dir, packages, name, args...)
}

// tool runs a package tool with the machine's own configuration.
func (r *Runtimes) tool(ctx context.Context, dir string, packages []string, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return &daruma.Error{
		Op: "fetch " + strings.Join(packages, ", "), Kind: daruma.KindUnavailable,
		Err:  errors.Join(fmt.Errorf("%s: %w", filepath.Base(name), err), errors.New(tail(out.String()))),
		Hint: "The runtime brings this along on AWS and the code imports it. Make the package registry reachable, or let the function bring it itself.",
	}
}

func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}
