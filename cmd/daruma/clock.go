package main

import (
	"fmt"
	"io"
	"time"

	"github.com/daruma-io/daruma/node"
)

// clockText says how the app's clock differs from the machine's; "" when it does not.
func clockText(scale int, aheadS float64) string {
	ahead := time.Duration(aheadS * float64(time.Second)).Round(time.Second)
	switch {
	case scale > 1 && ahead > 0:
		return fmt.Sprintf("%d times as fast as this machine's, and %v ahead of it", scale, ahead)
	case scale > 1:
		return fmt.Sprintf("%d times as fast as this machine's", scale)
	case ahead > 0:
		return fmt.Sprintf("%v ahead of this machine's: it ran faster once", ahead)
	}
	return ""
}

// noteClock says by which clock the times above are, when it is not the machine's.
func noteClock(out io.Writer, a node.Address) {
	scale, ahead := a.TimeScale, a.AheadS
	if scale > 1 {
		ahead = 0 // it grows from moment to moment
	}
	if text := clockText(scale, ahead); text != "" {
		fmt.Fprintf(out, "\ntimes are the app's: its clock is %s\n", text)
	}
}
