package egress

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// hello returns the first bytes a TLS client sends to reach host.
func hello(t testing.TB, host string) []byte {
	t.Helper()
	c := &script{}
	tls.Client(c, &tls.Config{ServerName: host, InsecureSkipVerify: true}).Handshake()
	return c.written.Bytes()
}

// A script is a connection from which a given text is read.
type script struct {
	net.Conn
	read, written bytes.Buffer
}

func (s *script) Read(b []byte) (int, error)      { return s.read.Read(b) }
func (s *script) Write(b []byte) (int, error)     { return s.written.Write(b) }
func (s *script) SetReadDeadline(time.Time) error { return nil }
func (s *script) SetDeadline(time.Time) error     { return nil }

func TestAHelloTellsTheNameAndNothingIsAnswered(t *testing.T) {
	first := hello(t, "SQS.eu-west-1.amazonaws.com")
	c := &script{}
	c.read.Write(first)
	head, name := peekServerName(c)
	if name != "sqs.eu-west-1.amazonaws.com" || !bytes.Equal(head, first) {
		t.Errorf("got %q and %d bytes, want the name and all %d", name, len(head), len(first))
	}
	if n := c.written.Len(); n != 0 {
		t.Errorf("got %d bytes written to the client, want none", n)
	}
}

func FuzzPeekServerName(f *testing.F) {
	h := hello(f, "sqs.eu-west-1.amazonaws.com")
	f.Add(h)
	f.Add(h[:len(h)/2])
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0x16, 3, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, first []byte) {
		c := &script{}
		c.read.Write(first)
		head, _ := peekServerName(c)
		if !bytes.HasPrefix(first, head) {
			t.Errorf("got %x, want the beginning of %x", head, first)
		}
		if c.written.Len() != 0 {
			t.Errorf("got %x written, want nothing", c.written.Bytes())
		}
	})
}
