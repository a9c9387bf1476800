package sqs

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/queue"
)

// Names of attributes of queues whose values are kept as they were given.
const (
	policy             = "Policy"
	redrivePolicy      = "RedrivePolicy"
	redriveAllowPolicy = "RedriveAllowPolicy"
	managedSSE         = "SqsManagedSseEnabled"
)

// numeric are the attributes that are numbers, with their least, their most
// and their default (Amazon SQS API Reference, SetQueueAttributes).
var numeric = map[string]struct{ least, most, unset int }{
	"DelaySeconds":                  {0, 900, 0},
	"MaximumMessageSize":            {1024, queue.MessageBytesMax, queue.MessageBytesMax},
	"MessageRetentionPeriod":        {60, 1209600, 345600},
	"ReceiveMessageWaitTimeSeconds": {0, 20, 0},
	"VisibilityTimeout":             {0, 43200, 30},
}

// flags are the attributes that are true or false, in any case.
var flags = []string{"FifoQueue", "ContentBasedDeduplication", managedSSE}

// lowered returns attributes with flags in lower case, as they are told.
func lowered(attributes map[string]string) map[string]string {
	attributes = maps.Clone(attributes)
	for _, name := range flags {
		if v, ok := attributes[name]; ok {
			attributes[name] = strings.ToLower(v)
		}
	}
	return attributes
}

// defaultHide is the visibility time-out of a queue for which none is given.
const defaultHide = 30 * time.Second

// told are the attributes that are told and cannot be set.
var told = []string{"QueueArn", "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed", "CreatedTimestamp", "LastModifiedTimestamp"}

// fifoOnly are the attributes that a standard queue does not have.
var fifoOnly = []string{"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}

// Settings returns what is configured of a new queue by its attributes, as
// CreateQueue and AWS::SQS::Queue have them. What is wrong is a text for people.
func Settings(place catalog.Place, name string, attributes map[string]string) (queue.Settings, error) {
	s := queue.Settings{Hide: defaultHide, Labels: map[string]string{managedSSE: "true"}}
	if err := nameFault(name, attributes["FifoQueue"]); err != nil {
		return s, errors.New(err.message)
	}
	if fail := apply(&s, place, attributes, true); fail != nil {
		return s, errors.New(fail.message)
	}
	return s, nil
}

// nameRune says whether names and IDs may have a character.
func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// nameFault says what is wrong with a new queue's name.
func nameFault(name, fifo string) *failure {
	base, isFIFO := strings.CutSuffix(name, ".fifo")
	bad := strings.IndexFunc(base, func(r rune) bool { return !nameRune(r) })
	switch {
	case base == "" || len(name) > 80 || bad >= 0, isFIFO && fifo != "true":
		return fault(invalidParameter, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	case fifo == "true" && !isFIFO:
		return fault(invalidParameter, "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
	}
	return nil
}

// apply changes settings as attributes say; created says that the queue is new.
func apply(s *queue.Settings, place catalog.Place, attributes map[string]string, created bool) *failure {
	if v, ok := attributes["FifoQueue"]; ok {
		is, fail := boolean("FifoQueue", v)
		switch {
		case fail != nil:
			return fail
		case created && !is, !created && !s.FIFO: // a standard queue says so by saying nothing
			return fault(invalidName, "Unknown Attribute FifoQueue.")
		case !created && is != s.FIFO:
			return fault(invalidValue, "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
		}
		s.FIFO = is
	}
	for _, name := range sorted(attributes) {
		if name == "FifoQueue" {
			continue
		}
		if fail := set(s, place, name, attributes[name]); fail != nil {
			return fail
		}
	}
	if s.Labels["FifoThroughputLimit"] == "perMessageGroupId" && !s.OncePerGroup {
		return fault(invalidValue, "Invalid value for the parameter FifoThroughputLimit. Reason: perMessageGroupId is allowed only when the value for DeduplicationScope is messageGroup.")
	}
	return nil
}

func set(s *queue.Settings, place catalog.Place, name, value string) *failure {
	if !s.FIFO && slices.Contains(fifoOnly, name) {
		if name == "DeduplicationScope" || name == "FifoThroughputLimit" {
			return fault(invalidName, "You can specify the "+name+" only when FifoQueue is set to true.")
		}
		return fault(invalidName, "Unknown Attribute "+name+".")
	}
	if n, ok := numeric[name]; ok {
		v, err := strconv.Atoi(value)
		if err != nil || v < n.least || v > n.most {
			return fault(invalidValue, "Invalid value for the parameter "+name+".")
		}
		setNumber(s, name, v)
		return nil
	}
	switch name {
	case "ContentBasedDeduplication":
		is, fail := boolean(name, value)
		s.OnceByBody = is
		return fail
	case "DeduplicationScope":
		s.OncePerGroup = value == "messageGroup"
		return keepOne(s, name, value, "queue", "messageGroup")
	case "FifoThroughputLimit":
		return keepOne(s, name, value, "perQueue", "perMessageGroupId")
	case managedSSE:
		return keepOne(s, name, value, "true", "false")
	case policy:
		if value != "" && !json.Valid([]byte(value)) {
			return fault(invalidValue, "Invalid value for the parameter Policy.")
		}
		keep(s, name, value)
	case redrivePolicy:
		d, fail := deadLetter(place, value)
		if fail != nil {
			return fail
		}
		s.DeadLetter = d
		keep(s, name, value)
	case redriveAllowPolicy:
		a, fail := allow(place, value)
		if fail != nil {
			return fail
		}
		s.Allow = a
		keep(s, name, value)
	case "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds":
		if value != "" {
			return fault(unsupported, "The attribute "+name+" is not supported here: messages are not encrypted with a key of KMS.")
		}
	default:
		return fault(invalidName, "Unknown Attribute "+name+".")
	}
	return nil
}

func setNumber(s *queue.Settings, name string, v int) {
	switch d := time.Duration(v) * time.Second; name {
	case "DelaySeconds":
		s.Delay = d
	case "MaximumMessageSize":
		s.BytesMax = v
	case "MessageRetentionPeriod":
		s.Keep = d
	case "ReceiveMessageWaitTimeSeconds":
		s.Wait = d
	case "VisibilityTimeout":
		s.Hide = d
	}
}

// keep has a text told as it was given; "" has it forgotten.
func keep(s *queue.Settings, name, value string) {
	if s.Labels = maps.Clone(s.Labels); s.Labels == nil {
		s.Labels = map[string]string{}
	}
	if s.Labels[name] = value; value == "" {
		delete(s.Labels, name)
	}
}

func keepOne(s *queue.Settings, name, value string, values ...string) *failure {
	if !slices.Contains(values, value) {
		return fault(invalidValue, "Invalid value for the parameter "+name+".")
	}
	keep(s, name, value)
	return nil
}

func boolean(name, value string) (bool, *failure) {
	if value != "true" && value != "false" {
		return false, fault(invalidValue, "Invalid value for the parameter "+name+".")
	}
	return value == "true", nil
}

// deadLetter reads a redrive policy. Both a number and a text are taken for the count.
func deadLetter(place catalog.Place, value string) (*queue.DeadLetter, *failure) {
	if value == "" {
		return nil, nil
	}
	bad := func(reason string) (*queue.DeadLetter, *failure) { return nil, badValue(value, redrivePolicy, reason) }
	var p struct {
		Target *string         `json:"deadLetterTargetArn"`
		Count  json.RawMessage `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return bad("Redrive policy is not a valid JSON map.")
	}
	if p.Target == nil {
		return bad("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
	}
	if p.Count == nil {
		return bad("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
	}
	n, err := strconv.Atoi(strings.Trim(string(p.Count), `"`))
	if err != nil || n < 1 || n > 1000 {
		return bad("Invalid value for maxReceiveCount: " + strings.Trim(string(p.Count), `"`) + ", valid values are from 1 to 1000 both inclusive.")
	}
	name, ok := Name(place, *p.Target)
	if !ok {
		return bad("Dead letter target does not exist.")
	}
	return &queue.DeadLetter{Queue: name, After: n}, nil
}

// allow reads a redrive allow policy.
func allow(place catalog.Place, value string) (*queue.Allow, *failure) {
	if value == "" {
		return nil, nil
	}
	bad := func(reason string) (*queue.Allow, *failure) { return nil, badValue(value, redriveAllowPolicy, reason) }
	var p struct {
		Permission string   `json:"redrivePermission"`
		Sources    []string `json:"sourceQueueArns"`
	}
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return bad("Redrive allow policy is not a valid JSON map.")
	}
	switch {
	case !slices.Contains([]string{"allowAll", "denyAll", "byQueue"}, p.Permission):
		return bad("redrivePermission must be one of allowAll, denyAll, byQueue.")
	case p.Permission != "byQueue" && len(p.Sources) > 0:
		return bad("sourceQueueArns can only be specified when redrivePermission is byQueue.")
	case p.Permission == "byQueue" && (len(p.Sources) == 0 || len(p.Sources) > 10):
		return bad("sourceQueueArns must have from 1 to 10 ARNs when redrivePermission is byQueue.")
	case p.Permission == "allowAll":
		return nil, nil
	case p.Permission == "denyAll":
		return &queue.Allow{None: true}, nil
	}
	a := &queue.Allow{}
	for _, arn := range p.Sources {
		if name, ok := Name(place, arn); ok { // one elsewhere has no dead letters for here
			a.Queues = append(a.Queues, name)
		}
	}
	return a, nil
}

// attributesOf returns what is told of a queue.
func (d *Door) attributesOf(is *queue.Queue, a queue.Account) texts {
	keep, most := is.Keep, is.BytesMax
	if keep == 0 {
		keep = 345600 * time.Second
	}
	if most == 0 {
		most = queue.MessageBytesMax
	}
	all := texts{
		"QueueArn": ARN(d.place, is.Name), "CreatedTimestamp": fmt.Sprint(is.Created.Unix()), "LastModifiedTimestamp": fmt.Sprint(is.Changed.Unix()),
		"DelaySeconds": seconds(is.Delay), "MessageRetentionPeriod": seconds(keep), "ReceiveMessageWaitTimeSeconds": seconds(is.Wait),
		"VisibilityTimeout": seconds(is.Hide), "MaximumMessageSize": strconv.Itoa(most),
		"ApproximateNumberOfMessages": fmt.Sprint(a.Visible), "ApproximateNumberOfMessagesNotVisible": fmt.Sprint(a.InFlight), "ApproximateNumberOfMessagesDelayed": fmt.Sprint(a.Delayed),
	}
	maps.Copy(all, is.Labels)
	if is.FIFO {
		all["FifoQueue"], all["ContentBasedDeduplication"] = "true", strconv.FormatBool(is.OnceByBody)
		for name, value := range map[string]string{"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"} {
			if all[name] == "" {
				all[name] = value
			}
		}
	}
	return all
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// settingFault is what the noun says against settings.
func settingFault(err error, value string) *failure {
	switch {
	case errors.Is(err, queue.ErrNoDeadLetter):
		return badValue(value, redrivePolicy, "Dead letter target does not exist.")
	case errors.Is(err, queue.ErrDeadLetterKind):
		return badValue(value, redrivePolicy, "Dead-letter queue must be same type of queue as the source.")
	case errors.Is(err, queue.ErrNotAllowed):
		return badValue(value, redrivePolicy, "Dead letter target does not allow this queue to use it as a dead letter queue.")
	}
	return failureOf(err)
}
