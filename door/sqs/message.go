package sqs

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/queue"
)

// traceHeader is the one system attribute that a sender can give.
const traceHeader = "AWSTraceHeader"

// attributesMax is how many attributes a message has (Amazon SQS quotas).
const (
	attributesMax         = 10
	attributeNameBytesMax = 256
)

// message makes a message of an entry, for a queue.
func (c *call) message(is *queue.Queue, e *entry) (m queue.Message, fail *failure) {
	if e.MessageBody == nil || *e.MessageBody == "" {
		return m, missing("MessageBody")
	}
	m = queue.Message{ID: queue.NewID(), Body: []byte(*e.MessageBody), Sender: c.Caller.UserID}
	if !allowed(*e.MessageBody) {
		return m, fault(invalidContents, "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	if m.Attributes, fail = messageAttributes(e.MessageAttributes); fail != nil {
		return m, fail
	}
	most := is.BytesMax
	if most == 0 {
		most = queue.MessageBytesMax
	}
	if m.Size() > most {
		return m, faultf(invalidParameter, "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", most)
	}
	if m.Trace, fail = c.trace(e.MessageSystemAttributes); fail != nil {
		return m, fail
	}
	if fail = c.delay(is, e, &m); fail != nil {
		return m, fail
	}
	return m, grouped(is, e, &m)
}

// trace is the trace header that goes with a message: that of its system
// attributes, or of the request, which is its parent then.
func (c *call) trace(system map[string]attribute) (string, *failure) {
	for _, name := range sorted(system) {
		a := system[name]
		switch {
		case name != traceHeader:
			return "", faultf(invalidParameter, "Message system attribute name '%s' is invalid.", name)
		case a.DataType != "String":
			return "", faultf(invalidParameter, "The message system attribute '%s' must have the type String.", name)
		case a.StringValue == nil || *a.StringValue == "":
			return "", faultf(invalidParameter, "Message (system) attribute '%s' must contain a non-empty value of type 'String'.", name)
		}
	}
	if a, ok := system[traceHeader]; ok {
		return *a.StringValue, nil
	}
	if c.handed != "" {
		return c.handed, nil
	}
	return c.HTTP.Header.Get(daruma.TraceHeader), nil
}

// delay reads the delay of a message.
func (c *call) delay(is *queue.Queue, e *entry, m *queue.Message) *failure {
	if e.DelaySeconds == nil {
		return nil
	}
	n := *e.DelaySeconds
	if n < 0 || n > 900 {
		return badValue(n, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
	}
	if is.FIFO {
		if n > 0 {
			return badValue(n, "DelaySeconds", "The request include parameter that is not valid for this queue type.")
		}
		return nil
	}
	m.Delay = new(time.Duration(n) * time.Second)
	return nil
}

// grouped reads the group of a message and what it is known by.
func grouped(is *queue.Queue, e *entry, m *queue.Message) *failure {
	for _, p := range []struct {
		name string
		from *string
		to   *string
	}{{"MessageGroupId", e.MessageGroupID, &m.Group}, {"MessageDeduplicationId", e.MessageDeduplicationID, &m.Once}} {
		if p.from == nil {
			continue
		}
		if *p.to = *p.from; !identifier(*p.to) {
			return badValue(*p.to, p.name, p.name+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	if !is.FIFO && m.Once != "" {
		return badValue(m.Once, "MessageDeduplicationId", "The request include parameter that is not valid for this queue type.")
	}
	if is.FIFO && m.Once == "" {
		m.Once = bodyHash(m.Body)
	}
	return required(is, e)
}

// required says what an entry lacks that a FIFO queue requires.
func required(is *queue.Queue, e *entry) *failure {
	switch {
	case is.FIFO && e.MessageGroupID == nil:
		return missing("MessageGroupId")
	case is.FIFO && e.MessageDeduplicationID == nil && !is.OnceByBody:
		return fault(invalidParameter, "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	return nil
}

// identifier says whether a text is of 1 to 128 alphanumeric and punctuation characters.
func identifier(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// allowed says whether a text has only the characters of XML 1.0.
func allowed(s string) bool {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n < 2 || r == 0xfffe || r == 0xffff {
			return false
		}
		i += n
	}
	return true
}

// messageAttributes reads the attributes of a message, in the order of their names.
func messageAttributes(given map[string]attribute) ([]queue.Attribute, *failure) {
	if len(given) == 0 {
		return nil, nil
	}
	if len(given) > attributesMax {
		return nil, faultf(invalidParameter, "Number of message attributes [%d] exceeds the allowed maximum [%d].", len(given), attributesMax)
	}
	list := make([]queue.Attribute, 0, len(given))
	for _, name := range sorted(given) {
		a, fail := messageAttribute(name, given[name])
		if fail != nil {
			return nil, fail
		}
		list = append(list, a)
	}
	return list, nil
}

func messageAttribute(name string, a attribute) (queue.Attribute, *failure) {
	if fail := attributeName(name); fail != nil {
		return queue.Attribute{}, fail
	}
	base, _, _ := strings.Cut(a.DataType, ".")
	is := queue.Attribute{Name: name, Type: a.DataType}
	switch {
	case a.DataType == "":
		return is, faultf(invalidParameter, "The message attribute '%s' must contain a non-empty message attribute type.", name)
	case len(a.DataType) > 256 || !slices.Contains([]string{"String", "Number", "Binary"}, base):
		return is, faultf(invalidParameter, "The type of message (user) attribute '%s' is invalid. You must use only the following supported type prefixes: Binary, Number, String.", name)
	case len(a.StringListValues) > 0 || len(a.BinaryListValues) > 0:
		return is, faultf(unsupported, "Message attribute list values in SendMessage operation are not supported.")
	case base == "Binary":
		if a.StringValue != nil || len(a.BinaryValue) == 0 {
			return is, faultf(invalidParameter, "Message (user) attribute '%s' must contain a non-empty value of type 'Binary'.", name)
		}
		is.Value = a.BinaryValue
		return is, nil
	case a.BinaryValue != nil || a.StringValue == nil || *a.StringValue == "":
		return is, faultf(invalidParameter, "Message (user) attribute '%s' must contain a non-empty value of type 'String'.", name)
	case !allowed(*a.StringValue):
		return is, faultf(invalidParameter, "Invalid characters found in the value of message (user) attribute '%s'.", name)
	case base == "Number":
		if _, err := strconv.ParseFloat(*a.StringValue, 64); err != nil || strings.Trim(*a.StringValue, "0123456789+-.eE") != "" { // NaN and 0x1p-2 are floats
			return is, faultf(invalidParameter, "Can't cast the value of message (user) attribute '%s' to a number.", name)
		}
	}
	is.Value = []byte(*a.StringValue)
	return is, nil
}

func attributeName(name string) *failure {
	bad := func(r rune) bool { return !nameRune(r) && r != '.' }
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return fault(invalidParameter, "The request must contain non-empty message (user) attribute names.")
	case len(name) > attributeNameBytesMax:
		return faultf(invalidParameter, "Length of message attribute name must be less than %d bytes.", attributeNameBytesMax)
	case strings.IndexFunc(name, bad) >= 0:
		return faultf(invalidParameter, "Invalid non-alphanumeric character was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.")
	case strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return faultf(invalidParameter, "You cannot use message attribute names beginning with 'AWS.' or 'Amazon.' because these strings are reserved for internal use.")
	case name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, ".."):
		return faultf(invalidParameter, "Invalid message attribute name beginning with character '.' or ending with character '.' was found, or it has two of them in a row.")
	}
	return nil
}

// bodyMD5 is the checksum of a body.
func bodyMD5[T ~string | ~[]byte](body T) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// attributesMD5 is the checksum of attributes, in the order of their names;
// "" when there are none. Amazon SQS Developer Guide, "Calculating the MD5
// message digest for message attributes".
func attributesMD5(list []queue.Attribute) string {
	if len(list) == 0 {
		return ""
	}
	var b []byte
	text := func(s string) {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	for i := range list {
		a := &list[i]
		text(a.Name)
		text(a.Type)
		if strings.HasPrefix(a.Type, "Binary") {
			b = append(b, 2)
		} else {
			b = append(b, 1)
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(a.Value))), a.Value...)
	}
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

// traceMD5 is the checksum of the one system attribute.
func traceMD5(trace string) string {
	return attributesMD5([]queue.Attribute{{Name: traceHeader, Type: "String", Value: []byte(trace)}})
}
