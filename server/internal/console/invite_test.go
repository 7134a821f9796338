package console_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

const invitePath = "/o/acme/settings/team/invite"

func TestOneAddressIsInvitedInOneStep(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	b := s.as(acme.People["admin"])
	page := b.get(invitePath).says(invitePath, 200, "They get a mail with a link that is good for 7 days", "Only owners make owners", "What each role may do", "Documentation")
	b.submit(page, invitePath, "text", "Zoe <zoe@new.test>", "message", "Hello").
		says("/o/acme/settings/team?tab=invitations", 200, "is invited. The mail is on its way.", "zoe@new.test", "Pending")
	if mail := s.Deliver("zoe@new.test"); !strings.Contains(mail.Text, "Hello") {
		t.Errorf("the mail lacks the message: %s", mail.Text)
	}
	b.submit(b.get(invitePath), invitePath, "text", "").says(invitePath, 422)
}

func TestAPastedListGetsAVerdictEachBeforeAnythingIsSent(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	b.submit(b.get(invitePath), invitePath, "text", "yan@new.test")
	list := "zoe@new.test, Max <max@new.test>\neditor@acme.test; yan@new.test\nnonsense\nzoe@new.test"
	second := b.submit(b.get(invitePath), invitePath, "text", list, "role", "editor").
		says(invitePath, 200, "2 of 6 will be sent, with the role Editor.", "Member already", "Invited already", "Not an address", "Twice in the list", "Send 2 invitations", "Send again")
	if got := len(invitedAddresses(b)); got != 1 {
		t.Fatalf("%d are invited before anybody said so", got)
	}
	b.submit(second, invitePath).says("/o/acme/settings/team?tab=invitations", 200, "2 of 6 are invited")
	if got, want := invitedAddresses(b), []string{"max@new.test", "yan@new.test", "zoe@new.test"}; !slices.Equal(got, want) {
		t.Errorf("invited are %v, want %v", got, want)
	}
	s.Sound()
}

// invitedAddresses are those that the list of invitations shows, sorted.
func invitedAddresses(b *browser) (all []string) {
	b.get("/o/acme/settings/team?tab=invitations&state=pending").each(func(n *htmlNode, attrs map[string]string) {
		if n.Data == "tr" && strings.HasPrefix(attrs["id"], "inv_") {
			address, _, _ := strings.Cut(textOf(n), " ")
			all = append(all, address)
		}
	})
	slices.Sort(all)
	return all
}

// Whom one makes an owner stands alone on a page first.
func TestAnOwnerIsInvitedInTwoSteps(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	second := b.submit(b.get(invitePath), invitePath, "text", "zoe@new.test", "role", "owner").says(invitePath, 200, "This role owns the organization", "Send 1 invitation")
	edit := url.Values{"step": {"edit"}, "text": {"zoe@new.test"}, "role": {"owner"}}
	if kept := b.post(invitePath, edit).says(invitePath, 200).form(invitePath).Get("text"); kept != "zoe@new.test" {
		t.Errorf("the list holds %q when it is changed", kept)
	}
	b.submit(second, invitePath).says("/o/acme/settings/team?tab=invitations", 200, "zoe@new.test is invited")
}

func TestAContractorIsInvitedUntilADay(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	b.submit(b.get(invitePath), invitePath, "text", "zoe@new.test", "ends_at", "tomorrow").says(invitePath, 422, "is not a day")
	b.submit(b.get(invitePath), invitePath, "text", "zoe@new.test", "ends_at", "2026-03-31").says("/o/acme/settings/team?tab=invitations", 200, "is invited")
}

// The two steps send what invitations.preview and invitations.create_many take.
func TestTheInvitationFormsAreBoundToTheirOperations(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	var fields []string
	for _, operation := range []string{"invitations.preview", "invitations.create", "invitations.create_many"} {
		o, ok := s.Service().Find(operation)
		if !ok {
			t.Fatalf("no operation %s", operation)
		}
		fields = append(fields, jsonFields(o.Info().In)...)
	}
	for name := range s.as(acme.Owner()).get(invitePath).form(invitePath) {
		if !slices.Contains(append(fields, "idempotency_key"), name) {
			t.Errorf("the form sends %s, which no operation has", name)
		}
	}
}

func TestAnInvitationIsSentAgainChangedCopiedAndCancelled(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	const list = "/o/acme/settings/team?tab=invitations"
	b.submit(b.get(invitePath), invitePath, "text", "zoe@new.test", "role", "viewer")
	base := ""
	for _, link := range b.get(list).links() {
		if before, found := strings.CutSuffix(link, "/cancel"); found {
			base = before
		}
	}
	for verb, operation := range map[string]string{"resend": "invitations.resend", "cancel": "invitations.cancel", "link": "invitations.link",
		"role": "invitations.update", "reapprove": "invitations.reapprove"} {
		bound(t, s, b.get(base+"/"+verb), base+"/"+verb, operation)
		viewer := s.as(acme.People["viewer"])
		viewer.get(base+"/"+verb).says(base+"/"+verb, 403)
		viewer.post(base+"/"+verb, url.Values{"role": {"viewer"}}).says(base+"/"+verb, 403)
	}
	b.post(base+"/resend", url.Values{}).says(list, 200, "was sent again")
	b.submit(b.get(base+"/role"), base+"/role", "role", "editor").says(list, 200, "is invited as Editor now")
	shown := b.submit(b.get(base+"/link"), base+"/link").says(base+"/link", 200, "this is the one time that you can read it", "http://localhost/i/")
	if got := b.get(base + "/link"); strings.Contains(got.text(), "localhost/i/") || !strings.Contains(shown.text(), "localhost/i/") {
		t.Errorf("asking for the page again shows: %s", got.text())
	}
	b.submit(b.get(base+"/cancel"), base+"/cancel").says(list, 200, "is cancelled", "Cancelled", "Invite again")
	b.get(base+"/resend").says(base+"/resend", 200, "is not pending any more")
	b.post(base+"/resend", url.Values{}).says(list, 200, "This invitation was cancelled")
	s.Sound()
}

func TestALinkIsNotShownASecondTime(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	b.submit(b.get(invitePath), invitePath, "text", "zoe@new.test")
	path := ""
	for _, link := range b.get("/o/acme/settings/team?tab=invitations").links() {
		if strings.HasSuffix(link, "/link") {
			path = link
		}
	}
	form := b.get(path).form(path)
	if first := b.post(path, form); !strings.Contains(first.Body.String(), "/i/") {
		t.Fatalf("no link is shown: %s", first.text())
	}
	again := b.post(path, form).says(path, 200, "This link was shown once")
	if strings.Contains(again.Body.String(), "localhost/i/") {
		t.Error("sending the form again shows the link again")
	}
}
