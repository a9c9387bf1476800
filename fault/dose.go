package fault

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Limits of faults.
const (
	activeMax     = 64               // in force at once
	endedMax      = 64               // that have ended are remembered
	forDefault    = 10 * time.Minute // of the app's time
	forMax        = 24 * time.Hour
	latencyMax    = Duration(15 * time.Minute) // a function's longest life
	leaseMin      = 100 * time.Millisecond
	leaseMax      = 5 * time.Minute
	bodyBytesMax  = 256 << 10
	textBytesMax  = 4 << 10
	codeBytesMax  = 256
	regexBytesMax = 512
	pathStepsMax  = 32
	documentMax   = 1 << 20
)

// A Dose says how much of what a target is met by a fault, and how long.
type Dose struct {
	Rate  float64  `json:"rate,omitempty"`  // the share, above 0 to 1; 1 when neither this nor OneIn is given
	OneIn int      `json:"oneIn,omitempty"` // every so many, exactly; the seed says with which it begins
	For   Duration `json:"for,omitempty"`   // how long, by the app's clock; 10 minutes when 0, at most a day
	Ramp  Duration `json:"ramp,omitempty"`  // for how long the rate grows, evenly, from nothing; of For
	Max   int      `json:"max,omitempty"`   // it meets no more than so many; no limit when 0
}

func (d *Dose) validate() []error {
	var errs []error
	switch {
	case d.Rate != 0 && d.OneIn != 0:
		errs = append(errs, errors.New("dose: rate or oneIn, not both"))
	case d.OneIn < 0:
		errs = append(errs, fmt.Errorf("dose.oneIn: %d is not above 0", d.OneIn))
	case d.OneIn == 0 && d.Rate == 0:
		d.Rate = 1
	case d.Rate < 0 || d.Rate > 1 || math.IsNaN(d.Rate):
		errs = append(errs, fmt.Errorf("dose.rate: %g is not from 0 to 1", d.Rate))
	}
	if d.For == 0 {
		d.For = Duration(forDefault)
	}
	if d.For < 0 || d.For > Duration(forMax) {
		errs = append(errs, fmt.Errorf("dose.for: %s is not from 0 to %s", d.For, forMax))
	}
	if d.Ramp < 0 || d.Ramp > d.For {
		errs = append(errs, fmt.Errorf("dose.ramp: %s is not from 0 to dose.for", d.Ramp))
	}
	if d.Ramp != 0 && d.OneIn != 0 {
		errs = append(errs, errors.New("dose.ramp: it is for a rate"))
	}
	if d.Max < 0 {
		errs = append(errs, fmt.Errorf("dose.max: %d is below 0", d.Max))
	}
	return errs
}

// share says how much is met: "1 in 10", "30%"; "" for all.
func (d *Dose) share() string {
	switch {
	case d.OneIn > 1:
		return fmt.Sprintf("1 in %d", d.OneIn)
	case d.Rate != 0 && d.Rate != 1:
		return fmt.Sprintf("%g%%", math.Round(d.Rate*1e4)/1e2)
	}
	return ""
}

// A chance makes a fault's choices, one after the other.
type chance struct {
	dose Dose
	rng  *rand.Rand
	n    uint64 // choices made
	turn uint64 // of OneIn
	hits uint64
}

func newChance(d Dose, seed uint64) *chance {
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
func (c *chance) latency(w *With) time.Duration {
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
	return min(max(low, 0), time.Duration(latencyMax))
}
