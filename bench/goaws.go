package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/daruma-io/daruma/node"
)

const goaws = "github.com/Admiral-Piett/goaws/app/cmd@latest"

// startGoaws starts the peer with one queue.
func (w *workshop) startGoaws(ctx context.Context) (*queueServer, error) {
	if err := w.install(ctx, []string{"GOBIN=" + w.dir}, "go", "install", goaws); err != nil {
		return nil, err
	}
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
	says, err := newSpoken(form{ports[0]})
	if err != nil {
		stop()
		return nil, err
	}
	return &queueServer{server{ports[0], []int{pid}, stop}, says.box}, nil
}

// form is the query protocol, unsigned: the peer knows no other, and checks no signature.
type form struct{ addr string }

func (f form) ask(operation string, members url.Values) ([]byte, error) {
	members.Set("Action", operation)
	members.Set("QueueUrl", "http://"+f.addr+"/"+node.Account+"/q")
	return raw("/", f.addr, http.Header{"Content-Type": {typeForm}}, members.Encode()), nil
}

// Send is of one message or of a batch of them.
func (f form) Send(n int) ([]byte, error) {
	if n == 1 {
		return f.ask("SendMessage", url.Values{"MessageBody": {message}})
	}
	members := url.Values{}
	for i := range n {
		entry := "SendMessageBatchRequestEntry." + strconv.Itoa(i+1)
		members.Set(entry+".Id", strconv.Itoa(i))
		members.Set(entry+".MessageBody", message)
	}
	return f.ask("SendMessageBatch", members)
}

// Receive is of up to n messages.
func (f form) Receive(n int) ([]byte, error) {
	return f.ask("ReceiveMessage", url.Values{"MaxNumberOfMessages": {strconv.Itoa(n)}})
}

// Handles are found without parsing all of it.
func (f form) Handles(answer []byte) []string { return between(answer, "<ReceiptHandle>", "<") }

// Delete is of one message or of a batch of them.
func (f form) Delete(handles []string) ([]byte, error) {
	if len(handles) == 1 {
		return f.ask("DeleteMessage", url.Values{"ReceiptHandle": {handles[0]}})
	}
	members := url.Values{}
	for i, handle := range handles {
		entry := "DeleteMessageBatchRequestEntry." + strconv.Itoa(i+1)
		members.Set(entry+".Id", strconv.Itoa(i))
		members.Set(entry+".ReceiptHandle", handle)
	}
	return f.ask("DeleteMessageBatch", members)
}
