package node

import (
	"context"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/dynamodb"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/template"
)

// openTableDoor makes the way in to tables.
func (n *Node) openTableDoor(place catalog.Place) error {
	door, err := dynamodb.New(dynamodb.Config{Tables: n.tables, Region: place.Region, Account: place.Account, Clock: n.clock})
	if err != nil {
		return err
	}
	n.front.Register("dynamodb", door.Service())
	return nil
}

// deployTables makes the tables of the template what there is, before anything that names them.
func (n *Node) deployTables(ctx context.Context, t *template.App) error {
	wishes := make([]table.Wish, 0, len(t.Tables))
	for _, one := range t.Tables {
		w, err := dynamodb.Wish(one.Request, template.TableStreamLabel)
		if err != nil {
			return &daruma.Error{Op: "deploy table", Ref: one.LogicalID, Kind: daruma.KindInvalid, Err: fmt.Errorf("%s: %w", one.Position, err)}
		}
		w.Declared, w.Retain, w.Expiry = one.LogicalID, one.Retain, one.Expiry
		wishes = append(wishes, w)
	}
	changes, err := n.tables.Deploy(ctx, wishes)
	if err != nil {
		return err
	}
	for _, r := range changes.Removed {
		if r.Items > 0 {
			n.cfg.Progress(fmt.Sprintf("the table %s is no longer in the template: it was removed with %d items", r.Name, r.Items))
		}
	}
	for _, name := range changes.Kept {
		n.cfg.Progress("the table " + name + " is no longer in the template: it stays, since it is retained or protected")
	}
	return nil
}
