package billing

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/internal/period"
	"github.com/guildhall/guildhall/op"
)

// ChangeInput says which plan is wanted, and what it may cost.
type ChangeInput struct {
	WantedPlan
	AtMost *int64 `json:"at_most,omitzero" doc:"Refuse the change if more than this is due today, in minor units: what the preview said" minimum:"0" example:"24500"`

	asked answer // what the provider said
}

// ChangedSubscription is the subscription after a change, and what the change cost.
type ChangedSubscription struct {
	Standing
	DueToday int64  `json:"due_today" doc:"What was invoiced at once, in minor units"`
	Invoice  string `json:"invoice,omitzero" doc:"The invoice of it"`
	Checkout string `json:"checkout,omitzero" doc:"Nothing is changed yet: the address at which a person pays first"`
}

// ChangeSubscription changes the plan. A greater plan is there when the call returns, and the rest of the period is
// invoiced; a smaller one waits for the end of the period, unless it is wanted now. What checks answer follows at once.
var ChangeSubscription = &op.Op[ChangeInput, ChangedSubscription]{
	Name:    "subscription.change",
	Route:   "POST /v1/organizations/{organization}/subscription/change",
	Summary: "Change the plan: a greater one at once, a smaller one when the period ends",
	Kind:    op.Access,
	Allow:   op.On(manage),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, _ ChangeInput) (op.Target, error) {
		return subscriptionTarget(ctx, r)
	},
	Fences: func(_ ChangeInput, t op.Target) []op.Fence { return fences(t) },
	Prepare: func(ctx context.Context, in ChangeInput) (ChangeInput, error) {
		var err error
		in.asked, err = deskOf(ctx).order(ctx, in.Organization, in.AtMost, in.fill)
		return in, err
	},
	Preview: previewImpact,
	Do:      changeSubscription,
	Example: ChangeInput{WantedPlan: WantedPlan{Plan: "business"}},
}

// subscriptionTarget loads the organization's subscription.
func subscriptionTarget(ctx context.Context, r *op.Reader) (op.Target, error) {
	s, err := recordOf(ctx, r, r.Organization())
	return op.Target{Organization: s.organization, Type: "subscription", ID: s.organization, Name: titleOf(r.Charter, s.plan), Version: s.version, Current: s.standing(r), Value: s}, err
}

// fences are for all of the organization: its plan is in what checks answer.
func fences(t op.Target) []op.Fence {
	return []op.Fence{{Kind: op.FenceOrganization, ID: t.Organization}}
}

// targeted is the subscription that Target loaded, whose period has not ended.
func targeted(tx *op.Tx) (record, error) {
	s, _ := tx.Target().Value.(record)
	if err := sold(tx.Charter); err != nil {
		return s, err
	}
	return s, s.current(tx.Micros())
}

func changeSubscription(ctx context.Context, tx *op.Tx, in ChangeInput) (ChangedSubscription, error) {
	s, err := targeted(tx)
	if err != nil {
		return ChangedSubscription{}, err
	}
	q, err := s.quote(ctx, tx.Reader, in.WantedPlan)
	if err != nil {
		return ChangedSubscription{}, err
	}
	if in.asked.provider != "" {
		return in.asked.taken(ctx, tx, s)
	}
	if err := s.allowed(tx.Reader, q); err != nil {
		return ChangedSubscription{}, err
	}
	if err := within(q.due, in.AtMost, tx.Charter.Currency); err != nil {
		return ChangedSubscription{}, err
	}
	if q.same && s.next.at == 0 {
		tx.Unchanged()
		return ChangedSubscription{Standing: s.standing(tx.Reader)}, nil
	}
	return s.carryOut(ctx, tx, q)
}

// allowed refuses what is not paid for, and what needs a fresh sign-in.
func (s record) allowed(r *op.Reader, q quote) error {
	overdue := s.state == PastDue || s.open != 0 && s.open <= r.Micros()
	switch {
	case overdue && q.when == Now && !q.same: // T-089
		return &op.Error{Kind: op.Conflict, Code: "payment_overdue", FixURL: "/o/" + s.organization + "/settings/billing",
			Text: "an invoice is overdue: pay it first, then change the plan"}
	case q.down:
		return r.DemandFresh()
	}
	return nil
}

// within refuses what costs more than was agreed to.
func within(due int64, most *int64, currency string) error {
	if most == nil || due <= *most {
		return nil
	}
	return op.Errorf(op.Conflict, "costs_more", "this would make %s due today, which is more than the %s that were agreed to: look at the preview again",
		Money(due, currency), Money(*most, currency))
}

// carryOut does a change that nothing speaks against.
func (s record) carryOut(ctx context.Context, tx *op.Tx, q quote) (ChangedSubscription, error) {
	before := s
	var done ChangedSubscription
	if q.when == AtPeriodEnd {
		s = s.planned(q)
		s.note(tx, before)
		err := s.save(ctx, tx)
		done.Standing = s.standing(tx.Reader)
		return done, err
	}
	if len(q.charges) > 0 {
		invoice, err := s.issue(ctx, tx, bill{fmt.Sprintf("change:%d", s.version), period.Period{Start: q.at, End: q.at}, q.charges, q.due})
		if err != nil {
			return done, err
		}
		s.post(tx, invoice)
		done.DueToday, done.Invoice = q.due, invoice.ID
		tx.Changed("due_today", nil, Money(q.due, tx.Charter.Currency))
	}
	s = s.after(q)
	s.owed += q.due
	s.note(tx, before)
	err := s.give(ctx, tx)
	done.Standing = s.standing(tx.Reader)
	return done, err
}

// taken is what became of a change that a provider was asked for. Where somebody else changed the subscription meanwhile,
// what the provider answered may be older than what is known: then its events, or the next reading, say how it stands.
func (a answer) taken(ctx context.Context, tx *op.Tx, s record) (done ChangedSubscription, err error) {
	done.Checkout = a.checkout.Address
	changed := false
	switch {
	case s.version != a.seen:
	case a.state != nil:
		changed, err = s.absorb(ctx, tx, a.provider, *a.state)
	case a.checkout.Customer != s.customer:
		s.customer, changed = a.checkout.Customer, true
		err = s.save(ctx, tx)
	}
	if !changed {
		tx.Unchanged()
	}
	done.Standing = s.standing(tx.Reader)
	return done, err
}

// fill writes the order that the provider gets. What would be refused here is refused before anything is ordered.
func (in ChangeInput) fill(ctx context.Context, s record, r *op.Reader, o *Order) error {
	if err := sold(r.Charter); err != nil {
		return err
	}
	q, err := s.quote(ctx, r, in.WantedPlan)
	if err != nil {
		return err
	}
	q.order(o)
	return s.allowed(r, q)
}

// order is the change as a provider is asked for it. What costs nothing is the end of what it keeps.
func (q quote) order(o *Order) {
	o.Plan, o.Interval, o.Amount, o.When, o.Resume = q.plan.ID, q.to.Interval, q.to.Amount, q.when, q.same
	o.Cancel = !q.same && q.to.Amount == 0
}

// previewImpact answers dry_run.
func previewImpact(ctx context.Context, r *op.Reader, in ChangeInput) (op.Impact, error) {
	p, err := preview(ctx, r, in.WantedPlan)
	if err != nil {
		return op.Impact{}, err
	}
	impact := op.Impact{Summary: p.PlanTitle + ", " + p.Interval.words() + ": " + Money(p.DueToday, p.Currency) + " due today"}
	if p.When == AtPeriodEnd {
		impact.Summary = p.PlanTitle + ", " + p.Interval.words() + ", from " + p.At.Format("2 January 2006") + " on"
	}
	add := func(kind, id, name, text string) {
		impact.Effects = append(impact.Effects, op.Effect{Type: kind, ID: id, Name: name, Text: text})
	}
	for _, f := range p.Gains {
		add("feature", f.ID, f.Title, "is gained")
	}
	for _, f := range p.Loses.Features {
		add("feature", f.ID, f.Title, "is lost")
	}
	for _, l := range p.Loses.Limits {
		add("limit", l.Meter, l.Title, fmt.Sprintf("%d are used, and %d is the most then", l.Used, l.Hard))
	}
	if l := p.Loses.Seats; l != nil {
		add("seats", "", "", fmt.Sprintf("%d members stay, %d invitations are frozen: there are %d seats then", l.Members, l.Invitations, l.Limit))
	}
	for _, l := range p.Loses.Settings {
		add("setting", l.Setting, "", l.Text)
	}
	return impact, nil
}
