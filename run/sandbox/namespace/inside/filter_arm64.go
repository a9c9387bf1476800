//go:build linux

package inside

import "golang.org/x/sys/unix"

const (
	auditArch     = unix.AUDIT_ARCH_AARCH64
	callNumberEnd = 0x40000000
)

// deniedHere are the denied calls that only this architecture has.
var deniedHere []uint32
