// Package flags is the door that failure flags knock at: code in functions
// asks, with an SDK of Gremlin's Failure Flags, whether a flag of its own is
// to fail, at port 5032 of its own loopback. The answer is made of the faults
// in force, whose doses have decided already: what is answered is to be done.
//
// The protocol is that of the SDKs' sources: POST /experiment with a name and
// labels; 204 when there is nothing, else a list of experiments. The package
// holds nothing; [Serve] may be called for any number of environments at once.
package flags

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/daruma-io/daruma"
)

// Address is where SDKs ask, on their own loopback.
const Address = "127.0.0.1:5032"

// Environ tells SDKs the address, where it is another than they know.
func Environ(address string) []string {
	if address == Address {
		return nil
	}
	return []string{"FAILURE_FLAGS_ENDPOINT=http://" + address + "/experiment"}
}

// Limits of what is asked.
const (
	requestBytesMax = 64 << 10
	headerBytesMax  = 16 << 10
	timeMax         = 5 * time.Second
	idleMax         = time.Minute
)

// An Experiment is what an SDK does at a flag.
type Experiment struct {
	ID     string          `json:"guid"`
	Flag   string          `json:"failureFlagName"`
	Rate   float64         `json:"rate"` // always 1: the choice is made
	Effect json.RawMessage `json:"effect"`
}

// Serve answers on ln, which it closes, until ctx ends. ask says what is to be
// done at a flag now.
func Serve(ctx context.Context, ln net.Listener, ask func(flag string, labels json.RawMessage) []Experiment) error {
	s := &http.Server{Handler: handler(ask), ReadTimeout: timeMax, WriteTimeout: timeMax, IdleTimeout: idleMax, MaxHeaderBytes: headerBytesMax}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(ln); ctx.Err() == nil {
		return &daruma.Error{Op: "serve failure flags", Ref: ln.Addr().String(), Err: err}
	}
	return nil
}

type handler func(flag string, labels json.RawMessage) []Experiment

// ServeHTTP answers what is asked about one flag.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/experiment" || r.Method != http.MethodPost {
		http.Error(w, "POST /experiment is what is answered here", http.StatusNotFound)
		return
	}
	var asked struct {
		Name   string          `json:"name"`
		Labels json.RawMessage `json:"labels"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestBytesMax))
	if err != nil || json.Unmarshal(body, &asked) != nil || asked.Name == "" {
		http.Error(w, "a name and labels are needed", http.StatusBadRequest)
		return
	}
	if len(asked.Labels) == 0 {
		asked.Labels = json.RawMessage("{}")
	}
	found := h(asked.Name, asked.Labels)
	if len(found) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer, err := json.Marshal(found)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // who asked may be gone
}
