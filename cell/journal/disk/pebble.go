package disk

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// What the store is given. Memtables are counted as part of the cache: what is
// left for blocks is the cache less twenty-four megabytes at most.
const (
	cacheBytesDefault = 44 << 20
	memTableBytes     = 8 << 20
	manifestBytesMax  = 4 << 20
	openFilesMax      = 128

	// Some keys are written with every entry, so that each new table spans
	// nearly everything and merging it rewrites nearly all of the level below.
	// So tables gather first: the store begins at half as many layers of them.
	gatheredMax = 8

	// The format has checksums in the footers of tables, and logs that say how
	// far they had been synced.
	storeFormat = pebble.FormatValueSeparation
)

// options are how the store at hand is opened.
func (p Place) options(g *gate, events *pebble.EventListener) *pebble.Options {
	o := &pebble.Options{
		FS:                          g,
		FormatMajorVersion:          storeFormat,
		CacheSize:                   p.CacheBytes,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: 3,
		MaxManifestFileSize:         manifestBytesMax,
		MaxOpenFiles:                openFilesMax,
		L0CompactionThreshold:       gatheredMax,
		L0StopWritesThreshold:       32,
		LBaseMaxBytes:               64 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		EventListener:               events,
		Logger:                      storeLog{p.Logger, g},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].FilterType = pebble.TableFilter
	}
	o.Experimental.ReadSamplingMultiplier = -1 // reads start no compactions
	o.EnsureDefaults()
	return o
}

// storeLog passes on what the store has to say. Fatal ends the store, never
// the process.
type storeLog struct {
	log  *slog.Logger
	gate *gate
}

func (l storeLog) Infof(string, ...any) {}

func (l storeLog) Errorf(format string, args ...any) {
	l.log.Warn("cell: " + oneLine(fmt.Sprintf(format, args...)))
}

// Fatalf is called by the store where it cannot go on. It must not return.
// Who only reads unwinds to protect; anybody else stops here for good, behind
// a gate that is shut.
func (l storeLog) Fatalf(format string, args ...any) {
	err := errors.New(oneLine(fmt.Sprintf(format, args...)))
	l.log.Error("cell: the store cannot go on", "err", err)
	if protected() {
		panic(stopped{err})
	}
	if l.gate != nil {
		l.gate.close(err)
	}
	select {}
}

// stopped is what a panic from Fatalf carries.
type stopped struct{ err error }

// caught calls into the store and turns a panic there into an error. After
// one, the store may hold locks for ever: it must not be used again.
func caught(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &stopError{fmt.Errorf("%v", p)}
		}
	}()
	return f()
}

// protect is caught for calls that only read.
func protect(f func() error) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case stopped:
			err = &stopError{p.err}
		case error:
			err = &stopError{p}
		default:
			err = &stopError{fmt.Errorf("%v", p)}
		}
	}()
	return f()
}

// stopError says that the store has stopped working.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }
func (e *stopError) Unwrap() error { return e.err }

// protected says whether protect is among the callers.
func protected() bool {
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "journal/disk.protect") {
			return true
		}
		if !more {
			return false
		}
	}
}

func oneLine(s string) string {
	b := []byte(s)
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
