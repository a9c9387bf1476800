package statement

import "github.com/daruma-io/daruma/table/value"

// literal reads a value: a parameter, or as it is written.
func (p *parser) literal() (value.Value, error) {
	if err := p.deeper(); err != nil {
		return value.Value{}, err
	}
	defer func() { p.depth-- }()
	switch t := p.next(); {
	case t.sign("?"):
		if p.used == len(p.params) {
			return value.Value{}, errParameters()
		}
		p.used++
		return p.params[p.used-1], nil
	case t.kind == tokenText:
		return value.OfString(t.text), nil
	case t.kind == tokenNumber, t.sign("-") && p.peek().kind == tokenNumber:
		text := t.text
		if t.sign("-") {
			text += p.next().text
		}
		v, err := value.OfNumber(text)
		if err != nil {
			return v, invalid("%s", err.Error())
		}
		return v, nil
	case t.is("true"), t.is("false"):
		return value.OfBool(t.is("true")), nil
	case t.is("null"):
		return value.Nothing(), nil
	case t.sign("["):
		all, err := p.elements("]")
		return value.OfList(all), err
	case t.sign("<<"):
		return p.set(t)
	case t.sign("{"):
		return p.tuple()
	default:
		return value.Value{}, malformed(t, "Expected a value, found %v", t)
	}
}

// elements reads values up to a sign.
func (p *parser) elements(end string) ([]value.Value, error) {
	var all []value.Value
	for !p.sign(end) {
		if len(all) > 0 {
			if err := p.need(","); err != nil {
				return nil, err
			}
		}
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// set reads the elements of a set, which are of one kind and differ.
func (p *parser) set(at token) (value.Value, error) {
	all, err := p.elements(">>")
	if err != nil {
		return value.Value{}, err
	}
	kinds := map[value.Kind]value.Kind{value.String: value.StringSet, value.Number: value.NumberSet, value.Binary: value.BinarySet}
	seen := map[string]bool{}
	for _, v := range all {
		if v.Kind() != all[0].Kind() || kinds[v.Kind()] == value.None || seen[v.Text()] {
			return value.Value{}, malformed(at, "A set has different texts, numbers or binaries")
		}
		seen[v.Text()] = true
	}
	if len(all) == 0 {
		return value.Value{}, malformed(at, "A set may not be empty")
	}
	return value.OfSet(kinds[all[0].Kind()], all), nil
}

func (p *parser) tuple() (value.Value, error) {
	var all []value.Attribute
	for !p.sign("}") {
		if len(all) > 0 {
			if err := p.need(","); err != nil {
				return value.Value{}, err
			}
		}
		t := p.next()
		if t.kind != tokenText && t.kind != tokenQuoted || t.text == "" {
			return value.Value{}, malformed(t, "Expected the name of an attribute in quotes, found %v", t)
		}
		if err := p.need(":"); err != nil {
			return value.Value{}, err
		}
		v, err := p.literal()
		if err != nil {
			return value.Value{}, err
		}
		all = append(all, value.Attribute{Name: t.text, Value: v})
	}
	it, twice, ok := value.Sorted(all)
	if !ok {
		return value.Value{}, invalid("Item has the attribute %s more than once", twice)
	}
	return value.OfMap(it), nil
}
