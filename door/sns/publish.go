package sns

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/topic"
)

const (
	batchMax     = 10
	subjectMax   = 100
	entryIDMax   = 80
	attributeMax = 256 // bytes of a name
)

var (
	entryID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	ident   = regexp.MustCompile("^[A-Za-z0-9!\"#$%&'()*+,./:;<=>?@\\[\\\\\\]^_`{|}~-]{1,128}$")
)

func (d *Door) publish(c *call) *wire.Error {
	parameter := "TopicArn"
	switch {
	case c.form.Get("PhoneNumber") != "":
		return unsupported("Publishing to a PhoneNumber is not supported here: there are no telephones")
	case c.form.Get("TopicArn") == "" && c.form.Get("TargetArn") != "":
		parameter = "TargetArn"
	case !c.form.Has("TopicArn"):
		return invalidParameter("TopicArn or TargetArn Reason: no value for required parameter")
	case c.form.Get("TopicArn") == "":
		return invalidParameter("TopicArn Reason: An ARN must have at least 6 elements, not 1")
	}
	if parameter == "TargetArn" && strings.Contains(c.form.Get("TargetArn"), ":endpoint/") {
		return invalidParameter("TargetArn Reason: No endpoint found for the target arn specified")
	}
	name, err := c.topic(parameter)
	if err != nil {
		return err
	}
	t, failed := d.cfg.Topics.Topic(name)
	if failed != nil {
		return fromError(failed)
	}
	d.join(c, name)
	m, err := c.message(t, "")
	if err != nil {
		return err
	}
	if m.Size() > topic.MessageBytesMax {
		return invalidParameter("Message too long")
	}
	got, failed := d.cfg.Topics.Publish(c.HTTP.Context(), name, m)
	if failed != nil {
		return fromError(failed)
	}
	d.tell(c, got)
	c.result.element("MessageId", got[0].ID)
	if t.FIFO {
		c.result.element("SequenceNumber", sequence(got[0].Number))
	}
	return nil
}

// message reads what is published. prefix is "" or that of an entry of a batch.
func (c *call) message(t *topic.Topic, prefix string) (topic.Message, *wire.Error) {
	get := func(name string) string { return c.form.Get(prefix + name) }
	m := topic.Message{ID: daruma.NewID(), Body: []byte(get("Message")), Group: get("MessageGroupId"), Once: get("MessageDeduplicationId"), Trace: c.trace(), Sender: c.Caller.ARN}
	if len(m.Body) == 0 {
		return m, invalidParameter("Empty message")
	}
	if !utf8.Valid(m.Body) {
		return m, invalidParameter("Message Reason: it is not UTF-8")
	}
	if c.form.Has(prefix + "Subject") {
		if m.Subject = get("Subject"); !goodSubject(m.Subject) {
			return m, invalidParameter("Subject")
		}
	}
	switch structure := get("MessageStructure"); structure {
	case "":
	case "json":
		if err := structured(&m); err != nil {
			return m, err
		}
	default:
		return m, invalidParameter("MessageStructure")
	}
	var err *wire.Error
	if m.Attributes, err = c.attributes(prefix); err != nil {
		return m, err
	}
	return m, fifo(t, &m)
}

func goodSubject(s string) bool {
	return s != "" && utf8.RuneCountInString(s) <= subjectMax && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) && s[0] != ' '
}

// structured takes a message of MessageStructure json apart.
func structured(m *topic.Message) *wire.Error {
	var texts map[string]json.RawMessage
	if json.Unmarshal(m.Body, &texts) != nil {
		return invalidParameter("Message Structure - JSON message body failed to parse")
	}
	m.Texts = map[string]string{}
	for k, raw := range texts {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			m.Texts[k] = s // what is no text is for nobody
		}
	}
	all, ok := m.Texts["default"]
	if !ok || all == "" {
		return invalidParameter("Message Structure - No default entry in JSON message body")
	}
	for k := range m.Texts {
		if k != "sqs" && k != "lambda" && k != "http" && k != "https" {
			delete(m.Texts, k)
		}
	}
	m.Body = []byte(all)
	return nil
}

// fifo checks groups and what a message is known by.
func fifo(t *topic.Topic, m *topic.Message) *wire.Error {
	switch {
	case t.FIFO && m.Group == "":
		return invalidParameter("The MessageGroupId parameter is required for FIFO topics")
	case t.FIFO && m.Once == "" && !t.OnceByBody:
		return invalidParameter("The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	case !t.FIFO && m.Once != "":
		return invalidParameter("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	case m.Group != "" && !ident.MatchString(m.Group):
		return invalidParameter("MessageGroupId Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	case m.Once != "" && !ident.MatchString(m.Once):
		return invalidParameter("MessageDeduplicationId Reason: MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	return nil
}

// attributes reads the message attributes below prefix.
func (c *call) attributes(prefix string) (all []topic.Attribute, _ *wire.Error) {
	for i := 1; ; i++ {
		at := prefix + "MessageAttributes.entry." + strconv.Itoa(i) + "."
		if !c.form.Has(at + "Name") {
			return all, nil
		}
		name := c.form.Get(at + "Name")
		if err := goodName(name); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(a topic.Attribute) bool { return a.Name == name }) {
			return nil, parameterValue("The message attribute '" + name + "' is given twice.")
		}
		kind := c.form.Get(at + "Value.DataType")
		if kind == "" {
			return nil, validation("Value null at '" + place(prefix) + "messageAttributes." + name + ".member.dataType' failed to satisfy constraint: Member must not be null")
		}
		value, err := c.value(at+"Value.", name, kind)
		if err != nil {
			return nil, err
		}
		all = append(all, topic.Attribute{Name: name, Type: kind, Value: value})
	}
}

// place is where the entry of a batch with this prefix lies, as refusals say it.
func place(prefix string) string {
	number, ok := strings.CutPrefix(prefix, "PublishBatchRequestEntries.member.")
	if !ok {
		return ""
	}
	return "publishBatchRequestEntries." + number + "member."
}

func goodName(name string) *wire.Error {
	switch {
	case name == "":
		return parameterValue("The message attribute name must not be empty.")
	case len(name) > attributeMax:
		return parameterValue("Length of message attribute name must be less than 256 bytes.")
	case name[0] == '.':
		return parameterValue("Invalid message attribute name starting with character '.' was found.")
	case name[len(name)-1] == '.':
		return parameterValue("Invalid message attribute name ending with character '.' was found.")
	case strings.Contains(name, ".."):
		return parameterValue("Message attribute name can not have successive '.' character.")
	case strings.HasPrefix(strings.ToUpper(name), "AWS.") || strings.HasPrefix(strings.ToUpper(name), "AMAZON."):
		return parameterValue("Message attribute name starting with 'AWS.' or 'Amazon.' is reserved.")
	}
	for _, r := range name {
		if plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'; !plain {
			return parameterValue(fmt.Sprintf("Invalid non-alphanumeric character '#x%X' was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.", r))
		}
	}
	return nil
}

// value reads the value of an attribute of a type.
func (c *call) value(at, name, kind string) ([]byte, *wire.Error) {
	base, further, more := strings.Cut(kind, ".")
	if more && further == "" {
		base = "" // a dot has something behind it
	}
	text, binary := c.form.Has(at+"StringValue"), c.form.Has(at+"BinaryValue")
	field := "StringValue"
	switch base {
	case "String", "Number":
		if binary {
			return nil, parameterValue("The message attribute '" + name + "' with type '" + kind + "' must use field 'String'.")
		}
	case "Binary":
		field = "BinaryValue"
		if text {
			return nil, parameterValue("The message attribute '" + name + "' with type '" + kind + "' must use field 'Binary'.")
		}
	default:
		return nil, parameterValue("The message attribute '" + name + "' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	}
	value := []byte(c.form.Get(at + field))
	if base == "Binary" {
		decoded, err := base64.StdEncoding.DecodeString(string(value))
		if err != nil {
			return nil, parameterValue("The message attribute '" + name + "' with type '" + kind + "' is not base64.")
		}
		value = decoded
	}
	if len(value) == 0 {
		return nil, parameterValue("The message attribute '" + name + "' must contain non-empty message attribute value for message attribute type '" + kind + "'.")
	}
	switch {
	case base == "Number" && !isNumber(string(value)):
		return nil, parameterValue("Could not cast message attribute '" + name + "' value to number.")
	case kind == "String.Array" && !isList(value):
		return nil, parameterValue("The message attribute '" + name + "' of type 'String.Array' must be a JSON array of strings, numbers, true, false or null.")
	}
	return value, nil
}

func isNumber(s string) bool {
	return len(s) <= 64 && json.Valid([]byte(strings.TrimPrefix(s, "+"))) && strings.Trim(s, "0123456789+-.eE") == ""
}

func isList(b []byte) bool {
	var list []any
	if json.Unmarshal(b, &list) != nil {
		return false
	}
	for _, v := range list {
		switch v.(type) {
		case map[string]any, []any:
			return false
		}
	}
	return true
}

// publishBatch publishes what is right of a batch, in one step, and says what is wrong with the rest.
func (d *Door) publishBatch(c *call) *wire.Error {
	name, err := c.topic("TopicArn")
	if err != nil {
		return err
	}
	t, failed := d.cfg.Topics.Topic(name)
	if failed != nil {
		return fromError(failed)
	}
	ids, err := c.entries()
	if err != nil {
		return err
	}
	d.join(c, name)
	type outcome struct {
		refused *wire.Error
		at      int // among the messages
	}
	outcomes := make([]outcome, len(ids))
	var messages []topic.Message
	size := 0
	for i := range ids {
		m, err := c.message(t, entryPrefix(i))
		if size += m.Size(); err == nil {
			outcomes[i].at = len(messages)
			messages = append(messages, m)
			continue
		}
		if whole(err) {
			return err
		}
		outcomes[i].refused = err
	}
	if size > topic.MessageBytesMax {
		return refusal(400, "BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
	}
	var done []topic.Published
	if len(messages) > 0 {
		if done, failed = d.cfg.Topics.Publish(c.HTTP.Context(), name, messages...); failed != nil {
			return fromError(failed)
		}
		d.tell(c, done)
	}
	c.result.WriteString("<Successful>")
	for i, id := range ids {
		if outcomes[i].refused != nil {
			continue
		}
		is := done[outcomes[i].at]
		c.result.WriteString("<member>")
		c.result.element("Id", id)
		c.result.element("MessageId", is.ID)
		if t.FIFO {
			c.result.element("SequenceNumber", sequence(is.Number))
		}
		c.result.WriteString("</member>")
	}
	c.result.WriteString("</Successful><Failed>")
	for i, id := range ids {
		if is := outcomes[i].refused; is != nil {
			c.result.WriteString("<member>")
			c.result.element("Id", id)
			c.result.element("Code", is.Code)
			c.result.element("Message", is.Message)
			c.result.element("SenderFault", "true")
			c.result.WriteString("</member>")
		}
	}
	c.result.WriteString("</Failed>")
	return nil
}

// whole says whether what is wrong with one entry refuses the batch, as recorded from AWS.
func whole(err *wire.Error) bool {
	return err.Code == "ValidationError" || err.Code == "ParameterValueInvalid" || slices.ContainsFunc(wholly, func(s string) bool { return strings.Contains(err.Message, s) })
}

// wholly are the texts of what is wrong with a batch when it is wrong with an entry.
var wholly = []string{"Message Structure", "MessageGroupId parameter is required", "ContentBasedDeduplication enabled"}

func entryPrefix(i int) string {
	return "PublishBatchRequestEntries.member." + strconv.Itoa(i+1) + "."
}

// entries reads the IDs of a batch.
func (c *call) entries() (ids []string, _ *wire.Error) {
	for c.form.Has(entryPrefix(len(ids))+"Id") || c.form.Has(entryPrefix(len(ids))+"Message") {
		ids = append(ids, c.form.Get(entryPrefix(len(ids))+"Id"))
		if len(ids) > 1000 {
			break
		}
	}
	switch {
	case len(ids) == 0:
		return nil, refusal(400, "EmptyBatchRequest", "The batch request doesn't contain any entries.")
	case len(ids) > batchMax:
		return nil, refusal(400, "TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
	}
	for i, id := range ids {
		switch {
		case len(id) > entryIDMax:
			return nil, refusal(400, "InvalidBatchEntryId", "The Id of a batch entry in the batch request is too long: "+id)
		case !entryID.MatchString(id):
			return nil, refusal(400, "InvalidBatchEntryId", "The Id of a batch entry in the batch request contains an impermissible character: "+id)
		case slices.Contains(ids[:i], id):
			return nil, refusal(400, "BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
		}
	}
	return ids, nil
}
