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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-io/daruma/door/egress"
)

// An arena is a platform with a good function, beside which villains are let loose.
type arena struct {
	*platform
	round int
	calm  remains // with the good function alone
	runs  atomic.Int64
}

func newArena(t *testing.T) *arena {
	t.Helper()
	dir := t.TempDir()
	probe := buildProbe(t)
	for name, from := range map[string]string{
		"probe/bootstrap": probe + "/bootstrap", "crashing/extensions/crashing": probe + "/bootstrap", "silent/extensions/silent": probe + "/bootstrap",
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
Globals: { Function: { Timeout: 10, MemorySize: 128 } }
Resources:
  Crashing: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: crashing/ } }
  Silent: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: silent/ } }
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
			if len(a.status().Environments) == 0 { // a late reload took it away
				a.invoke(t.Context(), "Good", `"calm"`)
				since = time.Now()
			}
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
	a.runs.Add(1)
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

// nothingEscaped wants the platform healthy, and few processes: those of
// functions that failed are gone at once, daemons included.
func (a *arena) nothingEscaped(t *testing.T, some []villain) {
	t.Helper()
	few := a.calm.processes + 4*(len(some)+1) // a place's first process, the function's own, and room
	if slices.ContainsFunc(some, func(v villain) bool { return v.stays }) {
		few += int(a.runs.Load())
	}
	within(t, 5*time.Second, "the end of failed functions' processes", func() (bool, string) {
		family := familyOf(a.pid())
		return len(family) <= few, fmt.Sprintf("%d processes, when calm %d", len(family), a.calm.processes)
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
