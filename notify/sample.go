package notify

import (
	"encoding/json"
	"time"

	"github.com/daruma-io/daruma/ledger"
)

// sample is a message in which nothing is true but the app and the channel.
func (n *Notifier) sample(channel string) Message {
	now := n.cfg.Clock.Now()
	m := Message{Version: 1, ID: 1, App: n.cfg.App, Owner: "whoever owns it", Channel: channel, Sent: now, Test: true, Notices: []Notice{{
		ID: 1, At: now, Occasion: ledger.BecameNew, Function: "Sample",
		Group: &Group{ID: 1, Status: ledger.StatusNew, ErrorType: "SampleError", Message: "this is a test: nothing has happened", Location: ledger.Location{File: "sample.js", Line: 1, Function: "handler"},
			Count: 1, Open: 1, First: now.Add(-time.Minute), Last: now},
		Failure:  &Failure{ID: 1, Hop: ledger.Async, Request: "00000000-0000-4000-8000-000000000000", Trace: "1-00000000-000000000000000000000000", Event: json.RawMessage(`{"sample":true}`), EventBytes: 15},
		Commands: []string{"daruma failures ls"},
	}}}
	m.Summary = "TEST " + m.summary()
	return m
}
