package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

// organizationPages are the pages of an organization with what they need; nothing means every member.
var organizationPages = map[string]charter.Permission{
	"/o/acme":                               "",
	"/o/acme/settings":                      "",
	"/o/acme/settings/general":              "",
	"/o/acme/settings/roles":                "",
	"/o/acme/settings/roles?format=csv":     "",
	"/o/acme/settings/access":               "",
	"/o/acme/settings/admins":               "",
	"/o/acme/settings/ownership":            "",
	"/o/acme/settings/team/leave":           "",
	"/o/acme/settings/team":                 "members.view",
	"/o/acme/settings/team?tab=invitations": "members.invite",
	"/o/acme/settings/team/invite":          "members.invite",
	"/o/acme/settings/billing":              "billing.view",
	"/o/acme/settings/billing/plans":        "",
	"/o/acme/settings/service-accounts":     "service_accounts.manage",
	"/o/acme/settings/service-accounts/new": "service_accounts.manage",
	"/o/acme/settings/tokens/new":           "tokens.create",
	"/o/acme/settings/artifacts":            "artifacts.view",
	"/o/acme/settings/artifacts/holds":      "settings.update",
	"/o/acme/settings/audit-log":            "audit.view",
	"/o/acme/settings/audit-log/export":     "audit.export",
}

// holds reports whether a person's role holds a permission.
func holds(t *testing.T, s *site, p *guildhalltest.Person, permission charter.Permission) bool {
	t.Helper()
	return permission == "" || s.Charter().Can(mustRole(t, s, p.Role), permission)
}

func TestEveryRoleOfEveryCharterSeesThePagesOfItsPermissions(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme, globex := s.Organization("acme"), s.Organization("globex")
		for _, person := range acme.People {
			for path, needs := range organizationPages {
				want := 200
				if !holds(t, s, person, needs) {
					want = 403
				}
				got := s.as(person).get(path)
				if got.Code != want {
					t.Errorf("%s: the %s gets %d at %s, want %d: %s", name, person.Role, got.Code, path, want, got.text())
				}
				if info, _ := s.Charter().Info(needs); want == 403 && !strings.Contains(got.text(), info.Title) {
					t.Errorf("%s: %s does not say that it needs %q: %s", name, path, info.Title, got.text())
				}
			}
		}
		for path := range organizationPages {
			s.as(globex.Owner()).get(path).says(path, 404, "There is nothing here")
		}
	}
}

func TestWithoutTheTeamThereAreNoNames(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	reader := s.as(acme.People["reader"])
	reader.get("/o/acme/settings/team").says("/o/acme/settings/team", 403, "See the team", "An owner can grant it", "View admins")
	for _, path := range []string{"/o/acme", "/o/acme/settings", "/o/acme/settings/team", "/o/acme/settings/admins", "/o/acme/settings/access?can=members.invite", "/o/acme/settings/roles"} {
		got := reader.get(path).Body.String()
		for role, other := range acme.People {
			if role != "reader" && strings.Contains(got, other.Email) {
				t.Errorf("%s tells the reader of %s", path, other.Email)
			}
		}
	}
	s.as(acme.Owner()).get("/o/acme/settings/admins").says("/o/acme/settings/admins", 200, "admin@acme.test", "owner@acme.test", "Invite members")
}

func TestTheSettingsOverviewSaysWhatMayBeChanged(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	s.as(acme.Owner()).get("/o/acme/settings").says("/o/acme/settings", 200, "Audit log", "Change", "acme; us-east-1; artifacts are kept for 30 days")
	viewer := s.as(acme.People["viewer"]).get("/o/acme/settings").says("/o/acme/settings", 200, "To change it you need: Update organization settings")
	if strings.Contains(viewer.text(), "Audit log") || strings.Contains(viewer.text(), "Invitations") {
		t.Errorf("the viewer is shown what they may not read: %s", viewer.text())
	}
}

func TestSettingsAreSavedAndShown(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b, path := s.as(acme.Owner()), "/o/acme/settings/general"
	page := b.get(path)
	bound(t, s, page, path, "organizations.update")
	asked := b.submit(page, path, "name", "Acme Inc.", "retention_days", "14", "slug", "acme-inc").says(path, 200, "would delete nothing at once")
	b.submit(asked, path).says("/o/acme-inc/settings/general", 200, "The settings of Acme Inc. are saved.")
	b.get(path).says("/o/acme-inc/settings/general", 200)
	b.submit(b.get("/o/acme-inc/settings/general"), "/o/acme-inc/settings/general", "time_zone", "Mars", "name", "Acme").
		says("/o/acme-inc/settings/general", 422, "is not an IANA time zone")
	again := b.submit(b.get("/o/acme-inc/settings/general"), "/o/acme-inc/settings/general", "retention_days", "many").
		says("/o/acme-inc/settings/general", 422, "is not a number of days")
	if kept := again.form("/o/acme-inc/settings/general").Get("retention_days"); kept != "many" {
		t.Errorf("the field holds %q, not what was typed", kept)
	}
	viewer := s.as(acme.People["viewer"])
	viewer.get("/o/acme-inc/settings/general").says("/o/acme-inc/settings/general", 200, "Acme Inc.", "kept for 14 days", "does not include: Update organization settings")
	viewer.post("/o/acme-inc/settings/general", url.Values{"name": {"Viewers Inc."}}).says("/o/acme-inc/settings/general", 403, "owner@acme.test")
	s.Sound()
}

func TestALostUpdateOfTheSettingsShowsBoth(t *testing.T) {
	s := newSite(t, "automation")
	b, path := s.as(s.Organization("acme").Owner()), "/o/acme/settings/general"
	first, second := b.get(path), b.get(path)
	b.submit(first, path, "name", "Theirs")
	both := b.submit(second, path, "name", "Yours").says(path, 412, "Nothing of yours is saved yet", "Theirs", "Yours", "Save mine")
	b.get(path).says(path, 200)
	if name := b.get(path).form(path).Get("name"); name != "Theirs" {
		t.Errorf("the name is %q", name)
	}
	b.submit(both, path).says(path, 200, "The settings of Yours are saved.")
}

func TestTheOverviewShowsWhatIsLeftToDo(t *testing.T) {
	s := newSite(t, "automation")
	in := directory.ProvisionOrganizationInput{Owner: "ada@new.test"}
	in.Name, in.Slug = "Fresh", "fresh"
	if _, err := directory.ProvisionOrganization.Call(s.Operator(), s.Service(), in); err != nil {
		t.Fatal(err)
	}
	ada := s.as(s.SignIn("ada@new.test"))
	ada.get("/o/fresh").says("/o/fresh", 200, "Left to set up", "Invite the people that you work with", "What happened last", "created the organization Fresh")
	ada.submit(ada.get("/o/fresh/settings/team/invite"), "/o/fresh/settings/team/invite", "text", "bo@new.test")
	left := ada.get("/o/fresh").says("/o/fresh", 200, "Waiting for an answer", "bo@new.test", "Open the settings")
	if strings.Contains(left.text(), "Invite the people") {
		t.Error("the invitation is still left to do")
	}
}

func TestTheRolesAreTheCharters(t *testing.T) {
	s := newSite(t, "documents")
	b := s.as(s.Organization("acme").People["member"])
	b.get("/o/acme/settings/roles").says("/o/acme/settings/roles", 200, "Uses the studio and the API", "Use pipelines", "pipelines.use", "Show only what differs")
	csv := b.get("/o/acme/settings/roles?format=csv")
	if got := csv.Header().Get("Content-Type"); got != "text/csv; charset=utf-8" {
		t.Errorf("the file is %s", got)
	}
	lines := strings.Split(csv.Body.String(), "\n")
	if lines[0] != "group,permission,title,Member,Admin,Owner" {
		t.Errorf("the file begins with %s", lines[0])
	}
	if !strings.Contains(csv.Body.String(), "\nTeam,members.invite,Invite members,no,yes,yes\n") {
		t.Errorf("the file lacks who may invite:\n%s", csv.Body)
	}
	if differences := b.get("/o/acme/settings/roles?only=differences"); strings.Contains(differences.text(), "pipelines.use") {
		t.Error("what all roles hold is shown among the differences")
	}
}

func TestAccessIsExplained(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	const path = "/o/acme/settings/access"
	for _, c := range []struct {
		role  charter.RoleID
		query string
		code  int
		says  []string
	}{
		{"owner", "?can=billing.manage", 200, []string{"You can: Manage billing", "Owner holds billing.manage", "Who can"}},
		{"owner", "?who=editor%40acme.test&can=billing.manage", 200, []string{"editor@acme.test cannot: Manage billing", "lacks billing.manage", "owner@acme.test can grant it"}},
		{"owner", "?who=nobody%40acme.test&can=billing.manage", 422, []string{"There is no member"}},
		{"owner", "?can=billing.mange", 422, []string{"did you mean"}},
		{"owner", "?can=workflows.run&on=workflow", 422, []string{"is not a type and an id"}},
		{"viewer", "?can=billing.manage", 200, []string{"You cannot: Manage billing"}},
	} {
		s.as(acme.People[c.role]).get(path+c.query).says(path+c.query, c.code, c.says...)
	}
}

func TestTheAuditLogTellsSentences(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	editor := acme.People["editor"]
	b.submit(b.get("/o/acme/settings/team/"+editor.Member+"/role"), "/o/acme/settings/team/"+editor.Member+"/role", "role", "viewer", "reason", "is on leave")
	const path = "/o/acme/settings/audit-log"
	list := b.get(path+"?action=members.update").says(path+"?action=members.update", 200, "changed editor@acme.test from Editor to Viewer", "Done")
	if strings.Contains(list.text(), "looked at") {
		t.Errorf("the filter does not hold: %s", list.text())
	}
	for _, link := range list.links() {
		if strings.HasPrefix(link, path+"/evt_") {
			b.get(link).says(link, 200, "What changed", "editor", "viewer", "is on leave", "Leaf hash", "All by this actor")
		}
	}
	b.get(path+"?q=colour%3Ared").says(path+"?q=colour%3Ared", 422, "One thing has to be mended")
	file := b.get(path + "/export?action=members.update")
	if got := file.Body.String(); !strings.HasPrefix(got, "time,id,") || strings.Count(got, "\n") != 2 {
		t.Errorf("the file has another filter than the page:\n%s", got)
	}
	b.get(path+"/evt_00000000000000000000000000").says(path+"/evt_00000000000000000000000000", 404)
}

func TestListsGoOnAndBack(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	for range 60 {
		b.get("/o/acme/settings/audit-log?action=audit.export")
		s.Clock.Advance(time.Second)
	}
	first := b.get("/o/acme/settings/audit-log?action=audit.list")
	next := linkTo(t, first, "Next")
	second := b.get(next)
	if second.Code != 200 || !strings.Contains(second.text(), "Page 2") {
		t.Fatalf("the second page is %d: %s", second.Code, second.text())
	}
	if back := linkTo(t, second, "Previous"); back != "/o/acme/settings/audit-log?action=audit.list" {
		t.Errorf("the way back leads to %s", back)
	}
}

// linkTo is the address of the link with a text.
func linkTo(t *testing.T, s *sight, text string) (href string) {
	t.Helper()
	s.each(func(n *htmlNode, attrs map[string]string) {
		if n.Data == "a" && textOf(n) == text {
			href = attrs["href"]
		}
	})
	if href == "" {
		t.Fatalf("%s has no link %q: %s", s.url, text, s.text())
	}
	return href
}
