package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/door/egress"
	"github.com/daruma-io/daruma/door/web"
	"github.com/daruma-io/daruma/once"
)

// Status says what the node is and does at this moment.
func (n *Node) Status() console.Status {
	t, failures := n.app.get()
	v := n.catalog.View()
	environments := n.pool.Environments()
	s := console.Status{
		App: t.Name, Version: n.cfg.Version, PID: n.address.PID, Started: n.address.Started,
		Template: t.Path, Data: n.address.Data, Region: v.Place.Region,
		AWS: n.address.AWS, Web: n.address.Web, Console: n.address.Console,
		Isolation: n.maker.Kind(), Missing: n.maker.Missing(), Health: n.health(),
		Environments: environments, Egress: n.egressStatus(), Events: n.events(), Once: n.keyed(), Notices: n.notices(), Faults: n.faults.InForce(),
		Clock:     console.Clock{Scale: n.clock.Scale(), Now: n.clock.Now(), AheadS: n.clock.Ahead().Seconds()},
		Functions: []console.Function{}, Endpoints: []console.Endpoint{}, // never null for programs that read it
	}
	totals := n.watch.Totals()
	for _, f := range v.Functions() {
		row := console.Function{
			Name: f.Name, LogicalID: f.LogicalID, Runtime: f.Runtime, Handler: f.Handler, State: console.Active, Owner: f.Owner, Notify: f.Notify,
			Reserved: f.Reserved, TimeoutS: f.Timeout.Seconds(), MemoryMB: f.MemoryMB, CodeSHA256: f.Code.SHA256,
			Runs: totals[f.Name].Runs, Failures: totals[f.Name].Failures, Timeouts: totals[f.Name].Timeouts, Refusals: totals[f.Name].Refusals,
		}
		if err := failures[f.Name]; err != nil {
			row.State, row.Reason = console.Failed, err.Error()
		}
		for _, version := range v.Versions(f.Name) {
			if version.Version != catalog.Latest {
				row.Versions = append(row.Versions, version.Version)
			}
		}
		for _, a := range v.Aliases(f.Name) {
			row.Aliases = append(row.Aliases, aliasText(a))
		}
		for _, e := range environments {
			if e.Function == f.Name {
				row.Environments++
			}
		}
		s.Functions = append(s.Functions, row)
	}
	for _, a := range web.URLs(v, n.listeners.web.Addr().String()) {
		s.Endpoints = append(s.Endpoints, console.Endpoint{LogicalID: a.LogicalID, Kind: a.Kind, Stage: a.Stage, URL: a.URL, Routes: a.Routes, Auth: a.Auth})
	}
	for _, o := range t.Outputs {
		s.Outputs = append(s.Outputs, console.Output{Name: o.Name, Value: o.Value})
	}
	for _, p := range t.Unsupported {
		s.Left = append(s.Left, p.Error())
	}
	return s
}

// keyed is what became of events with idempotency keys, or nil while it cannot be read.
func (n *Node) keyed() []once.Tally {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	all, err := n.once.Tallies(ctx)
	if err != nil {
		return nil
	}
	return all
}

// events is the account of asynchronous events, or nil while it cannot be read: health tells why then.
func (n *Node) events() *console.Account {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var a console.Account
	var err error
	if a.All, a.Each, err = n.deliveries.Accounts(ctx); err != nil {
		return nil
	}
	if a.Usage, err = n.ledger.Usage(ctx); err != nil {
		return nil
	}
	return &a
}

func aliasText(a *catalog.Alias) string {
	if a.Second == "" {
		return a.Name + "=" + a.Version
	}
	return fmt.Sprintf("%s=%s,%s at %g", a.Name, a.Version, a.Second, a.Weight)
}

// egressStatus lists what functions asked for; names that were only looked up are left out when a connection followed.
func (n *Node) egressStatus() console.Egress {
	e := console.Egress{Policy: n.cfg.Egress}
	seen := n.egress.Seen()
	for _, p := range seen {
		followed := slices.ContainsFunc(seen, func(o egress.Peer) bool { return o.Function == p.Function && o.Host == p.Host && o.Port != 0 })
		if p.Port == 0 && followed && p.Denied == 0 && p.Failures == 0 {
			continue
		}
		e.Peers = append(e.Peers, console.Peer{Function: p.Function, Host: p.Host, Port: int(p.Port), Connections: p.Connections, Failures: p.Failures, Denied: p.Denied, Last: p.Last})
	}
	return e
}

// health says whether the node can take work. A full disk is no health: new work is refused.
func (n *Node) health() console.Health {
	h := n.cell.Health()
	return console.Health{OK: h.State == cell.Healthy || h.State == cell.Degraded, Reason: h.Reason, Age: h.Canary}
}
