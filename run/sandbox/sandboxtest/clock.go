//go:build linux

package sandboxtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
)

// clockSlack is how far from the expected a clock may be: it is read some time
// after the machine's, on a machine that may be busy.
const clockSlack = time.Minute

var clockChecks = []check{
	{"the time of day is the place's own, ahead and behind, for each way to ask and for all that is started", sandbox.NoClock, func(x *exam) error {
		for _, by := range []time.Duration{-20 * time.Minute, 36*time.Hour + 1500*time.Millisecond} {
			p, err := x.skewed(func(s *sandbox.Spec) { s.Skew = by })
			if err != nil {
				return err
			}
			want := strconv.FormatInt(time.Now().Add(by).Unix(), 10)
			for _, probe := range []string{"clock", "clockOfChild", "clockAfterExec"} {
				if err := x.run(p, probe, want); err != nil {
					return fmt.Errorf("by %s: %s: %w", by, probe, err)
				}
			}
		}
		return nil
	}},
	{"all other clocks are the machine's, and waits as long as ever", sandbox.NoClock, func(x *exam) error {
		p, err := x.skewed(func(s *sandbox.Spec) { s.Skew = -20 * time.Minute })
		if err != nil {
			return err
		}
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
			return err
		}
		return x.run(p, "waits", strconv.FormatInt(now.Nano(), 10))
	}},
	{"a place for debuggers keeps the machine's clock", sandbox.NoClock, func(x *exam) error {
		_, err := x.skewed(func(s *sandbox.Spec) { s.Skew, s.Trace = time.Minute, true })
		if daruma.KindOf(err) != daruma.KindInvalid {
			return fmt.Errorf("got %v, want invalid", err)
		}
		return nil
	}},
}

// skewed makes a place whose clock is another; where there is none that is no
// mistake of the exam.
func (x *exam) skewed(change func(*sandbox.Spec)) (sandbox.Place, error) {
	spec := x.spec()
	change(&spec)
	p, err := x.maker.Make(x.t.Context(), spec)
	if err != nil {
		return nil, err
	}
	x.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			x.t.Errorf("close: %v", err)
		}
	})
	return p, nil
}

// clock asks for the time in each way there is. args are the seconds it should be.
func clock(args []string) error {
	want, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	is := func(how string, got int64) error {
		if off := time.Duration(got-want) * time.Second; off.Abs() > clockSlack {
			return fmt.Errorf("%s: got %d, want %d", how, got, want)
		}
		return nil
	}
	all := is("the language's", time.Now().Unix())
	var real, tai unix.Timespec
	for clock, name := range map[int32]string{unix.CLOCK_REALTIME: "real time", unix.CLOCK_REALTIME_COARSE: "coarse real time", unix.CLOCK_TAI: "atomic time"} {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all = errors.Join(all, is(name, ts.Sec))
	}
	if err := errors.Join(unix.ClockGettime(unix.CLOCK_REALTIME, &real), unix.ClockGettime(unix.CLOCK_TAI, &tai)); err != nil {
		return err
	}
	if n := tai.Sec - real.Sec; n < 0 || n > 60 {
		all = errors.Join(all, fmt.Errorf("atomic time is ahead by %d seconds", n))
	}
	var tv unix.Timeval
	if err := unix.Gettimeofday(&tv); err != nil {
		return err
	}
	all = errors.Join(all, is("gettimeofday", tv.Sec))
	if seconds, err := rawTime(); err == nil {
		all = errors.Join(all, is("time", seconds))
	}
	if err := unix.ClockGettime(-1234567, &real); !errors.Is(err, unix.EINVAL) {
		all = errors.Join(all, fmt.Errorf("a clock that is not there: got %w, want EINVAL", err))
	}
	// An address that is nobody's is an error, and not the end of the clock.
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_REALTIME, 1, 0); errno != unix.EFAULT {
		all = errors.Join(all, fmt.Errorf("time at a bad address: got %v, want EFAULT", errno))
	}
	return errors.Join(all, is("the language's", time.Now().Unix()))
}

// rawTime asks for the seconds alone, where there is such a call.
func rawTime() (int64, error) {
	if runtime.GOARCH != "amd64" {
		return 0, unix.ENOSYS
	}
	const number = 201
	var seconds int64
	got, _, errno := unix.RawSyscall(number, uintptr(unsafe.Pointer(&seconds)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if int64(got) != seconds {
		return 0, fmt.Errorf("time answers %d and writes %d", got, seconds)
	}
	return seconds, nil
}

// clockOfChild has its children ask: this binary, and one in C, through a shell.
func clockOfChild(args []string) error {
	child := again("clock", args...)
	child.Stdout = nil
	if out, err := child.Output(); err != nil {
		return fmt.Errorf("a child: %w: %s", err, out)
	}
	out, err := exec.Command("sh", "-c", "nothing-here 2>/dev/null; exec date +%s").Output()
	if err != nil {
		return err
	}
	got, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	want, _ := strconv.ParseInt(args[0], 10, 64)
	if off := time.Duration(got-want) * time.Second; err != nil || off.Abs() > clockSlack {
		return fmt.Errorf("date says %s (%w), want %d", out, err, want)
	}
	return nil
}

// clockAfterExec becomes another program, from a thread that is not the
// process's first and while the others are at work.
func clockAfterExec(args []string) error {
	for range 4 {
		go func() {
			for { // asking all the time
				_ = time.Now()
			}
		}()
	}
	failed := make(chan error)
	var become func()
	become = func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			go become()
			select {}
		}
		env := []string{probeEnv + "=clock", "PATH=" + os.Getenv("PATH")}
		if err := syscall.Exec("/nothing-here", args, env); !errors.Is(err, syscall.ENOENT) {
			failed <- fmt.Errorf("execute nothing: got %w, want ENOENT", err)
		}
		failed <- syscall.Exec(self(), append([]string{self()}, args...), env)
	}
	go become()
	return <-failed
}

// waits looks at a clock that does not tell the time of day, and waits for a
// little while. args are what that clock had when it was started.
func waits(args []string) error {
	before, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return err
	}
	if passed := time.Duration(now.Nano() - before); passed < 0 || passed > clockSlack {
		return fmt.Errorf("%s passed since the machine looked", passed)
	}
	const wait = 20 * time.Millisecond
	began := time.Now()
	time.Sleep(wait)
	if took := time.Since(began); took < wait || took > clockSlack {
		return fmt.Errorf("a wait of %s took %s", wait, took)
	}
	if wall := time.Now().Round(0).Sub(began.Round(0)); wall < wait/2 || wall > clockSlack {
		return fmt.Errorf("a wait of %s took %s by the time of day", wait, wall)
	}
	return nil
}
