package sqs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/queue"
)

// kept is a ResponseWriter that keeps the answer.
type kept struct {
	h      http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.h }
func (k *kept) Write(p []byte) (int, error) { return k.body.Write(p) }
func (k *kept) WriteHeader(status int)      { k.status = status }

// benchDoor is a front with queues on the disk, every answer synced.
func benchDoor(b *testing.B) *wire.Front {
	m := queue.NewMachine()
	c, err := cell.Open(b.Context(), cell.Config{Journal: disk.Place{Dir: b.TempDir()}, Machines: []cell.Machine{ledger.Machine{}, m}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	q, err := queue.Open(b.Context(), c, m, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := q.Create(b.Context(), "q", queue.Settings{Hide: time.Minute}); err != nil {
		b.Fatal(err)
	}
	door, err := New(Config{Queues: q, Place: place, End: make(chan struct{})})
	if err != nil {
		b.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: place.Region})
	if err != nil {
		b.Fatal(err)
	}
	front.Register("sqs", door.Service())
	return front
}

// signed is a request of the JSON protocol as the SDK sends it.
func signed(b *testing.B, op, body string) *http.Request {
	r, err := http.NewRequest("POST", "http://127.0.0.1/", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	for k, v := range map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + op, "Amz-Sdk-Invocation-Id": "8a2ae40f-2b9a-4b2c-9a3c-1f1a0c6b0f3e", "Amz-Sdk-Request": "attempt=1; max=3", "X-Amzn-Query-Mode": "true"} {
		r.Header.Set(k, v)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "sqs", place.Region, time.Now()); err != nil {
		b.Fatal(err)
	}
	r.RequestURI = "/"
	return r
}

// again is r as it would come again.
func again(r *http.Request, body string) *http.Request {
	c := *r
	c.Body = io.NopCloser(strings.NewReader(body))
	return &c
}

func call1(b *testing.B, front *wire.Front, r *http.Request, body string) []byte {
	w := &kept{h: http.Header{}}
	front.ServeHTTP(w, again(r, body))
	if w.status != 0 {
		b.Errorf("got %d %s", w.status, w.body.String())
	}
	return w.body.Bytes()
}

// BenchmarkDoor is requests through the gate and the door to the disk, without sockets, from 64 clients.
func BenchmarkDoor(b *testing.B) {
	const url = `"QueueUrl":"http://127.0.0.1/000000000000/q"`
	message := strings.Repeat("x", 256)
	var entries []string
	for i := range 10 {
		entries = append(entries, fmt.Sprintf(`{"Id":"%d","MessageBody":%q}`, i, message))
	}
	send := fmt.Sprintf(`{%s,"MessageBody":%q}`, url, message)
	sendTen := fmt.Sprintf(`{%s,"Entries":[%s]}`, url, strings.Join(entries, ","))
	for _, c := range []struct {
		name, op, body string
		per            int
	}{{"SendMessage", "SendMessage", send, 1}, {"SendMessageBatch", "SendMessageBatch", sendTen, 10}} {
		b.Run(c.name, func(b *testing.B) {
			front, r := benchDoor(b), signed(b, c.op, c.body)
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					call1(b, front, r, c.body)
				}
			})
			b.ReportMetric(float64(b.N*c.per)/b.Elapsed().Seconds(), "messages/s")
		})
	}
	receive := fmt.Sprintf(`{%s,"MaxNumberOfMessages":10,"MessageSystemAttributeNames":["All"]}`, url)
	b.Run("Cycle", func(b *testing.B) {
		front, s, r := benchDoor(b), signed(b, "SendMessageBatch", sendTen), signed(b, "ReceiveMessage", receive)
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call1(b, front, s, sendTen)
				var got struct {
					Messages []struct{ ReceiptHandle string }
				}
				if err := json.Unmarshal(call1(b, front, r, receive), &got); err != nil {
					b.Error(err)
				}
				var done []string
				for i, m := range got.Messages {
					done = append(done, fmt.Sprintf(`{"Id":"%d","ReceiptHandle":%q}`, i, m.ReceiptHandle))
				}
				if len(done) > 0 {
					body := fmt.Sprintf(`{%s,"Entries":[%s]}`, url, strings.Join(done, ","))
					call1(b, front, signed(b, "DeleteMessageBatch", body), body)
				}
			}
		})
		b.ReportMetric(float64(b.N*10)/b.Elapsed().Seconds(), "messages/s")
	})
}
