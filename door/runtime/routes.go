package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/daruma-io/daruma"
)

const (
	runtimeBase    = "/2018-06-01"
	invocationBase = runtimeBase + "/runtime/invocation/"
	extensionBase  = "/2020-01-01/extension/"

	// integration is the content type of a streamed answer with status, headers and cookies in front.
	integration = "application/vnd.awslambda.http-integration-response"
)

// handle answers one request. It returns false when the connection is to be closed.
func (c *conn) handle(r *request) bool {
	c.body = body{conn: c, left: r.length, chunked: r.chunked}
	b := &c.body
	end := r.close // the request's slices are gone once the body is read
	if r.expect && (b.chunked || int64(c.w-c.r) < b.left) {
		c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	}
	var err error
	switch path := r.path; {
	case bytes.HasPrefix(path, []byte(invocationBase)):
		err = c.invocation(r, b, path[len(invocationBase):])
	case bytes.HasPrefix(path, []byte(extensionBase)):
		err = c.extension(r, b, string(path[len(extensionBase):]))
	default:
		err = c.other(r, b)
	}
	if state, ok := errors.AsType[*daruma.StateError](err); ok {
		c.answerError(state.Status, state.Type, state.Reason, end)
	} else if err != nil {
		return false
	}
	return b.drain() && !end
}

// invocation serves /runtime/invocation/….
func (c *conn) invocation(r *request, b *body, rest []byte) error {
	if string(rest) == "next" {
		if string(r.method) != "GET" {
			return c.wrongMethod(r)
		}
		end := r.close
		if !b.drain() {
			return io.ErrUnexpectedEOF
		}
		link := c.attach()
		c.park(end)
		return c.asked(c.server.guest.Next(link))
	}
	slash := bytes.IndexByte(rest, '/')
	if slash <= 0 {
		return c.notFound(r)
	}
	response := string(rest[slash:]) == "/response"
	if !response && string(rest[slash:]) != "/error" {
		return c.notFound(r)
	}
	if string(r.method) != "POST" {
		return c.wrongMethod(r)
	}
	c.attach()
	id, kind := string(rest[:slash]), text(r.contentType)
	if response {
		return c.response(r, b, id, kind)
	}
	reason := text(r.errorType)
	data, err := b.all(daruma.ResponseBytesMax)
	if err != nil {
		return c.truncated(id, err)
	}
	return c.accepted(c.server.guest.Fail(id, reason, data))
}

// response takes the answer to an invocation.
func (c *conn) response(r *request, b *body, id, kind string) error {
	streamed := is(r.mode, "streaming") || len(r.mode) == 0 && r.chunked && kind == integration
	if len(r.mode) > 0 && !streamed {
		if err := c.server.guest.Fail(id, "Runtime.InvalidResponseModeHeader", nil); err != nil {
			return err
		}
		return &daruma.StateError{Status: 400, Type: "InvalidFunctionResponseMode", Reason: "Invalid function response mode"}
	}
	if streamed {
		b.patient = true
		err := c.server.guest.RespondStream(id, kind, b, b.trailer)
		if b.err != nil && !errors.Is(b.err, io.EOF) { // cut short: the Guest knows
			return b.err
		}
		return c.accepted(err)
	}
	data, err := b.all(daruma.ResponseBytesMax)
	switch {
	case err != nil:
		return c.truncated(id, err)
	case b.errorType != "" || b.errorBody != nil: // it failed while it wrote
		return c.accepted(c.server.guest.Fail(id, b.errorType, b.errorBody))
	}
	return c.accepted(c.server.guest.Respond(id, kind, data))
}

// truncated tells that an answer was cut short. Nobody is there to be answered.
func (c *conn) truncated(id string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errChunk) {
		_ = c.server.guest.Fail(id, "Runtime.TruncatedResponse", nil) // it has failed otherwise by now
	}
	return err
}

// other serves the paths that are neither an invocation's nor an extension's.
func (c *conn) other(r *request, b *body) error {
	method := string(r.method)
	switch string(r.path) {
	case "/ping", runtimeBase + "/ping":
		if method != "GET" {
			return c.wrongMethod(r)
		}
		c.out = append(c.out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\npong"...)
		return nil
	case runtimeBase + "/runtime/init/error":
		if method != "POST" {
			return c.wrongMethod(r)
		}
		c.attach()
		reason := text(r.errorType)
		data, err := b.all(daruma.ResponseBytesMax)
		if err != nil {
			return err
		}
		return c.accepted(c.server.guest.InitFail(reason, data))
	case "/2022-07-01/telemetry":
		return c.unsupported(r, b, "Telemetry")
	case "/2020-08-15/logs":
		return c.unsupported(r, b, "Logs")
	}
	return c.notFound(r) // restore/next too: environments are started on demand
}

// unsupported answers a subscription as AWS's own emulator does, so that extensions go on without it.
func (c *conn) unsupported(r *request, b *body, api string) error {
	if string(r.method) != "PUT" {
		return c.wrongMethod(r)
	}
	if _, err := b.all(controlBytesMax); err != nil {
		return err
	}
	c.answer(202, "", []byte(`{"errorMessage":"`+api+` API is not supported","errorType":"`+api+`.NotSupported"}`))
	return nil
}

// extension serves /extension/….
func (c *conn) extension(r *request, b *body, call string) error {
	want := "POST"
	switch call {
	case "register", "init/error", "exit/error":
	case "event/next":
		want = "GET"
	default:
		return c.notFound(r)
	}
	if string(r.method) != want {
		return c.wrongMethod(r)
	}
	if call == "register" {
		return c.register(r, b)
	}
	id, err := identifier(r.identifier)
	if err != nil {
		return err
	}
	if call == "event/next" {
		end := r.close
		if !b.drain() {
			return io.ErrUnexpectedEOF
		}
		c.park(end)
		return c.asked(c.server.guest.ExtensionNext(id, c.deliverEvent))
	}
	reason := text(r.exitReason)
	data, err := b.all(controlBytesMax)
	if err != nil {
		return err
	}
	if reason == "" {
		return forbidden("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
	}
	return c.accepted(c.server.guest.ExtensionFail(id, reason, call == "init/error", data))
}

// register takes an extension's registration.
func (c *conn) register(r *request, b *body) error {
	name, account := text(r.extension), false
	for feature := range bytes.SplitSeq(r.features, []byte(",")) {
		account = account || string(trim(feature)) == "accountId"
	}
	data, err := b.all(controlBytesMax)
	if err != nil {
		return err
	}
	if name == "" {
		return forbidden("Extension.InvalidExtensionName", "Empty extension name")
	}
	var asked struct {
		Events            []string `json:"events"`
		ConfigurationKeys []string `json:"configurationKeys"`
	}
	switch err := json.Unmarshal(data, &asked); {
	case err != nil:
		return forbidden("InvalidRequestFormat", err.Error())
	case len(asked.ConfigurationKeys) > 0:
		return forbidden("InvalidRequestFormat", "configurationKeys are deprecated; use environment variables instead")
	}
	reg, err := c.server.guest.Register(name, asked.Events)
	if err != nil {
		return err
	}
	answer := struct {
		FunctionName    string `json:"functionName"`
		FunctionVersion string `json:"functionVersion"`
		Handler         string `json:"handler"`
		AccountID       string `json:"accountId,omitempty"`
	}{reg.FunctionName, reg.FunctionVersion, reg.Handler, ""}
	if account {
		answer.AccountID = reg.AccountID
	}
	data, err = json.Marshal(answer)
	if err != nil {
		return err
	}
	c.answer(200, "Lambda-Extension-Identifier: "+reg.Identifier+"\r\n", data)
	return nil
}

// attach makes the connection known to the guest as one of the runtime's.
func (c *conn) attach() uint64 {
	if !c.linked {
		c.linked = true
		c.link = c.server.guest.Attach(c.deliver)
	}
	return c.link
}

// identifier checks that b has the form of an extension's identifier.
func identifier(b []byte) (string, error) {
	if len(b) == 0 {
		return "", forbidden("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
	}
	if len(b) == 36 {
		for i, c := range b {
			dash := i == 8 || i == 13 || i == 18 || i == 23
			if _, hex := hexadecimal(b[i : i+1]); dash && c != '-' || !dash && !hex {
				return "", forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
			}
		}
		return string(bytes.ToLower(b)), nil
	}
	return "", forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
}

func forbidden(kind, reason string) error {
	return &daruma.StateError{Status: 403, Type: kind, Reason: reason}
}

func (c *conn) notFound(*request) error {
	return &daruma.StateError{Status: 404, Type: "NotFound", Reason: "Not found"}
}

func (c *conn) wrongMethod(*request) error {
	return &daruma.StateError{Status: 405, Type: "MethodNotAllowed", Reason: "Method not allowed"}
}

// text copies b, and spares the copy for what nearly every answer has.
func text(b []byte) string {
	switch string(b) {
	case "application/json":
		return "application/json"
	case "application/octet-stream":
		return "application/octet-stream"
	}
	return string(b)
}
