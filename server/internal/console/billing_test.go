package console_test

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/teststripe"
)

func TestAPlanIsPreviewedAndChanged(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	b.get("/o/acme/settings/billing").says("/o/acme/settings/billing", 200, "Free", "Active", "There is no invoice yet")
	b.get("/o/acme/settings/billing/plans").says("/o/acme/settings/billing/plans", 200, "Your plan", "USD 49.00 a month", "Single sign-on", "All plans compared",
		"50,000 executions included, more is charged")
	b.get("/o/acme/settings/billing/plans?interval=year").says("/o/acme/settings/billing/plans?interval=year", 200, "USD 490.00 a year")
	path := "/o/acme/settings/billing/plans/pro"
	page := b.get(path).says(path, 200, "Due today", "Priority support", "is gained", "Change to Pro for USD")
	b.submit(page, path).says("/o/acme/settings/billing", 200, "The plan is Pro now.", "is invoiced", "INV-000001", "Write to priority support")
	// Another browser sees it with its next page.
	s.as(acme.Owner()).get("/o/acme/settings").says("/o/acme/settings", 200, "Pro")

	down := "/o/acme/settings/billing/plans/free"
	page = b.get(down).says(down, 200, "Priority support", "is lost", "Nothing.", "Change to Free on")
	b.submit(page, down).says("/o/acme/settings/billing", 200, "The plan becomes Free on", "Stay on Pro")
	b.submit(b.get("/o/acme/settings/billing"), "/o/acme/settings/billing/resume").says("/o/acme/settings/billing", 200, "The plan Pro goes on.", "Cancel the plan")
	cancel := "/o/acme/settings/billing/cancel"
	page = b.get(cancel).says(cancel, 200, "Everything stays as it is until", "is lost")
	b.submit(page, cancel, "reason", "too dear").says("/o/acme/settings/billing", 200, "The plan Pro ends on", "cancelled: Free")
	s.Sound()
}

func TestBillingIsForThoseWhoMaySeeIt(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	viewer := s.as(acme.People["viewer"])
	if text := viewer.get("/o/acme/settings").text(); strings.Contains(text, "the next invoice") {
		t.Error("a viewer is shown the page of billing")
	}
	viewer.get("/o/acme/settings/billing").says("/o/acme/settings/billing", 403, "owner@acme.test")
	got := viewer.get("/o/acme/settings/billing/plans").says("/o/acme/settings/billing/plans", 200, "Only those who manage billing can change the plan. Ask ")
	if strings.Contains(got.text(), "Choose Pro") {
		t.Error("a viewer is offered a plan")
	}
	viewer.get("/o/acme/settings/billing/plans/pro").says("/o/acme/settings/billing/plans/pro", 403)
}

func TestLockedFeaturesAreShownWithWhatTheyBring(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	s.as(acme.Owner()).get("/o/acme/settings").says("/o/acme/settings", 200, "With another plan", "Business plan", "Members sign in through Okta", "USD 499.00 a month with the plan Business")
	if text := s.as(acme.People["viewer"]).get("/o/acme/settings").says("/o/acme/settings", 200, "Business plan").text(); strings.Contains(text, "USD 499.00") {
		t.Error("a price is shown to somebody who cannot change the plan")
	}
}

func TestWhoPaysIsSaved(t *testing.T) {
	s := newSite(t, "automation")
	b, path := s.as(s.Organization("acme").Owner()), "/o/acme/settings/billing"
	page := b.get(path)
	bound(t, s, page, path, "billing.update")
	again := b.submit(page, path, "company", "Acme GmbH", "email", "nobody").says(path, 422, "is not an address")
	if kept := again.form(path).Get("company"); kept != "Acme GmbH" {
		t.Errorf("the field holds %q, not what was typed", kept)
	}
	saved := b.submit(b.get(path), path, "company", "Acme GmbH", "tax_id", "DE1").says(path, 200, "Who pays is saved.").form(path)
	if saved.Get("company") != "Acme GmbH" || saved.Get("tax_id") != "DE1" {
		t.Errorf("the fields hold %v", saved)
	}
}

func TestAnInvoiceIsReadAndDownloaded(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	path := "/o/acme/settings/billing/plans/pro"
	page := b.submit(b.get(path), path)
	_, rest, _ := strings.Cut(page.Body.String(), "/o/acme/settings/billing/invoices/")
	id, _, _ := strings.Cut(rest, `"`)
	b.get("/o/acme/settings/billing/invoices/"+id).says("/o/acme/settings/billing/invoices/"+id, 200, "Invoice INV-000001", "Remaining time of Pro", "Total")
	pdf := b.get("/o/acme/settings/billing/invoices/" + id + "/pdf")
	if pdf.Code != 200 || pdf.Header().Get("Content-Type") != "application/pdf" || !strings.HasPrefix(pdf.Body.String(), "%PDF-") {
		t.Errorf("%d, %s", pdf.Code, pdf.Header().Get("Content-Type"))
	}
}

// TestStripesPagesAreLinked: the pages are those of the other provider, and lead to Stripe's where something is done there.
func TestStripesPagesAreLinked(t *testing.T) {
	var fake *teststripe.Stripe
	s := newSite(t, "automation", guildhalltest.With(func(c *guildhall.Config) {
		fake = teststripe.New(t, c.Now)
		provider, err := stripe.New(stripe.Config{Key: teststripe.Key, WebhookSecrets: []string{"whsec_1"}, Charter: c.Charter, Now: c.Now, BaseURL: fake.URL})
		if err != nil {
			t.Fatal(err)
		}
		c.Billing = guildhall.Billing{Name: stripe.Name, Provider: provider}
		fake.Sells(stripe.PlanKey("pro", billing.Monthly), "month", 4900)
		for _, m := range c.Charter.Meters {
			fake.Sells(stripe.MeterKey(m.ID), "month", 0)
		}
	}))
	acme := s.Organization("acme")
	b, home := s.as(acme.Owner()), "/o/acme/settings/billing"
	if text := b.get(home).text(); strings.Contains(text, "Means of payment") {
		t.Error("means of payment are offered before there are any")
	}
	path := home + "/plans/pro"
	page := b.get(path).says(path, 200, "USD 49.00", "Change to Pro for USD 49.00")
	paying := b.submit(page, path)
	paying.says(path, 200, "The plan is there as soon as the payment provider says that it is paid")
	fake.Complete(paying.linkTo("https://checkout.stripe.test/"), teststripe.Good)
	b.get(home).says(home, 200, "Free") // nothing is there yet
	if _, err := billing.SyncSubscription.Call(s.Operator(), s.Service(), billing.SyncInput{InOrganization: acme.In()}); err != nil {
		t.Fatal(err)
	}
	page = b.get(home).says(home, 200, "Pro", "FAKE-0001", "Means of payment")
	page.linkTo("https://invoice.stripe.test/")
	b.submit(page, home+"/portal").says(home+"/portal", 200, "never here").linkTo("https://billing.stripe.test/")
	list, err := billing.ListInvoices.Call(acme.Owner().Ctx(), s.Service(), billing.ListInvoicesInput{InOrganization: acme.In()})
	if err != nil || len(list.Data) != 1 {
		t.Fatalf("invoices: %+v, %v", list.Data, err)
	}
	path = home + "/invoices/" + list.Data[0].ID
	if text := b.get(path).says(path, 200, "See it at Stripe").text(); strings.Contains(text, "Download PDF") {
		t.Error("a PDF of ours is offered")
	}
}

// linkTo is the address of the first link that begins with a text.
func (s *sight) linkTo(prefix string) (href string) {
	s.t.Helper()
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "a" && href == "" && strings.HasPrefix(attrs["href"], prefix) {
			href = attrs["href"]
		}
	})
	if href == "" {
		s.t.Fatalf("no link leads to %s: %s", prefix, s.text())
	}
	return href
}
