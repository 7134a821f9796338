package stripe

import (
	"context"
	"net/url"
	"time"

	"github.com/stripe/stripe-go/v82"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/op"
)

// latest is how many invoices are read back at once: more than are ever made between two readings.
const latest = 24

// State reads a customer's subscription and latest invoices.
func (p *Provider) State(ctx context.Context, c billing.Customer) (billing.ProviderState, error) {
	state, err := p.state(ctx, c)
	return state, p.told(ctx, "state", err)
}

func (p *Provider) state(ctx context.Context, c billing.Customer) (billing.ProviderState, error) {
	customer, err := p.api.V1Customers.Retrieve(ctx, c.Customer, nil)
	if missing(err) {
		return billing.ProviderState{}, op.ErrNotFound
	}
	if err != nil {
		return billing.ProviderState{}, err
	}
	if !customer.Deleted && customer.Metadata[organizationMetadata] != c.Organization {
		return billing.ProviderState{}, op.ErrNotFound // whoever names it, it is another one's
	}
	subscription, err := p.subscription(ctx, customer.ID)
	if err != nil {
		return billing.ProviderState{}, err
	}
	invoices, pastDue, err := p.invoices(ctx, customer.ID)
	if err != nil {
		return billing.ProviderState{}, err
	}
	state := billing.ProviderState{Customer: customer.ID, Invoices: invoices}
	if subscription == nil {
		return state, nil
	}
	return state, fill(&state, subscription, pastDue)
}

// subscription is the customer's subscription that counts: one that gives a plan before one that does not, then the
// latest. One of which nothing was paid yet is none. T-089.
func (p *Provider) subscription(ctx context.Context, customer string) (*stripe.Subscription, error) {
	params := &stripe.SubscriptionListParams{Customer: stripe.String(customer), Status: stripe.String("all")}
	params.AddExpand("data.schedule")
	params.AddExpand("data.schedule.phases.items.price")
	params.Limit = stripe.Int64(100)
	var best *stripe.Subscription
	for s, err := range p.api.V1Subscriptions.List(ctx, params) {
		if err != nil {
			return nil, err
		}
		if _, told := stateOf(s); told && (best == nil || better(s, best)) {
			best = s
		}
	}
	return best, nil
}

// better orders subscriptions of one customer, whatever order they come in.
func better(a, b *stripe.Subscription) bool {
	x, _ := stateOf(a)
	y, _ := stateOf(b)
	if gives(x) != gives(y) {
		return gives(x)
	}
	if a.Created != b.Created {
		return a.Created > b.Created
	}
	return a.ID > b.ID
}

func gives(s billing.State) bool { return s == billing.Active || s == billing.PastDue }

// stateOf is the state of a subscription; false: it is not begun yet.
func stateOf(s *stripe.Subscription) (state billing.State, told bool) {
	switch s.Status {
	case stripe.SubscriptionStatusActive, stripe.SubscriptionStatusTrialing:
		return billing.Active, true
	case stripe.SubscriptionStatusPastDue:
		return billing.PastDue, true
	case stripe.SubscriptionStatusCanceled:
		if d := s.CancellationDetails; d != nil && d.Reason == stripe.SubscriptionCancellationDetailsReasonCancellationRequested {
			return billing.Cancelled, true
		}
		return billing.Ended, true
	case stripe.SubscriptionStatusUnpaid, stripe.SubscriptionStatusPaused:
		return billing.Ended, true
	}
	return "", false // incomplete, incomplete_expired
}

// fill writes a subscription into a state.
func fill(state *billing.ProviderState, s *stripe.Subscription, pastDue time.Time) error {
	item, plan, interval := planItem(s)
	state.Object = s.ID
	state.State, _ = stateOf(s)
	if item == nil {
		if !gives(state.State) {
			return nil
		}
		return unlike("the subscription %s has no price of a plan", s.ID)
	}
	state.Plan, state.Interval = plan, interval
	state.PeriodStart, state.PeriodEnd = moment(item.CurrentPeriodStart), moment(item.CurrentPeriodEnd)
	if s.BillingCycleAnchor != 0 {
		state.Anchor = moment(s.BillingCycleAnchor)
	}
	state.CancelAtEnd = s.CancelAtPeriodEnd || s.CancelAt != 0 && s.CancelAt <= item.CurrentPeriodEnd
	if state.State == billing.PastDue {
		state.PastDue = pastDue
	}
	state.Next = nextPlan(s, item.CurrentPeriodEnd, billing.NextPlan{Plan: plan, Interval: interval})
	return nil
}

// planItem is the item of a subscription that is its plan; the others are meters.
func planItem(s *stripe.Subscription) (item *stripe.SubscriptionItem, plan string, interval billing.Interval) {
	if s.Items == nil {
		return nil, "", ""
	}
	for _, i := range s.Items.Data {
		if plan, interval, ok := planOf(i.Price); ok {
			return i, plan, interval
		}
	}
	return nil, "", ""
}

// nextPlan is what a schedule makes of a subscription at the end of its period; the zero value: it stays.
func nextPlan(s *stripe.Subscription, end int64, now billing.NextPlan) billing.NextPlan {
	if s.Schedule == nil || s.Schedule.Status != stripe.SubscriptionScheduleStatusActive {
		return billing.NextPlan{}
	}
	for _, phase := range s.Schedule.Phases {
		if phase.StartDate < end {
			continue
		}
		for _, i := range phase.Items {
			if plan, interval, ok := planOf(i.Price); ok && (plan != now.Plan || interval != now.Interval) {
				return billing.NextPlan{Plan: plan, Interval: interval}
			}
		}
	}
	return billing.NextPlan{}
}

// invoices are the latest ones that were issued, and since when one of them is overdue.
func (p *Provider) invoices(ctx context.Context, customer string) (all []billing.ProviderInvoice, pastDue time.Time, err error) {
	params := &stripe.InvoiceListParams{Customer: stripe.String(customer)}
	params.Limit, params.Single = stripe.Int64(latest), true
	for i, err := range p.api.V1Invoices.List(ctx, params) {
		if err != nil {
			return nil, pastDue, err
		}
		if i.Status == stripe.InvoiceStatusDraft || i.Status == "" {
			continue // nobody is asked to pay it yet
		}
		invoice := invoiceOf(i)
		if invoice.State == billing.Overdue && (pastDue.IsZero() || invoice.DueAt.Before(pastDue)) {
			pastDue = invoice.DueAt
		}
		all = append(all, invoice)
	}
	return all, pastDue, nil
}

// invoiceOf is an invoice in our words.
func invoiceOf(i *stripe.Invoice) billing.ProviderInvoice {
	out := billing.ProviderInvoice{Object: i.ID, Number: i.Number, State: billing.Open, Currency: upper(i.Currency), Total: i.Total, Owed: max(0, i.AmountRemaining),
		PeriodStart: moment(i.PeriodStart), PeriodEnd: moment(i.PeriodEnd), Page: secure(i.HostedInvoiceURL), Paper: secure(i.InvoicePDF),
		IssuedAt: moment(i.Created), Payer: billing.Account{Company: i.CustomerName, Email: i.CustomerEmail}}
	if out.Number == "" {
		out.Number = i.ID
	}
	out.Lines = linesOf(i)
	var paid, void int64
	if t := i.StatusTransitions; t != nil {
		if t.FinalizedAt != 0 {
			out.IssuedAt = moment(t.FinalizedAt)
		}
		paid, void = t.PaidAt, max(t.VoidedAt, t.MarkedUncollectibleAt)
	}
	if out.DueAt = out.IssuedAt; i.DueDate != 0 {
		out.DueAt = moment(i.DueDate)
	}
	switch i.Status {
	case stripe.InvoiceStatusPaid:
		out.State, out.SettledAt = billing.Paid, moment(max(paid, i.Created))
	case stripe.InvoiceStatusVoid, stripe.InvoiceStatusUncollectible:
		out.State, out.Owed, out.SettledAt = billing.Void, 0, moment(max(void, i.Created))
	default:
		if i.Attempted && i.AmountRemaining > 0 {
			out.State = billing.Overdue
		}
	}
	return out
}

// linesOf are an invoice's lines, and one of what is not in them (taxes, discounts, credit), so that they add up.
func linesOf(i *stripe.Invoice) (lines []billing.InvoiceLine) {
	var sum int64
	if i.Lines != nil {
		for _, l := range i.Lines.Data {
			line := billing.InvoiceLine{Kind: kindOf(l), Text: l.Description, Amount: l.Amount}
			if l.Period != nil {
				line.From, line.Until = moment(l.Period.Start), moment(l.Period.End)
			}
			lines, sum = append(lines, line), sum+l.Amount
		}
	}
	if rest := i.Total - sum; rest != 0 {
		lines = append(lines, billing.InvoiceLine{Kind: billing.CreditLine, Text: "Taxes, discounts and what else there is", From: moment(i.PeriodEnd), Until: moment(i.PeriodEnd), Amount: rest})
	}
	return lines
}

func kindOf(l *stripe.InvoiceLineItem) billing.LineKind {
	if l.Parent == nil || l.Parent.SubscriptionItemDetails == nil {
		return billing.UsageLine
	}
	if l.Parent.SubscriptionItemDetails.Proration {
		return billing.ProrationLine
	}
	return billing.PlanLine
}

// secure is an address that a page may link to; empty for any other.
func secure(address string) string {
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return address
}

func upper(c stripe.Currency) string {
	text := []byte(c)
	for n, b := range text {
		if b >= 'a' && b <= 'z' {
			text[n] = b - 'a' + 'A'
		}
	}
	return string(text)
}

func moment(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
