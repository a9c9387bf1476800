package ssm

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/parameter"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_.\-/]+$`)

const nameText = "If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_"

// checkName says what is wrong with the name of a parameter that is put.
func checkName(name string) *wire.Error {
	first := strings.ToLower(strings.TrimPrefix(name, "/"))
	path := strings.Count(name, "/") > 1
	switch {
	case name == "":
		return absent("name")
	case len(name) > parameter.NameBytesMax:
		return constraint("name", name[:64]+"...", "have length less than or equal to "+strconv.Itoa(parameter.NameBytesMax))
	case strings.HasPrefix(strings.ToLower(name), "aws") && path:
		return refusal("AccessDeniedException", "No access to reserved parameter name: "+name+".")
	case strings.HasPrefix(first, "aws") && !path, strings.HasPrefix(first, "ssm") && !path:
		return validation(`Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`)
	case strings.HasPrefix(first, "aws"), strings.HasPrefix(first, "ssm"):
		return validation(`Parameter name: can't be prefixed with "ssm" (case-insensitive). ` + nameText)
	case !nameForm.MatchString(name), strings.HasSuffix(name, "/"), strings.Contains(name, "//"):
		return validation("Parameter name must be a fully qualified name. " + nameText)
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return validation("Parameter name must be a fully qualified name.")
	case strings.Count(name, "/") > parameter.LevelsMax:
		return refusal("HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of 15 levels.")
	}
	return nil
}

// A selection is a parameter as requests name it: by name or ARN, with a version.
type selection struct {
	name     string
	version  uint64 // 0: the newest
	selector string // ":3", as it is answered
}

// selected reads what a request names.
func (d *Door) selected(text string) (selection, *wire.Error) {
	if text == "" {
		return selection{}, absent("name")
	}
	prefix := strings.TrimSuffix(d.arn(""), "/")
	rest, isARN := strings.CutPrefix(text, prefix)
	if !isARN && strings.HasPrefix(text, "arn:") {
		return selection{}, validation("Parameter " + text + " is of another account or region, and parameters are not shared here.")
	}
	name, version, found := strings.Cut(rest, ":")
	s := selection{name: name}
	if isARN && strings.Count(name, "/") == 1 {
		s.name = strings.TrimPrefix(name, "/")
	}
	if !found {
		return s, nil
	}
	s.selector = ":" + version
	n, err := strconv.ParseUint(version, 10, 63)
	if err != nil || n == 0 {
		return s, refusal("ParameterVersionNotFound", "Systems Manager could not find label "+version+" of "+name+": there are no labels here. Verify the label and try again.")
	}
	s.version = n
	return s, nil
}
