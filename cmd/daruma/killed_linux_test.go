package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/node"
)

// An app is a directory with functions of every kind, on ports of its own.
type killedApp struct {
	dir   string
	mark  string // in the environment of every process of its functions
	ports []string
}

func newKilledApp(t *testing.T) killedApp {
	t.Helper()
	a := killedApp{dir: t.TempDir(), mark: daruma.NewID()}
	probe := buildProbe(t)
	for name, from := range map[string]string{
		"probe/bootstrap": probe + "/bootstrap", "layer/extensions/resident": probe + "/bootstrap",
		"python/index.py": "testdata/hostile/python/index.py", "node/index.js": "testdata/hostile/node/index.js",
	} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		a.write(t, name, string(content))
	}
	a.write(t, "probe/version", "1")
	function := func(name, mode, code, runtime, more string) string {
		return fmt.Sprintf(`  %s:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: %s
      Handler: index.handler
      Runtime: %s
      Environment: { Variables: { VILLAIN: %s, MARK: %s } }%s
`, name, code, runtime, mode, a.mark, more)
	}
	a.write(t, "template.yaml", `Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Timeout: 60, MemorySize: 128 } }
Resources:
  Resident: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: layer/ } }
`+function("Good", "good", "probe/", "provided.al2023", "\n      AutoPublishAlias: live")+
		function("Sleep", "sleep", "probe/", "provided.al2023", "\n      Layers: [!Ref Resident]")+
		function("Daemon", "daemon", "probe/", "provided.al2023", "")+
		function("Bomb", "fork-bomb", "probe/", "provided.al2023", "\n      MemorySize: 512")+
		function("Python", "sleep", "python/", "python3.12", "")+
		function("Node", "sleep", "node/", "nodejs22.x", ""))
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		a.ports = append(a.ports, l.Addr().String())
	}
	return a
}

func (a killedApp) write(t *testing.T, name, content string) {
	t.Helper()
	to := filepath.Join(a.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to+".new", []byte(content), 0o755), os.Rename(to+".new", to)); err != nil {
		t.Fatal(err)
	}
}

func (a killedApp) start(t *testing.T) *platform {
	t.Helper()
	p := startPlatform(t, a.dir, "--aws-addr="+a.ports[0], "--web-addr="+a.ports[1], "--console-addr="+a.ports[2])
	if s := p.status(); s.Isolation != "namespaces" {
		t.Skipf("functions are plain processes here, which end when the next platform starts: %q", s.Missing)
	}
	return p
}

// Promises are what was acknowledged, kept outside the platform.
type promises struct {
	acked     int // the last change of concurrency that was acknowledged
	asked     int // and that was asked for
	versions  int
	key       node.Key
	restarted []time.Duration
}

// work keeps functions of every kind busy until ctx ends, and returns when
// all calls have.
func (l *promises) work(ctx context.Context, p *platform) {
	var all sync.WaitGroup
	again := func(do func()) {
		all.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	for _, f := range []string{"Sleep", "Python", "Node"} {
		again(func() { p.invoke(ctx, f, "0.05") })
		again(func() { p.invoke(ctx, f, "50") })
	}
	again(func() { p.invoke(ctx, "Bomb", "{}") })
	again(func() { p.invoke(ctx, "Daemon", "{}") })
	again(func() { p.invoke(ctx, "Good", "1") })
	all.Go(func() {
		for n := l.asked + 1; ; n++ {
			name, asked := "Good", int32(20+n%50)
			l.asked = n
			if _, err := p.lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &name, ReservedConcurrentExecutions: &asked}); err != nil {
				return // nobody knows whether this one holds
			}
			l.acked = n
		}
	})
	all.Wait()
}

// holds compares what a platform has with what was promised.
func (l *promises) holds(t *testing.T, p *platform) {
	t.Helper()
	ctx := t.Context()
	key, err := node.OperatorKey(p.address.Data)
	if err != nil || l.key != (node.Key{}) && key != l.key {
		t.Errorf("credentials: got %v, %v, want those of before", key.ID, err)
	}
	l.key = key
	name := "Good"
	got, err := p.lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	switch n := int(aws.ToInt32(got.ReservedConcurrentExecutions)); {
	case l.asked == 0:
	case n == 20+l.asked%50:
		l.acked = l.asked // nobody had heard that it holds; now it must go on to
	case n != 20+l.acked%50:
		t.Errorf("reserved concurrency: got %d, want %d, or %d which was asked for", n, 20+l.acked%50, 20+l.asked%50)
	}
	s := p.status()
	if len(s.Functions) != 6 {
		t.Errorf("functions: got %+v, want 6", s.Functions)
	}
	for _, f := range s.Functions {
		if f.State != "active" {
			t.Errorf("%s: got %s %s, want active", f.Name, f.State, f.Reason)
		}
	}
	for _, f := range s.Functions {
		if f.Name == "Good" && len(f.Versions) != l.versions {
			t.Errorf("versions: got %q, want 1 to %d", f.Versions, l.versions)
		}
	}
	for _, v := range []int{1, 1 + rand.IntN(l.versions), l.versions} { // their code too
		if got := p.invoke(ctx, "Good:"+strconv.Itoa(v), `"version"`); got.payload != fmt.Sprintf("%q", strconv.Itoa(v)) {
			t.Errorf("version %d: got %+v", v, got)
		}
	}
	if got := p.invoke(ctx, "Good:live", `"version"`); got.payload != fmt.Sprintf("%q", strconv.Itoa(l.versions)) {
		t.Errorf("the alias: got %+v, want version %d", got, l.versions)
	}
	for _, f := range []string{"Sleep", "Python", "Node"} {
		if got := p.invoke(ctx, f, "0"); got.payload != `"slept"` {
			t.Errorf("%s: got %+v", f, got)
		}
	}
}

// A relic is all that a platform and its functions had at its end.
type relic struct {
	pid    int
	family map[int]string
	spaces map[string]bool
	groups []string
	mounts string
	noted  uint64 // when, in ticks since the machine started
}

// seize stops the platform where it is and notes what it has.
func (p *platform) seize() relic {
	p.cmd.Process.Signal(syscall.SIGSTOP)
	r := relic{pid: p.pid(), family: familyOf(p.pid()), groups: cgroupsOf(p.pid()), mounts: ownMounts(), noted: ticks()}
	r.spaces = namespacesOf(r.family)
	return r
}

func ownMounts() string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	return string(text)
}

// marked are the processes in whose environment a text is.
func marked(text string) []string {
	var all []string
	names, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(text)) {
			all = append(all, name)
		}
	}
	return all
}

// endMax is how long what a dead platform had may take to end: two seconds,
// and more on a machine that has too much to do.
func endMax() time.Duration { return time.Duration(min(overload(), 10) * float64(2*time.Second)) }

// gone wants nothing of a platform left that did not clean up after itself:
// no process, no namespace in use, no mount, nothing in a cgroup.
func (r relic) gone(t *testing.T, mark string) {
	t.Helper()
	began := time.Now()
	within(t, endMax(), "the end of all that the platform had", func() (bool, string) {
		left := living(r.family)
		left = append(left, marked(mark)...)
		for _, dir := range r.groups {
			if n := tasksIn(dir); n > 0 {
				left = append(left, fmt.Sprintf("%d in %s", n, dir))
			}
		}
		if len(left) == 0 { // the dearest look comes last
			left = inUse(r.spaces, r.noted)
		}
		return len(left) == 0, strings.Join(left, "\n")
	})
	t.Logf("%d processes of process %d ended within %v", len(r.family), r.pid, time.Since(began).Round(time.Millisecond))
	if now := ownMounts(); now != r.mounts {
		t.Errorf("mounts: got %s\nwant %s", now, r.mounts)
	}
}

func TestNothingRemainsOfAKilledPlatformAndNothingIsForgotten(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	a := newKilledApp(t)
	rounds := 5
	if long() {
		rounds = 100
	}
	var l promises
	processes := 0
	for l.versions = 1; l.versions <= rounds; l.versions++ {
		a.write(t, "probe/version", strconv.Itoa(l.versions))
		p := a.start(t)
		l.restarted = append(l.restarted, p.took)
		l.holds(t, p)
		ctx, stop := context.WithCancel(t.Context())
		worked := make(chan bool)
		go func() {
			defer close(worked)
			l.work(ctx, p)
		}()
		moment := time.Duration(rand.Int64N(int64(time.Second)))
		<-time.After(moment)
		r := p.seize()
		p.kill()
		r.gone(t, a.mark)
		stop()
		<-worked
		processes += len(r.family)
		t.Logf("round %d: ready after %v, killed %v later with %d processes in %d namespaces; %d changes were acknowledged, %d asked for",
			l.versions, p.took.Round(time.Millisecond), moment.Round(time.Millisecond), len(r.family), len(r.spaces), l.acked, l.asked)
		if t.Failed() {
			return
		}
		if _, err := node.Find("", p.address.Data); daruma.KindOf(err) != daruma.KindUnavailable {
			t.Errorf("a killed node: got %v, want not running", err)
		}
	}
	l.versions = rounds
	p := a.start(t)
	l.restarted = append(l.restarted, p.took)
	l.holds(t, p)
	p.quit(t)
	a.tidy(t, p)
	slices.Sort(l.restarted)
	t.Logf("%d kills, %d processes gone; ready again after %v, at worst %v", rounds, processes, l.restarted[len(l.restarted)/2], l.restarted[len(l.restarted)-1])
}

// quit stops the platform in the orderly way.
func (p *platform) quit(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if state := p.awaitEnd(20 * time.Second); !state.Success() {
		t.Errorf("SIGTERM: got %v, want exit 0", state)
	}
}

// tidy wants nothing left but what is kept for the next start.
func (a killedApp) tidy(t *testing.T, p *platform) {
	t.Helper()
	for _, glob := range []string{"places/*", "build/scratch/*", "build/code/carry-*", "build/records/record-*", ".node.json-*", ".credentials-*", "node.json"} {
		if left, _ := filepath.Glob(filepath.Join(p.address.Data, glob)); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
	if left := cgroupsOf(p.pid()); len(left) > 0 {
		t.Errorf("cgroups are left: %q", left)
	}
}

func TestNothingRemainsAfterAStop(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	t.Parallel()
	a := newKilledApp(t)
	// begin starts a platform and a call that takes so many seconds.
	begin := func(t *testing.T, seconds string) (*platform, chan answer) {
		p := a.start(t)
		answers := make(chan answer, 1)
		go func() { answers <- p.invoke(t.Context(), "Sleep", seconds) }()
		within(t, 30*time.Second, "a busy function", func() (bool, string) {
			for _, e := range p.status().Environments {
				if e.State == daruma.Busy {
					return true, ""
				}
			}
			return false, ""
		})
		return p, answers
	}
	t.Run("SIGTERM lets what runs come to its end", func(t *testing.T) {
		p, answers := begin(t, "2")
		r := p.seize()
		p.cmd.Process.Signal(syscall.SIGCONT)
		p.quit(t)
		if got := <-answers; got.payload != `"slept"` {
			t.Errorf("the call under way: got %+v", got)
		}
		r.gone(t, a.mark)
		a.tidy(t, p)
	})
	t.Run("down lets what runs come to its end", func(t *testing.T) {
		p, answers := begin(t, "2")
		r := p.seize()
		p.cmd.Process.Signal(syscall.SIGCONT)
		out, err := exec.Command("daruma", "down", "--data", p.address.Data).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), "stopped; its state is in ") {
			t.Errorf("got %q, %v", out, err)
		}
		if got := <-answers; got.payload != `"slept"` {
			t.Errorf("the call under way: got %+v", got)
		}
		p.awaitEnd(10 * time.Second)
		r.gone(t, a.mark)
		a.tidy(t, p)
	})
	t.Run("a second Ctrl-C does not wait", func(t *testing.T) {
		p, answers := begin(t, "50")
		r := p.seize()
		p.cmd.Process.Signal(syscall.SIGCONT)
		p.cmd.Process.Signal(syscall.SIGINT)
		within(t, 20*time.Second, "the first to be understood", func() (bool, string) {
			return strings.Contains(p.log(), "Ctrl-C again does not wait"), p.log()
		})
		began := time.Now()
		p.cmd.Process.Signal(syscall.SIGINT)
		p.awaitEnd(20 * time.Second) // half a minute is what it would wait
		t.Logf("ended after %v", time.Since(began))
		r.gone(t, a.mark)
		if got := <-answers; got.err == nil {
			t.Errorf("the call under way: got %+v, want an error", got)
		}
	})
	if !long() {
		return // the last takes half a minute
	}
	t.Run("what takes too long is cut off", func(t *testing.T) {
		p, answers := begin(t, "50")
		r := p.seize()
		p.cmd.Process.Signal(syscall.SIGCONT)
		out, err := exec.Command("daruma", "down", "--data", p.address.Data).CombinedOutput()
		if err != nil {
			t.Errorf("got %q, %v", out, err)
		}
		if got := <-answers; got.err == nil {
			t.Errorf("the call under way: got %+v, want an error", got)
		}
		p.awaitEnd(10 * time.Second)
		r.gone(t, a.mark)
		a.tidy(t, p)
	})
}

// A start may crash at any of its steps, the first one of all included.
func TestAStartThatCrashesHindersNoLaterOne(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many platforms")
	}
	t.Parallel()
	a := newKilledApp(t)
	fresh, times := 1, 5
	if long() {
		fresh, times = 20, 20
	}
	began := time.Now()
	a.start(t).kill()
	usual := time.Since(began)
	for n := range fresh {
		if err := os.RemoveAll(filepath.Join(a.dir, node.DataDir)); err != nil {
			t.Fatal(err)
		}
		for range times {
			cmd := exec.Command("daruma", "up", a.dir, "--aws-addr="+a.ports[0], "--web-addr="+a.ports[1], "--console-addr="+a.ports[2])
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Duration(rand.Int64N(int64(usual))))
			family := familyOf(cmd.Process.Pid)
			cmd.Process.Kill()
			cmd.Wait()
			within(t, endMax(), "the end of what a start had", func() (bool, string) {
				left := living(family)
				return len(left) == 0, strings.Join(left, "\n")
			})
		}
		l := promises{versions: 1}
		p := a.start(t)
		l.holds(t, p)
		p.quit(t)
		a.tidy(t, p)
		if t.Failed() {
			t.Fatalf("after %d starts that crashed, round %d", times, n)
		}
	}
}

func TestWhatRemainsOfDeadPlatformsIsSwept(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a platform")
	}
	t.Parallel()
	a := newKilledApp(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	pid := dead.Process.Pid
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, ".daruma/node.json", fmt.Sprintf(`{"aws":"http://127.0.0.1:1","web":"http://127.0.0.1:1","console":"http://127.0.0.1:1","data":%q,"pid":%d,"region":"eu-west-1","token":"stale"}`, a.dir+"/.daruma", pid))
	a.write(t, ".daruma/.node.json-123", "{}")
	a.write(t, ".daruma/places/opt-e-dead/extensions/x", "x")
	a.write(t, ".daruma/build/scratch/build-dead/out/x", "x")
	if err := errors.Join(os.Chmod(a.dir+"/.daruma", 0o700), os.Chmod(a.dir+"/.daruma/places/opt-e-dead/extensions", 0o500)); err != nil {
		t.Fatal(err)
	}
	var stale []string
	for _, root := range cgroupRoots() {
		dir := filepath.Join(root, fmt.Sprintf("daruma-%s-%d-1", strings.Trim(ns, "pid:[]"), pid), "place-1")
		if !slices.ContainsFunc([]string{"memory", "pids", "cpu", "unified", "cgroup"}, func(n string) bool { return filepath.Base(root) == n }) || os.MkdirAll(dir, 0o755) != nil {
			continue
		}
		stale = append(stale, filepath.Dir(dir))
	}
	out, err := exec.Command("daruma", "ps", "--data", a.dir+"/.daruma").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has ended without saying so") {
		t.Errorf("ps with a stale address: got %q, %v", out, err)
	}
	p := a.start(t)
	if got := p.invoke(t.Context(), "Good", "1"); got.payload != "1" {
		t.Errorf("got %+v", got)
	}
	if p.address.PID != p.pid() || p.address.Token == "stale" || p.address.Region != "us-east-1" {
		t.Errorf("address: got %+v, want its own", p.address)
	}
	for _, dir := range stale {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
	p.quit(t)
	a.tidy(t, p)
	t.Logf("swept %q", stale)
}
