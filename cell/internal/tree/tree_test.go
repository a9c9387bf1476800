package tree_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daruma-io/daruma/cell/internal/tree"
)

func TestAMapDoesWhatAGoMapDoesAndNeverChanges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		key := rapid.StringMatching(`[a-e]{0,3}`)
		var m tree.Map[int]
		want := map[string]int{}
		type version struct {
			m    tree.Map[int]
			want map[string]int
		}
		var versions []version
		for i := range rapid.IntRange(0, 60).Draw(rt, "steps") {
			k, to := key.Draw(rt, "key"), key.Draw(rt, "to")
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				m = m.Delete([]byte(k))
				delete(want, k)
			case 1:
				if k < to {
					m = m.DeleteRange([]byte(k), []byte(to))
					maps.DeleteFunc(want, func(s string, _ int) bool { return s >= k && s < to })
				}
			default:
				m = m.Set([]byte(k), i)
				want[k] = i
			}
			versions = append(versions, version{m, maps.Clone(want)})
		}
		for _, v := range versions {
			same(rt, v.m, v.want, key)
		}
	})
}

func same(rt *rapid.T, m tree.Map[int], want map[string]int, key *rapid.Generator[string]) {
	if m.Len() != len(want) {
		rt.Fatalf("got %d keys, want %d", m.Len(), len(want))
	}
	from, to := key.Draw(rt, "from"), key.Draw(rt, "upper")
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if k >= from && k < to {
			keys = append(keys, k)
		}
		if v, ok := m.Get([]byte(k)); !ok || v != want[k] {
			rt.Fatalf("%q: got %d, %v, want %d", k, v, ok, want[k])
		}
	}
	var up, down []string
	for k := range m.Ascend([]byte(from), []byte(to)) {
		up = append(up, string(k))
	}
	for k := range m.Descend([]byte(from), []byte(to)) {
		down = append(down, string(k))
	}
	slices.Reverse(down)
	if diff := cmp.Diff(keys, up); diff != "" {
		rt.Fatal(diff)
	}
	if diff := cmp.Diff(keys, down); diff != "" {
		rt.Fatal(diff)
	}
}
