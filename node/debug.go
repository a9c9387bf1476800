package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/build"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/reproduce"
	"github.com/daruma-io/daruma/run"
	"github.com/daruma-io/daruma/run/runtimes"
	"github.com/daruma-io/daruma/run/sandbox"
)

// debugMemory is what a debugger may use beside the function's own memory.
const debugMemory = 1 << 30

// listenPatience is how long a debugger has to start listening once somebody connects.
const listenPatience = time.Minute

// A debugging is one run that waits for a debugger.
type debugging struct {
	launch   run.Launch
	debugger runtimes.Debugger
	sources  string // where the code is on this machine
	attach   reproduce.Attach
	listener net.Listener // of this machine, from which it is led into the place; nil where the place has no loopback of its own
}

// debug prepares a scene for a debugger. What it opens ends with the scene.
func (s *rig) debug(ctx context.Context, scene *reproduce.Scene) (d *debugging, err error) {
	f := scene.Function
	d = &debugging{sources: f.Code.Dir}
	if info, err := os.Stat(f.Source.Path); err == nil && info.IsDir() {
		d.sources = f.Source.Path
	}
	port := 0
	if !s.Closed() { // the place listens on the machine's own loopback
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	start := func() error {
		l, err := s.runtimes.Launch(ctx, f)
		if err == nil {
			d.launch, d.debugger, err = s.runtimes.Debug(ctx, f, l, port, scene.Install)
		}
		return err
	}
	if err = start(); err != nil { // before the build, which takes minutes: there may be no debugger
		return nil, err
	}
	if d.debugger.Language == runtimes.DebugGo {
		var code catalog.Code
		if s.rebuild != nil {
			code = s.rebuild(ctx, f)
		}
		if code.Dir == "" {
			scene.Note("its source is not at hand or has changed since, so the program that ran is debugged, with its optimisations")
		} else {
			f.Code = code
			if err = start(); err != nil {
				return nil, err
			}
		}
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(d.debugger.Port))
	if s.Closed() {
		if d.listener, err = net.Listen("tcp", address); err != nil { // somebody else debugs
			if d.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return nil, &daruma.Error{Op: "debug", Kind: daruma.KindNoCapacity, Err: err}
			}
		}
		address = d.listener.Addr().String()
	}
	d.attach = attachTo(d.debugger.Language, address, d.sources, scene.Invocation.From)
	return d, nil
}

// rebuildGo builds the code of a function without optimisations, if its source
// still is what its code was made of. A zero Code says that it is not.
func (n *Node) rebuildGo(ctx context.Context, f *catalog.Function) catalog.Code {
	if f.Source.Path == "" {
		return catalog.Code{}
	}
	o := n.functionBuild(f)
	same, err := build.Build(ctx, f.Source, o)
	if err != nil || same.SHA256 != f.Code.SHA256 {
		return catalog.Code{}
	}
	o.Debug = true
	code, err := build.Build(ctx, f.Source, o)
	if err != nil { // it is no Go, which needs no other build
		return catalog.Code{}
	}
	return code
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, &daruma.Error{Op: "debug", Kind: daruma.KindNoCapacity, Err: err}
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// apply has a pool run the scene under the debugger.
func (d *debugging) apply(cfg *run.Config, tell func(reproduce.Attach) error) {
	cfg.Launch = func(*catalog.Function) (run.Launch, error) { return d.launch, nil }
	cfg.InitTime = reproduce.DebugTime
	spec := cfg.Spec
	cfg.Spec = func(f *catalog.Function, s *sandbox.Spec) {
		spec(f, s)
		s.Trace = d.debugger.Traces
		if s.MemoryBytes > 0 {
			s.MemoryBytes += debugMemory
		}
	}
	cfg.Services = append(cfg.Services, run.Service{Reach: func(ctx context.Context, ref run.Ref) error {
		if tell != nil {
			if err := tell(d.attach); err != nil {
				return err
			}
		}
		if d.listener == nil {
			<-ctx.Done()
			return nil
		}
		return d.lead(ctx, ref)
	}})
}

// lead carries connections to the machine's loopback into the place, until ctx ends.
func (d *debugging) lead(ctx context.Context, ref run.Ref) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	stop := context.AfterFunc(ctx, func() { d.listener.Close() })
	defer stop()
	for {
		c, err := d.listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wait.Go(func() {
			defer c.Close()
			to, err := d.reach(ctx, ref)
			if err != nil {
				return
			}
			defer to.Close()
			over := context.AfterFunc(ctx, func() { c.Close(); to.Close() })
			defer over()
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.Copy(to, c) // either side may end
				to.Close()
			}()
			_, _ = io.Copy(c, to)
			c.Close()
			<-done
		})
	}
}

// reach connects to the debugger, which may not listen yet.
func (d *debugging) reach(ctx context.Context, ref run.Ref) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, listenPatience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := ref.Dial(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(d.debugger.Port)))
		if err == nil {
			return c, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// close gives up what nobody has taken over.
func (d *debugging) close() {
	if d.listener != nil {
		d.listener.Close()
	}
}

// attachTo says how a debugger is attached.
func attachTo(language, address, sources, failure string) reproduce.Attach {
	host, portText, _ := net.SplitHostPort(address) // ours: it is one
	port, _ := strconv.Atoi(portText)
	a := reproduce.Attach{Address: address}
	launch := map[string]any{"name": "daruma " + failure, "request": "attach"}
	switch language {
	case runtimes.DebugNode:
		a.Command = "node inspect " + address
		launch["type"], launch["address"], launch["port"], launch["localRoot"], launch["remoteRoot"] = "node", host, port, sources, "/var/task"
	case runtimes.DebugPython:
		a.Command = "an editor that speaks the Debug Adapter Protocol, at " + address
		launch["type"], launch["connect"] = "debugpy", map[string]any{"host": host, "port": port}
		launch["pathMappings"] = []any{map[string]any{"localRoot": sources, "remoteRoot": "/var/task"}}
		launch["justMyCode"] = false
	case runtimes.DebugGo:
		a.Command = "dlv connect " + address
		launch["type"], launch["mode"], launch["host"], launch["port"] = "go", "remote", host, port
	}
	text, err := json.MarshalIndent(launch, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("node: a launch configuration of plain values cannot be written: %v", err))
	}
	a.VSCode = string(text)
	return a
}
