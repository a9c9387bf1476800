package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
)

// A villain is a function that misbehaves, and what has to come of it.
type villain struct {
	mode       string // of testdata/hostile, also its function's name
	runtime    string // probe, python or node
	properties string // of its function, besides the usual
	event      string // {} when ""
	events     func(*arena) string
	want       want
	later      want // of all invocations but the first; want when nil
	within     time.Duration
	alone      bool // nothing else is to be seen beside it: it is after the machine
	stays      bool // it answers well, and each invocation leaves a process until its place goes
}

// A want says what is wrong with an answer.
type want func(answer) error

// ends wants a failure of this type whose message, with ID for the request's, matches.
func ends(errorType, message string) want {
	form := regexp.MustCompile(`^` + message + `$`)
	return func(a answer) error {
		if !a.failed || a.errorType != errorType || !form.MatchString(a.message) {
			return fmt.Errorf("want %s %q", errorType, message)
		}
		return nil
	}
}

// timesOut wants the time-out of a function that has so many seconds.
func timesOut(seconds int) want {
	return ends("Sandbox.Timedout", fmt.Sprintf(`RequestId: ID Error: Task timed out after %d\.00 seconds`, seconds))
}

// exits wants the end of the runtime's process.
func exits(how string) want {
	return ends("Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: "+how)
}

var outOfMemory = ends("Runtime.OutOfMemory", "RequestId: ID Error: Runtime exited with error: signal: killed")

// says wants success and this answer.
func says(form string) want {
	re := regexp.MustCompile(`^(?s:` + form + `)$`)
	return func(a answer) error {
		if a.failed || !re.MatchString(a.payload) {
			return fmt.Errorf("want %s", form)
		}
		return nil
	}
}

// counts wants success and an answer whose number is in a range, with this error beside it.
func counts(field string, least, most float64, reason string) want {
	return func(a answer) error {
		var said map[string]any
		if a.failed || json.Unmarshal([]byte(a.payload), &said) != nil {
			return fmt.Errorf("want %s and an error", field)
		}
		if n, _ := said[field].(float64); n < least || n > most || said["error"] != reason {
			return fmt.Errorf("want %s between %g and %g, and %s", field, least, most, reason)
		}
		return nil
	}
}

// either wants one of several.
func either(some ...want) want {
	return func(a answer) error {
		var errs []error
		for _, w := range some {
			err := w(a)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
}

// processesMost is how many processes and threads a function may have had: 1024,
// and a few more where no cgroup counts them.
const processesMost = 1040

const noSpace = "no space left on device"

var villains = []villain{
	{mode: "fork-bomb", alone: true, properties: "{Timeout: 1, MemorySize: 512}", want: either(timesOut(1), outOfMemory)},
	{mode: "session-bomb", alone: true, properties: "{Timeout: 1, MemorySize: 512}", want: either(timesOut(1), outOfMemory)},
	{mode: "zombies", alone: true, properties: "Timeout: 20", want: counts("made", 900, processesMost, "resource temporarily unavailable")},
	{mode: "memory", alone: true, properties: "Timeout: 20", want: outOfMemory},
	{mode: "spin", alone: true, properties: "Timeout: 1", want: timesOut(1)},
	{mode: "fill-tmp", alone: true, properties: "Timeout: 20", want: counts("bytes", 512<<20, 512<<20, noSpace)},
	{mode: "fill-shm", alone: true, properties: "Timeout: 20", want: either(outOfMemory, counts("bytes", 0, 128<<20, noSpace))},
	{mode: "small-files", alone: true, properties: "Timeout: 2", want: either(timesOut(2), outOfMemory, counts("files", 1, 1<<22, noSpace))},
	{mode: "flood", alone: true, properties: "Timeout: 60", event: "1073741824", want: says("1073741824"), within: 60 * time.Second},
	{mode: "endless-line", alone: true, properties: "Timeout: 60", event: "104857600", want: says("104857600"), within: 60 * time.Second},
	{mode: "connections", alone: true, properties: "Timeout: 60", event: "10000", want: says(`10000|9\d\d\d`), within: 60 * time.Second},
	{mode: "threads", alone: true, properties: "Timeout: 20", want: either(exits("exit status 2"), outOfMemory)},
	{mode: "pipeline", alone: true, properties: "Timeout: 1", want: timesOut(1)},

	{mode: "open-files", want: counts("opened", 900, 1024, "too many open files")},
	{mode: "delete-tmp", want: says(`{"code":"","tmp":""}`)},
	{mode: "write-outside", want: says(`\[\]`)},
	{mode: "reach", events: (*arena).targets, want: says(`\[\]`)},
	{mode: "kill-all", want: says(`1|2|3`)},

	{mode: "init-exits", want: exits("exit status 3")},
	{mode: "kill-itself", want: exits("signal: killed")},
	{mode: "stop-itself", properties: "Timeout: 1", want: timesOut(1)},
	{mode: "stubborn", properties: "Timeout: 1", want: timesOut(1)},
	{mode: "daemon", stays: true, want: says(`"started"`)},
	{mode: "orphan", want: exits("exit status 3")},
	{mode: "extension", properties: "Layers: [!Ref Crashing]", want: ends("Extension.Crash", "RequestId: ID Error: exit code 1")},

	{mode: "half-open", properties: "Timeout: 1", want: timesOut(1)},
	{mode: "half-head", properties: "Timeout: 1", want: timesOut(1)},
	{mode: "mid-exit", want: ends("Runtime.TruncatedResponse", "RequestId: ID Error: Response was truncated")},
	{mode: "deaf", event: `"` + strings.Repeat("d", 6<<20-2) + `"`, properties: "Timeout: 1", want: timesOut(1)},
	{mode: "asks-again", properties: "Timeout: 1", want: timesOut(1)},
	{mode: "other-id", want: says(`{"error":"InvalidRequestID","status":400}`)},
	{mode: "twice", want: says(`{"before":0}`), later: says(`{"before":403}`)},
	{mode: "large", event: fmt.Sprint(daruma.ResponseBytesMax + 1),
		want: ends("Function.ResponseSizeTooLarge", `RequestId: ID Error: Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\.`)},
	{mode: "long-head", event: "16777216", want: says(`"431"|"closed"`)},

	{mode: "exit", runtime: "python", want: exits("exit status 7")},
	{mode: "memory", runtime: "python", properties: "Timeout: 20", want: outOfMemory},
	{mode: "threads", runtime: "python", properties: "{Timeout: 20, MemorySize: 512}", want: counts("threads", 900, processesMost, "can't start new thread")},
	{mode: "recursion", runtime: "python", properties: "Timeout: 20", want: either(exits("signal: segmentation fault"), outOfMemory)},
	{mode: "segfault", runtime: "python", want: exits("signal: segmentation fault")},
	{mode: "init-raises", runtime: "python", want: ends("RuntimeError", "not today")},
	{mode: "init-throws", runtime: "node", want: ends("TypeError", "not today")},
	{mode: "spin", runtime: "node", properties: "Timeout: 1", want: timesOut(1)},
	{mode: "exit", runtime: "node", want: exits("exit status 7")},
	{mode: "memory", runtime: "node", properties: "Timeout: 20", want: outOfMemory},
	{mode: "circular", runtime: "node", want: ends("Error", "Unable to stringify response body")},
	{mode: "rejection", runtime: "node", want: ends("Runtime.UnhandledPromiseRejection", "RangeError: nobody listens")},
}

// Those that never come up: each takes the ten seconds an init has, and then
// its own time.
var slowInits = []villain{
	{mode: "init-hangs", properties: "Timeout: 1", want: timesOut(1), within: 40 * time.Second},
	{mode: "init-loops", runtime: "python", properties: "Timeout: 1", want: timesOut(1), within: 40 * time.Second},
	{mode: "silent-extension", properties: "{Timeout: 1, Layers: [!Ref Silent]}", want: timesOut(1), within: 40 * time.Second},
}

// function is the name of a villain's function in the template.
func (v villain) function() string {
	words := strings.Split(v.mode+"-"+v.runtime, "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}

// declare writes a villain's part of the template.
func (v villain) declare(round int) string {
	code, language := "probe/", "provided.al2023"
	switch v.runtime {
	case "python":
		code, language = "python/", "python3.12"
	case "node":
		code, language = "node/", "nodejs22.x"
	}
	properties := ""
	for p := range strings.SplitSeq(strings.Trim(v.properties, "{}"), ", ") {
		if p != "" {
			properties += "\n      " + p
		}
	}
	return fmt.Sprintf(`  %s:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: %s
      Handler: index.handler
      Runtime: %s
      Environment: { Variables: { VILLAIN: %s, ROUND: "%d" } }%s
`, v.function(), code, language, v.mode, round, properties)
}

// rounds are the villains that are let loose together.
func rounds() [][]villain {
	var all [][]villain
	const together = 6
	for _, v := range villains {
		n := len(all)
		if v.alone || long() || n == 0 || all[n-1][0].alone || len(all[n-1]) == together {
			all = append(all, []villain{v})
			continue
		}
		all[n-1] = append(all[n-1], v)
	}
	return all
}

const (
	memoryMax = 256 << 20 // what a round may take of the platform's memory, beyond what it has when calm
	logsMax   = 280 << 20 // what the log may take of the disk, the part that is being written included
)

func TestHostileFunctionsHarmNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute and the whole machine")
	}
	a := newArena(t)
	a.deploy(t, nil)
	least, times := 300*time.Millisecond, 1
	if long() {
		times = 25
	}
	var table strings.Builder
	for _, some := range rounds() {
		var names []string
		for _, v := range some {
			names = append(names, v.function())
		}
		name := strings.Join(names, ",")
		t.Run(name, func(t *testing.T) {
			a.t = t
			a.deploy(t, some)
			quiet := a.during(t, func() { <-time.After(250 * time.Millisecond) })
			a.forgetPeak()
			began := time.Now()
			noisy := a.during(t, func() { a.attack(t, some, least, times) })
			took := time.Since(began)
			peak := memoryOf(a.pid(), "VmHWM")
			if peak > a.calm.rss+memoryMax {
				t.Errorf("the platform took %d MiB, with %d MiB when calm", peak>>20, a.calm.rss>>20)
			}
			fmt.Fprintf(&table, "%-60.60s %6.1fs %5d of the good one, p99 %9v → %9v, ×%.1f, %d MiB at most, %d then\n", name, took.Seconds(), len(noisy.took),
				quiet.p99().Round(10*time.Microsecond), noisy.p99().Round(10*time.Microsecond), float64(noisy.p99())/float64(quiet.p99()), peak>>20, memoryOf(a.pid(), "VmRSS")>>20)
			a.nothingEscaped(t, some)
		})
	}
	a.t = t
	a.deploy(t, nil)
	t.Logf("\n%s", table.String())
	if size := bytesBelow(filepath.Join(a.address.Data, "logs")); size > logsMax {
		t.Errorf("the log has %d MiB, want %d at most", size>>20, logsMax>>20)
	}
	t.Logf("%d invocations of villains\ncalm: %v\nend:  %v", a.runs.Load(), a.calm, a.remains())
}

func TestHostileInitsAreCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	a := newArena(t)
	a.deploy(t, nil)
	a.deploy(t, slowInits)
	a.attack(t, slowInits, 0, 1)
	a.nothingEscaped(t, slowInits)
	a.deploy(t, nil)
}
