package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An answer is what a function's result says to send.
type answer struct {
	status  int
	headers []field // as the function named them, in order
	cookies []string
	body    []byte
	encoded bool // body is base64 still
	chosen  bool // the function chose the status; else the body is its result itself
}

// A field is one header of an answer. multi says that it came from multiValueHeaders.
type field struct {
	name, value string
	multi       bool
}

// fieldsMax bounds the headers and cookies of one answer.
const fieldsMax = 1000

// A form says how a product reads a function's result.
type form uint8

const (
	form2    form = iota // payload 2.0 of HTTP APIs and function URLs
	form1                // payload 1.0 of HTTP APIs
	formREST             // proxy integrations of REST APIs
	formHead             // the JSON before a streamed body
)

var (
	errNotJSON  = errors.New("the function's result is not valid JSON")
	errNoObject = errors.New("the function's result is not an object")
	errNoStatus = errors.New("the function's result has no statusCode")
)

// decodeAnswer reads a function's result. An error says why a product refuses it.
func decodeAnswer(result []byte, f form) (answer, error) {
	d := decoder{s: scanner{text: result}, form: f}
	switch {
	case d.s.peek() == '{':
		if !d.s.object(d.member) {
			if d.err == nil {
				d.err = errNotJSON
			}
			return answer{}, d.err
		}
	case f != form2:
		return answer{}, errNoObject
	case !d.s.skip(0):
		return answer{}, errNotJSON
	}
	if !d.s.end() {
		return answer{}, errNotJSON
	}
	if f == form2 && d.out.status == 0 {
		return whole(result), nil
	}
	return d.finish()
}

// whole makes a result without a statusCode the body of an answer. A bare
// string is sent without its quotes.
func whole(result []byte) answer {
	s := scanner{text: result}
	if s.peek() == '"' {
		text, _ := s.str()
		return answer{status: 200, body: text}
	}
	return answer{status: 200, body: result}
}

// A decoder reads one result. In form 2 what it finds wrong counts only when
// there is a statusCode: without one the result is not an answer but a body.
type decoder struct {
	s     scanner
	form  form
	out   answer
	known int // members a proxy answer has
	err   error
}

// member reads one member of the result.
func (d *decoder) member(key []byte) bool {
	d.known++
	switch string(key) {
	case "statusCode":
		return d.status()
	case "headers":
		return d.headers()
	case "multiValueHeaders":
		if d.form == form2 {
			return d.s.skip(1)
		}
		return d.multi()
	case "cookies":
		if d.form == form2 || d.form == formHead {
			return d.cookies()
		}
	case "body":
		return d.body()
	case "isBase64Encoded":
		text, isNull, ok := d.scalarOr("isBase64Encoded is not a boolean")
		d.out.encoded = text == "true"
		if ok && !isNull && text != "true" && text != "false" {
			return d.wrong("isBase64Encoded is not a boolean")
		}
		return ok
	}
	d.known--
	if d.form == formREST && !d.wrong(fmt.Sprintf("the function's result has the unknown key %q", key)) {
		return false
	}
	return d.s.skip(1)
}

// wrong notes what is wrong and says whether to read on.
func (d *decoder) wrong(text string) bool {
	if d.err == nil {
		d.err = errors.New(text)
	}
	return d.form == form2
}

// scalarOr reads a string, number, boolean or null; anything else is wrong.
func (d *decoder) scalarOr(text string) (value string, isNull, ok bool) {
	if c := d.s.peek(); c == '{' || c == '[' {
		return "", true, d.wrong(text) && d.s.skip(1)
	}
	return d.s.scalar()
}

func (d *decoder) status() bool {
	if d.null() {
		d.out.status = 0
		return true
	}
	d.out.status = -1 // there is one, good or bad
	text, _, ok := d.scalarOr("statusCode is not a number")
	if !ok {
		return false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 200 || n > 599 {
		return d.wrong("statusCode is not a status between 200 and 599")
	}
	d.out.status = n
	return true
}

// null passes over a null and says whether there was one.
func (d *decoder) null() bool { return d.s.peek() == 'n' && d.s.word("null") }

func (d *decoder) headers() bool {
	d.out.headers = dropSingles(d.out.headers)
	if d.null() {
		return true
	}
	if d.s.peek() != '{' {
		return d.wrong("headers is not an object") && d.s.skip(1)
	}
	return d.s.object(func(key []byte) bool {
		name := string(key)
		value, isNull, ok := d.scalarOr("a header's value is not a string")
		if !ok || isNull {
			return ok
		}
		for i := range d.out.headers {
			if f := &d.out.headers[i]; !f.multi && f.name == name {
				f.value = value
				return true
			}
		}
		return d.add(field{name: name, value: value})
	})
}

// add notes one header.
func (d *decoder) add(f field) bool {
	if len(d.out.headers) == fieldsMax {
		return d.wrong("the function's result has too many headers")
	}
	d.out.headers = append(d.out.headers, f)
	return true
}

// dropSingles forgets what an earlier member "headers" said: the later wins.
func dropSingles(fs []field) []field {
	if len(fs) == 0 {
		return make([]field, 0, 4)
	}
	kept := fs[:0]
	for _, f := range fs {
		if f.multi {
			kept = append(kept, f)
		}
	}
	return kept
}

func (d *decoder) multi() bool {
	if d.null() {
		return true
	}
	if d.s.peek() != '{' {
		return d.wrong("multiValueHeaders is not an object")
	}
	return d.s.object(func(key []byte) bool {
		name := string(key)
		if d.null() {
			return true
		}
		if d.s.peek() != '[' {
			return d.wrong("a value of multiValueHeaders is not a list")
		}
		return d.s.array(func() bool {
			value, isNull, ok := d.scalarOr("a value of multiValueHeaders is not a list of strings")
			if !ok || isNull {
				return ok
			}
			return d.add(field{name: name, value: value, multi: true})
		})
	})
}

func (d *decoder) cookies() bool {
	d.out.cookies = nil
	if d.null() {
		return true
	}
	if d.s.peek() != '[' {
		return d.wrong("cookies is not a list") && d.s.skip(1)
	}
	return d.s.array(func() bool {
		if d.s.peek() != '"' {
			return d.wrong("cookies is not a list of strings") && d.s.skip(1)
		}
		cookie, ok := d.s.str()
		d.out.cookies = append(d.out.cookies, string(cookie))
		return ok
	})
}

func (d *decoder) body() bool {
	d.out.body = nil
	if d.null() {
		return true
	}
	if d.s.peek() != '"' {
		return d.wrong("body is not a string") && d.s.skip(1)
	}
	var ok bool
	d.out.body, ok = d.s.str()
	return ok
}

// finish checks what was read as a whole.
func (d *decoder) finish() (answer, error) {
	if d.err != nil {
		return answer{}, d.err
	}
	if d.out.status == 0 {
		switch {
		case d.form == form1:
			return answer{}, errNoStatus
		case d.form == formREST && d.known == 0:
			return answer{}, errors.New("the function's result is an empty object")
		}
		d.out.status = 200
	}
	d.out.chosen = true
	if len(d.out.cookies) > fieldsMax {
		return answer{}, errors.New("the function's result has too many cookies")
	}
	if d.form != form2 {
		d.out.headers = merge(d.out.headers)
	}
	for _, f := range d.out.headers {
		if !validHeader(f.name, f.value) {
			return answer{}, fmt.Errorf("the header %q cannot be sent", f.name)
		}
	}
	for _, v := range d.out.cookies {
		if !validHeader("Set-Cookie", v) {
			return answer{}, errors.New("a cookie cannot be sent")
		}
	}
	if d.out.encoded && d.form != formREST {
		if err := d.out.unpack(); err != nil {
			return answer{}, err
		}
	}
	return d.out, nil
}

// unpack replaces a body in base64 with what it stands for.
func (a *answer) unpack() error {
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(a.body)))
	n, err := base64.StdEncoding.Decode(decoded, a.body)
	if err != nil {
		return fmt.Errorf("decode the body as base64: %w", err)
	}
	a.body, a.encoded = decoded[:n], false
	return nil
}

// merge puts the values of one name together: those of multiValueHeaders
// first, then that of headers unless it is among them. The spelling in
// headers wins.
func merge(fs []field) []field {
	out := make([]field, 0, len(fs))
	for _, multi := range [...]bool{true, false} {
		for _, f := range fs {
			if f.multi != multi {
				continue
			}
			known := false
			for i := range out {
				if strings.EqualFold(out[i].name, f.name) && !multi {
					out[i].name = f.name
					known = known || out[i].multi && out[i].value == f.value
				}
			}
			if !known {
				out = append(out, f)
			}
		}
	}
	return out
}

// validHeader says whether a header can be sent as it is (RFC 9110, section 5).
func validHeader(name, value string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		if !isToken(name[i]) {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
