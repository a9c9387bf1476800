package run_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	door "github.com/daruma-io/daruma/door/runtime"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/runtest"
	"github.com/daruma-io/daruma/run/sandbox"
)

// A world is a pool over real processes.
type world struct {
	t     testing.TB
	pool  *run.Pool
	maker *runtest.Maker
	obs   *runtest.Observer
	view  atomic.Pointer[catalog.View]
	opt   []string
}

var place = catalog.Place{Region: "eu-west-1", Account: "123456789012"}

// function returns a function whose handler is one of the programs.
func function(handler string) *catalog.Function {
	return &catalog.Function{Name: "f", Version: catalog.Latest, Runtime: "provided.al2023", Handler: handler,
		Timeout: 3 * time.Second, MemoryMB: 128, StorageMB: 512, Revision: "1"}
}

// newWorld makes a pool for functions; change may change its configuration.
func newWorld(t testing.TB, change func(*run.Config), functions ...*catalog.Function) *world {
	t.Helper()
	w := &world{t: t, maker: &runtest.Maker{Dir: t.TempDir()}, obs: &runtest.Observer{}}
	w.set(functions...)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := run.Config{
		Maker: w.maker, View: w.view.Load, Observer: w.obs, FreezeAfter: -1,
		Serve: func(ctx context.Context, ln net.Listener, s *run.Session) error { return door.Serve(ctx, ln, s) },
		Launch: func(f *catalog.Function) (run.Launch, error) {
			return run.Launch{Opt: w.opt, Command: func(path func(string) string) (run.Command, error) {
				return run.Command{Argv: []string{exe}, Env: []string{"GOCOVERDIR=" + os.TempDir(), "PATH=/bin", "GORACE=atexit_sleep_ms=0"}, Dir: "/"}, nil
			}}, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	w.pool = run.New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.pool.Close(ctx); err != nil {
			t.Errorf("close the pool: %v", err)
		}
		if n := w.maker.Open(); n != 0 {
			t.Errorf("got %d places left, want 0", n)
		}
	})
	return w
}

// set publishes functions.
func (w *world) set(functions ...*catalog.Function) {
	w.view.Store(catalog.NewView(place, functions, nil, nil, nil))
}

// run runs one event through function f.
func (w *world) run(payload string) daruma.Outcome {
	return w.runInvocation(daruma.Invocation{Payload: []byte(payload)})
}

func (w *world) runInvocation(inv daruma.Invocation) daruma.Outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if inv.ID == "" {
		inv.ID = daruma.NewID()
	}
	if inv.Target.Function == "" {
		inv.Target.Function = "f"
	}
	inv.At = time.Now()
	return w.pool.Run(ctx, inv)
}

// want checks an outcome's kind and payload. A payload may have ID for the request's ID.
func want(t *testing.T, o daruma.Outcome, kind daruma.OutcomeKind, payload string) {
	t.Helper()
	if o.Kind != kind || string(o.Payload) != payload {
		t.Fatalf("got %v %q (%v), want %v %q", o.Kind, o.Payload, o.Failure, kind, payload)
	}
}

// await waits for something the observer is told.
func (w *world) await(what string, done func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := w.obs.Await(ctx, done); err != nil {
		w.t.Fatalf("waiting for %s: %v; log:\n%s", what, err, w.obs.Text())
	}
}

// states returns the states an environment was in, one after the other.
func (w *world) states() (list []string) {
	for _, e := range w.obs.States() {
		s := string(e.State)
		if e.Cause != "" {
			s += " " + e.Cause
		}
		list = append(list, s)
	}
	return list
}

func (w *world) awaitState(state string) {
	w.t.Helper()
	w.await("state "+state, func() bool {
		list := w.states()
		return len(list) > 0 && list[len(list)-1] == state
	})
}

// awaitSpan returns the span that was told as the nth.
func (w *world) awaitSpan(n int) daruma.Span {
	w.t.Helper()
	w.await("span", func() bool { return len(w.obs.Spans()) > n })
	return w.obs.Spans()[n]
}

// extensions links the test binary as extensions of these names into a layer.
func (w *world) extensions(names ...string) {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "extensions"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Symlink(exe, filepath.Join(dir, "extensions", name)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.opt = []string{dir}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("got %q, want it to contain %q", text, part)
		}
	}
}

var _ sandbox.Maker = (*runtest.Maker)(nil)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
