package intrinsic

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// names are all functions, for hints.
var names = []string{
	"Ref", "Fn::Base64", "Fn::Cidr", "Fn::FindInMap", "Fn::GetAtt", "Fn::GetAZs", "Fn::If", "Fn::ImportValue", "Fn::Join", "Fn::Length",
	"Fn::Select", "Fn::Split", "Fn::Sub", "Fn::ToJsonString", "Fn::Transform", "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not",
}

// table returns the function of the given name, or nil.
func table(name string) func(*Scope, call) *tree.Node {
	switch name {
	case "Fn::Base64":
		return base64Of
	case "Fn::Cidr":
		return cidr
	case "Fn::FindInMap":
		return findInMap
	case "Fn::GetAtt":
		return getAtt
	case "Fn::GetAZs":
		return getAZs
	case "Fn::If":
		return ifElse
	case "Fn::ImportValue":
		return importValue
	case "Fn::Join":
		return join
	case "Fn::Length":
		return length
	case "Fn::Select":
		return selectOne
	case "Fn::Split":
		return split
	case "Fn::Sub":
		return sub
	case "Fn::ToJsonString":
		return toJSON
	case "Fn::Transform":
		return transform
	}
	return nil
}

func ref(s *Scope, c call) *tree.Node {
	if c.arg.Kind != tree.String && !s.Extensions {
		s.fault(c.at, "Template format error: Ref takes the name of a parameter or a resource", "")
		return broken(c.arg)
	}
	id, _, ok := s.text(c.arg, "Ref's argument")
	if !ok {
		return broken(c.arg)
	}
	return s.refTo(id, c.at)
}

// refTo returns what Ref says about a parameter or a resource.
func (s *Scope) refTo(id string, at tree.Pos) *tree.Node {
	if v, found := s.Parameters[id]; found {
		if v == nil {
			return nil
		}
		moved := *v
		moved.Pos = at
		return s.dynamic(&moved)
	}
	if s.Resources == nil {
		s.fault(at, "Template format error: Unresolved dependencies ["+id+"]. Cannot reference resources in the Conditions block of the template", s.near(id))
		return &tree.Node{Pos: at}
	}
	if v := s.Resources.Ref(id, at); v != nil {
		return v
	}
	return &tree.Node{Pos: at}
}

func (s *Scope) near(id string) string {
	known := make([]string, 0, len(s.Parameters))
	for name := range s.Parameters {
		known = append(known, name)
	}
	slices.Sort(known)
	return tree.Near(id, known)
}

func getAtt(s *Scope, c call) *tree.Node {
	var parts []string
	switch c.arg.Kind {
	case tree.String:
		parts = strings.SplitN(c.arg.Text, ".", 2)
	case tree.List:
		for _, item := range c.arg.Items {
			t, _, ok := s.text(item, "an argument of Fn::GetAtt")
			if !ok {
				return broken(c.arg)
			}
			parts = append(parts, t)
		}
	}
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		s.fault(c.at, "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute", "")
		return broken(c.arg)
	}
	// SAM's names have dots of their own: [Function.Version, Version].
	id, name, _ := strings.Cut(strings.Join(parts, "."), ".")
	return s.attribute(id, name, c.at)
}

func (s *Scope) attribute(id, name string, at tree.Pos) *tree.Node {
	if s.Resources == nil {
		s.fault(at, "Template format error: Unresolved dependencies ["+id+"]. Cannot reference resources in the Conditions block of the template", "")
		return &tree.Node{Pos: at}
	}
	if v := s.Resources.Attribute(id, name, at); v != nil {
		return v
	}
	return &tree.Node{Pos: at}
}

// textAndList works out the arguments of a function that takes a text, which
// is called what, and a list. Without a list, instead is the function's value.
func (s *Scope) textAndList(c call, what string) (text string, refs []tree.Ref, list, instead *tree.Node) {
	args, ok := s.items(c, 2, 2)
	if !ok {
		return "", nil, nil, broken(c.arg)
	}
	if text, refs, ok = s.text(args[0], what); !ok {
		return "", nil, nil, broken(c.arg)
	}
	list = s.Eval(args[1])
	switch {
	case list != nil && list.IsScalar() && len(list.Refs) > 0:
		return "", nil, nil, list
	case list == nil || list.Kind != tree.List:
		return "", nil, nil, s.noList(list, c)
	}
	return text, refs, list, nil
}

func join(s *Scope, c call) *tree.Node {
	separator, refs, list, instead := s.textAndList(c, "Fn::Join's delimiter")
	if list == nil {
		return instead
	}
	var b strings.Builder
	for i, item := range list.Items {
		if item.Kind == tree.Broken {
			return broken(c.arg)
		}
		if !item.IsScalar() {
			s.fault(item.Pos, "Template error: every Fn::Join object requires a list of strings; this is "+item.Kind.String(), "")
			return broken(c.arg)
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(item.Text)
		refs = with(refs, item.Refs)
		if b.Len() > textBytesMax {
			break
		}
	}
	return s.dynamic(s.made(c.at, b.String(), refs))
}

func (s *Scope) noList(v *tree.Node, c call) *tree.Node {
	if v == nil || v.Kind != tree.Broken {
		what := "AWS::NoValue"
		if v != nil {
			what = v.Kind.String()
		}
		s.fault(c.at, fmt.Sprintf("Template error: %s needs a list, not %s", c.name, what), "")
	}
	return broken(c.arg)
}

func selectOne(s *Scope, c call) *tree.Node {
	index, _, list, instead := s.textAndList(c, "Fn::Select's index")
	if list == nil {
		return instead
	}
	i, err := strconv.Atoi(strings.TrimSpace(index))
	if err != nil {
		s.fault(c.at, "Template error: Fn::Select requires a list argument with a valid index value; "+strconv.Quote(index)+" is no number", "")
		return broken(c.arg)
	}
	if i < 0 || i >= len(list.Items) {
		if len(list.Refs) > 0 {
			return s.made(c.at, list.Refs[0].ID, list.Refs)
		}
		s.fault(c.at, fmt.Sprintf("Template error: Fn::Select cannot select nonexistent value at index %d", i), fmt.Sprintf("the list has %d elements", len(list.Items)))
		return broken(c.arg)
	}
	return list.Items[i]
}

func split(s *Scope, c call) *tree.Node {
	args, ok := s.items(c, 2, 2)
	if !ok {
		return broken(c.arg)
	}
	separator, _, ok1 := s.text(args[0], "Fn::Split's delimiter")
	text, refs, ok2 := s.text(args[1], "Fn::Split's source")
	if !ok1 || !ok2 {
		return broken(c.arg)
	}
	if separator == "" {
		s.fault(c.at, "Template error: Fn::Split needs a delimiter that is not empty", "")
		return broken(c.arg)
	}
	pieces := strings.Split(text, separator)
	if !s.spend(len(pieces)*nodeBytes, c.at) {
		return broken(c.arg)
	}
	list := &tree.Node{Pos: c.at, Kind: tree.List, Refs: refs}
	for _, piece := range pieces {
		list.Items = append(list.Items, &tree.Node{Pos: c.at, Kind: tree.String, Text: piece, Refs: refs})
	}
	return list
}

func findInMap(s *Scope, c call) *tree.Node {
	args, ok := s.items(c, 3, 4)
	if !ok {
		return broken(c.arg)
	}
	var keys [3]string
	for i := range keys {
		if keys[i], _, ok = s.text(args[i], "an argument of Fn::FindInMap"); !ok {
			return broken(c.arg)
		}
	}
	if v := s.Mappings.Get(keys[0]).Get(keys[1]).Get(keys[2]); v != nil {
		return s.Eval(v)
	}
	if len(args) == 4 {
		fallback := args[3].Get("DefaultValue")
		switch {
		case fallback == nil:
			s.fault(args[3].Pos, "the fourth element of Fn::FindInMap must be a map with DefaultValue", "")
			return broken(c.arg)
		case !s.Extensions:
			s.fault(args[3].Pos, "DefaultValue needs the transform AWS::LanguageExtensions", "add it to Transform")
			return broken(c.arg)
		}
		return s.Eval(fallback)
	}
	hint := ""
	if s.Mappings.Get(keys[0]) == nil && s.Mappings != nil {
		hint = tree.Near(keys[0], s.Mappings.Names())
	}
	s.fault(c.at, "Template error: Unable to get mapping for "+strings.Join(keys[:], "::"), hint)
	return broken(c.arg)
}

func ifElse(s *Scope, c call) *tree.Node {
	args, ok := s.items(c, 3, 3)
	if !ok {
		return broken(c.arg)
	}
	var holds bool
	if args[0].Kind == tree.String {
		holds, ok = s.Holds(args[0].Text, args[0].Pos)
	} else {
		holds, ok = s.truthOf(args[0])
	}
	switch {
	case !ok:
		return broken(c.arg)
	case holds:
		return s.Eval(args[1])
	}
	return s.Eval(args[2])
}

func base64Of(s *Scope, c call) *tree.Node {
	text, refs, ok := s.text(c.arg, "Fn::Base64's argument")
	if !ok {
		return broken(c.arg)
	}
	return s.made(c.at, base64.StdEncoding.EncodeToString([]byte(text)), refs)
}

func getAZs(s *Scope, c call) *tree.Node {
	region := ""
	if c.arg.Kind != tree.Null {
		var ok bool
		if region, _, ok = s.text(c.arg, "Fn::GetAZs' region"); !ok {
			return broken(c.arg)
		}
	}
	if region == "" {
		region = s.Region
	}
	list := &tree.Node{Pos: c.at, Kind: tree.List}
	for _, zone := range "abc" {
		list.Items = append(list.Items, tree.Text(c.at, region+string(zone)))
	}
	return list
}

func importValue(s *Scope, c call) *tree.Node {
	name, _, ok := s.text(c.arg, "Fn::ImportValue's argument")
	if !ok {
		return broken(c.arg)
	}
	s.unsupported(c.at, "Fn::ImportValue is not supported: there are no other stacks to import "+strconv.Quote(name)+" from", "the value of "+s.Path()+"; the export's name stands in its place", "make it a parameter and give its value")
	return s.made(c.at, name, []tree.Ref{{ID: name}})
}

func length(s *Scope, c call) *tree.Node {
	list := s.Eval(c.arg)
	if list == nil || list.Kind != tree.List {
		return s.noList(list, c)
	}
	return &tree.Node{Pos: c.at, Kind: tree.Number, Text: strconv.Itoa(len(list.Items))}
}

const includes = "AWS::Include"

func transform(s *Scope, c call) *tree.Node {
	name := c.arg.Get("Name")
	if name.IsScalar() && name.Text == includes {
		return include(s, c)
	}
	macro := "a macro"
	if name.IsScalar() {
		macro = name.Text
	}
	s.unsupported(c.at, "Fn::Transform of "+macro+" is not supported", "what "+macro+" would put at "+s.Path(), "write the content into the template")
	return &tree.Node{Pos: c.at}
}

// include puts the content of a file where AWS::Include names it, its functions worked out.
func include(s *Scope, c call) *tree.Node {
	at := c.arg.Get("Parameters").Get("Location")
	switch {
	case at == nil:
		s.fault(c.at, includes+" needs Parameters with a Location", "name a file, relative to the template")
	case s.included:
		s.fault(c.at, includes+" may not stand in a file that is included", "name the file in the template")
	case s.Include == nil:
		s.unsupported(c.at, includes+" is not supported here", "what it would put at "+s.Path(), "write the content into the template")
	default:
		location, _, ok := s.text(at, "the Location of "+includes)
		if !ok {
			break
		}
		doc := s.Include(location, at.Pos)
		if doc == nil {
			break
		}
		s.included = true
		defer func() { s.included = false }()
		return s.Eval(doc)
	}
	return broken(c.arg)
}

func toJSON(s *Scope, c call) *tree.Node {
	v := s.Eval(c.arg)
	if v == nil || v.Kind != tree.Map && v.Kind != tree.List {
		if v == nil || v.Kind != tree.Broken {
			s.fault(c.at, "Template error: Fn::ToJsonString needs a map or a list", "")
		}
		return broken(c.arg)
	}
	var b bytes.Buffer
	var refs []tree.Ref
	if !writeJSON(&b, v, &refs) {
		return broken(c.arg)
	}
	return s.made(c.at, b.String(), refs)
}

// writeJSON writes v with its fields in the order they were written. It says false when part of v is Broken.
func writeJSON(b *bytes.Buffer, v *tree.Node, refs *[]tree.Ref) bool {
	ok := b.Len() <= textBytesMax
	if !ok {
		return true // made complains about the length
	}
	*refs = with(*refs, v.Refs)
	switch v.Kind {
	case tree.Broken:
		return false
	case tree.Null:
		b.WriteString("null")
	case tree.Bool:
		b.WriteString(v.Text)
	case tree.Number:
		if json.Valid([]byte(v.Text)) {
			b.WriteString(v.Text)
		} else {
			encoded, _ := json.Marshal(v.Value())
			b.Write(encoded)
		}
	case tree.String:
		quote(b, v.Text)
	case tree.List:
		b.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			ok = writeJSON(b, item, refs) && ok
		}
		b.WriteByte(']')
	case tree.Map:
		b.WriteByte('{')
		for i, f := range v.Fields {
			if i > 0 {
				b.WriteByte(',')
			}
			quote(b, f.Name)
			b.WriteByte(':')
			ok = writeJSON(b, f.Value, refs) && ok
		}
		b.WriteByte('}')
	}
	return ok
}

func quote(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)         // a string to memory
	b.Truncate(b.Len() - 1) // the encoder's line end
}
