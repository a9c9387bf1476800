package fis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/fault"
)

// Types of resources that actions meet.
const (
	functions = "aws:lambda:function"
	roles     = "aws:iam:role"
	subnets   = "aws:ec2:subnet"
)

// A kind is one action of the service's that means something here.
type kind struct {
	id, text   string
	target     string // what its targets are called; "" when it has none
	on         string // the type of its targets
	parameters []parameter
	// fault is what the action does to a resource it meets: a function, or the
	// functions with a role, or in a subnet. Nil: it only takes time.
	fault func(given map[string]string, h here) (fault.Fault, error)
}

// A parameter is one of an action's.
type parameter struct {
	name     string
	required bool
	text     string
}

var (
	takesTime  = parameter{"duration", true, "How long it lasts, in ISO 8601, from one minute to 12 hours, by the app's clock."}
	takesShare = parameter{"invocationPercentage", false, "How many of a hundred invocations are met, from 1; 100 when not given."}
	takesSkip  = parameter{"preventExecution", true, "true: the function does not run. false: it runs, and its answer is replaced."}
)

// actions are those that mean something here (User Guide, "AWS FIS Actions reference").
var actions = []kind{
	{id: assertion, text: "Alarms have to be in one of some states; the experiment fails when one is not.", parameters: []parameter{
		{"alarmArns", true, "The ARNs of up to five alarms, with commas between."}, {"alarmStates", true, "OK, ALARM and INSUFFICIENT_DATA, those that are right, with commas between."}}},
	{id: "aws:fis:inject-api-internal-error", text: "Requests of functions with a role to a service are answered with an internal error.", target: "Roles", on: roles, parameters: api, fault: requests(wire.Internal)},
	{id: "aws:fis:inject-api-throttle-error", text: "Requests of functions with a role to a service are throttled.", target: "Roles", on: roles, parameters: api, fault: requests(wire.Throttled)},
	{id: "aws:fis:inject-api-unavailable-error", text: "Requests of functions with a role to a service are answered as by one that is unavailable.", target: "Roles", on: roles, parameters: api, fault: requests(wire.Unavailable)},
	{id: "aws:fis:wait", text: "Nothing is done for a time.", parameters: []parameter{takesTime}},
	{id: "aws:lambda:invocation-add-delay", text: "Invocations of a function take longer, within their time-out.", target: "Functions", on: functions, fault: delay,
		parameters: []parameter{takesTime, takesShare, {"startupDelayMilliseconds", false, "How much longer, from 1 to 900000; 1000 when not given."}}},
	{id: "aws:lambda:invocation-error", text: "Invocations of a function fail.", target: "Functions", on: functions, fault: invocationError,
		parameters: []parameter{takesTime, takesShare, takesSkip}},
	{id: "aws:lambda:invocation-http-integration-response", text: "Invocations of a function answer a web request with another status.", target: "Functions", on: functions, fault: response,
		parameters: []parameter{takesTime, takesShare, takesSkip, {"statusCode", true, "The status, from 100 to 599."}, {"contentTypeHeader", true, "The content type of the answer."}}},
	{id: "aws:network:disrupt-connectivity", text: "Functions in subnets get no answer from what they connect to.", target: "Subnets", on: subnets, fault: disruption,
		parameters: []parameter{takesTime, {"scope", true, "all: everything outside; dynamodb, s3, s3express: that service. The others mean nothing here."}, {"prefixListIdentifier", false, "For the scope prefix-list, which means nothing here."}}},
}

// assertion is the action that expects alarms to be in states.
const assertion = "aws:cloudwatch:assert-alarm-state"

// expectation reads what an assertion expects.
func expectation(given map[string]string, h here) (*drill.Expectation, error) {
	e := &drill.Expectation{}
	for arn := range strings.SplitSeq(given["alarmArns"], ",") {
		name := h.named(strings.TrimSpace(arn))
		if name == "" {
			return nil, fmt.Errorf("parameters.alarmArns: there is no alarm %s here", strings.TrimSpace(arn))
		}
		e.Alarms = append(e.Alarms, name)
	}
	if len(e.Alarms) > drill.AlarmsMax {
		return nil, fmt.Errorf("parameters.alarmArns: there are at most %d", drill.AlarmsMax)
	}
	for s := range strings.SplitSeq(given["alarmStates"], ",") {
		if s = strings.TrimSpace(s); !slices.Contains([]string{"OK", "ALARM", "INSUFFICIENT_DATA"}, s) {
			return nil, fmt.Errorf("parameters.alarmStates: %q is none of OK, ALARM, INSUFFICIENT_DATA", s)
		}
		e.States = append(e.States, s)
	}
	return e, nil
}

var api = []parameter{takesTime,
	{"service", true, "The service, as its requests are signed for: one that is served here."},
	{"percentage", true, "How many of a hundred requests are met, from 1 to 100."},
	{"operations", true, "The operations that are met, with commas between."}}

// elsewhere are services whose actions have nothing to meet here, and why.
var elsewhere = map[string]string{
	"aws:dynamodb:":      "there are no replicas of tables here; an aws:fis:inject-api-… action with service dynamodb has tables fail",
	"aws:kinesis:":       "there are no Kinesis streams here",
	"aws:network:":       "there are neither routes, gateways nor endpoints here; aws:network:disrupt-connectivity cuts the functions in a subnet off",
	"aws:s3:":            "there are no buckets here",
	"aws:ssm:":           "there are neither automations nor commands here",
	"aws:arc:":           "there is one region here",
	"aws:dsql:":          "there are no such clusters here",
	"aws:directconnect:": "there are no such connections here",
	"aws:ebs:":           "there are no volumes here",
	"aws:ec2:":           "there are no instances here",
	"aws:ecs:":           "there are no tasks here",
	"aws:eks:":           "there are no clusters here",
	"aws:elasticache:":   "there are no caches here",
	"aws:memorydb:":      "there are no such clusters here",
	"aws:rds:":           "there are no databases here",
}

// actionOf returns the kind of an action, or says why there is none.
func actionOf(id string) (*kind, error) {
	if i := slices.IndexFunc(actions, func(k kind) bool { return k.id == id }); i >= 0 {
		return &actions[i], nil
	}
	for prefix, why := range elsewhere {
		if strings.HasPrefix(id, prefix) {
			return nil, lacking("the action %s is not supported here: %s", id, why)
		}
	}
	names := make([]string, 0, len(actions))
	for _, k := range actions {
		names = append(names, k.id)
	}
	return nil, lacking("there is no action %s here; there are %s", id, strings.Join(names, ", "))
}

// check says what is wrong with the parameters of an action, whatever it meets.
func (k *kind) check(given map[string]string, h here) error {
	for name := range given {
		if !slices.ContainsFunc(k.parameters, func(p parameter) bool { return p.name == name }) {
			return fmt.Errorf("parameters.%s: %s does not take it", name, k.id)
		}
	}
	for _, p := range k.parameters {
		if p.required && given[p.name] == "" {
			return fmt.Errorf("parameters.%s: %s needs it", p.name, k.id)
		}
	}
	if _, err := duration(given["duration"]); err != nil && k.id != assertion {
		return fmt.Errorf("parameters.duration: %w", err)
	}
	if k.fault == nil {
		return nil
	}
	f, err := k.fault(given, h)
	if err != nil {
		return err
	}
	f.Target.Function = "*"
	return f.Validate()
}

// whole reads a whole number within bounds.
func whole(given map[string]string, name string, least, most, otherwise int) (int, error) {
	text := given[name]
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("parameters.%s: %q is no whole number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// share is the dose of an action: so many of a hundred.
func share(given map[string]string, name string) (fault.Dose, error) {
	n, err := whole(given, name, 1, 100, 100)
	return fault.Dose{Rate: float64(n) / 100}, err
}

// when says whether the function does its work first.
func when(given map[string]string) (string, error) {
	switch given["preventExecution"] {
	case "true":
		return "before", nil
	case "false":
		return "after", nil
	}
	return "", fmt.Errorf("parameters.preventExecution: %q is neither true nor false", given["preventExecution"])
}

func delay(given map[string]string, _ here) (f fault.Fault, err error) {
	f.Kind = fault.Latency
	if f.Dose, err = share(given, "invocationPercentage"); err != nil {
		return f, err
	}
	ms, err := whole(given, "startupDelayMilliseconds", 1, 900_000, 1000)
	if err != nil {
		return f, err
	}
	f.With.Latency = milliseconds(ms)
	return f, nil
}

func invocationError(given map[string]string, _ here) (f fault.Fault, err error) {
	f.Kind = fault.Error
	if f.Dose, err = share(given, "invocationPercentage"); err != nil {
		return f, err
	}
	f.With.When, err = when(given)
	return f, err
}

func response(given map[string]string, _ here) (f fault.Fault, err error) {
	f.Kind = fault.Status
	if f.Dose, err = share(given, "invocationPercentage"); err != nil {
		return f, err
	}
	if f.With.Status, err = whole(given, "statusCode", 100, 599, 0); err != nil {
		return f, err
	}
	f.With.ContentType = given["contentTypeHeader"]
	f.With.When, err = when(given)
	return f, err
}

// scopeless are the scopes of a disruption that mean nothing here, and why.
var scopeless = map[string]string{
	"availability-zone": "there are no other zones here that a function could be cut off from",
	"prefix-list":       "there are no prefix lists here; faults on hosts (daruma fault start blackhole --target host:…) silence single hosts",
	"vpc":               "nobody says here which hosts are in a VPC; all cuts functions off from every host",
}

// disruption takes away what a scope says, without a word: network ACLs, which
// the service uses, drop packets and leave lookups of names alone (VPC User Guide,
// "Network ACL basics").
func disruption(given map[string]string, h here) (f fault.Fault, err error) {
	f.Kind = fault.Blackhole
	scope := given["scope"]
	switch why, known := scopeless[scope]; {
	case known:
		return f, lacking("parameters.scope: %s is not supported here: %s", scope, why)
	case given["prefixListIdentifier"] != "":
		return f, fmt.Errorf("parameters.prefixListIdentifier: it is for the scope prefix-list, which is not supported here")
	case scope == "all":
		f.Target.Host, f.Target.Service = "*", "*"
	case scope == "dynamodb" && h.serves(scope), scope == "s3", scope == "s3express":
		f.Target.Service = scope
	default:
		return f, fmt.Errorf("parameters.scope: %q is none of all, dynamodb, s3, s3express", scope)
	}
	return f, nil
}

// requests makes what has requests to a service answered with a word. Which
// operations is said by [operationsOf], one fault each.
func requests(word string) func(map[string]string, here) (fault.Fault, error) {
	return func(given map[string]string, h here) (f fault.Fault, err error) {
		f.Kind, f.With.Code, f.Target.Service = fault.Error, word, given["service"]
		if !h.serves(given["service"]) {
			return f, lacking("parameters.service: %q is not served here; there are %s", given["service"], strings.Join(h.services, ", "))
		}
		if len(operationsOf(given)) == 0 || len(operationsOf(given)) > operationsMax {
			return f, fmt.Errorf("parameters.operations: from 1 to %d are named, with commas between", operationsMax)
		}
		f.Dose, err = share(given, "percentage")
		return f, err
	}
}

// operationsMax bounds the faults that one action makes of one function.
const operationsMax = 10

// operationsOf returns the operations that an action names.
func operationsOf(given map[string]string) (names []string) {
	for name := range strings.SplitSeq(given["operations"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
