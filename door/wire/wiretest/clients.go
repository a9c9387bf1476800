// Package wiretest is what tests of the doors that speak AWS's protocols share:
// the official clients of other languages, run against a door. It never ships.
// Its functions may be called by any number of tests at once, each with its own t.
package wiretest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ClientsVar opts in to tests with the clients of other languages. They take
// minutes, and need a package registry unless its value is a directory where
// they were installed before (a virtual environment "venv" and "node_modules").
const ClientsVar = "DARUMA_CLIENTS"

// dir returns where the clients are or are to be installed.
func dir(t *testing.T) string {
	t.Helper()
	v := os.Getenv(ClientsVar)
	if v == "" {
		t.Skip("the clients of other languages are tried only when " + ClientsVar + " is 1, or a directory to keep them in")
	}
	if v == "1" {
		return t.TempDir()
	}
	if err := os.MkdirAll(v, 0o755); err != nil {
		t.Fatal(err)
	}
	return v
}

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

// Python returns the bin directory of a virtual environment that has boto3, the
// CLI, and further packages by their names at the registry.
func Python(t *testing.T, packages ...string) string {
	t.Helper()
	dir := dir(t)
	bin := filepath.Join(dir, "venv", "bin")
	if _, err := os.Stat(filepath.Join(bin, "aws")); err != nil {
		if out, err := Command(dir, "python3", "-m", "venv", "venv"); err != nil {
			t.Skipf("no virtual environment of Python can be made here: %v\n%s", err, out)
		}
		packages = append([]string{"boto3", "awscli"}, packages...)
	}
	if len(packages) == 0 {
		return bin
	}
	pip := filepath.Join(bin, "pip")
	if _, err := Command(dir, pip, append([]string{"show", "-q"}, packages...)...); err == nil {
		return bin
	}
	if out, err := Command(dir, pip, append([]string{"install", "-q"}, packages...)...); err != nil {
		t.Skipf("%s cannot be installed here: %v\n%s", strings.Join(packages, ", "), err, out)
	}
	return bin
}

// PythonScript runs a script with boto3 and further packages.
func PythonScript(t *testing.T, packages []string, script string, args ...string) {
	t.Helper()
	bin := Python(t, packages...)
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

// JavaScript runs a script for Node.js that imports an official client, such as "@aws-sdk/client-sqs".
func JavaScript(t *testing.T, client, script string, args ...string) {
	t.Helper()
	NodeScript(t, []string{client}, script, args...)
}

// NodeScript runs a script for Node.js that imports packages.
func NodeScript(t *testing.T, packages []string, script string, args ...string) {
	t.Helper()
	dir := dir(t)
	for _, p := range packages {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", filepath.FromSlash(p))); err == nil {
			continue
		}
		if out, err := Command(dir, "npm", append([]string{"install", "--no-audit", "--no-fund", "--prefix", dir}, packages...)...); err != nil {
			t.Skipf("%s cannot be installed here: %v\n%s", strings.Join(packages, ", "), err, out)
		}
		break
	}
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(dir, "*.mjs") // it finds node_modules beside it
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
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
