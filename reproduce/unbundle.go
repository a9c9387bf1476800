package reproduce

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/tape"
)

// Limits of a bundle that is read: it comes from elsewhere.
const (
	bundleBytesMax   = 2 << 30 // of all that it unpacks to: code and five layers, of 250 MB each at most
	bundleEntriesMax = 400_000
	manifestBytesMax = 8 << 20
	nameBytesMax     = 4 << 10
)

// OpenBundle unpacks a bundle into an empty directory, and returns its case.
// env gives values of variables that are not in it.
//
// Nothing is written outside of dir, whatever the bundle says: names and links
// that lead out of it, and files that are neither code nor a part of a case,
// are refused. Errors: KindInvalid for what is no bundle, KindUnsupported for
// one of another version, KindTooLarge.
func OpenBundle(file, dir string, env map[string]string) (*Case, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &daruma.Error{Op: "open bundle", Ref: file, Kind: daruma.KindNotFound, Err: err}
	}
	defer f.Close()
	c, err := readBundle(f, dir)
	if err == nil {
		err = c.give(env)
	}
	if err != nil {
		return nil, daruma.Wrap("open bundle", file, err)
	}
	return c, nil
}

// give fills in variables.
func (c *Case) give(env map[string]string) error {
	var missing []string
	for name, value := range c.Function.Env {
		if given, ok := env[name]; ok {
			c.Function.Env[name] = given
		} else if value == tape.Redacted {
			missing = append(missing, name)
		}
	}
	for name, value := range env {
		if catalog.ReservedVariable(name) {
			return daruma.Invalidf("%s is set by the platform", name)
		}
		c.Function.Env[name] = value
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		c.Notes = append(c.Notes, "the bundle does not hold "+strings.Join(missing, ", ")+": --env NAME=VALUE gives it")
	}
	return nil
}

// An unpacking is a bundle on its way into a directory.
type unpacking struct {
	root    *os.Root
	dir     string
	left    int64 // bytes that may still come
	entries int

	manifest manifest
	event    []byte
	tape     *tape.Tape
	seen     map[string]bool
}

func readBundle(in io.Reader, dir string) (*Case, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, daruma.Invalidf("it is no bundle: %w", err)
	}
	u := &unpacking{root: root, dir: dir, left: bundleBytesMax, seen: map[string]bool{}}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, daruma.Invalidf("it is no bundle: %w", err)
		}
		if u.entries++; u.entries > bundleEntriesMax {
			return nil, &daruma.Error{Kind: daruma.KindTooLarge, Err: fmt.Errorf("more than %d files", bundleEntriesMax)}
		}
		if err := u.take(h, t); err != nil {
			return nil, err
		}
	}
	return u.done()
}

// take unpacks one entry.
func (u *unpacking) take(h *tar.Header, in io.Reader) error {
	name := strings.TrimSuffix(path.Clean(h.Name), "/")
	if len(h.Name) > nameBytesMax || !filepath.IsLocal(name) || strings.ContainsAny(h.Name, "\x00\\") {
		return daruma.Invalidf("the name %q leads elsewhere", cutText(h.Name))
	}
	if u.left -= h.Size; h.Size < 0 || u.left < 0 {
		return &daruma.Error{Kind: daruma.KindTooLarge, Err: fmt.Errorf("it unpacks to more than %d bytes", int64(bundleBytesMax))}
	}
	if name == "." {
		return nil // the directory itself, as tar writes it
	}
	top, _, inside := strings.Cut(name, "/")
	if top != codeDir && top != layersDir {
		return u.part(name, h, in)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.failed(u.root.MkdirAll(name, 0o755))
	case tar.TypeReg:
		if !inside {
			return daruma.Invalidf("%s is no directory", name)
		}
		return u.file(name, h, in)
	case tar.TypeSymlink:
		if path.IsAbs(h.Linkname) || !stays(name, h.Linkname) {
			return daruma.Invalidf("the link %s leads elsewhere", cutText(name))
		}
		if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return u.failed(err)
		}
		return u.failed(u.root.Symlink(h.Linkname, name))
	}
	return daruma.Invalidf("%s is neither a file, a directory nor a link", cutText(name))
}

// stays says whether a link in a tree of code leads to a place in that tree.
func stays(name, target string) bool {
	parts := 1
	if strings.HasPrefix(name, layersDir+"/") {
		parts = 2
	}
	tree := strings.Join(strings.SplitN(name, "/", parts+1)[:min(parts, strings.Count(name, "/")+1)], "/")
	at := path.Join(path.Dir(name), target)
	return at == tree || strings.HasPrefix(at, tree+"/")
}

func cutText(s string) string { return ledger.Cut(s, 200) }

// failed says that the directory could not be written as the bundle wants it.
func (u *unpacking) failed(err error) error {
	if err == nil {
		return nil
	}
	return daruma.Invalidf("unpack it: %w", err)
}

// file unpacks one file of code.
func (u *unpacking) file(name string, h *tar.Header, in io.Reader) error {
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return u.failed(err)
	}
	mode := os.FileMode(0o644)
	if h.Mode&0o111 != 0 {
		mode = 0o755
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return u.failed(err)
	}
	_, err = io.Copy(f, io.LimitReader(in, h.Size))
	return u.failed(errors.Join(err, f.Close()))
}

// part reads a part of the case that is no code.
func (u *unpacking) part(name string, h *tar.Header, in io.Reader) error {
	limits := map[string]int64{manifestFile: manifestBytesMax, eventFile: ledger.EventBytesMax, tapeFile: fileBytesMax, readmeFile: bundleBytesMax, logFile: bundleBytesMax, exchangesFile: bundleBytesMax}
	most, known := limits[name]
	switch {
	case !known || h.Typeflag != tar.TypeReg:
		return daruma.Invalidf("%s is no part of a case", cutText(name))
	case h.Size > most:
		return &daruma.Error{Kind: daruma.KindTooLarge, Err: fmt.Errorf("%s has %d bytes, at most %d are read", name, h.Size, most)}
	case u.seen[name]:
		return daruma.Invalidf("%s is there twice", name)
	case most == bundleBytesMax: // for people
		return nil
	}
	u.seen[name] = true
	raw, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return daruma.Invalidf("read %s: %w", name, err)
	}
	switch name {
	case manifestFile:
		if err := json.Unmarshal(raw, &u.manifest); err != nil {
			return daruma.Invalidf("read %s: %w", name, err)
		}
	case eventFile:
		u.event = raw
	case tapeFile:
		u.tape, err = tape.Decode(raw)
	}
	return err
}

// done puts the case together.
func (u *unpacking) done() (*Case, error) {
	m := u.manifest
	f := m.Function
	switch {
	case !u.seen[manifestFile] || !u.seen[eventFile]:
		return nil, daruma.Invalidf("it is no bundle: there is no %s or no %s in it", manifestFile, eventFile)
	case m.Version != bundleVersion:
		return nil, &daruma.Error{Kind: daruma.KindUnsupported, Err: fmt.Errorf("version %d is not known", m.Version)}
	case m.Failure == nil || f == nil || f.Name == "" || f.Version == "" || m.Failure.Function != f.Name:
		return nil, daruma.Invalidf("%s does not say which function failed", manifestFile)
	case len(f.Layers) > catalog.LayersMax || f.Timeout < 0 || f.Timeout > catalog.TimeoutMax || f.MemoryMB < 0 || f.MemoryMB > catalog.MemoryMBMax || f.StorageMB < 0 || f.StorageMB > catalog.StorageMBMax:
		return nil, daruma.Invalidf("%s has a configuration beyond the limits of a function", manifestFile)
	}
	if f.Env == nil {
		f.Env = map[string]string{}
	}
	f.Code.Dir = filepath.Join(u.dir, codeDir)
	for i := range f.Layers {
		f.Layers[i].Code.Dir = filepath.Join(u.dir, layersDir, strconv.Itoa(i))
	}
	if err := here(f); err != nil {
		return nil, daruma.Invalidf("its code is missing: %w", err)
	}
	f.Code.SHA256 = "" // it may have been changed, and nothing here needs it
	return &Case{Failure: m.Failure, Event: u.event, Function: f, Place: m.Place, Tape: u.tape, Notes: m.Notes}, nil
}
