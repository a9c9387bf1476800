package tree

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// How YAML 1.1 reads a plain scalar (yaml.org/type), without its dates and
// sexagesimals, which templates never mean.
var (
	yaml11Bool  = regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	yaml11Int   = regexp.MustCompile(`^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$`)
	yaml11Float = regexp.MustCompile(`^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)$`)
)

// scalar returns the kind and the text of a scalar.
func (r *reader) scalar(n *yaml.Node) (Kind, string) {
	text := n.Value
	plain := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	if n.Style&yaml.TaggedStyle != 0 {
		switch n.Tag {
		case "!!str":
			return String, text
		case "!!bool", "!!int", "!!float", "!!null":
			plain = true
		default:
			plain = plain && !strings.HasPrefix(n.Tag, "!")
		}
	}
	switch {
	case !plain:
		return String, text
	case text == "" || text == "~" || text == "null" || text == "Null" || text == "NULL":
		return Null, ""
	case yaml11Bool.MatchString(text):
		switch text[0] | 0x20 {
		case 'y', 't':
			return Bool, "true"
		case 'o':
			if len(text) == 2 {
				return Bool, "true"
			}
		}
		return Bool, "false"
	case yaml11Int.MatchString(text), yaml11Float.MatchString(text):
		return Number, text
	}
	return String, text
}

// shortTags are the functions that have a short form; !X stands for Fn::X.
var shortTags = []string{
	"Ref", "Condition", "Base64", "Cidr", "And", "Equals", "If", "Not", "Or", "FindInMap", "GetAtt", "GetAZs", "ImportValue",
	"Join", "Length", "Select", "Split", "Sub", "ToJsonString", "Transform", "Contains", "EachMemberEquals", "EachMemberIn",
	"RefAll", "ValueOf", "ValueOfAll",
}

// tagged turns a value with a short tag into its long form: !Sub x is {Fn::Sub: x}.
func (r *reader) tagged(n *yaml.Node, v *Node) *Node {
	if n.Style&yaml.TaggedStyle == 0 || n.Tag == "!" {
		return v
	}
	if strings.HasPrefix(n.Tag, "!!") || !strings.HasPrefix(n.Tag, "!") {
		switch n.Tag {
		case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
		default:
			r.fault(v.Pos, "the tag "+n.Tag+" is not supported in templates", "")
		}
		return v
	}
	name := n.Tag[1:]
	for _, short := range shortTags {
		if name != short {
			continue
		}
		if name != "Ref" && name != "Condition" {
			name = "Fn::" + name
		}
		return &Node{Pos: v.Pos, Kind: Map, Fields: []Field{{Name: name, Pos: v.Pos, Value: v}}}
	}
	r.fault(v.Pos, "unknown function "+n.Tag, Near(name, shortTags))
	return &Node{Pos: v.Pos}
}
