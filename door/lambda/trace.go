package lambda

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// traceFieldsMax bounds the fields of a trace header that are passed on.
const traceFieldsMax = 8

// trace returns the trace header an invocation is given: the caller's, with
// what it lacks added, or a new one when the caller sent none that is valid
// (X-Ray Developer Guide, "Tracing header").
func trace(sent string, now time.Time) string {
	var root, parent, sampled, rest string
	n := 0
	for field := range strings.SplitSeq(sent, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		if n++; n > traceFieldsMax || len(sent) > 512 {
			break
		}
		switch name {
		case "Root":
			root = value
		case "Parent":
			parent = value
		case "Sampled":
			sampled = value
		case "Lineage":
			rest += ";" + name + "=" + value
		}
	}
	if !validRoot(root) || !plain(rest) {
		return newTrace(now)
	}
	if !isHex(parent, 16) {
		parent = randomHex(8)
	}
	if sampled != "1" {
		sampled = "0"
	}
	return "Root=" + root + ";Parent=" + parent + ";Sampled=" + sampled + rest
}

func newTrace(now time.Time) string {
	return "Root=1-" + leftPad(strconv.FormatInt(now.Unix()&0xffffffff, 16)) + "-" + randomHex(12) + ";Parent=" + randomHex(8) + ";Sampled=0"
}

func leftPad(s string) string { return "00000000"[:max(0, 8-len(s))] + s }

// validRoot says whether s is 1-, eight and then 24 hexadecimal digits.
func validRoot(s string) bool {
	return len(s) == 35 && s[:2] == "1-" && s[10] == '-' && isHex(s[2:10], 8) && isHex(s[11:], 24)
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func plain(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

func randomHex(n int) string {
	var b [12]byte
	rand.Read(b[:n])
	return hex.EncodeToString(b[:n])
}
