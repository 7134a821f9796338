package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

func (p person) previews(role, text string) (directory.InvitationPreview, error) {
	in := directory.PreviewInvitationsInput{InOrganization: op.InOrganization{Organization: "acme"}, Text: text, Role: charter.RoleID(role)}
	return directory.PreviewInvitations.Call(p.ctx, p.h.Service, in)
}

func TestAPastedListIsJudgedBeforeAnythingIsSent(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.joined("bob@acme.test", "viewer")
		pending := must(h.owner.invites("cy@acme.test", "viewer"))(t)
		h.seats(5)
		mails := len(h.Mails())
		preview := must(h.owner.previews("viewer", "Zoe <zoe@acme.test>, bob@acme.test; cy@acme.test\nann\nZOE@acme.test\nmax@acme.test\nsam@acme.test"))(t)
		var got []string
		for _, row := range preview.Data {
			got = append(got, fmt.Sprintf("%d %s %s", row.Line, row.Text, row.Verdict))
		}
		want := []string{"1 Zoe <zoe@acme.test> ok", "1 bob@acme.test already_member", "1 cy@acme.test pending", "2 ann invalid",
			"3 ZOE@acme.test duplicate", "4 max@acme.test ok", "5 sam@acme.test no_seat"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the verdicts differ:\n%s", diff)
		}
		if preview.OK != 2 || preview.SeatsLeft == nil || *preview.SeatsLeft != 2 {
			t.Errorf("it says %d ok, %v seats left", preview.OK, preview.SeatsLeft)
		}
		if preview.Data[0].Name != "Zoe" || preview.Data[0].Email != "zoe@acme.test" || preview.Data[2].Invitation != pending.ID {
			t.Errorf("got %+v and %+v", preview.Data[0], preview.Data[2])
		}
		if preview.Data[3].Detail != `"ann" is not an address: it has no @` {
			t.Errorf("what is no address is explained with %q", preview.Data[3].Detail)
		}
		if len(h.Mails()) != mails || h.Number("SELECT count(*) FROM invitations WHERE organization = $1", h.acme) != 2 {
			t.Error("looking sent something")
		}
	})
}

func TestAPreviewSaysWhichRoleIsTooHigh(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "documents"), op.Settings{})
	admin := h.joined("max@acme.test", "admin")
	preview := must(admin.previews("owner", "zoe@acme.test"))(t)
	if got := preview.Data[0].Verdict; got != directory.VerdictRoleAboveYours {
		t.Errorf("an admin's invitation of an owner is %s", got)
	}
	if got := must(admin.previews("admin", "zoe@acme.test"))(t).Data[0].Verdict; got != directory.VerdictOK {
		t.Errorf("an admin's invitation of an admin is %s", got)
	}
	h.Refused("a list of 501", errOf(admin.previews("admin", strings.Repeat("a@b.test\n", 501))), "invalid")
}

func TestManyAreInvitedAsFarAsPossible(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := openHouse(t, db, testroom.Ready(t, "documents"), op.Settings{InviterHour: 4})
		admin := h.joined("max@acme.test", "admin")
		h.Exec("UPDATE invitations SET sent_at = 0 WHERE organization = $1", h.acme)
		pending := must(admin.invites("cy@acme.test", "member"))(t)
		call := func(rows ...string) directory.InvitationResults {
			in := directory.CreateInvitationsInput{InOrganization: op.InOrganization{Organization: "acme"}, Message: "Hello"}
			for _, row := range rows {
				email, role, _ := strings.Cut(row, " ")
				in.Invitations = append(in.Invitations, directory.NewInvitation{Email: email, Role: charter.RoleID(role)})
			}
			return must(directory.CreateInvitations.Call(admin.ctx, h.Service, in))(t)
		}
		results := call("zoe@acme.test member", "ann member", "cy@acme.test member", "max@acme.test member", "own@acme.test owner",
			"ad@acme.test admin", "ZOE@acme.test admin", "x@acme.test nothing", "y@acme.test member", "z@acme.test member")
		var got []directory.Verdict
		for _, r := range results.Data {
			got = append(got, r.Verdict)
			if (r.Verdict == directory.VerdictOK) != (r.Invitation != nil) || (r.Verdict == directory.VerdictOK) != (r.Detail == "") {
				t.Errorf("got %+v", r)
			}
		}
		want := []directory.Verdict{"ok", "invalid", "pending", "already_member", "role_above_yours", "ok", "duplicate", "invalid", "ok", "limited"}
		if diff := cmp.Diff(want, got); diff != "" || results.Invited != 3 {
			t.Errorf("the results differ, %d invited:\n%s", results.Invited, diff)
		}
		if results.Data[2].Pending != pending.ID || results.Data[5].Invitation.Email != "ad@acme.test" || results.Data[5].Invitation.Role != "admin" {
			t.Errorf("got %+v and %+v", results.Data[2], results.Data[5])
		}
		if joined := must(h.nobody().accepts(h.token("ad@acme.test")))(t); joined.Role != "admin" {
			t.Errorf("ad joined as %s", joined.Role)
		}
		if again := call("ann member"); again.Invited != 0 {
			t.Errorf("nobody can be invited, and %d were", again.Invited)
		}
		if n := h.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'invitations.create_many' AND outcome = 'unchanged'", h.acme); n != 1 {
			t.Errorf("%d rows say that nothing changed", n)
		}
	})
}

func TestManySettleWhatHasExpired(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		h.Exec("UPDATE invitations SET expires_at = 1 WHERE organization = $1", h.acme)
		results := must(directory.CreateInvitations.Call(h.owner.ctx, h.Service, directory.CreateInvitationsInput{
			InOrganization: op.InOrganization{Organization: "acme"}, Invitations: []directory.NewInvitation{
				{Email: "zoe@acme.test", Role: "editor"}, {Email: "bob@acme.test", Role: "viewer"}}}))(t)
		if results.Invited != 2 || h.Number("SELECT count(*) FROM invitations WHERE organization = $1 AND state = 'expired'", h.acme) != 1 {
			t.Errorf("got %+v", results)
		}
	})
}
