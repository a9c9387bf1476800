// Orders takes an order, has it charged, and does not wait for that.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	client "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go/middleware"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
)

type order struct {
	ID   string `json:"order"`
	Item string `json:"item"`
}

type shop struct{ functions *client.Client }

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(shop{client.NewFromConfig(cfg)}.take)
}

// take answers 202 once the order is kept, and with what it is kept under.
func (s shop) take(ctx context.Context, r events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	body := []byte(r.Body)
	if r.IsBase64Encoded {
		body, _ = base64.StdEncoding.DecodeString(r.Body) // what is no base64 is no order either
	}
	var o order
	if err := json.Unmarshal(body, &o); err != nil || o.ID == "" || o.Item == "" {
		return reply(400, map[string]string{"error": "an order has an order number and an item"})
	}
	out, err := s.functions.Invoke(ctx, &client.InvokeInput{
		FunctionName: aws.String(os.Getenv("CHARGE")), InvocationType: types.InvocationTypeEvent, Payload: body,
	})
	if err != nil {
		return reply(503, map[string]string{"error": err.Error()})
	}
	return reply(202, map[string]string{"order": o.ID, "request": requestOf(out.ResultMetadata)})
}

func requestOf(m middleware.Metadata) string {
	id, _ := awsmiddleware.GetRequestIDMetadata(m)
	return id
}

func reply(status int, v any) (events.APIGatewayV2HTTPResponse, error) {
	body, err := json.Marshal(v)
	return events.APIGatewayV2HTTPResponse{StatusCode: status, Headers: map[string]string{"content-type": "application/json"}, Body: string(body)}, err
}
