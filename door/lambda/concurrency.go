package lambda

import (
	"encoding/json"
	"strconv"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// reserved is the Concurrency of the service model.
type reserved struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

// getConcurrency answers GetFunctionConcurrency.
func (d *Door) getConcurrency(c *call) (any, *wire.Error) {
	f, err := c.whole(&functionName)
	if err != nil {
		return nil, err
	}
	return reserved{f.Reserved}, nil
}

// putConcurrency answers PutFunctionConcurrency.
func (d *Door) putConcurrency(c *call) (any, *wire.Error) {
	f, err := c.whole(&functionName)
	if err != nil {
		return nil, err
	}
	var ask reserved
	if json.Unmarshal(c.Body, &ask) != nil {
		return nil, invalidContent("Could not parse request body into json.")
	}
	if ask.ReservedConcurrentExecutions == nil {
		return nil, &wire.Error{Status: 400, Code: "ValidationException", Message: "1 validation error detected: Value null at 'reservedConcurrentExecutions' failed to satisfy constraint: Member must not be null"}
	}
	n := *ask.ReservedConcurrentExecutions
	var v violations
	if n < 0 {
		v.add(strconv.Itoa(n), "reservedConcurrentExecutions", "have value greater than or equal to 0")
	}
	if err := v.error(); err != nil {
		return nil, err
	}
	if n > d.cfg.Pool-unreservedMin-reservedByOthers(c.view, f.Name) {
		return nil, invalidParameter("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [" + strconv.Itoa(unreservedMin) + "].")
	}
	if err := d.cfg.Concurrency.SetReserved(c.HTTP.Context(), f.Name, &n); err != nil {
		return nil, fromKind(daruma.KindOf(err), err.Error())
	}
	return ask, nil
}

// deleteConcurrency answers DeleteFunctionConcurrency.
func (d *Door) deleteConcurrency(c *call) (any, *wire.Error) {
	f, err := c.whole(&functionName)
	if err != nil {
		return nil, err
	}
	if err := d.cfg.Concurrency.SetReserved(c.HTTP.Context(), f.Name, nil); err != nil {
		return nil, fromKind(daruma.KindOf(err), err.Error())
	}
	return nil, nil
}

// reservedByOthers is what all functions but one have reserved.
func reservedByOthers(view *catalog.View, but string) int {
	sum := 0
	for _, f := range view.Functions() {
		if f.Reserved != nil && f.Name != but {
			sum += *f.Reserved
		}
	}
	return sum
}
