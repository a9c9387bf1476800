package reproduce

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/tape"
)

// made is a case with code, a layer, variables and a recording.
func made(t testing.TB) *Case {
	t.Helper()
	code, layer := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{code + "/index.js": "code", code + "/bin/run": "#!", layer + "/nodejs/x.js": "layer"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{os.Chmod(code+"/bin/run", 0o755), os.Symlink("bin/run", code+"/link"), os.Symlink("/etc/passwd", code+"/out"), os.Symlink("../../x", code+"/bin/up")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return &Case{
		Failure: &ledger.Failure{Number: 17, Hop: ledger.Call, Function: "f", Version: "$LATEST", ErrorType: "Error", Message: "it broke", Stack: []string{"at here"}, Log: []string{"a line"}, At: time.Unix(1e9, 0).UTC(), Request: "r"},
		Event:   []byte(`{"a":1}`),
		Function: &catalog.Function{Name: "f", Version: "$LATEST", Runtime: "nodejs20.x", Handler: "index.handler", Timeout: time.Second, Code: catalog.Code{Dir: code, SHA256: "x"}, Layers: []catalog.Layer{{Name: "l", Code: catalog.Code{Dir: layer}}},
			Env:    map[string]string{"PORT": "1", "DB_PASSWORD": "hush", "DATABASE": "postgres://me:hush@db/x", "STRIPE_KEY": "hush"},
			Source: catalog.Source{Path: "/home/me/secret-project"}},
		Place: catalog.Place{Region: "eu-west-1", Account: "000000000000"},
		Tape:  &tape.Tape{Version: 1, Exchanges: []tape.Exchange{{Kind: tape.Request, Host: "api.example", Scheme: "https", Port: 443, Method: "GET", Target: "/", Status: 200, Body: []byte("told")}}},
		Notes: []string{"a note"},
	}
}

func bundled(t testing.TB, c *Case) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteBundle(&b, c); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestABundleHoldsAllOfACaseButItsSecrets(t *testing.T) {
	c := made(t)
	file := bundled(t, c)
	dir := t.TempDir()
	got, err := OpenBundle(file, dir, map[string]string{"STRIPE_KEY": "given", "MORE": "m"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"PORT": "1", "DB_PASSWORD": tape.Redacted, "DATABASE": tape.Redacted, "STRIPE_KEY": "given", "MORE": "m"}
	if diff := cmp.Diff(want, got.Function.Env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{c.Failure, c.Event, c.Tape, c.Place}, []any{got.Failure, got.Event, got.Tape, got.Place}); diff != "" {
		t.Error(diff)
	}
	if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, "does not hold DATABASE, DB_PASSWORD:") || !strings.Contains(notes, "a note") {
		t.Errorf("got notes %q", notes)
	}
	if info, err := os.Stat(got.Function.Code.Dir + "/bin/run"); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("got %v, %v, want it executable", info, err)
	}
	if target, err := os.Readlink(got.Function.Code.Dir + "/link"); target != "bin/run" {
		t.Errorf("got %q, %v", target, err)
	}
	for _, gone := range []string{"/out", "/bin/up"} {
		if _, err := os.Lstat(got.Function.Code.Dir + gone); err == nil {
			t.Errorf("%s leads out of the code and is there", gone)
		}
	}
	if b, err := os.ReadFile(got.Function.Layers[0].Code.Dir + "/nodejs/x.js"); string(b) != "layer" {
		t.Errorf("got %q, %v", b, err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if _, err := all.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hush", "secret-project", c.Function.Code.Dir} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%q is in the bundle", secret)
		}
	}
}

// An entry of a bundle that somebody made by hand.
type entry struct {
	name, link, body string
	kind             byte
	size             int64
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		size := int64(len(e.body))
		if e.size != 0 {
			size = e.size
		}
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: 0o644, Size: size}); err != nil {
			t.Fatal(err)
		}
		if size == int64(len(e.body)) {
			if _, err := w.Write([]byte(e.body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = w.Flush() // an entry may be cut short on purpose
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const someCase = `{"version":1,"failure":{"id":"F-1","group":"G-1","hop":"call","function":"f","request":"r"},"function":{"name":"f","version":"$LATEST"},"place":{}}`

func TestABundleLeadsNowhereElse(t *testing.T) {
	whole := []entry{{name: manifestFile, body: someCase}, {name: eventFile, body: "{}"}, {name: "code/", kind: tar.TypeDir}}
	dir := t.TempDir()
	if _, err := readBundle(bytes.NewReader(pack(t, whole...)), dir); err != nil {
		t.Fatal(err)
	}
	for name, step := range map[string]struct {
		entries []entry
		kind    daruma.Kind
	}{
		"up":                      {[]entry{{name: "../x", body: "x"}}, daruma.KindInvalid},
		"up from code":            {[]entry{{name: "code/../../x", body: "x"}}, daruma.KindInvalid},
		"absolute":                {[]entry{{name: "/tmp/x", body: "x"}}, daruma.KindInvalid},
		"a link up":               {[]entry{{name: "code/l", link: "../../x", kind: tar.TypeSymlink}}, daruma.KindInvalid},
		"a link to another tree":  {[]entry{{name: "layers/0/l", link: "../1/x", kind: tar.TypeSymlink}}, daruma.KindInvalid},
		"an absolute link":        {[]entry{{name: "code/l", link: "/etc", kind: tar.TypeSymlink}}, daruma.KindInvalid},
		"code that is a link":     {[]entry{{name: "code", link: "..", kind: tar.TypeSymlink}}, daruma.KindInvalid},
		"a hard link":             {[]entry{{name: "code/l", link: "code/x", kind: tar.TypeLink}}, daruma.KindInvalid},
		"a device":                {[]entry{{name: "code/d", kind: tar.TypeChar}}, daruma.KindInvalid},
		"something else":          {[]entry{{name: "bin/sh", body: "x"}}, daruma.KindInvalid},
		"twice":                   {[]entry{{name: eventFile, body: "{}"}}, daruma.KindInvalid},
		"the same file again":     {[]entry{{name: "code/a", body: "1"}, {name: "code/a", body: "2"}}, daruma.KindInvalid},
		"a file below a file":     {[]entry{{name: "code/a", body: "1"}, {name: "code/a/b", body: "2"}}, daruma.KindInvalid},
		"a large event":           {[]entry{{name: "code/x", size: bundleBytesMax + 1}}, daruma.KindTooLarge},
		"a large recording":       {[]entry{{name: tapeFile, size: fileBytesMax + 1}}, daruma.KindTooLarge},
		"a recording that is not": {[]entry{{name: tapeFile, body: "x"}}, daruma.KindCorrupt},
		"a long name":             {[]entry{{name: "code/" + strings.Repeat("x/", nameBytesMax) + "y", body: ""}}, daruma.KindInvalid},
	} {
		dir := t.TempDir()
		_, err := readBundle(bytes.NewReader(pack(t, append(whole, step.entries...)...)), dir)
		if daruma.KindOf(err) != step.kind || err == nil {
			t.Errorf("%s: got %v, want %v", name, err, step.kind)
		}
	}
	for name, body := range map[string]string{
		"another version": strings.Replace(someCase, `"version":1`, `"version":9`, 1), "no function": `{"version":1}`, "another function": strings.Replace(someCase, `"name":"f"`, `"name":"g"`, 1),
		"no JSON": "{", "too much memory": strings.Replace(someCase, `"name":"f"`, `"name":"f","memoryMB":99999999`, 1),
	} {
		if _, err := readBundle(bytes.NewReader(pack(t, entry{name: manifestFile, body: body}, whole[1], whole[2])), t.TempDir()); err == nil {
			t.Errorf("%s: got a case", name)
		}
	}
	if _, err := readBundle(strings.NewReader("no gzip"), t.TempDir()); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v", err)
	}
}

func FuzzOpenBundle(f *testing.F) {
	f.Add(pack(f, entry{name: manifestFile, body: someCase}, entry{name: eventFile, body: "{}"}, entry{name: "code/a", body: "x"}))
	f.Add(pack(f, entry{name: "code/l", link: "../../x", kind: tar.TypeSymlink}))
	f.Add(pack(f, entry{name: "code/l", link: "a", kind: tar.TypeSymlink}, entry{name: "code/l/x", body: "x"}))
	var b bytes.Buffer
	if err := WriteBundle(&b, made(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		c, err := readBundle(bytes.NewReader(raw), dir)
		if err == nil && (c.Failure == nil || c.Function == nil || !strings.HasPrefix(c.Function.Code.Dir, dir)) {
			t.Errorf("got %+v without what a case has", c)
		}
		entries, err := os.ReadDir(outer)
		if err != nil || len(entries) != 1 {
			t.Errorf("something was written beside the directory: %v, %v", entries, err)
		}
	})
}
