package watch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A record is at most this long on disk; run splits longer lines.
const recordBytesMax = 2 << 20

// segments is records on disk: files of JSON lines, numbered, each about a
// sixteenth of the whole in bytes, and in age where that is bounded; when there
// is too much the oldest file goes. One goroutine appends; any number read,
// each through its own descriptors.
type segments struct {
	dir   string
	limit int64            // bytes of one segment
	age   time.Duration    // of the oldest record, about; 0: any
	now   func() time.Time // the machine's time: files are as old as it says

	mu      sync.Mutex // guards names, for readers
	names   []string   // ascending
	file    *os.File
	out     *bufio.Writer
	born    time.Time // of the open segment
	written int64
	next    int
}

const segmentCount = 16

// openSegments opens the records in dir, and goes on in the segment that was written last.
func openSegments(dir string, bytesMax int64, age time.Duration, now func() time.Time) (*segments, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "[0-9]*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	s := &segments{dir: dir, limit: max(bytesMax/segmentCount, 64<<10), age: age, now: now, names: names}
	if len(names) > 0 {
		last := names[len(names)-1]
		if s.next, _, err = parseSegment(last); err != nil {
			return nil, fmt.Errorf("number segment %s: %w", last, err)
		}
		if reopened, err := s.reopen(last); err != nil || reopened {
			return s, errors.Join(err, s.expire())
		}
	}
	return s, errors.Join(s.rotate(), s.expire())
}

// segmentName is the file of a segment: its number and the second it was begun in.
func segmentName(number int, born time.Time) string {
	return fmt.Sprintf("%010d-%d.jsonl", number, born.Unix())
}

// parseSegment reads a segment's name; one of an older form has no birth.
func parseSegment(name string) (number int, born time.Time, err error) {
	head, second, _ := strings.Cut(strings.TrimSuffix(filepath.Base(name), ".jsonl"), "-")
	if number, err = strconv.Atoi(head); err != nil {
		return 0, time.Time{}, err
	}
	if n, err := strconv.ParseInt(second, 10, 64); err == nil {
		born = time.Unix(n, 0)
	}
	return number, born, nil
}

// reopen goes on in a segment, unless it is full. What a crash left half
// written becomes a line of its own.
func (s *segments) reopen(name string) (bool, error) {
	_, born, err := parseSegment(name)
	if err != nil || born.IsZero() {
		return false, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil || info.Size() >= s.limit {
		return false, errors.Join(err, f.Close())
	}
	s.file, s.out, s.born, s.written = f, bufio.NewWriterSize(f, 64<<10), born, info.Size()
	if s.written == 0 {
		return true, nil
	}
	_, err = s.out.WriteString("\n")
	s.written++
	return true, err
}

// rotate begins a new segment and removes the oldest beyond the bound.
func (s *segments) rotate() error {
	if err := s.close(); err != nil {
		return err
	}
	s.next++
	now := s.now()
	name := filepath.Join(s.dir, segmentName(s.next, now))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s.file, s.out, s.born, s.written = f, bufio.NewWriterSize(f, 64<<10), now, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, name)
	for len(s.names) > segmentCount {
		if err := s.drop(); err != nil {
			return err
		}
	}
	return nil
}

// drop removes the oldest segment. s.mu is held.
func (s *segments) drop() error {
	if err := os.Remove(s.names[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.names = s.names[1:]
	return nil
}

// expire removes what has grown too old, a sixteenth of the age later at most.
func (s *segments) expire() error {
	if s.age == 0 {
		return nil
	}
	now := s.now()
	if s.written > 0 && now.Sub(s.born) >= s.age/segmentCount {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.names) > 1 {
		_, last, err := parseSegment(s.names[1]) // the records before were written before that
		if info, statErr := os.Stat(s.names[0]); statErr == nil && info.ModTime().Before(last) {
			last = info.ModTime()
		}
		if err != nil || now.Sub(last) < s.age {
			return err
		}
		if err := s.drop(); err != nil {
			return err
		}
	}
	return nil
}

// append adds a record, which is one line. What a failed write leaves behind is skipped by readers.
func (s *segments) append(record []byte) error {
	if len(record) > recordBytesMax {
		return fmt.Errorf("a record of %d bytes", len(record))
	}
	if s.file == nil || s.written+int64(len(record)) > s.limit {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	n, err := s.out.Write(record)
	s.written += int64(n)
	return s.recover(err)
}

// recover makes the writer usable again after a failed write, on a full disk
// say: what was buffered is lost, and what was half written becomes a line of
// its own that readers skip.
func (s *segments) recover(err error) error {
	if err == nil {
		return nil
	}
	if info, statErr := s.file.Stat(); statErr == nil {
		s.written = info.Size() + 1
	}
	s.out.Reset(s.file)
	_ = s.out.WriteByte('\n') // the buffer has just been emptied
	return err
}

func (s *segments) flush() error {
	if s.out == nil {
		return nil
	}
	return s.recover(s.out.Flush())
}

func (s *segments) close() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.out.Flush(), s.file.Close())
	s.file, s.out = nil, nil
	return err
}

// A mark is a place in the log: what is before it has been written.
type mark struct {
	segment string
	offset  int64
}

// end returns the mark after everything written so far. The writer calls it, or nobody writes any more.
func (s *segments) end() mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mark{segment: s.names[len(s.names)-1], offset: s.written}
}

// read calls visit with every record before until that contains all marks,
// oldest first, as long as it returns true. A record may be damaged: torn by a
// crash, or being written. It is void when visit returns.
func (s *segments) read(marks [][]byte, until mark, visit func(record []byte) bool) error {
	s.mu.Lock()
	names := slices.Clone(s.names)
	s.mu.Unlock()
	for _, name := range names {
		if name > until.segment {
			break
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated away meanwhile
		}
		if err != nil {
			return err
		}
		in := io.Reader(f)
		if name == until.segment {
			in = io.LimitReader(f, until.offset)
		}
		more, err := readSegment(in, marks, visit)
		f.Close()
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func readSegment(f io.Reader, marks [][]byte, visit func(record []byte) bool) (more bool, err error) {
	in := bufio.NewScanner(f)
	in.Buffer(make([]byte, 64<<10), recordBytesMax+1)
scan:
	for in.Scan() {
		if len(in.Bytes()) == 0 {
			continue
		}
		for _, m := range marks {
			if !bytes.Contains(in.Bytes(), m) {
				continue scan
			}
		}
		if !visit(in.Bytes()) {
			return false, nil
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return true, nil
	}
	return true, in.Err()
}
