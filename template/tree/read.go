package tree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Read reads a document. file is the name that positions carry. The node is
// nil when there is nothing to go on with; problems may be there in any case.
func Read(file string, data []byte) (*Node, Problems) {
	if len(data) > BytesMax {
		return nil, Problems{{Position: Pos{File: file}, Message: fmt.Sprintf("the template is %d bytes long; the limit is %d", len(data), BytesMax)}}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if first := bytes.TrimLeft(data, " \t\r\n"); strings.HasSuffix(file, ".json") || len(first) > 0 && first[0] == '{' {
		n, problems := readJSON(file, data)
		if n != nil || strings.HasSuffix(file, ".json") {
			return n, problems
		}
	}
	return readYAML(file, data)
}

func readYAML(file string, data []byte) (*Node, Problems) {
	r := reader{file: file, data: data}
	var doc yaml.Node
	err := load(data, &doc)
	for range bareDashesMax {
		if err == nil {
			break
		}
		quoted := quoteDash(data, err)
		if quoted == nil {
			break
		}
		data, doc = quoted, yaml.Node{}
		err = load(data, &doc)
	}
	if err != nil {
		r.syntax(err)
		return nil, r.problems
	}
	if len(doc.Content) == 0 {
		r.fault(Pos{File: file, Line: 1, Column: 1}, "the template is empty", "")
		return nil, r.problems
	}
	n := r.node(doc.Content[0], 0)
	if r.over {
		return nil, r.problems
	}
	return n, r.problems
}

// bareDashesMax is how many dashes of one template are put in quotes.
const bareDashesMax = 16

// quoteDash puts quotes around the dash that the library stopped at, when it
// is all of a value in a flow list: "!Split [ -, x ]". YAML 1.2 refuses it;
// CloudFormation and the SAM CLI read YAML 1.1 and take it. It returns nil
// when that is not what is wrong.
func quoteDash(data []byte, err error) []byte {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok || e.Mark.Line < 1 || e.Mark.Column < 1 {
		return nil
	}
	at := 0
	for range e.Mark.Line - 1 {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return nil
		}
		at += i + 1
	}
	for range e.Mark.Column - 1 {
		_, size := utf8.DecodeRune(data[at:])
		at += size
	}
	rest := bytes.TrimLeft(bytes.TrimPrefix(data[min(at, len(data)):], []byte("-")), " ")
	if at >= len(data) || data[at] != '-' || len(rest) == 0 || rest[0] != ',' && rest[0] != ']' {
		return nil
	}
	return slices.Concat(data[:at], []byte(`"-"`), data[at+1:])
}

// load makes a panic of the YAML library an error: what it is given comes from outside.
func load(data []byte, doc *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML reader gave up: %v", p)
		}
	}()
	return yaml.Load(data, doc)
}

// reader turns the library's nodes into ours.
type reader struct {
	file     string
	data     []byte
	nodes    int
	over     bool // a limit was reached
	problems Problems
}

func (r *reader) fault(p Pos, message, hint string) {
	r.problems = append(r.problems, Problem{Position: p, Message: message, Hint: hint})
}

func (r *reader) syntax(err error) {
	p := Pos{File: r.file, Line: 1, Column: 1}
	message := err.Error()
	if all, ok := errors.AsType[*yaml.LoadErrors](err); ok { // first: it passes for a LoadError too
		if len(all.Errors) > 0 {
			message = strings.TrimPrefix(all.Errors[0].Message, "yaml: ")
		}
	} else if one, ok := errors.AsType[*yaml.LoadError](err); ok {
		message = one.Message
		if one.Mark.Line > 0 {
			p.Line, p.Column = one.Mark.Line, one.Mark.Column
		}
	}
	hint := ""
	switch {
	case strings.Contains(message, "no documents in stream"):
		message = "the template is empty"
	case strings.Contains(message, "found character that cannot start any token"):
		hint = badStart(r.line(p.Line), p.Column)
	}
	r.fault(p, "Template format error: YAML not well-formed: "+message, hint)
}

// line is a line of the document, counted from 1.
func (r *reader) line(number int) string {
	lines := strings.SplitN(string(r.data), "\n", number+1)
	return lines[min(max(number-1, 0), len(lines)-1)]
}

// badStart says what to do about a character that starts nothing in YAML.
func badStart(line string, column int) string {
	rest := string([]rune(line)[min(max(column-1, 0), len([]rune(line))):])
	switch {
	case strings.HasPrefix(rest, "\t"):
		return "YAML is indented with spaces, never with tabs"
	case strings.HasPrefix(rest, "{%"), strings.HasPrefix(rest, "%"):
		return "this looks like a template of a template: make the application of it first, with sam init or cookiecutter"
	case rest == "":
		return ""
	}
	return "put the value that begins with " + string([]rune(rest)[0]) + " in quotes"
}

func (r *reader) pos(n *yaml.Node) Pos {
	return Pos{File: r.file, Line: n.Line, Column: n.Column}
}

// enter counts a node and says whether there is room for it.
func (r *reader) enter(p Pos, depth int) bool {
	r.nodes++
	switch {
	case r.over:
	case depth > depthMax:
		r.over = true
		r.fault(p, fmt.Sprintf("nested deeper than %d levels", depthMax), "")
	case r.nodes > nodesMax:
		r.over = true
		r.fault(p, fmt.Sprintf("more than %d values, aliases included", nodesMax), "")
	}
	return !r.over
}

func (r *reader) node(n *yaml.Node, depth int) *Node {
	p := r.pos(n)
	if !r.enter(p, depth) {
		return &Node{Pos: p}
	}
	if n.Kind == yaml.AliasNode {
		return r.node(n.Alias, depth+1)
	}
	var v *Node
	switch n.Kind {
	case yaml.MappingNode:
		v = r.mapping(n, depth)
	case yaml.SequenceNode:
		v = &Node{Pos: p, Kind: List, Items: make([]*Node, 0, len(n.Content))}
		for _, c := range n.Content {
			v.Items = append(v.Items, r.node(c, depth+1))
		}
	default:
		v = &Node{Pos: p, Text: n.Value}
		v.Kind, v.Text = r.scalar(n)
	}
	return r.tagged(n, v)
}

// mapping reads a map with its merge keys: a field that is written out comes before a merged one.
func (r *reader) mapping(n *yaml.Node, depth int) *Node {
	m := &Node{Pos: r.pos(n), Kind: Map}
	places := map[string]Pos{}
	var merged []*Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, p := n.Content[i], r.pos(n.Content[i])
		for k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			r.fault(p, "a key must be a string", "")
			continue
		}
		v := r.node(n.Content[i+1], depth+1)
		if k.Tag == "!!merge" {
			merged = append(merged, v)
			continue
		}
		first, again := places[k.Value]
		if again {
			m.Fields = r.duplicate(m.Fields, k.Value, p, first)
		}
		places[k.Value] = p
		m.Fields = append(m.Fields, Field{Name: k.Value, Pos: p, Value: v})
	}
	for len(merged) > 0 {
		v := merged[0]
		merged = merged[1:]
		switch v.Kind {
		case List:
			merged = slices.Concat(v.Items, merged)
		case Map:
			for _, f := range v.Fields {
				if _, found := places[f.Name]; !found {
					places[f.Name] = f.Pos
					m.Fields = append(m.Fields, f)
				}
			}
		default:
			r.fault(v.Pos, "<< takes a map or a list of maps, not "+v.Kind.String(), "")
		}
	}
	return m
}

// duplicate leaves out of fields the one that comes again at p: CloudFormation
// and the SAM CLI take the last of several, and published templates live by that.
func (r *reader) duplicate(fields []Field, name string, p, first Pos) []Field {
	r.problems = append(r.problems, Problem{Position: p, Message: fmt.Sprintf("duplicate key %q: this one counts, the one at %s does not", name, first), Hint: "remove or rename one of them", Warning: true})
	return slices.DeleteFunc(fields, func(f Field) bool { return f.Name == name })
}
