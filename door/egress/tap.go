package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/daruma-io/daruma/tape"
)

// A Tap stands between one environment and the hosts outside. The zero value
// lets everything pass untouched.
//
// With a Recorder, HTTP exchanges are noted on their way, those with the cloud
// included. To see inside TLS the connection ends here, with a certificate of
// Config.Session, and goes on with one of its own to the host, whose certificate
// is checked as a client with the machine's roots would. What cannot be
// recorded passes untouched and is noted as missed: other protocols, hosts the
// machine does not trust or that ask for a client's certificate, and, from the
// second connection on, clients that do not trust Config.Session.
//
// With a Player, hosts outside and the cloud are not reached at all: it answers.
type Tap struct {
	Recorder *tape.Recorder
	Player   *tape.Player
}

// An origin is where the requests of a connection were going.
type origin struct {
	scheme, host string
	port         uint16
}

func scheme(port uint16) string {
	if port == portHTTPS {
		return "https"
	}
	return "http"
}

// Take returns what was recorded of one request in an environment, or nil.
func (e *Egress) Take(environment, request string) *tape.Tape {
	e.mu.Lock()
	env := e.environments[environment]
	e.mu.Unlock()
	if env == nil || env.tap.Recorder == nil {
		return nil
	}
	return env.tap.Recorder.Take(request)
}

// sealedMax bounds the hosts that are remembered because a function does not
// trust the session's authority for them.
const sealedMax = 1024

type sealedKey struct {
	function, host string
	port           uint16
}

func (e *Egress) isSealed(d Dial) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sealed[sealedKey{d.Ref.Function, d.Host, d.Port}]
}

func (e *Egress) seal(d Dial) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.sealed) < sealedMax {
		e.sealed[sealedKey{d.Ref.Function, d.Host, d.Port}] = true
	}
}

// record leads one connection to a host outside and notes what is said.
func (f *front) record(c net.Conn, head []byte, d Dial, p *peer) {
	e, rec, began := f.e, f.env.tap.Recorder, time.Now()
	up, err := e.reach(f.ctx, d, p)
	if err != nil {
		if f.ctx.Err() == nil {
			rec.Fail(tape.Connection, d.Host, int(d.Port), began, err)
		}
		refuse(c)
		return
	}
	first := up
	stop := context.AfterFunc(f.ctx, func() { abort(first) })
	defer stop()
	said, heard := firstWords(c, head, up, e.cfg.Limits.Idle)
	pass := func(why string) {
		if why != "" {
			rec.Miss(fmt.Sprintf("%s: %s", net.JoinHostPort(d.Host, strconv.Itoa(int(d.Port))), why))
		}
		if _, err := c.Write(heard); err != nil {
			abort(up)
			abort(c)
			return
		}
		p.in.Add(int64(len(heard)))
		e.carry(f.ctx, c, up, said, p)
	}
	switch {
	case len(heard) == 0 && isHTTP(said):
		f.forward(&counted{Conn: c, head: said, p: p}, up, nil, origin{"http", d.Host, d.Port}, d)
	case len(heard) > 0 || !isTLS(said):
		pass(unlessNothing(said, heard, "it does not speak HTTP"))
	case e.isSealed(d):
		pass("the function does not trust the platform's certificate for it")
	default:
		hello, name, protocols := peekHello(&prefixed{c, said})
		said = hello
		inside, err := f.secure(up, name, d, protocols)
		if err != nil {
			if up, err = e.connect(f.ctx, d.Host, d.Port); err != nil {
				e.fail(p, d.Ref, err)
				abort(c)
				return
			}
			pass("the platform could not speak TLS with it, so that the function does")
			return
		}
		f.uncover(&counted{Conn: c, head: said, p: p}, inside, name, d)
	}
}

func unlessNothing(said, heard []byte, why string) string {
	if len(said)+len(heard) == 0 {
		return "" // neither said a word
	}
	return why
}

// secure speaks TLS with a host outside as the function wants to.
func (f *front) secure(up net.Conn, name string, d Dial, protocols []string) (*tls.Conn, error) {
	if name == "" {
		name = d.Host
	}
	ctx, cancel := context.WithTimeout(f.ctx, handshakeMax)
	defer cancel()
	t := tls.Client(up, f.e.clientTLS(name, protocols))
	if err := t.HandshakeContext(ctx); err != nil {
		abort(up)
		return nil, err
	}
	return t, nil
}

// clientTLS is how the platform speaks with hosts outside on behalf of a function.
func (e *Egress) clientTLS(name string, offered []string) *tls.Config {
	cfg := &tls.Config{ServerName: name, RootCAs: e.cfg.Roots, MinVersion: tls.VersionTLS12}
	for _, p := range []string{"h2", "http/1.1"} {
		if slices.Contains(offered, p) {
			cfg.NextProtos = append(cfg.NextProtos, p)
		}
	}
	return cfg
}

// uncover answers the function's TLS and hands its requests on to the host.
func (f *front) uncover(counts *counted, up *tls.Conn, name string, d Dial) {
	var protocols []string
	if agreed := up.ConnectionState().NegotiatedProtocol; agreed != "" {
		protocols = []string{agreed}
	}
	t, shown, err := f.pretend(counts, name, d, protocols)
	if err != nil {
		abort(up)
		if shown {
			f.e.seal(d)
			f.env.tap.Recorder.Miss(fmt.Sprintf("%s: the function does not trust the platform's certificate for it; its next connections pass untouched", d.Host))
		}
		return
	}
	f.forward(t, up, f.e.clientTLS(orHost(name, d.Host), protocols), origin{"https", d.Host, d.Port}, d)
}

func orHost(name, host string) string {
	if name == "" {
		return host
	}
	return name
}

// pretend answers a function's TLS as the host would. shown says that the
// function saw the certificate.
func (f *front) pretend(counts *counted, name string, d Dial, protocols []string) (t *tls.Conn, shown bool, err error) {
	authority, err := f.e.cfg.Session()
	if err != nil {
		f.e.fail(counts.p, f.env.ref, err)
		abort(counts)
		return nil, false, err
	}
	t = tls.Server(counts, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols, SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			cert, err := authority.Leaf(orHost(name, d.Host))
			shown = err == nil
			return cert, err
		},
	})
	ctx, cancel := context.WithTimeout(f.ctx, handshakeMax)
	defer cancel()
	if err = t.HandshakeContext(ctx); err != nil {
		if f.ctx.Err() == nil {
			f.e.fail(counts.p, f.env.ref, handshakeError(err, shown))
		}
		counts.Close()
	}
	return t, shown, err
}

// play answers one connection to a host outside from the tape.
func (f *front) play(c net.Conn, head []byte, d Dial, p *peer) {
	e, player := f.e, f.env.tap.Player
	if err := player.Connects(d.Host, int(d.Port)); err != nil {
		e.fail(p, d.Ref, err)
		refuse(c)
		return
	}
	p.connections.Add(1)
	said, _ := firstWords(c, head, nil, helloMax)
	counts := &counted{Conn: c, head: said, p: p}
	switch {
	case isHTTP(said):
		f.answer(counts, counts, origin{"http", d.Host, d.Port}, nil)
	case isTLS(said):
		hello, name, protocols := peekHello(&prefixed{c, said})
		counts.head = hello
		t, shown, err := f.pretend(counts, name, d, slices.DeleteFunc(protocols, func(p string) bool { return p != "h2" && p != "http/1.1" }))
		if err == nil {
			f.answer(t, counts, origin{"https", d.Host, d.Port}, nil)
		} else if shown {
			_ = player.Refuse("TLS with " + d.Host + ", which the function trusts by a certificate of its own") // noted
		}
	default:
		e.deny(p, d.Ref, player.Refuse(fmt.Sprintf("a connection to %s that does not speak HTTP", net.JoinHostPort(d.Host, strconv.Itoa(int(d.Port))))).Error())
		abort(c)
	}
}

// isTLS says whether a client's first words begin a TLS handshake.
func isTLS(said []byte) bool { return len(said) >= 2 && said[0] == 22 && said[1] == 3 }

// isHTTP says whether they begin an HTTP/1 request, or HTTP/2 without TLS,
// which no server here answers.
func isHTTP(said []byte) bool {
	method, _, ok := bytes.Cut(said, []byte(" "))
	if !ok || len(method) == 0 || len(method) > 20 || bytes.HasPrefix(said, []byte("PRI ")) {
		return false
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return c == '-' && len(method) > 1
		}
	}
	return true
}

// wordBytes is how much of the first words is read: enough to tell what is spoken.
const wordBytes = 4 << 10

// firstWords returns what the function, or the host if it is quicker, says
// first, within a time. head is what the function has said already. up may be nil.
func firstWords(c net.Conn, head []byte, up net.Conn, within time.Duration) (said, heard []byte) {
	if len(head) > 0 {
		return head, nil
	}
	until := soon(within)
	c.SetReadDeadline(until)
	read := func(c net.Conn, into *[]byte, done func()) {
		b := make([]byte, wordBytes)
		n, err := c.Read(b)
		*into = b[:n]
		if n > 0 || err != nil {
			done()
		}
	}
	if up == nil {
		read(c, &said, func() {})
		c.SetReadDeadline(time.Time{})
		return said, nil
	}
	up.SetReadDeadline(until)
	other := make(chan struct{})
	go func() {
		defer close(other)
		read(up, &heard, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	}()
	read(c, &said, func() { up.SetReadDeadline(time.Unix(1, 0)) })
	<-other
	c.SetReadDeadline(time.Time{})
	up.SetReadDeadline(time.Time{})
	return said, heard
}

// A prefixed connection is read from what was read of it before.
type prefixed struct {
	net.Conn
	head []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.head) > 0 {
		n := copy(b, p.head)
		p.head = p.head[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
