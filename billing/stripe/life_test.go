package stripe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/teststripe"
	"github.com/guildhall/guildhall/op"
)

const day = 24 * time.Hour

// TestAFirstSubscriptionIsThereWhenItIsPaid: neither the page nor the way back from it gives anything. T-089.
func TestAFirstSubscriptionIsThereWhenItIsPaid(t *testing.T) {
	inShops(t, func(s *shop) {
		done := s.changes("pro")
		if !strings.HasPrefix(done.Checkout, "https://checkout.stripe.test/") || done.Plan != "free" {
			t.Fatalf("the checkout: %+v", done)
		}
		if again := s.changes("pro"); again.Checkout != done.Checkout {
			t.Error("the same plan once more opens another page")
		}
		other := s.changes("business")
		if other.Checkout == done.Checkout {
			t.Error("another plan opens the same page")
		}
		s.hears(s.stripe.Events()...)
		s.has("free", billing.Active)
		s.stripe.Complete(other.Checkout, teststripe.Slow) // the page is complete, the money is not there
		s.hears(s.stripe.Events()...)
		s.has("free", billing.Active)
		customer, name, _ := s.stripe.Customer(s.acme.ID)
		s.stripe.Settle(customer, teststripe.Good)
		s.hears(s.stripe.Events()...)
		got := s.has("business", billing.Active)
		if got.Provider != stripe.Name || !got.Portal || !got.PeriodEnd.Equal(s.Clock.Now().AddDate(0, 1, 0)) || name == "" {
			t.Errorf("it is %+v", got.Standing)
		}
		all := s.invoices()
		if len(all) != 1 || all[0].State != billing.Paid || all[0].Total != 49900 || !strings.HasPrefix(all[0].Number, "FAKE-") || all[0].Page == "" {
			t.Errorf("invoices: %+v", all)
		}
	})
}

func TestAPlanChangesWithStripesProration(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		s.later(21 * day) // 10 of 31 days are left
		p := s.previews("business", "")
		if p.DueToday != 16097-1581 || len(p.Lines) != 2 || p.Next.Total != 49900 || !p.Next.At.Equal(s.subscription().PeriodEnd) || p.Direction != "up" {
			t.Errorf("the preview: %+v", p)
		}
		s.refused("a cent less is agreed to", errOf(s.wants("business", func(in *billing.ChangeInput) { in.AtMost = new(p.DueToday - 1) })), "costs_more")
		up := s.changes("business", func(in *billing.ChangeInput) { in.AtMost = new(p.DueToday) })
		if up.Plan != "business" || up.Checkout != "" {
			t.Errorf("up: %+v", up)
		}
		s.hears(s.stripe.Events()...)
		s.has("business", billing.Active)
		if all := s.invoices(); len(all) != 2 || all[0].Total != p.DueToday || all[0].State != billing.Paid || all[0].Lines[0].Kind != billing.ProrationLine {
			t.Errorf("invoices: %+v", all)
		}
		down := s.previews("pro", billing.Now)
		if down.DueToday != 0 || down.Lines[len(down.Lines)-1].Amount != p.DueToday {
			t.Errorf("down at once: %+v", down)
		}
		s.changes("pro", atOnce)
		if back := s.previews("business", ""); back.DueToday != 0 {
			t.Errorf("up again at the same moment: %+v", back)
		}
		if year := s.changes("pro", yearly); year.Interval != billing.Yearly || !year.PeriodEnd.Equal(s.Clock.Now().AddDate(1, 0, 0)) {
			t.Errorf("by the year: %+v", year.Standing)
		}
	})
}

func TestASmallerPlanWaitsAtStripe(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("business")
		s.later(10 * day)
		if p := s.previews("pro", ""); p.When != billing.AtPeriodEnd || p.DueToday != 0 || len(p.Lines) != 0 || p.Next.Total != 4900 {
			t.Errorf("the preview: %+v", p)
		}
		down := s.changes("pro")
		if down.Plan != "business" || down.Change == nil || down.Change.Plan != "pro" || down.Change.Cancels {
			t.Fatalf("down: %+v", down.Standing)
		}
		resumed, err := billing.ResumeSubscription.Call(s.owner(), s.Service(), billing.ResumeInput{InOrganization: s.acme.In()})
		s.must(err)
		if resumed.Change != nil {
			t.Errorf("taken back: %+v", resumed.Change)
		}
		s.changes("pro")
		s.changes("business", yearly) // what waits gives way
		if got := s.subscription(); got.Change != nil || got.Interval != billing.Yearly {
			t.Errorf("by the year: %+v", got.Standing)
		}
		s.changes("business", func(in *billing.ChangeInput) { in.Interval = billing.Monthly })
		s.changes("pro", func(in *billing.ChangeInput) { in.Interval = billing.Monthly }) // and for another one
		s.later(366 * day)
		got := s.has("pro", billing.Active)
		if got.Interval != billing.Monthly || got.Change != nil || s.invoices()[0].Total != 4900 {
			t.Errorf("then %+v", got.Standing)
		}
	})
}

func TestACancelledPlanEndsAtStripe(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		cancel := func() billing.ChangedSubscription {
			done, err := billing.CancelSubscription.Call(s.owner(), s.Service(), billing.CancelInput{InOrganization: s.acme.In(), Reason: "it was dear"})
			s.must(err)
			return done
		}
		if done := cancel(); !done.CancelAtPeriodEnd || done.Plan != "pro" {
			t.Errorf("cancelled: %+v", done.Standing)
		}
		_, err := billing.ResumeSubscription.Call(s.owner(), s.Service(), billing.ResumeInput{InOrganization: s.acme.In()})
		s.must(err)
		s.later(32 * day)
		s.has("pro", billing.Active)
		s.changes("free") // the first plan is a cancellation
		s.later(31 * day)
		s.has("free", billing.Cancelled)
		s.buys("pro") // and again
		if got := s.has("pro", billing.Active); got.CancelAtPeriodEnd {
			t.Errorf("bought again: %+v", got.Standing)
		}
	})
}

func TestWhatCannotBePaid(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		customer, _, _ := s.stripe.Customer(s.acme.ID)
		s.stripe.Pays(customer, teststripe.Declined)
		e := s.refused("a greater plan", errOf(s.wants("business")), "payment_failed")
		if !strings.Contains(e.Text, "your card was declined") {
			t.Errorf("it says %q", e.Text)
		}
		s.has("pro", billing.Active)
		s.later(32 * day)
		got := s.has("pro", billing.PastDue)
		if got.PastDueSince == nil || got.EndsAt != nil || got.Owed != 4900 || s.invoices()[0].State != billing.Overdue {
			t.Errorf("overdue: %+v", got.Standing)
		}
		s.refused("a greater plan while it is overdue", errOf(s.wants("business")), "payment_overdue")
		s.stripe.Pays(customer, teststripe.Good)
		s.later(3 * day) // Stripe tries again
		if got = s.has("pro", billing.Active); got.Owed != 0 || got.PastDueSince != nil {
			t.Errorf("paid: %+v", got.Standing)
		}
		s.stripe.Pays(customer, teststripe.Declined)
		s.later(31 * day)
		s.has("pro", billing.PastDue)
		for range 4 {
			s.later(2 * day)
		}
		s.has("free", billing.Ended)
	})
}

// What no event told is found out. T-088.
func TestWhatWebhooksMissedIsRepaired(t *testing.T) {
	inShops(t, func(s *shop) {
		s.stripe.Complete(s.changes("pro").Checkout, teststripe.Good)
		s.refused("another page before anybody knows", errOf(s.wants("business")), "subscription_exists")
		s.Clock.Advance(10 * time.Minute)
		s.works()
		s.has("pro", billing.Active)
		s.stripe.Events() // all of them are lost
		s.Clock.Advance(32 * day)
		s.stripe.Advance()
		s.works()
		if got := s.has("pro", billing.Active); !got.PeriodEnd.Equal(time.Date(2026, 5, 2, 9, 0, 0, 0, time.UTC)) || len(s.invoices()) != 2 {
			t.Errorf("after a renewal that nobody told: %+v, %d invoices", got.Standing, len(s.invoices()))
		}
		s.stripe.Asked()
		s.works()
		if s.Clock.Advance(time.Hour); s.asked("GET /v1/subscriptions") {
			t.Error("it is read back again at once")
		}
	})
}

// What was used beyond what is included is told once for each month, however often it is tried.
func TestUsageIsMetered(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		s.uses("executions", 61_000) // 50,000 are included
		s.Clock.Advance(31 * day)
		s.stripe.Break(6) // Stripe is away for a while
		s.works()
		if len(s.stripe.MeterEvents()) != 0 {
			t.Fatal("it was told while Stripe was away")
		}
		s.stripe.Break(0)
		s.Clock.Advance(time.Minute)
		s.works()
		s.Clock.Advance(time.Minute)
		s.works()
		customer, _, _ := s.stripe.Customer(s.acme.ID)
		all := s.stripe.MeterEvents()
		for _, e := range all {
			if e.Name != "guildhall_meter_executions" || e.Customer != customer || e.Value != "11000" || e.At != time.Date(2026, 4, 2, 8, 59, 59, 0, time.UTC).Unix() {
				t.Errorf("told %+v", e)
			}
		}
		if len(all) != 1 {
			t.Errorf("%d are told: %v", len(all), all)
		}
	})
}

func TestWhoPaysIsTold(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		_, err := billing.UpdateAccount.Call(s.owner(), s.Service(), billing.UpdateAccountInput{InOrganization: s.acme.In(), Company: new("Acme GmbH"),
			Email: new("billing@acme.test"), Address: new("Hauptstrasse 1\n10115 Berlin")})
		s.must(err)
		s.works()
		if _, name, email := s.stripe.Customer(s.acme.ID); name != "Acme GmbH" || email != "billing@acme.test" {
			t.Errorf("Stripe has %q and %q", name, email)
		}
		address, err := billing.OpenPortal.Call(s.owner(), s.Service(), billing.PortalInput{InOrganization: s.acme.In()})
		s.must(err)
		if !strings.HasPrefix(address.Address, "https://billing.stripe.test/") {
			t.Errorf("the portal is at %s", address.Address)
		}
	})
}

// An organization that is gone pays no more.
func TestTheEndOfAnOrganizationEndsItsSubscription(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		_, err := directory.DeleteOrganization.Call(s.owner(), s.Service(), directory.DeleteOrganizationInput{InOrganization: s.acme.In(), Reason: "the project has ended"})
		s.must(err)
		s.Clock.Advance(31 * day)
		for range 5 {
			s.works()
			s.Clock.Advance(time.Minute)
		}
		kinds := ""
		for _, e := range s.stripe.Events() {
			kinds += e.Type + " "
		}
		if !strings.Contains(kinds, "customer.subscription.deleted") {
			t.Errorf("Stripe goes on: %s\n%s", kinds, s.log)
		}
	})
}

func TestPricesHaveToBeTheCharters(t *testing.T) {
	inShops(t, func(s *shop) {
		s.stripe.Sells(stripe.PlanKey("pro", billing.Monthly), "month", 3900)
		e := s.refused("another amount", errOf(s.wants("pro")), "provider_prices")
		if !strings.Contains(e.Text, "guildhall_plan_pro_month") {
			t.Errorf("it says %q", e.Text)
		}
		s.stripe.Sells(stripe.PlanKey("business", billing.Monthly), "year", 49900)
		s.refused("another interval", errOf(s.wants("business")), "provider_prices")
	})
}

func TestStripeBeingAwayChangesNothing(t *testing.T) {
	inShops(t, func(s *shop) {
		s.stripe.Break(100)
		e := s.refused("a change", errOf(s.wants("pro")), "provider_unavailable")
		if e.Kind != op.Unavailable || e.RetryAfter == 0 {
			t.Errorf("it is %+v", e)
		}
		s.stripe.Break(0)
		s.has("free", billing.Active)
		if text := s.log.String(); !strings.Contains(text, "status=500") || strings.Contains(text, teststripe.Key) {
			t.Errorf("the log says %q", text)
		}
	})
}
