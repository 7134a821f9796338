package billing

import (
	"context"

	"github.com/guildhall/guildhall/op"
)

// CancelInput says why a subscription is given up.
type CancelInput struct {
	op.InOrganization
	Reason string `json:"reason" doc:"Why; it is kept in the audit log" minLength:"1" maxLength:"1000" example:"the project has ended"`

	asked answer
}

// CancelSubscription ends a subscription with its period: then the organization falls to the first plan. Until then
// everything stays as it is, and subscription.resume takes it back.
var CancelSubscription = &op.Op[CancelInput, ChangedSubscription]{
	Name:    "subscription.cancel",
	Route:   "POST /v1/organizations/{organization}/subscription/cancel",
	Summary: "End the subscription with its period; the organization falls to the first plan then",
	Kind:    op.Access,
	Allow:   op.On(manage),
	Confirm: op.L2,
	Fresh:   true,
	Target: func(ctx context.Context, r *op.Reader, _ CancelInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Fences: func(_ CancelInput, t op.Target) []op.Fence { return fences(t) },
	Prepare: func(ctx context.Context, in CancelInput) (CancelInput, error) {
		var err error
		in.asked, err = deskOf(ctx).order(ctx, in.Organization, nil, func(_ context.Context, s record, r *op.Reader, o *Order) error {
			o.Plan, o.Interval, o.When, o.Cancel = s.plan, s.interval, AtPeriodEnd, true
			return s.cancellable(r)
		})
		return in, err
	},
	Do:      cancelSubscription,
	Example: CancelInput{Reason: "the project has ended"},
}

// cancellable refuses to cancel what there is not.
func (s record) cancellable(r *op.Reader) error {
	if err := sold(r.Charter); err != nil {
		return err
	}
	if s.plan == first(r.Charter).ID {
		return op.Errorf(op.Conflict, "nothing_to_cancel", "the organization is on the plan %s, which is the first one: there is nothing to cancel", titleOf(r.Charter, s.plan))
	}
	return nil
}

func cancelSubscription(ctx context.Context, tx *op.Tx, in CancelInput) (ChangedSubscription, error) {
	s, err := targeted(tx)
	if err != nil {
		return ChangedSubscription{}, err
	}
	if err := s.cancellable(tx.Reader); err != nil {
		return ChangedSubscription{}, err
	}
	tx.Because(in.Reason)
	if in.asked.provider != "" {
		return in.asked.taken(ctx, tx, s)
	}
	if s.next.cancels {
		tx.Unchanged()
		return ChangedSubscription{Standing: s.standing(tx.Reader)}, nil
	}
	return s.waits(ctx, tx, scheduled{plan: first(tx.Charter).ID, interval: Monthly, at: s.period.End, cancels: true})
}

// waits writes what happens at the end of the period, or that nothing does.
func (s record) waits(ctx context.Context, tx *op.Tx, next scheduled) (ChangedSubscription, error) {
	before := s
	s.next = next
	s.note(tx, before)
	err := s.save(ctx, tx)
	return ChangedSubscription{Standing: s.standing(tx.Reader)}, err
}

// ResumeInput names an organization.
type ResumeInput struct {
	op.InOrganization

	asked answer
}

// ResumeSubscription takes back what waits for the end of the period: a cancellation, or a smaller plan.
var ResumeSubscription = &op.Op[ResumeInput, ChangedSubscription]{
	Name:    "subscription.resume",
	Route:   "POST /v1/organizations/{organization}/subscription/resume",
	Summary: "Take back a cancellation or a change that waits for the end of the period",
	Kind:    op.Access,
	Allow:   op.On(manage),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, _ ResumeInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Fences: func(_ ResumeInput, t op.Target) []op.Fence { return fences(t) },
	Prepare: func(ctx context.Context, in ResumeInput) (ResumeInput, error) {
		var err error
		in.asked, err = deskOf(ctx).order(ctx, in.Organization, nil, func(_ context.Context, s record, _ *op.Reader, o *Order) error {
			o.Plan, o.Interval, o.When, o.Resume = s.plan, s.interval, Now, true
			return s.resumable()
		})
		return in, err
	},
	Do:      resumeSubscription,
	Example: ResumeInput{op.InOrganization{Organization: "acme"}, answer{}},
}

func (s record) resumable() error {
	if s.next.at == 0 {
		return op.Errorf(op.Conflict, "nothing_to_resume", "nothing waits for the end of the period: the subscription goes on as it is")
	}
	return nil
}

func resumeSubscription(ctx context.Context, tx *op.Tx, in ResumeInput) (ChangedSubscription, error) {
	s, err := targeted(tx)
	if err != nil {
		return ChangedSubscription{}, err
	}
	if err := s.resumable(); err != nil {
		return ChangedSubscription{}, err
	}
	if in.asked.provider != "" {
		return in.asked.taken(ctx, tx, s)
	}
	return s.waits(ctx, tx, scheduled{})
}

// PortalInput names an organization.
type PortalInput struct {
	op.InOrganization

	address string
}

// PortalAddress is where a provider's own pages are.
type PortalAddress struct {
	Address string `json:"address" doc:"Where to go on; it is good for a short time" example:"https://billing.example.com/session/1"`
}

// OpenPortal gives the address of the payment provider's own pages. The built-in provider has none, and says so. T-025.
var OpenPortal = &op.Op[PortalInput, PortalAddress]{
	Name:    "subscription.portal",
	Route:   "POST /v1/organizations/{organization}/subscription/portal",
	Summary: "Open the payment provider's own pages",
	Kind:    op.Write,
	Allow:   op.On(manage),
	Target: func(ctx context.Context, r *op.Reader, _ PortalInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Prepare: func(ctx context.Context, in PortalInput) (PortalInput, error) {
		d := deskOf(ctx)
		var customer Customer
		if d.Name != Builtin {
			if err := d.look(ctx, in.Organization, func(_ record, _ *op.Reader, c Customer) error { customer = c; return nil }); err != nil {
				return in, err
			}
		}
		var err error
		in.address, err = d.Provider.Portal(ctx, customer)
		return in, err
	},
	Do: func(_ context.Context, tx *op.Tx, in PortalInput) (PortalAddress, error) {
		return PortalAddress{in.address}, sold(tx.Charter)
	},
	Example: PortalInput{op.InOrganization{Organization: "acme"}, ""},
}
