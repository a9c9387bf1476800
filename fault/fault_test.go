package fault_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/fault/inject"
)

func TestWhatIsWrongWithADocumentIsSaidByName(t *testing.T) {
	for document, want := range map[string]string{
		``:                      "empty",
		`[]`:                    "no mapping",
		`{"kind":"earthquake"}`: "there is no such kind of fault",
		`{"kind":"region"}`:     "not supported",
		`{"kind":"clock-skew","target":{"function":"F"}}`:                         "with.by: a clock-skew fault needs it",
		`{"kind":"clock-skew","target":{"function":"F"},"with":{"by":"-90000h"}}`: "with.by: -90000h0m0s is not from -87600h0m0s to 87600h0m0s",
		`{"kind":"kill"}`:                                                                                 "target.function: it is needed",
		`{"kind":"kill","target":{"host":"x"}}`:                                                           "target.host: a kill fault is on target.function",
		`{"kind":"kill","target":{"function":"F"},"dose":{"rate":2}}`:                                     "dose.rate: 2",
		`{"kind":"kill","target":{"function":"F"},"dose":{"rate":0}}`:                                     "dose.rate: it is 0, and so nothing would be met",
		`{"kind":"kill","target":{"function":"F"},"dose":{"oneIn":0}}`:                                    "dose.oneIn: it is 0",
		`{"kind":"kill","target":{"function":"F"},"dose":{"max":0}}`:                                      "dose.max: it is 0",
		"kind: kill\ntarget: { function: F }\ndose: { for: 0m }":                                          "dose.for: it is 0",
		`{"kind":"kill","target":{"function":"F"},"dose":{"rate":0.1,"oneIn":3}}`:                         "rate or oneIn",
		`{"kind":"kill","target":{"function":"F"},"dose":{"for":"48h"}}`:                                  "dose.for",
		`{"kind":"kill","target":{"function":"F"},"dose":{"for":"soon"}}`:                                 `"soon" is no duration`,
		`{"kind":"kill","target":{"function":"F"},"with":{"latency":"1s"}}`:                               "with.latency: a kill fault does not take it",
		`{"kind":"latency","target":{"function":"F"}}`:                                                    "with.latency: a latency fault needs it",
		`{"kind":"latency","target":{"function":"F"},"with":{"latency":"2s","latencyMax":"1s"}}`:          "with.latencyMax",
		`{"kind":"kill","target":{"function":"F"},"colour":"red"}`:                                        "colour: there is no such field",
		`{"kind":"kill","target":{"function":"F","match":[{"path":"$..x"}]}}`:                             "target.match[0].path",
		`{"kind":"kill","target":{"function":"F","match":[{"path":"x","operator":"regex","value":"("}]}}`: "target.match[0].value",
		`{"kind":"kill","target":{"function":"F","pattern":{"a":1}}}`:                                     "target.pattern",
		`{"kind":"throttle","target":{"function":"F","alias":"live"}}`:                                    "does not tell versions apart",
		`{"kind":"memory","target":{"function":"F"}}`:                                                     "with.memoryMB",
		`{"kind":"error","target":{"service":"s"},"with":{"when":"after"}}`:                               "with.when",
		`{"kind":"permission","target":{"service":"s"}}`:                                                  "target.function: a permission fault needs the function",
		`{"kind":"poison-record","target":{"function":"F"}}`:                                              "a poison-record fault is on target.queue or target.table",
		`{"kind":"stuck-shard","target":{"queue":"Q"}}`:                                                   "target.queue: a stuck-shard fault is on target.table",
		`{"kind":"stuck-shard","target":{"table":"T","match":[{"path":"x","value":1}]}}`:                  "target.match",
		`{"kind":"cors","target":{"api":"A","function":"F"}}`:                                             "target.function: an API's answers",
		`{"kind":"cors","target":{"api":"A","queue":"Q"}}`:                                                "a target is one of queue, api",
		`{"kind":"queue-delay","target":{"queue":"Q"}}`:                                                   "with.latency: a queue-delay fault needs it",
		`{"kind":"queue-reorder","target":{"function":"F"}}`:                                              "target.function: a queue-reorder fault is on target.queue",
		`{"kind":"duplicate","target":{"queue":"Q","match":[{"path":"x","value":1}]}}`:                    "target.match",
		`{"kind":"slow","target":{"host":"*","service":"*"},"with":{"bytesPerSecond":1}}`:                 "target.service: a slow fault is on target.host",
		`{"kind":"blackhole","target":{"host":"*","service":"sqs"}}`:                                      "a target is one of host, service",
		`{"kind":"blackhole","target":{"host":"*","service":"*","operation":"PutItem"}}`:                  "a target is one of host, service",
		`{"kind":"secret","target":{"function":"F"}}`:                                                     "with.name: a secret fault needs it",
		`{"kind":"bad-release","target":{"function":"F"},"with":{"latency":"1s","code":"X"}}`:             "with.latency: a bad release",
	} {
		_, err := fault.Parse([]byte(document))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", document, err, want)
		}
		if e, ok := errors.AsType[*daruma.Error](err); err != nil && (!ok || e.Kind == daruma.KindInternal) {
			t.Errorf("%s: %v is not the caller's", document, err)
		}
	}
}

// A number is what it looks like, however large: the document says it as text
// as often as not.
func TestANumberFitsItsText(t *testing.T) {
	for _, c := range []struct {
		match fault.Match
		event string
		want  bool
	}{
		{fault.Match{Path: "id", Value: "12345678"}, `{"id":12345678}`, true},
		{fault.Match{Path: "id", Value: "20000000"}, `{"id":20000000}`, true},
		{fault.Match{Path: "id", Operator: "regex", Value: `^1234\d+$`}, `{"id":12345678}`, true},
		{fault.Match{Path: "id", Value: "0.000001"}, `{"id":0.000001}`, true},
		{fault.Match{Path: "id", Value: "12345678"}, `{"id":12345679}`, false},
		{fault.Match{Path: "id", Value: "true"}, `{"id":true}`, true},
	} {
		l, err := (&fault.Target{Match: []fault.Match{c.match}}).Compile()
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Fits([]byte(c.event)); got != c.want {
			t.Errorf("%v of %s: %t, want %t", c.match, c.event, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"latency","target":{"function":"F","match":[{"path":"$.a[0]['b']","operator":"regex","value":"a+"}]},"with":{"latency":"1s"}}`))
	f.Add([]byte("kind: error\ntarget: {service: x, operation: y}\nwith: {code: throttled}\n"))
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := fault.Parse(document)
		if err != nil {
			return
		}
		s := inject.New(inject.Config{})
		r, err := s.Start(t.Context(), got, 0)
		if err != nil {
			t.Fatalf("a fault that was read cannot be started: %v", err)
		}
		r.Stop()
	})
}
