package cloudwatch

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/daruma-io/daruma/door/wire"
)

// Limits of what is read.
const (
	nestingMax = 16
	itemsMax   = 1 << 12 // of a list, members of a map
)

// An instant is a time as the protocols write it: seconds since 1970 in JSON, the
// same with a tag in CBOR, and a text in the query protocol.
type instant time.Time

func instantOf(t time.Time) *instant {
	if t.IsZero() {
		return nil
	}
	i := instant(t)
	return &i
}

func (i instant) seconds() float64 { return float64(time.Time(i).UnixMilli()) / 1e3 }

func fromSeconds(s float64) (instant, error) {
	if math.IsNaN(s) || math.Abs(s) > 1<<40 {
		return instant{}, fmt.Errorf("%v is no time", s)
	}
	return instant(time.UnixMilli(int64(math.Round(s * 1e3))).UTC()), nil
}

// fromText reads a time as people and the query protocol write it.
func fromText(text string) (instant, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return instant(t.UTC()), nil
		}
	}
	return instant{}, fmt.Errorf("%q is no time", text)
}

// MarshalJSON writes seconds.
func (i instant) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, i.seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON reads seconds, or a text.
func (i *instant) UnmarshalJSON(b []byte) (err error) {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*i, err = fromText(text)
		return err
	}
	var s float64
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*i, err = fromSeconds(s)
	return err
}

// timeTag is that of seconds since 1970 (RFC 8949, 3.4.2).
const timeTag = 1

// MarshalCBOR writes seconds with their tag.
func (i instant) MarshalCBOR() ([]byte, error) {
	return cbor.Marshal(cbor.Tag{Number: timeTag, Content: i.seconds()})
}

// UnmarshalCBOR reads seconds with their tag.
func (i *instant) UnmarshalCBOR(b []byte) error {
	var tag cbor.RawTag
	var s float64
	if err := cbor.Unmarshal(b, &tag); err != nil {
		return err
	}
	if tag.Number != timeTag {
		return fmt.Errorf("the tag %d is not that of a time", tag.Number)
	}
	if err := cbor.Unmarshal(tag.Content, &s); err != nil {
		return err
	}
	var err error
	*i, err = fromSeconds(s)
	return err
}

// strict is how CBOR is read.
func strict() (cbor.DecMode, error) {
	return cbor.DecOptions{MaxNestedLevels: nestingMax, MaxArrayElements: itemsMax, MaxMapPairs: itemsMax, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
}

// read reads the input of an operation. A member that it does not have is refused.
func (c *call) read(in any) *wire.Error {
	var err error
	switch c.protocol {
	case rpcCBOR:
		var mode cbor.DecMode
		if mode, err = strict(); err == nil && len(c.Body) > 0 {
			err = mode.Unmarshal(c.Body, in)
		}
	case json10:
		if len(c.Body) > 0 {
			d := json.NewDecoder(bytes.NewReader(c.Body))
			d.DisallowUnknownFields()
			err = d.Decode(in)
		}
	default:
		f := filling{form: c.form, used: map[string]bool{"Action": true, "Version": true}}
		if err = f.fill(reflect.ValueOf(in).Elem(), "", 0); err == nil {
			err = f.left()
		}
	}
	if err == nil {
		return nil
	}
	if name, ok := unknownMember(err); ok {
		return parameter(name + " is not supported here")
	}
	return &wire.Error{Status: http.StatusBadRequest, Code: "SerializationException", Query: "MalformedInput", Message: "The request cannot be read: " + err.Error()}
}

// unknownMember finds out which member a decoder did not know.
func unknownMember(err error) (string, bool) {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "json: unknown field "); ok {
		return strings.Trim(name, `"`), true
	}
	if e, ok := errors.AsType[*cbor.UnknownFieldError](err); ok {
		return fmt.Sprintf("member %d of the request", e.Index+1), true
	}
	if e, ok := errors.AsType[unknownParameter](err); ok {
		return string(e), true
	}
	return "", false
}

type unknownParameter string

func (u unknownParameter) Error() string { return string(u) + " is not known" }

// A filling reads the parameters of the query protocol into structs.
type filling struct {
	form url.Values
	used map[string]bool
}

// left refuses what nothing has used.
func (f *filling) left() error {
	names := make([]string, 0, len(f.form))
	for name := range f.form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !f.used[name] && f.form.Get(name) != "" {
			return unknownParameter(name)
		}
	}
	return nil
}

// has says whether any parameter is, or begins with, a name.
func (f *filling) has(name string) bool {
	if f.form.Has(name) {
		return true
	}
	for k := range f.form {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

func (f *filling) fill(v reflect.Value, name string, depth int) error {
	if depth > nestingMax {
		return fmt.Errorf("%s: too deep", name)
	}
	text := f.form.Get(name)
	if i, ok := v.Addr().Interface().(*instant); ok {
		f.used[name] = true
		t, err := fromText(text)
		*i = t
		return err
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !f.has(name) {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return f.fill(v.Elem(), name, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			if name != "" {
				field = name + "." + field
			}
			if !f.has(field) {
				continue
			}
			if err := f.fill(v.Field(i), field, depth+1); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		f.used[name], f.used[name+".member"] = true, true // an empty list
		for i := 1; i <= itemsMax && f.has(name+".member."+strconv.Itoa(i)); i++ {
			one := reflect.New(v.Type().Elem()).Elem()
			if err := f.fill(one, name+".member."+strconv.Itoa(i), depth+1); err != nil {
				return err
			}
			v.Set(reflect.Append(v, one))
		}
		return nil
	}
	f.used[name] = true
	return scalar(v, name, text)
}

// scalar reads one value.
func scalar(v reflect.Value, name, text string) (err error) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		var n int
		n, err = strconv.Atoi(text)
		v.SetInt(int64(n))
	case reflect.Float64:
		var n float64
		n, err = strconv.ParseFloat(text, 64)
		v.SetFloat(n)
	case reflect.Bool:
		var is bool
		is, err = strconv.ParseBool(text)
		v.SetBool(is)
	default:
		return unknownParameter(name)
	}
	if err != nil {
		return fmt.Errorf("%s: %q is no %s", name, text, v.Kind())
	}
	return nil
}

// reply answers with the output of an operation, which is nil when it has none.
func (c *call) reply(w http.ResponseWriter, out any) *wire.Error {
	var body []byte
	var err error
	switch h := w.Header(); c.protocol {
	case rpcCBOR:
		h["Smithy-Protocol"] = []string{"rpc-v2-cbor"}
		if out != nil {
			h["Content-Type"] = []string{"application/cbor"}
			body, err = cbor.Marshal(out)
		}
	case json10:
		h["Content-Type"] = []string{"application/x-amz-json-1.0"}
		body = []byte("{}")
		if out != nil {
			body, err = json.Marshal(out)
		}
	default:
		h["Content-Type"] = []string{"text/xml"}
		var b bytes.Buffer
		b.WriteString("<" + c.name + `Response xmlns="` + namespace + `">`)
		if out != nil {
			element(&b, c.name+"Result", reflect.ValueOf(out))
		}
		b.WriteString("<ResponseMetadata><RequestId>" + c.ID + "</RequestId></ResponseMetadata></" + c.name + "Response>")
		body = b.Bytes()
	}
	if err != nil {
		return internal(err.Error())
	}
	w.Write(body)
	return nil
}

// element writes a value in XML, under a name. What is nil, or left out elsewhere, is left out.
func element(b *bytes.Buffer, name string, v reflect.Value) {
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	b.WriteString("<" + name + ">")
	defer b.WriteString("</" + name + ">")
	if i, ok := v.Interface().(instant); ok {
		b.WriteString(time.Time(i).UTC().Format("2006-01-02T15:04:05.000Z"))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if strings.Contains(f.Tag.Get("json"), "omitempty") && v.Field(i).IsZero() {
				continue
			}
			if f.Anonymous {
				continue
			}
			element(b, f.Name, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			element(b, "member", v.Index(i))
		}
	case reflect.Map: // of numbers, by name
		keys := v.MapKeys()
		slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
		for _, k := range keys {
			b.WriteString("<entry>")
			element(b, "key", k)
			element(b, "value", v.MapIndex(k))
			b.WriteString("</entry>")
		}
	default:
		_ = xml.EscapeText(b, []byte(fmt.Sprint(v.Interface()))) // a Buffer takes everything
	}
}
