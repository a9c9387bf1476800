package wire

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Words for what a service may answer, whatever it calls it.
const (
	Throttled       = "throttled"
	Internal        = "internal"
	Denied          = "denied"
	ConditionFailed = "condition-failed"
	Unavailable     = "unavailable"
)

// A shape is how a service says one of these words.
type shape struct {
	status  int
	code    string
	query   string // in the query protocol, where it is another
	message string
}

const (
	coral     = "com.amazon.coral.service#"
	tables    = "com.amazonaws.dynamodb.v20120810#"
	queues    = "com.amazonaws.sqs#"
	rateText  = "Rate exceeded"
	brokeText = "The request processing has failed because of an unknown error, exception or failure."
	downText  = "Service is unable to handle request."
)

// shapes has what each service says differently from the others, by service
// and word (the errors of each service's API reference).
var shapes = map[string]map[string]shape{
	"dynamodb": {
		Throttled:       {400, tables + "ProvisionedThroughputExceededException", "", "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API."},
		Internal:        {500, tables + "InternalServerError", "", "Internal server error"},
		Denied:          {400, coral + "AccessDeniedException", "", ""},
		ConditionFailed: {400, tables + "ConditionalCheckFailedException", "", "The conditional request failed"},
		Unavailable:     {503, coral + "ServiceUnavailableException", "", downText},
	},
	"sqs": {
		Throttled:   {403, queues + "RequestThrottled", "RequestThrottled", rateText},
		Internal:    {500, coral + "InternalFailure", "InternalFailure", brokeText},
		Denied:      {403, coral + "AccessDeniedException", "AccessDenied", ""},
		Unavailable: {503, coral + "ServiceUnavailableException", "ServiceUnavailable", downText},
	},
	"sns": {
		Throttled:   {429, "Throttled", "", rateText},
		Internal:    {500, "InternalError", "", "Internal error"},
		Denied:      {403, "AuthorizationError", "", ""},
		Unavailable: {503, "ServiceUnavailable", "", downText},
	},
	"lambda": {
		Throttled:   {429, "TooManyRequestsException", "", "Rate Exceeded."},
		Internal:    {500, "ServiceException", "", "An error occurred and the request cannot be processed."},
		Denied:      {403, "AccessDeniedException", "", ""},
		Unavailable: {503, "ServiceUnavailableException", "", downText},
	},
	"": {
		Throttled:   {400, "ThrottlingException", "Throttling", rateText},
		Internal:    {500, "InternalFailure", "InternalFailure", brokeText},
		Denied:      {400, "AccessDeniedException", "AccessDenied", ""},
		Unavailable: {503, "ServiceUnavailable", "", downText},
	},
}

// Says reports whether a service may answer with a word. Every service may
// answer with a code of its own, which is no word.
func Says(service, word string) bool {
	if word != ConditionFailed {
		return true
	}
	_, ok := shapes[service][word]
	return ok
}

// Spoil answers r with an error in its service's place. code is one of the
// words above, or a code of the service's own. With a message of "" the
// service's own words are used, with a status of 0 the status that goes with
// the code.
func Spoil(w http.ResponseWriter, r *Request, code, message string, status int) {
	s, ok := shapes[r.Service][code]
	if !ok {
		s, ok = shapes[""][code]
	}
	if !ok {
		s = shape{status: 400, code: code, message: "The request was refused."}
		if strings.Contains(code, "Internal") || strings.HasPrefix(code, "Service") {
			s.status = 500
		}
		if space := map[string]string{"dynamodb": tables, "sqs": queues}[r.Service]; space != "" && !strings.Contains(code, "#") {
			s.code, s.query = space+code, code
		}
	}
	if s.message == "" {
		s.message = "User: " + r.Caller.ARN + " is not authorized to perform: " + r.Service + ":" + Operation(r) + " because no identity-based policy allows the " + r.Service + ":" + Operation(r) + " action"
	}
	e := &Error{Status: cmp.Or(status, s.status), Code: s.code, Query: s.query, Message: cmp.Or(message, s.message)}
	if r.Service == "lambda" {
		e.MessageKey = "message"
		if s.code == "TooManyRequestsException" {
			e.Members = [][2]string{{"Reason", "ConcurrentInvocationLimitExceeded"}, {"Type", "User"}}
		}
	}
	Refuse(w, r, e)
}

// Operation names what a request asks for, as the service calls it.
func Operation(r *Request) string {
	op := operation(r)
	if r.Service == "lambda" && r.HTTP.Method == http.MethodPost && (strings.HasSuffix(r.Path, "/invocations") || strings.HasSuffix(r.Path, "/response-streaming-invocations")) {
		return "Invoke"
	}
	return op
}

// named are the members of requests that name what is asked about, by a name,
// a URL or an ARN.
var named = []string{"TableName", "QueueUrl", "QueueName", "TopicArn", "TargetArn", "FunctionName", "StreamName", "StreamARN", "SecretId", "Name"}

// Resources returns the names of what a request asks about: tables, queues,
// topics, functions; the last part of a URL or an ARN.
func Resources(r *Request) []string {
	var found []string
	add := func(s string) {
		s = s[strings.LastIndexAny(s, "/:")+1:]
		if s != "" && !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	if strings.HasPrefix(r.Path, "/2015-03-31/functions/") {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/2015-03-31/functions/"), "/")
		if raw, err := url.PathUnescape(name); err == nil {
			name = raw
		}
		if strings.HasPrefix(name, "arn:") {
			if _, rest, ok := strings.Cut(name, ":function:"); ok {
				name = rest
			}
		}
		name, _, _ = strings.Cut(name, ":")
		add(name)
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(r.Body, &body) != nil {
		params := form(r)
		for _, name := range named {
			add(params.Get(name))
		}
		return found
	}
	for _, name := range named {
		var text string
		if json.Unmarshal(body[name], &text) == nil {
			add(text)
		}
	}
	var of map[string]json.RawMessage // of a batch, by table
	if json.Unmarshal(body["RequestItems"], &of) == nil {
		for name := range of {
			add(name)
		}
	}
	var steps []map[string]struct{ TableName string } // of a transaction
	if json.Unmarshal(body["TransactItems"], &steps) == nil {
		for _, step := range steps {
			for _, one := range step {
				add(one.TableName)
			}
		}
	}
	return found
}
