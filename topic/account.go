package topic

import (
	"encoding/binary"
	"fmt"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
)

// An Account counts what became of a topic's messages. It closes at any
// moment: Matched = Delivered + Waiting + Failed + Dropped.
type Account struct {
	Topic string `json:"topic"`

	Published  int64 `json:"published"`
	Duplicates int64 `json:"duplicates"` // not taken again
	Filtered   int64 `json:"filtered"`   // times a subscription did not want one
	Matched    int64 `json:"matched"`    // times one did, those that were given up and redriven included
	Delivered  int64 `json:"delivered"`  // of these: in the queue, on its way to the function, or posted
	Waiting    int64 `json:"waiting"`    // of these: to be posted
	Failed     int64 `json:"failed"`     // of these: given up; each is in the ledger
	Dropped    int64 `json:"dropped"`    // of these: its subscription ended before

	Posts            int64 `json:"posts"` // tries
	DeadLetters      int64 `json:"deadLetters"`
	DeadLetterErrors int64 `json:"deadLetterErrors"`

	Replayed      int64 `json:"replayed,omitempty"`      // of those that matched: out of the archive
	Archived      int64 `json:"archived,omitempty"`      // messages in the archive
	ArchivedBytes int64 `json:"archivedBytes,omitempty"` // that they take on the disk
}

// Closes says whether everything that matched is somewhere.
func (a Account) Closes() bool {
	return a.Matched == a.Delivered+a.Waiting+a.Failed+a.Dropped
}

func (a *Account) numbers() []*int64 {
	return []*int64{&a.Published, &a.Duplicates, &a.Filtered, &a.Matched, &a.Delivered, &a.Waiting, &a.Failed, &a.Dropped, &a.Posts, &a.DeadLetters, &a.DeadLetterErrors,
		&a.Replayed, &a.Archived, &a.ArchivedBytes}
}

// numbersOfOne is how many of the numbers version 1 of a book has.
const numbersOfOne = 11

// A book is what is counted of a topic: version 1 is the number of its last
// message and of its last post, and the numbers of Account up to
// DeadLetterErrors in their order; version 2 has all of them.
type book struct {
	Account
	number uint64 // of the last message of a FIFO topic
	post   uint64 // of the last post
}

const bookVersion = 2

func (b *book) encode() []byte {
	out := binary.AppendUvarint(make([]byte, 0, 48), b.number)
	out = binary.AppendUvarint(out, b.post)
	for _, n := range b.numbers() {
		out = binary.AppendUvarint(out, uint64(*n))
	}
	return cell.Seal(bookVersion, out)
}

func readBook(s cell.State, topic string) (*book, error) {
	b := &book{Account: Account{Topic: topic}}
	record, ok := s.Get(bookKey(topic))
	if !ok {
		return b, nil
	}
	version, body, err := cell.Unseal(record)
	if err == nil && version != 1 && version != bookVersion {
		err = &daruma.Error{Kind: daruma.KindUnsupported, Ref: topic, Err: fmt.Errorf("an account of version %d", version)}
	}
	if err != nil {
		return nil, err
	}
	next := func() uint64 {
		n, used := binary.Uvarint(body)
		if used <= 0 {
			err = corrupt("account of "+topic, cell.ErrCut)
			return 0
		}
		body = body[used:]
		return n
	}
	b.number, b.post = next(), next()
	numbers := b.numbers()
	if version == 1 {
		numbers = numbers[:numbersOfOne]
	}
	for _, n := range numbers {
		*n = int64(next())
	}
	return b, err
}
