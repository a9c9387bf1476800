// Package cloudwatch is the door for CloudWatch's alarms and metrics: SDKs, CLIs
// and pipelines make alarms, look at them, and read what is counted.
//
// It speaks the three protocols that clients speak now: Smithy RPC v2 with CBOR
// (the SDK for Go), JSON 1.0 (boto3) and the query protocol (older clients). An
// operation reads one struct and answers another, whatever the protocol, and
// answers as the CloudWatch API Reference has it: the same shapes, error codes
// and, where they are known, texts. A member that an operation does not know is
// refused by name, never passed over.
//
// The metrics there are is the table [namespaces]: those the platform counts.
// Metrics of one's own, metric math, anomaly detection, composite alarms,
// dashboards and streams are refused by name. What actions hand over is written
// by [Writer].
//
// The door holds no state and starts nothing. It may be used from any number
// of goroutines at once.
package cloudwatch

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/series"
)

const (
	target       = "GraniteServiceVersion20100801"
	namespace    = "http://monitoring.amazonaws.com/doc/2010-08-01/"
	bodyBytesMax = 1 << 20
)

// Config says what the door needs. All of it must be given.
type Config struct {
	Alarms *alarm.Alarms
	Series *series.Series
	Place  catalog.Place
	Now    func() time.Time // the app's clock
}

// A Door answers the API.
type Door struct {
	cfg        Config
	operations map[string]operation
}

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Alarms == nil || cfg.Series == nil || cfg.Place.Region == "" || cfg.Now == nil {
		return nil, &daruma.Error{Op: "cloudwatch door", Kind: daruma.KindInvalid, Hint: "Alarms, Series, Place and Now must be given"}
	}
	return &Door{cfg: cfg, operations: operations()}, nil
}

// Service is how the door is registered at a front, under "monitoring".
func (d *Door) Service() wire.Service {
	return wire.Service{Handler: d, BodyBytesMax: bodyBytesMax, Words: wire.Words{Target: target}}
}

// A protocol is how a request and its answer are written.
type protocol uint8

const (
	query protocol = iota
	json10
	rpcCBOR
)

// A call is one request on its way to its operation.
type call struct {
	*wire.Request
	ctx      context.Context
	name     string // of the operation
	protocol protocol
	form     url.Values // of the query protocol
}

// An operation answers a call. Nil is an answer without content.
type operation func(*Door, *call) (any, *wire.Error)

// operations is the table of what is answered.
func operations() map[string]operation {
	return map[string]operation{
		"PutMetricAlarm": reads((*Door).put), "DeleteAlarms": reads((*Door).delete), "SetAlarmState": reads((*Door).set),
		"EnableAlarmActions": reads((*Door).enable), "DisableAlarmActions": reads((*Door).disable),
		"DescribeAlarms": reads((*Door).describe), "DescribeAlarmsForMetric": reads((*Door).describeForMetric), "DescribeAlarmHistory": reads((*Door).history),
		"TagResource": reads((*Door).tag), "UntagResource": reads((*Door).untag), "ListTagsForResource": reads((*Door).listTags),
		"GetMetricStatistics": reads((*Door).statistics), "GetMetricData": reads((*Door).data), "ListMetrics": reads((*Door).list),
	}
}

// elsewhere is why the other operations have nothing to answer them.
var elsewhere = map[string]string{
	"PutMetricData":     "metrics are what the platform counts; those of one's own are not kept",
	"PutCompositeAlarm": "an alarm watches one metric, and no other alarms",
	"PutLogAlarm":       "an alarm watches one metric, and no logs",
}

// reads makes an operation of what takes its input as a value.
func reads[T any](do func(*Door, *call, *T) (any, *wire.Error)) operation {
	return func(d *Door, c *call) (any, *wire.Error) {
		var in T
		if refused := c.read(&in); refused != nil {
			return nil, refused
		}
		return do(d, c, &in)
	}
}

// ServeAWS finds the operation and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	c := &call{Request: r, ctx: r.HTTP.Context()}
	if refused := c.identify(); refused != nil {
		wire.Refuse(w, r, refused)
		return
	}
	do := d.operations[c.name]
	if do == nil {
		why := elsewhere[c.name]
		if why == "" {
			why = "there are alarms over single metrics, and what the platform counts"
		}
		wire.Refuse(w, r, &wire.Error{Status: http.StatusBadRequest, Code: "UnsupportedOperationException", Query: "UnsupportedOperation", Message: c.name + " is not supported here: " + why})
		return
	}
	out, refused := do(d, c)
	if refused == nil {
		refused = c.reply(w, out)
	}
	if refused != nil {
		wire.Refuse(w, r, refused)
	}
}

// identify finds out the protocol and the operation.
func (c *call) identify() *wire.Error {
	h := c.HTTP.Header
	switch named, targeted := strings.CutPrefix(h.Get("X-Amz-Target"), target+"."); {
	case h.Get("Smithy-Protocol") == "rpc-v2-cbor":
		name, ok := strings.CutPrefix(c.Path, "/service/"+target+"/operation/")
		if !ok || name == "" {
			return &wire.Error{Status: http.StatusNotFound, Code: "UnknownOperationException", Message: "The path names no operation."}
		}
		c.protocol, c.name = rpcCBOR, name
	case targeted:
		c.protocol, c.name = json10, named
	default:
		text := c.HTTP.URL.RawQuery
		if c.HTTP.Method == http.MethodPost {
			text = string(c.Body)
		}
		form, err := url.ParseQuery(text)
		if err != nil {
			return &wire.Error{Status: http.StatusBadRequest, Code: "MalformedQueryString", Message: "The query string contains a syntax error."}
		}
		if c.form, c.name = form, form.Get("Action"); c.name == "" {
			return &wire.Error{Status: http.StatusBadRequest, Code: "MissingAction", Message: "The request is missing an action or a required parameter."}
		}
	}
	return nil
}

// arn is that of an alarm.
func arn(p catalog.Place, name string) string {
	return "arn:aws:cloudwatch:" + p.Region + ":" + p.Account + ":alarm:" + name
}

// Name returns the name of an alarm that an ARN names, and false for any other ARN.
func Name(p catalog.Place, of string) (string, bool) {
	name, ok := strings.CutPrefix(of, arn(p, ""))
	return name, ok && name != ""
}
