package cell

import "testing"

func TestWhoWaitsForOneMachineIsNotWokenByAnother(t *testing.T) {
	w := new(watch)
	mark, changed, _ := w.last("a")
	w.advance(1, map[string]bool{"b": true})
	select {
	case <-changed:
		t.Error("got woken, and another machine has changed")
	default:
	}
	w.advance(2, map[string]bool{"a": true})
	select {
	case <-changed:
	default:
		t.Error("got no wake, and the machine has changed")
	}
	if got, _, _ := w.last("a"); got <= mark {
		t.Errorf("got the mark %d, want more than %d", got, mark)
	}
	_, changed, _ = w.last("b")
	w.close()
	if _, open := <-changed; open {
		t.Error("got a change, want the end")
	}
}
