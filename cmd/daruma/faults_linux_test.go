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
	"sync"
	"testing"
	"time"

	"github.com/daruma-io/daruma/fault"
)

// faultsTemplate is an app of one function in each runtime, which tells of what
// it is handed at an address outside, and of one with the same code that has
// time, whatever else the machine does.
func faultsTemplate(tell string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Timeout: 1, MemorySize: 512, Environment: { Variables: { GREETING: hello, QUEUE: !Ref Sent, TELL: '%s' } } } }
Resources:
  Sent: { Type: AWS::SQS::Queue, Properties: { QueueName: sent } }
  Dead: { Type: AWS::SQS::Queue, Properties: { QueueName: dead } }
  Shop: { Type: AWS::Serverless::HttpApi, Properties: { CorsConfiguration: { AllowOrigins: ['https://shop.example'], AllowMethods: [GET] } } }
`, tell)
	for name, code := range map[string]string{"Go": "CodeUri: go/, Handler: bootstrap, Runtime: provided.al2023", "Node": "CodeUri: node/, Handler: index.handler, Runtime: nodejs22.x", "Python": "CodeUri: python/, Handler: index.handler, Runtime: python3.12"} {
		fmt.Fprintf(&b, `  %[1]sJobs: { Type: AWS::SQS::Queue, Properties: { QueueName: %[1]s-jobs, VisibilityTimeout: 1, RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2 } } }
  %[1]sOrders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: %[1]s-orders
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_IMAGE }
  %[1]s:
    Type: AWS::Serverless::Function
    Properties:
      %[2]s
      Events:
        Web: { Type: HttpApi, Properties: { ApiId: !Ref Shop, Path: /%[1]s, Method: GET } }
        Jobs: { Type: SQS, Properties: { Queue: !GetAtt %[1]sJobs.Arn, BatchSize: 1 } }
        Orders: { Type: DynamoDB, Properties: { Stream: !GetAtt %[1]sOrders.StreamArn, StartingPosition: TRIM_HORIZON, BatchSize: 8, BisectBatchOnFunctionError: true, MaximumRetryAttempts: 0 } }
  %[1]sPatient: { Type: AWS::Serverless::Function, Properties: { Timeout: 20, %[3]s } }
`, name, strings.ReplaceAll(code, ", ", "\n      "), code)
	}
	return b.String()
}

// faultsApp writes that app.
func faultsApp(t *testing.T, tell string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"node/index.js", "python/index.py"} {
		b, err := os.ReadFile(filepath.Join("testdata/faults", name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name), string(b))
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "go", "bootstrap"), "./testdata/faults/go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	put(t, filepath.Join(dir, "template.yaml"), faultsTemplate(tell))
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
	return p.remembers(t, id)
}

// remembers returns what a fault, in force or not, has met.
func (p *platform) remembers(t *testing.T, id fault.ID) fault.State {
	t.Helper()
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

// A faultCase is what one fault does to a function.
type faultCase struct {
	name     string
	document string // %s is the function
	event    string // %s is a URL outside, %t the time now
	fine     string // what is seen without the fault, and met with it: expressions
	met      string
	share    float64 // of 40 events; 0: all, and one or two suffice
}

// ends says whether the fault has the function's time run out.
func (c faultCase) ends() bool { return strings.Contains(c.met, "timed out") }

// function is the one of a runtime that the case is for: where its time is not to run out, it has enough.
func (c faultCase) function(runtime string) string {
	if c.ends() {
		return runtime
	}
	return runtime + "Patient"
}

var faultCases = []faultCase{
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
	{"secret", `{"kind":"secret","target":{"function":%q},"with":{"name":"GREETING"}}`, `{"do":"variable"}`, `hello`, `"missing"`, 0},
	{"clock skew", `{"kind":"clock-skew","target":{"function":%q},"with":{"by":"-12m"}}`, `{"do":"clock","now":%t}`, `"-?0 minutes"`, `"-12 minutes"`, 0},
	{"clock skew and signatures", `{"kind":"clock-skew","target":{"function":%q},"with":{"by":"-20m"}}`, `{"do":"send"}`, `fine`, `Signature expired: `, 0},
	{"bad release", `{"kind":"bad-release","target":{"function":%q,"version":"$LATEST"},"dose":{"rate":0.4},"with":{"code":"Broken"},"seed":9}`, `{"do":"x"}`, `fine`, `"errorType":"Broken"`, 0.4},
	{"slow bad release", `{"kind":"bad-release","target":{"function":%q,"version":"$LATEST"},"with":{"latency":"350ms"}}`, `{"do":"x"}`, `fine`, `^late .*fine`, 0},
	{"permission", `{"kind":"permission","target":{"service":"sqs","operation":"SendMessage","resource":"sent","function":%q},"dose":{"rate":0.5},"seed":3}`, `{"do":"send"}`, `fine`,
		`AccessDenied.*is not authorized to perform: sqs:SendMessage on resource: arn:aws:sqs:us-east-1:\d{12}:sent because no identity-based policy allows the sqs:SendMessage action`, 0.5},
	{"service error", `{"kind":"error","target":{"service":"sqs","function":%q},"dose":{"oneIn":4},"with":{"code":"throttled"}}`, `{"do":"send"}`, `fine`, `RequestThrottled`, 0.25},
	{"service latency", `{"kind":"latency","target":{"service":"sqs","function":%q},"with":{"latency":"350ms"}}`, `{"do":"send"}`, `fine`, `^late .*fine`, 0},
	{"service capacity", `{"kind":"capacity","target":{"service":"sqs","resource":"sent","function":%q},"with":{"perSecond":0.001}}`, `{"do":"send"}`, `fine`, `RequestThrottled`, 0.98},
	{"service refused", `{"kind":"refused","target":{"service":"sqs","function":%q}}`, `{"do":"send"}`, `fine`, `EOF|errorType`, 0},
	{"service blackhole", `{"kind":"blackhole","target":{"service":"sqs","function":%q}}`, `{"do":"send"}`, `fine`, `Task timed out|deadline exceeded`, 0}, // an SDK may give up just before
	{"dns", `{"kind":"dns","target":{"host":"host.daruma.internal","function":%q}}`, `{"do":"get","url":"%s/"}`, `fine`, `unreachable`, 0},
	{"refused", `{"kind":"refused","target":{"host":"*.daruma.internal","function":%q}}`, `{"do":"get","url":"%s/"}`, `fine`, `unreachable`, 0},
	{"blackhole", `{"kind":"blackhole","target":{"host":"host.daruma.internal","function":%q}}`, `{"do":"get","url":"%s/"}`, `fine`, `Task timed out`, 0},
	{"everything outside, a host", `{"kind":"blackhole","target":{"host":"*","service":"*","function":%q}}`, `{"do":"get","url":"%s/"}`, `fine`, `Task timed out`, 0},
	{"everything outside, a service", `{"kind":"blackhole","target":{"host":"*","service":"*","function":%q}}`, `{"do":"send"}`, `fine`, `Task timed out|deadline exceeded`, 0},
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
	p := startPlatform(t, faultsApp(t, ""))
	if s := p.status(); s.Isolation != "namespaces" || len(s.Missing) > 0 {
		t.Skipf("functions lack what faults need here: %s %q", s.Isolation, s.Missing)
	}
	var ended quickest
	for _, c := range faultCases {
		for _, runtime := range []string{"Go", "Node", "Python"} {
			t.Run(runtime+" "+c.name, func(t *testing.T) { ended.note(c.name, c.meets(t, p, runtime, base)) })
		}
	}
	ended.within(t, 100*time.Millisecond)
}

// meets has a fault meet the function of a runtime, and returns how long it took to end.
func (c faultCase) meets(t *testing.T, p *platform, runtime, base string) (took time.Duration) {
	function, event := c.function(runtime), strings.NewReplacer("%s", base, "%t", fmt.Sprint(time.Now().Unix())).Replace(c.event)
	fine, met := regexp.MustCompile(c.fine), regexp.MustCompile(c.met)
	p.seen(t, function, event) // warm
	within(t, 30*time.Second, "it to be fine before", func() (bool, string) {
		got := p.seen(t, function, event)
		return fine.MatchString(got), got
	})
	f := p.breaks(t, fmt.Sprintf(c.document, function))
	n, share := 2, 1.0
	switch {
	case c.share > 0:
		n, share = 40, c.share
	case strings.Contains(c.met, "late") || c.ends():
		n = 1 // the time of the test goes there
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
	took = time.Since(began)
	if s.Met == 0 {
		t.Errorf("got %+v, want something met", s)
	}
	got := p.seen(t, function, event)
	for tries := 0; c.ends() && strings.Contains(got, "timed out") && tries < 10; tries++ { // by itself, on a machine that is busy: it is met no more, see below
		got = p.seen(t, function, event)
	}
	if !fine.MatchString(strings.TrimPrefix(got, "late ")) {
		t.Errorf("after: got %s, want %s", got, fine)
	}
	if now := p.remembers(t, f.ID); now.Met != s.Met {
		t.Errorf("%d were met after its end", now.Met-s.Met)
	}
	return took
}

// quickest is the shortest time that each of several things took, each measured
// a few times: on a busy machine any time may be long, but it is never short
// where something waits for what it should not.
type quickest struct {
	mu   sync.Mutex // guards took
	took map[string]time.Duration
}

// note notes how long a thing took this time.
func (q *quickest) note(what string, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.took == nil {
		q.took = map[string]time.Duration{}
	}
	if best, ok := q.took[what]; !ok || took < best {
		q.took[what] = took
	}
}

// within wants each thing to have been done within a limit, which is for a machine that has nothing else to do.
func (q *quickest) within(t *testing.T, limit time.Duration) {
	t.Helper()
	limit = time.Duration(float64(limit) * min(overload(), 10))
	for what, took := range q.took {
		if took > limit {
			t.Errorf("%s: it took %s at least, want %s at most", what, took, limit)
		}
	}
}

func TestWhatAFaultHoldsGoesOnAsSoonAsItEnds(t *testing.T) {
	p := startPlatform(t, faultsApp(t, ""))
	p.seen(t, "PythonPatient", `{"do":"x"}`)
	var ended quickest
	for range 3 {
		f := p.breaks(t, `{"kind":"timeout","target":{"function":"PythonPatient"}}`)
		answered := make(chan string, 1)
		go func() { answered <- p.invoke(context.Background(), "PythonPatient", `{"do":"x"}`).payload }()
		within(t, 10*time.Second, "the event to be held", func() (bool, string) {
			s := p.status()
			return len(s.Faults) == 1 && s.Faults[0].Met == 1, fmt.Sprint(s.Faults)
		})
		p.mends(t, f.ID)
		began := time.Now()
		if got := <-answered; !strings.Contains(got, "fine") {
			t.Errorf("got %s, want the function's answer", got)
		}
		ended.note("what it held to go on", time.Since(began))
	}
	ended.within(t, 100*time.Millisecond)
}

// TestAPlatformThatIsKilledTakesItsFaultsAlong has every kind of fault in force
// on every runtime, some of which hold events, messages and changes, and kills the platform.
func TestAPlatformThatIsKilledTakesItsFaultsAlong(t *testing.T) {
	h, tell := listen(t)
	base := outside(t)
	dir := faultsApp(t, tell)
	p := startPlatform(t, dir)
	runtimes := []string{"Go", "Node", "Python"}
	for _, function := range runtimes {
		p.breaks(t, fmt.Sprintf(`{"kind":"queue-delay","target":{"queue":"%s-jobs"},"with":{"latency":"10m"}}`, function))
		p.breaks(t, fmt.Sprintf(`{"kind":"stuck-shard","target":{"table":"%s-orders"}}`, function))
		p.sends(t, function+"-jobs", function+"job", 3)
		p.puts(t, function+"-orders", function+"order", 3)
	}
	p.breaks(t, `{"kind":"timeout","target":{"function":"*"}}`)
	for _, function := range runtimes {
		go p.invoke(context.Background(), function, `{"do":"x"}`)
	}
	within(t, 10*time.Second, "all of them to hold something", func() (bool, string) {
		all := p.status().Faults
		met := uint64(0)
		for _, f := range all {
			met += f.Met
		}
		return met == 9+3+3, fmt.Sprint(all)
	})
	documents := []string{`{"kind":"cors","target":{"api":"Shop"}}`, `{"kind":"poison-record","target":{"queue":"*"}}`, `{"kind":"poison-record","target":{"table":"*"}}`,
		`{"kind":"duplicate","target":{"queue":"*"}}`, `{"kind":"queue-reorder","target":{"queue":"*"}}`, `{"kind":"duplicate","target":{"function":"*"}}`}
	for _, c := range faultCases {
		document := strings.Replace(c.document, "%q", `"*"`, 1)
		if strings.Contains(document, "bad-release") || strings.Contains(document, `"secret"`) { // each is of a function that is named
			document = fmt.Sprintf(c.document, "Python")
		}
		documents = append(documents, document)
	}
	for _, document := range documents {
		p.breaks(t, document)
	}
	p.seen(t, "Python", `{"do":"write"}`) // it meets some of them
	left := p.seize()
	p.kill()
	left.gone(t, "no mark of its own")
	next := startPlatform(t, dir)
	if s := next.status(); len(s.Faults) != 0 {
		t.Errorf("got %+v in force after a crash", s.Faults)
	}
	for _, function := range runtimes {
		for _, c := range faultCases {
			if got := strings.TrimPrefix(next.seen(t, function+"Patient", strings.NewReplacer("%s", base, "%t", fmt.Sprint(time.Now().Unix())).Replace(c.event)), "late "); !regexp.MustCompile(c.fine).MatchString(got) {
				t.Errorf("%s %s: got %s after a crash, want %s", function, c.name, got, c.fine)
			}
		}
		h.await(t, function+"job", 3)
		h.await(t, function+"order", 3)
		if !next.shares(t, "GET", function) {
			t.Errorf("%s: the CORS headers are gone after a crash", function)
		}
	}
}
