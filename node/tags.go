package node

import "context"

// tags is where the Lambda API writes tags.
type tags struct{ node *Node }

// TagFunction changes the tags of a function, which its failures show from then on.
func (t tags) TagFunction(ctx context.Context, function string, set map[string]string, drop []string) error {
	if err := t.node.catalog.Tag(ctx, function, set, drop); err != nil {
		return err
	}
	return t.node.configureEvents(ctx)
}

// TagMapping changes the tags of a mapping.
func (t tags) TagMapping(ctx context.Context, uuid string, set map[string]string, drop []string) error {
	return t.node.mappings.Tag(ctx, uuid, set, drop)
}
