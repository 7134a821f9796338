package billing

import (
	"math/big"

	"github.com/guildhall/guildhall/internal/period"
)

// Interval is how often a plan is paid.
type Interval string

// The intervals.
const (
	Monthly Interval = "month"
	Yearly  Interval = "year"
)

// Of gives the period of an anchor in which a moment is.
func (i Interval) Of(anchor, at int64) period.Period {
	if i == Yearly {
		return period.Year(anchor, at)
	}
	return period.Month(anchor, at)
}

// Fee is what a plan costs in one period, in minor units.
type Fee struct {
	Plan     string
	Interval Interval
	Amount   int64
}

// Charge is an amount for a span of time; it is below 0 where Back says that it gives back what was charged before.
type Charge struct {
	Fee    Fee
	Span   period.Period
	Back   bool
	Amount int64
}

// Unused is the part of a price that the rest of a period costs, from a moment on: by the microsecond, and rounded once
// to a minor unit, half a one up. Before the period it is all of the price, and after it nothing.
func Unused(price int64, p period.Period, at int64) int64 {
	at = min(max(at, p.Start), p.End)
	part, whole := big.NewInt(p.End-at), big.NewInt(p.End-p.Start)
	twice := part.Mul(part, big.NewInt(price))
	twice.Add(twice.Lsh(twice, 1), whole)
	return twice.Div(twice, whole.Lsh(whole, 1)).Int64()
}

// Switch is what a change of plan in the middle of a period costs. The unused rest of the old price is given back. With
// the same interval the rest of the new price is charged, for the same rest of the period; with another one a new period
// begins at that moment, and all of it is charged. What costs nothing has no charge; what is rounded to 0 has one of 0.
func Switch(from, to Fee, p period.Period, at int64) (charges []Charge, next period.Period) {
	if next = p; from.Interval != to.Interval {
		next = to.Interval.Of(at, at)
	}
	if from.Amount > 0 && at < p.End {
		charges = append(charges, Charge{from, period.Period{Start: at, End: p.End}, true, -Unused(from.Amount, p, at)})
	}
	if to.Amount > 0 && at < next.End {
		charges = append(charges, Charge{to, period.Period{Start: at, End: next.End}, false, Unused(to.Amount, next, at)})
	}
	return charges, next
}

// Settle is what is left to pay of a sum when there is credit: the total, which is never below 0; the credit that is used
// for it; and what of a sum below 0 is kept as further credit.
func Settle(sum, credit int64) (total, used, kept int64) {
	if sum < 0 {
		return 0, 0, -sum
	}
	used = min(sum, credit)
	return sum - used, used, 0
}
