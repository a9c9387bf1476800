package table

import (
	"encoding/binary"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
	"github.com/daruma-io/daruma/table/write"
)

// Items expire at a time in one of their attributes, in seconds since 1970. An
// expired item is deleted by the machine, a bounded number in each step, and
// is there until then (Developer Guide, "Using time to live").
const (
	expireStep = 100                      // items deleted in one step
	expireAge  = 5 * 365 * 24 * time.Hour // what expired longer ago is left alone
)

func expiryKey(table uint32, at int64, place []byte) []byte {
	b := binary.BigEndian.AppendUint64(schema.Numbered(schema.SpaceExpiry, table), uint64(at))
	return append(b, place...)
}

// reexpire brings the index of expiry times up to date with a change.
func (w *work) reexpire(c *write.Change) {
	s := c.Schema
	place := c.Key[len(s.Base.Prefix):]
	before, had := int64(0), false
	if c.Exists {
		before, had = s.ExpiryOf(c.Old)
	}
	after, has := int64(0), false
	if c.New != nil {
		after, has = s.ExpiryOf(c.New)
	}
	if had && has && before == after {
		return
	}
	if had {
		w.tx.Delete(expiryKey(s.Number, before, place))
	}
	if has {
		w.setExpiry(s, c.New, place)
	}
}

// setExpiry notes when an item expires, and has the machine woken then.
func (w *work) setExpiry(s *schema.Table, it value.Item, place []byte) {
	at, ok := s.ExpiryOf(it)
	if !ok || at < w.tx.Now().Add(-expireAge).Unix() {
		return
	}
	w.tx.Set(expiryKey(s.Number, at, place), nil)
	w.wakeToExpire(s, at)
}

func (w *work) wakeToExpire(s *schema.Table, at int64) {
	key, due := timerKey(timerExpire, s.Number, 0), time.Unix(at, 0)
	if set, ok := w.tx.Scheduled(key); !ok || due.Before(set) {
		w.tx.Schedule(due, key)
	}
}

// expire deletes items whose time has come.
func (w *work) expire(s *schema.Table) error {
	if s.Expiry == "" {
		return nil
	}
	prefix, now := schema.Numbered(schema.SpaceExpiry, s.Number), w.tx.Now().Unix()
	n := 0
	for key := range w.tx.Scan(cell.Prefix(prefix)) {
		if len(key) < len(prefix)+8 {
			return value.Corrupt("expiry", value.ErrHead)
		}
		at := int64(binary.BigEndian.Uint64(key[len(prefix):]))
		if at > now || n == expireStep {
			w.wakeToExpire(s, max(at, now))
			return nil
		}
		n++
		w.tx.Delete(key)
		if err := w.expireOne(s, key[len(prefix)+8:], at); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) expireOne(s *schema.Table, place []byte, at int64) error {
	c := &write.Change{Target: &write.Target{Action: &write.Action{Kind: write.Delete}, Schema: s, Key: append(append([]byte(nil), s.Base.Prefix...), place...)}}
	if c.OldRecord, c.Exists = w.tx.Get(c.Key); !c.Exists {
		return nil
	}
	var err error
	if c.Old, c.OldSize, err = schema.DecodeItem(c.OldRecord); err != nil {
		return err
	}
	if is, ok := s.ExpiryOf(c.Old); !ok || is != at {
		return nil
	}
	c.Item = s.KeyItem(c.Old)
	return w.store(c, true, new(write.Outcome))
}
