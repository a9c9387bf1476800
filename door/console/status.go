package console

import (
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
	"github.com/daruma-io/daruma/once"
)

// Health says whether a node can take work.
type Health struct {
	OK     bool          `json:"ok"`
	Reason string        `json:"reason,omitempty"` // why not
	Age    time.Duration `json:"ageNs"`            // since a write last reached the disk
}

// Status is what a node is and does at one moment.
type Status struct {
	App          string               `json:"app"`
	Version      string               `json:"version"` // of daruma
	PID          int                  `json:"pid"`
	Started      time.Time            `json:"started"`
	Template     string               `json:"template"`
	Data         string               `json:"data"`
	Region       string               `json:"region"`
	AWS          string               `json:"aws"` // base URL of each door
	Web          string               `json:"web"`
	Console      string               `json:"console"`
	Isolation    string               `json:"isolation"`         // "namespaces" or "processes"
	Missing      []string             `json:"missing,omitempty"` // what the isolation does not give here
	Health       Health               `json:"health"`
	Clock        Clock                `json:"clock"`
	Functions    []Function           `json:"functions"`
	Environments []daruma.Environment `json:"environments"`
	Endpoints    []Endpoint           `json:"endpoints"`
	Egress       Egress               `json:"egress"`
	Events       *Account             `json:"events,omitempty"`  // what became of asynchronous events, and what the ledger holds
	Once         []once.Tally         `json:"once,omitempty"`    // what became of events with idempotency keys
	Notices      *Notices             `json:"notices,omitempty"` // how the telling of owners goes
	Faults       []fault.State        `json:"faults,omitempty"`  // in force
	Outputs      []Output             `json:"outputs,omitempty"`
	Left         []string             `json:"left,omitempty"` // parts of the template that were left out
}

// A Clock is the app's clock: what goes by it is in docs/decisions/0008-one-clock.md.
type Clock struct {
	Scale  int       `json:"scale"`            // how many times as fast as the machine's it runs
	Now    time.Time `json:"now"`              // what it shows
	AheadS float64   `json:"aheadS,omitempty"` // how far it is ahead of the machine's, in seconds
}

// An Output is one of the template's outputs.
type Output struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Function states.
const (
	Active = "active"
	Failed = "failed" // its last build failed; the code before, if any, goes on
)

// A Function is one function's state.
type Function struct {
	Name         string   `json:"name"`
	LogicalID    string   `json:"logicalId,omitempty"`
	Runtime      string   `json:"runtime"`
	Handler      string   `json:"handler,omitempty"`
	State        string   `json:"state"`
	Reason       string   `json:"reason,omitempty"` // for Failed
	Owner        string   `json:"owner,omitempty"`
	Notify       []string `json:"notify,omitempty"`   // the channels that are told about it
	Versions     []string `json:"versions,omitempty"` // published ones
	Aliases      []string `json:"aliases,omitempty"`  // "live=3"
	Reserved     *int     `json:"reserved,omitempty"`
	TimeoutS     float64  `json:"timeoutSeconds"`
	MemoryMB     int      `json:"memoryMB"`
	CodeSHA256   string   `json:"codeSha256,omitempty"`
	Environments int      `json:"environments"`
	Runs         int64    `json:"runs"`
	Failures     int64    `json:"failures"`
	Timeouts     int64    `json:"timeouts"` // of the failures: ended at their time-out, and met by no fault
	Refusals     int64    `json:"refusals"`
}

// An Endpoint is one address that an app answers at.
type Endpoint struct {
	LogicalID string   `json:"logicalId"`
	Kind      string   `json:"kind"` // "HTTP", "REST", "URL"
	Stage     string   `json:"stage,omitempty"`
	URL       string   `json:"url"`
	Routes    []string `json:"routes,omitempty"` // "GET /pets → Pets"
	Auth      string   `json:"auth,omitempty"`   // "AWS_IAM" where requests must be signed
}

// Egress is what functions reach outside.
type Egress struct {
	Policy string `json:"policy"` // "allow" or "deny"
	Peers  []Peer `json:"peers,omitempty"`
}

// A Peer is one host that a function asked for.
type Peer struct {
	Function    string    `json:"function"`
	Host        string    `json:"host"`
	Port        int       `json:"port"`
	Connections int64     `json:"connections"`
	Failures    int64     `json:"failures"`
	Denied      int64     `json:"denied"`
	Last        time.Time `json:"last"`
}
