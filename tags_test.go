package daruma_test

import (
	"maps"
	"testing"

	"github.com/daruma-io/daruma"
)

func TestTagsAreSetAndDroppedInACopy(t *testing.T) {
	old := map[string]string{"owner": "a", "team": "b", "stage": "c"}
	got := daruma.Tagged(old, map[string]string{"team": "d", "cost": "e"}, []string{"stage", "nothing"})
	if want := map[string]string{"owner": "a", "team": "d", "cost": "e"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(old) != 3 || old["team"] != "b" {
		t.Errorf("what was given has changed: %v", old)
	}
	if got := daruma.Tagged(nil, nil, nil); got == nil {
		t.Error("got nil, want no tags")
	}
}
