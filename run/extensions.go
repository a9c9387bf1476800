package run

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

// Events an extension may ask for.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// An extension is one that a session started (external) or that registered
// from within the runtime's process (internal). Its states are named as the
// Extensions API says them.
type extension struct {
	name     string
	id       string
	state    string // "Started", "Registered", "Ready", "Running", "InitError", "ExitError"
	events   []string
	external bool            // it has an executable of its own
	process  sandbox.Process // of an external one that was started
	deliver  func(daruma.ExtensionEvent) error
	said     string // "Extension.InitError" or "Extension.ExitError" once it has told one
}

// extensions are a session's; its mutex guards them.
type extensions struct {
	all        []*extension
	closed     bool                   // init is over: nobody registers any more
	registered chan struct{}          // closed when every external one has registered
	waited     bool                   // registered is closed
	initFault  *fault                 // what the runtime told with /init/error
	shutdown   *daruma.ExtensionEvent // what those who ask from now on are told
}

func newExtensions() extensions { return extensions{registered: make(chan struct{})} }

// ready says whether every extension has called next: the first time, or since the event that it was told.
func (x *extensions) ready() bool {
	for _, e := range x.all {
		if e.state != "Ready" {
			return false
		}
	}
	return true
}

// invoked returns how to tell those who want to know of an invocation.
func (x *extensions) invoked() (tell []func(daruma.ExtensionEvent) error) {
	for _, e := range x.all {
		if e.deliver != nil && slices.Contains(e.events, eventInvoke) {
			e.state = "Running"
			tell = append(tell, e.deliver)
			e.deliver = nil
		}
	}
	return tell
}

// external counts those that have a process.
func (x *extensions) external() (n int) {
	for _, e := range x.all {
		if e.external {
			n++
		}
	}
	return n
}

// check closes registered once no external extension is missing.
func (x *extensions) check() {
	for _, e := range x.all {
		if e.state == "Started" {
			return
		}
	}
	if !x.waited {
		x.waited = true
		close(x.registered)
	}
}

// Register registers an extension: an external one under the name of its
// executable, an internal one under any other.
func (s *Session) Register(name string, events []string) (daruma.Registration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return daruma.Registration{}, errOver
	}
	x := &s.extensions
	var e *extension
	for _, known := range x.all {
		if known.name == name {
			e = known
		}
	}
	external := e != nil && e.external
	for _, event := range events {
		if event != eventInvoke && (event != eventShutdown || !external) {
			return daruma.Registration{}, refuse("Extension.InvalidEventType", event+": InvalidEventType")
		}
	}
	switch {
	case external && e.state != "Started":
		return daruma.Registration{}, e.illegal("Registered", e.name)
	case external:
	case x.closed:
		return daruma.Registration{}, refuse("Extension.RegistrationClosed", "Extension registration closed already")
	case e != nil:
		return daruma.Registration{}, refuse("Extension.InvalidExtensionState", "Extension with this name already registered")
	case len(x.all) >= extensionsMax:
		return daruma.Registration{}, refuse("Extension.TooManyExtensions", fmt.Sprintf("Extension limit (%d) reached", extensionsMax))
	default:
		e = &extension{name: strings.Clone(name)}
		x.all = append(x.all, e)
	}
	e.id, e.state, e.events = daruma.NewID(), "Registered", events
	x.check()
	f := s.env.function
	return daruma.Registration{Identifier: e.id, FunctionName: f.Name, FunctionVersion: f.Version, Handler: f.Handler, AccountID: s.env.pool.cfg.View().Place.Account}, nil
}

// ExtensionNext asks for an extension's next event. One that asks again on
// another connection is answered there.
func (s *Session) ExtensionNext(id string, deliver func(daruma.ExtensionEvent) error) error {
	s.mu.Lock()
	e, err := s.extension(id)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	switch e.state {
	case "Registered", "Running", "Ready":
		e.state, e.deliver = "Ready", deliver
	default:
		err := e.illegal("Ready", id)
		s.mu.Unlock()
		return err
	}
	if event := s.extensions.shutdown; event != nil && slices.Contains(e.events, eventShutdown) {
		e.deliver = nil
		s.mu.Unlock()
		_ = deliver(*event) // one that is gone needs not be told
		return nil
	}
	finished := s.settle()
	s.mu.Unlock()
	s.env.freed(finished)
	return nil
}

// ExtensionFail takes an error that an extension tells before it exits.
func (s *Session) ExtensionFail(id, errType string, init bool, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.extension(id)
	if err != nil {
		return err
	}
	to, said := "ExitError", "Extension.ExitError"
	if init {
		to, said = "InitError", "Extension.InitError"
		if e.state != "Registered" && e.state != to {
			return e.illegal(to, id)
		}
	} else if e.state == "Started" || e.state == "InitError" {
		return e.illegal("Exited", id)
	}
	e.state, e.said = to, said
	return nil
}

// extension finds an extension by its identifier. s.mu is held.
func (s *Session) extension(id string) (*extension, error) {
	for _, e := range s.extensions.all {
		if e.id == id && id != "" {
			return e, nil
		}
	}
	return nil, refuse("Extension.UnknownExtensionIdentifier", "Unknown extension "+id)
}

// illegal refuses a call in a wrong state.
func (e *extension) illegal(to, who string) error {
	return refuse("Extension.InvalidExtensionState", "State transition from "+e.state+" to "+to+" failed for extension "+who+". Error: State transition is not allowed")
}

func refuse(kind, reason string) error {
	return &daruma.StateError{Status: 403, Type: kind, Reason: reason}
}
