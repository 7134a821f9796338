package usage

import (
	"math"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/period"
)

// forecast says where a period will end.
type forecast struct {
	period period.Period
	now    int64
	daily  map[string]map[int64]int64 // by meter and day, of meters that add up
}

// recentDays is how many whole days a forecast looks back at.
const recentDays = 7

// spread is how many standard deviations hold eight of ten cases of a normal distribution.
const spread = 1.2816

// of is where a line will end; nil for a period that is over or has not begun.
func (f forecast) of(l Line, level int64) *Range {
	if !f.period.Contains(f.now) {
		return nil
	}
	switch l.Meter.Kind {
	case charter.Counter, charter.Sum:
		return f.adding(l)
	case charter.Gauge:
		return f.level(l, level)
	case charter.Unique:
		return &Range{l.Quantity, l.Quantity, stretched(l.Quantity, f.elapsed())}
	default:
		return &Range{l.Quantity, l.Quantity, l.Quantity}
	}
}

// elapsed is how much of the period is over, of 1.
func (f forecast) elapsed() float64 {
	return float64(f.now-f.period.Start) / float64(f.period.End-f.period.Start)
}

// adding goes on as in the last whole days, of this period or the one before. Before there is one, it goes on as in what
// there is of the period, and hardly anything is known.
func (f forecast) adding(l Line) *Range {
	left := float64(f.period.End-f.now) / float64(day)
	days := f.recent(l.Meter.ID)
	if len(days) == 0 {
		more := float64(l.Quantity) / float64(max(f.now-f.period.Start, hour)) * float64(f.period.End-f.now)
		return &Range{l.Quantity, up(l.Quantity, more), up(l.Quantity, 2*more)}
	}
	mean, deviation := rate(days)
	more, off := mean*left, spread*deviation*math.Sqrt(left)
	return &Range{up(l.Quantity, more-off), up(l.Quantity, more), up(l.Quantity, more+off)}
}

// recent is what there was on the last whole days, from the first one on that had anything.
func (f forecast) recent(meter string) (days []float64) {
	first := f.now
	for start := range f.daily[meter] {
		first = min(first, start)
	}
	for start := floor(f.now, day) - day; start >= first && len(days) < recentDays; start -= day {
		days = append(days, float64(f.daily[meter][start]))
	}
	return days
}

// rate is the mean of days, and how far they lie apart.
func rate(days []float64) (mean, deviation float64) {
	for _, d := range days {
		mean += d / float64(len(days))
	}
	for _, d := range days {
		deviation += (d - mean) * (d - mean) / float64(len(days))
	}
	return mean, math.Sqrt(deviation)
}

// level takes a gauge to stay where it is.
func (f forecast) level(l Line, now int64) *Range {
	e := f.elapsed()
	ends := int64(math.Ceil(float64(l.Quantity)*e + float64(now)*(1-e)))
	return &Range{min(ends, l.Quantity), ends, max(ends, l.Quantity)}
}

// up adds to a quantity what cannot make it less.
func up(quantity int64, more float64) int64 {
	if more <= 0 {
		return quantity
	}
	return plus(quantity, whole(more))
}

func stretched(quantity int64, elapsed float64) int64 {
	return whole(float64(quantity) / max(elapsed, 0.001))
}

// whole is the nearest whole number that an int64 holds.
func whole(x float64) int64 {
	if x >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(math.Round(x))
}
