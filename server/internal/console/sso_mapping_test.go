package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// What a provider says is read by a mapping that is tried on the last test while it is typed; a pilot is led there first, and a
// group's role is shown as what it is.
func TestAProvidersGroupsAreMappedOnThePage(t *testing.T) {
	var s *site
	idp := testoidc.New(t, func() time.Time { return s.Clock.Now() })
	idp.Changes = func(c map[string]any) { c["teams"] = []string{"dev"} }
	s, acme, dns := domainSite(t, "automation", guildhalltest.With(func(c *guildhall.Config) { c.Outbound = idp.Client() }))
	b := s.as(acme.Owner())
	page := b.get(ssoPath + "/connections/new")
	one := b.submit(page, ssoPath+"/connections/new", "name", "Okta", "issuer", idp.URL, "client_id", testoidc.ClientID, "client_secret", testoidc.ClientSecret, "role", "viewer").url
	id := one[strings.LastIndex(one, "/")+1:]
	mapping := one + "/mapping"
	b.get(mapping).says(mapping, 200, "No test has gone well yet")
	to := b.submit(b.get(one), one+"/test").providerLink(idp.URL + "/authorize?")
	b.get("/login/callback/" + id + "?" + idp.Authorizes(t, to).Encode())

	page = b.get(mapping).says(mapping, 200, "zoe@acme.test", "Viewer, by no group", "no verified domain")
	bound(t, s, page, mapping, "connections.update")
	tellsWays(t, b, mapping)
	typed := []string{"mapping/groups", "teams", "group_roles/0/group", "dev", "group_roles/0/role", "editor"}
	b.submit(page, mapping, append(typed, "step", "try")...).says(mapping, 200, "Editor, by the group dev")
	b.submit(page, mapping, append(typed, "mapping/subject", "email")...).says(mapping, 422, "somebody else may have tomorrow")
	b.submit(page, mapping, typed...).says(one, 200, "is read this way", "1 group gives a role.")
	b.get(mapping+"?mapping/groups=none").says(mapping+"?mapping/groups=none", 200, "Viewer, by no group")

	own := b.submit(b.get(ssoPath+"/domains/new"), ssoPath+"/domains/new", "domain", "acme.test").url
	_, value, _ := strings.Cut(b.get(own).text(), "guildhall-domain=")
	value, _, _ = strings.Cut(value, " ")
	dns.set("_guildhall-challenge.acme.test", "guildhall-domain="+value)
	b.submit(b.get(own), own+"/verify")
	b.submit(b.get(one), one+"/reach", "domains", "acme.test\nother.test").says(one+"/reach", 422, "no verified domain of this organization")
	b.submit(b.get(one), one+"/reach", "domains", "acme.test").says(one, 200, "Okta is saved.")
	b.submit(b.get(one), one+"/rollout", "rollout", "pilot", "pilot", "zoe@acme.test").says(one, 200, "Okta is saved.")
	b.submit(b.get(one+"/switch"), one+"/switch").says(one, 200, "Tried out by a pilot")

	s.browser().submit(s.browser().get("/login"), "/login", "email", "bo@acme.test").says("/login/code", 200)
	zoe := s.browser()
	offer := zoe.get("/login/sso/acme").says("/login/sso/acme", 200, "Okta")
	to = zoe.submit(offer, "/login/sso/acme", "connection", id).providerLink(idp.URL + "/authorize?")
	zoe.get("/login/callback/"+id+"?"+idp.Authorizes(t, to).Encode()).says("/o/acme", 200, "Editor")
	b.get("/o/acme/settings/team").says("/o/acme/settings/team", 200, "by Okta")
	s.browser().get("/login/sso/globex").says("/login/sso/globex", 404)

	s.Sound()
}
