package period_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/internal/period"
)

func at(text string) int64 {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t.UnixMicro()
}

func TestPeriodsOfAnAnchor(t *testing.T) {
	for _, c := range []struct {
		what               string
		of                 func(anchor, at int64) period.Period
		anchor, at         string
		wantStart, wantEnd string
	}{
		{"the first month", period.Month, "2026-03-10 08:00", "2026-03-10 08:00", "2026-03-10 08:00", "2026-04-10 08:00"},
		{"its last minute", period.Month, "2026-03-10 08:00", "2026-04-10 07:59", "2026-03-10 08:00", "2026-04-10 08:00"},
		{"the second month", period.Month, "2026-03-10 08:00", "2026-04-10 08:00", "2026-04-10 08:00", "2026-05-10 08:00"},
		{"before the anchor", period.Month, "2026-03-10 08:00", "2026-03-10 07:59", "2026-02-10 08:00", "2026-03-10 08:00"},
		{"long before the anchor", period.Month, "2026-03-10 08:00", "2024-12-31 23:00", "2024-12-10 08:00", "2025-01-10 08:00"},
		{"a short month", period.Month, "2026-01-31 00:00", "2026-02-28 00:00", "2026-02-28 00:00", "2026-03-31 00:00"},
		{"the day before in a short month", period.Month, "2026-01-31 00:00", "2026-02-27 23:59", "2026-01-31 00:00", "2026-02-28 00:00"},
		{"a leap year's February", period.Month, "2026-01-31 00:00", "2028-02-29 12:00", "2028-02-29 00:00", "2028-03-31 00:00"},
		{"over the end of a year", period.Month, "2026-11-30 05:00", "2027-01-01 00:00", "2026-12-30 05:00", "2027-01-30 05:00"},
		{"a year", period.Year, "2026-03-10 08:00", "2027-03-10 07:59", "2026-03-10 08:00", "2027-03-10 08:00"},
		{"the next year", period.Year, "2026-03-10 08:00", "2027-03-10 08:00", "2027-03-10 08:00", "2028-03-10 08:00"},
		{"a year of a leap day", period.Year, "2024-02-29 00:00", "2026-06-01 00:00", "2026-02-28 00:00", "2027-02-28 00:00"},
		{"a year that ends on a leap day", period.Year, "2024-02-29 00:00", "2027-12-01 00:00", "2027-02-28 00:00", "2028-02-29 00:00"},
	} {
		want := period.Period{Start: at(c.wantStart), End: at(c.wantEnd)}
		if got := c.of(at(c.anchor), at(c.at)); got != want {
			t.Errorf("%s: %v to %v", c.what, time.UnixMicro(got.Start).UTC(), time.UnixMicro(got.End).UTC())
		}
	}
}

func TestEveryMomentIsInOnePeriod(t *testing.T) {
	first, last := at("1990-01-01 00:00"), at("2090-01-01 00:00")
	rapid.Check(t, func(t *rapid.T) {
		anchor, moment := rapid.Int64Range(first, last).Draw(t, "anchor"), rapid.Int64Range(first, last).Draw(t, "moment")
		for _, of := range []func(anchor, at int64) period.Period{period.Month, period.Year} {
			p := of(anchor, moment)
			if !p.Contains(moment) {
				t.Fatalf("%v is not in its own period %v", moment, p)
			}
			if next := of(anchor, p.End); next.Start != p.End {
				t.Fatalf("after %v comes %v", p, next)
			}
			if before := of(anchor, p.Start-1); before.End != p.Start {
				t.Fatalf("before %v is %v", p, before)
			}
		}
	})
}
