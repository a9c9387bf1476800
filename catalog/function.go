package catalog

import (
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/once"
)

// Latest is the version that code and configuration changes go to.
const Latest = "$LATEST"

// Defaults and limits of a function (Lambda quotas).
const (
	TimeoutDefault   = 3 * time.Second
	TimeoutMax       = 15 * time.Minute
	MemoryMBDefault  = 128
	MemoryMBMin      = 128
	MemoryMBMax      = 10240
	StorageMBDefault = 512 // /tmp
	StorageMBMax     = 10240
	LayersMax        = 5
	EnvBytesMax      = 4096

	SubnetsMax        = 16 // of a VPC, as its security groups (API reference, "VpcConfig")
	SecurityGroupsMax = 5
)

// A Function is one version of a function's code and configuration. The
// record of Latest changes; that of a numbered version never does. Reserved
// and Recursion belong to the function as a whole and are Latest's only.
type Function struct {
	Name         string            `json:"name"`
	LogicalID    string            `json:"logicalId,omitempty"` // its name in the template
	Version      string            `json:"version"`             // Latest or a number
	Description  string            `json:"description,omitempty"`
	Runtime      string            `json:"runtime"`
	Handler      string            `json:"handler,omitempty"`
	Architecture string            `json:"architecture"` // "x86_64" or "arm64"
	Code         Code              `json:"code"`
	Layers       []Layer           `json:"layers,omitempty"` // in the order they are laid over /opt; later wins
	Env          map[string]string `json:"env,omitempty"`
	Timeout      time.Duration     `json:"timeoutNs"`
	MemoryMB     int               `json:"memoryMB"`
	StorageMB    int               `json:"storageMB"`          // size of /tmp
	Reserved     *int              `json:"reserved,omitempty"` // reserved concurrency; nil: none, 0: always throttled
	Role         string            `json:"role,omitempty"`
	VPC          *VPC              `json:"vpc,omitempty"`        // nil: it is in none
	Policies     []string          `json:"policies,omitempty"`   // read and kept for people; not enforced
	Tracing      string            `json:"tracing,omitempty"`    // "Active" or "PassThrough"
	LogFormat    string            `json:"logFormat,omitempty"`  // "Text" or "JSON"
	LogLevel     string            `json:"logLevel,omitempty"`   // application log level, with JSON
	DeadLetter   string            `json:"deadLetter,omitempty"` // the ARN of where asynchronous events go that failed for good; "": nowhere
	Recursion    string            `json:"recursion,omitempty"`  // of Latest, for all versions: RecursionAllow, or RecursionTerminate (also "")
	Tags         map[string]string `json:"tags,omitempty"`
	Owner        string            `json:"owner,omitempty"`      // who is told about its failures
	Notify       []string          `json:"notify,omitempty"`     // the channels it is told through; none: nobody is told
	Sensitive    []string          `json:"sensitive,omitempty"`  // JSON paths of its events whose values are not kept of failures
	Correlate    []string          `json:"correlate,omitempty"`  // JSON paths of its events that failures are found by
	Once         *once.Rule        `json:"once,omitempty"`       // which of its events are the same, and run once
	Dependency   string            `json:"dependency,omitempty"` // the JSON path of its events to what each depends on: a tenant, a shard
	URL          *URL              `json:"url,omitempty"`
	Source       Source            `json:"source"` // where the code is built from
	Modified     time.Time         `json:"modified"`
	Revision     string            `json:"revision"` // changes with every change

	SystemLogLevel string `json:"systemLogLevel,omitempty"` // the platform's own log level, with JSON
	LogGroup       string `json:"logGroup,omitempty"`       // "/aws/lambda/" and the name when ""

	Record       bool     `json:"record,omitempty"`       // what it is told from outside is kept with its failures
	RecordRedact []string `json:"recordRedact,omitempty"` // names of headers, parameters and members that are not kept of it
}

// A VPC is what a function says of the network it is attached to on AWS. It is
// kept and told; here every function has a network of its own.
type VPC struct {
	Subnets        []string `json:"subnets"` // IDs
	SecurityGroups []string `json:"securityGroups"`
	IPv6           bool     `json:"ipv6,omitempty"` // from subnets with both kinds of addresses
}

// Code says where a function's finished code lies.
type Code struct {
	Dir    string `json:"dir"`    // an absolute path; its content never changes
	SHA256 string `json:"sha256"` // base64, over names, modes and contents
	Bytes  int64  `json:"bytes"`  // unzipped
}

// A Layer is one version of a layer.
type Layer struct {
	Name      string    `json:"name"`
	LogicalID string    `json:"logicalId,omitempty"`
	Version   int       `json:"version"`
	ARN       string    `json:"arn"`
	Code      Code      `json:"code"`
	Runtimes  []string  `json:"runtimes,omitempty"`
	Source    Source    `json:"source"`
	Created   time.Time `json:"created"`
}

// A Source says where code comes from and how it becomes runnable.
type Source struct {
	Path       string         `json:"path,omitempty"`       // absolute: a directory, or a .zip or .jar file
	Inline     string         `json:"inline,omitempty"`     // the code itself, instead of Path
	Method     string         `json:"method,omitempty"`     // Metadata.BuildMethod: "makefile", "esbuild", "go1.x", …
	Properties map[string]any `json:"properties,omitempty"` // Metadata.BuildProperties
	LogicalID  string         `json:"logicalId,omitempty"`  // what a Makefile's target is named after
	Built      bool           `json:"built,omitempty"`      // taken as it is: from a finished build
	Layer      bool           `json:"layer,omitempty"`      // it is a layer's content
	Position   string         `json:"position,omitempty"`   // "template.yaml:12:7", for errors
}

// A Version is a published, unchanging copy of a function.
// (Its record is a Function with a numbered Version.)

// An Alias names a version, or two with a weight.
type Alias struct {
	Function    string  `json:"function"`
	Name        string  `json:"name"`
	Version     string  `json:"version"`
	Second      string  `json:"second,omitempty"` // the additional version, if any
	Weight      float64 `json:"weight,omitempty"` // the share of Second, 0..1
	Description string  `json:"description,omitempty"`
	Revision    string  `json:"revision"`
}

// Auth types of a function URL.
const (
	AuthNone = "NONE"
	AuthIAM  = "AWS_IAM"
)

// A URL is a function's own HTTPS address.
type URL struct {
	ID        string `json:"id"` // the host's first label
	Qualifier string `json:"qualifier,omitempty"`
	Auth      string `json:"auth"`             // AuthNone or AuthIAM
	Stream    bool   `json:"stream,omitempty"` // InvokeMode RESPONSE_STREAM
	CORS      *CORS  `json:"cors,omitempty"`
}

// Target returns how the function is invoked through q.
func (f *Function) Target(q string) daruma.Target {
	return daruma.Target{Function: f.Name, Qualifier: q}
}
