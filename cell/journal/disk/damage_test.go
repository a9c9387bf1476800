package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell/journal"
	"github.com/daruma-io/daruma/cell/journal/disk"
)

// apply sets the keys that an entry names to the bodies it gives.
func apply(e journal.Entry, _ journal.Reader) (journal.Changes, any, error) {
	var c journal.Changes
	for _, cmd := range e.Commands {
		c.Writes = append(c.Writes, journal.Write{Key: []byte(cmd.Name), Value: cmd.Body, Delete: cmd.Body == nil})
	}
	return c, nil, nil
}

func place(dir string) disk.Place {
	return disk.Place{Dir: dir, FreeBytesMin: 1 << 20, BallastBytes: 1 << 16, ScrubEvery: time.Hour}
}

func openDisk(t *testing.T, dir string) journal.Journal {
	t.Helper()
	j, err := place(dir).Open(t.Context(), apply)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// write puts a value and waits until it is durable.
func write(t *testing.T, j journal.Journal, key string, value []byte) {
	t.Helper()
	done := make(chan error, 1)
	e := journal.Entry{Fence: 1, Time: time.Now(), Commands: []journal.Command{{Name: key, Body: value}}}
	err := j.Append(e, func(_ uint64, _ any, err error) { done <- err })
	if err == nil {
		err = <-done
	}
	if err != nil {
		t.Fatal(err)
	}
}

// history writes entries over several lives of a journal, so that there are
// tables, logs and obsolete files. It returns what must be read, and copies of
// the directory as a kill and as a close leave it.
func history(t *testing.T) (want map[string][]byte, killed, shut string) {
	dir := t.TempDir()
	killed, shut = t.TempDir(), t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	want = map[string][]byte{}
	for life := range 4 {
		j := openDisk(t, dir)
		for i := range 150 {
			v := make([]byte, 200+random.IntN(2000))
			for i := range v {
				v[i] = byte(random.Uint32())
			}
			k := fmt.Sprintf("k%03d", random.IntN(400))
			want[k] = v
			write(t, j, k, v)
			if life == 3 && i == 149 {
				copyDir(t, dir, killed)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	copyDir(t, dir, shut)
	return want, killed, shut
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// damage does something to a file, and says what; "" when it had no effect.
func damage(t *testing.T, random *rand.Rand, path string) string {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := slices.Clone(before)
	what := "deleted"
	switch kind := random.IntN(8); {
	case kind == 0 || len(before) == 0:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return what
	case kind == 1:
		after = after[:random.IntN(len(after))]
		what = fmt.Sprintf("cut from %d to %d bytes", len(before), len(after))
	case kind == 2:
		page := random.IntN(len(after)/4096+1) * 4096
		clear(after[min(page, len(after)):min(page+4096, len(after))])
		what = fmt.Sprintf("page at %d of %d zeroed", page, len(after))
	default:
		at := random.IntN(len(after))
		after[at] ^= 1 << random.IntN(8)
		what = fmt.Sprintf("a bit at %d of %d flipped", at, len(after))
	}
	if bytes.Equal(before, after) {
		return ""
	}
	if err := os.WriteFile(path, after, 0o600); err != nil {
		t.Fatal(err)
	}
	return what
}

// verdict opens a journal and reads all of it. It returns the error that names
// the damage, or nil when everything is there as it was written.
func verdict(dir string, want map[string][]byte) (err error) {
	j, err := place(dir).Open(context.Background(), apply)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	s, err := j.Snapshot(context.Background())
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	got := map[string][]byte{}
	err = s.Scan(journal.Range{Lower: []byte("k"), Upper: []byte("l")}, false, func(k, v []byte) bool {
		got[string(k)] = v
		return true
	})
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return fmt.Errorf("SILENT: got %d keys, want %d", len(got), len(want))
	}
	for k, v := range want {
		if !bytes.Equal(got[k], v) {
			return fmt.Errorf("SILENT: %s is not what was written", k)
		}
	}
	return nil
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != "LOCK" && e.Name() != "BALLAST" {
			names = append(names, path[len(dir)+1:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// kindOf groups files that have the same part to play.
func kindOf(name string) string {
	base := filepath.Base(name)
	if ext := filepath.Ext(base); ext == ".log" || ext == ".sst" {
		return ext
	}
	kind, _, _ := strings.Cut(base, "-")
	kind, _, _ = strings.Cut(kind, ".0")
	return kind
}

func TestDamageIsFoundAndNamed(t *testing.T) {
	want, killed, shut := history(t)
	trials := *damages
	for state, base := range map[string]string{"killed": killed, "closed": shut} {
		t.Run(state, func(t *testing.T) { trial(t, base, want, trials/2, state == "closed") })
	}
}

type count struct{ found, named, harmless int }

func trial(t *testing.T, base string, want map[string][]byte, trials int, closed bool) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	names := files(t, base)
	counts := map[string]*count{}
	for range trials {
		// Every kind of file has the same share, however few bytes it has.
		name := names[random.IntN(len(names))]
		dir := t.TempDir()
		copyDir(t, base, dir)
		path := filepath.Join(dir, name)
		what := damage(t, random, path)
		if what == "" {
			continue
		}
		c := counts[kindOf(name)]
		if c == nil {
			c = new(count)
			counts[kindOf(name)] = c
		}
		err := verdict(dir, want)
		e, ok := errors.AsType[*daruma.Error](err)
		switch {
		case err == nil && closed:
			t.Errorf("seed %d: %s %s: nothing was noticed", seed, name, what)
		case err == nil:
			c.harmless++
			t.Logf("harmless: %s %s", name, what)
		case !ok || e.Kind != daruma.KindCorrupt:
			t.Errorf("seed %d: %s %s: got %v, want it to be called corrupt", seed, name, what, err)
		default:
			c.found++
			if e.Ref == path {
				c.named++
			} else {
				t.Logf("%s %s: blamed on %s: %v", name, what, e.Ref, e.Err)
			}
		}
		_ = os.RemoveAll(dir)
	}
	for kind, c := range counts {
		t.Logf("%-22s found %d, named exactly %d, harmless %d", kind, c.found, c.named, c.harmless)
	}
}

// spoil zeroes the beginning of every table while the journal is open.
func spoil(t *testing.T, dir string) {
	t.Helper()
	tables, err := filepath.Glob(dir + "/store/*.sst")
	if err != nil || len(tables) == 0 {
		t.Fatalf("got %d tables, %v", len(tables), err)
	}
	for _, path := range tables {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, 8192), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamageThatComesLaterIsFoundWhenItIsRead(t *testing.T) {
	_, _, dir := history(t)
	j := openDisk(t, dir)
	spoil(t, dir)
	s, err := j.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Scan(journal.Range{Lower: []byte("k")}, false, func(k, v []byte) bool { return true })
	e, ok := errors.AsType[*daruma.Error](err)
	if !ok || e.Kind != daruma.KindCorrupt || filepath.Ext(e.Ref) != ".sst" {
		t.Errorf("got %v, want corrupt, with the name of a table", err)
	}
	if s := j.Status(); daruma.KindOf(s.Damage) != daruma.KindCorrupt || s.Damage == nil {
		t.Errorf("got %v, want the damage to be known", s.Damage)
	}
	_ = s.Close()
	write(t, j, "zzz", []byte("what is not damaged goes on"))
	_ = j.Close()
}

func TestDamageThatNobodyReadsIsFoundByTheScrub(t *testing.T) {
	_, _, dir := history(t)
	p := place(dir)
	p.ScrubEvery = time.Millisecond
	j, err := p.Open(t.Context(), apply)
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, dir)
	for deadline := time.Now().Add(20 * time.Second); j.Status().Damage == nil; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the damage was not found")
		}
	}
	_ = j.Close()
}

func TestALostTableIsFoundByTheScrub(t *testing.T) {
	_, _, dir := history(t)
	p := place(dir)
	p.ScrubEvery = time.Millisecond
	j, err := p.Open(t.Context(), apply)
	if err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(dir + "/store/*.sst")
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); j.Status().Damage == nil; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the loss was not found")
		}
	}
	if e, ok := errors.AsType[*daruma.Error](j.Status().Damage); !ok || e.Ref != tables[0] {
		t.Errorf("got %v, want %s to be named", j.Status().Damage, tables[0])
	}
	_ = j.Close()
}
