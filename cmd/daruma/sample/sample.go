// Package sample makes events as the services that send them would, to invoke
// a function with before there is a real one. They are this project's own
// examples of documented shapes; a test decodes each with aws-lambda-go.
package sample

import (
	"crypto/md5"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
)

//go:embed events/*.json
var files embed.FS

// Kinds returns the names of all kinds of event, sorted.
func Kinds() []string {
	entries, err := files.ReadDir("events")
	if err != nil {
		panic(err) // they are compiled in
	}
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, strings.TrimSuffix(e.Name(), ".json"))
	}
	slices.Sort(kinds)
	return kinds
}

// Event returns a sample of kind as one line of JSON. body, when not "", is
// what the event carries: the request's or the message's body, or the detail
// of a bus event, which must be JSON then.
func Event(kind, body string) ([]byte, error) {
	raw, err := files.ReadFile("events/" + kind + ".json")
	if err != nil {
		return nil, &daruma.Error{Op: "make a sample event", Ref: kind, Kind: daruma.KindInvalid,
			Err: fmt.Errorf("no such kind"), Hint: "kinds are " + strings.Join(Kinds(), ", ")}
	}
	var event map[string]any
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, err
	}
	if body != "" {
		if err := carry(event, kind, body); err != nil {
			return nil, &daruma.Error{Op: "make a sample event", Ref: kind, Kind: daruma.KindInvalid, Err: err}
		}
	}
	return json.Marshal(event)
}

// carry puts body where a function that handles kind would look for it.
func carry(event map[string]any, kind, body string) error {
	switch kind {
	case "http-api", "rest-api", "function-url", "load-balancer":
		event["body"] = body
	case "sqs":
		message := event["Records"].([]any)[0].(map[string]any)
		message["body"] = body
		message["md5OfBody"] = fmt.Sprintf("%x", md5.Sum([]byte(body)))
	case "sns":
		event["Records"].([]any)[0].(map[string]any)["Sns"].(map[string]any)["Message"] = body
	case "kinesis":
		event["Records"].([]any)[0].(map[string]any)["kinesis"].(map[string]any)["data"] = []byte(body)
	case "eventbridge":
		if !json.Valid([]byte(body)) {
			return fmt.Errorf("the detail of a bus event is JSON: %q is not", body)
		}
		event["detail"] = json.RawMessage(body)
	default:
		return fmt.Errorf("this kind of event carries no body")
	}
	return nil
}
