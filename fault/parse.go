package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/daruma-io/daruma"
)

// A Duration is written as "300ms", "2s" or "1m30s".
type Duration time.Duration

// String returns it as it is written.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration such as 300ms, 2s or 1m30s", b)
	}
	*d = Duration(v)
	return nil
}

// Parse reads the document of one fault, in JSON or YAML. What it does not
// know is refused by name, as is what [Fault.Validate] finds.
func Parse(document []byte) (Fault, error) {
	var f Fault
	if err := decode(document, &f); err != nil {
		return f, &daruma.Error{Op: "read fault", Kind: daruma.KindInvalid, Err: err}
	}
	return f, errors.Join(nothing(document), f.Validate())
}

// nothing refuses a dose of nothing: what is 0 would be taken for what is left out, and so for everything.
func nothing(document []byte) error {
	var tree map[string]any
	if err := decode(document, &tree); err != nil {
		return err
	}
	dose, _ := tree["dose"].(map[string]any)
	var errs []error
	for _, name := range []string{"rate", "oneIn", "for", "max"} {
		switch v := dose[name].(type) {
		case float64:
			errs = append(errs, Positive(name, v == 0))
		case string:
			d, err := time.ParseDuration(v)
			errs = append(errs, Positive(name, err == nil && d == 0))
		}
	}
	return errors.Join(errs...)
}

// Positive refuses a part of a dose that was given as 0.
func Positive(name string, zero bool) error {
	if !zero {
		return nil
	}
	return &daruma.Error{Op: "read fault", Kind: daruma.KindInvalid, Err: fmt.Errorf("dose.%s: it is 0, and so nothing would be met; leave it out for all that there is", name)}
}

// decode reads JSON, or YAML as the JSON that it stands for, into v.
func decode(document []byte, v any) error {
	if len(document) > documentMax {
		return fmt.Errorf("the document has more than %d bytes", documentMax)
	}
	text := bytes.TrimSpace(document)
	if len(text) == 0 {
		return errors.New("the document is empty")
	}
	if text[0] != '{' {
		var tree any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			return fmt.Errorf("it is neither JSON nor YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if _, ok := tree.(map[string]any); !ok {
			return errors.New("the document is no mapping")
		}
		var err error
		if text, err = json.Marshal(tree); err != nil {
			return fmt.Errorf("it has what JSON has not: %s", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return readable(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// readable says what a decoder means in a person's words.
func readable(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: it is a %s", e.Field, e.Value)
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if name, ok := strings.CutPrefix(text, "unknown field "); ok {
		return fmt.Errorf("%s: there is no such field", strings.Trim(name, `"`))
	}
	return errors.New(text)
}
