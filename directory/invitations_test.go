package directory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// inHouse runs a scenario on both databases, in an organization of the automation charter.
func inHouse(t *testing.T, scenario func(t *testing.T, h *house)) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		scenario(t, openHouse(t, db, testroom.Ready(t, "automation"), op.Settings{}))
	})
}

func TestAnInvitationIsMailedAndAccepted(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("Zoe <Zoe@acme.test>", "editor"))(t)
		if i.Email != "Zoe@acme.test" || i.State != directory.Pending || i.RoleTitle != "Editor" || i.InvitedBy.Name != "Ada" || i.Delivery != "queued" {
			t.Errorf("got %+v", i)
		}
		if want := h.Now().Add(168 * time.Hour); !i.ExpiresAt.Equal(want) {
			t.Errorf("it expires at %s, want %s", i.ExpiresAt, want)
		}
		r := must(h.Service.Invoke(t.Context(), directory.AcceptInvitation, op.Request{Input: directory.AcceptInvitationInput{
			TokenInput: directory.TokenInput{Token: h.token("Zoe@acme.test")}, Name: "Zoe Z"}}))(t)
		joined := r.Output.(directory.Joined)
		if joined.Role != "editor" || joined.Slug != "acme" || !joined.SignedIn || r.Session == nil {
			t.Fatalf("got %+v with session %v", joined, r.Session)
		}
		me := must(directory.GetMe.Call(h.holding("", r.Session.Token).ctx, h.Service, directory.GetMeInput{}))(t)
		if me.User.Email != "Zoe@acme.test" || me.User.Name != "Zoe Z" || len(me.Organizations) != 1 || me.Organizations[0].Member != joined.Member {
			t.Errorf("the session stands for %+v", me)
		}
		for n, name := range []string{"Zoe", "Zoe Zimmermann"} {
			must(directory.UpdateMe.Call(h.holding("", r.Session.Token).ctx, h.Service, directory.UpdateMeInput{Name: &name}))(t)
			if seq := h.Number("SELECT seq FROM streams WHERE id = $1", joined.User); seq != int64(n+1) {
				t.Errorf("after %d acts of their own the person's log is at %d", n+1, seq)
			}
		}
		if got := h.owner.gets(i.ID); got.State != directory.Accepted || got.Member != joined.Member || got.SettledAt == nil {
			t.Errorf("afterwards the invitation is %+v", got)
		}
		if n := h.Number(`SELECT count(*) FROM audit_rows r JOIN audit_subjects s ON s.stream = r.stream AND s.seq = r.seq
			WHERE r.stream = $1 AND r.action = 'invitations.accept' AND s.id IN ($2, $3)`, h.acme, i.ID, joined.Member); n != 2 {
			t.Errorf("the audit row names %d of invitation and member", n)
		}
	})
}

// T-013, T-014: every actor, every role, every charter.
func TestNobodyInvitesAboveTheirLevel(t *testing.T) {
	for _, name := range charter.Names() {
		t.Run(name, func(t *testing.T) {
			c := testroom.Ready(t, name)
			h := openHouse(t, testdb.SQLite(t), c, op.Settings{InviterHour: -1, TenantDay: -1, ResendsPerDay: -1})
			for _, from := range c.Roles() {
				actor := h.owner
				if !from.Owner {
					actor = h.joined(string(from.ID)+"@acme.test", from.ID)
				}
				for _, to := range c.Roles() {
					email := string(from.ID) + "-" + string(to.ID) + "@new.test"
					_, err := actor.invites(email, to.ID)
					switch {
					case !c.Can(from, "members.invite"):
						h.Refused(string(from.ID)+" invites "+string(to.ID), err, "denied")
					case to.Owner && c.Rules.Owners == charter.OneOwner:
						h.Refused(string(from.ID)+" invites "+string(to.ID), err, string(decide.ByTransferOnly))
					case to.Owner && !from.Owner:
						h.Refused(string(from.ID)+" invites "+string(to.ID), err, string(decide.OwnersOnly))
					case !to.Holds.SubsetOf(from.Holds):
						h.Refused(string(from.ID)+" invites "+string(to.ID), err, string(decide.AboveYourLevel))
					case err != nil:
						t.Errorf("%s invites %s: %v", from.ID, to.ID, err)
					}
				}
			}
		})
	}
}

// T-014: nor by changing or approving an invitation.
func TestNobodyRaisesAnInvitationAboveTheirLevel(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "documents"), op.Settings{})
	admin := h.joined("max@acme.test", "admin")
	i := must(admin.invites("zoe@acme.test", "member"))(t)
	_, err := admin.changesRole(i.ID, "owner")
	h.Refused("an admin makes it an owner's", err, "owners_only")
	must(h.owner.changesRole(i.ID, "owner"))(t)
	_, err = admin.reapproves(i.ID)
	h.Refused("an admin approves an owner's", err, "owners_only")
	must(admin.changesRole(i.ID, "admin"))(t)
	if got := h.owner.gets(i.ID); got.Role != "admin" || got.InvitedBy.Name != "max@acme.test" {
		t.Errorf("whoever changes the role stands for it: got %+v", got)
	}
}

// T-013: inviting oneself with a higher role, unseen, raises nobody.
func TestAcceptingAsAMemberChangesNothing(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		bob := h.joined("bob@acme.test", "viewer")
		h.removes("bob@acme.test")
		i := must(h.owner.invites("bob@acme.test", "editor"))(t)
		token := h.token("bob@acme.test")
		h.Exec("UPDATE members SET status = 'suspended', removed_at = 0 WHERE organization = $1 AND role = 'viewer'", h.acme)
		e := h.Refused("a member accepts", errOf(bob.accepts(token)), "already_member")
		if e.Refers["organization"] != h.acme {
			t.Errorf("it does not lead to the organization: %v", e.Refers)
		}
		if role := h.members()["bob@acme.test"]; role != "viewer" {
			t.Errorf("accepting made the role %s", role)
		}
		if got := h.owner.gets(i.ID); got.State != directory.Accepted {
			t.Errorf("the invitation is %s, want accepted", got.State)
		}
		h.Refused("once more", errOf(bob.accepts(token)), "invitation_accepted")
	})
}

func errOf[T any](_ T, err error) error { return err }

// T-022
func TestARemovedPersonsInvitationDies(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		second := h.joined("bob@acme.test", "owner")
		sent := must(second.invites("zoe@acme.test", "viewer"))(t)
		// An invitation beside the membership, as made by somebody who may not see members.
		i := must(h.owner.invites("rejoin@acme.test", "viewer"))(t)
		h.Exec("UPDATE invitations SET email = 'Bob@acme.test', email_folded = 'bob@acme.test' WHERE organization = $1 AND id = $2", h.acme, i.ID)
		token := h.token("rejoin@acme.test")
		h.removes("bob@acme.test")
		h.Refused("the removed person rejoins", errOf(second.accepts(token)), "invitation_cancelled")

		if got := h.owner.gets(sent.ID); got.State != directory.Pending {
			t.Errorf("what the removed person sent is %s, want pending", got.State)
		}
		h.Refused("somebody joins by it", errOf(h.nobody().accepts(h.token("zoe@acme.test"))), "needs_reapproval")
	})
}

// T-037
func TestAnAddressIsInvitedOnce(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		mails := len(h.Mails())
		e := h.Refused("inviting again", errOf(h.owner.invites("ZOE@ACME.test", "editor")), "already_invited")
		if e.Kind != op.Conflict || e.Refers["invitation"] != i.ID {
			t.Errorf("got kind %s and %v, want a conflict that names %s", e.Kind, e.Refers, i.ID)
		}
		if got := h.owner.gets(i.ID); got.Role != "viewer" || got.Version != 1 || len(h.Mails()) != mails {
			t.Errorf("it changed the invitation to %+v, or sent a mail", got)
		}
	})
}

// T-037
func TestChangingAndResendingEndTheOldLinks(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		first, link := h.token("zoe@acme.test"), h.owner.copiesLink(i.ID)
		must(h.owner.changesRole(i.ID, "editor"))(t)
		second := h.token("zoe@acme.test")
		h.Refused("the link that was copied before the change", errOf(h.nobody().opens(link)), "not_found")
		again, newest := h.owner.copiesLink(i.ID), h.owner.copiesLink(i.ID)
		h.Refused("a link after which another was copied", errOf(h.nobody().opens(again)), "not_found")
		must(h.nobody().opens(newest))(t)
		h.After(time.Hour)
		resent := must(h.owner.resends(i.ID))(t)
		third := h.token("zoe@acme.test")
		for name, token := range map[string]string{"the first link": first, "the copied link": newest, "the link of the change": second} {
			h.Refused(name, errOf(h.nobody().accepts(token)), "not_found")
			h.Refused(name, h.nobody().declines(token), "not_found")
			h.Refused(name, errOf(h.nobody().opens(token)), "not_found")
		}
		if want := h.Now().Add(168 * time.Hour); !resent.ExpiresAt.Equal(want) {
			t.Errorf("re-sent it expires at %s, want %s", resent.ExpiresAt, want)
		}
		if joined := must(h.nobody().accepts(third))(t); joined.Role != "editor" {
			t.Errorf("joined as %s", joined.Role)
		}
		for name, err := range map[string]error{"re-sending": errOf(h.owner.resends(i.ID)), "changing": errOf(h.owner.changesRole(i.ID, "viewer")),
			"cancelling": h.owner.cancels(i.ID), "approving": errOf(h.owner.reapproves(i.ID))} {
			h.Refused(name+" what was accepted", err, "invitation_accepted")
		}
	})
}

func TestInvitingAgainSettlesWhatHasExpired(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		h.After(168 * time.Hour)
		again := must(h.owner.invites("zoe@acme.test", "editor"))(t)
		if got := h.owner.gets(i.ID); got.State != directory.Expired || got.SettledAt == nil || !got.SettledAt.Equal(got.ExpiresAt) {
			t.Errorf("the first one is %+v", got)
		}
		if n := h.Number("SELECT count(*) FROM invitations WHERE organization = $1 AND state = 'pending'", h.acme); n != 1 || again.State != directory.Pending {
			t.Errorf("%d are pending, want one", n)
		}
	})
}

func blindHouse(t *testing.T, db *sqldb.DB) *house {
	t.Helper()
	source := `
name: blind
product: Blind
key_prefix: bld
roles:
  guest: {title: Guest, grants: [organization.view]}
  recruiter: {title: Recruiter, extends: guest, grants: [members.invite]}
  owner: {title: Owner, grants: all}
`
	return openHouse(t, db, must(charter.Parse("blind.yaml", []byte(source)))(t), op.Settings{})
}

// T-032
func TestInvitingTellsNobodyWhoIsAMember(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := blindHouse(t, db)
		recruiter := h.joined("rita@acme.test", "recruiter")
		h.joined("bob@acme.test", "guest")
		h.as("known@elsewhere.test")
		h.Refused("the owner invites a member", errOf(h.owner.invites("bob@acme.test", "guest")), "already_member")

		preview := must(directory.PreviewInvitations.Call(recruiter.ctx, h.Service, directory.PreviewInvitationsInput{
			InOrganization: op.InOrganization{Organization: "acme"}, Text: "bob@acme.test\nknown@elsewhere.test\nnew@elsewhere.test", Role: "guest"}))(t)
		for _, row := range preview.Data {
			if row.Verdict != directory.VerdictOK || row.Detail != "" {
				t.Errorf("a preview says %+v", row)
			}
		}
		var answers []directory.Invitation
		var statements []int
		for _, email := range []string{"bob@acme.test", "known@elsewhere.test", "new@elsewhere.test"} {
			i := must(recruiter.invites(email, "guest"))(t)
			statements = append(statements, h.Statements())
			i.ID, i.Email = "", ""
			answers = append(answers, i)
		}
		if diff := cmp.Diff(answers[0], answers[2]); diff != "" || cmp.Diff(answers[1], answers[2]) != "" {
			t.Errorf("a member and a stranger are answered differently:\n%s", diff)
		}
		if statements[0] != statements[2] || statements[1] != statements[2] {
			t.Errorf("the answers took %v statements", statements)
		}
		h.Refused("the member accepts", errOf(h.as("bob@acme.test").accepts(h.token("bob@acme.test"))), "already_member")
	})
}

func TestAnInvitationIsSeenByThoseWhoMayInvite(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		viewer, stranger := h.joined("bob@acme.test", "viewer"), h.as("eve@evil.test")
		get := func(p person) error { return errOf(directory.GetInvitation.Call(p.ctx, h.Service, one(i.ID))) }
		h.Refused("a viewer looks", get(viewer), "denied")
		h.Refused("a stranger looks", get(stranger), "not_found")
		h.Refused("nobody looks", get(h.nobody()), "unauthenticated")
		h.Refused("a stranger cancels", stranger.cancels(i.ID), "not_found")
		h.Refused("a viewer cancels", viewer.cancels(i.ID), "denied")
		mallory := h.as("mallory@globex.test")
		must(directory.CreateOrganization.Call(mallory.ctx, h.Service, directory.CreateOrganizationInput{Name: "Globex", Slug: "globex"}))(t)
		foreign := one(i.ID)
		foreign.Organization = "globex"
		h.Refused("from another organization", errOf(directory.GetInvitation.Call(mallory.ctx, h.Service, foreign)), "not_found")
		h.Refused("cancelling from there", errOf(directory.CancelInvitation.Call(mallory.ctx, h.Service, foreign)), "not_found")
		h.Refused("another id", errOf(directory.GetInvitation.Call(h.owner.ctx, h.Service, one("inv_00000000000000000000000000"))), "not_found")
	})
}

func TestInvitationsAreListedInPages(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			must(h.owner.invites(name+"_x@acme.test", "viewer"))(t)
			h.After(time.Second)
		}
		must(h.nobody().accepts(h.token("a_x@acme.test")))(t)
		if err := h.nobody().declines(h.token("b_x@acme.test")); err != nil {
			t.Fatal(err)
		}
		if err := h.owner.cancels(h.list("", "c_x")[0].ID); err != nil {
			t.Fatal(err)
		}
		h.Exec("UPDATE invitations SET expires_at = created_at WHERE organization = $1 AND email_folded = 'd_x@acme.test'", h.acme)
		for state, want := range map[directory.InvitationState]string{"": "e d c b a", directory.Pending: "e", directory.Expired: "d",
			directory.Cancelled: "c", directory.Declined: "b", directory.Accepted: "a"} {
			var got []string
			for _, i := range h.list(state, "") {
				got = append(got, i.Email[:1])
				if state != "" && i.State != state {
					t.Errorf("among %s is one that is %s", state, i.State)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%q lists %v, want %s", state, got, want)
			}
		}
		if got := h.list("", "A_X@ac"); len(got) != 1 || got[0].Email != "a_x@acme.test" {
			t.Errorf("searching finds %v", got)
		}
		if got := h.list("", "%"); len(got) != 0 {
			t.Errorf("a wildcard finds %v", got)
		}
	})
}

// list reads all pages of two.
func (h *house) list(state directory.InvitationState, q string) (all []directory.Invitation) {
	h.T.Helper()
	in := directory.ListInvitationsInput{InOrganization: op.InOrganization{Organization: "acme"}, Page: op.Page{Limit: 2}, State: state, Q: q}
	for {
		page := must(directory.ListInvitations.Call(h.owner.ctx, h.Service, in))(h.T)
		all = append(all, page.Data...)
		if !page.HasMore {
			return all
		}
		in.Cursor = page.NextCursor
	}
}

func TestAContractorsInvitationHasAnEnd(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		end := h.Now().Add(30 * 24 * time.Hour)
		create := func(role charter.RoleID, ends time.Time) (directory.Invitation, error) {
			return directory.CreateInvitation.Call(h.owner.ctx, h.Service, directory.CreateInvitationInput{
				InOrganization: op.InOrganization{Organization: "acme"}, Email: "zoe@acme.test", Role: role, EndsAt: &ends})
		}
		h.Refused("an owner with an end date", errOf(create("owner", end)), "invalid")
		h.Refused("an end in the past", errOf(create("viewer", h.Now())), "invalid")
		soon := must(create("viewer", h.Now().Add(time.Hour)))(t)
		if !soon.ExpiresAt.Equal(*soon.EndsAt) {
			t.Errorf("it expires at %s, after the membership ends", soon.ExpiresAt)
		}
		update := func(ends string, role charter.RoleID) (directory.Invitation, error) {
			return directory.UpdateInvitation.Call(h.owner.ctx, h.Service, directory.UpdateInvitationInput{InvitationInput: one(soon.ID), EndsAt: &ends, Role: &role})
		}
		h.Refused("an owner's end date by a change", errOf(update(end.Format(time.RFC3339), "owner")), "invalid")
		h.Refused("an end that is no time", errOf(update("tomorrow", "viewer")), "invalid")
		must(update(end.Format(time.RFC3339), "viewer"))(t)
		must(h.owner.resends(soon.ID))(t)
		joined := must(h.nobody().accepts(h.token("zoe@acme.test")))(t)
		m := must(directory.GetMember.Call(h.owner.ctx, h.Service, directory.MemberInput{InOrganization: op.InOrganization{Organization: "acme"}, Member: joined.Member}))(t)
		if m.EndsAt == nil || !m.EndsAt.Equal(end) {
			t.Errorf("the membership ends at %v, want %s", m.EndsAt, end)
		}

		h.After(31 * 24 * time.Hour)
		must(h.owner.invites("zoe@acme.test", "editor"))(t)
		if again := must(h.nobody().accepts(h.token("zoe@acme.test")))(t); again.Member == joined.Member || h.members()["zoe@acme.test"] != "editor" {
			t.Errorf("after its end the membership is not made anew: %+v", again)
		}
	})
}

func TestAnExpiryIsAtMostThirtyDaysAway(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
	for after, ok := range map[time.Duration]bool{0: false, -time.Hour: false, time.Microsecond: true, 720 * time.Hour: true, 720*time.Hour + time.Microsecond: false} {
		expires := h.Now().Add(after)
		i, err := directory.CreateInvitation.Call(h.owner.ctx, h.Service, directory.CreateInvitationInput{
			InOrganization: op.InOrganization{Organization: "acme"}, Email: after.String() + "@acme.test", Role: "viewer", ExpiresAt: &expires})
		if ok != (err == nil) || ok && !i.ExpiresAt.Equal(expires) {
			t.Errorf("an expiry %s away: %v", after, err)
		}
	}
}

func TestAWorkAddressCanBeAskedFor(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.With(t, "automation", "work_email_only: false", "work_email_only: true"), op.Settings{})
	h.Refused("a private address", errOf(h.owner.invites("zoe@GMail.com", "viewer")), "work_email_only")
	must(h.owner.invites("zoe@acme.test", "viewer"))(t)
}

func TestAVersionGuardsAChange(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
	i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
	must(h.owner.changesRole(i.ID, "editor"))(t)
	_, err := directory.CancelInvitation.Call(h.owner.ctx, h.Service, one(i.ID), op.IfMatch(i.ETag()))
	h.Refused("cancelling an older version", err, "stale")
	if got := h.owner.gets(i.ID); got.Version != 2 || got.State != directory.Pending {
		t.Errorf("got version %d, %s", got.Version, got.State)
	}
	if err := h.owner.cancels(i.ID); err != nil {
		t.Error(err)
	}
}
