package console_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

const filesPath = "/o/acme/settings/artifacts"

// puts stores a file of somebody's.
func (s *site) puts(p *guildhalltest.Person, in artifacts.PutInput, text string) artifacts.Artifact {
	s.t.Helper()
	in.Organization = "acme"
	a, err := artifacts.Put.Call(p.Ctx(), s.Service(), in, op.Content{Body: strings.NewReader(text), MediaType: "text/plain", Size: int64(len(text))})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func TestFilesAreListedDownloadedAndDeleted(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	a := s.puts(acme.Owner(), artifacts.PutInput{Name: "report.txt", Resource: "execution:ex_1"}, "all is well")
	s.puts(acme.People["editor"], artifacts.PutInput{Name: "rows.csv"}, "1,2")
	owner, viewer := s.as(acme.Owner()), s.as(acme.People["viewer"])
	owner.get(filesPath).says(filesPath, 200, "report.txt", "execution:ex_1", "11 bytes", "us-east-1", "You", "1 Apr 2026", "editor@acme.test", "2 files, 14 bytes")
	list := viewer.get(filesPath+"?q=REPORT").says(filesPath+"?q=REPORT", 200, "report.txt", "Name: REPORT")
	if strings.Contains(list.text(), "rows.csv") || slices.Contains(list.links(), filesPath+"/"+a.ID+"/delete") {
		t.Errorf("the viewer is shown more than what they may do: %s", list.text())
	}
	owner.get(filesPath+"?held=true").says(filesPath+"?held=true", 200, "No file matches these filters")
	owner.get(filesPath+"?created_after=soon").says(filesPath+"?created_after=soon", 422, "is neither a date")

	one := filesPath + "/" + a.ID
	page := owner.get(one).says(one, 200, "text/plain", a.SHA256, "Download", "Put under a legal hold")
	bound(t, s, page, one, "artifacts.update")
	owner.submit(page, one, "name", "report 2.txt").says(one, 200, "The file is called report 2.txt.")
	owner.submit(owner.get(one), one, "name", "a/b").says(one, 422, "is not the name of a file")
	got := viewer.send("GET", one+"/content", nil)
	if got.Body.String() != "all is well" || got.Header().Get("Content-Disposition") != `attachment; filename="report 2.txt"` || got.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the download is %d %v: %s", got.Code, got.Header(), got.Body)
	}

	end := one + "/delete"
	viewer.get(end).says(end, 200)
	viewer.post(end, url.Values{}).says(end, 403, "owner@acme.test")
	page = owner.get(end).says(end, 200, "Delete report 2.txt", "This is final")
	bound(t, s, page, end, "artifacts.delete")
	gone := owner.submit(page, end).says(filesPath, 200, "The file is deleted.")
	if strings.Contains(gone.text(), "report 2.txt") {
		t.Error("the file is still listed")
	}
	owner.get(one).says(one, 404)
	s.as(s.Organization("globex").Owner()).get(filesPath).says(filesPath, 404)
	s.Sound()
}

func TestALinkToAFileIsShownOnce(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	one := filesPath + "/" + s.puts(acme.Owner(), artifacts.PutInput{Name: "report.txt"}, "all is well").ID
	b := s.as(acme.People["viewer"])
	page := b.get(one+"/link").says(one+"/link", 200, "without a sign-in", "for a week")
	bound(t, s, page, one+"/link", "artifacts.link")
	form := page.form(one + "/link")
	form.Set("expires_at", "1h")
	first := b.post(one+"/link", form).says(one+"/link", 200, "Link to report.txt", "in 1 hour", "the one time that you can read it")
	if !strings.Contains(first.Body.String(), "/v1/artifact-links/") {
		t.Errorf("there is no link: %s", first.text())
	}
	again := b.post(one+"/link", form).says(one+"/link", 200, "This link was shown once")
	if strings.Contains(again.Body.String(), "/v1/artifact-links/") {
		t.Error("the link is shown twice")
	}
	s.Sound()
}

func TestALegalHoldIsPlacedAndReleased(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	a := s.puts(acme.Owner(), artifacts.PutInput{Name: "report.txt", Resource: "execution:ex_1"}, "all is well")
	b, path, one := s.as(acme.Owner()), filesPath+"/holds", filesPath+"/"+a.ID
	page := b.get(path+"?artifacts="+a.ID).says(path+"?artifacts="+a.ID, 200, "There is no legal hold here")
	bound(t, s, page, path, "holds.create")
	b.submit(page, path, "reason", "").says(path, 422, "Reason")
	b.submit(page, path, "reason", "case 24-117").says(path, 200, "The hold for case 24-117 is in force.", "1 file")
	b.get(filesPath+"?held=true").says(filesPath+"?held=true", 200, "report.txt", "Legal hold")
	held := b.get(one+"/delete").says(one+"/delete", 200, "A legal hold keeps this file")
	if slices.Contains(b.get(one).links(), one+"/delete") || strings.Contains(held.Body.String(), `name="idempotency_key"`) {
		t.Error("a held file can be asked to be deleted")
	}
	b.post(one+"/delete", url.Values{}).says(one+"/delete", 409, "release it first")

	s.Clock.Advance(31 * 24 * time.Hour)
	b = s.as(s.SignIn("owner@acme.test"))
	release := linkTo(t, b.get(path), "Release")
	page = b.get(release).says(release, 200, "1 file, 11 bytes, are over their time and would be deleted by the next sweep")
	bound(t, s, page, release, "holds.release")
	b.submit(page, release, "reason", "").says(release, 422)
	b.submit(b.get(release), release, "reason", "the case is closed").says(path, 200, "The hold is released.", "Released: the case is closed")
	b.get(path+"?state=in_force").says(path+"?state=in_force", 200, "There is no legal hold here")
	s.as(s.SignIn("editor@acme.test")).get(path).says(path, 403)
	s.Sound()
}

func TestRetentionIsPreviewedBeforeItIsChanged(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	s.puts(acme.Owner(), artifacts.PutInput{Name: "report.txt"}, "all is well")
	s.Clock.Advance(8 * 24 * time.Hour)
	owner := s.SignIn("owner@acme.test")
	s.puts(owner, artifacts.PutInput{Name: "rows.csv"}, "1,2")
	b, general := s.as(owner), "/o/acme/settings/general"
	looked := general + "/retention?days=7"
	b.get(looked).says(looked, 200, "It would delete 1 file, 11 bytes, at once", "Deleted after 7 days", "Nothing was deleted yet", "2 files, 14 bytes")
	b.get(general+"/retention?days=many").says(general+"/retention?days=many", 422)
	s.as(s.SignIn("viewer@acme.test")).get(looked).says(looked, 200, "It would delete 1 file")

	page := b.get(general).says(general, 200, "More than 30 days, and for ever, come with the plan Business.", "What retention deletes, and when")
	asked := b.submit(page, general, "retention_days", "7").says(general, 200, "would delete 1 file, 11 bytes, at once", "Nothing is changed until you save.")
	bound(t, s, asked, general, "organizations.update")
	if days := b.get(general).form(general).Get("retention_days"); days != "30" {
		t.Errorf("the retention is %s before anybody has confirmed it", days)
	}
	b.submit(asked, general).says(general, 200, "The settings of acme are saved.")
	if days := b.get(general).form(general).Get("retention_days"); days != "7" {
		t.Errorf("the retention is %s, want 7", days)
	}
	s.Clock.Advance(time.Minute)
	if err := s.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.get(general+"/retention").says(general+"/retention", 200, "Deleted last", "Retention", "1 file, 3 bytes")
	refused := b.submit(b.get(general), general, "retention_days", "0").says(general, 402, "comes with the plan Business")
	if kept := refused.form(general).Get("retention_days"); kept != "0" {
		t.Errorf("the field holds %q, not what was typed", kept)
	}
	s.Sound()
}

func TestShorterRetentionWantsAFreshSignIn(t *testing.T) {
	s := newSite(t, "automation")
	b, general := s.as(s.Organization("acme").Owner()), "/o/acme/settings/general"
	s.Clock.Advance(time.Hour)
	asked := b.submit(b.get(general), general, "retention_days", "7").says(general, 200, "would delete nothing at once")
	if got := b.submit(asked, general); !strings.HasPrefix(got.url, "/verify?") || !strings.Contains(got.url, "retention_days%3D7") {
		t.Errorf("it leads to %s, want to a proof and back", got.url)
	}
}

func TestRegionsAreThoseOfThePlan(t *testing.T) {
	s := newSite(t, "automation")
	b, general := s.as(s.Organization("acme").Owner()), "/o/acme/settings/general"
	page := b.get(general).says(general, 200, "Allowed regions", "With the plan Business", "The default region is always allowed.", "Several regions: with the plan Business")
	if page.form(general).Has("allowed_regions") {
		t.Error("regions can be chosen that the plan does not have")
	}
	business := "/o/acme/settings/billing/plans/business"
	b.submit(b.get(business), business)
	page = b.get(general)
	form := page.form(general)
	form.Add("allowed_regions", "eu-west-1")
	b.post(general, form).says(general, 200, "The settings of acme are saved.")
	page = b.get(general)
	if got := page.form(general)["allowed_regions"]; !slices.Equal(got, []string{"", "eu-west-1"}) {
		t.Errorf("the form has %q", got)
	}
	form = page.form(general)
	form["allowed_regions"] = []string{""}
	asked := b.post(general, form).says(general, 200, "Region eu-west-1", "nothing new is stored there; what is there stays")
	b.submit(asked, general).says(general, 200, "The settings of acme are saved.")
	moved := b.submit(b.get(general), general, "region", "eu-west-1").says(general, 200, "new work runs in eu-west-1; what is stored in us-east-1 stays there")
	b.submit(moved, general).says(general, 200, "are saved")
	s.Sound()
}
