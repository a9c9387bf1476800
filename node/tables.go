package node

import (
	"context"
	"fmt"
	"net/http"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/door/dynamodb"
	"github.com/daruma-io/daruma/table/schema"
)

// openTableDoor makes the way in to tables.
func (n *Node) openTableDoor(place catalog.Place) error {
	door, err := dynamodb.New(dynamodb.Config{Tables: n.tables, Region: place.Region, Account: place.Account, Clock: n.clock})
	if err != nil {
		return err
	}
	n.front.Register("dynamodb", door.Service())
	n.front.Public(door.IsForAnybody, http.HandlerFunc(door.ServeAnybody))
	return nil
}

// deployTables makes the tables of the template what there is, before anything that names them.
func (n *Node) deployTables(ctx context.Context, wishes []schema.Wish) error {
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

// tableRows names all tables, in the order of their names.
func (n *Node) tableRows() []console.Table {
	all := []console.Table{}
	for _, name := range n.tables.Names() {
		if one := n.tables.Definition(name); one != nil {
			all = append(all, console.Table{Name: name, LogicalID: one.Declared})
		}
	}
	return all
}
