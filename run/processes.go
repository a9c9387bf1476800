package run

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

// runtimeAPI is where processes of a place with its own loopback find the Runtime API.
const runtimeAPI = "127.0.0.1:9001"

const (
	exitWait     = time.Second            // for what a dead runtime had sent to be read
	initFailWait = 500 * time.Millisecond // for a runtime that told /init/error to exit
	resetMax     = 10 * time.Second       // for killed processes to be gone
)

// processes are a session's processes and what serves them.
type processes struct {
	runtime sandbox.Process // nil until it is started
	vars    []string        // of the runtime
	extVars []string        // of extensions
	stop    context.CancelFunc
	wait    sync.WaitGroup
}

// open starts a life: extensions first, then the runtime, until all of them
// have called next. It returns a session even when that failed, to be closed.
func (e *Environment) open(limit time.Duration) (*Session, *fault) {
	s := newSession(e)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	ln, err := e.place.Listen(runtimeAPI)
	if err != nil {
		return s, notStarted(err)
	}
	s.serve(ctx, ln)
	if err := e.logs.Open(&s.wait); err != nil {
		return s, notStarted(err)
	}
	defer e.logs.Started() // the ends of the pipes that processes write to are theirs alone
	cmd, err := e.launch.Command(e.place.Path)
	if err != nil {
		return s, notStarted(err)
	}
	s.vars, s.extVars = environ(e, cmd, ln.Addr().String())
	e.logs.InitStart(e.runtimeVersion())
	e.session.Store(s)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	if f := s.startExtensions(); f != nil {
		return s, f
	}
	if f := s.await(s.extensions.registered, timer.C); f != nil {
		return s, f
	}
	start := sandbox.Command{Argv: cmd.Argv, Env: s.vars, Dir: cmd.Dir}
	start.Stdout, start.Stderr = e.logs.Files()
	if s.runtime, err = e.place.Start(start); err != nil {
		return s, notExecuted("Runtime.InvalidEntrypoint", err)
	}
	e.mu.Lock()
	e.record.PID = s.runtime.PID()
	e.mu.Unlock()
	return s, s.await(s.up, timer.C)
}

// notExecuted is the fault of an executable that could not be run; want of resources is another.
func notExecuted(errType string, err error) *fault {
	if kind := daruma.KindOf(err); kind == daruma.KindNoCapacity || kind == daruma.KindUnavailable {
		return notStarted(err)
	}
	return &fault{kind: daruma.Crashed, err: daruma.KindInvalid, errType: errType, text: err.Error(), cause: "init"}
}

// serve opens the Runtime API.
func (s *Session) serve(ctx context.Context, ln net.Listener) {
	s.wait.Go(func() {
		if err := s.env.pool.cfg.Serve(ctx, ln, s); err != nil && ctx.Err() == nil {
			s.env.logs.Remark("runtime API: " + err.Error())
			s.end(&fault{kind: daruma.Crashed, err: daruma.KindInternal, errType: "Sandbox.Failure", text: err.Error(), cause: "crash", again: true})
		}
	})
}

// startExtensions starts what lies in extensions/ of the layers.
func (s *Session) startExtensions() *fault {
	e := s.env
	names := extensionNames(e.launch.Opt)
	if len(names) > extensionsMax {
		return &fault{kind: daruma.Crashed, err: daruma.KindInvalid, errType: "Extension.LaunchError", text: "TooManyExtensions", cause: "init"}
	}
	s.mu.Lock()
	for _, name := range names {
		s.extensions.all = append(s.extensions.all, &extension{name: name, external: true, state: "Started"})
	}
	external := slices.Clone(s.extensions.all)
	s.extensions.check()
	s.mu.Unlock()
	for _, x := range external {
		path := filepath.Join(e.place.Path("/opt"), "extensions", x.name)
		cmd := sandbox.Command{Argv: []string{path}, Env: s.extVars, Dir: "/"}
		cmd.Stdout, cmd.Stderr = e.logs.Files()
		p, err := e.place.Start(cmd)
		if err != nil {
			return notExecuted("Extension.LaunchError", err)
		}
		s.mu.Lock()
		x.process = p
		s.mu.Unlock()
		s.wait.Go(func() {
			<-p.Done()
			s.mu.Lock()
			defer s.mu.Unlock()
			f := extensionExited(p.Exit(), x.said)
			f.again = true
			s.endLocked(f) // without effect when it was asked to go
		})
	}
	return nil
}

// extensionNames lists the executables that layers bring, each once, by name.
func extensionNames(layers []string) (names []string) {
	for _, dir := range layers {
		entries, _ := os.ReadDir(filepath.Join(dir, "extensions")) // most layers have none
		for _, entry := range entries {
			if !entry.IsDir() {
				names = append(names, entry.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// await waits for a step of init, or for what prevents it.
func (s *Session) await(step <-chan struct{}, limit <-chan time.Time) *fault {
	var exit <-chan struct{}
	if s.runtime != nil {
		exit = s.runtime.Done()
	}
	f := &fault{kind: daruma.TimedOut, err: daruma.KindExpired, errType: "Sandbox.Timedout", text: "init timed out", cause: "timeout", again: true}
	select {
	case <-step:
		return nil
	case <-s.over:
		return s.fault
	case <-s.told:
		timer := time.NewTimer(initFailWait)
		defer timer.Stop()
		select {
		case <-exit:
		case <-timer.C:
		}
		f = s.initFault()
	case <-exit:
		s.settled()
		if f = s.initFault(); f == nil {
			f = exited(s.runtime.Exit())
			f.again = true
		}
	case <-s.env.pool.killed.Done():
		f = &fault{kind: daruma.NoCapacity, err: daruma.KindUnavailable, errType: "ServiceException", text: "the platform shut down", cause: "shutdown"}
	case <-limit:
	}
	s.end(f)
	return f
}

// initFault returns what the runtime told with /init/error, or nil.
func (s *Session) initFault() *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extensions.initFault
}

// settled waits until what a dead runtime had sent was read: an answer that
// it wrote before it exited counts.
func (s *Session) settled() {
	timer := time.NewTimer(exitWait)
	defer timer.Stop()
	for {
		s.mu.Lock()
		gone := len(s.links) == 0
		s.mu.Unlock()
		if gone {
			return
		}
		select {
		case <-s.free:
		case <-s.over:
			return
		case <-timer.C: // a child of its own holds a connection
			return
		}
	}
}

// abandon takes the call under way from a life that is over.
func (s *Session) abandon() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.call
	s.call = nil
	return c
}

// close ends what is left of a life: the shutdown phase for those who have
// extensions, then every process. last says that the place goes too.
func (s *Session) close(reason string, last bool) {
	e := s.env
	if e.pool.killed.Err() == nil {
		s.shutdown(reason)
	}
	ctx, cancel := context.WithTimeout(context.Background(), resetMax)
	defer cancel()
	if last {
		_ = e.place.Close() // dispose says what went wrong
	} else if err := e.place.Reset(ctx); err != nil {
		e.logs.Remark("reset the environment: " + err.Error())
		defer e.dispose() // a new place will be made
	}
	e.session.CompareAndSwap(s, nil)
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.stop()
	e.logs.Close()
	s.wait.Wait()
}

// shutdown is the phase in which extensions may finish what they do.
func (s *Session) shutdown(reason string) {
	s.mu.Lock()
	s.endLocked(&fault{kind: daruma.Unknown, cause: "shutdown"})
	all := slices.Clone(s.extensions.all)
	total := shutdownInternal
	if s.extensions.external() > 0 {
		total = shutdownExternal
	}
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	if err := s.env.frost.thaw(); err != nil {
		return
	}
	deadline := time.Now().Add(total)
	// A signal fails only where nobody is left to take it; what outlives its
	// signal ends with the place.
	if s.runtime != nil {
		_ = s.runtime.Signal(syscall.SIGTERM)
		if !gone(s.runtime, time.Duration(float64(total)*runtimeShare)) {
			_ = s.runtime.Signal(syscall.SIGKILL)
		}
	}
	var wait []sandbox.Process
	event := daruma.ExtensionEvent{ID: daruma.NewID(), Shutdown: reason, Deadline: deadline.UnixMilli()}
	s.mu.Lock()
	s.extensions.shutdown = &event
	var tell []func(daruma.ExtensionEvent) error
	for _, x := range all {
		switch {
		case x.process == nil:
		case !slices.Contains(x.events, eventShutdown):
			_ = x.process.Signal(syscall.SIGKILL)
		default:
			wait = append(wait, x.process)
			if x.deliver != nil {
				tell = append(tell, x.deliver)
				x.deliver = nil
			}
		}
	}
	s.mu.Unlock()
	for _, deliver := range tell {
		s.wait.Go(func() { _ = deliver(event) }) // one that is gone needs not be told
	}
	for _, p := range wait {
		gone(p, time.Until(deadline))
	}
}

// gone waits for a process's end, and says whether it came in time.
func gone(p sandbox.Process, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.Done():
		return true
	case <-timer.C:
		return false
	}
}

// runtimeVersion names the runtime as INIT_START does.
func (e *Environment) runtimeVersion() string {
	if e.launch.Version != "" {
		return e.launch.Version
	}
	return versionOf(e.function.Runtime)
}
