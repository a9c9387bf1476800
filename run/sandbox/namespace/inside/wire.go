//go:build linux

// Package inside is what runs within a place: the first process of its
// process namespace, which builds the place's root, starts and reaps its
// processes, and answers the platform over one socket.
//
// The platform's own binary is executed again for it; Run is entered when
// Role says so and never returns. It trusts its socket and nothing else: no
// process of a place shares a descriptor with it, may signal it or look into
// it. When the socket closes it exits, and the kernel ends whatever else is
// in the place. It keeps nothing on disk.
//
// One Run serves one place. Requests are answered in the order they come;
// the only messages that no request asked for tell of ended processes.
package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma/run/sandbox"
)

const (
	// MessageBytesMax bounds one message either way; a command with its
	// environment must fit.
	MessageBytesMax = 160 << 10
	// ReplyBytesMax bounds an answer; longer error texts are cut.
	ReplyBytesMax = 16 << 10
	// filesMax bounds the descriptors that come with one message.
	filesMax = 8
)

// A Request asks for one thing: exactly one of its pointers is set.
type Request struct {
	ID      uint64
	Room    *Room    `json:",omitempty"`
	Prepare *Prepare `json:",omitempty"`
	Furnish *Furnish `json:",omitempty"`
	Listen  *Listen  `json:",omitempty"`
	Start   *Start   `json:",omitempty"`
	Signal  *Signal  `json:",omitempty"`
	Usage   *Usage   `json:",omitempty"`
}

// A Room asks the builder for a new room. With it comes the room's end of
// its socket; the answer brings a pidfd of its first process.
type Room struct {
	Own  bool    // the platform is not root: the room maps its user to itself
	UIDs []Range // else the identifiers the platform has, which the room has as well
	GIDs []Range
}

// A Range is Size identifiers from First on.
type Range struct{ First, Size int }

// A Prepare makes an empty room of a new process: everything that does not
// depend on what will be in it. With it come the version-1 cgroup task files
// to join, then one version-2 cgroup directory if Unified says so.
type Prepare struct {
	UID, GID int
	Switch   bool     // become UID and GID; else the platform's user is used and must be UID
	Hide     []string // paths of the machine not to show
	Tasks    int      // how many task files came
	Unified  bool
	Trace    bool // processes may trace each other
	Redirect sandbox.Redirect
}

// A Furnish makes a place of a room.
type Furnish struct {
	Mounts    []sandbox.Mount
	Opt       []string
	TmpBytes  int64
	Memory    int64 // watch it by sampling; 0 when a cgroup does
	Processes int   // limit by RLIMIT_NPROC; 0 when a cgroup does
	Files     int
	Resolver  string
	Trust     string
	Redirect  sandbox.Redirect
	Skew      bool // the time of day is another: the answer brings what asks for it
}

// A Listen opens a socket in the place's network; the answer brings it.
type Listen struct {
	Address string // ip:port
	UDP     bool
	Dial    bool // a socket that the platform connects with: it belongs to the place's network
}

// A Start starts a process. With it come the files for standard output and
// error, as far as there are any; the answer brings a pidfd.
type Start struct {
	Argv, Env      []string
	Dir            string
	Stdout, Stderr bool
}

// A Signal goes to every process of the place but the first. Gone also waits
// until none is left.
type Signal struct {
	Signal syscall.Signal
	Gone   bool
}

// A Usage asks for what has been used.
type Usage struct{}

// A Reply answers the request of its ID. With ID 0 it tells that process PID ended.
type Reply struct {
	ID     uint64
	Errno  syscall.Errno `json:",omitempty"`
	Error  string        `json:",omitempty"`
	PID    int           `json:",omitempty"` // as the place counts
	Status uint32        `json:",omitempty"` // as wait(2) tells it
	OOM    bool          `json:",omitempty"` // sampling found too much memory since the process started
	CPU    time.Duration `json:",omitempty"`
	Memory int64         `json:",omitempty"` // most memory sampled
	Lacks  []string      `json:",omitempty"` // lines for Missing
	Tmp    bool          `json:",omitempty"` // a descriptor of /tmp came, and then one for skew.Open when that was asked
}

// Err is the error a reply carries, or nil. It is the errno when there is one.
func (r *Reply) Err() error {
	switch {
	case r.Error == "" && r.Errno == 0:
		return nil
	case r.Errno != 0 && r.Error != "":
		return &failure{r.Error, r.Errno}
	case r.Errno != 0:
		return r.Errno
	}
	return errors.New(r.Error)
}

// failure keeps the errno of an error that crossed the socket as text.
type failure struct {
	text  string
	errno syscall.Errno
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.errno }

// fail fills a reply from err.
func (r *Reply) fail(err error) {
	if err == nil {
		return
	}
	r.Error = err.Error()
	r.Error = r.Error[:min(len(r.Error), ReplyBytesMax/8)]
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		r.Errno = errno
	}
}

// link is the inner end of a socket: blocking, one reader, guarded writers.
type link struct{ fd int }

// receive waits for the next request and the descriptors that came with it.
func (l link) receive(buf []byte) (*Request, []int, error) {
	oob := make([]byte, unix.CmsgSpace(filesMax*4))
	var n, oobn int
	for {
		var err error
		n, oobn, _, _, err = unix.Recvmsg(l.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("receive: %w", err)
		}
		break
	}
	if n == 0 {
		return nil, nil, nil
	}
	files, err := Descriptors(oob[:oobn])
	if err != nil {
		return nil, nil, err
	}
	var req Request
	if err := json.Unmarshal(buf[:n], &req); err != nil {
		closeAll(files)
		return nil, nil, fmt.Errorf("decode request: %w", err)
	}
	return &req, files, nil
}

// send sends a reply and descriptors, which stay open here.
func (l link) send(r *Reply, files ...int) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	for {
		err := unix.Sendmsg(l.fd, body, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// Descriptors takes the file descriptors out of a control message.
func Descriptors(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	var files []int
	for i := range messages {
		if len(messages[i].Data)%4 != 0 {
			return nil, fmt.Errorf("parse control message: %d bytes of descriptors: %w", len(messages[i].Data), unix.EBADMSG)
		}
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // of another kind
		}
		files = append(files, fds...)
	}
	return files, nil
}

func closeAll(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd)
	}
}
