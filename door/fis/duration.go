package fis

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// iso is a duration in ISO 8601, of days, hours, minutes and seconds.
var iso = regexp.MustCompile(`^P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?$`)

// Bounds of the duration of an action (User Guide, "AWS FIS Actions reference").
const (
	durationMin = time.Minute
	durationMax = 12 * time.Hour
)

// duration reads the duration of an action: "PT5M".
func duration(text string) (time.Duration, error) {
	m := iso.FindStringSubmatch(text)
	if m == nil || text[len(text)-1] == 'T' || len(text) < 3 {
		return 0, fmt.Errorf("%q is no duration in ISO 8601, such as PT5M", text)
	}
	var d time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(m[i+1]) // "" is 0, and the expression bounds the digits
		d += time.Duration(n) * unit
	}
	if d < durationMin || d > durationMax {
		return 0, fmt.Errorf("%s is not from one minute to 12 hours", text)
	}
	return d, nil
}
