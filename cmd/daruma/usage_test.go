package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Examples are there to be copied, and stay in one line.
func TestHelpFitsATerminal(t *testing.T) {
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		var out bytes.Buffer
		c.SetOut(&out)
		if err := c.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(strings.Replace(out.String(), c.Example, "", 1)) {
			if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > helpColumns {
				t.Errorf("%s: got a line of %d columns, want %d at most: %s", c.CommandPath(), utf8.RuneCountInString(line), helpColumns, line)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(newRoot(world{}))
}

func TestARowOfATableIsOneLine(t *testing.T) {
	var out bytes.Buffer
	table(&out, "FUNCTION\tSTATE\tRUNS", func(row func(...any)) {
		row("Go", "failed: go: exit status 1\n# gof\n./main.go:5:9: syntax error\n", 1)
		row("Node", "a\ttab\n", 2)
	})
	want := "\nFUNCTION  STATE                        RUNS\nGo        failed: go: exit status 1 …  1\nNode      a tab                        2\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestACommandLineThatIsWrongSaysHowItIs(t *testing.T) {
	for line, want := range map[string]string{
		"foo":                                    `unknown command "foo"`,
		"fialures":                               `did you mean failures?`,
		"failures shwo F-1":                      `unknown command "failures shwo"; did you mean show?`,
		"experiment rnu":                         `unknown command "experiment rnu"; did you mean run?`,
		"completion tcsh":                        `unknown command "completion tcsh"`,
		"invoke":                                 "no arguments are given, and it is: daruma invoke FUNCTION [flags]",
		"queues send Orders":                     "1 argument is given, and it is: daruma queues send QUEUE BODY [flags]",
		"ps now please":                          "2 arguments are given, and it is: daruma ps [flags]",
		"up --bogus":                             "unknown flag: --bogus\nSee: daruma up --help",
		"up --time-scale=0":                      "--time-scale 0 is not a number from 1 to 1000",
		"invoke F --event {} --file f":           "--event and --file do not go together\nSee: daruma invoke --help",
		"invoke F --client-context x":            "--client-context is no JSON object",
		"invoke F --async --logs":                "--async and --logs do not go together",
		"failures discard F-1":                   "--reason must be given\nSee: daruma failures discard --help",
		"failures redrive F-1 --rate=-1":         "--rate -1 is not a number above 0",
		"failures redrive F-1 F-2 --edit e.json": "--edit goes with one failure",
	} {
		var shown strings.Builder
		w := world{args: strings.Fields(line), dir: t.TempDir(), lookup: func(string) (string, bool) { return "", false }, out: io.Discard, err: &shown}
		if code := run(w); code != exitUsage || !strings.Contains(shown.String(), want) {
			t.Errorf("daruma %s: got %d and %q, want %d and %q", line, code, shown.String(), exitUsage, want)
		}
	}
}
