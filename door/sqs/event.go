package sqs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/quote"
)

// Event returns the event in which messages of a queue are handed to a
// function: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS".
func Event(place catalog.Place, is *queue.Queue, messages []queue.Received) []byte {
	b := append(make([]byte, 0, 1<<10), `{"Records":[`...)
	for i := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRecord(b, place, is, &messages[i])
	}
	return append(b, `]}`...)
}

// RecordBytes is about how long a message is in an event.
func RecordBytes(m *queue.Received) int { return m.Size() + len(m.Body)/16 + 1<<10 }

func appendRecord(b []byte, place catalog.Place, is *queue.Queue, m *queue.Received) []byte {
	b = append(append(b, `{"messageId":"`...), m.ID.String()...)
	b = append(append(b, `","receiptHandle":"`...), m.Handle...)
	b = quote.Append(append(b, `","body":`...), m.Body)
	b = append(b, `,"attributes":{`...)
	all := systemOf(m, place, is.FIFO)
	for i, k := range sorted(all) {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote.Append(append(quote.Append(b, k), ':'), all[k])
	}
	b = append(b, `},"messageAttributes":{`...)
	list := slices.Clone(m.Attributes)
	slices.SortFunc(list, byName)
	for i, a := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(quote.Append(b, a.Name), ':', '{')
		if v := described(a); v.StringValue != nil {
			b = append(quote.Append(append(b, `"stringValue":`...), *v.StringValue), ',')
		} else {
			b = append(base64.StdEncoding.AppendEncode(append(b, `"binaryValue":"`...), a.Value), `",`...)
		}
		b = append(quote.Append(append(b, `"stringListValues":[],"binaryListValues":[],"dataType":`...), a.Type), '}')
	}
	b = append(b, `},"md5OfMessageAttributes":`...)
	if sum := attributesMD5(list); sum != "" {
		b = quote.Append(b, sum)
	} else {
		b = append(b, `null`...)
	}
	b = append(append(b, `,"md5OfBody":"`...), bodyMD5(m.Body)...)
	b = append(append(b, `","eventSource":"aws:sqs","eventSourceARN":"`...), ARN(place, is.Name)...)
	return append(append(append(b, `","awsRegion":"`...), place.Region...), `"}`...)
}

// Failures reads the report that a function with ReportBatchItemFailures
// returns, and says which of the messages have failed, by their position. An
// error says that the report makes no sense: then all of them have, and nothing
// may be deleted. Without any report, or with one that names nothing, none has.
func Failures(response []byte, messages []queue.Received) ([]int, error) {
	if len(response) == 0 {
		return nil, nil
	}
	var report map[string]json.RawMessage
	if err := json.Unmarshal(response, &report); err != nil {
		return nil, fmt.Errorf("the response is no JSON object: %w", err)
	}
	if len(report) == 0 {
		return nil, nil
	}
	raw, ok := report["batchItemFailures"]
	if !ok {
		return nil, errors.New("the response has no batchItemFailures")
	}
	var items []struct {
		ID *string `json:"itemIdentifier"`
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("batchItemFailures is no list of objects with an itemIdentifier: %w", err)
	}
	var failed []int
	for _, item := range items {
		if item.ID == nil || *item.ID == "" {
			return nil, errors.New("an itemIdentifier is empty")
		}
		at := slices.IndexFunc(messages, func(m queue.Received) bool { return m.ID.String() == *item.ID })
		if at < 0 {
			return nil, fmt.Errorf("the itemIdentifier %q is that of no message in the batch", *item.ID)
		}
		if !slices.Contains(failed, at) {
			failed = append(failed, at)
		}
	}
	slices.Sort(failed)
	return failed, nil
}
