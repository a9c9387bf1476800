package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/disk"
	"github.com/daruma-io/daruma/door/sqs"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/node"
	"github.com/daruma-io/daruma/queue"
)

const (
	queueBatch = 10
	queueDeep  = 1_000_000
	goaws      = "github.com/Admiral-Piett/goaws/app/cmd@latest"
)

// message is what is sent: 256 bytes.
var message = strings.Repeat("x", 256)

// A queueServer is one that is measured: where it is, and the processes it is made of.
type queueServer struct {
	addr string
	pids []int
	stop func()
}

// queues are the subjects of queues. Rates and CPU are those of requests; of
// the whole cycle, of messages.
func (w *workshop) queues(ctx context.Context) []subject {
	all := []subject{{name: "queues, cell sends (synced)", floor: "canned answer", measure: w.within("send")}}
	type work struct {
		name    string
		measure func(context.Context, *queueServer, time.Duration) (map[int]measurement, error)
	}
	one, ten, cycle := work{"sends", sends(sendBody(1))}, work{"batches of ten", sends(sendBody(queueBatch))}, work{"whole cycle in tens", cycles}
	add := func(who string, start func(context.Context) (*queueServer, error), works ...work) {
		for _, s := range works {
			all = append(all, subject{name: "queues, " + who + ", " + s.name, floor: "canned answer", measure: func(ctx context.Context, d time.Duration) (map[int]measurement, error) {
				at, err := start(ctx)
				if err != nil {
					return nil, err
				}
				defer at.stop()
				return s.measure(ctx, at, d)
			}})
		}
	}
	add("daruma (synced)", func(context.Context) (*queueServer, error) { return w.queueDoor("queues") }, one, ten, cycle)
	add("daruma above a million (synced)", func(context.Context) (*queueServer, error) { return w.queueDoor("deep queues") }, cycle)
	if err := w.install(ctx, []string{"GOBIN=" + w.dir}, "go", "install", goaws); err != nil {
		fmt.Fprintf(os.Stderr, "not measured: goaws: %v\n", err)
		return all
	}
	add("goaws (in memory)", w.startGoaws, work{"sends", formSends}) // it answers batches in chunks, which the client does not read
	return all
}

// queueDoor starts this program as the door for queues in front of a cell.
func (w *workshop) queueDoor(kind string) (*queueServer, error) {
	dir, err := os.MkdirTemp(w.dir, "queues-")
	if err != nil {
		return nil, err
	}
	f, err := w.startFloor(kind, "", dir)
	if err != nil {
		return nil, err
	}
	return &queueServer{f.addr, []int{f.cmd.Process.Pid}, func() { f.stop(); _ = os.RemoveAll(dir) }}, nil // it goes with the workshop otherwise
}

// startGoaws starts the peer with one queue.
func (w *workshop) startGoaws(ctx context.Context) (*queueServer, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(ports[0])
	config := filepath.Join(w.dir, "goaws.yaml")
	text := fmt.Sprintf("Local:\n  Host: 127.0.0.1\n  Port: %s\n  Region: us-east-1\n  AccountId: \"%s\"\n  LogToFile: false\n  QueueAttributeDefaults:\n    VisibilityTimeout: 30\n  Queues:\n    - Name: q\n", port, node.Account)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	stop, pid, err := w.start(w.dir, nil, filepath.Join(w.dir, "cmd"), "-config", config)
	if err != nil {
		return nil, err
	}
	if err := waitFor(ctx, ports[0]); err != nil {
		stop()
		return nil, err
	}
	return &queueServer{ports[0], []int{pid}, stop}, nil
}

// serveQueues is the door for queues in front of a cell, with a queue that has
// so many messages in it.
func serveQueues(l net.Listener, dir string, deep int) error {
	ctx := context.Background()
	q, c, err := openQueues(ctx, dir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // what was measured is durable
	for left := deep; left > 0; left -= 1000 {
		batch := make([]queue.Message, 1000)
		for i := range batch {
			batch[i].Body = []byte(message)
		}
		if _, err := q.Send(ctx, "q", batch...); err != nil {
			return err
		}
	}
	front, err := wire.New(wire.Config{Credentials: oneKey{benchKey}, Region: "us-east-1"})
	if err != nil {
		return err
	}
	door, err := sqs.New(sqs.Config{Queues: q, Place: catalog.Place{Region: "us-east-1", Account: node.Account}, End: make(chan struct{})})
	if err != nil {
		return err
	}
	front.Register("sqs", door.Service())
	fmt.Println(l.Addr())
	if err := front.Serve(ctx, l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func openQueues(ctx context.Context, dir string) (*queue.Queues, *cell.Cell, error) {
	m := queue.NewMachine()
	c, err := cell.Open(ctx, cell.Config{Journal: disk.Place{Dir: filepath.Join(dir, "queues")}, Machines: []cell.Machine{ledger.Machine{}, m}})
	if err != nil {
		return nil, nil, err
	}
	q, err := queue.Open(ctx, c, m, nil)
	if err == nil && q.Queue("q") == nil {
		_, err = q.Create(ctx, "q", queue.Settings{Hide: 30 * time.Second})
	}
	return q, c, err
}

// queueURL is that of the queue at a server.
func queueURL(addr string) string { return "http://" + addr + "/" + node.Account + "/q" }

// sendBody is the parameters of a send of n messages, the operation first.
func sendBody(n int) func(addr string) (op, body string) {
	return func(addr string) (string, string) {
		if n == 1 {
			return "SendMessage", fmt.Sprintf(`{"QueueUrl":%q,"MessageBody":%q}`, queueURL(addr), message)
		}
		var entries []string
		for i := range n {
			entries = append(entries, fmt.Sprintf(`{"Id":"%d","MessageBody":%q}`, i, message))
		}
		return "SendMessageBatch", fmt.Sprintf(`{"QueueUrl":%q,"Entries":[%s]}`, queueURL(addr), strings.Join(entries, ","))
	}
}

func sends(body func(addr string) (op, body string)) func(context.Context, *queueServer, time.Duration) (map[int]measurement, error) {
	return func(ctx context.Context, at *queueServer, d time.Duration) (map[int]measurement, error) {
		op, text := body(at.addr)
		request, err := queueRequest(ctx, at.addr, op, text)
		if err != nil {
			return nil, err
		}
		return ladder(ctx, at.addr, request, d, at.pids)
	}
}

// formSends sends in the query protocol, unsigned: the peer knows no other.
func formSends(ctx context.Context, at *queueServer, d time.Duration) (map[int]measurement, error) {
	body := "Action=SendMessage&MessageBody=" + message + "&QueueUrl=" + url.QueryEscape(queueURL(at.addr))
	request := fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", at.addr, len(body), body)
	return ladder(ctx, at.addr, request, d, at.pids)
}

// queueRequest is a whole signed request, ready to be sent.
func queueRequest(ctx context.Context, addr, op, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "AmazonSQS."+op)
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: benchKey.ID, SecretAccessKey: benchKey.Secret}, r, hash, "sqs", "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", addr, len(body))
	_ = r.Header.Write(&b) // to memory
	fmt.Fprintf(&b, "\r\n%s", body)
	return b.Bytes(), nil
}

// cycles sends, receives and deletes tens of messages from connections that do
// all three in turn.
func cycles(ctx context.Context, at *queueServer, d time.Duration) (map[int]measurement, error) {
	got := map[int]measurement{}
	for _, level := range levels {
		var (
			mu    sync.Mutex
			times []time.Duration
			done  int
			errs  []error
			all   sync.WaitGroup
		)
		before, began := cpuOf(at.pids), time.Now()
		for range level {
			all.Go(func() {
				mine, n, err := cycle(ctx, at.addr, began.Add(d))
				mu.Lock()
				defer mu.Unlock()
				times, done, errs = append(times, mine...), done+n, append(errs, err)
			})
		}
		all.Wait()
		took, spent := time.Since(began), cpuOf(at.pids)-before
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		if done == 0 {
			return nil, errors.New("nothing was received")
		}
		slices.Sort(times)
		q := func(q float64) float64 { return float64(times[int(q*float64(len(times)-1))].Nanoseconds()) / 1000 }
		got[level] = measurement{Rate: float64(done) / took.Seconds(), P50: q(.5), P99: q(.99), CPU: float64(spent.Microseconds()) / float64(done), Memory: memoryOf(at.pids)}
	}
	return got, nil
}

// cycle is one connection of cycles. It returns how long each cycle took, and how many messages were deleted.
func cycle(ctx context.Context, addr string, end time.Time) (times []time.Duration, n int, err error) {
	op, body := sendBody(queueBatch)(addr)
	send, err := queueRequest(ctx, addr, op, body)
	if err != nil {
		return nil, 0, err
	}
	receive, err := queueRequest(ctx, addr, "ReceiveMessage", fmt.Sprintf(`{"QueueUrl":%q,"MaxNumberOfMessages":%d}`, queueURL(addr), queueBatch))
	if err != nil {
		return nil, 0, err
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, 0, err
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	for at := time.Now(); at.Before(end) && ctx.Err() == nil; at = time.Now() {
		if _, err := ask(c, in, send); err != nil {
			return nil, 0, err
		}
		answer, err := ask(c, in, receive)
		if err != nil {
			return nil, 0, err
		}
		var entries []string
		for i, part := range bytes.Split(answer, []byte(`"ReceiptHandle":"`))[1:] {
			handle, _, _ := bytes.Cut(part, []byte{'"'})
			entries = append(entries, fmt.Sprintf(`{"Id":"%d","ReceiptHandle":"%s"}`, i, handle))
		}
		if len(entries) == 0 {
			continue
		}
		request, err := queueRequest(ctx, addr, "DeleteMessageBatch", fmt.Sprintf(`{"QueueUrl":%q,"Entries":[%s]}`, queueURL(addr), strings.Join(entries, ",")))
		if err != nil {
			return nil, 0, err
		}
		if _, err := ask(c, in, request); err != nil {
			return nil, 0, err
		}
		n += len(entries)
		times = append(times, time.Since(at))
	}
	return times, n, ctx.Err()
}

// ask sends a request and returns the body of its answer.
func ask(c net.Conn, in *bufio.Reader, request []byte) ([]byte, error) {
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}
