package lambda

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// lambdaTime is how the Lambda API writes times.
const lambdaTime = "2006-01-02T15:04:05.000-0700"

func timeText(t time.Time) string { return t.UTC().Format(lambdaTime) }

// configuration is FunctionConfiguration of the service model, as far as the
// catalog knows it.
type configuration struct {
	FunctionName, FunctionArn         string
	Runtime, Role, Handler            string `json:",omitempty"`
	CodeSize                          int64
	Description                       string
	Timeout, MemorySize               int
	LastModified, CodeSha256, Version string
	Environment                       *environment `json:",omitempty"`
	TracingConfig                     tracing
	RevisionId                        string
	Layers                            []layerOf   `json:",omitempty"`
	DeadLetterConfig                  *deadLetter `json:",omitempty"`
	VpcConfig                         *vpc        `json:",omitempty"`
	State, LastUpdateStatus           string      `json:",omitempty"` // not in lists
	PackageType                       string
	Architectures                     []string
	EphemeralStorage                  storage
	SnapStart                         snapStart
	LoggingConfig                     logging
}

type (
	environment struct{ Variables map[string]string }
	tracing     struct{ Mode string }
	layerOf     struct {
		Arn      string
		CodeSize int64
	}
	storage    struct{ Size int }
	deadLetter struct{ TargetArn string }
	vpc        struct {
		SubnetIds, SecurityGroupIds []string
		VpcId                       string
		Ipv6AllowedForDualStack     bool
	}
	snapStart struct{ ApplyOn, OptimizationStatus string }
	logging   struct {
		LogFormat           string
		ApplicationLogLevel string `json:",omitempty"`
		LogGroup            string
	}
)

// configurationOf describes one version of a function, under the ARN of t.
func configurationOf(view *catalog.View, f *catalog.Function, qualifier string, list bool) configuration {
	c := configuration{
		FunctionName: f.Name, FunctionArn: view.Place.FunctionARN(f.Target(qualifier)),
		Runtime: f.Runtime, Role: f.Role, Handler: f.Handler,
		CodeSize: f.Code.Bytes, CodeSha256: f.Code.SHA256, Description: f.Description,
		Timeout: int(f.Timeout / time.Second), MemorySize: f.MemoryMB,
		LastModified: timeText(f.Modified), Version: f.Version, RevisionId: f.Revision,
		TracingConfig: tracing{Mode: "PassThrough"}, PackageType: "Zip",
		Architectures: []string{f.Architecture}, EphemeralStorage: storage{f.StorageMB},
		SnapStart:     snapStart{"None", "Off"},
		LoggingConfig: logging{LogFormat: "Text", ApplicationLogLevel: f.LogLevel, LogGroup: "/aws/lambda/" + f.Name},
	}
	if f.Tracing != "" {
		c.TracingConfig.Mode = f.Tracing
	}
	if f.LogFormat != "" {
		c.LoggingConfig.LogFormat = f.LogFormat
	}
	if len(f.Env) > 0 {
		c.Environment = &environment{f.Env}
	}
	for _, l := range f.Layers {
		c.Layers = append(c.Layers, layerOf{l.ARN, l.Code.Bytes})
	}
	if f.DeadLetter != "" {
		c.DeadLetterConfig = &deadLetter{f.DeadLetter}
	}
	if v := f.VPC; v != nil {
		c.VpcConfig = &vpc{v.Subnets, v.SecurityGroups, vpcID(view.Place), v.IPv6}
	}
	if !list {
		c.State, c.LastUpdateStatus = "Active", "Successful"
	}
	return c
}

// vpcID is the VPC that every subnet is taken to be in: nobody says of a subnet in
// which it is, and clients expect to be told. It is made from the region and the account.
func vpcID(p catalog.Place) string {
	sum := sha256.Sum256([]byte(p.Region + "\x00" + p.Account))
	return "vpc-" + hex.EncodeToString(sum[:])[:17]
}

// functionAnswer is GetFunctionResponse. Code has no Location: there is no
// archive to fetch, the code lies in a directory of this machine.
type functionAnswer struct {
	Configuration configuration
	Code          struct{}
	Tags          map[string]string `json:",omitempty"`
	Concurrency   *reserved         `json:",omitempty"`
}

// getFunction answers GetFunction.
func (d *Door) getFunction(c *call) (any, *wire.Error) {
	ref, f, err := c.version()
	if err != nil {
		return nil, err
	}
	answer := functionAnswer{Configuration: configurationOf(c.view, f, ref.Qualifier, false)}
	if latest := c.view.Function(f.Name, catalog.Latest); latest != nil {
		answer.Tags = latest.Tags
		if latest.Reserved != nil {
			answer.Concurrency = &reserved{latest.Reserved}
		}
	}
	return answer, nil
}

// getFunctionConfiguration answers GetFunctionConfiguration.
func (d *Door) getFunctionConfiguration(c *call) (any, *wire.Error) {
	ref, f, err := c.version()
	if err != nil {
		return nil, err
	}
	return configurationOf(c.view, f, ref.Qualifier, false), nil
}

// listFunctions answers ListFunctions: the Latest of each function, or with
// FunctionVersion=ALL every version.
func (d *Door) listFunctions(c *call) (any, *wire.Error) {
	var v violations
	which := c.query.Get("FunctionVersion")
	v.oneOf(which, "functionVersion", "ALL")
	if err := v.error(); err != nil {
		return nil, err
	}
	if c.query.Has("MasterRegion") {
		return nil, unsupported("MasterRegion is not supported here: no function is replicated to an edge location.")
	}
	fs := c.view.Functions()
	if which == "ALL" {
		var all []*catalog.Function
		for _, f := range fs {
			all = append(all, c.view.Versions(f.Name)...)
		}
		fs = all
	}
	some, next, err := page(c, fs, 10000, func(f *catalog.Function) string { return f.Name + "\x00" + versionKey(f.Version) })
	if err != nil {
		return nil, err
	}
	answer := struct {
		NextMarker *string
		Functions  []configuration
	}{Functions: make([]configuration, 0, len(some)), NextMarker: optional(next)}
	for _, f := range some {
		qualifier := ""
		if which == "ALL" {
			qualifier = f.Version
		}
		answer.Functions = append(answer.Functions, configurationOf(c.view, f, qualifier, true))
	}
	return answer, nil
}

// listVersions answers ListVersionsByFunction.
func (d *Door) listVersions(c *call) (any, *wire.Error) {
	f, err := c.whole(&namespacedName)
	if err != nil {
		return nil, err
	}
	some, next, err := page(c, c.view.Versions(f.Name), 10000, func(f *catalog.Function) string { return versionKey(f.Version) })
	if err != nil {
		return nil, err
	}
	answer := struct {
		NextMarker *string
		Versions   []configuration
	}{Versions: make([]configuration, 0, len(some)), NextMarker: optional(next)}
	for _, f := range some {
		answer.Versions = append(answer.Versions, configurationOf(c.view, f, f.Version, true))
	}
	return answer, nil
}

// optional is nil for "": the API answers null where there is no next page.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// getPolicy answers GetPolicy: no function has a resource policy here.
func (d *Door) getPolicy(c *call) (any, *wire.Error) {
	if _, _, err := c.version(); err != nil {
		return nil, err
	}
	return nil, notFound("The resource you requested does not exist.")
}

// accountSettings answers GetAccountSettings. The limits are Lambda's own, but
// for the pool of concurrent executions, which is this node's.
func (d *Door) accountSettings(c *call) (any, *wire.Error) {
	var answer struct {
		AccountLimit struct {
			TotalCodeSize, CodeSizeUnzipped, CodeSizeZipped      int64
			ConcurrentExecutions, UnreservedConcurrentExecutions int
		}
		AccountUsage struct{ TotalCodeSize, FunctionCount int64 }
	}
	limit, usage := &answer.AccountLimit, &answer.AccountUsage
	limit.TotalCodeSize, limit.CodeSizeUnzipped, limit.CodeSizeZipped = 75<<30, 250<<20, 50<<20
	limit.ConcurrentExecutions = d.cfg.Pool
	limit.UnreservedConcurrentExecutions = d.cfg.Pool - reservedByOthers(c.view, "")
	for _, f := range c.view.Functions() {
		usage.FunctionCount++
		for _, v := range c.view.Versions(f.Name) {
			usage.TotalCodeSize += v.Code.Bytes
		}
	}
	return answer, nil
}
