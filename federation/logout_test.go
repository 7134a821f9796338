package federation_test

import (
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testoidc"
	"github.com/guildhall/guildhall/internal/testsaml"
	"github.com/guildhall/guildhall/op"
)

func (i *samlIDP) slo() string {
	return "https://accounts.acme.test/login/saml/" + i.connection.Connection + "/slo"
}

// comes signs somebody in, and gives the session with its SessionIndex at the provider.
func (i *samlIDP) comes(name, email string) (federation.FederatedSignIn, string) {
	i.T.Helper()
	i.NameID, i.Attributes["email"] = name, []string{email}
	got, err := i.comesBack(i.Nobody())
	i.Must(err)
	var at string
	i.Row("SELECT provider_sid FROM connection_sessions WHERE session = $1", []any{got.Session.ID}, &at)
	return got, at
}

func (i *samlIDP) logsOut(in federation.SAMLLogoutInput) (federation.LoggedOut, error) {
	in.Connection = i.connection.Connection
	return federation.SAMLLogout.Call(i.Nobody(), i.Service, in)
}

// ownCertificate is the one that our metadata has.
func (i *samlIDP) ownCertificate() []byte {
	i.T.Helper()
	own, err := federation.GetOwnMetadata.Call(i.Nobody(), i.Service, federation.SAMLMetadataInput{Connection: i.connection.Connection})
	i.Must(err)
	_, text, _ := strings.Cut(own.XML, "X509Certificate")
	_, text, _ = strings.Cut(text, ">")
	text, _, _ = strings.Cut(text, "</")
	block, _ := pem.Decode([]byte("-----BEGIN CERTIFICATE-----\n" + text + "\n-----END CERTIFICATE-----\n"))
	if block == nil || !strings.Contains(own.XML, i.slo()) {
		i.T.Fatalf("our metadata: %s", own.XML)
	}
	return block.Bytes
}

// A logout ends the sessions that the connection began for one person, or some of them, and nothing else.
func TestAProvidersLogoutEndsSessions(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		first, at := i.comes("sub-1", "zoe@acme.test")
		second, _ := i.comes("sub-1", "zoe@acme.test")
		other, _ := i.comes("sub-2", "yan@acme.test")
		byMail := i.SignIn(i.Nobody(), "zoe@acme.test")
		doc := i.Logout(i.slo(), "sub-1", at)
		id := doc.Root().SelectAttrValue("ID", "")
		query := i.Queried(i.T, doc, "note")
		out, err := i.logsOut(federation.SAMLLogoutInput{Query: query})
		if err != nil || out.Ended != 1 {
			i.T.Fatalf("one session: %v, %+v", err, out)
		}
		i.Dead("the session that was named", first.Secret)
		i.Works("another of the same person", second.Secret)
		answer, state := testsaml.Receives(i.T, out.URL, "SAMLResponse", i.ownCertificate())
		if answer.Tag != "LogoutResponse" || answer.SelectAttrValue("InResponseTo", "") != id || state != "note" || !strings.HasPrefix(out.URL, i.URL+"/slo?") ||
			!strings.HasSuffix(answer.FindElement("./Status/StatusCode").SelectAttrValue("Value", ""), ":Success") {
			i.T.Errorf("the answer: %s", out.URL)
		}
		_, err = i.logsOut(federation.SAMLLogoutInput{Query: query})
		i.Refused("the same once more", err, "logout_used")
		out, err = i.logsOut(federation.SAMLLogoutInput{Request: i.Posted(i.T, i.Logout(i.slo(), "sub-1"))})
		if err != nil || out.Ended != 1 {
			i.T.Fatalf("all sessions: %v, %+v", err, out)
		}
		i.Dead("the other session", second.Secret)
		i.Works("somebody else's", other.Secret)
		i.Works("one that began by mail", byMail.Secret)
		if n := i.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'signin.saml_logout' AND outcome = 'ok'", i.acme); n != 2 {
			i.T.Errorf("%d rows of the audit log", n)
		}
	})
}

// T-074: nobody is signed out by what the provider has not signed, or by another organization's provider.
func TestALogoutThatIsNotBelievedEndsNothing(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		zoe, at := i.comes("sub-1", "zoe@acme.test")
		signed := i.Queried(i.T, i.Logout(i.slo(), "sub-1", at), "")
		unsigned, _, _ := strings.Cut(signed, "&SigAlg=")
		for name, in := range map[string]federation.SAMLLogoutInput{
			"unsigned":               {Query: unsigned},
			"changed":                {Query: strings.Replace(signed, "&SigAlg=", "&RelayState=x&SigAlg=", 1)},
			"to another party":       {Query: i.Queried(i.T, i.Logout(i.slo()+"x", "sub-1"), "")},
			"an answer to a sign-in": {Request: i.Authorizes(i.T, i.begins().URL).Get("SAMLResponse")},
		} {
			_, err := i.logsOut(in)
			i.Refused(name, err, "not_believed")
		}
		key := i.Key
		i.Key = testsaml.RSAKey(i.T, 2048)
		_, err := i.logsOut(federation.SAMLLogoutInput{Query: i.Queried(i.T, i.Logout(i.slo(), "sub-1"), "")})
		i.Refused("by another key", err, "not_believed")
		i.Key = key
		i.hall.After(11 * time.Minute)
		_, err = i.logsOut(federation.SAMLLogoutInput{Query: signed})
		i.Refused("a late one", err, "not_believed")
		i.Works("the session", zoe.Secret)
		_, err = federation.SAMLLogout.Call(i.Nobody(), i.Service, federation.SAMLLogoutInput{Connection: "con_nothing", Query: signed})
		i.Refused("of no connection", err, "not_found")
		// The provider of another connection of the same organization ends nothing that it has not begun.
		i.EntityID = "https://second.test"
		second := i.creates(federation.SAMLProvider{Metadata: i.Metadata()})
		out, err := federation.SAMLLogout.Call(i.Nobody(), i.Service, federation.SAMLLogoutInput{Connection: second.Connection,
			Query: i.Queried(i.T, i.Logout(strings.Replace(i.slo(), i.connection.Connection, second.Connection, 1), "sub-1", at), "")})
		if err != nil || out.Ended != 0 {
			i.T.Errorf("another connection: %v, %+v", err, out)
		}
		i.Works("the session", zoe.Secret)
	})
}

func TestPeopleSignOutAtTheirSAMLProvider(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		i.Before = nil
		zoe, at := i.comes("sub-1", "zoe@acme.test")
		got, err := federation.GetProviderLogout.Call(i.As(zoe.Secret), i.Service, struct{}{})
		if err != nil || got.Name != "Okta" || !strings.HasPrefix(got.URL, i.URL+"/slo?") {
			i.T.Fatalf("%v, %+v", err, got)
		}
		asked, _ := testsaml.Receives(i.T, got.URL, "SAMLRequest", i.ownCertificate())
		if asked.Tag != "LogoutRequest" || asked.FindElement("./NameID").Text() != "sub-1" || asked.FindElement("./SessionIndex").Text() != at || asked.FindElement("./Issuer").Text() != i.connection.EntityID ||
			asked.SelectAttrValue("Destination", "") != i.URL+"/slo" {
			i.T.Errorf("the request is %v", asked)
		}
		i.Works("the session, which that has not ended", zoe.Secret)
		if got, err := federation.GetProviderLogout.Call(i.As(i.ada.Token), i.Service, struct{}{}); err != nil || got.URL != "" {
			i.T.Errorf("somebody who came by mail: %v, %+v", err, got)
		}
		i.About = func(text string) string {
			begin := strings.Index(text, "<md:SingleLogoutService")
			return text[:begin] + text[begin+strings.Index(text[begin:], "/>")+2:]
		}
		_, err = i.updates(federation.UpdateSAMLInput{Metadata: i.Metadata()})
		i.Must(err)
		if got, err := federation.GetProviderLogout.Call(i.As(zoe.Secret), i.Service, struct{}{}); err != nil || got.URL != "" {
			i.T.Errorf("a provider without single logout: %v, %+v", err, got)
		}
		if text := i.Stored("private_key FROM saml_keys"); strings.Contains(text, "PRIVATE") || len(text) < 1000 {
			i.T.Errorf("the key is stored as %q", text)
		}
	})
}

func TestRequestsAreSignedWhereTheProviderWantsIt(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		if begun := i.begins(); strings.Contains(begun.URL, "Signature=") {
			i.T.Errorf("signed without being asked: %s", begun.URL)
		}
		i.About = func(text string) string {
			return strings.Replace(text, `WantAuthnRequestsSigned="false"`, `WantAuthnRequestsSigned="true"`, 1)
		}
		got, err := i.updates(federation.UpdateSAMLInput{Metadata: i.Metadata()})
		if err != nil || !got.SignsRequests {
			i.T.Fatalf("%v, %+v", err, got)
		}
		begun := i.begins()
		if asked, state := testsaml.Receives(i.T, begun.URL, "SAMLRequest", i.ownCertificate()); asked.Tag != "AuthnRequest" || state == "" {
			i.T.Errorf("the request is %v", asked)
		}
		if _, err := i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL)); err != nil {
			i.T.Errorf("the answer: %v", err)
		}
	})
}

// logoutToken is a logout token of the provider, with some claims changed; nil takes one out.
func (i *idp) logoutToken(changes map[string]any) string {
	now := i.Now()
	claims := map[string]any{"iss": i.URL, "aud": testoidc.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": now.String(), "sub": i.Subject, "sid": "s-1",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	raw, _ := json.Marshal(claims)
	return testoidc.Signed(i.Key, i.Kid, raw, map[string]any{"typ": "logout+jwt"})
}

func (i *idp) logsOut(token string) (federation.LoggedOut, error) {
	return federation.BackchannelLogout.Call(i.Nobody(), i.Service, federation.BackchannelInput{Connection: i.connection.ID, Token: token})
}

// comesIn signs somebody in, in a session of the provider's.
func (i *idp) comesIn(subject, email, sid string) federation.FederatedSignIn {
	i.T.Helper()
	i.Set(func() {
		i.Subject, i.Email, i.Changes = subject, email, func(claims map[string]any) { claims["sid"] = sid }
	})
	got, err := i.comesBack(i.Nobody())
	i.Must(err)
	return got
}

func TestALogoutTokenEndsSessions(t *testing.T) {
	withProvider(t, func(i *idp) {
		first, second := i.comesIn("sub-1", "zoe@acme.test", "s-1"), i.comesIn("sub-1", "zoe@acme.test", "s-2")
		other := i.comesIn("sub-2", "yan@acme.test", "s-3")
		byMail := i.SignIn(i.Nobody(), "zoe@acme.test")
		i.Set(func() { i.Subject = "sub-1" })
		token := i.logoutToken(nil)
		if out, err := i.logsOut(token); err != nil || out.Ended != 1 {
			i.T.Fatalf("one session: %v, %+v", err, out)
		}
		i.Dead("the session that was named", first.Secret)
		i.Works("another of the same person", second.Secret)
		_, err := i.logsOut(token)
		i.Refused("the same once more", err, "logout_used")
		if out, err := i.logsOut(i.logoutToken(map[string]any{"jti": "2", "sid": "s-3"})); err != nil || out.Ended != 0 {
			i.T.Errorf("a session of somebody else: %v, %+v", err, out)
		}
		if out, err := i.logsOut(i.logoutToken(map[string]any{"jti": "3", "sid": nil})); err != nil || out.Ended != 1 {
			i.T.Errorf("all sessions: %v, %+v", err, out)
		}
		i.Dead("the other session", second.Secret)
		i.Works("somebody else's", other.Secret)
		i.Works("one that began by mail", byMail.Secret)
		if out, err := i.logsOut(i.logoutToken(map[string]any{"jti": "4", "sid": "s-3", "sub": nil})); err != nil || out.Ended != 1 {
			i.T.Errorf("by the session alone: %v, %+v", err, out)
		}
	})
}

// OpenID Connect Back-Channel Logout 1.0, section 2.6.
func TestLogoutTokensThatAreRefused(t *testing.T) {
	withProvider(t, func(i *idp) {
		zoe := i.comesIn("sub-1", "zoe@acme.test", "s-1")
		for name, changes := range map[string]map[string]any{
			"another issuer":            {"iss": "https://other.test"},
			"another audience":          {"aud": "other"},
			"without iat":               {"iat": nil},
			"an old one":                {"iat": i.Now().Add(-11 * time.Minute).Unix()},
			"of the future":             {"iat": i.Now().Add(time.Hour).Unix()},
			"one that is over":          {"exp": i.Now().Add(-time.Minute).Unix()},
			"without jti":               {"jti": nil},
			"a nonce":                   {"nonce": "x"},
			"a nonce that is empty":     {"nonce": ""},
			"about nothing":             {"events": nil},
			"about something else":      {"events": map[string]any{"https://other.test": map[string]any{}}},
			"an event that is a text":   {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": "x"}},
			"events that are a list":    {"events": []string{"http://schemas.openid.net/event/backchannel-logout"}},
			"nobody":                    {"sub": nil, "sid": nil},
			"a name of another kind":    {"sub": []string{"sub-1"}, "sid": nil},
			"a nonce that is a nothing": {"nonce": json.RawMessage("null")},
		} {
			_, err := i.logsOut(i.logoutToken(changes))
			i.Refused(name, err, "not_believed")
		}
		key := i.Key
		i.Rotate(i.T, i.Kid)
		forged := i.logoutToken(nil)
		i.Set(func() { i.Key = key })
		for name, token := range map[string]string{"by another key": forged, "no token": "x", "not signed": "eyJhbGciOiJub25lIn0.e30."} {
			_, err := i.logsOut(token)
			i.Refused(name, err, "not_believed")
		}
		i.Works("the session", zoe.Secret)
		_, err := federation.BackchannelLogout.Call(i.Nobody(), i.Service, federation.BackchannelInput{Connection: "con_nothing", Token: "x"})
		i.Refused("of no connection", err, "not_found")
	})
}

func TestPeopleSignOutAtTheirOpenIDProvider(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.Set(func() { i.About = func(c map[string]any) { c["end_session_endpoint"] = i.URL + "/end?x=1" } })
		zoe := i.comesIn("sub-1", "zoe@acme.test", "s-1")
		got, err := federation.GetProviderLogout.Call(i.As(zoe.Secret), i.Service, struct{}{})
		u, _ := url.Parse(got.URL)
		if q := u.Query(); err != nil || got.Name != "Okta" || !strings.HasPrefix(got.URL, i.URL+"/end?x=1&") || q.Get("client_id") != testoidc.ClientID ||
			q.Get("post_logout_redirect_uri") != "https://accounts.acme.test/login/left" || strings.Count(q.Get("id_token_hint"), ".") != 2 {
			i.T.Fatalf("%v, %+v", err, got)
		}
		if text := i.Stored("token FROM connection_sessions"); strings.Contains(text, "eyJ") {
			i.T.Errorf("a token is stored as it is: %q", text)
		}
		for name, end := range map[string]any{"none": nil, "no https": "http://idp.test/end", "a script": "javascript:alert(1)", "no text": 1} { // T-080
			i.Set(func() { i.About = func(c map[string]any) { c["end_session_endpoint"] = end } })
			zoe := i.comesIn("sub-1", "zoe@acme.test", "s-1")
			if got, err := federation.GetProviderLogout.Call(i.As(zoe.Secret), i.Service, struct{}{}); err != nil || got.URL != "" {
				i.T.Errorf("%s: %v, %+v", name, err, got)
			}
		}
	})
}

// Who somebody was at a provider is forgotten with the session.
func TestWhoSomebodyWasAtAProviderIsForgotten(t *testing.T) {
	withProvider(t, func(i *idp) {
		zoe := i.comesIn("sub-1", "zoe@acme.test", "s-1")
		if out, err := i.logsOut(i.logoutToken(nil)); err != nil || out.Ended != 1 {
			i.T.Fatalf("%v, %+v", err, out)
		}
		i.comesIn("sub-2", "yan@acme.test", "s-2")
		i.Must(federation.Purge(i.T.Context(), i.DB, i.Now()))
		if n := i.Number("SELECT count(*) FROM connection_sessions"); n != 1 {
			i.T.Errorf("%d sessions are remembered", n)
		}
		i.hall.After(25 * time.Hour)
		i.Must(federation.Purge(i.T.Context(), i.DB, i.Now()))
		if n := i.Number("SELECT count(*) FROM connection_logouts"); n != 0 {
			i.T.Errorf("%d logouts are remembered", n)
		}
		i.Dead("the session", zoe.Secret)
	})
}

// Each row breaks one rule of the data, and the doctor names it.
func TestTheDoctorSeesWhatIsWrongWithSAML(t *testing.T) {
	for name, row := range map[string]struct{ breaks, want string }{
		"another end":         {"UPDATE saml_settings SET ends_at = ends_at + 1", "end at another time"},
		"no settings":         {"UPDATE connections SET kind = 'oidc'", "which it does not speak"},
		"another certificate": {"UPDATE saml_keys SET certificate = private_key", "not its certificate's"},
		"another connection":  {"UPDATE sessions SET connection = 'con_other' WHERE connection <> ''", "has not begun it"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
				h := newHall(t, db, "automation")
				h.Most = 17
				i := &samlIDP{hall: h, Provider: testsaml.New(t, h.Now)}
				h.providers = federation.NewProviders(i.Client(), h.Now)
				h.owns("acme.test")
				i.connection = i.creates(federation.SAMLProvider{Metadata: i.Metadata()})
				i.switchesOn()
				i.comes("sub-1", "zoe@acme.test")
				h.sound()
				h.Exec(row.breaks)
				var broken []string
				h.Must(h.Service.Snapshot(t.Context(), func(r *op.Reader) (err error) {
					broken, err = federation.Broken(t.Context(), r)
					return err
				}))
				if len(broken) != 1 || !strings.Contains(broken[0], row.want) {
					t.Errorf("the doctor says %q", broken)
				}
			})
		})
	}
}
