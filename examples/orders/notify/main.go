// Notify tells a buyer that an order was charged. It is the destination of
// Charge, so its event is the record of that invocation.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

type record struct {
	ResponsePayload struct {
		Order string `json:"order"`
		Cents int    `json:"cents"`
	} `json:"responsePayload"`
}

func main() { lambda.Start(notify) }

func notify(ctx context.Context, r record) error {
	slog.InfoContext(ctx, "told the buyer", "order", r.ResponsePayload.Order)
	if os.Getenv("BANK") == "" {
		return nil
	}
	body, err := json.Marshal(r.ResponsePayload)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("BANK")+"/mail", bytes.NewReader(body))
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
