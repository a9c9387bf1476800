package run_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
)

func TestLinesComeInOrderAndKnowTheirRequest(t *testing.T) {
	w := newWorld(t, nil, function("log"))
	w.runID(`"x"`)
	var got []string
	for _, l := range w.obs.Lines() {
		request := "-"
		if l.Request == requestID {
			request = "R"
		}
		got = append(got, request+" "+l.Stream+" "+regexp.MustCompile(`\d+\.\d+ ms|\d+ ms|Used: \d+`).ReplaceAllString(l.Text, "N"))
	}
	compare(t, got[:2], []string{
		"- platform INIT_START Runtime Version: provided:al2023\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:provided-al2023",
		"- stdout hello from init",
	})
	rest := got[2:]
	if len(rest) > 3 && strings.Contains(rest[1], "stderr") { // the two pipes have no order
		rest[1], rest[2] = rest[2], rest[1]
	}
	compare(t, rest, []string{
		"R platform START RequestId: " + requestID + " Version: $LATEST",
		`R stdout to stdout "x"`,
		"R stderr to stderr, without an end",
		"R platform END RequestId: " + requestID,
		"R platform REPORT RequestId: " + requestID + "\tDuration: N\tBilled Duration: N\tMemory Size: 128 MB\tMax Memory N MB\tInit Duration: N\t",
	})
}

func TestTheTailIsOfThisInvocationAndOfFourKilobytes(t *testing.T) {
	w := newWorld(t, nil, function("log"))
	w.run(`"` + strings.Repeat("long", 2000) + `"`)
	w.awaitState("warm")
	o := w.run(`"short"`)
	tail := string(o.LogTail)
	contains(t, tail, "START RequestId: ", "to stdout \"short\"\n", "to stderr, without an end\n", "END RequestId: ", "REPORT RequestId: ")
	if strings.Contains(tail, "long") {
		t.Errorf("got lines of the invocation before: %q", tail)
	}
	o = w.run(`"` + strings.Repeat("long", 2000) + `"`)
	if len(o.LogTail) != daruma.LogTailBytesMax || !strings.HasSuffix(string(o.LogTail), "\t\n") {
		t.Errorf("got %d bytes ending in %q, want the last 4096", len(o.LogTail), o.LogTail[max(0, len(o.LogTail)-20):])
	}
}

func TestMoreLogThanTheLimitIsDroppedAndSaid(t *testing.T) {
	w := newWorld(t, nil, timeout("flood", 60e9))
	want(t, w.run("100000000"), daruma.Done, `"flooded"`) // 100 MB: the function is not held up
	kept := 0
	for _, l := range w.obs.Lines() {
		kept += len(l.Text)
	}
	if kept > 90_000_000 {
		t.Errorf("got %d bytes, want less than was written", kept)
	}
	if !regexp.MustCompile(`platform: \d+ lines \(\d+ bytes\) of log were dropped: more than 8 MiB a second\n`).MatchString(w.obs.Text()) {
		t.Errorf("got nothing about dropped lines")
	}
}

func TestALongLineIsCutIntoPieces(t *testing.T) {
	w := newWorld(t, nil, function("long-line"))
	w.run("")
	var sizes []int
	for _, l := range w.obs.Lines() {
		if l.Stream == daruma.Stdout {
			sizes = append(sizes, len(l.Text))
		}
	}
	if len(sizes) != 3 || sizes[0] != 256<<10 || sizes[1] != 256<<10 || sizes[2] != 88<<10 {
		t.Errorf("got pieces of %v bytes, want 256, 256 and 88 KiB", sizes)
	}
}

func TestPlatformLinesAreRecordsWhenTheFunctionLogsJSON(t *testing.T) {
	f := function("exit")
	f.LogFormat, f.LogLevel = "JSON", "WARN"
	w := newWorld(t, nil, f)
	w.runID(`"x"`)
	w.awaitState("warm")
	w.runID("3")
	var kinds []string
	for _, l := range w.obs.Lines() {
		if l.Stream != daruma.Platform {
			continue
		}
		var record struct {
			Time, Type string
			Record     struct {
				RequestID, Status, ErrorType, Version string
				Metrics                               map[string]float64
			}
		}
		if err := json.Unmarshal([]byte(l.Text), &record); err != nil {
			t.Fatalf("%v: %s", err, l.Text)
		}
		kinds = append(kinds, record.Type+" "+record.Record.Status+" "+record.Record.ErrorType)
		if record.Type == "platform.report" {
			if m := record.Record.Metrics; m["memorySizeMB"] != 128 || m["durationMs"] <= 0 || m["billedDurationMs"] < 1 {
				t.Errorf("got metrics %v", m)
			}
			if record.Record.RequestID != requestID {
				t.Errorf("got request %q", record.Record.RequestID)
			}
		}
	}
	compare(t, kinds, []string{"platform.initStart  ", "platform.start  ", "platform.runtimeDone success ", "platform.report success ",
		"platform.start  ", "platform.runtimeDone failure ", "platform.report failure Runtime.ExitError"})
}

func TestRunsAndStatesAreTold(t *testing.T) {
	w := newWorld(t, nil, function("echo"))
	o := w.runInvocation(daruma.Invocation{ID: requestID, Source: "invoke", Trace: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8", Attempt: 2, From: "F-17"})
	w.awaitState("warm")
	r := w.awaitSpan(0)
	if r.Request != requestID || r.Source != "invoke" || !r.Cold || r.Init != o.Init || r.Outcome != daruma.Done || r.Environment != o.Environment ||
		r.Trace != "1-5759e988-bd862e3fe1be46a994272793" || r.Duration <= 0 || r.Wait <= 0 ||
		r.Kind != daruma.SpanRun || r.Parent != "53995c3f42cd8ad8" || r.Attempt != 2 || r.From != "F-17" || len(r.Keys) != 0 || r.Function != "f" || r.Version != o.Version {
		t.Errorf("got %+v", r)
	}
	compare(t, w.states(), []string{"starting", "busy", "warm"})
	list := w.pool.Environments()
	if len(list) != 1 || list[0].PID == 0 || list[0].Runs != 1 || list[0].State != daruma.Warm || list[0].Request != "" {
		t.Errorf("got %+v", list)
	}
	w.close()
	compare(t, w.states()[3:], []string{"gone shutdown"})
}
