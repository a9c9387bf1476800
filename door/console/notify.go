package console

import (
	"net/http"
	"strconv"
	"time"

	"github.com/daruma-io/daruma/ledger"
)

// Notices is how the telling of owners goes.
type Notices struct {
	ledger.Tally
	Channels []Channel `json:"channels"`
}

// A Channel is how one way to tell people is doing since the node started.
type Channel struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Messages int64     `json:"messages"` // sent
	Told     int64     `json:"told"`     // notices in them
	Failures int64     `json:"failures"` // attempts
	GivenUp  int64     `json:"givenUp"`  // notices
	Waiting  int       `json:"waiting"`  // notices
	Failure  string    `json:"failure,omitempty"`
	At       time.Time `json:"at,omitzero"`   // of the last attempt
	Next     time.Time `json:"next,omitzero"` // of the next one
}

// A Tried is what came of trying one channel.
type Tried struct {
	Channel string        `json:"channel"`
	Kind    string        `json:"kind"`
	OK      bool          `json:"ok"`
	Said    string        `json:"said,omitempty"`
	Error   string        `json:"error,omitempty"`
	Took    time.Duration `json:"tookNs"`
}

func (d *Door) notifyTest(w http.ResponseWriter, r *http.Request) {
	answers, err := d.cfg.NotifyTest(r.Context(), r.URL.Query()["channel"])
	d.reply(w, answers, err)
}

// repairs answers with a page of the healing log, newest first.
func (d *Door) repairs(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	var before ledger.RepairID
	most := 50
	if s := v.Get("before"); s != "" {
		if err := before.UnmarshalText([]byte(s)); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	if s := v.Get("max"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > ledger.PageMax {
			refuse(w, http.StatusBadRequest, "max: "+strconv.Quote(s)+" is not a number from 1 to "+strconv.Itoa(ledger.PageMax))
			return
		}
		most = n
	}
	list, err := d.cfg.Ledger.Repairs(r.Context(), before, v.Get("function"), most)
	if list == nil {
		list = []*ledger.Repair{}
	}
	d.reply(w, list, err)
}

func (d *Door) repair(w http.ResponseWriter, r *http.Request) {
	var id ledger.RepairID
	if err := id.UnmarshalText([]byte(r.URL.Query().Get("id"))); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	one, err := d.cfg.Ledger.Repair(r.Context(), id)
	d.reply(w, one, err)
}
