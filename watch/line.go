package watch

import (
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/quote"
)

// appendLine appends l as one line of JSON, as encoding/json would write it
// but without reflection: at ten thousand runs a second, three lines each,
// that is a tenth of a core.
func appendLine(b []byte, l daruma.Line) []byte {
	b = append(b, `{"time":"`...)
	b = l.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendField(b, "function", l.Function, true)
	b = appendField(b, "version", l.Version, false)
	b = appendField(b, "environment", l.Environment, false)
	b = appendField(b, "request", l.Request, false)
	b = appendField(b, "trace", l.Trace, false)
	b = appendField(b, "stream", l.Stream, true)
	b = appendField(b, "source", l.Source, false)
	b = appendField(b, "text", l.Text, true)
	return append(b, "}\n"...)
}

func appendField(b []byte, name, value string, always bool) []byte {
	if value == "" && !always {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	return quote.Append(b, value)
}
