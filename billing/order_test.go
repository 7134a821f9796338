package billing_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/teststripe"
)

// core are the eight kinds of events that a life at Stripe is made of.
var core = []string{"checkout.session.completed", "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
	"invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_failed"}

// life is a purchase, a renewal that is not paid, and the end, at Stripe: how it stood after each, and after which of them
// the first event of each kind was made.
func life(t *testing.T, c *charter.Charter) (states []billing.ProviderState, made map[string]int, end time.Time) {
	t.Helper()
	now, secret := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), "whsec_1"
	clock := func() time.Time { return now }
	fake := teststripe.New(t, clock)
	for _, m := range c.Meters {
		fake.Sells(stripe.MeterKey(m.ID), "month", 0)
	}
	fake.Sells(stripe.PlanKey("pro", billing.Monthly), "month", 4900)
	p, err := stripe.New(stripe.Config{Key: teststripe.Key, WebhookSecrets: []string{secret}, Charter: c, Now: clock, BaseURL: fake.URL})
	if err != nil {
		t.Fatal(err)
	}
	page, err := p.Checkout(t.Context(), billing.Order{Customer: billing.Customer{Organization: "org_1", Name: "Acme", ReturnTo: "https://hall.test"},
		Plan: "pro", Interval: billing.Monthly, Currency: "USD", Amount: 4900, When: billing.Now, Key: "org_1:1"})
	if err != nil {
		t.Fatal(err)
	}
	made = map[string]int{}
	for n, live := range []func(){
		func() { fake.Complete(page.Address, teststripe.Good) },
		func() {
			fake.Pays(page.Customer, teststripe.Declined)
			now = now.AddDate(0, 0, 32)
		},
		func() { now = now.AddDate(0, 0, 8) },
	} {
		live()
		fake.Advance()
		for _, e := range fake.Events() {
			if heard, err := p.Hear(e.Body, teststripe.Sign(e.Body, now, secret)); err != nil || heard.Customer != page.Customer {
				t.Fatalf("%s: %+v, %v", e.Type, heard, err)
			}
			if _, there := made[e.Type]; !there {
				made[e.Type] = n
			}
		}
		state, err := p.State(t.Context(), billing.Customer{Organization: "org_1", Customer: page.Customer})
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, state)
	}
	return states, made, now
}

// TestEveryOrderOfTheCoreEventsComesToTheSame: 8! orders of one event of each kind, of which the others are lost. Each is
// read back as it stands when it arrives, as early as it can, and arrives twice. T-088.
func TestEveryOrderOfTheCoreEventsComesToTheSame(t *testing.T) {
	c := seated(t)
	states, made, end := life(t, c)
	want, err := billing.Reduce(c, end, states)
	if err != nil || !strings.Contains(want, "state:ended") || !strings.Contains(want, "plan:free") || len(states[2].Invoices) != 2 {
		t.Fatalf("it ends as %s (%v)", want, err)
	}
	orders := 0
	permute(slices.Clone(core), func(order []string) {
		orders++
		readings, at := []billing.ProviderState{}, 0
		for _, kind := range order {
			n, there := made[kind]
			if !there {
				t.Fatalf("nothing made a %s", kind)
			}
			at = max(at, n)
			readings = append(readings, states[at], states[at])
		}
		if got, err := billing.Reduce(c, end, readings); err != nil || got != want {
			t.Fatalf("%v: %v\n%s\nwant\n%s", order, err, got, want)
		}
	})
	if orders != 40320 {
		t.Errorf("%d orders", orders)
	}
}

// permute calls use with every order of items (Heap's algorithm).
func permute(items []string, use func([]string)) {
	var swap func(int)
	swap = func(n int) {
		if n <= 1 {
			use(items)
			return
		}
		for i := range n {
			swap(n - 1)
			if j := i * (1 - n%2); n%2 == 0 || j == 0 {
				items[j], items[n-1] = items[n-1], items[j]
			}
		}
	}
	swap(len(items))
}
