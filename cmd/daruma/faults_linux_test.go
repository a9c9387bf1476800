package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma/fault"
)

const faultsTemplate = `Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Timeout: 1, MemorySize: 512, Environment: { Variables: { GREETING: hello } } } }
Resources:
  Go: { Type: AWS::Serverless::Function, Properties: { CodeUri: go/, Handler: bootstrap, Runtime: provided.al2023 } }
  Node: { Type: AWS::Serverless::Function, Properties: { CodeUri: node/, Handler: index.handler, Runtime: nodejs22.x } }
  Python: { Type: AWS::Serverless::Function, Properties: { CodeUri: python/, Handler: index.handler, Runtime: python3.12 } }
`

// faultsApp writes an app of one function in each runtime.
func faultsApp(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"node/index.js", "python/index.py"} {
		b, err := os.ReadFile(filepath.Join("testdata/faults", name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "go", "bootstrap"), "./testdata/faults/go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(faultsTemplate), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// breaks puts a fault in force, held by a lease that outlasts the test.
func (p *platform) breaks(t *testing.T, document string) fault.State {
	t.Helper()
	s, err := post[fault.State](t.Context(), p.address, "/api/faults?lease=1m", []byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return s
}

// mends ends a fault and says what it met.
func (p *platform) mends(t *testing.T, id fault.ID) fault.State {
	t.Helper()
	if _, err := removeFaults(t.Context(), p.address, url.Values{"id": {id.String()}}); err != nil {
		t.Fatal(err)
	}
	var all []fault.State
	if err := get(t.Context(), p.address, "/api/faults", &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.ID == id {
			return s
		}
	}
	t.Fatalf("%s is not remembered", id)
	return fault.State{}
}

// seen is what a caller sees of an invocation.
func (p *platform) seen(t *testing.T, function, event string) string {
	t.Helper()
	a := p.invoke(t.Context(), function, event)
	switch {
	case a.err != nil:
		return a.err.Error()
	case a.took > 300*time.Millisecond && !a.failed:
		return "late " + a.payload
	}
	return a.payload
}

var faultCases = []struct {
	name     string
	document string // %s is the function
	event    string // %s is a URL outside
	fine     string // what is seen without the fault, and met with it: expressions
	met      string
	share    float64 // of 40 events; 0: all, and two suffice
}{
	{"latency", `{"kind":"latency","target":{"function":%q},"with":{"latency":"350ms"}}`, `{"do":"x"}`, `^{.*fine`, `^late .*fine`, 0},
	{"error", `{"kind":"error","target":{"function":%q},"dose":{"rate":0.5},"with":{"code":"Sour","message":"milk"},"seed":5}`, `{"do":"x"}`, `fine`, `"errorType":"Sour","errorMessage":"milk"`, 0.5},
	{"error after", `{"kind":"error","target":{"function":%q},"dose":{"rate":0.3},"with":{"code":"Sour","when":"after"},"seed":6}`, `{"do":"x"}`, `fine`, `"errorType":"Sour"`, 0.3},
	{"one in four", `{"kind":"error","target":{"function":%q},"dose":{"oneIn":4}}`, `{"do":"x"}`, `fine`, `InjectedFault`, 0.25},
	{"status", `{"kind":"status","target":{"function":%q},"with":{"status":503,"when":"after"}}`, `{"do":"x"}`, `fine`, `"statusCode":503`, 0},
	{"corrupt", `{"kind":"corrupt","target":{"function":%q}}`, `{"do":"x"}`, `fine`, `^{"[^}]*$`, 0},
	{"malformed", `{"kind":"malformed","target":{"function":%q}}`, `{"do":"x"}`, `fine`, `errorType`, 0},
	{"timeout", `{"kind":"timeout","target":{"function":%q}}`, `{"do":"x"}`, `fine`, `Task timed out after 1.00 seconds`, 0},
	{"kill", `{"kind":"kill","target":{"function":%q}}`, `{"do":"x"}`, `fine`, `signal: killed`, 0},
	{"kill after", `{"kind":"kill","target":{"function":%q},"with":{"when":"after"}}`, `{"do":"x"}`, `fine`, `signal: killed`, 0},
	{"throttle", `{"kind":"throttle","target":{"function":%q},"dose":{"rate":0.5},"seed":8}`, `{"do":"x"}`, `fine`, `Rate Exceeded`, 0.5},
	{"concurrency", `{"kind":"concurrency","target":{"function":%q},"with":{"limit":0}}`, `{"do":"x"}`, `fine`, `Rate Exceeded`, 0},
	{"cold start", `{"kind":"cold-start","target":{"function":%q},"dose":{"max":2},"with":{"latency":"350ms"}}`, `{"do":"x"}`, `fine`, `^late .*fine`, 0},
	{"disk", `{"kind":"disk","target":{"function":%q}}`, `{"do":"write"}`, `fine`, `ENOSPC`, 0},
	{"memory", `{"kind":"memory","target":{"function":%q},"with":{"memoryMB":90}}`, `{"do":"memory","mb":150}`, `"150"`, `OutOfMemory|signal: killed`, 0},
	{"variable", `{"kind":"variable","target":{"function":%q},"with":{"name":"GREETING","value":"bye"}}`, `{"do":"variable"}`, `hello`, `bye`, 0},
	{"dns", `{"kind":"dns","target":{"host":"host.daruma.internal","function":%q}}`, `{"do":"get","url":"%s/"}`, `fine`, `unreachable`, 0},
	{"refused", `{"kind":"refused","target":{"host":"*.daruma.internal","function":%q}}`, `{"do":"get","url":"%s/"}`, `fine`, `unreachable`, 0},
	{"blackhole", `{"kind":"blackhole","target":{"host":"host.daruma.internal","function":%q}}`, `{"do":"get","url":"%s/"}`, `fine`, `Task timed out`, 0},
	{"connection latency", `{"kind":"latency","target":{"host":"host.daruma.internal","function":%q},"with":{"latency":"350ms"}}`, `{"do":"get","url":"%s/"}`, `fine`, `^late .*fine`, 0},
	{"slow", `{"kind":"slow","target":{"host":"host.daruma.internal","function":%q},"with":{"bytesPerSecond":100000}}`, `{"do":"get","url":"%s/large"}`, `fine`, `^late .*fine`, 0},
}

// outside answers with little at / and 50,000 bytes at /large.
func outside(t *testing.T) (base string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 50_000))
		}
	}))
	t.Cleanup(s.Close)
	return fmt.Sprintf("http://host.daruma.internal:%d", s.Listener.Addr().(*net.TCPAddr).Port)
}

func TestEachFaultIsSeenInEachRuntimeAtItsRateAndIsGoneAtOnce(t *testing.T) {
	base := outside(t)
	p := startPlatform(t, faultsApp(t))
	if s := p.status(); s.Isolation != "namespaces" || len(s.Missing) > 0 {
		t.Skipf("functions lack what faults need here: %s %q", s.Isolation, s.Missing)
	}
	for _, function := range []string{"Go", "Node", "Python"} {
		for _, c := range faultCases {
			t.Run(function+" "+c.name, func(t *testing.T) {
				event := strings.ReplaceAll(c.event, "%s", base)
				fine, met := regexp.MustCompile(c.fine), regexp.MustCompile(c.met)
				p.seen(t, function, event) // warm
				if got := p.seen(t, function, event); !fine.MatchString(got) {
					t.Fatalf("before: got %s, want %s", got, fine)
				}
				f := p.breaks(t, fmt.Sprintf(c.document, function))
				n, share := 2, 1.0
				if c.share > 0 {
					n, share = 40, c.share
				}
				hits := 0
				for range n {
					got := p.seen(t, function, event)
					if met.MatchString(got) {
						hits++
					} else if !fine.MatchString(got) || share == 1 && c.name != "cold start" {
						t.Errorf("during: got %s, want %s", got, met)
					}
				}
				if spread := 4 * math.Sqrt(float64(n)*share*(1-share)); math.Abs(float64(hits)-share*float64(n)) > spread && c.name != "cold start" {
					t.Errorf("%d of %d were met, want %g give or take %g", hits, n, share*float64(n), spread)
				}
				if hits == 0 {
					t.Error("nothing was met")
				}
				began := time.Now()
				s := p.mends(t, f.ID)
				if took := time.Since(began); took > 100*time.Millisecond*time.Duration(max(1, overload())) {
					t.Errorf("it took %s to end", took)
				}
				if s.Met == 0 {
					t.Errorf("got %+v, want something met", s)
				}
				if got := p.seen(t, function, event); !fine.MatchString(strings.TrimPrefix(got, "late ")) {
					t.Errorf("after: got %s, want %s", got, fine)
				}
			})
		}
	}
}

func TestWhatAFaultHoldsGoesOnAsSoonAsItEnds(t *testing.T) {
	p := startPlatform(t, faultsApp(t))
	p.seen(t, "Python", `{"do":"x"}`)
	f := p.breaks(t, `{"kind":"timeout","target":{"function":"Python"}}`)
	answered := make(chan string, 1)
	go func() { answered <- p.invoke(context.Background(), "Python", `{"do":"x"}`).payload }()
	within(t, 5*time.Second, "the event to be held", func() (bool, string) {
		s := p.status()
		return len(s.Faults) == 1 && s.Faults[0].Met == 1, fmt.Sprint(s.Faults)
	})
	p.mends(t, f.ID)
	began := time.Now()
	if got := <-answered; !strings.Contains(got, "fine") {
		t.Errorf("got %s, want the function's answer", got)
	}
	if took := time.Since(began); took > 100*time.Millisecond*time.Duration(max(1, overload())) {
		t.Errorf("it took %s", took)
	}
}

func TestAPlatformThatIsKilledTakesItsFaultsAlong(t *testing.T) {
	dir := faultsApp(t)
	p := startPlatform(t, dir)
	for _, document := range []string{
		`{"kind":"timeout","target":{"function":"Go"}}`, `{"kind":"disk","target":{"function":"Python"}}`, `{"kind":"refused","target":{"host":"*"}}`, `{"kind":"throttle","target":{"function":"Node"}}`,
	} {
		p.breaks(t, document)
	}
	p.seen(t, "Python", `{"do":"write"}`)
	go p.invoke(context.Background(), "Go", `{"do":"x"}`)
	within(t, 5*time.Second, "an event to be held", func() (bool, string) {
		s := p.status()
		return len(s.Faults) == 4 && s.Faults[0].Met == 1, fmt.Sprint(s.Faults)
	})
	left := p.seize()
	p.kill()
	left.gone(t, "no mark of its own")
	next := startPlatform(t, dir)
	if s := next.status(); len(s.Faults) != 0 {
		t.Errorf("got %+v in force after a crash", s.Faults)
	}
	for function, event := range map[string]string{"Go": `{"do":"x"}`, "Python": `{"do":"write"}`, "Node": `{"do":"x"}`} {
		if got := next.seen(t, function, event); !strings.Contains(got, "fine") {
			t.Errorf("%s: got %s after a crash", function, got)
		}
	}
}
