package catalog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

var place = Place{Region: "eu-central-1", Account: "000000000000"}

type world struct {
	medium *memory.Medium
	cell   *cell.Cell
	*Catalog
}

func open(t testing.TB, medium *memory.Medium) world {
	t.Helper()
	c, err := cell.Open(context.Background(), cell.Config{Journal: medium, Machines: []cell.Machine{Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(context.Background(), c, place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return world{medium, c, k}
}

func fresh(t testing.TB) world { return open(t, &memory.Medium{}) }

func function(name, code string) *Function {
	return &Function{Name: name, Version: Latest, Runtime: "provided.al2023", Timeout: TimeoutDefault, Code: Code{SHA256: code, Dir: "/code/" + code}}
}

func (w world) deploy(t testing.TB, d Deployment) Changes {
	t.Helper()
	c, err := w.Deploy(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func versions(v *View, name string) []string {
	var got []string
	for _, f := range v.Versions(name) {
		got = append(got, f.Version)
	}
	return got
}

func TestADeploymentIsWhatThereIs(t *testing.T) {
	w := fresh(t)
	got := w.deploy(t, Deployment{Functions: []*Function{function("a", "1"), function("b", "1")}})
	if diff := cmp.Diff(Changes{Created: []string{"a", "b"}}, got); diff != "" {
		t.Error(diff)
	}
	got = w.deploy(t, Deployment{Functions: []*Function{function("b", "2"), function("c", "1")}})
	if diff := cmp.Diff(Changes{Created: []string{"c"}, Updated: []string{"b"}, Removed: []string{"a"}}, got); diff != "" {
		t.Error(diff)
	}
	v := w.View()
	if v.Function("a", Latest) != nil || v.Function("b", Latest).Code.SHA256 != "2" || len(v.Functions()) != 2 {
		t.Errorf("got %+v", v.Functions())
	}
}

func TestDeployingTheSameAgainChangesNothing(t *testing.T) {
	w := fresh(t)
	d := Deployment{
		Functions: []*Function{function("a", "1")},
		Layers:    []*Layer{{Name: "l", ARN: "arn:l", Code: Code{SHA256: "x"}}},
		Publish:   []Publication{{Function: "a", Alias: "live"}},
		APIs:      []*API{{LogicalID: "Api", Kind: HTTP, Routes: []Route{{Method: "GET", Path: "/", Target: daruma.Target{Function: "a"}}}}},
	}
	w.deploy(t, d)
	before := w.View()
	if got := w.deploy(t, d); got.Any() {
		t.Errorf("got %+v, want no change", got)
	}
	if diff := cmp.Diff(before, w.View(), cmp.AllowUnexported(View{})); diff != "" {
		t.Error(diff)
	}
}

func TestAVersionIsPublishedWhenCodeChangesAndNumbersAreNeverReused(t *testing.T) {
	w := fresh(t)
	publish := func(code, env string, configuration bool) (Changes, string) {
		f := function("a", code)
		f.Env = map[string]string{"K": env}
		c := w.deploy(t, Deployment{Functions: []*Function{f}, Publish: []Publication{{Function: "a", Alias: "live", Configuration: configuration}}})
		return c, w.View().Alias("a", "live").Version
	}
	for _, step := range []struct {
		code, env     string
		configuration bool
		want          string
	}{
		{"1", "x", false, "1"},
		{"1", "y", false, "1"}, // configuration alone does not publish,
		{"1", "y", true, "2"},  // unless asked for
		{"2", "y", true, "3"},
		{"1", "y", true, "4"}, // back to earlier code is a new version all the same
		{"1", "y", true, "4"},
	} {
		if _, got := publish(step.code, step.env, step.configuration); got != step.want {
			t.Errorf("%+v: the alias leads to %s", step, got)
		}
	}
	if diff := cmp.Diff([]string{Latest, "1", "2", "3", "4"}, versions(w.View(), "a")); diff != "" {
		t.Error(diff)
	}
	if got := w.View().Function("a", "1").Env["K"]; got != "x" {
		t.Errorf("version 1 changed: got %q", got)
	}
	w.deploy(t, Deployment{})
	if got := versions(w.View(), "a"); len(got) != 0 {
		t.Errorf("versions of a function that is gone: %v", got)
	}
	if _, got := publish("1", "x", false); got != "5" {
		t.Errorf("a number was given again: got %s, want 5", got)
	}
}

func TestAnExplicitVersionStaysAsLongAsItsIDIsDeployed(t *testing.T) {
	w := fresh(t)
	deploy := func(code string, ids ...string) {
		d := Deployment{Functions: []*Function{function("a", code)}}
		for _, id := range ids {
			d.Publish = append(d.Publish, Publication{Function: "a", LogicalID: id})
		}
		d.Aliases = []*AliasWish{{Alias: Alias{Function: "a", Name: "live"}, VersionID: ids[len(ids)-1]}}
		w.deploy(t, d)
	}
	deploy("x", "V1")
	deploy("y", "V1") // the function changes, the version stays
	if got := w.View().Function("a", "1").Code.SHA256; got != "x" {
		t.Errorf("version 1 has code %s, want x", got)
	}
	deploy("y", "V1", "V2")
	if got := w.View().Alias("a", "live").Version; got != "2" {
		t.Errorf("the alias leads to %s, want 2", got)
	}
	deploy("y", "V2")
	if diff := cmp.Diff([]string{Latest, "2"}, versions(w.View(), "a")); diff != "" {
		t.Error(diff)
	}
}

func TestAKeyStandsForTheCode(t *testing.T) {
	w := fresh(t)
	for _, step := range []struct{ code, key, want string }{{"1", "k", "1"}, {"2", "k", "1"}, {"2", "l", "2"}, {"3", "", "3"}} {
		w.deploy(t, Deployment{Functions: []*Function{function("a", step.code)}, Publish: []Publication{{Function: "a", Alias: "live", Key: step.key}}})
		if got := w.View().Alias("a", "live").Version; got != step.want {
			t.Errorf("%+v: the alias leads to %s", step, got)
		}
	}
}

func TestALayerGetsANewVersionWhenItsContentChanges(t *testing.T) {
	w := fresh(t)
	deploy := func(content string) Layer {
		f := function("a", "1")
		f.Layers = []Layer{{Name: "l"}}
		w.deploy(t, Deployment{Functions: []*Function{f}, Layers: []*Layer{{Name: "l", ARN: "arn:aws:lambda:r:a:layer:l", Code: Code{SHA256: content}}}})
		return w.View().Function("a", Latest).Layers[0]
	}
	for _, step := range []struct {
		content string
		version int
		arn     string
	}{{"x", 1, "arn:aws:lambda:r:a:layer:l:1"}, {"x", 1, "arn:aws:lambda:r:a:layer:l:1"}, {"y", 2, "arn:aws:lambda:r:a:layer:l:2"}} {
		if got := deploy(step.content); got.Version != step.version || got.ARN != step.arn || got.Code.SHA256 != step.content {
			t.Errorf("%+v: got %+v", step, got)
		}
	}
	if got := w.View().Layers(); len(got) != 2 {
		t.Errorf("got %d versions, want 2", len(got))
	}
}

func TestReservedConcurrencySetByHandHoldsUntilTheTemplateSaysOtherwise(t *testing.T) {
	w := fresh(t)
	five, seven, zero := 5, 7, 0
	deploy := func(n *int) *int {
		f := function("a", "1")
		f.Reserved = n
		w.deploy(t, Deployment{Functions: []*Function{f}})
		return w.View().Function("a", Latest).Reserved
	}
	deploy(&five)
	if err := w.SetReserved(context.Background(), "a", &zero); err != nil {
		t.Fatal(err)
	}
	if got := deploy(&five); got == nil || *got != 0 {
		t.Errorf("got %v, want what was set by hand", got)
	}
	if got := deploy(&seven); got == nil || *got != 7 {
		t.Errorf("got %v, want the template's new value", got)
	}
	if err := w.SetReserved(context.Background(), "a", nil); err != nil {
		t.Fatal(err)
	}
	if got := w.View().Function("a", Latest).Reserved; got != nil {
		t.Errorf("got %d, want none", *got)
	}
	if err := w.SetReserved(context.Background(), "nobody", &five); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want not found", err)
	}
	minus := -1
	if err := w.SetReserved(context.Background(), "a", &minus); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestTagsSetByHandHoldUntilTheTemplateSaysOtherwise(t *testing.T) {
	w, ctx := fresh(t), context.Background()
	deploy := func(tags map[string]string) map[string]string {
		f := function("a", "1")
		f.Tags = tags
		w.deploy(t, Deployment{Functions: []*Function{f}})
		return w.View().Function("a", Latest).Tags
	}
	deploy(map[string]string{"team": "a", "old": "1"})
	before := w.View().Function("a", Latest).Revision
	if err := w.Tag(ctx, "a", map[string]string{"by": "hand"}, []string{"old", "never"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"team": "a", "by": "hand"}
	if got := w.View().Function("a", Latest); !maps.Equal(got.Tags, want) || got.Revision != before {
		t.Errorf("got %v and revision %s, want %v and %s", got.Tags, got.Revision, want, before)
	}
	if got := deploy(map[string]string{"team": "a", "old": "1"}); !maps.Equal(got, want) {
		t.Errorf("got %v, want what was set by hand: %v", got, want)
	}
	if got := deploy(map[string]string{"team": "b"}); !maps.Equal(got, map[string]string{"team": "b"}) {
		t.Errorf("got %v, want the template's", got)
	}
	if err := w.Tag(ctx, "nobody", want, nil); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want not found", err)
	}
	many := map[string]string{}
	for i := range TagsMax {
		many[fmt.Sprint(i)] = ""
	}
	if err := w.Tag(ctx, "a", many, nil); daruma.KindOf(err) != daruma.KindInvalid || len(w.View().Function("a", Latest).Tags) != 1 {
		t.Errorf("got %v, want that it has too many", err)
	}
	if err := w.Tag(ctx, "a", many, []string{"team"}); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
}

func TestTheCatalogIsThereAfterACrash(t *testing.T) {
	w := fresh(t)
	w.deploy(t, Deployment{Functions: []*Function{function("a", "1")}, Publish: []Publication{{Function: "a", Alias: "live"}}})
	want := w.View()
	w.medium.Crash()
	if diff := cmp.Diff(want, open(t, w.medium).View(), cmp.AllowUnexported(View{})); diff != "" {
		t.Error(diff)
	}
}

func TestADeploymentThatContradictsItselfChangesNothing(t *testing.T) {
	w := fresh(t)
	w.deploy(t, Deployment{Functions: []*Function{function("a", "1")}})
	want := w.View()
	a2 := function("a", "2")
	withLayer := function("a", "2")
	withLayer.Layers = []Layer{{Name: "none"}}
	for name, d := range map[string]Deployment{
		"two functions of one name":          {Functions: []*Function{a2, a2}},
		"a name that is none":                {Functions: []*Function{function("a/b", "1")}},
		"a numbered version":                 {Functions: []*Function{{Name: "a", Version: "3"}}},
		"an alias of nothing":                {Functions: []*Function{a2}, Aliases: []*AliasWish{{Alias: Alias{Function: "b", Name: "x", Version: Latest}}}},
		"an alias to a version there is not": {Functions: []*Function{a2}, Aliases: []*AliasWish{{Alias: Alias{Function: "a", Name: "x", Version: "9"}}}},
		"an alias to no version":             {Functions: []*Function{a2}, Aliases: []*AliasWish{{Alias: Alias{Function: "a", Name: "x"}}}},
		"a second version there is not":      {Functions: []*Function{a2}, Aliases: []*AliasWish{{Alias: Alias{Function: "a", Name: "x", Version: Latest, Second: "9"}}}},
		"a version of nothing":               {Functions: []*Function{a2}, Publish: []Publication{{Function: "b"}}},
		"a layer that is not there":          {Functions: []*Function{withLayer}},
		"a layer without a name":             {Functions: []*Function{a2}, Layers: []*Layer{{}}},
		"a route to nothing":                 {Functions: []*Function{a2}, APIs: []*API{{LogicalID: "A", Routes: []Route{{Target: daruma.Target{Function: "b"}}}}}},
		"an API without a name":              {Functions: []*Function{a2}, APIs: []*API{{}}},
		"two APIs of one name":               {Functions: []*Function{a2}, APIs: []*API{{LogicalID: "A"}, {LogicalID: "A"}}},
	} {
		if _, err := w.Deploy(context.Background(), d); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v, want it refused as invalid", name, err)
		}
	}
	if diff := cmp.Diff(want, w.View(), cmp.AllowUnexported(View{})); diff != "" {
		t.Error(diff)
	}
}

func TestATargetResolvesByNameVersionAliasAndWeight(t *testing.T) {
	fs := []*Function{function("a", "3"), {Name: "a", Version: "1"}, {Name: "a", Version: "2"}}
	v := NewView(place, fs, []*Alias{{Function: "a", Name: "live", Version: "1"}, {Function: "a", Name: "canary", Version: "1", Second: "2", Weight: 0.1}}, nil, nil)
	for _, tt := range []struct {
		qualifier string
		draw      float64
		want      string
	}{
		{"", 0, Latest}, {Latest, 0, Latest}, {"2", 0, "2"}, {"live", 0, "1"},
		{"canary", 0, "2"}, {"canary", 0.0999, "2"}, {"canary", 0.1, "1"}, {"canary", 0.99, "1"},
	} {
		f, err := v.Resolve(daruma.Target{Function: "a", Qualifier: tt.qualifier}, tt.draw)
		if err != nil || f.Version != tt.want {
			t.Errorf("%q at %v: got %v, %v; want %s", tt.qualifier, tt.draw, f, err, tt.want)
		}
	}
	for _, target := range []daruma.Target{{Function: "b"}, {Function: "a", Qualifier: "9"}, {Function: "a", Qualifier: "dead"}, {}} {
		_, err := v.Resolve(target, 0)
		var e *daruma.Error
		if !errors.As(err, &e) || e.Kind != daruma.KindNotFound {
			t.Errorf("%v: got %v, want not found", target, err)
		}
	}
	_, err := v.Resolve(daruma.Target{Function: "b", Qualifier: "live"}, 0)
	if want := "Function not found: arn:aws:lambda:eu-central-1:000000000000:function:b:live"; errors.Unwrap(err).Error() != want {
		t.Errorf("got %q, want %q", errors.Unwrap(err), want)
	}
}

func TestVersionsAreInTheOrderOfTheirNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := fresh(&tester{})
		defer w.cell.Close()
		var want []string
		for _, code := range rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2", "3"}), 1, 25).Draw(t, "codes") {
			c, err := w.Deploy(context.Background(), Deployment{Functions: []*Function{function("a", code)}, Publish: []Publication{{Function: "a", Alias: "live"}}})
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, c.Published...)
			got := w.View().Function("a", w.View().Alias("a", "live").Version)
			if got.Code.SHA256 != code {
				t.Fatalf("the alias leads to code %s, want %s", got.Code.SHA256, code)
			}
		}
		got := versions(w.View(), "a")
		if len(got) != len(want)+1 || got[0] != Latest {
			t.Fatalf("got %v, want %s and %v", got, Latest, want)
		}
		for i, p := range want {
			if "a:"+got[i+1] != p {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

// A tester lets rapid's property open a world; what it would clean up the property closes.
type tester struct{ testing.TB }

func (*tester) Helper()        {}
func (*tester) Cleanup(func()) {}
func (*tester) Fatal(args ...any) {
	panic(args)
}

func TestViewsListInOrder(t *testing.T) {
	v := NewView(place, []*Function{function("b", "1"), function("a", "1")}, []*Alias{{Function: "a", Name: "y", Version: "1"}, {Function: "a", Name: "x", Version: "1"}}, []*API{{LogicalID: "Q"}, {LogicalID: "P"}}, []*Layer{{Name: "l", Version: 10}, {Name: "l", Version: 2}, {Name: "k", Version: 1}})
	var got []string
	for _, f := range v.Functions() {
		got = append(got, f.Name)
	}
	for _, a := range v.Aliases("a") {
		got = append(got, a.Name)
	}
	for _, a := range v.APIs() {
		got = append(got, a.LogicalID)
	}
	for _, l := range v.Layers() {
		got = append(got, l.Name+string(rune('0'+l.Version%10)))
	}
	if want := []string{"a", "b", "x", "y", "P", "Q", "k1", "l2", "l0"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
