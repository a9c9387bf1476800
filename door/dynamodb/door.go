// Package dynamodb is the door for DynamoDB: SDKs, document mappers and CLIs
// keep items through it in the tables of a cell.
//
// It turns requests into calls of [table.Tables] and answers in the DynamoDB
// API's own JSON (protocol JSON 1.0), with a checksum of each answer. Requests
// are checked in the service's order (types, then limits and what is missing,
// then how members go together) and refused in its words, which mappers and
// SDKs depend on. What an operation means is the noun's; what is wrong with a
// request alone is told here.
//
// The door holds no state and starts nothing. It may be used from any number
// of goroutines at once.
package dynamodb

import (
	"context"
	"errors"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/dynamodb/streams"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/quote"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/value"
)

// bodyBytesMax is the largest request (Developer Guide, "Quotas").
const bodyBytesMax = 16 << 20

const target = "DynamoDB_20120810."

// Config says what the door needs. All of it must be given.
type Config struct {
	Tables  *table.Tables
	Region  string
	Account string
	Clock   daruma.Clock
}

// A Door answers the DynamoDB API.
type Door struct {
	cfg        Config
	operations map[string]*operation // by what the target header says
	streams    wire.Handler          // of the requests signed for this service that are about streams
}

// An operation is one of the API's.
type operation struct {
	input *shape
	serve func(d *Door, c *call) *refusal
}

// A call is one request on its way to its operation.
type call struct {
	ctx  context.Context
	host string // that the client asked
	node *node
	out  []byte // the answer

	headers [4]string // values of the answer's headers, together
}

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Tables == nil || cfg.Region == "" || cfg.Account == "" || cfg.Clock == nil {
		return nil, &daruma.Error{Op: "table door", Kind: daruma.KindInvalid, Hint: "Tables, Region, Account and Clock must be given"}
	}
	s, err := streams.New(streams.Config{Tables: cfg.Tables, Place: catalog.Place{Region: cfg.Region, Account: cfg.Account}, Clock: cfg.Clock})
	if err != nil {
		return nil, err
	}
	return &Door{cfg: cfg, operations: operations(), streams: s}, nil
}

// Service is how the door is registered at a front, under "dynamodb".
func (d *Door) Service() wire.Service {
	words := wire.Words{Target: "DynamoDB", Namespace: framework, Missing: "Request is missing Authentication Token", Mark: mark}
	return wire.Service{Handler: d, BodyBytesMax: bodyBytesMax, Unpacks: true, Words: words, TooLarge: &wire.Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLargeException", Message: "The request is larger than 16 MB."}}
}

// ServeAWS finds the operation and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	if strings.HasPrefix(r.HTTP.Header.Get("X-Amz-Target"), streams.Target) {
		d.streams.ServeAWS(w, r)
		return
	}
	c := &call{ctx: r.HTTP.Context(), host: r.HTTP.Host}
	why := d.serve(c, r)
	status := http.StatusOK
	if why != nil {
		status = why.status
		c.out = why.body()
	}
	c.headers = [...]string{contentType(r.HTTP), requestID(r.ID), strconv.Itoa(len(c.out)), strconv.FormatUint(uint64(crc32.ChecksumIEEE(c.out)), 10)}
	h := w.Header()
	for i, name := range [...]string{"Content-Type", "X-Amzn-Requestid", "Content-Length", "X-Amz-Crc32"} {
		h[name] = c.headers[i : i+1 : i+1]
	}
	share(h, r.HTTP)
	w.WriteHeader(status)
	w.Write(c.out)
}

// mark has a refusal of the gate carry what every answer of the service does.
func mark(h http.Header, r *wire.Request, body []byte) {
	h["Content-Type"] = []string{contentType(r.HTTP)}
	h["X-Amzn-Requestid"] = []string{requestID(r.ID)}
	h["X-Amz-Crc32"] = []string{strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)}
	share(h, r.HTTP)
}

// contentType is that of an answer: plain JSON to whoever does not ask in the protocol's own.
func contentType(r *http.Request) string {
	const own = "application/x-amz-json-1.0"
	if asked, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(asked) == own {
		return own
	}
	return "application/json"
}

// requestIDLength is that of the service's own, which clients check.
const requestIDLength = 52

// requestID writes a request's ID in the service's form: the ID without its
// dashes in upper case, and its beginning again.
func requestID(id string) string {
	var b [requestIDLength]byte
	n := 0
	for i := 0; i < len(id) && n < len(b); i++ {
		c := id[i]
		if c == '-' {
			continue
		}
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b[n] = c
		n++
	}
	for from := n; n > 0 && n < len(b); {
		n += copy(b[n:], b[:from])
	}
	return string(b[:n])
}

func (d *Door) serve(c *call, r *wire.Request) *refusal {
	op := d.operations[r.HTTP.Header.Get("X-Amz-Target")]
	if op == nil {
		return unknown(r.HTTP.Header.Get("X-Amz-Target"))
	}
	n, ok := parse(string(r.Body))
	if !ok || n.kind != nodeObject {
		return &refusal{status: 400, typ: framework + "SerializationException", key: "message"}
	}
	if text := op.input.checkTypes(&n); text != "" {
		return serialization(text)
	}
	if text := op.input.checkName(&n); text != "" {
		return validation(text)
	}
	if text := op.input.checkLimits(&n); text != "" {
		return validation(text)
	}
	c.node = &n
	return op.serve(d, c)
}

// absentOperations are those of the service that are not here.
const absentOperations = " CreateBackup DeleteBackup DescribeBackup ListBackups RestoreTableFromBackup RestoreTableToPointInTime" +
	" ExportTableToPointInTime DescribeExport ListExports ImportTable DescribeImport ListImports" +
	" CreateGlobalTable UpdateGlobalTable DescribeGlobalTable ListGlobalTables DescribeGlobalTableSettings UpdateGlobalTableSettings" +
	" DescribeTableReplicaAutoScaling UpdateTableReplicaAutoScaling GetResourcePolicy PutResourcePolicy DeleteResourcePolicy" +
	" DescribeContributorInsights ListContributorInsights UpdateContributorInsights" +
	" EnableKinesisStreamingDestination DisableKinesisStreamingDestination DescribeKinesisStreamingDestination UpdateKinesisStreamingDestination "

// unknown refuses an operation that is not here, in the service's words, which are
// none; of one that the service has it says that it is missing here.
func unknown(asked string) *refusal {
	r := &refusal{status: 400, typ: framework + "UnknownOperationException", key: "message"}
	if name, ours := strings.CutPrefix(asked, target); ours && name != "" && strings.Contains(absentOperations, " "+name+" ") {
		r.message = name + " is not supported here"
	}
	return r
}

// body is a refusal as JSON.
func (r *refusal) body() []byte {
	b := append([]byte(nil), `{"__type":`...)
	b = quote.Append(b, r.typ)
	if r.message != "" {
		b = append(b, ',')
		b = quote.Append(b, r.key)
		b = append(b, ':')
		b = quote.Append(b, r.message)
	}
	b = append(b, r.members...)
	return append(b, '}')
}

// framework is the namespace of errors that are told before the service looks at a request.
const framework = "com.amazon.coral.service#"

// namespace is that of the service's own errors.
const namespace = "com.amazonaws.dynamodb.v20120810#"

// codes are the names of the noun's refusals.
var codes = [...]string{
	refuse.ConditionFailed: "ConditionalCheckFailedException", refuse.NotFound: "ResourceNotFoundException", refuse.InUse: "ResourceInUseException",
	refuse.Canceled: "TransactionCanceledException", refuse.TokenMismatch: "IdempotentParameterMismatchException", refuse.Throttled: "ProvisionedThroughputExceededException",
	refuse.LimitExceeded: "LimitExceededException", refuse.TrimmedData: "TrimmedDataAccessException", refuse.ExpiredIterator: "ExpiredIteratorException",
}

// refused says why a call of the noun was refused.
func (d *Door) refused(err error) *refusal {
	r, ok := errors.AsType[*refuse.Error](err)
	if !ok {
		return failed(err)
	}
	if r.Code == refuse.Validation || r.Code == refuse.InvalidReference {
		return validation(r.Message)
	}
	out := &refusal{status: 400, typ: namespace + codes[r.Code], key: "message", message: r.Message}
	switch r.Code {
	case refuse.ConditionFailed:
		if r.Item != nil {
			out.members = value.AppendItemJSON([]byte(`,"Item":`), r.Item)
		}
	case refuse.Canceled:
		out.key = "Message"
		out.members = reasons(r.Reasons)
	case refuse.TokenMismatch:
		out.key = "Message"
	case refuse.Throttled:
		out.members = d.throttling(r)
	}
	return out
}

// reasons is why each action of a transaction was refused.
func reasons(all []refuse.Reason) []byte {
	b := []byte(`,"CancellationReasons":[`)
	for i, r := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"Code":`...)
		b = quote.Append(b, string(r.Code))
		if r.Item != nil {
			b = append(b, `,"Item":`...)
			b = value.AppendItemJSON(b, r.Item)
		}
		if r.Message != "" {
			b = append(b, `,"Message":`...)
			b = quote.Append(b, r.Message)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// throttling says whose throughput is used up.
func (d *Door) throttling(r *refuse.Error) []byte {
	reason, arn := "Table", d.arn(r.Table)
	if r.Index != "" {
		reason, arn = "Index", arn+"/index/"+r.Index
	}
	if r.Write {
		reason += "Write"
	} else {
		reason += "Read"
	}
	return []byte(`,"ThrottlingReasons":[{"reason":"` + reason + `ProvisionedThroughputExceeded","resource":"` + arn + `"}]`)
}

// failed is what a client is told of an error that is no refusal of the noun.
func failed(err error) *refusal {
	name := func(status int, name, message string) *refusal {
		return &refusal{status: status, typ: namespace + name, key: "message", message: message}
	}
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindTooLarge, daruma.KindUnsupported:
		return validation(err.Error())
	case daruma.KindThrottled, daruma.KindNoCapacity:
		return name(400, "ThrottlingException", "Rate exceeded: "+err.Error())
	case daruma.KindUnavailable, daruma.KindExpired, daruma.KindFull:
		return name(http.StatusServiceUnavailable, "ServiceUnavailable", err.Error())
	}
	return name(http.StatusInternalServerError, "InternalServerError", "The request processing has failed because of an unknown error, exception or failure: "+err.Error())
}

// tableName takes a table's name out of what may be its ARN.
func tableName(s string) string {
	if strings.HasPrefix(s, "arn:") {
		if _, rest, ok := strings.Cut(s, ":table/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name
		}
	}
	return s
}

func (d *Door) arn(table string) string {
	return "arn:aws:dynamodb:" + d.cfg.Region + ":" + d.cfg.Account + ":table/" + table
}
