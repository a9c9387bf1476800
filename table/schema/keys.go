package schema

import (
	"slices"

	"github.com/daruma-io/daruma/table/expression"
	"github.com/daruma-io/daruma/table/refuse"
	"github.com/daruma-io/daruma/table/value"
)

// CheckKey checks a key that was given as one.
func (s *Table) CheckKey(key value.Item) error {
	if len(key) != len(s.keyNames) {
		return refuse.NoKey()
	}
	for _, n := range s.keyNames {
		v, _ := key.Get(n)
		if err := s.CheckKeyValue(n, v); err != nil {
			return err
		}
	}
	return nil
}

// CheckItem checks the key attributes of an item that is put.
func (s *Table) CheckItem(it value.Item) error {
	for _, n := range s.keyNames {
		v, ok := it.Get(n)
		if !ok {
			return refuse.Mismatch("%sMissing the key %s in the item", refuse.WrongParameters, n)
		}
		if v.Kind() != s.Kind(n) {
			return refuse.Mismatch("%sType mismatch for key %s expected: %s actual: %s", refuse.WrongParameters, n, s.Kind(n), v.Kind())
		}
	}
	return s.checkKeyValues(it)
}

// EmptyWord is what the service calls an empty value of a kind.
func EmptyWord(k value.Kind) string {
	if k == value.Binary {
		return "binary"
	}
	return "string"
}

func (s *Table) checkKeyValues(it value.Item) error {
	for _, n := range s.keyNames {
		v, _ := it.Get(n)
		if err := s.CheckKeyValue(n, v); err != nil {
			return err
		}
	}
	return nil
}

// CheckKeyValue checks one attribute of a key, of the table or an index.
func (s *Table) CheckKeyValue(name string, v value.Value) error {
	switch {
	case v.Kind() != s.Kind(name) || v.Kind() == value.None:
		return refuse.NoKey()
	case v.Kind() == value.Number:
	case v.Text() == "":
		return refuse.Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", EmptyWord(v.Kind()), name)
	case name != s.Sort && len(v.Text()) > hashBytesMax:
		return refuse.Invalid("%sSize of hashkey has exceeded the maximum size limit of%d bytes", refuse.WrongParameters, hashBytesMax)
	case name == s.Sort && len(v.Text()) > rangeBytesMax:
		return refuse.Invalid("%sAggregated size of all range keys has exceeded the size limit of %d bytes", refuse.WrongParameters, rangeBytesMax)
	}
	return nil
}

// CheckPaths refuses paths of an expression that lead into attributes which keys
// are made of; e is nil where there is none.
func (s *Table) CheckPaths(e *expression.Bound) error {
	if e == nil {
		return nil
	}
	const scalars = "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
	nested := e.Nested()
	if len(nested) == 0 {
		return nil
	}
	for _, n := range s.keyNames {
		if slices.Contains(nested, n) {
			return refuse.Invalid(scalars+"Key: %s", n)
		}
	}
	for i := range s.Indexes {
		for _, n := range s.Indexes[i].Key.Names() {
			if slices.Contains(nested, n) {
				return refuse.Invalid(scalars+"IndexKey: %s", n)
			}
		}
	}
	return nil
}

// CheckIndexKinds checks an update by itself: what it makes of attributes that indexes
// are ordered by.
func (s *Table) CheckIndexKinds(update *expression.Bound) error {
	for i := range s.Indexes {
		for _, n := range s.Indexes[i].Key.Names() {
			if k := update.Assigned(n); k != value.None && k != s.Kind(n) {
				return s.wrongKind(&s.Indexes[i], n, k)
			}
		}
	}
	return nil
}

func (s *Table) wrongKind(x *Index, name string, is value.Kind) error {
	return refuse.Mismatch("%sType mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", refuse.WrongParameters, name, s.Kind(name), is, x.Name)
}

// CheckIndexKeys checks the attributes of an item that indexes are ordered by.
// update says that they came about by an update.
func (s *Table) CheckIndexKeys(it value.Item, update bool) error {
	for i := range s.Orders {
		x := s.Orders[i].Index
		hash := 0
		sort := 0
		for k, n := range x.Key.Names() {
			v, ok := it.Get(n)
			if !ok {
				continue
			}
			switch want := s.Kind(n); {
			case v.Kind() != want && update:
				return refuse.Invalid("The update expression attempted to update the secondary index key to unsupported type")
			case v.Kind() != want:
				return s.wrongKind(x, n, v.Kind())
			case want != value.Number && v.Text() == "" && update:
				return refuse.Invalid("One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty %s value.", EmptyWord(want))
			case want != value.Number && v.Text() == "":
				return refuse.Invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s", EmptyWord(want), x.Name, n)
			}
			if k < len(x.Key.Hash) {
				hash += len(v.Text())
			} else {
				sort += len(v.Text())
			}
		}
		if hash > hashBytesMax {
			return refuse.Invalid("%sSize of hashkey has exceeded the maximum size limit of%d bytes", refuse.WrongParameters, hashBytesMax)
		}
		if sort > rangeBytesMax {
			return refuse.Invalid("%sAggregated size of all range keys has exceeded the size limit of %d bytes", refuse.WrongParameters, rangeBytesMax)
		}
	}
	return nil
}
