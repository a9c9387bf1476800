package table_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/value"
)

func wish(c table.Creation) table.Wish {
	c.Declared = "Logical" + c.Name
	return table.Wish{Creation: c}
}

func (w *world) deploy(wishes ...table.Wish) table.Changes {
	w.t.Helper()
	got, err := w.tables.Deploy(w.t.Context(), wishes)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func TestADeploymentMakesItsTablesWhatThereIs(t *testing.T) {
	w := newWorld(t)
	w.create(plain("by-hand"))
	users, kept := wish(plain("users")), wish(plain("kept"))
	kept.Retain = true
	if diff := cmp.Diff(table.Changes{Created: []string{"users", "kept"}}, w.deploy(users, kept)); diff != "" {
		t.Fatal(diff)
	}
	w.put("users", item("id", "a", "team", "t"))
	if diff := cmp.Diff(table.Changes{}, w.deploy(users, kept)); diff != "" {
		t.Errorf("the same again changes something: %s", diff)
	}
	users.Attributes = append(users.Attributes, table.KeyAttribute{Name: "team", Kind: value.String})
	users.Indexes = []table.Index{{Name: "by-team", Key: table.KeySchema{Hash: []string{"team"}}, Projection: table.Projection{Kind: table.ProjectAll}}}
	users.View, users.Expiry, users.Tags = table.ViewBoth, "ttl", []table.Tag{{Key: "a", Value: "b"}}
	if diff := cmp.Diff(table.Changes{Updated: []string{"users"}, Kept: []string{"kept"}}, w.deploy(users)); diff != "" {
		t.Error(diff)
	}
	w.until("built", func() bool {
		_, err := w.tables.Query(t.Context(), table.Query{Table: "users", Index: "by-team", Scan: true})
		return err == nil
	})
	w.crash()
	d := w.tables.Definition("users")
	if d.Expiry != "ttl" || d.Stream == 0 || len(d.Tags) != 1 || w.query(table.Query{Table: "users", Index: "by-team", Scan: true}).Count != 1 {
		t.Errorf("got %+v", d)
	}
	users.View, users.Expiry, users.Tags, users.Indexes, users.Attributes = "", "", nil, nil, users.Attributes[:1]
	w.deploy(users)
	if d := w.tables.Definition("users"); d.Expiry != "" || d.Stream != 0 || len(d.Tags) != 0 || len(d.Indexes) != 0 || len(d.Attributes) != 1 {
		t.Errorf("got %+v", d)
	}
	if diff := cmp.Diff(table.Changes{Removed: []table.Gone{{Name: "users", Items: 1}}}, w.deploy()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"by-hand", "kept"}, w.tables.Names()); diff != "" {
		t.Error(diff)
	}
}

func TestATableWhoseKeyChangesIsMadeAnewOnlyWhenItIsEmpty(t *testing.T) {
	w := newWorld(t)
	users := wish(plain("users"))
	w.deploy(users)
	users.Attributes = []table.KeyAttribute{{Name: "pk", Kind: value.Number}}
	users.Key = table.KeySchema{Hash: []string{"pk"}}
	w.deploy(users)
	w.put("users", item("pk", 1))
	other := wish(plain("users"))
	if _, err := w.tables.Deploy(t.Context(), []table.Wish{wish(plain("first")), other}); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if w.tables.Definition("first") != nil || w.get("users", item("pk", 1)) == nil {
		t.Error("a part of a deployment that was refused is there")
	}
}
