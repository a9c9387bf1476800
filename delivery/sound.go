//go:build !planted

package delivery

// Bugs that our own tests must find are planted with a build tag (see
// planted.go). Without it there are none.

func plantedAgeForgotten() bool       { return false }
func plantedThrottleCounts() bool     { return false }
func plantedDeadLetterLost() bool     { return false }
func plantedSettleWithoutRoute() bool { return false }
func plantedOldLeaseSettles() bool    { return false }
func plantedRetryEarly() bool         { return false }
