package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/daruma-io/daruma/reproduce"
)

// debuggedScript is the command "debugged": debugged TEXT F-N reproduces a
// failure of a Node.js function under the debugger that comes with Node.js,
// stops where the handler has the line "debugger", and looks for TEXT in what
// the debugger shows there. The result is written to the file "result".
func debuggedScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: debugged TEXT F-N")
	}
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if file := filepath.Join(dir, "daruma"); program == "" {
			if _, err := os.Stat(file); err == nil {
				program = file
			}
		}
	}
	cmd := exec.Command(program, "reproduce", args[1], "--debug", "--json")
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "DARUMA_CACHE", "TESTSCRIPT_COMMAND"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	var wrong strings.Builder
	cmd.Stderr = &wrong
	ts.Check(cmd.Start())
	defer cmd.Process.Kill()
	lines := bufio.NewReader(out)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		ts.Fatalf("%v: %s", err, wrong.String())
	}
	var told struct{ Attach reproduce.Attach }
	ts.Check(json.Unmarshal(first, &told))

	debugger := exec.Command("node", "inspect", told.Attach.Address)
	debugger.Env = append(os.Environ(), "NO_COLOR=1")
	in, err := debugger.StdinPipe()
	ts.Check(err)
	shown, err := debugger.StdoutPipe()
	ts.Check(err)
	ts.Check(debugger.Start())
	defer debugger.Process.Kill()
	read := func(until string) string { // what is shown, up to a text
		var b strings.Builder
		for piece := make([]byte, 1); !strings.Contains(b.String(), until); {
			n, err := shown.Read(piece)
			b.Write(piece[:n])
			if err != nil {
				ts.Fatalf("%q did not come: %v\n%s", until, err, b.String())
			}
		}
		return b.String()
	}
	read("Break on start")
	io.WriteString(in, "cont\n")
	read("debugger")
	io.WriteString(in, "exec('e.item + \" is here\"')\n")
	read(args[0])
	io.WriteString(in, "cont\n")
	result, err := lines.ReadBytes('\n')
	if err != nil {
		ts.Fatalf("%v: %s", err, wrong.String())
	}
	ts.Check(os.WriteFile(ts.MkAbs("result"), result, 0o600))
	ts.Check(cmd.Wait())
}
