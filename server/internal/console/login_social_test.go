package console_test

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/testgithub"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// socialSite is a site with clients at Google and GitHub.
func socialSite(t *testing.T) (*site, *testoidc.Provider, *testgithub.Server) {
	t.Helper()
	var s *site
	google, github := testoidc.New(t, func() time.Time { return s.Clock.Now() }), testgithub.New(t)
	roots := x509.NewCertPool()
	roots.AddCert(google.Certificate())
	roots.AddCert(github.Certificate())
	s = newSite(t, "automation", guildhalltest.With(func(c *guildhall.Config) {
		c.Outbound = outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: roots})
		c.Social = federation.Social{Google: federation.SocialClient{ID: testoidc.ClientID, Secret: secret.Hide(testoidc.ClientSecret), URL: google.URL},
			GitHub: federation.SocialClient{ID: testgithub.ClientID, Secret: secret.Hide(testgithub.ClientSecret), URL: github.URL}}
	}))
	return s, google, github
}

// leadsTo is the one link of a page to another site.
func (p *sight) leadsTo(t *testing.T, origin string) string {
	t.Helper()
	for _, l := range p.links() {
		if strings.HasPrefix(l, origin+"/") {
			if got := p.Header().Get("Refresh"); got != "0; url="+l {
				t.Errorf("the page goes on by %q", got)
			}
			return l
		}
	}
	t.Fatalf("nothing leads to %s", origin)
	return ""
}

// Somebody new signs in with each provider by one button, and their sessions and ways to sign in say so.
func TestAnybodySignsInWithGoogleAndGitHub(t *testing.T) {
	s, google, github := socialSite(t)
	for _, p := range []struct {
		provider, name, origin string
		authorizes             func(testing.TB, string) url.Values
	}{{"google", "Google", google.URL, google.Authorizes}, {"github", "GitHub", github.URL, github.Authorizes}} {
		b := s.browser()
		page := b.get("/login?return_to=%2Faccount%2Fsessions").says("/login?return_to=%2Faccount%2Fsessions", 200, "Sign in with "+p.name)
		page = b.submit(page, "/login/with/"+p.provider).says("/login/with/"+p.provider, 200, "Go on to "+p.name)
		to := page.leadsTo(t, p.origin)
		back := "/login/callback/" + p.provider + "?" + p.authorizes(t, to).Encode()
		s.browser().get(back).says(back, 410, "begun in another browser") // T-056
		b.get(back).says("/account/sessions", 200, "with "+p.name)
		b.get(back).says(back, 410, "You are not signed in")
		b.get("/account/passkeys").says("/account/passkeys", 200, "Linked accounts", p.name, "zoe")
		github.Set(func(u *testgithub.User) { u.Emails[0].Email = "zoe@hub.test" })
	}
	s.Sound()
}

// An account that is there is linked after a sign-in by mail, and unlinked again.
func TestAnAccountIsLinkedAfterAMail(t *testing.T) {
	s, _, github := socialSite(t)
	s.Organization("acme")
	github.Set(func(u *testgithub.User) { u.Emails[0].Email = "owner@acme.test" })
	b := s.browser()
	to := b.submit(b.get("/login"), "/login/with/github").leadsTo(t, github.URL)
	back := "/login/callback/github?" + github.Authorizes(t, to).Encode()
	page := b.get(back).says(back, 403, "You have an account already", "Sign in by mail")
	first := ""
	for _, l := range page.links() {
		if strings.HasPrefix(l, "/login?") {
			first = l
		}
	}
	page = b.submit(b.get(first), "/login", "email", "owner@acme.test")
	page = b.submit(page, "/login/code", "code", s.code("owner@acme.test")).says("/account/identities/github/link", 200, "Link GitHub", "Ways to sign in")
	to = b.submit(page, "/account/identities/github/link").leadsTo(t, github.URL)
	back = "/login/callback/github?" + github.Authorizes(t, to).Encode()
	b.get(back).says("/account/passkeys", 200, "GitHub signs you in from now on.", "owner@acme.test")
	if text := s.Deliver("owner@acme.test").Text; !strings.Contains(text, "GitHub signs you in from now on") {
		t.Errorf("the mail says %s", text)
	}

	other := s.browser()
	to = other.submit(other.get("/login"), "/login/with/github").leadsTo(t, github.URL)
	other.get("/login/callback/github?"+github.Authorizes(t, to).Encode()).says("/o/acme", 200)

	page = b.get("/account/passkeys")
	unlink := ""
	for _, l := range page.links() {
		if strings.HasPrefix(l, "/account/identities/idn_") {
			unlink = l
		}
	}
	page = b.get(unlink).says(unlink, 200, "Unlink the account at GitHub")
	b.submit(page, unlink).says("/account/passkeys", 200, "GitHub does not sign you in any more.", "No account is linked.")
	b.get(unlink).says(unlink, 404)
	s.Sound()
}

func TestAProviderThatDoesNotAnswerLeavesTheOtherWays(t *testing.T) {
	s, google, _ := socialSite(t)
	b := s.browser()
	page := b.get("/login")
	google.Close()
	b.submit(page, "/login/with/google").says("/login/with/google", 503, "Google cannot be asked", "Send me a mail")
}

func TestWithoutAClientThereIsNoButton(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	for _, path := range []string{"/login", "/account/passkeys"} {
		who := s.browser()
		if path != "/login" {
			who = b
		}
		if text := who.get(path).whole(); strings.Contains(text, "Google") || strings.Contains(text, "Linked accounts") {
			t.Errorf("%s speaks of Google", path)
		}
	}
	b.get("/account/identities/google/link").says("/account/identities/google/link", 404)
}
