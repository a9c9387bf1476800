//go:build linux

package sandboxtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probeEnv names the probe a process is to be.
const probeEnv = "PROBE"

// Probe returns at once, unless this process was started as a probe; then it never does.
func Probe() {
	name := os.Getenv(probeEnv)
	if name == "" {
		return
	}
	probe, ok := probes()[name]
	if !ok {
		fmt.Println("no probe", name)
		end(99)
	}
	if err := probe(os.Args[1:]); err != nil {
		fmt.Println(err)
		end(1)
	}
	fmt.Println("ok")
	end(0)
}

// end ends the process. os.Exit would have one that is built with the race
// detector wait for a second, for races that others may still find.
func end(code int) { syscall.Exit(code) }

func probes() map[string]func([]string) error {
	return map[string]func([]string) error{
		"ok": func([]string) error { return nil }, "given": given, "speak": speak, "exit": exit, "wait": wait, "read": read, "begins": begins,
		"daemon": daemon, "spin": spin, "work": work, "fill": fill, "strew": strew, "store": store, "hoard": hoard, "child": child,
		"bomb": bomb, "open": open, "core": core, "deaf": deaf, "refused": refused, "dial": dial, "unreachable": unreachable,
		"alone": alone, "harm": harm, "powerless": powerless, "calls": calls, "namespaces": namespaces, "sockets": sockets,
		"serve": serve, "traced": traced, "clock": clock, "clockOfChild": clockOfChild, "clockAfterExec": clockAfterExec, "waits": waits,
		"sleep": func([]string) error { select {} },
	}
}

func given([]string) error {
	var open []int
	for fd := 3; fd < 256; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 { // what closes on exec is the Go runtime's own
			open = append(open, fd)
		}
	}
	dir, _ := os.Getwd()
	n, _ := os.Stdin.Read(make([]byte, 1))
	sid, _ := unix.Getsid(0)
	fmt.Printf("args=%s given=%s dir=%s stdin=%d session=%v descriptors=%v secret=%s\n",
		strings.Join(os.Args[1:], "|"), os.Getenv("GIVEN"), dir, n, sid == os.Getpid(), open, os.Getenv("PLATFORM_SECRET"))
	end(0)
	return nil
}

func speak([]string) error {
	fmt.Fprintln(os.Stdout, "to output")
	fmt.Fprintln(os.Stderr, "to errors")
	end(0)
	return nil
}

func exit([]string) error { end(3); return nil }

func wait([]string) error {
	fmt.Println("waiting")
	for {
		time.Sleep(time.Hour)
	}
}

func read(args []string) error {
	text, err := os.ReadFile(args[0])
	if err == nil && len(args) > 1 && string(text) != args[1] {
		err = fmt.Errorf("%s: got %.80q, want %q", args[0], text, args[1])
	}
	return err
}

func begins(args []string) error {
	text, err := os.ReadFile(args[0])
	if err == nil && !strings.HasPrefix(string(text), args[1]) {
		err = fmt.Errorf("%s: got %.80q, want it to begin with %q", args[0], text, args[1])
	}
	return err
}

// again starts this binary as another probe.
func again(probe string, args ...string) *exec.Cmd {
	cmd := exec.Command(self(), args...)
	cmd.Env = append(os.Environ(), probeEnv+"="+probe)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// daemon leaves a process behind that has another session, another parent and
// an environment of its own.
func daemon(args []string) error {
	if err := os.WriteFile(args[1], []byte("kept"), 0o600); err != nil {
		return err
	}
	if len(args) == 2 {
		middle := again("daemon", args[0], args[1], "middle")
		middle.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := middle.Run(); err != nil {
			return err
		}
		fmt.Println("daemon runs")
		select {}
	}
	last := again("sleep", args[0])
	last.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	last.Stdout, last.Stderr = nil, nil
	if err := last.Start(); err != nil {
		return err
	}
	end(0)
	return nil
}

func spin([]string) error {
	fmt.Println("spinning")
	for { //nolint:staticcheck // using all of a CPU is what it is for
	}
}

// work uses processor and memory.
func work([]string) error {
	kept := make([]byte, 48<<20)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); { // memory is looked at now and then
		for i := 0; i < len(kept); i += 4096 {
			kept[i]++
		}
	}
	return nil
}

// fill writes until nothing more fits, which must be within the size.
func fill(args []string) error {
	f, err := os.Create(filepath.Join(args[0], "full"))
	if err != nil {
		return err
	}
	for n := 0; n <= 8; n++ {
		if _, err = f.Write(make([]byte, 1<<20)); err != nil {
			break
		}
	}
	switch {
	case err == nil:
		return errors.New("there is no end of room")
	case !errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("got %w, want no space", err)
	}
	return nil
}

func strew(args []string) error {
	for i := range 20000 {
		err := os.WriteFile(filepath.Join(args[0], strconv.Itoa(i)), nil, 0o600)
		if errors.Is(err, syscall.ENOSPC) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New("20000 files fit")
}

func store(args []string) error {
	megabytes, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	for range megabytes {
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	return f.Close()
}

// hoard takes memory, 400 MB at most, and keeps it: who looks now and then shall find it.
func hoard([]string) error {
	var kept [][]byte
	for range 400 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
		time.Sleep(time.Millisecond)
	}
	time.Sleep(patience / 2)
	return fmt.Errorf("took %d MB", len(kept))
}

// child lives while its child is another probe, and longer.
func child(args []string) error {
	err := again(args[0]).Run()
	<-time.After(time.Second)
	return err
}

// bomb starts processes until there are no more, 200 at most.
func bomb(args []string) error {
	for range 200 {
		cmd := again("sleep", args[0])
		cmd.Stdout, cmd.Stderr = nil, nil
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
		if err := cmd.Start(); err != nil {
			if errors.Is(err, syscall.EAGAIN) {
				fmt.Println("no more")
				select {}
			}
			return err
		}
	}
	fmt.Println("200 processes")
	select {}
}

func open(args []string) error {
	limit, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for n := 0; n <= limit; n++ {
		if _, err := os.Open(os.DevNull); errors.Is(err, syscall.EMFILE) {
			return nil
		}
	}
	return fmt.Errorf("%d files were opened", limit)
}

func core([]string) error {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &r); err != nil {
		return err
	}
	if r.Max != 0 {
		return fmt.Errorf("got %+v, want no core dumps", r)
	}
	return nil
}

func deaf([]string) error {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("deaf")
	for {
		time.Sleep(time.Hour)
	}
}

// refused tries something that must not work.
func refused(args []string) error {
	var err error
	switch what := args[1]; args[0] {
	case "write": // says it without doing it: the exam leaves the machine as it is
		err = unix.Access(what, unix.W_OK)
	case "read":
		_, err = os.ReadFile(what)
	case "list":
		var f *os.File
		if f, err = os.OpenFile(what, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			if fi, e := f.Stat(); e == nil && fi.IsDir() {
				_, err = f.Readdirnames(1) // an empty directory answers EOF
			}
			_ = f.Close()
		}
	case "signal":
		pid, _ := strconv.Atoi(what)
		err = syscall.Kill(pid, 0)
	case "environ":
		_, err = os.ReadFile("/proc/" + what + "/environ")
	}
	if err == nil {
		return fmt.Errorf("%s was possible", strings.Join(args, " "))
	}
	return nil
}

func dial(args []string) error {
	want := "ok"
	if len(args) > 2 {
		want = args[2]
	}
	got, err := reach(args[0], args[1])
	if err == nil && got != want {
		err = fmt.Errorf("%s %s: got %q, want %q", args[0], args[1], got, want)
	}
	return err
}

// serve answers on a port of the loopback and says which.
func serve([]string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = c.Write([]byte("ok")) // whoever asked may be gone
		_ = c.Close()
	}
}

// traced has a child that asks to be traced, which a debugger begins with.
func traced([]string) error {
	cmd := again("ok")
	cmd.Stdout = nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	runtime.LockOSThread() // which alone may trace it
	if err := cmd.Start(); err != nil {
		return err
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, 0, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("got %v, %v, want the child stopped before its first step", status, err)
	}
	return syscall.PtraceDetach(cmd.Process.Pid)
}

func unreachable(args []string) error {
	if got, err := reach(args[0], args[1]); err == nil {
		return fmt.Errorf("%s %s answered %q", args[0], args[1], got)
	}
	return nil
}

func reach(network, address string) (string, error) {
	c, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "", err
	}
	if network == "udp" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		return string(buf[:n]), err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// originalDestination is where a redirected connection was meant to go.
func originalDestination(c net.Conn) string {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err.Error()
	}
	to := ""
	const originalDst = 80
	_ = raw.Control(func(fd uintptr) {
		a, err := unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, originalDst)
		if err != nil {
			to = err.Error()
			return
		}
		b := a.Multiaddr
		to = fmt.Sprintf("%d.%d.%d.%d:%d", b[4], b[5], b[6], b[7], int(b[2])<<8|int(b[3]))
	})
	return to
}
