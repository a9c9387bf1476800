package sqs

import (
	"encoding/json"
	"slices"

	"github.com/daruma-io/daruma/queue"
)

// A document is a queue's policy, as far as this door writes it. Policies are
// kept and told; who may reach this endpoint may reach all of its queues.
type document struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id,omitempty"`
	Statement []json.RawMessage `json:"Statement"`
}

// permissions are what a policy made by AddPermission can allow.
var permissions = []string{"*", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes", "GetQueueUrl", "PurgeQueue", "ListDeadLetterSourceQueues"}

type statement struct {
	Sid       string         `json:"Sid"`
	Effect    string         `json:"Effect"`
	Principal map[string]any `json:"Principal"`
	Action    any            `json:"Action"`
	Resource  string         `json:"Resource"`
}

func (d *Door) addPermission(c *call) (any, *failure) {
	is, fail := d.queue(c)
	switch {
	case fail != nil:
		return nil, fail
	case c.in.Label == "":
		return nil, missing("Label")
	case len(c.in.AWSAccountIDs) == 0:
		return nil, missing("AWSAccountIds")
	case len(c.in.Actions) == 0:
		return nil, missing("Actions")
	}
	s := statement{Sid: c.in.Label, Effect: "Allow", Resource: ARN(d.place, is.Name)}
	var principals, actions []string
	for _, id := range c.in.AWSAccountIDs {
		principals = append(principals, "arn:aws:iam::"+id+":root")
	}
	for _, name := range c.in.Actions {
		if !slices.Contains(permissions, name) {
			return nil, badValue("SQS:"+name, "ActionName", "Please refer to the appropriate WSDL for a list of valid actions.")
		}
		actions = append(actions, "SQS:"+name)
	}
	s.Principal, s.Action = map[string]any{"AWS": oneOrMany(principals)}, oneOrMany(actions)
	return nil, d.change(c, is.Name, "", func(q *queue.Settings) *failure {
		doc := document{Version: "2008-10-17", ID: ARN(d.place, is.Name) + "/SQSDefaultPolicy"}
		if text := q.Labels[policy]; text != "" {
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				return fault(invalidValue, "Invalid value for the parameter Policy.")
			}
		}
		if slices.ContainsFunc(doc.Statement, labelled(c.in.Label)) {
			return badValue(c.in.Label, "Label", "Already exists.")
		}
		raw, _ := json.Marshal(s) // texts cannot fail
		doc.Statement = append(doc.Statement, raw)
		text, _ := json.Marshal(doc)
		keep(q, policy, string(text))
		return nil
	})
}

func (d *Door) removePermission(c *call) (any, *failure) {
	is, fail := d.queue(c)
	switch {
	case fail != nil:
		return nil, fail
	case c.in.Label == "":
		return nil, missing("Label")
	}
	return nil, d.change(c, is.Name, "", func(q *queue.Settings) *failure {
		var doc document
		if text := q.Labels[policy]; text != "" {
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				return fault(invalidValue, "Invalid value for the parameter Policy.")
			}
		}
		switch {
		case q.Labels[policy] == "":
			return badValue(c.in.Label, "Label", "can't find label.")
		case !slices.ContainsFunc(doc.Statement, labelled(c.in.Label)):
			return badValue(c.in.Label, "Label", "can't find label on existing policy.")
		}
		doc.Statement = slices.DeleteFunc(doc.Statement, labelled(c.in.Label))
		text := ""
		if len(doc.Statement) > 0 {
			raw, _ := json.Marshal(doc) // it was read from JSON
			text = string(raw)
		}
		keep(q, policy, text)
		return nil
	})
}

func labelled(label string) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		var s struct{ Sid string }
		return json.Unmarshal(raw, &s) == nil && s.Sid == label
	}
}

func oneOrMany(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}
