package logs

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A listener keeps lines.
type listener struct{ lines []daruma.Line }

func (o *listener) Logged(l daruma.Line)       { o.lines = append(o.lines, l) }
func (o *listener) Spanned(daruma.Span)        {}
func (o *listener) Changed(daruma.Environment) {}

func newTest() (*Logs, *listener) {
	o := &listener{}
	return New(o, &catalog.Function{Name: "f", Version: "1", MemoryMB: 128, Timeout: 3 * time.Second}, "e", "r"), o
}

func TestWhatWasWrittenBeforeTheEndIsTheCalls(t *testing.T) {
	l, o := newTest()
	var wait sync.WaitGroup
	if err := l.Open(&wait); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := l.Files()
	for i := range 50 {
		c := &Call{ID: fmt.Sprint("r", i), Began: time.Now()}
		l.Begin(c)
		fmt.Fprintf(stdout, "out %d\npartial", i)
		fmt.Fprintf(stderr, "err %d\n", i)
		tail := string(l.End(c, time.Now(), &daruma.Outcome{Kind: daruma.Done}))
		if !strings.HasPrefix(tail, "START") || !strings.Contains(tail, fmt.Sprintf("out %d\n", i)) || !strings.Contains(tail, "partial\n") || !strings.Contains(tail, fmt.Sprintf("err %d\n", i)) {
			t.Fatalf("got %q", tail)
		}
	}
	fmt.Fprint(stdout, "left behind")
	l.Close()
	wait.Wait()
	if last := o.lines[len(o.lines)-1]; last.Text != "left behind" || last.Request != "r49" {
		t.Errorf("got %+v, want what was left behind", last)
	}
}

func TestNoLineHasATimeBeforeTheLastOnes(t *testing.T) {
	for _, format := range []string{"Text", "JSON"} {
		o := &listener{}
		l := New(o, &catalog.Function{Name: "f", Version: "1", LogFormat: format}, "e", "r")
		var wait sync.WaitGroup
		if err := l.Open(&wait); err != nil {
			t.Fatal(err)
		}
		stdout, _ := l.Files()
		for i := range 3 {
			// The end is measured before what was written is read, here by an hour.
			c := &Call{ID: fmt.Sprint("r", i), Began: time.Now().Add(-2 * time.Hour)}
			l.Begin(c)
			fmt.Fprintln(stdout, "written before the answer")
			l.End(c, time.Now().Add(-time.Hour), &daruma.Outcome{Kind: daruma.Done})
		}
		l.Close()
		wait.Wait()
		if len(o.lines) != 3*4 {
			t.Fatalf("%s: got %d lines, want START, its own, END and REPORT of 3 calls", format, len(o.lines))
		}
		for i, line := range o.lines[1:] {
			if last := o.lines[i]; line.At.Before(last.At) {
				t.Errorf("%s: got %q at %v, after %q at %v", format, line.Text, line.At, last.Text, last.At)
			}
			if stamp := line.At.UTC().Format(iso); format == "JSON" && line.Stream == daruma.Platform && !strings.Contains(line.Text, stamp) {
				t.Errorf("got %s, want the line's own time in it, %s", line.Text, stamp)
			}
		}
	}
}

func TestAClosedLogTakesRemarksOnly(t *testing.T) {
	l, o := newTest()
	l.Remark("hello")
	if got := l.End(&Call{ID: "x"}, time.Now(), &daruma.Outcome{Kind: daruma.Done}); !bytes.HasPrefix(got, []byte("END RequestId: x\nREPORT")) {
		t.Errorf("got %q", got)
	}
	if len(o.lines) != 3 || o.lines[0].Stream != daruma.Platform {
		t.Errorf("got %+v", o.lines)
	}
}

func TestTheBudgetFillsUpAgain(t *testing.T) {
	var b budget
	now := time.Unix(1, 0)
	b = budget{bytes: logBurst, at: now}
	for b.take(now, 1<<20) {
	}
	if b.lines != 1 || b.waste != 1<<20 {
		t.Errorf("got %+v", b)
	}
	if now = now.Add(time.Second / 8); !b.take(now, 1<<20) || b.take(now, 1<<20) {
		t.Errorf("got %+v, want an eighth of a second to be worth one MiB", b)
	}
}

// FuzzLines checks that pieces of any size give the same lines as the whole.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\n\nc"), uint8(1))
	f.Add([]byte("\r\n\x00\n"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		l, o := newTest()
		p := &pipe{stream: daruma.Stdout}
		l.mu.Lock()
		for rest := data; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			l.take(p, rest[:n])
			rest = rest[n:]
		}
		l.flush(p)
		l.mu.Unlock()
		var got []string
		for _, line := range o.lines {
			got = append(got, line.Text)
		}
		want := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		if len(data) == 0 {
			want = nil
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if len(l.tail) > 2*daruma.LogTailBytesMax {
			t.Errorf("got a tail of %d bytes", len(l.tail))
		}
	})
}
