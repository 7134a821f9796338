package stripe

import (
	"context"
	"strconv"

	"github.com/stripe/stripe-go/v82"

	"github.com/guildhall/guildhall/billing"
)

// Run does an errand: it tells Stripe what was used, who pays, or that a customer is gone.
func (p *Provider) Run(ctx context.Context, e billing.Errand) error {
	switch {
	case e.End:
		return p.told(ctx, "end", p.end(ctx, e))
	case e.Payer:
		return p.told(ctx, "payer", p.payer(ctx, e))
	}
	for _, line := range e.Lines {
		if err := p.report(ctx, e, line); err != nil {
			return p.told(ctx, "meter event", err)
		}
	}
	return nil
}

// report tells how many units of a meter were used in a month beyond what the plan includes. The identifier makes
// Stripe count it once, however often it is told; it keeps identifiers for a day at least, and the outbox tries for two.
func (p *Provider) report(ctx context.Context, e billing.Errand, line billing.InvoiceLine) error {
	key := e.Key + ":" + line.Meter
	params := &stripe.BillingMeterEventCreateParams{EventName: stripe.String(MeterKey(line.Meter)), Identifier: stripe.String(key),
		Timestamp: stripe.Int64(e.Month.End/1e6 - 1), // the last second of the month: it belongs to the period that has ended
		Payload:   map[string]string{"stripe_customer_id": e.Customer.Customer, "value": strconv.FormatInt(line.Units-line.Included, 10)}}
	params.SetIdempotencyKey(key)
	_, err := p.api.V1BillingMeterEvents.Create(ctx, params)
	return err
}

// payer tells who stands on the next invoices.
func (p *Provider) payer(ctx context.Context, e billing.Errand) error {
	params := &stripe.CustomerUpdateParams{Name: stripe.String(payer(e.Customer)), Email: stripe.String(e.Account.Email), Address: address(e.Account)}
	_, err := p.api.V1Customers.Update(ctx, e.Customer.Customer, params)
	return err
}

// end ends the subscription of an organization that is gone. What was paid of its period is not paid out.
func (p *Provider) end(ctx context.Context, e billing.Errand) error {
	s, err := p.api.V1Subscriptions.Retrieve(ctx, e.Object, nil)
	if missing(err) {
		return nil
	}
	if err != nil || s.Status == stripe.SubscriptionStatusCanceled || s.Status == stripe.SubscriptionStatusIncompleteExpired {
		return err
	}
	_, err = p.api.V1Subscriptions.Cancel(ctx, e.Object, &stripe.SubscriptionCancelParams{InvoiceNow: stripe.Bool(true)})
	return err
}
