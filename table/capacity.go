package table

import "slices"

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

func (c *Capacity) index(x *Index, units float64) {
	to := &c.Globals
	if x.Local {
		to = &c.Locals
	}
	*to = append(*to, IndexUnits{x.Name, units})
}

func (c *Capacity) scale(by float64) {
	c.Units *= by
	for i := range c.Locals {
		c.Locals[i].Units *= by
	}
	for i := range c.Globals {
		c.Globals[i].Units *= by
	}
}

// AddCapacity adds c to what was used of its table so far.
func AddCapacity(all []Capacity, c Capacity) []Capacity {
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

// readUnits is what reading so many bytes costs.
func readUnits(bytes int, consistent bool) float64 {
	n := float64(max((bytes+readUnitBytes-1)/readUnitBytes, 1))
	if !consistent {
		n /= 2
	}
	return n
}

// writeUnits is what writing so many bytes costs.
func writeUnits(bytes int) float64 {
	return float64(max((bytes+writeUnitBytes-1)/writeUnitBytes, 1))
}
