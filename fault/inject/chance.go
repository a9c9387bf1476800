package inject

import (
	"math/rand/v2"
	"time"

	"github.com/daruma-io/daruma/fault"
)

// A chance makes a fault's choices, one after the other.
type chance struct {
	dose fault.Dose
	rng  *rand.Rand
	n    uint64 // choices made
	turn uint64 // of OneIn
	hits uint64
}

func newChance(d fault.Dose, seed uint64) *chance {
	return &chance{dose: d, rng: rand.New(rand.NewPCG(seed, 0x6461_7275_6d61))}
}

// choose says whether the next is met, with the share of the ramp that is over.
func (c *chance) choose(grown float64) bool {
	if c.dose.Max != 0 && c.hits >= uint64(c.dose.Max) {
		return false
	}
	c.n++
	var hit bool
	if one := uint64(c.dose.OneIn); one > 0 {
		if c.n == 1 {
			c.turn = c.rng.Uint64N(one)
		}
		c.turn++
		hit = c.turn%one == 0
	} else {
		hit = c.rng.Float64() < c.dose.Rate*grown
	}
	if hit {
		c.hits++
	}
	return hit
}

// seen is how many choices were made.
func (c *chance) seen() uint64 { return c.n }

// latency draws how much longer something takes.
func (c *chance) latency(w *fault.With) time.Duration {
	low, high := time.Duration(w.Latency), time.Duration(w.LatencyMax)
	switch {
	case w.Distribution == "normal":
		// A standard deviation of a quarter keeps all but one in 30,000 above nothing.
		low = time.Duration(float64(low) * (1 + c.rng.NormFloat64()/4))
	case w.Distribution == "exponential":
		low = time.Duration(float64(low) * c.rng.ExpFloat64())
	case high > low:
		low += time.Duration(c.rng.Int64N(int64(high - low + 1)))
	}
	return min(max(low, 0), time.Duration(fault.LatencyMax))
}
