//go:build planted

package disk

// Bugs planted on purpose: each must make its own test fail. One is chosen at a
// time, before anything runs.

var planted string

// Plant chooses a bug by its name. It exists with the build tag only.
func Plant(name string) { planted = name }

func plantedEarlyAnswer() bool { return planted == "acknowledged before commit" }
func plantedSkippedSync() bool { return planted == "sync skipped" }
