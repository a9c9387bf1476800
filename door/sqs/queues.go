package sqs

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/queue"
)

const (
	resultsMax = 1000 // queues in one answer
	tagsMax    = 50
)

type queueURL struct {
	QueueURL string `json:"QueueUrl" xml:"QueueUrl"`
}

func (d *Door) createQueue(c *call) (any, *failure) {
	name := c.in.QueueName
	if name == "" {
		return nil, missing("QueueName")
	}
	c.in.Attributes = lowered(c.in.Attributes)
	if fail := nameFault(name, c.in.Attributes["FifoQueue"]); fail != nil {
		return nil, fail
	}
	for range 2 { // somebody else may make it meanwhile
		if is := d.queues.Queue(name); is != nil {
			if fail := d.agree(is, c.in.Attributes); fail != nil {
				return nil, fail
			}
			return queueURL{d.url(c, name)}, nil
		}
		s := queue.Settings{Hide: defaultHide, Labels: map[string]string{managedSSE: "true"}}
		if fail := apply(&s, d.place, c.in.Attributes, true); fail != nil {
			return nil, fail
		}
		s.Tags = c.in.Tags
		maps.Copy(tagged(&s), c.in.LowerTags)
		if len(s.Tags) > tagsMax {
			return nil, fault(invalidParameter, "Too many tags added for queue "+name+".")
		}
		_, err := d.queues.Create(c.ctx, name, s)
		if err == nil {
			return queueURL{d.url(c, name)}, nil
		}
		if daruma.KindOf(err) != daruma.KindExists {
			return nil, settingFault(err, c.in.Attributes[redrivePolicy])
		}
	}
	return nil, fault(serviceUnavailable, "The queue is being changed; try again.")
}

// agree says which given attribute is not that of a queue that exists.
func (d *Door) agree(is *queue.Queue, attributes map[string]string) *failure {
	has := d.attributesOf(is, queue.Account{})
	for _, name := range sorted(attributes) {
		if slices.Contains(told, name) {
			return fault(invalidName, "Unknown Attribute "+name+".")
		}
		if has[name] != attributes[name] {
			return fault(queueNameExists, "A queue already exists with the same name and a different value for attribute "+name)
		}
	}
	return nil
}

func (d *Door) deleteQueue(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	_, err := d.queues.Remove(c.ctx, is.Name)
	return nil, failureOf(err)
}

func (d *Door) purgeQueue(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	_, err := d.queues.Purge(c.ctx, is.Name)
	if errors.Is(err, queue.ErrPurged) {
		return nil, fault(purgeInProgress, "Only one PurgeQueue operation on "+is.Name+" is allowed every 60 seconds.")
	}
	return nil, failureOf(err)
}

func (d *Door) getQueueURL(c *call) (any, *failure) {
	name := c.in.QueueName
	switch {
	case name == "":
		return nil, missing("QueueName")
	case c.in.QueueOwnerAWSAccountID != "" && c.in.QueueOwnerAWSAccountID != d.place.Account, d.queues.Queue(name) == nil:
		return nil, noQueue()
	}
	return queueURL{d.url(c, name)}, nil
}

type queueURLs struct {
	QueueURLs []string `json:"QueueUrls,omitempty" xml:"QueueUrl"`
	NextToken string   `json:"NextToken,omitempty" xml:"NextToken,omitempty"`
}

// lowerURLs is the same with the key that ListDeadLetterSourceQueues has.
type lowerURLs struct {
	QueueURLs []string `json:"queueUrls" xml:"QueueUrl"`
	NextToken string   `json:"NextToken,omitempty" xml:"NextToken,omitempty"`
}

func (d *Door) listQueues(c *call) (any, *failure) {
	all := d.queues.All()
	all = slices.DeleteFunc(all, func(q *queue.Queue) bool { return !strings.HasPrefix(q.Name, c.in.QueueNamePrefix) })
	out, next, fail := d.page(c, all)
	return queueURLs{out, next}, fail
}

func (d *Door) listDeadLetterSourceQueues(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	out, next, fail := d.page(c, d.queues.DeadLetterSources(is.Name))
	if out == nil {
		out = []string{}
	}
	return lowerURLs{out, next}, fail
}

// page returns the URLs of a page of queues. A token is given only to who
// asked for a number, and is the name of the last queue.
func (d *Door) page(c *call, all []*queue.Queue) (urls []string, next string, fail *failure) {
	most := resultsMax
	if n := c.in.MaxResults; n != nil {
		if most = *n; most < 1 || most > resultsMax {
			return nil, "", badValue(most, "MaxResults", "Must be between 1 and 1000, if provided.")
		}
	}
	after := ""
	if c.in.NextToken != "" {
		raw, err := base64.URLEncoding.DecodeString(c.in.NextToken)
		if err != nil || c.in.MaxResults == nil {
			return nil, "", badValue(c.in.NextToken, "NextToken", "It is none of this list's.")
		}
		after = string(raw)
	}
	for _, q := range all {
		switch {
		case after != "" && q.Name <= after:
		case len(urls) < most:
			urls, after = append(urls, d.url(c, q.Name)), ""
			next = q.Name
		case c.in.MaxResults != nil:
			return urls, base64.URLEncoding.EncodeToString([]byte(next)), nil
		default:
			return urls, "", nil
		}
	}
	return urls, "", nil
}

type queueAttributes struct {
	Attributes texts `json:"Attributes,omitempty" xml:"Attribute"`
}

func (d *Door) getQueueAttributes(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	a, err := d.queues.Account(c.ctx, is.Name)
	if err != nil {
		return nil, failureOf(err)
	}
	all := d.attributesOf(is, a)
	if slices.Contains(c.in.AttributeNames, "All") {
		return queueAttributes{all}, nil
	}
	asked := texts{}
	for _, name := range c.in.AttributeNames {
		if v, ok := all[name]; ok {
			asked[name] = v
		} else if !known(name) {
			return nil, fault(invalidName, "Unknown Attribute "+name+".")
		}
	}
	return queueAttributes{asked}, nil
}

// known says whether queues have such an attribute.
func known(name string) bool {
	_, number := numeric[name]
	return number || slices.Contains(told, name) || slices.Contains(fifoOnly, name) ||
		slices.Contains([]string{policy, redrivePolicy, redriveAllowPolicy, managedSSE, "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"}, name)
}

func (d *Door) setQueueAttributes(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	if len(c.in.Attributes) == 0 {
		return nil, missing("Attributes")
	}
	c.in.Attributes = lowered(c.in.Attributes)
	return nil, d.change(c, is.Name, c.in.Attributes[redrivePolicy], func(s *queue.Settings) *failure {
		return apply(s, d.place, c.in.Attributes, false)
	})
}

// errFailed has a change given up for the failure that f returned.
var errFailed = errors.New("the change is refused")

func (d *Door) change(c *call, name, redrive string, f func(*queue.Settings) *failure) (fail *failure) {
	_, err := d.queues.Change(c.ctx, name, func(s *queue.Settings) error {
		if fail = f(s); fail != nil {
			return errFailed
		}
		return nil
	})
	if fail != nil {
		return fail
	}
	return settingFault(err, redrive)
}

// tagged returns the tags of settings, to be changed.
func tagged(s *queue.Settings) map[string]string {
	if s.Tags = maps.Clone(s.Tags); s.Tags == nil {
		s.Tags = map[string]string{}
	}
	return s.Tags
}

func (d *Door) tagQueue(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	if len(c.in.Tags) == 0 {
		return nil, missing("Tags")
	}
	return nil, d.change(c, is.Name, "", func(s *queue.Settings) *failure {
		maps.Copy(tagged(s), c.in.Tags)
		if len(s.Tags) > tagsMax {
			return fault(invalidParameter, "Too many tags added for queue "+is.Name+".")
		}
		return nil
	})
}

func (d *Door) untagQueue(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	if len(c.in.TagKeys) == 0 {
		return nil, missing("TagKeys")
	}
	return nil, d.change(c, is.Name, "", func(s *queue.Settings) *failure {
		for _, k := range c.in.TagKeys {
			delete(tagged(s), k)
		}
		return nil
	})
}

type queueTags struct {
	Tags tags `json:"Tags,omitempty" xml:"Tag"`
}

func (d *Door) listQueueTags(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	return queueTags{is.Tags}, nil
}

// number reads an optional number within bounds.
func number(n *int, name string, least, most, unset int) (int, *failure) {
	if n == nil {
		return unset, nil
	}
	if *n < least || *n > most {
		if name == "MaxNumberOfMessages" {
			return 0, badValue(*n, name, "Must be between "+strconv.Itoa(least)+" and "+strconv.Itoa(most)+", if provided.")
		}
		return 0, badValue(*n, name, "Must be >= "+strconv.Itoa(least)+" and <= "+strconv.Itoa(most)+", if provided.")
	}
	return *n, nil
}
