package sns

import (
	"cmp"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/pattern"
	"github.com/daruma-io/daruma/topic"
)

// otherProtocols are those of SNS that nothing here speaks.
var otherProtocols = []string{"email", "email-json", "sms", "application", "firehose"}

// unset is what attributes are that nobody gave.
var unset = map[string]string{"RawMessageDelivery": "false", "FilterPolicyScope": string(pattern.Attributes)}

// SubscriptionOf returns the subscription of a topic that a protocol, an
// endpoint and attributes of the API describe, with an ID, and a token when it
// has to be confirmed. What is wrong is told as the API tells it.
func SubscriptionOf(p catalog.Place, t *topic.Topic, protocol, endpoint string, attributes map[string]string) (topic.Subscription, error) {
	s := topic.Subscription{ID: daruma.NewID(), Topic: t.Name, Protocol: protocol, Labels: maps.Clone(unset)}
	if err := setEndpoint(p, t, &s, endpoint); err != nil {
		return s, err
	}
	// The scope decides how a policy is read, whatever their order.
	for _, k := range slices.SortedFunc(maps.Keys(attributes), func(a, b string) int {
		return cmp.Or(-strings.Compare(strconv.FormatBool(a == "FilterPolicyScope"), strconv.FormatBool(b == "FilterPolicyScope")), strings.Compare(a, b))
	}) {
		if err := setSubscriptionAttribute(p, t, &s, k, attributes[k]); err != nil {
			err.Message = strings.Replace(err.Message, "Invalid parameter: ", "Invalid parameter: Attributes Reason: ", 1)
			return s, err
		}
	}
	return s, nil
}

// setEndpoint reads a protocol and an endpoint.
func setEndpoint(p catalog.Place, t *topic.Topic, s *topic.Subscription, endpoint string) *wire.Error {
	s.Endpoint.ARN = endpoint
	switch protocol := s.Protocol; protocol {
	case "sqs":
		if !strings.HasPrefix(endpoint, "arn:") {
			return invalidParameter("SQS endpoint ARN")
		}
		name, ok := queueName(p, endpoint)
		if !ok {
			return invalidParameter("SQS endpoint ARN Reason: " + endpoint + " is no queue of this account and region")
		}
		if !t.FIFO && strings.HasSuffix(name, ".fifo") {
			return invalidParameter("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
		}
		s.Endpoint.Kind, s.Endpoint.Name = topic.Queue, name
	case "lambda":
		target, ok := p.FunctionTarget(endpoint)
		if !ok {
			return invalidParameter("Lambda endpoint ARN")
		}
		s.Endpoint = delivery.Destination{Kind: topic.Function, Name: target.Function, Qualifier: target.Qualifier, ARN: endpoint}
	case "http", "https":
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != protocol || u.Host == "" {
			return invalidParameter("Endpoint must match the specified protocol")
		}
		s.Endpoint.Kind = topic.Post
		s.Pending, s.Token = true, newToken()
	default:
		if slices.Contains(otherProtocols, protocol) {
			return unsupported("The protocol " + protocol + " is not supported here: messages go to queues (sqs), functions (lambda) and URLs (http, https)")
		}
		return invalidParameter("Amazon SNS does not support this protocol string: " + protocol)
	}
	if t.FIFO && s.Endpoint.Kind != topic.Queue {
		return invalidParameter("Invalid protocol type: " + s.Protocol + ": only queues can be subscribed to FIFO topics")
	}
	return nil
}

// wellFormed is what a token looks like, here and at the service.
var wellFormed = regexp.MustCompile(`^[0-9a-f]{64,}$`)

// newToken is a token nobody can guess.
func newToken() string {
	return strings.ReplaceAll(daruma.NewID()+daruma.NewID()+daruma.NewID(), "-", "")
}

// setSubscriptionAttribute gives a subscription an attribute of the API. An
// empty value takes a policy away.
func setSubscriptionAttribute(p catalog.Place, t *topic.Topic, s *topic.Subscription, name, value string) *wire.Error {
	switch name {
	case "RawMessageDelivery":
		lower := strings.ToLower(value)
		if lower != "true" && lower != "false" {
			return invalidParameter("RawMessageDelivery: Invalid value [" + value + "]. Must be true or false.")
		}
		if s.Raw = lower == "true"; s.Raw && s.Endpoint.Kind == topic.Function {
			return invalidParameter("RawMessageDelivery: Invalid value [true]. Functions get events, never raw messages.")
		}
		value = lower
	case "FilterPolicyScope":
		scope := pattern.Scope(value)
		if scope != pattern.Body && scope != pattern.Attributes {
			return invalidParameter("FilterPolicyScope: Invalid value [" + value + "]. Please use either MessageBody or MessageAttributes")
		}
		if s.Scope = scope; s.Filter != "" {
			if _, err := pattern.CompilePolicy(s.Filter, s.Scope); err != nil {
				return fromError(err)
			}
		}
	case "FilterPolicy":
		if s.Filter = value; value == "{}" {
			s.Filter = ""
		}
		if s.Filter != "" {
			if _, err := pattern.CompilePolicy(s.Filter, scopeOf(s)); err != nil {
				return fromError(err)
			}
		}
	case "DeliveryPolicy":
		if s.Endpoint.Kind != topic.Post {
			return invalidParameter("DeliveryPolicy: Protocol " + s.Protocol + " has no delivery policy")
		}
		s.Retry = nil
		if value != "" {
			var err *wire.Error
			if s.Retry, err = subscriptionPolicy(value); err != nil {
				return err
			}
		}
	case "RedrivePolicy":
		s.DeadLetter = ""
		if value != "" {
			if err := redrive(p, t, s, value); err != nil {
				return err
			}
		}
	case "ReplayPolicy":
		var err *wire.Error
		s.Replay, err = replayPolicy(t, value)
		return err // what is replayed is what is shown
	default:
		return invalidParameter("AttributeName")
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	if s.Labels[name] = value; value == "" {
		delete(s.Labels, name)
	}
	return nil
}

func scopeOf(s *topic.Subscription) pattern.Scope {
	if s.Scope == "" {
		return pattern.Attributes
	}
	return s.Scope
}

func (d *Door) subscribe(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	protocol, endpoint := c.form.Get("Protocol"), c.form.Get("Endpoint")
	if protocol == "" {
		return invalidParameter("Protocol Reason: no value for required parameter")
	}
	t, failed := d.cfg.Topics.Topic(name)
	if failed != nil {
		return fromError(failed)
	}
	attributes := c.pairs("Attributes.entry", "key", "value")
	s, failed := SubscriptionOf(c.place, t, protocol, endpoint, attributes)
	if failed != nil {
		return fromError(failed)
	}
	if err := d.replayable(t, s.Replay); err != nil {
		return err
	}
	delete(attributes, "ReplayPolicy")
	for name := range attributes {
		attributes[name] = s.Labels[name] // as it is kept: "True" is "true"
	}
	s.Owner = c.Caller.ARN
	is, failed := d.cfg.Topics.Subscribe(c.HTTP.Context(), s, attributes)
	if errors.Is(failed, topic.ErrAttributes) {
		return invalidParameter("Attributes Reason: Subscription already exists with different attributes")
	}
	if failed != nil {
		return fromError(failed)
	}
	arn := subscriptionARN(c.place, is)
	if is.Pending && c.form.Get("ReturnSubscriptionArn") != "true" {
		arn = "pending confirmation"
	}
	c.result.element("SubscriptionArn", arn)
	return nil
}

func (d *Door) confirm(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return invalidParameter("Topic")
	}
	token := c.form.Get("Token")
	if token == "" || len(token) > 1024 {
		return invalidParameter("Token")
	}
	s, failed := d.cfg.Topics.Confirm(c.HTTP.Context(), name, token, c.form.Get("AuthenticateOnUnsubscribe") == "true")
	switch {
	case failed != nil && !wellFormed.MatchString(token):
		return refusal(400, "InvalidParameter", "Invalid token")
	case errors.Is(failed, topic.ErrToken), errors.Is(failed, topic.ErrNoTopic):
		return invalidParameter("Token")
	}
	if failed != nil {
		return fromError(failed)
	}
	c.result.element("SubscriptionArn", subscriptionARN(c.place, s))
	return nil
}

func (d *Door) unsubscribe(c *call) *wire.Error {
	name, id, err := c.subscription()
	if err != nil {
		return err
	}
	return fromError(d.cfg.Topics.End(c.HTTP.Context(), name, id))
}

func (d *Door) listByTopic(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	if _, failed := d.cfg.Topics.Topic(name); failed != nil {
		return fromError(failed)
	}
	c.writeSubscriptions(d.cfg.Topics.Subscriptions(name))
	return nil
}

func (d *Door) listSubscriptions(c *call) *wire.Error {
	var all []*topic.Subscription
	for _, t := range d.cfg.Topics.All() {
		all = append(all, d.cfg.Topics.Subscriptions(t.Name)...)
	}
	slices.SortFunc(all, func(a, b *topic.Subscription) int { return strings.Compare(a.ID, b.ID) })
	c.writeSubscriptions(all)
	return nil
}

func (c *call) writeSubscriptions(all []*topic.Subscription) {
	part, next := page(c, all, func(s *topic.Subscription) string { return s.ID })
	c.result.WriteString("<Subscriptions>")
	for _, s := range part {
		arn := subscriptionARN(c.place, s)
		if s.Pending {
			arn = "PendingConfirmation"
		}
		c.result.WriteString("<member>")
		c.result.element("SubscriptionArn", arn)
		c.result.element("Owner", c.place.Account)
		c.result.element("Protocol", s.Protocol)
		c.result.element("Endpoint", s.Endpoint.ARN)
		c.result.element("TopicArn", topicARN(c.place, s.Topic))
		c.result.WriteString("</member>")
	}
	c.result.WriteString("</Subscriptions>")
	if next != "" {
		c.result.element("NextToken", next)
	}
}

func (d *Door) getSubscription(c *call) *wire.Error {
	name, id, err := c.subscription()
	if err != nil {
		return err
	}
	s, failed := d.cfg.Topics.Subscription(name, id)
	if failed != nil {
		return noSubscription()
	}
	t, failed := d.cfg.Topics.Topic(name)
	if failed != nil {
		return noSubscription()
	}
	all := maps.Clone(s.Labels)
	if all == nil {
		all = map[string]string{}
	}
	all["SubscriptionArn"], all["TopicArn"], all["Owner"], all["Protocol"], all["Endpoint"] = subscriptionARN(c.place, s), topicARN(c.place, name), c.place.Account, s.Protocol, s.Endpoint.ARN
	all["RawMessageDelivery"], all["PendingConfirmation"] = strconv.FormatBool(s.Raw), strconv.FormatBool(s.Pending)
	all["ConfirmationWasAuthenticated"] = strconv.FormatBool(s.Endpoint.Kind != topic.Post || s.Guarded)
	if s.Owner != "" {
		all["SubscriptionPrincipal"] = s.Owner
	}
	if s.Endpoint.Kind == topic.Post {
		all["EffectiveDeliveryPolicy"] = effectiveFor(t, s)
	}
	if delete(all, "FilterPolicyScope"); all["FilterPolicy"] != "" {
		all["FilterPolicyScope"] = string(scopeOf(s))
	}
	d.showReplay(s, all)
	c.result.entries("Attributes", slices.Sorted(maps.Keys(all)), func(k string) string { return all[k] })
	return nil
}

func (d *Door) setSubscription(c *call) *wire.Error {
	name, id, err := c.subscription()
	if err != nil {
		return err
	}
	attribute := c.form.Get("AttributeName")
	var refused *wire.Error
	failed := d.cfg.Topics.Adjust(c.HTTP.Context(), name, id, func(t *topic.Topic, s *topic.Subscription) error {
		refused = setSubscriptionAttribute(c.place, t, s, attribute, c.form.Get("AttributeValue"))
		if refused == nil && attribute == "ReplayPolicy" {
			refused = d.replayable(t, s.Replay)
		}
		if refused != nil {
			return refused
		}
		return nil
	})
	if refused != nil {
		return refused
	}
	return fromError(failed)
}
