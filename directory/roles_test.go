package directory_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// T-023: nobody puts into a role what they do not hold, neither when it is made nor later; and nobody touches a role
// that holds more than they do.
func TestARoleHoldsOnlyWhatItsAuthorHolds(t *testing.T) {
	inShops(t, "documents", func(s *shop) {
		admin := s.people["admin"]
		_, err := s.makes(admin, "Heir", "organization.transfer")
		if e := s.Refused("a permission of owners", err, "denied"); e.Needs != "organization.transfer" {
			t.Errorf("needs %q", e.Needs)
		}
		_, err = directory.CreateRole.Call(s.by(admin), s.Service, directory.CreateRoleInput{InOrganization: s.in(), Title: "Heir", From: "owner"})
		s.Refused("a copy of the owner role", err, "denied")
		_, err = s.makes(s.people["member"], "Clerk", "usage.view")
		s.Refused("without the right to make roles", err, "denied")
		clerk, err := s.makes(admin, "Clerk", "billing.view")
		s.Must(err)
		wide := directory.UpdateRoleInput{GetRoleInput: s.names(clerk.ID), Permissions: []charter.Permission{"organization.transfer"}}
		_, err = directory.UpdateRole.Call(s.by(admin), s.Service, wide)
		s.Refused("widening it", err, "denied")
		_, err = s.dryRun(s.by(admin), directory.UpdateRole, wide)
		s.Refused("asking what widening would do", err, "denied")
		_, err = directory.UpdateRole.Call(s.by(s.owner), s.Service, wide)
		s.Must(err)
		s.Refused("giving it now", s.gives(admin, s.people["member"], clerk.ID), "above_your_level")
		title := "Mine"
		_, err = directory.UpdateRole.Call(s.by(admin), s.Service, directory.UpdateRoleInput{GetRoleInput: s.names(clerk.ID), Title: &title})
		s.Refused("renaming it now", err, "above_your_level")
		_, err = directory.DeleteRole.Call(s.by(admin), s.Service, directory.DeleteRoleInput{GetRoleInput: s.names(clerk.ID)})
		s.Refused("deleting it now", err, "above_your_level")
		_, err = directory.PreviewRole.Call(s.by(admin), s.Service, directory.PreviewRoleInput{InOrganization: s.in(), Role: clerk.ID, Permissions: []charter.Permission{"usage.view"}})
		s.Refused("previewing it now", err, "above_your_level")
	})
}

// T-023, T-013: for any author's role and any set, a role comes of it exactly if the author holds the set; and then its
// holder may do nothing that the author may not.
func TestRolesAreSubsetsOfTheirAuthors(t *testing.T) {
	s := openShop(t, testdb.Open(t, sqldb.SQLite), testroom.Ready(t, "documents"))
	ids := s.Charter.IDs(s.Charter.All())
	author := s.people["admin"]
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		holds := append(rapid.SliceOfDistinct(rapid.SampledFrom(ids), rapid.ID).Draw(t, "author"), "roles.manage", "organization.view")
		wants := rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, 5, rapid.ID).Draw(t, "role")
		s.Exec("DELETE FROM organization_roles WHERE organization = $1", s.acme)
		s.Exec("UPDATE members SET role = $2 WHERE id = $1", author.Member, "admin")
		mine := s.role("Author", holds...)
		s.Exec("UPDATE members SET role = $2 WHERE id = $1", author.Member, mine.ID)
		_, err := s.makes(author, "Made", wants...)
		allowed := !slices.ContainsFunc(wants, func(p charter.Permission) bool { return !slices.Contains(holds, p) })
		if got := err == nil; got != allowed {
			t.Fatalf("an author of %v makes a role of %v: %v, want %v", holds, wants, err, allowed)
		}
	})
	if n < 50 {
		t.Errorf("only %d cases", n)
	}
}

// A role of one's own decides like one of the charter's, from the moment that it is given or changed.
func TestACustomRoleDecides(t *testing.T) {
	inShops(t, "documents", func(s *shop) {
		member := s.people["member"]
		list := func() error {
			_, err := directory.ListInvitations.Call(s.by(member), s.Service, directory.ListInvitationsInput{InOrganization: s.in()})
			return err
		}
		host := s.role("Host", "members.invite", "members.view")
		s.Must(s.gives(s.owner, member, host.ID))
		s.Must(list())
		s.Fenced()
		_, err := directory.UpdateRole.Call(s.by(s.owner), s.Service, directory.UpdateRoleInput{GetRoleInput: s.names(host.ID), Permissions: []charter.Permission{}})
		s.Must(err)
		if got := s.Statements(); got > 7 {
			t.Errorf("a change of a role took %d statements", got)
		}
		if fenced := s.Fenced(); !slices.Contains(fenced, op.Fence{Kind: op.FenceUser, ID: member.User}) {
			t.Errorf("who has the role is not fenced: %v", fenced)
		}
		s.Refused("after the role lost it", list(), "denied")
		got, err := directory.GetRole.Call(s.by(member), s.Service, s.names(host.ID))
		s.Must(err)
		want := directory.Role{ID: host.ID, Title: "Host", Custom: true, Permissions: []charter.Permission{"organization.view"}, Members: 1,
			Grantable: true, Version: 2}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Custom roles stand among the charter's by what they hold, and members are listed in that order.
func TestRolesAreListedByWhatTheyHold(t *testing.T) {
	inShops(t, "documents", func(s *shop) {
		s.role("All but a name", s.Charter.IDs(s.Charter.All())...)
		clerk := s.role("Clerk", "billing.view")
		s.Must(s.gives(s.owner, s.people["admin"], clerk.ID))
		roles, err := directory.ListRoles.Call(s.by(s.owner), s.Service, directory.ListRolesInput{InOrganization: s.in()})
		s.Must(err)
		var titles []string
		for i, role := range roles.Data {
			titles = append(titles, role.Title)
			if role.Rank != i {
				t.Errorf("%s has rank %d, want %d", role.Title, role.Rank, i)
			}
		}
		compare(t, "roles", titles, []string{"Clerk", "Member", "Admin", "All but a name", "Owner"})
		if roles.Data[0].Members != 1 || !roles.Data[0].Custom || roles.Data[1].Custom {
			t.Errorf("got %+v", roles.Data[:2])
		}
		members, err := directory.ListMembers.Call(s.by(s.owner), s.Service, directory.ListMembersInput{InOrganization: s.in(), Sort: "role"})
		s.Must(err)
		var order []string
		for _, m := range members.Data {
			order = append(order, m.RoleTitle)
		}
		compare(t, "members", order, []string{"Clerk", "Member", "Owner"})
		members, err = directory.ListMembers.Call(s.by(s.owner), s.Service, directory.ListMembersInput{InOrganization: s.in(), Role: clerk.ID})
		s.Must(err)
		if len(members.Data) != 1 || members.Data[0].ID != s.people["admin"].Member {
			t.Errorf("with the role: %+v", members.Data)
		}
		me, err := directory.GetMe.Call(s.by(s.people["admin"]), s.Service, directory.GetMeInput{})
		s.Must(err)
		if got := me.Organizations[0].RoleTitle; got != "Clerk" {
			t.Errorf("the person reads the role as %q", got)
		}
	})
}

// What is refused of a role's words and fate, and with which code.
func TestRolesThatAreRefused(t *testing.T) {
	inShops(t, "documents", func(s *shop) {
		clerk := s.role("Clerk", "billing.view")
		other := s.role("Other", "usage.view")
		refused := func(what string, in directory.CreateRoleInput, code string) *op.Error {
			t.Helper()
			in.InOrganization = s.in()
			_, err := directory.CreateRole.Call(s.by(s.owner), s.Service, in)
			return s.Refused(what, err, code)
		}
		p := []charter.Permission{"usage.view"}
		refused("a title that is taken", directory.CreateRoleInput{Title: "CLERK", Permissions: p}, "title_taken")
		refused("the title of one of the charter's", directory.CreateRoleInput{Title: "owner", Permissions: p}, "title_taken")
		refused("an invisible title", directory.CreateRoleInput{Title: "a\u202eb", Permissions: p}, "invalid")
		refused("no permission at all", directory.CreateRoleInput{Title: "Empty"}, "invalid")
		refused("a copy of nothing", directory.CreateRoleInput{Title: "Copy", From: "clrk"}, "invalid")
		if e := refused("an unknown permission", directory.CreateRoleInput{Title: "Typo", Permissions: []charter.Permission{"usage.veiw"}}, "invalid"); e.Text !=
			`this product has no permission "usage.veiw"; did you mean "usage.view"?` {
			t.Errorf("got %q", e.Text)
		}
		title := "Other"
		_, err := directory.UpdateRole.Call(s.by(s.owner), s.Service, directory.UpdateRoleInput{GetRoleInput: s.names(clerk.ID), Title: &title})
		s.Refused("renaming to a taken title", err, "title_taken")
		_, err = directory.UpdateRole.Call(s.by(s.owner), s.Service, directory.UpdateRoleInput{GetRoleInput: s.names("admin"), Title: &title})
		s.Refused("changing one of the charter's", err, "charter_role")
		_, err = directory.DeleteRole.Call(s.by(s.owner), s.Service, directory.DeleteRoleInput{GetRoleInput: s.names("member")})
		s.Refused("deleting one of the charter's", err, "charter_role")
		_, err = directory.UpdateRole.Call(s.by(s.owner), s.Service, directory.UpdateRoleInput{GetRoleInput: s.names("rol_00000000000000000000000000"), Title: &title})
		s.Refused("changing what there is not", err, "not_found")
		globex, _ := s.Found("globex", "gil@globex.test")
		_, err = directory.GetRole.Call(s.Operator(), s.Service, directory.GetRoleInput{InOrganization: op.InOrganization{Organization: globex}, Role: other.ID})
		s.Refused("another organization's role", err, "not_found") // T-001
	})
}

// A role in use is deleted only with a word on where its members and service accounts go. T-020 for roles: nobody becomes
// an owner that way.
func TestDeletingARole(t *testing.T) {
	inShops(t, "documents", func(s *shop) {
		member := s.people["member"]
		clerk := s.role("Clerk", "billing.view", "api.call")
		s.Must(s.gives(s.owner, member, clerk.ID))
		account, err := credential.CreateServiceAccount.Call(s.by(s.owner), s.Service, credential.CreateServiceAccountInput{InOrganization: s.in(), Name: "robot", Role: charter.RoleID(clerk.ID)})
		s.Must(err)
		in := directory.DeleteRoleInput{GetRoleInput: s.names(clerk.ID)}
		_, err = directory.DeleteRole.Call(s.by(s.owner), s.Service, in)
		if e := s.Refused("without a target", err, "role_in_use"); e.Text != "1 member and 1 service account have this role: say in move_to which role they get" {
			t.Errorf("got %q", e.Text)
		}
		for to, code := range map[string]string{"owner": "invalid", clerk.ID: "invalid", "nobody": "invalid"} {
			in.MoveTo = to
			_, err = directory.DeleteRole.Call(s.by(s.owner), s.Service, in)
			s.Refused("moving to "+to, err, code)
		}
		in.MoveTo = "member"
		impact, err := s.dryRun(s.by(s.owner), directory.DeleteRole, in)
		s.Must(err)
		if impact.Summary != "1 member and 1 service account become Member" || len(impact.Effects) != 2 {
			t.Errorf("got %+v", impact)
		}
		s.Fenced()
		s.Most = 9 // members and service accounts at once
		out, err := directory.DeleteRole.Call(s.by(s.owner), s.Service, in)
		s.Must(err)
		if diff := cmp.Diff(directory.DeletedRole{Role: clerk.ID, MovedTo: "member", Members: 1, ServiceAccounts: 1}, out); diff != "" {
			t.Error(diff)
		}
		if fenced := s.Fenced(); !slices.Contains(fenced, op.Fence{Kind: op.FenceUser, ID: member.User}) {
			t.Errorf("not fenced: %v", fenced)
		}
		if n := s.Number("SELECT count(*) FROM service_accounts WHERE id = $1 AND role = 'member'", account.ID); n != 1 {
			t.Error("the service account has not moved")
		}
		_, err = directory.GetRole.Call(s.by(s.owner), s.Service, s.names(clerk.ID))
		s.Refused("the role", err, "not_found")
	})
}

// A preview names who gains and loses, and the keys that break.
func TestPreviewOfARole(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		editor := s.people["editor"]
		maker := s.role("Maker", "workflows.view", "workflows.run", "keys.create", "keys.create_own")
		s.Must(s.gives(s.owner, editor, maker.ID))
		s.key(editor, charter.PersonalKey, "runner", "workflows.run", "workflows.view")
		s.key(editor, charter.PersonalKey, "viewer", "workflows.view")
		impact, err := directory.PreviewRole.Call(s.by(s.owner), s.Service, directory.PreviewRoleInput{InOrganization: s.in(), Role: maker.ID,
			Permissions: []charter.Permission{"workflows.view", "usage.view", "keys.create", "keys.create_own"}})
		s.Must(err)
		if impact.Summary != "1 member gains 1 permission and loses 1" || !impact.DryRun {
			t.Errorf("got %q", impact.Summary)
		}
		if diff := cmp.Diff(map[string]string{"Editor": "gains usage.view; loses workflows.run"}, effects(impact, "member")); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(map[string]string{"runner": "loses workflows.run"}, effects(impact, "key")); diff != "" {
			t.Error(diff)
		}
		impact, err = directory.PreviewRole.Call(s.by(s.owner), s.Service, directory.PreviewRoleInput{InOrganization: s.in(), Permissions: []charter.Permission{"usage.view"}})
		s.Must(err)
		if diff := cmp.Diff([]charter.Permission{"organization.view", "usage.view"}, impact.Gains); diff != "" {
			t.Error(diff)
		}
	})
}

// T-039: a key shrinks with its creator's role, whoever changes that.
func TestAKeyShrinksWithItsCreatorsRole(t *testing.T) {
	inShops(t, "automation", func(s *shop) {
		editor := s.people["editor"]
		maker := s.role("Maker", "workflows.view", "workflows.run", "keys.create", "keys.create_own")
		s.Must(s.gives(s.owner, editor, maker.ID))
		key := s.key(editor, charter.PersonalKey, "runner", "workflows.run", "workflows.view")
		narrow := []charter.Permission{"workflows.view"}
		_, err := directory.UpdateRole.Call(s.by(s.owner), s.Service, directory.UpdateRoleInput{GetRoleInput: s.names(maker.ID), Permissions: narrow})
		s.Must(err)
		if diff := cmp.Diff(narrow, s.may(key.Secret)); diff != "" {
			t.Error(diff)
		}
	})
}

// T-028: an invitation to a role that was deleted waits until somebody chooses another.
func TestAnInvitationToADeletedRole(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := openHouse(t, db, testroom.Ready(t, "documents"), op.Settings{})
		made := must(directory.CreateRole.Call(h.owner.ctx, h.Service, directory.CreateRoleInput{InOrganization: op.InOrganization{Organization: "acme"},
			Title: "Guest", Permissions: []charter.Permission{"usage.view"}}))(t)
		invitation := must(h.owner.invites("zoe@acme.test", charter.RoleID(made.ID)))(t)
		if invitation.RoleTitle != "Guest" {
			t.Errorf("invited as %q", invitation.RoleTitle)
		}
		if opened := must(h.nobody().opens(h.token("zoe@acme.test")))(t); opened.RoleTitle != "Guest" || len(opened.Permissions) != 2 {
			t.Errorf("the page shows %+v", opened)
		}
		if joined := must(h.nobody().accepts(h.token("zoe@acme.test")))(t); joined.RoleTitle != "Guest" {
			t.Errorf("joined as %q", joined.RoleTitle)
		}
		late := must(h.owner.invites("yan@acme.test", charter.RoleID(made.ID)))(t)
		must(directory.DeleteRole.Call(h.owner.ctx, h.Service, directory.DeleteRoleInput{GetRoleInput: directory.GetRoleInput{
			InOrganization: op.InOrganization{Organization: "acme"}, Role: made.ID}, MoveTo: "member"}))(t)
		_, err := h.nobody().accepts(h.token("yan@acme.test"))
		h.Refused("accepting", err, "role_gone")
		if !h.owner.gets(late.ID).NeedsApproval {
			t.Error("it does not wait")
		}
		_, err = h.owner.reapproves(late.ID)
		h.Refused("approving it", err, "role_gone")
		must(h.owner.changesRole(late.ID, "member"))(t)
		must(h.nobody().accepts(h.token("yan@acme.test")))(t)
		if role := h.members()["yan@acme.test"]; role != "member" {
			t.Errorf("yan is %q", role)
		}
	})
}

// Who holds a permission by a custom role is named in refusals.
func TestHoldersHaveCustomRolesToo(t *testing.T) {
	inShops(t, "documents", func(s *shop) {
		s.Must(s.gives(s.owner, s.people["admin"], s.role("Heir", "organization.delete").ID))
		s.Must(s.Service.View(t.Context(), op.CallerOf(s.by(s.owner)), s.acme, func(r *op.Reader) error {
			holders, err := directory.Holders(t.Context(), r, "organization.delete")
			if len(holders) != 2 {
				t.Errorf("held by %+v", holders)
			}
			return err
		}))
	})
}
