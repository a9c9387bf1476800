package console

import (
	"context"
	"net/http"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
)

// Alarms is what the console shows of alarms.
type Alarms struct {
	All     func() []*alarm.Alarm
	History func(ctx context.Context, name string) ([]alarm.Item, error) // the newest first
}

// An Alarm is an alarm with its history.
type Alarm struct {
	*alarm.Alarm
	History []alarm.Item `json:"history"`
}

func (d *Door) alarms(w http.ResponseWriter, _ *http.Request) {
	all := d.cfg.Alarms.All()
	if all == nil {
		all = []*alarm.Alarm{}
	}
	answer(w, http.StatusOK, all)
}

// alarm shows one alarm, by its name or its logical ID: ?alarm=NAME
func (d *Door) alarm(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("alarm")
	for _, a := range d.cfg.Alarms.All() {
		if a.Name == name || a.LogicalID != "" && a.LogicalID == name {
			history, err := d.cfg.Alarms.History(r.Context(), a.Name)
			d.reply(w, Alarm{a, history}, err)
			return
		}
	}
	d.reply(w, nil, &daruma.Error{Op: "find the alarm", Ref: name, Kind: daruma.KindNotFound})
}
