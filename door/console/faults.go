package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/fault"
)

// faults answers with the faults in force and those that ended last.
func (d *Door) faults(w http.ResponseWriter, r *http.Request) {
	d.reply(w, d.cfg.Faults.List(), nil)
}

// faultBytesMax bounds the document of a fault.
const faultBytesMax = 1 << 20

// startFault puts the fault in force whose document the request holds.
//
// Who asks holds it by the connection: the answer is the fault as it begins, a
// line of JSON, and the fault as it ended, another; when the connection breaks
// the fault ends. With ?lease=30s the answer is given at once instead, and the
// fault ends unless it is renewed for so long.
func (d *Door) startFault(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, faultBytesMax))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a document of at most %d bytes is needed", faultBytesMax))
		return
	}
	f, err := fault.Parse(body)
	if err != nil {
		d.reply(w, nil, err)
		return
	}
	if text := r.URL.Query().Get("lease"); text != "" {
		d.leaseFault(w, f, text)
		return
	}
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the connection is held for as long as the fault is
	started, err := d.cfg.Faults.Start(r.Context(), f, 0)
	if err != nil {
		d.reply(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	if enc.Encode(started.State()) != nil || out.Flush() != nil {
		started.Stop()
		return
	}
	<-started.Done()
	_ = enc.Encode(started.State()) // whoever asked may be gone
}

// leaseFault starts a fault that is held by its lease.
func (d *Door) leaseFault(w http.ResponseWriter, f fault.Fault, text string) {
	lease, err := time.ParseDuration(text)
	if err != nil || lease <= 0 {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("lease: %q is no duration such as 30s", text))
		return
	}
	started, err := d.cfg.Faults.Start(context.Background(), f, lease)
	if err != nil {
		d.reply(w, nil, err)
		return
	}
	answer(w, http.StatusCreated, started.State())
}

// stopFaults ends the fault that is named, or all.
func (d *Door) stopFaults(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	if v.Get("all") == "true" {
		d.reply(w, Stopped{d.cfg.Faults.StopAll()}, nil)
		return
	}
	id, err := faultID(r)
	if err == nil {
		err = d.cfg.Faults.Stop(id)
	}
	d.reply(w, Stopped{1}, err)
}

// Stopped says how many faults were ended.
type Stopped struct {
	Stopped int `json:"stopped"`
}

// renewFault has a fault's lease begin anew.
func (d *Door) renewFault(w http.ResponseWriter, r *http.Request) {
	id, err := faultID(r)
	if err == nil {
		err = d.cfg.Faults.Renew(id)
	}
	var s fault.State
	if err == nil {
		s, err = d.cfg.Faults.Find(id)
	}
	d.reply(w, s, err)
}

func faultID(r *http.Request) (id fault.ID, err error) {
	text := r.URL.Query().Get("id")
	if text == "" {
		return 0, &daruma.Error{Op: "find the fault", Kind: daruma.KindInvalid, Hint: "name it with ?id=FT-3, or all of them with ?all=true"}
	}
	return id, id.UnmarshalText([]byte(text))
}

// stopExperiment ends every fault at once, and has the experiment under way put everything back.
func (d *Door) stopExperiment(w http.ResponseWriter, _ *http.Request) {
	err := d.cfg.StopExperiment() // it knows why its faults are gone
	d.reply(w, Stopped{d.cfg.Faults.StopAll()}, err)
}
