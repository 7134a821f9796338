package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// A provider is named, tested without any effect, switched on, signs somebody in and is deleted, all of it on pages.
func TestAProviderIsConnectedTestedAndSwitchedOn(t *testing.T) {
	var s *site
	idp := testoidc.New(t, func() time.Time { return s.Clock.Now() })
	s, acme, dns := domainSite(t, "automation", guildhalltest.With(func(c *guildhall.Config) { c.Outbound = idp.Client() }))
	b := s.as(acme.Owner())
	b.get(ssoPath).says(ssoPath, 200, "No provider is connected.")
	path := ssoPath + "/connections/new"
	page := b.get(path)
	bound(t, s, page, path, "connections.create")
	b.submit(page, path, "name", "Okta", "issuer", "http://acme.test", "client_id", testoidc.ClientID, "client_secret", testoidc.ClientSecret).says(path, 422, "https address")
	one := b.submit(page, path, "name", "Okta", "issuer", idp.URL, "client_id", testoidc.ClientID, "client_secret", testoidc.ClientSecret, "role", "viewer").url
	id := one[strings.LastIndex(one, "/")+1:]
	shown := b.get(one).says(one, 200, "Not tested", "/login/callback/"+id, "none yet")
	if strings.Contains(shown.whole(), testoidc.ClientSecret) {
		t.Error("the page shows the secret")
	}
	bound(t, s, shown, one, "connections.update")
	b.get(one+"/switch").says(one+"/switch", 200, "has not been tested")

	to := b.submit(shown, one+"/test").providerLink(idp.URL + "/authorize?")
	back := "/login/callback/" + id + "?" + idp.Authorizes(t, to).Encode()
	b.get(back).says(back, 200, "The test went well", "Nobody was signed in.", "sub-1", "zoe@acme.test")
	b.get(back).says(back, 410, "You are not signed in")
	own := b.submit(b.get(ssoPath+"/domains/new"), ssoPath+"/domains/new", "domain", "acme.test").url
	_, value, _ := strings.Cut(b.get(own).text(), "guildhall-domain=")
	value, _, _ = strings.Cut(value, " ")
	dns.set("_guildhall-challenge.acme.test", "guildhall-domain="+value)
	b.submit(b.get(own), own+"/verify")
	page = b.get(one+"/switch").says(one+"/switch", 200, "Switch Okta on")
	b.submit(page, one+"/switch").says(one, 200, "Okta signs people in now.", "Signs people in")

	zoe := s.browser()
	offer := zoe.submit(zoe.get("/login"), "/login", "email", "zoe@acme.test").says("/login", 200, "Sign in with Okta")
	to = offer.providerLink(idp.URL + "/authorize?")
	back = "/login/callback/" + id + "?" + idp.Authorizes(t, to).Encode()
	zoe.get(back).says("/o/acme", 200, "Viewer")
	b.get(one).says(one, 200, "/login/backchannel/"+id, "/login/left")
	zoe.submit(zoe.get("/o/acme"), "/logout").says("/login", 200, "You are signed out.") // the provider has no way out
	offer = zoe.submit(zoe.get("/login"), "/login", "email", "zoe@acme.test")
	zoe.get("/login/callback/"+id+"?"+idp.Authorizes(t, offer.providerLink(idp.URL+"/authorize?")).Encode()).says("/o/acme", 200, "Viewer")
	logout := "/login/backchannel/" + id
	if got := s.browser().post(logout, url.Values{"logout_token": {"x"}}); got.Code != 400 || !strings.Contains(got.Body.String(), "invalid_request") {
		t.Errorf("no token: %d, %s", got.Code, got.Body)
	}
	now := s.Clock.Now().Unix()
	raw := fmt.Sprintf(`{"iss":%q,"aud":%q,"iat":%d,"exp":%d,"jti":"1","sub":"sub-1","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`, idp.URL, testoidc.ClientID, now, now+60)
	for range 2 { // a provider that asks again is answered well
		if got := s.browser().post(logout, url.Values{"logout_token": {testoidc.Signed(idp.Key, idp.Kid, []byte(raw), nil)}}); got.Code != 200 || got.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("a logout token: %d, %s", got.Code, got.Body)
		}
	}
	zoe.get("/o/acme").says("/login?return_to=%2Fo%2Facme", 200, "Sign in")
	zoe.get("/login/left").says("/login", 200, "You are signed out.")

	for _, p := range []string{path, one, one + "/switch", one + "/delete"} {
		tellsWays(t, b, p)
	}
	page = b.get(one+"/switch").says(one+"/switch", 200, "Switch Okta off")
	b.submit(page, one+"/switch").says(one, 200, "Okta is off.", "Tested, off")
	page = b.get(one+"/delete").says(one+"/delete", 200, "Delete Okta", "Members stay members.")
	b.submit(page, one+"/delete", "confirm", "okta").says(one+"/delete", 422, "Type Okta to confirm.")
	b.submit(page, one+"/delete", "confirm", "Okta").says(ssoPath, 200, "Okta is deleted.", "No provider is connected.")
	s.as(acme.People["viewer"]).get(path).says(path, 403)
	s.Sound()
}

// providerLink is the link of a page that begins so.
func (s *sight) providerLink(prefix string) string {
	s.t.Helper()
	for _, l := range s.links() {
		if strings.HasPrefix(l, prefix) {
			return l
		}
	}
	s.t.Fatalf("%s leads nowhere that begins with %s: %s", s.url, prefix, s.text())
	return ""
}
