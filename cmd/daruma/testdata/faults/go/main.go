// A function that does what its event says, so that faults can be seen from outside.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	Do  string `json:"do"`
	MB  int    `json:"mb"`
	URL string `json:"url"`
}

type answer struct {
	StatusCode int    `json:"statusCode"`
	Body       string `json:"body"`
}

func main() { lambda.Start(handle) }

func handle(_ context.Context, e event) (answer, error) {
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
	case "variable":
		return answer{200, os.Getenv("GREETING")}, nil
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
