package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

// A phase is where the journal is in its life, as the high-water file says.
// It decides what may be asked of the other files when it is opened again.
type phase byte

const (
	opening phase = iota + 1 // the store was being opened: the inventory says nothing
	running                  // it was in use, and not closed: what the inventory lists is as it says
	closed                   // it was closed: there is exactly what the inventory lists
)

// highwater is a file with the highest position known to be durable. It is
// written after the position is durable, so it is never ahead, and before
// anybody is told; the page cache keeps it when the process dies, and it is
// synced every second and at every change of phase. A store that opens with a
// lower position has lost its end, whatever the store itself makes of that: a
// flipped bit in the last log looks like a torn write to it.
//
//	0   "daruma-h"
//	8   version, phase, 6 bytes of zero
//	16  identity of the cell
//	32  position
//	40  number of the log in use then, as a help to name it when it is gone; 0 when not known
//	48  12 bytes of zero
//	60  CRC-32C of all before
type highwater struct {
	path string
	file *os.File
	id   identity

	mu       sync.Mutex
	position uint64
	log      uint64
	phase    phase
	dirty    bool // written and not synced
}

const (
	highwaterBytes   = 64
	highwaterVersion = 1
	highwaterMagic   = "daruma-h"
)

// identity tells cells apart.
type identity [16]byte

func (h *highwater) encode() []byte {
	b := make([]byte, highwaterBytes)
	copy(b, highwaterMagic)
	b[8], b[9] = highwaterVersion, byte(h.phase)
	copy(b[16:], h.id[:])
	binary.LittleEndian.PutUint64(b[32:], h.position)
	binary.LittleEndian.PutUint64(b[40:], h.log)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeHighwater reads what encode wrote.
func decodeHighwater(b []byte) (h *highwater, err error) {
	h = new(highwater)
	switch {
	case len(b) != highwaterBytes:
		return h, fmt.Errorf("it has %d bytes, not %d", len(b), highwaterBytes)
	case binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli):
		return h, errors.New("its checksum is wrong")
	case string(b[:8]) != highwaterMagic || b[8] != highwaterVersion:
		return h, errors.New("it is not of a known version")
	}
	h.phase = phase(b[9])
	if h.phase < opening || h.phase > closed {
		return h, fmt.Errorf("it says phase %d, which does not exist", h.phase)
	}
	copy(h.id[:], b[16:])
	h.position = binary.LittleEndian.Uint64(b[32:])
	h.log = binary.LittleEndian.Uint64(b[40:])
	return h, nil
}

// openHighwater reads the file, and keeps it open to be written.
func openHighwater(path string, id identity) (*highwater, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, corrupt(path, errors.New("the file is missing"))
	}
	if err != nil {
		return nil, unreachable("read", path, err)
	}
	h, err := decodeHighwater(b)
	if err != nil {
		return nil, corrupt(path, err)
	}
	h.path = path
	if h.id != id {
		return nil, corrupt(path, errors.New("it belongs to another cell"))
	}
	if h.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, unreachable("open", path, err)
	}
	return h, nil
}

// createHighwater makes the file.
func createHighwater(path string, id identity, position uint64, p phase) error {
	h := &highwater{id: id, position: position, phase: p}
	return writeSynced(path, h.encode())
}

// logName is the file name of the log that was in use.
func (h *highwater) logName() string { return fmt.Sprintf("%06d.log", h.log) }

// uses notes which log is in use; it is written with the next position.
func (h *highwater) uses(log uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = log
}

// raise notes that position is durable.
func (h *highwater) raise(position uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if position <= h.position {
		return nil
	}
	h.position = position
	return h.writeLocked()
}

// enter notes the next phase, durably.
func (h *highwater) enter(p phase) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = p
	if err := h.writeLocked(); err != nil {
		return err
	}
	return h.syncLocked()
}

// sync makes the file durable, if it has changed.
func (h *highwater) sync() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.dirty {
		return nil
	}
	return h.syncLocked()
}

func (h *highwater) writeLocked() error {
	_, err := h.file.WriteAt(h.encode(), 0)
	h.dirty = true
	if noSpace(err) {
		return nil // a copying file system found no room: too low is safe
	}
	return err
}

func (h *highwater) syncLocked() error {
	h.dirty = false
	err := h.file.Sync()
	if noSpace(err) {
		h.dirty = true
		return nil
	}
	return err
}

func (h *highwater) close() error { return h.file.Close() }
