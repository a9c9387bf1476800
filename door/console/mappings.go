package console

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/daruma-io/daruma/mapping"
)

// A Mapping is an event source mapping and how it is at work.
type Mapping struct {
	*mapping.Mapping
	Held      bool            `json:"held"` // its function is
	Why       string          `json:"why,omitempty"`
	Batches   int             `json:"batches"`   // that run
	Records   int             `json:"inFlight"`  // in them
	AtOnceNow int             `json:"atOnceNow"` // batches that may run now
	Paused    time.Time       `json:"paused,omitzero"`
	Result    *mapping.Result `json:"lastResult,omitempty"`
	Lanes     []Lane          `json:"lanes,omitempty"` // of a stream
}

// A Lane is where one lane of a mapping of a stream stands.
type Lane struct {
	Shard string        `json:"shard"`
	Lane  int           `json:"lane"`
	Age   time.Duration `json:"ageNs"`           // of the oldest record that is not done
	Tries int           `json:"tries,omitempty"` // of the batch at which it stands
	Due   time.Time     `json:"due,omitzero"`    // when that is tried again
}

// Mappings is what the console shows and does of event source mappings.
type Mappings struct {
	All    func() []Mapping
	Enable func(ctx context.Context, uuid string, enabled bool) error
}

func (d *Door) mappings(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, d.cfg.Mappings.All())
}

// enable enables or disables a mapping: ?mapping=UUID&enabled=true|false
func (d *Door) enable(w http.ResponseWriter, r *http.Request) {
	enabled, err := strconv.ParseBool(r.URL.Query().Get("enabled"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "enabled is neither true nor false")
		return
	}
	uuid := r.URL.Query().Get("mapping")
	d.reply(w, struct {
		UUID    string `json:"uuid"`
		Enabled bool   `json:"enabled"`
	}{uuid, enabled}, d.cfg.Mappings.Enable(r.Context(), uuid, enabled))
}
