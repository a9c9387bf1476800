package lambda

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// invokeRequest is a signed Invoke as the SDK sends it.
func invokeRequest(b *testing.B, host, body string) *http.Request {
	r, err := http.NewRequest("POST", "http://"+host+"/2015-03-31/functions/f/invocations", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Amz-Sdk-Invocation-Id", "8a2ae40f-2b9a-4b2c-9a3c-1f1a0c6b0f3e")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, r, sha(body), "lambda", "us-east-1", time.Now()); err != nil {
		b.Fatal(err)
	}
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.48.0")
	return r
}

func benchFront(b *testing.B) *wire.Front {
	view := catalog.NewView(place, functions(), nil, nil, nil)
	door, err := New(Config{Runner: &runner{do: echo}, View: func() *catalog.View { return view }, Concurrency: reservations{}, Settings: untouched{}})
	if err != nil {
		b.Fatal(err)
	}
	front, err := wire.New(wire.Config{Credentials: keys{}, Region: "us-east-1"})
	if err != nil {
		b.Fatal(err)
	}
	front.Register("lambda", door.Service())
	return front
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// BenchmarkInvoke is the front and the door alone: no socket, no net/http.
func BenchmarkInvoke(b *testing.B) {
	for _, size := range []int{2, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			front, body := benchFront(b), `"`+strings.Repeat("a", size-2)+`"`
			r := invokeRequest(b, "127.0.0.1", body)
			r.RequestURI = r.URL.RequestURI()
			payload := bytes.NewReader([]byte(body))
			r.Body = io.NopCloser(payload)
			b.ReportAllocs()
			for b.Loop() {
				payload.Seek(0, io.SeekStart)
				front.ServeHTTP(nowhere{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkInvokeOverTCP is one whole exchange on one connection, with a
// client that only copies bytes; BenchmarkFloorOverTCP is the same with a
// handler that does nothing, and so what net/http itself costs.
func BenchmarkInvokeOverTCP(b *testing.B) { overTCP(b, benchFront(b)) }

func BenchmarkFloorOverTCP(b *testing.B) {
	overTCP(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = jsonType
		w.Write([]byte(`{"a":1}`))
	}))
}

func overTCP(b *testing.B, h http.Handler) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { srv.Serve(ln); close(done) }()
	defer func() { srv.Close(); <-done }()
	var text bytes.Buffer
	if err := invokeRequest(b, ln.Addr().String(), `{"a":1}`).Write(&text); err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(text.Bytes())
		status, length := "", 0
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if status == "" {
				status = string(line[9:12])
			}
			if bytes.HasPrefix(line, []byte("Content-Length: ")) {
				fmt.Sscan(string(line[16:]), &length)
			}
			if len(line) == 2 {
				break
			}
		}
		if status != "200" {
			b.Fatalf("got %s", status)
		}
		in.Discard(length)
	}
}
