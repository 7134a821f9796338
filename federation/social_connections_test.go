package federation_test

import (
	"context"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/testgithub"
	"github.com/guildhall/guildhall/internal/testoidc"
)

// restricted makes a connection of Acme's, with a client of its own or the installation's.
func (l *lobby) restricted(provider string, own bool) federation.Connection {
	l.T.Helper()
	client := federation.OwnClient{Role: "viewer"}
	var c federation.Connection
	var err error
	if provider == federation.Google {
		if own {
			client.ClientID, client.ClientSecret = testoidc.ClientID, testoidc.ClientSecret
		}
		c, err = federation.CreateGoogle.Call(l.As(l.ada.Token), l.Service, federation.CreateGoogleInput{InOrganization: l.in(), OwnClient: client})
	} else {
		if own {
			client.ClientID, client.ClientSecret = testgithub.ClientID, testgithub.ClientSecret
		}
		c, err = federation.CreateGitHub.Call(l.As(l.ada.Token), l.Service, federation.CreateGitHubInput{InOrganization: l.in(), OwnClient: client, GitHubOrganization: "acme-inc"})
	}
	l.Must(err)
	return c
}

// goesThrough is the way to a connection's provider and back.
func (l *lobby) goesThrough(ctx context.Context, begun federation.FederatedBegun, provider string) (federation.FederatedSignIn, error) {
	l.T.Helper()
	authorizes := l.github.Authorizes
	if provider == federation.Google {
		authorizes = l.google.Authorizes
	}
	q := authorizes(l.T, begun.URL)
	return federation.CompleteFederated.Call(ctx, l.Service, federation.CompleteFederatedInput{Connection: begun.Connection, Browser: begun.Browser, State: q.Get("state"),
		Code: q.Get("code"), Issuer: q.Get("iss")})
}

func (l *lobby) tests(c federation.Connection) (federation.FederatedSignIn, error) {
	l.T.Helper()
	begun, err := federation.TestConnection.Call(l.As(l.ada.Token), l.Service, federation.TestConnectionInput{ConnectionInput: federation.ConnectionInput{InOrganization: l.in(), Connection: c.ID}})
	l.Must(err)
	return l.goesThrough(l.Nobody(), begun, c.Kind)
}

func (l *lobby) on(c federation.Connection) {
	l.T.Helper()
	if got, err := l.tests(c); err != nil || !got.Test {
		l.T.Fatalf("the test of %s: %v, %+v", c.Kind, err, got)
	}
	_, err := federation.UpdateConnection.Call(l.As(l.ada.Token), l.Service, federation.UpdateConnectionInput{ConnectionInput: federation.ConnectionInput{InOrganization: l.in(), Connection: c.ID}, On: new(true)})
	l.Must(err)
}

// comesBy signs the person at a provider in by Acme's connection.
func (l *lobby) comesBy(provider string) (federation.FederatedSignIn, error) {
	l.T.Helper()
	begun, err := federation.BeginFederated.Call(l.Nobody(), l.Service, federation.BeginFederatedInput{Email: "zoe@acme.test"})
	l.Must(err)
	return l.goesThrough(l.Nobody(), begun, provider)
}

func withWorkspace(t *testing.T, test func(l *lobby)) {
	t.Helper()
	withSocial(t, "automation", func(l *lobby) {
		l.Most = 16
		l.owns("acme.test")
		l.google.Set(func() { l.google.Changes = func(c map[string]any) { c["hd"] = "acme.test" } })
		l.github.Set(func(u *testgithub.User) {
			u.Memberships = map[string]testgithub.Membership{"acme-inc": {State: "active", ID: 77}}
		})
		test(l)
	})
}

func TestAWorkspaceAndAGitHubOrganizationSignTheirPeopleIn(t *testing.T) {
	for _, provider := range both {
		for _, own := range []bool{false, true} {
			t.Run(provider+map[bool]string{true: " by a client of its own"}[own], func(t *testing.T) {
				withWorkspace(t, func(l *lobby) {
					c := l.restricted(provider, own)
					want := provider
					if own {
						want = c.ID
					}
					if !strings.HasSuffix(c.RedirectURI, "/login/callback/"+want) {
						l.T.Errorf("the redirect URI is %s", c.RedirectURI)
					}
					l.on(c)
					first, err := l.comesBy(provider)
					if err != nil || first.Secret == "" || first.Session.Method != provider || first.ReturnTo != "/o/acme" {
						l.T.Fatalf("%v, %+v", err, first)
					}
					again, err := l.comesBy(provider)
					if err != nil || again.User.ID != first.User.ID {
						l.T.Errorf("the second time: %v, %+v", err, again)
					}
				})
			})
		}
	}
}

// T-062
func TestOnlyAWorkspaceWithAVerifiedDomainIsBelieved(t *testing.T) {
	withWorkspace(t, func(l *lobby) {
		l.on(l.restricted(federation.Google, true))
		for name, hd := range map[string]any{"absent": nil, "another's": "globex.test", "below": "mail.acme.test", "empty": "", "no text": 7} {
			l.google.Set(func() { l.google.Changes = func(c map[string]any) { c["hd"] = hd } })
			_, err := l.comesBy(federation.Google)
			if code := map[bool]string{true: "not_believed", false: "not_of_workspace"}[hd == 7]; true {
				l.Refused(name, err, code)
			}
		}
		l.google.Set(func() { l.google.Changes = func(c map[string]any) { c["hd"] = "acme.test" } })
		_, err := l.comesBy(federation.Google)
		l.Must(err)
		// The domain was registered anew by somebody else: the same address, another subject.
		l.google.Set(func() { l.google.Subject = "another" })
		_, err = l.comesBy(federation.Google)
		l.Refused("another subject with the same address", err, "link_required")
	})
}

// T-063
func TestMembershipAtGitHubIsReadAtEverySignIn(t *testing.T) {
	withWorkspace(t, func(l *lobby) {
		c := l.restricted(federation.GitHub, true)
		is := func(m map[string]testgithub.Membership) { l.github.Set(func(u *testgithub.User) { u.Memberships = m }) }
		is(nil)
		_, err := l.tests(c)
		l.Refused("a test by somebody who is no member", err, "not_a_github_member")
		is(map[string]testgithub.Membership{"acme-inc": {State: "active", ID: 77}})
		l.on(c)
		for name, m := range map[string]testgithub.Membership{
			"invited only":                       {State: "pending", ID: 77},
			"not allowed to ask":                 {State: "active", ID: 77, Hidden: true},
			"the name is somebody else's by now": {State: "active", ID: 78},
		} {
			is(map[string]testgithub.Membership{"acme-inc": m})
			_, err := l.comesBy(federation.GitHub)
			l.Refused(name, err, "not_a_github_member")
		}
		is(map[string]testgithub.Membership{"other": {State: "active", ID: 77}})
		_, err = l.comesBy(federation.GitHub)
		l.Refused("a member of another one", err, "not_a_github_member")
		is(map[string]testgithub.Membership{"acme-inc": {State: "active", ID: 77}})
		first, err := l.comesBy(federation.GitHub)
		l.Must(err)
		is(nil)
		_, err = l.comesBy(federation.GitHub)
		l.Refused("somebody known who is a member no longer", err, "not_a_github_member")
		is(map[string]testgithub.Membership{"acme-inc": {State: "active", ID: 77}})
		for name, emails := range map[string][]testgithub.Email{
			"not verified": {{Email: "yan@acme.test", Primary: true}},
			"secondary":    {{Email: "yan@acme.test", Verified: true}, {Email: "yan@private.test", Primary: true, Verified: true}},
		} {
			l.github.Set(func(u *testgithub.User) { u.ID, u.Emails = 5, emails })
			_, err = l.comesBy(federation.GitHub)
			l.Refused(name, err, "foreign_address")
		}
		if first.User.Email != "zoe@acme.test" {
			l.T.Errorf("it was %s", first.User.Email)
		}
	})
}

func TestARestrictedConnectionNeedsAClient(t *testing.T) {
	withWorkspace(t, func(l *lobby) {
		c := l.restricted(federation.Google, false)
		l.on(c)
		l.providers.With(federation.Social{})
		_, err := federation.CreateGitHub.Call(l.As(l.ada.Token), l.Service, federation.CreateGitHubInput{InOrganization: l.in(), GitHubOrganization: "acme-inc"})
		l.Refused("no client at all", err, "invalid")
		_, err = federation.BeginFederated.Call(l.Nobody(), l.Service, federation.BeginFederatedInput{Email: "zoe@acme.test"})
		l.Refused("the installation's client is gone", err, "provider_failed")
		for _, in := range []federation.CreateGitHubInput{
			{GitHubOrganization: "acme-inc", OwnClient: federation.OwnClient{ClientID: "x"}},
			{GitHubOrganization: "../../user", OwnClient: federation.OwnClient{ClientID: "x", ClientSecret: "y"}},
			{GitHubOrganization: "a--b", OwnClient: federation.OwnClient{ClientID: "x", ClientSecret: "y"}},
		} {
			in.InOrganization = l.in()
			_, err = federation.CreateGitHub.Call(l.As(l.ada.Token), l.Service, in)
			l.Refused(in.GitHubOrganization, err, "invalid")
		}
	})
}
