package pattern

import (
	"fmt"
	"strings"
)

// A wildcard is a text in which each * stands for any characters: what lies
// between them. It is matched from left to right, each part where it comes
// first, so that the time is that of finding each part once.
type wildcard struct {
	parts []string // one more than there are *
}

// wildcardOf reads a text in which * is a wildcard, \* a star and \\ a backslash,
// or says why it is none. Positions count from the quote before the text.
func wildcardOf(s string) (w wildcard, reason string) {
	var part strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '*' && i+1 < len(s) && s[i+1] == '*':
			return w, fmt.Sprintf("Consecutive wildcard characters at pos %d", i+1)
		case s[i] == '*':
			w.parts = append(w.parts, part.String())
			part.Reset()
		case s[i] == '\\' && (i+1 == len(s) || s[i+1] != '*' && s[i+1] != '\\'):
			return w, fmt.Sprintf("Invalid escape character at pos %d", i+1)
		case s[i] == '\\':
			i++
			part.WriteByte(s[i])
		default:
			part.WriteByte(s[i])
		}
	}
	w.parts = append(w.parts, part.String())
	return w, ""
}

func (w wildcard) accepts(v any) bool {
	s, ok := v.(string)
	n := len(w.parts) - 1
	if !ok || n == 0 {
		return ok && s == w.parts[0]
	}
	s, ok = strings.CutPrefix(s, w.parts[0])
	if !ok {
		return false
	}
	for _, part := range w.parts[1:n] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, w.parts[n])
}
