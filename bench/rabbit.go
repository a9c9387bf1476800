package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// startRabbit starts the peer with nothing in it. Connections declare the
// queue, which is durable, and send messages that are persistent, with
// publisher confirms: a send ends when the broker has them on its disk.
func (w *workshop) startRabbit(ctx context.Context) (*queueServer, error) {
	path, err := program("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server", "rabbitmq-server")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(w.dir, "rabbit-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	var numbers [3]string
	for i, p := range ports {
		_, numbers[i], _ = net.SplitHostPort(p)
	}
	env := []string{"HOME=" + dir, "RABBITMQ_NODENAME=bench" + numbers[0] + "@localhost", "RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + numbers[0],
		"RABBITMQ_DIST_PORT=" + numbers[1], "ERL_EPMD_PORT=" + numbers[2], "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"), "RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"), "RABBITMQ_CONF_ENV_FILE=/dev/null"}
	names, err := program("epmd", "erlang-base")
	if err != nil {
		return nil, err
	}
	endNames, _, err := w.start(dir, env, names) // which would outlive a broker that started it
	if err != nil {
		return nil, err
	}
	end, pid, err := w.start(dir, env, path)
	if err != nil {
		endNames()
		return nil, err
	}
	stop := func() {
		end()
		endNames()
		_ = os.RemoveAll(dir) // it goes with the workshop otherwise
	}
	if err := waitFor(ctx, ports[0]); err != nil {
		stop()
		return nil, err
	}
	return &queueServer{server{ports[0], []int{pid}, stop}, func() (box, error) { return &channel{}, nil }}, nil
}

// A channel is one channel of AMQP 0-9-1, on a connection of its own. It knows
// what a queue needs and nothing else.
type channel struct {
	open   bool
	sent   uint64 // messages
	frames []byte // of one message
}

// Frames, and methods by class and number (AMQP 0-9-1, "General Frame Format" and "Method Reference").
const (
	frameMethod, frameHeader, frameBody = 1, 2, 3
	frameEnd                            = 0xCE
	frameMax                            = 128 << 10

	connectionStart, connectionStartOk = 10<<16 | 10, 10<<16 | 11
	connectionTune, connectionTuneOk   = 10<<16 | 30, 10<<16 | 31
	connectionOpen, connectionOpenOk   = 10<<16 | 40, 10<<16 | 41
	channelOpen, channelOpenOk         = 20<<16 | 10, 20<<16 | 11
	queueDeclare, queueDeclareOk       = 50<<16 | 10, 50<<16 | 11
	basicPublish                       = 60<<16 | 40
	basicGet, basicGetOk, basicEmpty   = 60<<16 | 70, 60<<16 | 71, 60<<16 | 72
	basicAck                           = 60<<16 | 80
	confirmSelect, confirmSelectOk     = 85<<16 | 10, 85<<16 | 11
)

// short and long are texts with their length before them.
func short(s string) []byte { return append([]byte{byte(len(s))}, s...) }
func long(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func frame(to []byte, kind byte, channel uint16, payload []byte) []byte {
	to = binary.BigEndian.AppendUint16(append(to, kind), channel)
	to = binary.BigEndian.AppendUint32(to, uint32(len(payload)))
	return append(append(to, payload...), frameEnd)
}

func method(channel uint16, is uint32, arguments ...[]byte) []byte {
	return frame(nil, frameMethod, channel, append(binary.BigEndian.AppendUint32(nil, is), join(arguments...)...))
}

// next reads a frame.
func (ch *channel) next(c *conn) (kind byte, payload []byte, err error) {
	var head [7]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, int(binary.BigEndian.Uint32(head[3:]))+1)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return 0, nil, err
	}
	return head[0], payload[:len(payload)-1], nil
}

// method reads a frame that must hold one of these methods.
func (ch *channel) method(c *conn, wanted ...uint32) (is uint32, arguments []byte, err error) {
	kind, payload, err := ch.next(c)
	if err != nil {
		return 0, nil, err
	}
	if kind == frameMethod && len(payload) >= 4 {
		is = binary.BigEndian.Uint32(payload)
		for _, want := range wanted {
			if is == want {
				return is, payload[4:], nil
			}
		}
	}
	return 0, nil, fmt.Errorf("the broker says %d.%d: %q", is>>16, is&0xffff, payload)
}

// call sends a method and waits for its answer.
func (ch *channel) call(c *conn, request []byte, answer uint32) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	_, _, err := ch.method(c, answer)
	return err
}

// begin opens the connection and the channel, the first time.
func (ch *channel) begin(c *conn) error {
	if ch.open {
		return nil
	}
	none := make([]byte, 4) // an empty table
	if err := ch.call(c, []byte("AMQP\x00\x00\x09\x01"), connectionStart); err != nil {
		return err
	}
	if err := ch.call(c, method(0, connectionStartOk, none, short("PLAIN"), long("\x00guest\x00guest"), short("en_US")), connectionTune); err != nil {
		return err
	}
	tuned := method(0, connectionTuneOk, []byte{0, 1}, binary.BigEndian.AppendUint32(nil, frameMax), []byte{0, 0})
	for _, step := range []struct {
		ask    []byte
		answer uint32
	}{
		{append(tuned, method(0, connectionOpen, short("/"), short(""), []byte{0})...), connectionOpenOk},
		{method(1, channelOpen, short("")), channelOpenOk},
		{method(1, queueDeclare, []byte{0, 0}, short("q"), []byte{2}, none), queueDeclareOk}, // durable
		{method(1, confirmSelect, []byte{0}), confirmSelectOk},
	} {
		if err := ch.call(c, step.ask, step.answer); err != nil {
			return err
		}
	}
	ch.frames = method(1, basicPublish, []byte{0, 0}, short(""), short("q"), []byte{0})
	head := join([]byte{0, 60, 0, 0}, binary.BigEndian.AppendUint64(nil, uint64(len(message))), []byte{0x10, 0, 2}) // persistent
	ch.frames = frame(frame(ch.frames, frameHeader, 1, head), frameBody, 1, []byte(message))
	ch.open = true
	return nil
}

func (ch *channel) send(c *conn, n int) error {
	if err := ch.begin(c); err != nil {
		return err
	}
	var all []byte
	pending := map[uint64]bool{}
	for range n {
		ch.sent++
		pending[ch.sent] = true
		all = append(all, ch.frames...)
	}
	if _, err := c.Write(all); err != nil {
		return err
	}
	for len(pending) > 0 {
		_, got, err := ch.method(c, basicAck)
		if err != nil {
			return err
		}
		tag := binary.BigEndian.Uint64(got)
		delete(pending, tag)
		for p := range pending {
			if got[8] == 1 && p <= tag { // all up to it
				delete(pending, p)
			}
		}
	}
	return nil
}

// take gets messages one by one, which is how a queue is asked that does not
// push, and acknowledges them together. Nothing answers that.
func (ch *channel) take(c *conn, n int) (int, error) {
	if err := ch.begin(c); err != nil {
		return 0, err
	}
	var all []byte
	for range n {
		all = append(all, method(1, basicGet, []byte{0, 0}, short("q"), []byte{0})...)
	}
	if _, err := c.Write(all); err != nil {
		return 0, err
	}
	var last []byte
	got := 0
	for range n {
		is, arguments, err := ch.method(c, basicGetOk, basicEmpty)
		if err != nil {
			return 0, err
		}
		if is == basicEmpty {
			continue
		}
		got++
		last = arguments[:8]
		for size, first := uint64(0), true; first || size > 0; first = false { // its header, and its body in pieces
			_, payload, err := ch.next(c)
			if err != nil {
				return 0, err
			}
			if first {
				size = binary.BigEndian.Uint64(payload[4:])
			} else {
				size -= uint64(len(payload))
			}
		}
	}
	if got == 0 {
		return 0, nil
	}
	_, err := c.Write(method(1, basicAck, last, []byte{1})) // and all before it
	return got, err
}
