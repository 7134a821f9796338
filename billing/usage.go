package billing

import (
	"context"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// usageLines are what was used in a period beyond what the plan includes, as far as it costs anything.
func usageLines(ctx context.Context, r *op.Reader, organization string, p period.Period) ([]InvoiceLine, error) {
	return linesOf(ctx, r, organization, p, func(l usage.Line) bool { return l.Amount != 0 })
}

// unitLines are what was used in a period beyond what the plan includes, of what has a price: also what is rounded to
// nothing here, since a provider reckons for itself.
func unitLines(ctx context.Context, r *op.Reader, organization string, p period.Period) ([]InvoiceLine, error) {
	return linesOf(ctx, r, organization, p, func(l usage.Line) bool { return l.Charged != 0 && !l.Meter.Price.Free() })
}

func linesOf(ctx context.Context, r *op.Reader, organization string, p period.Period, meant func(usage.Line) bool) ([]InvoiceLine, error) {
	bill, err := usage.Bill(ctx, r, organization, p)
	var lines []InvoiceLine
	for _, l := range bill {
		if !meant(l) {
			continue
		}
		text := l.Meter.Title + ": " + quantity(l.Quantity, l.Meter.Unit)
		if l.Included > 0 {
			text += ", of which " + included(l.Included, l.Meter.Unit) + " are included"
		}
		lines = append(lines, InvoiceLine{Kind: UsageLine, Text: text, Meter: l.Meter.ID, Units: l.Quantity, Included: l.Included,
			From: moment(p.Start), Until: moment(p.End), Amount: l.Amount})
	}
	return lines, err
}

// usedNow is how much there was of each meter in a period.
func usedNow(ctx context.Context, r *op.Reader, organization string, p period.Period) (map[string]int64, error) {
	bill, err := usage.Bill(ctx, r, organization, p)
	used := make(map[string]int64, len(bill))
	for _, l := range bill {
		used[l.Meter.ID] = l.Quantity
	}
	return used, err
}

// quantity writes how much there was, with its unit; bytes in the greatest unit that there is one of.
func quantity(n int64, unit string) string {
	if unit != "bytes" || n < 1000 {
		return grouped(n) + " " + unit
	}
	units, x := []string{"bytes", "kB", "MB", "GB", "TB", "PB", "EB"}, float64(n)
	u := 0
	for ; x >= 1000 && u < len(units)-1; u++ {
		x /= 1000
	}
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".") + " " + units[u]
}

// included is quantity without a unit that was said already.
func included(n int64, unit string) string {
	if unit == "bytes" {
		return quantity(n, unit)
	}
	return grouped(n)
}

// grouped writes a number with a comma for each three digits.
func grouped(n int64) string { return thousands(strconv.FormatInt(n, 10)) }
