package directory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

func (s *shop) upserts(external, email, name string) (directory.User, error) {
	return directory.UpsertUser.Call(s.As(s.svc), s.Service, directory.UpsertUserInput{ExternalID: external, Email: email, Name: name})
}

func (s *shop) adds(in directory.AddMemberInput) (directory.Member, error) {
	in.InOrganization = s.in()
	return directory.AddMember.Call(s.As(s.svc), s.Service, in)
}

func (s *shop) deletes(user string) (directory.DeletedUser, error) {
	s.Most = 60
	defer func() { s.Most = 8 }()
	return directory.DeleteUser.Call(s.As(s.svc), s.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: user}})
}

func TestUpsertMakesUpdatesAndLinks(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		made, err := s.upserts("42", "zoe@acme.test", "Zoe")
		s.Must(err)
		same, err := s.upserts("42", "", "")
		s.Must(err)
		if diff := cmp.Diff(made, same); diff != "" {
			t.Error(diff)
		}
		renamed, err := s.upserts("42", "zoe@example.com", "Zoe Z.")
		s.Must(err)
		if renamed.ID != made.ID || renamed.Email != "zoe@example.com" || renamed.Name != "Zoe Z." || renamed.Version != 2 {
			t.Errorf("got %+v", renamed)
		}
		known := s.SignIn(s.Nobody(), "yan@acme.test")
		linked, err := s.upserts("43", "YAN@acme.test", "")
		s.Must(err)
		if linked.ID != known.User || linked.ExternalID != "43" {
			t.Errorf("linked: %+v, signed in before as %s", linked, known.User)
		}
		if s.Number(`SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'users.upsert' AND detail LIKE '%external_id%'`, linked.ID) != 1 {
			t.Error("the log does not say that an account was linked")
		}
		_, err = s.upserts("44", "yan@acme.test", "")
		s.Refused("the address of another external id", err, "email_taken")
		_, err = s.upserts("42", "yan@acme.test", "")
		s.Refused("a change to another's address", err, "email_taken")
		silent, err := s.upserts("45", "", "Nobody's mail")
		s.Must(err)
		if silent.Email != "" {
			t.Errorf("an address was made up: %+v", silent)
		}
		if _, err := s.upserts("46", "", ""); err != nil {
			t.Errorf("a second one without an address: %v", err)
		}
	})
}

func TestExternalIDs(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		for id, good := range map[string]bool{"1": true, "auth0|5f7c": true, "a@b.test": true, "Jos\u00e9": true, strings.Repeat("x", 200): true,
			"": false, strings.Repeat("x", 201): false, "usr_1": false, "mem_1": false, "org_1": false, " 1": false, "a\u202eb": false, "a\nb": false} {
			_, err := s.upserts(id, "", "")
			if got := err == nil; got != good {
				t.Errorf("%q: %v, want %v", id, err, good)
			}
		}
	})
}

func TestOnlyTheBackEndProvisions(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		key := s.key(s.people["editor"], charter.PersonalKey, "mine", "workflows.run")
		for _, secret := range []string{s.owner.Token, key.Secret} {
			_, err := directory.UpsertUser.Call(s.As(secret), s.Service, directory.UpsertUserInput{ExternalID: "1"})
			s.Refused("making users", err, "service_only")
			_, err = directory.GetUser.Call(s.As(secret), s.Service, directory.UserInput{User: s.owner.User})
			s.Refused("looking users up", err, "service_only")
			_, err = directory.DeleteUser.Call(s.As(secret), s.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: s.owner.User}})
			s.Refused("deleting users", err, "service_only")
			_, err = directory.AddMember.Call(s.As(secret), s.Service, directory.AddMemberInput{InOrganization: s.in(), User: s.owner.User, Role: "viewer"})
			s.Refused("adding members", err, "service_only")
		}
	})
}

func TestAddMember(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		_, err := s.upserts("42", "zoe@acme.test", "Zoe")
		s.Must(err)
		m, err := s.adds(directory.AddMemberInput{User: "42", Role: "reader"})
		s.Must(err)
		if m.Role != "reader" || m.Name != "Zoe" {
			t.Errorf("got %+v", m)
		}
		_, err = s.adds(directory.AddMemberInput{User: "42", Role: "admin"})
		if e := s.Refused("again", err, "already_member"); e.Refers["member"] != m.ID {
			t.Errorf("refers to %v", e.Refers)
		}
		made, err := s.adds(directory.AddMemberInput{Email: "Yan <yan@acme.test>", Role: "developer"})
		s.Must(err)
		if made.Name != "Yan" || s.Statements() > 8 {
			t.Errorf("got %+v in %d statements", made, s.Statements())
		}
		got, err := directory.GetUser.Call(s.As(s.svc), s.Service, directory.UserInput{User: "42"})
		s.Must(err)
		if len(got.Organizations) != 1 || got.Organizations[0].Role != "reader" {
			t.Errorf("got %+v", got)
		}
		for _, name := range []string{m.ID, m.User, "42"} {
			found, err := directory.GetMember.Call(s.As(s.svc), s.Service, directory.MemberInput{InOrganization: s.in(), Member: name})
			s.Must(err)
			if found.ID != m.ID {
				t.Errorf("%s is %s, want %s", name, found.ID, m.ID)
			}
		}
		for what, in := range map[string]directory.AddMemberInput{"nobody": {Role: "reader"}, "two": {User: "42", Email: "a@b.test", Role: "reader"},
			"a stranger": {User: "43", Role: "reader"}, "no role": {Email: "x@acme.test"}, "an unknown role": {Email: "x@acme.test", Role: "rdr"},
			"an end in the past": {Email: "x@acme.test", Role: "reader", EndsAt: new(s.Now())}} {
			_, err := s.adds(in)
			s.Refused(what, err, "invalid")
		}
		_, err = s.adds(directory.AddMemberInput{Email: "x@acme.test", Role: "owner"})
		s.Refused("an owner, of whom there is one", err, "transfer_only")
	})
}

// Provisioning consumes a pending invitation and takes its role, but never one that nobody stands for any more.
func TestAddingConsumesTheInvitation(t *testing.T) {
	inShops(t, "gateway", func(s *shop) {
		invite := func(email, role string) directory.Invitation {
			i, err := directory.CreateInvitation.Call(s.by(s.people["admin"]), s.Service, directory.CreateInvitationInput{InOrganization: s.in(), Email: email, Role: charter.RoleID(role)})
			s.Must(err)
			return i
		}
		first := invite("zoe@acme.test", "developer")
		s.Most = 9 // a new user by an invitation
		m, err := s.adds(directory.AddMemberInput{Email: "zoe@acme.test"})
		s.Must(err)
		if m.Role != "developer" {
			t.Errorf("joined as %q", m.Role)
		}
		var state, member string
		s.Row("SELECT state, accepted_member FROM invitations WHERE id = $1", []any{first.ID}, &state, &member)
		if state != "accepted" || member != m.ID {
			t.Errorf("the invitation is %s for %s", state, member)
		}
		invite("yan@acme.test", "developer")
		s.Must(s.gives(s.owner, s.people["admin"], "reader"))
		_, err = s.adds(directory.AddMemberInput{Email: "yan@acme.test"})
		s.Refused("by an invitation that nobody stands for", err, "needs_reapproval")
		m, err = s.adds(directory.AddMemberInput{Email: "yan@acme.test", Role: "reader"})
		s.Must(err)
		if m.Role != "reader" {
			t.Errorf("joined as %q", m.Role)
		}
		s.Exec("UPDATE organizations SET seats = (SELECT count(*) FROM members WHERE organization = $1 AND status <> 'removed') WHERE id = $1", s.acme)
		_, err = s.adds(directory.AddMemberInput{Email: "wim@acme.test", Role: "reader"})
		s.Refused("without a seat", err, "no_seat")
	})
}

// T-017: a user account is not deleted while it is the only active owner of an organization; every such one is named.
func TestDeletingTheLastOwner(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		globex, _ := s.Found("globex", s.owner.Email)
		_, err := s.deletes(s.owner.User)
		if e := s.Refused("the only owner", err, "last_owner"); !strings.Contains(e.Text, "Acme, Globex") {
			t.Errorf("got %q", e.Text)
		}
		_, err = s.dryRun(s.As(s.svc), directory.DeleteUser, directory.DeleteUserInput{UserInput: directory.UserInput{User: s.owner.User}})
		s.Refused("a dry run", err, "last_owner")
		s.Join(s.acme, "second@acme.test", "owner")
		second := s.Join(globex, "third@globex.test", "owner")
		s.Exec("UPDATE members SET status = 'suspended' WHERE id = $1", second.Member)
		_, err = s.deletes(s.owner.User)
		if e := s.Refused("where the other is suspended", err, "last_owner"); strings.Contains(e.Text, "Acme") { // T-018
			t.Errorf("got %q", e.Text)
		}
		s.Works("nothing was done", s.owner.Token)
		s.Exec("UPDATE members SET status = 'active' WHERE id = $1", second.Member)
		out, err := s.deletes(s.owner.User)
		s.Must(err)
		if len(out.Memberships) != 2 {
			t.Errorf("got %+v", out)
		}
	})
}

// Deleting a user takes name and address out of everything, ends everything, and says so in each organization's log,
// which still verifies.
func TestDeletingAUserErasesThem(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		_, err := s.upserts("42", "zenobia@acme.test", "Zenobia")
		s.Must(err)
		zoe, err := s.adds(directory.AddMemberInput{User: "42", Role: "editor"})
		s.Must(err)
		globex, gil := s.Found("globex", "gil@globex.test")
		_, err = directory.CreateInvitation.Call(s.by(gil), s.Service, directory.CreateInvitationInput{InOrganization: op.InOrganization{Organization: globex},
			Email: "zenobia@acme.test", Role: "viewer", Message: "Dear Zenobia"})
		s.Must(err)
		s.Most = 60
		recover := func(organization, owner string) {
			_, err := directory.RecoverOwner.Call(s.Operator(), s.Service, directory.RecoverOwnerInput{InOrganization: op.InOrganization{Organization: organization}, Owner: owner, Reason: "the owner left"})
			s.Must(err)
		}
		recover(s.acme, zoe.ID)              // by the member
		recover(globex, "Zenobia@acme.test") // by the address, of somebody who is no member
		session := s.SignIn(s.Nobody(), "zenobia@acme.test")
		s.Works("before", session.Secret)
		s.Fenced()
		out, err := s.deletes("42")
		s.Must(err)
		if out.User != session.User || len(out.Memberships) != 1 || out.Memberships[0].Member != zoe.ID {
			t.Errorf("got %+v", out)
		}
		fenced := s.Fenced()
		for _, f := range []op.Fence{{Kind: op.FenceUser, ID: out.User}, {Kind: op.FenceSession, ID: session.Session}} {
			if !slices.Contains(fenced, f) {
				t.Errorf("%v is not fenced: %v", f, fenced)
			}
		}
		s.Dead("the session", session.Secret)
		_, err = directory.GetUser.Call(s.As(s.svc), s.Service, directory.UserInput{User: "42"})
		s.Refused("by external id", err, "not_found")
		_, err = s.deletes(out.User)
		s.Refused("a second time", err, "not_found")
		kept := s.Stored("name FROM users", "email FROM users", "email_folded FROM users", "sort_name FROM members", "email FROM invitations",
			"email_folded FROM invitations", "message FROM invitations", "body FROM audit_subjects", "detail FROM audit_rows", "email FROM owner_recoveries", "external_id FROM users WHERE external_id IS NOT NULL")
		if strings.Contains(strings.ToLower(kept), "zenobia") || strings.Contains(kept, "42\n") {
			t.Errorf("something is kept:\n%s", kept)
		}
		for _, organization := range []string{s.acme, globex} {
			if s.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'users.delete'", organization) != 1 {
				t.Errorf("the log of %s does not say it", organization)
			}
			if s.Number(`SELECT count(*) FROM audit_subjects s JOIN audit_rows r ON r.stream = s.stream AND r.seq = s.seq
				WHERE r.action = 'users.delete' AND s.stream = $1 AND s.n = 1 AND s.type IN ('member', 'invitation')`, organization) != 1 {
				t.Errorf("the log of %s does not name what ended", organization)
			}
		}
		if n := s.Number("SELECT count(*) FROM owner_recoveries WHERE state = 'cancelled' AND settled_at <> 0"); n != 2 {
			t.Errorf("%d recoveries are cancelled, want 2", n)
		}
		if fresh := s.SignIn(s.Nobody(), "zenobia@acme.test"); fresh.User == out.User {
			t.Error("a deleted user signs in")
		}
	})
}

// Two ways that an organization loses its last owner, at the same time: one wins. T-017.
func TestDeletingBothOwnersAtOnce(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		second := s.Join(s.acme, "second@acme.test", "owner")
		s.Most = 60
		outcomes := make(chan error, 2)
		go func() {
			_, err := directory.DeleteUser.Call(s.As(s.svc), s.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: s.owner.User}})
			outcomes <- err
		}()
		go func() {
			_, err := directory.Leave.Call(s.by(second), s.Service, directory.LeaveInput{InOrganization: s.in()})
			outcomes <- err
		}()
		went := 0
		for range 2 {
			if err := <-outcomes; err == nil {
				went++
			} else {
				want(t, "the other", err, "last_owner")
			}
		}
		if went != 1 {
			t.Errorf("%d of two owners went", went)
		}
	})
}

// Nobody becomes a member while they are deleted: whichever comes first, the doctor finds nothing.
func TestAddingWhileDeleting(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		s.Most = 60
		for range 10 {
			u, err := s.upserts("42", "zoe@acme.test", "Zoe")
			s.Must(err)
			added, deleted := make(chan error), make(chan error)
			go func() {
				_, err := s.adds(directory.AddMemberInput{User: u.ID, Role: "viewer"})
				added <- err
			}()
			go func() {
				_, err := directory.DeleteUser.Call(s.As(s.svc), s.Service, directory.DeleteUserInput{UserInput: directory.UserInput{User: u.ID}})
				deleted <- err
			}()
			if err := <-added; err != nil && code(err) != "invalid" && code(err) != "not_found" {
				t.Errorf("adding: %v", err)
			}
			s.Must(<-deleted)
		}
	})
}

// A key and a token say what they are and may.
func TestMeOfAKey(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		key := s.key(s.people["editor"], charter.PersonalKey, "runner", "workflows.run", "workflows.view")
		me, err := directory.GetMe.Call(s.As(key.Secret), s.Service, directory.GetMeInput{})
		s.Must(err)
		want := directory.Me{Kind: op.KeyActor, ID: key.ID, Name: "runner", OnBehalfOf: s.people["editor"].User, Organizations: []directory.Belonging{},
			Organization: me.Organization, Permissions: []charter.Permission{"workflows.view", "workflows.run"}, ExpiresAt: me.ExpiresAt}
		if diff := cmp.Diff(want, me); diff != "" {
			t.Error(diff)
		}
		if me.Organization.ID != s.acme || me.Organization.Slug != "acme" {
			t.Errorf("got %+v", me.Organization)
		}
		s.Must(s.gives(s.owner, s.people["editor"], "viewer"))
		me, err = directory.GetMe.Call(s.As(key.Secret), s.Service, directory.GetMeInput{})
		s.Must(err)
		if diff := cmp.Diff([]charter.Permission{"workflows.view"}, me.Permissions); diff != "" || !me.ReadOnly {
			t.Errorf("%s read only: %v", diff, me.ReadOnly)
		}
		_, err = directory.UpdateMe.Call(s.As(key.Secret), s.Service, directory.UpdateMeInput{Name: new("Mallory")})
		s.Refused("changing its creator", err, "people_only")
		s.After(time.Hour)
	})
}
