package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
)

func TestThePortsOfANodeThatRunsAreToldToBeItsOwn(t *testing.T) {
	dir := t.TempDir()
	template := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(template, []byte("Resources: { Q: { Type: AWS::SQS::Queue } }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := Config{Template: template, Data: filepath.Join(dir, DataDir), AWSAddr: l.Addr().String(), WebAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0"}
	if _, err := Open(t.Context(), cfg); daruma.KindOf(err) != daruma.KindLocked || !strings.Contains(daruma.HintOf(err), "choose another with --aws-addr") {
		t.Errorf("got %v (%s), want the port of another program", err, daruma.HintOf(err))
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (Address{Data: cfg.Data, PID: os.Getpid()}).write(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg); daruma.KindOf(err) != daruma.KindLocked || !strings.Contains(err.Error(), "it is running already") {
		t.Errorf("got %v, want to be told that the node is running", err)
	}
}
