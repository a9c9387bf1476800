package sqs

import (
	"strconv"
	"unicode/utf8"
)

// A lean reads the requests that come by the thousand, and gives up at
// anything that is not plain: an unknown parameter, attributes, null, an escape
// of a character. The complete reader (package json) takes over then, so that
// this one need not know more than what it is fast at. FuzzLean compares them.
type lean struct {
	b      []byte
	i      int
	gaveUp bool
}

// readLean reads the parameters of a request, or returns false and leaves them anyhow.
func (in *input) readLean(body []byte) bool {
	l := &lean{b: body}
	l.object(func(key string) bool {
		switch key {
		case "QueueUrl":
			in.QueueURL = l.text()
		case "MaxNumberOfMessages":
			in.MaxNumberOfMessages = l.number()
		case "WaitTimeSeconds":
			in.WaitTimeSeconds = l.number()
		case "AttributeNames":
			in.AttributeNames = l.texts()
		case "MessageSystemAttributeNames":
			in.SystemAttributeNames = l.texts()
		case "MessageAttributeNames":
			in.MessageAttributeNames = l.texts()
		case "Entries":
			in.Entries = l.entries()
		default:
			return l.entryField(&in.entry, key)
		}
		return true
	})
	l.space()
	return !l.gaveUp && l.i == len(l.b)
}

func (l *lean) entryField(e *entry, key string) bool {
	switch key {
	case "Id":
		e.ID = l.text()
	case "MessageBody":
		e.MessageBody = l.pointer()
	case "ReceiptHandle":
		e.ReceiptHandle = l.text()
	case "MessageGroupId":
		e.MessageGroupID = l.pointer()
	case "MessageDeduplicationId":
		e.MessageDeduplicationID = l.pointer()
	case "DelaySeconds":
		e.DelaySeconds = l.number()
	case "VisibilityTimeout":
		e.VisibilityTimeout = l.number()
	default:
		return false
	}
	return true
}

func (l *lean) entries() []entry {
	list := make([]entry, 0, entriesMax)
	l.list(func() {
		var e entry
		l.object(func(key string) bool { return l.entryField(&e, key) })
		list = append(list, e)
	})
	return list
}

func (l *lean) texts() []string {
	list := []string{}
	l.list(func() { list = append(list, l.text()) })
	return list
}

func (l *lean) giveUp() { l.gaveUp, l.i = true, len(l.b) }

func (l *lean) space() {
	for l.i < len(l.b) && (l.b[l.i] == ' ' || l.b[l.i] == '\n' || l.b[l.i] == '\t' || l.b[l.i] == '\r') {
		l.i++
	}
}

// next takes the next character that is no space, if it is c.
func (l *lean) next(c byte) bool {
	l.space()
	if l.i < len(l.b) && l.b[l.i] == c {
		l.i++
		return true
	}
	return false
}

func (l *lean) must(c byte) {
	if !l.next(c) {
		l.giveUp()
	}
}

// object has f read the value of each key; false is a key it does not know.
func (l *lean) object(f func(key string) bool) {
	l.must('{')
	if l.next('}') {
		return
	}
	for !l.gaveUp {
		key := l.text()
		l.must(':')
		if l.gaveUp || !f(key) {
			l.giveUp()
			return
		}
		if !l.next(',') {
			l.must('}')
			return
		}
	}
}

// list has f read each item.
func (l *lean) list(f func()) {
	l.must('[')
	if l.next(']') {
		return
	}
	for !l.gaveUp {
		f()
		if !l.next(',') {
			l.must(']')
			return
		}
	}
}

func (l *lean) pointer() *string {
	s := l.text()
	return &s
}

// text reads a text with the escapes that need no thought.
func (l *lean) text() string {
	l.must('"')
	b, from, high := l.b, l.i, byte(0)
	i := from
	for ; i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\'; i++ {
		high |= b[i]
	}
	l.i = i
	switch {
	case i == len(b):
	case b[i] == '\\':
		return l.escaped(from)
	case b[i] == '"' && (high < utf8.RuneSelf || utf8.Valid(b[from:i])):
		l.i++
		return string(b[from:i])
	}
	l.giveUp()
	return ""
}

// escaped goes on at the first escape of a text that began at from.
func (l *lean) escaped(from int) string {
	s := append(make([]byte, 0, 2*(l.i-from)+64), l.b[from:l.i]...)
	for ; l.i < len(l.b); l.i++ {
		c := l.b[l.i]
		switch {
		case c == '"':
			l.i++
			if !utf8.Valid(s) {
				l.giveUp()
				return ""
			}
			return string(s)
		case c < ' ':
			l.giveUp()
			return ""
		case c != '\\':
			s = append(s, c)
			continue
		}
		if l.i++; l.i == len(l.b) {
			break
		}
		switch c := l.b[l.i]; c {
		case '"', '\\', '/':
			s = append(s, c)
		case 'n':
			s = append(s, '\n')
		case 't':
			s = append(s, '\t')
		case 'r':
			s = append(s, '\r')
		default:
			l.giveUp()
			return ""
		}
	}
	l.giveUp()
	return ""
}

// number reads a whole number of a few digits.
func (l *lean) number() *int {
	l.space()
	from := l.i
	for l.i < len(l.b) && '0' <= l.b[l.i] && l.b[l.i] <= '9' {
		l.i++
	}
	n, err := strconv.Atoi(string(l.b[from:l.i]))
	if err != nil || l.i-from > 9 || l.i-from > 1 && l.b[from] == '0' {
		l.giveUp()
		return nil
	}
	return &n
}
