package sqs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const namespace = "http://queue.amazonaws.com/doc/2012-11-05/"

// An input is the parameters of all operations; each reads its own.
type input struct {
	QueueURL                string            `json:"QueueUrl"`
	QueueName               string            `json:"QueueName"`
	QueueOwnerAWSAccountID  string            `json:"QueueOwnerAWSAccountId"`
	QueueNamePrefix         string            `json:"QueueNamePrefix"`
	Attributes              map[string]string `json:"Attributes"`
	AttributeNames          []string          `json:"AttributeNames"`
	Tags                    map[string]string `json:"Tags"`
	LowerTags               map[string]string `json:"tags"`
	TagKeys                 []string          `json:"TagKeys"`
	Label                   string            `json:"Label"`
	AWSAccountIDs           []string          `json:"AWSAccountIds"`
	Actions                 []string          `json:"Actions"`
	NextToken               string            `json:"NextToken"`
	MaxResults              *int              `json:"MaxResults"`
	SourceARN               string            `json:"SourceArn"`
	DestinationARN          string            `json:"DestinationArn"`
	TaskHandle              string            `json:"TaskHandle"`
	MaxNumberOfMessagesRate *int              `json:"MaxNumberOfMessagesPerSecond"`
	MaxNumberOfMessages     *int              `json:"MaxNumberOfMessages"`
	WaitTimeSeconds         *int              `json:"WaitTimeSeconds"`
	SystemAttributeNames    []string          `json:"MessageSystemAttributeNames"`
	MessageAttributeNames   []string          `json:"MessageAttributeNames"`
	ReceiveRequestAttemptID string            `json:"ReceiveRequestAttemptId"`
	entry                                     // of the operations that are not batches
	Entries                 []entry           `json:"Entries"`
}

// An entry is one message, or one handle, of a request.
type entry struct {
	ID                      string               `json:"Id"`
	MessageBody             *string              `json:"MessageBody"`
	DelaySeconds            *int                 `json:"DelaySeconds"`
	MessageAttributes       map[string]attribute `json:"MessageAttributes"`
	MessageSystemAttributes map[string]attribute `json:"MessageSystemAttributes"`
	MessageDeduplicationID  *string              `json:"MessageDeduplicationId"`
	MessageGroupID          *string              `json:"MessageGroupId"`
	ReceiptHandle           string               `json:"ReceiptHandle"`
	VisibilityTimeout       *int                 `json:"VisibilityTimeout"`
}

// An attribute is that of a message, as it comes and goes.
type attribute struct {
	DataType         string   `json:"DataType" xml:"DataType"`
	StringValue      *string  `json:"StringValue,omitempty" xml:"StringValue,omitempty"`
	BinaryValue      []byte   `json:"BinaryValue,omitempty" xml:"-"`
	BinaryText       string   `json:"-" xml:"BinaryValue,omitempty"` // in base64
	StringListValues []string `json:"StringListValues,omitempty" xml:"-"`
	BinaryListValues [][]byte `json:"BinaryListValues,omitempty" xml:"-"`
}

// read finds out what a request asks for.
func (c *call) read() *failure {
	target := c.HTTP.Header.Get("X-Amz-Target")
	if op, ok := strings.CutPrefix(target, "AmazonSQS."); ok {
		c.op = op
		if len(c.Body) == 0 {
			return nil
		}
		if c.in.readLean(c.Body) {
			return nil
		}
		c.in = input{}
		if err := json.Unmarshal(c.Body, &c.in); err != nil {
			return fault(serialization, "The request cannot be read: "+err.Error())
		}
		return nil
	}
	if target != "" {
		c.op = target
		return nil
	}
	c.query = true
	text := c.HTTP.URL.RawQuery
	if c.HTTP.Method == http.MethodPost && len(c.Body) > 0 {
		if text != "" {
			text += "&"
		}
		text += string(c.Body)
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return fault(serialization, "The request cannot be read: "+err.Error())
	}
	c.op = form.Get("Action")
	if c.op == "" {
		return fault(kind{400, "", "MissingAction"}, "The request must contain the parameter Action.")
	}
	return c.in.fill(form)
}

// numberedMax bounds the numbers of a list in the query protocol.
const numberedMax = 1000

// A reader reads the parameters of the query protocol.
type reader struct {
	form url.Values
	fail *failure
}

func (r *reader) text(name string) string { return r.form.Get(name) }

func (r *reader) optional(name string) *string {
	if v, ok := r.form[name]; ok {
		return &v[0]
	}
	return nil
}

func (r *reader) number(name string) *int {
	text := r.form.Get(name)
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil && r.fail == nil {
		r.fail = badValue(text, name, "Must be an integer.")
	}
	return &n
}

// numbers returns the numbers that follow a prefix, in order: of "Tag.2.Key" 2.
func (r *reader) numbers(prefix string) (list []int) {
	for name := range r.form {
		rest, ok := strings.CutPrefix(name, prefix+".")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && n <= numberedMax && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

func (r *reader) list(prefix string) (list []string) {
	for _, n := range r.numbers(prefix) {
		if v := r.optional(fmt.Sprintf("%s.%d", prefix, n)); v != nil {
			list = append(list, *v)
		}
	}
	return list
}

// pairs reads "Attribute.1.Name=a&Attribute.1.Value=b".
func (r *reader) pairs(prefix, key, value string) map[string]string {
	var m map[string]string
	for _, n := range r.numbers(prefix) {
		if m == nil {
			m = map[string]string{}
		}
		m[r.text(fmt.Sprintf("%s.%d.%s", prefix, n, key))] = r.text(fmt.Sprintf("%s.%d.%s", prefix, n, value))
	}
	if len(m) == 0 {
		if name := r.text(prefix + "." + key); name != "" { // without a number
			return map[string]string{name: r.text(prefix + "." + value)}
		}
	}
	return m
}

func (r *reader) attributes(prefix string) map[string]attribute {
	var m map[string]attribute
	for _, n := range r.numbers(prefix) {
		at := fmt.Sprintf("%s.%d.", prefix, n)
		a := attribute{DataType: r.text(at + "Value.DataType"), StringValue: r.optional(at + "Value.StringValue")}
		if v := r.optional(at + "Value.BinaryValue"); v != nil {
			raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(*v, " ", "+"))
			if err != nil && r.fail == nil {
				r.fail = badValue(*v, at+"Value.BinaryValue", "Must be base64.")
			}
			a.BinaryValue = raw
		}
		if m == nil {
			m = map[string]attribute{}
		}
		m[r.text(at+"Name")] = a
	}
	return m
}

func (r *reader) entry(prefix string) entry {
	return entry{ID: r.text(prefix + "Id"), MessageBody: r.optional(prefix + "MessageBody"), DelaySeconds: r.number(prefix + "DelaySeconds"),
		MessageAttributes: r.attributes(prefix + "MessageAttribute"), MessageSystemAttributes: r.attributes(prefix + "MessageSystemAttribute"),
		MessageDeduplicationID: r.optional(prefix + "MessageDeduplicationId"), MessageGroupID: r.optional(prefix + "MessageGroupId"),
		ReceiptHandle: r.text(prefix + "ReceiptHandle"), VisibilityTimeout: r.number(prefix + "VisibilityTimeout")}
}

// fill reads the parameters of the query protocol.
func (in *input) fill(form url.Values) *failure {
	r := &reader{form: form}
	*in = input{
		QueueURL: r.text("QueueUrl"), QueueName: r.text("QueueName"), QueueOwnerAWSAccountID: r.text("QueueOwnerAWSAccountId"), QueueNamePrefix: r.text("QueueNamePrefix"),
		Attributes: r.pairs("Attribute", "Name", "Value"), AttributeNames: r.list("AttributeName"), Tags: r.pairs("Tag", "Key", "Value"), TagKeys: r.list("TagKey"),
		Label: r.text("Label"), AWSAccountIDs: r.list("AWSAccountId"), Actions: r.list("ActionName"), NextToken: r.text("NextToken"), MaxResults: r.number("MaxResults"),
		SourceARN: r.text("SourceArn"), DestinationARN: r.text("DestinationArn"), TaskHandle: r.text("TaskHandle"), MaxNumberOfMessagesRate: r.number("MaxNumberOfMessagesPerSecond"),
		MaxNumberOfMessages: r.number("MaxNumberOfMessages"), WaitTimeSeconds: r.number("WaitTimeSeconds"), SystemAttributeNames: r.list("MessageSystemAttributeName"),
		MessageAttributeNames: r.list("MessageAttributeName"), ReceiveRequestAttemptID: r.text("ReceiveRequestAttemptId"), entry: r.entry(""),
	}
	for _, prefix := range []string{"SendMessageBatchRequestEntry", "DeleteMessageBatchRequestEntry", "ChangeMessageVisibilityBatchRequestEntry"} {
		for _, n := range r.numbers(prefix) {
			in.Entries = append(in.Entries, r.entry(fmt.Sprintf("%s.%d.", prefix, n)))
		}
	}
	return r.fail
}

// texts is a map of texts in an answer. In XML each pair is an element of the
// map's name, with the key in an element that its type names.
type (
	texts map[string]string // <Name>, <Value>
	tags  map[string]string // <Key>, <Value>
	typed map[string]attribute
)

func (m texts) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	for _, k := range sorted(m) {
		if err := e.EncodeElement(struct{ Name, Value string }{k, m[k]}, start); err != nil {
			return err
		}
	}
	return nil
}

func (m tags) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	for _, k := range sorted(m) {
		if err := e.EncodeElement(struct{ Key, Value string }{k, m[k]}, start); err != nil {
			return err
		}
	}
	return nil
}

func (m typed) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	for _, k := range sorted(m) {
		a := m[k]
		if a.BinaryValue != nil {
			a.BinaryText = base64.StdEncoding.EncodeToString(a.BinaryValue)
		}
		if err := e.EncodeElement(struct {
			Name  string
			Value attribute
		}{k, a}, start); err != nil {
			return err
		}
	}
	return nil
}

func sorted[V any, M ~map[string]V](m M) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// An appender writes itself as JSON, for answers that must be fast.
type appender interface{ appendJSON(b []byte) []byte }

// reply answers a call; out nil is an answer without members.
func (c *call) reply(w http.ResponseWriter, out any) {
	if c.query {
		c.replyXML(w, out)
		return
	}
	w.Header()["Content-Type"] = []string{"application/x-amz-json-1.0"}
	if a, ok := out.(appender); ok {
		w.Write(a.appendJSON(make([]byte, 0, 512)))
		return
	}
	if out == nil {
		w.Write([]byte("{}"))
		return
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(out); err != nil {
		panic(err) // our own types: they always encode
	}
	w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func (c *call) replyXML(w http.ResponseWriter, out any) {
	w.Header()["Content-Type"] = []string{"text/xml"}
	var b bytes.Buffer
	b.WriteString(xml.Header + "<" + c.op + `Response xmlns="` + namespace + `">`)
	if out != nil {
		if err := xml.NewEncoder(&b).EncodeElement(out, xml.StartElement{Name: xml.Name{Local: c.op + "Result"}}); err != nil {
			panic(err) // our own types: they always encode
		}
	}
	b.WriteString("<ResponseMetadata><RequestId>" + c.ID + "</RequestId></ResponseMetadata></" + c.op + "Response>")
	w.Write(b.Bytes())
}
