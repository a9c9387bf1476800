//go:build linux

package skew

import "golang.org/x/sys/unix"

// stackPointer is which of the registers the kernel tells is the stack's.
const stackPointer = 19

// callTime is the call for seconds alone.
const callTime = unix.SYS_TIME

// moreCalls are calls that tell the time of day and that only this architecture has.
var moreCalls = []uint32{callTime}
