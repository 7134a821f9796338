package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/usage"
)

// paidMonths is for how many months the first organization has paid; its open invoice is so many days old.
const (
	paidMonths = 2
	openDays   = 9
)

// found makes the organization. The first one was made some months ago, and has paid for a plan since: its clock goes
// through that time, and then is the present one again.
func (s *seeding) found(ctx context.Context) error {
	c := s.demo.config.Charter
	if s.tenant.slug != tenants[0].slug || len(c.Plans) < 2 || s.demo.clock.moved() {
		return s.provision(ctx)
	}
	now := s.demo.clock.Now()
	defer s.demo.clock.pretend(0)
	s.demo.clock.pretend(now.AddDate(0, -paidMonths, -openDays).Sub(now))
	if err := s.provision(ctx); err != nil {
		return err
	}
	if err := s.signInOwner(ctx); err != nil {
		return err
	}
	return s.pay(ctx, now)
}

// pay buys the second plan, and ends the months since then. All invoices but the last one are paid, some days later.
func (s *seeding) pay(ctx context.Context, now time.Time) error {
	service, c := s.demo.hall.Service(), s.demo.config.Charter
	owner := op.As(ctx, as(s.owner))
	had, err := billing.GetSubscription.Call(owner, service, billing.GetSubscriptionInput{InOrganization: s.in()})
	if err != nil || had.Plan == c.Plans[1].ID {
		return err // bought at an earlier start
	}
	company, address, tax := s.tenant.name+" Robotics GmbH", "Hauptstraße 12\n10827 Berlin\nGermany", "DE123456789"
	if _, err := billing.UpdateAccount.Call(owner, service, billing.UpdateAccountInput{InOrganization: s.in(), Company: &company, Address: &address, TaxID: &tax}); err != nil {
		return err
	}
	bought := s.demo.clock.Now()
	if _, err := billing.ChangeSubscription.Call(owner, service, billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: s.in(), Plan: c.Plans[1].ID}}); err != nil {
		return err
	}
	for month := range paidMonths {
		if err := s.month(ctx, c, bought.AddDate(0, month, 0), now, month); err != nil {
			return err
		}
	}
	return nil
}

// month pays what is open, uses more than the plan includes, and ends the month.
func (s *seeding) month(ctx context.Context, c *charter.Charter, begin, now time.Time, n int) error {
	service, clock := s.demo.hall.Service(), s.demo.clock
	ctx = op.As(ctx, machine)
	clock.pretend(begin.AddDate(0, 0, 4).Sub(now))
	open, err := billing.ListInvoices.Call(ctx, service, billing.ListInvoicesInput{InOrganization: s.in(), State: billing.Open})
	if err != nil {
		return err
	}
	for _, i := range open.Data {
		if _, err := billing.PayInvoice.Call(ctx, service, billing.PayInvoiceInput{Reference: fmt.Sprintf("transfer %d", 4711+n),
			InvoiceInput: billing.InvoiceInput{InOrganization: s.in(), Invoice: i.ID}}); err != nil {
			return err
		}
	}
	clock.pretend(begin.AddDate(0, 0, 20).Sub(now))
	for _, m := range c.Meters {
		limit := c.Plans[1].LimitOf(m.ID)
		if m.Price.Free() || m.Kind != charter.Counter && m.Kind != charter.Sum || limit.Included == 0 {
			continue
		}
		e := usage.Event{Meter: m.ID, Source: "demo", ID: fmt.Sprintf("month-%s-%d", m.ID, n), Value: limit.Included + limit.Included/int64(8-n)}
		if _, err := usage.Record.Call(ctx, service, usage.RecordInput{InOrganization: s.in(), Event: e}); err != nil {
			return err
		}
	}
	clock.pretend(begin.AddDate(0, 1, 0).Add(time.Minute).Sub(now))
	_, err = billing.ClosePeriod.Call(ctx, service, billing.ClosePeriodInput{InOrganization: s.in()})
	return err
}
