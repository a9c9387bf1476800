package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/node"
)

// A subject is one thing that is measured.
type subject struct {
	name    string
	floor   string // the subject it is compared with
	measure func(ctx context.Context, d time.Duration) (map[int]measurement, error)
}

// A language is one of the echo functions of app/.
type language struct{ name, function, path string }

var languages = []language{{"Go", "Go", "/go"}, {"Node.js", "Node", "/node"}, {"Python", "Python", "/python"}}

const event = `{"message":"falls seven times","count":7}`

// workshop is what has to be there before anything is measured.
type workshop struct {
	running   // the node with the echo functions
	dir       string
	self      string           // this program
	installed map[string]error // by command: what came of it
}

// prepare builds the product and brings the echo functions up on it.
func prepare(ctx context.Context, dir string) (*workshop, error) {
	from, err := root()
	if err != nil {
		return nil, err
	}
	w := &workshop{dir: dir, installed: map[string]error{}}
	w.daruma, w.app = filepath.Join(dir, "daruma"), filepath.Join(dir, "app")
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", w.daruma, "./cmd/daruma")
	build.Dir, build.Env = from, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build daruma: %w\n%s", err, out)
	}
	for _, app := range []string{"app", "state"} {
		if err := os.CopyFS(filepath.Join(dir, app), os.DirFS(filepath.Join(from, "bench", app))); err != nil {
			return nil, err
		}
	}
	w.data = filepath.Join(w.app, node.DataDir)
	return w, w.up(ctx)
}

// post is a request with the event, unsigned.
func post(path, host string) []byte {
	return raw(path, host, http.Header{"Content-Type": {"application/json"}}, event)
}

// What a server costs that does nothing: at least, and with the library that
// the doors are built on.
const (
	canned        = "canned answer"
	cannedLibrary = "canned answer, net/http"
)

func (w *workshop) canned(name string) subject {
	return subject{name: name, measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		f, err := w.startFloor(name, "", w.dir)
		if err != nil {
			return nil, err
		}
		defer f.stop()
		return ladder(ctx, f.addr, repeat(post("/", f.addr)), d, []int{f.cmd.Process.Pid})
	}}
}

func (w *workshop) bare(lang language) subject {
	return subject{name: lang.name + ", bare loop", floor: canned, measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		f, err := w.startFloor("bare", lang.function, w.dir)
		if err != nil {
			return nil, err
		}
		defer f.stop()
		return ladder(ctx, f.addr, repeat(post("/", f.addr)), d, []int{f.cmd.Process.Pid})
	}}
}

func (w *workshop) web(lang language) subject {
	return subject{name: lang.name + ", daruma HTTP API", floor: lang.name + ", bare loop", measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		addr := strings.TrimPrefix(w.address.Web, "http://")
		return ladder(ctx, addr, repeat(post(lang.path, addr)), d, []int{w.address.PID})
	}}
}

func (w *workshop) invoke(lang language) subject {
	return subject{name: lang.name + ", daruma Invoke", floor: lang.name + ", bare loop", measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		request, err := w.signed(ctx, lang.function)
		if err != nil {
			return nil, err
		}
		return ladder(ctx, w.addr(), repeat(request), d, []int{w.address.PID})
	}}
}

// signed is an invocation signed now.
func (w *workshop) signed(ctx context.Context, function string) ([]byte, error) {
	s, err := w.signer("lambda")
	if err != nil {
		return nil, err
	}
	return invocation(ctx, s, function, nil)
}

// invocation is a signed invocation, with more headers.
func invocation(ctx context.Context, s signer, function string, more http.Header) ([]byte, error) {
	return s.post(ctx, "/2015-03-31/functions/"+url.PathEscape(function)+"/invocations", more, event)
}

// atRest prints what a node costs that has nothing to do, and how long a first invocation takes.
func (w *workshop) atRest(ctx context.Context, out io.Writer) error {
	w.stop()
	if err := w.up(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nmemory at rest, spare places included: %.0f MB (the platform alone: %.0f MB)\n", memoryOf([]int{w.address.PID}), memoryOfOne(w.address.PID))
	var cold, bare []float64
	for i := range 10 {
		ms, err := w.once(ctx, "Cold"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		cold = append(cold, ms)
		ms, err = w.bareCold(ctx)
		if err != nil {
			return err
		}
		bare = append(bare, ms)
	}
	slices.Sort(cold)
	slices.Sort(bare)
	fmt.Fprintf(out, "cold start of a Go function to its first answer: median %.1f ms, worst %.1f ms (bare process: median %.1f ms)\n", cold[5], cold[9], bare[5])
	return nil
}

// once invokes a function one time and returns how long that took, in milliseconds.
func (w *workshop) once(ctx context.Context, function string) (float64, error) {
	request, err := w.signed(ctx, function)
	if err != nil {
		return 0, err
	}
	return first(w.addr(), request)
}

func (w *workshop) bareCold(context.Context) (float64, error) {
	f, err := w.startFloor("lazy", "Go", w.dir)
	if err != nil {
		return 0, err
	}
	defer f.stop()
	return first(f.addr, post("/", f.addr))
}

// A floorProcess is this program as a floor.
type floorProcess struct {
	cmd  *exec.Cmd
	end  io.Closer
	addr string
}

func (w *workshop) startFloor(kind, function, dir string) (*floorProcess, error) {
	cmd := exec.Command(w.self, "-floor", kind, "-function", function, "-app", w.app, "-dir", dir)
	cmd.Stderr = os.Stderr
	end, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	f := &floorProcess{cmd: cmd, end: end}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		f.stop()
		return nil, errors.New("the floor did not start")
	}
	f.addr = strings.TrimSpace(line)
	return f, nil
}

func (f *floorProcess) stop() {
	f.end.Close()
	_ = f.cmd.Wait() // it ends when its end is closed, however
}
