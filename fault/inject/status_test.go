package inject_test

import (
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault/inject"
)

func TestAnAnswerWithAnotherStatusMayHaveAnotherContentType(t *testing.T) {
	s := inject.New(inject.Config{})
	start(t, s, `{"kind":"status","target":{"function":"F"},"with":{"status":503,"contentType":"text/html","when":"after"}}`)
	for answer, want := range map[string]string{
		`{"statusCode":200,"headers":{"content-type":"text/plain","x":"y"},"body":"b"}`:    `{"body":"b","headers":{"Content-Type":"text/html","x":"y"},"statusCode":503}`,
		`{"statusCode":200,"multiValueHeaders":{"Content-Type":["text/plain"],"x":["y"]}}`: `{"headers":{"Content-Type":"text/html"},"multiValueHeaders":{"x":["y"]},"statusCode":503}`,
		`{"statusCode":200,"headers":"nonsense"}`:                                          `{"headers":{"Content-Type":"text/html"},"statusCode":503}`,
		`"no answer to a web request"`:                                                     `{"body":"{\"message\":\"Injected status code 503\"}","headers":{"Content-Type":"text/html"},"statusCode":503}`,
	} {
		l := &life{}
		station := s.Station(t.Context(), l, inject.Who{Function: "F"}, func() {})
		station.Attach(func(*daruma.Delivery) error { return nil })
		if err := l.deliver(&daruma.Delivery{ID: "r-1", Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		if err := station.Respond("r-1", "application/json", []byte(answer)); err != nil {
			t.Fatal(err)
		}
		if l.said[0] != want {
			t.Errorf("%s: got %s, want %s", answer, l.said[0], want)
		}
	}
}
