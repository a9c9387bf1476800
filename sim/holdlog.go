package sim

import (
	"context"
	"sync"

	"github.com/daruma-io/daruma/hold"
	"github.com/daruma-io/daruma/ledger"
)

// holdLog counts holds.
type holdLog struct {
	mu             sync.Mutex // guards the rest
	opened, closed int
}

// Open counts a hold.
func (l *holdLog) Open(context.Context, hold.Opening) (ledger.RepairID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	return ledger.RepairID(l.opened), nil
}

// Close counts the end of one.
func (l *holdLog) Close(context.Context, hold.Unit, string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed++
	return nil
}

// Force does nothing.
func (*holdLog) Force(context.Context, hold.Unit, hold.Force, string, string) (ledger.RepairID, error) {
	return 0, nil
}

// Learn does nothing.
func (*holdLog) Learn(context.Context, map[hold.Unit]int) error { return nil }
