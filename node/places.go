package node

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/egress"
	"github.com/daruma-io/daruma/door/egress/trust"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/process"
)

// What functions find in a place of their own.
const (
	trustDir    = "/var/daruma/trust" // certificates by which they trust the cloud's names
	cloudAddr   = "127.0.0.1:4566"    // the cloud over plain HTTP, for SDKs that can be told an endpoint
	nameAddr    = "127.0.0.1:53"      // the resolver
	connectPort = 15001               // where every connection to elsewhere is led
)

// freezeAfter is how long an environment stays idle before its processes are
// frozen. AWS freezes at once; a warm function is spared two freezes for every event.
const freezeAfter = 100 * time.Millisecond

// What one environment may use besides its own memory and /tmp.
const (
	processesMax = 1024 // processes and threads (Lambda quotas)
	filesMax     = 1024 // open files (Lambda quotas)
)

// redirect leads what leaves a place to the services that listen in it.
func redirect() sandbox.Redirect { return sandbox.Redirect{TCP: connectPort, DNS: 53} }

// openMaker chooses how functions are kept apart.
func openMaker(cfg Config) (sandbox.Maker, error) {
	dir := filepath.Join(cfg.Data, "places")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, &daruma.Error{Op: "open places", Ref: dir, Err: err}
	}
	if cfg.Isolation != "processes" {
		m, err := openNamespaces(dir, cfg)
		if err == nil || cfg.Isolation == "namespaces" {
			return m, err
		}
		cfg.Progress("functions run as plain processes: " + err.Error())
	}
	return process.New(process.Config{Dir: dir, Log: cfg.Log})
}

// own says whether places have a network of their own, so that the cloud's names lead here.
func (n *Node) own() bool { return n.maker.Kind() == "namespaces" }

func (n *Node) poolConfig() run.Config {
	cfg := run.Config{
		Maker:    n.maker,
		View:     n.catalog.View,
		Launch:   n.launch,
		Serve:    n.serveRuntime,
		Environ:  n.environ,
		Observer: observer{n.watch, n.scribe, n.faults},
		Clock:    n.clock,
		// What a process does while nobody waits for it is its own time.
		FreezeAfter: n.clock.While(freezeAfter),
		Credentials: n.credentials,
		Spec: func(f *catalog.Function, spec *sandbox.Spec) {
			furnish(spec, n.own(), n.files(f))
			n.place(f, spec)
		},
	}
	cfg.Services = append(ways(n.egress, n.own()), n.flags())
	return cfg
}

// credentials are the variables with which a function's SDK signs.
func (n *Node) credentials(f *catalog.Function) []string {
	key := n.keys.of(f.Name)
	return []string{"AWS_ACCESS_KEY_ID=" + key.ID, "AWS_SECRET_ACCESS_KEY=" + key.Secret, "AWS_SESSION_TOKEN=" + key.Token}
}

// furnish completes a place: its limits and, where it has a network of its own,
// what it trusts and where its connections lead.
func furnish(spec *sandbox.Spec, own bool, files trust.Files) {
	spec.Processes, spec.Files = processesMax, filesMax
	if own {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: files.Dir, Target: trustDir})
		spec.Trust, spec.Resolver = files.Bundle, "127.0.0.1"
		spec.Redirect = redirect()
	}
}

// ways are the ways out of a place.
func ways(out *egress.Egress, own bool) []run.Service {
	trusted := ""
	if own {
		trusted = trustDir
	}
	services := []run.Service{{
		Address: cloudAddr,
		Env:     func(address string) []string { return egress.Environ("http://"+address, trusted) },
		Serve: func(ctx context.Context, ln net.Listener, ref run.Ref) error {
			return out.ServeCloud(ctx, ln, environment(ref))
		},
	}}
	if own {
		services = append(services,
			run.Service{Address: nameAddr, ServePacket: func(ctx context.Context, pc net.PacketConn, ref run.Ref) error {
				return out.ServeDNS(ctx, pc, environment(ref))
			}},
			run.Service{Address: nameAddr, Serve: func(ctx context.Context, ln net.Listener, ref run.Ref) error {
				return out.ServeDNSTCP(ctx, ln, environment(ref))
			}},
			run.Service{Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(connectPort)), Serve: func(ctx context.Context, ln net.Listener, ref run.Ref) error {
				return out.ServeTCP(ctx, ln, environment(ref))
			}},
		)
	}
	return services
}

func environment(ref run.Ref) egress.Ref {
	return egress.Ref{Environment: ref.Environment, Function: ref.Function.Name, Version: ref.Function.Version, Current: func() string {
		request, _ := ref.Current()
		return request
	}}
}

// launch says how a function is started, or why it cannot be.
func (n *Node) launch(f *catalog.Function) (run.Launch, error) {
	if f.Code.Dir == "" {
		return run.Launch{}, &daruma.Failure{Kind: daruma.KindUnavailable, Type: "Runtime.NotBuilt", Message: n.app.failure(f.Name).Error()}
	}
	return n.runtimes.Launch(context.Background(), f)
}
