// Package samconfig reads what the SAM CLI's configuration file says of a
// deployment: the stack's name, its region and its parameters, with the same
// names, quotes and precedence. Everything else in it is for the CLI alone.
package samconfig

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/template/tree"
)

const envDefault = "default"

// A Config is what a samconfig file says, for one environment.
type Config struct {
	File      string // its name, or "" when there is none
	StackName string
	Region    string
	Params    map[string]string
	Strange   []string // overrides that could not be read
}

// Read reads the samconfig file in dir: samconfig.toml, .yaml or .yml, the first
// there is. Without an environment the default one is read, if there is one; an
// environment that is named and not there is KindNotFound.
func Read(dir, env string) (Config, error) {
	explicit := env != ""
	if env == "" {
		env = envDefault
	}
	for _, name := range []string{"samconfig.toml", "samconfig.yaml", "samconfig.yml"} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return Config{}, &daruma.Error{Op: "read " + name, Kind: daruma.KindInternal, Ref: path, Err: err}
		}
		all, err := decode(name, data)
		if err != nil {
			return Config{}, &daruma.Error{Op: "read " + name, Kind: daruma.KindInvalid, Ref: path, Err: err}
		}
		section, found := all[env].(map[string]any)
		if !found && explicit {
			return Config{}, &daruma.Error{Op: "read " + name, Kind: daruma.KindNotFound, Ref: path,
				Err: fmt.Errorf("no environment %q", env), Hint: "it has: " + strings.Join(environments(all), ", ")}
		}
		c := Config{File: name, Params: map[string]string{}}
		for _, command := range []string{"global", "deploy"} { // a command's own parameters come before the global ones
			if table, ok := section[command].(map[string]any); ok {
				if parameters, ok := table["parameters"].(map[string]any); ok {
					c.take(parameters)
				}
			}
		}
		return c, nil
	}
	if explicit {
		return Config{}, &daruma.Error{Op: "read samconfig.toml", Kind: daruma.KindNotFound, Ref: dir, Err: fmt.Errorf("there is no samconfig.toml, so no environment %q", env)}
	}
	return Config{}, nil
}

func decode(name string, data []byte) (map[string]any, error) {
	if len(data) > tree.BytesMax {
		return nil, fmt.Errorf("it is %d bytes long; the limit is %d", len(data), tree.BytesMax)
	}
	if strings.HasSuffix(name, ".toml") {
		var all map[string]any
		_, err := toml.Decode(string(data), &all)
		return all, err
	}
	n, problems := tree.Read(name, data)
	problems = slices.DeleteFunc(problems, func(p tree.Problem) bool { return p.Warning }) // of duplicate keys the last counts there too
	if len(problems) > 0 {
		return nil, problems
	}
	all, _ := n.Value().(map[string]any)
	return all, nil
}

func environments(all map[string]any) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if _, ok := all[name].(map[string]any); ok {
			names = append(names, name)
		}
	}
	return names
}

// take takes over one table of parameters. Dashes in names mean underscores, as the SAM CLI reads them.
func (c *Config) take(parameters map[string]any) {
	for key, v := range parameters {
		switch strings.ReplaceAll(key, "-", "_") {
		case "stack_name":
			c.StackName = fmt.Sprint(v)
		case "region":
			c.Region = fmt.Sprint(v)
		case "parameter_overrides":
			c.Params, c.Strange = map[string]string{}, nil // those of the command take the place of the global ones, all of them
			c.override(v)
		}
	}
}

// override reads parameter_overrides: one string, a list of strings, or a table.
func (c *Config) override(v any) {
	switch v := v.(type) {
	case string:
		for _, word := range words(v) {
			c.overrideOne(word)
		}
	case []any:
		for _, item := range v {
			if m, ok := item.(map[string]any); ok {
				c.override(m)
				continue
			}
			// One element is one pair: its value may have spaces in it.
			text := fmt.Sprint(item)
			if strings.HasPrefix(text, "ParameterKey=") {
				c.override(text)
				continue
			}
			c.overrideOne(text)
		}
	case map[string]any:
		for name, value := range v {
			if list, ok := value.([]any); ok {
				texts := make([]string, len(list))
				for i, item := range list {
					texts[i] = fmt.Sprint(item)
				}
				value = strings.Join(texts, ",")
			}
			c.Params[name] = fmt.Sprint(value)
		}
	}
}

// longPair is the long form: ParameterKey=Name,ParameterValue=value.
var longPair = regexp.MustCompile(`(?s)^ParameterKey=([A-Za-z0-9]+),ParameterValue=(.*)$`)

func (c *Config) overrideOne(word string) {
	name, value, ok := strings.Cut(word, "=")
	if m := longPair.FindStringSubmatch(word); m != nil {
		name, value, ok = m[1], m[2], true
	}
	if !ok {
		c.Strange = append(c.Strange, word)
		return
	}
	c.Params[strings.Trim(name, `"'`)] = unquote(value)
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return strings.ReplaceAll(s[1:len(s)-1], `\`+s[:1], s[:1])
	}
	return s
}

// words splits at spaces outside of quotes. A backslash keeps the next character as it is.
func words(s string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	escaped, any := false, false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune('\\')
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped, any = true, true
		case quote != 0:
			word.WriteRune(r)
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote, any = r, true
			word.WriteRune(r)
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if any {
				out = append(out, word.String())
				word.Reset()
				any = false
			}
		default:
			any = true
			word.WriteRune(r)
		}
	}
	if escaped {
		word.WriteRune('\\')
	}
	if any {
		out = append(out, word.String())
	}
	return out
}
