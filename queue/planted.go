//go:build planted

package queue

// Bugs planted on purpose: each must make its own test fail, and no other. One
// is chosen at a time, before anything runs.

var planted string

// Plant chooses a bug by its name. It exists with the build tag only.
func Plant(name string) { planted = name }

func plantedGroupTwice() bool  { return planted == "group handed out twice" }
func plantedCopiedAfter() bool { return planted == "dead letter copied after the delete" }
