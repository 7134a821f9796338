package federation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testsaml"
	"github.com/guildhall/guildhall/op"
)

// samlIDP is a hall whose Acme has an identity provider that speaks SAML and is on, for acme.test.
type samlIDP struct {
	*hall
	*testsaml.Provider
	connection federation.SAMLSettings
}

func withSAML(t *testing.T, test func(i *samlIDP)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		h.Most = 17
		i := &samlIDP{hall: h, Provider: testsaml.New(t, h.Now)}
		h.providers = federation.NewProviders(i.Client(), h.Now)
		h.owns("acme.test")
		i.connection = i.creates(federation.SAMLProvider{Metadata: i.Metadata()})
		i.switchesOn()
		test(i)
		h.sound()
	})
}

func (i *samlIDP) creates(p federation.SAMLProvider) federation.SAMLSettings {
	i.T.Helper()
	c, err := i.tries(p)
	i.Must(err)
	return c
}

func (i *samlIDP) tries(p federation.SAMLProvider) (federation.SAMLSettings, error) {
	return federation.CreateSAML.Call(i.As(i.ada.Token), i.Service, federation.CreateSAMLInput{InOrganization: i.in(), Name: "Okta", Role: "viewer", SAMLProvider: p})
}

func (i *samlIDP) named() federation.ConnectionInput {
	return federation.ConnectionInput{InOrganization: i.in(), Connection: i.connection.Connection}
}

func (i *samlIDP) updates(in federation.UpdateSAMLInput) (federation.SAMLSettings, error) {
	in.ConnectionInput = i.named()
	return federation.UpdateSAML.Call(i.As(i.ada.Token), i.Service, in)
}

func (i *samlIDP) tests() federation.FederatedBegun {
	i.T.Helper()
	begun, err := federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named()})
	i.Must(err)
	return begun
}

// switchesOn tests the connection and switches it on.
func (i *samlIDP) switchesOn() {
	i.T.Helper()
	begun := i.tests()
	out, err := i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
	if err != nil || !out.Test || out.Secret != "" {
		i.T.Fatalf("a test sign-in: %v, %+v", err, out)
	}
	on := true
	_, err = federation.UpdateConnection.Call(i.As(i.ada.Token), i.Service, federation.UpdateConnectionInput{ConnectionInput: i.named(), On: &on})
	i.Must(err)
}

func (i *samlIDP) begins() federation.FederatedBegun {
	i.T.Helper()
	begun, err := federation.BeginFederated.Call(i.Nobody(), i.Service, federation.BeginFederatedInput{Email: "zoe@acme.test"})
	if err != nil || !strings.HasPrefix(begun.URL, i.URL+"/sso?") {
		i.T.Fatalf("zoe begins: %v, %+v", err, begun)
	}
	return begun
}

func (i *samlIDP) answers(ctx context.Context, begun federation.FederatedBegun, q url.Values) (federation.FederatedSignIn, error) {
	return federation.CompleteSAML.Call(ctx, i.Service, federation.CompleteSAMLInput{Connection: begun.Connection, Browser: begun.Browser, State: q.Get("RelayState"),
		Response: q.Get("SAMLResponse")})
}

// comesBack signs somebody in, from the address to the session.
func (i *samlIDP) comesBack(ctx context.Context) (federation.FederatedSignIn, error) {
	i.T.Helper()
	begun := i.begins()
	return i.answers(ctx, begun, i.Authorizes(i.T, begun.URL))
}

func TestASAMLProviderSignsPeopleInAndLetsThemJoin(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		first, err := i.comesBack(i.Nobody())
		if err != nil || first.Secret == "" || first.User.Email != "zoe@acme.test" || first.User.Name != "Zoe Zimmermann" || first.Session.Method != "saml" || first.ReturnTo != "/o/acme" {
			i.T.Fatalf("the first time: %v, %+v", err, first)
		}
		i.Works("the session", first.Secret)
		if n := i.Number("SELECT count(*) FROM members WHERE organization = $1 AND user_id = $2 AND role = 'viewer'", i.acme, first.User.ID); n != 1 {
			i.T.Errorf("%d memberships", n)
		}
		i.Attributes["email"] = []string{"zoe.zimmermann@acme.test"} // an address changes, a persistent NameID does not
		if again, err := i.comesBack(i.Nobody()); err != nil || again.User.ID != first.User.ID {
			i.T.Errorf("the second time: %v, %+v", err, again)
		}
		i.NameID = "sub-2"
		if other, err := i.comesBack(i.Nobody()); err != nil || other.User.ID == first.User.ID {
			i.T.Errorf("another NameID: %v, %+v", err, other)
		}
	})
}

// T-061, T-081
func TestASAMLProviderSpeaksForItsOwnDomainsOnly(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		zoe := i.Join(i.acme, "zoe@acme.test", "editor")
		_, err := i.comesBack(i.Nobody())
		i.Refused("an account that is there, by its address alone", err, "link_required")
		if got, err := i.comesBack(i.As(zoe.Token)); err != nil || got.User.ID != zoe.User {
			i.T.Errorf("with both proofs: %v, %+v", err, got)
		}
		i.NameID = "sub-eve"
		for name, address := range map[string]string{"another's domain": "eve@globex.test", "a domain below": "eve@mail.acme.test", "no address": ""} {
			i.Attributes["email"] = []string{address}
			_, err := i.comesBack(i.Nobody())
			i.Refused(name, err, "foreign_address")
		}
	})
}

// Whoever is not believed is told one sentence, whatever the reason. The reason is in the log, and is told to whoever tests.
func TestReasonsAreForTheLogAndForTests(t *testing.T) {
	var log bytes.Buffer
	usual := slog.Default()
	t.Cleanup(func() { slog.SetDefault(usual) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		h.Most = 17
		i := &samlIDP{hall: h, Provider: testsaml.New(t, h.Now)}
		h.providers = federation.NewProviders(i.Client(), h.Now)
		h.owns("acme.test")
		i.connection = i.creates(federation.SAMLProvider{Metadata: i.Metadata()})
		i.switchesOn()
		told := map[string]bool{}
		for name, row := range map[string]struct {
			before, after func(*etree.Element)
			want          string
		}{
			"audience": {before: func(r *etree.Element) { r.FindElement("//Audience").SetText("https://other.test") }, want: "the assertion is for"},
			"recipient": {before: func(r *etree.Element) {
				r.FindElement("//SubjectConfirmationData").CreateAttr("Recipient", "https://other.test")
			}, want: "the assertion's recipient is"},
			"unsolicited": {before: func(r *etree.Element) {
				r.FindElement("//SubjectConfirmationData").RemoveAttr("InResponseTo")
			}, want: "names no request"},
			"changed":   {after: func(r *etree.Element) { r.FindElement("//NameID").SetText("sub-evil") }, want: "none of the certificates"},
			"transient": {before: func(r *etree.Element) { r.FindElement("//NameID").CreateAttr("Format", saml.Transient) }, want: "transient"},
		} {
			i.Before, i.After = row.before, row.after
			log.Reset()
			_, err := i.comesBack(i.Nobody())
			i.Refused(name, err, "not_believed")
			told[err.Error()] = true
			begun := i.tests()
			_, err = i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
			i.Refused(name+", in a test", err, "not_believed")
			if err == nil || !strings.Contains(err.Error(), row.want) {
				i.T.Errorf("%s: whoever tests is told %v", name, err)
			}
			if text := log.String(); strings.Count(text, "operation=signin.saml") != 2 || !strings.Contains(text, row.want) {
				i.T.Errorf("%s: the log has %s", name, text)
			}
		}
		if len(told) != 1 {
			i.T.Errorf("who is refused is told %v", told)
		}
	})
}

// T-077: the same answer fifty times at once, and an attempt that came back with a restored database.
func TestAnAssertionCountsOnce(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		begun := i.begins()
		q := i.Authorizes(i.T, begun.URL)
		ctx := i.Nobody()
		var wait sync.WaitGroup
		outcomes := make([]error, 50)
		for n := range outcomes {
			wait.Go(func() { _, outcomes[n] = i.answers(ctx, begun, q) })
		}
		wait.Wait()
		went := 0
		for _, err := range outcomes {
			var known *op.Error
			switch {
			case err == nil:
				went++
			case !errors.As(err, &known) || known.FullCode() != "attempt_over":
				i.T.Errorf("one of fifty: %v", err)
			}
		}
		if went != 1 {
			i.T.Errorf("%d of fifty went", went)
		}
		i.Exec("UPDATE federated_attempts SET used_at = 0 WHERE organization = $1", i.acme)
		_, err := i.answers(i.Nobody(), begun, q)
		i.Refused("an attempt that is as new, with the same assertion", err, "assertion_used")
		if n := i.Number("SELECT count(*) FROM sessions WHERE method = 'saml'"); n != 1 {
			i.T.Errorf("%d sessions", n)
		}
		i.Must(federation.Purge(i.T.Context(), i.DB, i.Now()))
		if n := i.Number("SELECT count(*) FROM saml_assertions"); n != 2 { // with that of the test
			i.T.Errorf("%d are remembered", n)
		}
		i.Must(federation.Purge(i.T.Context(), i.DB, i.Now().Add(10*time.Minute)))
		if n := i.Number("SELECT count(*) FROM saml_assertions"); n != 0 {
			i.T.Errorf("%d are remembered for ever", n)
		}
	})
}

// T-056, T-058, T-078
func TestASAMLAnswerBelongsToTheBrowserThatBegan(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		begun := i.begins()
		q := i.Authorizes(i.T, begun.URL)
		other := i.begins()
		for name, change := range map[string]func(*federation.FederatedBegun, url.Values){
			"no state":           func(_ *federation.FederatedBegun, q url.Values) { q.Set("RelayState", "") },
			"another browser":    func(b *federation.FederatedBegun, _ url.Values) { b.Browser = other.Browser },
			"another connection": func(b *federation.FederatedBegun, _ url.Values) { b.Connection = "con_00000000000000000000000000" },
		} {
			b, changed := begun, url.Values{"RelayState": q["RelayState"], "SAMLResponse": q["SAMLResponse"]}
			change(&b, changed)
			_, err := i.answers(i.Nobody(), b, changed)
			i.Refused(name, err, "not_found")
		}
		_, err := federation.CompleteFederated.Call(i.Nobody(), i.Service, federation.CompleteFederatedInput{Connection: begun.Connection, Browser: begun.Browser, State: q.Get("RelayState"), Code: "x"})
		i.Refused("as if it spoke OpenID Connect", err, "not_found")
		// the answer to one request, brought with the state of another: an attacker's own, injected
		_, err = i.answers(i.Nobody(), other, url.Values{"RelayState": i.Authorizes(i.T, other.URL)["RelayState"], "SAMLResponse": q["SAMLResponse"]})
		i.Refused("the answer to another request", err, "not_believed")
		if _, err = i.answers(i.Nobody(), begun, q); err != nil {
			i.T.Errorf("the right one: %v", err)
		}
		_, err = i.answers(i.Nobody(), begun, q)
		i.Refused("again", err, "attempt_over")
		begun = i.begins()
		q = i.Authorizes(i.T, begun.URL)
		i.hall.After(10 * time.Minute)
		_, err = i.answers(i.Nobody(), begun, q)
		i.Refused("ten minutes later", err, "attempt_over")
	})
}

// A provider changes its key while people go on signing in.
func TestCertificatesAreReplacedWhilePeopleSignIn(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		old := i.Certificate
		i.Rotate(i.T, testsaml.RSAKey(i.T, 2048))
		_, err := i.comesBack(i.Nobody())
		i.Refused("by a key that nobody knows", err, "not_believed")
		got, err := i.updates(federation.UpdateSAMLInput{Add: []string{testsaml.PEM(i.Certificate)}})
		if err != nil || len(got.Certificates) != 2 || got.State != federation.On || !got.CertificateTo.Equal(i.Certificate.NotAfter) {
			i.T.Fatalf("a second certificate: %v, %+v", err, got)
		}
		if _, err := i.comesBack(i.Nobody()); err != nil {
			i.T.Errorf("by the new key: %v", err)
		}
		begun := i.begins()
		q := i.Authorizes(i.T, begun.URL)
		got, err = i.updates(federation.UpdateSAMLInput{Remove: []string{got.Certificates[0].Fingerprint}})
		if err != nil || len(got.Certificates) != 1 || got.State != federation.On {
			i.T.Fatalf("the old one is taken out: %v, %+v", err, got)
		}
		if _, err := i.answers(i.Nobody(), begun, q); err != nil {
			i.T.Errorf("a sign-in that had begun: %v", err)
		}
		_, err = i.updates(federation.UpdateSAMLInput{Remove: []string{got.Certificates[0].Fingerprint}})
		i.Refused("the last one", err, "certificates_needed") // T-074
		i.hall.After(366 * 24 * time.Hour)
		_, err = i.comesBack(i.Nobody())
		i.Refused("by a certificate that ended", err, "not_believed")
		if strings.Contains(i.Stored("detail FROM audit_rows"), "BEGIN CERTIFICATE") || old.Equal(i.Certificate) {
			i.T.Error("the audit log has whole certificates")
		}
	})
}

// T-080, T-084
func TestMetadataIsReadAtItsAddress(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		got, err := i.updates(federation.UpdateSAMLInput{MetadataURL: i.URL + "/metadata"})
		if err != nil || got.MetadataURL != i.URL+"/metadata" || got.ReadAt == nil || got.State != federation.On {
			i.T.Fatalf("%v, %+v", err, got)
		}
		i.Rotate(i.T, testsaml.RSAKey(i.T, 2048))
		if got, err = i.updates(federation.UpdateSAMLInput{Reread: true}); err != nil || len(got.Certificates) != 1 {
			i.T.Fatalf("read again: %v, %+v", err, got)
		}
		if _, err := i.comesBack(i.Nobody()); err != nil {
			i.T.Errorf("by the key that was read: %v", err)
		}
		i.About = func(text string) string { return strings.Replace(text, i.EntityID, "https://attacker.test", 1) }
		_, err = i.updates(federation.UpdateSAMLInput{Reread: true})
		i.Refused("of another provider", err, "other_provider")
		i.About = func(string) string { return "<html>" }
		_, err = i.updates(federation.UpdateSAMLInput{Reread: true})
		i.Refused("a web page", err, "invalid")
		_, err = i.updates(federation.UpdateSAMLInput{MetadataURL: "https://127.0.0.2/metadata"})
		i.Refused("an address inside", err, "provider_failed")
		for _, address := range []string{"http://acme.test/m", "javascript:alert(1)", "file:///etc/passwd", "https://a:b@acme.test/"} {
			_, err = i.updates(federation.UpdateSAMLInput{MetadataURL: address})
			i.Refused(address, err, "invalid")
			_, err = i.updates(federation.UpdateSAMLInput{SignOnURL: address})
			i.Refused(address, err, "invalid")
			_, err = i.tries(federation.SAMLProvider{Issuer: "x", SignOnURL: address, Certificates: []string{testsaml.PEM(i.Certificate)}})
			i.Refused(address, err, "invalid")
		}
	})
}

func TestAProviderIsDescribedInOneOfThreeWays(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		_, err := i.tries(federation.SAMLProvider{Metadata: i.Metadata()})
		i.Refused("the same provider again", err, "connection_exists")
		i.EntityID = "https://second.test"
		if got := i.creates(federation.SAMLProvider{MetadataURL: i.URL + "/metadata"}); got.Issuer != i.EntityID || got.MetadataURL == "" || len(got.Certificates) != 1 {
			i.T.Errorf("by its address: %+v", got)
		}
		hand := federation.SAMLProvider{Issuer: "https://third.test", SignOnURL: i.URL + "/sso", Certificates: []string{testsaml.PEM(i.Certificate)}}
		got := i.creates(hand)
		if got.Issuer != "https://third.test" || got.State != federation.Draft || !strings.HasSuffix(got.ACSURL, "/login/saml/"+got.Connection+"/acs") {
			i.T.Errorf("by hand: %+v", got)
		}
		read, err := federation.GetSAML.Call(i.As(i.ada.Token), i.Service, federation.ConnectionInput{InOrganization: i.in(), Connection: got.Connection})
		if raw, _ := json.Marshal(read); err != nil || read.Connection != got.Connection || !strings.Contains(string(raw), read.Certificates[0].Fingerprint) {
			i.T.Errorf("what is shown: %v, %s", err, raw)
		}
		hand.Metadata = i.Metadata()
		_, err = i.tries(hand)
		i.Refused("in two ways", err, "invalid")
		_, err = i.tries(federation.SAMLProvider{})
		i.Refused("in no way", err, "invalid")
		_, err = i.tries(federation.SAMLProvider{Issuer: "x", SignOnURL: i.URL})
		i.Refused("without a certificate", err, "invalid") // T-074
		list, err := federation.ListConnections.Call(i.As(i.ada.Token), i.Service, federation.ListConnectionsInput{InOrganization: i.in()})
		if err != nil || len(list.Data) != 3 || list.Data[0].Kind != "saml" || list.Data[0].RedirectURI != got.ACSURL {
			i.T.Errorf("the list: %v, %+v", err, list.Data)
		}
	})
}

// Deleting a connection takes its settings and its assertions with it.
func TestASAMLConnectionIsDeletedWhole(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		if _, err := i.comesBack(i.Nobody()); err != nil {
			i.T.Fatal(err)
		}
		_, err := federation.DeleteConnection.Call(i.As(i.ada.Token), i.Service, i.named())
		i.Must(err)
		if n := i.Number("SELECT (SELECT count(*) FROM saml_settings) + (SELECT count(*) FROM saml_assertions) + (SELECT count(*) FROM connections)"); n != 0 {
			i.T.Errorf("%d rows are left", n)
		}
	})
}
