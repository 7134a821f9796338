package stripe_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/teststripe"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
	"github.com/guildhall/guildhall/usage"
)

const secret, older = "whsec_of_the_endpoint", "whsec_that_is_rotated_out"

// shop is a hall whose money Stripe takes, and Acme in it, on 2 March 2026 at nine.
type shop struct {
	*guildhalltest.Hall
	t        *testing.T
	stripe   *teststripe.Stripe
	provider *stripe.Provider
	acme     *guildhalltest.Organization
	handler  http.Handler
	log      *bytes.Buffer
}

// inShops runs a scenario on both databases, and asks the doctor at the end.
func inShops(t *testing.T, run func(s *shop)) {
	t.Helper()
	for name, dialect := range map[string]sqldb.Dialect{"sqlite": sqldb.SQLite, "postgres": sqldb.PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			s := openShop(t, dialect)
			run(s)
			s.Sound()
		})
	}
}

func openShop(t *testing.T, d sqldb.Dialect) *shop {
	s := &shop{t: t, log: &bytes.Buffer{}}
	s.Hall = guildhalltest.New(t, "automation", guildhalltest.OnDatabase(testdb.DSN(t, d)), guildhalltest.With(func(c *guildhall.Config) {
		s.stripe = teststripe.New(t, c.Now)
		s.provider = s.providerOf(stripe.Config{Charter: c.Charter, Now: c.Now})
		c.Settings.SessionIdle, c.Settings.SessionLife = -1, 10*365*day
		c.Billing = guildhall.Billing{Name: stripe.Name, Provider: s.provider}
		sells(s.stripe, c.Charter)
	}))
	s.handler = server.ForHall(s.Hall.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL, Stripe: s.provider, Log: slog.New(slog.DiscardHandler)})
	s.acme = s.Organization("acme")
	return s
}

func (s *shop) providerOf(c stripe.Config) *stripe.Provider {
	c.Key, c.WebhookSecrets, c.BaseURL = teststripe.Key, []string{secret, older}, s.stripe.URL
	c.Log = slog.New(slog.NewTextHandler(s.log, nil))
	p, err := stripe.New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// sells puts what a charter sells up at Stripe.
func sells(s *teststripe.Stripe, c *charter.Charter) {
	for _, p := range c.Plans {
		for interval, amount := range map[billing.Interval]int64{billing.Monthly: p.Prices.Month, billing.Yearly: p.Prices.Year} {
			if amount > 0 {
				s.Sells(stripe.PlanKey(p.ID, interval), string(interval), amount)
			}
		}
	}
	for _, m := range c.Meters {
		if !m.Price.Free() {
			s.Sells(stripe.MeterKey(m.ID), "month", 0)
		}
	}
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) owner() context.Context { return s.acme.Owner().Ctx() }

// sends sends a body to the webhook, and gives the status.
func (s *shop) sends(body []byte, signature string) int {
	r := httptest.NewRequest(http.MethodPost, guildhalltest.BaseURL+server.StripePath, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	if signature != "" {
		r.Header.Set("Stripe-Signature", signature)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

// hears takes events in.
func (s *shop) hears(events ...teststripe.Event) {
	s.t.Helper()
	for _, e := range events {
		if status := s.sends(e.Body, teststripe.Sign(e.Body, s.Clock.Now(), secret)); status != http.StatusOK {
			s.t.Fatalf("%s is answered with %d\n%s", e.Type, status, s.log)
		}
	}
}

// later moves the clock, lets Stripe do what is due then, and takes its events in.
func (s *shop) later(d time.Duration) {
	s.t.Helper()
	s.Clock.Advance(d)
	s.stripe.Advance()
	s.hears(s.stripe.Events()...)
	s.works()
}

// works does the scheduled work and the errands that are due.
func (s *shop) works() {
	s.t.Helper()
	s.must(s.RunDue(s.t.Context()))
}

func (s *shop) wants(plan string, more ...func(*billing.ChangeInput)) (billing.ChangedSubscription, error) {
	in := billing.ChangeInput{WantedPlan: billing.WantedPlan{InOrganization: s.acme.In(), Plan: plan}}
	for _, set := range more {
		set(&in)
	}
	return billing.ChangeSubscription.Call(s.owner(), s.Service(), in)
}

func (s *shop) changes(plan string, more ...func(*billing.ChangeInput)) billing.ChangedSubscription {
	s.t.Helper()
	done, err := s.wants(plan, more...)
	s.must(err)
	return done
}

func yearly(in *billing.ChangeInput) { in.Interval = billing.Yearly }
func atOnce(in *billing.ChangeInput) { in.At = billing.Now }

// buys pays for a plan on Stripe's page, and takes what Stripe says of it in.
func (s *shop) buys(plan string, more ...func(*billing.ChangeInput)) {
	s.t.Helper()
	s.stripe.Complete(s.changes(plan, more...).Checkout, teststripe.Good)
	s.hears(s.stripe.Events()...)
}

func (s *shop) previews(plan string, at billing.When) billing.ChangePreview {
	s.t.Helper()
	p, err := billing.PreviewChange.Call(s.owner(), s.Service(), billing.WantedPlan{InOrganization: s.acme.In(), Plan: plan, At: at})
	s.must(err)
	return p
}

func (s *shop) subscription() billing.Subscription {
	s.t.Helper()
	got, err := billing.GetSubscription.Call(s.owner(), s.Service(), billing.GetSubscriptionInput{InOrganization: s.acme.In()})
	s.must(err)
	return got
}

func (s *shop) invoices() []billing.Invoice {
	s.t.Helper()
	list, err := billing.ListInvoices.Call(s.owner(), s.Service(), billing.ListInvoicesInput{InOrganization: s.acme.In()})
	s.must(err)
	return list.Data
}

// has fails the test unless the organization has a plan in a state, in the subscription and where checks look.
func (s *shop) has(plan string, state billing.State) billing.Subscription {
	s.t.Helper()
	got := s.subscription()
	o, err := directory.GetOrganization.Call(s.owner(), s.Service(), directory.GetOrganizationInput{InOrganization: s.acme.In()})
	s.must(err)
	if got.Plan != plan || got.State != state || o.Plan != plan {
		s.t.Fatalf("it has %s (%s), the directory %s; want %s (%s)\n%s", got.Plan, got.State, o.Plan, plan, state, s.log)
	}
	return got
}

func (s *shop) uses(meter string, n int64) {
	s.t.Helper()
	_, err := s.Record(s.t.Context(), s.acme.ID, usage.Event{Meter: meter, Value: n})
	s.must(err)
}

func (s *shop) refused(what string, err error, code string) *op.Error {
	s.t.Helper()
	e := problemOf(err)
	if e.FullCode() != code {
		s.t.Errorf("%s: %v, want %s\n%s", what, err, code, s.log)
	}
	return e
}

func problemOf(err error) *op.Error {
	if e, ok := err.(*op.Error); ok { //nolint:errorlint // operations answer with it as it is
		return e
	}
	return &op.Error{Text: "no refusal"}
}

func errOf[T any](_ T, err error) error { return err }

// asked reports whether Stripe was asked for something since it was last looked at.
func (s *shop) asked(what string) bool {
	return slices.ContainsFunc(s.stripe.Asked(), func(a string) bool { return strings.HasPrefix(a, what) })
}
