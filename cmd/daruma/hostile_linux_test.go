package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/egress"
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

const noSpace = "no space left on device"

var villains = []villain{
	{mode: "fork-bomb", alone: true, properties: "MemorySize: 512", want: timesOut(1)},
	{mode: "session-bomb", alone: true, properties: "MemorySize: 512", want: timesOut(1)},
	{mode: "zombies", alone: true, properties: "Timeout: 20", want: counts("made", 900, 1024, "resource temporarily unavailable")},
	{mode: "memory", alone: true, properties: "Timeout: 20", want: outOfMemory},
	{mode: "spin", alone: true, want: timesOut(1)},
	{mode: "fill-tmp", alone: true, properties: "Timeout: 20", want: counts("bytes", 512<<20, 512<<20, noSpace)},
	{mode: "fill-shm", alone: true, properties: "Timeout: 20", want: either(outOfMemory, counts("bytes", 0, 128<<20, noSpace))},
	{mode: "small-files", alone: true, properties: "Timeout: 2", want: either(timesOut(2), outOfMemory, counts("files", 1, 1<<22, noSpace))},
	{mode: "flood", alone: true, properties: "Timeout: 60", event: "1073741824", want: says("1073741824"), within: 60 * time.Second},
	{mode: "endless-line", alone: true, properties: "Timeout: 60", event: "104857600", want: says("104857600"), within: 60 * time.Second},
	{mode: "connections", alone: true, properties: "Timeout: 60", event: "10000", want: says(`10000|9\d\d\d`), within: 60 * time.Second},
	{mode: "threads", alone: true, properties: "Timeout: 20", want: either(exits("exit status 2"), outOfMemory)},
	{mode: "pipeline", alone: true, want: timesOut(1)},

	{mode: "open-files", want: counts("opened", 900, 1024, "too many open files")},
	{mode: "delete-tmp", want: says(`{"code":"","tmp":""}`)},
	{mode: "write-outside", want: says(`\[\]`)},
	{mode: "reach", properties: "Timeout: 10", events: (*arena).targets, want: says(`\[\]`)},
	{mode: "kill-all", want: says(`1|2|3`)},

	{mode: "init-exits", want: exits("exit status 3")},
	{mode: "kill-itself", want: exits("signal: killed")},
	{mode: "stop-itself", want: timesOut(1)},
	{mode: "stubborn", want: timesOut(1)},
	{mode: "daemon", properties: "Timeout: 10", want: says(`"started"`)},
	{mode: "orphan", properties: "Timeout: 10", want: exits("exit status 3")},
	{mode: "extension", properties: "Layers: [!Ref Crashing]", want: ends("Extension.Crash", "RequestId: ID Error: exit code 1")},

	{mode: "half-open", want: timesOut(1)},
	{mode: "half-head", want: timesOut(1)},
	{mode: "mid-exit", want: ends("Runtime.TruncatedResponse", "RequestId: ID Error: Response was truncated")},
	{mode: "deaf", event: `"` + strings.Repeat("d", 6<<20-2) + `"`, want: timesOut(1)},
	{mode: "asks-again", want: timesOut(1)},
	{mode: "other-id", want: says(`{"error":"InvalidRequestID","status":400}`)},
	{mode: "twice", want: says(`{"before":0}`), later: says(`{"before":403}`)},
	{mode: "large", properties: "Timeout: 10", event: fmt.Sprint(daruma.ResponseBytesMax + 1),
		want: ends("Function.ResponseSizeTooLarge", `RequestId: ID Error: Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\.`)},
	{mode: "long-head", properties: "Timeout: 10", event: "16777216", want: says(`"431"|"closed"`)},

	{mode: "exit", runtime: "python", want: exits("exit status 7")},
	{mode: "memory", runtime: "python", properties: "Timeout: 20", want: outOfMemory},
	{mode: "threads", runtime: "python", properties: "{Timeout: 20, MemorySize: 512}", want: counts("threads", 900, 1024, "can't start new thread")},
	{mode: "recursion", runtime: "python", properties: "Timeout: 20", want: either(exits("signal: segmentation fault"), outOfMemory)},
	{mode: "segfault", runtime: "python", want: exits("signal: segmentation fault")},
	{mode: "init-raises", runtime: "python", want: ends("RuntimeError", "not today")},
	{mode: "init-throws", runtime: "node", want: ends("TypeError", "not today")},
	{mode: "spin", runtime: "node", want: timesOut(1)},
	{mode: "exit", runtime: "node", want: exits("exit status 7")},
	{mode: "memory", runtime: "node", properties: "Timeout: 20", want: outOfMemory},
	{mode: "circular", runtime: "node", want: ends("Error", "Unable to stringify response body")},
	{mode: "rejection", runtime: "node", want: ends("Runtime.UnhandledPromiseRejection", "RangeError: nobody listens")},
}

// Those that never come up: each takes the ten seconds an init has, and then
// its own time.
var slowInits = []villain{
	{mode: "init-hangs", want: timesOut(1), within: 40 * time.Second},
	{mode: "init-loops", runtime: "python", want: timesOut(1), within: 40 * time.Second},
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

// An arena is a platform with a good function, beside which villains are let loose.
type arena struct {
	*platform
	round int
	calm  remains // with the good function alone
}

func newArena(t *testing.T) *arena {
	t.Helper()
	dir := t.TempDir()
	probe := buildProbe(t)
	for name, from := range map[string]string{
		"probe/bootstrap": probe + "/bootstrap", "layer/extensions/crashing": probe + "/bootstrap",
		"python/index.py": "testdata/hostile/python/index.py", "node/index.js": "testdata/hostile/node/index.js",
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	a := &arena{}
	a.write(t, dir, nil)
	a.platform = startPlatform(t, dir)
	s := a.status()
	if s.Isolation != "namespaces" || len(s.Missing) > 0 {
		t.Skipf("functions are not wholly kept apart here (%s): %q", s.Isolation, s.Missing)
	}
	return a
}

// write makes the template one with the good function and these villains. The
// good one is another in every round, so that its environments are too.
func (a *arena) write(t *testing.T, dir string, some []villain) {
	t.Helper()
	a.round++
	text := strings.Builder{}
	fmt.Fprintf(&text, `Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Timeout: 1, MemorySize: 128 } }
Resources:
  Crashing: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layer/ } }
  Good:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: probe/
      Handler: bootstrap
      Runtime: provided.al2023
      Timeout: 20
      Environment: { Variables: { VILLAIN: good, ROUND: "%d" } }
      Events: { Get: { Type: HttpApi, Properties: { Path: /good, Method: get } } }
`, a.round)
	for _, v := range some {
		text.WriteString(v.declare(a.round))
	}
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// deploy has the platform run the good function and these villains, and
// waits until nothing is left of those before.
func (a *arena) deploy(t *testing.T, some []villain) {
	t.Helper()
	a.write(t, a.dir, some)
	within(t, 30*time.Second, "a reload", func() (bool, string) {
		s := a.status()
		var names []string
		for _, f := range s.Functions {
			names = append(names, f.Name+" "+f.State)
		}
		for _, v := range some {
			if !slices.Contains(names, v.function()+" active") {
				return false, fmt.Sprint(names)
			}
		}
		return len(s.Functions) == len(some)+1, fmt.Sprint(names)
	})
	within(t, 10*time.Second, "the good function of this round", func() (bool, string) {
		got := a.invoke(t.Context(), "Good", `"round"`)
		return got.payload == fmt.Sprintf("%q", fmt.Sprint(a.round)), fmt.Sprint(got)
	})
	if a.calm.processes == 0 {
		var last remains
		since := time.Now()
		within(t, 30*time.Second, "a calm platform", func() (bool, string) {
			now := a.remains()
			if now.processes != last.processes || now.files != last.files || now.namespaces != last.namespaces {
				last, since = now, time.Now()
			}
			return time.Since(since) > 500*time.Millisecond, now.String()
		})
		a.calm = last
		t.Logf("calm: %v", last)
		return
	}
	within(t, 20*time.Second, "the end of all that was left of the round before", func() (bool, string) {
		now := a.remains()
		return now.within(a.calm), fmt.Sprintf("\nis  %v\nwas %v", now, a.calm)
	})
}

// targets is what a function must not reach.
func (a *arena) targets() string {
	var try struct{ Addresses, Paths []string }
	hosts := []string{"127.0.0.1", "::1", egress.HostName}
	own, _ := net.InterfaceAddrs()
	for _, o := range own {
		if n, ok := o.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			hosts = append(hosts, n.IP.String())
		}
	}
	ports := []string{"18080"} // the good function's
	for _, url := range []string{a.address.AWS, a.address.Web, a.address.Console} {
		ports = append(ports, url[strings.LastIndex(url, ":")+1:])
	}
	for _, host := range hosts {
		for _, port := range ports {
			try.Addresses = append(try.Addresses, net.JoinHostPort(host, port))
		}
	}
	try.Addresses = append(try.Addresses, "169.254.169.254:80", "[fd00:ec2::254]:80", "169.254.170.2:80")
	try.Paths = []string{a.address.Data, a.address.Data + "/credentials", a.dir + "/template.yaml", "/root", "/sys/fs/cgroup", "/proc/1/environ"}
	b, _ := json.Marshal(try)
	return string(b)
}

// A tally is how the good function did.
type tally struct {
	mu    sync.Mutex // guards the rest until everybody is done
	took  []time.Duration
	wrong []string
}

// watchGood asks the good function, through both doors, until ctx ends.
func (a *arena) watchGood(ctx context.Context) *tally {
	y := &tally{}
	var doors sync.WaitGroup
	ask := func(once func(n int) error) {
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			began := time.Now()
			err := once(n)
			y.mu.Lock()
			y.took = append(y.took, time.Since(began))
			if err != nil {
				y.wrong = append(y.wrong, err.Error())
			}
			y.mu.Unlock()
			<-tick.C
		}
	}
	doors.Go(func() {
		ask(func(n int) error {
			event := fmt.Sprintf(`{"n":%d}`, n)
			if got := a.invoke(context.Background(), "Good", event); got.payload != event || got.failed {
				return fmt.Errorf("the Lambda API: got %q, %v", got.payload, got.err)
			}
			return nil
		})
	})
	doors.Go(func() {
		ask(func(int) error {
			status, body, err := a.getHTTP(context.Background(), "/good")
			if status != 200 || !strings.Contains(body, `"rawPath":"/good"`) {
				return fmt.Errorf("the HTTP API: got %d %.200q, %v", status, body, err)
			}
			return nil
		})
	})
	doors.Wait()
	return y
}

// p99 of what was taken.
func (y *tally) p99() time.Duration {
	slices.Sort(y.took)
	return y.took[len(y.took)*99/100]
}

// attack lets villains loose for at least so long and so often, each beside the others.
func (a *arena) attack(t *testing.T, some []villain, least time.Duration, times int) {
	began := time.Now()
	var all sync.WaitGroup
	for _, v := range some {
		all.Go(func() {
			event := cmp.Or(v.event, "{}")
			if v.events != nil {
				event = v.events(a)
			}
			for n := 0; n < times || time.Since(began) < least; n++ {
				if !a.once(t, v, event, n) {
					return
				}
			}
		})
	}
	all.Wait()
}

// once invokes a villain and says whether that ended as it must.
func (a *arena) once(t *testing.T, v villain, event string, n int) bool {
	limit := cmp.Or(v.within, 15*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	got := a.invoke(ctx, v.function(), event)
	wanted := v.want
	if n > 0 && v.later != nil {
		wanted = v.later
	}
	err := got.err
	if err == nil {
		err = wanted(got)
	}
	if err != nil {
		t.Errorf("%s, invocation %d after %v: got %s %q %.300q: %v", v.function(), n, got.took, got.errorType, got.message, got.payload, err)
	}
	return err == nil
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

// What a round may take of the platform's memory, beyond what it has when calm.
const memoryMax = 256 << 20

func TestHostileFunctionsHarmNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute and the whole machine")
	}
	a := newArena(t)
	a.deploy(t, nil)
	least, times := 500*time.Millisecond, 1
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
			quiet := a.during(t, func() { time.Sleep(300 * time.Millisecond) })
			a.forgetPeak()
			began := time.Now()
			noisy := a.during(t, func() { a.attack(t, some, least, times) })
			took := time.Since(began)
			peak := memoryOf(a.pid(), "VmHWM")
			if peak > a.calm.rss+memoryMax {
				t.Errorf("the platform took %d MiB, with %d MiB when calm", peak>>20, a.calm.rss>>20)
			}
			fmt.Fprintf(&table, "%-60.60s %6.1fs %5d of the good one, p99 %9v → %9v, ×%.1f, %d MiB\n", name, took.Seconds(), len(noisy.took),
				quiet.p99().Round(10*time.Microsecond), noisy.p99().Round(10*time.Microsecond), float64(noisy.p99())/float64(quiet.p99()), peak>>20)
			a.nothingEscaped(t)
		})
	}
	a.t = t
	a.deploy(t, nil)
	t.Logf("\n%s", table.String())
	t.Logf("calm: %v\nend:  %v", a.calm, a.remains())
}

// during watches the good function while do is done.
func (a *arena) during(t *testing.T, do func()) *tally {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan *tally, 1)
	go func() { watched <- a.watchGood(ctx) }()
	do()
	stop()
	y := <-watched
	if len(y.wrong) > 0 {
		t.Errorf("the good function was disturbed %d times of %d: %s", len(y.wrong), len(y.took), y.wrong[0])
	}
	return y
}

// nothingEscaped wants the platform healthy, and few processes: those of a
// function that failed are gone at once, daemons included.
func (a *arena) nothingEscaped(t *testing.T) {
	t.Helper()
	within(t, 5*time.Second, "the end of a failed function's processes", func() (bool, string) {
		family := familyOf(a.pid())
		return len(family) <= a.calm.processes+24, fmt.Sprintf("%d processes, when calm %d", len(family), a.calm.processes)
	})
	res, err := a.http.Get(a.address.Console + "/health")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); res.StatusCode != 200 {
		t.Errorf("health: got %d %s, %v", res.StatusCode, body, err)
	}
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
	a.nothingEscaped(t)
	a.deploy(t, nil)
}
