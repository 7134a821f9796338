package usage

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func day2026(month time.Month, day, hour int) int64 {
	return time.Date(2026, month, day, hour, 0, 0, 0, time.UTC).UnixMicro()
}

func TestMonthsOfSeveralAnchors(t *testing.T) {
	// From 3 January; on 20 March a plan began anew; on 20 May an hour passed until the anchor was known to be the same
	// day's; on 2 June the provider said that its period had begun an hour before.
	m := months{{day2026(1, 3, 0), day2026(3, 20, 12)}, {day2026(3, 20, 12), day2026(5, 20, 13)}, {day2026(5, 20, 12), day2026(6, 2, 1)}, {day2026(6, 2, 0), never}}
	for _, c := range []struct {
		name           string
		at, start, end int64
	}{
		{"before the first anchor", day2026(1, 1, 0), time.Date(2025, 12, 3, 0, 0, 0, 0, time.UTC).UnixMicro(), day2026(1, 3, 0)},
		{"a whole month", day2026(2, 5, 0), day2026(2, 3, 0), day2026(3, 3, 0)},
		{"the month that a change ended", day2026(3, 20, 11), day2026(3, 3, 0), day2026(3, 20, 12)},
		{"the change itself", day2026(3, 20, 12), day2026(3, 20, 12), day2026(4, 20, 12)},
		{"a month that goes on under another anchor, before", day2026(5, 20, 12), day2026(5, 20, 12), day2026(6, 2, 1)},
		{"and after", day2026(5, 20, 14), day2026(5, 20, 12), day2026(6, 2, 1)},
		{"an anchor that lies in the time before", day2026(6, 2, 1), day2026(6, 2, 1), day2026(7, 2, 0)},
		{"and its next month", day2026(7, 2, 0), day2026(7, 2, 0), day2026(8, 2, 0)},
	} {
		if p := m.at(c.at); p.Start != c.start || p.End != c.end {
			t.Errorf("%s: from %s to %s", c.name, time.UnixMicro(p.Start).UTC(), time.UnixMicro(p.End).UTC())
		}
	}
}

// Months follow one another without a gap, whatever the anchors, and every moment of one is in it.
func TestMonthsHaveNoGaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m months
		at := day2026(1, 1, 0)
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			until := at + rapid.Int64Range(1, 100*day).Draw(t, "for")
			m = append(m, stretch{until - rapid.Int64Range(0, 40*day).Draw(t, "back"), until})
			at = until
		}
		m = append(m, stretch{at - rapid.Int64Range(0, 40*day).Draw(t, "back"), never})
		p := m.at(rapid.Int64Range(day2026(1, 1, 0), at+100*day).Draw(t, "at"))
		if p.Start >= p.End || m.at(p.Start) != p || m.at(p.End-1) != p {
			t.Fatalf("%v: %v, but its first moment is in %v and its last in %v", m, p, m.at(p.Start), m.at(p.End-1))
		}
		if next := m.at(p.End); next.Start != p.End {
			t.Fatalf("%v: %v is followed by %v", m, p, next)
		}
	})
}
