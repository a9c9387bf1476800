// Package fis is the door for the Fault Injection Service: SDKs, CLIs and
// pipelines make experiment templates, start experiments and look at them.
//
// It checks a template as it comes, resolves its targets when an experiment is
// started, and makes a [drill.Stage] of each action: what is injected is a fault
// like any other, whatever door asked for it. Templates and experiments are kept
// as plans and runs of package drill, in this API's own words. What an action
// means is the table [actions]'; those of the service that have nothing to meet
// here are refused by name when a template is made, as are logs, reports, other
// accounts and safety levers. Alarms that stop an experiment are those of here.
//
// The door holds no state and starts nothing. It may be used from any number
// of goroutines at once.
package fis

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/drill"
)

const bodyBytesMax = 1 << 20

// Config says what the door needs. All of it must be given.
type Config struct {
	Drills   *drill.Drills
	Place    catalog.Place
	View     func() *catalog.View    // the functions there are
	Services func() []string         // that are served here, as requests are signed for
	Alarm    func(arn string) string // the name of the alarm that an ARN names; "" when there is none
	Conduct  Conductor
}

// A Conductor carries drills out.
type Conductor interface {
	Start(ctx context.Context, run drill.Run, stages []drill.Stage) (*drill.Run, error)
	Stop(id string) error
}

// A Door answers the API.
type Door struct{ cfg Config }

// New returns a door.
func New(cfg Config) (*Door, error) {
	if cfg.Drills == nil || cfg.Place.Region == "" || cfg.View == nil || cfg.Services == nil || cfg.Alarm == nil || cfg.Conduct == nil {
		return nil, &daruma.Error{Op: "fis door", Kind: daruma.KindInvalid, Hint: "Drills, Place, View, Services, Alarm and Conduct must be given"}
	}
	return &Door{cfg}, nil
}

// Service is how the door is registered at a front, under "fis".
func (d *Door) Service() wire.Service {
	return wire.Service{Handler: d, BodyBytesMax: bodyBytesMax}
}

// A call is one request on its way to its operation.
type call struct {
	*wire.Request
	ctx   context.Context
	id    string // of the path
	query url.Values
}

// An operation answers a call.
type operation func(*Door, *call) (any, *wire.Error)

// A route is one operation of the API: its path has at most one ID, written "*".
type route struct {
	method, path string
	do           operation
}

// routes is the table of the API. What has no operation is refused by name.
var routes = []route{
	{"POST", "/experimentTemplates", reads((*Door).createTemplate)},
	{"GET", "/experimentTemplates", (*Door).listTemplates},
	{"GET", "/experimentTemplates/*", (*Door).getTemplate},
	{"PATCH", "/experimentTemplates/*", reads((*Door).updateTemplate)},
	{"DELETE", "/experimentTemplates/*", (*Door).deleteTemplate},
	{"POST", "/experiments", reads((*Door).start)},
	{"GET", "/experiments", (*Door).listExperiments},
	{"GET", "/experiments/*", (*Door).getExperiment},
	{"DELETE", "/experiments/*", (*Door).stop},
	{"GET", "/experiments/*/resolvedTargets", (*Door).resolved},
	{"GET", "/actions", (*Door).listActions},
	{"GET", "/actions/*", (*Door).getAction},
	{"GET", "/targetResourceTypes", (*Door).listTypes},
	{"GET", "/targetResourceTypes/*", (*Door).getType},
	{"GET", "/tags/*", (*Door).listTags},
	{"POST", "/tags/*", reads((*Door).tag)},
	{"DELETE", "/tags/*", (*Door).untag},
}

// reads makes an operation of what takes its body as a value.
func reads[T any](do func(*Door, *call, *T) (any, *wire.Error)) operation {
	return func(d *Door, c *call) (any, *wire.Error) {
		var in T
		if err := json.Unmarshal(c.Body, &in); err != nil && len(c.Body) > 0 {
			return nil, validation("The request cannot be read: " + err.Error())
		}
		return do(d, c, &in)
	}
}

// find returns the operation for a request, and the ID in its path.
func find(method, path string) (operation, string) {
	for _, r := range routes {
		if r.method != method {
			continue
		}
		head, tail, wild := strings.Cut(r.path, "*")
		if !wild && path == r.path {
			return r.do, ""
		}
		rest, ok := strings.CutPrefix(path, head)
		if id, fits := strings.CutSuffix(rest, tail); wild && ok && fits && id != "" && !strings.Contains(id, "/") {
			return r.do, id
		}
	}
	return nil, ""
}

// ServeAWS finds the operation and answers it.
func (d *Door) ServeAWS(w http.ResponseWriter, r *wire.Request) {
	do, id := find(r.HTTP.Method, r.Path)
	if do == nil {
		wire.Refuse(w, r, unsupported(r.HTTP.Method+" "+r.Path+" is not supported here: there are experiment templates, experiments, actions, target resource types and tags, and neither other accounts nor safety levers"))
		return
	}
	name, err := url.PathUnescape(id)
	if err != nil {
		wire.Refuse(w, r, validation("The path cannot be read."))
		return
	}
	out, refused := do(d, &call{Request: r, ctx: r.HTTP.Context(), id: name, query: r.HTTP.URL.Query()})
	if refused != nil {
		wire.Refuse(w, r, refused)
		return
	}
	body, err := json.Marshal(out)
	if err != nil {
		wire.Refuse(w, r, failed(err))
		return
	}
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Write(body)
}

func refusal(status int, code, message string) *wire.Error {
	return &wire.Error{Status: status, Code: code, Message: message}
}

func validation(message string) *wire.Error {
	return refusal(http.StatusBadRequest, "ValidationException", message)
}

func unsupported(message string) *wire.Error {
	return refusal(http.StatusBadRequest, "UnsupportedOperationException", message)
}

func notFound(message string) *wire.Error {
	return refusal(http.StatusNotFound, "ResourceNotFoundException", message)
}

// failed is the refusal for what drills refuse.
func failed(err error) *wire.Error {
	switch {
	case errors.Is(err, drill.ErrPlan):
		return notFound("Experiment template does not exist.")
	case errors.Is(err, drill.ErrRun):
		return notFound("Experiment does not exist.")
	case errors.Is(err, drill.ErrToken):
		return refusal(http.StatusConflict, "ConflictException", "The client token was used before, with other parameters.")
	case errors.Is(err, drill.ErrEnded):
		return validation("The experiment cannot be stopped: it is not under way.")
	case errors.Is(err, drill.ErrPlans):
		return refusal(http.StatusPaymentRequired, "ServiceQuotaExceededException", "There are 500 experiment templates, and no more may be.")
	case errors.Is(err, drill.ErrActive):
		return refusal(http.StatusPaymentRequired, "ServiceQuotaExceededException", "5 experiments are active, and no more may be.")
	}
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindTooLarge:
		return validation(err.Error())
	case daruma.KindUnavailable, daruma.KindFull, daruma.KindExpired, daruma.KindThrottled:
		return refusal(http.StatusServiceUnavailable, "ServiceUnavailable", err.Error())
	}
	return refusal(http.StatusInternalServerError, "InternalServerError", err.Error())
}
