package daruma

import (
	"fmt"
	"strconv"
	"strings"
)

// ChainMax is how many invocations one function may have in one chain of
// invocations. One more is a loop (Lambda Developer Guide, "Use Lambda
// recursive loop detection to prevent infinite loops": about 16 times).
const ChainMax = 16

// What a chain may hold, so that a trace header stays short.
const (
	lineageMax = 24     // functions in a chain; the one invoked longest ago is forgotten first
	countMax   = 999999 // invocations that are counted
)

// Chained returns a trace header with one more invocation of function counted
// in it, and how many the chain that led here now has: 1 for the first.
//
// The count lies in the header's Lineage field: functions hand the header on
// with what they send, and so it follows a chain from event to event. An entry
// is a hash of a function's name and how often it was invoked before. Entries
// that are not ours are kept; what is no entry is left out.
func Chained(trace, function string) (header string, invocations int) {
	own := lineageOf(function)
	header, entries := split(trace)
	kept := entries[:0]
	count := 0
	for _, e := range entries {
		if e.function == own {
			count = min(e.count+1, countMax)
			continue
		}
		kept = append(kept, e)
	}
	kept = append(kept, lineage{own, count})
	if len(kept) > lineageMax {
		kept = kept[len(kept)-lineageMax:]
	}
	var b strings.Builder
	b.WriteString(header)
	for i, e := range kept {
		switch {
		case i > 0:
			b.WriteByte('|')
		case header != "":
			b.WriteString(";Lineage=")
		default:
			b.WriteString("Lineage=")
		}
		b.WriteString(e.function)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(e.count))
	}
	return b.String(), count + 1
}

// Unchained returns a trace header that counts no invocations: a person who
// sends an event on its way again begins a new chain.
func Unchained(trace string) string {
	header, _ := split(trace)
	return header
}

// Chain returns how many invocations of function a trace header counts, the
// one it belongs to among them; 0 when it counts none. More than ChainMax are
// a loop.
func Chain(trace, function string) int {
	own := lineageOf(function)
	_, entries := split(trace)
	for _, e := range entries {
		if e.function == own {
			return e.count + 1
		}
	}
	return 0
}

// A lineage is one function in a chain.
type lineage struct {
	function string // eight hexadecimal digits
	count    int    // invocations before the last
}

// lineageOf returns what stands for a function: the FNV-1a hash of its name.
func lineageOf(function string) string {
	h := uint32(2166136261)
	for i := range len(function) {
		h = (h ^ uint32(function[i])) * 16777619
	}
	return fmt.Sprintf("%08x", h)
}

// split takes the Lineage out of a trace header. An entry is "hash:count" or,
// as newer headers have it, "version:hash:count"; of two for one function the
// higher count holds.
func split(trace string) (rest string, entries []lineage) {
	if !strings.Contains(trace, "Lineage=") {
		return trace, nil
	}
	var fields []string
	for field := range strings.SplitSeq(trace, ";") {
		value, ok := strings.CutPrefix(strings.TrimSpace(field), "Lineage=")
		if !ok {
			fields = append(fields, field)
			continue
		}
		for text := range strings.SplitSeq(value, "|") {
			if e, ok := parseLineage(text); ok {
				entries = merge(entries, e)
			}
		}
	}
	return strings.Join(fields, ";"), entries
}

func merge(entries []lineage, e lineage) []lineage {
	for i := range entries {
		if entries[i].function == e.function {
			entries[i].count = max(entries[i].count, e.count)
			return entries
		}
	}
	if len(entries) == lineageMax {
		entries = entries[1:]
	}
	return append(entries, e)
}

func parseLineage(text string) (lineage, bool) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		parts = parts[1:]
	}
	if len(parts) != 2 || len(parts[0]) != 8 || strings.Trim(parts[0], "0123456789abcdef") != "" || len(parts[1]) > 6 || strings.Trim(parts[1], "0123456789") != "" {
		return lineage{}, false
	}
	n, err := strconv.Atoi(parts[1])
	return lineage{parts[0], n}, err == nil
}
