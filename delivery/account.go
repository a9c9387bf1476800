package delivery

import (
	"context"
	"encoding/binary"

	"github.com/daruma-io/daruma/cell"
)

// An Account counts what became of a function's events. It closes at any
// moment: Accepted = Waiting + Leased + Done + Failed.
type Account struct {
	Function string `json:"function,omitempty"` // "" for all functions together

	Accepted int64 `json:"accepted"`
	Redriven int64 `json:"redriven"` // of these
	Waiting  int64 `json:"waiting"`
	Leased   int64 `json:"leased"`
	Done     int64 `json:"done"`
	Failed   int64 `json:"failed"` // each is in the ledger

	Exhausted int64 `json:"exhausted"` // of Failed: attempts used up
	Expired   int64 `json:"expired"`   // of Failed: too old
	Zero      int64 `json:"zero"`      // of Failed: reserved concurrency is zero
	Refused   int64 `json:"refused"`   // of Failed: it can never run

	Attempts  int64 `json:"attempts"`  // runs that counted
	Throttled int64 `json:"throttled"` // tries that did not run, for whatever reason
	Lost      int64 `json:"lost"`      // leases that ran out, or whose holder was gone

	DeadLetters       int64 `json:"deadLetters"`
	DeadLetterErrors  int64 `json:"deadLetterErrors"`
	Destinations      int64 `json:"destinations"`
	DestinationErrors int64 `json:"destinationErrors"`

	Bytes int64 `json:"bytes"` // of the events on their way
}

func (a *Account) numbers() []*int64 {
	return []*int64{&a.Accepted, &a.Redriven, &a.Waiting, &a.Leased, &a.Done, &a.Failed, &a.Exhausted, &a.Expired, &a.Zero, &a.Refused,
		&a.Attempts, &a.Throttled, &a.Lost, &a.DeadLetters, &a.DeadLetterErrors, &a.Destinations, &a.DestinationErrors, &a.Bytes}
}

// InProgress is the events that have not ended.
func (a Account) InProgress() int64 { return a.Waiting + a.Leased }

// Closes says whether every accepted event is somewhere.
func (a Account) Closes() bool { return a.Accepted == a.InProgress()+a.Done+a.Failed }

// Accounts returns the account of every function that ever had an event, by
// name, and that of all together. All are of one moment.
func (d *Deliveries) Accounts(ctx context.Context) (all Account, each []Account, err error) {
	err = d.view(ctx, "read accounts", func(r *cell.Reader) error {
		for key, record := range r.Scan(cell.Prefix([]byte{spaceAccount})) {
			a, err := decodeAccount(record)
			if err != nil {
				return err
			}
			a.Function = string(key[1:])
			each = append(each, *a)
			for i, n := range a.numbers() {
				*all.numbers()[i] += *n
			}
		}
		return nil
	})
	return all, each, err
}

// Account returns the account of one function; all zero when it never had an event.
func (d *Deliveries) Account(ctx context.Context, function string) (a Account, err error) {
	err = d.view(ctx, "read account", func(r *cell.Reader) (err error) {
		a, _, err = readAccount(r, function)
		return err
	})
	a.Function = function
	return a, err
}

// readAccount returns the account of a function, and whether it has one.
func readAccount(s cell.State, function string) (a Account, ok bool, err error) {
	record, ok := s.Get(accountKey(function))
	if !ok {
		return Account{}, false, nil
	}
	is, err := decodeAccount(record)
	if err != nil {
		return Account{}, false, err
	}
	return *is, true, nil
}

func (a *Account) encode() []byte {
	b := make([]byte, 0, 64)
	for _, n := range a.numbers() {
		b = binary.AppendUvarint(b, uint64(*n))
	}
	return cell.Seal(accountVersion, b)
}

func decodeAccount(record []byte) (*Account, error) {
	body, err := unseal("account", accountVersion, record)
	if err != nil {
		return nil, err
	}
	a := new(Account)
	c := cell.Cursor{Rest: body}
	for _, n := range a.numbers() {
		*n = int64(c.Number())
	}
	if c.Err != nil {
		return nil, corrupt("account", c.Err)
	}
	return a, nil
}
