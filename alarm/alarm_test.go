package alarm_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/alarm"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
)

// told is what actions hand messages to: it keeps each, and refuses those to "nowhere".
type told struct{}

func (told) Name() string { return "told" }

func (told) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	if cmd.Name == "nowhere" {
		return nil, errors.New("there is no such topic")
	}
	tx.Set([]byte(fmt.Sprintf("%05d", len(said(tx)))), cmd.Body)
	return nil, nil
}

func said(s cell.State) (all []string) {
	for _, v := range s.Scan(cell.Range{}) {
		all = append(all, string(v))
	}
	return all
}

type world struct {
	*testing.T
	*alarm.Alarms
	cell *cell.Cell
}

func open(t *testing.T, m *memory.Medium) *world {
	t.Helper()
	machine := alarm.NewMachine(alarm.Config{Act: func(id string, a *alarm.Alarm, was alarm.Situation, action string) (cell.Command, error) {
		if action == "broken" {
			return cell.Command{}, errors.New("it cannot be")
		}
		return cell.Command{Machine: "told", Name: action, Body: []byte(fmt.Sprintf("%s to %s: %s -> %s", a.Name, action, was.State, a.Situation.State))}, nil
	}})
	c, err := cell.Open(t.Context(), cell.Config{Journal: m, Machines: []cell.Machine{machine, told{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &world{t, alarm.New(c, machine), c}
}

func (w *world) told() (all []string) {
	w.Helper()
	if err := w.cell.View(w.Context(), "told", func(r *cell.Reader) error { all = said(r); return nil }); err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) judged(name string, s alarm.State) {
	w.Helper()
	w.must(w.Judge(w.Context(), alarm.Judgement{Name: name, Revision: w.Alarm(name).Revision, To: alarm.Situation{State: s, Reason: "because"}}))
}

func named(name string) alarm.Definition {
	d := of(1, 1)
	d.Name = name
	return d
}

func TestAnAlarmBeginsWithTooLittleKnownAndOutlivesThePlatform(t *testing.T) {
	m := &memory.Medium{}
	w := open(t, m)
	w.must(w.Put(t.Context(), named("a"), map[string]string{"k": "v"}))
	if a := w.Alarm("a"); a.Situation.State != alarm.Insufficient || a.Situation.Reason != alarm.Created || a.Came.IsZero() {
		t.Fatalf("got %+v", a)
	}
	w.judged("a", alarm.Alarmed)
	w.must(w.cell.Close())
	w = open(t, m)
	anew := named("a")
	anew.Threshold = 7
	w.must(w.Put(t.Context(), anew, map[string]string{"k": "another"}))
	if a := w.Alarm("a"); a.Situation.State != alarm.Alarmed || a.Threshold != 7 || a.Revision != 2 || a.Tags["k"] != "v" {
		t.Errorf("defined anew: %+v", a)
	}
	var history []string
	items, err := w.History(t.Context(), "a")
	w.must(err)
	for _, i := range items {
		history = append(history, i.Kind+i.Did)
	}
	if diff := cmp.Diff([]string{"configurationupdated", "state", "configurationcreated"}, history); diff != "" {
		t.Error(diff)
	}
	w.must(w.Delete(t.Context(), "a"))
	if items, err = w.History(t.Context(), ""); len(items) != 0 || w.Alarm("a") != nil || err != nil {
		t.Errorf("it is gone, and there are %v, %v", items, err)
	}
}

func TestActionsAreTakenOnceForEachChangeOfState(t *testing.T) {
	w := open(t, &memory.Medium{})
	d := named("a")
	d.OnAlarm, d.OnOK, d.OnInsufficient = []string{"ops", "nowhere", "broken"}, []string{"ops"}, []string{"late"}
	w.must(w.Put(t.Context(), d, nil))
	for _, s := range []alarm.State{alarm.Alarmed, alarm.Alarmed, alarm.OK} {
		w.judged("a", s)
	}
	w.must(w.Mute(t.Context(), true, "a", "unknown"))
	w.judged("a", alarm.Alarmed)
	w.must(w.Mute(t.Context(), false, "a"))
	w.must(w.Set(t.Context(), "a", alarm.Alarmed, "by hand", "")) // it is there already
	w.must(w.Set(t.Context(), "a", alarm.Insufficient, "by hand", `{"a":1}`))
	want := []string{"a to ops: INSUFFICIENT_DATA -> ALARM", "a to ops: ALARM -> OK", "a to late: ALARM -> INSUFFICIENT_DATA"}
	if diff := cmp.Diff(want, w.told()); diff != "" {
		t.Error(diff)
	}
	items, err := w.History(t.Context(), "a")
	w.must(err)
	var failed []string
	for _, i := range items {
		if i.Failed != "" {
			failed = append(failed, i.Action+": "+i.Failed)
		}
	}
	if diff := cmp.Diff([]string{"broken: it cannot be", "nowhere: there is no such topic"}, failed); diff != "" {
		t.Error(diff)
	}
}

func TestAJudgementByAnOlderDefinitionIsNotHeeded(t *testing.T) {
	w := open(t, &memory.Medium{})
	w.must(w.Put(t.Context(), named("a"), nil))
	w.must(w.Put(t.Context(), named("a"), nil))
	to := alarm.Situation{State: alarm.Alarmed, Reason: "because"}
	w.must(w.Judge(t.Context(), alarm.Judgement{Name: "a", Revision: 1, To: to}, alarm.Judgement{Name: "gone", Revision: 1, To: to}))
	if s := w.Alarm("a").Situation.State; s != alarm.Insufficient {
		t.Errorf("it is %s", s)
	}
}

func TestOfAHistoryTheNewestIsKept(t *testing.T) {
	w := open(t, &memory.Medium{})
	w.must(w.Put(t.Context(), named("a"), nil))
	for i := range alarm.ItemsMax {
		w.judged("a", []alarm.State{alarm.Alarmed, alarm.OK}[i%2])
	}
	items, err := w.History(t.Context(), "a")
	if err != nil || len(items) != alarm.ItemsMax || items[0].To.State != alarm.OK || items[len(items)-1].Kind != alarm.Moved {
		t.Errorf("got %d, %v", len(items), err)
	}
}

func TestWhoAwaitsAnAlarmIsToldWhenItGoesOff(t *testing.T) {
	w := open(t, &memory.Medium{})
	w.must(w.Put(t.Context(), named("a"), nil))
	w.must(w.Put(t.Context(), named("b"), nil))
	await := func() <-chan string {
		got := make(chan string, 1)
		go func() {
			name, err := w.Await(t.Context(), "a", "b")
			got <- fmt.Sprint(name, " ", errors.Is(err, alarm.ErrMissing))
		}()
		return got
	}
	waiting := await()
	w.judged("a", alarm.OK)
	w.judged("b", alarm.Alarmed)
	if got := <-waiting; got != "b false" {
		t.Errorf("got %s", got)
	}
	if got := <-await(); got != "b false" {
		t.Errorf("when it is off already: got %s", got)
	}
	w.judged("b", alarm.OK)
	waiting = await()
	w.must(w.Delete(t.Context(), "a"))
	if got := <-waiting; got != "a true" {
		t.Errorf("one that is gone: got %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := w.Await(ctx, "b"); daruma.KindOf(err) != daruma.KindExpired {
		t.Errorf("got %v", err)
	}
}

func TestATemplatesAlarmIsPutWhenItsDeclarationChanges(t *testing.T) {
	w := open(t, &memory.Medium{})
	deploy := func(want []string, wishes ...alarm.Wish) {
		t.Helper()
		removed, err := w.Deploy(t.Context(), wishes)
		if diff := cmp.Diff(want, removed, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	}
	one := alarm.Wish{Definition: named("one"), LogicalID: "One", Tags: map[string]string{"k": "v"}}
	kept := alarm.Wish{Definition: named("kept"), LogicalID: "Kept", Retain: true}
	w.must(w.Put(t.Context(), named("own"), nil))
	deploy(nil, one, kept)
	w.judged("one", alarm.Alarmed)
	deploy(nil, one, kept)
	if a := w.Alarm("one"); a.Revision != 1 || a.Tags["k"] != "v" {
		t.Errorf("the same template put it again: %+v", a)
	}
	one.Threshold = 8
	deploy(nil, one, kept)
	if a := w.Alarm("one"); a.Threshold != 8 || a.Situation.State != alarm.Alarmed {
		t.Errorf("another template left it, or its state was lost: %+v", a)
	}
	deploy([]string{"one"})
	deploy(nil)
	if len(w.All()) != 2 {
		t.Errorf("there are %v", w.All())
	}
}

func TestWhatIsNoAlarmIsRefused(t *testing.T) {
	w := open(t, &memory.Medium{})
	for name, change := range map[string]func(d *alarm.Definition){
		"no name": func(d *alarm.Definition) { d.Name = "" }, "no statistic": func(d *alarm.Definition) { d.Statistic = "" }, "two": func(d *alarm.Definition) { d.Percentile = "p9" },
		"no period": func(d *alarm.Definition) { d.Period = 0 }, "no periods": func(d *alarm.Definition) { d.Periods = 0 }, "3 of 2": func(d *alarm.Definition) { d.Periods, d.ToAlarm = 2, 3 },
		"a comparison": func(d *alarm.Definition) { d.Comparison = "Equal" }, "missing": func(d *alarm.Definition) { d.Missing = "forget" }, "few": func(d *alarm.Definition) { d.FewSamples = "forget" },
		"actions": func(d *alarm.Definition) { d.OnOK = make([]string, alarm.ActionsMax+1) },
	} {
		d := named("a")
		change(&d)
		if err := w.Put(t.Context(), d, nil); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	w.must(w.Put(t.Context(), named("a"), nil))
	for name, err := range map[string]error{
		"a state": w.Set(t.Context(), "a", "FINE", "r", ""), "data": w.Set(t.Context(), "a", alarm.OK, "r", "{"),
	} {
		if daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"set": w.Set(t.Context(), "b", alarm.OK, "r", ""), "delete": w.Delete(t.Context(), "a", "b"), "tag": w.Tag(t.Context(), "b", nil, nil),
	} {
		if !errors.Is(err, alarm.ErrMissing) || daruma.KindOf(err) != daruma.KindNotFound {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if w.Alarm("a") == nil {
		t.Error("one of two that are to be deleted is missing, and the other is gone")
	}
}
