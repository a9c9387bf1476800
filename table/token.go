package table

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/daruma-io/daruma/cell"
)

const (
	tokenAge  = 10 * time.Minute // how long a transaction's token is remembered (API Reference, TransactWriteItems)
	tokenStep = 16               // old tokens forgotten with each new one
)

func tokenKey(token string) []byte { return append([]byte{spaceToken}, token...) }

func tokenTime(at time.Time, token string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{spaceTime}, uint64(at.UnixNano()))
	return append(b, token...)
}

// replayed says whether a transaction was taken before under its token. Another
// transaction under the same token is refused.
func (w *work) replayed(r *request) (bool, error) {
	record, ok := w.tx.Get(tokenKey(r.token))
	if !ok {
		return false, nil
	}
	version, body, err := cell.Unseal(record)
	if err != nil {
		return false, err
	}
	if version != 1 || len(body) < 8 {
		return false, corrupt("token", errHead)
	}
	if at := time.Unix(0, int64(binary.BigEndian.Uint64(body))); w.tx.Now().Sub(at) >= tokenAge {
		return false, nil
	}
	if !bytes.Equal(body[8:], r.hash) {
		return false, refuse(&Refusal{Code: TokenMismatch, Message: "The request uses the same client token as a previous, but non-identical request. Do not reuse a client token with different requests, unless the requests are identical"})
	}
	w.outcomes = make([]Outcome, len(r.actions))
	for i := range r.actions { // what was written is read, to say that it is there
		t, err := w.m.resolve(&r.actions[i])
		if err != nil {
			return false, err
		}
		size := 0
		if record, ok := w.tx.Get(t.key); ok {
			if _, size, err = itemBody(record); err != nil {
				return false, err
			}
		}
		w.outcomes[i].Capacity = Capacity{Table: r.actions[i].Table, Units: 2 * readUnits(size, true)}
	}
	return true, nil
}

// remember keeps a transaction's token, and forgets some that are old.
func (w *work) remember(r *request) {
	now := w.tx.Now()
	if before, ok := w.tx.Get(tokenKey(r.token)); ok {
		if _, body, err := cell.Unseal(before); err == nil && len(body) >= 8 {
			w.tx.Delete(tokenTime(time.Unix(0, int64(binary.BigEndian.Uint64(body))), r.token))
		}
	}
	body := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
	w.tx.Set(tokenKey(r.token), cell.Seal(1, append(body, r.hash...)))
	w.tx.Set(tokenTime(now, r.token), nil)
	n := 0
	for key := range w.tx.Scan(cell.Range{Lower: []byte{spaceTime}, Upper: tokenTime(now.Add(-tokenAge), "")}) {
		if n++; n > tokenStep {
			break
		}
		w.tx.Delete(key)
		if token := string(key[9:]); token != r.token {
			w.tx.Delete(tokenKey(token))
		}
	}
}
