package usage

import (
	"context"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// Line is what there was of a meter in a period, and what it costs.
type Line struct {
	Meter    charter.Meter
	Quantity int64 // the sum, the greatest value, the number of different things, or the mean of a gauge's days, rounded up
	Included int64 // what the plan's own price covers
	Charged  int64 // what is beyond
	Amount   int64 // what that costs, in minor units of the charter's currency
}

// Bill says what an organization used in a period, one line for each meter of the charter in its order, by the plan that
// the organization is on now. Of a period that is not over it says what there is until now. It reads the reader's
// snapshot, and what it says of a period only changes by events that are recorded late.
func Bill(ctx context.Context, r *op.Reader, organization string, p period.Period) ([]Line, error) {
	a, err := accountOf(ctx, r, organization, unlocked)
	if err != nil {
		return nil, err
	}
	return a.bill(ctx, r, p)
}

func (a account) bill(ctx context.Context, r *op.Reader, p period.Period) ([]Line, error) {
	figures, err := a.figures(ctx, r, p, min(r.Micros(), p.End-1))
	if err != nil {
		return nil, err
	}
	lines := make([]Line, len(r.Charter.Meters))
	for i, m := range r.Charter.Meters {
		lines[i] = a.line(r.Charter, m, figures[m.ID])
	}
	return lines, nil
}

func (a account) line(c *charter.Charter, m charter.Meter, quantity int64) Line {
	l := Line{Meter: m, Quantity: quantity, Included: a.limit(c, m.ID).Included}
	l.Charged = max(0, quantity-l.Included)
	l.Amount = m.Price.Of(l.Charged)
	return l
}
