// Package daruma holds the nouns everyone speaks: what a function is handed
// ([Invocation]), what came of it ([Outcome]), what went wrong ([Failure],
// [Error]), and the few seams that more than one package enters through
// ([Runner], [Observer], [Clock]).
//
// It imports nothing of ours, holds no state and starts nothing, so every
// other package may import it and no cycle can form. All its values are plain
// data: they are followed, never changed, once they have been handed on.
package daruma

import (
	"context"
	"crypto/rand"
	"encoding/hex"
)

// A Runner hands one event to a function and says what came of it.
//
// Run returns exactly one outcome for each call and never panics. It may be
// called from any number of goroutines. Cancelling ctx says that nobody waits
// for the answer any more: an event already handed over keeps running until
// its own deadline, and the outcome is then Unknown to this caller.
type Runner interface {
	Run(ctx context.Context, inv Invocation) Outcome
}

// NewID returns a random identifier in the form of a version 4 UUID, as AWS
// uses it for request IDs.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: it ends the process instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
