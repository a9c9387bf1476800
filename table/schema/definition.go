// Package schema says what a table is: its keys, its indexes, its throughput, what
// may be changed of them, and where its items lie in the store. Rules are those of
// the AWS API Reference; refusals say so in the service's words.
//
// It holds nothing and does no I/O: a [Definition] does not change, and a [Table] is
// what is worked out of one. Both may be used from any goroutine.
package schema

import (
	"time"

	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/table/value"
)

// Limits of tables.
const (
	TablesMax         = 2500      // in one cell
	GlobalIndexesMax  = 20        // of one table
	LocalIndexesMax   = 5         // of one table
	KeyAttributesMax  = 4         // of the hash, and of the range, of a global index
	ItemBytesMax      = 400 << 10 // of one item, names included
	hashBytesMax      = 2048
	rangeBytesMax     = 1024
	ThroughputMax     = 1_000_000_000_000
	nonKeyProjections = 100 // attributes that the indexes of a table name, together
)

// A Definition is what a table is. It does not change; a table that is changed
// gets another.
type Definition struct {
	Name         string         `json:"name"`
	ID           string         `json:"id"` // a UUID; a table made anew has another
	Number       uint32         `json:"number"`
	Created      time.Time      `json:"created"`
	Attributes   []KeyAttribute `json:"attributes"`
	Key          KeySchema      `json:"key"`
	Indexes      []Index        `json:"indexes,omitempty"`
	NextIndex    uint32         `json:"nextIndex"`
	OnDemand     bool           `json:"onDemand,omitempty"`
	Billed       *time.Time     `json:"billed,omitempty"` // when it was last made on-demand
	Throughput   Throughput     `json:"throughput"`
	Stream       uint32         `json:"stream,omitempty"`       // the number of the open stream; 0: none
	LastStream   uint32         `json:"lastStream,omitempty"`   // of the latest one, open or not
	Expiry       string         `json:"expiry,omitempty"`       // the attribute that says when an item expires; "" none
	Expired      time.Time      `json:"expired,omitzero"`       // when that was last changed
	ExpiryCursor []byte         `json:"expiryCursor,omitempty"` // the last item whose time is noted, while that is under way
	Protected    bool           `json:"protected,omitempty"`
	Class        string         `json:"class,omitempty"`
	Declared     string         `json:"declared,omitempty"` // the name under which a deployment declares it; "" for one made by hand
	Retain       bool           `json:"retain,omitempty"`   // it stays when no deployment declares it any more
	Tags         []Tag          `json:"tags,omitempty"`
}

// A KeyAttribute is an attribute some key is made of.
type KeyAttribute struct {
	Name string     `json:"name"`
	Kind value.Kind `json:"kind"` // String, Number or Binary
}

// A KeySchema says which attributes are a key. A table and a local index have
// one hash attribute and at most one range attribute, a global index may have several.
type KeySchema struct {
	Hash  []string `json:"hash"`
	Range []string `json:"range,omitempty"`
}

// Names returns the attributes of the key, in order.
func (k KeySchema) Names() []string { return append(k.Hash[:len(k.Hash):len(k.Hash)], k.Range...) }

// An Index is another order of a table's items.
type Index struct {
	Name       string     `json:"name"`
	Number     uint32     `json:"number"` // of its entries; from 1
	Local      bool       `json:"local,omitempty"`
	Key        KeySchema  `json:"key"`
	Projection Projection `json:"projection"`
	Throughput Throughput `json:"throughput"`
	Building   bool       `json:"building,omitempty"` // it was added and does not have all items yet
	Cursor     []byte     `json:"cursor,omitempty"`   // the key of the last item it has got while it is being built
}

// A ProjectionKind says what of an item is in an index.
type ProjectionKind string

// The kinds of projection.
const (
	ProjectAll     ProjectionKind = "ALL"
	ProjectKeys    ProjectionKind = "KEYS_ONLY"
	ProjectInclude ProjectionKind = "INCLUDE"
)

// A Projection is what of an item is in an index.
type Projection struct {
	Kind    ProjectionKind `json:"kind"`
	Include []string       `json:"include,omitempty"`
}

// Throughput is what is provisioned, in units per second; zero on demand.
type Throughput struct {
	Read      int64     `json:"read"`
	Write     int64     `json:"write"`
	Increased time.Time `json:"increased,omitzero"`
	Decreased time.Time `json:"decreased,omitzero"`
	Decreases int       `json:"decreases,omitempty"` // on the day of Decreased
}

// A Tag is a word about a table, for people.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Definitions is how definitions are kept.
//
//	1: the first
func Definitions() cell.Format[Definition] {
	return cell.Format[Definition]{Kind: "table", Version: 1}
}

// Index returns the index called name, or nil.
func (d *Definition) Index(name string) *Index {
	for i := range d.Indexes {
		if d.Indexes[i].Name == name {
			return &d.Indexes[i]
		}
	}
	return nil
}

// Kind is what a key attribute is.
func (d *Definition) Kind(name string) value.Kind {
	for i := range d.Attributes {
		if d.Attributes[i].Name == name {
			return d.Attributes[i].Kind
		}
	}
	return value.None
}

// Clone copies d as far as a change may reach.
func (d *Definition) Clone() *Definition {
	c := *d
	c.Attributes = append([]KeyAttribute(nil), d.Attributes...)
	c.Indexes = append([]Index(nil), d.Indexes...)
	c.Tags = append([]Tag(nil), d.Tags...)
	return &c
}

// A View says what of an item is in its changes, beside its key.
type View string

// The views.
const (
	ViewKeys View = "KEYS_ONLY"
	ViewNew  View = "NEW_IMAGE"
	ViewOld  View = "OLD_IMAGE"
	ViewBoth View = "NEW_AND_OLD_IMAGES"
)
