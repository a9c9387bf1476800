// Command probe is a function that misbehaves in the way its variable VILLAIN
// names, and, under the name of an extension, an extension that does. It
// speaks the Runtime API by hand, because it breaks its rules.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const invocation = "/2018-06-01/runtime/invocation/"

func main() {
	switch filepath.Base(os.Args[0]) {
	case "crashing":
		os.Exit(1) // an extension that never registers
	case "silent":
		forever() // nor does this one
	case "resident":
		resident()
	}
	if len(os.Args) > 1 && os.Args[1] == "daemon" {
		daemon()
	}
	mode := os.Getenv("VILLAIN")
	villain := villains[mode]
	if villain == nil {
		fmt.Println("no villain named", mode)
		os.Exit(99)
	}
	villain(&guest{})
}

// An event is what next returned.
type event struct {
	id      string
	payload []byte
}

// A guest is a thin client of the Runtime API.
type guest struct {
	conn net.Conn
	r    *bufio.Reader
}

// dial opens a connection to the Runtime API.
func dial() (net.Conn, error) { return net.Dial("tcp", os.Getenv("AWS_LAMBDA_RUNTIME_API")) }

// send writes text as it is.
func (g *guest) send(text string) {
	if g.conn == nil {
		c, err := dial()
		must(err)
		g.conn, g.r = c, bufio.NewReader(c)
	}
	_, err := io.WriteString(g.conn, text)
	must(err)
}

// read reads one answer.
func (g *guest) read() (int, http.Header, []byte) {
	res, err := http.ReadResponse(g.r, nil)
	must(err)
	body, err := io.ReadAll(res.Body)
	must(err)
	return res.StatusCode, res.Header, body
}

func (g *guest) get(path string) (int, http.Header, []byte) {
	g.send("GET " + path + " HTTP/1.1\r\nHost: r\r\n\r\n")
	return g.read()
}

func (g *guest) post(path, fields string, body []byte) (int, http.Header, []byte) {
	g.send(postHead(path, fields, len(body)) + string(body))
	return g.read()
}

func postHead(path, fields string, length int) string {
	return "POST " + path + " HTTP/1.1\r\nHost: r\r\n" + fields + "Content-Length: " + strconv.Itoa(length) + "\r\n\r\n"
}

func (g *guest) next() event {
	status, header, body := g.get(invocation + "next")
	if status != 200 {
		fmt.Printf("next: %d %s\n", status, body)
		os.Exit(95)
	}
	return event{header.Get("Lambda-Runtime-Aws-Request-Id"), body}
}

// respond answers with v as JSON and says how that was taken.
func (g *guest) respond(e event, v any) (status int, answer []byte) {
	body, err := json.Marshal(v)
	must(err)
	status, _, answer = g.post(invocation+e.id+"/response", "", body)
	return status, answer
}

// loop answers every event with what handle returns.
func (g *guest) loop(handle func(event) any) {
	for {
		e := g.next()
		g.respond(e, handle(e))
	}
}

// hang answers nothing from the first event on.
func hang(do func(g *guest, e event)) func(g *guest) {
	return func(g *guest) {
		do(g, g.next())
		forever()
	}
}

// forever waits. It is no select{}: Go would notice that nobody can wake it, and exit.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(94)
	}
}

// reason is an error without the call and the path that led to it.
func reason(err error) string {
	if err == nil {
		return ""
	}
	parts := strings.Split(err.Error(), ": ")
	return parts[len(parts)-1]
}

// lines returns n bytes in lines of 1 KiB.
func lines(n int) []byte {
	line := append(bytes.Repeat([]byte("x"), 1023), '\n')
	return bytes.Repeat(line, n>>10)
}
