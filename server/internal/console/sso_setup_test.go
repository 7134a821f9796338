package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// A stranger with a set-up link names a provider and tests it, all of it on pages, until the link is revoked.
func TestAProviderIsSetUpByALink(t *testing.T) {
	var s *site
	idp := testoidc.New(t, func() time.Time { return s.Clock.Now() })
	s, acme, _ := domainSite(t, "automation", guildhalltest.With(func(c *guildhall.Config) { c.Outbound = idp.Client() }))
	b := s.as(acme.Owner())
	links := ssoPath + "/links"
	b.get(links).says(links, 200, "There is no link.")
	page := b.get(links + "/new")
	bound(t, s, page, links+"/new", "setup_links.create")
	made := b.submit(page, links+"/new", "hours", "24").says(links+"/new", 200, "this is the one time", "/setup/gld_setup_").text()
	_, secret, _ := strings.Cut(made, "/setup/")
	setup := "/setup/" + strings.Fields(secret)[0]
	if strings.Contains(b.get(links).whole(), setup) {
		t.Error("the list shows the link")
	}
	for _, p := range []string{links, links + "/new"} {
		tellsWays(t, b, p)
	}

	it := s.browser()
	page = it.get(setup).says(setup, 200, "Set up single sign-on for acme", "signs nobody in until acme switches it on")
	fields := []string{"name", "Theirs", "issuer", idp.URL, "client_id", testoidc.ClientID, "client_secret", testoidc.ClientSecret}
	it.submit(page, setup, append(fields, "issuer", "http://x.test")...).says(setup, 422, "https address")
	page = it.submit(page, setup, fields...).says(setup, 200, "/login/callback/con_", "Keycloak")
	to := it.submit(page, setup+"/test").providerLink(idp.URL + "/authorize?")
	_, id, _ := strings.Cut(page.text(), "/login/callback/")
	back := "/login/callback/" + strings.Fields(id)[0] + "?" + idp.Authorizes(t, to).Encode()
	answered := it.get(back).says(back, 200, "The test went well", "zoe@acme.test")
	it.get(answered.providerLink(setup)).says(setup, 200, "You are finished")
	b.get(ssoPath).says(ssoPath, 200, "Theirs", "Tested, off")

	page = b.get(links)
	var one string
	for _, l := range page.links() {
		if strings.HasSuffix(l, "/revoke") {
			one = l
		}
	}
	b.submit(b.get(one), one).says(links, 200, "The link is over.", "Ended")
	it.get(setup).says(setup, 410, "This link opens nothing")
	it.get("/setup/gld_setup_x").says("/setup/gld_setup_x", 404, "This link opens nothing")
	s.as(acme.People["viewer"]).get(links).says(links, 403)
	s.Sound()
}
