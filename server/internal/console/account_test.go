package console_test

import (
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

func TestAProfileIsSavedAndALostUpdateIsNot(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.Organization("acme").Owner()
	b := s.as(owner)
	page := b.get("/account")
	b.submit(page, "/account", "name", "Ada <i>Lovelace</i>", "time_zone", "Europe/Berlin").says("/account", 200, "Your profile is saved.", "Ada <i>Lovelace</i>")
	if got := b.get("/account").says("/account", 200); strings.Contains(got.whole(), "is saved") {
		t.Error("it is said twice")
	}
	page.form("/account").Set("name", "Eve")
	page = b.submit(page, "/account", "name", "Eve", "idempotency_key", "other").says("/account", 412, "It was changed in the meantime")
	if got := page.form("/account").Get("name"); got != "Eve" {
		t.Errorf("what was typed is lost: %q", got)
	}
	me, err := directory.GetMe.Call(owner.Ctx(), s.Service(), directory.GetMeInput{})
	if err != nil || me.User.Name != "Ada <i>Lovelace</i>" || me.User.TimeZone != "Europe/Berlin" {
		t.Errorf("saved is %+v, %v", me.User, err)
	}
}

func TestAWrongFieldIsMarkedAndKeepsItsValue(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	page := b.submit(b.get("/account"), "/account", "name", "Ada", "time_zone", "Mars/Olympus").says("/account", 422, "One thing has to be mended")
	if got := page.form("/account"); got.Get("time_zone") != "Mars/Olympus" || got.Get("name") != "Ada" {
		t.Errorf("the form holds %v", got)
	}
	if marked := strings.Contains(page.Body.String(), `href="#f-time-zone"`) && strings.Contains(page.Body.String(), `id="f-time-zone-error"`); !marked {
		t.Error("the field is not marked, or the summary does not lead to it")
	}
}

func TestAFormThatIsSentTwiceActsOnce(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.SignIn("ada@acme.test"))
	page := b.get("/orgs/new")
	for range 2 {
		if to := b.send("POST", "/orgs/new", withValue(page.form("/orgs/new"), "name", "Initech")).Header().Get("Location"); to != "/o/initech" {
			t.Errorf("it leads to %q", to)
		}
	}
	b.get("/orgs").says("/orgs", 200, "Initech is there, and you own it.")
	if n := strings.Count(b.get("/orgs").Body.String(), "/o/initech"); n != 1 {
		t.Errorf("there are %d", n)
	}
}

func withValue(form url.Values, name, value string) url.Values {
	form.Set(name, value)
	return form
}

func TestWhoBelongsNowhereIsToldWhatToDo(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.SignIn("ada@acme.test"))
	b.get("/").says("/orgs", 200, "Create one, or ask for an invitation to ada@acme.test.")
	b.get("/account").says("/account", 200, "Your account")

	closed := newSite(t, "gateway")
	b = closed.as(closed.SignIn("ada@acme.test"))
	mayFound := closed.Charter().Rules.Organizations.Create == "anyone"
	if got := b.get("/orgs/new").Code == 200; got != mayFound {
		t.Errorf("the form is shown: %v, the charter lets them: %v", got, mayFound)
	}
}

func TestPendingInvitationsAreListedWithTheOrganizations(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(s.SignIn("zoe@acme.test"))
	s.invites(acme, "zoe@acme.test", "editor")
	b.get("/orgs").says("/orgs", 200, "acme, as Editor", "from owner@acme.test", "open the link that was mailed to zoe@acme.test")
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.Organization("acme").Owner()
	second, third := s.SignIn("owner@acme.test"), s.SignIn("owner@acme.test")
	b := s.as(owner)
	ends := b.get("/account/sessions").says("/account/sessions", 200, "This session").endForms()
	if len(ends) != 2 {
		t.Fatalf("%d other sessions can be ended, want 2", len(ends))
	}
	b.post(ends[0], url.Values{}).says("/account/sessions", 200, "has ended.")
	if alive(s, second) && alive(s, third) {
		t.Error("none has ended")
	}
	page := b.get("/account/sessions/end").says("/account/sessions/end", 200, "This one stays signed in.")
	b.submit(page, "/account/sessions/end").says("/account/sessions", 200, "One other session has ended.")
	if alive(s, second) || alive(s, third) || !alive(s, owner) {
		t.Error("not all the others have ended, or this one has")
	}
}

// endForms are the addresses that the buttons of a list of sessions post to.
func (s *sight) endForms() (all []string) {
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "form" && strings.HasSuffix(attrs["action"], "/revoke") {
			all = append(all, attrs["action"])
		}
	})
	return all
}

func alive(s *site, p *guildhalltest.Person) bool {
	_, err := directory.GetMe.Call(p.Ctx(), s.Service(), directory.GetMeInput{})
	return err == nil
}

func TestOnesOwnActivityIsListed(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	s.invites(acme, "zoe@acme.test", "editor")
	page := s.as(acme.Owner()).get("/account/activity").says("/account/activity", 200, "invited zoe@acme.test as Editor")
	if strings.Contains(page.text(), "accepted the invitation") {
		t.Error("it lists what others did")
	}
}

func TestEveryPageStandsUnderTheBasePath(t *testing.T) {
	s := newSiteAt(t, "automation", "/console")
	acme := s.Organization("acme")
	link := s.invites(acme, "zoe@acme.test", "editor")
	b := s.as(acme.Owner())
	for _, path := range []string{"/account", "/account/sessions", "/account/sessions/end", "/account/activity", "/orgs", "/orgs/new", "/verify", "/nothing"} {
		b.get("/console" + path) // every answer is checked
	}
	s.browser().get(link).says(link, 200)
	s.browser().get("/console/account").says("/console/login?return_to=%2Fconsole%2Faccount", 200)
	page := s.browser().get("/console/login")
	css := ""
	page.each(func(n *html.Node, attrs map[string]string) {
		if attrs["rel"] == "stylesheet" {
			css = attrs["href"]
		}
	})
	if got := s.browser().send("GET", css, nil); got.Code != 200 {
		t.Errorf("%s answers %d", css, got.Code)
	}
}

func TestADialogIsAFragmentAndAPage(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").Owner())
	b.header.Set("HX-Request", "true")
	b.header.Set("HX-Request-Type", "partial")
	got := b.get("/account/sessions/end").Body.String()
	if strings.Contains(got, "<html") || !strings.Contains(got, "data-arrived") {
		t.Errorf("the fragment is %s", got)
	}
	w := s.browser()
	w.header = b.header
	if to := w.send("GET", "/account/sessions/end", nil).Header().Get("HX-Redirect"); !strings.HasPrefix(to, "/login?") {
		t.Errorf("a dialog without a session leads to %q", to)
	}
}
