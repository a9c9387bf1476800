package ssm

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/parameter"
)

// A filter is one of those of which all must fit.
type filter struct {
	Key    string
	Option string
	Values []string
}

// filters makes one question of filters, whose keys are among allowed; "tag:"
// allows a key for each tag.
func filters(all []filter, allowed ...string) (func(*parameter.Parameter) bool, *wire.Error) {
	for i, f := range all {
		tag := strings.HasPrefix(f.Key, "tag:")
		if !slices.Contains(allowed, f.Key) && (!tag || !slices.Contains(allowed, "tag:")) {
			return nil, refusal("InvalidFilterKey", "The filter key "+f.Key+" is not supported here: there are "+strings.Join(allowed, ", ")+".")
		}
		if len(f.Values) == 0 && !tag {
			return nil, refusal("InvalidFilterValue", "The following filter values are missing : null for filter key "+f.Key)
		}
		if f.Option == "" {
			all[i].Option = "Equals"
			if f.Key == "Path" {
				all[i].Option = "OneLevel"
			}
		}
		options := []string{"Equals", "BeginsWith"}
		switch f.Key {
		case "Path":
			options = []string{"OneLevel", "Recursive"}
		case "Name":
			options = append(options, "Contains")
		}
		if !slices.Contains(options, all[i].Option) {
			return nil, refusal("InvalidFilterOption", "The following filter option is not valid: "+f.Option+". Valid options include: ["+strings.Join(options, ", ")+"]")
		}
	}
	return func(p *parameter.Parameter) bool {
		for i := range all {
			if !all[i].fits(p) {
				return false
			}
		}
		return true
	}, nil
}

func (f *filter) fits(p *parameter.Parameter) bool {
	is := map[string]string{"Name": p.Name, "Path": p.Name, "Type": p.Type, "Tier": tierOf(p), "DataType": "text"}[f.Key]
	if tag, ok := strings.CutPrefix(f.Key, "tag:"); ok {
		var there bool
		if is, there = p.Tags[tag]; !there || len(f.Values) == 0 {
			return there
		}
	}
	return slices.ContainsFunc(f.Values, func(want string) bool {
		switch f.Option {
		case "BeginsWith":
			return strings.HasPrefix(is, want)
		case "Contains":
			return strings.Contains(is, want)
		case "Recursive", "OneLevel":
			under := strings.TrimSuffix(want, "/") + "/"
			rest, ok := strings.CutPrefix(is, under)
			return ok && (f.Option == "Recursive" || !strings.Contains(rest, "/"))
		}
		return is == want || f.Key == "Name" && is == "/"+want
	})
}
