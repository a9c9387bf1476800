//go:build !planted

package dispatch

// Bugs that our own tests must find are planted with a build tag (see
// planted.go). Without it there are none.

func plantedThrottleSpends() bool { return false }
func plantedHeldReceives() bool   { return false }
func plantedReportBelieved() bool { return false }
func plantedUnwantedStays() bool  { return false }
