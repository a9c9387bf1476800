package table

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/throughput"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

const (
	tokenAge  = 10 * time.Minute // how long a transaction's token is remembered (API Reference, TransactWriteItems)
	tokenStep = 16               // old tokens forgotten with each new one
)

func tokenKey(token string) []byte { return append([]byte{schema.SpaceToken}, token...) }

func tokenTime(at time.Time, token string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{schema.SpaceTime}, uint64(at.UnixNano()))
	return append(b, token...)
}

// replayed says whether a transaction was taken before under its token. Another
// transaction under the same token is refused.
func (w *work) replayed(r *write.Request) (bool, error) {
	record, ok := w.tx.Get(tokenKey(r.Token))
	if !ok {
		return false, nil
	}
	version, body, err := cell.Unseal(record)
	if err != nil {
		return false, err
	}
	if version != 1 || len(body) < 8 {
		return false, value.Corrupt("token", value.ErrHead)
	}
	if at := time.Unix(0, int64(binary.BigEndian.Uint64(body))); w.tx.Now().Sub(at) >= tokenAge {
		return false, nil
	}
	if !bytes.Equal(body[8:], r.Hash) {
		return false, refuse.Of(&refuse.Error{Code: refuse.TokenMismatch, Message: "The request uses the same client token as a previous, but non-identical request. Do not reuse a client token with different requests, unless the requests are identical"})
	}
	w.outcomes = make([]write.Outcome, len(r.Actions))
	for i := range r.Actions { // what was written is read, to say that it is there
		t, err := w.m.resolve(&r.Actions[i])
		if err != nil {
			return false, err
		}
		size := 0
		if record, ok := w.tx.Get(t.Key); ok {
			if _, size, err = schema.ItemBody(record); err != nil {
				return false, err
			}
		}
		w.outcomes[i].Capacity = throughput.Capacity{Table: r.Actions[i].Table, Units: 2 * throughput.ReadUnits(size, true)}
	}
	return true, nil
}

// remember keeps a transaction's token, and forgets some that are old.
func (w *work) remember(r *write.Request) {
	now := w.tx.Now()
	if before, ok := w.tx.Get(tokenKey(r.Token)); ok {
		if _, body, err := cell.Unseal(before); err == nil && len(body) >= 8 {
			w.tx.Delete(tokenTime(time.Unix(0, int64(binary.BigEndian.Uint64(body))), r.Token))
		}
	}
	body := binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))
	w.tx.Set(tokenKey(r.Token), cell.Seal(1, append(body, r.Hash...)))
	w.tx.Set(tokenTime(now, r.Token), nil)
	n := 0
	for key := range w.tx.Scan(cell.Range{Lower: []byte{schema.SpaceTime}, Upper: tokenTime(now.Add(-tokenAge), "")}) {
		if n++; n > tokenStep {
			break
		}
		w.tx.Delete(key)
		if token := string(key[9:]); token != r.Token {
			w.tx.Delete(tokenKey(token))
		}
	}
}
