package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

// invites has the owner invite somebody, and gives the path of the mailed link.
func (s *site) invites(o *guildhalltest.Organization, email, role string) string {
	s.t.Helper()
	in := directory.CreateInvitationInput{InOrganization: o.In(), Email: email, Message: "Welcome <b>aboard</b>"}
	for _, r := range s.Charter().Roles() {
		if string(r.ID) == role {
			in.Role = r.ID
		}
	}
	if _, err := directory.CreateInvitation.Call(o.Owner().Ctx(), s.Service(), in); err != nil {
		s.t.Fatal(err)
	}
	return s.link(email)
}

func (s *site) invitation(o *guildhalltest.Organization, email string) directory.Invitation {
	s.t.Helper()
	list, err := directory.ListInvitations.Call(o.Owner().Ctx(), s.Service(), directory.ListInvitationsInput{InOrganization: o.In(), Q: email})
	if err != nil || len(list.Data) == 0 {
		s.t.Fatalf("no invitation of %s: %v", email, err)
	}
	return list.Data[0]
}

func TestAMailedInvitationIsAcceptedByButton(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	link := s.invites(acme, "zoe@acme.test", "editor")
	b := s.browser()
	for range 2 {
		b.get(link).says(link, 200, "Join acme", "owner@acme.test invited z••@acme.test", "As Editor you may", "Welcome <b>aboard</b>")
	}
	if got := s.invitation(acme, "zoe@acme.test").State; got != directory.Pending {
		t.Fatalf("after looking it is %s", got)
	}
	form := b.get(link).form("/i/accept")
	form.Set("name", "Zoe")
	w := b.send("POST", "/i/accept", form)
	if got := w.Header().Get("Location"); got != "/o/acme" {
		t.Fatalf("accepting leads to %s: %d %s", got, w.Code, w.Body)
	}
	b.get("/account").says("/account", 200, "Welcome. You are a member of acme now, as Editor.", "Zoe")
	b.get(link).says(link, 200, "You are a member of acme already.", "Open acme")
	s.browser().get(link).says(link, 410, "It was accepted already.")
}

// T-030
func TestAnotherAccountIsToldWhoseInvitationItIsAndCanSwitch(t *testing.T) {
	s := newSite(t, "automation")
	acme, globex := s.Organization("acme"), s.Organization("globex")
	link := s.invites(acme, "zoe@acme.test", "editor")
	b := s.as(globex.Owner())
	page := b.get(link).says(link, 200, "You are signed in as owner@globex.test, and the invitation is for z••@acme.test.")
	token := page.form("/i/switch").Get("token")
	b.post("/i/accept", url.Values{"token": {token}}).says("/i/accept", 403, "switch to that account")

	page = b.submit(page, "/i/switch").says("/login?return_to=/i", 200)
	page = b.submit(page, "/login", "email", "zoe@acme.test")
	b.submit(page, "/login/code", "code", s.code("zoe@acme.test")).says("/i", 200, "Join acme", "You are signed in as zoe@acme.test.")
	if got := s.invitation(acme, "zoe@acme.test").State; got != directory.Pending {
		t.Errorf("it is %s", got)
	}
	b.submit(b.get("/i"), "/i/accept")
	if got := s.invitation(acme, "zoe@acme.test").State; got != directory.Accepted {
		t.Errorf("it is %s", got)
	}
}

func TestACopiedLinkAsksForAProofFirst(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	s.invites(acme, "zoe@acme.test", "editor")
	made, err := directory.LinkInvitation.Call(acme.Owner().Ctx(), s.Service(), directory.InvitationInput{InOrganization: acme.In(), Invitation: s.invitation(acme, "zoe@acme.test").ID})
	if err != nil {
		t.Fatal(err)
	}
	link := strings.TrimPrefix(made.Link, host)
	b := s.browser()
	page := b.get(link).says(link, 200, "This link was handed over, not mailed. Sign in as z••@acme.test first")
	b.post("/i/accept", url.Values{"token": {page.form("/i/switch").Get("token")}}).says("/i/accept", 403, "sign in as z••@acme.test first")
	page = b.submit(page, "/i/switch")
	page = b.submit(page, "/login", "email", "zoe@acme.test")
	page = b.submit(page, "/login/code", "code", s.code("zoe@acme.test")).says("/i", 200)
	b.submit(page, "/i/accept")
	b.get("/account").says("/account", 200, "acme")
}

// T-028
func TestAnInvitationThatIsOverSaysWhatToDo(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	link := s.invites(acme, "zoe@acme.test", "editor")
	page := s.browser().get(link)
	in := directory.InvitationInput{InOrganization: acme.In(), Invitation: s.invitation(acme, "zoe@acme.test").ID}
	if _, err := directory.CancelInvitation.Call(acme.Owner().Ctx(), s.Service(), in); err != nil {
		t.Fatal(err)
	}
	s.browser().get(link).says(link, 410, "It was cancelled. Ask owner@acme.test")
	s.browser().submit(page, "/i/accept").says("/i/accept", 410, "It was cancelled.")

	link = s.invites(acme, "max@acme.test", "editor")
	s.Clock.Advance(7 * 24 * time.Hour)
	s.browser().get(link).says(link, 410, "It expired on 9 March 2026. Ask owner@acme.test to send it again.")

	nowhere := "/i/" + strings.Repeat("0", 27)
	s.browser().get(nowhere).says(nowhere, 404, "This link leads nowhere")
	s.browser().get("/i/x").says("/i/x", 404, "This link leads nowhere")
}

func TestDecliningAsksOnce(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	link := s.invites(acme, "zoe@acme.test", "editor")
	b := s.browser()
	page := b.get(link+"/decline").says(link+"/decline", 200, "Decline the invitation to acme")
	if got := s.invitation(acme, "zoe@acme.test").State; got != directory.Pending {
		t.Fatalf("asking made it %s", got)
	}
	b.submit(page, "/i/decline").says("/i/declined", 200, "You declined the invitation")
	if got := s.invitation(acme, "zoe@acme.test").State; got != directory.Declined {
		t.Errorf("it is %s", got)
	}
}

// T-033
func TestNoAddressAndNoPageOfASignInHasTheTokenOfAnInvitation(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	link := s.invites(acme, "zoe@acme.test", "editor")
	token := strings.TrimPrefix(link, "/i/")
	b := s.as(acme.Owner())
	page := b.submit(b.get(link), "/i/switch")
	if strings.Contains(page.url+page.Body.String(), token) {
		t.Error("the sign-in page has the token")
	}
	for name, value := range b.cookies {
		if strings.Contains(value, token) {
			t.Errorf("the cookie %s shows the token", name)
		}
	}
}

func TestTheFormsOfAnInvitationSendItsFields(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	link := s.invites(acme, "zoe@acme.test", "editor")
	bound(t, s, s.browser().get(link), "/i/accept", "invitations.accept")
	bound(t, s, s.browser().get(link+"/decline"), "/i/decline", "invitations.decline")
}
