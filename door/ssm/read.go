package ssm

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/parameter"
)

// A shown is a parameter as it is answered.
type shown struct {
	ARN              string
	DataType         string
	LastModifiedDate float64
	Name             string
	Selector         string `json:",omitempty"`
	Type             string
	Value            string
	Version          uint64
}

// seconds writes a time as the service does: seconds, with thousandths.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

func (d *Door) show(p *parameter.Parameter, selector string) shown {
	return shown{ARN: d.arn(p.Name), DataType: "text", LastModifiedDate: seconds(p.Modified), Name: p.Name, Selector: selector, Type: p.Type, Value: p.Value, Version: p.Version}
}

// find reads what a request names.
func (d *Door) find(c *call, text string) (*parameter.Parameter, selection, *wire.Error) {
	s, refused := d.selected(text)
	if refused != nil {
		return nil, s, refused
	}
	p, err := d.cfg.Parameters.Get(c.ctx, s.name, s.version)
	if errors.Is(err, parameter.ErrMissing) && strings.HasPrefix(text, "arn:") { // an ARN does not tell "/a" from "a"
		s.name = "/" + s.name
		p, err = d.cfg.Parameters.Get(c.ctx, s.name, s.version)
	}
	switch {
	case errors.Is(err, parameter.ErrMissing):
		return nil, s, noParameter(text)
	case errors.Is(err, parameter.ErrVersion):
		return nil, s, noVersion(strconv.FormatUint(s.version, 10), s.name)
	case err != nil:
		return nil, s, failed(err)
	}
	return p, s, nil
}

// get answers GetParameter. WithDecryption changes nothing for what is no secret.
func (d *Door) get(c *call, in *struct{ Name string }) (any, *wire.Error) {
	p, s, refused := d.find(c, in.Name)
	if refused != nil {
		return nil, refused
	}
	return struct{ Parameter shown }{d.show(p, s.selector)}, nil
}

// namesMax is how many parameters one request may name.
const namesMax = 10

func checkNames(names []string) *wire.Error {
	switch {
	case names == nil:
		return absent("names")
	case len(names) == 0:
		return constraint("names", "[]", "have length greater than or equal to 1")
	case len(names) > namesMax:
		return constraint("names", "["+strings.Join(names, ", ")+"]", "have length less than or equal to 10")
	}
	return nil
}

// getSome answers GetParameters: what there is, and the names of what there is not.
func (d *Door) getSome(c *call, in *struct{ Names []string }) (any, *wire.Error) {
	if refused := checkNames(in.Names); refused != nil {
		return nil, refused
	}
	out := struct {
		Parameters        []shown
		InvalidParameters []string
	}{[]shown{}, []string{}}
	for _, name := range in.Names {
		p, s, refused := d.find(c, name)
		switch {
		case refused == nil:
			out.Parameters = append(out.Parameters, d.show(p, s.selector))
		case refused.Code == "ParameterNotFound" || refused.Code == "ParameterVersionNotFound":
			out.InvalidParameters = append(out.InvalidParameters, name)
		default:
			return nil, refused
		}
	}
	return out, nil
}

// A page is what requests for pages say.
type page struct {
	MaxResults *int
	NextToken  string // the name behind which the page begins
}

// size returns how many are wanted, of max at most.
func (p *page) size(max int) (int, *wire.Error) {
	switch {
	case p.MaxResults == nil:
		return max, nil
	case *p.MaxResults < 1:
		return 0, constraint("maxResults", strconv.Itoa(*p.MaxResults), "have value greater than or equal to 1")
	case *p.MaxResults > max:
		return 0, constraint("maxResults", strconv.Itoa(*p.MaxResults), "have value less than or equal to "+strconv.Itoa(max))
	}
	return *p.MaxResults, nil
}

// getByPath answers GetParametersByPath.
func (d *Door) getByPath(c *call, in *struct {
	page
	Path             string
	Recursive        bool
	ParameterFilters []filter
}) (any, *wire.Error) {
	switch {
	case in.Path == "":
		return nil, absent("path")
	case !strings.HasPrefix(in.Path, "/"), !nameForm.MatchString(in.Path):
		return nil, validation(`The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". It can't be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.`)
	}
	n, refused := in.size(10)
	if refused != nil {
		return nil, refused
	}
	fits, refused := filters(in.ParameterFilters, "Type")
	if refused != nil {
		return nil, refused
	}
	under := strings.TrimSuffix(in.Path, "/") + "/"
	some, more, err := d.cfg.Parameters.List(c.ctx, under, in.NextToken, func(p *parameter.Parameter) bool {
		return (in.Recursive || !strings.Contains(p.Name[len(under):], "/")) && fits(p)
	}, n)
	if err != nil {
		return nil, failed(err)
	}
	out := struct {
		Parameters []shown
		NextToken  string `json:",omitempty"`
	}{Parameters: []shown{}}
	for i := range some {
		out.Parameters = append(out.Parameters, d.show(&some[i], ""))
	}
	if more {
		out.NextToken = some[len(some)-1].Name
	}
	return out, nil
}

// A described is what is told of a parameter without its value.
type described struct {
	ARN              string `json:",omitempty"`
	AllowedPattern   string `json:",omitempty"`
	DataType         string
	Description      string `json:",omitempty"`
	LastModifiedDate float64
	LastModifiedUser string `json:",omitempty"`
	Name             string
	Policies         []struct{}
	Tier             string
	Type             string
	Value            string `json:",omitempty"`
	Version          uint64
}

func describe(p *parameter.Parameter) described {
	return described{AllowedPattern: p.Pattern, DataType: "text", Description: p.Description, LastModifiedDate: seconds(p.Modified), LastModifiedUser: p.By,
		Name: p.Name, Policies: []struct{}{}, Tier: tierOf(p), Type: p.Type, Version: p.Version}
}

// describe answers DescribeParameters.
func (d *Door) describe(c *call, in *struct {
	page
	ParameterFilters []filter
	Filters          []struct {
		Key    string
		Values []string
	}
	Shared bool
}) (any, *wire.Error) {
	n, refused := in.size(50)
	if refused != nil {
		return nil, refused
	}
	for _, f := range in.Filters { // the older form
		option := "Equals"
		if f.Key == "Name" {
			option = "BeginsWith"
		}
		in.ParameterFilters = append(in.ParameterFilters, filter{f.Key, option, f.Values})
	}
	fits, refused := filters(in.ParameterFilters, "Name", "Type", "Path", "Tier", "DataType", "tag:")
	if refused != nil {
		return nil, refused
	}
	out := struct {
		Parameters []described
		NextToken  string `json:",omitempty"`
	}{Parameters: []described{}}
	if in.Shared {
		return out, nil // nobody shares any
	}
	some, more, err := d.cfg.Parameters.List(c.ctx, "", in.NextToken, fits, n)
	if err != nil {
		return nil, failed(err)
	}
	for i := range some {
		one := describe(&some[i])
		one.ARN = d.arn(one.Name)
		out.Parameters = append(out.Parameters, one)
	}
	if more {
		out.NextToken = some[len(some)-1].Name
	}
	return out, nil
}

// history answers GetParameterHistory, the oldest version first.
func (d *Door) history(c *call, in *struct {
	page
	Name string
}) (any, *wire.Error) {
	n, refused := in.size(50)
	if refused != nil {
		return nil, refused
	}
	p, _, refused := d.find(c, in.Name)
	if refused != nil {
		return nil, refused
	}
	all, err := d.cfg.Parameters.History(c.ctx, p.Name)
	if err != nil {
		return nil, failed(err)
	}
	after, err := strconv.ParseUint(in.NextToken, 10, 64)
	if err != nil && in.NextToken != "" {
		return nil, refusal("InvalidNextToken", "The specified token isn't valid.")
	}
	out := struct {
		Parameters []described
		NextToken  string `json:",omitempty"`
	}{Parameters: []described{}}
	for i := range all {
		if all[i].Version <= after {
			continue
		}
		if len(out.Parameters) == n {
			out.NextToken = strconv.FormatUint(all[i-1].Version, 10)
			break
		}
		one := describe(&all[i])
		one.Value = all[i].Value
		out.Parameters = append(out.Parameters, one)
	}
	return out, nil
}
