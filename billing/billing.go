// Package billing sells plans: what each costs and gives, subscriptions and what a change of one costs to the
// microsecond, invoices at the end of each period, and the seam to whoever takes the money.
//
// What an organization may do follows from its subscription's state alone. The room tells the directory the plan, in the
// transaction that changes the subscription; nothing else does. Where the charter has no plans, nothing is sold, and
// every operation says so.
package billing

import (
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// The permissions that this room asks for.
const (
	see    charter.Permission = "billing.view"
	manage charter.Permission = "billing.manage"
)

// Operations are the operations of this room.
func Operations() []op.Any {
	return []op.Any{
		ListPlans, GetSubscription, PreviewChange, ChangeSubscription, GetSeats, ListInvoices, GetInvoice,
		PrintInvoice, CancelSubscription, ResumeSubscription, OpenPortal, UpdateAccount, PayInvoice, VoidInvoice,
		ClosePeriod, Remind, SyncSubscription,
	}
}

// errNoPlans answers where the charter sells nothing.
var errNoPlans = op.Errorf(op.NotFound, "no_plans", "this product sells no plans: nothing is limited, and there is nothing to pay")

// sold refuses what is about plans where the charter has none.
func sold(c *charter.Charter) error {
	if len(c.Plans) == 0 {
		return errNoPlans
	}
	return nil
}

// first is the plan that organizations begin with and fall back to.
func first(c *charter.Charter) charter.Plan { return c.Plans[0] }

// rank orders plans as the charter does; one that it does not have is below all.
func rank(c *charter.Charter, plan string) int {
	for n, p := range c.Plans {
		if p.ID == plan {
			return n
		}
	}
	return -1
}

// titleOf is what people call a plan, also one that the charter does not have any more.
func titleOf(c *charter.Charter, plan string) string {
	if p, ok := c.Plan(plan); ok {
		return p.Title
	}
	return plan
}

// feeOf is what a plan costs in one period. What the charter does not have any more costs nothing.
func feeOf(c *charter.Charter, plan string, interval Interval) Fee {
	fee := Fee{Plan: plan, Interval: interval}
	p, _ := c.Plan(plan)
	fee.Amount = p.Prices.Month
	if interval == Yearly {
		fee.Amount = p.Prices.Year
	}
	return fee
}

// soldBy reports whether a plan can be had in an interval. One without any price is free, and paid by the month; one
// with a price for the year alone is not sold by the month.
func soldBy(p charter.Plan, interval Interval) bool {
	if interval == Yearly {
		return p.Prices.Year > 0
	}
	return p.Prices.Month > 0 || p.Prices.Year == 0
}
