package federation_test

import (
	"context"
	"crypto/x509"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testgithub"
	"github.com/guildhall/guildhall/internal/testoidc"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// lobby is a hall in which anybody may sign in with Google and GitHub.
type lobby struct {
	*hall
	google *testoidc.Provider
	github *testgithub.Server
	social federation.Social
}

func withSocial(t *testing.T, charter string, test func(l *lobby)) {
	t.Helper()
	withSocialOf(t, testroom.Ready(t, charter), test)
}

func withSocialOf(t *testing.T, c *charter.Charter, test func(l *lobby)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		l := &lobby{hall: newHallOf(t, db, c), github: testgithub.New(t)}
		l.google = testoidc.New(t, l.Now)
		l.opensTo()
		l.Most = 11
		test(l)
		l.sound()
	})
}

// opensTo makes the installation's clients.
func (l *lobby) opensTo() {
	roots := x509.NewCertPool()
	roots.AddCert(l.google.Certificate())
	roots.AddCert(l.github.Certificate())
	l.social = federation.Social{
		Google: federation.SocialClient{ID: testoidc.ClientID, Secret: secret.Hide(testoidc.ClientSecret), URL: l.google.URL},
		GitHub: federation.SocialClient{ID: testgithub.ClientID, Secret: secret.Hide(testgithub.ClientSecret), URL: l.github.URL},
	}
	l.providers = federation.NewProviders(outbound.New(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Roots: roots, Timeout: 5 * time.Second}), l.Now).With(l.social)
}

// authorizes is what the person does at the provider.
func (l *lobby) authorizes(begun federation.SocialBegun) url.Values {
	l.T.Helper()
	if begun.Provider == federation.Google {
		return l.google.Authorizes(l.T, begun.URL)
	}
	return l.github.Authorizes(l.T, begun.URL)
}

func (l *lobby) begins(provider, returnTo string) federation.SocialBegun {
	l.T.Helper()
	begun, err := federation.BeginSocial.Call(l.Nobody(), l.Service, federation.BeginSocialInput{SocialInput: federation.SocialInput{Provider: provider}, ReturnTo: returnTo})
	if err != nil || begun.URL == "" || begun.Browser == "" {
		l.T.Fatalf("%s: %v, %+v", provider, err, begun)
	}
	return begun
}

func answerOf(begun federation.SocialBegun, q url.Values) federation.SocialAnswer {
	return federation.SocialAnswer{SocialInput: federation.SocialInput{Provider: begun.Provider}, State: q.Get("state"), Browser: begun.Browser, Code: q.Get("code"),
		Issuer: q.Get("iss"), Error: q.Get("error")}
}

// signsIn signs the person at a provider in, from the button to the session.
func (l *lobby) signsIn(ctx context.Context, provider string) (signin.SignedIn, error) {
	l.T.Helper()
	begun := l.begins(provider, "/account")
	return federation.CompleteSocial.Call(ctx, l.Service, answerOf(begun, l.authorizes(begun)))
}

// links links the person's account at a provider to that of a session.
func (l *lobby) links(session, provider string) (federation.Identity, error) {
	l.T.Helper()
	begun, err := federation.BeginIdentity.Call(l.As(session), l.Service, federation.BeginIdentityInput{SocialInput: federation.SocialInput{Provider: provider}})
	if err != nil {
		return federation.Identity{}, err
	}
	return federation.CreateIdentity.Call(l.As(session), l.Service, answerOf(begun, l.authorizes(begun)))
}

func (l *lobby) linked(session string) []federation.Identity {
	l.T.Helper()
	list, err := federation.ListIdentities.Call(l.As(session), l.Service, federation.ListIdentitiesInput{})
	l.Must(err)
	return list.Data
}

var both = []string{federation.Google, federation.GitHub}

func TestWhoeverIsNewGetsAnAccountByAVerifiedAddress(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		for n, provider := range both {
			if provider == federation.GitHub {
				l.github.Set(func(u *testgithub.User) { u.Emails[0].Email = "gil@acme.test" })
			}
			first, err := l.signsIn(l.Nobody(), provider)
			if err != nil || first.Secret == "" || !first.Created || first.Session.Method != provider || first.ReturnTo != "/account" || first.User.Name != "Zoe Zimmermann" {
				l.T.Fatalf("%s: %v, %+v", provider, err, first)
			}
			l.Works("the session", first.Secret)
			if got := l.linked(first.Secret); len(got) != 1 || got[0].Provider != provider || got[0].Email != first.User.Email {
				l.T.Errorf("%s: linked are %+v", provider, got)
			}
			// An address changes, and is somebody else's by now: whoever it is stays who they are.
			if other := l.User([]string{"goo@else.test", "hub@else.test"}[n]); provider == federation.Google {
				l.google.Set(func() { l.google.Email = other.Email })
			} else {
				l.github.Set(func(u *testgithub.User) { u.Emails[0].Email = other.Email })
			}
			again, err := l.signsIn(l.Nobody(), provider)
			if err != nil || again.User.ID != first.User.ID || again.Created {
				l.T.Errorf("%s: the second time: %v, %+v", provider, err, again)
			}
		}
	})
}

// An address opens no account that is there, whoever says it: both have to be proved. T-026, T-061, T-062
func TestAnAccountThatIsThereIsLinkedByBothProofs(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		zoe := l.User("zoe@acme.test")
		for n, provider := range both {
			_, err := l.signsIn(l.Nobody(), provider)
			l.Refused(provider+" says the address of an account", err, "link_required")
			_, err = l.signsIn(l.As(zoe.Token), provider)
			l.Refused(provider+" beside a session that need not be fresh", err, "link_required")
			made, err := l.links(zoe.Token, provider)
			if err != nil || made.Provider != provider {
				l.T.Fatalf("%s: %v, %+v", provider, err, made)
			}
			if mails := l.Mails(); len(mails) != n+1 || mails[n].To != "zoe@acme.test" || !strings.Contains(mails[n].Subject, "linked") {
				l.T.Errorf("%s: mails %+v", provider, mails)
			}
			in, err := l.signsIn(l.Nobody(), provider)
			if err != nil || in.User.ID != zoe.User || in.Created {
				l.T.Errorf("%s, once linked: %v, %+v", provider, err, in)
			}
			_, err = l.links(zoe.Token, provider)
			l.Refused(provider+" linked twice", err, "identity_exists")
			eve := l.User(provider + "@eve.test")
			_, err = l.links(eve.Token, provider)
			l.Refused(provider+" linked to somebody else", err, "identity_exists")
		}
		l.google.Set(func() { l.google.Subject = "another" })
		_, err := l.signsIn(l.Nobody(), federation.Google)
		l.Refused("another subject with the same address", err, "link_required")
	})
}

func TestWhoeverUnlinksAnAccountDoesNotSignInWithIt(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		zoe, eve := l.User("zoe@acme.test"), l.User("eve@acme.test")
		made, err := l.links(zoe.Token, federation.GitHub)
		l.Must(err)
		_, err = federation.DeleteIdentity.Call(l.As(eve.Token), l.Service, federation.IdentityInput{Identity: made.ID})
		l.Refused("somebody else's", err, "not_found")
		_, err = federation.DeleteIdentity.Call(l.As(zoe.Token), l.Service, federation.IdentityInput{Identity: made.ID})
		l.Must(err)
		if got := l.linked(zoe.Token); len(got) != 0 {
			l.T.Errorf("still linked: %+v", got)
		}
		_, err = l.signsIn(l.Nobody(), federation.GitHub)
		l.Refused("unlinked", err, "link_required")
	})
}

// T-063
func TestOnlyAMainAddressThatIsVerifiedMakesAnAccount(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		for name, emails := range map[string][]testgithub.Email{
			"not verified":              {{Email: "zoe@acme.test", Primary: true}},
			"verified, not the primary": {{Email: "zoe@acme.test", Verified: true}, {Email: "x@y.test", Primary: true}},
			"none":                      nil,
			"GitHub's own":              {{Email: "4711+zoe@users.noreply.github.com", Primary: true, Verified: true}},
		} {
			l.github.Set(func(u *testgithub.User) { u.Emails = emails })
			_, err := l.signsIn(l.Nobody(), federation.GitHub)
			l.Refused(name, err, "address_not_verified")
		}
		for name, change := range map[string]func(map[string]any){
			"Google has not verified it":  func(c map[string]any) { c["email_verified"] = false },
			"Google does not say whether": func(c map[string]any) { c["email_verified"] = nil },
			"Google says none":            func(c map[string]any) { c["email"] = nil },
		} {
			l.google.Set(func() { l.google.Changes = change })
			_, err := l.signsIn(l.Nobody(), federation.Google)
			l.Refused(name, err, "address_not_verified")
		}
		if n := l.Number("SELECT count(*) FROM users WHERE email_folded IN ('zoe@acme.test', '') AND deleted_at = 0"); n != 0 {
			l.T.Errorf("%d accounts were made", n)
		}
	})
}

func TestWhereTheProductMakesAccountsOnlyTheInvitedGetOne(t *testing.T) {
	withSocialOf(t, testroom.With(t, "gateway", "{create: anyone}", "{create: service}"), func(l *lobby) {
		_, err := l.signsIn(l.Nobody(), federation.GitHub)
		l.Refused("nobody invited", err, "no_account")
		_, err = directory.CreateInvitation.Call(l.As(l.ada.Token), l.Service, directory.CreateInvitationInput{InOrganization: l.in(), Email: "zoe@acme.test", Role: "reader"})
		l.Must(err)
		if got, err := l.signsIn(l.Nobody(), federation.GitHub); err != nil || !got.Created {
			l.T.Errorf("invited: %v, %+v", err, got)
		}
	})
}

// T-056, T-057, T-058
func TestAnAnswerOfAProviderIsTakenOnceFromItsBrowser(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		for _, provider := range both {
			begun := l.begins(provider, "")
			good := answerOf(begun, l.authorizes(begun))
			other := l.begins(provider, "")
			for name, change := range map[string]func(*federation.SocialAnswer){
				"no state":         func(a *federation.SocialAnswer) { a.State = "" },
				"another state":    func(a *federation.SocialAnswer) { a.State = other.Browser },
				"another browser":  func(a *federation.SocialAnswer) { a.Browser = other.Browser },
				"no browser":       func(a *federation.SocialAnswer) { a.Browser = "" },
				"another provider": func(a *federation.SocialAnswer) { a.Provider = both[1-indexOf(provider)] },
			} {
				bad := good
				change(&bad)
				_, err := federation.CompleteSocial.Call(l.Nobody(), l.Service, bad)
				l.Refused(provider+": "+name, err, "not_found")
			}
			zoe := l.User(provider + "@link.test")
			_, err := federation.CreateIdentity.Call(l.As(zoe.Token), l.Service, good)
			l.Refused(provider+": a sign-in's answer links nothing", err, "not_found")
			_, err = federation.CompleteSocial.Call(l.Nobody(), l.Service, good)
			if code := op.AsError(err).FullCode(); err != nil && code != "link_required" {
				l.T.Errorf("%s: %v", provider, err)
			}
			_, err = federation.CompleteSocial.Call(l.Nobody(), l.Service, good)
			l.Refused(provider+": once more", err, "attempt_over")

			begun = l.begins(provider, "")
			late := answerOf(begun, l.authorizes(begun))
			l.After(10 * time.Minute)
			_, err = federation.CompleteSocial.Call(l.Nobody(), l.Service, late)
			l.Refused(provider+": ten minutes later", err, "attempt_over")
			for name, change := range map[string]func(*federation.SocialAnswer){
				"of another issuer": func(a *federation.SocialAnswer) { a.Issuer = "https://attacker.test" },
				"refused":           func(a *federation.SocialAnswer) { a.Code, a.Error = "", "access_denied" },
				"another code":      func(a *federation.SocialAnswer) { a.Code = "stolen" },
			} {
				begun = l.begins(provider, "")
				bad := answerOf(begun, l.authorizes(begun))
				change(&bad)
				_, err = federation.CompleteSocial.Call(l.Nobody(), l.Service, bad)
				l.Refused(provider+": "+name, err, "not_believed")
				_, err = federation.CompleteSocial.Call(l.Nobody(), l.Service, bad)
				l.Refused(provider+": "+name+", once more", err, "attempt_over")
			}
			if u, _ := url.Parse(begun.URL); u.Query().Get("redirect_uri") != "https://accounts.acme.test/login/callback/"+provider {
				l.T.Errorf("the redirect URI is %s", u.Query().Get("redirect_uri"))
			}
		}
	})
}

func indexOf(provider string) int {
	if provider == federation.GitHub {
		return 1
	}
	return 0
}

// The way to link belongs to the person and the browser that began it. T-056
func TestTheAnswerThatLinksBelongsToWhoBegan(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		zoe, eve := l.User("zoe@acme.test"), l.User("eve@acme.test")
		begun, err := federation.BeginIdentity.Call(l.As(eve.Token), l.Service, federation.BeginIdentityInput{SocialInput: federation.SocialInput{Provider: federation.GitHub}})
		l.Must(err)
		a := answerOf(begun, l.authorizes(begun))
		_, err = federation.CreateIdentity.Call(l.As(zoe.Token), l.Service, a)
		l.Refused("in the session of somebody else", err, "not_found")
		_, err = federation.CompleteSocial.Call(l.Nobody(), l.Service, a)
		l.Refused("as a sign-in", err, "not_found")
		_, err = federation.CreateIdentity.Call(l.As(eve.Token), l.Service, a)
		l.Must(err)
	})
}

func TestWithoutAClientThereIsNoProvider(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		list, err := federation.ListProviders.Call(l.Nobody(), l.Service, federation.ListProvidersInput{})
		if err != nil || len(list.Data) != 2 || list.Data[1].Name != "GitHub" {
			l.T.Errorf("%v, %+v", err, list)
		}
		l.social.Google = federation.SocialClient{}
		l.providers.With(l.social)
		_, err = federation.BeginSocial.Call(l.Nobody(), l.Service, federation.BeginSocialInput{SocialInput: federation.SocialInput{Provider: federation.Google}})
		l.Refused("no client", err, "not_found")
		if got := l.social.Names(); len(got) != 1 || got[0] != federation.GitHub {
			l.T.Errorf("named are %v", got)
		}
	})
}

// Whoever has an authenticator app is asked for its code, as after a mail; and then the session says both.
func TestTheSecondFactorIsAskedForAfterAProvider(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		zoe := l.User("zoe@acme.test")
		_, err := l.links(zoe.Token, federation.Google)
		l.Must(err)
		l.Exec("INSERT INTO totps (user_id, secret, confirmed_at, last_step, wrong, wrong_since, created_at) VALUES ($1, $2, 1, 0, 0, 0, 1)", zoe.User, []byte("x"))
		got, err := l.signsIn(l.Nobody(), federation.Google)
		if err != nil || got.Secret != "" || got.SecondFactor == nil || got.SecondFactor.Token == "" || got.User.Name != "" {
			l.T.Errorf("%v, %+v", err, got)
		}
		if n := l.Number("SELECT count(*) FROM second_steps WHERE user_id = $1 AND method = 'google' AND return_to = '/account'", zoe.User); n != 1 {
			l.T.Errorf("%d second steps wait", n)
		}
	})
}

// T-055
func TestASignInWithAProviderLeadsToNoOtherSite(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		begun := l.begins(federation.GitHub, "https://evil.test/")
		got, err := federation.CompleteSocial.Call(l.Nobody(), l.Service, answerOf(begun, l.authorizes(begun)))
		if err != nil || got.ReturnTo != "" {
			l.T.Errorf("%v, it leads to %q", err, got.ReturnTo)
		}
	})
}

func TestNothingSecretIsStoredOfAWayToAProvider(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		begun := l.begins(federation.GitHub, "")
		a := answerOf(begun, l.authorizes(begun))
		got, err := federation.CompleteSocial.Call(l.Nobody(), l.Service, a)
		l.Must(err)
		stored := l.Stored("state_hash FROM social_attempts", "browser_hash FROM social_attempts", "verifier FROM social_attempts", "detail FROM audit_rows")
		for _, s := range []string{a.State, a.Browser, a.Code, got.Secret} {
			if strings.Contains(stored, s) {
				l.T.Errorf("%q is stored", s)
			}
		}
		l.After(25 * time.Hour)
		l.Must(federation.Purge(l.T.Context(), l.DB, l.Now()))
		if n := l.Number("SELECT count(*) FROM social_attempts"); n != 0 {
			l.T.Errorf("%d ways are left", n)
		}
	})
}

// Whoever is erased cannot sign in with what was linked: the next time makes somebody new.
func TestWhoIsErasedIsForgottenAtGoogleAndGitHubToo(t *testing.T) {
	withSocial(t, "automation", func(l *lobby) {
		first, err := l.signsIn(l.Nobody(), federation.GitHub)
		l.Must(err)
		l.Most = 26
		_, err = directory.DeleteUser.Call(l.Operator(), l.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: first.User.ID}, Reason: "asked for it"})
		l.Must(err)
		again, err := l.signsIn(l.Nobody(), federation.GitHub)
		if err != nil || again.User.ID == first.User.ID || !again.Created {
			l.T.Errorf("%v, %+v", err, again)
		}
	})
}
