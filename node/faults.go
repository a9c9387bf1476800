package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/egress"
	"github.com/daruma-io/daruma/door/flags"
	"github.com/daruma-io/daruma/door/lambda"
	"github.com/daruma-io/daruma/door/runtime"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/fault/inject"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
)

// openFaults makes what breaks things on purpose. Nothing is broken until somebody asks.
func (n *Node) openFaults() error {
	n.faults = inject.New(inject.Config{Clock: n.clock, Observer: observer{n.watch, n.scribe, nil}, Logger: n.cfg.Log, Check: n.checkFault, Changed: n.faultChanged, Records: n.records, Codes: n.codes})
	n.handing = newHanding(n)
	return n.watch.Register(faultCounts{n.faults})
}

// runner is how events get to environments.
func (n *Node) runner() daruma.Runner { return taping{n.faults.Runner(n.pool), n} }

// Faults are the faults of this node.
func (n *Node) Faults() *inject.Faults { return n.faults }

// checkFault says whether a fault can be done here, and puts names of
// functions in place of logical IDs.
func (n *Node) checkFault(f *fault.Fault) error {
	invalid := func(kind daruma.Kind, field, format string, args ...any) error {
		return &daruma.Error{Op: "start fault", Ref: f.String(), Kind: kind, Err: fmt.Errorf(field+": "+format, args...)}
	}
	t := &f.Target
	if err := n.checkFunction(f); err != nil {
		return err
	}
	if f.Kind == fault.Secret {
		if err := n.checkVariable(f); err != nil {
			return err
		}
	}
	if err := n.checkSources(f); err != nil {
		return err
	}
	if lacks := n.lacksFor(f); lacks != "" {
		return invalid(daruma.KindUnsupported, "kind", "not on this machine: %s", lacks)
	}
	if t.Service == "" {
		return nil
	}
	t.Resource = n.resourceNamed(t)
	if f.Kind == fault.Error && !wire.Says(t.Service, f.With.Code) {
		return invalid(daruma.KindInvalid, "with.code", "%s has no such error", t.Service)
	}
	if slices.Contains(n.front.Serves(), t.Service) || slices.Contains(silenced, t.Service) && (f.Kind == fault.Blackhole || f.Kind == fault.Refused) {
		return nil
	}
	if !strings.Contains(t.Service, "*") {
		return invalid(daruma.KindNotFound, "target.service", "%s is not served here; served are %s", t.Service, strings.Join(n.front.Serves(), ", "))
	}
	return nil
}

// silenced are services that are not here, and whose refusal by name can be taken away.
var silenced = []string{"s3", "s3express"}

// lacksFor is what a fault needs that functions' places do not have here; "" when nothing is missing.
func (n *Node) lacksFor(f *fault.Fault) string {
	var needs []string
	switch {
	case f.Kind == fault.Memory:
		needs = []string{sandbox.NoMemoryLimit}
	case f.Kind == fault.Disk:
		needs = []string{sandbox.NoTmpLimit}
	case f.Kind == fault.ClockSkew:
		needs = []string{sandbox.NoClock}
	case f.Seam() == fault.Hosts:
		needs = []string{sandbox.NoNetwork, sandbox.NoRedirect}
	}
	for _, line := range n.maker.Missing() {
		for _, need := range needs {
			if strings.HasPrefix(line, need) {
				return line
			}
		}
	}
	return ""
}

// faultChanged is told of a fault's beginning and of its end: what is older
// than the change is replaced, so that it is seen at once.
func (n *Node) faultChanged(s fault.State) {
	begins := s.Ended.IsZero()
	if s.Fault.Seam() == fault.Places || s.Fault.Kind == fault.ColdStart && begins {
		for _, f := range n.catalog.View().Functions() {
			if s.Fault.Meets(f.Name) {
				n.pool.Retire(f.Name)
			}
		}
	}
	if begins && s.Fault.Seam() == fault.Hosts && s.Fault.Kind != fault.DNS {
		n.egress.Cut(func(d egress.Dial) bool { return s.Fault.Reaches(d.Ref.Function, d.Host, int(d.Port), serves(d)) })
	}
	if !begins && s.Fault.Seam() == fault.Messages {
		n.handing.ended()
	}
	if begins {
		n.cfg.Progress(s.ID.String() + " begins: " + s.Text)
	} else {
		n.cfg.Progress(fmt.Sprintf("%s ends (%s): it met %d of %d", s.ID, s.Ending, s.Met, s.Seen))
	}
}

// serveRuntime speaks with the processes of one life of an environment.
func (n *Node) serveRuntime(ctx context.Context, ln net.Listener, s *run.Session) error {
	id, f := s.Environment()
	station := n.faults.Station(ctx, s, inject.Who{Function: f.Name, Version: f.Version, Code: f.Code.SHA256, Environment: id}, s.Kill)
	defer station.Close()
	return runtime.Serve(ctx, ln, guest{station, s})
}

// A guest is a life of an environment's processes behind its station.
type guest struct {
	inject.Runtime
	runtime.Extensions
}

// place has faults change what an environment is made with.
func (n *Node) place(f *catalog.Function, spec *sandbox.Spec) {
	got := n.faults.Place(inject.Who{Function: f.Name, Version: f.Version, Environment: strings.TrimPrefix(spec.ID, "e-")}, inject.Place{MemoryBytes: spec.MemoryBytes, TmpBytes: spec.TmpBytes})
	spec.MemoryBytes, spec.TmpBytes, spec.Skew = got.MemoryBytes, got.TmpBytes, got.Skew
}

// environ has faults change what variables an environment sees.
func (n *Node) environ(f *catalog.Function, environment string) []string {
	return n.faults.Variables(inject.Who{Function: f.Name, Version: f.Version, Environment: environment})
}

// faulty has what functions reach outside meet faults, after policy has let it go on.
func (n *Node) faulty(policy egress.Policy) egress.Policy {
	return func(ctx context.Context, d egress.Dial) egress.Decision {
		dec := policy(ctx, d)
		if !dec.Allow {
			return dec
		}
		way := n.faults.Dial(ctx, inject.Dial{Who: whoOf(d.Ref), Host: d.Host, Port: int(d.Port), Service: serves(d)})
		if way.Refused != "" {
			return egress.Decision{Reason: way.Refused}
		}
		dec.Pace = way.Pace
		return dec
	}
}

// serves says whether a connection leads to the cloud's services: one of them is
// broken where it answers.
func serves(d egress.Dial) bool { return d.Cloud && !egress.IsSite(d.Host) }

func whoOf(ref egress.Ref) inject.Who {
	who := inject.Who{Function: ref.Function, Version: ref.Version, Environment: ref.Environment}
	if ref.Current != nil {
		who.Request = ref.Current()
	}
	return who
}

// troubled is a service whose requests meet faults.
type troubled struct {
	wire.Handler
	service string
	node    *Node // whose faults are made after its front
}

// ServeAWS answers a request, or has a fault do it.
func (t *troubled) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	if !t.node.faults.Calls() {
		t.Handler.ServeAWS(w, r)
		return
	}
	c := inject.Call{Service: t.service, Operation: operation(r), Resources: wire.Resources(r), Who: inject.Who{Function: r.Caller.Function}}
	c.Allowed = wire.Allowance(r, c.Operation)
	if ref, ok := egress.Caller(r.HTTP.Context()); ok {
		c.Who = whoOf(ref)
	}
	switch a := t.node.faults.Call(r.HTTP.Context(), c); {
	case a.Drop:
		panic(http.ErrAbortHandler) // the connection is closed without an answer
	case a.Denied:
		wire.Deny(w, r, c.Allowed, wire.ResourceARN(r, t.node.catalog.View().Place.Region))
	case a.Code != "":
		wire.Spoil(w, r, a.Code, a.Message, a.Status)
	default:
		t.Handler.ServeAWS(w, r)
	}
}

// operation names what a request asks for, as its service calls it.
func operation(r *wire.Request) string {
	op := wire.Operation(r)
	if r.Service == "lambda" && op != "Invoke" {
		op = cmp.Or(lambda.Operation(r), op)
	}
	return op
}

// flags answers the failure flags of an environment's own code.
func (n *Node) flags() run.Service {
	return run.Service{Address: flags.Address, Env: flags.Environ, Serve: func(ctx context.Context, ln net.Listener, ref run.Ref) error {
		return flags.Serve(ctx, ln, func(name string, labels json.RawMessage) (found []flags.Experiment) {
			for _, e := range n.faults.Flag(whoOf(environment(ref)), name, labels) {
				found = append(found, flags.Experiment{ID: e.ID.String(), Flag: name, Rate: 1, Effect: e.Effect})
			}
			return found
		})
	}}
}

// faultCounts tells what faults met, and how many are in force.
type faultCounts struct{ *inject.Faults }

var (
	faultsMet    = prometheus.NewDesc("daruma_faults_met_total", "Events, requests, connections and environments that faults, asked for, have met.", []string{"kind"}, nil)
	faultsActive = prometheus.NewDesc("daruma_faults_active", "Faults, asked for, that are in force.", nil, nil)
)

// Describe implements prometheus.Collector.
func (faultCounts) Describe(ch chan<- *prometheus.Desc) {
	ch <- faultsMet
	ch <- faultsActive
}

// Collect implements prometheus.Collector.
func (c faultCounts) Collect(ch chan<- prometheus.Metric) {
	for kind, met := range c.Counts() {
		ch <- prometheus.MustNewConstMetric(faultsMet, prometheus.CounterValue, float64(met), string(kind))
	}
	ch <- prometheus.MustNewConstMetric(faultsActive, prometheus.GaugeValue, float64(c.Active()))
}
