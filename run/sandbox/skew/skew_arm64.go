//go:build linux

package skew

// stackPointer is which of the registers the kernel tells is the stack's.
const stackPointer = 31

// callTime is the call for seconds alone, which is not there.
const callTime = -1

// moreCalls are calls that tell the time of day and that only this architecture has.
var moreCalls []uint32
