package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/ledger"
)

// A hearing is what functions tell outside, in order.
type hearing struct {
	mu  sync.Mutex // guards the rest
	ids []string
}

// listen returns a hearing and its address as functions reach it.
func listen(t *testing.T) (h *hearing, base string) {
	t.Helper()
	h = &hearing{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ids = append(h.ids, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	t.Cleanup(s.Close)
	return h, fmt.Sprintf("http://host.daruma.internal:%d", s.Listener.Addr().(*net.TCPAddr).Port)
}

// of returns what was told of a kind, in order: "order-1" is of "order".
func (h *hearing) of(kind string) (ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.ids {
		if strings.HasPrefix(id, kind+"-") {
			ids = append(ids, id)
		}
	}
	return ids
}

// times is how often each was told.
func times(ids []string) map[string]int {
	n := map[string]int{}
	for _, id := range ids {
		n[id]++
	}
	return n
}

// await waits until so many different ones of a kind were told.
func (h *hearing) await(t *testing.T, kind string, n int) []string {
	t.Helper()
	within(t, 30*time.Second, fmt.Sprintf("%d of %s", n, kind), func() (bool, string) {
		got := times(h.of(kind))
		return len(got) >= n, fmt.Sprint(slices.Sorted(maps.Keys(got)))
	})
	return h.of(kind)
}

// sends sends messages "KIND-0" to "KIND-n" to a queue.
func (p *platform) sends(t *testing.T, queue, kind string, n int) {
	t.Helper()
	client := p.sqs()
	url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	for i := 0; i < n && err == nil; i++ {
		_, err = client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url.QueueUrl, MessageBody: aws.String(fmt.Sprintf(`{"id":"%s-%d"}`, kind, i))})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// puts puts items "KIND-0" to "KIND-n" into a table.
func (p *platform) puts(t *testing.T, table, kind string, n int) {
	t.Helper()
	o := p.lambda.Options()
	client := dynamodb.New(dynamodb.Options{Region: o.Region, BaseEndpoint: o.BaseEndpoint, HTTPClient: o.HTTPClient, RetryMaxAttempts: 1, Credentials: o.Credentials})
	for i := range n {
		item := map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: fmt.Sprintf("%s-%d", kind, i)}}
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
			t.Fatal(err)
		}
	}
}

// met returns the failures of a function that a fault met.
func (p *platform) met(t *testing.T, function, mark string) (all []*ledger.Failure) {
	t.Helper()
	for _, f := range p.failures(t) {
		if f.Function == function && slices.Contains(f.Faults, mark) {
			all = append(all, f)
		}
	}
	return all
}

func TestEachFaultOnRecordsIsSeenInEachRuntimeAndIsGoneAtOnce(t *testing.T) {
	h, tell := listen(t)
	p := startPlatform(t, faultsApp(t, tell))
	if s := p.status(); s.Isolation != "namespaces" || len(s.Missing) > 0 {
		t.Skipf("functions lack what faults need here: %s %q", s.Isolation, s.Missing)
	}
	for _, function := range []string{"Go", "Node", "Python"} {
		t.Run(function+" lost CORS headers", func(t *testing.T) { p.lostCORS(t, function) })
	}
	var goes quickest
	t.Cleanup(func() { goes.within(t, 150*time.Millisecond) }) // with what the test's own looks cost
	for _, function := range []string{"Go", "Node", "Python"} {
		t.Run(function, func(t *testing.T) {
			t.Parallel() // each has its own queue and table
			t.Run("poison in a queue", func(t *testing.T) { p.poisonedQueue(t, h, function) })
			t.Run("poison in a table's changes", func(t *testing.T) { p.poisonedTable(t, h, function) })
			t.Run("late messages", func(t *testing.T) { p.delayedQueue(t, h, function, &goes) })
			t.Run("messages twice", func(t *testing.T) { p.doubledQueue(t, h, function) })
			t.Run("messages out of order", func(t *testing.T) { p.reorderedQueue(t, h, function) })
			t.Run("events twice", func(t *testing.T) { p.doubledEvents(t, h, function) })
			t.Run("stuck shard", func(t *testing.T) { p.stuckShard(t, h, function, &goes) })
		})
	}
}

// poisonedQueue has one message in four fail until it is a dead letter, and the others be done.
func (p *platform) poisonedQueue(t *testing.T, h *hearing, function string) {
	kind, name := function+"poison", function+"-jobs"
	f := p.breaks(t, fmt.Sprintf(`{"kind":"poison-record","target":{"queue":%q},"dose":{"oneIn":4}}`, name))
	p.sends(t, name, kind, 20)
	done := h.await(t, kind, 15)
	within(t, 20*time.Second, "five dead letters", func() (bool, string) {
		a := p.queue(t, name)
		return a.DeadLetters == 5 && a.Messages() == 0, fmt.Sprintf("%+v", a)
	})
	if got := times(h.of(kind)); len(got) != 15 {
		t.Errorf("%d of 20 messages were done, want 15: %v", len(got), done)
	}
	all := p.met(t, function, f.ID.String()+" poison-record")
	if len(all) != 5 {
		t.Errorf("%d failures are marked with the fault, want 5", len(all))
	}
	if s := p.mends(t, f.ID); s.Met != 5 || s.Seen != 20 {
		t.Errorf("got %d met of %d, want 5 of 20", s.Met, s.Seen)
	}
	p.sends(t, name, kind+"after", 4)
	h.await(t, kind+"after", 4)
	if len(all) > 0 { // what was kept is whole: it can be done again
		p.redrives(t, all[0].Number.String())
		h.await(t, kind, 16)
	}
}

// redrives sends a failure's event back.
func (p *platform) redrives(t *testing.T, id string) {
	t.Helper()
	if _, err := post[json.RawMessage](t.Context(), p.address, "/api/redrive?id="+id, nil); err != nil {
		t.Fatal(err)
	}
}

// poisonedTable has one change in eight fail, and its batch be cut until all others are done.
func (p *platform) poisonedTable(t *testing.T, h *hearing, function string) {
	kind, table := function+"change", function+"-orders"
	f := p.breaks(t, fmt.Sprintf(`{"kind":"poison-record","target":{"table":%q,"match":[{"path":"$.dynamodb.Keys.id.S","operator":"regex","value":"-3$"}]}}`, table))
	p.puts(t, table, kind, 8)
	h.await(t, kind, 7)
	var all []*ledger.Failure
	within(t, 20*time.Second, "the change to be given up", func() (bool, string) {
		all = p.met(t, function, f.ID.String()+" poison-record")
		return len(all) == 1, fmt.Sprint(all)
	})
	if got := times(h.of(kind)); len(got) != 7 || got[kind+"-3"] != 0 {
		t.Errorf("got %v done, want all but the fourth", got)
	}
	if s := p.mends(t, f.ID); s.Met != 1 {
		t.Errorf("got %d met, want 1", s.Met)
	}
	p.puts(t, table, kind+"after", 4)
	h.await(t, kind+"after", 4)
}

// lag is how old the oldest change is that a function has not done.
func (p *platform) lag(t *testing.T, function string) time.Duration {
	t.Helper()
	var all []console.Mapping
	if err := get(t.Context(), p.address, "/api/mappings", &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Function == function && len(m.Lanes) > 0 {
			return m.Lanes[0].Age
		}
	}
	return 0
}

// stuckShard has nothing go on, and grow old, until the fault ends.
func (p *platform) stuckShard(t *testing.T, h *hearing, function string, goes *quickest) {
	kind, table := function+"stuck", function+"-orders"
	f := p.breaks(t, fmt.Sprintf(`{"kind":"stuck-shard","target":{"table":%q}}`, table))
	p.puts(t, table, kind, 3)
	within(t, 20*time.Second, "the changes to grow old", func() (bool, string) {
		lag := p.lag(t, function)
		return lag > 500*time.Millisecond, lag.String()
	})
	if got := h.of(kind); len(got) > 0 {
		t.Errorf("%v were done by a shard that is stuck", got)
	}
	if s := p.mends(t, f.ID); s.Met != 1 {
		t.Errorf("got %d batches met, want 1", s.Met)
	}
	began := time.Now()
	h.await(t, kind, 1)
	goes.note("a shard to go on", time.Since(began))
	h.await(t, kind, 3)
}

// shares says whether a browser may share the answer to a request.
func (p *platform) shares(t *testing.T, method, function string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.address.Web+"/"+function, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://shop.example")
	r.Header.Set("Access-Control-Request-Method", "GET")
	a, err := p.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	if a.StatusCode/100 != 2 {
		t.Fatalf("%s is answered with %s", method, a.Status)
	}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") && a.Header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s is left behind alone", name)
		}
	}
	return a.Header.Get("Access-Control-Allow-Origin") == "https://shop.example"
}

// lostCORS has half of the answers lack what lets a browser share them, preflights as well.
func (p *platform) lostCORS(t *testing.T, function string) {
	allowed := func(method string) bool { return p.shares(t, method, function) }
	for _, method := range []string{"GET", "OPTIONS"} {
		if !allowed(method) {
			t.Errorf("%s, before: the headers are not there", method)
		}
		f := p.breaks(t, `{"kind":"cors","target":{"api":"Shop"},"dose":{"rate":0.5},"seed":2}`)
		const n = 40
		lost := 0
		for range n {
			if !allowed(method) {
				lost++
			}
		}
		if spread := 4 * math.Sqrt(n*0.25); math.Abs(float64(lost)-n/2) > spread {
			t.Errorf("%s: %d of %d answers lost the headers, want %d give or take %g", method, lost, n, n/2, spread)
		}
		if s := p.mends(t, f.ID); s.Met != uint64(lost) || s.Seen != n {
			t.Errorf("%s: got %d met of %d, want %d of %d", method, s.Met, s.Seen, lost, n)
		}
		for range 5 {
			if !allowed(method) {
				t.Errorf("%s, after: the headers are not there", method)
			}
		}
	}
}
