// Package stripeshapes_test holds every request that Guildhall makes of Stripe against Stripe's own description of its API:
// stripe-mock refuses parameters that the API does not have. It is a module of its own, so that the 22 MB of that
// description are no part of Guildhall.
package stripeshapes_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/period"
)

// asked is a request, and what stripe-mock said to it.
type asked struct {
	what   string
	status int
}

// mock is stripe-mock, which answers with fixtures, and notes what it was asked.
func mock(t *testing.T) (url string, all *[]asked) {
	t.Helper()
	spec, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		t.Fatal(err)
	}
	stub, err := server.NewStubServer(fixtures, spec, false, false)
	if err != nil {
		t.Fatal(err)
	}
	all = &[]asked{}
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := httptest.NewRecorder()
		stub.HandleRequest(got, r)
		*all = append(*all, asked{r.Method + " " + r.URL.Path, got.Code})
		if got.Code >= 400 && r.Header.Get("Authorization") != "" { // the test's own has none
			t.Errorf("%s %s: %d %s", r.Method, r.URL, got.Code, got.Body)
		}
		body := got.Body.Bytes()
		if r.URL.Path == "/v1/prices" {
			body = prices(r)
		}
		if strings.HasPrefix(r.URL.Path, "/v1/customers/") {
			body = []byte(`{"id":"cus_1","object":"customer","metadata":{"guildhall_organization":"org_1"}}`)
		}
		if r.Method == http.MethodGet && r.URL.Path == "/v1/subscriptions" {
			body = []byte(`{"object":"list","has_more":false,"url":"/v1/subscriptions","data":[]}`)
		}
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/subscriptions/") {
			body = []byte(`{"id":"sub_1","object":"subscription","status":"active","customer":"cus_1","schedule":{"id":"sub_sched_1","object":"subscription_schedule"},
				"items":{"object":"list","data":[{"id":"si_1","current_period_start":1790000000,"current_period_end":1792592000,
				"price":{"id":"price_0","lookup_key":"guildhall_plan_pro_month","recurring":{"interval":"month","interval_count":1}}}]}}`)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(got.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(served.Close)
	return served.URL, all
}

// prices are what was asked for, at the charter's amounts: the fixtures have none.
func prices(r *http.Request) []byte {
	var all []string
	for n := 0; ; n++ {
		key := r.URL.Query().Get("lookup_keys[" + string(rune('0'+n)) + "]")
		if key == "" {
			return []byte(`{"object":"list","has_more":false,"url":"/v1/prices","data":[` + strings.Join(all, ",") + `]}`)
		}
		all = append(all, `{"id":"price_`+key+`","object":"price","active":true,"currency":"usd","lookup_key":"`+key+`","unit_amount":49900,"recurring":{"interval":"month","interval_count":1}}`)
	}
}

func TestEveryRequestIsOneOfStripes(t *testing.T) {
	url, all := mock(t)
	c, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	p, err := stripe.New(stripe.Config{Key: "sk_test_123", WebhookSecrets: []string{"whsec_1"}, Charter: c, BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	customer := billing.Customer{Organization: "org_1", Name: "Acme", ReturnTo: "https://hall.test/o/acme/settings/billing",
		Account: billing.Account{Company: "Acme GmbH", Address: "Hauptstrasse 1\n10827 Berlin", Email: "billing@acme.test"}}
	order := billing.Order{Customer: customer, Plan: "business", Interval: billing.Monthly, Currency: "USD", Amount: 49900, When: billing.Now,
		At: time.Unix(1790001000, 0), Key: "org_1:1"}
	known := order
	known.Customer.Customer, known.Object = "cus_1", "sub_1"
	later, cancel, atOnce, resume := known, known, known, known
	later.When, cancel.Cancel, cancel.When, atOnce.Cancel, resume.Resume = billing.AtPeriodEnd, true, billing.AtPeriodEnd, true, true
	month := period.Period{Start: 1790000000e6, End: 1792592000e6}
	errand := billing.Errand{Customer: known.Customer, Month: month, Key: "org_1:1", Lines: []billing.InvoiceLine{{Meter: "executions", Units: 60000, Included: 50000}}}
	for what, call := range map[string]func() error{
		"checkout":          func() error { _, err := p.Checkout(ctx, order); return err },
		"portal":            func() error { _, err := p.Portal(ctx, known.Customer); return err },
		"preview":           func() error { _, err := p.Preview(ctx, known); return err },
		"preview of an end": func() error { _, err := p.Preview(ctx, atOnce); return err },
		"change":            func() error { return errOf(p.Change(ctx, known)) },
		"schedule":          func() error { return errOf(p.Change(ctx, later)) },
		"cancel":            func() error { return errOf(p.Change(ctx, cancel)) },
		"end":               func() error { return errOf(p.Change(ctx, atOnce)) },
		"resume":            func() error { return errOf(p.Change(ctx, resume)) },
		"usage":             func() error { return p.Run(ctx, errand) },
		"payer":             func() error { return p.Run(ctx, billing.Errand{Customer: known.Customer, Payer: true}) },
		"deletion":          func() error { return p.Run(ctx, billing.Errand{Customer: known.Customer, End: true}) },
	} {
		t.Log(what, call()) // the fixtures are no life at Stripe; what counts is that no request is refused
	}
	if answer, err := http.Post(url+"/v1/customers?", "application/x-www-form-urlencoded", strings.NewReader("no_such=1")); err != nil || answer.StatusCode < 400 {
		t.Errorf("a parameter that Stripe does not have is taken: %v, %v", answer, err)
	}
	paths := map[string]bool{}
	for _, a := range *all {
		paths[a.what] = true
	}
	for _, want := range []string{"POST /v1/customers", "POST /v1/checkout/sessions", "POST /v1/billing_portal/sessions", "POST /v1/invoices/create_preview",
		"POST /v1/subscriptions/sub_1", "DELETE /v1/subscriptions/sub_1", "POST /v1/subscription_schedules", "POST /v1/billing/meter_events", "GET /v1/invoices", "GET /v1/prices"} {
		if !paths[want] {
			t.Errorf("nothing asked %s: %v", want, paths)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }
