package stripe

import (
	"context"
	"strings"

	"github.com/stripe/stripe-go/v82"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/op"
)

// planPrice is the price of a plan in an interval. One that is not what the charter says is refused: nobody pays another
// amount than the page showed.
func (p *Provider) planPrice(ctx context.Context, o billing.Order) (*stripe.Price, error) {
	key := PlanKey(o.Plan, o.Interval)
	found, err := p.pricesBy(ctx, key)
	if err != nil {
		return nil, err
	}
	price := found[key]
	switch {
	case price == nil:
		return nil, unlike("there is no active price with the lookup key %s", key)
	case price.UnitAmount != o.Amount || !strings.EqualFold(string(price.Currency), o.Currency):
		return nil, unlike("the price %s is not the charter's %s", key, billing.Money(o.Amount, o.Currency))
	case price.Recurring == nil || string(price.Recurring.Interval) != string(o.Interval) || price.Recurring.IntervalCount != 1:
		return nil, unlike("the price %s is not paid every %s", key, o.Interval)
	}
	return price, nil
}

func unlike(format string, args ...any) error {
	return op.Errorf(op.Unavailable, "provider_prices", "at the payment provider "+format+": whoever runs this has to mend it", args...)
}

// meterPrices are the metered prices of what has a price in the charter.
func (p *Provider) meterPrices(ctx context.Context) ([]*stripe.Price, error) {
	var keys []string
	for _, m := range p.config.Charter.Meters {
		if !m.Price.Free() {
			keys = append(keys, MeterKey(m.ID))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	found, err := p.pricesBy(ctx, keys...)
	if err != nil {
		return nil, err
	}
	var prices []*stripe.Price
	for _, key := range keys {
		if found[key] == nil {
			return nil, unlike("there is no active price with the lookup key %s", key)
		}
		prices = append(prices, found[key])
	}
	return prices, nil
}

// pricesBy finds prices by their lookup keys, of which Stripe takes ten at once.
func (p *Provider) pricesBy(ctx context.Context, keys ...string) (map[string]*stripe.Price, error) {
	found := map[string]*stripe.Price{}
	for len(keys) > 0 {
		some := keys[:min(10, len(keys))]
		keys = keys[len(some):]
		params := &stripe.PriceListParams{Active: stripe.Bool(true), LookupKeys: stripe.StringSlice(some)}
		params.Limit = stripe.Int64(100)
		for price, err := range p.api.V1Prices.List(ctx, params) {
			if err != nil {
				return nil, err
			}
			found[price.LookupKey] = price
		}
	}
	return found, nil
}

// planOf is the plan and interval of a price; false: it is not a plan's.
func planOf(price *stripe.Price) (plan string, interval billing.Interval, ok bool) {
	if price == nil || price.Recurring == nil {
		return "", "", false
	}
	interval = billing.Interval(price.Recurring.Interval)
	if named := price.Metadata[planMetadata]; named != "" {
		return named, interval, true
	}
	named, ok := strings.CutPrefix(price.LookupKey, "guildhall_plan_")
	if !ok {
		return "", "", false
	}
	plan, ok = strings.CutSuffix(named, "_"+string(interval))
	return plan, interval, ok
}
