// Package namespace makes places of Linux namespaces: each with its own
// root, processes, network, users and limits, and no way out but the sockets
// the platform opens in it. It needs no root, no helper program and no C: the
// platform's own binary is executed again as the first process of a place,
// which is why main must call Init before anything else.
//
// Making the empty half of a place costs milliseconds, most of them the start
// of the binary. A few such rooms are kept ready, so that Make only has to
// furnish one.
//
//	builder ── fork ──► room (namespaces, loopback, system, starter thread)
//	                      │ Make: /tmp, /etc, mounts, /opt, limits
//	                      ▼
//	                    place ── Start, Reset, Freeze … ── Close
//
// It promises what package sandbox says, with the isolation of a process
// sandbox: one kernel is shared. It does not promise to hold a function that
// knows a hole in that kernel. DESIGN.md in the parent directory tells why it
// is as it is.
package namespace

import (
	"log/slog"
	"time"

	"github.com/daruma-io/daruma/run/sandbox"
)

// A Config says how places are made.
type Config struct {
	// Dir is a private directory for what has to be on disk: layers laid over
	// each other on a kernel without overlayfs. It must exist then. What a
	// killed platform left in it is removed.
	Dir string
	// Spare is how many rooms are kept ready, 0 to SpareMax; each is a
	// sleeping process of some megabytes.
	Spare int
	// Hide are paths of the machine that no place shows, wherever a mount
	// would: the data directory, for one. Home directories, /run, /var and
	// /sys are never shown, but by an explicit mount.
	Hide []string
	// Redirect is the Spec.Redirect most places will ask for; rooms are made
	// ready with it.
	Redirect sandbox.Redirect
	// Log is told what is made by other means than the kernel's best, and what
	// places complain about. nil is silent.
	Log *slog.Logger
}

// SpareMax bounds Config.Spare.
const SpareMax = 64

// How long parts of making and removing a place may take before the place is given up.
const (
	roomWait  = 20 * time.Second
	startWait = 20 * time.Second
	closeWait = 20 * time.Second
	stopWait  = 2 * time.Second
	usageWait = time.Second
)
