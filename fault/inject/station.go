package inject

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
)

// A Runtime is what a function's runtime speaks with: one life of its
// processes. It is the runtime's half of door/runtime's Guest, whose contract holds.
type Runtime interface {
	Attach(deliver func(*daruma.Delivery) error) (link uint64)
	Detach(link uint64)
	Next(link uint64) error
	Answers
}

// Answers is what a runtime tells about an event.
type Answers interface {
	Respond(id, contentType string, body []byte) error
	RespondStream(id, contentType string, body io.Reader, trailer func() (errorType string, errorBody []byte)) error
	Fail(id, errorType string, body []byte) error
	InitFail(errorType string, body []byte) error
}

// A Station stands between one life of an environment's processes and the
// runtime in it: it holds up, changes or answers events before the function
// sees them, and answers after it has given them.
type Station struct {
	Runtime
	set  *Faults
	who  Who
	kill func()
	ctx  context.Context // ends with the life

	mu     sync.Mutex // guards the rest
	closed bool
	ready  bool   // the first Next has come
	killed string // the mark of the fault that has killed the process; "" for none
	last   string // the request that was handed over last
	plan   *plan  // for the event under way; nil: it is not met
	wait   sync.WaitGroup
}

// Station returns what stands before the life of an environment that ends with
// ctx. kill kills its runtime's process. Close must be called at the end.
func (s *Faults) Station(ctx context.Context, life Runtime, who Who, kill func()) *Station {
	return &Station{Runtime: life, set: s, who: who, kill: kill, ctx: ctx}
}

// Close waits until nothing of the station is under way. Its context must have ended.
func (t *Station) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.wait.Wait()
}

// A hit is one fault that met an event.
type hit struct {
	*Running
	latency time.Duration
}

// A plan is what meets one event.
type plan struct {
	who    Who
	before []hit
	after  []hit
}

// plan decides what meets an event. Nil: nothing does.
func (t *Station) newPlan(faults []*Running, d *daruma.Delivery) *plan {
	p := &plan{who: t.who}
	p.who.Request, p.who.Trace = d.ID, daruma.TraceRoot(d.Trace)
	for _, f := range faults {
		if f.fault.Kind == fault.ColdStart || !f.meets(&t.who) || f.fault.Kind == fault.BadRelease && !f.released(t.who.Code) || f.fault.Target.Alias != "" && f.fault.Target.Alias != qualifier(d.ARN) || !f.lens.Fits(d.Payload) {
			continue
		}
		latency, met := f.meet()
		if !met {
			continue
		}
		if f.fault.With.After() || f.fault.Kind == fault.Corrupt {
			p.after = append(p.after, hit{f, latency})
		} else {
			p.before = append(p.before, hit{f, latency})
		}
	}
	if len(p.before)+len(p.after) == 0 {
		return nil
	}
	return p
}

// meets says whether the function and the version are those of the target.
func (r *Running) meets(w *Who) bool {
	return fault.Like(r.fault.Target.Function, w.Function) && (r.fault.Target.Version == "" || r.fault.Target.Version == w.Version)
}

// qualifier is what follows the function's name in its ARN.
func qualifier(arn string) string {
	parts := strings.SplitN(arn, ":", 8)
	if len(parts) < 8 {
		return ""
	}
	return parts[7]
}

// Attach tells the life of a connection; what is delivered to it passes here.
func (t *Station) Attach(deliver func(*daruma.Delivery) error) uint64 {
	var link uint64
	link = t.Runtime.Attach(func(d *daruma.Delivery) error {
		active := t.set.active.Load()
		if active == nil || len(active[fault.Events]) == 0 {
			t.take(nil)
			return deliver(d)
		}
		return t.deliver(link, deliver, d, active[fault.Events]) // link is known: nothing is delivered before Next
	})
	return link
}

// take replaces the plan and returns the one before.
func (t *Station) take(p *plan) *plan {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.plan
	t.plan = p
	return before
}

// deliver has an event meet its faults, in a goroutine of its own where that takes time.
func (t *Station) deliver(link uint64, deliver func(*daruma.Delivery) error, d *daruma.Delivery, faults []*Running) error {
	t.mu.Lock()
	again := d.ID == t.last
	t.last = d.ID
	t.mu.Unlock()
	if again { // a runtime asks for an event twice: it was met when it was handed over first
		return deliver(d)
	}
	p := t.newPlan(faults, d)
	t.mu.Lock()
	t.plan = p
	if p == nil || len(p.before) == 0 || t.closed {
		t.mu.Unlock()
		return deliver(d)
	}
	t.wait.Add(1)
	t.mu.Unlock()
	go func() {
		defer t.wait.Done()
		t.before(link, p, deliver, d)
	}()
	return nil
}

// before does what comes before the function's work, and hands the event over
// if there is still one to hand.
func (t *Station) before(link uint64, p *plan, deliver func(*daruma.Delivery) error, d *daruma.Delivery) {
	for _, h := range p.before {
		w := &h.fault.With
		switch h.fault.Kind {
		case fault.Latency:
			t.set.note(h.Running, p.who, fmt.Sprintf("the event is held for %s", h.latency.Round(time.Microsecond)))
			if h.wait(t.ctx, h.latency) != nil {
				return
			}
		case fault.BadRelease:
			if t.release(h, p) {
				errType, body := failure(w)
				t.answered(link, t.Fail(d.ID, errType, body))
				return
			}
			if h.wait(t.ctx, h.latency) != nil {
				return
			}
		case fault.Timeout:
			t.set.note(h.Running, p.who, "the event is held until the function is killed at its deadline")
			if h.hang(t.ctx) != nil {
				return
			}
		case fault.Malformed:
			changed := *d
			if changed.Payload = []byte(w.Body); w.Body == "" {
				changed.Payload = cut(d.Payload)
			}
			d = &changed
			t.set.note(h.Running, p.who, "the event is damaged before it is handed over")
		case fault.Kill:
			t.set.note(h.Running, p.who, "the process is killed before the event is handed over")
			_ = t.die(h) // nobody asks for an event any more
			return
		case fault.Error:
			t.set.note(h.Running, p.who, "the event is answered with an error; the function does not run")
			errType, body := failure(w)
			t.answered(link, t.Fail(d.ID, errType, body))
			return
		case fault.Status:
			t.set.note(h.Running, p.who, fmt.Sprintf("the event is answered with status %d; the function does not run", w.Status))
			t.answered(link, t.Runtime.Respond(d.ID, "application/json", statusAnswer(w)))
			return
		}
	}
	if deliver(d) != nil {
		t.Detach(link) // as if the connection had broken before: the next one gets it
	}
}

// die kills the process, which gets no further.
func (t *Station) die(h hit) error {
	t.mu.Lock()
	t.killed = h.mark()
	t.mu.Unlock()
	t.kill()
	return t.dead()
}

// dead refuses what a process says that was killed and has not heard of it yet.
func (t *Station) dead() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.killed == "" {
		return nil
	}
	return &daruma.StateError{Status: 403, Type: "InvalidStateTransition", Reason: "the process is killed by " + t.killed}
}

// answered has the runtime, which waits for an event still, ask for the next one.
func (t *Station) answered(link uint64, err error) {
	if err == nil {
		_ = t.Next(link) // a life that is over needs none
	}
}

// Next is the runtime's; the first one is the end of a cold start.
func (t *Station) Next(link uint64) error {
	if err := t.dead(); err != nil {
		return err
	}
	t.mu.Lock()
	first := !t.ready
	t.ready = true
	t.mu.Unlock()
	if active := t.set.active.Load(); first && active != nil {
		for _, f := range active[fault.Events] {
			if f.fault.Kind != fault.ColdStart || !f.meets(&t.who) {
				continue
			}
			if latency, met := f.meet(); met {
				t.set.note(f, t.who, fmt.Sprintf("the environment is held for %s before it is ready", latency.Round(time.Microsecond)))
				_ = f.wait(t.ctx, latency) // a life that is over is told so by what follows
			}
		}
	}
	return t.Runtime.Next(link)
}

// Respond passes an answer on, unless it is lost.
func (t *Station) Respond(id, contentType string, body []byte) error {
	p := t.take(nil)
	if p == nil {
		return t.Runtime.Respond(id, contentType, body)
	}
	for _, h := range p.after {
		switch h.fault.Kind {
		case fault.Corrupt:
			if t.set.note(h.Running, p.who, "the answer is damaged"); h.fault.With.Body != "" {
				body = []byte(h.fault.With.Body)
			} else {
				body = cut(body)
			}
		case fault.Status:
			t.set.note(h.Running, p.who, fmt.Sprintf("the answer's status is made %d", h.fault.With.Status))
			body = withStatus(body, &h.fault.With)
		default:
			if over, err := t.after(h, p, id); over {
				return err
			}
		}
	}
	return t.Runtime.Respond(id, contentType, body)
}

// after does what comes after the function's work, whatever its answer is. over
// says that there is none any more.
func (t *Station) after(h hit, p *plan, id string) (over bool, err error) {
	switch h.fault.Kind {
	case fault.Latency:
		t.set.note(h.Running, p.who, fmt.Sprintf("the answer is held for %s", h.latency.Round(time.Microsecond)))
		return false, h.wait(t.ctx, h.latency)
	case fault.Timeout:
		t.set.note(h.Running, p.who, "the answer is held until the function is killed at its deadline")
		return false, h.hang(t.ctx)
	case fault.Kill:
		t.set.note(h.Running, p.who, "the process is killed before its answer is read")
		return true, t.die(h)
	case fault.Error:
		t.set.note(h.Running, p.who, "the answer is lost: an error takes its place")
		errType, body := failure(&h.fault.With)
		return true, t.Fail(id, errType, body)
	}
	return false, nil
}

// RespondStream passes a streamed answer on, unless it is lost or cut.
func (t *Station) RespondStream(id, contentType string, body io.Reader, trailer func() (string, []byte)) error {
	p := t.take(nil)
	if p == nil {
		return t.Runtime.RespondStream(id, contentType, body, trailer)
	}
	for _, h := range p.after {
		switch h.fault.Kind {
		case fault.Corrupt:
			t.set.note(h.Running, p.who, "the streamed answer breaks off")
			body = io.MultiReader(io.LimitReader(body, streamCut), broken{})
		case fault.Status:
			t.set.note(h.Running, p.who, "the streamed answer keeps its status: it is on its way already")
		default:
			if over, err := t.after(h, p, id); over {
				return err
			}
		}
	}
	return t.Runtime.RespondStream(id, contentType, body, trailer)
}

// streamCut is how much of a streamed answer gets through.
const streamCut = 64

// broken is a stream that breaks off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// failure is the error that a function seems to report.
func failure(w *fault.With) (errType string, body []byte) {
	said := struct {
		Type    string   `json:"errorType"`
		Message string   `json:"errorMessage"`
		Trace   []string `json:"stackTrace"`
	}{w.Code, w.Message, []string{}}
	if said.Type == "" {
		said.Type = "InjectedFault"
	}
	if said.Message == "" {
		said.Message = "an error was injected"
	}
	body, _ = json.Marshal(said) // strings can be written
	return "Function." + said.Type, body
}

// statusAnswer is the answer to a web request that a function seems to give.
func statusAnswer(w *fault.With) []byte {
	body := w.Body
	if body == "" {
		body = fmt.Sprintf(`{"message":"Injected status code %d"}`, w.Status)
	}
	b, _ := json.Marshal(map[string]any{"statusCode": w.Status, "headers": map[string]string{"Content-Type": cmp.Or(w.ContentType, "application/json")}, "body": body}) // can be written
	return b
}

// withStatus is a function's answer with another status. What is no answer to
// a web request is replaced by one.
func withStatus(answer []byte, w *fault.With) []byte {
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) != nil || members["statusCode"] == nil {
		return statusAnswer(w)
	}
	members["statusCode"] = fmt.Append(nil, w.Status)
	if w.Body != "" {
		members["body"], _ = json.Marshal(w.Body) // a string can be written
		delete(members, "isBase64Encoded")
	}
	if w.ContentType != "" {
		retype(members, w.ContentType)
	}
	b, err := json.Marshal(members)
	if err != nil {
		return statusAnswer(w)
	}
	return b
}

// retype gives an answer to a web request another content type.
func retype(members map[string]json.RawMessage, contentType string) {
	for _, name := range []string{"headers", "multiValueHeaders"} {
		headers := map[string]json.RawMessage{}
		_ = json.Unmarshal(members[name], &headers) // what are no headers are replaced
		if len(headers) == 0 && name != "headers" {
			continue
		}
		maps.DeleteFunc(headers, func(h string, _ json.RawMessage) bool { return strings.EqualFold(h, "Content-Type") })
		if name == "headers" {
			headers["Content-Type"], _ = json.Marshal(contentType) // a string can be written
		}
		members[name], _ = json.Marshal(headers) // what was read can be written
	}
}

// cut returns the first half of b, and no half character.
func cut(b []byte) []byte {
	half := bytes.Clone(b[:len(b)/2])
	for len(half) > 0 && !utf8.Valid(half[max(0, len(half)-utf8.UTFMax):]) && !utf8.RuneStart(b[len(half)]) {
		half = half[:len(half)-1]
	}
	return half
}
