package fault

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Limits of faults.
const (
	forDefault    = 10 * time.Minute // of the app's time
	forMax        = 24 * time.Hour
	LatencyMax    = Duration(15 * time.Minute) // a function's longest life
	skewMax       = Duration(10 * 365 * 24 * time.Hour)
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
		errs = append(errs, fmt.Errorf("dose.rate: %g is not above 0 and at most 1", d.Rate))
	}
	if d.For == 0 {
		d.For = Duration(forDefault)
	}
	if d.For < 0 || d.For > Duration(forMax) {
		errs = append(errs, fmt.Errorf("dose.for: %s is not above 0 and at most %s", d.For, forMax))
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
