// Package ssm is the door for the Parameter Store of Systems Manager: SDKs, CLIs
// and the libraries that functions are configured with read and put parameters.
//
// It turns requests of the protocol JSON 1.1 into calls of
// [parameter.Parameters] and answers as the Systems Manager API Reference has
// it: the same shapes, error codes and, where they are known, texts. What this
// store does not have is refused by name: SecureString, since there is no key
// service here and a text that is stored as it is must not be called secure;
// labels, policies, sharing; and everything of Systems Manager beside parameters.
//
// The door holds no state and starts nothing. It may be used from any number
// of goroutines at once.
package ssm

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/parameter"
)

const (
	target       = "AmazonSSM."
	bodyBytesMax = 1 << 20
)

// Config says what the door needs. All of it must be given.
type Config struct {
	Parameters *parameter.Parameters
	Place      catalog.Place
}

// A Door answers the API.
type Door struct {
	cfg        Config
	operations map[string]operation
}

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Parameters == nil || cfg.Place.Region == "" {
		return nil, &daruma.Error{Op: "ssm door", Kind: daruma.KindInvalid, Hint: "Parameters and Place must be given"}
	}
	return &Door{cfg: cfg, operations: operations()}, nil
}

// Service is how the door is registered at a front, under "ssm".
func (d *Door) Service() wire.Service {
	return wire.Service{Handler: d, BodyBytesMax: bodyBytesMax, Words: wire.Words{Target: target}}
}

// A call is one request on its way to its operation.
type call struct {
	*wire.Request
	ctx context.Context
}

// An operation answers a call.
type operation func(*Door, *call) (any, *wire.Error)

// operations is the table of what is answered.
func operations() map[string]operation {
	return map[string]operation{
		"GetParameter": reads((*Door).get), "GetParameters": reads((*Door).getSome), "GetParametersByPath": reads((*Door).getByPath), "GetParameterHistory": reads((*Door).history),
		"DescribeParameters": reads((*Door).describe), "PutParameter": reads((*Door).put), "DeleteParameter": reads((*Door).delete), "DeleteParameters": reads((*Door).deleteSome),
		"AddTagsToResource": reads((*Door).tag), "RemoveTagsFromResource": reads((*Door).untag), "ListTagsForResource": reads((*Door).listTags),
	}
}

// reads makes an operation of what takes its input as a value.
func reads[T any](do func(*Door, *call, *T) (any, *wire.Error)) operation {
	return func(d *Door, c *call) (any, *wire.Error) {
		var in T
		if err := json.Unmarshal(c.Body, &in); err != nil && len(c.Body) > 0 {
			return nil, refusal("SerializationException", "The request cannot be read: "+err.Error())
		}
		return do(d, c, &in)
	}
}

// ServeAWS finds the operation and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	name, ours := strings.CutPrefix(r.HTTP.Header.Get("X-Amz-Target"), target)
	do := d.operations[name]
	if !ours || do == nil {
		wire.Refuse(w, r, refusal("UnknownOperationException", name+" is not supported here: of Systems Manager there are parameters, without labels, policies and sharing"))
		return
	}
	out, refused := do(d, &call{Request: r, ctx: r.HTTP.Context()})
	if refused != nil {
		wire.Refuse(w, r, refused)
		return
	}
	body, err := json.Marshal(out)
	if err != nil {
		wire.Refuse(w, r, failed(err))
		return
	}
	w.Header()["Content-Type"] = []string{"application/x-amz-json-1.1"}
	w.Write(body)
}

// arn is that of a parameter. The slash at the beginning of a path is the one behind the word.
func (d *Door) arn(name string) string {
	return "arn:aws:ssm:" + d.cfg.Place.Region + ":" + d.cfg.Place.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}
