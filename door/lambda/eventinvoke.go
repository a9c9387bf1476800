package lambda

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// destinationARN is the shape of a destination; it may be empty.
var destinationARN = shape{max: 350,
	text:  `^$|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)`,
	match: regexp.MustCompile(`^(?:|arn:aws[a-zA-Z0-9-]*:[a-zA-Z0-9-]+:(?:` + regionPattern + `)?:(?:\d{12})?:.*)$`),
}

// destinations says which services AWS sends records of events to. Here
// functions get them, and what [Config.Takes] says.
var destinations = map[string]string{"lambda": "", "sqs": "queues", "sns": "topics", "events": "event buses", "s3": "buckets"}

type destination struct {
	Destination *string `json:",omitempty"`
}

type destinationConfig struct{ OnSuccess, OnFailure *destination }

// eventInvoke is FunctionEventInvokeConfig of the service model. Limits that
// are not set are left out.
type eventInvoke struct {
	LastModified             json.Number // seconds since 1970, with milliseconds
	FunctionArn              string
	MaximumRetryAttempts     *int `json:",omitempty"`
	MaximumEventAgeInSeconds *int `json:",omitempty"`
	DestinationConfig        destinationConfig
}

func eventInvokeOf(view *catalog.View, c *catalog.EventInvokeConfig) eventInvoke {
	out := eventInvoke{
		LastModified:         json.Number(strconv.FormatFloat(float64(c.Modified.UnixMilli())/1000, 'f', -1, 64)),
		FunctionArn:          view.Place.FunctionARN(daruma.Target{Function: c.Function, Qualifier: c.Qualifier}),
		MaximumRetryAttempts: c.Retries,
		DestinationConfig:    destinationConfig{&destination{optional(c.OnSuccess)}, &destination{optional(c.OnFailure)}},
	}
	if c.MaxAge != 0 {
		seconds := int(c.MaxAge / time.Second)
		out.MaximumEventAgeInSeconds = &seconds
	}
	return out
}

// qualified reads the request's function with the qualifier that a
// configuration belongs to: that of Latest when there is none.
func (c *call) qualified() (daruma.Target, *wire.Error) {
	ref, err := c.function(&functionName, true)
	if ref.Qualifier == "" {
		ref.Qualifier = catalog.Latest
	}
	return ref.Target, err
}

func (c *call) noEventInvoke(t daruma.Target) *wire.Error {
	return notFound("The function " + c.view.Place.FunctionARN(t) + " doesn't have an EventInvokeConfig")
}

func functionMissing() *wire.Error { return notFound("The function doesn't exist.") }

// getEventInvoke answers GetFunctionEventInvokeConfig.
func (d *Door) getEventInvoke(c *call) (any, *wire.Error) {
	t, err := c.qualified()
	if err != nil {
		return nil, err
	}
	config := c.view.EventInvoke(t.Function, t.Qualifier)
	if config == nil {
		return nil, c.noEventInvoke(t)
	}
	return eventInvokeOf(c.view, config), nil
}

// listEventInvoke answers ListFunctionEventInvokeConfigs.
func (d *Door) listEventInvoke(c *call) (any, *wire.Error) {
	ref, err := c.function(&functionName, false)
	if err != nil {
		return nil, err
	}
	if ref.Qualifier != "" {
		return nil, wholeOnly()
	}
	if c.view.Function(ref.Function, catalog.Latest) == nil {
		return nil, functionMissing()
	}
	some, next, err := page(c, c.view.EventInvokes(ref.Function), 50, func(e *catalog.EventInvokeConfig) string { return e.Qualifier })
	if err != nil {
		return nil, err
	}
	answer := struct {
		NextMarker                 *string
		FunctionEventInvokeConfigs []eventInvoke
	}{NextMarker: optional(next), FunctionEventInvokeConfigs: make([]eventInvoke, 0, len(some))}
	for _, e := range some {
		answer.FunctionEventInvokeConfigs = append(answer.FunctionEventInvokeConfigs, eventInvokeOf(c.view, e))
	}
	return answer, nil
}

// deleteEventInvoke answers DeleteFunctionEventInvokeConfig.
func (d *Door) deleteEventInvoke(c *call) (any, *wire.Error) {
	t, err := c.qualified()
	if err != nil {
		return nil, err
	}
	if c.view.EventInvoke(t.Function, t.Qualifier) == nil {
		return nil, c.noEventInvoke(t)
	}
	_, failed := d.cfg.Settings.ChangeEventInvoke(c.HTTP.Context(), catalog.EventInvokeChange{Function: t.Function, Qualifier: t.Qualifier, Delete: true})
	switch {
	case failed == nil:
		return nil, nil
	case daruma.KindOf(failed) == daruma.KindNotFound: // another request was faster
		return nil, c.noEventInvoke(t)
	}
	return nil, fromKind(daruma.KindOf(failed), failed.Error())
}

// putEventInvoke answers PutFunctionEventInvokeConfig.
func (d *Door) putEventInvoke(c *call) (any, *wire.Error) { return d.setEventInvoke(c, false) }

// updateEventInvoke answers UpdateFunctionEventInvokeConfig: what is not given
// stays. A destination that is not given stays, too.
func (d *Door) updateEventInvoke(c *call) (any, *wire.Error) { return d.setEventInvoke(c, true) }

// setEventInvoke checks a configuration in AWS's order: parameters, whether
// there is anything to set, whether the function exists, whether there is
// something to merge with, then the destinations.
func (d *Door) setEventInvoke(c *call, merge bool) (any, *wire.Error) {
	var ask struct {
		MaximumRetryAttempts, MaximumEventAgeInSeconds *int
		DestinationConfig                              *destinationConfig
	}
	if len(c.Body) > 0 && json.Unmarshal(c.Body, &ask) != nil {
		return nil, invalidContent("Could not parse request body into json.")
	}
	t, err := c.qualified()
	if err != nil {
		return nil, err
	}
	var v violations
	v.within(ask.MaximumRetryAttempts, "maximumRetryAttempts", 0, catalog.RetriesMax)
	v.within(ask.MaximumEventAgeInSeconds, "maximumEventAgeInSeconds", int(catalog.EventAgeMin/time.Second), int(catalog.EventAgeMax/time.Second))
	onSuccess, onFailure := ask.DestinationConfig.check(&v)
	if err := v.error(); err != nil {
		return nil, err
	}
	if ask.MaximumRetryAttempts == nil && ask.MaximumEventAgeInSeconds == nil && ask.DestinationConfig == nil {
		return nil, invalidParameter("You must specify at least one of error handling or destination setting.")
	}
	if _, err := c.view.Resolve(t, 1); err != nil {
		return nil, functionMissing()
	}
	if merge && c.view.EventInvoke(t.Function, t.Qualifier) == nil {
		return nil, c.noEventInvoke(t)
	}
	for _, arn := range []*string{onSuccess, onFailure} {
		if arn != nil && *arn != "" {
			if err := c.destination(*arn, t.Function, ask.DestinationConfig); err != nil {
				return nil, err
			}
		}
	}
	change := catalog.EventInvokeChange{Function: t.Function, Qualifier: t.Qualifier, Merge: merge, Retries: ask.MaximumRetryAttempts, OnSuccess: onSuccess, OnFailure: onFailure}
	if ask.MaximumEventAgeInSeconds != nil {
		age := time.Duration(*ask.MaximumEventAgeInSeconds) * time.Second
		change.MaxAge = &age
	}
	config, failed := d.cfg.Settings.ChangeEventInvoke(c.HTTP.Context(), change)
	if failed != nil {
		return nil, fromKind(daruma.KindOf(failed), failed.Error())
	}
	return eventInvokeOf(c.view, config), nil
}

// within adds a violation when n is given and out of bounds.
func (v *violations) within(n *int, field string, least, most int) {
	switch {
	case n == nil:
	case *n < least:
		v.add(strconv.Itoa(*n), field, "have value greater than or equal to "+strconv.Itoa(least))
	case *n > most:
		v.add(strconv.Itoa(*n), field, "have value less than or equal to "+strconv.Itoa(most))
	}
}

// check checks the shape of both destinations, and returns those that are
// given: "" for one without an ARN, which removes it.
func (d *destinationConfig) check(v *violations) (onSuccess, onFailure *string) {
	if d == nil {
		return nil, nil
	}
	one := func(d *destination, field string) *string {
		if d == nil {
			return nil
		}
		arn := ""
		if d.Destination != nil {
			arn = *d.Destination
		}
		if len(arn) > destinationARN.max {
			v.add(arn, field, "have length less than or equal to "+strconv.Itoa(destinationARN.max))
		}
		if !destinationARN.match.MatchString(arn) {
			v.add(arn, field, "satisfy regular expression pattern: "+destinationARN.text)
		}
		return &arn
	}
	return one(d.OnSuccess, "destinationConfig.onSuccess.destination"), one(d.OnFailure, "destinationConfig.onFailure.destination")
}

// destination says why records cannot be sent to an ARN, or nil: they go to
// other functions that exist, and to what else takes them.
func (c *call) destination(arn, function string, all *destinationConfig) *wire.Error {
	service := strings.SplitN(arn, ":", 4)[2]
	what, known := destinations[service]
	switch {
	case !known:
		return invalidParameter("The provided destination config DestinationConfig(onSuccess=" + all.OnSuccess.text("OnSuccess") + ", onFailure=" + all.OnFailure.text("OnFailure") + ") is invalid.")
	case what != "":
		switch err := c.takes(arn); {
		case err == nil:
			return nil
		case daruma.KindOf(err) == daruma.KindUnsupported:
			return unsupported("Destinations that are " + what + " are not supported here: " + arn + ". Use a function.")
		}
		return invalidParameter("The destination ARN " + arn + " is invalid.")
	}
	ref, ok := functionName.parse(arn)
	if !ok || ref.local(c.view.Place, c.Caller, c.op) != nil {
		return invalidParameter("The destination ARN " + arn + " is invalid.")
	}
	if ref.Function == function {
		return invalidParameter("You can't specify the function as a destination for itself.")
	}
	if _, err := c.view.Resolve(ref.Target, 1); err != nil {
		return invalidParameter("The destination ARN " + arn + " is invalid.")
	}
	return nil
}

// text is how the service's messages show a destination.
func (d *destination) text(name string) string {
	if d == nil || d.Destination == nil || *d.Destination == "" {
		return "null"
	}
	return name + "(destination=" + *d.Destination + ")"
}
