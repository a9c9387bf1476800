package dispatch

import "iter"

// inTurn returns all of a list, beginning at another one each turn, so that
// nobody is always the last when there is little room.
func inTurn[T any](all []T, turn int) iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := range all {
			if !yield(all[(turn+i)%len(all)]) {
				return
			}
		}
	}
}
