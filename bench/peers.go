package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Versions of the peers. They are fetched by the ordinary package tools.
const (
	emulator          = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie@latest"
	serverless        = "serverless@3.40.0"
	serverlessOffline = "serverless-offline@13.9.0"
)

// peers are measured when they can be installed; what cannot is said and left out.
func (w *workshop) peers() []subject {
	return []subject{
		{name: "Go, AWS's emulator", floor: "Go, bare loop", measure: w.measureEmulator},
		{name: "Node.js, serverless-offline HTTP API", floor: "Node.js, bare loop", measure: w.measureOffline},
	}
}

// install runs a command of a package tool once, however often it is asked to.
func (w *workshop) install(ctx context.Context, env []string, argv ...string) error {
	what := strings.Join(argv, " ")
	err, done := w.installed[what]
	if !done {
		err = w.installNow(ctx, env, argv...)
		w.installed[what] = err
	}
	return err
}

// npm installs packages into a directory of the workshop, and returns that.
func (w *workshop) npm(ctx context.Context, name string, packages ...string) (string, error) {
	dir := filepath.Join(w.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, w.install(ctx, nil, append([]string{"npm", "install", "--no-audit", "--no-fund", "--prefix", dir}, packages...)...)
}

func (w *workshop) installNow(ctx context.Context, env []string, argv ...string) error {
	fmt.Fprintf(os.Stderr, "installing: %s\n", strings.Join(argv, " "))
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), env...), w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return nil
}

// measureEmulator measures one request at a time: the emulator cannot take two.
func (w *workshop) measureEmulator(ctx context.Context, d time.Duration) (map[int]measurement, error) {
	if err := w.install(ctx, []string{"GOBIN=" + w.dir}, "go", "install", emulator); err != nil {
		return nil, err
	}
	bootstrap := filepath.Join(w.dir, "echo")
	build := exec.CommandContext(ctx, "go", "build", "-o", bootstrap, ".")
	build.Dir, build.Env = filepath.Join(w.app, "go"), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	stop, pid, err := w.start(w.dir, nil, filepath.Join(w.dir, "aws-lambda-rie"), "--log-level", "error",
		"--runtime-interface-emulator-address", ports[0], "--runtime-api-address", ports[1], bootstrap)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := waitFor(ctx, ports[0]); err != nil {
		return nil, err
	}
	m, err := load(ctx, ports[0], repeat(post("/2015-03-31/functions/function/invocations", ports[0])), 1, d, []int{pid})
	return map[int]measurement{1: m}, err
}

const offlineConfig = `service: echo
provider: { name: aws, runtime: nodejs20.x }
plugins: [serverless-offline]
functions:
  echo:
    handler: index.handler
    events: [{ httpApi: { method: post, path: /node } }]
`

func (w *workshop) measureOffline(ctx context.Context, d time.Duration) (map[int]measurement, error) {
	dir, err := w.npm(ctx, "offline", serverless, serverlessOffline)
	if err != nil {
		return nil, err
	}
	// Its HTTP API wants an object with a body; echoing the event is an answer it takes.
	files := map[string]string{"serverless.yml": offlineConfig, "index.js": "exports.handler = async (e) => e.body;\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	_, http, _ := net.SplitHostPort(ports[0])
	_, lambda, _ := net.SplitHostPort(ports[1])
	stop, pid, err := w.start(dir, []string{"SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off"}, filepath.Join(dir, "node_modules", ".bin", "serverless"),
		"offline", "--host", "127.0.0.1", "--httpPort", http, "--lambdaPort", lambda)
	if err != nil {
		return nil, err
	}
	defer stop()
	if err := waitFor(ctx, ports[0]); err != nil {
		return nil, err
	}
	return ladder(ctx, ports[0], repeat(post("/node", ports[0])), d, []int{pid})
}

// start starts a peer in a process group of its own; stop ends all of it.
func (w *workshop) start(dir string, env []string, argv ...string) (stop func(), pid int, err error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(w.dir, "peer-"+filepath.Base(argv[0])+".log"))
	if err != nil {
		return nil, 0, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()                                      // killed, it says
	}, cmd.Process.Pid, nil
}

// freePorts returns addresses that nobody listens on at the moment.
func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, "127.0.0.1:"+strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return addrs, nil
}

// waitFor waits until somebody listens on addr.
func waitFor(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on %s", addr)
		}
	}
}
