package console

import (
	"context"
	"net/http"

	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

// Forced is the answer to a change of a breaker: the healing log's record of it.
type Forced struct {
	Repair ledger.RepairID `json:"repair"`
}

// Breakers is what the console shows and does of breakers. What they are like is for who made them to say.
type Breakers struct {
	Statuses func() any // a list, to be printed as JSON
	Force    func(ctx context.Context, u hold.Unit, f hold.Force, reason string) (ledger.RepairID, error)
}

func (d *Door) breakers(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, d.cfg.Breakers.Statuses())
}

// force changes a breaker: ?function=…[&key=…]&force=open|closed|auto&reason=…
func (d *Door) force(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	f := hold.Force(v.Get("force"))
	switch f {
	case "auto":
		f = hold.Auto
	case hold.Auto:
		refuse(w, http.StatusBadRequest, "force is none of open, closed, auto")
		return
	}
	id, err := d.cfg.Breakers.Force(r.Context(), hold.Unit{Function: v.Get("function"), Key: v.Get("key")}, f, v.Get("reason"))
	d.reply(w, Forced{id}, err)
}
