package runtimes

import (
	"strconv"
	"strings"
)

// A version is a version's numbers, the most significant first.
type version []int

// parseVersion reads "v20.11.1" or "3.12"; what is no number ends it.
func parseVersion(text string) version {
	var v version
	for _, part := range strings.Split(strings.TrimPrefix(strings.TrimSpace(text), "v"), ".") {
		end := 0
		for end < len(part) && part[end] >= '0' && part[end] <= '9' {
			end++
		}
		n, err := strconv.Atoi(part[:end])
		if err != nil {
			break
		}
		v = append(v, n)
		if end < len(part) {
			break
		}
	}
	return v
}

// String returns the numbers with dots between them.
func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}

// matches says whether v is what asked asks for, as far as asked goes.
func (v version) matches(asked version) bool {
	return len(v) >= len(asked) && v[:len(asked)].compare(asked) == 0
}

func (v version) compare(w version) int {
	for i := 0; i < len(v) && i < len(w); i++ {
		if v[i] != w[i] {
			return v[i] - w[i]
		}
	}
	return len(v) - len(w)
}

// distance says how far v is from asked in the last number asked names. Of
// two as far away the newer is nearer.
func (v version) distance(asked version) int {
	i := len(asked) - 1
	if len(v) <= i || v[:i].compare(asked[:i]) != 0 {
		return 1 << 20
	}
	if d := v[i] - asked[i]; d >= 0 {
		return 2 * d
	} else {
		return -2*d + 1
	}
}
