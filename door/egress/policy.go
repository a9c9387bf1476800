package egress

import (
	"context"
	"strings"

	"github.com/daruma-io/daruma/door/egress/trust"
)

// A Dial is something an environment wants to reach.
type Dial struct {
	Ref  Ref
	Host string // a name in lower case without a final dot, or an IP address when no name was asked for
	Port uint16 // 0 while the name is being looked up
	// Cloud says that it leads to Config.Cloud and not out of the platform.
	Cloud bool
}

// A Decision says whether a Dial may go on. The zero value refuses.
type Decision struct {
	Allow  bool
	Reason string // why not, for the log and the person reading it
	// Pace bounds how many bytes a second a connection to a host outside
	// carries, each way; 0 is no bound. It is asked again and again. May be nil.
	Pace func() int64
}

// A Policy decides. It may take its time (a delay, a black hole) but returns
// when ctx ends; it may be called from any goroutine. Policies wrap one
// another: faults and rules per host are decorators of this type.
type Policy func(ctx context.Context, d Dial) Decision

// AllowAll lets functions reach whatever the guard does not refuse.
func AllowAll(context.Context, Dial) Decision { return Decision{Allow: true} }

// DenyAll keeps functions inside: they reach the platform's cloud and nothing else.
func DenyAll(_ context.Context, d Dial) Decision {
	return Decision{Allow: d.Cloud, Reason: "the policy allows no host outside"}
}

// HostName is the name by which functions reach the loopback of the machine
// the platform runs on: a database of one's own, a mock server.
const HostName = "host.daruma.internal"

// internalDomain holds HostName; nothing else below it exists.
const internalDomain = "daruma.internal"

// CloudDomains are the domains whose names lead to the platform: the DNS
// suffixes of the public partitions (aws, aws-cn, aws-us-gov, aws-eusc) in
// the AWS SDKs' partitions.json, and on.aws, where function URLs live.
var CloudDomains = []string{
	"amazonaws.com",
	"amazonaws.com.cn",
	"api.aws",
	"on.aws",
	"api.amazonwebservices.com.cn",
	"amazonaws.eu",
	"api.amazonwebservices.eu",
}

// IsCloud says whether name (lower case, no final dot) is one of the cloud's.
func IsCloud(name string) bool { return trust.Below(name, CloudDomains) }

// IsSite says whether name, one of the cloud's, is where an app is served: an API
// or a function URL. To a function that asks for it it is a host like one
// outside, and faults of hosts meet it as such.
func IsSite(name string) bool {
	return IsCloud(name) && (trust.Below(name, []string{"on.aws"}) || strings.Contains(name, ".execute-api."))
}

// allowed asks the policy, and keeps the answer when it is no.
func (e *Egress) allowed(ctx context.Context, d Dial, p *peer) (Decision, bool) {
	dec := e.cfg.Policy(ctx, d)
	if dec.Allow {
		return dec, true
	}
	if dec.Reason == "" {
		dec.Reason = "the policy denies it"
	}
	e.deny(p, d.Ref, dec.Reason)
	return dec, false
}
