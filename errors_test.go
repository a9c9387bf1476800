package daruma_test

import (
	"errors"
	"testing"

	"github.com/daruma-io/daruma"
)

var errLimit = errors.New("at most 50")

func TestAnErrorThatIsWrappedKeepsItsKindItsHintAndItsCause(t *testing.T) {
	gone := errors.New("it is gone")
	err := daruma.Wrap("send", "orders", &daruma.Error{Kind: daruma.KindNotFound, Err: gone, Hint: "make it anew"})
	if got, want := err.Error(), "orders: send: it is gone"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if daruma.KindOf(err) != daruma.KindNotFound || daruma.HintOf(err) != "make it anew" || !errors.Is(err, gone) {
		t.Errorf("got kind %v, hint %q of %v", daruma.KindOf(err), daruma.HintOf(err), err)
	}
	if err := daruma.Wrap("send", "orders", nil); err != nil {
		t.Errorf("got %v where nothing is wrong", err)
	}
}

func TestAnErrorOfARequestSaysWhatIsWrongAndWithWhat(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{daruma.Invalidf("%d tags: %w", 51, errLimit), "51 tags: at most 50"},
		{daruma.InvalidAt("orders", "%d tags: %w", 51, errLimit), "orders: 51 tags: at most 50"},
	} {
		if c.err.Error() != c.want || daruma.KindOf(c.err) != daruma.KindInvalid || !errors.Is(c.err, errLimit) {
			t.Errorf("got %v of kind %v, want %q", c.err, daruma.KindOf(c.err), c.want)
		}
	}
}
