// Charge has the bank take the price of an order from the buyer's card.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

type product struct{ cents int }

// products are what is sold. Nobody has thought of an order for anything else.
var products = map[string]*product{"daruma": {1200}, "stand": {450}, "brush": {300}}

type order struct {
	ID    string `json:"order"`
	Item  string `json:"item"`
	Buyer string `json:"buyer"` // an address for mail
}

type receipt struct {
	Order string `json:"order"`
	Cents int    `json:"cents"`
	Buyer string `json:"buyer"`
}

func main() { lambda.Start(charge) }

func charge(ctx context.Context, o order) (receipt, error) {
	r := receipt{Order: o.ID, Cents: products[o.Item].cents, Buyer: o.Buyer}
	if err := bank(ctx, r); err != nil {
		return receipt{}, err
	}
	slog.InfoContext(ctx, "charged", "order", r.Order, "cents", r.Cents)
	return r, nil
}

// bank charges a card. The order's number is the key by which the bank sees
// that it was asked before: an event may be delivered more than once.
func bank(ctx context.Context, r receipt) error {
	if os.Getenv("BANK") == "" {
		return nil
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(os.Getenv("BANK"), "/")+"/charge", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", r.Order)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the bank says %s", resp.Status)
	}
	return nil
}
