// Package notifytest has a mail server that tests send to. It takes every
// mail, tells what it was sent, and can be made to refuse or to hang. It never ships.
package notifytest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A Letter is one mail as it arrived.
type Letter struct {
	From string
	To   []string
	Data string // headers and body, with the line ends of the wire
	User string // who had authenticated; "" for nobody
	TLS  bool
}

// A Mail is a mail server on loopback. Set its fields before the first mail.
type Mail struct {
	Addr     string
	Implicit bool   // TLS from the first byte
	StartTLS bool   // is offered
	Password string // what AUTH PLAIN wants; "" offers no AUTH
	Refuse   string // the answer to MAIL FROM: "451 later"; "" takes it

	cert    tls.Certificate
	l       net.Listener
	wait    sync.WaitGroup
	mu      sync.Mutex // guards letters
	letters []Letter
}

// NewMail starts a server, which ends with the test. Its certificate is that of httptest's servers.
func NewMail(t testing.TB, change func(*Mail)) *Mail {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	m := &Mail{Addr: l.Addr().String(), l: l, cert: https.TLS.Certificates[0]}
	https.Close()
	if change != nil {
		change(m)
	}
	m.wait.Go(m.serve)
	t.Cleanup(func() { l.Close(); m.wait.Wait() })
	return m
}

// Letters returns what has arrived.
func (m *Mail) Letters() []Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Letter(nil), m.letters...)
}

func (m *Mail) serve() {
	for {
		c, err := m.l.Accept()
		if err != nil {
			return
		}
		m.wait.Go(func() {
			defer c.Close()
			if m.Implicit {
				c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{m.cert}})
			}
			m.talk(c, m.Implicit, true)
		})
	}
}

// talk speaks SMTP until the client is gone.
func (m *Mail) talk(c net.Conn, private, greet bool) {
	in := bufio.NewReader(c)
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	if greet {
		say("220 notifytest")
	}
	letter := Letter{TLS: private}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-notifytest")
			if m.StartTLS && !private {
				say("250-STARTTLS")
			}
			if m.Password != "" {
				say("250-AUTH PLAIN")
			}
			say("250 8BITMIME")
		case "STARTTLS":
			say("220 go on")
			m.talk(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{m.cert}}), true, false)
			return
		case "AUTH":
			raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			parts := strings.Split(string(raw), "\x00")
			if len(parts) != 3 || parts[2] != m.Password {
				say("535 the password %s is wrong", parts[len(parts)-1])
				continue
			}
			letter.User = parts[1]
			say("235 welcome")
		case "MAIL":
			if m.Refuse != "" {
				say("%s", m.Refuse)
				continue
			}
			letter.From = address(rest)
			say("250 ok")
		case "RCPT":
			letter.To = append(letter.To, address(rest))
			say("250 ok")
		case "DATA":
			say("354 go on")
			var data strings.Builder
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				data.WriteString(strings.TrimPrefix(line, "."))
			}
			letter.Data = data.String()
			m.mu.Lock()
			m.letters = append(m.letters, letter)
			m.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 %s is not known", verb)
		}
	}
}

func address(s string) string {
	_, s, _ = strings.Cut(s, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}
