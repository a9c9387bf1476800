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

// Python returns the bin directory of a virtual environment that has boto3 and the CLI.
func Python(t *testing.T) string {
	t.Helper()
	dir := dir(t)
	bin := filepath.Join(dir, "venv", "bin")
	if _, err := os.Stat(filepath.Join(bin, "aws")); err == nil {
		return bin
	}
	if out, err := Command(dir, "python3", "-m", "venv", "venv"); err != nil {
		t.Skipf("no virtual environment of Python can be made here: %v\n%s", err, out)
	}
	if out, err := Command(dir, filepath.Join(bin, "pip"), "install", "-q", "boto3", "awscli"); err != nil {
		t.Skipf("boto3 and awscli cannot be installed here: %v\n%s", err, out)
	}
	return bin
}

// JavaScript runs a script for Node.js that imports an official client, such as "@aws-sdk/client-sqs".
func JavaScript(t *testing.T, client, script string, args ...string) {
	t.Helper()
	dir := dir(t)
	if _, err := os.Stat(filepath.Join(dir, "node_modules", filepath.FromSlash(client))); err != nil {
		if out, err := Command(dir, "npm", "install", "--no-audit", "--no-fund", "--prefix", dir, client); err != nil {
			t.Skipf("%s cannot be installed here: %v\n%s", client, err, out)
		}
	}
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(filepath.Base(client), "client-", "") + ".mjs"
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := Command(dir, "node", append([]string{name}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}
