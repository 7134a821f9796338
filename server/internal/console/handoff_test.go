package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

const back = "https://product.test/back"

// sent is the path that the product sends a browser to.
func sent(returnTo, state string) string {
	return "/login?" + url.Values{"return_to": {returnTo}, "state": {state}}.Encode()
}

// handed exchanges the code that a browser is sent to the product with, and gives whose it is.
func (s *site) handed(location string) string {
	s.t.Helper()
	to, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, back+"?") {
		s.t.Fatalf("the browser is sent to %q", location)
	}
	ctx := op.As(s.t.Context(), op.Caller{Credential: s.ServiceKey("product")})
	got, err := signin.Exchange.Call(ctx, s.Service(), signin.ExchangeInput{Code: to.Query().Get("code"), State: "s/1", ReturnTo: back})
	if err != nil || to.Query().Get("state") != "s/1" {
		s.t.Fatalf("%s: %v", location, err)
	}
	return got.User.Email
}

// leadsToProduct fails the test unless the forms of a page may lead to the product.
func (s *sight) leadsToProduct() *sight {
	s.t.Helper()
	if policy := s.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://product.test;") {
		s.t.Errorf("%s has the policy %s", s.url, policy)
	}
	return s
}

func TestAProductsPersonSignsInAndGoesBackAtOnce(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	for name, way := range map[string]func(b, other *browser, page *sight) string{
		"by code": func(b, _ *browser, page *sight) string {
			page.leadsToProduct()
			return b.send("POST", "/login/code", url.Values{"code": {s.code("owner@acme.test")}}).Header().Get("Location")
		},
		"by link": func(b, _ *browser, _ *sight) string {
			form := b.get(s.link("owner@acme.test")).leadsToProduct().form("/login/link")
			return b.send("POST", "/login/link", form).Header().Get("Location")
		},
		"by link in another browser": func(_, other *browser, _ *sight) string {
			form := other.get(s.link("owner@acme.test")).form("/login/link")
			return other.send("POST", "/login/link", form).Header().Get("Location")
		},
	} {
		b := s.browser()
		page := b.submit(b.get(sent(back, "s/1")), "/login", "email", "owner@acme.test").says("/login/code", 200)
		if who := s.handed(way(b, s.browser(), page)); who != "owner@acme.test" {
			t.Errorf("%s, %s comes to the product", name, who)
		}
	}
	s.Sound()
}

func TestWhoIsSignedInGoesOnWithOneButton(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	page := b.get(sent(back, "s/1")).leadsToProduct()
	if page.Code != http.StatusOK || !strings.Contains(page.text(), "Continue to product.test") || !strings.Contains(page.text(), "signed in as owner@acme.test") {
		t.Fatalf("got %d: %s", page.Code, page.text())
	}
	answer := b.send("POST", "/login/handoff", page.form("/login/handoff"))
	if answer.Code != http.StatusSeeOther {
		t.Errorf("got %d", answer.Code)
	}
	if who := s.handed(answer.Header().Get("Location")); who != "owner@acme.test" {
		t.Errorf("%s comes to the product", who)
	}
}

// T-055
func TestNobodyIsHandedToAnotherSite(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.Organization("acme").Owner()
	for _, address := range []string{"https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", back + "/", back + "?x", "https://product.test", "https://product.test@evil.test/back", "", "/o/acme"} {
		for who, b := range map[string]*browser{"nobody": s.browser(), "the owner": s.as(owner)} {
			if got := b.get(sent(address, "s/1")); got.Code != http.StatusBadRequest || strings.Contains(strings.Join(got.links(), " "), "evil.test") {
				t.Errorf("%s with %q: got %d: %s", who, address, got.Code, got.text())
			}
		}
		query := url.Values{"return_to": {address}, "state": {"s/1"}}
		b := s.as(owner)
		if got := b.get("/login/handoff?" + query.Encode()); got.Code != http.StatusBadRequest {
			t.Errorf("the page with %q: got %d", address, got.Code)
		}
		if got := b.send("POST", "/login/handoff", query); got.Code != http.StatusUnprocessableEntity || got.Header().Get("Location") != "" {
			t.Errorf("the button with %q: got %d, %s", address, got.Code, got.Header().Get("Location"))
		}
	}
	if got := s.browser().get(sent(back, strings.Repeat("x", 1000))); got.Code != http.StatusBadRequest {
		t.Errorf("a state of 1000 bytes: got %d", got.Code)
	}
}

func TestOpeningThePageHandsNobodyOn(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	for range 3 {
		if got := b.get(sent(back, "s/1")); got.Header().Get("Location") != "" {
			t.Fatalf("it leads to %s", got.Header().Get("Location"))
		}
	}
	b.header.Set("Sec-Fetch-Site", "cross-site") // T-054
	form := url.Values{"return_to": {back}, "state": {"s/1"}}
	if got := b.send("POST", "/login/handoff", form); got.Code != http.StatusForbidden || got.Header().Get("Location") != "" {
		t.Errorf("another site's form: got %d, %s", got.Code, got.Header().Get("Location"))
	}
}
