package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/daruma-io/daruma"
)

// A setter puts one property's value into esbuild's options.
type setter func(o *api.BuildOptions, v any) error

// properties are the BuildProperties of the esbuild method. What is not here
// is refused: nothing is accepted and ignored.
var properties = map[string]setter{
	"EntryPoints":       setEntryPoints,
	"Target":            setTarget,
	"Format":            choice(map[string]api.Format{"cjs": api.FormatCommonJS, "esm": api.FormatESModule, "iife": api.FormatIIFE}, func(o *api.BuildOptions) *api.Format { return &o.Format }),
	"Platform":          choice(map[string]api.Platform{"node": api.PlatformNode, "neutral": api.PlatformNeutral, "browser": api.PlatformBrowser}, func(o *api.BuildOptions) *api.Platform { return &o.Platform }),
	"Sourcemap":         setSourcemap,
	"Minify":            setMinify,
	"MinifyWhitespace":  flag(func(o *api.BuildOptions) *bool { return &o.MinifyWhitespace }),
	"MinifyIdentifiers": flag(func(o *api.BuildOptions) *bool { return &o.MinifyIdentifiers }),
	"MinifySyntax":      flag(func(o *api.BuildOptions) *bool { return &o.MinifySyntax }),
	"Bundle":            flag(func(o *api.BuildOptions) *bool { return &o.Bundle }),
	"KeepNames":         flag(func(o *api.BuildOptions) *bool { return &o.KeepNames }),
	"Splitting":         flag(func(o *api.BuildOptions) *bool { return &o.Splitting }),
	"PreserveSymlinks":  flag(func(o *api.BuildOptions) *bool { return &o.PreserveSymlinks }),
	"External":          list(func(o *api.BuildOptions) *[]string { return &o.External }),
	"MainFields":        list(func(o *api.BuildOptions) *[]string { return &o.MainFields }),
	"Conditions":        list(func(o *api.BuildOptions) *[]string { return &o.Conditions }),
	"ResolveExtensions": list(func(o *api.BuildOptions) *[]string { return &o.ResolveExtensions }),
	"Inject":            list(func(o *api.BuildOptions) *[]string { return &o.Inject }),
	"Pure":              list(func(o *api.BuildOptions) *[]string { return &o.Pure }),
	"OutExtension":      pairs(func(o *api.BuildOptions) *map[string]string { return &o.OutExtension }),
	"Banner":            pairs(func(o *api.BuildOptions) *map[string]string { return &o.Banner }),
	"Footer":            pairs(func(o *api.BuildOptions) *map[string]string { return &o.Footer }),
	"Define":            pairs(func(o *api.BuildOptions) *map[string]string { return &o.Define }),
	"Alias":             pairs(func(o *api.BuildOptions) *map[string]string { return &o.Alias }),
	"Loader":            setLoader,
	"SourcesContent":    setSourcesContent,
	"TreeShaking":       setTreeShaking,
	"Packages":          choice(map[string]api.Packages{"external": api.PackagesExternal, "bundle": api.PackagesBundle}, func(o *api.BuildOptions) *api.Packages { return &o.Packages }),
	"Charset":           choice(map[string]api.Charset{"ascii": api.CharsetASCII, "utf8": api.CharsetUTF8}, func(o *api.BuildOptions) *api.Charset { return &o.Charset }),
	"LegalComments":     choice(map[string]api.LegalComments{"none": api.LegalCommentsNone, "inline": api.LegalCommentsInline, "eof": api.LegalCommentsEndOfFile, "linked": api.LegalCommentsLinked, "external": api.LegalCommentsExternal}, func(o *api.BuildOptions) *api.LegalComments { return &o.LegalComments }),
	"Tsconfig":          text(func(o *api.BuildOptions) *string { return &o.Tsconfig }),
	"Outbase":           text(func(o *api.BuildOptions) *string { return &o.Outbase }),
	"UseNpmCi":          flag(func(*api.BuildOptions) *bool { return new(bool) }), // a lock file decides
}

// setProperties puts what the template says into o.
func setProperties(o *api.BuildOptions, given map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		set, ok := properties[name]
		if !ok {
			return refused("Supported: "+strings.Join(slices.Sorted(maps.Keys(properties)), ", ")+".", "BuildProperties.%s is not supported", name)
		}
		if err := set(o, given[name]); err != nil {
			return daruma.Invalidf("BuildProperties.%s: %w", name, err)
		}
	}
	return nil
}

func flag(at func(*api.BuildOptions) *bool) setter {
	return func(o *api.BuildOptions, v any) error {
		b, err := truth(v)
		*at(o) = b
		return err
	}
}

func text(at func(*api.BuildOptions) *string) setter {
	return func(o *api.BuildOptions, v any) error {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("want text, got %v", v)
		}
		*at(o) = s
		return nil
	}
}

func choice[T any](of map[string]T, at func(*api.BuildOptions) *T) setter {
	return func(o *api.BuildOptions, v any) error {
		c, ok := of[fmt.Sprint(v)]
		if !ok {
			return fmt.Errorf("want one of %s, got %v", strings.Join(slices.Sorted(maps.Keys(of)), ", "), v)
		}
		*at(o) = c
		return nil
	}
}

func list(at func(*api.BuildOptions) *[]string) setter {
	return func(o *api.BuildOptions, v any) error {
		l, err := texts(v)
		*at(o) = l
		return err
	}
}

// pairs takes a map, or a list of "name=value" as on esbuild's command line.
func pairs(at func(*api.BuildOptions) *map[string]string) setter {
	return func(o *api.BuildOptions, v any) error {
		m, err := namedTexts(v)
		*at(o) = m
		return err
	}
}

func truth(v any) (bool, error) {
	switch v {
	case true, "true":
		return true, nil
	case false, "false":
		return false, nil
	}
	return false, fmt.Errorf("want true or false, got %v", v)
}

// texts takes a list of texts, or one text with commas.
func texts(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return strings.Split(v, ","), nil
	case []string:
		return v, nil
	case []any:
		l := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("want a list of texts, got %v", e)
			}
			l[i] = s
		}
		return l, nil
	}
	return nil, fmt.Errorf("want a list, got %v", v)
}

func namedTexts(v any) (map[string]string, error) {
	m := map[string]string{}
	if given, ok := v.(map[string]any); ok {
		for k, e := range given {
			m[k] = fmt.Sprint(e)
		}
		return m, nil
	}
	l, ok := v.([]any)
	if s, single := v.(string); single {
		l, ok = []any{s}, true
	}
	if !ok {
		return nil, fmt.Errorf("want a map or a list of name=value, got %v", v)
	}
	for _, e := range l {
		name, value, ok := strings.Cut(fmt.Sprint(e), "=")
		if !ok {
			return nil, fmt.Errorf("want name=value, got %v", e)
		}
		m[name] = value
	}
	return m, nil
}

func setEntryPoints(o *api.BuildOptions, v any) error {
	l, err := texts(v)
	if err != nil {
		return err
	}
	for _, e := range l {
		e, err := relative(e)
		if err != nil {
			return err
		}
		o.EntryPoints = append(o.EntryPoints, e)
	}
	return nil
}

func setMinify(o *api.BuildOptions, v any) error {
	b, err := truth(v)
	o.MinifyWhitespace, o.MinifyIdentifiers, o.MinifySyntax = b, b, b
	return err
}

func setSourcemap(o *api.BuildOptions, v any) error {
	kinds := map[string]api.SourceMap{"true": api.SourceMapLinked, "false": api.SourceMapNone, "linked": api.SourceMapLinked, "inline": api.SourceMapInline, "external": api.SourceMapExternal, "both": api.SourceMapInlineAndExternal}
	return choice(kinds, func(o *api.BuildOptions) *api.SourceMap { return &o.Sourcemap })(o, v)
}

func setSourcesContent(o *api.BuildOptions, v any) error {
	b, err := truth(v)
	o.SourcesContent = api.SourcesContentExclude
	if b {
		o.SourcesContent = api.SourcesContentInclude
	}
	return err
}

func setTreeShaking(o *api.BuildOptions, v any) error {
	b, err := truth(v)
	o.TreeShaking = api.TreeShakingFalse
	if b {
		o.TreeShaking = api.TreeShakingTrue
	}
	return err
}

var loaders = map[string]api.Loader{
	"base64": api.LoaderBase64, "binary": api.LoaderBinary, "copy": api.LoaderCopy, "css": api.LoaderCSS, "dataurl": api.LoaderDataURL, "default": api.LoaderDefault,
	"empty": api.LoaderEmpty, "file": api.LoaderFile, "js": api.LoaderJS, "json": api.LoaderJSON, "jsx": api.LoaderJSX, "text": api.LoaderText, "ts": api.LoaderTS, "tsx": api.LoaderTSX,
}

func setLoader(o *api.BuildOptions, v any) error {
	m, err := namedTexts(v)
	if err != nil {
		return err
	}
	o.Loader = map[string]api.Loader{}
	for ext, name := range m {
		l, ok := loaders[name]
		if !ok {
			return fmt.Errorf("%s: no loader %q", ext, name)
		}
		o.Loader[ext] = l
	}
	return nil
}

var years = map[string]api.Target{
	"esnext": api.ESNext, "es5": api.ES5, "es6": api.ES2015, "es2015": api.ES2015, "es2016": api.ES2016, "es2017": api.ES2017, "es2018": api.ES2018, "es2019": api.ES2019,
	"es2020": api.ES2020, "es2021": api.ES2021, "es2022": api.ES2022, "es2023": api.ES2023, "es2024": api.ES2024,
}

// setTarget takes what esbuild's --target takes for servers: years and versions of Node.js.
func setTarget(o *api.BuildOptions, v any) error {
	l, err := texts(v)
	if err != nil {
		return err
	}
	o.Target = api.DefaultTarget
	for _, t := range l {
		t = strings.ToLower(strings.TrimSpace(t))
		if year, ok := years[t]; ok {
			o.Target = year
		} else if version, ok := strings.CutPrefix(t, "node"); ok && version != "" {
			o.Engines = append(o.Engines, api.Engine{Name: api.EngineNode, Version: version})
		} else {
			return fmt.Errorf("want esYYYY, esnext or nodeN, got %q", t)
		}
	}
	return nil
}
