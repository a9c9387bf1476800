package sqs

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/quote"
)

// systemAttributes are those a receive can ask for.
var systemAttributes = []string{"All", "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "SequenceNumber", "MessageDeduplicationId", "MessageGroupId", traceHeader, "DeadLetterQueueSourceArn"}

// A received is a message in an answer.
type received struct {
	MessageID              string `json:"MessageId" xml:"MessageId"`
	ReceiptHandle          string `json:"ReceiptHandle" xml:"ReceiptHandle"`
	MD5OfBody              string `json:"MD5OfBody" xml:"MD5OfBody"`
	Body                   string `json:"Body" xml:"Body"`
	Attributes             texts  `json:"Attributes,omitempty" xml:"Attribute"`
	MD5OfMessageAttributes string `json:"MD5OfMessageAttributes,omitempty" xml:"MD5OfMessageAttributes,omitempty"`
	MessageAttributes      typed  `json:"MessageAttributes,omitempty" xml:"MessageAttribute"`
}

type receivedMessages struct {
	Messages []received `json:"Messages,omitempty" xml:"Message"`
}

func (m receivedMessages) appendJSON(b []byte) []byte {
	if len(m.Messages) == 0 {
		return append(b, `{}`...)
	}
	b = append(b, `{"Messages":[`...)
	for i := range m.Messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = m.Messages[i].appendJSON(b)
	}
	return append(b, `]}`...)
}

func (m *received) appendJSON(b []byte) []byte {
	b = append(append(b, `{"MessageId":"`...), m.MessageID...)
	b = append(append(b, `","ReceiptHandle":"`...), m.ReceiptHandle...)
	b = append(append(b, `","MD5OfBody":"`...), m.MD5OfBody...)
	b = quote.Append(append(b, `","Body":`...), m.Body)
	if len(m.Attributes) > 0 {
		b = append(b, `,"Attributes":{`...)
		for i, k := range sorted(m.Attributes) {
			if i > 0 {
				b = append(b, ',')
			}
			b = quote.Append(append(quote.Append(b, k), ':'), m.Attributes[k])
		}
		b = append(b, '}')
	}
	if len(m.MessageAttributes) > 0 {
		b = append(append(b, `,"MD5OfMessageAttributes":"`...), m.MD5OfMessageAttributes...)
		b = append(b, `","MessageAttributes":{`...)
		for i, k := range sorted(m.MessageAttributes) {
			if i > 0 {
				b = append(b, ',')
			}
			a := m.MessageAttributes[k]
			b = quote.Append(append(quote.Append(b, k), `:{"DataType":`...), a.DataType)
			if a.StringValue != nil {
				b = quote.Append(append(b, `,"StringValue":`...), *a.StringValue)
			} else {
				b = base64.StdEncoding.AppendEncode(append(b, `,"BinaryValue":"`...), a.BinaryValue)
				b = append(b, '"')
			}
			b = append(b, '}')
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func (d *Door) receiveMessage(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	w, fail := c.want(is)
	if fail != nil {
		return nil, fail
	}
	names := slices.Concat(c.in.AttributeNames, c.in.SystemAttributeNames)
	for _, name := range names {
		if !slices.Contains(systemAttributes, name) && !known(name) { // AWS takes names of queues' attributes, too
			return nil, fault(invalidName, "Unknown Attribute "+name+".")
		}
	}
	ctx, stop := d.untilEnd(c.ctx, w.Wait)
	defer stop()
	got, err := d.receive(ctx, is.Name, w)
	if err != nil && ctx.Err() == nil {
		return nil, failureOf(err)
	}
	out := receivedMessages{}
	for i := range got {
		out.Messages = append(out.Messages, describe(&got[i], d.place, is.FIFO, names, c.in.MessageAttributeNames))
	}
	return out, nil
}

// untilEnd is a context for waiting, which ends when the node does.
func (d *Door) untilEnd(ctx context.Context, wait time.Duration) (context.Context, func()) {
	if wait <= 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-d.end:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// want reads what a receive asks for.
func (c *call) want(is *queue.Queue) (w queue.Want, fail *failure) {
	if w.N, fail = number(c.in.MaxNumberOfMessages, "MaxNumberOfMessages", 1, 10, 1); fail != nil {
		return w, fail
	}
	wait, fail := number(c.in.WaitTimeSeconds, "WaitTimeSeconds", 0, 20, -1)
	if fail != nil {
		return w, fail
	}
	if w.Wait = time.Duration(wait) * time.Second; wait < 0 {
		w.Wait = is.Wait
	}
	hide, fail := number(c.in.VisibilityTimeout, "VisibilityTimeout", 0, 43200, -1)
	if fail != nil {
		return w, fail
	}
	if hide >= 0 {
		w.Hide = new(time.Duration(hide) * time.Second)
	}
	if w.Again = c.in.ReceiveRequestAttemptID; w.Again != "" {
		if !is.FIFO {
			return w, badValue(w.Again, "ReceiveRequestAttemptId", "The request include parameter that is not valid for this queue type.")
		}
		if !identifier(w.Again) {
			return w, fault(invalidParameter, "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	return w, nil
}

// describe is a message as a receive answers it.
func describe(m *queue.Received, place catalog.Place, fifo bool, names, attributeNames []string) received {
	r := received{MessageID: m.ID.String(), ReceiptHandle: m.Handle, MD5OfBody: bodyMD5(m.Body), Body: string(m.Body)}
	if len(names) > 0 {
		all := systemOf(m, place, fifo)
		if !slices.Contains(names, "All") {
			for name := range all {
				if !slices.Contains(names, name) {
					delete(all, name)
				}
			}
		}
		r.Attributes = all
	}
	var returned []queue.Attribute
	for _, a := range m.Attributes {
		if !slices.ContainsFunc(attributeNames, func(p string) bool { return matches(p, a.Name) }) {
			continue
		}
		if r.MessageAttributes == nil {
			r.MessageAttributes = typed{}
		}
		returned = append(returned, a)
		r.MessageAttributes[a.Name] = described(a)
	}
	slices.SortFunc(returned, byName)
	r.MD5OfMessageAttributes = attributesMD5(returned)
	return r
}

func byName(a, b queue.Attribute) int { return strings.Compare(a.Name, b.Name) }

func described(a queue.Attribute) attribute {
	if strings.HasPrefix(a.Type, "Binary") {
		return attribute{DataType: a.Type, BinaryValue: a.Value}
	}
	return attribute{DataType: a.Type, StringValue: new(string(a.Value))}
}

// matches says whether a name is asked for: by itself, as one of all, or by how it begins.
func matches(asked, name string) bool {
	if asked == "All" || asked == "*" || asked == name {
		return true
	}
	prefix, ok := strings.CutSuffix(asked, ".*") // of "foo.*" the names that begin with "foo", a dot behind it or not
	return ok && strings.HasPrefix(name, prefix)
}

// systemOf is the system attributes of a message.
func systemOf(m *queue.Received, place catalog.Place, fifo bool) texts {
	all := texts{"SentTimestamp": milliseconds(m.Sent), "ApproximateReceiveCount": strconv.Itoa(m.Count), "ApproximateFirstReceiveTimestamp": milliseconds(m.First)}
	if m.Sender != "" {
		all["SenderId"] = m.Sender
	}
	if m.Group != "" {
		all["MessageGroupId"] = m.Group
	}
	if fifo {
		all["SequenceNumber"], all["MessageDeduplicationId"] = sequence(m.Number), m.Once
		if m.Once == "" {
			all["MessageDeduplicationId"] = bodyHash(m.Body)
		}
	}
	if m.Trace != "" {
		all[traceHeader] = m.Trace
	}
	if m.From != "" {
		all["DeadLetterQueueSourceArn"] = ARN(place, m.From)
	}
	return all
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func (d *Door) deleteMessage(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	if c.in.ReceiptHandle == "" {
		return nil, missing("ReceiptHandle")
	}
	each, err := d.queues.Delete(c.ctx, is.Name, c.in.ReceiptHandle)
	if err != nil {
		return nil, failureOf(err)
	}
	return nil, handleFault(each[0], c.in.ReceiptHandle)
}

// handleFault is what is wrong with a handle.
func handleFault(err error, handle string) *failure {
	f := failureOf(err)
	if f != nil && f.message == "The receipt handle has expired." {
		return badValue(handle, "ReceiptHandle", f.message)
	}
	if f != nil && f.kind == handleInvalid {
		f.message = "The input receipt handle \"" + handle + "\" is not a valid receipt handle."
	}
	return f
}

func (d *Door) deleteMessageBatch(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	if fail := c.batch(); fail != nil {
		return nil, fail
	}
	handles := make([]string, len(c.in.Entries))
	for i := range c.in.Entries {
		handles[i] = c.in.Entries[i].ReceiptHandle
	}
	each, err := d.queues.Delete(c.ctx, is.Name, handles...)
	if err != nil {
		return nil, failureOf(err)
	}
	out := deletedBatch{batch: settled(c.in.Entries, each)}
	out.XMLDone, out.XMLFailed = out.Successful, out.Failed
	return out, nil
}

// settled is what is answered of handles, each with its error.
func settled(entries []entry, each []error) (b batch[done]) {
	for i := range entries {
		e := &entries[i]
		if f := handleFault(each[i], e.ReceiptHandle); f != nil {
			b.Failed = append(b.Failed, e.failed(f))
		} else {
			b.Successful = append(b.Successful, done{e.ID})
		}
	}
	return b
}

func (b batch[T]) appendDone(out []byte, id func(T) string) []byte {
	out = append(out, '{')
	for i, s := range b.Successful {
		if i == 0 {
			out = append(out, `"Successful":[`...)
		} else {
			out = append(out, ',')
		}
		out = append(quote.Append(append(out, `{"Id":`...), id(s)), '}')
	}
	if len(b.Successful) > 0 {
		out = append(out, ']')
	}
	return append(appendFailed(out, b.Failed, len(b.Successful) > 0), '}')
}

func (m deletedBatch) appendJSON(b []byte) []byte {
	return m.appendDone(b, func(x done) string { return x.ID })
}

func (m changedBatch) appendJSON(b []byte) []byte {
	return m.appendDone(b, func(x done) string { return x.ID })
}

func (d *Door) changeMessageVisibility(c *call) (any, *failure) {
	is, fail := d.queue(c)
	switch {
	case fail != nil:
		return nil, fail
	case c.in.ReceiptHandle == "":
		return nil, missing("ReceiptHandle")
	case c.in.VisibilityTimeout == nil:
		return nil, missing("VisibilityTimeout")
	}
	h, fail := c.in.hiding()
	if fail != nil {
		return nil, fail
	}
	each, err := d.queues.Hide(c.ctx, is.Name, h)
	if err != nil {
		return nil, failureOf(err)
	}
	return nil, hideFault(each[0], &c.in.entry)
}

// hiding reads for how long an entry's message is to be hidden.
func (e *entry) hiding() (queue.Hiding, *failure) {
	n, fail := number(e.VisibilityTimeout, "VisibilityTimeout", 0, 43200, 0)
	if fail != nil {
		fail = badValue(*e.VisibilityTimeout, "VisibilityTimeout", "VisibilityTimeout must be an integer between 0 and 43200")
	}
	return queue.Hiding{Handle: e.ReceiptHandle, For: time.Duration(n) * time.Second}, fail
}

// hideFault is what is wrong with hiding an entry's message.
func hideFault(err error, e *entry) *failure {
	f := handleFault(err, e.ReceiptHandle)
	switch {
	case f == nil || f.kind != invalidParameter:
		return f
	case strings.Contains(f.message, "hidden for up to"):
		return badValue(*e.VisibilityTimeout, "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	case strings.Contains(f.message, "is gone"):
		return badValue(e.ReceiptHandle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	}
	return f
}

func (d *Door) changeMessageVisibilityBatch(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	if fail := c.batch(); fail != nil {
		return nil, fail
	}
	var out changedBatch
	var hides []queue.Hiding
	var from []*entry
	for i := range c.in.Entries {
		e := &c.in.Entries[i]
		h, fail := e.hiding()
		if e.VisibilityTimeout == nil {
			fail = missing("VisibilityTimeout")
		}
		if fail != nil {
			out.Failed = append(out.Failed, e.failed(fail))
			continue
		}
		hides, from = append(hides, h), append(from, e)
	}
	each, err := d.queues.Hide(c.ctx, is.Name, hides...)
	if err != nil {
		return nil, failureOf(err)
	}
	for i, e := range from {
		if f := hideFault(each[i], e); f != nil {
			out.Failed = append(out.Failed, e.failed(f))
		} else {
			out.Successful = append(out.Successful, done{e.ID})
		}
	}
	out.XMLDone, out.XMLFailed = out.Successful, out.Failed
	return out, nil
}
