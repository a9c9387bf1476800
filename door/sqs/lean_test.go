package sqs

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var leanBodies = []string{
	`{"QueueUrl":"http://127.0.0.1/1/q","MessageBody":"say \"hi\"\n\\ \/ é"}`,
	`{ "QueueUrl" : "q" , "MaxNumberOfMessages" : 10 , "WaitTimeSeconds":0,"MessageSystemAttributeNames":["All"],"MessageAttributeNames":[],"VisibilityTimeout":30}`,
	`{"QueueUrl":"q","Entries":[{"Id":"1","MessageBody":"x","DelaySeconds":5,"MessageGroupId":"g","MessageDeduplicationId":"d"},{"Id":"2","ReceiptHandle":"h"}]}`,
	`{}`, `{"Entries":[]}`,
}

func TestTheLeanReaderReadsWhatComesByTheThousand(t *testing.T) {
	for _, body := range leanBodies {
		var fast, whole input
		if !fast.readLean([]byte(body)) {
			t.Errorf("it gave up at %s", body)
		}
		if err := json.Unmarshal([]byte(body), &whole); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, fast, cmp.AllowUnexported(input{})); diff != "" {
			t.Errorf("%s: -complete +lean:\n%s", body, diff)
		}
	}
	for _, body := range []string{``, `{`, `[]`, `{"MessageBody":null}`, `{"MessageBody":"\u0041"}`, `{"DelaySeconds":01}`, `{"DelaySeconds":-1}`, `{"DelaySeconds":1.5}`, `{"What":1}`, `{"MessageBody":"a"}x`, "{\"MessageBody\":\"\xff\"}", "{\"MessageBody\":\"\n\"}", `{"MessageBody":"a`, `{"MessageBody":"a\`} {
		if new(input).readLean([]byte(body)) {
			t.Errorf("it did not give up at %q", body)
		}
	}
}

func FuzzLean(f *testing.F) {
	for _, body := range leanBodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var fast, whole input
		if !fast.readLean(body) {
			return
		}
		if err := json.Unmarshal(body, &whole); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if diff := cmp.Diff(whole, fast, cmp.AllowUnexported(input{})); diff != "" {
			t.Errorf("%q: -complete +lean:\n%s", body, diff)
		}
	})
}
