package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// What the villains do. Numbers and addresses come with the event where a
// test wants to say them.
var villains = map[string]func(g *guest){
	"good":  good,
	"sleep": func(g *guest) { g.loop(sleep) }, // as long as the event says, in seconds

	// The machine's resources.
	"fork-bomb":     hang(func(*guest, event) { forkBomb(false) }),
	"session-bomb":  hang(func(*guest, event) { forkBomb(true) }),
	"zombies":       func(g *guest) { g.loop(func(event) any { return zombies() }) },
	"memory":        func(g *guest) { g.loop(func(event) any { return hog() }) },
	"spin":          hang(func(*guest, event) { spin() }),
	"fill-tmp":      func(g *guest) { g.loop(func(event) any { return fill("/tmp/big") }) },
	"fill-shm":      func(g *guest) { g.loop(func(event) any { return fill("/dev/shm/big") }) },
	"small-files":   func(g *guest) { g.loop(func(event) any { return smallFiles() }) },
	"open-files":    func(g *guest) { g.loop(func(event) any { return openFiles() }) },
	"threads":       hang(func(*guest, event) { threads() }),
	"flood":         func(g *guest) { g.loop(flood) },
	"endless-line":  func(g *guest) { g.loop(endlessLine) },
	"delete-tmp":    func(g *guest) { g.loop(func(event) any { return deleteTmp() }) },
	"write-outside": func(g *guest) { g.loop(func(event) any { return writeOutside() }) },
	"reach":         func(g *guest) { g.loop(reach) },

	// Its own life.
	"init-exits":  func(*guest) { os.Exit(3) },
	"init-hangs":  func(*guest) { forever() },
	"kill-itself": hang(func(*guest, event) { syscall.Kill(os.Getpid(), syscall.SIGKILL) }),
	"stop-itself": hang(func(*guest, event) { syscall.Kill(os.Getpid(), syscall.SIGSTOP) }),
	"kill-all":    func(g *guest) { g.loop(func(event) any { return killAll() }) },
	"stubborn":    stubborn,
	"daemon":      func(g *guest) { g.loop(func(event) any { return startDaemon() }) },
	"orphan": hang(func(*guest, event) {
		startDaemon()
		os.Exit(3)
	}),

	// The Runtime API.
	"half-open": hang(func(g *guest, e event) { g.send(postHead(invocation+e.id+"/response", "", 100) + `"half`) }),
	"half-head": hang(func(g *guest, e event) { g.send("POST " + invocation + e.id + "/resp") }),
	"mid-exit":  hang(func(g *guest, e event) { g.send(postHead(invocation+e.id+"/response", "", 100) + `"half`); os.Exit(1) }),
	"deaf":      deaf,
	"asks-again": func(g *guest) {
		for {
			g.next()
		}
	},
	"other-id":    otherID,
	"twice":       twice,
	"large":       func(g *guest) { g.loop(large) },
	"connections": func(g *guest) { g.loop(connections) },
	"long-head":   func(g *guest) { g.loop(longHead) },
	"pipeline":    hang(func(*guest, event) { pipeline() }),
}

// good echoes, tells which round and version it is of, and listens on a port
// of its own place for others to try.
func good(g *guest) {
	l, err := net.Listen("tcp", ":18080")
	must(err)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "good") }))
	g.loop(func(e event) any {
		switch string(e.payload) {
		case `"round"`:
			return os.Getenv("ROUND")
		case `"version"`:
			text, _ := os.ReadFile("/var/task/version")
			return string(text)
		}
		return json.RawMessage(e.payload)
	})
}

func sleep(e event) any {
	var seconds float64
	must(json.Unmarshal(e.payload, &seconds))
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	return "slept"
}

// resident is an extension that does as it should.
func resident() {
	g := &guest{}
	_, header, _ := g.post("/2020-01-01/extension/register", "Lambda-Extension-Name: resident\r\n", []byte(`{"events":["INVOKE","SHUTDOWN"]}`))
	id := header.Get("Lambda-Extension-Identifier")
	for {
		g.send("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: r\r\nLambda-Extension-Identifier: " + id + "\r\n\r\n")
		_, _, body := g.read()
		if strings.Contains(string(body), "SHUTDOWN") {
			os.Exit(0)
		}
	}
}

// forkBomb forks for ever, in this process and each that comes of it. With
// sessions, each is a session of its own, which the scheduler would be fair to.
func forkBomb(sessions bool) {
	runtime.LockOSThread()
	for {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno == 0 && pid == 0 && sessions {
			syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
		}
	}
}

// zombies forks children that end at once and are never waited for.
func zombies() any {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	made := 0
	for {
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		switch {
		case errno != 0:
			var status syscall.WaitStatus
			for range made {
				syscall.Wait4(-1, &status, 0, nil)
			}
			return map[string]any{"made": made, "error": errno.Error()}
		case pid == 0:
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
		made++
	}
}

// hog takes 4 GiB and uses it.
func hog() any {
	debug.SetGCPercent(-1)
	var all [][]byte
	for range 256 {
		b := make([]byte, 16<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
	}
	return len(all)
}

func spin() {
	for range 2 * runtime.NumCPU() {
		go func() {
			for { //nolint:staticcheck // that is the point
			}
		}()
	}
}

// fill writes a file until that fails.
func fill(name string) any {
	f, err := os.Create(name)
	if err != nil {
		return map[string]any{"bytes": 0, "error": reason(err)}
	}
	defer os.Remove(name)
	defer f.Close()
	block, total := make([]byte, 1<<20), 0
	for {
		n, err := f.Write(block)
		if total += n; err != nil {
			return map[string]any{"bytes": total, "error": reason(err)}
		}
	}
}

// smallFiles makes empty files until that fails.
func smallFiles() any {
	for n := 0; ; n++ {
		f, err := os.Create(fmt.Sprintf("/tmp/%d", n))
		if err != nil {
			for i := range n {
				os.Remove(fmt.Sprintf("/tmp/%d", i))
			}
			return map[string]any{"files": n, "error": reason(err)}
		}
		f.Close()
	}
}

// openFiles opens files until that fails.
func openFiles() any {
	var all []*os.File
	defer func() {
		for _, f := range all {
			f.Close()
		}
	}()
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			return map[string]any{"opened": len(all), "error": reason(err)}
		}
		all = append(all, f)
	}
}

// threads starts threads until this runtime gives up.
func threads() {
	debug.SetMaxThreads(1 << 20)
	for {
		started := make(chan bool)
		go func() {
			runtime.LockOSThread()
			started <- true
			select {}
		}()
		<-started
	}
}

// flood prints as many bytes as the event says.
func flood(e event) any {
	var size int
	must(json.Unmarshal(e.payload, &size))
	block := lines(1 << 20)
	for left := size; left > 0; left -= len(block) {
		if _, err := os.Stdout.Write(block); err != nil {
			return err.Error()
		}
	}
	return size
}

// endlessLine prints as many bytes as the event says, without an end of line.
func endlessLine(e event) any {
	var size int
	must(json.Unmarshal(e.payload, &size))
	block := []byte(strings.Repeat("y", 1<<20))
	for left := size; left > 0; left -= len(block) {
		if _, err := os.Stdout.Write(block); err != nil {
			return err.Error()
		}
	}
	return size
}

// deleteTmp deletes all it can, and says whether /tmp can be used afterwards.
func deleteTmp() any {
	for _, dir := range []string{"/tmp", "/var/task", "/dev/shm", "/opt"} {
		os.RemoveAll(dir)
	}
	err := os.WriteFile("/tmp/after", []byte("after"), 0o600)
	_, gone := os.Stat("/var/task/bootstrap")
	return map[string]any{"tmp": reason(err), "code": reason(gone)}
}

// writeOutside returns where it could write that is not its own.
func writeOutside() any {
	wrote := []string{}
	for _, name := range []string{"/var/task/x", "/var/task/bootstrap", "/var/runtime/x", "/var/daruma/trust/x", "/opt/x", "/x", "/usr/x", "/etc/passwd", "/etc/resolv.conf", "/etc/x", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/dev/x", "/run/x", "/var/x", "/home/x"} {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			continue
		}
		if _, err := f.WriteString("x"); err == nil {
			wrote = append(wrote, name)
		}
		f.Close()
	}
	return wrote
}

// reach returns which of the event's addresses answered with at least a byte,
// and which of its paths can be seen.
func reach(e event) any {
	var try struct{ Addresses, Paths []string }
	must(json.Unmarshal(e.payload, &try))
	reached := make(chan string)
	for _, address := range try.Addresses {
		go func() { reached <- reachOne(address) }()
	}
	found := []string{}
	for range try.Addresses {
		if address := <-reached; address != "" {
			found = append(found, address)
		}
	}
	for _, path := range try.Paths {
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
		if _, err := os.Stat("/proc/1/root" + path); err == nil {
			found = append(found, "/proc/1/root"+path)
		}
	}
	return found
}

func reachOne(address string) string {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	answer := make([]byte, 100)
	n, _ := c.Read(answer)
	if n == 0 {
		return ""
	}
	return address + " " + string(answer[:n])
}

// killAll signals everything there is, and says which other processes it could see.
func killAll() any {
	syscall.Kill(-1, syscall.SIGKILL)
	for pid := 1; pid < 4096; pid++ {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", pid)); err != nil {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	syscall.Kill(os.Getppid(), syscall.SIGKILL)
	seen, _ := filepath.Glob("/proc/[0-9]*")
	return len(seen)
}

// stubborn has an extension of its own, so that it is asked to end before it
// is killed, and does not.
func stubborn(g *guest) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	x := &guest{}
	_, header, _ := x.post("/2020-01-01/extension/register", "Lambda-Extension-Name: internal\r\n", []byte(`{"events":["INVOKE"]}`))
	x.send("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: r\r\nLambda-Extension-Identifier: " + header.Get("Lambda-Extension-Identifier") + "\r\n\r\n")
	g.next()
	forever()
}

// startDaemon starts a process that outlives this one: of another session,
// and with a parent that ends at once.
func startDaemon() any {
	cmd := exec.Command("/proc/self/exe", "daemon", "middle")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(cmd.Run())
	return "started"
}

func daemon() {
	if len(os.Args) > 2 {
		cmd := exec.Command("/proc/self/exe", "daemon")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		must(cmd.Start())
		os.Exit(0)
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	forever()
}

// deaf asks for an event and does not read it.
func deaf(g *guest) {
	g.send("GET " + invocation + "next HTTP/1.1\r\nHost: r\r\n\r\n")
	forever()
}

// otherID answers for somebody else, and tells how that was taken.
func otherID(g *guest) {
	g.loop(func(event) any {
		status, _, body := g.post(invocation+"00000000-0000-4000-8000-000000000000/response", "", []byte(`"mine"`))
		var said struct{ ErrorType string }
		must(json.Unmarshal(body, &said))
		return map[string]any{"status": status, "error": said.ErrorType}
	})
}

// twice answers every event twice, and tells with the next one how the second answer was taken.
func twice(g *guest) {
	before := 0
	for {
		e := g.next()
		g.respond(e, map[string]int{"before": before})
		before, _ = g.respond(e, "again")
	}
}

// large answers with as many bytes as the event says.
func large(e event) any {
	var size int
	must(json.Unmarshal(e.payload, &size))
	return strings.Repeat("z", size-2) // and two quotes
}

// connections opens as many connections to the Runtime API as the event says,
// each with half a request, and keeps as many as it may have files.
func connections(e event) any {
	var count int
	must(json.Unmarshal(e.payload, &count))
	var open []net.Conn
	opened := 0
	for range count {
		if len(open) == 900 {
			for _, c := range open {
				c.Close()
			}
			open = open[:0]
		}
		c, err := dial()
		if err != nil {
			continue
		}
		opened++
		io.WriteString(c, "GET /2018-06-01/runtime/invocation/next HT")
		open = append(open, c)
	}
	for _, c := range open {
		c.Close()
	}
	return opened
}

// longHead sends a head of as many bytes as the event says, and tells the
// status it was answered with.
func longHead(e event) any {
	var size int
	must(json.Unmarshal(e.payload, &size))
	c, err := dial()
	must(err)
	defer c.Close()
	go func() {
		io.WriteString(c, "GET /2018-06-01/ping HTTP/1.1\r\nX: ")
		block := strings.Repeat("w", 1<<16)
		for left := size; left > 0; left -= len(block) {
			if _, err := io.WriteString(c, block); err != nil {
				return
			}
		}
	}()
	answer := make([]byte, 12)
	if _, err := io.ReadFull(c, answer); err != nil {
		return "closed"
	}
	return string(answer[9:])
}

// pipeline sends requests without reading an answer.
func pipeline() {
	c, err := dial()
	must(err)
	requests := strings.Repeat("GET /2018-06-01/ping HTTP/1.1\r\nHost: r\r\n\r\n", 1000)
	for {
		if _, err := io.WriteString(c, requests); err != nil {
			return
		}
	}
}
