// Package period works out the periods of a subscription: months and years that begin on the day and at the time of an
// anchor. It is arithmetic on Unix microseconds in UTC, and knows no clock.
package period

import "time"

// Period is a span of time: from Start on, and before End; both in Unix microseconds.
type Period struct{ Start, End int64 }

// Contains reports whether a moment is in the period.
func (p Period) Contains(at int64) bool { return at >= p.Start && at < p.End }

// Month gives the month of an anchor in which a moment is. Where a month is too short for the anchor's day, it begins on
// its last day: an anchor of the 31st gives 31 January, 28 February, 31 March.
func Month(anchor, at int64) Period { return span(anchor, at, 1) }

// Year gives the year of an anchor in which a moment is. An anchor of 29 February begins on the 28th in other years.
func Year(anchor, at int64) Period { return span(anchor, at, 12) }

// span gives the period of some months in which a moment is.
func span(anchor, at int64, months int) Period {
	from, moment := time.UnixMicro(anchor).UTC(), time.UnixMicro(at).UTC()
	n := (moment.Year()-from.Year())*12 + int(moment.Month()-from.Month())
	n -= ((n % months) + months) % months
	for begins(from, n) > at {
		n -= months
	}
	for begins(from, n+months) <= at {
		n += months
	}
	return Period{begins(from, n), begins(from, n+months)}
}

// begins is the moment so many months after the anchor.
func begins(anchor time.Time, months int) int64 {
	first := time.Date(anchor.Year(), anchor.Month()+time.Month(months), 1, anchor.Hour(), anchor.Minute(), anchor.Second(), anchor.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(anchor.Day(), last)-1).UnixMicro()
}
