package table

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/value"
)

// Items expire at a time in one of their attributes, in seconds since 1970. An
// expired item is deleted by the machine, a bounded number in each step, and
// is there until then (Developer Guide, "Using time to live").
const (
	expireStep = 100                      // items deleted in one step
	expireAge  = 5 * 365 * 24 * time.Hour // what expired longer ago is left alone
)

// expiryOf says when an item expires, and false when it does not.
func (s *schema) expiryOf(it value.Item) (int64, bool) {
	v, ok := it.Get(s.Expiry)
	if !ok || v.Kind() != value.Number {
		return 0, false
	}
	whole, _, _ := strings.Cut(v.Text(), ".")
	at, err := strconv.ParseInt(whole, 10, 64)
	return at, err == nil && at > 0
}

func expiryKey(table uint32, at int64, place []byte) []byte {
	b := binary.BigEndian.AppendUint64(numbered(spaceExpiry, table), uint64(at))
	return append(b, place...)
}

// reexpire brings the index of expiry times up to date with a change.
func (w *work) reexpire(c *change) {
	s := c.schema
	place := c.key[len(s.base.prefix):]
	before, had := int64(0), false
	if c.exists {
		before, had = s.expiryOf(c.old)
	}
	after, has := int64(0), false
	if c.new != nil {
		after, has = s.expiryOf(c.new)
	}
	if had && has && before == after {
		return
	}
	if had {
		w.tx.Delete(expiryKey(s.Number, before, place))
	}
	if has {
		w.setExpiry(s, c.new, place)
	}
}

// setExpiry notes when an item expires, and has the machine woken then.
func (w *work) setExpiry(s *schema, it value.Item, place []byte) {
	at, ok := s.expiryOf(it)
	if !ok || at < w.tx.Now().Add(-expireAge).Unix() {
		return
	}
	w.tx.Set(expiryKey(s.Number, at, place), nil)
	w.wakeToExpire(s, at)
}

func (w *work) wakeToExpire(s *schema, at int64) {
	key, due := timerKey(timerExpire, s.Number, 0), time.Unix(at, 0)
	if set, ok := w.tx.Scheduled(key); !ok || due.Before(set) {
		w.tx.Schedule(due, key)
	}
}

// expire deletes items whose time has come.
func (w *work) expire(s *schema) error {
	if s.Expiry == "" {
		return nil
	}
	prefix, now := numbered(spaceExpiry, s.Number), w.tx.Now().Unix()
	n := 0
	for key := range w.tx.Scan(cell.Prefix(prefix)) {
		if len(key) < len(prefix)+8 {
			return corrupt("expiry", errHead)
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

func (w *work) expireOne(s *schema, place []byte, at int64) error {
	c := &change{target: &target{Action: &Action{Kind: Delete}, schema: s, key: append(append([]byte(nil), s.base.prefix...), place...)}}
	if c.oldRecord, c.exists = w.tx.Get(c.key); !c.exists {
		return nil
	}
	var err error
	if c.old, c.oldSize, err = decodeItem(c.oldRecord); err != nil {
		return err
	}
	if is, ok := s.expiryOf(c.old); !ok || is != at {
		return nil
	}
	c.Item = s.keyItem(c.old)
	return w.store(c, true, new(Outcome))
}
