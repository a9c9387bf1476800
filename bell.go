package daruma

// A Bell tells one who waits that there may be something to do. It holds one
// ring: rung again before it is heard, it is heard once. It may be rung and
// received from by any goroutine; whoever hears it looks at everything.
type Bell chan struct{}

// NewBell returns a bell that is silent.
func NewBell() Bell { return make(Bell, 1) }

// Ring rings the bell. It does not wait.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
