// Package sns is the door for the SNS API: SDKs, CLIs and functions make
// topics, subscribe to them and publish.
//
// It turns requests of the query protocol into calls of [topic.Topics], and
// answers as the SNS API Reference has it: the same shapes, error codes and,
// where they are known, texts. What SNS does with telephones and push services
// is refused by name. The pages anybody may read (confirm, unsubscribe, the
// certificate of signatures) are those of [Door.Pages]. How messages look to
// those who get them is [Composer]'s.
//
// The door holds no state and starts nothing. It may be used from any number
// of goroutines at once.
package sns

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/topic"
)

const (
	namespace    = "http://sns.amazonaws.com/doc/2010-03-31/"
	bodyBytesMax = 4 << 20 // of a request: a batch of 256 KB in form encoding, with room
	pageMax      = 100     // topics or subscriptions in one answer
)

// Config says what the door needs. All but Spanned must be given.
type Config struct {
	Topics *topic.Topics
	Place  catalog.Place
	Notary *Notary
	// Spanned is told of requests that publish, by the machine's clock; it may be nil.
	Spanned func(daruma.Span)
}

// A Door answers the SNS API.
type Door struct {
	cfg     Config
	actions map[string]action
}

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Topics == nil || cfg.Notary == nil || cfg.Place.Region == "" {
		return nil, &daruma.Error{Op: "sns door", Kind: daruma.KindInvalid, Hint: "Topics, Notary and Place must be given"}
	}
	return &Door{cfg: cfg, actions: actions()}, nil
}

// Service is how the door is registered at a front, under "sns".
func (d *Door) Service() wire.Service {
	return wire.Service{Handler: d, BodyBytesMax: bodyBytesMax, TooLarge: invalidParameter("Message too long")}
}

// An action answers one operation. It writes the content of its Result, if it has any.
type action func(*Door, *call) *wire.Error

// actions is the table of the whole API. What has nothing to answer it is refused by name.
func actions() map[string]action {
	all := map[string]action{
		"CreateTopic": (*Door).createTopic, "DeleteTopic": (*Door).deleteTopic, "ListTopics": (*Door).listTopics,
		"GetTopicAttributes": (*Door).getTopic, "SetTopicAttributes": (*Door).setTopic,
		"TagResource": (*Door).tag, "UntagResource": (*Door).untag, "ListTagsForResource": (*Door).listTags,
		"AddPermission": (*Door).addPermission, "RemovePermission": (*Door).removePermission,
		"Subscribe": (*Door).subscribe, "ConfirmSubscription": (*Door).confirm, "Unsubscribe": (*Door).unsubscribe,
		"ListSubscriptions": (*Door).listSubscriptions, "ListSubscriptionsByTopic": (*Door).listByTopic,
		"GetSubscriptionAttributes": (*Door).getSubscription, "SetSubscriptionAttributes": (*Door).setSubscription,
		"Publish": (*Door).publish, "PublishBatch": (*Door).publishBatch,
	}
	for _, name := range []string{"CheckIfPhoneNumberIsOptedOut", "CreatePlatformApplication", "CreatePlatformEndpoint", "CreateSMSSandboxPhoneNumber", "DeleteEndpoint", "DeletePlatformApplication",
		"DeleteSMSSandboxPhoneNumber", "GetDataProtectionPolicy", "GetEndpointAttributes", "GetPlatformApplicationAttributes", "GetSMSAttributes", "GetSMSSandboxAccountStatus", "ListEndpointsByPlatformApplication",
		"ListOriginationNumbers", "ListPhoneNumbersOptedOut", "ListPlatformApplications", "ListSMSSandboxPhoneNumbers", "OptInPhoneNumber", "PutDataProtectionPolicy", "SetEndpointAttributes",
		"SetPlatformApplicationAttributes", "SetSMSAttributes", "VerifySMSSandboxPhoneNumber"} {
		all[name] = nil
	}
	return all
}

// A call is one request on its way to its action, with the answer that grows.
type call struct {
	*wire.Request
	action string
	form   url.Values
	result answer
	place  catalog.Place

	publishing *Publishing // nil when nobody is told
}

// An answer is the XML within a Result.
type answer struct{ bytes.Buffer }

func (a *answer) element(name, text string) {
	a.WriteString("<" + name + ">")
	_ = xml.EscapeText(a, []byte(text)) // a Buffer takes everything
	a.WriteString("</" + name + ">")
}

// entries writes a map as SNS writes them, in the order of names.
func (a *answer) entries(name string, names []string, value func(string) string) {
	a.WriteString("<" + name + ">")
	for _, k := range names {
		a.WriteString("<entry>")
		a.element("key", k)
		a.element("value", value(k))
		a.WriteString("</entry>")
	}
	a.WriteString("</" + name + ">")
}

// empty are the actions whose answer has no Result.
var empty = map[string]bool{"DeleteTopic": true, "SetTopicAttributes": true, "AddPermission": true, "RemovePermission": true, "Unsubscribe": true, "SetSubscriptionAttributes": true}

// ServeAWS finds the action and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	text := r.HTTP.URL.RawQuery
	if r.HTTP.Method == http.MethodPost && len(r.Body) > 0 {
		text = strings.TrimPrefix(text+"&"+string(r.Body), "&") // they may be in both
	}
	form, err := url.ParseQuery(text)
	if err != nil || r.HTTP.Method != http.MethodPost && r.HTTP.Method != http.MethodGet {
		wire.Refuse(w, r, &wire.Error{Status: http.StatusBadRequest, Code: "MalformedQueryString", Message: "The query string contains a syntax error."})
		return
	}
	c := &call{Request: r, action: form.Get("Action"), form: form, place: d.cfg.Place}
	if refused := d.act(c); refused != nil {
		wire.Refuse(w, r, refused)
		return
	}
	c.reply(w)
}

func (d *Door) act(c *call) *wire.Error {
	do, known := d.actions[c.action]
	switch {
	case c.action == "":
		return &wire.Error{Status: http.StatusBadRequest, Code: "MissingAction", Message: "The request is missing an action or a required parameter."}
	case !known:
		return &wire.Error{Status: http.StatusBadRequest, Code: "InvalidAction", Message: "Could not find operation " + c.action + " for version 2010-03-31"}
	case do == nil:
		return unsupported(c.action + " is not supported here: there are no telephones, no push services and no data protection policies")
	}
	return do(d, c)
}

func (c *call) reply(w http.ResponseWriter) {
	var b bytes.Buffer
	b.WriteString("<" + c.action + `Response xmlns="` + namespace + `">`)
	if !empty[c.action] {
		b.WriteString("<" + c.action + "Result>")
		b.Write(c.result.Bytes())
		b.WriteString("</" + c.action + "Result>")
	}
	b.WriteString("<ResponseMetadata><RequestId>" + c.ID + "</RequestId></ResponseMetadata></" + c.action + "Response>")
	w.Header()["Content-Type"] = []string{"text/xml"}
	w.Write(b.Bytes())
}

// pairs reads a map: prefix.entry.1.key and .value, or others of those names.
func (c *call) pairs(prefix, key, value string) map[string]string {
	all := map[string]string{}
	for i := 1; ; i++ {
		at := prefix + "." + strconv.Itoa(i) + "."
		if !c.form.Has(at + key) {
			return all
		}
		all[c.form.Get(at+key)] = c.form.Get(at + value)
	}
}

// list reads a list: prefix.member.1, prefix.member.2.
func (c *call) list(prefix string) (all []string) {
	for i := 1; ; i++ {
		at := prefix + ".member." + strconv.Itoa(i)
		if !c.form.Has(at) {
			return all
		}
		all = append(all, c.form.Get(at))
	}
}

// topic reads the name in a topic's ARN.
func (c *call) topic(parameter string) (string, *wire.Error) {
	arn := c.form.Get(parameter)
	if arn == "" {
		return "", invalidParameter(parameter + " Reason: no value for required parameter")
	}
	parts := strings.Split(arn, ":")
	switch {
	case len(parts) < 6:
		return "", invalidParameter(parameter + " Reason: An ARN must have at least 6 elements, not " + strconv.Itoa(len(parts)))
	case len(parts) > 6 || parts[0] != "arn" || parts[2] != "sns" || parts[3] != c.place.Region:
		return "", invalidParameter(parameter)
	case parts[4] != c.place.Account:
		return "", noTopic()
	}
	return parts[5], nil
}

// subscription reads the topic and the ID in a subscription's ARN.
func (c *call) subscription() (name, id string, _ *wire.Error) {
	arn := c.form.Get("SubscriptionArn")
	if arn == "" {
		return "", "", invalidParameter("SubscriptionArn Reason: no value for required parameter")
	}
	parts := strings.Split(arn, ":")
	switch {
	case len(parts) < 6:
		return "", "", invalidParameter("SubscriptionArn Reason: An ARN must have at least 6 elements, not " + strconv.Itoa(len(parts)))
	case len(parts) != 7 || parts[2] != "sns" || len(parts[6]) != len("00000000-0000-0000-0000-000000000000"):
		return "", "", invalidParameter("SubscriptionId")
	}
	if strings.Join(parts[:5], ":") != strings.TrimSuffix(topicARN(c.place, ""), ":") {
		return "", "", noSubscription()
	}
	return parts[5], parts[6], nil
}
