package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// What the shop does when an order is not acknowledged.
const (
	askMax = 3 * time.Second       // for one answer
	pause  = 25 * time.Millisecond // before it is sent again
)

var items = []string{"daruma", "stand", "brush"}

// buyer is who orders, where nothing depends on it.
const buyer = "buyer@example.com"

// A basket is one order.
type basket struct {
	Order string `json:"order"`
	Item  string `json:"item"`
	Buyer string `json:"buyer"`
}

// A shop sends orders, and keeps a list of those that were acknowledged.
type shop struct {
	url    func() string
	client *http.Client

	mu    sync.Mutex
	next  int
	acked []string // orders that were answered with 202, in that order
}

func newShop(url func() string) *shop {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = burstAtOnce + rate
	return &shop{url: url, client: &http.Client{Timeout: askMax, Transport: t}}
}

// trade sends so many orders a second until ctx ends, and returns when every
// one of them was acknowledged, or given up because of that.
func (s *shop) trade(ctx context.Context, rate int) {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			all.Go(func() { _, _ = s.send(ctx, basket{s.number(), items[i%len(items)], buyer}) }) // what was not acknowledged is not counted
		case <-ctx.Done():
			return
		}
	}
}

// burst sends so many orders, some at once, and returns their numbers when
// every one was acknowledged.
func (s *shop) burst(ctx context.Context, n, atOnce int) ([]string, error) {
	orders := make([]string, n)
	errs := make([]error, atOnce)
	var all sync.WaitGroup
	for i := range atOnce {
		all.Go(func() {
			for j := i; j < n && errs[i] == nil; j += atOnce {
				orders[j] = s.number()
				_, errs[i] = s.send(ctx, basket{orders[j], items[j%len(items)], buyer})
			}
		})
	}
	all.Wait()
	return orders, errors.Join(errs...)
}

// number takes the next order's number.
func (s *shop) number() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return fmt.Sprintf("%04d", s.next)
}

// send sends an order until it is acknowledged, and returns the request under
// which it is kept. An order that was not acknowledged may have been accepted:
// it keeps its number, by which the bank knows it.
func (s *shop) send(ctx context.Context, o basket) (request string, err error) {
	body, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	for {
		request, err = s.try(ctx, body)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.acked = append(s.acked, o.Order)
			return request, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return "", fmt.Errorf("order %s was not acknowledged: %w", o.Order, err)
		}
	}
}

func (s *shop) try(ctx context.Context, body []byte) (request string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct{ Request, Error string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("%s %s", resp.Status, answer.Error)
	}
	return answer.Request, nil
}

// acknowledged returns the orders that were.
func (s *shop) acknowledged() (orders []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(orders, s.acked...)
}
