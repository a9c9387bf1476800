package node

import (
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/sqs"
)

// openQueueDoor makes the way in to queues.
func (n *Node) openQueueDoor(place catalog.Place) error {
	door, err := sqs.New(sqs.Config{Queues: n.queues, Place: place, End: n.ending})
	if err != nil {
		return err
	}
	n.front.Register("sqs", door.Service())
	return nil
}
