// Package sandbox makes the places where function processes run: with their
// own loopback, /tmp, mounts and limits where the kernel allows it, as plain
// processes where it does not. Both kinds sit one exam (sandboxtest).
//
// A place outlives the processes in it: when a function is killed at its
// deadline its /tmp is kept and the next process starts in the same place.
// When the platform dies, by whatever signal, nothing of a place remains:
// no process, mount, namespace or descriptor.
package sandbox

import (
	"context"
	"net"
	"os"
	"syscall"
	"time"
)

// A Maker makes places. Its methods may be called from any goroutine.
type Maker interface {
	// Make makes an empty place. It costs milliseconds.
	Make(ctx context.Context, spec Spec) (Place, error)
	// Kind names the isolation in use: "namespaces" or "processes".
	Kind() string
	// Missing lists, in words for a person, what this kind does not give on
	// this machine ("no memory limit: no cgroup controller"). Empty when all is
	// there. Each line begins with one of the constants below.
	Missing() []string
	// Close closes every place and waits until nothing is left.
	Close() error
}

// What a kind may lack. A line of Missing is one of these, ": ", and why.
const (
	NoMemoryLimit   = "no memory limit"
	NoProcessLimit  = "no process limit"
	NoFileLimit     = "no open file limit"
	NoTmpLimit      = "no /tmp limit"
	NoPaths         = "no paths of its own"      // /var/task is elsewhere; the machine's files can be read
	NoNetwork       = "no network of its own"    // the machine's network can be reached
	NoRedirect      = "no redirect"              // Spec.Redirect is not honoured
	NoProcessesView = "no processes of its own"  // other processes can be seen and signalled
	NoCallFilter    = "no system call filter"    // the kernel's rarer calls can be made
	NoPlatformEnd   = "no end with the platform" // a platform that is killed leaves processes behind, until it starts again
	NoClock         = "no clock of its own"      // Spec.Skew is refused
	NoPrivilegeDrop = "no privileges taken away" // a process has all rights the platform has
)

// A Spec says what a place offers to the processes in it. Zero limits mean none.
type Spec struct {
	ID          string        // unique among the maker's places; [a-z0-9-]{1,64}
	Mounts      []Mount       // read-only, in this order
	Opt         []string      // directories laid over each other at /opt, read-only; later wins
	TmpBytes    int64         // size of /tmp; writing more answers ENOSPC
	MemoryBytes int64         // of all processes together; more ends them (out of memory)
	Processes   int           // processes and threads at once; more answers EAGAIN
	Files       int           // open files per process; more answers EMFILE
	Resolver    string        // nameserver address written to /etc/resolv.conf; "" keeps the machine's
	Trust       string        // a file with PEM certificates, put where runtimes look for trusted roots; "" keeps the machine's
	Trace       bool          // processes may look into and change each other, as debuggers do
	Skew        time.Duration // by how much processes' time of day is ahead of the machine's, behind it when below 0; not with Trace
	Redirect    Redirect      // where what leaves goes; zero: nothing leaves, connecting answers ENETUNREACH
}

// A Redirect leads all that processes send outside their place to ports of
// their own loopback: 127.0.0.1 for what goes to IPv4 addresses, ::1 for
// IPv6. Whoever wants to answer opens these with Place.Listen; SO_ORIGINAL_DST
// on an accepted connection tells where it was meant to go. Zero ports lead nowhere.
type Redirect struct {
	TCP uint16 // for every TCP connection to an address that is not loopback
	DNS uint16 // for every UDP datagram and TCP connection to port 53 of any address but the loopback's
}

// A Mount makes Source visible at Target, read-only.
type Mount struct{ Source, Target string }

// A Place is one prepared place.
type Place interface {
	// Path returns where target, a path as functions know it ("/var/task"),
	// is for processes of this place. Namespaces return target itself.
	Path(target string) string
	// Listen opens a TCP listener that only processes of this place reach.
	// Its Addr is what they connect to: address itself, or another port of
	// the machine's loopback where the place has no loopback of its own.
	Listen(address string) (net.Listener, error)
	// Dial connects to address, "127.0.0.1:9229", where a process of this place
	// listens. It does not wait for one that does not listen yet.
	Dial(ctx context.Context, address string) (net.Conn, error)
	// ListenPacket does the same as Listen for UDP.
	ListenPacket(address string) (net.PacketConn, error)
	// Start starts a process.
	Start(cmd Command) (Process, error)
	// Reset kills every process of the place, waits until they are gone, and
	// keeps /tmp. The place can start processes again.
	Reset(ctx context.Context) error
	// Freeze stops all processes from running until Thaw.
	Freeze() error
	// Thaw lets them run again.
	Thaw() error
	// Usage tells what the place has used.
	Usage() Usage
	// Close kills every process and removes the place. It may be called twice.
	Close() error
}

// A Command is a process to start. Argv[0] is a path in the place or a name
// looked up in the PATH of Env.
type Command struct {
	Argv           []string
	Env            []string
	Dir            string
	Stdout, Stderr *os.File // the process gets duplicates; the caller closes its own
}

// A Process is a started process.
type Process interface {
	// PID is the process's number as the platform sees it.
	PID() int
	// Signal sends a signal to the process alone.
	Signal(sig syscall.Signal) error
	// Done is closed when the process has ended; then Exit tells how.
	Done() <-chan struct{}
	Exit() Exit
}

// An Exit tells how a process ended.
type Exit struct {
	Code        int            // when it exited by itself
	Signal      syscall.Signal // when a signal ended it; else 0
	OutOfMemory bool           // the kernel ended it, or one of its children, for want of memory
}

// Usage is what a place has used since it was made.
type Usage struct {
	MemoryPeakBytes int64 // most memory of all processes together; 0 when not known
	CPU             time.Duration
}
