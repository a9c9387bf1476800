package parameter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/parameter"
)

func open(t *testing.T, m *memory.Medium) (*parameter.Parameters, func()) {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: []cell.Machine{parameter.NewMachine()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return parameter.New(c), func() { _ = c.Close() }
}

func put(t *testing.T, s *parameter.Parameters, name, value string) *parameter.Parameter {
	t.Helper()
	p, err := s.Put(t.Context(), parameter.Parameter{Name: name, Type: parameter.String, Value: value}, true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func value(t *testing.T, s *parameter.Parameters, name string, version uint64) string {
	t.Helper()
	p, err := s.Get(t.Context(), name, version)
	if err != nil {
		t.Fatal(err)
	}
	return p.Value
}

func TestEachPutIsAVersionAndAllOutliveThePlatform(t *testing.T) {
	m := &memory.Medium{}
	s, end := open(t, m)
	for i := range 3 {
		if p := put(t, s, "/app/a", fmt.Sprint("v", i+1)); p.Version != uint64(i+1) || p.Modified.IsZero() {
			t.Fatalf("got %+v", p)
		}
	}
	end()
	s, _ = open(t, m)
	for version, want := range map[uint64]string{0: "v3", 1: "v1", 2: "v2", 3: "v3"} {
		if got := value(t, s, "/app/a", version); got != want {
			t.Errorf("version %d: got %s, want %s", version, got, want)
		}
	}
	if _, err := s.Get(t.Context(), "/app/a", 4); !errors.Is(err, parameter.ErrVersion) || daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("version 4: got %v", err)
	}
	if _, err := s.Get(t.Context(), "/app/b", 0); !errors.Is(err, parameter.ErrMissing) {
		t.Errorf("another: got %v", err)
	}
}

func TestOnlyTheLastHundredVersionsAreKept(t *testing.T) {
	s, _ := open(t, &memory.Medium{})
	for i := range parameter.VersionsMax + 5 {
		put(t, s, "a", fmt.Sprint(i))
	}
	all, err := s.History(t.Context(), "a")
	if err != nil || len(all) != parameter.VersionsMax || all[0].Version != 6 {
		t.Fatalf("got %d from %d, %v", len(all), all[0].Version, err)
	}
}

func TestWhatExistsIsOverwrittenOnlyWhenThatIsAskedFor(t *testing.T) {
	s, _ := open(t, &memory.Medium{})
	first := parameter.Parameter{Name: "a", Type: parameter.String, Value: "1", Description: "what it is", Pattern: "^[0-9]+$", Tags: map[string]string{"k": "v"}}
	if _, err := s.Put(t.Context(), first, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), first, false); !errors.Is(err, parameter.ErrExists) || daruma.KindOf(err) != daruma.KindExists {
		t.Errorf("again: got %v", err)
	}
	if _, err := s.Put(t.Context(), parameter.Parameter{Name: "a", Type: parameter.StringList, Value: "2"}, true); !errors.Is(err, parameter.ErrType) {
		t.Errorf("another type: got %v", err)
	}
	if _, err := s.Put(t.Context(), parameter.Parameter{Name: "a", Value: "x"}, true); !errors.Is(err, parameter.ErrPattern) {
		t.Errorf("what does not fit: got %v", err)
	}
	p, err := s.Put(t.Context(), parameter.Parameter{Name: "a", Value: "2"}, true)
	want := &parameter.Parameter{Name: "a", Type: parameter.String, Value: "2", Version: 2, Description: "what it is", Pattern: "^[0-9]+$", Tags: map[string]string{"k": "v"}}
	if diff := cmp.Diff(want, p, cmpopts.IgnoreFields(parameter.Parameter{}, "Modified")); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestWhatIsNoParameterIsRefused(t *testing.T) {
	s, _ := open(t, &memory.Medium{})
	for name, p := range map[string]parameter.Parameter{
		"no name": {Type: parameter.String, Value: "v"}, "a space": {Name: "a b", Type: parameter.String, Value: "v"},
		"levels": {Name: strings.Repeat("/a", 16), Type: parameter.String, Value: "v"}, "no type": {Name: "a", Value: "v"}, "a secret": {Name: "a", Type: "SecureString", Value: "v"},
		"no value": {Name: "a", Type: parameter.String}, "a large value": {Name: "a", Type: parameter.String, Value: strings.Repeat("v", 9<<10)},
		"a bad pattern": {Name: "a", Type: parameter.String, Value: "v", Pattern: "("},
	} {
		if _, err := s.Put(t.Context(), p, false); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if all, _, err := s.List(t.Context(), "", "", nil, 10); err != nil || len(all) != 0 {
		t.Errorf("then there are %v, %v", all, err)
	}
}

func TestListsGoOnBehindAName(t *testing.T) {
	s, _ := open(t, &memory.Medium{})
	for _, name := range []string{"/b/1", "/a/1", "/a/2", "/a/3", "x"} {
		put(t, s, name, "v")
	}
	var names []string
	for after := ""; ; {
		some, more, err := s.List(t.Context(), "/a/", after, func(p *parameter.Parameter) bool { return p.Name != "/a/2" }, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range some {
			names, after = append(names, p.Name), p.Name
		}
		if !more {
			break
		}
	}
	if diff := cmp.Diff([]string{"/a/1", "/a/3"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestATemplatesParameterIsPutWhenItsDeclarationChanges(t *testing.T) {
	s, _ := open(t, &memory.Medium{})
	deploy := func(want []string, wishes ...parameter.Parameter) {
		t.Helper()
		removed, err := s.Deploy(t.Context(), wishes)
		if diff := cmp.Diff(want, removed, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	}
	wish := parameter.Parameter{Name: "/app/fault", Type: parameter.String, Value: "off", LogicalID: "Fault"}
	kept := parameter.Parameter{Name: "/app/kept", Type: parameter.String, Value: "k", LogicalID: "Kept", Retain: true}
	put(t, s, "/own", "mine")
	deploy(nil, wish, kept)
	put(t, s, "/app/fault", "on")
	deploy(nil, wish, kept)
	if got := value(t, s, "/app/fault", 0); got != "on" {
		t.Errorf("the same template put it again: %s", got)
	}
	wish.Value = "half"
	deploy(nil, wish, kept)
	if got := value(t, s, "/app/fault", 0); got != "half" {
		t.Errorf("another template left it: %s", got)
	}
	deploy([]string{"/app/fault"})
	if got := value(t, s, "/own", 0) + value(t, s, "/app/kept", 0); got != "minek" {
		t.Errorf("got %s", got)
	}
	deploy(nil)
	value(t, s, "/app/kept", 0)
}

func TestAChangedTypeMakesATemplatesParameterAnew(t *testing.T) {
	s, _ := open(t, &memory.Medium{})
	wish := parameter.Parameter{Name: "a", Type: parameter.String, Value: "x", LogicalID: "A"}
	for _, wish.Type = range []string{parameter.String, parameter.StringList} {
		if _, err := s.Deploy(t.Context(), []parameter.Parameter{wish}); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := s.Get(t.Context(), "a", 0); err != nil || p.Type != parameter.StringList || p.Version != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestTagsAreOfTheParameterAndNotOfItsVersions(t *testing.T) {
	s, _ := open(t, &memory.Medium{})
	put(t, s, "a", "1")
	if err := s.Tag(t.Context(), "a", map[string]string{"x": "1", "y": "2"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Tag(t.Context(), "a", nil, []string{"x"}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "2")
	p, err := s.Get(t.Context(), "a", 0)
	if err != nil || p.Tags["y"] != "2" || len(p.Tags) != 1 {
		t.Errorf("got %+v, %v", p, err)
	}
	if err := s.Tag(t.Context(), "b", nil, nil); !errors.Is(err, parameter.ErrMissing) {
		t.Errorf("got %v", err)
	}
	if gone, err := s.Delete(t.Context(), "a", "b"); err != nil || len(gone) != 1 {
		t.Errorf("got %v, %v", gone, err)
	}
	if _, err := s.History(t.Context(), "a"); !errors.Is(err, parameter.ErrMissing) {
		t.Errorf("got %v", err)
	}
}
