package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// streaming makes a runner whose functions write through run.
func streaming(run func(ctx context.Context, s daruma.Stream) daruma.Outcome) *fakeRunner {
	return &fakeRunner{run: func(ctx context.Context, inv daruma.Invocation) daruma.Outcome { return run(ctx, inv.Stream) }}
}

func streamSetup() setup {
	rest := restAPIOf("Rest", "Prod", "GET /s")
	rest.Routes[0].Stream = true
	return setup{apis: []*catalog.API{rest}, functions: []*catalog.Function{urlOf("Fn", catalog.URL{Stream: true})}}
}

var done = daruma.Outcome{Kind: daruma.Done}

const streamed = `{"statusCode":201,"headers":{"Content-Type":"text/event-stream","X-A":"1"},"cookies":["a=1"]}`

var nuls = strings.Repeat("\x00", 8)

func TestAStreamedAnswerBeginsWithItsStatusAndHeaders(t *testing.T) {
	whole := streamed + nuls + "one\x00two"
	for cutAt := range whole { // wherever the prelude is cut
		w := open(t, streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", streamHead)
			io.WriteString(s, whole[:cutAt])
			io.WriteString(s, whole[cutAt:])
			return done
		}), streamSetup())
		for _, path := range []string{"/Prod/s", "/_/Fn/"} {
			got := w.do("GET", path, "")
			got.is(t, 201, "one\x00two")
			got.has(t, "Content-Type", "text/event-stream")
			got.has(t, "X-A", "1")
			got.has(t, "Set-Cookie", "a=1")
		}
	}
}

func TestAStreamComesThroughAsItIsWritten(t *testing.T) {
	next := make(chan string)
	w := open(t, streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome {
		s.Begin("$LATEST", streamHead)
		io.WriteString(s, streamed+nuls)
		for text := range next {
			io.WriteString(s, text)
		}
		return done
	}), streamSetup())
	resp, err := http.Get(w.server.URL + "/_/Fn/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() // the status came before any of the body
	buf := make([]byte, 16)
	for _, text := range []string{"one", "two"} {
		next <- text
		n, err := io.ReadAtLeast(resp.Body, buf, len(text))
		if err != nil || string(buf[:n]) != text {
			t.Fatalf("got %q, %v, want %q", buf[:n], err, text)
		}
	}
	close(next)
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestAStreamedAnswerWithoutAPreludeIsTheBody(t *testing.T) {
	for given, want := range map[string]string{"text/html": "text/html", "": "application/octet-stream", "application/json": "application/json"} {
		w := open(t, streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", given)
			io.WriteString(s, `{"statusCode":404}`)
			return done
		}), streamSetup())
		got := w.do("GET", "/_/Fn/", "")
		got.is(t, 200, `{"statusCode":404}`)
		got.has(t, "Content-Type", want)
		got = w.do("GET", "/Prod/s", "") // a proxy integration needs the prelude
		got.is(t, 502, restBad)
	}
}

func TestStreamsOfAWSLambdaGoAreUnderstood(t *testing.T) {
	w := open(t, streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome {
		r := &events.APIGatewayProxyStreamingResponse{MultiValueHeaders: map[string][]string{"X-A": {"1", "2"}}, Body: strings.NewReader("hi")}
		s.Begin("$LATEST", r.ContentType())
		io.Copy(s, r)
		return done
	}), streamSetup())
	got := w.do("GET", "/Prod/s", "")
	got.is(t, 200, "hi")
	got.has(t, "X-A", "1 | 2")
	got.has(t, "Content-Type", "application/json")
}

func TestAStreamThatFailsBeforeItsStatusIsRefused(t *testing.T) {
	for name, run := range map[string]func(daruma.Stream) daruma.Outcome{
		"before it began": func(daruma.Stream) daruma.Outcome { return daruma.Outcome{Kind: daruma.Crashed} },
		"in the prelude": func(s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", streamHead)
			io.WriteString(s, `{"sta`)
			return daruma.Outcome{Kind: daruma.FunctionError}
		},
		"ends in prelude": func(s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", streamHead)
			io.WriteString(s, streamed)
			return done
		},
		"bad prelude": func(s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", streamHead)
			io.WriteString(s, `{"statusCode":"x"}`+nuls)
			return done
		},
		"prelude not JSON": func(s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", streamHead)
			io.WriteString(s, nuls)
			return done
		},
		"prelude has no end": func(s daruma.Stream) daruma.Outcome {
			s.Begin("$LATEST", streamHead)
			s.Write(bytes.Repeat([]byte("x"), 100<<10))
			return done
		},
		"done without begin": func(daruma.Stream) daruma.Outcome { return done },
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome { return run(s) }), streamSetup())
			w.do("GET", "/Prod/s", "").is(t, 502, restBad)
			w.do("GET", "/_/Fn/", "").is(t, 502, urlBad)
		})
	}
}

func TestAStreamThatFailsLaterIsBrokenOff(t *testing.T) {
	w := open(t, streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome {
		s.Begin("$LATEST", streamHead)
		io.WriteString(s, streamed+nuls+"half")
		return daruma.Outcome{Kind: daruma.FunctionError}
	}), streamSetup())
	resp, err := http.Get(w.server.URL + "/_/Fn/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q as if it were whole", body)
	}
}

func TestAStreamLetsGoOfTheClientWhenTheRouteTimesOut(t *testing.T) {
	clock := &fixedClock{at: noon, added: make(chan struct{}, 1)}
	goOn, late := make(chan struct{}), make(chan error, 1)
	s := streamSetup()
	s.clock = clock
	w := open(t, streaming(func(ctx context.Context, st daruma.Stream) daruma.Outcome {
		go func() { // the function goes on writing
			<-goOn
			st.Begin("$LATEST", streamHead)
			_, err := io.WriteString(st, streamed)
			late <- err
		}()
		<-ctx.Done()
		return daruma.Outcome{Kind: daruma.Unknown}
	}), s)
	go func() {
		<-clock.added
		clock.fire()
	}()
	w.do("GET", "/Prod/s", "").is(t, 504, `{"message": "Endpoint request timed out"}`)
	close(goOn)
	if err := <-late; !errors.Is(err, errClosed) {
		t.Errorf("a late write: got %v, want %v", err, errClosed)
	}
}

func TestAWriteToAClientThatWentAwayFails(t *testing.T) {
	failed := make(chan error, 1)
	w := open(t, streaming(func(_ context.Context, s daruma.Stream) daruma.Outcome {
		s.Begin("$LATEST", "text/plain")
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for range 10_000 {
			if _, err := s.Write(chunk); err != nil {
				failed <- err
				return done
			}
		}
		failed <- nil
		return done
	}), streamSetup())
	resp, err := http.Get(w.server.URL + "/_/Fn/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("every write succeeded")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the writes hang")
	}
}
