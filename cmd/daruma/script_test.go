package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/node"
)

// TestMain makes this test binary the daruma command too, and the first
// process of places, as the product's own binary is.
func TestMain(m *testing.M) {
	enterPlace()
	testscript.Main(m, map[string]func(){"daruma": main})
}

func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir() // built once for all scripts
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", examples)
			env.Setenv("DARUMA_CACHE", cache)
			for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "PATH", "npm_config_cache", "PIP_CACHE_DIR"} {
				if v, ok := os.LookupEnv(name); ok {
					env.Setenv(name, v)
				}
			}
			home, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			env.Setenv("HOME", home) // build tools find their settings there
			env.Defer(func() { down(env.WorkDir) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up":         upScript,
			"http":       httpScript,
			"eventually": eventuallyScript,
			"untillog":   untilLogScript,
			"untilexec":  untilExecScript,
			"host":       new(host).script,
			"debugged":   debuggedScript,
		},
	})
}

// upScript runs "daruma up" in the background on ports of its own: up [ARGUMENTS…].
func upScript(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec("daruma", append([]string{"up", "--detach", "--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0"}, args...)...)
	if neg != (err != nil) {
		ts.Fatalf("up: %v", err)
	}
}

// down stops every node that a script has left running.
func down(dir string) {
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == node.DataDir {
			if a, err := node.Find("", path); err == nil {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				if body, err := ask(ctx, a, "POST", "/api/stop"); err == nil {
					body.Close()
				}
				waitUntilStopped(ctx, a, 20*time.Second)
			}
			return filepath.SkipDir
		}
		return nil
	})
}

// httpScript asks the app: http STATUS METHOD PATH [-H NAME:VALUE]… [-d BODY] [-to aws|web|console] [-data DIR].
// The answer's headers and body are written to the file "answer".
func httpScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: http STATUS METHOD PATH [-H NAME:VALUE] [-d BODY] [-to DOOR] [-data DIR]")
	}
	status, answer, err := request(ts, args[1:])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), answer, 0o600))
	if fmt.Sprint(status) != args[0] {
		ts.Fatalf("%s %s: got %d, want %s\n%s", args[1], args[2], status, args[0], answer)
	}
}

func request(ts *testscript.TestScript, args []string) (int, []byte, error) {
	method, path, body, door, data := args[0], args[1], "", "web", ""
	header := http.Header{}
	for i := 2; i+1 < len(args); i += 2 {
		switch args[i] {
		case "-H":
			name, value, _ := strings.Cut(args[i+1], ":")
			header.Add(name, strings.TrimSpace(value))
		case "-d":
			body = args[i+1]
		case "-to":
			door = args[i+1]
		case "-data":
			data = ts.MkAbs(args[i+1])
		}
	}
	a, err := node.Find(ts.MkAbs("."), data)
	if err != nil {
		return 0, nil, err
	}
	base := map[string]string{"web": a.Web, "aws": a.AWS, "console": a.Console}[door]
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = header
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var out bytes.Buffer
	resp.Header.Write(&out)
	out.WriteString("\n")
	_, err = io.Copy(&out, resp.Body)
	return resp.StatusCode, out.Bytes(), err
}

// eventuallyScript asks the app until the answer contains a text: eventually TEXT METHOD PATH […as http].
func eventuallyScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: eventually TEXT METHOD PATH …")
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		_, answer, err := request(ts, args[1:])
		if err == nil && bytes.Contains(answer, []byte(args[0])) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q did not come: %v\n%s", args[0], err, answer)
		}
	}
}

// untilLogScript follows a function's log until a line matches: untillog FUNCTION REGEXP.
func untilLogScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: untillog FUNCTION REGEXP")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	a, err := node.Find(ts.MkAbs("."), "")
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	body, err := ask(ctx, a, "GET", "/api/logs?follow=true&function="+args[0])
	ts.Check(err)
	defer body.Close()
	found := errors.New("found")
	err = eachLine(body, func(l daruma.Line) error {
		if want.MatchString(l.Text) {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		ts.Fatalf("%s never logged %s: %v", args[0], args[1], err)
	}
}

func TestAStopEndsTheFollowedLog(t *testing.T) {
	var got []string
	in := bufio.NewScanner(strings.NewReader(`{"time":"2026-01-02T15:04:05Z","function":"f","stream":"stdout","text":"one\n"}` + "\n"))
	show := newLinePrinter(&lineSink{&got}, false)
	for in.Scan() {
		if err := eachLine(bytes.NewReader(in.Bytes()), show); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 1 || !strings.HasSuffix(got[0], " f  one\n") {
		t.Errorf("got %q", got)
	}
}

type lineSink struct{ lines *[]string }

func (s *lineSink) Write(b []byte) (int, error) {
	*s.lines = append(*s.lines, string(b))
	return len(b), nil
}

func TestShellWordsAreQuoted(t *testing.T) {
	for in, want := range map[string]string{"plain-1.2/x": "plain-1.2/x", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestReadyHasNoSecret(t *testing.T) {
	b, err := json.Marshal(node.Address{Token: "secret"}.Ready())
	if err != nil || strings.Contains(string(b), "secret") {
		t.Errorf("got %s, %v", b, err)
	}
}

// untilExecScript runs a command until what it prints matches: untilexec REGEXP COMMAND …
func untilExecScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: untilexec REGEXP COMMAND …")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	deadline := time.Now().Add(60 * time.Second)
	for {
		_ = ts.Exec(args[1], args[2:]...) // it may well fail at first
		out := ts.ReadFile("stdout")
		if want.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not come:\n%s", args[0], out)
		}
		<-pause.C
	}
}
