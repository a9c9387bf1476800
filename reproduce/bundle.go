package reproduce

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/tape"
)

// What lies in a bundle.
const (
	manifestFile  = "case.json"
	eventFile     = "event.json"
	tapeFile      = "recording.tape"
	exchangesFile = "exchanges.md"
	logFile       = "log.txt"
	readmeFile    = "README.md"
	codeDir       = "code"
	layersDir     = "layers"
)

// bundleVersion is the format of what WriteBundle writes.
const bundleVersion = 1

// A manifest is what of a case is no file of its own.
type manifest struct {
	Version  int               `json:"version"`
	Failure  *ledger.Failure   `json:"failure"`
	Function *catalog.Function `json:"function"`
	Place    catalog.Place     `json:"place"`
	Redacted []string          `json:"redactedVariables,omitempty"`
	Notes    []string          `json:"notes,omitempty"`
}

// secretName is what names of variables with secrets look like, and secretValue
// what addresses with a password in them do.
var (
	secretName  = regexp.MustCompile(`(?i)secret|token|passw|pwd|api_?key|access_?key|private|credential|auth|dsn|connection_?string|_key$|^key$|salt|cert`)
	secretValue = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://[^/@\s]*:[^/@\s]*@`)
)

// WriteBundle writes a case as one file (tar, gzip): the failure with its
// attempts, stack and log, the event, the code and its layers, the
// configuration, the recording, and a README with the commands to run it.
//
// The values of variables that look like secrets, by name or as an address
// with a password, are left out. What the event, the log or an answer says is
// as it was kept: redacting it is declared where it comes from.
func WriteBundle(w io.Writer, c *Case) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	err := c.write(t)
	if err = errors.Join(err, t.Close(), z.Close()); err != nil {
		return &daruma.Error{Op: "write bundle", Ref: c.Failure.Number.String(), Err: err}
	}
	return nil
}

func (c *Case) write(t *tar.Writer) error {
	m := c.manifest()
	head, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	files := []struct {
		name string
		data []byte
	}{{readmeFile, []byte(c.readme(m))}, {manifestFile, head}, {eventFile, c.Event}, {logFile, []byte(strings.Join(c.Failure.Log, "\n") + "\n")}}
	if c.Tape != nil {
		raw, err := tape.Encode(c.Tape)
		if err != nil {
			return err
		}
		files = append(files, struct {
			name string
			data []byte
		}{tapeFile, raw}, struct {
			name string
			data []byte
		}{exchangesFile, []byte(exchanges(c.Tape))})
	}
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data)), ModTime: c.Failure.At, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	if err := c.writeTree(t, c.Function.Code.Dir, codeDir); err != nil {
		return err
	}
	for i, l := range c.Function.Layers {
		if err := c.writeTree(t, l.Code.Dir, layersDir+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// manifest is the case without what names this machine, and without secrets.
func (c *Case) manifest() manifest {
	f := *c.Function
	f.Source, f.Code.Dir, f.URL, f.Reserved = catalog.Source{}, "", nil, nil
	f.Layers = slices.Clone(f.Layers)
	for i := range f.Layers {
		f.Layers[i].Source, f.Layers[i].Code.Dir = catalog.Source{}, ""
	}
	m := manifest{Version: bundleVersion, Failure: c.Failure, Function: &f, Place: c.Place, Notes: c.Notes}
	f.Env = map[string]string{}
	for name, value := range c.Function.Env {
		if secretName.MatchString(name) || secretValue.MatchString(value) {
			value = tape.Redacted
			m.Redacted = append(m.Redacted, name)
		}
		f.Env[name] = value
	}
	slices.Sort(m.Redacted)
	return m
}

// writeTree writes a directory of code.
func (c *Case) writeTree(t *tar.Writer, dir, name string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(filepath.Join(name, rel)), Mode: int64(info.Mode().Perm()), ModTime: c.Failure.At}
		switch {
		case e.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
			return t.WriteHeader(h)
		case info.Mode()&fs.ModeSymlink != 0:
			if h.Linkname, err = os.Readlink(path); err != nil {
				return err
			}
			if filepath.IsAbs(h.Linkname) || !stays(h.Name, filepath.ToSlash(h.Linkname)) {
				return nil // it leads nowhere in a place, too
			}
			h.Typeflag = tar.TypeSymlink
			return t.WriteHeader(h)
		case !info.Mode().IsRegular():
			return nil
		}
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(t, f)
		return err
	})
}

// readme says what failed, what lies where, and how to run it.
func (c *Case) readme(m manifest) string {
	f := c.Failure
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# %s: %s failed with %s", f.Number, f.Function, or(f.ErrorType, f.Outcome))
	line("\n> %s\n", strings.ReplaceAll(f.Message, "\n", "\n> "))
	line("It happened %s, %s, at %s, after %d attempts that counted.", f.At.UTC().Format("2006-01-02 15:04:05 MST"), f.Outcome, or(f.Location.String(), "a place that is not known"), f.Runs)
	line("\n## Run it\n")
	line("    daruma reproduce %s.tar.gz              # as it ran: exit code 0 says that it failed in the same way", f.Number)
	line("    daruma reproduce %s.tar.gz --debug      # and wait for a debugger", f.Number)
	line("    daruma reproduce %s.tar.gz --json       # for programs", f.Number)
	line("\nTo try a change: unpack this file, edit what is in `code/`, pack it again (`tar czf changed.tar.gz *`) and run that: exit code 3 says that it ended well.")
	if len(m.Redacted) > 0 {
		line("\nThe values of these variables are not in here: %s. Give them with `--env NAME=VALUE`.", strings.Join(m.Redacted, ", "))
	}
	line("\n## What is in here\n")
	line("| | |\n|---|---|")
	line("| `%s` | the failure with its attempts and stack, and the function's configuration |", manifestFile)
	line("| `%s` | the event, as the function got it |", eventFile)
	line("| `%s` | the last lines of its log |", logFile)
	line("| `%s/` | the code that ran (%s, handler %s) |", codeDir, or(m.Function.Runtime, "a container"), or(m.Function.Handler, "bootstrap"))
	for i, l := range m.Function.Layers {
		line("| `%s/%d/` | the layer %s |", layersDir, i, l.Name)
	}
	if c.Tape != nil {
		line("| `%s` | what hosts outside answered, which is played back |", tapeFile)
		line("| `%s` | the same, to read |", exchangesFile)
	}
	if len(f.Stack) > 0 {
		line("\n## Stack\n\n```\n%s\n```", strings.Join(f.Stack, "\n"))
	}
	for i, n := range c.Notes {
		if i == 0 {
			line("\n## Note\n")
		}
		line("- %s", n)
	}
	line("\nLook through it before you hand it on: the event, the log and the answers are as they were kept.")
	return b.String()
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// exchanges tells a tape to a person.
func exchanges(t *tape.Tape) string {
	var b strings.Builder
	for i := range t.Exchanges {
		x := &t.Exchanges[i]
		fmt.Fprintf(&b, "## %d. %s\n\n", i+1, x)
		if x.Before {
			b.WriteString("Before the run that failed.\n\n")
		}
		told(&b, "asked", x.RequestHeader, x.RequestBody)
		switch {
		case x.Pending:
			fmt.Fprintf(&b, "The run did not wait for the rest of the answer, after %v.\n\n", x.Took)
		case x.Error != "":
			fmt.Fprintf(&b, "It failed after %v: %s\n\n", x.Took, x.Error)
		}
		if x.Status != 0 {
			told(&b, fmt.Sprintf("answered %d after %v", x.Status, x.Took), x.Header, x.Body)
		}
	}
	for _, m := range t.Missed {
		fmt.Fprintf(&b, "Not recorded: %s\n", m)
	}
	return b.String()
}

func told(b *strings.Builder, what string, header map[string][]string, body []byte) {
	if len(header)+len(body) == 0 {
		fmt.Fprintf(b, "%s\n\n", what)
		return
	}
	fmt.Fprintf(b, "%s\n\n```\n", what)
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(b, "%s: %s\n", name, strings.Join(header[name], ", "))
	}
	if text := string(body); isText(text) {
		fmt.Fprintf(b, "\n%s\n", text)
	} else {
		fmt.Fprintf(b, "\n(%d bytes that are no text)\n", len(body))
	}
	b.WriteString("```\n\n")
}

func isText(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return c == '\uFFFD' || c < ' ' && c != '\n' && c != '\r' && c != '\t'
	})
}
