package mapping

import (
	"context"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// TagsMax is how many tags a mapping may have (Lambda Developer Guide, "Tag restrictions").
const TagsMax = 50

type tagging struct {
	UUID string            `json:"uuid"`
	Set  map[string]string `json:"set,omitempty"`
	Drop []string          `json:"drop,omitempty"`
}

// Tag takes tags from a mapping and gives it others. They hold until the
// template's own tags of it change. KindNotFound when there is no such mapping,
// KindInvalid when it would have more than [TagsMax].
func (x *Mappings) Tag(ctx context.Context, uuid string, set map[string]string, drop []string) error {
	_, err := x.send(ctx, commandTag, uuid, tagging{uuid, set, drop})
	return err
}

// tag changes the tags of a mapping, and nothing of how it is at work.
func tag(tx *cell.Tx, t tagging) (*Mapping, error) {
	m := mappings().Get(tx, keyOf(t.UUID))
	if m == nil {
		return nil, notFound(t.UUID)
	}
	tags := daruma.Tagged(m.Tags, t.Set, t.Drop)
	if len(tags) > TagsMax {
		return nil, daruma.Invalidf("%d tags: up to %d", len(tags), TagsMax)
	}
	m.Tags = tags
	mappings().Put(tx, keyOf(m.UUID), m)
	return m, nil
}
