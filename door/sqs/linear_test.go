package sqs

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	linearQueues = 3
	everyQueue   = -1 // of a step that all queues see
)

// A queueStep is one operation on a queue, and what its client saw.
type queueStep struct {
	queue int
	op    string // "send", "receive", "delete", "return", "wait"
	lease        // what is sent, deleted or returned
	ok    bool
	got   []lease // received
}

// A lease is a message and how often it had been received when it was handed out.
type lease struct {
	message, count int
	handle         string
}

// A queueState is a queue: two bytes for each message, by its number. The first
// is absent, visible, taken or gone, the second is how often it was received.
// It is a string so that states can be compared.
type queueState string

const (
	absent  = 0
	visible = 1
	taken   = 2
	gone    = 3
)

func (s queueState) of(message int) (state, count byte) {
	if 2*message >= len(s) {
		return absent, 0
	}
	return s[2*message], s[2*message+1]
}

func (s queueState) with(message int, state, count byte) queueState {
	b := []byte(s)
	for len(b) < 2*message+2 {
		b = append(b, absent, 0)
	}
	b[2*message], b[2*message+1] = state, count
	return queueState(b)
}

// any says whether a message is in a state.
func (s queueState) any(state byte) bool {
	for i := 0; i < len(s); i += 2 {
		if s[i] == state {
			return true
		}
	}
	return false
}

// step says whether an answer is possible in a state, and what state it leads to.
func (s queueState) step(x queueStep) (bool, queueState) {
	state, count := s.of(x.message)
	current := state != gone && state != absent && int(count) == x.count // nobody has received it since
	switch x.op {
	case "send":
		return x.ok && state == absent, s.with(x.message, visible, 0)
	case "delete":
		if current {
			s = s.with(x.message, gone, 0)
		}
		return x.ok, s
	case "return":
		if current = current && state == taken; current {
			s = s.with(x.message, visible, count)
		}
		return x.ok == current, s
	case "wait":
		for i := range len(s) / 2 {
			if state, count := s.of(i); state == taken {
				s = s.with(i, visible, count)
			}
		}
		return true, s
	}
	if len(x.got) == 0 {
		return x.ok && !s.any(visible), s
	}
	for _, l := range x.got {
		state, count := s.of(l.message)
		if state != visible || int(count)+1 != l.count {
			return false, s
		}
		s = s.with(l.message, taken, count+1)
	}
	return x.ok, s
}

// queueModel is a standard queue: stricter than the service, whose receives may
// find nothing, or what is deleted. Here they do not.
var queueModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		all := make([][]porcupine.Operation, linearQueues)
		for _, o := range history {
			for q := range all {
				if at := o.Input.(queueStep).queue; at == q || at == everyQueue {
					all[q] = append(all[q], o)
				}
			}
		}
		return all
	},
	Init: func() any { return queueState("") },
	Step: func(state, _, output any) (bool, any) { return state.(queueState).step(output.(queueStep)) },
	DescribeOperation: func(_, output any) string {
		return fmt.Sprintf("%+v", output)
	},
}

// take does a step, and adds what its client saw.
func (w *world) take(x queueStep) queueStep {
	url := fmt.Sprintf(`"QueueUrl":"%s/000000000000/q%d"`, w.url, x.queue)
	op, body := "", ""
	switch x.op {
	case "wait":
		w.clock.Advance(40 * time.Second)
		x.ok = true
		return x
	case "send":
		op, body = "SendMessage", fmt.Sprintf(`{%s,"MessageBody":"%d"}`, url, x.message)
	case "receive":
		op, body = "ReceiveMessage", fmt.Sprintf(`{%s,"MaxNumberOfMessages":3,"AttributeNames":["ApproximateReceiveCount"]}`, url)
	case "delete":
		op, body = "DeleteMessage", fmt.Sprintf(`{%s,"ReceiptHandle":%q}`, url, x.handle)
	case "return":
		op, body = "ChangeMessageVisibility", fmt.Sprintf(`{%s,"ReceiptHandle":%q,"VisibilityTimeout":0}`, url, x.handle)
	}
	status, _, text := w.json(op, body)
	x.ok = status == http.StatusOK
	if x.op != "receive" || !x.ok {
		return x
	}
	var answer struct {
		Messages []struct {
			Body, ReceiptHandle string
			Attributes          struct{ ApproximateReceiveCount string }
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		w.t.Error(err)
	}
	for _, m := range answer.Messages {
		n, err := strconv.Atoi(m.Body)
		count, err2 := strconv.Atoi(m.Attributes.ApproximateReceiveCount)
		if err != nil || err2 != nil {
			w.t.Errorf("got %+v", m)
		}
		x.got = append(x.got, lease{n, count, m.ReceiptHandle})
	}
	return x
}

// A book keeps what clients did, and the leases they have had.
type book struct {
	mu      sync.Mutex
	history []porcupine.Operation
	sent    [linearQueues]int
	leases  [linearQueues][]lease
}

// next is a step that a client may take: with leases of its own and of others, old and new.
func (b *book) next(random *rand.Rand) queueStep {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := random.IntN(linearQueues)
	x := queueStep{queue: q, op: []string{"send", "send", "receive", "receive", "receive", "delete", "delete", "return"}[random.IntN(8)]}
	if random.IntN(60) == 0 {
		x.queue, x.op = everyQueue, "wait"
	}
	switch had := b.leases[q]; x.op {
	case "delete", "return":
		if len(had) == 0 {
			x.op = "receive"
			break
		}
		x.lease = had[len(had)-1-random.IntN(min(6, len(had)))]
	case "send":
		x.message = b.sent[q]
		b.sent[q]++
	}
	return x
}

func (b *book) note(x queueStep, o porcupine.Operation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.history = append(b.history, o)
	if len(x.got) > 0 {
		b.leases[x.queue] = append(b.leases[x.queue], x.got...)
	}
}

// What clients see of a standard queue is what they would if each of their
// operations happened at one moment between its request and its answer.
func TestOperationsOnAQueueAreLinearizable(t *testing.T) {
	w := newWorld(t)
	for q := range linearQueues {
		w.create(fmt.Sprint("q", q), nil)
	}
	const clients, each = 8, 80
	b := &book{}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	begin := time.Now()
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(client)))
			for range each {
				x := b.next(random)
				call := time.Since(begin).Nanoseconds()
				x = w.take(x)
				b.note(x, porcupine.Operation{ClientId: client, Input: x, Call: call, Output: x, Return: time.Since(begin).Nanoseconds()})
			}
		})
	}
	group.Wait()
	if got := porcupine.CheckOperationsTimeout(queueModel, b.history, 20*time.Second); got != porcupine.Ok {
		t.Fatalf("the history of %d operations is %v", len(b.history), got)
	}
	seen := map[string]int{}
	for _, o := range b.history {
		x := o.Output.(queueStep)
		seen[fmt.Sprint(x.op, " ", x.ok, " ", len(x.got))]++
	}
	for _, want := range []string{"send true 0", "receive true 0", "receive true 3", "delete true 0", "return true 0", "return false 0", "wait true 0"} {
		if seen[want] == 0 {
			t.Errorf("none is %q: too little to mean anything: %v", want, seen)
		}
	}
}
