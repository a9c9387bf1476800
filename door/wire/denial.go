package wire

import (
	"encoding/json"
	"net/http"
	"strings"
)

// allowances has what a role must allow for an operation, where that is called
// otherwise (Service Authorization Reference, "Actions" of each service).
var allowances = map[string]string{
	"sqs SendMessageBatch":             "SendMessage",
	"sqs DeleteMessageBatch":           "DeleteMessage",
	"sqs ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
	"sns PublishBatch":                 "Publish",
	"lambda Invoke":                    "InvokeFunction",
	"lambda InvokeAsync":               "InvokeFunction",
	"lambda InvokeWithResponseStream":  "InvokeFunction",
}

// Allowance names what a role must allow for an operation of a service. Of
// transactions and statements on tables it is the kind of the first step.
func Allowance(r *Request, operation string) string {
	if is, ok := allowances[r.Service+" "+operation]; ok {
		return is
	}
	if r.Service != "dynamodb" {
		return operation
	}
	var asked struct {
		TransactItems []map[string]json.RawMessage
		Statement     string
		Statements    []struct{ Statement string }
	}
	_ = json.Unmarshal(r.Body, &asked) // what cannot be read asks for nothing that is known
	text := asked.Statement
	if len(asked.Statements) > 0 {
		text = asked.Statements[0].Statement
	}
	switch operation {
	case "TransactWriteItems", "TransactGetItems":
		for _, step := range asked.TransactItems {
			for kind := range step {
				if kind == "ConditionCheck" {
					return "ConditionCheckItem"
				}
				return kind + "Item"
			}
		}
	case "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction":
		verb, _, _ := strings.Cut(strings.TrimSpace(text), " ")
		if verb != "" {
			return "PartiQL" + strings.ToUpper(verb[:1]) + strings.ToLower(verb[1:])
		}
	}
	return operation
}

// ResourceARN returns the ARN of what a request asks about, "*" when it asks
// about nothing that has a name.
func ResourceARN(r *Request, region string) string {
	names := Resources(r)
	if len(names) == 0 {
		return "*"
	}
	prefix := "arn:aws:" + r.Service + ":" + region + ":" + r.Caller.Account + ":"
	switch r.Service {
	case "dynamodb":
		var asked struct{ IndexName string }
		if _ = json.Unmarshal(r.Body, &asked); asked.IndexName != "" { // what cannot be read names none
			return prefix + "table/" + names[0] + "/index/" + asked.IndexName
		}
		return prefix + "table/" + names[0]
	case "lambda":
		return prefix + "function:" + names[0]
	}
	return prefix + names[0]
}

// Deny answers r as its service does when the role of who asks does not allow
// it (IAM User Guide, "Troubleshoot access denied error messages"). allowance
// is what is missing, resource the ARN of what it was asked for.
func Deny(w http.ResponseWriter, r *Request, allowance, resource string) {
	service := r.Service
	if service == "sns" {
		service = "SNS" // it spells itself so
	}
	action := service + ":" + allowance
	Spoil(w, r, Denied, "User: "+r.Caller.ARN+" is not authorized to perform: "+action+" on resource: "+resource+" because no identity-based policy allows the "+action+" action", 0)
}
