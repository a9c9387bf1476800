package dispatch

import (
	"testing"
	"time"
)

func TestBatchesScaleByFiveASecondWhileThereIsMoreToDoAndDownAgain(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var s scale
	if got := s.limit(now, 0); got != 5 {
		t.Fatalf("at first %d at once, want 5", got)
	}
	for range 60 {
		s.use(s.limit(now, 0), true)
		now = now.Add(time.Second)
	}
	if got := s.limit(now, 0); got != 305 {
		t.Fatalf("after a minute %d, want 305", got)
	}
	if got := s.limit(now, 20); got != 20 {
		t.Fatalf("with a maximum of 20: %d", got)
	}
	s.use(100, false)
	if now = now.Add(10 * time.Second); s.limit(now, 0) >= 305 {
		t.Fatalf("with less to do it stays at %d", s.limit(now, 0))
	}
	now = now.Add(time.Hour)
	if got := s.limit(now, 0); got != 5 {
		t.Fatalf("after an hour of nothing %d, want 5", got)
	}
	for range 600 {
		s.use(s.limit(now, 0), true)
		now = now.Add(time.Second)
	}
	if got := s.limit(now, 0); got != 1250 {
		t.Fatalf("after ten minutes %d, want 1250", got)
	}
}
