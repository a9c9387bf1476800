// Bank stands for the bank and the mail server where no other is named: it
// takes every charge and every mail, over HTTP as they would.
package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(take) }

func take(ctx context.Context, r events.LambdaFunctionURLRequest) (events.LambdaFunctionURLResponse, error) {
	slog.InfoContext(ctx, "taken", "path", r.RawPath)
	return events.LambdaFunctionURLResponse{StatusCode: http.StatusOK}, nil
}
