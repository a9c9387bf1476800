package dynamodb

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A step is one operation on one item, and what its client saw.
type itemStep struct {
	key  int
	op   string // "get", "create", "add"
	n    int    // what is put or added
	lost bool   // nobody knows whether it happened
	none bool   // there is no item
	got  int
	ok   bool
}

// linearModel is one item: a number, or nothing.
var linearModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(itemStep).key
			by[k] = append(by[k], o)
		}
		var all [][]porcupine.Operation
		for _, part := range by {
			all = append(all, part)
		}
		return all
	},
	Init: func() any { return -1 },
	Step: func(state, input, output any) (bool, any) {
		is, in, out := state.(int), input.(itemStep), output.(itemStep)
		switch in.op {
		case "get":
			return out.lost || out.none == (is < 0) && (out.none || out.got == is), is
		case "create":
			if is >= 0 {
				return out.lost || !out.ok, is
			}
			return out.lost || out.ok, in.n
		}
		next := max(is, 0) + in.n
		return out.lost || out.ok && out.got == next, next
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// take sends an operation. What came back with a doubt is lost.
func (w *world) take(s itemStep) itemStep {
	key := fmt.Sprintf(`{"a":{"S":"k%d"}}`, s.key)
	var op, body string
	switch s.op {
	case "get":
		op, body = "GetItem", `{"TableName":"plain","ConsistentRead":true,"Key":`+key+`}`
	case "create":
		op, body = "PutItem", fmt.Sprintf(`{"TableName":"plain","Item":{"a":{"S":"k%d"},"n":{"N":"%d"}},"ConditionExpression":"attribute_not_exists(a)"}`, s.key, s.n)
	default:
		op, body = "UpdateItem", fmt.Sprintf(`{"TableName":"plain","Key":%s,"UpdateExpression":"ADD n :n","ExpressionAttributeValues":{":n":{"N":"%d"}},"ReturnValues":"ALL_NEW"}`, key, s.n)
	}
	status, text := w.call(op, body)
	var answer struct {
		Item, Attributes struct{ N struct{ N json.Number } }
	}
	_ = json.Unmarshal([]byte(text), &answer)
	s.ok = status == http.StatusOK
	s.lost = !s.ok && !strings.Contains(text, "ConditionalCheckFailedException")
	n := answer.Attributes.N.N
	if s.op == "get" {
		n = answer.Item.N.N
		s.none = s.ok && n == ""
	}
	got, _ := n.Int64()
	s.got = int(got)
	return s
}

// Operations on single items look as if each happened at one moment between
// its request and its answer, crashes in between or not.
func TestOperationsOnAnItemAreLinearizableThroughCrashes(t *testing.T) {
	w := newWorld(t)
	w.plain()
	const clients, each = 8, 60
	var mu sync.Mutex
	var history []porcupine.Operation
	begin := time.Now()
	var group sync.WaitGroup
	done := make(chan struct{}, clients*each)
	for client := range clients {
		group.Go(func() {
			for i := range each {
				s := itemStep{key: (client + i) % 4, op: []string{"add", "get", "create", "get"}[(client+i/3)%4], n: 1 + i%3}
				call := time.Since(begin).Nanoseconds()
				out := w.take(s)
				back := time.Since(begin).Nanoseconds()
				if out.lost {
					back = 1 << 62 // it may still happen
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client*each + i, Input: s, Call: call, Output: out, Return: back})
				mu.Unlock()
				done <- struct{}{}
			}
		})
	}
	for i := range clients * each {
		<-done
		if i%120 == 119 {
			w.crash()
		}
	}
	group.Wait()
	if got := porcupine.CheckOperationsTimeout(linearModel, history, 20*time.Second); got != porcupine.Ok {
		t.Fatalf("the history of %d operations is %v", len(history), got)
	}
}
