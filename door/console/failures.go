package console

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/delivery"
	"github.com/daruma-io/daruma/ledger"
)

// A Failure is one failure of the ledger with its event.
type Failure struct {
	*ledger.Failure
	Event []byte `json:"event,omitempty"` // as it was handed to the function, but for what is redacted
}

// A Group is failures alike, with what their history amounts to.
type Group struct {
	*ledger.Group
	Status ledger.Status `json:"status"`
}

// An Account says what became of every event that was accepted.
type Account struct {
	All   delivery.Account   `json:"all"`
	Each  []delivery.Account `json:"each"`
	Usage ledger.Usage       `json:"ledger"`
}

// statusOf is the HTTP status that goes with a kind of error.
func statusOf(err error) int {
	switch daruma.KindOf(err) {
	case daruma.KindInvalid, daruma.KindTooLarge, daruma.KindUnsupported:
		return http.StatusBadRequest
	case daruma.KindNotFound:
		return http.StatusNotFound
	case daruma.KindDenied:
		return http.StatusForbidden
	case daruma.KindConflict, daruma.KindLocked:
		return http.StatusConflict
	case daruma.KindFull, daruma.KindUnavailable, daruma.KindThrottled:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (d *Door) reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		answer(w, statusOf(err), struct {
			Error string `json:"error"`
			Hint  string `json:"hint,omitempty"`
		}{err.Error(), daruma.HintOf(err)})
		return
	}
	answer(w, http.StatusOK, v)
}

func (d *Door) failures(w http.ResponseWriter, r *http.Request) {
	q, err := parseFailureQuery(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	page, err := d.cfg.Ledger.Find(r.Context(), q)
	d.reply(w, page, err)
}

func parseFailureQuery(r *http.Request) (ledger.Query, error) {
	v := r.URL.Query()
	q := ledger.Query{Function: v.Get("function"), State: ledger.State(v.Get("state")), Request: v.Get("request"), Trace: v.Get("trace"), Correlation: v.Get("correlation"), Text: v.Get("text")}
	var errs []error
	if s := v.Get("group"); s != "" {
		errs = append(errs, q.Group.UnmarshalText([]byte(s)))
	}
	if s := v.Get("before"); s != "" {
		errs = append(errs, q.Before.UnmarshalText([]byte(s)))
	}
	if s := v.Get("max"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > ledger.PageMax {
			errs = append(errs, fmt.Errorf("max: %q is not a number from 1 to %d", s, ledger.PageMax))
		}
		q.Max = n
	}
	switch q.State {
	case "", ledger.Open, ledger.Redriven, ledger.Discarded, ledger.Resolved:
	default:
		errs = append(errs, fmt.Errorf("state: %q is none of open, redriven, discarded, resolved", q.State))
	}
	return q, errors.Join(errs...)
}

// idOf reads the failure that a request names.
func idOf(r *http.Request) (id ledger.ID, err error) {
	return id, id.UnmarshalText([]byte(r.URL.Query().Get("id")))
}

func (d *Door) failure(w http.ResponseWriter, r *http.Request) {
	id, err := idOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	f, event, err := d.cfg.Ledger.Failure(r.Context(), id)
	d.reply(w, Failure{f, event}, err)
}

func (d *Door) groups(w http.ResponseWriter, r *http.Request) {
	all, err := d.cfg.Ledger.Groups(r.Context(), 0, ledger.PageMax)
	list := make([]Group, len(all))
	for i, g := range all {
		list[i] = Group{g, g.Status(d.cfg.Now())}
	}
	d.reply(w, list, err)
}

func (d *Door) account(w http.ResponseWriter, r *http.Request) {
	var a Account
	var err error
	if a.All, a.Each, err = d.cfg.Deliveries.Accounts(r.Context()); err == nil {
		a.Usage, err = d.cfg.Ledger.Usage(r.Context())
	}
	d.reply(w, a, err)
}

// redrive has an event delivered again; the request's body, when there is one, takes its place.
func (d *Door) redrive(w http.ResponseWriter, r *http.Request) {
	id, err := idOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, ledger.EventBytesMax))
	if err != nil {
		refuse(w, http.StatusBadRequest, "the event: "+err.Error())
		return
	}
	if len(payload) == 0 {
		payload = nil
	}
	if f, _, err := d.cfg.Ledger.Failure(r.Context(), id); err == nil && f.Hop == ledger.Queued {
		done, err := d.redriveMessage(r.Context(), id, payload)
		d.reply(w, done, err)
		return
	}
	if f, _, err := d.cfg.Ledger.Failure(r.Context(), id); err == nil && f.Hop == ledger.Published {
		again, err := d.cfg.Topics.Redrive(r.Context(), id, payload)
		d.reply(w, delivery.Redriven{Request: again.Request, Already: again.Already}, err)
		return
	}
	done, err := d.cfg.Deliveries.Redrive(r.Context(), id, payload)
	d.reply(w, done, err)
}

func (d *Door) discard(w http.ResponseWriter, r *http.Request) {
	id, err := idOf(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	err = d.cfg.Ledger.Discard(r.Context(), id, r.URL.Query().Get("reason"))
	d.reply(w, struct{}{}, err)
}
