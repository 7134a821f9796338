package federation_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testoidc"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// idp is a hall whose Acme has an identity provider that is on, for acme.test.
type idp struct {
	*hall
	*testoidc.Provider
	connection federation.Connection
}

func withProvider(t *testing.T, test func(h *idp)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		h.Most = 16
		i := &idp{hall: h, Provider: testoidc.New(t, h.Now)}
		h.providers = federation.NewProviders(i.Client(), h.Now)
		h.owns("acme.test")
		i.connection = i.creates("viewer")
		i.switchesOn(i.connection)
		test(i)
		h.sound()
	})
}

func (i *idp) creates(role string) federation.Connection {
	i.T.Helper()
	c, err := federation.CreateConnection.Call(i.As(i.ada.Token), i.Service, federation.CreateConnectionInput{InOrganization: i.in(), Name: "Okta", Issuer: i.URL,
		ClientID: testoidc.ClientID, ClientSecret: testoidc.ClientSecret, Role: charter.RoleID(role)})
	i.Must(err)
	return c
}

func (i *idp) named(c federation.Connection) federation.ConnectionInput {
	return federation.ConnectionInput{InOrganization: i.in(), Connection: c.ID}
}

func (i *idp) switches(c federation.Connection, on bool) (federation.Connection, error) {
	return federation.UpdateConnection.Call(i.As(i.ada.Token), i.Service, federation.UpdateConnectionInput{ConnectionInput: i.named(c), On: &on})
}

// switchesOn tests a connection and switches it on.
func (i *idp) switchesOn(c federation.Connection) {
	i.T.Helper()
	begun, err := federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named(c)})
	i.Must(err)
	out, err := i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
	if err != nil || !out.Test || out.Secret != "" || out.Claims["email"] != i.Email {
		i.T.Fatalf("a test sign-in: %v, %+v", err, out)
	}
	_, err = i.switches(c, true)
	i.Must(err)
}

func (i *idp) begins(email string) federation.FederatedBegun {
	i.T.Helper()
	begun, err := federation.BeginFederated.Call(i.Nobody(), i.Service, federation.BeginFederatedInput{Email: email})
	if err != nil || begun.URL == "" {
		i.T.Fatalf("%s begins: %v, %+v", email, err, begun)
	}
	return begun
}

func (i *idp) answers(ctx context.Context, begun federation.FederatedBegun, q url.Values) (federation.FederatedSignIn, error) {
	return federation.CompleteFederated.Call(ctx, i.Service, federation.CompleteFederatedInput{Connection: begun.Connection, Browser: begun.Browser, State: q.Get("state"),
		Code: q.Get("code"), Issuer: q.Get("iss"), Error: q.Get("error")})
}

// comesBack signs somebody in, from the address to the session.
func (i *idp) comesBack(ctx context.Context) (federation.FederatedSignIn, error) {
	i.T.Helper()
	begun := i.begins("zoe@acme.test")
	return i.answers(ctx, begun, i.Authorizes(i.T, begun.URL))
}

// Whoever is erased is known to no provider any more, and asks nowhere to join. The next sign-in of the same subject makes
// somebody new.
func TestWhoIsErasedIsKnownToNoProvider(t *testing.T) {
	withProvider(t, func(i *idp) {
		first, err := i.comesBack(i.Nobody())
		i.Must(err)
		i.Exec(`INSERT INTO join_requests (id, organization, domain, user_id, role, state, reason, decided_by, decided_at, created_at)
			VALUES ('jrq_1', $1, 'acme.test', $2, 'viewer', 'pending', '', '', 0, 1)`, i.acme, first.User.ID)
		i.Most = 29 // of an erasure
		_, err = directory.DeleteUser.Call(i.Operator(), i.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: first.User.ID}, Reason: "asked for it"})
		i.Must(err)
		if n := i.Number("SELECT (SELECT count(*) FROM identities WHERE user_id = $1) + (SELECT count(*) FROM join_requests WHERE user_id = $1)", first.User.ID); n != 0 {
			i.T.Errorf("%d rows know them still", n)
		}
		again, err := i.comesBack(i.Nobody())
		if err != nil || again.User.ID == first.User.ID {
			i.T.Errorf("the next sign-in: %v, %s", err, again.User.ID)
		}
	})
}

func TestAProviderSignsPeopleInAndLetsThemJoin(t *testing.T) {
	withProvider(t, func(i *idp) {
		first, err := i.comesBack(i.Nobody())
		if err != nil || first.Secret == "" || first.User.Email != "zoe@acme.test" || first.Session.Method != "oidc" || first.ReturnTo != "/o/acme" {
			i.T.Fatalf("the first time: %v, %+v", err, first)
		}
		i.Works("the session", first.Secret)
		if n := i.Number("SELECT count(*) FROM members WHERE organization = $1 AND user_id = $2 AND role = 'viewer'", i.acme, first.User.ID); n != 1 {
			i.T.Errorf("%d memberships", n)
		}
		i.Set(func() { i.Email = "zoe.zimmermann@acme.test" }) // an address changes, a subject does not
		again, err := i.comesBack(i.Nobody())
		if err != nil || again.User.ID != first.User.ID {
			i.T.Errorf("the second time: %v, %+v", err, again)
		}
		i.Set(func() { i.Subject = "sub-2" })
		other, err := i.comesBack(i.Nobody())
		if err != nil || other.User.ID == first.User.ID {
			i.T.Errorf("another subject: %v, %+v", err, other)
		}
	})
}

// An address that a provider says opens no account that is there: it takes the session of that account too. T-061
func TestAnAccountIsLinkedByBothProofsOnly(t *testing.T) {
	withProvider(t, func(i *idp) {
		zoe := i.Join(i.acme, "zoe@acme.test", "editor")
		_, err := i.comesBack(i.Nobody())
		i.Refused("by the address alone", err, "link_required")
		eve := i.User("eve@acme.test")
		_, err = i.comesBack(i.As(eve.Token))
		i.Refused("with the session of somebody else", err, "link_required")
		got, err := i.comesBack(i.As(zoe.Token))
		if err != nil || got.User.ID != zoe.User {
			i.T.Fatalf("with both proofs: %v, %+v", err, got)
		}
		if got, err = i.comesBack(i.Nobody()); err != nil || got.User.ID != zoe.User {
			i.T.Errorf("once linked: %v, %+v", err, got)
		}
	})
}

// T-065, T-081
func TestAProviderSpeaksForItsOwnOrganizationOnly(t *testing.T) {
	withProvider(t, func(i *idp) {
		for name, change := range map[string]func(map[string]any){
			"another's domain":           func(c map[string]any) { c["email"] = "eve@globex.test" },
			"a domain below":             func(c map[string]any) { c["email"] = "eve@mail.acme.test" },
			"no address":                 func(c map[string]any) { c["email"] = nil },
			"what it says is not proved": func(c map[string]any) { c["email_verified"] = false },
		} {
			i.Set(func() { i.Changes = change })
			_, err := i.comesBack(i.Nobody())
			i.Refused(name, err, "foreign_address")
		}
		i.Set(func() { i.Changes = nil })
		in, err := i.comesBack(i.Nobody())
		i.Must(err)
		globex, _ := i.Found("globex", "gus@globex.test")
		i.Enter(globex, testroom.Person{User: in.User.ID, Email: in.User.Email}, "viewer")
		// Somebody of two organizations comes in, and the session is worth nothing in the other one. T-065
		in, err = i.comesBack(i.Nobody())
		i.Must(err)
		_, err = directory.ListMembers.Call(i.As(in.Secret), i.Service, directory.ListMembersInput{InOrganization: op.InOrganization{Organization: globex}})
		i.Refused("in the other organization", err, "signed_in_elsewhere")
		_, err = directory.ListMembers.Call(i.As(in.Secret), i.Service, directory.ListMembersInput{InOrganization: i.in()})
		i.Must(err)
		me, err := directory.GetMe.Call(i.As(in.Secret), i.Service, directory.GetMeInput{})
		if err != nil || len(me.Organizations) != 1 || me.Organizations[0].ID != i.acme {
			i.T.Errorf("%+v, %v", me.Organizations, err)
		}
		// Nor does it see or end what is not its organization's.
		mailed := i.SignIn(i.Nobody(), in.User.Email)
		_, err = credential.RevokeSession.Call(i.As(in.Secret), i.Service, credential.RevokeSessionInput{Session: mailed.Session})
		i.Refused("a session of another sign-in", err, "not_found")
		seen, err := credential.ListSessions.Call(i.As(in.Secret), i.Service, credential.ListSessionsInput{})
		i.Must(err)
		for _, s := range seen.Data {
			if s.Organization != i.acme {
				i.T.Errorf("it sees the session %+v", s)
			}
		}
		_, err = credential.RevokeSessions.Call(i.As(in.Secret), i.Service, credential.RevokeSessionsInput{})
		i.Must(err)
		i.Works("a session of another sign-in", mailed.Secret)
		i.Dead("its own", in.Secret)
	})
}

func TestWhomNobodyInvitedJoinsOnlyWithARole(t *testing.T) {
	withProvider(t, func(i *idp) {
		_, err := federation.UpdateConnection.Call(i.As(i.ada.Token), i.Service, federation.UpdateConnectionInput{ConnectionInput: i.named(i.connection), Role: new(charter.RoleID(""))})
		i.Must(err)
		_, err = i.comesBack(i.Nobody())
		i.Refused("nobody invited", err, "not_invited")
		if n := i.Number("SELECT count(*) FROM users WHERE email_folded = 'zoe@acme.test'"); n != 0 {
			i.T.Error("an account was left behind")
		}
		i.Exec("UPDATE connections SET role = 'viewer' WHERE organization = $1", i.acme)
		i.Exec("UPDATE organizations SET seats = 1 WHERE id = $1", i.acme)
		_, err = i.comesBack(i.Nobody())
		i.Refused("no seat", err, "no_seat")
	})
}

// T-056
func TestAnAnswerIsTakenOnceAndFromTheBrowserThatBegan(t *testing.T) {
	withProvider(t, func(i *idp) {
		begun := i.begins("zoe@acme.test")
		q := i.Authorizes(i.T, begun.URL)
		for name, change := range map[string]func(*federation.FederatedBegun, url.Values){
			"no state":            func(_ *federation.FederatedBegun, q url.Values) { q.Del("state") },
			"another state":       func(_ *federation.FederatedBegun, q url.Values) { q.Set("state", i.begins("zoe@acme.test").Browser) },
			"another browser":     func(b *federation.FederatedBegun, _ url.Values) { b.Browser = i.begins("zoe@acme.test").Browser },
			"no browser":          func(b *federation.FederatedBegun, _ url.Values) { b.Browser = "" },
			"another connection":  func(b *federation.FederatedBegun, _ url.Values) { b.Connection = "con_00000000000000000000000000" },
			"a state of somebody": func(_ *federation.FederatedBegun, q url.Values) { q.Set("state", "%00") },
		} {
			other, changed := begun, url.Values{}
			for k, v := range q {
				changed[k] = v
			}
			change(&other, changed)
			_, err := i.answers(i.Nobody(), other, changed)
			i.Refused(name, err, "not_found")
		}
		_, err := i.answers(i.Nobody(), begun, q)
		i.Must(err)
		_, err = i.answers(i.Nobody(), begun, q)
		i.Refused("the same answer again", err, "attempt_over")
		begun = i.begins("zoe@acme.test")
		q = i.Authorizes(i.T, begun.URL)
		i.After(10 * time.Minute)
		_, err = i.answers(i.Nobody(), begun, q)
		i.Refused("ten minutes later", err, "attempt_over")
		begun = i.begins("zoe@acme.test")
		_, err = i.answers(i.Nobody(), begun, url.Values{"state": i.Authorizes(i.T, begun.URL)["state"], "error": {"access_denied"}})
		i.Refused("the provider refuses", err, "not_believed")
		if _, err = i.switches(i.connection, false); err != nil {
			i.T.Fatal(err)
		}
		_, err = federation.BeginFederated.Call(i.Nobody(), i.Service, federation.BeginFederatedInput{Email: "zoe@acme.test"})
		i.Refused("switched off", err, "not_found")
	})
}

// Two providers, one of which is the attacker's: an answer says whose it is, and each connection has a redirect URI of its
// own. T-058
func TestProvidersAreNotMixedUp(t *testing.T) {
	withProvider(t, func(i *idp) {
		begun := i.begins("zoe@acme.test")
		if u, _ := url.Parse(begun.URL); !strings.HasSuffix(u.Query().Get("redirect_uri"), "/login/callback/"+i.connection.ID) {
			i.T.Errorf("the redirect URI is %s", u.Query().Get("redirect_uri"))
		}
		q := i.Authorizes(i.T, begun.URL)
		q.Set("iss", "https://attacker.test")
		_, err := i.answers(i.Nobody(), begun, q)
		i.Refused("of another provider", err, "not_believed")
		i.Set(func() {
			i.About = func(c map[string]any) { c["authorization_response_iss_parameter_supported"] = true }
		})
		begun = i.begins("zoe@acme.test")
		q = i.Authorizes(i.T, begun.URL)
		q.Del("iss")
		_, err = i.answers(i.Nobody(), begun, q)
		i.Refused("of a provider that names itself, without its name", err, "not_believed")
	})
}

// The negatives of the OpenID Foundation's suite for relying parties. T-057, T-059, T-060
func TestWhatIsNotBelieved(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	withProvider(t, func(i *idp) {
		said := func(change func(map[string]any)) func() { return func() { i.Changes = change } }
		by := func(sign func(raw []byte) string) func() { return func() { i.Sign = sign } }
		now := i.Now()
		public := x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)
		for name, change := range map[string]func(){
			"nonce missing":         said(func(c map[string]any) { c["nonce"] = nil }),
			"nonce wrong":           said(func(c map[string]any) { c["nonce"] = "another" }),
			"aud wrong":             said(func(c map[string]any) { c["aud"] = "another" }),
			"aud missing":           said(func(c map[string]any) { c["aud"] = nil }),
			"aud of two, no azp":    said(func(c map[string]any) { c["aud"] = []string{testoidc.ClientID, "another"} }),
			"azp wrong":             said(func(c map[string]any) { c["azp"] = "another" }),
			"iss wrong":             said(func(c map[string]any) { c["iss"] = "https://attacker.test" }),
			"iss missing":           said(func(c map[string]any) { c["iss"] = nil }),
			"iss with a slash":      said(func(c map[string]any) { c["iss"] = i.URL + "/" }),
			"sub missing":           said(func(c map[string]any) { c["sub"] = nil }),
			"sub too long":          said(func(c map[string]any) { c["sub"] = strings.Repeat("x", 256) }),
			"expired":               said(func(c map[string]any) { c["exp"] = now.Add(-time.Minute).Unix() }),
			"no expiry":             said(func(c map[string]any) { c["exp"] = nil }),
			"iat in the future":     said(func(c map[string]any) { c["iat"] = now.Add(time.Hour).Unix() }),
			"iat missing":           said(func(c map[string]any) { c["iat"] = nil }),
			"iat long ago":          said(func(c map[string]any) { c["iat"] = now.Add(-48 * time.Hour).Unix() }),
			"not yet valid":         said(func(c map[string]any) { c["nbf"] = now.Add(time.Hour).Unix() }),
			"at_hash wrong":         said(func(c map[string]any) { c["at_hash"] = "another" }),
			"no signature":          by(func(raw []byte) string { return unsigned(`{"alg":"none"}`, raw) }),
			"no signature, spelled": by(func(raw []byte) string { return unsigned(`{"alg":"nOnE"}`, raw) }),
			"no ID token":           by(func([]byte) string { return "" }),
			"no token at all":       by(func([]byte) string { return "a.b.c" }),
			"HS256 with the secret": by(func(raw []byte) string {
				return testoidc.Signed([]byte(strings.Repeat(testoidc.ClientSecret, 8)), "", raw, nil)
			}),
			"HS256 with the RSA key": by(func(raw []byte) string { return testoidc.Signed(public, i.Kid, raw, nil) }),
			"another key":            by(func(raw []byte) string { return testoidc.Signed(rsaKey, i.Kid, raw, nil) }),
			"an unknown kid":         by(func(raw []byte) string { return testoidc.Signed(rsaKey, "../../dev/null", raw, nil) }),
			"kid injection":          by(func(raw []byte) string { return testoidc.Signed(rsaKey, "' OR 1=1 --", raw, nil) }),
			"jku": by(func(raw []byte) string {
				return testoidc.Signed(i.Key, i.Kid, raw, map[string]any{"jku": i.URL + "/keys"})
			}),
			"x5u": by(func(raw []byte) string {
				return testoidc.Signed(i.Key, i.Kid, raw, map[string]any{"x5u": i.URL + "/keys"})
			}),
			"a changed claim": by(func(raw []byte) string {
				parts := strings.Split(testoidc.Signed(i.Key, i.Kid, raw, nil), ".")
				return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), "zoe@", "ada@", 1))) + "." + parts[2]
			}),
			"issuer mismatch in discovery": func() { i.About = func(c map[string]any) { c["issuer"] = "https://attacker.test" } },
			"a token address inside":       func() { i.About = func(c map[string]any) { c["token_endpoint"] = "https://127.0.0.2/token" } },
			"a plain token address":        func() { i.About = func(c map[string]any) { c["token_endpoint"] = "http://127.0.0.1/token" } },
			"100 MB of keys": func() {
				i.Keys = func(w http.ResponseWriter, _ *http.Request) {
					for range 100 {
						if _, err := w.Write(make([]byte, 1<<20)); err != nil {
							return
						}
					}
				}
			},
			"keys that lead elsewhere": func() { i.Keys = http.RedirectHandler(i.URL+"/other", http.StatusFound).ServeHTTP },
			"keys that are none":       func() { i.Keys = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) } },
			"a shared secret as key": func() {
				secret := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
				i.Keys = func(w http.ResponseWriter, _ *http.Request) {
					_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","k":"` + secret + `"}]}`))
				}
				i.Sign = func(raw []byte) string { return testoidc.Signed(make([]byte, 32), "", raw, nil) }
			},
		} {
			begun := i.begins("zoe@acme.test")
			q := i.Authorizes(i.T, begun.URL)
			i.hall.providers = federation.NewProviders(i.Client(), i.hall.Now) // which knows no keys yet
			i.Set(change)
			_, err := i.answers(i.Nobody(), begun, q)
			i.Set(func() { i.Changes, i.Sign, i.About, i.Keys = nil, nil, nil, nil })
			i.Refused(name, err, "not_believed")
			_, err = i.answers(i.Nobody(), begun, q)
			i.Refused(name+", once more", err, "attempt_over")
		}
		i.After(2 * time.Minute)
		if _, err := i.comesBack(i.Nobody()); err != nil {
			i.T.Errorf("and then what is right: %v", err)
		}
	})
}

func unsigned(header string, raw []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(raw) + "."
}

// T-060
func TestKeysAreReadAgainAtMostOnceAMinute(t *testing.T) {
	withProvider(t, func(i *idp) {
		_, err := i.comesBack(i.Nobody())
		i.Must(err)
		reads := i.KeyReads
		i.After(2 * time.Minute)
		i.Rotate(i.T, "second")
		if _, err := i.comesBack(i.Nobody()); err != nil || i.KeyReads != reads+1 {
			i.T.Errorf("with another key: %v, %d reads", err, i.KeyReads-reads)
		}
		for n := range 3 {
			i.Rotate(i.T, "quick"+string(rune('a'+n)))
			_, err := i.comesBack(i.Nobody())
			i.Refused("a key that nobody has read", err, "not_believed")
		}
		if i.KeyReads != reads+1 {
			i.T.Errorf("keys are read %d times within a minute", i.KeyReads-reads)
		}
		i.After(2 * time.Hour)
		taken, kid := i.Key, i.Kid
		i.Rotate(i.T, "last")
		i.Set(func() { i.Sign = func(raw []byte) string { return testoidc.Signed(taken, kid, raw, nil) } })
		_, err = i.comesBack(i.Nobody())
		i.Refused("a key that the provider took back", err, "not_believed")
	})
}

func TestAConnectionIsTestedBeforeItIsOn(t *testing.T) {
	withProvider(t, func(i *idp) {
		_, err := i.switches(i.connection, false)
		i.Must(err)
		got, err := federation.UpdateConnection.Call(i.As(i.ada.Token), i.Service, federation.UpdateConnectionInput{ConnectionInput: i.named(i.connection), ClientSecret: new("another")})
		if err != nil || got.State != federation.Draft {
			i.T.Fatalf("with another secret: %v, %+v", err, got)
		}
		_, err = i.switches(i.connection, true)
		i.Refused("untested", err, "not_tested")
		begun, err := federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named(i.connection)})
		i.Must(err)
		_, err = i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
		i.Refused("the wrong secret", err, "not_believed")
		list, err := federation.ListConnections.Call(i.As(i.ada.Token), i.Service, federation.ListConnectionsInput{InOrganization: i.in()})
		raw, _ := json.Marshal(list)
		if err != nil || len(list.Data) != 1 || strings.Contains(string(raw), "another") || strings.Contains(i.Stored("client_secret FROM connections", "detail FROM audit_rows", "verifier FROM federated_attempts"), "another") {
			i.T.Errorf("the list: %v, %s", err, raw)
		}
		if _, err = federation.DeleteConnection.Call(i.As(i.ada.Token), i.Service, i.named(i.connection)); err != nil {
			i.T.Error(err)
		}
	})
}

// T-080, T-084
func TestAnIssuerIsAPublicAddress(t *testing.T) {
	withProvider(t, func(i *idp) {
		for _, issuer := range []string{"http://acme.test", "javascript:alert(1)", "https://", "https://user:pw@acme.test", "https://acme.test/?x=1", "acme.test"} {
			_, err := federation.CreateConnection.Call(i.As(i.ada.Token), i.Service, federation.CreateConnectionInput{InOrganization: i.in(), Name: "x", Issuer: issuer, ClientID: "x", ClientSecret: "x"})
			i.Refused(issuer, err, "invalid")
		}
		c, err := federation.CreateConnection.Call(i.As(i.ada.Token), i.Service, federation.CreateConnectionInput{InOrganization: i.in(), Name: "x", Issuer: "https://127.0.0.2", ClientID: "x", ClientSecret: "x"})
		i.Must(err)
		_, err = federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named(c)})
		i.Refused("an address inside", err, "provider_failed")
	})
}
