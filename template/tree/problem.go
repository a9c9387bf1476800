package tree

import (
	"cmp"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a template, or that is right and
// not supported here.
type Problem struct {
	Position Pos    `json:"position"`
	Resource string `json:"resource,omitempty"` // logical ID, or ""
	Type     string `json:"type,omitempty"`     // the resource's type
	Property string `json:"property,omitempty"` // the property's path: "Environment.Variables"
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`    // what to do about it
	Missing  string `json:"missing,omitempty"` // what will be missing when one goes on without

	// Unsupported is set when the template is right and one may go on without what is Missing.
	Unsupported bool `json:"unsupported,omitempty"`
	// Warning is set by Read for what is taken all the same, and hardly meant.
	Warning bool `json:"-"`
}

// Error reads as "template.yaml:12:7: message (hint)".
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Position.String())
	b.WriteString(": ")
	b.WriteString(p.Message)
	if p.Missing != "" {
		b.WriteString("; without it: ")
		b.WriteString(p.Missing)
	}
	if p.Hint != "" {
		b.WriteString(" (")
		b.WriteString(p.Hint)
		b.WriteString(")")
	}
	return b.String()
}

// Problems is a complete list of problems, in the order of their places. As an
// error it has one line for each.
type Problems []Problem

// Error returns all problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each problem as an error.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// Sort puts problems in the order of their places and drops repetitions.
func (ps Problems) Sort() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.Position.File, b.Position.File),
			cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column),
			strings.Compare(a.Message, b.Message),
		)
	})
	return slices.CompactFunc(ps, func(a, b Problem) bool { return a.Position == b.Position && a.Message == b.Message })
}

// Near returns a hint naming the candidate that word was probably meant to
// be, or "" when none is near.
func Near(word string, candidates []string) string {
	best, distance := "", len(word)/3+1
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return "did you mean " + c + "?"
		}
		if d := edits(strings.ToLower(word), strings.ToLower(c), distance); d < distance {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

// edits returns how many letters must be put in, taken out, changed or swapped to
// make b of a, or limit when it is that many or more.
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			next[j+1] = min(next[j]+1, row[j+1]+1, row[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return min(row[len(b)], limit)
}
