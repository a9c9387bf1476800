package table_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/table"
	"github.com/daruma-io/daruma/table/read"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/table/value"
)

func wish(c schema.Creation) schema.Wish {
	c.Declared = "Logical" + c.Name
	return schema.Wish{Creation: c}
}

func (w *world) deploy(wishes ...schema.Wish) table.Changes {
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
	users.Attributes = append(users.Attributes, schema.KeyAttribute{Name: "team", Kind: value.String})
	users.Indexes = []schema.Index{{Name: "by-team", Key: schema.KeySchema{Hash: []string{"team"}}, Projection: schema.Projection{Kind: schema.ProjectAll}}}
	users.View, users.Expiry, users.Tags = schema.ViewBoth, "ttl", []schema.Tag{{Key: "a", Value: "b"}}
	if diff := cmp.Diff(table.Changes{Updated: []string{"users"}, Kept: []string{"kept"}}, w.deploy(users)); diff != "" {
		t.Error(diff)
	}
	w.until("built", func() bool {
		_, err := w.tables.Query(t.Context(), read.Query{Table: "users", Index: "by-team", Scan: true})
		return err == nil
	})
	w.crash()
	d := w.tables.Definition("users")
	if d.Expiry != "ttl" || d.Stream == 0 || len(d.Tags) != 1 || w.query(read.Query{Table: "users", Index: "by-team", Scan: true}).Count != 1 {
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
	users.Attributes = []schema.KeyAttribute{{Name: "pk", Kind: value.Number}}
	users.Key = schema.KeySchema{Hash: []string{"pk"}}
	w.deploy(users)
	w.put("users", item("pk", 1))
	other := wish(plain("users"))
	if _, err := w.tables.Deploy(t.Context(), []schema.Wish{wish(plain("first")), other}); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if w.tables.Definition("first") != nil || w.get("users", item("pk", 1)) == nil {
		t.Error("a part of a deployment that was refused is there")
	}
}
