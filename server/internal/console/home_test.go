package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
)

func TestHomeLeadsToTheOrganizationSeenLast(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	globex := s.Organization("globex")
	globex.Join("owner@acme.test", s.Charter().OwnerRole().ID)
	b := s.as(s.SignIn("owner@acme.test"))
	b.get("/").says("/o/acme", 200)
	b.get("/o/globex").says("/o/globex", 200)
	b.get("/").says("/o/globex", 200)
	b.get("/account").says("/account", 200, "globex Owner Switch organization")
}

func TestAnIdAndAFormerSlugLeadToTheAddress(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	slug := "acme-two"
	if _, err := directory.UpdateOrganization.Call(acme.Owner().Ctx(), s.Service(), directory.UpdateOrganizationInput{InOrganization: acme.In(), Slug: &slug}); err != nil {
		t.Fatal(err)
	}
	b.get("/o/"+acme.ID+"/settings/team?q=x").says("/o/acme-two/settings/team?q=x", 200)
	b.get("/o/acme/settings/team").says("/o/acme-two/settings/team", 200)
}

// T-001
func TestAnOrganizationOfOthersIsNotThere(t *testing.T) {
	s := newSite(t, "automation")
	s.Organization("acme")
	stranger := s.as(s.Organization("globex").Owner())
	got, want := stranger.get("/o/acme"), stranger.get("/o/nothing")
	got.says("/o/acme", 404, "There is nothing here")
	if withoutRequest(got) != withoutRequest(want) {
		t.Errorf("it differs from one that never was:\n%s\n%s", got.text(), want.text())
	}
	stranger.post("/o/acme/settings/general", url.Values{"name": {"Eve"}}).says("/o/acme/settings/general", 404)
}

func withoutRequest(s *sight) string {
	before, _, _ := strings.Cut(s.text(), "Request")
	return before
}

func TestARefusalNamesThePermissionAndWhoHasIt(t *testing.T) {
	for _, c := range []struct {
		charter string
		role    charter.RoleID
		says    []string
	}{
		{"automation", "viewer", []string{"audit.view", "owner@acme.test can grant it"}},
		{"gateway", "reader", []string{"audit.view", "An owner can grant it"}},
	} {
		s := newSite(t, c.charter)
		acme := s.Organization("acme")
		page := s.as(acme.People[c.role]).get("/o/acme/settings/audit-log")
		page.says("/o/acme/settings/audit-log", 403, c.says...)
		if c.charter == "gateway" && strings.Contains(page.text(), "@acme.test") {
			t.Errorf("%s learns who has it: %s", c.role, page.text())
		}
	}
}

func TestASuspendedMemberSeesWhy(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	viewer := acme.People["viewer"]
	in := directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: acme.In(), Member: viewer.Member}}
	if _, err := directory.SuspendMember.Call(acme.Owner().Ctx(), s.Service(), in); err != nil {
		t.Fatal(err)
	}
	b := s.as(viewer)
	b.get("/o/acme/settings/team").says("/o/acme/settings/team", 403, "Your membership in this organization is suspended.")
	b.get("/orgs").says("/orgs", 200, "Your membership is suspended.")
	if links := b.get("/orgs").links(); strings.Contains(strings.Join(links, " "), "/o/acme") {
		t.Errorf("it leads to the organization: %v", links)
	}
}

func TestADangerousFormAsksForAProofAndComesBackWithWhatWasTyped(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	remove := "/o/acme/settings/team/" + acme.People["viewer"].Member + "/remove"
	page := b.get(remove)
	s.Clock.Advance(11 * time.Minute)
	page = b.submit(page, remove, "reason", "left us")
	page.says("/verify?"+url.Values{"return_to": {remove + "?reason=left+us"}}.Encode(), 200, "Verify that it is you")
	page = b.submit(page, "/verify")
	page = b.submit(page, "/verify/code", "code", s.code("owner@acme.test")).says(remove+"?reason=left+us", 200)
	if got := page.form(remove).Get("reason"); got != "left us" {
		t.Errorf("what was typed is lost: %q", got)
	}
	b.submit(page, remove).says("/o/acme/settings/team/"+acme.People["viewer"].Member+"/removed", 200)
	in := directory.MemberInput{InOrganization: acme.In(), Member: acme.People["viewer"].Member}
	if m, err := directory.GetMember.Call(acme.Owner().Ctx(), s.Service(), in); err == nil && m.Status != "removed" {
		t.Errorf("the member is still %s", m.Status)
	}
}

// A flash is for whom it was made for, and for nobody who signs in after them.
func TestAFlashIsShownToNobodyElse(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	b.send("POST", "/account", withValue(b.get("/account").form("/account"), "name", "Ada"))
	b.cookies["guildhall"] = acme.People["viewer"].Token
	if got := b.get("/account").whole(); strings.Contains(got, "is saved") {
		t.Error("another person reads it")
	}
	b.cookies["guildhall-flash"] = "forged"
	b.get("/account").says("/account", 200)
}

func TestNoPageIsShownInsideAnother(t *testing.T) {
	s := newSite(t, "automation")
	page := s.browser().get("/login")
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") { // T-068
		t.Errorf("the policy is %s", policy)
	}
}
