package lambda

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
)

// streamed invokes f with a streamed answer and collects its frames.
func (w *world) streamed(in *sdk.InvokeWithResponseStreamInput) (out *sdk.InvokeWithResponseStreamOutput, chunks [][]byte, end *types.InvokeWithResponseStreamCompleteEvent) {
	w.t.Helper()
	if in.FunctionName == nil {
		in.FunctionName = aws.String("f")
	}
	out, err := w.client.InvokeWithResponseStream(context.Background(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	s := out.GetStream()
	defer s.Close()
	for e := range s.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			if end != nil {
				w.t.Error("got a chunk after InvokeComplete")
			}
			chunks = append(chunks, e.Value.Payload)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			if end != nil {
				w.t.Error("got InvokeComplete twice")
			}
			end = &e.Value
		}
	}
	if err := s.Err(); err != nil {
		w.t.Fatal(err)
	}
	if end == nil {
		w.t.Fatal("got no InvokeComplete")
	}
	return out, chunks, end
}

func TestAStreamedAnswerComesInChunksAndThenCompletes(t *testing.T) {
	w := newWorld(t)
	w.runner.do = func(_ context.Context, inv daruma.Invocation) daruma.Outcome {
		inv.Stream.Begin("$LATEST", "text/plain")
		for _, s := range []string{"one", "two"} {
			if n, err := inv.Stream.Write([]byte(s)); n != len(s) || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
		}
		return daruma.Outcome{Kind: daruma.Done, Version: catalog.Latest, LogTail: []byte("log")}
	}
	out, chunks, end := w.streamed(&sdk.InvokeWithResponseStreamInput{LogType: types.LogTypeTail, Payload: []byte(`1`)})
	if out.StatusCode != 200 || *out.ExecutedVersion != "$LATEST" || *out.ResponseStreamContentType != "application/vnd.amazon.eventstream" {
		t.Errorf("got %+v", out)
	}
	if string(bytes.Join(chunks, []byte("|"))) != "one|two" || end.ErrorCode != nil || aws.ToString(end.LogResult) != "bG9n" {
		t.Errorf("got %q, %+v", chunks, end)
	}
}

func TestAChunkIsOnItsWayBeforeTheNextIsWritten(t *testing.T) {
	w := newWorld(t)
	seen := make(chan struct{})
	w.runner.do = func(ctx context.Context, inv daruma.Invocation) daruma.Outcome {
		inv.Stream.Begin("$LATEST", "")
		inv.Stream.Write([]byte("first"))
		select {
		case <-seen:
		case <-ctx.Done():
			t.Error("the caller never saw the first chunk")
		}
		return daruma.Outcome{Kind: daruma.Done, Version: catalog.Latest}
	}
	out, err := w.client.InvokeWithResponseStream(context.Background(), &sdk.InvokeWithResponseStreamInput{FunctionName: aws.String("f")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.GetStream().Close()
	<-out.GetStream().Events()
	close(seen)
	for range out.GetStream().Events() {
	}
}

func TestALargeAnswerIsCutIntoFrames(t *testing.T) {
	w := newWorld(t)
	whole := bytes.Repeat([]byte("0123456789"), 30_000)
	w.runner.do = func(_ context.Context, inv daruma.Invocation) daruma.Outcome {
		inv.Stream.Begin("$LATEST", "")
		inv.Stream.Write(whole)
		return daruma.Outcome{Kind: daruma.Done, Version: catalog.Latest}
	}
	_, chunks, _ := w.streamed(&sdk.InvokeWithResponseStreamInput{})
	if len(chunks) != 5 || !bytes.Equal(bytes.Join(chunks, nil), whole) {
		t.Errorf("got %d chunks, want 5 that make up the answer", len(chunks))
	}
}

func TestAnAnswerThatWasNotStreamedIsSentWhole(t *testing.T) {
	w := newWorld(t)
	_, chunks, end := w.streamed(&sdk.InvokeWithResponseStreamInput{Payload: []byte(`{"a":1}`)})
	if string(bytes.Join(chunks, nil)) != `{"a":1}` || end.ErrorCode != nil {
		t.Errorf("got %q, %+v", chunks, end)
	}
}

func TestAFailureIsToldInInvokeCompleteAtWhateverMoment(t *testing.T) {
	w := newWorld(t)
	for _, started := range []bool{false, true} {
		w.runner.do = func(_ context.Context, inv daruma.Invocation) daruma.Outcome {
			if started {
				inv.Stream.Begin("$LATEST", "")
				inv.Stream.Write([]byte("half"))
			}
			return daruma.Outcome{Kind: daruma.FunctionError, Version: "$LATEST", Payload: []byte(`{"errorType":"E","errorMessage":"m"}`), Failure: &daruma.Failure{Type: "E"}}
		}
		out, chunks, end := w.streamed(&sdk.InvokeWithResponseStreamInput{})
		if out.StatusCode != 200 || aws.ToString(end.ErrorCode) != "Unhandled" || aws.ToString(end.ErrorDetails) != `{"errorType":"E","errorMessage":"m"}` || (len(chunks) == 1) != started {
			t.Errorf("started %v: got %d chunks, %+v", started, len(chunks), end)
		}
		if aws.ToString(out.ExecutedVersion) != "$LATEST" {
			t.Errorf("got version %v", out.ExecutedVersion)
		}
	}
}

func TestWhatDidNotRunIsRefusedLikeInvokeWhenNothingWasStreamed(t *testing.T) {
	w := newWorld(t)
	w.runner.do = answers(daruma.Outcome{Kind: daruma.Throttled})
	_, err := w.client.InvokeWithResponseStream(context.Background(), &sdk.InvokeWithResponseStreamInput{FunctionName: aws.String("f")})
	wantError(t, err, 429, "TooManyRequestsException", "Rate Exceeded.")
	_, err = w.client.InvokeWithResponseStream(context.Background(), &sdk.InvokeWithResponseStreamInput{FunctionName: aws.String("nope")})
	wantError(t, err, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope:$LATEST")
	_, err = w.client.InvokeWithResponseStream(context.Background(), &sdk.InvokeWithResponseStreamInput{FunctionName: aws.String("f"), InvocationType: "Event"})
	wantError(t, err, 400, "ValidationException", "1 validation error detected: Value 'Event' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [RequestResponse, DryRun]")
}

func TestADryRunOfAStreamRunsNothing(t *testing.T) {
	w := newWorld(t)
	resp, _ := w.send("POST", "/2021-11-15/functions/f/response-streaming-invocations", "", "X-Amz-Invocation-Type", "DryRun")
	if resp.StatusCode != 204 || w.runner.runs != 0 {
		t.Errorf("got %d and %d runs", resp.StatusCode, w.runner.runs)
	}
}

func TestTheVersionThatAnswersIsSent(t *testing.T) {
	w := newWorld(t)
	w.runner.do = func(_ context.Context, inv daruma.Invocation) daruma.Outcome {
		inv.Stream.Begin("2", "")
		return daruma.Outcome{Kind: daruma.Done, Version: "2"}
	}
	out, _, _ := w.streamed(&sdk.InvokeWithResponseStreamInput{Qualifier: aws.String("canary")})
	if aws.ToString(out.ExecutedVersion) != "2" {
		t.Errorf("got %v, want 2", out.ExecutedVersion)
	}
}

func TestAWriteAfterTheCallerLeftFailsAndTouchesNothing(t *testing.T) {
	w := newWorld(t)
	kept := make(chan daruma.Stream, 1)
	w.runner.do = func(_ context.Context, inv daruma.Invocation) daruma.Outcome {
		kept <- inv.Stream
		return daruma.Outcome{Kind: daruma.Unknown, Failure: &daruma.Failure{Message: "left"}}
	}
	w.send("POST", "/2021-11-15/functions/f/response-streaming-invocations", "")
	s := <-kept
	s.Begin("$LATEST", "")
	if _, err := s.Write([]byte("late")); !errors.Is(err, errEnded) {
		t.Errorf("got %v, want %v", err, errEnded)
	}
}

func TestFramesAreThoseOfTheEventStreamFormat(t *testing.T) {
	w := newWorld(t)
	_, body := w.send("POST", "/2021-11-15/functions/f/response-streaming-invocations", `"x"`)
	d, r := eventstream.NewDecoder(), strings.NewReader(body)
	var got []string
	for {
		m, err := d.Decode(r, nil)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Headers.Get(":message-type").String()+" "+m.Headers.Get(":event-type").String()+" "+m.Headers.Get(":content-type").String()+" "+string(m.Payload))
	}
	want := []string{`event PayloadChunk application/octet-stream "x"`, `event InvokeComplete application/json {}`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("chunk"), 3)
	f.Add(bytes.Repeat([]byte{0, 255}, 70_000), 1)
	f.Add([]byte(nil), 0)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		rec := httptest.NewRecorder()
		s := &stream{w: rec, control: http.NewResponseController(rec)}
		s.Begin("$LATEST", "")
		cut = min(max(cut, 0), len(data))
		for _, p := range [][]byte{data[:cut], data[cut:]} {
			if n, err := s.Write(p); n != len(p) || err != nil {
				t.Fatalf("got %d, %v", n, err)
			}
		}
		s.end(nil, &daruma.Outcome{Kind: daruma.Done}, false)
		var got []byte
		var last string
		for d, r := eventstream.NewDecoder(), bytes.NewReader(rec.Body.Bytes()); r.Len() > 0; {
			m, err := d.Decode(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if last = m.Headers.Get(":event-type").String(); last == "PayloadChunk" {
				got = append(got, m.Payload...)
			}
		}
		if !bytes.Equal(got, data) || last != "InvokeComplete" {
			t.Errorf("got %d bytes and %s last, want %d and InvokeComplete", len(got), last, len(data))
		}
	})
}
