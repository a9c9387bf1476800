package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-io/daruma/fault"
)

// clockTemplate is an app of functions that send messages with the SDKs of their languages.
const clockTemplate = `Transform: AWS::Serverless-2016-10-31
Globals: { Function: { Timeout: 10, MemorySize: 512, Environment: { Variables: { QUEUE: !Ref Sent } } } }
Resources:
  Sent: { Type: AWS::SQS::Queue, Properties: { QueueName: sent } }
  Go: { Type: AWS::Serverless::Function, Properties: { CodeUri: go/, Handler: bootstrap, Runtime: provided.al2023 } }
  Node: { Type: AWS::Serverless::Function, Properties: { CodeUri: node/, Handler: index.handler, Runtime: nodejs22.x } }
`

// clockNode sends one message and tells how often it tried, and what its clock said.
const clockNode = `const { SQSClient, SendMessageCommand } = require('@aws-sdk/client-sqs')

exports.handler = async (event) => {
  const sent = await new SQSClient({ maxAttempts: event.attempts }).send(new SendMessageCommand({ QueueUrl: process.env.QUEUE, MessageBody: 'x' }))
  return { body: 'fine', attempts: sent.$metadata.attempts }
}
`

// TestAnSDKWhoseClockIsWrongCorrectsItAsOnAWS has clocks be wrong by more than
// a signature may be old: the service says so, and SDKs that know what it means
// take the time from its answer and try again.
func TestAnSDKWhoseClockIsWrongCorrectsItAsOnAWS(t *testing.T) {
	dir := faultsApp(t, "")
	for name, text := range map[string]string{"template.yaml": clockTemplate, "node/index.js": clockNode} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := startPlatform(t, dir)
	if s := p.status(); s.Isolation != "namespaces" || len(s.Missing) > 0 {
		t.Skipf("functions lack what faults need here: %s %q", s.Isolation, s.Missing)
	}
	for _, function := range []string{"Go", "Node"} {
		got := p.invoke(t.Context(), function, `{"do":"send","attempts":1}`).payload
		if strings.Contains(got, "Cannot find module") {
			t.Skip("the SDK that the runtime brings along could not be fetched:", got)
		}
		if !strings.Contains(got, "fine") {
			t.Fatalf("%s: got %s", function, got)
		}
		for _, by := range []string{"-20m", "20m"} {
			if function == "Go" && by == "20m" {
				continue // its context has the event's deadline, which is over by its clock
			}
			f := p.breaks(t, fmt.Sprintf(`{"kind":"clock-skew","target":{"function":%q},"with":{"by":%q}}`, function, by))
			says := "Signature expired: "
			if by == "20m" {
				says = "Signature not yet current: "
			}
			if got := p.invoke(t.Context(), function, `{"do":"send","attempts":1}`).payload; !strings.Contains(got, says) {
				t.Errorf("%s by %s, with one attempt: got %s, want %q", function, by, got, says)
			}
			got := p.invoke(t.Context(), function, `{"do":"send","attempts":3}`).payload
			if !strings.Contains(got, "fine") || function == "Node" && !strings.Contains(got, `"attempts":2`) {
				t.Errorf("%s by %s, with three attempts: got %s, want it to correct itself", function, by, got)
			}
			p.mends(t, f.ID)
		}
	}
}

func TestPlainProcessesRefuseAClockByName(t *testing.T) {
	p := startPlatform(t, faultsApp(t, ""), "--isolation", "processes", "--aws-addr=127.0.0.1:0", "--web-addr=127.0.0.1:0", "--console-addr=127.0.0.1:0")
	_, err := post[fault.State](t.Context(), p.address, "/api/faults?lease=1m", []byte(`{"kind":"clock-skew","target":{"function":"Go"},"with":{"by":"1h"}}`))
	if err == nil || !strings.Contains(err.Error(), "not on this machine: no clock of its own: plain processes share the machine's") {
		t.Errorf("got %v, want it to be refused by name", err)
	}
}
