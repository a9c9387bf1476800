//go:build linux

package inside

import (
	"encoding/json"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzDescriptors(f *testing.F) {
	r, w, err := os.Pipe()
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	f.Add(unix.UnixRights(int(r.Fd()), int(w.Fd())))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, oob []byte) {
		files, err := Descriptors(oob)
		if err != nil && files != nil {
			t.Errorf("got %v and %v", files, err)
		}
		if len(files)*4 > len(oob) {
			t.Errorf("%d descriptors out of %d bytes", len(files), len(oob))
		}
	})
}

// What the first process is asked must survive being sent, and no message may
// stop it: it answers that it does not know.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"ID":1,"Listen":{"Address":"127.0.0.1:0"}}`))
	f.Add([]byte(`{"ID":2,"Start":{"Argv":[]}}`))
	f.Add([]byte(`{"ID":3,"Usage":{}}`))
	f.Add([]byte(`{"ID":4}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var req Request
		if json.Unmarshal(body, &req) != nil || req.Prepare != nil || req.Furnish != nil || req.Signal != nil {
			t.Skip("changes the process it runs in")
		}
		if req.Start != nil {
			_, _ = look(req.Start)
			return
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer closeAll(pair[:])
		a := &life{link: link{pair[0]}, children: map[int]bool{}, tmp: -1}
		if err := a.answer(&req, nil); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, ReplyBytesMax)
		n, _, _, _, err := unix.Recvmsg(pair[1], buf, make([]byte, 64), unix.MSG_CMSG_CLOEXEC)
		var r Reply
		if err != nil || json.Unmarshal(buf[:n], &r) != nil || r.ID != req.ID {
			t.Errorf("got %q, %v, want an answer to %d", buf[:n], err, req.ID)
		}
	})
}

func TestLaterLookupsFindProgramsAsTheShellDoes(t *testing.T) {
	for _, c := range []struct {
		argv, env []string
		want      string
	}{
		{[]string{"sh"}, []string{"PATH=/nowhere:/bin"}, "/bin/sh"},
		{[]string{"./x"}, nil, "./x"},
		{[]string{"sh"}, []string{"PATH=/nowhere"}, ""},
		{[]string{"sh"}, nil, ""},
		{nil, nil, ""},
	} {
		if got, _ := look(&Start{Argv: c.argv, Env: c.env}); got != c.want {
			t.Errorf("%q in %q: got %q, want %q", c.argv, c.env, got, c.want)
		}
	}
}
