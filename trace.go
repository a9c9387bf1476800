package daruma

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"time"
)

// The headers in which a trace goes from one party to the next.
const (
	TraceHeader       = "X-Amzn-Trace-Id"
	TraceParentHeader = "Traceparent"
	TraceStateHeader  = "Tracestate"
)

// Bounds of what is taken over from others' headers.
const (
	TraceBytesMax      = 1024 // of a trace header; a longer one is ignored
	TraceStateBytesMax = 512  // of a tracestate (W3C Trace Context, section 3.3.1.5)
	traceFieldsMax     = 16
	traceForeignMax    = 256 // bytes of all fields that are neither ours nor the lineage
)

// A Trace says which story an event belongs to and what it is a part of: the
// content of an X-Amzn-Trace-Id header (X-Ray Developer Guide, "Tracing
// header"), or of a traceparent (W3C Trace Context). The zero value is no trace.
type Trace struct {
	Root    string // "1-5759e988-bd862e3fe1be46a994272793", in lower case
	Parent  string // the span it is a part of: 16 hexadecimal digits, or ""
	Sampled string // "1", "0", "?" for somebody who wants to be told, or ""

	rest string // other fields, each behind a semicolon, in their order
}

// NewTrace begins a trace. Nobody has decided whether it is sampled.
func NewTrace(now time.Time) Trace {
	var id [16]byte
	for i, t := 3, now.Unix(); i >= 0; i, t = i-1, t>>8 {
		id[i] = byte(t)
	}
	put(id[4:12], rand.Uint64())
	put(id[12:], rand.Uint64())
	return Trace{Root: rootOf(hex.EncodeToString(id[:]))}
}

// TraceOfMessage is the trace of a message whose sender names none: it follows
// from the message's ID, so that everybody who has the message knows it, and the
// message need not show a header that nobody gave. Its parent is what sent it.
func TraceOfMessage(id [16]byte) Trace {
	digits := hex.EncodeToString(id[:])
	return Trace{Root: rootOf(digits), Parent: digits[16:]}
}

// NewSpanID returns a random identifier of a span: 16 hexadecimal digits, not all of them zero.
func NewSpanID() string {
	var id [8]byte
	put(id[:], rand.Uint64N(1<<64-1)+1)
	var text [16]byte
	hex.Encode(text[:], id[:])
	return string(text[:])
}

// put writes the upper bytes of v, as many as there is room for.
func put(b []byte, v uint64) {
	for i := range b {
		b[i] = byte(v >> (56 - 8*i))
	}
}

// ParseTrace reads an X-Amzn-Trace-Id header. Fields may come in any order;
// those it does not know are kept within bounds, and those that are garbage
// are left out. ok is false when there is no valid root.
func ParseTrace(header string) (t Trace, ok bool) {
	if header == "" || len(header) > TraceBytesMax {
		return Trace{}, false
	}
	foreign := 0
	for n := 0; header != "" && n < traceFieldsMax; n++ {
		field := header
		if i := strings.IndexByte(header, ';'); i >= 0 {
			field, header = header[:i], header[i+1:]
		} else {
			header = ""
		}
		field = strings.TrimSpace(field)
		name, value, _ := strings.Cut(field, "=")
		switch {
		case value == "" || !visible(field):
		case name == "Root":
			if t.Root == "" && validRoot(value) {
				t.Root = strings.ToLower(value)
			}
		case name == "Parent":
			if t.Parent == "" && isHex(value, 16) {
				t.Parent = strings.ToLower(value)
			}
		case name == "Sampled":
			if t.Sampled == "" && (value == "1" || value == "0" || value == "?") {
				t.Sampled = value
			}
		case name == "Lineage":
			t.rest += ";" + field
		case foreign+len(field) <= traceForeignMax:
			foreign += len(field)
			t.rest += ";" + field
		}
	}
	if t.Root == "" {
		return Trace{}, false
	}
	return t, true
}

// ParseTraceParent reads a traceparent header (W3C Trace Context, section 3.2).
// Of versions that are not known yet, what version 00 defines is read.
func ParseTraceParent(header string) (t Trace, ok bool) {
	const length = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if len(header) < length || len(header) > TraceBytesMax || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return Trace{}, false
	}
	version, id, parent, flags := header[:2], header[3:35], header[36:52], header[53:length]
	for _, part := range [...]string{version, id, parent, flags} {
		if !isHex(part, len(part)) || strings.ToLower(part) != part {
			return Trace{}, false
		}
	}
	switch {
	case version == "ff", zero(id), zero(parent):
		return Trace{}, false
	case len(header) > length && (version == "00" || header[length] != '-'):
		return Trace{}, false
	}
	t = Trace{Root: rootOf(id), Parent: parent, Sampled: "0"}
	if b := unhex(flags[1]); b&1 == 1 {
		t.Sampled = "1"
	}
	return t, true
}

// TraceOf returns the trace a request belongs to by its two headers, or a new
// one when neither is valid. X-Amzn-Trace-Id decides, as it does for the
// services; a traceparent of the same trace adds what it lacks.
func TraceOf(header, traceparent string, now time.Time) Trace {
	w3c, also := ParseTraceParent(traceparent)
	t, ok := ParseTrace(header)
	switch {
	case ok && also && t.Root == w3c.Root:
		if t.Parent == "" {
			t.Parent = w3c.Parent
		}
		if t.Sampled == "" {
			t.Sampled = w3c.Sampled
		}
		return t
	case ok:
		return t
	case also:
		return w3c
	}
	return NewTrace(now)
}

// String returns t as an X-Amzn-Trace-Id header, "" for no trace.
func (t Trace) String() string {
	if t.Root == "" {
		return ""
	}
	var b strings.Builder
	b.Grow(len("Root=;Parent=;Sampled=1") + len(t.Root) + len(t.Parent) + len(t.rest))
	b.WriteString("Root=")
	b.WriteString(t.Root)
	if t.Parent != "" {
		b.WriteString(";Parent=")
		b.WriteString(t.Parent)
	}
	if t.Sampled != "" {
		b.WriteString(";Sampled=")
		b.WriteString(t.Sampled)
	}
	b.WriteString(t.rest)
	return b.String()
}

// ID returns the trace's ID as the W3C writes it: 32 hexadecimal digits.
func (t Trace) ID() string {
	if len(t.Root) != rootLength {
		return ""
	}
	return t.Root[2:10] + t.Root[11:]
}

// TraceParent returns t as a traceparent header, "" when it has no parent.
func (t Trace) TraceParent() string {
	if t.Root == "" || t.Parent == "" {
		return ""
	}
	flags := "-00"
	if t.Sampled == "1" {
		flags = "-01"
	}
	return "00-" + t.ID() + "-" + t.Parent + flags
}

// Decided says whether somebody has decided if the trace is sampled.
func (t Trace) Decided() bool { return t.Sampled == "0" || t.Sampled == "1" }

// TraceRoot returns the root of a trace that is named in any form: the root
// itself, an ID of the W3C, an X-Amzn-Trace-Id header or a traceparent. It is
// "" when s names no trace.
func TraceRoot(s string) string {
	if t, ok := ParseTrace(s); ok {
		return t.Root
	}
	if t, ok := ParseTraceParent(s); ok {
		return t.Root
	}
	switch {
	case validRoot(s):
		return strings.ToLower(s)
	case isHex(s, 32) && !zero(s):
		return rootOf(strings.ToLower(s))
	}
	return ""
}

const rootLength = len("1-5759e988-bd862e3fe1be46a994272793")

// validRoot says whether s is 1-, eight and then 24 hexadecimal digits, not all of them zero.
func validRoot(s string) bool {
	return len(s) == rootLength && s[:2] == "1-" && s[10] == '-' && isHex(s[2:10], 8) && isHex(s[11:], 24) && (!zero(s[2:10]) || !zero(s[11:]))
}

// rootOf makes a root of 32 hexadecimal digits.
func rootOf(id string) string { return "1-" + id[:8] + "-" + id[8:] }

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if unhex(s[i]) < 0 {
			return false
		}
	}
	return true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func zero(s string) bool { return strings.Trim(s, "0") == "" }

// visible says whether s can be a part of any header.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// TraceState returns a tracestate header as it came in, or "" for one that is
// too long or could not be a header.
func TraceState(header string) string {
	if len(header) > TraceStateBytesMax || !visible(strings.ReplaceAll(header, " ", "")) {
		return ""
	}
	return header
}
