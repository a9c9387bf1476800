package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
)

// program finds a peer that is a package of the machine's, and says how to get it.
func program(name, pkg string, also ...string) (string, error) {
	for _, path := range append([]string{name}, also...) {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s is not here; on Debian: apt-get install --no-install-recommends %s", name, pkg)
}

// startRedis starts the peer with an empty stream and one group of consumers.
// Every write is on the disk before it is answered, those of all connections
// that are ready at a moment together.
func (w *workshop) startRedis(ctx context.Context) (*queueServer, error) {
	path, err := program("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(w.dir, "redis-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(ports[0])
	end, pid, err := w.start(dir, nil, path, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
	if err != nil {
		return nil, err
	}
	stop := func() { end(); _ = os.RemoveAll(dir) } // it goes with the workshop otherwise
	if err = waitFor(ctx, ports[0]); err == nil {
		err = makeStream(ports[0])
	}
	if err != nil {
		stop()
		return nil, err
	}
	return &queueServer{server{ports[0], []int{pid}, stop}, func() (box, error) { return newStream(), nil }}, nil
}

func makeStream(addr string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = tell(c, 1, command(nil, "XGROUP", "CREATE", "q", "g", "0", "MKSTREAM"))
	return err
}

// A stream is a stream of Redis as a queue: what is read by the group, is
// acknowledged and deleted.
type stream struct{ add, read map[int][]byte }

func newStream() *stream {
	s := &stream{map[int][]byte{}, map[int][]byte{}}
	for _, n := range []int{1, queueBatch} {
		for range n {
			s.add[n] = command(s.add[n], "XADD", "q", "*", "m", message)
		}
		s.read[n] = command(nil, "XREADGROUP", "GROUP", "g", "c", "COUNT", strconv.Itoa(n), "STREAMS", "q", ">")
	}
	return s
}

func (s *stream) send(c *conn, n int) error {
	_, err := tell(c, n, s.add[n])
	return err
}

func (s *stream) take(c *conn, n int) (int, error) {
	got, err := tell(c, 1, s.read[n])
	if err != nil {
		return 0, err
	}
	ids := idsOf(got[0])
	if len(ids) == 0 {
		return 0, nil
	}
	request := command(nil, append([]string{"XACK", "q", "g"}, ids...)...)
	_, err = tell(c, 2, command(request, append([]string{"XDEL", "q"}, ids...)...))
	return len(ids), err
}

// idsOf are the IDs of the entries of an answer to XREADGROUP: [[key, [[id, fields]…]]].
func idsOf(answer any) (ids []string) {
	streams, _ := answer.([]any)
	for _, s := range streams {
		pair, _ := s.([]any)
		if len(pair) != 2 {
			continue
		}
		entries, _ := pair[1].([]any)
		for _, e := range entries {
			if entry, _ := e.([]any); len(entry) == 2 {
				id, _ := entry[0].(string)
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// command appends a command as the protocol writes it: an array of texts.
func command(to []byte, words ...string) []byte {
	to = fmt.Appendf(to, "*%d\r\n", len(words))
	for _, w := range words {
		to = fmt.Appendf(to, "$%d\r\n%s\r\n", len(w), w)
	}
	return to
}

// tell sends n commands at once and reads their answers. An error among them is returned.
func tell(c *conn, n int, commands []byte) ([]any, error) {
	if _, err := c.Write(commands); err != nil {
		return nil, err
	}
	answers := make([]any, n)
	for i := range answers {
		var err error
		if answers[i], err = reply(c); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// reply reads one answer: a text, a number (as text), a list or nil.
func reply(c *conn) (any, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], string(bytes.TrimSpace(line[1:]))
	switch kind {
	case '+', ':':
		return text, nil
	case '-':
		return nil, errors.New(text)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return nil, err
	case n < 0:
		return nil, nil
	case kind == '$':
		b := make([]byte, n+2)
		_, err := io.ReadFull(c.in, b)
		return string(b[:n]), err
	case kind == '*':
		list := make([]any, n)
		for i := range list {
			if list[i], err = reply(c); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("an answer of the kind %q", kind)
}
