package billing_test

import (
	"math/big"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/internal/period"
)

func on(text string) int64 {
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05.000000"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMicro()
		}
	}
	panic("no time: " + text)
}

func from(start, end string) period.Period { return period.Period{Start: on(start), End: on(end)} }

var (
	november = from("2026-11-01", "2026-12-01") // 30 days
	october  = from("2026-10-01", "2026-11-01") // 31 days
	february = from("2026-02-01", "2026-03-01") // 28 days
	leap     = from("2028-02-01", "2028-03-01") // 29 days
	year     = from("2026-01-01", "2027-01-01") // 365 days
	tiny     = period.Period{Start: 0, End: 4}  // four microseconds
)

func TestTheRestOfAPeriod(t *testing.T) {
	for _, c := range []struct {
		what  string
		price int64
		of    period.Period
		at    int64
		want  int64
	}{
		{"all of it, at its beginning", 4900, november, on("2026-11-01"), 4900},
		{"all of it, before it", 4900, november, on("2026-10-31"), 4900},
		{"nothing, at its end", 4900, november, on("2026-12-01"), 0},
		{"nothing, after it", 4900, november, on("2026-12-02"), 0},
		{"15 of 30 days", 4900, november, on("2026-11-16"), 2450},
		{"10 of 30 days: 1633.33", 4900, november, on("2026-11-21"), 1633},
		{"20 of 30 days: 3266.67", 4900, november, on("2026-11-11"), 3267},
		{"1 of 30 days: 163.33", 4900, november, on("2026-11-30"), 163},
		{"29 of 30 days: 4736.67", 4900, november, on("2026-11-02"), 4737},
		{"12 of 720 hours: 81.67", 4900, november, on("2026-11-30 12:00"), 82},
		{"1 of 720 hours: 6.81", 4900, november, on("2026-11-30 23:00"), 7},
		{"1 of 43200 minutes: 0.11", 4900, november, on("2026-11-30 23:59"), 0},
		{"5 of 43200 minutes: 0.57", 4900, november, on("2026-11-30 23:55"), 1},
		{"the last microsecond", 4900, november, on("2026-11-30 23:59:59.999999"), 0},
		{"all but one microsecond", 4900, november, on("2026-11-01 00:00:00.000001"), 4900},
		{"half of an odd price, half up: 0.5", 1, november, on("2026-11-16"), 1},
		{"half of 3: 1.5", 3, november, on("2026-11-16"), 2},
		{"half of 4901: 2450.5", 4901, november, on("2026-11-16"), 2451},
		{"a microsecond less than half of 1", 1, november, on("2026-11-16 00:00:00.000001"), 0},
		{"a microsecond more than half of 1", 1, november, on("2026-11-15 23:59:59.999999"), 1},
		{"what is free", 0, november, on("2026-11-11"), 0},
		{"31 days, 1 used: 49900*30/31 = 48290.32", 49900, october, on("2026-10-02"), 48290},
		{"31 days, half of them: 24950", 49900, october, on("2026-10-16 12:00"), 24950},
		{"31 days, 30 used: 1609.68", 49900, october, on("2026-10-31"), 1610},
		{"31 days of 3100, 7 left", 3100, october, on("2026-10-25"), 700},
		{"28 days, 7 left of 2800", 2800, february, on("2026-02-22"), 700},
		{"28 days, 14 left of 4900", 4900, february, on("2026-02-15"), 2450},
		{"28 days, 1 left of 4900", 4900, february, on("2026-02-28"), 175},
		{"28 days, 9 left of 4900", 4900, february, on("2026-02-20"), 1575},
		{"29 days, 1 left of 2900", 2900, leap, on("2028-02-29"), 100},
		{"29 days, 10 left of 4900: 1689.66", 4900, leap, on("2028-02-20"), 1690},
		{"a year, all of it", 499000, year, on("2026-01-01"), 499000},
		{"a year, 73 of 365 days left: a fifth", 499000, year, on("2026-10-20"), 99800},
		{"a year, 184 days left of 36500", 36500, year, on("2026-07-01"), 18400},
		{"a year, 1 day left: 1367.12", 499000, year, on("2026-12-31"), 1367},
		{"a year, 364 days left: 497632.88", 499000, year, on("2026-01-02"), 497633},
		{"a quarter of 1: 0.25", 1, tiny, 3, 0},
		{"a quarter of 2: 0.5", 2, tiny, 3, 1},
		{"three quarters of 2: 1.5", 2, tiny, 1, 2},
		{"a quarter of 10: 2.5", 10, tiny, 3, 3},
		{"three quarters of 10: 7.5", 10, tiny, 1, 8},
		{"a price beyond 53 bits, half of it", 9007199254740993, november, on("2026-11-16"), 4503599627370497},
		{"the greatest price, a half that is rounded up", 9223372036854775807, november, on("2026-11-16"), 4611686018427387904},
		{"the greatest price, all of it", 9223372036854775807, november, on("2026-11-01"), 9223372036854775807},
	} {
		if got := billing.Unused(c.price, c.of, c.at); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func month(amount int64) billing.Fee {
	return billing.Fee{Plan: "m", Interval: billing.Monthly, Amount: amount}
}
func yearly(amount int64) billing.Fee {
	return billing.Fee{Plan: "y", Interval: billing.Yearly, Amount: amount}
}

func TestChangesOfPlan(t *testing.T) {
	for _, c := range []struct {
		what     string
		from, to billing.Fee
		at       string
		want     []int64 // the charges
		ends     string  // the period afterwards
	}{
		{"from free, in the middle", month(0), month(4900), "2026-11-16", []int64{2450}, "2026-12-01"},
		{"from free, at the beginning", month(0), month(4900), "2026-11-01", []int64{4900}, "2026-12-01"},
		{"from free, a day before the end", month(0), month(4900), "2026-11-30", []int64{163}, "2026-12-01"},
		{"up, in the middle", month(4900), month(49900), "2026-11-16", []int64{-2450, 24950}, "2026-12-01"},
		{"up, after 20 days", month(4900), month(49900), "2026-11-21", []int64{-1633, 16633}, "2026-12-01"},
		{"up, at the beginning", month(4900), month(49900), "2026-11-01", []int64{-4900, 49900}, "2026-12-01"},
		{"down, in the middle", month(49900), month(4900), "2026-11-16", []int64{-24950, 2450}, "2026-12-01"},
		{"down to free", month(49900), month(0), "2026-11-16", []int64{-24950}, "2026-12-01"},
		{"to the same price", month(4900), month(4900), "2026-11-11", []int64{-3267, 3267}, "2026-12-01"},
		{"free to free", month(0), month(0), "2026-11-11", nil, "2026-12-01"},
		{"at the end", month(4900), month(49900), "2026-12-01", nil, "2026-12-01"},
		{"to the year, in the middle", month(4900), yearly(49000), "2026-11-16", []int64{-2450, 49000}, "2027-11-16"},
		{"to the year, at the beginning", month(4900), yearly(49000), "2026-11-01", []int64{-4900, 49000}, "2027-11-01"},
		{"to the year from free", month(0), yearly(49000), "2026-11-21", []int64{49000}, "2027-11-21"},
		{"to a year that is free", month(4900), yearly(0), "2026-11-16", []int64{-2450}, "2027-11-16"},
	} {
		charges, next := billing.Switch(c.from, c.to, november, on(c.at))
		var got []int64
		for _, charge := range charges {
			got = append(got, charge.Amount)
		}
		if !slices.Equal(got, c.want) || next.End != on(c.ends) {
			t.Errorf("%s: %v until %v, want %v until %s", c.what, got, time.UnixMicro(next.End).UTC(), c.want, c.ends)
		}
	}
	charges, next := billing.Switch(yearly(365000), month(49900), year, on("2026-10-20"))
	if len(charges) != 2 || charges[0].Amount != -73000 || charges[1].Amount != 49900 || next != from("2026-10-20", "2026-11-20") {
		t.Errorf("from a year to a greater plan by the month: %v, %v", charges, next)
	}
}

func TestCreditIsUsedAndKept(t *testing.T) {
	for _, c := range []struct {
		what                    string
		sum, credit             int64
		wantTotal, used, keptAs int64
	}{
		{"nothing at all", 0, 0, 0, 0, 0},
		{"without credit", 4900, 0, 4900, 0, 0},
		{"a part is paid by credit", 4900, 900, 4000, 900, 0},
		{"all is paid by credit", 4900, 4900, 0, 4900, 0},
		{"credit is left", 4900, 10000, 0, 4900, 0},
		{"what is given back is kept", -2450, 0, 0, 0, 2450},
		{"and added to what there is", -2450, 900, 0, 0, 2450},
		{"nothing is due, and credit stays", 0, 900, 0, 0, 0},
	} {
		total, used, kept := billing.Settle(c.sum, c.credit)
		if total != c.wantTotal || used != c.used || kept != c.keptAs {
			t.Errorf("%s: %d, %d, %d, want %d, %d, %d", c.what, total, used, kept, c.wantTotal, c.used, c.keptAs)
		}
	}
}

// price is any price; once in a while a very great one.
func price(t *rapid.T, name string) int64 {
	return rapid.OneOf(rapid.Int64Range(0, 1_000_000), rapid.Int64Range(0, 1<<53)).Draw(t, name)
}

func total(charges []billing.Charge) (sum int64) {
	for _, c := range charges {
		sum += c.Amount
	}
	return sum
}

func TestUpAndDownAtOneMomentIsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := period.Month(on("2026-01-31"), rapid.Int64Range(on("2026-02-01"), on("2030-01-01")).Draw(t, "in"))
		at := rapid.Int64Range(p.Start, p.End-1).Draw(t, "at")
		a, b := month(price(t, "a")), month(price(t, "b"))
		up, next := billing.Switch(a, b, p, at)
		down, _ := billing.Switch(b, a, next, at)
		if total(up)+total(down) != 0 {
			t.Fatalf("%v and %v leave %d", up, down, total(up)+total(down))
		}
	})
}

// TestNoMicrosecondIsChargedTwice changes plans at random moments of one period. At every microsecond the price that was
// in effect is charged once in the end, and no other one; and the amounts are those of the prices in effect, but for half
// a minor unit of each line.
func TestNoMicrosecondIsChargedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := period.Period{Start: 1000, End: 1000 + rapid.Int64Range(1, 3_000_000_000_000).Draw(t, "length")}
		moments := rapid.SliceOfN(rapid.Int64Range(p.Start, p.End-1), 0, 8).Draw(t, "moments")
		slices.Sort(moments)
		fees := []billing.Fee{month(price(t, "first"))}
		all := []billing.Charge{{Fee: fees[0], Span: p, Amount: fees[0].Amount}}
		for n, at := range moments {
			to := billing.Fee{Plan: strconv.Itoa(n), Interval: billing.Monthly, Amount: price(t, "price")}
			charges, next := billing.Switch(fees[n], to, p, at)
			if next != p {
				t.Fatalf("the period became %v", next)
			}
			all, fees = append(all, charges...), append(fees, to)
		}
		exact, since := new(big.Rat), p.Start
		for n, until := range append(moments, p.End) {
			part := new(big.Rat).SetFrac(big.NewInt(until-since), big.NewInt(p.End-p.Start))
			exact.Add(exact, part.Mul(part, new(big.Rat).SetInt64(fees[n].Amount)))
			if since < until {
				checkCharged(t, all, since, fees[n])
				checkCharged(t, all, until-1, fees[n])
			}
			since = until
		}
		off := new(big.Rat).Sub(new(big.Rat).SetInt64(total(all)), exact)
		if limit := new(big.Rat).SetFrac64(int64(len(all)), 2); off.Abs(off).Cmp(limit) > 0 {
			t.Fatalf("%d is charged, which is %s off", total(all), off.FloatString(3))
		}
	})
}

// checkCharged demands that one price is charged for a microsecond, once.
func checkCharged(t *rapid.T, charges []billing.Charge, at int64, inEffect billing.Fee) {
	t.Helper()
	times := map[billing.Fee]int{}
	for _, c := range charges {
		if c.Fee.Amount > 0 && c.Span.Contains(at) {
			times[c.Fee]++
			if c.Back {
				times[c.Fee] -= 2
			}
		}
	}
	for fee, n := range times {
		if want := map[bool]int{true: 1}[fee == inEffect]; n != want {
			t.Fatalf("at %d the price %v is charged %d times", at, fee, n)
		}
	}
}

func TestWhatIsLeftAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sum, credit := rapid.Int64Range(-1_000_000, 1_000_000).Draw(t, "sum"), rapid.Int64Range(0, 1_000_000).Draw(t, "credit")
		total, used, kept := billing.Settle(sum, credit)
		switch {
		case total < 0 || used < 0 || kept < 0 || used > credit:
			t.Fatalf("%d, %d, %d", total, used, kept)
		case sum-used+kept != total:
			t.Fatalf("%d - %d + %d is not %d", sum, used, kept, total)
		}
	})
}
