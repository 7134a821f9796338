package stripe_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/teststripe"
)

// T-087: what Stripe did not sign, or not now, is refused, and nothing is done about it.
func TestOnlyWhatStripeSignedIsTakenIn(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		customer, _, _ := s.stripe.Customer(s.acme.ID)
		body := teststripe.Forged("evt_forged", "customer.subscription.updated", customer, false)
		live := teststripe.Forged("evt_live", "customer.subscription.updated", customer, true)
		now := s.Clock.Now()
		good := teststripe.Sign(body, now, secret)
		s.stripe.Asked()
		for what, sent := range map[string]struct {
			body      []byte
			signature string
		}{
			"no signature":                   {body, ""},
			"an empty one":                   {body, "t=,v1="},
			"one of nothing":                 {body, fmt.Sprintf("t=%d", now.Unix())},
			"another endpoint's secret":      {body, teststripe.Sign(body, now, "whsec_of_another")},
			"an empty secret":                {body, teststripe.Sign(body, now, "")},
			"an old one":                     {body, teststripe.Sign(body, now.Add(-301*time.Second), secret)},
			"one of later":                   {body, teststripe.Sign(body, now.Add(301*time.Second), secret)},
			"an old one with a newer time":   {body, fmt.Sprintf("t=%d,%s", now.Unix(), teststripe.Sign(body, now.Add(-time.Hour), secret))},
			"an old one and a newer time":    {body, teststripe.Sign(body, now.Add(-time.Hour), secret) + fmt.Sprintf(",t=%d", now.Unix())},
			"another scheme":                 {body, strings.Replace(good, "v1=", "v0=", 1)},
			"another body":                   {bytes.Replace(body, []byte("active"), []byte("paused"), 1), good},
			"the body with a space more":     {append(bytes.Clone(body), ' '), good},
			"an event of the other mode":     {live, teststripe.Sign(live, now, secret)},
			"something signed that is none":  {[]byte(`{"a":1}`), teststripe.Sign([]byte(`{"a":1}`), now, secret)},
			"something signed that is text":  {[]byte(`hello`), teststripe.Sign([]byte(`hello`), now, secret)},
			"an event whose names are twice": {[]byte(`{"id":"evt_1","id":"evt_2","object":"event"}`), teststripe.Sign([]byte(`{"id":"evt_1","id":"evt_2","object":"event"}`), now, secret)},
		} {
			if status := s.sends(sent.body, sent.signature); status != http.StatusBadRequest {
				t.Errorf("%s is answered with %d", what, status)
			}
		}
		if asked := s.stripe.Asked(); len(asked) != 0 {
			t.Errorf("Stripe was asked about it: %v", asked)
		}
		for what, signature := range map[string]string{"the secret": good, "the older secret": teststripe.Sign(body, now, older),
			"both, in a rotation": teststripe.Sign(body, now, "whsec_of_another", older), "four minutes ago": teststripe.Sign(body, now.Add(-4*time.Minute), secret)} {
			if status := s.sends(body, signature); status != http.StatusOK {
				t.Errorf("signed with %s it is answered with %d", what, status)
			}
		}
		s.has("pro", billing.Active) // and what it says is not believed
	})
}

func TestWhatIsNoneOfOursIsAcknowledged(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("pro")
		s.stripe.Asked()
		for what, body := range map[string][]byte{
			"another kind":     teststripe.Forged("evt_a", "payment_intent.succeeded", "cus_1", false),
			"a kind of later":  teststripe.Forged("evt_b", "something.new", "cus_1", false),
			"another customer": teststripe.Forged("evt_c", "customer.subscription.updated", "cus_of_another_shop", false),
			"nobody":           teststripe.Forged("evt_d", "invoice.paid", "", false),
		} {
			if status := s.sends(body, teststripe.Sign(body, s.Clock.Now(), secret)); status != http.StatusOK {
				t.Errorf("%s is answered with %d", what, status)
			}
		}
		if asked := s.stripe.Asked(); len(asked) != 0 {
			t.Errorf("Stripe was asked about it: %v", asked)
		}
	})
}

// Another organization's customer is not taken for one's own, whoever names it. T-004.
func TestACustomerIsOneOrganizations(t *testing.T) {
	inShops(t, func(s *shop) {
		s.buys("business")
		customer, _, _ := s.stripe.Customer(s.acme.ID)
		globex := s.Organization("globex")
		_, err := billing.SyncSubscription.Call(s.Operator(), s.Service(), billing.SyncInput{InOrganization: globex.In(), Customer: customer})
		s.refused("Globex reads Acme's", err, "not_found")
	})
}

func TestWhileStripeIsAwayEventsAreSentAgain(t *testing.T) {
	inShops(t, func(s *shop) {
		s.stripe.Complete(s.changes("pro").Checkout, teststripe.Good)
		e := s.stripe.Events()[0]
		s.stripe.Break(1)
		if status := s.sends(e.Body, teststripe.Sign(e.Body, s.Clock.Now(), secret)); status != http.StatusServiceUnavailable {
			t.Errorf("it is answered with %d", status)
		}
		s.has("free", billing.Active)
		s.hears(e)
		s.has("pro", billing.Active)
	})
}

// core are the eight kinds of events that a life at Stripe is made of.
var core = []string{"checkout.session.completed", "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
	"invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_failed"}

// chapter is a piece of a life at Stripe.
type chapter struct{ live func(*shop) }

// chapters are a purchase, a renewal that is not paid, and the end.
func chapters() []chapter {
	return []chapter{
		{live: func(s *shop) { s.stripe.Complete(s.changes("pro").Checkout, teststripe.Good) }},
		{live: func(s *shop) {
			customer, _, _ := s.stripe.Customer(s.acme.ID)
			s.stripe.Pays(customer, teststripe.Declined)
			s.Clock.Advance(32 * day)
			s.stripe.Advance()
		}},
		{live: func(s *shop) {
			for range 4 {
				s.Clock.Advance(2 * day)
				s.stripe.Advance()
			}
		}},
	}
}

// TestOrdersOfRealEvents sends some orders to the webhook, with duplicates and with losses: each event as early as it can
// arrive in its order. T-088.
func TestOrdersOfRealEvents(t *testing.T) {
	for _, c := range []struct {
		dialect sqldb.Dialect
		orders  int
	}{{sqldb.SQLite, 12}, {sqldb.PostgreSQL, 4}} {
		random := rand.New(rand.NewPCG(8, 40320))
		want := ""
		for range c.orders {
			order := slices.Clone(core)
			random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			s := openShop(t, c.dialect)
			got := s.livesIn(order)
			if want == "" {
				want = got
			}
			if got != want || !strings.Contains(got, "free ended") {
				t.Errorf("%v on %v ends as %s, want %s", order, c.dialect, got, want)
			}
			s.Sound()
		}
	}
}

// livesIn delivers one event of each kind in an order, twice, and says how it stands then.
func (s *shop) livesIn(order []string) string {
	s.t.Helper()
	made, rest := map[string]teststripe.Event{}, chapters()
	for _, kind := range order {
		for made[kind].ID == "" {
			rest[0].live(s)
			rest = rest[1:]
			for _, e := range s.stripe.Events() {
				if made[e.Type].ID == "" {
					made[e.Type] = e
				}
			}
		}
		s.hears(made[kind], made[kind])
	}
	got := s.subscription()
	text := fmt.Sprint(got.Plan, " ", got.State, " ", got.Owed, " ", got.Provider)
	for _, i := range s.invoices() {
		text += fmt.Sprint("; ", i.Number, " ", i.State, " ", i.Total, " ", i.IssuedAt.Format(time.RFC3339))
	}
	return text
}

func TestAKeyIsChecked(t *testing.T) {
	c, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []stripe.Config{{}, {Key: "pk_test_1", WebhookSecrets: []string{secret}}, {Key: "sk_test_"}, {Key: "sk_test_1"},
		{Key: "sk_test_1 ", WebhookSecrets: []string{secret}}, {Key: "sk_test_1", WebhookSecrets: []string{""}}, {Key: "sk_test_1", WebhookSecrets: []string{"hunter2"}}} {
		bad.Charter = c
		if _, err := stripe.New(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
