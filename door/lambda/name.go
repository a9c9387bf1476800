package lambda

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/wire"
)

// A shape is a constrained string of the Lambda service model. Its text is
// the pattern as the model has it and as error messages show it.
type shape struct {
	max   int
	text  string
	match *regexp.Regexp
}

func newShape(max int, text, pattern string) shape {
	return shape{max, text, regexp.MustCompile(`^(?:` + pattern + `)$`)}
}

const regionPattern = `[a-z]{2}(?:(?:-gov)|(?:-iso(?:[a-z]?)))?-[a-z]+-\d`

// The shapes of the model that this door's operations take.
var (
	namespacedName = newShape(256,
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?`,
		`(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:(`+regionPattern+`):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9_.-]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_-]+))?`)
	functionName = newShape(140,
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`,
		`(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:(`+regionPattern+`):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9_-]+)(?::(\$LATEST|[a-zA-Z0-9_-]+))?`)
	unqualifiedName = newShape(140,
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)`,
		`(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?(?:(`+regionPattern+`):)?(?:(\d{12}):)?(?:function:)?([a-zA-Z0-9_-]+)()`)
	qualifierShape = newShape(128, `\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`, `\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9_$-]+`)
	urlQualifier   = newShape(128, `((?!^\d+$)^[0-9a-zA-Z-_]+$)`, `[0-9]*[a-zA-Z_-][0-9a-zA-Z_-]*`)
	aliasName      = newShape(128, `(?!^[0-9]+$)([a-zA-Z0-9-_]+)`, `[0-9]*[a-zA-Z_-][0-9a-zA-Z_-]*`)
	versionShape   = newShape(1024, `(\$LATEST(\.PUBLISHED)?|[0-9]+)`, `\$LATEST(?:\.PUBLISHED)?|[0-9]+`)
	tenantShape    = newShape(256, `[a-zA-Z0-9\._:\/=+\-@ ]+`, `[a-zA-Z0-9._:/=+@ -]+`)
	layerName      = newShape(140, `(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+`, `(?:arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:)?([a-zA-Z0-9_-]+)`)
	layerVersion   = newShape(140, `arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+`, `arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9_-]+:[0-9]+`)
	taggable       = newShape(256,
		`arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)`,
		`arn:aws[a-zA-Z-]*:lambda:`+regionPattern+`:\d{12}:(?:function:[a-zA-Z0-9_-]+(?::(?:\$LATEST|[a-zA-Z0-9_-]+))?|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9_-]+)`)
)

// violations collects what is wrong with a request's parameters, in the
// service's words.
type violations []string

func (v *violations) add(value, field, constraint string) {
	*v = append(*v, "Value '"+value+"' at '"+field+"' failed to satisfy constraint: Member must "+constraint)
}

// check adds what value violates of s.
func (v *violations) check(s *shape, value, field string) {
	if value == "" {
		v.add(value, field, "have length greater than or equal to 1")
	}
	if len(value) > s.max {
		v.add(value, field, "have length less than or equal to "+strconv.Itoa(s.max))
	}
	if !s.match.MatchString(value) {
		v.add(value, field, "satisfy regular expression pattern: "+s.text)
	}
}

// oneOf adds a violation when value is given and not among those allowed.
func (v *violations) oneOf(value, field string, allowed ...string) {
	if value == "" {
		return
	}
	for _, a := range allowed {
		if a == value {
			return
		}
	}
	v.add(value, field, "satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
}

// error returns all violations as one error, or nil.
func (v violations) error() *wire.Error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return &wire.Error{Status: 400, Code: "ValidationException", Message: "1 validation error detected: " + v[0]}
	}
	return &wire.Error{Status: 400, Code: "ValidationException", Message: strconv.Itoa(len(v)) + " validation errors detected: " + strings.Join(v, "; ")}
}

// A reference is a function as a request names it: by name, partial ARN or
// ARN, with or without a qualifier.
type reference struct {
	daruma.Target
	region, account string // "" when not given
}

// parse reads a function's identifier. One that does not fit the shape is
// left to check.
func (s *shape) parse(id string) (reference, bool) {
	if plainName(id) {
		return reference{Target: daruma.Target{Function: id}}, len(id) <= s.max
	}
	m := s.match.FindStringSubmatch(id)
	if m == nil || len(id) > s.max {
		return reference{}, false
	}
	return reference{region: m[1], account: m[2], Target: daruma.Target{Function: m[3], Qualifier: m[4]}}, true
}

// plainName says whether id is nothing but a function's name.
func plainName(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return id != ""
}

// qualify joins the qualifier of the identifier with that of the query.
func (r *reference) qualify(qualifier string) *wire.Error {
	if qualifier == "" {
		return nil
	}
	if r.Qualifier != "" && r.Qualifier != qualifier {
		return invalidParameter("The derived qualifier from the function name does not match the specified qualifier.")
	}
	r.Qualifier = qualifier
	return nil
}

// local refuses a reference to another region or account.
func (r *reference) local(place catalog.Place, caller wire.Identity, op string) *wire.Error {
	if r.region != "" && r.region != place.Region {
		return notFound("Functions from '" + r.region + "' are not reachable in this region ('" + place.Region + "')")
	}
	if r.account != "" && r.account != place.Account {
		there := catalog.Place{Region: place.Region, Account: r.account}
		if op == "Invoke" || op == "InvokeWithResponseStream" || op == "InvokeAsync" {
			op = "InvokeFunction"
		}
		action := "lambda:" + op
		return denied("User: " + caller.ARN + " is not authorized to perform: " + action + " on resource: " + there.FunctionARN(r.Target) + " because no resource-based policy allows the " + action + " action")
	}
	return nil
}

// function reads the request's function: its first label and, when the
// operation takes one, the query's Qualifier.
func (c *call) function(s *shape, qualifies bool) (reference, *wire.Error) {
	var v violations
	ref, ok := s.parse(c.args[0])
	if !ok {
		v.check(s, c.args[0], "functionName")
	}
	q := ""
	if qualifies && c.query.Has("Qualifier") {
		q = c.query.Get("Qualifier")
		v.check(&qualifierShape, q, "qualifier")
	}
	if err := v.error(); err != nil {
		return ref, err
	}
	if err := ref.qualify(q); err != nil {
		return ref, err
	}
	return ref, ref.local(c.view.Place, c.Caller, c.op)
}

// exists returns the version a reference leads to; an alias leads to its first.
func (c *call) exists(ref reference) (*catalog.Function, *wire.Error) {
	f, err := c.view.Resolve(ref.Target, 1)
	if err != nil {
		return nil, notFound("Function not found: " + c.view.Place.FunctionARN(ref.Target))
	}
	return f, nil
}

// version reads the request's function, which may be qualified, and the
// version that it leads to.
func (c *call) version() (reference, *catalog.Function, *wire.Error) {
	ref, err := c.function(&namespacedName, true)
	if err != nil {
		return ref, nil, err
	}
	f, err := c.exists(ref)
	return ref, f, err
}

// whole reads the request's function for an operation that takes no
// qualifier, and returns its Latest.
func (c *call) whole(s *shape) (*catalog.Function, *wire.Error) {
	ref, err := c.function(s, false)
	if err != nil {
		return nil, err
	}
	if ref.Qualifier != "" {
		return nil, wholeOnly()
	}
	return c.exists(ref)
}

func wholeOnly() *wire.Error {
	return invalidParameter("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
}
