package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/daruma-io/daruma/door/console"
	"github.com/daruma-io/daruma/ledger"
)

const acceptedTemplate = `Transform: AWS::Serverless-2016-10-31
Resources:
  Note:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: nodejs20.x
      Handler: index.handler
      Timeout: 5
      InlineCode: |
        const http = require('node:http');
        exports.handler = (event) => new Promise((resolve, reject) => {
          const req = http.request({ host: 'host.daruma.internal', port: %d, path: '/' + event.id, method: 'POST' }, (res) => {
            res.resume();
            res.on('end', resolve);
          });
          req.on('error', reject);
          req.end();
        });
`

// effects counts, outside of the platform, what functions have done.
type effects struct {
	mu   sync.Mutex
	seen map[string]int
}

func (e *effects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[strings.TrimPrefix(r.URL.Path, "/")]++
}

// clients send until the platform is gone, and remember what was accepted.
type clients struct {
	asked    atomic.Int64
	mu       sync.Mutex
	accepted map[string]bool // by the event's own ID
}

// work has n clients send, each event with an ID of its own, until ctx ends.
func (c *clients) work(ctx context.Context, n int, send func(ctx context.Context, id string) error) {
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for ctx.Err() == nil {
				id := fmt.Sprintf("e%d", c.asked.Add(1))
				if err := send(ctx, id); err != nil {
					continue // it may have been accepted, and nobody was told
				}
				c.mu.Lock()
				c.accepted[id] = true
				c.mu.Unlock()
			}
		})
	}
	group.Wait()
}

func (c *clients) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.accepted)
}

// throughKills has 32 clients send to a platform that is killed again and
// again, each time within a second of its start, or when enough was accepted
// on a machine that is slow, and returns how often it was.
func (c *clients) throughKills(t *testing.T, dir string, send func(p *platform) func(ctx context.Context, id string) error) (rounds int) {
	t.Helper()
	rounds = 4
	if long() {
		rounds = 100
	}
	for round := range rounds {
		p := startPlatform(t, dir)
		ctx, stop := context.WithCancel(t.Context())
		worked := make(chan bool)
		go func() {
			defer close(worked)
			c.work(ctx, 32, send(p))
		}()
		<-time.After(300*time.Millisecond + time.Duration(rand.Int64N(int64(700*time.Millisecond))))
		until(t, "enough that was accepted to mean something", func() bool { return c.count() >= 100*(round+1) })
		p.kill()
		stop()
		<-worked
		t.Logf("round %d: %d asked for, %d accepted so far", round+1, c.asked.Load(), len(c.accepted))
	}
	return rounds
}

// lost says how many of what was accepted was neither done nor kept.
func (c *clients) lost(done *effects, kept map[string]bool) int {
	done.mu.Lock()
	defer done.mu.Unlock()
	lost := 0
	for id := range c.accepted {
		if done.seen[id] == 0 && !kept[id] {
			lost++
		}
	}
	return lost
}

// failures asks the ledger for all of its failures.
func (p *platform) failures(t *testing.T) []*ledger.Failure {
	t.Helper()
	var all []*ledger.Failure
	for q := (url.Values{"max": {"500"}}); ; {
		var page ledger.Page
		if err := get(t.Context(), p.address, "/api/failures?"+q.Encode(), &page); err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Failures...)
		if page.Next == 0 {
			return all
		}
		q.Set("before", page.Next.String())
	}
}

func TestNothingAcceptedIsLostInACrash(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	done := &effects{seen: map[string]int{}}
	outside := httptest.NewServer(done)
	defer outside.Close()
	dir := t.TempDir()
	port := outside.Listener.Addr().(*net.TCPAddr).Port
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), fmt.Appendf(nil, acceptedTemplate, port), 0o644); err != nil {
		t.Fatal(err)
	}
	c := &clients{accepted: map[string]bool{}}
	rounds := c.throughKills(t, dir, func(p *platform) func(context.Context, string) error {
		return func(ctx context.Context, id string) error {
			_, err := p.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("Note"), InvocationType: types.InvocationTypeEvent, Payload: fmt.Appendf(nil, `{"id":%q}`, id)})
			return err
		}
	})
	p := startPlatform(t, dir)
	var account console.Account
	within(t, 4*time.Minute, "every event to be done or kept", func() (bool, string) {
		s := p.status()
		if s.Events == nil {
			return false, "no account"
		}
		account = *s.Events
		state, err := json.Marshal(account.All)
		if err != nil {
			t.Fatal(err)
		}
		return account.All.InProgress() == 0, string(state)
	})
	all := account.All
	if !all.Closes() {
		t.Errorf("the account does not close: %+v", all)
	}
	if all.Accepted < int64(len(c.accepted)) || all.Accepted > c.asked.Load() {
		t.Errorf("got %d accepted, want from %d (acknowledged) to %d (asked for)", all.Accepted, len(c.accepted), c.asked.Load())
	}
	kept := p.keptEvents(t, int(all.Failed))
	lost := c.lost(done, kept)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged events were neither done nor kept", lost, len(c.accepted))
	}
	t.Logf("%d kills, %d events acknowledged, %d accepted, %d done, %d failed and kept, %d lost", rounds, len(c.accepted), all.Accepted, all.Done, all.Failed, lost)
}

// keptEvents returns the IDs of the events in the ledger.
func (p *platform) keptEvents(t *testing.T, n int) map[string]bool {
	t.Helper()
	kept := map[string]bool{}
	if n == 0 {
		return kept
	}
	for _, f := range p.failures(t) {
		body, err := ask(t.Context(), p.address, "GET", "/api/failure?id="+f.Number.String())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var one console.Failure
		var event struct{ ID string }
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(one.Event, &event); err != nil {
			t.Fatal(err)
		}
		kept[event.ID] = true
	}
	return kept
}
