package ledger

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// A Location is a place in a function's code.
type Location struct {
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Function string `json:"function,omitempty"`
}

// String returns "app.py:12 handler", leaving out what is not known.
func (l Location) String() string {
	s := l.File
	if l.Line > 0 {
		s += ":" + strconv.Itoa(l.Line)
	}
	if l.Function != "" {
		s = strings.TrimSpace(s + " " + l.Function)
	}
	return s
}

// identity is what stays of a place when lines move.
func (l Location) identity() string {
	if l.Function != "" {
		return l.File + " " + l.Function
	}
	return l.String()
}

// Frames of the runtimes as they are found in the errors functions report.
var (
	nodeFrame   = regexp.MustCompile(`^\s*at (?:async )?(?:(.+?) \()?((?:file://)?[^()\s][^()]*?):(\d+):\d+\)?$`)
	pythonFrame = regexp.MustCompile(`^\s*File "([^"]+)", line (\d+)(?:, in (\S+))?`)
	javaFrame   = regexp.MustCompile(`^\s*(?:at )?((?:[\w.$-]+/)*[\w.$]+\.[\w$<>]+)\(([^:()]+)(?::(\d+))?\)$`)
)

// notOwn are parts of paths and names of code that is not the function's own.
var notOwn = []string{"/node_modules/", "node:", "/var/runtime/", "/var/lang/", "/opt/", "/site-packages/", "/dist-packages/", "internal/",
	"<frozen ", "/usr/lib/", "/usr/local/", "github.com/aws/aws-lambda-go", "/go/pkg/mod/", "/src/runtime/", "runtime/", "net/http/", "reflect/",
	"java.", "javax.", "jdk.", "sun.", "com.sun.", "com.amazonaws.", "software.amazon.", "lambdainternal."}

// A said is an error as runtimes report it.
type said struct {
	Node   []string        `json:"trace"`
	Stack  json.RawMessage `json:"stackTrace"`
	Raised string          `json:"stack"`
}

// Trace reads the stack out of the error a function reported, the lines as its
// runtime wrote them, and the innermost frame that is the function's own: of
// Node.js ("trace"), Python and Java ("stackTrace" of texts), and Go
// ("stackTrace" of objects). What is not understood is no stack.
func Trace(payload []byte) (stack []string, at Location) {
	var s said
	if json.Unmarshal(payload, &s) != nil {
		return nil, Location{}
	}
	stack = s.Node
	if len(stack) == 0 && s.Raised != "" {
		stack = strings.Split(s.Raised, "\n")
	}
	if len(stack) == 0 && len(s.Stack) > 0 {
		stack = texts(s.Stack)
	}
	python := false
	var found Location
	for _, line := range stack {
		l, isPython := frame(line)
		python = python || isPython
		if l.File == "" || !own(l, line) {
			continue
		}
		if found = l; !python {
			break // innermost first; Python writes it last
		}
	}
	return stack, found
}

// texts reads a stack of texts, or of the objects a Go program reports.
func texts(raw json.RawMessage) []string {
	var lines []string
	if json.Unmarshal(raw, &lines) == nil {
		return lines
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return strings.Split(one, "\n")
	}
	var frames []struct {
		Path  string `json:"path"`
		Line  int    `json:"line"`
		Label string `json:"label"`
	}
	if json.Unmarshal(raw, &frames) != nil {
		return nil
	}
	lines = nil // an empty text for each object: what was read until the first did not fit
	for _, f := range frames {
		lines = append(lines, "at "+f.Label+" ("+f.Path+":"+strconv.Itoa(f.Line)+":0)")
	}
	return lines
}

// frame reads one line of a stack.
func frame(line string) (l Location, python bool) {
	line, _, _ = strings.Cut(line, "\n")
	if m := pythonFrame.FindStringSubmatch(line); m != nil {
		return located(m[1], m[2], m[3]), true
	}
	if m := nodeFrame.FindStringSubmatch(line); m != nil {
		return located(strings.TrimPrefix(m[2], "file://"), m[3], m[1]), false
	}
	if m := javaFrame.FindStringSubmatch(line); m != nil {
		return located(m[2], m[3], m[1]), false
	}
	return Location{}, false
}

func located(file, line, function string) Location {
	n, _ := strconv.Atoi(line) // "" when there is none
	return Location{File: strings.TrimPrefix(file, "/var/task/"), Line: n, Function: function}
}

func own(l Location, line string) bool {
	for _, p := range notOwn {
		if strings.HasPrefix(p, "/") {
			if strings.Contains(line, p) {
				return false
			}
			continue
		}
		if strings.HasPrefix(l.Function, p) || strings.HasPrefix(l.File, p) {
			return false
		}
	}
	return l.File != "Native Method" && l.File != "Unknown Source" && l.File != "<anonymous>"
}
