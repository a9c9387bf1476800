//go:build planted

package delivery

// Bugs planted on purpose: each must make its own test fail, and no other. One
// is chosen at a time, before anything runs.

var planted string

// Plant chooses a bug by its name. It exists with the build tag only.
func Plant(name string) { planted = name }

func plantedAgeForgotten() bool       { return planted == "age forgotten" }
func plantedThrottleCounts() bool     { return planted == "throttle counts" }
func plantedDeadLetterLost() bool     { return planted == "dead letter lost" }
func plantedSettleWithoutRoute() bool { return planted == "settle without route" }
func plantedOldLeaseSettles() bool    { return planted == "old lease settles" }
func plantedRetryEarly() bool         { return planted == "retry early" }
