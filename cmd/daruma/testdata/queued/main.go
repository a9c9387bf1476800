// Command queued is a function that does the messages of a queue: it tells the
// world outside of each, at TELL, and reports those with poison in them as failed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var report events.SQSEventResponse
	for _, m := range event.Records {
		if err := do(ctx, m.Body); err != nil {
			fmt.Println(m.MessageId, err)
			report.BatchItemFailures = append(report.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return report, nil
}

func do(ctx context.Context, body string) error {
	var job struct {
		ID     string
		Poison bool
	}
	if err := json.Unmarshal([]byte(body), &job); err != nil {
		return err
	}
	if job.Poison {
		return fmt.Errorf("%s is poison", job.ID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("TELL")+"/"+job.ID, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
