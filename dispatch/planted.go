//go:build planted

package dispatch

// Bugs planted on purpose: each must make its own test fail, and no other. One
// is chosen at a time, before anything runs.

var planted string

// Plant chooses a bug by its name. It exists with the build tag only.
func Plant(name string) { planted = name }

func plantedThrottleSpends() bool { return planted == "throttle spends a receive" }
func plantedHeldReceives() bool   { return planted == "held queue is received from" }
func plantedReportBelieved() bool { return planted == "malformed report deletes" }
func plantedUnwantedStays() bool  { return planted == "filtered message stays" }
