package console_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/directory"
)

// code is the code of the last mail to an address.
func (s *site) code(email string) string {
	s.t.Helper()
	return regexp.MustCompile(`\b\d{6}\b`).FindString(s.Deliver(email).Text)
}

// link is the path of the last mail's link to an address, on this site.
func (s *site) link(email string) string {
	s.t.Helper()
	return strings.TrimPrefix(s.Deliver(email).Links[0], host)
}

// beginsSignIn asks for the mail of a sign-in.
func (b *browser) beginsSignIn(email, returnTo string) *sight {
	b.site.t.Helper()
	page := b.get("/login?" + url.Values{"return_to": {returnTo}}.Encode())
	return b.submit(page, "/login", "email", email).says("/login/code", 200)
}

func TestAPersonSignsInByCodeAndComesBack(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	b := s.browser()
	page := b.beginsSignIn("owner@acme.test", "/account/sessions")
	page = b.submit(page, "/login/code", "code", "000000").says("/login/code", 422, "4 tries left")
	if got := page.form("/login/code").Get("code"); got != "000000" {
		t.Errorf("the digits are %q", got)
	}
	code := s.code("owner@acme.test")
	b.submit(page, "/login/code", "code", code[:3]+" "+code[3:]).says("/account/sessions", 200, "This session")
	if to := b.send("GET", "/login", nil).Header().Get("Location"); to != "/" {
		t.Errorf("whoever is signed in is led to %q", to)
	}
	if to := b.send("GET", "/", nil).Header().Get("Location"); to != "/o/acme" {
		t.Errorf("home leads to %q", to)
	}
}

func TestTheAnswerIsTheSameForEveryAddress(t *testing.T) {
	s := newSite(t, "gateway")
	s.Organization("acme")
	known := s.browser().beginsSignIn("owner@acme.test", "")
	unknown := s.browser().beginsSignIn("nobody@acme.test", "")
	forget := func(page string) string {
		for _, email := range []string{"owner@acme.test", "nobody@acme.test", "o••@acme.test", "n••@acme.test"} {
			page = strings.ReplaceAll(page, email, "X")
		}
		return regexp.MustCompile(`nonce="[^"]*"|req_\w+`).ReplaceAllString(page, "")
	}
	if got, want := forget(unknown.Body.String()), forget(known.Body.String()); got != want {
		t.Errorf("an unknown address gets\n%s\nand a known one\n%s", got, want)
	}
}

func TestWhatIsNoAddressComesBackWithTheForm(t *testing.T) {
	s := newSite(t, "automation")
	b := s.browser()
	page := b.submit(b.get("/login?return_to=%2Forgs"), "/login", "email", "ann").says("/login", 422, "mended")
	if got := page.form("/login"); got.Get("email") != "ann" || got.Get("return_to") != "/orgs" {
		t.Errorf("the form holds %v", got)
	}
}

// T-033
func TestOpeningAMailedLinkUsesNothingUp(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	s.browser().beginsSignIn("owner@acme.test", "/account")
	link := s.link("owner@acme.test")
	for range 3 { // a scanner
		if got := s.browser().get(link); got.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("the address of the link is told: %q", got.Header().Get("Referrer-Policy"))
		}
	}
	b := s.browser()
	page := b.get(link)
	b.submit(page, "/login/link").says("/account", 200)
	s.browser().submit(page, "/login/link").says("/login/link", 410, "This link no longer works", "Ask for a new mail")
}

func TestACodeThatIsOverOffersANewOne(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	b := s.browser()
	page := b.beginsSignIn("owner@acme.test", "/account")
	for range 4 {
		page = b.submit(page, "/login/code", "code", "000000").says("/login/code", 422)
	}
	page = b.submit(page, "/login/code", "code", "000000").says("/login/code", 410, "that was the last try")
	page = b.submit(page, "/login").says("/login/code", 200)
	b.submit(page, "/login/code", "code", s.code("owner@acme.test")).says("/account", 200)

	late := s.browser()
	page = late.beginsSignIn("owner@acme.test", "")
	s.Clock.Advance(15 * time.Minute)
	late.submit(page, "/login/code", "code", s.code("owner@acme.test")).says("/login", 200)
}

// T-055
func TestASignInLeadsToNoOtherSite(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	for _, c := range []struct{ returnTo, want string }{
		{"https://evil.test/", "/"}, {"//evil.test", "/"}, {"/\\evil.test", "/"}, {"javascript:alert(1)", "/"},
		{"https://product.test/back", "https://product.test/back"}, {"/account?x=1", "/account?x=1"},
	} {
		b := s.browser()
		page := b.beginsSignIn("owner@acme.test", c.returnTo)
		form := page.form("/login/code")
		form.Set("code", s.code("owner@acme.test"))
		if got := b.send("POST", "/login/code", form).Header().Get("Location"); got != c.want {
			t.Errorf("%s leads to %s, want %s", c.returnTo, got, c.want)
		}
		allowed := strings.Contains(page.Header().Get("Content-Security-Policy"), "form-action 'self' https://product.test;")
		if allowed != strings.HasPrefix(c.want, "https:") {
			t.Errorf("%s: the policy is %s", c.returnTo, page.Header().Get("Content-Security-Policy"))
		}
	}
}

// T-066
func TestSigningOutEndsTheSession(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.Organization("acme").Owner()
	b := s.as(owner)
	b.submit(b.get("/account"), "/logout").says("/login", 200, "You are signed out.")
	if b.cookies["guildhall"] != "" {
		t.Error("the cookie stays")
	}
	if _, err := directory.GetMe.Call(owner.Ctx(), s.Service(), directory.GetMeInput{}); err == nil {
		t.Error("the session still counts")
	}
}

// T-053
func TestVerifyingGivesTheSessionANewSecretAndLeadsBack(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.Organization("acme").Owner()
	b := s.as(owner)
	page := b.submit(b.get("/verify?return_to=%2Faccount%2Fsessions"), "/verify").says("/verify/code", 200, "o••@acme.test")
	page = b.submit(page, "/verify/code", "code", "000000").says("/verify/code", 422, "4 tries left")
	b.submit(page, "/verify/code", "code", s.code("owner@acme.test")).says("/account/sessions", 200)
	if b.cookies["guildhall"] == owner.Token {
		t.Error("the session has its old secret")
	}
}

func TestAVerifyingLinkCountsInItsOwnBrowserOnly(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	b.submit(b.get("/verify?return_to=%2Faccount"), "/verify")
	link := s.link("owner@acme.test")
	other := s.as(s.SignIn("owner@acme.test"))
	other.submit(other.get(link), "/verify/link").says("/verify/link", 404, "belongs to another browser")
	b.submit(b.get(link), "/verify/link").says("/account", 200)
}
