package sqs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/quote"
)

const (
	entriesMax   = 10
	entryIDMax   = 80
	batchTextMax = queue.MessageBytesMax
)

func bodyHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// sequence is a sequence number: twenty digits, ascending.
func sequence(n uint64) string { return fmt.Sprint(10_000_000_000_000_000_000 + n) }

// A sent is what is answered of a message that was taken.
type sent struct {
	ID                           string `json:"Id,omitempty" xml:"Id,omitempty"`
	MD5OfMessageBody             string `json:"MD5OfMessageBody" xml:"MD5OfMessageBody"`
	MD5OfMessageAttributes       string `json:"MD5OfMessageAttributes,omitempty" xml:"MD5OfMessageAttributes,omitempty"`
	MD5OfMessageSystemAttributes string `json:"MD5OfMessageSystemAttributes,omitempty" xml:"MD5OfMessageSystemAttributes,omitempty"`
	MessageID                    string `json:"MessageId" xml:"MessageId"`
	SequenceNumber               string `json:"SequenceNumber,omitempty" xml:"SequenceNumber,omitempty"`
}

func (s sent) appendJSON(b []byte) []byte {
	b = append(b, '{')
	if s.ID != "" {
		b = append(append(append(b, `"Id":"`...), s.ID...), `",`...) // its characters were checked
	}
	b = append(append(b, `"MD5OfMessageBody":"`...), s.MD5OfMessageBody...)
	for _, m := range [...]struct{ name, value string }{{"MD5OfMessageAttributes", s.MD5OfMessageAttributes}, {"MD5OfMessageSystemAttributes", s.MD5OfMessageSystemAttributes}, {"MessageId", s.MessageID}, {"SequenceNumber", s.SequenceNumber}} {
		if m.value != "" {
			b = append(append(append(append(b, `","`...), m.name...), `":"`...), m.value...)
		}
	}
	return append(b, `"}`...)
}

// answer is what is answered of a message.
func (e *entry) answer(is *queue.Queue, m *queue.Message, s queue.Sent) sent {
	a := sent{ID: e.ID, MD5OfMessageBody: bodyMD5(m.Body), MD5OfMessageAttributes: attributesMD5(m.Attributes), MessageID: s.ID.String()}
	if len(e.MessageSystemAttributes) > 0 {
		a.MD5OfMessageSystemAttributes = traceMD5(m.Trace)
	}
	if is.FIFO {
		a.SequenceNumber = sequence(s.Number)
	}
	return a
}

func (d *Door) sendMessage(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	m, fail := c.message(is, &c.in.entry)
	if fail != nil {
		return nil, fail
	}
	s, err := d.queues.Send(c.ctx, is.Name, m)
	if err != nil {
		return nil, failureOf(err)
	}
	d.tell(c, is, []queue.Message{m}, s)
	return c.in.answer(is, &m, s[0]), nil
}

// A batch is what is answered of a batch: what was done and what failed.
type batch[T any] struct {
	Successful []T      `json:"Successful,omitempty"`
	Failed     []failed `json:"Failed,omitempty"`
}

// A failed is an entry that failed.
type failed struct {
	ID          string `json:"Id" xml:"Id"`
	Code        string `json:"Code" xml:"Code"`
	Message     string `json:"Message" xml:"Message"`
	SenderFault bool   `json:"SenderFault" xml:"SenderFault"`
}

func (e *entry) failed(f *failure) failed {
	return failed{e.ID, f.code, f.message, f.status < 500}
}

type (
	sentBatch struct {
		batch[sent] `xml:"-"`
		XMLSent     []sent   `json:"-" xml:"SendMessageBatchResultEntry"`
		XMLFailed   []failed `json:"-" xml:"BatchResultErrorEntry"`
	}
	done struct {
		ID string `json:"Id" xml:"Id"`
	}
	deletedBatch struct {
		batch[done] `xml:"-"`
		XMLDone     []done   `json:"-" xml:"DeleteMessageBatchResultEntry"`
		XMLFailed   []failed `json:"-" xml:"BatchResultErrorEntry"`
	}
	changedBatch struct {
		batch[done] `xml:"-"`
		XMLDone     []done   `json:"-" xml:"ChangeMessageVisibilityBatchResultEntry"`
		XMLFailed   []failed `json:"-" xml:"BatchResultErrorEntry"`
	}
)

// batch checks what must be right with a batch as a whole.
func (c *call) batch() *failure {
	entries := c.in.Entries
	if len(entries) == 0 {
		return fault(emptyBatch, "There should be at least one "+c.op+"RequestEntry in the request.")
	}
	if len(entries) > entriesMax {
		return faultf(tooManyEntries, "Maximum number of entries per request are %d. You have sent %d.", entriesMax, len(entries))
	}
	for i := range entries {
		id := entries[i].ID
		for k := range len(id) {
			if !nameRune(rune(id[k])) {
				return badEntryID()
			}
		}
		if id == "" || len(id) > entryIDMax {
			return badEntryID()
		}
		for k := range i {
			if entries[k].ID == id {
				return fault(idsNotDistinct, "Id "+id+" repeated.")
			}
		}
	}
	return nil
}

func badEntryID() *failure {
	return fault(invalidEntryID, "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
}

func (d *Door) sendMessageBatch(c *call) (any, *failure) {
	is, fail := d.queue(c)
	if fail != nil {
		return nil, fail
	}
	if fail := c.batch(); fail != nil {
		return nil, fail
	}
	var out sentBatch
	var messages []queue.Message
	var from []*entry
	size := 0
	for i := range c.in.Entries {
		e := &c.in.Entries[i]
		size += e.size()
		if fail := required(is, e); fail != nil { // of one entry, it refuses the batch
			fail.kind = invalidParameter
			return nil, fail
		}
		m, fail := c.message(is, e)
		if fail != nil {
			out.Failed = append(out.Failed, e.failed(fail))
			continue
		}
		messages, from = append(messages, m), append(from, e)
	}
	if size > batchTextMax {
		return nil, faultf(batchTooLong, "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", batchTextMax, size)
	}
	if len(messages) > 0 {
		s, err := d.queues.Send(c.ctx, is.Name, messages...)
		if err != nil {
			return nil, failureOf(err)
		}
		d.tell(c, is, messages, s)
		for i := range s {
			out.Successful = append(out.Successful, from[i].answer(is, &messages[i], s[i]))
		}
	}
	out.XMLSent, out.XMLFailed = out.Successful, out.Failed
	return out, nil
}

// size is how many bytes of an entry count for its batch.
func (e *entry) size() (n int) {
	if e.MessageBody != nil {
		n = len(*e.MessageBody)
	}
	for name, a := range e.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.BinaryValue)
		if a.StringValue != nil {
			n += len(*a.StringValue)
		}
	}
	return n
}

func (s sentBatch) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for i := range s.Successful {
		if i == 0 {
			b = append(b, `"Successful":[`...)
		} else {
			b = append(b, ',')
		}
		b = s.Successful[i].appendJSON(b)
	}
	if len(s.Successful) > 0 {
		b = append(b, ']')
	}
	b = appendFailed(b, s.Failed, len(s.Successful) > 0)
	return append(b, '}')
}

func appendFailed(b []byte, list []failed, comma bool) []byte {
	if len(list) == 0 {
		return b
	}
	if comma {
		b = append(b, ',')
	}
	b = append(b, `"Failed":[`...)
	for i, f := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote.Append(append(b, `{"Id":`...), f.ID)
		b = quote.Append(append(b, `,"Code":`...), f.Code)
		b = quote.Append(append(b, `,"Message":`...), f.Message)
		b = fmt.Appendf(b, `,"SenderFault":%t}`, f.SenderFault)
	}
	return append(b, ']')
}
