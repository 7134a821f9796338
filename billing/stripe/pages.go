package stripe

import (
	"context"
	"strings"

	"github.com/stripe/stripe-go/v82"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/op"
)

// Checkout opens a page on which a subscription is begun and paid. A customer has one open page at a time: one of another
// plan is closed first, so that nobody pays for two.
func (p *Provider) Checkout(ctx context.Context, o billing.Order) (billing.Checkout, error) {
	out, err := p.checkout(ctx, o)
	return out, p.told(ctx, "checkout", err)
}

func (p *Provider) checkout(ctx context.Context, o billing.Order) (out billing.Checkout, err error) {
	items, err := p.lineItems(ctx, o)
	if err != nil {
		return out, err
	}
	if out.Customer, err = p.customer(ctx, o); err != nil {
		return out, err
	}
	o.Customer.Customer = out.Customer
	state, err := p.state(ctx, o.Customer)
	if err != nil {
		return out, err
	}
	if state.State == billing.Active || state.State == billing.PastDue {
		return out, op.Errorf(op.Conflict, "subscription_exists", "there is a subscription with the payment provider already, which is being read back: look again in a minute")
	}
	if out.Address, err = p.openPage(ctx, o); err != nil || out.Address != "" {
		return out, err
	}
	made, err := p.api.V1CheckoutSessions.Create(ctx, &stripe.CheckoutSessionCreateParams{
		Mode: stripe.String(string(stripe.CheckoutSessionModeSubscription)), Customer: stripe.String(out.Customer), LineItems: items,
		SuccessURL: stripe.String(o.ReturnTo), CancelURL: stripe.String(o.ReturnTo + "/plans"), Metadata: sessionMetadata(o),
		SubscriptionData: &stripe.CheckoutSessionCreateSubscriptionDataParams{Metadata: map[string]string{organizationMetadata: o.Organization},
			BillingMode: &stripe.CheckoutSessionCreateSubscriptionDataBillingModeParams{Type: stripe.String("flexible")}},
	})
	if err != nil {
		return out, err
	}
	out.Address = made.URL
	return out, nil
}

// sessionMetadata says what a page is for, so that it is found again.
func sessionMetadata(o billing.Order) map[string]string {
	return map[string]string{organizationMetadata: o.Organization, planMetadata: o.Plan, "guildhall_interval": string(o.Interval)}
}

// openPage is the address of the page that is open for just this; pages for anything else are closed.
func (p *Provider) openPage(ctx context.Context, o billing.Order) (address string, err error) {
	wanted := sessionMetadata(o)
	params := &stripe.CheckoutSessionListParams{Customer: stripe.String(o.Customer.Customer), Status: stripe.String(string(stripe.CheckoutSessionStatusOpen))}
	for session, err := range p.api.V1CheckoutSessions.List(ctx, params) {
		if err != nil {
			return "", err
		}
		if address == "" && session.Metadata[planMetadata] == wanted[planMetadata] && session.Metadata["guildhall_interval"] == wanted["guildhall_interval"] {
			address = session.URL
			continue
		}
		if _, err := p.api.V1CheckoutSessions.Expire(ctx, session.ID, nil); err != nil {
			return "", err
		}
	}
	return address, nil
}

// lineItems are what is subscribed to: the plan, and every meter that has a price.
func (p *Provider) lineItems(ctx context.Context, o billing.Order) ([]*stripe.CheckoutSessionCreateLineItemParams, error) {
	plan, err := p.planPrice(ctx, o)
	if err != nil {
		return nil, err
	}
	items := []*stripe.CheckoutSessionCreateLineItemParams{{Price: stripe.String(plan.ID), Quantity: stripe.Int64(1)}}
	meters, err := p.meterPrices(ctx)
	for _, price := range meters {
		items = append(items, &stripe.CheckoutSessionCreateLineItemParams{Price: stripe.String(price.ID)})
	}
	return items, err
}

// customer is the customer that an organization is at Stripe, made where there is none.
func (p *Provider) customer(ctx context.Context, o billing.Order) (string, error) {
	if o.Customer.Customer != "" {
		return o.Customer.Customer, nil
	}
	params := &stripe.CustomerCreateParams{Name: stripe.String(payer(o.Customer)), Metadata: map[string]string{organizationMetadata: o.Organization},
		Description: stripe.String(o.Name)}
	if o.Account.Email != "" {
		params.Email = stripe.String(o.Account.Email)
	}
	params.Address = address(o.Account)
	params.SetIdempotencyKey("customer:" + o.Key)
	made, err := p.api.V1Customers.Create(ctx, params)
	if err != nil {
		return "", err
	}
	return made.ID, nil
}

// payer is who stands on invoices.
func payer(c billing.Customer) string {
	if c.Account.Company != "" {
		return c.Account.Company
	}
	return c.Name
}

// address is a postal address in the lines that it has: Stripe parts it into fields, and people do not.
func address(a billing.Account) *stripe.AddressParams {
	if a.Address == "" {
		return nil
	}
	first, rest, _ := strings.Cut(a.Address, "\n")
	return &stripe.AddressParams{Line1: stripe.String(first), Line2: stripe.String(strings.Join(strings.Fields(strings.ReplaceAll(rest, "\n", ", ")), " "))}
}

// Portal opens Stripe's own pages for means of payment and invoices.
func (p *Provider) Portal(ctx context.Context, c billing.Customer) (string, error) {
	if c.Customer == "" {
		return "", op.Errorf(op.Conflict, "no_portal", "the organization has never paid by the payment provider: choose a plan first")
	}
	made, err := p.api.V1BillingPortalSessions.Create(ctx, &stripe.BillingPortalSessionCreateParams{Customer: stripe.String(c.Customer), ReturnURL: stripe.String(c.ReturnTo)})
	if err != nil {
		return "", p.told(ctx, "portal", err)
	}
	return made.URL, nil
}
