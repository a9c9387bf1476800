package template

import (
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/template/tree"
)

// recordIn reads whether a function's exchanges with hosts outside are kept
// with its failures: Record: true, or Record: {Redact: [names]} to leave out
// the values of headers, parameters and members with these names.
func (l *loader) recordIn(f *catalog.Function, p *properties) {
	v := p.value("Record")
	if v == nil || v.Kind == tree.Broken {
		return
	}
	if v.Kind != tree.Map {
		f.Record = p.boolean("Record")
		return
	}
	s := p.sub("Record")
	f.Record, f.RecordRedact = true, s.texts("Redact")
	s.done()
}
