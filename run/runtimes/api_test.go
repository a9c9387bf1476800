package runtimes_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-io/daruma/build/buildtest"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/runtimes"
)

// patience bounds every wait for another process.
const patience = 30 * time.Second

// An answer is what a runtime posted.
type answer struct {
	kind    string // "response", "error" or "init/error"
	id      string
	header  http.Header
	trailer http.Header
	body    string
}

// An event is what the next "next" is answered with.
type event struct {
	id      string
	body    string
	header  map[string]string
	chunked bool // without Content-Length
}

// An api is a small Runtime API server.
type api struct {
	server  *httptest.Server
	events  chan event
	answers chan answer
	polls   atomic.Int64  // how many "next" have arrived
	gone    chan struct{} // one for each "next" whose asker went away
}

func newAPI(t testing.TB) *api {
	a := &api{events: make(chan event), answers: make(chan answer, 16), gone: make(chan struct{}, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", a.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", a.answer)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", a.answer)
	a.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		a.server.CloseClientConnections()
		a.server.Close()
	})
	return a
}

func (a *api) next(w http.ResponseWriter, r *http.Request) {
	a.polls.Add(1)
	select {
	case <-r.Context().Done():
		a.gone <- struct{}{}
	case e := <-a.events:
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", e.id)
		h.Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(patience).UnixMilli()))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:f")
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-"+e.id+";Parent=0;Sampled=1")
		for k, v := range e.header {
			if v == "" {
				h.Del(k)
			} else {
				h.Set(k, v)
			}
		}
		if !e.chunked {
			h.Set("Content-Length", fmt.Sprint(len(e.body)))
		}
		if e.chunked {
			half := len(e.body) / 2
			io.WriteString(w, e.body[:half])
			w.(http.Flusher).Flush()
			io.WriteString(w, e.body[half:])
			return
		}
		io.WriteString(w, e.body)
	}
}

func (a *api) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	kind := r.PathValue("kind")
	if kind == "" {
		kind = "init/error"
	}
	a.answers <- answer{kind: kind, id: r.PathValue("id"), header: r.Header, trailer: r.Trailer, body: string(body)}
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"status":"OK"}`)
}

// A process is a running runtime process.
type process struct {
	*api
	t    testing.TB
	cmd  *exec.Cmd
	out  string // the file its output goes to
	done chan struct{}
	n    int
}

// newRuntimes returns runtimes as a machine's user has them, with the tests' shared cache.
func newRuntimes(t testing.TB, change ...func(*runtimes.Config)) *runtimes.Runtimes {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	c := runtimes.Config{Cache: sharedCache(t), Path: os.Getenv("PATH"), Home: home, Progress: func(text string) { t.Log(text) }}
	for _, f := range change {
		f(&c)
	}
	return runtimes.New(c)
}

// sharedCache keeps what tests fetch between runs, so that registries are asked once.
func sharedCache(t testing.TB) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	return filepath.Join(dir, "daruma-test")
}

// function returns a function of the given runtime with these files.
func function(t testing.TB, id, handler string, files map[string]string) *catalog.Function {
	return &catalog.Function{Name: "f", Version: catalog.Latest, Runtime: id, Handler: handler, MemoryMB: 512, Code: catalog.Code{Dir: buildtest.Write(t, files)}}
}

// places returns the path function of a plain process: targets lie where their sources do.
func places(l run.Launch) func(string) string {
	return func(target string) string {
		if len(l.Opt) > 0 && strings.HasPrefix(target, "/opt") {
			return l.Opt[len(l.Opt)-1] + strings.TrimPrefix(target, "/opt")
		}
		for _, m := range l.Mounts {
			if target == m.Target || strings.HasPrefix(target, m.Target+"/") {
				return m.Source + strings.TrimPrefix(target, m.Target)
			}
		}
		return target
	}
}

// start launches f as a plain process that talks to a new api.
func start(t testing.TB, f *catalog.Function, env ...string) *process {
	t.Helper()
	return startWith(t, newRuntimes(t), f, env...)
}

func startWith(t testing.TB, r *runtimes.Runtimes, f *catalog.Function, env ...string) *process {
	t.Helper()
	l, err := r.Launch(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	path := places(l)
	c, err := l.Command(path)
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t)
	reserved := []string{
		"AWS_LAMBDA_RUNTIME_API=" + a.server.Listener.Addr().String(), "_HANDLER=" + f.Handler, "LAMBDA_TASK_ROOT=" + path("/var/task"), "LAMBDA_RUNTIME_DIR=" + path("/var/runtime"),
		"AWS_LAMBDA_FUNCTION_NAME=f", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/f", "AWS_LAMBDA_LOG_STREAM_NAME=2026/01/02/[$LATEST]00",
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s",
	}
	if !strings.HasPrefix(f.Runtime, "provided") {
		reserved = append(reserved, "AWS_EXECUTION_ENV=AWS_Lambda_"+f.Runtime)
	}
	own := []string{}
	for k, v := range f.Env {
		own = append(own, k+"="+v)
	}
	return a.run(t, c, append(append(own, env...), reserved...))
}

// run starts c as a process that talks to a.
func (a *api) run(t testing.TB, c run.Command, env []string) *process {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{api: a, t: t, out: out.Name(), done: make(chan struct{})}
	p.cmd = exec.Command(c.Argv[0], c.Argv[1:]...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = c.Dir, slices.Concat(c.Env, env), out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("output:\n%s", p.log())
		}
	})
	return p
}

// log returns everything the process has written so far.
func (p *process) log() string {
	b, err := os.ReadFile(p.out)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// send hands over an event.
func (p *process) send(e event) event {
	p.t.Helper()
	if e.id == "" {
		p.n++
		e.id = fmt.Sprintf("00000000-0000-4000-8000-%012d", p.n)
	}
	select {
	case p.events <- e:
	case <-p.done:
		p.t.Fatalf("the process ended (%v) instead of asking for an event", p.cmd.ProcessState)
	case <-time.After(patience):
		p.t.Fatal("the process does not ask for an event")
	}
	return e
}

// answered waits for what the process posts.
func (p *process) answered() answer {
	p.t.Helper()
	select {
	case a := <-p.answers:
		return a
	case <-time.After(patience):
		p.t.Fatal("the process does not answer")
	}
	return answer{}
}

// invoke sends one event with this body and waits for the answer to it.
func (p *process) invoke(body string) answer {
	p.t.Helper()
	e := p.send(event{body: body})
	a := p.answered()
	if a.id != e.id {
		p.t.Fatalf("got an answer to %s, want one to %s", a.id, e.id)
	}
	return a
}

// hangUp closes the connection on which the process waits for its n-th event.
func (p *process) hangUp(n int64) {
	p.t.Helper()
	for end := time.Now().Add(patience); p.polls.Load() < n; runtime.Gosched() {
		if time.Now().After(end) {
			p.t.Fatal("the process does not ask for an event")
		}
	}
	p.server.CloseClientConnections()
	select {
	case <-p.gone:
	case <-time.After(patience):
		p.t.Fatal("the server does not notice that the connection has gone")
	}
}

// exit waits for the process to end and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("the process does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (a answer) want(t testing.TB, kind, body string) {
	t.Helper()
	if a.kind != kind || a.body != body {
		t.Errorf("got %s %s, want %s %s", a.kind, a.body, kind, body)
	}
}

// A failure is an error as a runtime posts it.
type failure struct {
	ErrorType    string   `json:"errorType"`
	ErrorMessage string   `json:"errorMessage"`
	RequestID    *string  `json:"requestId"`
	Trace        []string `json:"trace"`
	StackTrace   []string `json:"stackTrace"`
}

// failed checks that a is an error of this type and message, told in the header too.
func (a answer) failed(t testing.TB, kind, errorType, message string) failure {
	t.Helper()
	var f failure
	if err := json.Unmarshal([]byte(a.body), &f); err != nil {
		t.Fatalf("got %s %q, want an error: %v", a.kind, a.body, err)
	}
	if a.kind != kind || f.ErrorType != errorType || !strings.HasPrefix(f.ErrorMessage, message) {
		t.Errorf("got %s %s: %s, want %s %s: %s", a.kind, f.ErrorType, f.ErrorMessage, kind, errorType, message)
	}
	if got := a.header.Get("Lambda-Runtime-Function-Error-Type"); got != errorType {
		t.Errorf("got error type header %q, want %q", got, errorType)
	}
	return f
}

func contains(t testing.TB, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("got %q, want it to contain %q", text, want)
	}
}
