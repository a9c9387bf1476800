package run

import (
	"errors"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// A state is where a runtime is in its life. The names are those the Runtime API says.
type state string

const (
	started    state = "Started"
	initError  state = "InitError"
	ready      state = "Ready"
	running    state = "Running"
	responding state = "InvocationResponse"
	failing    state = "InvocationErrorResponse"
	sent       state = "RuntimeResponseSentState"
)

// errOver refuses calls of a life that has ended; the door closes the connection.
var errOver = errors.New("these processes are being replaced")

// A Session is one life of an environment's processes, from their start to
// the end of all of them: the state machine behind the Runtime and Extensions
// APIs. It implements door/runtime's Guest.
//
//	Started ─next─► Ready ─event─► Running ─response─► RuntimeResponseSentState
//	   │              ▲                                        │
//	   └─init/error─► InitError (the end)                      │
//	                  └──────────────────next──────────────────┘
type Session struct {
	env  *Environment
	over chan struct{} // closed when the life has to end; fault says why
	up   chan struct{} // closed when init is done: runtime and extensions have called next
	free chan struct{} // told when the runtime's last connection is gone
	told chan struct{} // told when the runtime said it could not start

	mu          sync.Mutex // guards the rest
	state       state
	fault       *fault
	links       []link // the runtime's connections
	linkLast    uint64
	parked      []uint64 // those that wait for an event, the latest last
	call        *call    // under way, until runtime and extensions have all called next
	deliveredTo uint64   // the link that has the call; 0: none has
	timer       *time.Timer
	timing      bool // timer runs, and ends no later than the deadline
	extensions  extensions
	processes
}

// A link is a connection of the runtime.
type link struct {
	id      uint64
	deliver func(*daruma.Delivery) error
}

func newSession(e *Environment) *Session {
	return &Session{env: e, over: make(chan struct{}), up: make(chan struct{}), free: make(chan struct{}, 1), told: make(chan struct{}, 1), state: started, extensions: newExtensions()}
}

// end ends the life, for the first reason that is given.
func (s *Session) end(f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(f)
}

func (s *Session) endLocked(f *fault) {
	if s.fault == nil {
		s.fault = f
		close(s.over)
	}
}

// begin hands a call to the waiting runtime and tells the extensions. It
// returns false when the life is over. It blocks while they do not read.
func (s *Session) begin(c *call) bool {
	l, events, ok := s.enter(c)
	if ok {
		s.deliver(c, l, events)
	}
	return ok
}

// enter makes c the call under way, and returns who is to be told.
func (s *Session) enter(c *call) (l link, events []func(daruma.ExtensionEvent) error, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return link{}, nil, false
	}
	s.call, s.state, s.deliveredTo = c, running, 0
	s.watch(c.delivery.Deadline)
	if n := len(s.parked); n > 0 {
		l = s.link(s.parked[n-1])
		s.parked = s.parked[:n-1]
		s.deliveredTo = l.id
	}
	return l, s.extensions.invoked(), true
}

// deliver tells those whom enter named.
func (s *Session) deliver(c *call, l link, events []func(daruma.ExtensionEvent) error) {
	for _, deliver := range events {
		_ = deliver(daruma.ExtensionEvent{ID: daruma.NewID(), Invoke: &c.delivery, Deadline: c.delivery.Deadline.UnixMilli()}) // an extension that is gone ends the life by itself
	}
	s.hand(l, c)
}

// hand writes the call to l. When that fails the call waits for the runtime's next next.
func (s *Session) hand(l link, c *call) {
	if l.deliver == nil || l.deliver(&c.delivery) == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == c && s.deliveredTo == l.id {
		s.deliveredTo = 0 // one that is parked now gets it when this link is detached
	}
}

// watch makes sure that expire is called at the deadline. The timer is moved
// only when it has run out: deadlines follow each other, so one timer serves
// many invocations.
func (s *Session) watch(deadline time.Time) {
	if s.timing {
		return
	}
	s.timing = true
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(deadline), s.expire)
		return
	}
	s.timer.Reset(time.Until(deadline))
}

// expire ends the life when the call under way is past its deadline.
func (s *Session) expire() {
	s.mu.Lock()
	s.timing = false
	c := s.call
	if c == nil || s.fault != nil {
		s.mu.Unlock()
		return
	}
	if time.Until(c.delivery.Deadline) > 0 {
		s.watch(c.delivery.Deadline)
		s.mu.Unlock()
		return
	}
	f := timedOut(c.function.Timeout.Seconds())
	s.endLocked(f)
	s.mu.Unlock()
	s.env.answer(c, f.outcome(c.inv.ID))
}

// link returns a link by its ID; its deliver is nil when the link is gone.
func (s *Session) link(id uint64) link {
	for _, l := range s.links {
		if l.id == id {
			return l
		}
	}
	return link{}
}

// Attach is told of a new connection of the runtime.
func (s *Session) Attach(deliver func(*daruma.Delivery) error) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linkLast++
	s.links = append(s.links, link{s.linkLast, deliver})
	return s.linkLast
}

// Detach is told that a connection is gone, and all it had sent was read. If
// it had the event, one that asked meanwhile is given it.
func (s *Session) Detach(id uint64) {
	s.mu.Lock()
	s.links = slices.DeleteFunc(s.links, func(l link) bool { return l.id == id })
	s.parked = slices.DeleteFunc(s.parked, func(p uint64) bool { return p == id })
	var again *call
	var l link
	if n := len(s.parked); n > 0 && s.state == running && s.call != nil && (s.deliveredTo == id || s.deliveredTo == 0) {
		l, again = s.link(s.parked[n-1]), s.call
		s.parked, s.deliveredTo = s.parked[:n-1], l.id
	}
	if len(s.links) == 0 {
		select {
		case s.free <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	if again != nil {
		s.hand(l, again)
	}
}

// Next ends the invocation before it and asks for the next one. A runtime that
// asks again without having answered is given the same event again, unless
// another of its connections has it.
func (s *Session) Next(id uint64) error {
	s.mu.Lock()
	var again *call
	switch s.state {
	case started, sent:
		s.state = ready
		s.parked = append(s.parked, id)
	case ready:
		s.parked = append(s.parked, id)
	case running:
		if s.deliveredTo == 0 || s.deliveredTo == id || s.link(s.deliveredTo).deliver == nil {
			again, s.deliveredTo = s.call, id
		} else {
			s.parked = append(s.parked, id)
		}
	default:
		err := s.illegal(ready)
		s.mu.Unlock()
		return err
	}
	l := s.link(id)
	finished := s.settle()
	s.mu.Unlock()
	if again != nil {
		s.hand(l, again)
	}
	s.env.freed(finished)
	return nil
}

// settle returns the call under way if everybody is done with it, and marks
// the end of init. s.mu is held.
func (s *Session) settle() *call {
	if s.fault != nil || s.state != ready || !s.extensions.ready() {
		return nil
	}
	if !s.extensions.closed {
		s.extensions.closed = true
		close(s.up)
	}
	c := s.call
	s.call = nil
	return c
}

// Respond takes a whole answer.
func (s *Session) Respond(id, contentType string, body []byte) error {
	c, err := s.take(id, responding)
	if err != nil {
		return err
	}
	if len(body) > daruma.ResponseBytesMax {
		s.answer(c, tooLarge().outcome(id))
		return &daruma.StateError{Status: 413, Type: "RequestEntityTooLarge", Reason: "Exceeded maximum allowed payload size (6291556 bytes)."}
	}
	if c.inv.Stream != nil {
		c.begin(contentType)
		_, _ = c.Write(body) // a caller that is gone does not concern the function
		body = nil
	}
	s.answer(c, daruma.Outcome{Kind: daruma.Done, Payload: body})
	return nil
}

// RespondStream takes an answer as it comes.
func (s *Session) RespondStream(id, contentType string, body io.Reader, trailer func() (string, []byte)) error {
	c, err := s.take(id, responding)
	if err != nil {
		return err
	}
	whole, err := s.stream(c, contentType, body)
	if err != nil {
		f := tooLarge()
		if !errors.Is(err, errTooLarge) {
			f = &fault{kind: daruma.FunctionError, err: daruma.KindInvalid, errType: "Runtime.TruncatedResponse", text: "Response was truncated"}
			err = &daruma.StateError{Status: 400, Type: "TruncatedHTTPRequest", Reason: "HTTP request detected as truncated"}
		} else {
			err = &daruma.StateError{Status: 413, Type: "RequestEntityTooLarge", Reason: "Exceeded maximum allowed payload size."}
		}
		s.answer(c, f.outcome(id))
		return err
	}
	o := daruma.Outcome{Kind: daruma.Done, Payload: whole}
	if errType, data := trailer(); errType != "" || len(data) > 0 {
		o = failed(errType, data, id)
	}
	s.answer(c, o)
	return nil
}

var errTooLarge = errors.New("the answer is too large")

// stream copies a streamed answer to the caller, or collects it for one who wants it whole.
func (s *Session) stream(c *call, contentType string, body io.Reader) (whole []byte, err error) {
	streamed := c.inv.Stream != nil
	limit := daruma.ResponseBytesMax
	if streamed {
		limit = daruma.StreamedBytesMax
		c.begin(contentType)
	}
	buf := make([]byte, 32<<10)
	for size, deaf := 0, false; ; {
		n, err := body.Read(buf)
		if size += n; size > limit {
			return nil, errTooLarge
		}
		if !streamed {
			whole = append(whole, buf[:n]...)
		} else if n > 0 && !deaf {
			_, werr := c.Write(buf[:n])
			deaf = werr != nil
		}
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Fail takes the error of an invocation. A nil body stands for one made of errType.
func (s *Session) Fail(id, errType string, body []byte) error {
	c, err := s.take(id, failing)
	if err != nil {
		return err
	}
	if len(body) > daruma.ResponseBytesMax {
		s.answer(c, tooLarge().outcome(id))
		return &daruma.StateError{Status: 413, Type: "RequestEntityTooLarge", Reason: "Exceeded maximum allowed payload size (6291556 bytes)."}
	}
	s.answer(c, failed(errType, body, id))
	return nil
}

// failed is the outcome of an error that a runtime told.
func failed(errType string, body []byte, id string) daruma.Outcome {
	f := fault{kind: daruma.FunctionError, err: daruma.KindInvalid, errType: errType, text: errType, payload: body}
	if errType == "Runtime.TruncatedResponse" {
		f.text = "Response was truncated"
	}
	return f.outcome(id)
}

func tooLarge() *fault {
	return &fault{kind: daruma.FunctionError, err: daruma.KindTooLarge, errType: "Function.ResponseSizeTooLarge",
		text: "Response payload size exceeded maximum allowed payload size (6291556 bytes)."}
}

// InitFail takes the error of a runtime that could not start.
func (s *Session) InitFail(errType string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return errOver
	}
	if s.state != started {
		return s.illegal(initError)
	}
	s.state = initError
	if body == nil {
		body = []byte{}
	}
	s.extensions.initFault = &fault{kind: daruma.FunctionError, err: daruma.KindInvalid, errType: errType, payload: body, cause: "init", again: true}
	s.told <- struct{}{} // once: the state does not come back
	return nil
}

// take claims the call with this ID for an answer.
func (s *Session) take(id string, to state) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fault != nil:
		return nil, errOver
	case s.state == started || s.state == initError:
		return nil, s.illegal(to)
	case s.call == nil || s.call.inv.ID != id:
		return nil, &daruma.StateError{Status: 400, Type: "InvalidRequestID", Reason: "Invalid request ID"}
	case s.state != running:
		return nil, s.illegal(to)
	}
	s.state = to
	return s.call, nil
}

// answer answers the caller, and lets the runtime ask for the next event.
func (s *Session) answer(c *call, o daruma.Outcome) {
	s.env.answer(c, o)
	s.mu.Lock()
	s.state = sent
	s.mu.Unlock()
}

// illegal refuses a call in a wrong state. s.mu is held.
func (s *Session) illegal(to state) error {
	return &daruma.StateError{Status: 403, Type: "InvalidStateTransition",
		Reason: "State transition from " + string(s.state) + " to " + string(to) + " failed for runtime. Error: State transition is not allowed"}
}

// Environment returns the ID of the environment whose life it is, and what runs in it.
func (s *Session) Environment() (id string, f *catalog.Function) {
	return s.env.record.ID, s.env.function
}

// Kill kills the runtime's process, as anything on the machine may. It may be
// called once the runtime has asked for its first event.
func (s *Session) Kill() {
	_ = s.runtime.Signal(syscall.SIGKILL) // one that is gone needs none
}
