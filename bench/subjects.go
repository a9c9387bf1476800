package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

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
	dir     string
	self    string // this program
	daruma  string // the product
	app     string // a copy of app/
	address node.Address
	data    string
}

// prepare builds the product and brings the echo functions up on it.
func prepare(ctx context.Context, dir string) (*workshop, error) {
	from, err := root()
	if err != nil {
		return nil, err
	}
	w := &workshop{dir: dir, daruma: filepath.Join(dir, "daruma"), app: filepath.Join(dir, "app")}
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", w.daruma, "./cmd/daruma")
	build.Dir, build.Env = from, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build daruma: %w\n%s", err, out)
	}
	if err := os.CopyFS(w.app, os.DirFS(filepath.Join(from, "bench", "app"))); err != nil {
		return nil, err
	}
	w.data = filepath.Join(w.app, node.DataDir)
	return w, w.up(ctx)
}

func (w *workshop) up(ctx context.Context) error {
	up := exec.CommandContext(ctx, w.daruma, "up", "--detach", "--no-watch", "--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0", w.app)
	if out, err := up.CombinedOutput(); err != nil {
		return fmt.Errorf("daruma up: %w\n%s", err, out)
	}
	var err error
	w.address, err = node.Find("", w.data)
	return err
}

func (w *workshop) stop() {
	down := exec.Command(w.daruma, "down", "--data", w.data)
	if out, err := down.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "daruma down: %v\n%s", err, out)
	}
}

// ladder measures every level of load against one server.
func ladder(ctx context.Context, addr string, request []byte, d time.Duration, pids []int) (map[int]measurement, error) {
	got := map[int]measurement{}
	for _, level := range levels {
		m, err := load(ctx, addr, request, level, d, pids)
		if err != nil {
			return nil, err
		}
		got[level] = m
	}
	return got, nil
}

// post is a whole request, ready to be sent.
func post(path, host string, header http.Header) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", path, host, len(event))
	_ = header.Write(&b) // to memory
	fmt.Fprintf(&b, "\r\n%s", event)
	return b.Bytes()
}

func (w *workshop) canned() subject {
	return subject{name: "canned answer", measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		f, err := w.startFloor("canned", "", w.dir)
		if err != nil {
			return nil, err
		}
		defer f.stop()
		return ladder(ctx, f.addr, post("/", f.addr, nil), d, []int{f.cmd.Process.Pid})
	}}
}

func (w *workshop) bare(lang language) subject {
	return subject{name: lang.name + ", bare loop", floor: "canned answer", measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		f, err := w.startFloor("bare", lang.function, w.dir)
		if err != nil {
			return nil, err
		}
		defer f.stop()
		return ladder(ctx, f.addr, post("/", f.addr, nil), d, []int{f.cmd.Process.Pid})
	}}
}

func (w *workshop) web(lang language) subject {
	return subject{name: lang.name + ", daruma HTTP API", floor: lang.name + ", bare loop", measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		addr := strings.TrimPrefix(w.address.Web, "http://")
		return ladder(ctx, addr, post(lang.path, addr, nil), d, []int{w.address.PID})
	}}
}

func (w *workshop) invoke(lang language) subject {
	return subject{name: lang.name + ", daruma Invoke", floor: lang.name + ", bare loop", measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
		request, err := w.signed(ctx, lang.function)
		if err != nil {
			return nil, err
		}
		return ladder(ctx, strings.TrimPrefix(w.address.AWS, "http://"), request, d, []int{w.address.PID})
	}}
}

// signed is an invocation signed now; it is good for fifteen minutes.
func (w *workshop) signed(ctx context.Context, function string) ([]byte, error) {
	key, err := node.OperatorKey(w.data)
	if err != nil {
		return nil, err
	}
	return signedWith(ctx, key, w.address.AWS, w.address.Region, function, nil)
}

// signedWith is an invocation signed with a key, with more headers.
func signedWith(ctx context.Context, key node.Key, base, region, function string, more http.Header) ([]byte, error) {
	path := "/2015-03-31/functions/" + url.PathEscape(function) + "/invocations"
	req, err := http.NewRequestWithContext(ctx, "POST", base+path, strings.NewReader(event))
	if err != nil {
		return nil, err
	}
	for name, values := range more {
		req.Header[name] = values
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(event)))
	if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}, req, hash, "lambda", region, time.Now()); err != nil {
		return nil, err
	}
	return post(path, req.URL.Host, req.Header), nil
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
	return first(strings.TrimPrefix(w.address.AWS, "http://"), request)
}

func (w *workshop) bareCold(context.Context) (float64, error) {
	f, err := w.startFloor("lazy", "Go", w.dir)
	if err != nil {
		return 0, err
	}
	defer f.stop()
	return first(f.addr, post("/", f.addr, nil))
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
