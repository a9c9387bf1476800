// A function that does what its event says, so that faults can be seen from outside.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

type event struct {
	Do      string   `json:"do"`
	MB      int      `json:"mb"`
	URL     string   `json:"url"`
	Now     int64    `json:"now"`
	Tries   int      `json:"attempts"`
	Records []record `json:"Records"`
}

// A record is a message of a queue, or a change of a table.
type record struct {
	Body   string `json:"body"`
	Change struct {
		Keys map[string]*struct{ S string }
	} `json:"dynamodb"`
}

type answer struct {
	StatusCode int    `json:"statusCode"`
	Body       string `json:"body"`
}

func main() { lambda.Start(handle) }

func handle(ctx context.Context, e event) (answer, error) {
	for _, r := range e.Records {
		if err := take(r); err != nil {
			return answer{}, err
		}
	}
	switch e.Do {
	case "write":
		if err := os.WriteFile("/tmp/f", make([]byte, 64<<10), 0o600); errors.Is(err, syscall.ENOSPC) {
			return answer{200, "ENOSPC"}, nil
		}
	case "memory":
		b := make([]byte, e.MB<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		time.Sleep(200 * time.Millisecond) // it is held, not only touched
		return answer{200, strconv.Itoa(len(b) >> 20)}, nil
	case "clock":
		return answer{200, fmt.Sprintf("%.0f minutes", time.Since(time.Unix(e.Now, 0)).Minutes())}, nil
	case "variable":
		value, there := os.LookupEnv("GREETING")
		if !there {
			value = "missing"
		}
		return answer{200, value}, nil
	case "send":
		cfg, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(max(1, e.Tries)))
		if err != nil {
			return answer{}, err
		}
		if _, err := sqs.NewFromConfig(cfg).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(os.Getenv("QUEUE")), MessageBody: aws.String("x")}); err != nil {
			return answer{200, err.Error()}, nil
		}
	case "get":
		r, err := http.Get(e.URL)
		if err != nil {
			return answer{200, "unreachable"}, nil
		}
		defer r.Body.Close()
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return answer{200, "broken"}, nil
		}
	}
	return answer{200, "fine"}, nil
}

// take tells the world outside which record it was handed.
func take(r record) error {
	var id string
	if r.Change.Keys != nil {
		id = r.Change.Keys["id"].S
	} else {
		var job struct{ ID string }
		if err := json.Unmarshal([]byte(r.Body), &job); err != nil {
			return err
		}
		id = job.ID
	}
	answer, err := http.Get(os.Getenv("TELL") + "/" + url.PathEscape(id))
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
