package cell_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/celltest"
	"github.com/daruma-io/daruma/cell/journal/disk"
)

var rounds = flag.Int("rounds", 0, "rounds of the crash tests; a few when 0")

const (
	childDir = "DARUMA_CRASH_CHILD" // the directory; set makes the test binary the child
	writers  = 32
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := crashChild(dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// ledger keeps what writers say, and how many there are in all.
type ledger struct{}

func (ledger) Name() string { return "ledger" }

func (ledger) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	tx.Set(cmd.Body[:12], cmd.Body[12:])
	var n uint64
	if v, ok := tx.Get([]byte("total")); ok {
		n = binary.BigEndian.Uint64(v)
	}
	tx.Set([]byte("total"), binary.BigEndian.AppendUint64(nil, n+1))
	return nil, nil
}

// line is what one writer says the nth time: its own key, and a body of some
// hundred bytes that follows from it.
func line(writer uint32, n uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, writer)
	b = binary.BigEndian.AppendUint64(b, n)
	sum := crc32.ChecksumIEEE(b)
	for range 25 + n%100 {
		b = binary.BigEndian.AppendUint32(b, sum)
		sum = sum*1664525 + 1013904223
	}
	return b
}

func smallPlace(dir string) disk.Place {
	return disk.Place{Dir: dir, FreeBytesMin: 8 << 20, BallastBytes: 2 << 20}
}

// crashChild tells what it finds, then writes until it is killed, and tells
// each acknowledgement: a writer and a number.
func crashChild(dir string, out io.Writer) error {
	started := time.Now()
	c, err := cell.Open(context.Background(), cell.Config{Journal: smallPlace(dir), Machines: []cell.Machine{ledger{}}})
	if err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(time.Since(started)))
	found, err := audit(c)
	if err != nil {
		return err
	}
	for _, n := range found {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	if _, err := out.Write(b); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for w := range uint32(writers) {
		wg.Go(func() {
			for n := found[w] + 1; ; n++ {
				if _, err := c.Do(context.Background(), cell.Command{Machine: "ledger", Name: "add", Body: line(w, n)}); err != nil {
					return // the disk has failed under us
				}
				ack := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, w), n)
				if _, err := out.Write(ack); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// audit reads everything, and returns how far each writer has come. What a
// writer has said must be complete, as it was said, and counted.
func audit(c *cell.Cell) (found [writers]uint64, err error) {
	err = c.View(context.Background(), "ledger", func(r *cell.Reader) error {
		var total uint64
		for k, v := range r.Scan(cell.Range{}) {
			if string(k) == "total" {
				continue
			}
			w, n := binary.BigEndian.Uint32(k), binary.BigEndian.Uint64(k[4:])
			if w >= writers || n != found[w]+1 {
				return fmt.Errorf("writer %d: found line %d after %d", w, n, found[w])
			}
			if string(v) != string(line(w, n)[12:]) {
				return fmt.Errorf("writer %d: line %d is not what was written", w, n)
			}
			found[w] = n
			total++
		}
		if v, ok := r.Get([]byte("total")); total > 0 && (!ok || binary.BigEndian.Uint64(v) != total) {
			return fmt.Errorf("found %d lines, %x were counted", total, v)
		}
		return nil
	})
	return found, err
}

// tally is what the crash tests have seen.
type tally struct {
	rounds, acks, lost, phantom int
	opened                      []time.Duration // what opening took
}

// crashRounds starts a child, lets it write, has it crash, and compares what
// the next child finds with what was acknowledged.
func crashRounds(t *testing.T, n int, dir string, crash func(child *exec.Cmd) error) tally {
	var acked, found [writers]uint64
	var sum tally
	for range n {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReaderSize(out, 1<<16)
		var opened time.Duration
		if err := errors.Join(binary.Read(in, binary.BigEndian, &opened), binary.Read(in, binary.BigEndian, &found)); err != nil {
			_ = child.Wait()
			t.Fatalf("round %d: the cell did not open: %v", sum.rounds, err)
		}
		sum.opened = append(sum.opened, opened)
		sum.judge(t, found, acked)
		acked = found
		crashed := make(chan error, 1)
		after := time.Duration(rand.IntN(250)) * time.Millisecond
		time.AfterFunc(after, func() { crashed <- crash(child) })
		got := 0
		for {
			var ack struct {
				Writer uint32
				N      uint64
			}
			if err := binary.Read(in, binary.BigEndian, &ack); err != nil {
				break
			}
			acked[ack.Writer] = ack.N
			got++
		}
		if err := <-crashed; err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed
		sum.rounds++
		sum.acks += got
	}
	c, err := cell.Open(t.Context(), cell.Config{Journal: smallPlace(dir), Machines: []cell.Machine{ledger{}}})
	if err != nil {
		t.Fatal(err)
	}
	if found, err = audit(c); err != nil {
		t.Fatal(err)
	}
	sum.judge(t, found, acked)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// judge compares. A writer has at most one line on its way that nobody has
// told us about.
func (s *tally) judge(t *testing.T, found, acked [writers]uint64) {
	for w := range found {
		switch {
		case found[w] < acked[w]:
			s.lost += int(acked[w] - found[w])
			t.Errorf("writer %d: %d lines were acknowledged, %d are there", w, acked[w], found[w])
		case found[w] > acked[w]+1:
			s.phantom += int(found[w] - acked[w] - 1)
			t.Errorf("writer %d: %d lines were acknowledged, %d are there", w, acked[w], found[w])
		}
	}
}

func (s tally) report(t *testing.T) {
	slices.Sort(s.opened)
	t.Logf("rounds %d, acknowledged %d, lost %d, phantom %d; opening took %v in the middle and %v at most", s.rounds, s.acks, s.lost, s.phantom, s.opened[len(s.opened)/2].Round(time.Millisecond), s.opened[len(s.opened)-1].Round(time.Millisecond))
	if s.acks < 50*s.rounds {
		t.Errorf("only %d acknowledgements in %d rounds: nothing was proven", s.acks, s.rounds)
	}
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	n := *rounds
	if n == 0 {
		n = 12
	}
	crashRounds(t, n, t.TempDir(), func(child *exec.Cmd) error { return child.Process.Kill() }).report(t)
}

func TestNothingAcknowledgedIsLostWhenThePowerFails(t *testing.T) {
	n := *rounds / 5
	if *rounds == 0 {
		n = 4
	}
	d := celltest.NewDisk(t, 512)
	crashRounds(t, n, d.Dir+"/cell", func(child *exec.Cmd) error {
		if err := d.Fail(); err != nil {
			return err
		}
		if err := child.Process.Kill(); err != nil {
			return err
		}
		// The file system is free when the process is gone.
		_, _ = child.Process.Wait()
		return d.Restart()
	}).report(t)
}
