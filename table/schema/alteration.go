package schema

import (
	"slices"
	"strings"
	"time"
)

// A Creation is a table as it is asked for. Of the definition, Name,
// Attributes, Key, Indexes, OnDemand, Throughput, Protected, Class and
// Tags count; the rest is filled in.
type Creation struct {
	Definition
	View  View   // of its stream; "" for none
	Label string // of its stream, see table.Stream
}

// An Alteration is what is to change of a table; what is nil stays.
type Alteration struct {
	Table      string
	Attributes []KeyAttribute // that the key of an added index needs, beside those there are
	OnDemand   *bool
	Throughput *Throughput
	Add        *Index
	Remove     string                // an index
	Resize     map[string]Throughput // of indexes
	View       *View                 // of the stream; "" closes it
	Label      string                // of a stream that is opened, see table.Stream
	Protected  *bool
	Class      *string
	Expiry     *ExpirySetting
	Tag        []Tag
	Untag      []string
}

// An ExpirySetting says by which attribute items expire, or that they do not.
type ExpirySetting struct {
	Attribute string
	Enabled   bool
}

// Become is what t is once it is changed to n.
func (t Throughput) Become(n Throughput, now time.Time) Throughput {
	n.Increased, n.Decreased, n.Decreases = t.Increased, t.Decreased, t.Decreases
	if n.Read > t.Read || n.Write > t.Write {
		n.Increased = now
	}
	if n.Read < t.Read || n.Write < t.Write {
		if now.Truncate(24 * time.Hour).After(n.Decreased) {
			n.Decreases = 0
		}
		n.Decreased = now
		n.Decreases++
	}
	return n
}

// A Wish is a table that a deployment declares.
type Wish struct {
	Creation
	Expiry string // the attribute that says when items expire; "" for none
}

// Alike says whether a table can become what another is.
func (s *Table) Alike(d *Definition) bool {
	same := func(a, b KeySchema) bool { return slices.Equal(a.Hash, b.Hash) && slices.Equal(a.Range, b.Range) }
	if !same(s.Key, d.Key) {
		return false
	}
	for _, n := range d.Key.Names() {
		if s.Kind(n) != d.Kind(n) {
			return false
		}
	}
	locals := func(d *Definition) (all []Index) {
		for _, x := range d.Indexes {
			if x.Local {
				x.Number, x.Throughput = 0, Throughput{}
				all = append(all, x)
			}
		}
		slices.SortFunc(all, func(a, b Index) int { return strings.Compare(a.Name, b.Name) })
		return all
	}
	return slices.EqualFunc(locals(s.Definition), locals(d), func(a, b Index) bool {
		return a.Name == b.Name && same(a.Key, b.Key) && a.Projection.Kind == b.Projection.Kind && slices.Equal(a.Projection.Include, b.Projection.Include)
	})
}

// Toward is the alterations that lead from a table to what a wish says. view is
// that of its open stream, "" when there is none.
func (s *Table) Toward(wish *Wish, view View) []Alteration {
	var all []Alteration
	add := func(a Alteration) {
		a.Table = s.Name
		all = append(all, a)
	}
	for i := range s.Indexes {
		x := &s.Indexes[i]
		if y := wish.Index(x.Name); !x.Local && (y == nil || !sameIndex(x, y)) {
			add(Alteration{Remove: x.Name})
		}
	}
	first := Alteration{OnDemand: &wish.OnDemand, Protected: &wish.Protected, Class: &wish.Class, Tag: wish.Tags}
	if !wish.OnDemand && (s.Throughput.Read != wish.Throughput.Read || s.Throughput.Write != wish.Throughput.Write) {
		first.Throughput = &wish.Throughput
	}
	for _, t := range s.Tags {
		if !slices.ContainsFunc(wish.Tags, func(o Tag) bool { return o.Key == t.Key }) {
			first.Untag = append(first.Untag, t.Key)
		}
	}
	for i := range wish.Indexes {
		y := &wish.Indexes[i]
		x := s.Index(y.Name)
		if x != nil && !x.Local && sameIndex(x, y) && !wish.OnDemand && (x.Throughput.Read != y.Throughput.Read || x.Throughput.Write != y.Throughput.Write) {
			if first.Resize == nil {
				first.Resize = map[string]Throughput{}
			}
			first.Resize[y.Name] = y.Throughput
		}
	}
	add(first)
	for i := range wish.Indexes {
		y := wish.Indexes[i]
		if x := s.Index(y.Name); !y.Local && (x == nil || !sameIndex(x, &y)) {
			add(Alteration{Add: &y, Attributes: wish.Attributes})
		}
	}
	none := View("")
	if view != "" && view != wish.View {
		add(Alteration{View: &none})
	}
	if wish.View != "" && view != wish.View {
		add(Alteration{View: &wish.View, Label: wish.Label})
	}
	if s.Expiry != "" && s.Expiry != wish.Expiry {
		add(Alteration{Expiry: &ExpirySetting{Attribute: s.Expiry}})
	}
	if wish.Expiry != "" && s.Expiry != wish.Expiry {
		add(Alteration{Expiry: &ExpirySetting{Attribute: wish.Expiry, Enabled: true}})
	}
	return all
}

func sameIndex(a, b *Index) bool {
	return slices.Equal(a.Key.Hash, b.Key.Hash) && slices.Equal(a.Key.Range, b.Key.Range) && a.Projection.Kind == b.Projection.Kind && slices.Equal(a.Projection.Include, b.Projection.Include)
}
