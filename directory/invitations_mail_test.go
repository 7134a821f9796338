package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

func TestTheMailSaysWhoInvitesWhereAndUntilWhen(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
	must(directory.CreateInvitation.Call(h.owner.ctx, h.Service, directory.CreateInvitationInput{
		InOrganization: op.InOrganization{Organization: "acme"}, Email: "zoe@acme.test", Role: "editor", Message: "Welcome!\r\nAda"}))(t)
	m := h.mailed("zoe@acme.test")
	want := `Ada invites you to join “Acme” on Automation as Editor.

Ada writes:
> Welcome!
> Ada

Accept or decline:
https://accounts.acme.test/i/TOKEN

The invitation is for zoe@acme.test and expires on 9 November 2026 at 09:00 UTC.

What it is: https://docs.example.com

If you do not know what this is about, ignore this mail: nothing happens.
`
	want = strings.Replace(want, "on Automation", "on "+h.Service.Charter().Product, 1)
	if diff := cmp.Diff(want, strings.Replace(m.Text, h.token("zoe@acme.test"), "TOKEN", 1)); diff != "" {
		t.Errorf("the text differs:\n%s", diff)
	}
	if want := "Ada invites you to “Acme”"; m.Subject != want {
		t.Errorf("the subject is %q, want %q", m.Subject, want)
	}
	if want := `<a href="https://accounts.acme.test/i/` + h.token("zoe@acme.test") + `">`; !strings.Contains(m.HTML, want) || strings.Count(m.HTML, "http") != 2 || !strings.Contains(m.HTML, "<p>What it is: https://docs.example.com</p>") {
		t.Errorf("the page has no or other links: %s", m.HTML)
	}
}

// T-034: links are made of the configured address. No field of a caller leads into one.
func TestLinksInMailsAreOfTheConfiguredAddress(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
	caller := op.CallerOf(h.owner.ctx)
	caller.Address, caller.Agent, caller.RequestID = "evil.test", "https://evil.test", "evil.test"
	evil := person{h: h, ctx: op.As(t.Context(), caller)}
	i := must(evil.invites("zoe@acme.test", "viewer"))(t)
	must(evil.resends(i.ID))(t)
	must(evil.changesRole(i.ID, "editor"))(t)
	for _, m := range h.Mails() {
		if strings.Contains(m.Text+m.HTML+m.Subject, "evil.test") || !strings.Contains(m.Text, "https://accounts.acme.test/i/") {
			t.Errorf("a mail says %s", m.Text)
		}
	}
}

// T-035, T-096: what people call themselves, their organization and their words stays what it is: text.
func TestNamesDoNotLeadAstrayInMails(t *testing.T) {
	for _, name := range []string{
		"Acme\r\nBcc: eve@evil.test", "Acme\nTo: x", "<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "Acme\u202etset.live",
		"Acme\x00\x1b[2J", "https://evil.test/login", "www.evil.test", "Acme\u2028Bcc: x", "&lt;b&gt;", "'; DROP TABLE members; --", "{{.}}${7*7}",
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
			h.Exec("UPDATE organizations SET name = $2 WHERE id = $1", h.acme, name)
			h.Exec("UPDATE users SET name = $1 WHERE email = 'ada@acme.test'", name)
			must(h.owner.invites("zoe@acme.test", "viewer"))(t)
			m := h.mailed("zoe@acme.test")
			if m.To != "zoe@acme.test" || strings.ContainsAny(m.Subject, "\r\n\x00\x1b\u202e\u2028") {
				t.Errorf("the subject is %q, to %q", m.Subject, m.To)
			}
			if lead, _, _ := strings.Cut(m.Text, "\n\n"); strings.ContainsAny(lead, "\r\n\x00\x1b\u202e\u2028") || strings.Contains(lead, "://") || strings.Contains(lead, "www.") {
				t.Errorf("the text begins with %q", lead)
			}
			if strings.Contains(m.HTML, "<script") || strings.Contains(m.HTML, "<img") || strings.Count(m.HTML, "<a ") != 1 {
				t.Errorf("the page is %s", m.HTML)
			}
		})
	}
}

// T-035
func TestAMessageIsTextAndQuoted(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
	invite := func(message string) error {
		return errOf(directory.CreateInvitation.Call(h.owner.ctx, h.Service, directory.CreateInvitationInput{
			InOrganization: op.InOrganization{Organization: "acme"}, Email: "zoe@acme.test", Role: "viewer", Message: message}))
	}
	for _, message := range []string{"a\x00b", "a\x1b[1mb", "a\u202eb", "a\u0085b", strings.Repeat("a", 1001)} {
		h.Refused(fmt.Sprintf("the message %.20q", message), invite(message), "invalid")
	}
	if err := invite("Hello\n\nAccept here: <a href=x>y</a>\n.\n"); err != nil {
		t.Fatal(err)
	}
	m := h.mailed("zoe@acme.test")
	if !strings.Contains(m.Text, "> Hello\n> \n> Accept here: <a href=x>y</a>\n> .\n") || !strings.Contains(m.HTML, "&lt;a href=x&gt;y&lt;/a&gt;") {
		t.Errorf("the message is not quoted: %s\n%s", m.Text, m.HTML)
	}
}

// T-097: mail goes to the address that the account has, not to one that only folds to it, and in a form that every mail
// server takes.
func TestMailGoesToTheStoredAddress(t *testing.T) {
	h := openHouse(t, testdb.SQLite(t), testroom.Ready(t, "automation"), op.Settings{})
	h.as("Zoe@elsewhere.test")
	i := must(h.owner.invites("ZOE@ELSEWHERE.test", "viewer"))(t)
	must(h.owner.resends(i.ID))(t)
	must(h.owner.invites("Bob@bücher.test", "viewer"))(t)
	var got []string
	for _, m := range h.Mails() {
		got = append(got, m.To)
	}
	if diff := cmp.Diff([]string{"Zoe@elsewhere.test", "Zoe@elsewhere.test", "Bob@xn--bcher-kva.test"}, got); diff != "" {
		t.Errorf("mail goes elsewhere:\n%s", diff)
	}
	if i.Email != "ZOE@ELSEWHERE.test" {
		t.Errorf("the inviter is told the stored spelling: %s", i.Email)
	}
}

// T-036: per invitation.
func TestAnInvitationIsResentFiveTimesADay(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		i := must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		for range 5 {
			must(h.owner.resends(i.ID))(t)
		}
		last := h.token("zoe@acme.test")
		e := h.Refused("the sixth", errOf(h.owner.resends(i.ID)), "limited")
		if e.RetryAfter != 15*time.Hour {
			t.Errorf("it says to wait %s, want until midnight", e.RetryAfter)
		}
		h.Refused("a change, which is a mail too", errOf(h.owner.changesRole(i.ID, "editor")), "limited")
		if got := h.owner.gets(i.ID); got.Role != "viewer" || h.token("zoe@acme.test") != last {
			t.Errorf("a refused change left %+v", got)
		}
		// Cancelling and inviting again is no way around.
		if err := h.owner.cancels(i.ID); err != nil {
			t.Fatal(err)
		}
		h.Refused("a new invitation of the address", errOf(h.owner.invites("zoe@acme.test", "viewer")), "limited")
		h.After(15 * time.Hour)
		i = must(h.owner.invites("zoe@acme.test", "viewer"))(t)
		h.After(24 * time.Hour)
		for range 5 {
			must(h.owner.resends(i.ID))(t)
		}
		h.Refused("the sixth of a later day", errOf(h.owner.resends(i.ID)), "limited")
	})
}

// T-036: per inviter and per organization.
func TestInvitersAndOrganizationsSendSoManyMails(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := openHouse(t, db, testroom.Ready(t, "automation"), op.Settings{InviterHour: 3, TenantDay: 7})
		bob := h.joined("bob@acme.test", "owner")
		for n := range 2 {
			must(h.owner.invites(fmt.Sprintf("a%d@acme.test", n), "viewer"))(t)
		}
		e := h.Refused("a fourth within the hour", errOf(h.owner.invites("b@acme.test", "viewer")), "limited")
		if e.RetryAfter != time.Hour {
			t.Errorf("it says to wait %s", e.RetryAfter)
		}
		must(bob.invites("b@acme.test", "viewer"))(t)
		h.After(time.Hour)
		for n := range 3 {
			must(h.owner.invites(fmt.Sprintf("c%d@acme.test", n), "viewer"))(t)
		}
		h.Refused("the eighth of a day", errOf(bob.invites("d@acme.test", "viewer")), "limited")
		h.After(14 * time.Hour)
		must(bob.invites("d@acme.test", "viewer"))(t)
	})
}
