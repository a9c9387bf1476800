package fault

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// An ID names a fault that was started: "FT-3". Numbers begin anew with each
// process, as faults do.
type ID uint64

// String returns "FT-3".
func (id ID) String() string { return "FT-" + strconv.FormatUint(uint64(id), 10) }

// MarshalText writes "FT-3".
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads "FT-3"; "ft-3" is the same.
func (id *ID) UnmarshalText(b []byte) error {
	head, number, ok := strings.Cut(string(b), "-")
	v, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil || v == 0 || !strings.EqualFold(head, "FT") {
		return &daruma.Error{Op: "read ID", Ref: string(b), Kind: daruma.KindInvalid, Err: errors.New("it does not look like FT-3")}
	}
	*id = ID(v)
	return nil
}

// A State is a fault as it is at one moment.
type State struct {
	ID      ID        `json:"id"`
	Fault   Fault     `json:"fault"`
	Text    string    `json:"text"`    // in one line
	Started time.Time `json:"started"` // by the app's clock
	Until   time.Time `json:"until"`   // when it ends at the latest
	Seen    uint64    `json:"seen"`    // events, requests or connections that it might have met
	Met     uint64    `json:"met"`     // those that it met
	Last    time.Time `json:"last,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Ending  string    `json:"ending,omitempty"` // why: "time", "stopped", or who asked for it is "gone"
}

// Why a fault ends.
const (
	EndTime    = "time"    // its time was over
	EndStopped = "stopped" // somebody said so
	EndGone    = "gone"    // who asked for it is gone, or did not renew its lease
)

// InTime says whether a fault ended because its time was over.
func (s State) InTime() bool { return s.Ending == EndTime }
