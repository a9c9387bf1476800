package node

import (
	"context"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/notify"
	"github.com/daruma-io/daruma/outside"
	"github.com/daruma-io/daruma/template"
)

// openNotify makes what tells owners. What it tells through comes with each deployment.
func (n *Node) openNotify() {
	t, _ := n.app.get()
	n.notifier = notify.New(notify.Config{
		App: t.Name, Outbox: n.ledger, Record: n.ledger, Subject: n.subject, Dir: t.Dir,
		Lookup: n.cfg.Lookup, Print: n.cfg.Progress, Clock: n.clock, Log: n.cfg.Log,
	})
}

// subject is what is declared of a function, or of the app where there is none (any more).
func (n *Node) subject(function string) notify.Subject {
	if f := n.catalog.View().Function(function, catalog.Latest); f != nil {
		return notify.Subject{Channels: f.Notify, Sensitive: len(f.Sensitive) > 0}
	}
	t, _ := n.app.get()
	return notify.Subject{Channels: t.Notify}
}

// useChannels tells through what a template declares, and says what that lacks.
func (n *Node) useChannels(t *template.App) error {
	cfg := outside.Config{Own: n.listeners.ports}
	for _, s := range append(t.AllowNotifyTo, n.cfg.AllowNotifyTo...) {
		a, err := outside.ParseAllow(s)
		if err != nil {
			return err
		}
		cfg.Allow = append(cfg.Allow, a)
	}
	var all []notify.Channel
	for _, c := range t.Channels {
		all = append(all, channelOf(c))
	}
	n.notifier.Use(outside.New(cfg), all)
	for _, err := range n.notifier.Missing() {
		n.cfg.Progress("nobody can be told: " + err.Error())
	}
	return nil
}

func channelOf(c template.Channel) notify.Channel {
	out := notify.Channel{Name: c.Name}
	switch {
	case c.Webhook != nil:
		out.Kind, out.URL, out.Secret = notify.KindWebhook, notify.Secret(c.Webhook.URL), notify.Secret(c.Webhook.Secret)
	case c.Slack != nil:
		out.Kind, out.URL = notify.KindSlack, notify.Secret(c.Slack.URL)
	case c.Email != nil:
		e := c.Email
		out.Kind, out.Server, out.TLS, out.From, out.To = notify.KindEmail, e.Server, e.TLS, e.From, e.To
		out.User, out.Password = notify.Secret(e.User), notify.Secret(e.Password)
	case c.Command != nil:
		out.Kind, out.Run, out.Timeout = notify.KindCommand, c.Command.Run, c.Command.Timeout
	}
	return out
}

// notices is how telling goes, or nil while the ledger cannot be read.
func (n *Node) notices() *console.Notices {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, tally, err := n.ledger.Notices(ctx, 1)
	if err != nil {
		return nil
	}
	out := &console.Notices{Tally: tally}
	for _, s := range n.notifier.Status() {
		out.Channels = append(out.Channels, console.Channel(s))
	}
	return out
}

// testNotify tries channels, all of them when none is named.
func (n *Node) testNotify(ctx context.Context, channels []string) ([]console.Tried, error) {
	answers, err := n.notifier.Test(ctx, channels)
	if err != nil {
		return nil, err
	}
	all := make([]console.Tried, len(answers))
	for i, a := range answers {
		all[i] = console.Tried{Channel: a.Channel, Kind: a.Kind, OK: a.Err == nil, Said: a.Said, Took: a.Took}
		if a.Err != nil {
			all[i].Error = a.Err.Error()
		}
	}
	return all, nil
}
