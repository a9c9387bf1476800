package build

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
)

// An entry is one entry of a test's archive.
type entry struct {
	name, text string
	mode       fs.FileMode
}

func archiveOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpackBytes unpacks an archive into a directory of its own, which lies in another with a canary beside it.
func unpackBytes(t testing.TB, b []byte) (dir string, err error) {
	t.Helper()
	base := t.TempDir()
	file := filepath.Join(base, "code.zip")
	dir = filepath.Join(base, "out")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, unpack(file, dir)
}

func TestAnArchiveIsUnpackedWithItsModes(t *testing.T) {
	dir, err := unpackBytes(t, archiveOf(t, entry{"bootstrap", "#!/bin/sh\n", 0o755}, entry{"lib/", "", fs.ModeDir | 0o755}, entry{"lib/a.js", "1", 0o644}, entry{"deep/er/b", "2", 0o600}, entry{"plain", "3", 0}, entry{"old", "4", 0o555}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"bootstrap": 0o755, "lib/a.js": 0o644, "deep/er/b": 0o644, "plain": 0o644, "old": 0o555} {
		stat, err := os.Stat(filepath.Join(dir, name))
		if err != nil || stat.Mode().Perm() != want {
			t.Errorf("%s: got %v (%v), want mode %o", name, stat, err, want)
		}
	}
}

func TestAnArchiveThatAttacksIsRefused(t *testing.T) {
	link := entry{"link", "/etc", fs.ModeSymlink | 0o777}
	many := make([]entry, entriesMax+1)
	for i := range many {
		many[i] = entry{name: fmt.Sprint("f", i)}
	}
	for name, c := range map[string]struct {
		entries []entry
		kind    daruma.Kind
		want    string
	}{
		"parent":                {[]entry{{"../canary", "x", 0}}, daruma.KindInvalid, "leads outside"},
		"parent inside":         {[]entry{{"a/../../canary", "x", 0}}, daruma.KindInvalid, "leads outside"},
		"absolute":              {[]entry{{"/tmp/canary", "x", 0}}, daruma.KindInvalid, "no relative path"},
		"backslash":             {[]entry{{`..\canary`, "x", 0}}, daruma.KindInvalid, "no name for a file"},
		"nul":                   {[]entry{{"a\x00b", "x", 0}}, daruma.KindInvalid, "no name for a file"},
		"empty":                 {[]entry{{"", "x", 0}}, daruma.KindInvalid, "no relative path"},
		"long":                  {[]entry{{strings.Repeat("a", nameMax+1), "x", 0}}, daruma.KindInvalid, "no name for a file"},
		"symlink":               {[]entry{link}, daruma.KindInvalid, "only regular files"},
		"symlink, then through": {[]entry{link, {"link/canary", "x", 0}}, daruma.KindInvalid, "only regular files"},
		"device":                {[]entry{{"dev", "", fs.ModeDevice | 0o666}}, daruma.KindInvalid, "only regular files"},
		"pipe":                  {[]entry{{"pipe", "", fs.ModeNamedPipe | 0o666}}, daruma.KindInvalid, "only regular files"},
		"twice":                 {[]entry{{"a", "1", 0}, {"a", "2", 0}}, daruma.KindInvalid, "is there twice"},
		"twice, other spelling": {[]entry{{"a", "1", 0}, {"./a", "2", 0}}, daruma.KindInvalid, "is there twice"},
		"file as directory":     {[]entry{{"a", "1", 0}, {"a/b", "2", 0}}, daruma.KindInvalid, ""},
		"bomb":                  {[]entry{{"zeros", strings.Repeat("\x00", ratioFree+1), 0}}, daruma.KindTooLarge, "expands to more than 200 times its size"},
		"bomb in parts":         {[]entry{{"a", strings.Repeat("\x00", ratioFree*2/3), 0}, {"b", strings.Repeat("\x00", ratioFree*2/3), 0}}, daruma.KindTooLarge, "expands to more than 200 times its size"},
		"many entries":          {many, daruma.KindTooLarge, "more than 200000 files"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := unpackBytes(t, archiveOf(t, c.entries...))
			if daruma.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v: %s", err, c.kind, c.want)
			}
			nothingOutside(t, dir)
		})
	}
}

func TestAnArchiveThatLiesAboutSizesIsRefused(t *testing.T) {
	b := archiveOf(t, entry{"a", strings.Repeat("x", 1000), 0})
	// The size in the central directory: 24 bytes after its signature.
	at := bytes.Index(b, []byte("PK\x01\x02"))
	for _, size := range []uint32{1, 100_000} {
		lie := slices.Clone(b)
		binary.LittleEndian.PutUint32(lie[at+24:], size)
		if _, err := unpackBytes(t, lie); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("size %d: got %v, want it refused", size, err)
		}
	}
	if _, err := unpackBytes(t, []byte("no archive")); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want it refused", err)
	}
	encrypted := slices.Clone(b)
	encrypted[at+8] |= 1
	if _, err := unpackBytes(t, encrypted); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("got %v, want it refused as encrypted", err)
	}
}

// nothingOutside checks that the directory beside which dir lies holds nothing new, and dir nothing but files and directories.
func nothingOutside(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("got %v beside the output, want only the archive", entries)
	}
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !d.Type().IsRegular() {
			t.Errorf("got %s of type %v, want regular files only", file, d.Type())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(archiveOf(f, entry{"a/b", "text", 0o755}, entry{"c/", "", fs.ModeDir | 0o755}))
	f.Add(archiveOf(f, entry{"../x", "1", 0}, entry{"/y", "2", 0}, entry{`z\w`, "3", 0}))
	f.Add(archiveOf(f, entry{"l", "/etc/passwd", fs.ModeSymlink | 0o777}, entry{"l/x", "2", 0}))
	f.Add(archiveOf(f, entry{"zeros", strings.Repeat("\x00", 1<<20), 0}))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir, err := unpackBytes(t, b)
		nothingOutside(t, dir)
		if err != nil && daruma.KindOf(err) == daruma.KindInternal {
			t.Errorf("got %v, want an error that blames the archive", err)
		}
	})
}
