package logs

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma"
)

// The lines in which the platform tells of an invocation, as AWS writes them:
// text, or JSON records when the function asks for that format.

// A Call is what the lines about an invocation say.
type Call struct {
	ID    string // the request's
	Trace string // the whole header
	Root  string // the trace's root
	Began time.Time
	Init  time.Duration // of the environment, when Cold
	Cold  bool          // the environment was started for this call
}

const iso = "2006-01-02T15:04:05.000Z"

// json says whether the function wants JSON.
func (l *Logs) json() bool { return l.function.LogFormat == "JSON" }

// Begin marks the start of a call.
func (l *Logs) Begin(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drain() // still the last call's
	for _, p := range l.pipes {
		l.flush(p)
	}
	l.request, l.trace = c.ID, c.Root
	l.tail = l.tail[:0]
	version := l.function.Version
	if l.json() {
		l.record(c.Began, "platform.start", map[string]any{"requestId": c.ID, "version": version, "tracing": tracing(c)})
		return
	}
	b := l.text[:0]
	b = append(append(b, "START RequestId: "...), c.ID...)
	b = append(append(b, " Version: "...), version...)
	l.text = b
	l.platform(c.Began, b)
}

// End marks the end of a call, and returns the tail of its log. What the
// processes had written when they answered comes before it.
func (l *Logs) End(c *Call, now time.Time, o *daruma.Outcome) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.ID == l.request {
		l.drain()
		for _, p := range l.pipes {
			l.flush(p)
		}
	}
	l.sayDropped(now)
	if l.json() {
		l.endRecords(c, now, o)
	} else {
		l.endLines(c, now, o)
	}
	tail := l.tail[max(0, len(l.tail)-daruma.LogTailBytesMax):]
	return append([]byte(nil), tail...)
}

// endLines writes END and REPORT.
func (l *Logs) endLines(c *Call, now time.Time, o *daruma.Outcome) {
	status, errType := statusOf(o)
	switch o.Kind {
	case daruma.TimedOut:
		l.platform(now, fmt.Appendf(nil, "%s %s Task timed out after %.2f seconds", now.UTC().Format(iso), c.ID, l.function.Timeout.Seconds()))
	case daruma.Crashed:
		l.platform(now, []byte(o.Failure.Message))
		l.platform(now, []byte(o.Failure.Type))
	}
	b := append(append(l.text[:0], "END RequestId: "...), c.ID...)
	l.platform(now, b)
	b = append(append(b[:0], "REPORT RequestId: "...), c.ID...)
	b = appendMilliseconds(append(b, "\tDuration: "...), o.Duration)
	b = append(b, "\tBilled Duration: "...)
	b = strconv.AppendInt(b, billed(o.Duration), 10)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, int64(l.function.MemoryMB), 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, megabytes(o.MemoryBytes), 10)
	b = append(b, " MB\t"...)
	if c.Cold {
		b = append(appendMilliseconds(append(b, "Init Duration: "...), c.Init), '\t')
	}
	if status != "" {
		b = append(append(b, "Status: "...), status...)
		if errType != "" {
			b = append(append(b, "\tError Type: "...), errType...)
		}
	}
	l.text = b
	l.platform(now, b)
}

// statusOf says how a call ended in the words of REPORT; "" when well.
func statusOf(o *daruma.Outcome) (status, errType string) {
	switch {
	case o.Kind == daruma.TimedOut:
		return "timeout", ""
	case o.Kind != daruma.Done && o.Failure != nil:
		return "error", o.Failure.Type
	}
	return "", ""
}

// endRecords writes the JSON records.
func (l *Logs) endRecords(c *Call, now time.Time, o *daruma.Outcome) {
	status, errType := statusOf(o)
	switch {
	case status == "":
		status = "success"
	case o.Kind == daruma.Crashed:
		status = "failure"
	}
	l.record(now, "platform.runtimeDone", map[string]any{"requestId": c.ID, "status": status, "spans": []any{}, "tracing": tracing(c),
		"metrics": map[string]any{"durationMs": milliseconds(o.Duration), "producedBytes": len(o.Payload)}})
	metrics := map[string]any{"durationMs": milliseconds(o.Duration), "billedDurationMs": billed(o.Duration),
		"memorySizeMB": l.function.MemoryMB, "maxMemoryUsedMB": megabytes(o.MemoryBytes)}
	if c.Cold {
		metrics["initDurationMs"] = milliseconds(c.Init)
	}
	report := map[string]any{"requestId": c.ID, "status": status, "metrics": metrics, "tracing": tracing(c)}
	if errType != "" {
		report["errorType"] = errType
	}
	l.record(now, "platform.report", report)
}

// record writes one JSON record. l.mu is held.
func (l *Logs) record(now time.Time, kind string, record map[string]any) {
	now = l.after(now)
	data, err := json.Marshal(struct {
		Time   string         `json:"time"`
		Type   string         `json:"type"`
		Record map[string]any `json:"record"`
	}{now.UTC().Format(iso), kind, record})
	if err == nil { // numbers and strings cannot fail
		l.platform(now, data)
	}
}

// tracing is the trace of a call as JSON records have it.
func tracing(c *Call) map[string]any {
	return map[string]any{"type": "X-Amzn-Trace-Id", "value": c.Trace}
}

// InitStart marks the start of processes.
func (l *Logs) InitStart(version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.function
	arn := "arn:aws:lambda:" + l.region + "::runtime:" + strings.ReplaceAll(version, ":", "-")
	now := time.Now()
	if l.json() {
		l.record(now, "platform.initStart", map[string]any{"initializationType": "on-demand", "phase": "init", "runtimeVersion": version,
			"runtimeVersionArn": arn, "functionName": f.Name, "functionVersion": f.Version})
		return
	}
	l.platform(now, []byte("INIT_START Runtime Version: "+version+"\tRuntime Version ARN: "+arn))
}

// InitFailed marks processes that did not come up.
func (l *Logs) InitFailed(phase string, took time.Duration, timeout bool, errType string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drain()
	now, status := time.Now(), "error"
	if timeout {
		status, errType = "timeout", ""
	}
	if l.json() {
		l.record(now, "platform.initReport", map[string]any{"initializationType": "on-demand", "phase": phase, "status": status,
			"errorType": errType, "metrics": map[string]any{"durationMs": milliseconds(took)}})
		return
	}
	b := appendMilliseconds([]byte("INIT_REPORT Init Duration: "), took)
	b = append(append(b, "\tPhase: "+phase+"\tStatus: "...), status...)
	if errType != "" {
		b = append(b, "\tError Type: "+errType...)
	}
	l.platform(now, b)
}

// billed is a duration in whole milliseconds, rounded up.
func billed(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

func milliseconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e3 }

func appendMilliseconds(b []byte, d time.Duration) []byte {
	b = strconv.AppendFloat(b, d.Seconds()*1e3, 'f', 2, 64)
	return append(b, " ms"...)
}

// megabytes rounds up.
func megabytes(n int64) int64 { return (n + 1<<20 - 1) >> 20 }
