package directory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// hall runs a scenario in acme on both databases, and asks the doctor at the end.
func scenario(t *testing.T, charterName string, run func(*testing.T, *guildhalltest.Hall, *guildhalltest.Organization)) {
	t.Helper()
	for _, d := range testdb.Dialects {
		t.Run(d.String(), func(t *testing.T) {
			h := guildhalltest.New(t, charterName, guildhalltest.OnDatabase(testdb.DSN(t, d)))
			run(t, h, h.Organization("acme"))
			h.Sound()
		})
	}
}

func named(o *guildhalltest.Organization, p *guildhalltest.Person) directory.MemberInput {
	return directory.MemberInput{InOrganization: o.In(), Member: p.Member}
}

func ending(o *guildhalltest.Organization, p *guildhalltest.Person) directory.EndMemberInput {
	return directory.EndMemberInput{MemberInput: named(o, p)}
}

func giveRole(h *guildhalltest.Hall, o *guildhalltest.Organization, by, of *guildhalltest.Person, role string) error {
	_, err := directory.UpdateMember.Call(by.Ctx(), h.Service(), directory.UpdateMemberInput{MemberInput: named(o, of), Role: &role})
	return err
}

func giveEnd(h *guildhalltest.Hall, o *guildhalltest.Organization, by, of *guildhalltest.Person, ends string) error {
	_, err := directory.UpdateMember.Call(by.Ctx(), h.Service(), directory.UpdateMemberInput{MemberInput: named(o, of), EndsAt: &ends})
	return err
}

// seesMembers asks as somebody for the list, which is their next request.
func seesMembers(h *guildhalltest.Hall, o *guildhalltest.Organization, p *guildhalltest.Person) error {
	_, err := directory.ListMembers.Call(p.Ctx(), h.Service(), directory.ListMembersInput{InOrganization: o.In()})
	return err
}

func code(err error) string {
	if err == nil {
		return "ok"
	}
	return op.AsError(err).FullCode()
}

func want(t *testing.T, what string, err error, expected string) {
	t.Helper()
	if got := code(err); got != expected {
		t.Errorf("%s: got %s (%v), want %s", what, got, err, expected)
	}
}

// T-014, T-015: the cube of actor, from and to, through the real operation, on every charter. The rule is said again
// here in ranks, which for a chain of roles is the same as subsets.
func TestTheCubeOfRoleChanges(t *testing.T) {
	cells := 0
	for _, name := range charter.Names() {
		h := guildhalltest.New(t, name)
		acme := h.Organization("acme")
		roles := h.Charter().Roles()
		for _, actor := range roles {
			for _, from := range roles {
				if from.Owner && h.Charter().Rules.Owners == charter.OneOwner {
					continue // there is one owner, and it is nobody's target but their own
				}
				of := acme.Join("target-"+string(actor.ID)+"-"+string(from.ID)+"@acme.test", from.ID)
				for _, to := range roles {
					cells++
					err := giveRole(h, acme, acme.People[actor.ID], of, string(to.ID))
					if got, allowed := err == nil, mayChange(h.Charter(), actor, from, to); got != allowed {
						t.Errorf("%s: %s makes a %s a %s: %v, want %v", name, actor.ID, from.ID, to.ID, err, allowed)
					}
					if err == nil && from != to {
						if err := giveRole(h, acme, acme.Owner(), of, string(from.ID)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		h.Sound()
	}
	t.Logf("%d cells", cells)
}

func mayChange(c *charter.Charter, actor, from, to *charter.Role) bool {
	if !c.Can(actor, "members.assign_role") || from.Rank > actor.Rank {
		return false
	}
	if from == to {
		return true
	}
	return to.Rank <= actor.Rank && !(to.Owner && c.Rules.Owners == charter.OneOwner)
}

// T-013: nobody raises themselves; everybody may lower themselves, as long as an owner stays.
func TestOwnRole(t *testing.T) {
	scenario(t, "gateway", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		reader, developer, admin, owner := acme.People["reader"], acme.People["developer"], acme.People["admin"], acme.People["owner"]
		want(t, "a reader makes herself admin", giveRole(h, acme, reader, reader, "admin"), "denied")
		want(t, "an admin makes herself owner", giveRole(h, acme, admin, admin, "owner"), "transfer_only")
		want(t, "the owner lowers herself", giveRole(h, acme, owner, owner, "admin"), "last_owner")
		want(t, "a developer lowers herself", giveRole(h, acme, developer, developer, "reader"), "ok")
		want(t, "and does not get up again", giveRole(h, acme, developer, developer, "developer"), "denied")
		want(t, "an admin lowers herself", giveRole(h, acme, admin, admin, "developer"), "ok")
		want(t, "and manages nobody any more", giveRole(h, acme, admin, reader, "developer"), "denied")
	})
}

// A demoted admin loses member management at the very next request, on every open session. T-021, T-024.
func TestDemotionIsAtOnce(t *testing.T) {
	scenario(t, "gateway", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		admin := acme.People["admin"]
		second := h.SignIn(admin.Email)
		want(t, "before", seesMembers(h, acme, second), "ok")
		want(t, "the demotion", giveRole(h, acme, acme.Owner(), admin, "developer"), "ok")
		want(t, "on one session", seesMembers(h, acme, admin), "denied")
		want(t, "on the other", seesMembers(h, acme, second), "denied")
		for _, p := range []*guildhalltest.Person{admin, second} {
			_, err := directory.CreateInvitation.Call(p.Ctx(), h.Service(), directory.CreateInvitationInput{InOrganization: acme.In(), Email: "x@acme.test", Role: "reader"})
			want(t, "an invitation", err, "denied")
		}
	})
}

func TestRemovalIsAtOnceAndRepeatable(t *testing.T) {
	scenario(t, "automation", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		editor := acme.People["editor"]
		for range 2 { // a repeat changes nothing and is no error
			_, err := directory.RemoveMember.Call(acme.Owner().Ctx(), h.Service(), ending(acme, editor))
			want(t, "removal", err, "ok")
			want(t, "the removed person's next request", seesMembers(h, acme, editor), "not_found")
		}
		_, err := directory.GetMember.Call(acme.Owner().Ctx(), h.Service(), named(acme, editor))
		want(t, "the removed member's page", err, "not_found")
		me, err := directory.GetMe.Call(editor.Ctx(), h.Service(), directory.GetMeInput{})
		if err != nil || len(me.Organizations) != 0 {
			t.Errorf("the account stays, without organizations: %+v, %v", me, err)
		}
	})
}

// T-022: what would lead back dies with the removal.
func TestRemovalCancelsInvitationsOfThePerson(t *testing.T) {
	scenario(t, "documents", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		member := acme.People["member"]
		_, err := directory.RemoveMember.Call(acme.Owner().Ctx(), h.Service(), ending(acme, member))
		want(t, "removal", err, "ok")
		back := acme.Join(member.Email, "member")
		want(t, "back again", seesMembers(h, acme, back), "ok")
		if back.Member == member.Member {
			t.Error("a member id is used again")
		}
	})
}

// T-018: only active owners count: neither a suspended one nor one whose end has come keeps an organization.
func TestOnlyActiveOwnersCount(t *testing.T) {
	scenario(t, "automation", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		ada := acme.Owner()
		bo := acme.Join("bo@acme.test", ada.Role)
		_, err := directory.SuspendMember.Call(ada.Ctx(), h.Service(), ending(acme, bo))
		want(t, "suspending one of two owners", err, "ok")
		_, err = directory.Leave.Call(ada.Ctx(), h.Service(), directory.LeaveInput{InOrganization: acme.In()})
		want(t, "leaving", err, "last_owner")
		want(t, "lowering oneself", giveRole(h, acme, ada, ada, "editor"), "last_owner")
		_, err = directory.RemoveMember.Call(h.Operator(), h.Service(), ending(acme, ada))
		want(t, "the operator removing", err, "last_owner")
		_, err = directory.SuspendMember.Call(h.Operator(), h.Service(), ending(acme, ada))
		want(t, "the operator suspending", err, "last_owner")
		want(t, "an end date", giveEnd(h, acme, ada, ada, h.Clock.Now().Add(time.Hour).Format(time.RFC3339)), "owner_with_end")
		_, err = directory.ReactivateMember.Call(ada.Ctx(), h.Service(), ending(acme, bo))
		want(t, "reactivating", err, "ok")
		want(t, "now lowering oneself", giveRole(h, acme, ada, ada, "editor"), "ok")
	})
}

func TestSuspensionKeepsTheRole(t *testing.T) {
	scenario(t, "automation", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		owner, editor := acme.Owner(), acme.People["editor"]
		_, err := directory.SuspendMember.Call(owner.Ctx(), h.Service(), ending(acme, editor))
		want(t, "suspension", err, "ok")
		want(t, "the suspended person's next request", seesMembers(h, acme, editor), "suspended")
		_, err = directory.SuspendMember.Call(owner.Ctx(), h.Service(), ending(acme, owner))
		want(t, "suspending oneself", err, "yourself")
		want(t, "making a suspended member owner", giveRole(h, acme, owner, editor, "owner"), "not_active")
		m, err := directory.ReactivateMember.Call(owner.Ctx(), h.Service(), ending(acme, editor))
		if err != nil || m.Role != "editor" || m.Status != "active" {
			t.Errorf("reactivated: %+v, %v", m, err)
		}
		want(t, "after it", seesMembers(h, acme, editor), "ok")
	})
}

// A membership ends at its own microsecond, whether or not anything has run since.
func TestEndDate(t *testing.T) {
	scenario(t, "gateway", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		admin, owner := acme.People["admin"], acme.Owner()
		ends := h.Clock.Now().Add(24 * time.Hour)
		want(t, "a past end", giveEnd(h, acme, owner, admin, h.Clock.Now().Format(time.RFC3339)), "invalid")
		want(t, "nonsense", giveEnd(h, acme, owner, admin, "tomorrow"), "invalid")
		want(t, "an end", giveEnd(h, acme, owner, admin, ends.Format(time.RFC3339)), "ok")
		_, err := directory.TransferOwnership.Call(owner.Ctx(), h.Service(), directory.TransferInput{InOrganization: acme.In(), Member: admin.Member})
		want(t, "ownership for somebody with an end date", err, "owner_with_end")
		h.Clock.Advance(24*time.Hour - time.Microsecond)
		want(t, "a microsecond before", seesMembers(h, acme, admin), "ok")
		h.Clock.Advance(time.Microsecond)
		want(t, "at the end", seesMembers(h, acme, admin), "membership_ended")
		if err := h.RunDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(t, "after the sweep", seesMembers(h, acme, admin), "not_found")
	})
}

// T-020: ownership passes to an active member of this organization with the role that the charter names, and to nobody
// else; the previous owner gets the charter's role in the same transaction.
func TestTransfer(t *testing.T) {
	scenario(t, "gateway", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		globex := h.Organization("globex")
		owner, admin, developer := acme.Owner(), acme.People["admin"], acme.People["developer"]
		transfer := func(by *guildhalltest.Person, member string) error {
			_, err := directory.TransferOwnership.Call(by.Ctx(), h.Service(), directory.TransferInput{InOrganization: acme.In(), Member: member})
			return err
		}
		want(t, "to a developer", transfer(owner, developer.Member), "wrong_role")
		want(t, "to oneself", transfer(owner, owner.Member), "already_owner")
		want(t, "to a member of another organization", transfer(owner, globex.People["admin"].Member), "not_found")
		want(t, "to nobody", transfer(owner, "mem_00000000000000000000000000"), "not_found")
		want(t, "by an admin", transfer(admin, admin.Member), "denied")
		_, err := directory.SuspendMember.Call(owner.Ctx(), h.Service(), ending(acme, admin))
		want(t, "suspension", err, "ok")
		want(t, "to a suspended admin", transfer(owner, admin.Member), "not_active")
		_, err = directory.ReactivateMember.Call(owner.Ctx(), h.Service(), ending(acme, admin))
		want(t, "reactivation", err, "ok")
		want(t, "to an admin", transfer(owner, admin.Member), "ok")
		want(t, "twice", transfer(owner, admin.Member), "denied")
		for p, role := range map[*guildhalltest.Person]string{owner: "admin", admin: "owner"} {
			m, err := directory.GetMember.Call(p.Ctx(), h.Service(), named(acme, p))
			if err != nil || m.Role != role {
				t.Errorf("%s is %s, want %s (%v)", p.Email, m.Role, role, err)
			}
		}
		if got := h.Deliver(owner.Email).Subject; got != "“acme”: Ownership was handed over" {
			t.Errorf("the previous owner is told %q", got)
		}
	})
}

// Where the charter asks for it, the recipient has to accept; either side can take it back, and it expires.
func TestTransferWithAcceptance(t *testing.T) {
	source := charter.Source("gateway")
	c, err := charter.Parse("accepting.yaml", []byte(replaceOnce(t, string(source), "acceptance: none", "acceptance: required")))
	if err != nil {
		t.Fatal(err)
	}
	h := guildhalltest.WithCharter(t, c)
	acme := h.Organization("acme")
	owner, admin := acme.Owner(), acme.People["admin"]
	pending := directory.PendingInput{InOrganization: acme.In()}
	transfer := func() {
		t.Helper()
		got, err := directory.TransferOwnership.Call(owner.Ctx(), h.Service(), directory.TransferInput{InOrganization: acme.In(), Member: admin.Member})
		if err != nil || got.State != "pending" {
			t.Fatalf("transfer: %+v, %v", got, err)
		}
	}
	transfer()
	want(t, "still owner", giveRole(h, acme, owner, acme.People["reader"], "admin"), "ok")
	_, err = directory.TransferOwnership.Call(owner.Ctx(), h.Service(), directory.TransferInput{InOrganization: acme.In(), Member: admin.Member})
	want(t, "a second one", err, "transfer_pending")
	_, err = directory.AcceptOwnership.Call(acme.People["developer"].Ctx(), h.Service(), pending)
	want(t, "accepting what is another's", err, "denied")
	_, err = directory.CancelOwnership.Call(admin.Ctx(), h.Service(), pending)
	want(t, "declining", err, "ok")
	_, err = directory.AcceptOwnership.Call(admin.Ctx(), h.Service(), pending)
	if code(err) == "ok" {
		t.Error("a cancelled hand-over was accepted")
	}
	transfer()
	h.Clock.Advance(directory.TransferLife)
	_, err = directory.AcceptOwnership.Call(admin.Ctx(), h.Service(), pending)
	if code(err) == "ok" {
		t.Error("an expired hand-over was accepted")
	}
	transfer()
	_, err = directory.AcceptOwnership.Call(admin.Ctx(), h.Service(), pending)
	want(t, "accepting", err, "ok")
	m, err := directory.GetMember.Call(admin.Ctx(), h.Service(), named(acme, admin))
	if err != nil || !m.Owner {
		t.Errorf("the recipient is %s (%v)", m.Role, err)
	}
	h.Sound()
}

func TestListMembers(t *testing.T) {
	scenario(t, "automation", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		for _, email := range []string{"zoe@acme.test", "amy_x@acme.test", "bob%y@acme.test"} {
			h.Clock.Advance(time.Minute)
			acme.Join(email, "viewer")
		}
		list := func(in directory.ListMembersInput) []string {
			t.Helper()
			in.InOrganization, in.Limit = acme.In(), 2
			var emails []string
			for {
				page, err := directory.ListMembers.Call(acme.Owner().Ctx(), h.Service(), in)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range page.Data {
					emails = append(emails, m.Email)
				}
				if !page.HasMore {
					return emails
				}
				in.Cursor = page.NextCursor
			}
		}
		byName := []string{"amy_x@acme.test", "bob%y@acme.test", "editor@acme.test", "owner@acme.test", "viewer@acme.test", "zoe@acme.test"}
		compare(t, "by name", list(directory.ListMembersInput{}), byName)
		compare(t, "by name, down", list(directory.ListMembersInput{Sort: "-name"}), reversed(byName))
		compare(t, "by role, down", list(directory.ListMembersInput{Sort: "-role"})[:2], []string{"owner@acme.test", "editor@acme.test"})
		compare(t, "last joined", list(directory.ListMembersInput{Sort: "-joined"})[:3], []string{"bob%y@acme.test", "amy_x@acme.test", "zoe@acme.test"})
		compare(t, "search is for text, not for patterns", list(directory.ListMembersInput{Query: "%"}), []string{"bob%y@acme.test"})
		compare(t, "nor is an underscore one", list(directory.ListMembersInput{Query: "amy_"}), []string{"amy_x@acme.test"})
		compare(t, "search folds case", list(directory.ListMembersInput{Query: "ZOE"}), []string{"zoe@acme.test"})
		compare(t, "by role", list(directory.ListMembersInput{Role: "owner"}), []string{"owner@acme.test"})
		_, err := directory.ListMembers.Call(acme.Owner().Ctx(), h.Service(), directory.ListMembersInput{InOrganization: acme.In(), Role: "ownr"})
		want(t, "an unknown role", err, "invalid")
	})
}

// A form that was made from an older version is refused, and nothing of it happens.
func TestStaleMember(t *testing.T) {
	scenario(t, "automation", func(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) {
		owner, editor := acme.Owner(), acme.People["editor"]
		m, err := directory.GetMember.Call(owner.Ctx(), h.Service(), named(acme, editor))
		want(t, "reading", err, "ok")
		want(t, "somebody else's change", giveRole(h, acme, owner, editor, "viewer"), "ok")
		role := "owner"
		_, err = directory.UpdateMember.Call(owner.Ctx(), h.Service(), directory.UpdateMemberInput{MemberInput: named(acme, editor), Role: &role}, op.IfMatch(m.ETag()))
		want(t, "the stale change", err, "stale")
		now, err := directory.GetMember.Call(owner.Ctx(), h.Service(), named(acme, editor))
		if err != nil || now.Role != "viewer" {
			t.Errorf("the role is %s (%v)", now.Role, err)
		}
	})
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

func reversed(s []string) []string {
	r := slices.Clone(s)
	slices.Reverse(r)
	return r
}

func replaceOnce(t *testing.T, s, old, with string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q stands there %d times", old, strings.Count(s, old))
	}
	return strings.Replace(s, old, with, 1)
}
