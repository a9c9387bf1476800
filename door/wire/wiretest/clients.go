// Package wiretest is what tests of the doors that speak AWS's protocols share:
// the official clients of other languages, run against a door. It never ships.
// Its functions may be called by any number of tests at once, each with its own t.
//
// Clients are installed once, with the registries' ordinary tools, into
// daruma-clients in the user's cache directory, each set of them for itself.
// Where a tool is missing or a registry is out of reach, the test is skipped.
package wiretest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Command runs a program in a directory, with the key AKID of region us-east-1
// and nothing else of an AWS configuration.
func Command(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "AWS_ACCESS_KEY_ID=AKID", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PAGER=")
	out, err := c.CombinedOutput()
	return string(out), err
}

// run is a Command of which nothing but an error is wanted.
func run(dir, name string, args ...string) error {
	if out, err := Command(dir, name, args...); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// python returns the bin directory of a virtual environment with packages, by
// their names at the registry.
func python(t *testing.T, packages ...string) string {
	t.Helper()
	dir := installed(t, "Python "+strings.Join(packages, " "), func(dir string) error {
		if err := run(dir, "python3", "-m", "venv", "."); err != nil {
			return err
		}
		return run(dir, filepath.Join(dir, "bin", "pip"), append([]string{"install", "-q", "--retries", "1"}, packages...)...)
	})
	return filepath.Join(dir, "bin")
}

// Programs returns the directory with the programs that packages for Python
// bring along, and their interpreter.
func Programs(t *testing.T, packages ...string) string {
	t.Helper()
	return python(t, packages...)
}

// A Step is one call of the AWS CLI: with these arguments it prints what is
// wanted, and fails or does not.
type Step struct {
	Args []string
	Want string
	Fail bool
}

// CLI calls the AWS CLI for a door, step by step, with arguments that follow a
// service's name, if one is given. It returns the directory it was called in.
func CLI(t *testing.T, url, service string, steps []Step) string {
	t.Helper()
	aws, dir := filepath.Join(python(t, "boto3", "awscli"), "aws"), t.TempDir()
	for _, s := range steps {
		args := []string{"--endpoint-url", url, "--output", "json"}
		if service != "" {
			args = append(args, service)
		}
		out, err := Command(dir, aws, append(args, s.Args...)...)
		if (err != nil) != s.Fail || !strings.Contains(out, s.Want) {
			t.Errorf("aws %s %s: got %v\n%s\nwant %s", service, strings.Join(s.Args, " "), err, out, s.Want)
		}
	}
	return dir
}

// PythonScript runs a script with boto3 and further packages.
func PythonScript(t *testing.T, packages []string, script string, args ...string) {
	t.Helper()
	if len(packages) == 0 {
		packages = []string{"awscli"} // as the CLI has it
	}
	bin := python(t, append([]string{"boto3"}, packages...)...)
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Command(t.TempDir(), filepath.Join(bin, "python"), append([]string{path}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

// NodeScript runs a script for Node.js that imports packages, such as "@aws-sdk/client-sqs".
func NodeScript(t *testing.T, packages []string, script string, args ...string) {
	t.Helper()
	dir := installed(t, "Node.js "+strings.Join(packages, " "), func(dir string) error {
		return run(dir, "npm", append([]string{"install", "--no-audit", "--no-fund", "--fetch-retries=1", "--prefix", dir}, packages...)...)
	})
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(dir, "*.mjs") // it finds node_modules beside it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // it lies in a directory of the test
	if _, err := file.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := Command(dir, "node", append([]string{file.Name()}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}
