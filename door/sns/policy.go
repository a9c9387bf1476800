package sns

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/topic"
)

// healthyRetry is a retry policy as the API writes it, in seconds.
type healthyRetry struct {
	MinDelayTarget     *int   `json:"minDelayTarget,omitempty"`
	MaxDelayTarget     *int   `json:"maxDelayTarget,omitempty"`
	NumRetries         *int   `json:"numRetries,omitempty"`
	NumMaxDelayRetries int    `json:"numMaxDelayRetries"`
	NumNoDelayRetries  int    `json:"numNoDelayRetries"`
	NumMinDelayRetries int    `json:"numMinDelayRetries"`
	BackoffFunction    string `json:"backoffFunction,omitempty"`
}

type throttle struct {
	MaxReceivesPerSecond *int `json:"maxReceivesPerSecond,omitempty"`
}

type requestPolicy struct {
	HeaderContentType string `json:"headerContentType,omitempty"`
}

// contentTypes are what a request policy may ask for (developer guide, "Creating an HTTP/S delivery policy").
var contentTypes = []string{"text/plain", "application/json", "application/xml", "text/xml", "text/html", "text/css", "text/csv", "text/javascript", "application/atom+xml", "application/javascript", "application/rss+xml",
	"application/soap+xml", "application/x-www-form-urlencoded", "image/svg+xml", "application/vnd.apple.mpegurl", "application/vnd.ms-excel", "application/xhtml+xml", "application/octet-stream"}

// strictly reads the policy with a name, a JSON object with no keys but those of v.
func strictly(name, text string, v any) *wire.Error {
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return invalidParameter(name + ": failed to parse JSON. it is no object")
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return invalidParameter(name + ": failed to parse JSON. " + err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return invalidParameter(name + ": failed to parse JSON. something lies behind the object")
	}
	return nil
}

// topicPolicy reads the DeliveryPolicy of a topic.
func topicPolicy(text string) (*topic.Retry, bool, *wire.Error) {
	var is struct {
		HTTP struct {
			Retry    *healthyRetry  `json:"defaultHealthyRetryPolicy"`
			Only     bool           `json:"disableSubscriptionOverrides"`
			Throttle *throttle      `json:"defaultThrottlePolicy"`
			Request  *requestPolicy `json:"defaultRequestPolicy"`
		} `json:"http"`
	}
	if err := strictly("DeliveryPolicy", text, &is); err != nil {
		return nil, false, err
	}
	r, err := retryOf(is.HTTP.Retry, is.HTTP.Throttle, is.HTTP.Request)
	return r, is.HTTP.Only, err
}

// subscriptionPolicy reads the DeliveryPolicy of a subscription.
func subscriptionPolicy(text string) (*topic.Retry, *wire.Error) {
	var is struct {
		Retry    *healthyRetry  `json:"healthyRetryPolicy"`
		Throttle *throttle      `json:"throttlePolicy"`
		Request  *requestPolicy `json:"requestPolicy"`
		Sick     *healthyRetry  `json:"sicklyRetryPolicy"`
		Always   bool           `json:"guaranteed"` // what the service shows says false
	}
	if err := strictly("DeliveryPolicy", text, &is); err != nil {
		return nil, err
	}
	if is.Sick != nil || is.Always {
		return nil, unsupported("DeliveryPolicy: sicklyRetryPolicy and guaranteed are not supported here")
	}
	return retryOf(is.Retry, is.Throttle, is.Request)
}

func retryOf(h *healthyRetry, t *throttle, q *requestPolicy) (*topic.Retry, *wire.Error) {
	r := topic.RetryDefault()
	seconds := func(to *time.Duration, n *int) {
		if n != nil {
			*to = time.Duration(*n) * time.Second
		}
	}
	if h != nil {
		seconds(&r.Least, h.MinDelayTarget)
		seconds(&r.Most, h.MaxDelayTarget)
		if h.NumRetries != nil {
			r.Retries = *h.NumRetries
		}
		r.AtOnce, r.AtLeast, r.AtMost = h.NumNoDelayRetries, h.NumMinDelayRetries, h.NumMaxDelayRetries
		if h.BackoffFunction != "" {
			r.Growth = h.BackoffFunction
		}
	}
	if t != nil && t.MaxReceivesPerSecond != nil {
		if r.PerSecond = *t.MaxReceivesPerSecond; r.PerSecond < 1 {
			return nil, invalidParameter("DeliveryPolicy: throttlePolicy.maxReceivesPerSecond must be greater than or equal to 1")
		}
	}
	if q != nil && q.HeaderContentType != "" {
		plain, _, _ := strings.Cut(strings.ToLower(q.HeaderContentType), ";")
		if r.Content = q.HeaderContentType; !contains(contentTypes, strings.TrimSpace(plain)) || strings.ContainsAny(r.Content, "\r\n") {
			return nil, invalidParameter("DeliveryPolicy: headerContentType " + r.Content + " is not a supported content type")
		}
	}
	if err := r.Validate(); err != nil {
		return nil, invalidParameter("DeliveryPolicy: " + err.Error())
	}
	return &r, nil
}

func contains(list []string, s string) bool {
	for _, is := range list {
		if is == s {
			return true
		}
	}
	return false
}

// effective is a topic's EffectiveDeliveryPolicy.
func effective(t *topic.Topic) string {
	r := topic.RetryDefault()
	if t.Retry != nil {
		r = *t.Retry
	}
	content := r.Content
	if content == "" {
		content = contentType
	}
	type policy struct {
		Retry    healthyRetry  `json:"defaultHealthyRetryPolicy"`
		Only     bool          `json:"disableSubscriptionOverrides"`
		Throttle *throttle     `json:"defaultThrottlePolicy,omitempty"`
		Request  requestPolicy `json:"defaultRequestPolicy"`
	}
	return string(plain(map[string]policy{"http": {Retry: shown(r), Only: t.OnlyRetry, Throttle: shownThrottle(r), Request: requestPolicy{content}}}))
}

func shown(r topic.Retry) healthyRetry {
	least, most := int(r.Least/time.Second), int(r.Most/time.Second)
	return healthyRetry{&least, &most, &r.Retries, r.AtMost, r.AtOnce, r.AtLeast, r.Growth}
}

func shownThrottle(r topic.Retry) *throttle {
	if r.PerSecond == 0 {
		return nil
	}
	return &throttle{&r.PerSecond}
}

// effectiveFor is a subscription's EffectiveDeliveryPolicy.
func effectiveFor(t *topic.Topic, s *topic.Subscription) string {
	r := s.RetryWithin(t)
	content := r.Content
	if content == "" {
		content = contentType
	}
	return string(plain(struct {
		Retry    healthyRetry  `json:"healthyRetryPolicy"`
		Throttle *throttle     `json:"throttlePolicy,omitempty"`
		Request  requestPolicy `json:"requestPolicy"`
	}{shown(r), shownThrottle(r), requestPolicy{content}}))
}

// redrive reads a RedrivePolicy: the name of the queue that gets what a
// subscription cannot take.
func redrive(p catalog.Place, t *topic.Topic, s *topic.Subscription, text string) *wire.Error {
	var is struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&is); err != nil {
		return invalidParameter("RedrivePolicy: failed to parse JSON. " + err.Error())
	}
	name, ok := queueName(p, is.Target)
	if !ok {
		return invalidParameter("RedrivePolicy: deadLetterTargetArn is an invalid arn")
	}
	if fifo := strings.HasSuffix(name, ".fifo"); t.FIFO && strings.HasSuffix(s.Endpoint.Name, ".fifo") && !fifo {
		return invalidParameter("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
	} else if !t.FIFO && fifo {
		return invalidParameter("RedrivePolicy: must use a standard queue as DLQ for a subscription to a standard topic.")
	}
	s.DeadLetter = name
	return nil
}

// queueName is the name in the ARN of a queue of this account and region.
func queueName(p catalog.Place, arn string) (string, bool) {
	name, ok := strings.CutPrefix(arn, "arn:aws:sqs:"+p.Region+":"+p.Account+":")
	return name, ok && name != "" && !strings.ContainsAny(name, ":/")
}
