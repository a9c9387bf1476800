package once_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/cell"
	"github.com/daruma-io/daruma/cell/journal/memory"
	"github.com/daruma-io/daruma/once"
)

// A settler is a machine whose step keeps keys, and fails when it is told to.
type settler struct{}

func (settler) Name() string { return "settler" }

func (settler) Apply(tx *cell.Tx, cmd cell.Command) (any, error) {
	e := once.Rule{Path: "$.id", For: time.Minute}.Of("F", cmd.Body)
	if err := once.Keep(tx, []byte("result"), *e); err != nil {
		return nil, err
	}
	if cmd.Name == "fail" {
		return nil, &daruma.Error{Kind: daruma.KindInvalid}
	}
	return nil, nil
}

func TestLongKeysAreToldApartByAllOfThem(t *testing.T) {
	rule := once.Rule{Path: "$.id", For: time.Minute}
	key := func(id string) string { return rule.Of("F", []byte(`{"id":"`+id+`"}`)).Key }
	long := strings.Repeat("x", 100_000)
	first := key(long + "1")
	if key(long+"2") == first {
		t.Error("two keys that differ at their ends are one")
	}
	if key(long+"1") != first {
		t.Error("the same key is another each time")
	}
	if n := len(key(long)); n > 1<<10 {
		t.Errorf("%d bytes are kept of a key", n)
	}
	if got := key("a"); got != "a" {
		t.Errorf("got %q, want the key as it is", got)
	}
}

func TestAKeyIsKeptWithTheStepOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{once.Machine{}, settler{}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		x, event := once.New(c), []byte(`{"id":"a"}`)
		e := once.Rule{Path: "$.id", For: time.Minute}.Of("F", event)
		find := func() *once.Record {
			t.Helper()
			is, err := x.Find(t.Context(), e, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return is
		}
		if _, err := c.Do(t.Context(), cell.Command{Machine: "settler", Name: "fail", Body: event}); err == nil || find() != nil {
			t.Fatalf("a step that failed: %v, and %+v is kept", err, find())
		}
		if _, err := c.Do(t.Context(), cell.Command{Machine: "settler", Name: "keep", Body: event}); err != nil {
			t.Fatal(err)
		}
		is := find()
		if is == nil || is.Hash != e.Hash || string(is.Result) != "result" {
			t.Fatalf("got %+v", is)
		}
		_ = (daruma.SystemClock{}).Sleep(t.Context(), 2*time.Minute)
		if is := find(); is != nil {
			t.Errorf("after its time %+v is kept", is)
		}
		all, err := x.Tallies(t.Context())
		if err != nil || len(all) != 1 || all[0].Run != 1 || all[0].Kept != 0 {
			t.Errorf("got %+v, %v", all, err)
		}
	})
}

func TestARuleIsChecked(t *testing.T) {
	for _, r := range []once.Rule{{}, {Path: "$..x", For: time.Hour}, {Path: "$.x"}, {Path: "$.x", For: 91 * 24 * time.Hour}} {
		if err := r.Check(); daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("%+v: got %v", r, err)
		}
	}
	if err := (once.Rule{Path: "$.x.y", For: time.Hour}).Check(); err != nil {
		t.Error(err)
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("\x02[]"))
	f.Add([]byte(`"[{"function":"F","key":"k","fate":"run"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := cell.Open(t.Context(), cell.Config{Journal: &memory.Medium{}, CanaryEvery: time.Hour, Machines: []cell.Machine{once.Machine{}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Do(t.Context(), cell.Command{Machine: "once", Name: "keep", Body: body}); err != nil && daruma.KindOf(err) == daruma.KindInternal {
			t.Fatal(err)
		}
	})
}
