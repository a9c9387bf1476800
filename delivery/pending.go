package delivery

import (
	"context"
	"time"

	"github.com/daruma-io/daruma/cell"
)

// Waiting returns up to n events of a function that wait, the first due first,
// without their payloads, and n at most 1,000. after continues behind the last one of the page before.
func (d *Deliveries) Waiting(ctx context.Context, function string, after *Delivery, n int) (list []Delivery, err error) {
	err = d.view(ctx, "read waiting events", func(r *cell.Reader) error {
		rg := cell.Prefix(line(function))
		if after != nil {
			rg.Lower = append(waitingKey(function, after.Due, after.Number), 0)
		}
		for key, record := range r.Scan(rg) {
			if len(list) >= min(max(n, 1), LeaseMax) {
				break
			}
			due, number := waiting(function, key)
			got, err := read(r, function, number, record, due)
			if err != nil {
				return err
			}
			got.Payload = nil
			list = append(list, *got)
		}
		return nil
	})
	return list, err
}

// Leased returns the events that are being run, the first whose lease ends
// first, without their payloads, at most n.
func (d *Deliveries) Leased(ctx context.Context, n int) (list []Delivery, err error) {
	err = d.view(ctx, "read leased events", func(r *cell.Reader) error {
		for key := range r.Scan(cell.Prefix([]byte{spaceUntil})) {
			if len(list) >= min(max(n, 1), LeaseMax) {
				break
			}
			_, function, number := until(key)
			record, ok := r.Get(leaseKey(function, number))
			if !ok {
				continue
			}
			l, err := decodeLeased(function, record)
			if err != nil {
				return err
			}
			e, err := readEvent(r, function, number)
			if err != nil {
				return err
			}
			e.Payload = nil
			list = append(list, described(number, e, l.state, l.until, true))
		}
		return nil
	})
	return list, err
}

func readEvent(r *cell.Reader, function string, number uint64) (Event, error) {
	record, ok := r.Get(eventKey(function, number))
	if !ok {
		return Event{}, nil // damaged, and the view ends in that error
	}
	return decodeEvent(record)
}

func read(r *cell.Reader, function string, number uint64, record []byte, due time.Time) (*Delivery, error) {
	s, err := decodeState(record)
	if err != nil {
		return nil, err
	}
	e, err := readEvent(r, function, number)
	if err != nil {
		return nil, err
	}
	is := described(number, e, s, due, false)
	return &is, nil
}
