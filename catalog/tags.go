package catalog

import (
	"context"
	"errors"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// TagsMax is how many tags a function may have (Lambda Developer Guide, "Tag restrictions").
const TagsMax = 50

type tagging struct {
	Function string            `json:"function"`
	Set      map[string]string `json:"set,omitempty"`
	Drop     []string          `json:"drop,omitempty"`
}

// Tag takes tags from a function and gives it others. They hold until the
// template's own tags of it change. KindNotFound when there is no such function,
// KindInvalid when it would have more than [TagsMax].
func (k *Catalog) Tag(ctx context.Context, function string, set map[string]string, drop []string) error {
	_, err := k.do(ctx, commandTag, tagging{function, set, drop})
	return daruma.Wrap("tag", function, err)
}

// tag changes the tags of a function; its code, its configuration and its
// revision are what they were.
func tag(tx *cell.Tx, t tagging) error {
	key := functionKey(t.Function, Latest)
	rec := functions().Get(tx, key)
	if rec == nil {
		return &daruma.Error{Kind: daruma.KindNotFound, Ref: t.Function, Err: errors.New("no such function")}
	}
	tags := daruma.Tagged(rec.Function.Tags, t.Set, t.Drop)
	if len(tags) > TagsMax {
		return daruma.InvalidAt(t.Function, "%d tags: up to %d", len(tags), TagsMax)
	}
	rec.Function.Tags = tags
	functions().Put(tx, key, rec)
	return nil
}
