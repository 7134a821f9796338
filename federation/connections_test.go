package federation_test

import (
	"slices"
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

// changes changes a connection, as the owner.
func (i *idp) changes(c federation.Connection, in federation.UpdateConnectionInput) (federation.Connection, error) {
	in.ConnectionInput = i.named(c)
	return federation.UpdateConnection.Call(i.As(i.ada.Token), i.Service, in)
}

func (i *idp) changed(c federation.Connection, in federation.UpdateConnectionInput) federation.Connection {
	i.T.Helper()
	got, err := i.changes(c, in)
	i.Must(err)
	return got
}

// another is a further connection, tested, to the same provider: in a test one is enough.
func (i *idp) another(name string) federation.Connection {
	i.T.Helper()
	i.Exec("UPDATE connections SET client_id = 'was ' || id WHERE organization = $1 AND client_id = $2", i.acme, testoidc.ClientID)
	c, err := federation.CreateConnection.Call(i.As(i.ada.Token), i.Service, federation.CreateConnectionInput{InOrganization: i.in(), Name: name, Issuer: i.URL,
		ClientID: testoidc.ClientID, ClientSecret: testoidc.ClientSecret, Role: "viewer"})
	i.Must(err)
	begun, err := federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named(c)})
	i.Must(err)
	_, err = i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
	i.Must(err)
	return c
}

// leads is the name of the provider that an address leads to; empty: none.
func (i *idp) leads(email string) string {
	i.T.Helper()
	begun, err := federation.BeginFederated.Call(i.Nobody(), i.Service, federation.BeginFederatedInput{Email: email})
	if err != nil {
		i.Refused(email, err, "not_found")
		return ""
	}
	return begun.Name
}

func (i *idp) details(c federation.Connection) federation.ConnectionDetails {
	i.T.Helper()
	d, err := federation.GetConnection.Call(i.As(i.ada.Token), i.Service, i.named(c))
	i.Must(err)
	return d
}

// Each connection is for domains of its own, and the one that names none for the others.
func TestADomainLeadsToItsConnection(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.owns("acme.io")
		i.adds("acme.org")
		second := i.another("Entra")
		i.changed(second, federation.UpdateConnectionInput{Domains: []string{"ACME.io"}, On: new(true)})
		if a, b := i.leads("zoe@acme.test"), i.leads("zoe@acme.io"); a != "Okta" || b != "Entra" {
			i.T.Errorf("acme.test leads to %q, acme.io to %q", a, b)
		}
		_, err := i.changes(i.connection, federation.UpdateConnectionInput{Domains: []string{"acme.io"}})
		i.Refused("the domain of another connection", err, "domain_named")
		_, err = i.changes(i.connection, federation.UpdateConnectionInput{Domains: []string{"acme.org"}})
		i.Refused("a domain that nobody has proved", err, "invalid")
		_, err = federation.RemoveDomain.Call(i.As(i.ada.Token), i.Service, i.one(i.domainNamed("acme.io")))
		i.Refused("to remove a domain that a connection names", err, "domain_named")

		begun := i.chooses(second) // it says an address at the other's domain: T-081
		_, err = i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
		i.Refused("a provider for a domain that is not its own", err, "foreign_address")

		_, err = i.switches(second, false)
		i.Must(err)
		if to := i.leads("zoe@acme.io"); to != "" {
			i.T.Errorf("while its connection is off, the domain leads to %s", to)
		}
		i.changed(second, federation.UpdateConnectionInput{Domains: []string{}, On: new(true)})
		if to := i.leads("zoe@acme.io"); to != "Okta" {
			i.T.Errorf("a domain that none names leads to %q, and not to the oldest", to)
		}
	})
}

func (i *idp) domainNamed(name string) federation.Domain {
	i.T.Helper()
	list, err := federation.ListDomains.Call(i.As(i.ada.Token), i.Service, federation.ListDomainsInput{InOrganization: i.in()})
	i.Must(err)
	at := slices.IndexFunc(list.Data, func(d federation.Domain) bool { return d.Domain == name })
	return list.Data[at]
}

// chooses begins at a connection itself.
func (i *idp) chooses(c federation.Connection) federation.FederatedBegun {
	i.T.Helper()
	begun, err := federation.BeginFederated.Call(i.Nobody(), i.Service, federation.BeginFederatedInput{Connection: c.ID})
	i.Must(err)
	return begun
}

func TestAConnectionIsOnWithADomainOnly(t *testing.T) {
	withProvider(t, func(i *idp) {
		_, err := i.switches(i.connection, false)
		i.Must(err)
		i.Exec("UPDATE domains SET state = 'lapsed' WHERE organization = $1", i.acme)
		_, err = i.switches(i.connection, true)
		i.Refused("without a verified domain", err, "no_domain")
		_, err = federation.ListSignInConnections.Call(i.Nobody(), i.Service, federation.SignInConnectionsInput{Slug: "acme"})
		i.Refused("the providers of an organization that has none on", err, "not_found")
		_, err = federation.BeginFederated.Call(i.Nobody(), i.Service, federation.BeginFederatedInput{Connection: i.connection.ID})
		i.Refused("to choose one that is off", err, "not_found")
	})
}

// A guest is known by both proofs, and only where the connection takes guests; the address of somebody else's domain never
// counts. T-081
func TestAGuestSignsInAtAChosenProvider(t *testing.T) {
	withProvider(t, func(i *idp) {
		guest := i.Join(i.acme, "gil@guest.test", "viewer")
		i.Set(func() { i.Email = "gil@guest.test" })
		signsIn := func(as testroom.Person) error {
			ctx := i.Nobody()
			if as.Token != "" {
				ctx = i.As(as.Token)
			}
			begun := i.chooses(i.connection)
			_, err := i.answers(ctx, begun, i.Authorizes(i.T, begun.URL))
			return err
		}
		i.Refused("where guests are not taken", signsIn(guest), "foreign_address")
		i.changed(i.connection, federation.UpdateConnectionInput{Guests: new(true)})
		i.Refused("by the address alone", signsIn(testroom.Person{}), "link_required")
		i.Must(signsIn(guest))
		i.Must(signsIn(testroom.Person{}))
		i.Set(func() { i.Subject, i.Email = "sub-9", "nobody@guest.test" })
		i.Refused("somebody who is no member", signsIn(testroom.Person{}), "foreign_address")
		found, err := federation.ListSignInConnections.Call(i.Nobody(), i.Service, federation.SignInConnectionsInput{Slug: "acme"})
		if err != nil || len(found.Providers) != 1 || found.Providers[0].Connection != i.connection.ID {
			i.T.Errorf("the providers: %v, %+v", err, found)
		}
	})
}

// While a connection is tried out, an address leads there only if it is of the pilot.
func TestAPilotIsLedAlone(t *testing.T) {
	withProvider(t, func(i *idp) {
		got := i.changed(i.connection, federation.UpdateConnectionInput{Rollout: new(federation.Pilot), Pilot: []string{"Zoe@acme.test", "zoe@ACME.test"}})
		if got.ForEverybody() {
			i.T.Error("a pilot is for everybody")
		}
		if a, b := i.leads("ZOE@acme.test"), i.leads("bo@acme.test"); a != "Okta" || b != "" {
			i.T.Errorf("the pilot leads to %q, others to %q", a, b)
		}
		if pilot := i.details(i.connection).Pilot; len(pilot) != 1 {
			i.T.Errorf("the pilot is %q", pilot)
		}
		_, err := i.changes(i.connection, federation.UpdateConnectionInput{Pilot: []string{"nobody"}})
		i.Refused("what is no address", err, "invalid")
		in, err := i.comesBack(i.Nobody())
		i.Must(err)
		i.Most = 27
		_, err = directory.DeleteUser.Call(i.Operator(), i.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: in.User.ID}, Reason: "asked for it"})
		i.Must(err)
		if n := i.Number("SELECT (SELECT count(*) FROM connection_pilots) + (SELECT count(*) FROM connection_tests WHERE answer <> '' OR email_folded <> '')"); n != 0 {
			i.T.Errorf("%d rows know an erased person still", n)
		}
		i.Most = 15
		if got := i.changed(i.connection, federation.UpdateConnectionInput{Rollout: new(federation.Everyone)}); !got.ForEverybody() {
			i.T.Error("it is not for everybody")
		}
	})
}

// says makes the provider say these groups, and somebody come back.
func (i *idp) comesWith(groups ...string) (federation.FederatedSignIn, error) {
	i.T.Helper()
	i.Set(func() { i.Changes = func(c map[string]any) { c["groups"] = groups } })
	return i.comesBack(i.Nobody())
}

func (i *idp) member(user string) directory.Member {
	i.T.Helper()
	list, err := directory.ListMembers.Call(i.As(i.ada.Token), i.Service, directory.ListMembersInput{InOrganization: i.in()})
	i.Must(err)
	at := slices.IndexFunc(list.Data, func(m directory.Member) bool { return m.User == user })
	if at < 0 {
		i.T.Fatalf("%s is no member", user)
	}
	return list.Data[at]
}

// A group gives a role at every sign-in: the first in the mapping counts, nobody changes it by hand, and whom no group names any
// more has the connection's.
func TestGroupsOfAProviderGiveRoles(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.changed(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{{Group: "Engineering", Role: "editor"}, {Group: "Everybody", Role: "viewer"}}})
		in, err := i.comesWith("Everybody", "Engineering")
		i.Must(err)
		m := i.member(in.User.ID)
		if m.Role != "editor" || !m.RoleManaged || m.ManagedName != "Okta" || m.ManagedKind != "connection" || m.ManagedBy != i.connection.ID {
			i.T.Errorf("with both groups: %+v", m)
		}
		_, err = directory.UpdateMember.Call(i.As(i.ada.Token), i.Service, directory.UpdateMemberInput{MemberInput: directory.MemberInput{InOrganization: i.in(), Member: m.ID}, Role: new("viewer")})
		if e := i.Refused("a role that a group gives", err, "managed_elsewhere"); !strings.Contains(e.Text, "Okta") || e.Refers["connection"] != i.connection.ID {
			i.T.Errorf("it says %q, and refers to %v", e.Text, e.Refers)
		}
		i.Fenced()
		_, err = i.comesWith("Everybody")
		i.Must(err)
		if m := i.member(in.User.ID); m.Role != "viewer" || !m.RoleManaged {
			i.T.Errorf("with one group: %+v", m)
		}
		if !slices.Contains(i.Fenced(), op.Fence{Kind: op.FenceUser, ID: in.User.ID}) {
			i.T.Error("a lower role is not fenced")
		}
		if !strings.Contains(i.Stored("detail FROM audit_rows"), `"editor"`) {
			i.T.Error("the change of role is not in the log")
		}
		_, err = i.comesWith("Engineering")
		i.Must(err)
		_, err = i.comesWith("engineering") // letter by letter
		i.Must(err)
		if m := i.member(in.User.ID); m.Role != "viewer" || m.RoleManaged {
			i.T.Errorf("with no group: %+v", m)
		}
		_, err = i.comesWith("Engineering")
		i.Must(err)
		i.changed(i.connection, federation.UpdateConnectionInput{Role: new(charter.RoleID(""))})
		_, err = i.comesWith()
		i.Refused("no group, and a connection that gives no role", err, "no_group")
		i.changed(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{}})
		if m := i.member(in.User.ID); m.Role != "editor" || m.ManagedBy != "" {
			i.T.Errorf("without a mapping: %+v", m)
		}
	})
}

// Nobody becomes an owner by a group, and no owner's role is lowered by one: the last owner stays. T-017
func TestAGroupMakesAndUnmakesNoOwner(t *testing.T) {
	withProvider(t, func(i *idp) {
		_, err := i.changes(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{{Group: "Boss", Role: "owner"}}})
		if e := i.Refused("a group of owners", err, "invalid"); e.Fields[0].Pointer != "/group_roles/0/role" {
			i.T.Errorf("it points to %+v", e.Fields)
		}
		_, err = i.changes(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{{Group: "A", Role: "editor"}, {Group: "A", Role: "viewer"}}})
		i.Refused("a group twice", err, "invalid")
		i.changed(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{{Group: "Everybody", Role: "viewer"}}})
		i.Set(func() { i.Email = "ada@acme.test"; i.Changes = func(c map[string]any) { c["groups"] = "Everybody" } })
		if _, err = i.comesBack(i.As(i.ada.Token)); err != nil {
			i.T.Fatalf("the owner comes by the provider: %v", err)
		}
		if m := i.member(i.ada.User); !m.Owner || m.RoleManaged {
			i.T.Errorf("the only owner is %s now", m.Role)
		}
	})
}

// A waiting invitation is consumed: its role counts, unless a group gives one. Seats hold.
func TestJoiningByAProviderConsumesAnInvitation(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.changed(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{{Group: "Readers", Role: "viewer"}}})
		i.Most = 17 // an account, an identity, a member, a consumed invitation
		for n, c := range []struct {
			groups []string
			role   string
		}{{nil, "editor"}, {[]string{"Readers"}, "viewer"}} {
			email := []string{"yan@acme.test", "xi@acme.test"}[n]
			i.Exec("UPDATE organizations SET seats = 0 WHERE id = $1", i.acme)
			_, err := directory.CreateInvitation.Call(i.As(i.ada.Token), i.Service, directory.CreateInvitationInput{InOrganization: i.in(), Email: email, Role: "editor"})
			i.Must(err)
			i.Exec("UPDATE organizations SET seats = (SELECT count(*) FROM members WHERE organization = $1 AND status <> 'removed') + 1 WHERE id = $1", i.acme)
			i.Set(func() { i.Subject, i.Email = email, email })
			in, err := i.comesWith(c.groups...)
			i.Must(err)
			if m := i.member(in.User.ID); m.Role != c.role || m.RoleManaged != (c.groups != nil) {
				i.T.Errorf("%s with the groups %q: %+v", email, c.groups, m)
			}
			if n := i.Number("SELECT count(*) FROM invitations WHERE organization = $1 AND email_folded = $2 AND state = 'accepted'", i.acme, email); n != 1 {
				i.T.Errorf("%d invitations of %s are consumed", n, email)
			}
		}
		i.Set(func() { i.Subject, i.Email = "last", "last@acme.test" })
		_, err := i.comesWith("Readers")
		i.Refused("no seat", err, "no_seat")
	})
}

// Whoever maps gives and takes only what they hold. T-013
func TestAMappingIsWithinWhatItsAuthorHolds(t *testing.T) {
	withProvider(t, func(i *idp) {
		role, err := directory.CreateRole.Call(i.As(i.ada.Token), i.Service, directory.CreateRoleInput{InOrganization: i.in(), Title: "SSO", Permissions: []charter.Permission{"sso.configure"}})
		i.Must(err)
		eve := i.Join(i.acme, "eve@acme.test", role.ID)
		as := func(groups ...federation.GroupRole) error {
			_, err := federation.UpdateConnection.Call(i.As(eve.Token), i.Service, federation.UpdateConnectionInput{ConnectionInput: i.named(i.connection), GroupRoles: groups})
			return err
		}
		i.Refused("to give more than one holds", as(federation.GroupRole{Group: "Mine", Role: "editor"}), "above_your_level")
		i.Must(as(federation.GroupRole{Group: "Mine", Role: charter.RoleID(role.ID)}))
		i.changed(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{{Group: "Engineering", Role: "editor"}, {Group: "Mine", Role: charter.RoleID(role.ID)}}})
		i.Refused("to take more than one holds", as(federation.GroupRole{Group: "Mine", Role: charter.RoleID(role.ID)}), "above_your_level")
		_, err = directory.DeleteRole.Call(i.As(i.ada.Token), i.Service, directory.DeleteRoleInput{GetRoleInput: directory.GetRoleInput{InOrganization: i.in(), Role: role.ID}, MoveTo: "viewer"})
		i.Refused("to delete a role that a group gives", err, "role_given")
	})
}

// What a mapping makes of an answer is seen before it is saved; the answer has nothing secret, and is forgotten in time.
func TestAMappingIsTriedOnTheLastTest(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.Set(func() {
			i.Changes = func(c map[string]any) {
				c["upn"], c["oid"], c["display"] = "zoe.z@acme.test", "0-1-2", "Zoe Z."
				c["realm_access"] = map[string]any{"roles": []string{"dev", "ops"}}
				c["long"] = strings.Repeat("x", 20_000)
			}
		})
		c := i.another("Keycloak")
		preview := func(in federation.PreviewConnectionInput) federation.ConnectionPreview {
			i.T.Helper()
			in.ConnectionInput = i.named(c)
			out, err := federation.PreviewConnection.Call(i.As(i.ada.Token), i.Service, in)
			i.Must(err)
			return out
		}
		plain := preview(federation.PreviewConnectionInput{})
		if plain.Address != "zoe@acme.test" || plain.Subject != "sub-1" || plain.Name != "Zoe Zimmermann" || plain.Role != "viewer" || plain.Group != "" || len(plain.Problems) != 0 {
			i.T.Errorf("as it is: %+v", plain)
		}
		if _, there := plain.Answer["nonce"]; there || plain.Answer["long"] != nil || plain.Answer["oid"] != "0-1-2" {
			i.T.Errorf("the answer that is kept: %v", plain.Answer)
		}
		m := federation.Mapping{Address: "upn", Name: "display", Subject: "oid", Groups: "realm_access.roles"}
		groups := []federation.GroupRole{{Group: "ops", Role: "editor"}, {Group: "dev", Role: "viewer"}}
		as := preview(federation.PreviewConnectionInput{Mapping: &m, GroupRoles: groups})
		if as.Address != "zoe.z@acme.test" || as.Subject != "0-1-2" || as.Name != "Zoe Z." || !slices.Equal(as.Groups, []string{"dev", "ops"}) || as.Group != "ops" || as.RoleTitle != "Editor" {
			i.T.Errorf("by another mapping: %+v", as)
		}
		bad := preview(federation.PreviewConnectionInput{Mapping: &federation.Mapping{Address: "nothing", Subject: "oid2"}, Role: new(charter.RoleID(""))})
		if len(bad.Problems) != 3 {
			i.T.Errorf("by a mapping that finds nothing: %q", bad.Problems)
		}
		i.changed(c, federation.UpdateConnectionInput{Mapping: &m, GroupRoles: groups})
		if got := i.details(c); got.State != federation.Draft || got.Mapping != m || !slices.Equal(got.GroupRoles, groups) {
			i.T.Errorf("saved: %+v", got)
		}
		for _, passing := range []string{"email", "preferred_username", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"} { // T-061
			_, err := i.changes(c, federation.UpdateConnectionInput{Mapping: &federation.Mapping{Subject: passing}})
			i.Refused("to know people by "+passing, err, "invalid")
		}
		i.Must(federation.Purge(i.T.Context(), i.DB, i.Now().Add(31*24*time.Hour)))
		if old := preview(federation.PreviewConnectionInput{}); old.TestedAt != nil || len(old.Answer) != 0 || len(old.Problems) != 1 {
			i.T.Errorf("a month later: %+v", old)
		}
	})
}

// A mapping counts at the sign-in, and who people are is not changed under them.
func TestAMappingSaysWhoSomebodyIs(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.Set(func() {
			i.Changes = func(c map[string]any) { c["oid"], c["upn"], c["email"] = "0-1", "zoe@acme.test", "zoe@private.test" }
		})
		_, err := i.comesBack(i.Nobody())
		i.Refused("the address of the claim email", err, "foreign_address")
		i.changed(i.connection, federation.UpdateConnectionInput{Mapping: &federation.Mapping{Address: "upn", Subject: "oid"}})
		i.switchesOnAgain()
		in, err := i.comesBack(i.Nobody())
		if err != nil || in.User.Email != "zoe@acme.test" || i.Number("SELECT count(*) FROM identities WHERE subject = '0-1'") != 1 {
			i.T.Fatalf("by another mapping: %v, %+v", err, in)
		}
		_, err = i.changes(i.connection, federation.UpdateConnectionInput{Mapping: &federation.Mapping{Address: "upn"}})
		i.Refused("another subject for people who are known", err, "people_linked")
		i.Set(func() { i.Changes = func(c map[string]any) { c["upn"] = "zoe@acme.test" } })
		_, err = i.comesBack(i.Nobody())
		i.Refused("an answer without the subject", err, "not_believed")
	})
}

// switchesOnAgain tests the connection as it is now, whatever it says, and switches it on.
func (i *idp) switchesOnAgain() {
	i.T.Helper()
	begun, err := federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named(i.connection)})
	i.Must(err)
	_, err = i.answers(i.Nobody(), begun, i.Authorizes(i.T, begun.URL))
	i.Must(err)
	_, err = i.switches(i.connection, true)
	i.Must(err)
}

// What came of the last test is shown, also when it went badly; what the provider said before stays to try a mapping on.
func TestWhatCameOfATestIsShown(t *testing.T) {
	withProvider(t, func(i *idp) {
		if last := i.details(i.connection).LastTest; last == nil || last.Went != "well" || last.Problem != "" {
			i.T.Errorf("after a test that went well: %+v", last)
		}
		begun, err := federation.TestConnection.Call(i.As(i.ada.Token), i.Service, federation.TestConnectionInput{ConnectionInput: i.named(i.connection)})
		i.Must(err)
		q := i.Authorizes(i.T, begun.URL)
		i.Set(func() { i.Changes = func(c map[string]any) { c["aud"] = "another" } })
		_, err = i.answers(i.Nobody(), begun, q)
		i.Refused("a test", err, "not_believed")
		last := i.details(i.connection).LastTest
		if last == nil || last.Went != "badly" || !strings.Contains(last.Problem, "audience") {
			i.T.Errorf("after one that went badly: %+v", last)
		}
		out, err := federation.PreviewConnection.Call(i.As(i.ada.Token), i.Service, federation.PreviewConnectionInput{ConnectionInput: i.named(i.connection)})
		if err != nil || out.Address != "zoe@acme.test" {
			i.T.Errorf("the answer before: %v, %+v", err, out)
		}
	})
}

// Who is managed by a connection is managed by nobody when it is off or gone.
func TestAConnectionThatIsOffManagesNobody(t *testing.T) {
	withProvider(t, func(i *idp) {
		i.changed(i.connection, federation.UpdateConnectionInput{GroupRoles: []federation.GroupRole{{Group: "E", Role: "editor"}}})
		in, err := i.comesWith("E")
		i.Must(err)
		_, err = i.switches(i.connection, false)
		i.Must(err)
		if m := i.member(in.User.ID); m.ManagedBy != "" || m.Role != "editor" {
			i.T.Errorf("off: %+v", m)
		}
		_, err = i.switches(i.connection, true)
		i.Must(err)
		_, err = i.comesWith("E")
		i.Must(err)
		if m := i.member(in.User.ID); m.ManagedBy != i.connection.ID {
			i.T.Errorf("on again: %+v", m)
		}
		_, err = federation.DeleteConnection.Call(i.As(i.ada.Token), i.Service, i.named(i.connection))
		i.Must(err)
		if m := i.member(in.User.ID); m.ManagedBy != "" {
			i.T.Errorf("deleted: %+v", m)
		}
	})
}
