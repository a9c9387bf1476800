package heal

import (
	"regexp"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/ledger"
)

// throttles are what errors are called that say "come back later".
var throttles = regexp.MustCompile(`(?i)throttl|TooManyRequests|TooManyUpdates|ThroughputExceeded|LimitExceeded|SlowDown|RateExceeded|RateLimit|Status(?:Code)?Error: 429`)

// throttled says whether a function's error says that what it needs has too much to do.
func throttled(o daruma.Outcome) bool {
	return o.Kind == daruma.FunctionError && o.Failure != nil && throttles.MatchString(o.Failure.Type)
}

// unreachable is how errors of runtimes and SDKs name what they could not
// reach: a host with its port, an address, or a URL. Nothing else is looked for.
var unreachable = []*regexp.Regexp{
	regexp.MustCompile(`connect (?:ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ECONNRESET) ([\w.:\[\]-]+)`),                              // Node.js
	regexp.MustCompile(`getaddrinfo (?:ENOTFOUND|EAI_AGAIN) ([\w.-]+)`),                                                                      // Node.js
	regexp.MustCompile(`(?:Get|Post|Put|Patch|Delete|Head) "https?://([\w.:\[\]-]+)[^"]*": (?:dial|read|EOF|context deadline|net/http)`),     // Go
	regexp.MustCompile(`dial (?:tcp|udp)4?6? ([\w.:\[\]-]+): `),                                                                              // Go
	regexp.MustCompile(`lookup ([\w.-]+)(?: on [\w.:\[\]-]+)?: `),                                                                            // Go
	regexp.MustCompile(`ConnectionPool\(host='([\w.-]+)'`),                                                                                   // Python
	regexp.MustCompile(`(?:connect to the endpoint URL|Connect timeout on endpoint URL|Read timeout on endpoint URL): "https?://([\w.:-]+)`), // boto3
	regexp.MustCompile(`connection to server at "([\w.:-]+)"`),                                                                               // libpq
	regexp.MustCompile(`UnknownHostException: ([\w.-]+)`),                                                                                    // Java
	regexp.MustCompile(`Connect to ([\w.:-]+) .*failed`),                                                                                     // Java
}

// dependencyOf returns what a failed run could not reach, as its error names
// it, or "".
func dependencyOf(o daruma.Outcome) string {
	if o.Failure == nil {
		return ""
	}
	for _, r := range unreachable {
		if m := r.FindStringSubmatch(o.Failure.Message); m != nil {
			return strings.ToLower(ledger.Cut(strings.TrimRight(m[1], ".:"), 255))
		}
	}
	return ""
}
