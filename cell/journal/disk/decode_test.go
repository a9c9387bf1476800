package disk

import (
	"bytes"
	"testing"
	"time"
)

func FuzzHighwater(f *testing.F) {
	h := highwater{id: identity{1, 2}, position: 7, log: 3, phase: running}
	f.Add(h.encode())
	f.Add([]byte("daruma-h"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHighwater(b); err == nil && !bytes.Equal(h.encode()[:48], b[:48]) {
			t.Errorf("%x was read as %+v", b, h.position)
		}
	})
}

func FuzzApplied(f *testing.F) {
	f.Add(applied{position: 1, fence: 2, time: time.Unix(3, 4), id: identity{5}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := decodeApplied(b); err == nil && !bytes.Equal(a.encode(), b) {
			t.Errorf("%x was read as %+v", b, a)
		}
	})
}

func FuzzSealed(f *testing.F) {
	f.Add([]byte("{\"files\":[]}\ncrc32c 00000000\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var inv inventory
		_ = unseal(b, &inv) // it must not panic
	})
}

func FuzzPositionIn(f *testing.F) {
	f.Add(make([]byte, 12))
	f.Add(append(make([]byte, 12), 1, 3, 'k', 'e', 'y', 1, 'v'))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The store's decoder may panic on what its checksum would not let pass.
		_ = caught(func() error { _, _, err := positionIn(b); return err })
	})
}
