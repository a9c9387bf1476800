package heal

import (
	"testing"

	"github.com/daruma-io/daruma"
)

func TestWhatIsNotReachedIsReadFromTheError(t *testing.T) {
	for message, want := range map[string]string{
		"connect ECONNREFUSED 127.0.0.1:5432":                                                   "127.0.0.1:5432",
		"getaddrinfo ENOTFOUND db.internal":                                                     "db.internal",
		`Post "https://api.example.com/v1": dial tcp 10.0.0.1:443: connect: connection refused`: "api.example.com",
		"dial tcp 10.0.0.9:6379: i/o timeout":                                                   "10.0.0.9:6379",
		"dial tcp: lookup cache.internal on 127.0.0.1:53: no such host":                         "cache.internal",
		"HTTPSConnectionPool(host='api.example.com', port=443): Max retries exceeded":           "api.example.com",
		`Could not connect to the endpoint URL: "https://things.eu-west-1.example.com/"`:        "things.eu-west-1.example.com",
		`connection to server at "10.0.0.7", port 5432 failed: Connection refused`:              "10.0.0.7",
		"java.net.UnknownHostException: Db.Internal":                                            "db.internal",
		"no price for stand": "",
	} {
		if got := dependencyOf(daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Message: message}}); got != want {
			t.Errorf("%s: got %q, want %q", message, got, want)
		}
	}
}

func TestErrorsThatSayComeBackLaterAreCongestion(t *testing.T) {
	for name, want := range map[string]bool{"ThrottlingException": true, "ProvisionedThroughputExceededException": true, "TooManyRequestsException": true, "RequestLimitExceeded": true, "SlowDown": true, "TypeError": false, "ValidationException": false} {
		if got := throttled(daruma.Outcome{Kind: daruma.FunctionError, Failure: &daruma.Failure{Type: name}}); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
