package stripe

import (
	"context"

	"github.com/stripe/stripe-go/v82"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/op"
)

// Preview says what Stripe would charge for a change.
func (p *Provider) Preview(ctx context.Context, o billing.Order) (billing.ProviderPreview, error) {
	out, err := p.preview(ctx, o)
	return out, p.told(ctx, "preview", err)
}

func (p *Provider) preview(ctx context.Context, o billing.Order) (out billing.ProviderPreview, err error) {
	change, err := p.change(ctx, o)
	if err != nil {
		return out, err
	}
	if o.When == billing.Now {
		now := &stripe.InvoiceCreatePreviewSubscriptionDetailsParams{ProrationDate: stripe.Int64(o.At.Unix()), ProrationBehavior: stripe.String("always_invoice")}
		change.onto(now)
		if o.Cancel {
			now.Items, now.CancelNow, now.ProrationDate, now.ProrationBehavior = nil, stripe.Bool(true), nil, nil
		}
		invoice, err := p.previewed(ctx, o, now)
		if err != nil {
			return out, err
		}
		out.Lines, out.Due = linesOf(invoice), invoice.AmountDue
		if rest := out.Due - invoice.Total; rest != 0 {
			at := o.At.UTC()
			out.Lines = append(out.Lines, billing.InvoiceLine{Kind: billing.CreditLine, Text: creditText(rest), From: at, Until: at, Amount: rest})
		}
	}
	out.Next, err = p.following(ctx, o, change)
	return out, err
}

func creditText(rest int64) string {
	if rest > 0 {
		return "Kept as credit for the next invoice"
	}
	return "Credit of earlier invoices"
}

// following is the invoice after a change: the plan that there is then, for the period after this one.
func (p *Provider) following(_ context.Context, o billing.Order, c change) (billing.Estimate, error) {
	end := moment(c.item.CurrentPeriodEnd)
	if o.When == billing.Now && c.from.Interval != o.Interval && !o.Cancel {
		end = moment(o.Interval.Of(o.At.UnixMicro(), o.At.UnixMicro()).End / 1e6)
	}
	next := billing.Estimate{At: end, Lines: []billing.InvoiceLine{}}
	if o.Cancel || o.Amount == 0 {
		return next, nil
	}
	title := o.Plan
	if plan, ok := p.config.Charter.Plan(o.Plan); ok {
		title = plan.Title
	}
	until := moment(o.Interval.Of(end.UnixMicro(), end.UnixMicro()).End / 1e6)
	next.Lines = append(next.Lines, billing.InvoiceLine{Kind: billing.PlanLine, Text: title, From: end, Until: until, Amount: o.Amount})
	next.Total = o.Amount
	return next, nil
}

func (p *Provider) previewed(ctx context.Context, o billing.Order, details *stripe.InvoiceCreatePreviewSubscriptionDetailsParams) (*stripe.Invoice, error) {
	return p.api.V1Invoices.CreatePreview(ctx, &stripe.InvoiceCreatePreviewParams{Customer: stripe.String(o.Customer.Customer),
		Subscription: stripe.String(o.Object), SubscriptionDetails: details})
}

// change is a subscription as it is, and what is wanted of it.
type change struct {
	subscription *stripe.Subscription
	item         *stripe.SubscriptionItem // its plan
	from         billing.NextPlan
	price        *stripe.Price // the plan that is wanted; nil where it is given up
}

// change reads what there is and what is wanted.
func (p *Provider) change(ctx context.Context, o billing.Order) (c change, err error) {
	params := &stripe.SubscriptionRetrieveParams{}
	params.AddExpand("schedule")
	if c.subscription, err = p.api.V1Subscriptions.Retrieve(ctx, o.Object, params); err != nil {
		return c, err
	}
	c.item, c.from.Plan, c.from.Interval = planItem(c.subscription)
	if c.item == nil {
		return c, unlike("the subscription %s has no price of a plan", o.Object)
	}
	if c.subscription.Customer == nil || c.subscription.Customer.ID != o.Customer.Customer {
		return c, op.ErrNotFound
	}
	if !o.Cancel && !o.Resume {
		c.price, err = p.planPrice(ctx, o)
	}
	return c, err
}

// onto writes the plan that is wanted into a preview.
func (c change) onto(details *stripe.InvoiceCreatePreviewSubscriptionDetailsParams) {
	if c.price != nil {
		details.Items = []*stripe.InvoiceCreatePreviewSubscriptionDetailsItemParams{{ID: stripe.String(c.item.ID), Price: stripe.String(c.price.ID)}}
	}
}

// Change changes a subscription. A greater plan that cannot be paid at once is not there: nothing is changed then.
func (p *Provider) Change(ctx context.Context, o billing.Order) (billing.ProviderState, error) {
	err := p.carryOut(ctx, o)
	if err != nil {
		return billing.ProviderState{}, p.told(ctx, "change", err)
	}
	return p.State(ctx, o.Customer)
}

func (p *Provider) carryOut(ctx context.Context, o billing.Order) error {
	c, err := p.change(ctx, o)
	if err != nil {
		return err
	}
	if err := p.release(ctx, c.subscription); err != nil { // what waited is taken back, or takes another one's place
		return err
	}
	switch {
	case o.Cancel && o.When == billing.Now:
		_, err = p.api.V1Subscriptions.Cancel(ctx, o.Object, &stripe.SubscriptionCancelParams{Prorate: stripe.Bool(true), InvoiceNow: stripe.Bool(true)})
	case o.Cancel:
		err = p.cancelAtEnd(ctx, o, true)
	case o.Resume:
		err = p.cancelAtEnd(ctx, o, false)
	case o.When == billing.AtPeriodEnd:
		err = p.schedule(ctx, o, c)
	default:
		err = p.changeNow(ctx, o, c)
	}
	return err
}

// release takes back what a schedule was to make of the subscription.
func (p *Provider) release(ctx context.Context, s *stripe.Subscription) error {
	if s.Schedule == nil || s.Schedule.ID == "" {
		return nil
	}
	_, err := p.api.V1SubscriptionSchedules.Release(ctx, s.Schedule.ID, nil)
	return err
}

func (p *Provider) cancelAtEnd(ctx context.Context, o billing.Order, at bool) error {
	_, err := p.api.V1Subscriptions.Update(ctx, o.Object, &stripe.SubscriptionUpdateParams{CancelAtPeriodEnd: stripe.Bool(at)})
	return err
}

// changeNow changes the plan at once. Stripe takes the money for the rest of the period first, and refuses the change
// where it cannot.
func (p *Provider) changeNow(ctx context.Context, o billing.Order, c change) error {
	if c.item.Price.ID == c.price.ID && !c.subscription.CancelAtPeriodEnd {
		return nil
	}
	params := &stripe.SubscriptionUpdateParams{CancelAtPeriodEnd: stripe.Bool(false), ProrationDate: stripe.Int64(o.At.Unix()),
		Items:             []*stripe.SubscriptionUpdateItemParams{{ID: stripe.String(c.item.ID), Price: stripe.String(c.price.ID)}},
		ProrationBehavior: stripe.String("always_invoice"), PaymentBehavior: stripe.String("error_if_incomplete")}
	_, err := p.api.V1Subscriptions.Update(ctx, o.Object, params)
	return err
}

// schedule lets the plan that is wanted follow the period that is paid.
func (p *Provider) schedule(ctx context.Context, o billing.Order, c change) error {
	if c.subscription.CancelAtPeriodEnd {
		if err := p.cancelAtEnd(ctx, o, false); err != nil {
			return err
		}
	}
	made, err := p.api.V1SubscriptionSchedules.Create(ctx, &stripe.SubscriptionScheduleCreateParams{FromSubscription: stripe.String(o.Object)})
	if err != nil {
		return err
	}
	now, then := phase(c, c.item.Price.ID), phase(c, c.price.ID)
	now.StartDate, now.EndDate = stripe.Int64(c.item.CurrentPeriodStart), stripe.Int64(c.item.CurrentPeriodEnd)
	if len(made.Phases) > 0 {
		now.StartDate = stripe.Int64(made.Phases[0].StartDate)
	}
	then.StartDate, then.Iterations = stripe.Int64(c.item.CurrentPeriodEnd), stripe.Int64(1)
	_, err = p.api.V1SubscriptionSchedules.Update(ctx, made.ID, &stripe.SubscriptionScheduleUpdateParams{EndBehavior: stripe.String("release"),
		ProrationBehavior: stripe.String("none"), Phases: []*stripe.SubscriptionScheduleUpdatePhaseParams{now, then}})
	return err
}

// phase is the subscription with a plan, and with its meters as they are.
func phase(c change, plan string) *stripe.SubscriptionScheduleUpdatePhaseParams {
	items := []*stripe.SubscriptionScheduleUpdatePhaseItemParams{{Price: stripe.String(plan), Quantity: stripe.Int64(1)}}
	for _, i := range c.subscription.Items.Data {
		if i.ID != c.item.ID && i.Price != nil {
			items = append(items, &stripe.SubscriptionScheduleUpdatePhaseItemParams{Price: stripe.String(i.Price.ID)})
		}
	}
	return &stripe.SubscriptionScheduleUpdatePhaseParams{Items: items, ProrationBehavior: stripe.String("none")}
}
