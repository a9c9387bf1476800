package sns

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/topic"
)

var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// defaults are the attributes every topic has.
var defaults = map[string]string{"DisplayName": ""}

// fifoDefaults are those every FIFO topic has beside them.
var fifoDefaults = map[string]string{"ContentBasedDeduplication": "false"}

// TopicOf returns the topic that a name and attributes of the API describe.
// What is wrong is told as the API tells it.
func TopicOf(name string, attributes map[string]string) (topic.Topic, error) {
	t := topic.Topic{Name: name, FIFO: attributes["FifoTopic"] == "true", Labels: maps.Clone(defaults)}
	plain, isFIFO := strings.CutSuffix(name, ".fifo")
	if !topicName.MatchString(plain) || len(name) > 256 || t.FIFO != isFIFO {
		return t, invalidParameter("Topic Name")
	}
	if t.FIFO {
		maps.Copy(t.Labels, fifoDefaults)
	}
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		if err := setAttribute(&t, k, attributes[k], true); err != nil {
			err.Message = strings.Replace(err.Message, "Invalid parameter: ", "Invalid parameter: Attributes Reason: ", 1)
			return t, err
		}
	}
	if !t.FIFO {
		delete(t.Labels, "FifoTopic")
	}
	return t, nil
}

// setAttribute gives a topic an attribute of the API.
func setAttribute(t *topic.Topic, name, value string, creating bool) *wire.Error {
	flag := func(to *bool) *wire.Error {
		if value != "true" && value != "false" {
			return invalidParameter(name + ": Invalid value [" + value + "]. Must be true or false.")
		}
		if *to = value == "true"; *to && !t.FIFO {
			return invalidParameter(name + ": Invalid value [true]. Only FIFO topics have it.")
		}
		return nil
	}
	var err *wire.Error
	switch name {
	case "FifoTopic":
		if !creating {
			return invalidParameter("AttributeName")
		}
		var is bool
		err = flag(&is)
	case "ContentBasedDeduplication":
		err = flag(&t.OnceByBody)
	case "FifoThroughputScope":
		if value != "Topic" && value != "MessageGroup" || !t.FIFO {
			return invalidParameter(name + ": Invalid value [" + value + "]. Must be Topic or MessageGroup, of a FIFO topic.")
		}
		t.OncePerGroup = value == "MessageGroup"
	case "SignatureVersion":
		if value != "1" && value != "2" {
			return invalidParameter("SignatureVersion: Invalid value [" + value + "]. Must be 1 or 2.")
		}
		t.Signature, _ = strconv.Atoi(value)
	case "DeliveryPolicy":
		t.Retry, t.OnlyRetry = nil, false
		if value != "" {
			t.Retry, t.OnlyRetry, err = topicPolicy(value)
		}
	case "Policy":
		if value != "" && !json.Valid([]byte(value)) {
			return invalidParameter("Policy Error: null")
		}
	case "DisplayName":
		if len([]rune(value)) > 100 {
			return invalidParameter("DisplayName")
		}
	case "KmsMasterKeyId", "TracingConfig":
	case "ArchivePolicy":
		t.Keep, err = archivePolicy(t, value)
		return err // what the topic keeps is what is shown
	default:
		if strings.HasSuffix(name, "FeedbackRoleArn") || strings.HasSuffix(name, "FeedbackSampleRate") {
			return unsupported(name + " is not supported here: the status of deliveries is in the ledger and in the topic's account")
		}
		return invalidParameter("AttributeName")
	}
	if err != nil {
		return err
	}
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	if t.Labels[name] = value; value == "" && name != "DisplayName" {
		delete(t.Labels, name)
	}
	return nil
}

func (c *call) tags() (map[string]string, *wire.Error) {
	tags := map[string]string{}
	n := 0
	for i := 1; ; i++ {
		at := "Tags.member." + strconv.Itoa(i) + "."
		if !c.form.Has(at + "Key") {
			break
		}
		tags[c.form.Get(at+"Key")] = c.form.Get(at + "Value")
		n++
	}
	return tags, checkTags(tags, n)
}

func checkTags(tags map[string]string, given int) *wire.Error {
	if len(tags) != given {
		return invalidParameter("Duplicated keys are not allowed.")
	}
	for k, v := range tags {
		if k == "" || len([]rune(k)) > 128 || len([]rune(v)) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalidParameter("Tags Reason: a key has 1 to 128 characters and does not begin with aws:, a value has up to 256")
		}
	}
	return nil
}

const tagsMax = 50

func tooManyTags() *wire.Error {
	return refusal(400, "TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
}

func (d *Door) createTopic(c *call) *wire.Error {
	attributes := c.pairs("Attributes.entry", "key", "value")
	t, failed := TopicOf(c.form.Get("Name"), attributes)
	if failed != nil {
		return fromError(failed)
	}
	var err *wire.Error
	if t.Tags, err = c.tags(); err != nil {
		return err
	}
	if len(t.Tags) > tagsMax {
		return tooManyTags()
	}
	if c.form.Get("DataProtectionPolicy") != "" {
		return unsupported("DataProtectionPolicy is not supported here")
	}
	if !t.FIFO {
		delete(attributes, "FifoTopic")
	}
	delete(attributes, "ArchivePolicy")
	is, failed := d.cfg.Topics.Create(c.HTTP.Context(), t, attributes)
	switch {
	case errors.Is(failed, topic.ErrTags):
		return invalidParameter("Tags Reason: Topic already exists with different tags")
	case errors.Is(failed, topic.ErrAttributes):
		return invalidParameter("Attributes Reason: Topic already exists with different attributes")
	case failed != nil:
		return fromError(failed)
	}
	c.result.element("TopicArn", topicARN(c.place, is.Name))
	return nil
}

func (d *Door) deleteTopic(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	return fromError(d.cfg.Topics.Remove(c.HTTP.Context(), name))
}

// page is a part of a list, and the token for the next part: what the last one of this is called.
func page[T any](c *call, all []T, name func(T) string) (part []T, next string) {
	if after := c.form.Get("NextToken"); after != "" {
		i, found := slices.BinarySearchFunc(all, after, func(t T, after string) int { return strings.Compare(name(t), after) })
		if found {
			i++
		}
		all = all[i:]
	}
	if len(all) > pageMax {
		return all[:pageMax], name(all[pageMax-1])
	}
	return all, ""
}

func (d *Door) listTopics(c *call) *wire.Error {
	part, next := page(c, d.cfg.Topics.All(), func(t *topic.Topic) string { return t.Name })
	c.result.WriteString("<Topics>")
	for _, t := range part {
		c.result.WriteString("<member>")
		c.result.element("TopicArn", topicARN(c.place, t.Name))
		c.result.WriteString("</member>")
	}
	c.result.WriteString("</Topics>")
	if next != "" {
		c.result.element("NextToken", next)
	}
	return nil
}

func (d *Door) getTopic(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	t, failed := d.cfg.Topics.Topic(name)
	if failed != nil {
		return fromError(failed)
	}
	all := maps.Clone(t.Labels)
	arn := topicARN(c.place, t.Name)
	all["TopicArn"], all["Owner"] = arn, c.place.Account
	if all["Policy"] == "" {
		all["Policy"] = policyDefault(c.place, arn)
	}
	all["EffectiveDeliveryPolicy"] = effective(t)
	confirmed, pending := 0, 0
	for _, s := range d.cfg.Topics.Subscriptions(name) {
		if s.Pending {
			pending++
		} else {
			confirmed++
		}
	}
	all["SubscriptionsConfirmed"], all["SubscriptionsPending"], all["SubscriptionsDeleted"] = strconv.Itoa(confirmed), strconv.Itoa(pending), "0"
	if t.FIFO {
		all["FifoTopic"] = "true"
	}
	d.showArchive(t, all)
	c.result.entries("Attributes", slices.Sorted(maps.Keys(all)), func(k string) string { return all[k] })
	return nil
}

func policyDefault(p catalog.Place, arn string) string {
	return fmt.Sprintf(`{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":%q,"Condition":{"StringEquals":{"AWS:SourceOwner":%q}}}]}`, arn, p.Account)
}

func (d *Door) setTopic(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	return d.change(c, name, func(t *topic.Topic) *wire.Error {
		return setAttribute(t, c.form.Get("AttributeName"), c.form.Get("AttributeValue"), false)
	})
}

// change changes a topic; what f refuses is the answer.
func (d *Door) change(c *call, name string, f func(*topic.Topic) *wire.Error) *wire.Error {
	var refused *wire.Error
	err := d.cfg.Topics.Change(c.HTTP.Context(), name, func(t *topic.Topic) error {
		if refused = f(t); refused != nil {
			return refused
		}
		return nil
	})
	if refused != nil {
		return refused
	}
	return fromError(err)
}

func noResource() *wire.Error {
	return refusal(404, "ResourceNotFound", "Resource does not exist")
}

func (d *Door) tag(c *call) *wire.Error {
	name, err := c.topic("ResourceArn")
	if err != nil {
		return err
	}
	tags, err := c.tags()
	if err != nil {
		return err
	}
	if _, failed := d.cfg.Topics.Topic(name); failed != nil {
		return noResource()
	}
	return d.change(c, name, func(t *topic.Topic) *wire.Error {
		if t.Tags == nil {
			t.Tags = map[string]string{}
		}
		maps.Copy(t.Tags, tags)
		if len(t.Tags) > tagsMax {
			return tooManyTags()
		}
		return nil
	})
}

func (d *Door) untag(c *call) *wire.Error {
	name, err := c.topic("ResourceArn")
	if err != nil {
		return err
	}
	if _, failed := d.cfg.Topics.Topic(name); failed != nil {
		return noResource()
	}
	return d.change(c, name, func(t *topic.Topic) *wire.Error {
		for _, k := range c.list("TagKeys") {
			delete(t.Tags, k)
		}
		return nil
	})
}

func (d *Door) listTags(c *call) *wire.Error {
	name, err := c.topic("ResourceArn")
	if err != nil {
		return err
	}
	t, failed := d.cfg.Topics.Topic(name)
	if failed != nil {
		return noResource()
	}
	c.result.WriteString("<Tags>")
	for _, k := range slices.Sorted(maps.Keys(t.Tags)) {
		c.result.WriteString("<member>")
		c.result.element("Key", k)
		c.result.element("Value", t.Tags[k])
		c.result.WriteString("</member>")
	}
	c.result.WriteString("</Tags>")
	return nil
}

// permitted are the actions a permission can be for.
var permitted = []string{"GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe", "ListSubscriptionsByTopic", "Publish", "Receive", "*"}

type statement = map[string]any

func (c *call) statements(t *topic.Topic) (policy map[string]any, all []any, _ *wire.Error) {
	text := t.Labels["Policy"]
	if text == "" {
		text = policyDefault(c.place, topicARN(c.place, t.Name))
	}
	if json.Unmarshal([]byte(text), &policy) != nil {
		return nil, nil, invalidParameter("Policy Error: null")
	}
	all, _ = policy["Statement"].([]any)
	return policy, all, nil
}

func labelled(label string) func(any) bool {
	return func(s any) bool {
		is, _ := s.(statement)
		return is["Sid"] == label
	}
}

// addPermission keeps a statement in the topic's policy, which is shown and not
// enforced: every key here is of the one account.
func (d *Door) addPermission(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	label, accounts, actions := c.form.Get("Label"), c.list("AWSAccountId"), c.list("ActionName")
	if label == "" || len(accounts) == 0 || len(actions) == 0 {
		return invalidParameter("Label, AWSAccountId and ActionName Reason: no value for required parameter")
	}
	return d.change(c, name, func(t *topic.Topic) *wire.Error {
		policy, all, err := c.statements(t)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, labelled(label)) {
			return invalidParameter("Statement already exists")
		}
		var can, who []string
		for _, a := range actions {
			if !slices.Contains(permitted, a) {
				return invalidParameter("Policy statement action out of service scope!")
			}
			can = append(can, "SNS:"+a)
		}
		for _, a := range accounts {
			who = append(who, "arn:aws:iam::"+a+":root")
		}
		policy["Statement"] = append(all, statement{"Sid": label, "Effect": "Allow", "Principal": map[string]any{"AWS": single(who)}, "Action": single(can), "Resource": topicARN(c.place, name)})
		t.Labels["Policy"] = string(plain(policy))
		return nil
	})
}

// single is a list as policies write it: one value without brackets.
func single(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

func (d *Door) removePermission(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	return d.change(c, name, func(t *topic.Topic) *wire.Error {
		policy, all, err := c.statements(t)
		if err != nil {
			return err
		}
		policy["Statement"] = slices.DeleteFunc(all, labelled(c.form.Get("Label")))
		t.Labels["Policy"] = string(plain(policy))
		return nil
	})
}
