// Package quote writes texts as JSON strings, into buffers of whoever writes the
// rest of a document by hand because it is written by the thousand.
//
// What it writes, package encoding/json reads as the same text, and bytes that
// are not UTF-8 become U+FFFD, as there. Its functions may be called from any goroutine.
package quote

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// plain are the bytes that a JSON string has as they are: most texts have no others.
var plain = func() (table [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// Append appends s as a JSON string.
func Append[T ~string | ~[]byte](dst []byte, s T) []byte {
	return append(AppendInner(append(dst, '"'), s), '"')
}

// AppendInner appends s as the inside of a JSON string.
func AppendInner[T ~string | ~[]byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); {
		for i < len(s) && plain[s[i]] {
			i++
		}
		if i == len(s) {
			break
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[from:i]...), `\ufffd`...)
				from = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(dst, s[from:]...)
}
