package pattern

import (
	"fmt"
)

// Criteria are the filters of an event source mapping: a record is wanted
// when one of them wants it. Nil wants every record.
type Criteria struct {
	any []*Pattern
}

// CompileCriteria compiles filters of an event source mapping. They know the
// operators of rules but wildcards. None makes no
// criteria. What is wrong is KindInvalid.
func CompileCriteria(patterns ...string) (*Criteria, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	if len(patterns) > MappingFiltersMax {
		return nil, refused(fmt.Errorf("%d filters: at most %d are taken", len(patterns), MappingFiltersMax))
	}
	c := &Criteria{}
	for _, text := range patterns {
		if n := len([]rune(text)); n > MappingCharacterMax {
			return nil, refused(fmt.Errorf("a filter of %d characters: at most %d are taken", n, MappingCharacterMax))
		}
		p, err := compile(text, false)
		if err != nil {
			return nil, err
		}
		c.any = append(c.any, p)
	}
	return c, nil
}

// Match says whether a record is wanted: its metadata, with what it carries
// under the key its source gives it ([Payload]). A pattern for text does not
// match JSON, nor the other way round.
func (c *Criteria) Match(record Value) bool {
	if c == nil {
		return true
	}
	for _, p := range c.any {
		if p.Matches(record) {
			return true
		}
	}
	return false
}
