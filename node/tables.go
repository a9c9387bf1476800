package node

import (
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/dynamodb"
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
