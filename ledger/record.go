package ledger

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// Keys of the ledger's records. Numbers are eight bytes, so that keys are in
// the order of numbers, which is that of time.
//
//	f n            a Failure
//	e n            its event, sealed
//	x kind v 0 n   an index of failures: kind is one letter, v the value
//	y key          the number of the group with this identity
//	g n            a Group
//	h n            a Repair
//	m n            a Notice
//	t              the tally of notices
//	n letter       the last number given: F, G, H or N
//	u              the usage
//	r key          a Release
const (
	spaceFailure = 'f'
	spaceEvent   = 'e'
	spaceIndex   = 'x'
	spaceAlike   = 'y'
	spaceGroup   = 'g'
	spaceRepair  = 'h'
	spaceNumber  = 'n'
	spaceUsage   = 'u'
	spaceNotice  = 'm'
	spaceTally   = 't'
	spaceRelease = 'r'
)

// Kinds of index.
const (
	byGroup       = 'g'
	byFunction    = 'f'
	byState       = 's'
	byRequest     = 'r'
	byTrace       = 't'
	byCorrelation = 'c'
)

// indexedBytesMax is how much of a value is in an index.
const indexedBytesMax = 256

// eventVersion is the version of an event's record: the event as it is.
const eventVersion = 1

// How records are written. Version 1 of each is the first.
func failures() cell.Format[Failure] { return cell.Format[Failure]{Kind: "failure", Version: 1} }
func groups() cell.Format[Group]     { return cell.Format[Group]{Kind: "group of failures", Version: 1} }
func repairs() cell.Format[Repair]   { return cell.Format[Repair]{Kind: "repair", Version: 1} }
func notices() cell.Format[Notice]   { return cell.Format[Notice]{Kind: "notice", Version: 1} }
func tallies() cell.Format[Tally]    { return cell.Format[Tally]{Kind: "tally of notices", Version: 1} }
func releases() cell.Format[Release] { return cell.Format[Release]{Kind: "release", Version: 1} }
func usages() cell.Format[Usage]     { return cell.Format[Usage]{Kind: "usage of the ledger", Version: 1} }

func numbered(space byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{space}, n)
}

func number(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// indexPrefix is where the failures with a value are, in the order of their numbers.
func indexPrefix(kind byte, value string) []byte {
	k := make([]byte, 0, len(value)+11)
	k = append(k, spaceIndex, kind)
	k = append(k, strings.ReplaceAll(Cut(value, indexedBytesMax), "\x00", "\x01")...)
	return append(k, 0)
}

func indexKey(kind byte, value string, n ID) []byte {
	return binary.BigEndian.AppendUint64(indexPrefix(kind, value), uint64(n))
}

// next gives the next number of a kind.
func next(tx *cell.Tx, letter byte) uint64 {
	key := []byte{spaceNumber, letter}
	n := uint64(1)
	if raw, ok := tx.Get(key); ok && len(raw) == 8 {
		n = binary.BigEndian.Uint64(raw) + 1
	}
	tx.Set(key, binary.BigEndian.AppendUint64(nil, n))
	return n
}

// index writes or removes the entries that lead to f, but for that of its state.
func index(f *Failure, entry func(key []byte)) {
	entry(indexKey(byGroup, f.Group.String(), f.Number))
	entry(indexKey(byFunction, f.Function, f.Number))
	if f.Request != "" {
		entry(indexKey(byRequest, f.Request, f.Number))
	}
	if f.Trace != "" {
		entry(indexKey(byTrace, f.Trace, f.Number))
	}
	values := slices.Sorted(maps.Values(f.Correlations))
	for _, v := range slices.Compact(values) {
		entry(indexKey(byCorrelation, v, f.Number))
	}
}

// encodeRecord makes the body of a record command: the failure as JSON behind
// its length, then the event byte for byte.
func encodeRecord(f Failure, event []byte) ([]byte, error) {
	if len(event) > EventBytesMax {
		return nil, &daruma.Error{Op: "record failure", Kind: daruma.KindTooLarge, Err: fmt.Errorf("its event has %d bytes, at most %d are kept", len(event), EventBytesMax)}
	}
	f.trim()
	head, err := json.Marshal(f)
	if err != nil {
		return nil, &daruma.Error{Op: "record failure", Kind: daruma.KindInvalid, Err: err}
	}
	body := binary.AppendUvarint(make([]byte, 0, len(head)+len(event)+4), uint64(len(head)))
	return append(append(body, head...), event...), nil
}

func decodeRecord(body []byte) (f *Failure, event []byte, err error) {
	n, used := binary.Uvarint(body)
	if used <= 0 || n > uint64(len(body)-used) {
		return nil, nil, invalid("a failure is cut short")
	}
	f = new(Failure)
	if err := json.Unmarshal(body[used:used+int(n)], f); err != nil {
		return nil, nil, invalid("a failure cannot be read: %w", err)
	}
	if event = body[used+int(n):]; len(event) > EventBytesMax {
		return nil, nil, &daruma.Error{Op: "record failure", Kind: daruma.KindTooLarge, Err: fmt.Errorf("its event has %d bytes", len(event))}
	}
	return f, event, nil
}

func eventOf(s cell.State, id ID) ([]byte, error) {
	record, ok := s.Get(numbered(spaceEvent, uint64(id)))
	if !ok {
		return nil, nil
	}
	version, event, err := cell.Unseal(record)
	if err != nil {
		return nil, err
	}
	if version != eventVersion {
		return nil, &daruma.Error{Op: "read event", Ref: id.String(), Kind: daruma.KindUnsupported, Err: fmt.Errorf("version %d is not known", version)}
	}
	return event, nil
}

func trimTags(tags map[string]string) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	kept := map[string]string{}
	for _, k := range sortedKeys(tags) {
		if len(kept) == TagsMax {
			break
		}
		kept[Cut(k, indexedBytesMax)] = Cut(tags[k], indexedBytesMax)
	}
	return kept
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
