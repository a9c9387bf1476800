package catalog

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
)

// published is a deployment of the function a with version 1 under the alias live.
func published(wishes ...*EventInvokeWish) Deployment {
	return Deployment{Functions: []*Function{function("a", "1")}, Publish: []Publication{{Function: "a", Alias: "live"}}, EventInvoke: wishes}
}

func wish(qualifier string, retries int) *EventInvokeWish {
	return &EventInvokeWish{EventInvokeConfig: EventInvokeConfig{Function: "a", Qualifier: qualifier, Retries: &retries}}
}

func (w world) change(t *testing.T, c EventInvokeChange) *EventInvokeConfig {
	t.Helper()
	c.Function = "a"
	got, err := w.ChangeEventInvoke(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAsynchronousInvocationIsConfiguredForOneQualifierAndNoOther(t *testing.T) {
	w := fresh(t)
	w.deploy(t, published(wish("live", 1)))
	w.change(t, EventInvokeChange{Qualifier: Latest, Retries: new(0)})
	for qualifier, want := range map[string]int{"live": 1, Latest: 0, "": 0, "1": RetriesDefault} {
		if got := w.View().EventInvoke("a", qualifier).RetriesOrDefault(); got != want {
			t.Errorf("%q: got %d retries, want %d", qualifier, got, want)
		}
	}
	if w.View().EventInvoke("a", "1") != nil || w.View().EventInvoke("b", Latest) != nil {
		t.Error("got a configuration where there is none")
	}
	var got []string
	for _, c := range w.View().EventInvokes("a") {
		got = append(got, c.Qualifier)
	}
	if want := []string{Latest, "live"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnEventsAgeAndRetriesHaveDefaults(t *testing.T) {
	var none *EventInvokeConfig
	for _, c := range []*EventInvokeConfig{none, {}} {
		if c.RetriesOrDefault() != 2 || c.MaxAgeOrDefault() != 6*time.Hour {
			t.Errorf("got %d retries and %v, want 2 and 6 h", c.RetriesOrDefault(), c.MaxAgeOrDefault())
		}
	}
	if c := (&EventInvokeConfig{Retries: new(0), MaxAge: time.Minute}); c.RetriesOrDefault() != 0 || c.MaxAgeOrDefault() != time.Minute {
		t.Errorf("got %d retries and %v, want what is set", c.RetriesOrDefault(), c.MaxAgeOrDefault())
	}
}

func TestAConfigurationSetByHandHoldsUntilTheTemplateSaysOtherwise(t *testing.T) {
	w := fresh(t)
	w.deploy(t, published(wish("live", 1)))
	w.change(t, EventInvokeChange{Qualifier: "live", Retries: new(0)})
	w.change(t, EventInvokeChange{Qualifier: "1", Retries: new(0)})
	retries := func(q string) int { return w.View().EventInvoke("a", q).RetriesOrDefault() }
	w.deploy(t, published(wish("live", 1)))
	if got := retries("live"); got != 0 {
		t.Errorf("got %d, want what was set by hand", got)
	}
	w.deploy(t, published(wish("live", 2)))
	if got := retries("live"); got != 2 {
		t.Errorf("got %d, want the template's new value", got)
	}
	w.change(t, EventInvokeChange{Qualifier: "live", Delete: true})
	w.deploy(t, published(wish("live", 2)))
	if got := w.View().EventInvoke("a", "live"); got != nil {
		t.Errorf("got %+v, want it to stay deleted", got)
	}
	w.deploy(t, published(wish("live", 1)))
	w.deploy(t, published())
	if got := w.View().EventInvoke("a", "live"); got != nil {
		t.Errorf("got %+v, want it gone with the template's", got)
	}
	if got := retries("1"); got != 0 {
		t.Errorf("got %d, want what only was set by hand to stay", got)
	}
	w.deploy(t, Deployment{Functions: []*Function{function("b", "1")}})
	if got := w.View().EventInvokes("a"); len(got) != 0 {
		t.Errorf("got %v of a function that is gone", got)
	}
}

func TestAChangeReplacesOrMerges(t *testing.T) {
	w := fresh(t)
	w.deploy(t, published())
	ctx, minute := context.Background(), time.Minute
	_, err := w.ChangeEventInvoke(ctx, EventInvokeChange{Function: "a", Qualifier: "live", Merge: true, Retries: new(1)})
	if daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want nothing to merge with", err)
	}
	w.change(t, EventInvokeChange{Qualifier: "live", MaxAge: &minute, OnFailure: new("arn:f"), OnSuccess: new("arn:s")})
	got := w.change(t, EventInvokeChange{Qualifier: "live", Merge: true, Retries: new(1), OnSuccess: new("")})
	want := &EventInvokeConfig{Function: "a", Qualifier: "live", Retries: new(1), MaxAge: minute, OnFailure: "arn:f", Modified: got.Modified}
	if diff := cmp.Diff(want, got); diff != "" || got.Modified.IsZero() {
		t.Errorf("merged, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(want, w.View().EventInvoke("a", "live")); diff != "" {
		t.Errorf("view, -want +got:\n%s", diff)
	}
	got = w.change(t, EventInvokeChange{Qualifier: "live", Retries: new(2)})
	want = &EventInvokeConfig{Function: "a", Qualifier: "live", Retries: new(2), Modified: got.Modified}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("replaced, -want +got:\n%s", diff)
	}
}

func TestAChangeThatIsWrongChangesNothing(t *testing.T) {
	w := fresh(t)
	w.deploy(t, published())
	half, long, odd := 30*time.Second, 7*time.Hour, 90*time.Second+1
	for name, c := range map[string]struct {
		change EventInvokeChange
		want   daruma.Kind
	}{
		"a function there is not":  {EventInvokeChange{Function: "b", Qualifier: Latest, Retries: new(1)}, daruma.KindNotFound},
		"a qualifier there is not": {EventInvokeChange{Function: "a", Qualifier: "dead", Retries: new(1)}, daruma.KindNotFound},
		"no qualifier":             {EventInvokeChange{Function: "a", Retries: new(1)}, daruma.KindNotFound},
		"nothing to delete":        {EventInvokeChange{Function: "a", Qualifier: Latest, Delete: true}, daruma.KindNotFound},
		"three retries":            {EventInvokeChange{Function: "a", Qualifier: Latest, Retries: new(3)}, daruma.KindInvalid},
		"fewer than none":          {EventInvokeChange{Function: "a", Qualifier: Latest, Retries: new(-1)}, daruma.KindInvalid},
		"half a minute":            {EventInvokeChange{Function: "a", Qualifier: Latest, MaxAge: &half}, daruma.KindInvalid},
		"seven hours":              {EventInvokeChange{Function: "a", Qualifier: Latest, MaxAge: &long}, daruma.KindInvalid},
		"no whole seconds":         {EventInvokeChange{Function: "a", Qualifier: Latest, MaxAge: &odd}, daruma.KindInvalid},
	} {
		if _, err := w.ChangeEventInvoke(context.Background(), c.change); daruma.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if got := w.View().EventInvokes("a"); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
	for name, d := range map[string]Deployment{
		"a configuration of nothing":               {Functions: []*Function{function("b", "1")}, EventInvoke: []*EventInvokeWish{wish(Latest, 1)}},
		"a configuration of an alias there is not": published(wish("dead", 1)),
		"two of one qualifier":                     published(wish("live", 1), wish("live", 1)),
		"three retries":                            published(wish("live", 3)),
		"an unknown recursion":                     {Functions: []*Function{{Name: "a", Version: Latest, Recursion: "Maybe"}}},
	} {
		if _, err := w.Deploy(context.Background(), d); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v, want it refused as invalid", name, err)
		}
	}
}

func TestAConfigurationMayNameAnExplicitVersion(t *testing.T) {
	w := fresh(t)
	c := wish("7", 1) // a guess
	c.VersionID = "V"
	w.deploy(t, Deployment{Functions: []*Function{function("a", "1")}, Publish: []Publication{{Function: "a", LogicalID: "V"}}, EventInvoke: []*EventInvokeWish{c}})
	if got := w.View().EventInvoke("a", "1"); got == nil || *got.Retries != 1 || w.View().EventInvoke("a", "7") != nil {
		t.Errorf("got %+v, want it for version 1", got)
	}
}

func TestDeployingTheSameConfigurationAgainChangesNothing(t *testing.T) {
	w := fresh(t)
	d := published(wish("live", 1))
	d.EventInvoke[0].MaxAge = time.Hour
	w.deploy(t, d)
	before := w.View()
	if got := w.deploy(t, d); got.Any() {
		t.Errorf("got %+v, want no change", got)
	}
	w.medium.Crash()
	if diff := cmp.Diff(before, open(t, w.medium).View(), cmp.AllowUnexported(View{})); diff != "" {
		t.Error(diff)
	}
}

func TestADeadLetterTargetIsFrozenIntoVersions(t *testing.T) {
	w := fresh(t)
	deploy := func(target string, configuration bool) {
		f := function("a", "1")
		f.DeadLetter = target
		w.deploy(t, Deployment{Functions: []*Function{f}, Publish: []Publication{{Function: "a", Alias: "live", Configuration: configuration}}})
	}
	deploy("arn:one", false)
	deploy("arn:two", false)
	if v := w.View(); v.Function("a", "1").DeadLetter != "arn:one" || v.Function("a", Latest).DeadLetter != "arn:two" {
		t.Errorf("got %q and %q, want the version to keep its own", v.Function("a", "1").DeadLetter, v.Function("a", Latest).DeadLetter)
	}
	deploy("arn:two", true) // it is configuration: a new version when asked for
	if v := w.View().Alias("a", "live").Version; v != "2" {
		t.Errorf("the alias leads to %s, want 2", v)
	}
}

func TestAFunctionsARNLeadsBackToIt(t *testing.T) {
	for _, want := range []daruma.Target{{Function: "a"}, {Function: "a", Qualifier: "live"}, {Function: "a", Qualifier: Latest}} {
		if got, ok := place.FunctionTarget(place.FunctionARN(want)); !ok || got != want {
			t.Errorf("got %v, %v, want %v", got, ok, want)
		}
	}
	arn := place.FunctionARN(daruma.Target{Function: "a"})
	for _, other := range []string{"", "a", arn + ":", arn + ":1:2", strings.TrimSuffix(arn, "a"), strings.Replace(arn, "eu-central-1", "eu-west-1", 1), strings.Replace(arn, ":lambda:", ":sqs:", 1)} {
		if got, ok := place.FunctionTarget(other); ok {
			t.Errorf("%q: got %v, want no function", other, got)
		}
	}
}

func TestRecursionIsOfTheFunctionAndHoldsUntilTheTemplateSaysOtherwise(t *testing.T) {
	w := fresh(t)
	deploy := func(mode string) string {
		f := function("a", "1")
		f.Recursion = mode
		w.deploy(t, Deployment{Functions: []*Function{f}, Publish: []Publication{{Function: "a", Alias: "live", Configuration: true}}})
		return w.View().Recursion("a")
	}
	set := func(mode string) {
		if err := w.SetRecursion(context.Background(), "a", mode); err != nil {
			t.Fatal(err)
		}
	}
	w.deploy(t, Deployment{Functions: []*Function{function("a", "0")}})
	if got := w.View().Recursion("a"); got != RecursionTerminate {
		t.Errorf("got %s, want the default", got)
	}
	set(RecursionAllow)
	deploy("")
	set(RecursionTerminate)
	set(RecursionAllow)
	if got := deploy(""); got != RecursionAllow {
		t.Errorf("got %s, want what was set by hand", got)
	}
	if got := deploy(RecursionTerminate); got != RecursionTerminate {
		t.Errorf("got %s, want the template's new value", got)
	}
	if got := deploy(RecursionAllow); got != RecursionAllow {
		t.Errorf("got %s, want the template's new value", got)
	}
	set(RecursionTerminate)
	if got := deploy(RecursionAllow); got != RecursionTerminate {
		t.Errorf("got %s, want what was set by hand", got)
	}
	if got := versions(w.View(), "a"); len(got) != 2 || w.View().Function("a", "1").Recursion != "" {
		t.Errorf("got versions %v, want no new one and nothing of it in the first", got)
	}
	for mode, want := range map[string]daruma.Kind{"Maybe": daruma.KindInvalid, "": daruma.KindInvalid} {
		if err := w.SetRecursion(context.Background(), "a", mode); daruma.KindOf(err) != want {
			t.Errorf("%q: got %v, want %v", mode, err, want)
		}
	}
	if err := w.SetRecursion(context.Background(), "b", RecursionAllow); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("got %v, want not found", err)
	}
}

func TestAFunctionThatIsKeptStaysWithAllThatBelongsToIt(t *testing.T) {
	w := fresh(t)
	d := published(wish("live", 1))
	d.Publish = append(d.Publish, Publication{Function: "a", LogicalID: "V"})
	w.deploy(t, d)
	if err := w.SetReserved(context.Background(), "a", new(0)); err != nil {
		t.Fatal(err)
	}
	w.change(t, EventInvokeChange{Qualifier: "live", Retries: new(0)})
	want := w.View()
	got := w.deploy(t, Deployment{Keep: []string{"a"}, APIs: nil})
	if diff := cmp.Diff(want, w.View(), cmp.AllowUnexported(View{})); diff != "" || got.Any() {
		t.Errorf("got changes %+v and, -want +got:\n%s", got, diff)
	}
	w.deploy(t, d) // what was set by hand still holds
	if v := w.View(); *v.Function("a", Latest).Reserved != 0 || v.EventInvoke("a", "live").RetriesOrDefault() != 0 {
		t.Error("what was set by hand is lost")
	}
	for name, d := range map[string]Deployment{
		"one that does not exist":   {Keep: []string{"b"}},
		"one that is deployed too":  {Functions: []*Function{function("a", "1")}, Keep: []string{"a"}},
		"one that has an alias too": {Keep: []string{"a"}, Aliases: []*AliasWish{{Alias: Alias{Function: "a", Name: "x", Version: Latest}}}},
	} {
		if _, err := w.Deploy(context.Background(), d); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v, want it refused as invalid", name, err)
		}
	}
}
