package template

import (
	"encoding/json"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

const (
	sqsQueue  = "AWS::SQS::Queue"
	sqsPolicy = "AWS::SQS::QueuePolicy"
)

// A Queue is a queue that should exist. Its attributes are texts, as the
// service's API has them; who makes the queue checks what they say.
type Queue struct {
	LogicalID  string
	Name       string
	Attributes map[string]string
	Tags       map[string]string
	Retain     bool // it stays, with its messages, when the template says nothing of it any more
	Position   string
}

// queueNumbers are the attributes that are numbers, with their least and their most.
var queueNumbers = []struct {
	name        string
	least, most int
}{{"DelaySeconds", 0, 900}, {"MaximumMessageSize", 1024, 1 << 20}, {"MessageRetentionPeriod", 60, 1209600}, {"ReceiveMessageWaitTimeSeconds", 0, 20}, {"VisibilityTimeout", 0, 43200}}

// queue reads an AWS::SQS::Queue.
func (l *loader) queue(r *resource) {
	p := l.properties(r)
	name := l.physicalName(r, r.at)
	p.text("QueueName")
	q := Queue{LogicalID: r.id, Attributes: map[string]string{}, Position: r.at.String(), Retain: l.retained(r)}
	for _, n := range queueNumbers {
		if v := p.integer(n.name, n.least, n.most, -1); v >= 0 {
			q.Attributes[n.name] = p.value(n.name).Text
		}
	}
	for _, name := range []string{"FifoQueue", "ContentBasedDeduplication", "SqsManagedSseEnabled"} {
		if p.given(name) {
			is := p.boolean(name)
			if is || name == "SqsManagedSseEnabled" {
				q.Attributes[name] = map[bool]string{true: "true", false: "false"}[is]
			}
		}
	}
	for name, of := range map[string][]string{"DeduplicationScope": {"messageGroup", "queue"}, "FifoThroughputLimit": {"perQueue", "perMessageGroupId"}} {
		if v := p.one(name, of...); v != "" {
			q.Attributes[name] = v
		}
	}
	for _, name := range []string{"RedrivePolicy", "RedriveAllowPolicy"} {
		if text := l.jsonProperty(p, name); text != "" {
			q.Attributes[name] = text
		}
	}
	q.Tags = l.tagList(p)
	p.unkeep("KmsMasterKeyId", encryption)
	p.accept("KmsDataKeyReusePeriodSeconds")
	p.done()
	if name == nil || name.Kind == tree.Broken {
		return
	}
	q.Name = name.Text
	if q.Attributes["FifoQueue"] != "true" {
		for _, only := range []string{"ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"} {
			if q.Attributes[only] != "" {
				p.fault(only, p.at(only), "Unknown Attribute "+only+".", "only a queue with FifoQueue: true has it")
			}
		}
		if strings.HasSuffix(q.Name, ".fifo") {
			p.fault("QueueName", p.at("QueueName"), "a name that ends in .fifo is that of a FIFO queue", "add FifoQueue: true")
		}
	} else if !strings.HasSuffix(q.Name, ".fifo") {
		p.fault("QueueName", p.at("QueueName"), "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.", "")
	}
	for _, o := range l.app.Queues {
		if o.Name == q.Name {
			p.fault("QueueName", p.at("QueueName"), "the queue "+q.Name+" exists already", "the other is "+o.LogicalID)
			return
		}
	}
	l.app.Queues = append(l.app.Queues, q)
}

// retained says whether a resource outlives its place in the template.
func (l *loader) retained(r *resource) bool {
	d := r.node.Get("DeletionPolicy")
	if d == nil {
		return false
	}
	v := l.scope.Eval(d)
	return v != nil && (v.Text == "Retain" || v.Text == "RetainExceptOnCreate")
}

// queuePolicy reads an AWS::SQS::QueuePolicy: the policy of the queues it names.
func (l *loader) queuePolicy(r *resource) {
	p := l.properties(r)
	l.unkeep(enforcement, r.at)
	p.require("PolicyDocument", "Queues")
	doc := p.value("PolicyDocument")
	named := p.list("Queues")
	p.done()
	if doc == nil {
		return
	}
	text, err := json.Marshal(doc.Value())
	if err != nil || doc.Kind != tree.Map {
		p.fault("PolicyDocument", doc.Pos, "property 'PolicyDocument' must be a policy", "")
		return
	}
	for _, n := range named {
		for i := range l.app.Queues {
			if q := &l.app.Queues[i]; n.IsScalar() && strings.HasSuffix(n.Text, "/"+q.Name) {
				q.Attributes["Policy"] = string(text)
			}
		}
	}
}

// queueARN returns the ARN of a queue of this template, and false for any other.
func (l *loader) queueARN(arn string) bool {
	for _, r := range l.order {
		if r.typ != sqsQueue || !r.exists {
			continue
		}
		if name := l.physicalName(r, r.at); name != nil && l.arn("sqs", name.Text) == arn {
			return true
		}
	}
	return false
}

// queueURL is the URL of a queue on AWS, which leads here from inside of functions.
func (l *loader) queueURL(name string) string {
	return "https://sqs." + l.app.Place.Region + "." + l.scope.Parameters["AWS::URLSuffix"].Text + "/" + l.app.Place.Account + "/" + name
}

// generateQueue adds the queue that SAM makes for a destination without an ARN, and returns its ARN.
func (l *loader) generateQueue(id, position string) string {
	name := l.physical(id)
	l.app.Queues = append(l.app.Queues, Queue{LogicalID: id, Name: name, Attributes: map[string]string{}, Position: position})
	return l.arn("sqs", name)
}
