//go:build linux

package namespace

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/run/sandbox"
	"github.com/daruma-io/daruma/run/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	Init()
	sandboxtest.Probe()
	sandboxtest.Platform(reopen)
	os.Exit(m.Run())
}

func reopen(dir string) (sandbox.Maker, error) { return New(Config{Spare: 1, Dir: dir}) }

// open makes a maker that is closed with the test, after which nothing of it runs.
func open(t testing.TB, config Config) *maker {
	t.Helper()
	config.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	m, err := New(config)
	if err != nil {
		t.Fatalf("this machine makes no namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, ok := t.(*testing.T); ok {
			goleak.VerifyNone(t)
		}
	})
	return m.(*maker)
}

func TestNamespacesPassTheExam(t *testing.T) {
	hidden := sandboxtest.Hidden(t)
	sandboxtest.Run(t, open(t, Config{Spare: 2, Dir: t.TempDir(), Hide: []string{hidden}}), hidden)
}

// skewed is a maker whose places have another time of day.
type skewed struct{ sandbox.Maker }

func (m skewed) Make(ctx context.Context, spec sandbox.Spec) (sandbox.Place, error) {
	if spec.Skew == 0 && !spec.Trace {
		spec.Skew = -20 * time.Minute
	}
	return m.Maker.Make(ctx, spec)
}

// What is true of a place is true of one whose clock is another: its processes
// are traced in each exec, and their signals, exit codes and ends are as ever.
func TestPlacesWithAnotherClockPassTheExam(t *testing.T) {
	hidden := sandboxtest.Hidden(t)
	sandboxtest.Run(t, skewed{open(t, Config{Spare: 2, Dir: t.TempDir(), Hide: []string{hidden}})}, hidden)
}

// nobody is a user that owns nothing.
const nobody = 65534

func TestAnUnprivilegedPlatformPassesTheExam(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this test is unprivileged as a whole")
	}
	dir, err := os.MkdirTemp("/tmp", "unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "bin", "test")
	for _, step := range []error{os.Chmod(dir, 0o755), os.Mkdir(filepath.Dir(binary), 0o755), os.Mkdir(dir+"/tmp", 0o755), os.Chown(dir+"/tmp", nobody, nobody), copyFile(binary)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	cmd := exec.CommandContext(t.Context(), binary, "-test.v", "-test.timeout", "8m", "-test.run", "TestNamespacesPassTheExam|TestPlacesWithAnotherClockPassTheExam|TestAKilledPlatform|TestMakingAndClosing")
	cmd.Env = []string{"TMPDIR=" + dir + "/tmp", "PATH=/usr/bin:/bin"}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "\nPASS\n") {
		t.Errorf("as user %d: %v", nobody, err)
	}
}

// copyFile copies this test's binary to where everybody can execute it.
func copyFile(to string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		return err
	}
	return f.Close()
}

func TestAKilledPlatformLeavesNothing(t *testing.T) { sandboxtest.Killed(t, true, reopen) }

func TestMakingAndClosingLeavesNothing(t *testing.T) {
	m := open(t, Config{Spare: 2})
	cycle := func(i int) {
		p, err := m.Make(t.Context(), sandbox.Spec{ID: fmt.Sprintf("cycle-%d", i), MemoryBytes: 64 << 20, TmpBytes: 1 << 20, Processes: 16, Redirect: sandbox.Redirect{TCP: 1, DNS: 2}, Skew: time.Duration(i%2) * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Listen("127.0.0.1:9001"); err != nil {
			t.Fatal(err)
		}
		pr, err := p.Start(sandbox.Command{Argv: []string{"/bin/sleep", "1000"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		<-pr.Done()
	}
	for i := range 20 {
		cycle(i)
	}
	settle(t, m)
	files, threads, goroutines := count("/proc/self/fd"), count("/proc/self/task"), runtime.NumGoroutine()
	for i := range 200 {
		cycle(i)
	}
	settle(t, m)
	t.Logf("descriptors %d → %d, threads %d → %d, goroutines %d → %d", files, count("/proc/self/fd"), threads, count("/proc/self/task"), goroutines, runtime.NumGoroutine())
	if got := count("/proc/self/fd"); got > files {
		t.Errorf("descriptors: got %d, want %d", got, files)
	}
	if got := runtime.NumGoroutine(); got > goroutines {
		t.Errorf("goroutines: got %d, want %d", got, goroutines)
	}
	if got := count("/proc/self/task"); got > threads+6 {
		t.Errorf("threads: got %d, want about %d", got, threads)
	}
}

func TestTheFirstProcessIsNotOfTheFunctionsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an unprivileged platform has one user only")
	}
	m := open(t, Config{})
	for i := range 10 {
		p, err := m.Make(t.Context(), sandbox.Spec{ID: fmt.Sprintf("first-%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pidOf(p.(*place).room.pidfd)))
		if err != nil || !strings.Contains(string(status), "Uid:\t0\t0\t0\t0\n") {
			t.Errorf("got %v and\n%s\nwant user 0", err, status)
		}
	}
}

func TestARoomThatDiesIsReplaced(t *testing.T) {
	m := open(t, Config{Spare: 1})
	make := func(id string) (sandbox.Place, sandbox.Process) {
		t.Helper()
		p, err := m.Make(t.Context(), sandbox.Spec{ID: id, MemoryBytes: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		pr, err := p.Start(sandbox.Command{Argv: []string{"/bin/sleep", "1000"}})
		if err != nil {
			t.Fatal(err)
		}
		return p, pr
	}
	p, pr := make("room")
	if err := syscall.Kill(pidOf(p.(*place).room.pidfd), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-pr.Done()
	if want := (sandbox.Exit{Signal: syscall.SIGKILL}); pr.Exit() != want {
		t.Errorf("the first process of the place died: got %+v, want %+v", pr.Exit(), want)
	}
	if _, err := p.Start(sandbox.Command{Argv: []string{"/bin/true"}}); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("start in a dead place: got %v, want unavailable", err)
	}
	_, pr = make("builder")
	m.mu.Lock()
	builder := m.builder.command.Process
	m.mu.Unlock()
	if err := builder.Kill(); err != nil {
		t.Fatal(err)
	}
	<-pr.Done()
	make("after")
}

// settle waits until all spare rooms are there.
func settle(t *testing.T, m *maker) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); len(m.spare) < m.config.Spare; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no spare rooms came")
		}
	}
}

func count(dir string) int {
	entries, _ := os.ReadDir(dir)
	return len(entries)
}
