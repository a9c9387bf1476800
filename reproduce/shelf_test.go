package reproduce

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/tape"
)

func TestAShelfGivesBackWhatItKept(t *testing.T) {
	s := &Shelf{Dir: filepath.Join(t.TempDir(), "new")}
	made := &tape.Tape{Version: 1, Exchanges: []tape.Exchange{{Kind: tape.Lookup, Host: "nowhere", Error: "none"}}}
	name, err := s.Keep(made)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Keep(made)
	if err != nil || again != name {
		t.Errorf("got %s, %v, want the same content under the same name", again, err)
	}
	got, err := s.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Load(strings.Repeat("0", 64)); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want not found", err)
	}
	if _, err := s.Load("../../etc/passwd"); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want a name that is none refused", err)
	}
	if err := os.WriteFile(s.path(name), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(name); daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("got %v, want it seen that it is damaged", err)
	}
}

func TestAShelfKeepsTheNewest(t *testing.T) {
	s := &Shelf{Dir: t.TempDir()}
	old := filepath.Join(s.Dir, strings.Repeat("a", 64)+".tape")
	newer := filepath.Join(s.Dir, strings.Repeat("b", 64)+".tape")
	for i, path := range []string{old, newer} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(ShelfBytesMax / 2); err != nil { // holes take no space
			t.Fatal(err)
		}
		f.Close()
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	name, err := s.Keep(&tape.Tape{Version: 1, Missed: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the oldest is still there")
	}
	for _, path := range []string{newer, s.path(name)} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%v, want the newest kept", err)
		}
	}
}
