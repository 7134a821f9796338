package console_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/guildhalltest"
)

type htmlNode = html.Node

// memberVerbs are the pages of verbs on one member.
var memberVerbs = []string{"role", "end", "suspend", "reactivate", "transfer", "remove"}

// Every verb in the list of members leads to a form, and a verb that is not there is refused by its operation too.
func TestTheTeamShowsExactlyTheVerbsThatWork(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		for _, viewer := range acme.People {
			if !holds(t, s, viewer, "members.view") {
				continue
			}
			b := s.as(viewer)
			links := b.get("/o/acme/settings/team").links()
			for _, other := range acme.People {
				for _, verb := range memberVerbs {
					path := "/o/acme/settings/team/" + other.Member + "/" + verb
					works := hasForm(b.get(path), path)
					if shown := slices.Contains(links, path); shown && !works && viewer != other {
						t.Errorf("%s: the %s is shown %s of the %s, which does not work: %s", name, viewer.Role, verb, other.Role, b.get(path).text())
					} else if !shown && works && !idle(viewer, other, verb) {
						t.Errorf("%s: the %s is not shown %s of the %s, which works", name, viewer.Role, verb, other.Role)
					}
				}
			}
		}
	}
}

// idle are verbs that would change nothing, and those on oneself, of which leaving and lowering one's role have pages
// that say what is possible.
func idle(viewer, other *guildhalltest.Person, verb string) bool {
	return verb == "reactivate" || viewer == other
}

// hasForm reports whether a page has a form to submit itself with.
func hasForm(s *sight, action string) (found bool) {
	s.each(func(n *html.Node, attrs map[string]string) {
		found = found || s.Code == 200 && n.Data == "form" && attrs["method"] == "post" && attrs["action"] == action
	})
	return found
}

func TestTheTeamIsSearchedFilteredAndSorted(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	b := s.as(acme.People["viewer"])
	for query, want := range map[string][]string{
		"":                     {"editor", "owner", "viewer"},
		"?sort=-name":          {"viewer", "owner", "editor"},
		"?sort=role":           {"viewer", "editor", "owner"},
		"?q=EDIT":              {"editor"},
		"?role=owner":          {"owner"},
		"?status=suspended":    nil,
		"?q=a&role=editor":     {"editor"},
		"?q=no-such-person%25": nil,
	} {
		page := b.get("/o/acme/settings/team" + query)
		if got := people(page); !slices.Equal(got, want) {
			t.Errorf("%q lists %v, want %v", query, got, want)
		}
		if want == nil && !strings.Contains(page.text(), "Nobody matches these filters") {
			t.Errorf("%q does not say that the filters leave nobody: %s", query, page.text())
		}
	}
	sorted := b.get("/o/acme/settings/team?sort=-joined")
	found := ""
	sorted.each(func(n *html.Node, attrs map[string]string) {
		if attrs["aria-sort"] != "" {
			found += textOf(n) + " " + attrs["aria-sort"]
		}
	})
	if found != "Joined descending" {
		t.Errorf("the order is said as %q", found)
	}
	b.get("/o/acme/settings/team").says("/o/acme/settings/team", 200, "Your role, Viewer, does not include: Invite members")
}

// people are the members that a page lists, by what stands before their address's @.
func people(s *sight) (names []string) {
	s.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "tr" && strings.HasPrefix(attrs["id"], "mem_") {
			name, _, _ := strings.Cut(textOf(n), "@")
			_, name, _ = strings.Cut(name, " ")
			names = append(names, name)
		}
	})
	return names
}

func TestAMembersPageShowsWhatTheyMayAndWhereFrom(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	developer := acme.People["developer"]
	path := "/o/acme/settings/team/" + developer.Member
	s.as(acme.Owner()).get(path).says(path, 200, "developer@acme.test", "Promote prompts to Live", "granted to developer", "which developer extends", "Latest events")
	own := s.as(developer).get(path).says(path, 200, "Your sessions", "this one")
	if strings.Contains(own.text(), "Latest events") {
		t.Error("a developer is shown the audit log")
	}
	s.as(acme.People["reader"]).get(path).says(path, 403)
	s.as(s.Organization("globex").Owner()).get(path).says(path, 404)
}

func TestARoleIsChangedAndUndone(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	b, path := s.as(acme.Owner()), "/o/acme/settings/team/"+acme.People["admin"].Member+"/role"
	page := b.get(path).says(path, 200, "loses", "1 open session has the new rights at once", "Invite members")
	bound(t, s, page, path, "members.update")
	b.submit(page, path).says(path, 422, "Choose a role")
	changed := b.submit(page, path, "role", "member").says("/o/acme/settings/team", 200, "admin@acme.test is Member now, on every session.")
	if strings.Contains(changed.text(), "Undo") || hasUndo(changed, path) {
		t.Error("a change that takes rights to manage offers to give them back without a question")
	}
	s.as(acme.People["admin"]).get("/o/acme/settings/team/invite").says("/o/acme/settings/team/invite", 403)
}

func hasUndo(s *sight, path string) (found bool) {
	s.each(func(n *html.Node, attrs map[string]string) {
		found = found || n.Data == "form" && attrs["action"] == path
	})
	return found
}

func TestAChangeOfARoleIsUndoneUnlessItWasChangedAgain(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	b, path := s.as(acme.Owner()), "/o/acme/settings/team/"+acme.People["reader"].Member+"/role"
	changed := b.submit(b.get(path), path, "role", "developer").says("/o/acme/settings/team", 200, "is Developer now", "Undo")
	b.submit(changed, path).says("/o/acme/settings/team", 200, "is Reader now")
	b.submit(changed, path).says(path, 412, "changed in the meantime")
}

func TestALostChangeOfARoleIsNotSaved(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	b, path := s.as(acme.Owner()), "/o/acme/settings/team/"+acme.People["reader"].Member+"/role"
	first, second := b.get(path), b.get(path)
	b.submit(first, path, "role", "developer").says("/o/acme/settings/team", 200, "is Developer now")
	again := b.submit(second, path, "role", "admin").says(path, 412, "changed in the meantime", "is Developer now. A change")
	b.submit(again, path, "role", "admin").says("/o/acme/settings/team", 200, "is Admin now")
}

func TestNobodyRaisesThemselvesAndEverybodyMayLower(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	developer := acme.People["developer"]
	path := "/o/acme/settings/team/" + developer.Member + "/role"
	b := s.as(developer)
	page := b.get(path).says(path, 200, "Role Developer lacks")
	b.submit(page, path, "role", "admin").says(path, 403)
	b.submit(b.get(path), path, "role", "reader").says("/o/acme", 200, "is Reader now")
}

func TestSuspendingEndsAccessAndReactivatingGivesItBack(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	member := acme.People["member"]
	b, base := s.as(acme.People["admin"]), "/o/acme/settings/team/"+member.Member
	page := b.get(base+"/suspend").says(base+"/suspend", 200, "The role, Member, is kept", "1 open session no longer reaches this organization", "permissions end")
	bound(t, s, page, base+"/suspend", "members.suspend")
	undo := b.submit(page, base+"/suspend").says("/o/acme/settings/team", 200, "member@acme.test is suspended")
	s.as(member).get("/o/acme/settings").says("/o/acme/settings", 403, "suspended")
	b.submit(undo, base+"/reactivate").says("/o/acme/settings/team", 200, "has access again")
	s.as(member).get("/o/acme/settings").says("/o/acme/settings", 200)
	s.as(member).get(base+"/reactivate").says(base+"/reactivate", 403)
	owner := "/o/acme/settings/team/" + acme.Owner().Member + "/suspend"
	b.get(owner).says(owner, 403, "Only owners make, change or remove owners")
	s.Sound()
}

func TestAQuestionIsADialogOverThePageThatAskedIt(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	b := s.as(acme.Owner())
	b.header.Set("HX-Request", "true")
	b.header.Set("HX-Request-Type", "partial")
	for _, verb := range []string{"role", "end", "suspend", "remove"} {
		got := b.get("/o/acme/settings/team/" + acme.People["member"].Member + "/" + verb).Body.String()
		if strings.Contains(got, "<html") || !strings.Contains(got, "<dialog") || !strings.Contains(got, "data-arrived") || !strings.Contains(got, "autofocus") {
			t.Errorf("%s is no dialog that begins at Cancel: %s", verb, got)
		}
	}
}

func TestAnEndDateIsTheEndOfADay(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	member := acme.People["member"]
	b, path := s.as(acme.Owner()), "/o/acme/settings/team/"+member.Member+"/end"
	b.submit(b.get("/o/acme/settings/general"), "/o/acme/settings/general", "time_zone", "Europe/Berlin")
	page := b.get(path)
	bound(t, s, page, path, "members.update")
	b.submit(page, path, "ends_at", "2026-03-01").says(path, 422, "in the past")
	b.submit(page, path, "ends_at", "2026-03-03").says("/o/acme/settings/team", 200, "ends after 2026-03-03", "in 1 day")
	if kept := b.get(path).form(path).Get("ends_at"); kept != "2026-03-03" {
		t.Errorf("the field holds %q", kept)
	}
	s.Clock.Advance(time.Date(2026, 3, 3, 22, 59, 59, 0, time.UTC).Sub(s.Clock.Now()))
	s.as(member).get("/o/acme/settings").says("/o/acme/settings", 200)
	s.Clock.Advance(time.Second)
	if got := s.as(member).get("/o/acme/settings"); got.Code == 200 {
		t.Error("the membership goes on after midnight in Berlin")
	}
}

func TestRemovingAsksForAFreshSignInAndComesBack(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	editor, owner := acme.People["editor"], acme.Owner()
	b, path := s.as(owner), "/o/acme/settings/team/"+editor.Member+"/remove"
	s.Clock.Advance(11 * time.Minute)
	page := b.get(path).says(path, 200, "Access ends at once", "1 open session no longer reaches this organization", "Suspend instead", "Remove editor@acme.test")
	bound(t, s, page, path, "members.remove")
	asked := b.submit(page, path, "reason", "left")
	if !strings.HasPrefix(asked.url, "/verify?return_to=") {
		t.Fatalf("removing leads to %s: %s", asked.url, asked.text())
	}
	s.as(editor).get("/o/acme").says("/o/acme", 200)
	b.submit(asked, "/verify")
	token := s.MailedToken(owner.Email)
	back := b.post("/verify/link", url.Values{"token": {token}}).says(path+"?reason=left", 200, "Remove editor@acme.test")
	if kept := back.form(path).Get("reason"); kept != "left" {
		t.Errorf("the reason that was typed is %q now", kept)
	}
	b.submit(back, path).says("/o/acme/settings/team/"+editor.Member+"/removed", 200, "editor@acme.test is removed. No session reaches acme any more.", "Refused", "Not a member any more")
	s.as(editor).get("/o/acme").says("/o/acme", 404)
	s.Sound()
}

func TestTheLastOwnerIsToldWhatHelps(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	owner := acme.Owner()
	b := s.as(owner)
	b.get("/o/acme/settings/team/leave").says("/o/acme/settings/team/leave", 200, "is the only active owner", "Members who can become owner")
	role := "/o/acme/settings/team/" + owner.Member + "/role"
	b.get(role).says(role, 200, "is the only active owner")
	b.post("/o/acme/settings/team/leave", url.Values{}).says("/o/acme/settings/team/leave", 409, "is the only active owner")
	editor := s.as(acme.People["editor"])
	page := editor.get("/o/acme/settings/team/leave").says("/o/acme/settings/team/leave", 200, "Leave acme", "permissions end")
	bound(t, s, page, "/o/acme/settings/team/leave", "members.leave")
	editor.submit(page, "/o/acme/settings/team/leave", "reason", "new job").says("/orgs", 200, "You have left acme.")
	s.Sound()
}
