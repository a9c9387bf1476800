package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spf13/cobra"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cmd/daruma/sample"
	"github.com/daruma-io/daruma/node"
)

type invokeFlags struct {
	event, file, sample, body, qualifier, context string
	dryRun, logs, async                           bool
}

func invokeCommand(w world) *cobra.Command {
	c := &cobra.Command{
		Use:   "invoke FUNCTION",
		Short: "Invoke a function and print its answer",
		Long: `Invoke a function by its name or its name in the template, wait, and print its
answer. The event is {} unless one is given, read from a file or standard input,
or generated. Ends with 1 when the function failed.

With --async, hand the event over and do not wait: the function runs later, and
again when it fails. What is printed is the event's request ID, which is the same
in all its attempts, once the event is stored.

Kinds of sample events: ` + strings.Join(sample.Kinds(), ", ") + ".",
		Example: `  daruma invoke Report --event '{"numbers":[1,2,3]}'
  daruma invoke Report --file event.json
  echo '{}' | daruma invoke Report --file -
  daruma invoke Report --async
  daruma invoke Orders --sample http-api --body '{"item":"daruma"}'`,
		Args: cobra.ExactArgs(1),
	}
	data, asJSON := dataFlag(c), jsonFlag(c)
	var f invokeFlags
	c.Flags().StringVarP(&f.event, "event", "e", "", "the event, as JSON")
	c.Flags().StringVarP(&f.file, "file", "f", "", "a file that holds the event; - is standard input")
	c.Flags().StringVarP(&f.sample, "sample", "s", "", "generate an event of this kind")
	c.Flags().StringVar(&f.body, "body", "", "what the generated event carries")
	c.Flags().StringVarP(&f.qualifier, "qualifier", "q", "", "a version or an alias")
	c.Flags().StringVar(&f.context, "client-context", "", "the client context, as JSON")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "check the request and do not run the function")
	c.Flags().BoolVarP(&f.logs, "logs", "l", false, "print the end of the invocation's log too")
	c.Flags().BoolVarP(&f.async, "async", "a", false, "hand the event over, print its request ID and do not wait")
	c.MarkFlagsMutuallyExclusive("event", "file", "sample")
	for _, waits := range []string{"dry-run", "logs", "client-context"} { // what a function that nobody waits for does not have
		c.MarkFlagsMutuallyExclusive("async", waits)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if f.body != "" && f.sample == "" {
			return errUsage{errors.New("--body goes with --sample")}
		}
		if f.context != "" && json.Unmarshal([]byte(f.context), &map[string]any{}) != nil {
			return errUsage{errors.New("--client-context is no JSON object")}
		}
		event, err := f.payload(w)
		if err != nil {
			return err
		}
		a, err := node.Find(w.dir, *data)
		if err != nil {
			return err
		}
		s, err := status(c.Context(), a)
		if err != nil {
			return err
		}
		name, err := functionNamed(s, args[0])
		if err != nil {
			return err
		}
		answer, err := invoke(c.Context(), a, name, f, event)
		if err != nil {
			return err
		}
		return answer.show(w, *asJSON)
	}
	return c
}

func (f invokeFlags) payload(w world) ([]byte, error) {
	var raw []byte
	var err error
	ref := "--event"
	switch {
	case f.event != "":
		raw = []byte(f.event)
	case f.sample != "":
		return sample.Event(f.sample, f.body)
	case f.file == "-":
		ref = "standard input"
		raw, err = io.ReadAll(io.LimitReader(w.in, daruma.PayloadBytesMax+1))
	case f.file != "":
		ref = f.file
		raw, err = os.ReadFile(w.path(f.file))
	default:
		return []byte("{}"), nil
	}
	if err != nil {
		return nil, &daruma.Error{Op: "read the event", Ref: ref, Kind: daruma.KindInvalid, Err: err}
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(raw, new(any)); errors.As(err, &syntax) {
		line := 1 + bytes.Count(raw[:syntax.Offset], []byte("\n"))
		return nil, &daruma.Error{Op: "read the event", Ref: fmt.Sprintf("%s:%d", ref, line), Kind: daruma.KindInvalid, Err: err, Hint: "an event is JSON"}
	}
	return raw, nil
}

// An invokeAnswer is what the node said to an invocation.
type invokeAnswer struct {
	Status    int             `json:"status"`
	Request   string          `json:"requestId"`
	Version   string          `json:"executedVersion,omitempty"`
	Error     string          `json:"functionError,omitempty"`
	Payload   json.RawMessage `json:"payload,omitempty"`
	Log       string          `json:"log,omitempty"`
	Trace     string          `json:"trace,omitempty"`
	Duration  float64         `json:"durationMs"` // as the caller saw it
	ErrorType string          `json:"errorType,omitempty"`

	body []byte // the payload as it came
}

func invoke(ctx context.Context, a node.Address, name string, f invokeFlags, event []byte) (invokeAnswer, error) {
	target := a.AWS + "/2015-03-31/functions/" + url.PathEscape(name) + "/invocations"
	if f.qualifier != "" {
		target += "?Qualifier=" + url.QueryEscape(f.qualifier)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", target, bytes.NewReader(event))
	if err != nil {
		return invokeAnswer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	switch {
	case f.dryRun:
		req.Header.Set("X-Amz-Invocation-Type", "DryRun")
	case f.async:
		req.Header.Set("X-Amz-Invocation-Type", "Event")
	}
	if f.logs {
		req.Header.Set("X-Amz-Log-Type", "Tail")
	}
	if f.context != "" {
		req.Header.Set("X-Amz-Client-Context", base64.StdEncoding.EncodeToString([]byte(f.context)))
	}
	key, err := node.OperatorKey(a.Data)
	if err != nil {
		return invokeAnswer{}, err
	}
	creds := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}
	if err := v4.NewSigner().SignHTTP(ctx, creds, req, fmt.Sprintf("%x", sha256.Sum256(event)), "lambda", a.Region, time.Now()); err != nil {
		return invokeAnswer{}, &daruma.Error{Op: "sign the request", Err: err}
	}
	started := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return invokeAnswer{}, &daruma.Error{Op: "invoke", Ref: name, Kind: daruma.KindUnavailable, Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return invokeAnswer{}, &daruma.Error{Op: "read the answer", Ref: name, Err: err}
	}
	log, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Amz-Log-Result"))
	if err != nil {
		return invokeAnswer{}, &daruma.Error{Op: "read the answer's log", Ref: name, Err: err}
	}
	h := resp.Header
	if resp.StatusCode >= 300 && h.Get("X-Amz-Function-Error") == "" {
		return invokeAnswer{}, &daruma.Error{Op: "invoke", Ref: name, Kind: daruma.KindInvalid, Err: fmt.Errorf("%s %s: %s", resp.Status, h.Get("X-Amzn-ErrorType"), messageOf(body))}
	}
	answer := invokeAnswer{
		Status: resp.StatusCode, Request: h.Get("X-Amzn-RequestId"), Version: h.Get("X-Amz-Executed-Version"),
		Error: h.Get("X-Amz-Function-Error"), Log: string(log), Trace: h.Get("X-Amzn-Trace-Id"),
		Duration: float64(time.Since(started).Microseconds()) / 1000,
		body:     body,
	}
	if json.Valid(body) {
		answer.Payload = body
	} else if len(body) > 0 {
		answer.Payload, _ = json.Marshal(string(body)) // a function may answer with anything
	}
	return answer, nil
}

// messageOf returns the message in an AWS error body, whose key has either case.
func messageOf(body []byte) string {
	var m struct{ Message string }
	if json.Unmarshal(body, &m) == nil && m.Message != "" {
		return m.Message
	}
	return strings.TrimSpace(string(body))
}

func (a invokeAnswer) show(w world, asJSON bool) error {
	if asJSON {
		if err := printJSON(w.out, a); err != nil {
			return err
		}
	} else {
		if a.Log != "" {
			fmt.Fprintln(w.err, strings.TrimRight(a.Log, "\n"))
		}
		switch {
		case a.Status == http.StatusAccepted:
			fmt.Fprintln(w.out, a.Request)
		case len(a.body) > 0:
			fmt.Fprintf(w.out, "%s\n", a.body)
		case a.Status == http.StatusNoContent:
			fmt.Fprintln(w.err, "the request is valid; the function was not run")
		}
	}
	if a.Error == "" {
		return nil
	}
	if !asJSON {
		fmt.Fprintf(w.err, "daruma: the function failed; its log: daruma logs --request %s\n", a.Request)
		fmt.Fprintf(w.err, "daruma: where it came from and went: daruma trace %s\n", a.Request)
	}
	return errShown
}
