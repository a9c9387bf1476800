package sqs

import (
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/queue"
)

func TestAMessageGoesOnWithTheTraceOfItsSender(t *testing.T) {
	w := newWorld(t)
	w.create("q", nil)
	const url = "http://localhost/000000000000/q"
	const root, parent = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
	const attribute = "Root=1-5759e988-000000000000000000000002;Parent=00000000000000ab;Sampled=1;Self=1-x"
	send := func(op, body string, headers ...string) {
		t.Helper()
		if status, _, text := w.post("/", body, append([]string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS." + op}, headers...)...); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	receive := func(n int) []queue.Received {
		t.Helper()
		got, err := w.q.Receive(t.Context(), "q", queue.Want{N: n})
		if err != nil || len(got) != n {
			t.Fatalf("received %d, %v", len(got), err)
		}
		return got
	}

	// Of the request's trace: one span, which is the parent of what the messages lead to.
	entry := `{"Id":"a","MessageBody":"1"},{"Id":"b","MessageBody":"2"},{"Id":"c","MessageBody":"3","MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"` + attribute + `"}}}`
	send("SendMessageBatch", `{"QueueUrl":"`+url+`","Entries":[`+entry+`]}`, daruma.TraceHeader, "Root="+root+";Parent="+parent+";Sampled=0;Lineage=a:1")
	named, own := <-w.spans, <-w.spans
	if own.Trace != root || own.Parent != parent || own.Kind != daruma.SpanSend || own.Name != "Send q" || own.Source != "queue q" || own.Status != 200 || len(own.Links) != 2 {
		t.Errorf("got %+v", own)
	}
	if named.Trace != daruma.TraceRoot(attribute) || named.Parent != "00000000000000ab" || len(named.Links) != 1 {
		t.Errorf("of a message with a trace of its own: got %+v", named)
	}
	for i, m := range receive(3) {
		want := "Root=" + root + ";Parent=" + own.ID + ";Sampled=0;Lineage=a:1"
		if i == 2 {
			want = attribute
		}
		if m.Trace != want {
			t.Errorf("message %d has %q, want %q", i, m.Trace, want)
		}
	}

	// Without any: it shows none, and still has one.
	send("SendMessage", `{"QueueUrl":"`+url+`","MessageBody":"x"}`)
	s, m := <-w.spans, receive(1)[0]
	digits := strings.ReplaceAll(m.ID.String(), "-", "")
	if m.Trace != "" || s.Parent != "" || s.ID != digits[16:] || s.Links[0].Message != m.ID.String() || m.TraceHeader() != "Root="+s.Trace+";Parent="+s.ID || (daruma.Trace{Root: s.Trace}).ID() != digits {
		t.Errorf("got %+v of %+v", s, m)
	}

	// What is refused is told of, too, when it belongs to a trace.
	w.post("/", `{"QueueUrl":"http://localhost/000000000000/nope","MessageBody":"x"}`, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS.SendMessage", daruma.TraceHeader, "Root="+root)
	if s := <-w.spans; s.Name != "Send nope" || s.Outcome != daruma.Refused || s.Status != 400 || s.ErrorType == "" || s.Trace != root {
		t.Errorf("got %+v", s)
	}
}
