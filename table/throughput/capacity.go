// Package throughput counts what requests use of tables and indexes, and refuses
// them when what is provisioned is used up: a bucket for each table and index, and
// for reads and writes, that holds five minutes' worth. It promises nothing over a
// restart, after which every bucket is full. [Meters] may be used from any goroutine.
package throughput

import (
	"github.com/daruma-io/daruma/table/schema"
	"slices"
)

// What a unit of capacity pays for, in bytes (Developer Guide, "Read and write
// operations").
const (
	readUnitBytes  = 4 << 10
	writeUnitBytes = 1 << 10
)

// Capacity is what a request used of a table and its indexes, in units.
type Capacity struct {
	Table           string
	Write           bool // units of writing, else of reading
	Units           float64
	Locals, Globals []IndexUnits
}

// IndexUnits is what a request used of an index.
type IndexUnits struct {
	Name  string
	Units float64
}

// Total is what was used of the table and all of its indexes.
func (c *Capacity) Total() float64 {
	n := c.Units
	for _, x := range c.Locals {
		n += x.Units
	}
	for _, x := range c.Globals {
		n += x.Units
	}
	return n
}

// Index counts what was used of an index.
func (c *Capacity) Index(x *schema.Index, units float64) {
	to := &c.Globals
	if x.Local {
		to = &c.Locals
	}
	*to = append(*to, IndexUnits{x.Name, units})
}

// Scale counts everything as many times.
func (c *Capacity) Scale(by float64) {
	c.Units *= by
	for i := range c.Locals {
		c.Locals[i].Units *= by
	}
	for i := range c.Globals {
		c.Globals[i].Units *= by
	}
}

// Add adds c to what was used of its table so far.
func Add(all []Capacity, c Capacity) []Capacity {
	i := slices.IndexFunc(all, func(o Capacity) bool { return o.Table == c.Table })
	if i < 0 {
		c.Locals, c.Globals = slices.Clone(c.Locals), slices.Clone(c.Globals)
		return append(all, c)
	}
	all[i].Units += c.Units
	all[i].Write = all[i].Write || c.Write
	all[i].Locals = addUnits(all[i].Locals, c.Locals)
	all[i].Globals = addUnits(all[i].Globals, c.Globals)
	return all
}

func addUnits(all, more []IndexUnits) []IndexUnits {
	for _, m := range more {
		i := slices.IndexFunc(all, func(o IndexUnits) bool { return o.Name == m.Name })
		if i < 0 {
			all = append(all, m)
			continue
		}
		all[i].Units += m.Units
	}
	return all
}

// ReadUnits is what reading so many bytes costs.
func ReadUnits(bytes int, consistent bool) float64 {
	n := float64(max((bytes+readUnitBytes-1)/readUnitBytes, 1))
	if !consistent {
		n /= 2
	}
	return n
}

// WriteUnits is what writing so many bytes costs.
func WriteUnits(bytes int) float64 {
	return float64(max((bytes+writeUnitBytes-1)/writeUnitBytes, 1))
}
