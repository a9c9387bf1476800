package watch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/daruma-io/daruma"
)

// A line of log is at most this long on disk; run splits longer ones.
const recordBytesMax = 2 << 20

// segments is a log on disk: files of JSON lines, numbered, each about a
// sixteenth of the whole; when there is too much the oldest file goes. One
// goroutine appends; any number read, each through its own descriptors.
type segments struct {
	dir   string
	limit int64 // bytes of one segment
	count int   // most segments

	mu      sync.Mutex // guards names, for readers
	names   []string   // ascending
	file    *os.File
	out     *bufio.Writer
	written int64
	next    int
	buf     []byte
}

const segmentCount = 16

func openSegments(dir string, bytesMax int64) (*segments, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "[0-9]*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	s := &segments{dir: dir, limit: max(bytesMax/segmentCount, 64<<10), count: segmentCount, names: names}
	if len(names) > 0 {
		last := filepath.Base(names[len(names)-1])
		if _, err := fmt.Sscanf(last, "%d", &s.next); err != nil {
			return nil, fmt.Errorf("number log segment %s: %w", last, err)
		}
	}
	return s, s.rotate()
}

// rotate begins a new segment and removes the oldest beyond the bound.
func (s *segments) rotate() error {
	if err := s.close(); err != nil {
		return err
	}
	s.next++
	name := filepath.Join(s.dir, fmt.Sprintf("%010d.jsonl", s.next))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s.file, s.out, s.written = f, bufio.NewWriterSize(f, 64<<10), 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, name)
	for len(s.names) > s.count {
		if err := os.Remove(s.names[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.names = s.names[1:]
	}
	return nil
}

// append adds a line. What a failed write leaves behind is skipped by readers.
func (s *segments) append(l daruma.Line) error {
	s.buf = appendLine(s.buf[:0], l)
	if len(s.buf) > recordBytesMax {
		return fmt.Errorf("a log record of %d bytes", len(s.buf))
	}
	if s.file == nil || s.written+int64(len(s.buf)) > s.limit {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	n, err := s.out.Write(s.buf)
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

// read calls yield with every line before until that q admits, oldest first,
// as long as it returns true. Damaged lines are skipped and counted.
func (s *segments) read(q Query, until mark, yield func(daruma.Line) bool) (damaged int, err error) {
	s.mu.Lock()
	names := slices.Clone(s.names)
	s.mu.Unlock()
	marks := q.marks()
	for _, name := range names {
		if name > until.segment {
			break
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // rotated away meanwhile
		}
		if err != nil {
			return damaged, err
		}
		in := io.Reader(f)
		if name == until.segment {
			in = io.LimitReader(f, until.offset)
		}
		more, bad, err := readSegment(in, q, marks, yield)
		f.Close()
		damaged += bad
		if err != nil || !more {
			return damaged, err
		}
	}
	return damaged, nil
}

func readSegment(f io.Reader, q Query, marks [][]byte, yield func(daruma.Line) bool) (more bool, damaged int, err error) {
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
		var l daruma.Line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			damaged++ // torn by a crash, or being written
			continue
		}
		if q.admits(l) && !yield(l) {
			return false, damaged, nil
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return true, damaged + 1, nil
	}
	return true, damaged, in.Err()
}
