package schema

import (
	"encoding/binary"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/value"
)

// Records of items hold their size before them, which is what most writes and
// all reads want to know of what was there.
//
//	1: the size, the item (value.AppendItem)
const itemVersion = 1

// EncodeItem writes the record of an item, and says how large the item is.
func EncodeItem(it value.Item) (record []byte, size int) {
	size = it.Size()
	b := make([]byte, 0, size+size/4+32)
	b = binary.AppendUvarint(b, uint64(size))
	return cell.Seal(itemVersion, value.AppendItem(b, it)), size
}

// DecodeItem reads the record of an item.
func DecodeItem(record []byte) (it value.Item, size int, err error) {
	body, size, err := ItemBody(record)
	if err != nil {
		return nil, 0, err
	}
	if it, err = value.DecodeItem(string(body)); err != nil {
		return nil, 0, value.Corrupt("item", err)
	}
	return it, size, nil
}

// ItemBody returns the item within a record, and its size.
func ItemBody(record []byte) ([]byte, int, error) {
	version, body, err := cell.Unseal(record)
	if err != nil {
		return nil, 0, err
	}
	size, n := binary.Uvarint(body)
	if version != itemVersion || n <= 0 || size > 2*ItemBytesMax {
		return nil, 0, value.Corrupt("item", value.ErrHead)
	}
	return body[n:], int(size), nil
}
