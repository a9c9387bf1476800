package lambda

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/mapping"
)

// Tags is where tags are written that are set through the API. What it writes
// holds until the template's own tags change.
type Tags interface {
	// TagFunction takes tags from a function and gives it others. KindInvalid
	// when it would have too many, KindNotFound when there is no such function.
	TagFunction(ctx context.Context, function string, set map[string]string, drop []string) error
	// TagMapping does the same with an event source mapping.
	TagMapping(ctx context.Context, uuid string, set map[string]string, drop []string) error
}

// What a tag may be (Lambda Developer Guide, "Tag restrictions").
const (
	tagKeyMax   = 128
	tagValueMax = 256
	tagSystem   = "aws:"
)

// A tagged is what tags can be given to: a function, or a mapping.
type tagged struct {
	function string
	mapping  *mapping.Mapping
	tags     map[string]string
}

// tagged finds what the request's ARN names.
func (d *Door) tagged(c *call) (t tagged, _ *wire.Error) {
	var v violations
	v.check(&taggable, c.args[0], "resource")
	if err := v.error(); err != nil {
		return t, err
	}
	if _, uuid, ok := strings.Cut(c.args[0], ":event-source-mapping:"); ok {
		if d.cfg.Mappings == nil || !strings.EqualFold(c.args[0], mappingARN(c.view.Place, uuid)) {
			return t, noResource()
		}
		if t.mapping = d.cfg.Mappings.Mapping(strings.ToLower(uuid)); t.mapping == nil {
			return t, noResource()
		}
		t.tags = t.mapping.Tags
		return t, nil
	}
	ref, ok := functionName.parse(c.args[0])
	if !ok {
		return t, noResource()
	}
	if ref.Qualifier != "" {
		return t, invalidParameter("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	if err := ref.local(c.view.Place, c.Caller, c.op); err != nil {
		return t, err
	}
	f, err := c.exists(ref)
	if err != nil {
		return t, err
	}
	return tagged{function: f.Name, tags: f.Tags}, nil
}

// listTags answers ListTags.
func (d *Door) listTags(c *call) (any, *wire.Error) {
	t, err := d.tagged(c)
	if err != nil {
		return nil, err
	}
	if t.tags == nil {
		t.tags = map[string]string{}
	}
	return struct{ Tags map[string]string }{t.tags}, nil
}

// tagResource answers TagResource.
func (d *Door) tagResource(c *call) (any, *wire.Error) {
	var ask struct{ Tags map[string]string }
	if json.Unmarshal(c.Body, &ask) != nil {
		return nil, invalidContent("Could not parse request body into json.")
	}
	if ask.Tags == nil {
		return nil, &wire.Error{Status: 400, Code: "ValidationException", Message: "1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null"}
	}
	for key, value := range ask.Tags {
		switch n := utf8.RuneCountInString(key); {
		case n < 1 || n > tagKeyMax:
			return nil, invalidParameter("The tag key " + strconv.Quote(key) + " has " + strconv.Itoa(n) + " characters: from 1 to " + strconv.Itoa(tagKeyMax) + ".")
		case utf8.RuneCountInString(value) > tagValueMax:
			return nil, invalidParameter("The value of the tag " + strconv.Quote(key) + " has more than " + strconv.Itoa(tagValueMax) + " characters.")
		}
		if err := own(key); err != nil {
			return nil, err
		}
	}
	return nil, d.tag(c, ask.Tags, nil)
}

// untagResource answers UntagResource.
func (d *Door) untagResource(c *call) (any, *wire.Error) {
	keys := c.query["tagKeys"]
	if len(keys) == 0 {
		return nil, &wire.Error{Status: 400, Code: "ValidationException", Message: "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"}
	}
	if i := slices.IndexFunc(keys, func(key string) bool { return own(key) != nil }); i >= 0 {
		return nil, own(keys[i])
	}
	return nil, d.tag(c, nil, keys)
}

// own refuses keys that only the service itself gives.
func own(key string) *wire.Error {
	if strings.HasPrefix(strings.ToLower(key), tagSystem) {
		return invalidParameter("Tag keys that begin with " + tagSystem + " are the service's own: " + key)
	}
	return nil
}

// tag changes the tags of what the request names.
func (d *Door) tag(c *call, set map[string]string, drop []string) *wire.Error {
	if d.cfg.Tags == nil {
		return unsupported(c.op + " is not supported here.")
	}
	t, refused := d.tagged(c)
	if refused != nil {
		return refused
	}
	var err error
	if t.mapping != nil {
		err = d.cfg.Tags.TagMapping(c.HTTP.Context(), t.mapping.UUID, set, drop)
	} else {
		err = d.cfg.Tags.TagFunction(c.HTTP.Context(), t.function, set, drop)
	}
	switch kind := daruma.KindOf(err); {
	case err == nil:
		return nil
	case kind == daruma.KindInvalid:
		return invalidParameter(err.Error())
	default:
		return fromKind(kind, err.Error())
	}
}
