package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/node"
)

// long says that there is time for the long form of a test.
func long() bool { return os.Getenv("DARUMA_LONG") != "" }

// A platform is a daruma that runs as a process of its own.
type platform struct {
	t       *testing.T
	dir     string // where the template is
	cmd     *exec.Cmd
	address node.Address
	logName string
	ended   chan struct{} // closed when the process is gone
	took    time.Duration // to be ready
	http    *http.Client
	lambda  *lambda.Client
}

// startPlatform runs "daruma up" for the template in dir and waits until it
// is ready. It is killed with the test, if it still runs then.
func startPlatform(t *testing.T, dir string, args ...string) *platform {
	t.Helper()
	began := time.Now()
	p := &platform{t: t, dir: dir, logName: filepath.Join(t.TempDir(), "log"), ended: make(chan struct{})}
	log, err := os.Create(p.logName)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(args) == 0 {
		args = []string{"--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0"}
	}
	p.cmd = exec.Command("daruma", append([]string{"up", dir, "--json"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = w, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // signals to this test's terminal are not for it
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the platform said:\n%s", p.log())
		}
	})
	r.SetReadDeadline(time.Now().Add(3 * time.Minute)) // it may have to fetch what functions need
	var ready node.Ready
	if err := json.NewDecoder(bufio.NewReader(r)).Decode(&ready); err != nil {
		t.Fatalf("the platform is not ready: %v", err)
	}
	p.took = time.Since(began)
	p.address, err = node.Find("", ready.Data)
	if err != nil {
		t.Fatal(err)
	}
	p.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 3 * time.Minute} // a platform that hangs fails its test, not all of them
	p.lambda = lambda.New(lambda.Options{
		Region: p.address.Region, BaseEndpoint: aws.String(p.address.AWS), HTTPClient: p.http, RetryMaxAttempts: 1, Credentials: p.credentials(),
	})
	return p
}

// credentials are the operator's, for the SDK's clients.
func (p *platform) credentials() aws.CredentialsProvider {
	p.t.Helper()
	key, err := node.OperatorKey(p.address.Data)
	if err != nil {
		p.t.Fatal(err)
	}
	return credentials.NewStaticCredentialsProvider(key.ID, key.Secret, "")
}

// put writes a file of an app, and the directories it is in.
func put(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (p *platform) pid() int { return p.cmd.Process.Pid }

// log returns the end of what the platform said.
func (p *platform) log() string {
	f, err := os.Open(p.logName)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const end = 8 << 10
	if info, err := f.Stat(); err == nil && info.Size() > end {
		f.Seek(-end, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}

// kill ends the platform at once and waits for it.
func (p *platform) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// awaitEnd waits until the platform has ended, and says how.
func (p *platform) awaitEnd(limit time.Duration) *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState
	case <-time.After(limit):
		p.t.Fatalf("the platform runs on after %v", limit)
		return nil
	}
}

func (p *platform) status() console.Status {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := status(ctx, p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// An answer is what the Lambda API said to an invocation.
type answer struct {
	request   string
	failed    bool
	errorType string
	message   string
	payload   string
	took      time.Duration
	err       error // it was not run
}

// invoke invokes a function with the official SDK, its signature included.
func (p *platform) invoke(ctx context.Context, function, event string) answer {
	began := time.Now()
	out, err := p.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: []byte(event)})
	a := answer{took: time.Since(began), err: err}
	if err != nil {
		return a
	}
	a.request, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	a.payload, a.failed = string(out.Payload), out.FunctionError != nil
	if a.failed {
		var said struct{ ErrorType, ErrorMessage string }
		if err := json.Unmarshal(out.Payload, &said); err != nil {
			a.err = fmt.Errorf("the error's payload %.200q: %w", out.Payload, err)
		}
		a.errorType, a.message = said.ErrorType, strings.ReplaceAll(said.ErrorMessage, a.request, "ID")
	}
	return a
}

// getHTTP asks a path of the app's HTTP API.
func (p *platform) getHTTP(ctx context.Context, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", p.address.Web+path, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// within fails the test unless done says yes before the limit. What it waits
// for is in other processes, so it looks again and again.
func within(t *testing.T, limit time.Duration, what string, done func() (ok bool, state string)) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		ok, state := done()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %s", what, limit, state)
		}
	}
}

// buildProbe builds the function that misbehaves and returns the directory it is in.
func buildProbe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "bootstrap"), "./testdata/hostile/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return dir
}
