package credential

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// never is how an end is said that does not come.
const never = "never"

// until reads when something ends, in Unix microseconds: a time of RFC 3339, a duration from now such as 30d, or never,
// which is 0.
func until(text string, now time.Time) (int64, error) {
	if text == never {
		return 0, nil
	}
	if d, ok := duration(text); ok {
		return now.Add(d).UnixMicro(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Unix() <= 0 {
		return 0, fmt.Errorf("%q is not a time such as 2027-01-31T18:00:00Z, a duration such as 30d, nor never", text)
	}
	return at.UnixMicro(), nil
}

// duration reads a duration that is more than nothing: 30d, 2w, 12h, 90m.
func duration(text string) (time.Duration, bool) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseUint(number, 10, 15)
			return time.Duration(n) * unit, err == nil && n > 0
		}
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d > 0
}

// overlaps are how long the secret before a rotation may go on, as the input says it.
var overlaps = map[string]time.Duration{"": 0, "0s": 0, "1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

// rotated says when the secret before a rotation ends: after the overlap, and never past its own end.
func rotated(overlap string, ends int64, now time.Time) int64 {
	return sooner(ends, now.Add(overlaps[overlap]).UnixMicro())
}

// successorEnd gives a successor the same length of life that its predecessor was made with; 0 is without end.
func successorEnd(created, ends int64, now time.Time) int64 {
	if ends == 0 {
		return 0
	}
	return now.UnixMicro() + ends - created
}
