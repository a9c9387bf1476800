package drill_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/drill"
)

func open(t *testing.T, m *memory.Medium) (*drill.Drills, func()) {
	t.Helper()
	c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: []cell.Machine{drill.Machine{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return drill.New(c), func() { _ = c.Close() }
}

func put(t *testing.T, d *drill.Drills, p drill.Plan) *drill.Plan {
	t.Helper()
	got, err := d.Put(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

var document = json.RawMessage(`{"a":1}`)

func run(steps ...string) drill.Run {
	r := drill.Run{Plan: "P", Document: document}
	for _, name := range steps {
		r.Steps = append(r.Steps, drill.Step{Name: name})
	}
	return r
}

func TestAPlanOutlivesThePlatformAndIsChangedWhole(t *testing.T) {
	m := &memory.Medium{}
	d, end := open(t, m)
	p := put(t, d, drill.Plan{Document: document, Description: "slow", Tags: map[string]string{"k": "v"}})
	if p.ID == "" || p.Created.IsZero() || !p.Updated.Equal(p.Created) {
		t.Fatalf("got %+v", p)
	}
	end()
	d, _ = open(t, m)
	if _, err := d.Put(t.Context(), drill.Plan{ID: p.ID, Document: json.RawMessage(`{"a":2}`), Description: "slower"}); err != nil {
		t.Fatal(err)
	}
	got, err := d.Plan(t.Context(), p.ID)
	if err != nil || string(got.Document) != `{"a":2}` || got.Description != "slower" || got.Tags["k"] != "v" || !got.Created.Equal(p.Created) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := d.Remove(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"remove": func() error { _, err := d.Remove(t.Context(), p.ID); return err }(),
		"read":   func() error { _, err := d.Plan(t.Context(), p.ID); return err }(),
		"change": func() error { _, err := d.Put(t.Context(), drill.Plan{ID: p.ID, Document: document}); return err }(),
		"tag":    d.TagPlan(t.Context(), p.ID, nil, nil),
	} {
		if !errors.Is(err, drill.ErrPlan) || daruma.KindOf(err) != daruma.KindNotFound {
			t.Errorf("%s what is gone: got %v", name, err)
		}
	}
}

func TestATokenMakesOnePlanAndOneRun(t *testing.T) {
	d, _ := open(t, &memory.Medium{})
	first := put(t, d, drill.Plan{Document: document, Token: "t", Sum: "1"})
	if again := put(t, d, drill.Plan{Document: document, Token: "t", Sum: "1"}); again.ID != first.ID {
		t.Errorf("got %s and %s", first.ID, again.ID)
	}
	if _, err := d.Put(t.Context(), drill.Plan{Document: document, Token: "t", Sum: "2"}); !errors.Is(err, drill.ErrToken) {
		t.Errorf("for something else: got %v", err)
	}
	r := run("a")
	r.Token, r.Sum = "t", "1"
	one, again, err := d.Begin(t.Context(), r)
	if err != nil || again || one.State != drill.Pending || one.Steps[0].State != drill.Pending {
		t.Fatalf("got %+v, %v, %v", one, again, err)
	}
	two, again, err := d.Begin(t.Context(), r)
	if err != nil || !again || two.ID != one.ID {
		t.Errorf("got %+v, %v, %v", two, again, err)
	}
	r.Sum = "2"
	if _, _, err := d.Begin(t.Context(), r); !errors.Is(err, drill.ErrToken) {
		t.Errorf("for something else: got %v", err)
	}
	if _, err := d.Remove(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if anew := put(t, d, drill.Plan{Document: document, Token: "t", Sum: "2"}); anew.ID == first.ID {
		t.Error("the token of a plan that is gone still names it")
	}
}

func TestFiveRunsAreUnderWayAtOnceAndTheOldestAreForgotten(t *testing.T) {
	d, _ := open(t, &memory.Medium{})
	begin := func() (*drill.Run, error) {
		r, _, err := d.Begin(t.Context(), run("a"))
		return r, err
	}
	var all []*drill.Run
	for range drill.ActiveMax {
		r, err := begin()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if _, err := begin(); !errors.Is(err, drill.ErrActive) || daruma.KindOf(err) != daruma.KindThrottled {
		t.Errorf("got %v", err)
	}
	finish := func(r *drill.Run) {
		t.Helper()
		r.State = drill.Completed
		if err := d.Note(t.Context(), *r); err != nil {
			t.Fatal(err)
		}
	}
	finish(all[0])
	if err := d.Note(t.Context(), *all[0]); !errors.Is(err, drill.ErrEnded) {
		t.Errorf("noted after its end: %v", err)
	}
	for range drill.RunsMax {
		r, err := begin()
		if err != nil {
			t.Fatal(err)
		}
		finish(r)
	}
	kept, err := d.Runs(t.Context())
	if err != nil || len(kept) != drill.RunsMax {
		t.Errorf("%d are remembered, %v", len(kept), err)
	}
	if _, err := d.Run(t.Context(), all[0].ID); !errors.Is(err, drill.ErrRun) {
		t.Errorf("the oldest: got %v", err)
	}
	if _, err := d.Run(t.Context(), all[1].ID); err != nil {
		t.Errorf("one that is under way: %v", err)
	}
}

func TestWhatThePlatformsEndCutOffSaysSo(t *testing.T) {
	m := &memory.Medium{}
	d, end := open(t, m)
	r, _, err := d.Begin(t.Context(), run("done", "now", "later"))
	if err != nil {
		t.Fatal(err)
	}
	r.State, r.Steps[0].State, r.Steps[1].State = drill.Running, drill.Completed, drill.Running
	if err := d.Note(t.Context(), *r); err != nil {
		t.Fatal(err)
	}
	end()
	d, _ = open(t, m)
	given, err := d.Abandon(t.Context(), "it was cut off")
	if diff := cmp.Diff([]string{r.ID}, given); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}
	got, err := d.Run(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	said := fmt.Sprintf("%s: %s;", got.State, got.Reason)
	for _, s := range got.Steps {
		said += fmt.Sprintf(" %s %s", s.Name, s.State)
	}
	if want := "failed: it was cut off; done completed now failed later cancelled"; said != want || got.Ended.IsZero() {
		t.Errorf("got %s, %v; want %s", said, got.Ended, want)
	}
	if given, err := d.Abandon(t.Context(), "again"); err != nil || len(given) != 0 {
		t.Errorf("got %v, %v", given, err)
	}
}

func TestTagsOfPlansAndRunsAreSetAndRemoved(t *testing.T) {
	d, _ := open(t, &memory.Medium{})
	p := put(t, d, drill.Plan{Document: document})
	r, _, err := d.Begin(t.Context(), run("a"))
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]string{"x": "1", "y": "2"}
	if err := errors.Join(d.TagPlan(t.Context(), p.ID, tags, nil), d.TagRun(t.Context(), r.ID, tags, nil), d.TagPlan(t.Context(), p.ID, nil, []string{"x"}), d.TagRun(t.Context(), r.ID, nil, []string{"y"})); err != nil {
		t.Fatal(err)
	}
	gotPlan, err1 := d.Plan(t.Context(), p.ID)
	gotRun, err2 := d.Run(t.Context(), r.ID)
	if err := errors.Join(err1, err2); err != nil || gotPlan.Tags["y"] != "2" || len(gotPlan.Tags) != 1 || gotRun.Tags["x"] != "1" || len(gotRun.Tags) != 1 {
		t.Errorf("got %v and %v, %v", gotPlan.Tags, gotRun.Tags, err)
	}
}

func TestWhatIsNoDrillIsRefused(t *testing.T) {
	d, _ := open(t, &memory.Medium{})
	_, plan := d.Put(t.Context(), drill.Plan{})
	_, _, steps := d.Begin(t.Context(), run())
	_, _, many := d.Begin(t.Context(), run(make([]string, drill.StagesMax+1)...))
	for i, err := range []error{plan, steps, many} {
		if daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%d: got %v", i, err)
		}
	}
}

func TestADeploymentMakesThePlansThatATemplateDeclaresThoseThereAre(t *testing.T) {
	d, _ := open(t, &memory.Medium{})
	mine := put(t, d, drill.Plan{Document: document})
	deploy := func(want []string, wishes ...drill.Wish) {
		t.Helper()
		removed, err := d.Deploy(t.Context(), wishes)
		if diff := cmp.Diff(want, removed); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	}
	has := func(want ...string) {
		t.Helper()
		all, err := d.Plans(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, p := range all {
			got[p.ID] = p.Description
		}
		wanted := map[string]string{mine.ID: ""}
		for i := 0; i < len(want); i += 2 {
			wanted[want[i]] = want[i+1]
		}
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	one := drill.Wish{ID: "1", LogicalID: "One", Description: "slow", Document: document, Tags: map[string]string{"k": "v"}}
	kept := drill.Wish{ID: "2", LogicalID: "Kept", Description: "kept", Document: document, Retain: true}
	deploy([]string{}, one, kept)
	has("1", "slow", "2", "kept")
	first, err := d.Plan(t.Context(), "1")
	if err != nil || first.Tags["k"] != "v" || first.Created.IsZero() {
		t.Fatalf("got %+v, %v", first, err)
	}

	// What was changed since stays until the template says something else.
	if _, err := d.Put(t.Context(), drill.Plan{ID: "1", Description: "by hand", Document: document}); err != nil {
		t.Fatal(err)
	}
	deploy([]string{}, one, kept)
	has("1", "by hand", "2", "kept")
	one.Description = "slower"
	deploy([]string{}, one, kept)
	has("1", "slower", "2", "kept")
	if again, err := d.Plan(t.Context(), "1"); err != nil || !again.Created.Equal(first.Created) || again.Updated.Equal(first.Updated) {
		t.Errorf("got %+v, %v", again, err)
	}

	// What was removed by hand is there again, what the template lacks is not.
	if _, err := d.Remove(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	deploy([]string{}, one, kept)
	has("1", "slower", "2", "kept")
	deploy([]string{"One"})
	has("2", "kept")
	deploy([]string{}) // it is nobody's now

	// All of it or nothing.
	bad := drill.Wish{ID: "3", LogicalID: "Bad"}
	if _, err := d.Deploy(t.Context(), []drill.Wish{one, bad}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("got %v", err)
	}
	has("2", "kept")
	for range drill.PlansMax - 2 {
		put(t, d, drill.Plan{Document: document})
	}
	if _, err := d.Deploy(t.Context(), []drill.Wish{one}); !errors.Is(err, drill.ErrPlans) {
		t.Errorf("got %v", err)
	}
}
