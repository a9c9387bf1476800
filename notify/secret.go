package notify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/outside"
)

// A Secret says where a value is: "env:NAME", "file:PATH" or "inline:VALUE".
// Anything else is the value itself, which only a webhook's URL may be.
type Secret string

// secretBytesMax bounds a secret in a file.
const secretBytesMax = 64 << 10

// variables are where secrets are looked up.
type variables struct {
	lookup func(string) (string, bool)
	dir    string
}

// resolve returns the value. It is looked up each time, so that it can be
// changed while the platform runs.
func (v variables) resolve(s Secret) (string, error) {
	missing := func(err error) error {
		return &daruma.Error{Op: "find secret", Ref: string(s), Kind: daruma.KindNotFound, Err: err}
	}
	scheme, at, _ := strings.Cut(string(s), ":")
	switch scheme {
	case "env":
		value, ok := v.lookup(at)
		if !ok || value == "" {
			return "", missing(errors.New("there is no such variable in the environment that daruma was started in"))
		}
		return value, nil
	case "inline":
		return at, nil
	case "file":
		if !filepath.IsAbs(at) {
			at = filepath.Join(v.dir, at)
		}
		f, err := os.Open(at)
		if err != nil {
			return "", missing(err)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, secretBytesMax+1))
		if err != nil || len(text) > secretBytesMax {
			return "", missing(errors.Join(err, fmt.Errorf("it cannot be read, or is larger than %d bytes", secretBytesMax)))
		}
		if value := strings.TrimSpace(string(text)); value != "" {
			return value, nil
		}
		return "", missing(errors.New("it is empty"))
	}
	return string(s), nil
}

// A veil takes secrets out of texts.
type veil struct{ values []string }

// hiddenMin is how long a secret must be to be looked for: shorter ones are words.
const hiddenMin = 4

// hide returns what takes the values of these out of a text, and their parts
// that a library may show alone.
func (v variables) hide(all ...Secret) veil {
	var h veil
	for _, s := range all {
		value, err := v.resolve(s)
		if err != nil || value == string(s) {
			continue // a URL that is written down is no secret
		}
		h.values = append(h.values, value)
		if _, rest, ok := strings.Cut(value, "://"); ok {
			if _, path, ok := strings.Cut(rest, "/"); ok {
				h.values = append(h.values, path)
			}
			h.values = append(h.values, rest)
		}
	}
	h.values = slices.DeleteFunc(h.values, func(s string) bool { return len(s) < hiddenMin })
	slices.SortFunc(h.values, func(a, b string) int { return len(b) - len(a) })
	return h
}

func (h veil) text(s string) string {
	for _, v := range h.values {
		s = strings.ReplaceAll(s, v, "[secret]")
	}
	return s
}

// error returns an error without secrets. What it is made of is kept only
// where it decides what happens next.
func (h veil) error(err error) error {
	out := error(&daruma.Error{Op: "tell", Kind: daruma.KindOf(err), Err: errors.New(h.text(oneLine(err.Error(), textBytesMax)))})
	if _, ok := errors.AsType[*outside.Refused](err); ok {
		out = &inside{text: h.text(err.Error()), err: err}
	}
	if b, ok := errors.AsType[*busy](err); ok {
		out = &busy{b.after, out}
	}
	return out
}

// inside is a refused address, in words without secrets.
type inside struct {
	text string
	err  error
}

func (i *inside) Error() string { return i.text }
func (i *inside) Unwrap() error { return i.err }
