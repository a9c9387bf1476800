package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// bareLoop is the least that hands events over the Runtime API: no signatures,
// no limits, no logs, no time-outs. One connection of a function asks for the
// next event; the goroutine that has one writes it there and waits for the answer.
type bareLoop struct {
	runtime   net.Listener
	idle      chan *guest
	requests  atomic.Int64
	functions []*exec.Cmd
}

// A guest is one connection of a function.
type guest struct {
	conn   net.Conn
	answer chan []byte
}

func startBareLoop() (*bareLoop, error) {
	r, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &bareLoop{runtime: r, idle: make(chan *guest, 1024)}
	go accept(r, l.guest)
	return l, nil
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}

// start starts one process of a function.
func (l *bareLoop) start(argv, env []string, dir string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(slices.Clip(env), "AWS_LAMBDA_RUNTIME_API="+l.runtime.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=f", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "AWS_REGION=us-east-1")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	l.functions = append(l.functions, cmd)
	return cmd.Start()
}

func (l *bareLoop) close() {
	l.runtime.Close()
	for _, f := range l.functions {
		_ = f.Process.Kill() // it may have ended
		_ = f.Wait()         // killed, it says
	}
}

// guest serves one connection of a function.
func (l *bareLoop) guest(c net.Conn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	g := &guest{conn: c, answer: make(chan []byte, 1)}
	for {
		method, path, body, err := readRequest(in)
		switch {
		case err != nil:
			return
		case method == "GET" && strings.HasSuffix(path, "/next"):
			l.idle <- g
		default:
			g.answer <- body
			if _, err := io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 16\r\nContent-Type: application/json\r\n\r\n{\"status\":\"OK\"}\n"); err != nil {
				return
			}
		}
	}
}

// caller serves one connection of whoever invokes.
func (l *bareLoop) caller(c net.Conn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	var out bytes.Buffer
	for {
		_, _, body, err := readRequest(in)
		if err != nil {
			return
		}
		g := <-l.idle
		out.Reset()
		fmt.Fprintf(&out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-%012d\r\nLambda-Runtime-Deadline-Ms: 99999999999999\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\nContent-Length: %d\r\n\r\n%s", l.requests.Add(1), len(body), body)
		if _, err := g.conn.Write(out.Bytes()); err != nil {
			return
		}
		answer := <-g.answer
		out.Reset()
		fmt.Fprintf(&out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		if _, err := c.Write(out.Bytes()); err != nil {
			return
		}
	}
}

// readRequest reads one HTTP/1.1 request.
func readRequest(in *bufio.Reader) (method, path string, body []byte, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", "", nil, err
	}
	words := bytes.Fields(line)
	if len(words) != 3 {
		return "", "", nil, fmt.Errorf("not a request: %q", line)
	}
	method, path = string(words[0]), string(words[1])
	length, chunked := 0, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", "", nil, err
		}
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		switch {
		case len(name) == 0:
			if chunked {
				body, err = readChunks(in)
				return method, path, body, err
			}
			body = make([]byte, length)
			_, err = io.ReadFull(in, body)
			return method, path, body, err
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", "", nil, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
}

func readChunks(in *bufio.Reader) (body []byte, err error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			for { // trailers
				line, err := in.ReadSlice('\n')
				if err != nil || len(bytes.TrimSpace(line)) == 0 {
					return body, err
				}
			}
		}
		at := len(body)
		body = append(body, make([]byte, n)...)
		if _, err := io.ReadFull(in, body[at:]); err != nil {
			return nil, err
		}
		if _, err := in.Discard(2); err != nil {
			return nil, err
		}
	}
}

// serveCanned answers every request with the same.
func serveCanned(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		if _, _, _, err := readRequest(in); err != nil {
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			return
		}
	}
}

// answerCanned is the same by net/http.
func answerCanned(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{}")
}
