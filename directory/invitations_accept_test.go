package directory_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

// T-027
func TestFiftyAcceptsMakeOneMember(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		token := h.token("zoe@acme.test")
		joined := 0
		for _, err := range together(50, func(int) error { return errOf(h.nobody().accepts(token)) }) {
			if err == nil {
				joined++
				continue
			}
			h.Refused("another accept", err, "invitation_accepted")
		}
		if n := h.Number("SELECT count(*) FROM members WHERE organization = $1", h.acme); joined != 1 || n != 2 {
			t.Errorf("%d accepts succeeded, and there are %d members, want 1 and 2", joined, n)
		}
		if n := h.Number("SELECT count(*) FROM sessions WHERE method = 'invitation'"); n != 1 {
			t.Errorf("%d sessions were begun, want one", n)
		}
		if e := h.Refused("later", errOf(h.nobody().accepts(token)), "invitation_accepted"); e.Kind != op.Gone {
			t.Errorf("later accepts answer %s, want gone", e.Kind)
		}
	})
}

// together runs n calls at once and gives their errors.
func together(n int, call func(n int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = call(i) })
	}
	wg.Wait()
	return errs
}

// T-028: at its own microsecond an invitation has expired.
func TestAnInvitationExpiresToTheMicrosecond(t *testing.T) {
	for after, code := range map[time.Duration]string{-time.Microsecond: "", 0: "invitation_expired", time.Microsecond: "invitation_expired"} {
		t.Run(after.String(), func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
				token := h.token("zoe@acme.test")
				h.After(168*time.Hour + after)
				_, err := h.nobody().accepts(token)
				if code == "" {
					if err != nil {
						t.Errorf("refused before its time: %v", err)
					}
					return
				}
				if e := h.Refused("accepting", err, code); e.Kind != op.Gone {
					t.Errorf("it answers %s, want gone", e.Kind)
				}
				h.Refused("declining", h.nobody().declines(token), code)
				h.Refused("re-sending", errOf(h.owner.resends(i.ID)), code)
				if opened := must(h.nobody().opens(token))(t); opened.State != directory.Expired {
					t.Errorf("the page says %s", opened.State)
				}
			})
		})
	}
}

// T-028
func TestASettledInvitationIsGone(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		token := h.token("zoe@acme.test")
		if err := h.owner.cancels(i.ID); err != nil {
			t.Fatal(err)
		}
		h.Refused("accepting what was cancelled", errOf(h.nobody().accepts(token)), "invitation_cancelled")
		h.Refused("declining what was cancelled", h.nobody().declines(token), "invitation_cancelled")

		must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		token = h.token("zoe@acme.test")
		if err := h.nobody().declines(token); err != nil {
			t.Fatal(err)
		}
		h.Refused("accepting what was declined", errOf(h.nobody().accepts(token)), "invitation_declined")
		if len(h.members()) != 1 {
			t.Errorf("the members are %v", h.members())
		}
	})
}

// T-028: the right of the inviter is asked when somebody accepts.
func TestAnInvitationWaitsIfItsInviterLostTheRight(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.joined("bob@acme.test", "owner")
		bob := h.as("bob@acme.test")
		i := must(bob.invites("zoe@acme.test", "editor"))(t)
		token := h.token("zoe@acme.test")
		h.setsRole("bob@acme.test", "editor")

		for range 2 {
			h.Refused("joining", errOf(h.nobody().accepts(token)), "needs_reapproval")
		}
		got := h.owner.gets(i.ID)
		if got.State != directory.Pending || !got.NeedsApproval || got.Version != 2 {
			t.Errorf("the invitation is %+v, want pending and flagged", got)
		}
		if opened := must(h.nobody().opens(token))(t); !opened.NeedsApproval {
			t.Error("the page does not say that it waits")
		}
		h.setsRole("bob@acme.test", "owner")
		h.Refused("joining before somebody approves", errOf(h.nobody().accepts(token)), "needs_reapproval")

		if got = must(h.owner.reapproves(i.ID))(t); got.NeedsApproval || got.InvitedBy.Name != "Ada" {
			t.Errorf("approved it is %+v", got)
		}
		h.removes("bob@acme.test")
		if joined := must(h.nobody().accepts(token))(t); joined.Role != "editor" {
			t.Errorf("joined as %s", joined.Role)
		}
	})
}

// rounds is how often a race is run: 100 times, or 10,000 under GUILDHALL_SOAK.
func rounds() int {
	if os.Getenv("GUILDHALL_SOAK") == "1" {
		return 10_000
	}
	return 100
}

// T-029
func TestSoakCancellingAgainstAccepting(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := openHouse(t, db, testroom.Ready(t, "automation"), op.Settings{InviterHour: -1, TenantDay: -1})
		accepted := 0
		for n := range rounds() {
			email := fmt.Sprintf("zoe%d@acme.test", n)
			i := must(h.owner.invites(email, "viewer"))(t)
			token := h.token(email)
			errs := together(2, func(which int) error {
				if which == n%2 {
					return h.owner.cancels(i.ID)
				}
				return errOf(h.nobody().accepts(token))
			})
			cancel, accept := errs[n%2], errs[1-n%2]
			members := h.Number("SELECT count(*) FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization = $1 AND u.email = $2", h.acme, email)
			switch {
			case cancel == nil && accept != nil && members == 0:
				h.Refused("accepting after a cancel", accept, "invitation_cancelled")
			case accept == nil && cancel != nil && members == 1:
				accepted++
				h.Refused("cancelling after an accept", cancel, "invitation_accepted")
			default:
				t.Fatalf("round %d: cancel %v, accept %v, %d members", n, cancel, accept, members)
			}
		}
		t.Logf("accepted in %d of %d rounds", accepted, rounds())
	})
}

// T-037
func TestFiftyInvitationsAtOnceLeaveOne(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		made := 0
		for _, err := range together(50, func(int) error { return errOf(h.owner.invites("zoe@acme.test", "viewer")) }) {
			if err == nil {
				made++
				continue
			}
			h.Refused("another one", err, "already_invited")
		}
		if n := h.Number("SELECT count(*) FROM invitations WHERE organization = $1", h.acme); made != 1 || n != 1 || len(h.Mails()) != 1 {
			t.Errorf("%d succeeded, %d stand there and %d mails went out, want one of each", made, n, len(h.Mails()))
		}
	})
}

// T-030
func TestTheAddressHasToMatch(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("bob@acme.test", "viewer"))(t)
		token, eve := h.token("bob@acme.test"), h.as("eve@evil.test")
		e := h.Refused("another account", errOf(eve.accepts(token)), "wrong_account")
		if want := "this invitation is for b••@acme.test: switch to that account"; e.Text != want || e.Kind != op.Denied {
			t.Errorf("it says %q, want %q", e.Text, want)
		}
		h.Refused("another account declines", eve.declines(token), "wrong_account")
		if opened := must(eve.opens(token))(t); opened.Account != "other" || opened.Email != "b••@acme.test" {
			t.Errorf("the page shows %+v", opened)
		}
		if got := h.owner.gets(i.ID); got.State != directory.Pending || got.Version != 1 {
			t.Errorf("the invitation is %+v, want untouched", got)
		}
		bob := h.as("BOB@acme.test")
		joined := must(bob.accepts(token))(t)
		if joined.SignedIn {
			t.Error("somebody who is signed in got another session")
		}
		if len(h.members()) != 2 {
			t.Errorf("the members are %v", h.members())
		}
	})
}

// T-030: a link that was handed over proves nothing.
func TestACopiedLinkNeedsASessionOfTheAddress(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("bob@acme.test", "viewer"))(t)
		link := h.owner.copiesLink(i.ID)
		e := h.Refused("nobody accepts", errOf(h.nobody().accepts(link)), "prove_address")
		if e.FixURL == "" {
			t.Error("it does not lead to a sign-in")
		}
		h.Refused("nobody declines", h.nobody().declines(link), "prove_address")
		h.Refused("another account", errOf(h.as("eve@evil.test").accepts(link)), "wrong_account")
		if opened := must(h.nobody().opens(link))(t); opened.Proved || opened.Account != "none" {
			t.Errorf("the page shows %+v", opened)
		}
		if n := h.Number("SELECT count(*) FROM users WHERE email_folded = 'bob@acme.test'"); n != 0 {
			t.Error("an account was made for an address that nobody proved")
		}
		must(h.as("bob@acme.test").accepts(link))(t)
		h.Refused("the mailed link afterwards", errOf(h.nobody().accepts(h.token("bob@acme.test"))), "invitation_accepted")
	})
}

// T-033, T-031: what the page shows follows from the token alone, and looking at it consumes nothing.
func TestOpeningConsumesNothing(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		token := h.token("zoe@acme.test")
		for range 3 {
			o := must(h.nobody().opens(token))(t)
			if o.Organization != "Acme" || o.InvitedBy != "Ada" || o.RoleTitle != "Viewer" || o.Email != "z••@acme.test" || o.State != directory.Pending ||
				!o.Proved || o.Account != "none" || o.Links == nil || !o.ExpiresAt.Equal(i.ExpiresAt) {
				t.Errorf("the page shows %+v", o)
			}
			if o.Permissions[0].ID != "organization.view" || o.Permissions[0].Title == "" {
				t.Errorf("the role's permissions begin with %+v", o.Permissions[0])
			}
		}
		for _, wrong := range []string{"", "x", token[:26], token + "0", "00000000000000000000000000" + "0"} {
			if err := errOf(h.nobody().opens(wrong)); err == nil {
				t.Errorf("token %q opens an invitation", wrong)
			}
		}
		must(h.nobody().accepts(token))(t)
		if o := must(h.as("zoe@acme.test").opens(token))(t); !o.Member || o.Slug != "acme" || o.State != directory.Accepted {
			t.Errorf("afterwards the page shows %+v", o)
		}
	})
}

// T-033: a token stands in its mail, and nowhere else.
func TestNoTokenIsStored(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		link := h.owner.copiesLink(i.ID)
		token := h.token("zoe@acme.test")
		must(h.nobody().accepts(token))(t)
		for _, secret := range []string{token, link} {
			for _, column := range []string{"invitations.token_hash", "invitations.link_hash", "invitations.message", "invitations.mail", "outbox.payload",
				"audit_rows.detail", "audit_rows.reason", "audit_subjects.body", "audit_subjects.id", "idempotency.output", "sessions.hash"} {
				if found := h.holds(column, secret); found {
					t.Errorf("%s holds a token", column)
				}
			}
		}
	})
}

// holds looks for a text in every row of a column.
func (h *house) holds(column, text string) bool {
	h.T.Helper()
	table, name, _ := strings.Cut(column, ".")
	return strings.Contains(h.Stored(name+" FROM "+table), text)
}

// A repeat with the same Idempotency-Key does not show a copied link again.
func TestACopiedLinkIsShownOnce(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		call := func() directory.InvitationLink {
			return must(directory.LinkInvitation.Call(h.owner.ctx, h.Service, one(i.ID), op.IdempotencyKey("once")))(t)
		}
		if first := call(); first.Link == "" || !first.Shown {
			t.Errorf("the first answer is %+v", first)
		}
		if again := call(); again.Link != "" || again.Shown {
			t.Errorf("the repeat is %+v", again)
		}
	})
}

func TestOnlyPeopleAccept(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
	must(h.owner.invites("zoe@acme.test", "viewer"))(t)
	operator := person{h: h, ctx: op.As(t.Context(), op.Caller{Machine: true})}
	h.Refused("the operator accepts", errOf(operator.accepts(h.token("zoe@acme.test"))), "wrong_account")
}

// What the operator invites to is vouched for by the operator.
func TestTheOperatorInvites(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		operator := person{h: h, ctx: op.As(t.Context(), op.Caller{Machine: true})}
		i := must(operator.invites("zoe@acme.test", "owner"))(t)
		if i.InvitedBy.Member != "" || i.InvitedBy.Name == "" {
			t.Errorf("it is invited by %+v", i.InvitedBy)
		}
		must(h.nobody().accepts(h.token("zoe@acme.test")))(t)
		if role := h.members()["zoe@acme.test"]; role != "owner" {
			t.Errorf("joined as %s", role)
		}
	})
}

func TestAnInvitationHoldsASeat(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.seats(3)
		bob := must(h.owner.invites("bob@acme.test", "viewer"))(t)
		must(h.owner.invites("cy@acme.test", "viewer"))(t)
		e := h.Refused("a fourth", errOf(h.owner.invites("di@acme.test", "viewer")), "no_seat")
		if e.Kind != op.Conflict {
			t.Errorf("it answers %s, want conflict", e.Kind)
		}
		must(h.nobody().accepts(h.token("cy@acme.test")))(t) // converts its seat
		h.Refused("a fourth", errOf(h.owner.invites("di@acme.test", "viewer")), "no_seat")
		if err := h.owner.cancels(bob.ID); err != nil {
			t.Fatal(err)
		}
		must(h.owner.invites("di@acme.test", "viewer"))(t)
		h.After(168 * time.Hour)
		must(h.owner.invites("eve@acme.test", "viewer"))(t) // the seat of what has expired is free

		h.seats(2)
		frozen := must(directory.ListInvitations.Call(h.owner.ctx, h.Service, directory.ListInvitationsInput{InOrganization: op.InOrganization{Organization: h.acme}, State: directory.Pending}))(t).Data
		if len(frozen) != 1 || !frozen[0].Frozen { // the other one expired
			t.Errorf("above a lower limit the invitations are %+v", frozen)
		}
		_, err := directory.ResendInvitation.Call(h.owner.ctx, h.Service, directory.InvitationInput{InOrganization: op.InOrganization{Organization: h.acme}, Invitation: frozen[0].ID})
		h.Refused("sending again above a lower limit", err, "no_seat")
		h.Refused("joining above a lower limit", errOf(h.nobody().accepts(h.token("eve@acme.test"))), "no_seat")
		h.seats(0)
		must(h.nobody().accepts(h.token("eve@acme.test")))(t)
	})
}

func (h *house) seats(n int) {
	h.T.Helper()
	h.Exec("UPDATE organizations SET seats = $2 WHERE id = $1", h.acme, n)
}

func TestSeatsAreExactUnderParallelAccepts(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		const people, seats = 200, 11
		for n := range people {
			if n%90 == 89 {
				h.After(time.Hour) // of one inviter's mails, a hundred go out within an hour
			}
			must(h.owner.invites(fmt.Sprintf("p%d@acme.test", n), "viewer"))(t)
		}
		tokens := make([]string, people)
		for n := range people {
			tokens[n] = h.token(fmt.Sprintf("p%d@acme.test", n))
		}
		h.seats(seats)
		joined := 0
		for _, err := range together(people, func(n int) error { return errOf(h.nobody().accepts(tokens[n])) }) {
			if err == nil {
				joined++
				continue
			}
			h.Refused("one too many", err, "no_seat")
		}
		if n := len(h.members()); joined != seats-1 || n != seats {
			t.Errorf("%d joined, and there are %d members, want %d and %d", joined, n, seats-1, seats)
		}
	})
}

func TestMyInvitationsAreThoseOfMyAddress(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		must(h.owner.invites("Zoe@acme.test", "viewer"))(t)
		must(h.owner.invites("bob@acme.test", "viewer"))(t)
		mine := func() []directory.MyInvitation {
			return must(directory.ListMyInvitations.Call(h.as("zoe@acme.test").ctx, h.Service, directory.ListMyInvitationsInput{}))(t).Data
		}
		if got := mine(); len(got) != 1 || got[0].Organization != "Acme" || got[0].RoleTitle != "Viewer" || got[0].InvitedBy != "Ada" {
			t.Errorf("zoe sees %+v", got)
		}
		h.After(168 * time.Hour)
		if got := mine(); len(got) != 0 {
			t.Errorf("after they have expired zoe sees %+v", got)
		}
	})
}

func TestACallTakesAtMostEightStatements(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		within := func(what string, most int, err error) {
			t.Helper()
			if err != nil || h.Statements() > most {
				t.Errorf("%s took %d statements (%v), want at most %d", what, h.Statements(), err, most)
			}
		}
		i, err := h.owner.invites("zoe@acme.test", "viewer")
		within("inviting", 8, err)
		_, err = h.owner.resends(i.ID)
		within("re-sending", 8, err)
		_, err = h.owner.changesRole(i.ID, "editor")
		within("changing", 8, err)
		_, err = h.owner.reapproves(i.ID)
		within("approving", 8, err)
		h.owner.copiesLink(i.ID)
		within("copying a link", 8, nil)
		_, err = h.nobody().accepts(h.token("zoe@acme.test"))
		within("accepting as somebody new", 8, err)
		i, err = h.owner.invites("bob@acme.test", "viewer")
		within("inviting", 8, err)
		_, err = h.as("bob@acme.test").accepts(h.token("bob@acme.test"))
		within("accepting", 8, err)
		many := directory.CreateInvitationsInput{InOrganization: op.InOrganization{Organization: "acme"}}
		for n := range 500 {
			many.Invitations = append(many.Invitations, directory.NewInvitation{Email: fmt.Sprintf("p%d@acme.test", n), Role: "viewer"})
		}
		_, err = directory.CreateInvitations.Call(h.owner.ctx, h.Service, many)
		within("inviting 500", 8, err)
		_ = i
	})
}

// Nothing is locked or written for whoever may not answer an invitation.
func TestARefusedAnswerTakesNoLock(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("bob@acme.test", "viewer"))(t)
		eve, token := h.as("eve@evil.test"), h.token("bob@acme.test")
		rows := h.Number("SELECT seq FROM streams WHERE id = $1", h.acme)
		h.Refused("eve", errOf(eve.accepts(token)), "wrong_account")
		if err := h.owner.cancels(i.ID); err != nil {
			t.Fatal(err)
		}
		h.Refused("bob", errOf(h.nobody().accepts(token)), "invitation_cancelled")
		if got := h.Number("SELECT seq FROM streams WHERE id = $1", h.acme); got != rows+1 {
			t.Errorf("the organization's log grew by %d, want the cancelling alone", got-rows)
		}
	})
}

var errBounced = errors.New("550 no such user\r\nBcc: eve")

func TestMailThatFailsLosesNoInvitation(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		mark := func(job string, failure error) {
			t.Helper()
			if err := directory.MarkDelivery(t.Context(), h.DB, job, failure); err != nil {
				t.Fatal(err)
			}
		}
		first := h.job()
		mark(first, errBounced)
		if got := h.owner.gets(i.ID); got.Delivery != "failed" || got.DeliveryError != "550 no such user Bcc: eve" || got.State != directory.Pending {
			t.Errorf("got %+v", got)
		}
		must(h.owner.resends(i.ID))(t)
		if got := h.owner.gets(i.ID); got.Delivery != "queued" || got.DeliveryError != "" {
			t.Errorf("re-sent it is %s, %q", got.Delivery, got.DeliveryError)
		}
		mark(first, errBounced) // of a mail that was replaced
		mark("job_of_something_else", errBounced)
		mark(h.job(), nil)
		if got := h.owner.gets(i.ID); got.Delivery != "sent" {
			t.Errorf("delivered it is %s", got.Delivery)
		}
	})
}

// job is the id of the last mail's job.
func (h *house) job() (id string) {
	h.T.Helper()
	h.Row("SELECT id FROM outbox ORDER BY id DESC LIMIT 1", nil, &id)
	return id
}

// T-028: who may still invite, but no longer to that role, no longer stands for it.
func TestAnInvitationWaitsIfItsInviterMayGrantLess(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := openHouse(t, db, testroom.Ready(t, "documents"), op.Settings{})
		bob := h.joined("bob@acme.test", "owner")
		must(bob.invites("zoe@acme.test", "owner"))(t)
		must(bob.invites("cy@acme.test", "admin"))(t)
		h.setsRole("bob@acme.test", "admin")
		h.Refused("joining as an owner", errOf(h.nobody().accepts(h.token("zoe@acme.test"))), "needs_reapproval")
		must(h.nobody().accepts(h.token("cy@acme.test")))(t)
	})
}
