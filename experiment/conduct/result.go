package conduct

import (
	"time"

	"github.com/daruma-io/daruma/experiment"
)

// An Outcome is what an experiment says.
type Outcome string

// The outcomes.
const (
	Held     Outcome = "held"
	Deviated Outcome = "deviated"
	Unknown  Outcome = "unknown" // it could not be judged
)

// A Result is everything that is known of one run. It is written into journals as it is.
type Result struct {
	File       string  `json:"file"`
	Title      string  `json:"title"`
	Hypothesis string  `json:"hypothesis,omitempty"`
	Label      string  `json:"label,omitempty"`
	Seed       uint64  `json:"seed"`
	Outcome    Outcome `json:"outcome"`
	// Status is "completed", or "failed" (before the method: not steady), "aborted" (by a guard) or "interrupted" (by a person).
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"` // why it is not held

	Started   time.Time     `json:"started"` // by the machine's clock
	Ended     time.Time     `json:"ended"`
	Scale     int           `json:"timeScale"`
	Scaled    []string      `json:"scaled,omitempty"` // what went faster, and what did not
	Broke     time.Time     `json:"broke,omitzero"`   // when something was broken first, by the app's clock
	Phases    []PhaseTime   `json:"phases"`
	Judged    []Judgement   `json:"judged"`
	Faults    []FaultRun    `json:"faults,omitempty"`
	Kills     []KillRun     `json:"kills,omitempty"`
	Method    []ActivityRun `json:"method"`
	Rollbacks []ActivityRun `json:"rollbacks"`
	Loads     []LoadRun     `json:"loads,omitempty"`
	Account   Account       `json:"account"`
	Times     Times         `json:"times"`
	Happened  []Happening   `json:"happened,omitempty"`
	Chain     []string      `json:"chain,omitempty"` // of causes, in words
	Series    []Series      `json:"series,omitempty"`
	Warnings  []string      `json:"warnings,omitempty"`
	Document  any           `json:"-"`
}

// A PhaseTime says when a phase was, in seconds since the start by the machine's clock.
type PhaseTime struct {
	Phase experiment.Phase `json:"phase"`
	From  float64          `json:"from"`
	To    float64          `json:"to"`
	Late  float64          `json:"late,omitempty"` // how many times as long as undisturbed work took; 0 when it is not known
}

// A Judgement is what a probe said in one phase.
type Judgement struct {
	Probe     string           `json:"probe"`
	Phase     experiment.Phase `json:"phase"`
	Outcome   Outcome          `json:"outcome"`
	Value     any              `json:"value,omitempty"`
	Unit      string           `json:"unit,omitempty"`
	Of        int64            `json:"of,omitempty"` // how many requests or events it is a share of
	Tolerance string           `json:"tolerance"`
	Why       string           `json:"why,omitempty"`
	Run       ActivityRun      `json:"-"`
}

// An ActivityRun is one activity as it was done.
type ActivityRun struct {
	Name     string    `json:"name"`
	Status   string    `json:"status"` // "succeeded" or "failed"
	Output   any       `json:"output,omitempty"`
	Error    string    `json:"error,omitempty"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Document any       `json:"-"`

	overdue bool // its time was over before its answer
}

// A FaultRun is one fault as it was in force.
type FaultRun struct {
	Injected
	Name string  `json:"name"`
	From float64 `json:"from"` // seconds since the start by the machine's clock
	To   float64 `json:"to"`
}

// A KillRun is one end of the platform, and its start, in seconds since the start of the run by the machine's clock.
type KillRun struct {
	Name string  `json:"name"`
	PID  int     `json:"pid"`
	From float64 `json:"from"`
	To   float64 `json:"to"` // it answered again; 0 when it did not
}

// A LoadRun says how a load went in each phase.
type LoadRun struct {
	Name     string         `json:"name"`
	Target   string         `json:"target"`
	Rate     float64        `json:"rate"`
	Phases   []LoadPhase    `json:"phases"`
	Missed   int            `json:"missed,omitempty"` // not sent because too many waited
	Failures map[string]int `json:"failures,omitempty"`
}

// A LoadPhase is a load in one phase.
type LoadPhase struct {
	Phase    experiment.Phase `json:"phase"`
	Requests int              `json:"requests"`
	Errors   int              `json:"errors"`
	P50      float64          `json:"p50ms"`
	P99      float64          `json:"p99ms"`
}

// An Account says what became of what was taken in, from the first fault to the end.
type Account struct {
	Accepted    int64   `json:"accepted"`
	Done        int64   `json:"done"`
	Failed      int64   `json:"failed"` // each in the ledger
	InProgress  int64   `json:"inProgress"`
	Lost        int64   `json:"lost"`
	DeadLetters int64   `json:"deadLetters"`
	Duplicates  int64   `json:"duplicates"` // messages that came back
	Attempts    int64   `json:"attempts"`
	PerEvent    float64 `json:"attemptsPerEvent,omitempty"` // how far retries multiply
}

// Times are by the app's clock; nil when there is nothing to tell.
type Times struct {
	Detect  *float64 `json:"detectS,omitempty"`  // from the first fault to the first failure or repair the platform wrote down
	Heal    *float64 `json:"healS,omitempty"`    // to the first repair
	Down    *float64 `json:"downS,omitempty"`    // for how long the platform did not answer after it was killed, by the machine's clock
	Recover *float64 `json:"recoverS,omitempty"` // from the end of the faults until nothing was in progress any more
}

// A Series is one probe over the run.
type Series struct {
	Probe  string   `json:"probe"`
	Unit   string   `json:"unit,omitempty"`
	Low    *float64 `json:"low,omitempty"` // the tolerance's band
	High   *float64 `json:"high,omitempty"`
	Points []Point  `json:"points"`
}

// A Point is a value at a number of seconds since the start by the machine's clock.
type Point struct {
	At    float64 `json:"at"`
	Value float64 `json:"value"`
}

// ExitCode is 0 when it held, 1 when it deviated, and 2 when nothing can be said.
func (o Outcome) ExitCode() int {
	switch o {
	case Held:
		return 0
	case Deviated:
		return 1
	}
	return 2
}
