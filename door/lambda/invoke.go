package lambda

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// Invocation types.
const (
	requestResponse = "RequestResponse"
	event           = "Event"
	dryRun          = "DryRun"
)

// invokeAsync is the operation that has no parameter but a name and an event.
const invokeAsync = "InvokeAsync"

// jsonType is the content type of every answer but a stream's.
var jsonType = []string{"application/json"}

// An ask is an Invoke or InvokeWithResponseStream request, understood.
type ask struct {
	inv     daruma.Invocation
	span    daruma.Span // what is told of the request when it is answered
	answers string      // the traceparent of the answer; "" when the caller sent none
	event   bool        // nobody waits for the answer
	dryRun  bool
	tail    bool // LogType Tail
}

// invoke answers Invoke for the function of that name (unescaped).
func (d *Door) invoke(w http.ResponseWriter, r *wire.Request, name string) {
	a, err := d.ask(r, name, "Invoke", event, requestResponse, dryRun)
	if err != nil {
		wire.Refuse(w, r, err)
		return
	}
	a.name(w.Header())
	if a.dryRun {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if a.event {
		d.invokeEvent(w, r, a)
		return
	}
	out := d.cfg.Runner.Run(r.HTTP.Context(), a.inv)
	h := w.Header()
	switch out.Kind {
	case daruma.Done:
	case daruma.FunctionError, daruma.TimedOut, daruma.Crashed:
		h["X-Amz-Function-Error"] = []string{"Unhandled"}
		out.Payload = errorPayload(&out)
	default:
		err := refuseOutcome(w, r, &out)
		d.tell(&a, err.Status, &out)
		return
	}
	h["X-Amz-Executed-Version"] = []string{out.Version}
	if a.tail {
		h["X-Amz-Log-Result"] = []string{logResult(out.LogTail)}
	}
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(out.Payload))}
	w.Write(out.Payload)
	d.tell(&a, http.StatusOK, &out)
}

// ask checks a request to invoke a function, of one of the given types, in
// AWS's order: parameters, then the payload, then whether the function exists.
func (d *Door) ask(r *wire.Request, name, op string, types ...string) (ask, *wire.Error) {
	h := r.HTTP.Header
	if op == invokeAsync {
		h = http.Header{"X-Amz-Invocation-Type": {event}, daruma.TraceHeader: h[daruma.TraceHeader], daruma.TraceParentHeader: h[daruma.TraceParentHeader], daruma.TraceStateHeader: h[daruma.TraceStateHeader]}
	}
	var v violations
	ref, ok := namespacedName.parse(name)
	if !ok {
		v.check(&namespacedName, name, "functionName")
	}
	qualifier := ""
	if r.HTTP.URL.RawQuery != "" && op != invokeAsync {
		if q := r.HTTP.URL.Query(); q.Has("Qualifier") {
			qualifier = q.Get("Qualifier")
			v.check(&qualifierShape, qualifier, "qualifier")
		}
	}
	kind, logs, tenant := first(h["X-Amz-Invocation-Type"]), first(h["X-Amz-Log-Type"]), first(h["X-Amz-Tenant-Id"])
	v.oneOf(kind, "invocationType", types...)
	v.oneOf(logs, "logType", "None", "Tail")
	if h["X-Amz-Tenant-Id"] != nil {
		v.check(&tenantShape, tenant, "tenantId")
	}
	if err := v.error(); err != nil {
		return ask{}, err
	}
	if err := ref.qualify(qualifier); err != nil {
		return ask{}, err
	}
	view := d.cfg.View()
	if err := ref.local(view.Place, r.Caller, op); err != nil {
		return ask{}, err
	}
	if h["X-Amz-Durable-Execution-Name"] != nil {
		return ask{}, unsupported("Durable executions are not supported here.")
	}
	context, err := clientContext(h["X-Amz-Client-Context"])
	if err != nil {
		return ask{}, err
	}
	payload, err := eventOf(r.Body)
	if err != nil {
		return ask{}, err
	}
	if kind == event && len(payload) > EventBytesMax {
		return ask{}, eventTooLarge(len(payload))
	}
	f, notThere := view.Resolve(ref.Target, 1)
	if notThere != nil {
		if ref.Qualifier == "" {
			ref.Qualifier = catalog.Latest // as the service words it for an unqualified miss
		}
		return ask{}, notFound("Function not found: " + view.Place.FunctionARN(ref.Target))
	}
	if kind == event && d.cfg.Acceptor == nil {
		return ask{}, noEvents(op)
	}
	a := ask{event: kind == event, dryRun: kind == dryRun, tail: logs == "Tail", inv: daruma.Invocation{
		ID: r.ID, Target: ref.Target, Payload: payload, At: d.cfg.Clock.Now(), Source: "invoke",
		ClientContext: context, Tenant: tenant,
	}}
	return a, d.follow(&a, view, f, h)
}

// follow makes the request a part of its caller's trace and counts it there.
// It refuses one too many in a chain, if somebody waits for it.
func (d *Door) follow(a *ask, view *catalog.View, f *catalog.Function, h http.Header) *wire.Error {
	function := a.inv.Target.Function
	invocations := a.join(h, f)
	if a.event || a.dryRun || invocations <= daruma.ChainMax || view.Recursion(function) == catalog.RecursionAllow {
		return nil
	}
	err := recursive()
	d.tell(a, err.Status, &daruma.Outcome{Kind: daruma.Refused, Failure: &daruma.Failure{Type: err.Code}})
	return err
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// eventOf checks that a body is one JSON value; none at all stands for {}.
func eventOf(body []byte) ([]byte, *wire.Error) {
	if len(body) == 0 {
		return []byte("{}"), nil
	}
	if json.Valid(body) && utf8.Valid(body) {
		return body, nil
	}
	why := "Invalid UTF-8"
	var value json.RawMessage
	if err := json.Unmarshal(body, &value); err != nil {
		why = err.Error()
	}
	return nil, invalidContent("Could not parse request body into json: " + why)
}

// clientContext decodes X-Amz-Client-Context: base64 of a JSON object.
func clientContext(sent []string) ([]byte, *wire.Error) {
	if len(sent) == 0 {
		return nil, nil
	}
	if len(sent[0]) > daruma.ClientContextBytesMax {
		return nil, invalidContent("Client context must be no more than " + strconv.Itoa(daruma.ClientContextBytesMax) + " bytes of base64-encoded data.")
	}
	b, err := base64.StdEncoding.DecodeString(sent[0])
	if err == nil {
		var object map[string]json.RawMessage
		if err = json.Unmarshal(b, &object); err == nil && object != nil && utf8.Valid(b) {
			return b, nil
		}
	}
	return nil, invalidContent("Client context must be a valid Base64-encoded JSON object.")
}

// errorPayload is what the caller gets for a failed run: what the runtime
// posted, or, when it posted nothing, what is known.
func errorPayload(out *daruma.Outcome) []byte {
	if len(out.Payload) > 0 || out.Failure == nil {
		return out.Payload
	}
	b, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{out.Failure.Type, out.Failure.Message})
	if err != nil {
		panic(err) // two strings always encode
	}
	return b
}

// logResult encodes a log's last part for a header or an event.
func logResult(tail []byte) string {
	return base64.StdEncoding.EncodeToString(tail[max(0, len(tail)-daruma.LogTailBytesMax):])
}
