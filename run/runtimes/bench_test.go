package runtimes_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/run"
)

// A line is a Runtime API server on bare connections, so that a benchmark
// measures the client. It serves one process; the connections of a client that
// opens several take turns.
type line struct {
	listener net.Listener
	events   chan string
	answers  chan int // the length of each response
}

func newLine(b *testing.B) *line {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &line{listener: l, events: make(chan string), answers: make(chan int)}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *line) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 1<<20)
	for n := 1; ; n++ {
		first, length := "", 0
		for {
			text, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if first == "" {
				first = text
			}
			if text == "\r\n" {
				break
			}
			if v, ok := strings.CutPrefix(strings.ToLower(text), "content-length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(v))
			}
		}
		if _, err := io.CopyN(io.Discard, in, int64(length)); err != nil {
			return
		}
		if strings.HasPrefix(first, "GET") {
			e, ok := <-s.events
			if !ok {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-%012d\r\nLambda-Runtime-Deadline-Ms: 9999999999999\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\nLambda-Runtime-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1\r\nContent-Length: %d\r\n\r\n%s", n, len(e), e)
			continue
		}
		io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n")
		s.answers <- length
	}
}

const (
	benchNode   = `exports.handler = async (event) => event;`
	benchPython = "def handler(event, context):\n    return event\n"
	benchEvent  = `{"version":"2.0","routeKey":"$default","rawPath":"/path","rawQueryString":"a=b","headers":{"host":"example.com","user-agent":"bench","x-amzn-trace-id":"Root=1-5759e988-bd862e3fe1be46a994272793"},"requestContext":{"accountId":"000000000000","apiId":"api","http":{"method":"POST","path":"/path","protocol":"HTTP/1.1","sourceIp":"127.0.0.1"},"requestId":"id","stage":"$default","timeEpoch":1583348638390},"body":"Hello from a client","isBase64Encoded":false}`
)

// BenchmarkInvoke measures one echoed event after another, on our bootstrap
// and on AWS's own client for the language, and tells the processor time of
// the function's process beside it. The clients are looked for in
// $DARUMA_PEERS: node_modules/aws-lambda-ric (npm) and python/awslambdaric
// (pip install --target python).
func BenchmarkInvoke(b *testing.B) {
	peers := os.Getenv("DARUMA_PEERS")
	for _, size := range []int{len(benchEvent), 256 << 10} {
		event := benchEvent
		if size > len(event) {
			event = `"` + strings.Repeat("x", size) + `"`
		}
		name := fmt.Sprintf("%dKB", (size+1023)>>10)
		node := function(b, node22, "index.handler", map[string]string{"index.js": benchNode})
		python := function(b, python311, "app.handler", map[string]string{"app.py": benchPython})
		b.Run("node/daruma/"+name, func(b *testing.B) { invoke(b, node, event, nil) })
		b.Run("node/aws/"+name, func(b *testing.B) {
			invoke(b, node, event, peer(b, filepath.Join(peers, "node_modules/aws-lambda-ric/bin/index.mjs"), func(c *run.Command, client string) {
				c.Argv = []string{c.Argv[0], c.Argv[1], client, node.Handler}
			}))
		})
		b.Run("python/daruma/"+name, func(b *testing.B) { invoke(b, python, event, nil) })
		b.Run("python/aws/"+name, func(b *testing.B) {
			invoke(b, python, event, peer(b, filepath.Join(peers, "python/awslambdaric/__main__.py"), func(c *run.Command, client string) {
				c.Argv = []string{c.Argv[0], "-m", "awslambdaric", python.Handler}
				c.Env = append(c.Env, "PYTHONPATH="+filepath.Dir(filepath.Dir(client)))
			}))
		})
	}
}

// BenchmarkStart measures from the start of a process to its first answer.
func BenchmarkStart(b *testing.B) {
	for _, f := range []*catalog.Function{
		function(b, node22, "index.handler", map[string]string{"index.js": benchNode}),
		function(b, node22, "index.handler", map[string]string{"index.mjs": "export const handler = async (event) => event;"}),
		function(b, python311, "app.handler", map[string]string{"app.py": benchPython}),
	} {
		entries, _ := os.ReadDir(f.Code.Dir)
		b.Run(f.Runtime+"/"+entries[0].Name(), func(b *testing.B) {
			for b.Loop() {
				start(b, f).invoke(`{}`)
			}
		})
	}
}

func peer(b *testing.B, client string, change func(c *run.Command, client string)) func(c *run.Command) {
	if _, err := os.Stat(client); err != nil {
		b.Skipf("AWS's client is not in $DARUMA_PEERS: %v", err)
	}
	return func(c *run.Command) { change(c, client) }
}

func invoke(b *testing.B, f *catalog.Function, event string, change func(c *run.Command)) {
	l := launch(b, newRuntimes(b), f)
	path := places(l)
	c, err := l.Command(path)
	if err != nil {
		b.Fatal(err)
	}
	if change != nil {
		change(&c)
	}
	s := newLine(b)
	p := (&api{}).run(b, c, []string{
		"AWS_LAMBDA_RUNTIME_API=" + s.listener.Addr().String(), "_HANDLER=" + f.Handler, "LAMBDA_TASK_ROOT=" + path("/var/task"), "AWS_EXECUTION_ENV=AWS_Lambda_" + f.Runtime,
		"AWS_LAMBDA_FUNCTION_NAME=f", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "AWS_LAMBDA_LOG_GROUP_NAME=g", "AWS_LAMBDA_LOG_STREAM_NAME=s",
	})
	one := func() {
		s.events <- event
		if n := <-s.answers; n < len(event) {
			b.Fatalf("got %d bytes, want the event", n)
		}
	}
	for range 200 { // until what is compiled at run time is compiled
		one()
	}
	before := cpu(b, p)
	b.SetBytes(int64(len(event)))
	for b.Loop() {
		one()
	}
	b.ReportMetric((cpu(b, p)-before)/float64(b.N), "cpu-ns/op")
}

// cpu returns the processor time of a process in nanoseconds.
func cpu(b *testing.B, p *process) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0 // only Linux tells
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	ticks := 0
	for _, f := range fields[11:13] {
		n, _ := strconv.Atoi(string(f))
		ticks += n
	}
	if p.cmd.Process.Signal(syscall.Signal(0)) != nil {
		b.Fatal("the process has ended")
	}
	return float64(ticks) * 1e7 // 100 ticks a second
}
