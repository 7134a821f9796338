package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testoidc"
	"github.com/guildhall/guildhall/internal/testsaml"
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

// The same page sets a provider up that speaks SAML: its addresses come first, then its metadata as a file, a test and what its
// answers mean.
func TestAProviderThatSpeaksSAMLIsSetUpByALink(t *testing.T) {
	s, acme, _ := domainSite(t, "automation")
	idp := testsaml.New(t, s.Clock.Now)
	b := s.as(acme.Owner())
	links := ssoPath + "/links"
	made := b.submit(b.get(links+"/new"), links+"/new", "hours", "24").text()
	_, secret, _ := strings.Cut(made, "/setup/")
	setup := "/setup/" + strings.Fields(secret)[0]
	it := s.browser()
	it.get(setup+"/mapping").says(setup+"/mapping", 404)
	page := it.get(setup+"?kind=saml").says(setup+"?kind=saml", 200, "Set this at the provider", "/login/saml/con_", "Okta", "Entra ID", "Google Workspace", "OneLogin", "Keycloak", "Single sign-on URL: the ACS URL")
	bound(t, s, page, setup+"/saml", "setup.configure_saml")
	it.submit(page, setup+"/saml", "name", "Theirs").says(setup+"/saml", 422, "in one way", "Set this at the provider")
	it.submit(page, setup+"/saml", "name", "Theirs", "metadata_url", "http://idp.test/metadata").says(setup+"/saml", 422, "https address")
	inside := it.submit(page, setup+"/saml", "name", "Theirs", "metadata_url", "https://127.0.0.2/metadata").says(setup+"/saml", 503, "cannot be read", "no public address") // T-080
	if typed := inside.form(setup + "/saml").Get("name"); typed != "Theirs" {
		t.Errorf("what was typed is %q now", typed)
	}
	it.uploads(page, setup+"/saml", "metadata/file", strings.Repeat(" ", 1<<20), "name", "Theirs").says(setup+"/saml", 413, "The file is too large", "Single sign-on URL")
	page = it.uploads(page, setup+"/saml", "metadata/file", idp.Metadata(), "name", "Theirs").says(setup, 200, idp.EntityID, "Test it", "Claims and attributes", "Download")
	_, acs, _ := strings.Cut(page.text(), host+"/login/saml/")
	acs = "/login/saml/" + strings.Fields(acs)[0]
	_, to, _ := strings.Cut(it.submit(page, setup+"/test").Header().Get("Refresh"), "url=")
	answered := it.relays(acs, idp.Authorizes(t, to)).says(acs, 200, "The test went well", "Nobody was signed in.", "sub-1", "zoe@acme.test", "writers")
	it.get(answered.providerLink(setup)).says(setup, 200, "You are finished", idp.EntityID)

	page = it.get(setup+"/mapping").says(setup+"/mapping", 200, "What Theirs says", "zoe@acme.test", "Everything that the provider said")
	bound(t, s, page, setup+"/mapping", "setup.map")
	if text := page.text(); strings.Contains(text, "gives the role") || strings.Contains(text, "Role") {
		t.Errorf("whoever has the link is told about roles: %s", text)
	}
	it.submit(page, setup+"/mapping", "mapping/subject", "mail").says(setup+"/mapping", 422, "somebody else may have tomorrow")
	it.submit(page, setup+"/mapping", "mapping/address", "nothing", "step", "try").says(setup+"/mapping", 200, "Nothing says the person's address")
	it.submit(page, setup+"/mapping", "mapping/groups", "groups").says(setup, 200, "read this way", "You are finished")

	idp.Key = testsaml.RSAKey(t, 2048)
	_, to, _ = strings.Cut(it.submit(it.get(setup), setup+"/test").Header().Get("Refresh"), "url=")
	refused := it.relays(acs, idp.Authorizes(t, to))
	refused.says(acs, 403, "You are not signed in", "none of the certificates")
	it.get(refused.providerLink(setup)).says(setup, 200, "The last test went badly")
	b.get(ssoPath).says(ssoPath, 200, "Theirs", "Tested, off")
	s.Sound()
}
