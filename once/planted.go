//go:build planted

package once

import (
	"bytes"
	"time"

	"github.com/daruma-io/daruma/cell"
)

// Bugs planted on purpose: each must make its own test fail, and no other. One
// is chosen at a time, before anything runs.

var planted string

// Plant chooses a bug by its name. It exists with the build tag only.
func Plant(name string) { planted = name }

var laterKey = []byte("later/")

// plantedLater puts a command off to a step of its own, which is lost when the process ends before.
func plantedLater(tx *cell.Tx, body []byte) bool {
	if planted != "key kept in a later step" {
		return false
	}
	key := append(bytes.Clone(laterKey), tx.NewID()...)
	tx.Set(key, body)
	tx.Schedule(tx.Now().Add(time.Nanosecond), key)
	return true
}

// plantedDue takes a step that was put off.
func plantedDue(tx *cell.Tx, key []byte, m Machine) bool {
	if !bytes.HasPrefix(key, laterKey) {
		return false
	}
	body, _ := tx.Get(key)
	tx.Delete(key)
	was := planted
	planted = ""
	_, _ = m.Apply(tx, cell.Command{Machine: machineName, Name: commandKeep, Body: body}) // it was checked
	planted = was
	return true
}
