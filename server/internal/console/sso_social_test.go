package console_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/internal/testgithub"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// The members of an organization at GitHub are let in on pages: named, tested, and with the installation's client.
func TestGitHubIsConnectedForItsMembers(t *testing.T) {
	s, _, github := socialSite(t)
	acme := s.withSSO(t)
	b := s.as(acme.Owner())
	path := ssoPath + "/connections/new/github"
	b.get(ssoPath+"/connections/new").says(ssoPath+"/connections/new", 200, "GitHub", "Google")
	page := b.get(path).says(path, 200, "Connect GitHub", "Leave it empty to use the one of this installation.")
	bound(t, s, page, path, "connections.create_github")
	b.submit(page, path, "github_organization", "acme inc").says(path, 422, "That is no name of an organization at GitHub")
	b.submit(page, path, "github_organization", "acme-inc", "client_id", "x").says(path, 422, "Give the client's id and its secret")
	one := b.submit(page, path, "github_organization", "acme-inc", "role", "viewer").url
	b.get(one).says(one, 200, "Not tested", "acme-inc")
	test := func() *sight {
		to := b.submit(b.get(one), one+"/test").providerLink(github.URL + "/")
		back := "/login/callback/github?" + github.Authorizes(t, to).Encode()
		return b.get(back)
	}
	if got := test(); !strings.Contains(got.text(), "no member of acme-inc") {
		t.Errorf("somebody who is no member: %s", got.text())
	}
	github.Set(func(u *testgithub.User) {
		u.Memberships = map[string]testgithub.Membership{"acme-inc": {State: "active", ID: 99}}
	})
	if got := test(); !strings.Contains(got.text(), "The test went well") {
		t.Errorf("a member: %s", got.text())
	}
	b.get(one).says(one, 200, "Tested, off")
	tellsWays(t, b, path)
	s.as(acme.People["viewer"]).get(path).says(path, 403)
	s.Sound()
}

// Without a client of the installation's, the organization needs one of its own.
func TestGoogleNeedsAClient(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.withSSO(t)
	b := s.as(acme.Owner())
	path := ssoPath + "/connections/new/google"
	page := b.get(path).says(path, 200, "Connect Google", "This installation has none.")
	b.submit(page, path).says(path, 422, "This installation has no client at Google")
	one := b.submit(page, path, "client_id", testoidc.ClientID, "client_secret", testoidc.ClientSecret).url
	shown := b.get(one).says(one, 200, "Redirect URI", "Google Workspace", "/login/callback/")
	if strings.Contains(shown.text(), "Keycloak") || strings.Contains(shown.whole(), testoidc.ClientSecret) {
		t.Errorf("shown: %s", shown.text())
	}
	tellsWays(t, b, path)
}
