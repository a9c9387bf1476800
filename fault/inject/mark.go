package inject

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/daruma-io/daruma"
)

// marksMax bounds the requests whose marks are remembered: more than can be
// under way at once.
const marksMax = 8192

// marks remember which faults met a request, until the request's next attempt
// or until marksMax others have been met.
type marks struct {
	some atomic.Bool // some were ever made: spares the rest while no fault was

	mu           sync.Mutex // guards the rest
	requests     map[string][]string
	order        []string            // of requests, the oldest first
	environments map[string][]string // those that were made with a fault
	records      map[string][]string // messages, by ID
	recorded     []string            // of records, the oldest first
}

func (m *marks) add(request, mark string) {
	if request == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.some.Store(true)
	if m.requests == nil {
		m.requests = map[string][]string{}
	}
	have, known := m.requests[request]
	if slices.Contains(have, mark) {
		return
	}
	if !known {
		if len(m.order) >= marksMax {
			delete(m.requests, m.order[0])
			m.order = m.order[1:]
		}
		m.order = append(m.order, request)
	}
	m.requests[request] = append(slices.Clip(have), mark)
}

// forget takes a request's marks away, since it begins anew.
func (m *marks) forget(request string) {
	if !m.some.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.requests[request]; known {
		m.requests[request] = nil // its place in order stays
	}
}

// addRecord marks a message, and so all that are handed it.
func (m *marks) addRecord(id, mark string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.some.Store(true)
	if m.records == nil {
		m.records = map[string][]string{}
	}
	if _, known := m.records[id]; !known {
		if len(m.recorded) >= marksMax {
			delete(m.records, m.recorded[0])
			m.recorded = m.recorded[1:]
		}
		m.recorded = append(m.recorded, id)
	}
	if !slices.Contains(m.records[id], mark) {
		m.records[id] = append(m.records[id], mark)
	}
}

// ofRecords returns the marks of some messages.
func (m *marks) ofRecords(all []Record) (found []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range all {
		found = append(found, m.records[r.ID]...)
	}
	return found
}

// anyRecords says whether a message is marked.
func (m *marks) anyRecords() bool {
	if !m.some.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records) > 0
}

func (m *marks) addEnvironment(id, mark string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.some.Store(true)
	if m.environments == nil {
		m.environments = map[string][]string{}
	}
	m.environments[id] = append(m.environments[id], mark)
}

func (m *marks) of(request, environment string) []string {
	if !m.some.Load() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Concat(m.requests[request], m.environments[environment])
}

// Marks returns the faults that met a run, each as "FT-3 latency": those of its
// request, and those of the environment that it ran in. Nil when there are none.
func (s *Faults) Marks(request, environment string) []string { return s.marks.of(request, environment) }

// Gone is told that an environment is no more.
func (s *Faults) Gone(environment string) {
	if !s.marks.some.Load() {
		return
	}
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	delete(s.marks.environments, environment)
}

// A Who is what runs: one environment of a version of a function, and the
// request that it is busy with.
type Who struct {
	Function    string
	Version     string
	Code        string // its hash; of an environment
	Environment string
	Request     string
	Trace       string // the trace's root
}

// note marks what a fault met, and tells it in the function's log.
func (s *Faults) note(r *Running, w Who, text string) {
	s.marks.add(w.Request, r.mark())
	if s.cfg.Observer == nil || w.Function == "" {
		return
	}
	s.cfg.Observer.Logged(daruma.Line{At: s.cfg.Clock.Now(), Function: w.Function, Version: w.Version, Environment: w.Environment, Request: w.Request, Trace: w.Trace,
		Stream: daruma.Platform, Text: "FAULT " + r.mark() + ": " + text})
}
