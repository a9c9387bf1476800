package template

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/daruma-io/daruma/template/tree"
)

// TerminalChannel is the channel that is always there: the terminal of daruma
// up. It is told where nothing is said about who is to be.
const TerminalChannel = "terminal"

// A Channel is one way to tell people about failures and repairs. Exactly one
// of its kinds is set.
//
// A Secret is never a value but says where it is: "env:NAME", a variable of the
// environment daruma up was started in, "file:PATH", a file, from the app's
// directory; or, so that nobody does it by mistake, "inline:VALUE".
type Channel struct {
	Name     string   `json:"name"`
	Position string   `json:"position"`
	Webhook  *Webhook `json:"webhook,omitempty"`
	Slack    *Slack   `json:"slack,omitempty"`
	Email    *Email   `json:"email,omitempty"`
	Command  *Command `json:"command,omitempty"`
}

// A Webhook is posted JSON. Its URL may be written down or be a Secret.
type Webhook struct {
	URL    string `json:"url"`
	Secret string `json:"secret,omitempty"` // a Secret, to sign with; "" for none
}

// A Slack is an incoming webhook as Slack, Mattermost and others have it. Who
// knows its URL can write there, so it is a Secret.
type Slack struct {
	URL string `json:"url"`
}

// An Email is sent through a mail server.
type Email struct {
	Server   string   `json:"server"` // host:port
	TLS      string   `json:"tls"`    // "starttls", "tls" from the first byte, or "none"
	From     string   `json:"from"`
	To       []string `json:"to"`
	User     string   `json:"user,omitempty"`     // a Secret; "" for no authentication
	Password string   `json:"password,omitempty"` // a Secret
}

// A Command is a program that is given JSON, without a shell between.
type Command struct {
	Run     []string      `json:"run"` // the program, from the app's directory when it has a slash in it, and its arguments
	Timeout time.Duration `json:"timeoutNs"`
}

// Limits of a command's time, in seconds.
const (
	commandSecondsMax     = 60
	commandSecondsDefault = 10
)

var channelName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,63}$`)

// channels reads the channels a section declares. One that is there already stays.
func (l *loader) channels(p *properties) {
	all := p.sub("Channels")
	if all == nil {
		return
	}
	for _, f := range all.node.Fields {
		switch {
		case !channelName.MatchString(f.Name):
			all.fault(f.Name, f.Pos, fmt.Sprintf("a channel's name must match %s", channelName), "")
			continue
		case f.Name == TerminalChannel:
			all.fault(f.Name, f.Pos, "the channel "+TerminalChannel+" is there already", "give this one another name")
			continue
		}
		c := Channel{Name: f.Name, Position: f.Pos.String()}
		if of := all.sub(f.Name); of != nil {
			l.channel(&c, of, f.Pos)
		}
		if !l.isChannel(c.Name) {
			l.app.Channels = append(l.app.Channels, c)
		}
	}
	if len(l.app.Channels) > channelsMax {
		all.fault("", all.node.Pos, fmt.Sprintf("%d channels are more than %d", len(l.app.Channels), channelsMax), "")
	}
}

func (l *loader) channel(c *Channel, of *properties, at tree.Pos) {
	kinds := 0
	if p := of.sub("Webhook"); p != nil {
		kinds++
		p.require("URL")
		c.Webhook = &Webhook{URL: p.address("URL", true), Secret: p.secret("Secret")}
		p.done()
	}
	if p := of.sub("Slack"); p != nil {
		kinds++
		p.require("URL")
		c.Slack = &Slack{URL: p.address("URL", false)}
		p.done()
	}
	if p := of.sub("Email"); p != nil {
		kinds++
		c.Email = p.email()
		p.done()
	}
	if p := of.sub("Command"); p != nil {
		kinds++
		p.require("Run")
		c.Command = &Command{Run: p.texts("Run"), Timeout: p.seconds("Timeout", 1, commandSecondsMax, commandSecondsDefault)}
		if p.has("Run") && (len(c.Command.Run) == 0 || c.Command.Run[0] == "") {
			p.fault("Run", p.at("Run"), "it names no program", "a list: the program and its arguments")
		}
		p.done()
	}
	of.done()
	if kinds != 1 {
		of.fault("", at, fmt.Sprintf("the channel %s must have one of Webhook, Slack, Email and Command; it has %d", c.Name, kinds), "")
	}
}

func (p *properties) email() *Email {
	p.require("Server", "From", "To")
	e := &Email{Server: p.text("Server"), TLS: p.one("TLS", "starttls", "tls", "none"), From: p.text("From"), User: p.secret("User"), Password: p.secret("Password")}
	if e.TLS == "" {
		e.TLS = "starttls"
	}
	if host, port, err := net.SplitHostPort(e.Server); e.Server != "" && (err != nil || host == "" || port == "") {
		p.fault("Server", p.at("Server"), fmt.Sprintf("%q is not a host and a port", e.Server), "for example smtp.example.com:587")
	}
	for _, item := range items(p, "To") {
		e.To = append(e.To, item.Text)
	}
	for _, one := range append([]string{e.From}, e.To...) {
		if _, err := mail.ParseAddress(one); err != nil && one != "" {
			p.fault("From", p.at("From"), fmt.Sprintf("%q is not a mail address", one), "")
		}
	}
	if (e.User == "") != (e.Password == "") {
		p.fault("User", p.node.Pos, "User and Password go together", "")
	}
	if e.User != "" && e.TLS == "none" {
		p.fault("TLS", p.at("TLS"), "a password is not sent without TLS", "TLS: starttls, or TLS: tls")
	}
	return e
}

// isSecret says whether s says where a secret is.
func isSecret(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	return ok && rest != "" && slices.Contains([]string{"env", "file", "inline"}, scheme)
}

// secret reads where a secret is. What is wrong is told without it: it may be the secret itself.
func (p *properties) secret(name string) string {
	s := p.text(name)
	if s != "" && !isSecret(s) {
		p.fault(name, p.value(name).Pos, "property '"+p.full(name)+"' says where the secret is, it is not the secret", "env:NAME or file:PATH; inline:VALUE if it may be read by all who can read this file")
		return ""
	}
	return s
}

// address reads the URL of a webhook: where it is kept or, if it may be, the URL itself.
func (p *properties) address(name string, plain bool) string {
	s := p.text(name)
	if s == "" || isSecret(s) {
		return s
	}
	if !plain {
		return p.secret(name)
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		p.fault(name, p.value(name).Pos, "property '"+p.full(name)+"' must be an http or https URL without a user in it", "or where it is kept: env:NAME or file:PATH")
		return ""
	}
	return s
}

func (l *loader) isChannel(name string) bool {
	return name == TerminalChannel || slices.ContainsFunc(l.app.Channels, func(c Channel) bool { return c.Name == name })
}

func (l *loader) nearChannel(name string) string {
	names := []string{TerminalChannel}
	for _, c := range l.app.Channels {
		names = append(names, c.Name)
	}
	if near := tree.Near(name, names); near != "" {
		return near
	}
	return "declare it under Channels; there are: " + strings.Join(names, ", ")
}
