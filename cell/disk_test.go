package cell_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/celltest"
)

func openLedger(t *testing.T, dir string) *cell.Cell {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Journal: smallPlace(dir), Machines: []cell.Machine{ledger{}}, CanaryEvery: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patience is how long what must happen may take on a machine that is busy.
const patience = 30 * time.Second

// within polls until ok, for things outside the process that give no sign.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	started := time.Now()
	for !ok() {
		if time.Since(started) > limit {
			t.Fatalf("after %v still not: %s", limit, what)
		}
		<-time.After(2 * time.Millisecond)
	}
	return time.Since(started)
}

func say(ctx context.Context, c *cell.Cell, w uint32, n uint64, frees bool) error {
	_, err := c.Do(ctx, cell.Command{Machine: "ledger", Name: "add", Body: line(w, n), Frees: frees})
	return err
}

func TestNothingIsAcknowledgedAfterTheDiskHasDied(t *testing.T) {
	d := celltest.NewDisk(t, 256)
	c := openLedger(t, d.Dir+"/cell")
	var dead atomic.Bool
	var lies, acks atomic.Int64
	var wg sync.WaitGroup
	for w := range uint32(8) {
		wg.Go(func() {
			for n := uint64(1); ; n++ {
				late := dead.Load()
				err := say(t.Context(), c, w, n, false)
				if err == nil && late {
					lies.Add(1)
				}
				acks.Add(1)
				if err != nil {
					if k := daruma.KindOf(err); k != daruma.KindDoubtful && k != daruma.KindUnavailable {
						t.Errorf("got %v, want doubt or unavailable", err)
					}
					return
				}
			}
		})
	}
	within(t, patience, "some writes", func() bool { return acks.Load() > 100 })
	if err := d.Fail(); err != nil {
		t.Fatal(err)
	}
	dead.Store(true)
	took := within(t, patience, "unhealthy", func() bool { return c.Health().State == cell.Unhealthy })
	wg.Wait()
	if lies.Load() > 0 {
		t.Errorf("%d commands begun after the fault were acknowledged", lies.Load())
	}
	t.Logf("unhealthy after %v: %s", took, c.Health().Reason)
	if err := say(t.Context(), c, 9, 1, true); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := c.Close(); err == nil {
		t.Error("the cell closed as if nothing had happened")
	}
}

func TestAnIdleCellNoticesADeadDisk(t *testing.T) {
	d := celltest.NewDisk(t, 256)
	c := openLedger(t, d.Dir+"/cell")
	if err := d.Fail(); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "unhealthy", func() bool { return c.Health().State == cell.Unhealthy })
	_ = c.Close() // it cannot
}

func TestAFullDiskIsRefusedInTimeAndHealsByItself(t *testing.T) {
	d := celltest.NewDisk(t, 96)
	c := openLedger(t, d.Dir+"/cell")
	var n uint64
	put := func(frees bool) error {
		err := say(t.Context(), c, 1, n+1, frees)
		if err == nil {
			n++
		}
		return err
	}
	for cycle := range 3 {
		for range 50 {
			if err := put(false); err != nil {
				t.Fatalf("cycle %d: %v", cycle, err)
			}
		}
		empty, err := d.Fill(6 << 20) // below the 8 MiB that must be free
		if err != nil {
			t.Fatal(err)
		}
		within(t, patience, "full", func() bool { return c.Health().State == cell.Full })
		quickest := patience // of five: on a busy machine any of them may take long
		for range 5 {
			started := time.Now()
			if err := put(false); daruma.KindOf(err) != daruma.KindFull || daruma.HintOf(err) == "" {
				t.Errorf("cycle %d: got %v, want a refusal with a hint", cycle, err)
			}
			quickest = min(quickest, time.Since(started))
		}
		if quickest > 100*time.Millisecond {
			t.Errorf("each refusal took %v or more", quickest)
		}
		if err := put(true); err != nil {
			t.Errorf("cycle %d: a command that frees: %v", cycle, err)
		}
		if found, err := audit(c); err != nil || found[1] != n {
			t.Errorf("cycle %d: read %d, %v, want %d", cycle, found[1], err, n)
		}
		if err := empty(); err != nil {
			t.Fatal(err)
		}
		took := within(t, patience, "healthy", func() bool { return c.Health().State == cell.Healthy })
		t.Logf("cycle %d: healed after %v", cycle, took)
	}
	if err := put(false); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// The disk is filled to the last byte at once, under load: nothing is lost,
// nobody dies, and work goes on when there is space.
func TestADiskThatIsFullToTheLastByteIsWaitedOut(t *testing.T) {
	d := celltest.NewDisk(t, 96)
	c := openLedger(t, d.Dir+"/cell")
	var acked [8]atomic.Uint64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range uint32(8) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch err := say(context.Background(), c, w, acked[w].Load()+1, true); daruma.KindOf(err) {
				case daruma.KindFull:
					<-time.After(5 * time.Millisecond)
				default:
					if err != nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
					acked[w].Add(1)
				}
			}
		})
	}
	for range 3 {
		var more []func() error // the ballast carries it for a while: that is taken, too
		within(t, patience, "nothing can be written", func() bool {
			if again, err := d.Fill(0); err == nil {
				more = append(more, again)
			}
			return c.Health().State == cell.Full && strings.Contains(c.Health().Reason, "nothing can be written")
		})
		if _, err := audit(c); err != nil && daruma.KindOf(err) != daruma.KindExpired {
			t.Errorf("reading on a full disk: %v", err)
		}
		for _, f := range more {
			if err := f(); err != nil {
				t.Error(err)
			}
		}
		before := acked[0].Load()
		took := within(t, patience, "writing again", func() bool { return acked[0].Load() > before+10 && c.Health().State == cell.Healthy })
		t.Logf("healed after %v", took)
	}
	close(stop)
	wg.Wait()
	found, err := audit(c)
	if err != nil {
		t.Fatal(err)
	}
	for w := range acked {
		if found[w] != acked[w].Load() {
			t.Errorf("writer %d: %d acknowledged, %d there", w, acked[w].Load(), found[w])
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestClosingOnAFullDiskEnds(t *testing.T) {
	d := celltest.NewDisk(t, 64)
	c := openLedger(t, d.Dir+"/cell")
	ended := make(chan error, 8)
	for w := range uint32(8) {
		go func() {
			var err error
			for n := uint64(1); err == nil; n++ {
				err = say(context.Background(), c, w, n, true)
			}
			ended <- err
		}()
	}
	within(t, patience, "nothing can be written", func() bool {
		_, err := d.Fill(0)
		return err == nil && strings.Contains(c.Health().Reason, "nothing can be written")
	})
	started := time.Now()
	_ = c.Close() // it says that the disk takes nothing, if anything was on its way
	if took := time.Since(started); took > 15*time.Second {
		t.Errorf("closing took %v", took)
	}
	for range 8 {
		if k := daruma.KindOf(<-ended); k != daruma.KindFull && k != daruma.KindDoubtful && k != daruma.KindUnavailable {
			t.Errorf("got %v, want full, doubtful or unavailable", k)
		}
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	c := openLedger(t, dir)
	if _, err := cell.Open(t.Context(), cell.Config{Journal: smallPlace(dir)}); daruma.KindOf(err) != daruma.KindLocked {
		t.Errorf("got %v, want it to be locked within the process, too", err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), dir) || !strings.Contains(string(out), strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v, %s, want a refusal that names %s and process %d", err, out, dir, os.Getpid())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openLedger(t, dir)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestACheckpointOpensAsACell(t *testing.T) {
	dir := t.TempDir()
	c := openLedger(t, dir+"/cell")
	for n := range uint64(100) {
		if err := say(t.Context(), c, 1, n+1, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Checkpoint(t.Context(), dir+"/copy"); err != nil {
		t.Fatal(err)
	}
	if err := c.Checkpoint(t.Context(), dir+"/copy"); daruma.KindOf(err) != daruma.KindExists {
		t.Errorf("got %v, want it to exist already", err)
	}
	if err := say(t.Context(), c, 1, 101, false); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openLedger(t, dir+"/copy")
	if found, err := audit(c); err != nil || found[1] != 100 {
		t.Errorf("got %d, %v, want 100", found[1], err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
