package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"strings"
	"time"

	"github.com/daruma-io/daruma/outside"
)

// mailTime bounds the sending of one mail.
const mailTime = 30 * time.Second

// email sends messages through a mail server (RFC 5321).
type email struct {
	Channel
	vars  variables
	guard *outside.Guard
	roots *x509.CertPool
}

func (e *email) send(ctx context.Context, m Message) (string, error) {
	from, to, err := e.addresses()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	conn, err := e.guard.DialContext(ctx, "tcp", e.Server)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	raw := conn
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) }) // ends reads and writes
	defer stop()
	host, _, err := net.SplitHostPort(e.Server)
	if err != nil {
		return "", err
	}
	config := &tls.Config{ServerName: host, RootCAs: e.roots, MinVersion: tls.VersionTLS12}
	if e.TLS == "tls" {
		conn = tls.Client(conn, config)
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }() // what was sent is answered for by Quit
	if err := e.greet(c, config, from); err != nil {
		return "", err
	}
	if err := c.Mail(from.Address); err != nil {
		return "", err
	}
	for _, one := range to {
		if err := c.Rcpt(one.Address); err != nil {
			return "", fmt.Errorf("to %s: %w", one.Address, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write(letter(m, from, to)); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	_ = c.Quit() // it was accepted: whatever comes now does not take that back
	return "accepted by " + e.Server, nil
}

// greet introduces the client, makes the connection private and authenticates.
func (e *email) greet(c *smtp.Client, config *tls.Config, from *mail.Address) error {
	_, domain, _ := strings.Cut(from.Address, "@")
	if err := c.Hello(domain); err != nil {
		return err
	}
	if e.TLS == "starttls" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("the server does not offer STARTTLS")
		}
		if err := c.StartTLS(config); err != nil {
			return err
		}
	}
	if e.User == "" {
		return nil
	}
	user, err := e.vars.resolve(e.User)
	if err != nil {
		return err
	}
	password, err := e.vars.resolve(e.Password)
	if err != nil {
		return err
	}
	return c.Auth(smtp.PlainAuth("", user, password, config.ServerName)) // refuses without TLS
}

func (e *email) addresses() (from *mail.Address, to []*mail.Address, err error) {
	if from, err = mail.ParseAddress(e.From); err != nil {
		return nil, nil, fmt.Errorf("from %q: %w", e.From, err)
	}
	for _, s := range e.To {
		one, err := mail.ParseAddress(s)
		if err != nil {
			return nil, nil, fmt.Errorf("to %q: %w", s, err)
		}
		to = append(to, one)
	}
	return from, to, nil
}

// letter writes a message as a mail (RFC 5322). The same notice has the same
// Message-ID, so that mail programs show it once if it comes twice.
func letter(m Message, from *mail.Address, to []*mail.Address) []byte {
	var b bytes.Buffer
	_, domain, _ := strings.Cut(from.Address, "@")
	var all []string
	for _, one := range to {
		all = append(all, one.String())
	}
	id := fmt.Sprintf("%s.%s.%d@%s", m.ID, oneLine(m.Channel, 64), m.Sent.Unix(), domain)
	if len(m.Notices) > 0 && !m.Test {
		id = fmt.Sprintf("%s.%s.%d@%s", m.ID, m.Channel, m.Notices[0].At.UnixNano(), domain)
	}
	for _, h := range [][2]string{
		{"From", from.String()}, {"To", strings.Join(all, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", oneLine(m.Summary, 160))},
		{"Date", m.Sent.Format(time.RFC1123Z)}, {"Message-ID", "<" + id + ">"}, {"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		b.WriteString(h[0] + ": " + strings.ReplaceAll(oneLine(h[1], 4<<10), "\n", " ") + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(strings.ReplaceAll(m.text(), "\n", "\r\n"))) // to memory
	_ = w.Close()
	return b.Bytes()
}
