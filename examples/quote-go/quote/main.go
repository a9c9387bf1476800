// Quote is a function that names a price.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

var cents = map[string]int{"daruma": 1200, "stand": 450, "brush": 300}

type line struct {
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

type quote struct {
	Lines    []line `json:"lines"`
	Total    string `json:"total"`
	Currency string `json:"currency"`
}

func main() { lambda.Start(handle) }

func handle(ctx context.Context, r events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	lines, err := read(r)
	if err != nil {
		return reply(400, map[string]string{"error": err.Error()})
	}
	q := quote{Lines: lines, Currency: os.Getenv("CURRENCY")}
	total := 0
	for _, l := range lines {
		price, ok := cents[l.Item]
		if !ok {
			return reply(404, map[string]string{"error": "we do not sell " + l.Item})
		}
		total += price * l.Quantity
	}
	q.Total = fmt.Sprintf("%d.%02d", total/100, total%100)
	slog.InfoContext(ctx, "quoted", "lines", len(lines), "total", q.Total)
	return reply(200, q)
}

func read(r events.APIGatewayV2HTTPRequest) ([]line, error) {
	if item := r.PathParameters["item"]; item != "" {
		quantity := 1
		if s := r.QueryStringParameters["quantity"]; s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("quantity %q is not a positive number", s)
			}
			quantity = n
		}
		return []line{{item, quantity}}, nil
	}
	var lines []line
	if err := json.Unmarshal([]byte(r.Body), &lines); err != nil {
		return nil, fmt.Errorf("the body is a list of items and quantities: %w", err)
	}
	return lines, nil
}

func reply(status int, v any) (events.APIGatewayV2HTTPResponse, error) {
	body, err := json.Marshal(v)
	return events.APIGatewayV2HTTPResponse{StatusCode: status, Headers: map[string]string{"content-type": "application/json"}, Body: string(body)}, err
}
