package run_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"

	"github.com/daruma-io/daruma/run/sandbox/namespace"
)

// The test binary, started again with _HANDLER set, is the function: a small
// program for each handler.

func TestMain(m *testing.M) {
	namespace.Init() // a place begins as this binary, started again
	if name := filepath.Base(os.Args[0]); strings.HasPrefix(name, "ext-") {
		extensionMain(strings.TrimPrefix(name, "ext-"))
	}
	if handler := os.Getenv("_HANDLER"); handler != "" {
		program := programs[strings.SplitN(handler, ":", 2)[0]]
		if program == nil {
			fmt.Println("no program named", handler)
			os.Exit(99)
		}
		program(&guest{api: os.Getenv("AWS_LAMBDA_RUNTIME_API"), argument: strings.TrimPrefix(handler, strings.SplitN(handler, ":", 2)[0]+":")})
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// A guest is a thin client of the Runtime API.
type guest struct {
	api      string
	argument string
	conn     net.Conn
	r        *bufio.Reader
}

// An event is what next returned.
type event struct {
	id      string
	header  http.Header
	payload []byte
}

func (g *guest) dial() {
	var err error
	if g.conn, err = net.Dial("tcp", g.api); err != nil {
		fmt.Println("dial:", err)
		os.Exit(98)
	}
	g.r = bufio.NewReader(g.conn)
}

// do sends text as it is and reads one answer.
func (g *guest) do(text string) (status int, header http.Header, body []byte) {
	if g.conn == nil {
		g.dial()
	}
	io.WriteString(g.conn, text)
	res, err := http.ReadResponse(g.r, nil)
	if err != nil {
		os.Exit(97)
	}
	body, err = io.ReadAll(res.Body)
	if err != nil {
		os.Exit(96)
	}
	return res.StatusCode, res.Header, body
}

func (g *guest) get(path string) (int, http.Header, []byte) {
	return g.do("GET " + path + " HTTP/1.1\r\nHost: r\r\n\r\n")
}

func (g *guest) post(path, fields string, body []byte) (int, []byte) {
	status, _, answer := g.do("POST " + path + " HTTP/1.1\r\nHost: r\r\n" + fields + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + string(body))
	return status, answer
}

const invocation = "/2018-06-01/runtime/invocation/"

func (g *guest) next() event {
	status, header, body := g.get(invocation + "next")
	if status != 200 {
		fmt.Printf("next: %d %s\n", status, body)
		os.Exit(95)
	}
	return event{header.Get("Lambda-Runtime-Aws-Request-Id"), header, body}
}

func (g *guest) respond(e event, body []byte) (int, []byte) {
	return g.post(invocation+e.id+"/response", "", body)
}

func (g *guest) fail(e event, errType string, body string) (int, []byte) {
	return g.post(invocation+e.id+"/error", "Lambda-Runtime-Function-Error-Type: "+errType+"\r\n", []byte(body))
}

func (g *guest) loop(handle func(event) []byte) {
	for {
		e := g.next()
		g.respond(e, handle(e))
	}
}

// tmp is the environment's /tmp.
func tmp(name string) string { return filepath.Join(os.Getenv("TMPDIR"), name) }

// once says true the first time in an environment's life, whatever the process.
func once(name string) bool {
	f, err := os.OpenFile(tmp(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// hang does nothing for ever; an empty select would be a deadlock that Go ends.
func hang() {
	for {
		time.Sleep(time.Hour)
	}
}

// untilLetGo waits for the test to put a file into the environment's /tmp.
func untilLetGo(name string) {
	for {
		if _, err := os.Stat(tmp(name)); err == nil {
			return
		}
		time.Sleep(time.Millisecond) // what is waited for is in another process
	}
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(94)
	}
}

var programs = map[string]func(g *guest){
	"lean": lean,
	"echo": func(g *guest) { g.loop(func(e event) []byte { return e.payload }) },
	"count": func(g *guest) {
		n := 0
		g.loop(func(event) []byte { n++; return fmt.Appendf(nil, "%d", n) })
	},
	"pid": func(g *guest) { g.loop(func(event) []byte { return fmt.Appendf(nil, "%d", os.Getpid()) }) },
	"headers": func(g *guest) {
		g.loop(func(e event) []byte { data, _ := json.Marshal(e.header); return data })
	},
	"environ": func(g *guest) {
		g.loop(func(event) []byte { data, _ := json.Marshal(os.Environ()); return data })
	},
	"error": func(g *guest) {
		for {
			g.fail(g.next(), "Custom", `{"errorMessage": "no",  "errorType":"MyError", "stackTrace":[]}`)
		}
	},
	"sleep": func(g *guest) { // sleeps for as long as the event says, or until it is let go
		g.loop(func(e event) []byte {
			said := strings.Trim(string(e.payload), `"`)
			if name, ok := strings.CutPrefix(said, "until "); ok {
				untilLetGo(name)
			}
			d, _ := time.ParseDuration(said)
			time.Sleep(d)
			return []byte(`"slept"`)
		})
	},
	"hang-once": func(g *guest) {
		n := 0
		g.loop(func(event) []byte {
			n++
			if once("hung") {
				os.WriteFile(tmp("kept"), []byte("kept"), 0o644)
				hang()
			}
			kept, _ := os.ReadFile(tmp("kept"))
			return fmt.Appendf(nil, `{"n":%d,"kept":%q}`, n, kept)
		})
	},
	"exit": func(g *guest) { // exits with the code the event says
		g.loop(func(e event) []byte {
			if code, err := strconv.Atoi(string(e.payload)); err == nil {
				os.Exit(code)
			}
			return e.payload
		})
	},
	"die": func(g *guest) {
		g.next()
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		hang()
	},
	"answer-exit": func(g *guest) { // the answer is on its way when it exits
		e := g.next()
		fmt.Fprintf(g.conn, "POST %s%s/response HTTP/1.1\r\nHost: r\r\nContent-Length: 6\r\n\r\n\"last\"", invocation, e.id)
		os.Exit(3)
	},
	"log": func(g *guest) {
		fmt.Println("hello from init")
		g.loop(func(e event) []byte {
			fmt.Println("to stdout", string(e.payload))
			fmt.Fprint(os.Stderr, "to stderr, without an end")
			return e.payload
		})
	},
	"flood": func(g *guest) { // writes a lot
		g.loop(func(e event) []byte {
			n, _ := strconv.Atoi(string(e.payload))
			line := bytes.Repeat([]byte("x"), 1023)
			line = append(line, '\n')
			chunk := bytes.Repeat(line, 64)
			for n > 0 {
				m, err := os.Stdout.Write(chunk)
				must(err)
				n -= m
			}
			return []byte(`"flooded"`)
		})
	},
	"long-line": func(g *guest) {
		g.loop(func(e event) []byte {
			os.Stdout.Write(append(bytes.Repeat([]byte("y"), 600<<10), '\n'))
			return nil
		})
	},
	"size": func(g *guest) { // answers as many bytes as the event says
		g.loop(func(e event) []byte {
			n, _ := strconv.Atoi(string(e.payload))
			status, body := g.respond(e, bytes.Repeat([]byte("z"), n))
			if status != 202 {
				os.WriteFile(tmp("answer"), fmt.Appendf(nil, "%d %s", status, body), 0o644)
			}
			return nil
		})
	},
	"init-error-once": func(g *guest) {
		if once("failed") {
			fmt.Println("first init")
			g.post("/2018-06-01/runtime/init/error", "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n", []byte(`{"errorMessage":"first"}`))
			os.Exit(1)
		}
		g.loop(func(e event) []byte { return e.payload })
	},
	"init-error": func(g *guest) {
		g.post("/2018-06-01/runtime/init/error", "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n", []byte(`{"errorMessage":"no module","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}`))
		os.Exit(1)
	},
	"init-exit": func(g *guest) { os.Exit(7) },
	"init-hang": func(g *guest) { hang() },
	"early-response": func(g *guest) { // says what the states answer, in the event's answer
		var said []string
		note := func(status int, body []byte) { said = append(said, fmt.Sprintf("%d %s", status, body)) }
		note(g.post(invocation+"11111111-1111-4111-8111-111111111111/response", "", []byte("{}")))
		status, _, body := g.get("/2018-06-01/ping")
		note(status, body)
		status, _, body = g.get("/2018-06-01/runtime/restore/next")
		note(status, nil)
		_ = body
		e := g.next()
		note(g.post(invocation+"22222222-2222-4222-8222-222222222222/response", "", []byte("{}")))
		note(g.post("/2018-06-01/runtime/init/error", "", []byte("{}")))
		data, _ := json.Marshal(said)
		g.respond(e, data)
		status2, body2 := g.respond(e, []byte("twice"))
		status3, body3 := g.fail(e, "X", "twice")
		e2 := g.next()
		status4, body4 := g.respond(e, []byte("an old one"))
		data, _ = json.Marshal([]string{fmt.Sprintf("%d %s", status2, body2), fmt.Sprintf("%d %s", status3, body3), fmt.Sprintf("%d %s", status4, body4)})
		g.respond(e2, data)
		g.next()
	},
	"next-twice": func(g *guest) {
		e := g.next()
		again := g.next()
		g.respond(again, fmt.Appendf(nil, "%v", e.id == again.id))
		g.next()
	},
	"reconnect": func(g *guest) { // loses its connection right after the event came
		e := g.next()
		g.conn.Close()
		g.dial()
		again := g.next()
		g.conn.Close()
		g.conn = nil
		g.respond(again, fmt.Appendf(nil, "%v", e.id == again.id))
		g.next()
	},
	"stream": streamMain,
	"half-open": func(g *guest) {
		e := g.next()
		fmt.Fprintf(g.conn, "POST %s%s/response HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nonly this", invocation, e.id)
		hang()
	},
	"cut-off": func(g *guest) {
		e := g.next()
		fmt.Fprintf(g.conn, "POST %s%s/response HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nonly this", invocation, e.id)
		g.conn.Close()
		g.conn = nil
		g.next()
	},
	"cut-exit": func(g *guest) {
		e := g.next()
		fmt.Fprintf(g.conn, "POST %s%s/response HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly ", invocation, e.id)
		os.Exit(1)
	},
	"stubborn": func(g *guest) {
		signal.Ignore(syscall.SIGTERM)
		x := &guest{api: g.api}
		x.do("POST /2020-01-01/extension/register HTTP/1.1\r\nHost: r\r\nLambda-Extension-Name: inside\r\nContent-Length: 13\r\n\r\n{\"events\":[]}")
		go x.get("/none")
		g.next()
		hang()
	},
	"never-reads": func(g *guest) {
		g.dial()
		fmt.Fprintf(g.conn, "GET %snext HTTP/1.1\r\nHost: r\r\n\r\n", invocation)
		hang()
	},
	"many-connections": func(g *guest) {
		for range 500 {
			if c, err := net.Dial("tcp", g.api); err == nil {
				fmt.Fprint(c, "GET /2018")
				defer c.Close()
			}
		}
		e := g.next() // on a connection it opened when there was still room: none is left
		g.respond(e, e.payload)
		g.next()
	},
	"internal": func(g *guest) { // an internal extension that tells when the runtime is asked to end
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		x := &guest{api: g.api}
		status, header, body := x.do("POST /2020-01-01/extension/register HTTP/1.1\r\nHost: r\r\nLambda-Extension-Name: inside\r\nLambda-Extension-Accept-Feature: accountId\r\nContent-Length: 21\r\n\r\n{\"events\":[\"INVOKE\"]}")
		if status != 200 {
			fmt.Println(status, string(body))
			os.Exit(93)
		}
		fmt.Println("registered", string(body))
		id := header.Get("Lambda-Extension-Identifier")
		go func() {
			<-signals
			fmt.Println("asked to end")
			os.Exit(0)
		}()
		go func() {
			for {
				_, _, event := x.do("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: r\r\nLambda-Extension-Identifier: " + id + "\r\n\r\n")
				fmt.Println("inside saw", string(event))
			}
		}()
		g.loop(func(e event) []byte { return e.payload })
	},
	"sdk-reader": func(*guest) {
		lambda.Start(func(in string) (io.Reader, error) {
			if in == "broken" {
				return io.MultiReader(strings.NewReader("begun "), errorReader{}), nil
			}
			return strings.NewReader("raw bytes"), nil
		})
	},
	"sdk": func(*guest) {
		lambda.Start(func(ctx context.Context, in map[string]any) (any, error) {
			lc, _ := lambdacontext.FromContext(ctx)
			deadline, _ := ctx.Deadline()
			switch in["do"] {
			case "error":
				return nil, errors.New("as asked")
			case "panic":
				panic("as asked")
			}
			return map[string]any{"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "client": lc.ClientContext.Custom,
				"identity": lc.Identity.CognitoIdentityID, "tenant": lc.TenantID, "left": time.Until(deadline).Seconds() > 0, "trace": os.Getenv("_X_AMZN_TRACE_ID"), "in": in}, nil
		})
	},
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("read failed") }

// streamMain answers with a stream, as the event says.
func streamMain(g *guest) {
	for {
		e := g.next()
		head := "POST " + invocation + e.id + "/response HTTP/1.1\r\nHost: r\r\nContent-Type: text/special\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n" +
			"Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n6\r\nfirst \r\n"
		switch string(e.payload) {
		case `"trailers"`:
			g.do(head + "0\r\nLambda-Runtime-Function-Error-Type: Runtime.Streaming\r\nLambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJtaWQiLCJlcnJvclR5cGUiOiJNaWQifQ==\r\n\r\n")
		case `"cut"`:
			io.WriteString(g.conn, head)
			g.conn.Close()
			g.conn = nil
		case `"mode"`:
			status, _, body := g.do(strings.Replace(head, "streaming", "slowly", 1) + "0\r\n\r\n")
			os.WriteFile(tmp("answer"), fmt.Appendf(nil, "%d %s", status, body), 0o644)
		case `"hang"`:
			io.WriteString(g.conn, head)
			hang()
		default:
			g.do(head + "7\r\nsecond.\r\n0\r\n\r\n")
		}
	}
}

// extensionMain is an external extension.
func extensionMain(kind string) {
	x := &guest{api: os.Getenv("AWS_LAMBDA_RUNTIME_API")}
	if kind == "crash" {
		os.Exit(5)
	}
	events := `{"events":["INVOKE","SHUTDOWN"]}`
	if kind == "quiet" {
		events = `{"events":[]}`
	}
	status, header, body := x.do("POST /2020-01-01/extension/register HTTP/1.1\r\nHost: r\r\nLambda-Extension-Name: ext-" + kind + "\r\nContent-Length: " + strconv.Itoa(len(events)) + "\r\n\r\n" + events)
	if status != 200 {
		fmt.Println("register:", status, string(body))
		os.Exit(92)
	}
	id := header.Get("Lambda-Extension-Identifier")
	vars, _ := json.Marshal(os.Environ())
	fmt.Println("extension registered", string(body), string(vars))
	fields := "Lambda-Extension-Identifier: " + id + "\r\n"
	if kind == "initerror" {
		x.post("/2020-01-01/extension/init/error", fields+"Lambda-Extension-Function-Error-Type: Extension.Config\r\n", nil)
		os.Exit(1)
	}
	for {
		_, header, body := x.do("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: r\r\n" + fields + "\r\n")
		fmt.Println("extension saw", header.Get("Lambda-Extension-Event-Identifier") != "", string(body))
		switch {
		case strings.Contains(string(body), "SHUTDOWN"):
			if kind == "deaf" {
				hang()
			}
			os.Exit(0)
		case kind == "slow":
			untilLetGo("slow")
		case kind == "dies":
			os.Exit(6)
		case kind == "hangs":
			hang()
		}
	}
}
