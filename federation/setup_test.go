package federation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/testoidc"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// by is the secret of a link.
func by(l federation.NewSetupLink) federation.ByLink {
	return federation.ByLink{Link: l.Link[strings.LastIndex(l.Link, "/")+1:]}
}

func (h *hall) links(as testroom.Person, in federation.CreateSetupLinkInput) (federation.NewSetupLink, error) {
	in.InOrganization = h.in()
	return federation.CreateSetupLink.Call(h.As(as.Token), h.Service, in)
}

func (i *idp) configures(l federation.NewSetupLink, client string) (federation.Setup, error) {
	return federation.ConfigureSetup.Call(i.Nobody(), i.Service, federation.ConfigureSetupInput{ByLink: by(l), Name: "Theirs", Issuer: i.URL, ClientID: client, ClientSecret: testoidc.ClientSecret})
}

// Somebody without an account sets one connection up by a link, and nothing else; every step is the link's in the log, and it is
// over once the connection is on.
func TestASetupLinkSetsOneConnectionUp(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.Exec("UPDATE connections SET client_id = 'other' WHERE organization = $1", i.acme)
		l, err := i.links(i.ada, federation.CreateSetupLinkInput{})
		i.Must(err)
		if strings.Contains(i.Stored("token_hash FROM setup_links", "detail FROM audit_rows"), by(l).Link) {
			i.T.Error("the link's secret is stored")
		}
		open := func() (federation.Setup, error) { return federation.OpenSetup.Call(i.Nobody(), i.Service, by(l)) }
		first, err := open()
		if err != nil || first.Connection != nil || len(first.Domains) != 1 || !strings.HasPrefix(first.Domains[0].Record.Value, "guildhall-domain=") {
			i.T.Errorf("opened: %v, %+v", err, first)
		}
		_, err = federation.TestSetup.Call(i.Nobody(), i.Service, federation.TestSetupInput{ByLink: by(l)})
		i.Refused("to test before it is named", err, "not_configured")
		got, err := i.configures(l, testoidc.ClientID)
		i.Must(err)
		if got.Connection == nil || got.Connection.State != federation.Draft || got.Connection.Role != "" || got.Connection.CreatedBy != l.ID {
			i.T.Fatalf("named: %+v", got.Connection)
		}
		begun, err := federation.TestSetup.Call(i.Nobody(), i.Service, federation.TestSetupInput{ByLink: by(l)})
		i.Must(err)
		out, err := i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
		if err != nil || !out.Test || out.Secret != "" {
			i.T.Fatalf("a test: %v, %+v", err, out)
		}
		if n := i.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND actor_kind = 'setup_link' AND actor = $2", i.acme, l.ID); n != 3 {
			i.T.Errorf("%d rows are the link's", n)
		}
		again, err := i.configures(l, testoidc.ClientID)
		if err != nil || again.Connection.ID != got.Connection.ID || again.Connection.State != federation.Draft {
			i.T.Errorf("changed: %v, %+v", err, again.Connection)
		}
		i.Exec("UPDATE connections SET state = 'tested' WHERE organization = $1 AND id = $2", i.acme, got.Connection.ID)
		i.changed(*got.Connection, federation.UpdateConnectionInput{On: new(true)})
		_, err = open()
		i.Refused("once the connection is on", err, "link_over")
		list, err := federation.ListSetupLinks.Call(i.As(i.ada.Token), i.Service, federation.ListSetupLinksInput{InOrganization: i.in()})
		if err != nil || len(list.Data) != 1 || list.Data[0].EndedBecause != "switched_on" || list.Data[0].UsedAt == nil {
			i.T.Errorf("listed: %v, %+v", err, list.Data)
		}
	})
}

// setUp are the operations of a link, of a provider of either kind.
func (i *samlIDP) setUp(l federation.NewSetupLink) map[string]func() error {
	return map[string]func() error{
		"open": func() error { _, err := federation.OpenSetup.Call(i.Nobody(), i.Service, by(l)); return err },
		"configure": func() error {
			_, err := federation.ConfigureSetup.Call(i.Nobody(), i.Service, federation.ConfigureSetupInput{ByLink: by(l), Name: "Theirs", Issuer: "https://theirs.test", ClientID: "new", ClientSecret: "s"})
			return err
		},
		"configure SAML": func() error {
			_, err := i.configures(l, federation.SAMLProvider{MetadataURL: i.URL + "/metadata"})
			return err
		},
		"map": func() error { _, err := i.maps(l, federation.Mapping{Groups: "writers"}); return err },
		"preview": func() error {
			_, err := federation.PreviewSetup.Call(i.Nobody(), i.Service, federation.PreviewSetupInput{ByLink: by(l)})
			return err
		},
		"test": func() error {
			_, err := federation.TestSetup.Call(i.Nobody(), i.Service, federation.TestSetupInput{ByLink: by(l)})
			return err
		},
	}
}

func (i *samlIDP) configures(l federation.NewSetupLink, p federation.SAMLProvider) (federation.Setup, error) {
	return federation.ConfigureSAML.Call(i.Nobody(), i.Service, federation.ConfigureSAMLInput{ByLink: by(l), Name: "Theirs", SAMLProvider: p})
}

func (i *samlIDP) maps(l federation.NewSetupLink, m federation.Mapping) (federation.Setup, error) {
	return federation.MapSetup.Call(i.Nobody(), i.Service, federation.MapSetupInput{ByLink: by(l), Mapping: m})
}

// testsBy tests a link's connection at the provider.
func (i *samlIDP) testsBy(l federation.NewSetupLink) federation.FederatedSignIn {
	i.T.Helper()
	begun, err := federation.TestSetup.Call(i.Nobody(), i.Service, federation.TestSetupInput{ByLink: by(l)})
	i.Must(err)
	out, err := i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
	i.Must(err)
	return out
}

func (i *samlIDP) previewsBy(l federation.NewSetupLink, m *federation.Mapping) federation.AnswerRead {
	i.T.Helper()
	out, err := federation.PreviewSetup.Call(i.Nobody(), i.Service, federation.PreviewSetupInput{ByLink: by(l), Mapping: m})
	i.Must(err)
	return out
}

// Somebody without an account sets a provider up that speaks SAML: the addresses to set are known first, then its metadata, a test,
// and what its answers mean.
func TestASetupLinkSetsSAMLUp(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		i.EntityID = "https://theirs.test"
		l, err := i.links(i.ada, federation.CreateSetupLinkInput{})
		i.Must(err)
		open, err := federation.OpenSetup.Call(i.Nobody(), i.Service, by(l))
		i.Must(err)
		_, err = i.maps(l, federation.Mapping{})
		i.Refused("to map before it is named", err, "not_configured")
		got, err := i.configures(l, federation.SAMLProvider{MetadataURL: i.URL + "/metadata"})
		i.Must(err)
		c := got.Connection
		if c == nil || c.State != federation.Draft || c.Role != "" || c.CreatedBy != l.ID || c.Kind != "saml" || got.SAML == nil || got.SAML.Issuer != i.EntityID || got.SAML.ReadAt == nil {
			i.T.Fatalf("named: %+v, %+v", c, got.SAML)
		}
		if open.Values != got.Values || got.Values.ACSURL != got.SAML.ACSURL || got.Values.EntityID != got.SAML.EntityID || got.Values.SLOURL != got.SAML.SLOURL || c.RedirectURI != got.SAML.ACSURL {
			i.T.Errorf("the addresses before are %+v, and afterwards %+v, %+v", open.Values, got.Values, got.SAML)
		}
		if out := i.testsBy(l); !out.Test || out.Secret != "" || len(out.Claims) == 0 {
			i.T.Fatalf("a test: %+v", out)
		}
		read := i.previewsBy(l, nil)
		if read.Address != "zoe@acme.test" || read.Subject != "sub-1" || len(read.Problems) != 0 || len(read.Answer) == 0 {
			i.T.Errorf("the test said %+v", read)
		}
		if other := i.previewsBy(l, &federation.Mapping{Address: "nothing"}); len(other.Problems) != 1 {
			i.T.Errorf("by another mapping: %+v", other)
		}
		got, err = i.maps(l, federation.Mapping{Groups: "department"})
		if err != nil || got.Connection.Mapping.Groups != "department" || got.Connection.State != federation.Tested {
			i.T.Errorf("mapped: %v, %+v", err, got.Connection)
		}
		_, err = i.maps(l, federation.Mapping{Subject: "mail"}) // T-061
		i.Refused("to know people by what passes", err, "invalid")
		if got, err = i.maps(l, federation.Mapping{Subject: "uid"}); err != nil || got.Connection.State != federation.Draft {
			i.T.Errorf("known by something else: %v, %+v", err, got.Connection)
		}
		if n := i.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND actor_kind = 'setup_link' AND actor = $2 AND outcome = 'ok'", i.acme, l.ID); n != 5 {
			i.T.Errorf("%d rows are the link's", n)
		}
		key := i.Stored("private_key FROM saml_keys WHERE connection = '" + c.ID + "'")
		if _, err = i.configures(l, federation.SAMLProvider{Metadata: i.Metadata()}); err != nil || i.Stored("private_key FROM saml_keys WHERE connection = '"+c.ID+"'") != key {
			i.T.Errorf("named anew: %v, or by another key", err)
		}
		i.Exec("UPDATE connections SET state = 'tested' WHERE organization = $1 AND id = $2", i.acme, c.ID)
		_, err = federation.UpdateConnection.Call(i.As(i.ada.Token), i.Service, federation.UpdateConnectionInput{ConnectionInput: federation.ConnectionInput{InOrganization: i.in(), Connection: c.ID}, On: new(true)})
		i.Must(err)
		for name, try := range i.setUp(l) {
			i.Refused(name+", once the connection is on", try(), "link_over")
		}
	})
}

// What a provider told others in a test is not for whoever has a link.
func TestALinkShowsWhatItsOwnTestSaid(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		i.EntityID = "https://theirs.test"
		i.connection = i.creates(federation.SAMLProvider{Metadata: i.Metadata()})
		begun := i.tests()
		_, err := i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
		i.Must(err)
		l, err := i.links(i.ada, federation.CreateSetupLinkInput{Connection: i.connection.Connection})
		i.Must(err)
		if read := i.previewsBy(l, nil); read.TestedAt != nil || len(read.Answer) != 0 || read.Address != "" {
			i.T.Errorf("what Ada's test said: %+v", read)
		}
		i.hall.After(time.Second)
		i.testsBy(l)
		if read := i.previewsBy(l, nil); read.Address != "zoe@acme.test" {
			i.T.Errorf("what the link's test said: %+v", read)
		}
		i.hall.After(time.Second)
		begun = i.tests()
		_, err = i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
		i.Must(err)
		if read := i.previewsBy(l, nil); read.TestedAt != nil {
			i.T.Errorf("after Ada's next test: %+v", read)
		}
	})
}

// Whoever has a link may choose another kind, as long as nobody is known by the provider; nothing of the other kind is left.
func TestALinkChangesTheKindOfItsConnection(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		i.EntityID = "https://theirs.test"
		l, err := i.links(i.ada, federation.CreateSetupLinkInput{})
		i.Must(err)
		tries := i.setUp(l)
		i.Must(tries["configure"]())
		_, err = i.maps(l, federation.Mapping{Subject: "oid"})
		i.Must(err)
		named, err := i.configures(l, federation.SAMLProvider{Metadata: i.Metadata()})
		if err != nil || named.Connection.Kind != "saml" || named.Connection.ClientID != "" || named.Connection.Mapping != (federation.Mapping{}) || named.SAML == nil {
			i.T.Fatalf("as SAML: %v, %+v", err, named.Connection)
		}
		i.testsBy(l)
		i.Must(tries["configure"]())
		again, err := federation.OpenSetup.Call(i.Nobody(), i.Service, by(l))
		if err != nil || again.Connection.ID != named.Connection.ID || again.Connection.Kind != "oidc" || again.SAML != nil || again.Connection.State != federation.Draft {
			i.T.Errorf("as OpenID Connect: %v, %+v", err, again.Connection)
		}
		if n := i.Number("SELECT count(*) FROM saml_settings WHERE connection = $1", named.Connection.ID) + i.Number("SELECT count(*) FROM saml_keys WHERE connection = $1", named.Connection.ID); n != 0 {
			i.T.Errorf("%d rows of SAML are left", n)
		}
		i.Exec("INSERT INTO identities (connection, organization, issuer, subject, user_id, created_at) VALUES ($1, $2, 'x', 'x', $3, 0)", named.Connection.ID, i.acme, i.ada.User)
		i.Refused("where somebody is known", tries["configure SAML"](), "people_linked")
	})
}

// T-080, T-084: by a link nobody reaches inward either.
func TestALinkReadsNoMetadataInside(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		l, err := i.links(i.ada, federation.CreateSetupLinkInput{})
		i.Must(err)
		for address, code := range map[string]string{"https://127.0.0.2/metadata": "provider_failed", "https://169.254.169.254/latest/meta-data": "provider_failed", "https://[::1]/m": "provider_failed",
			"http://acme.test/m": "invalid", "file:///etc/passwd": "invalid", "https://a:b@acme.test/": "invalid"} {
			_, err = i.configures(l, federation.SAMLProvider{MetadataURL: address})
			i.Refused(address, err, code)
		}
		i.About = func(string) string { return "<html>" }
		_, err = i.configures(l, federation.SAMLProvider{MetadataURL: i.URL + "/metadata"})
		i.Refused("a web page", err, "invalid")
		_, err = i.configures(l, federation.SAMLProvider{})
		i.Refused("nothing", err, "invalid")
		if open, err := federation.OpenSetup.Call(i.Nobody(), i.Service, by(l)); err != nil || open.Connection != nil {
			i.T.Errorf("afterwards: %v, %+v", err, open.Connection)
		}
	})
}

// A link counts while its maker may do what it does, until its time, while the plan has single sign-on, and not after it was
// revoked.
func TestASetupLinkEnds(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		i.EntityID = "https://theirs.test"
		read := 0
		i.About = func(text string) string { read++; return text }
		role, err := directory.CreateRole.Call(i.As(i.ada.Token), i.Service, directory.CreateRoleInput{InOrganization: i.in(), Title: "SSO", Permissions: []charter.Permission{"sso.configure"}})
		i.Must(err)
		eve := i.Join(i.acme, "eve@acme.test", role.ID)
		for name, c := range map[string]struct {
			ends func(l federation.NewSetupLink)
			code string
		}{
			"when its time is over": {func(federation.NewSetupLink) { i.hall.After(2 * time.Hour) }, "link_over"},
			"revoked": {func(l federation.NewSetupLink) {
				_, err := federation.RevokeSetupLink.Call(i.As(i.ada.Token), i.Service, federation.SetupLinkInput{InOrganization: i.in(), SetupLink: l.ID})
				i.Must(err)
			}, "link_over"},
			"whose maker may not any more": {func(federation.NewSetupLink) {
				i.Exec("UPDATE members SET role = 'viewer' WHERE organization = $1 AND user_id = $2", i.acme, eve.User)
			}, "link_over"},
			"whose maker is suspended": {func(federation.NewSetupLink) {
				i.Exec("UPDATE members SET status = 'suspended' WHERE organization = $1 AND user_id = $2", i.acme, eve.User)
			}, "link_over"},
			"of before a backup was restored": {func(federation.NewSetupLink) {
				i.Exec("UPDATE setup_links SET recovery_epoch = recovery_epoch - 1 WHERE organization = $1", i.acme)
			}, "not_found"},
			"of a plan without single sign-on": {func(federation.NewSetupLink) { i.Exec("UPDATE organizations SET plan = 'free' WHERE id = $1", i.acme) }, "not_found"},
			"of an organization that is closed": {func(federation.NewSetupLink) {
				i.Exec("UPDATE organizations SET state = 'deleting' WHERE id = $1", i.acme)
			}, "not_found"},
		} {
			i.Exec("UPDATE members SET role = $3, status = 'active' WHERE organization = $1 AND user_id = $2", i.acme, eve.User, role.ID)
			i.Exec("UPDATE organizations SET state = 'active' WHERE id = $1", i.acme)
			i.plan(i.acme)
			l, err := i.links(eve, federation.CreateSetupLinkInput{Hours: 1})
			i.Must(err)
			_, err = federation.OpenSetup.Call(i.Nobody(), i.Service, by(l))
			i.Must(err)
			c.ends(l)
			for what, try := range i.setUp(l) {
				i.Refused(what+" by a link "+name, try(), c.code)
			}
		}
		if read != 0 {
			i.T.Errorf("the metadata was asked for %d times", read)
		}
		i.Exec("UPDATE organizations SET state = 'active' WHERE id = $1", i.acme)
		i.plan(i.acme)
		_, err = i.links(i.ada, federation.CreateSetupLinkInput{Connection: i.connection.Connection})
		i.Refused("a link to a connection that is on", err, "connection_on")
		globex, gus := i.Found("globex", "gus@globex.test")
		i.plan(globex)
		_, err = federation.CreateSetupLink.Call(i.As(gus.Token), i.Service, federation.CreateSetupLinkInput{InOrganization: op.InOrganization{Organization: globex}, Connection: i.connection.Connection})
		i.Refused("a link to a connection of another organization", err, "invalid")
		_, err = federation.OpenSetup.Call(i.Nobody(), i.Service, federation.ByLink{Link: "gld_setup_x"})
		i.Refused("no link", err, "not_found")
	})
}
