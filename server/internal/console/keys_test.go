package console_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
)

const keysPath, newKeyPath = "/o/acme/settings/api-keys", "/o/acme/settings/api-keys/new"

// secret is what the page's box shows once; empty without one.
func (s *sight) secret() (secret string) {
	s.each(func(n *html.Node, attrs map[string]string) {
		if attrs["class"] == "secret" {
			secret, _, _ = strings.Cut(textOf(n), " ")
		}
	})
	return secret
}

// makes makes a key in the two steps of its form, and gives its secret and id.
func (b *browser) makes(changes ...string) (secret, id string) {
	b.site.t.Helper()
	path := newKeyPath
	if len(changes)%2 == 1 { // the first is a query
		path, changes = path+changes[0], changes[1:]
	}
	summary := b.submit(b.get(path).says(path, 200), newKeyPath, changes...).says(newKeyPath, 200, "Create the key")
	made := b.submit(summary, newKeyPath).says(newKeyPath, 200, "this is the one time")
	for _, link := range made.links() {
		if rest, ok := strings.CutPrefix(link, keysPath+"/key_"); ok && !strings.Contains(rest, "/") {
			id = "key_" + rest
		}
	}
	return made.secret(), id
}

// uses sends a request with a credential, and says whether it was accepted.
func (s *site) uses(secret string) error {
	ctx := op.As(s.t.Context(), op.Caller{Credential: secret, Address: "203.0.113.7", Agent: "curl/8.5.0"})
	_, err := directory.GetMe.Call(ctx, s.Service(), directory.GetMeInput{})
	return err
}

func TestTheKeysPagesFollowPermissions(t *testing.T) {
	anyOf := map[string][]charter.Permission{
		keysPath:                  {"keys.view", "keys.inspect", "keys.create", "keys.create_own"},
		newKeyPath:                {"keys.create", "keys.create_own"},
		"/o/acme/settings/tokens": {"tokens.create", "keys.inspect"},
	}
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		for role, person := range acme.People {
			for path, needs := range anyOf {
				may := slices.ContainsFunc(needs, func(p charter.Permission) bool { return holds(t, s, person, p) })
				want := map[bool]int{true: 200, false: 403}[may]
				if got := s.as(person).get(path); got.Code != want {
					t.Errorf("%s: the %s gets %d at %s, want %d", name, role, got.Code, path, want)
				}
				entry := path != newKeyPath && slices.Contains(s.as(person).get("/account").links(), path)
				if path != newKeyPath && entry != may {
					t.Errorf("%s: the sidebar of the %s has %s: %v, want %v", name, role, path, entry, may)
				}
			}
		}
	}
}

// T-044
func TestAKeyIsMadeInTwoStepsAndShownOnce(t *testing.T) {
	s := newSite(t, "gateway")
	b := s.as(s.Organization("acme").People["developer"])
	page := b.get(newKeyPath).says(newKeyPath, 200, "A personal key acts as you", "Names here read: developer@acme.test - what it is for", "It may do nothing yet.")
	bound(t, s, page, newKeyPath, "keys.create")
	b.submit(page, newKeyPath).says(newKeyPath, 422, "Say what the key is for", "Choose at least one permission")
	summary := b.submit(page, newKeyPath, "name", "developer@acme.test - ci", "permissions/Prompts", "read", "permissions/Endpoints", "write").
		says(newKeyPath, 200, "This key acts as you in acme. It may: everything in Endpoints; view prompts and snippets. Until 31 May 2026, in 90 days.")
	bound(t, s, summary, newKeyPath, "keys.create")
	if keys := listed(t, s, s.Organization("other").Owner(), "acme"); len(keys) > 0 {
		t.Fatalf("there are keys before the summary was answered: %v", keys)
	}
	form := summary.form(newKeyPath)
	made := b.post(newKeyPath, form).says(newKeyPath, 200, "Only a hash is kept", "export GUILDHALL_KEY=", "Waiting for the first request.", "Done, I stored it")
	secret := made.secret()
	if err := s.uses(secret); err != nil || !strings.Contains(made.text(), "Authorization: Bearer "+secret) {
		t.Errorf("the key %q does not work as shown: %v", secret, err)
	}
	again := b.post(newKeyPath, form).says(newKeyPath, 200, "was shown once", "rotate the key")
	if again.secret() != "" || strings.Contains(again.Body.String(), secret) {
		t.Error("the secret is shown twice")
	}
	id := keyID(t, made)
	for _, path := range []string{keysPath, keysPath + "/" + id, keysPath + "/" + id + "/secret"} {
		if got := b.get(path).says(path, 200).Body.String(); strings.Contains(got, secret) {
			t.Errorf("%s shows the secret", path)
		}
	}
	s.Sound()
}

// keyID is the id of the key that a page leads to.
func keyID(t *testing.T, page *sight) string {
	t.Helper()
	for _, link := range page.links() {
		if rest, ok := strings.CutPrefix(link, keysPath+"/key_"); ok && !strings.Contains(rest, "/") {
			return "key_" + rest
		}
	}
	t.Fatalf("%s leads to no key", page.url)
	return ""
}

// listed are the names of the keys that somebody of another organization sees: none, unless something is wrong.
func listed(t *testing.T, s *site, p *guildhalltest.Person, organization string) (names []string) {
	t.Helper()
	list, err := credential.ListKeys.Call(p.Ctx(), s.Service(), credential.ListKeysInput{InOrganization: op.InOrganization{Organization: organization}})
	if op.AsError(err).Kind != op.NotFound {
		t.Errorf("a stranger lists keys: %v, %v", list, err)
	}
	return names
}

func TestTheLightShowsTheFirstUse(t *testing.T) {
	s := newSite(t, "documents")
	b := s.as(s.Organization("acme").Owner())
	secret, id := b.makes("name", "ci", "permissions/API", "write")
	light := keysPath + "/" + id + "/first-use"
	b.get(light).says(light, 200, "Waiting for the first request.", "Refresh")
	poll := s.as(s.Organization("globex").Owner())
	poll.cookies, poll.header = b.cookies, map[string][]string{"Hx-Request": {"true"}, "Hx-Request-Type": {"partial"}}
	if got := poll.get(light); got.Code != 204 || got.Body.Len() != 0 {
		t.Errorf("before the first use the poll is answered %d: %s", got.Code, got.Body)
	}
	if err := s.uses(secret); err != nil {
		t.Fatal(err)
	}
	got := poll.get(light)
	if got.Code != 200 || !strings.Contains(got.text(), "Used from 203.0.113.7, just now") || strings.Contains(got.Body.String(), "hx-get") {
		t.Errorf("after the first use the poll is answered %d: %s", got.Code, got.Body)
	}
	b.get(keysPath+"/"+id).says(keysPath+"/"+id, 200, "203.0.113.7", "curl/8.5.0")
}

func TestAKeysPageShowsItsLatestRequests(t *testing.T) {
	s := newSite(t, "gateway")
	b := s.as(s.Organization("acme").Owner())
	secret, id := b.makes("name", "Ada - ci", "permissions/Prompts", "read")
	_, other := b.makes("name", "Ada - other", "permissions/Prompts", "read")
	asking := op.As(t.Context(), op.Caller{Credential: secret})
	if _, err := directory.ListMembers.Call(asking, s.Service(), directory.ListMembersInput{InOrganization: op.InOrganization{Organization: "acme"}}); op.AsError(err).Kind != op.Denied {
		t.Fatal(err)
	}
	if err := s.Requests().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.get(keysPath+"/"+id).says(keysPath+"/"+id, 200, "members.list", "Refused", "All of them in the request log")
	if got := b.get(keysPath+"/"+other).says(keysPath+"/"+other, 200, "No request was made with it lately."); strings.Contains(got.text(), "members.list") {
		t.Error("the page of another key shows them too")
	}
}

func TestTheAddressFillsTheFormInAndMakesNothing(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	b := s.as(acme.People["developer"])
	path := newKeyPath + "?name=ci&permissions=prompts.view,endpoints.view&permissions=endpoints.edit,members.view,no.such&expires_at=30d&resources=prompt:pr_1&step=create"
	page := b.get(path).says(path, 200, "It may: view endpoints; create and edit endpoints; view prompts and snippets. Only on prompt:pr_1.",
		"it is left out: no.such and members.view", "In words")
	form := page.form(newKeyPath)
	if got := []string{form.Get("name"), form.Get("permissions/Prompts"), form.Get("permissions/Endpoints"), form.Get("expires_at"), form.Get("resources")}; !slices.Equal(got, []string{"ci", "read", "some", "30d", "prompt:pr_1"}) {
		t.Errorf("the form is filled in with %q", got)
	}
	b.get(keysPath).says(keysPath, 200, "There are no keys yet.")
	b.get(newKeyPath+"?kind=organization").says(newKeyPath+"?kind=organization", 403, "Create API keys")
}

func TestTheSentenceFollowsTheForm(t *testing.T) {
	s := newSite(t, "automation")
	b := s.as(s.Organization("acme").People["editor"])
	b.header.Set("HX-Request", "true")
	b.header.Set("HX-Request-Type", "partial")
	got := b.get(newKeyPath + "?permissions%2FWorkflows=read&expires_at=7d&expires_at=&networks=203.0.113.0%2F24")
	if want := "This key acts as you in acme. It may: view workflows and executions. Only from 203.0.113.0/24. Until 9 Mar 2026, in 7 days."; got.text() != want {
		t.Errorf("the sentence is %q, want %q", got.text(), want)
	}
	if strings.Contains(got.Body.String(), "<form") {
		t.Error("the fragment is more than the sentence")
	}
}

func TestWhatSomebodyLacksCannotBeGiven(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	admin := s.as(acme.People["admin"])
	admin.get(newKeyPath).says(newKeyPath, 200, "Not in your role. owner@acme.test can grant it.")
	s.as(acme.People["developer"]).get(newKeyPath).says(newKeyPath, 200, "Team", "not in your role. An owner can grant it.")
	organization := newKeyPath + "?kind=organization"
	admin.get(organization).says(organization, 200, "not for organization keys.", "2 of 3 can be given here")
	form := admin.get(newKeyPath).form(newKeyPath)
	form["permissions"], form["name"] = []string{"billing.manage", "prompts.view"}, []string{"admin@acme.test - x"}
	for _, step := range []string{"", "create"} {
		form.Set("step", step)
		admin.post(newKeyPath, form).says(newKeyPath, 422, "Not to be given here: billing.manage")
	}
	form["permissions/Prompts"], form["resources"] = []string{"read"}, []string{"prmpt:1"}
	form.Del("permissions")
	admin.post(newKeyPath, form).says(newKeyPath, 422, "did you mean")
	s.Sound()
}

func TestAKeyLivesNoLongerThanTheCharterAllows(t *testing.T) {
	s := siteWith(t, testroom.With(t, "automation", "after_creator_leaves: revoke", "after_creator_leaves: revoke\n    max_age: 720h"), "")
	b := s.as(s.Organization("acme").Owner())
	page := b.get(newKeyPath).says(newKeyPath, 200, "after 90 days (longer than this product allows)", "never (longer than this product allows)")
	if life := page.form(newKeyPath).Get("expires_at"); life != "" && life != "30d" {
		t.Errorf("the form begins with %q", life)
	}
	form := url.Values{"name": {"ci"}, "permissions": {"workflows.view"}, "expires_at": {"90d"}, "step": {"create"}}
	b.post(newKeyPath, form).says(newKeyPath, 422, "at the latest")
	b.get("/o/acme/settings").says("/o/acme/settings", 200, "keys live 30 days at most")
}

func TestNamesOnlyForThoseWhoMaySeeNoMore(t *testing.T) {
	s := newSite(t, "documents")
	acme := s.Organization("acme")
	_, id := s.as(acme.Owner()).makes("name", "billing sync", "permissions/API", "write")
	member := s.as(acme.People["member"])
	list := member.get(keysPath).says(keysPath, 200, "billing sync", "You see the names of keys", "31 May 2026")
	for _, hidden := range []string{id, "gld_live", "owner@acme.test"} {
		if strings.Contains(list.Body.String(), hidden) {
			t.Errorf("the list shows %s to whoever may see names", hidden)
		}
	}
	member.get(keysPath+"/"+id).says(keysPath+"/"+id, 403, "View API keys in full")
}

func TestWhoMakesKeysSeesTheirOwnInFullAndTheNamesOfOthers(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	_, theirs := s.as(acme.Owner()).makes("name", "theirs", "permissions/Workflows", "read")
	editor := s.as(acme.People["editor"])
	_, mine := editor.makes("name", "mine", "permissions/Workflows", "read")
	list := editor.get(keysPath).says(keysPath, 200, "theirs not shown to you", "mine gld_live_...")
	links := list.links()
	if !slices.Contains(links, keysPath+"/"+mine) || strings.Contains(list.Body.String(), theirs) {
		t.Errorf("the list leads to %v", links)
	}
}

func TestAKeyIsRenamedAndNarrowedAndNeverWidened(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	b := s.as(acme.People["developer"])
	_, id := b.makes("name", "developer@acme.test - ci", "permissions/Prompts", "write")
	path, one := keysPath+"/"+id+"/edit", keysPath+"/"+id
	page := b.get(path).says(path, 200, "Untick what it no longer needs")
	bound(t, s, page, path, "keys.update")
	form := page.form(path)
	form["permissions"], form["networks"], form["name"] = []string{"prompts.view"}, []string{"203.0.113.0/24"}, []string{"developer@acme.test - cd"}
	b.post(path, form).says(one, 200, "The key developer@acme.test - cd is changed", "It may: view prompts and snippets. Only from 203.0.113.0/24.")
	form.Set("name", "somebody else's change")
	form.Del("idempotency_key")
	lost := b.post(path, form).says(path, 412)
	b.submit(lost, path, "name", "developer@acme.test - cd 2").says(one, 200, "is changed")
	wider := b.get(path).form(path)
	wider.Set("networks", "")
	b.post(path, wider).says(path, 422, "Every other address is outside")
	wider = b.get(path).form(path)
	wider.Set("expires_at", "")
	b.post(path, wider).says(path, 422, "at the latest")
	none := b.get(path).form(path)
	none.Del("permissions")
	b.post(path, none).says(path, 422, "or revoke it")
	s.as(acme.Owner()).get("/o/acme/settings/audit-log").says("/o/acme/settings/audit-log", 200, "developer@acme.test changed the key developer@acme.test - ci: permissions, networks, name")
	s.as(acme.People["reader"]).get(path).says(path, 403)
	s.Sound()
}

func TestAKeyIsRotatedWithAnOverlap(t *testing.T) {
	s := newSite(t, "gateway")
	b := s.as(s.Organization("acme").People["developer"])
	old, id := b.makes("name", "developer@acme.test - ci", "permissions/Prompts", "read")
	if err := s.uses(old); err != nil {
		t.Fatal(err)
	}
	path := keysPath + "/" + id + "/rotate"
	page := b.get(path).says(path, 200, "It was last used just now, from 203.0.113.7.", "The present key goes on for")
	bound(t, s, page, path, "keys.rotate")
	made := b.submit(page, path, "overlap", "1h").says(path, 200, "The key before goes on until 2 Mar 2026, 10:00 UTC")
	fresh := made.secret()
	for _, secret := range []string{old, fresh} {
		if err := s.uses(secret); err != nil {
			t.Errorf("during the overlap %s: %v", secret[:12], err)
		}
	}
	b.get(keysPath+"/"+id).says(keysPath+"/"+id, 200, "Another key has taken its place", "Its place took")
	s.Clock.Advance(time.Hour)
	if s.uses(old) == nil || s.uses(fresh) != nil {
		t.Error("after the overlap the old key works, or the new one does not")
	}
}

func TestARevokedKeyIsRefusedAndSaysWhy(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	editor := acme.People["editor"]
	secret, id := s.as(editor).makes("name", "ci", "permissions/Workflows", "write")
	token, err := credential.CreateToken.Call(op.As(t.Context(), op.Caller{Credential: secret}), s.Service(), credential.CreateTokenInput{InOrganization: acme.In(), Name: "one run"})
	if op.AsError(err).Kind == op.Denied {
		token, err = credential.CreateToken.Call(editor.Ctx(), s.Service(), credential.CreateTokenInput{InOrganization: acme.In(), Name: "one run", Parent: id})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.uses(token.Secret); err != nil {
		t.Fatal(err)
	}
	if err := s.uses(secret); err != nil {
		t.Fatal(err)
	}
	owner, path := s.as(acme.Owner()), keysPath+"/"+id+"/revoke"
	page := owner.get(path).says(path, 200, "Revoke ci", "In use now", "what runs at 203.0.113.7 is refused", "Token one run", "Kept in the audit log")
	bound(t, s, page, path, "keys.revoke")
	owner.submit(page, path, "reason", "it was in a log").says(keysPath, 200, "The key ci is revoked. Every request with it is refused.", "Revoked")
	if s.uses(secret) == nil || s.uses(token.Secret) == nil {
		t.Error("the key or its token still works")
	}
	owner.get(keysPath+"/"+id).says(keysPath+"/"+id, 200, "it was in a log", "owner@acme.test revoked the key ci", "editor@acme.test made the key ci")
	owner.get(keysPath+"?state=active").says(keysPath+"?state=active", 200, "No key matches these filters.", "Clear filters")
	s.Sound()
}

func TestTheListWarnsAndFilters(t *testing.T) {
	s := newSite(t, "gateway")
	acme := s.Organization("acme")
	owner, developer := s.as(acme.Owner()), s.as(acme.People["developer"])
	owner.makes("name", "owner@acme.test - admin", "permissions/Team", "write", "expires_at", "never")
	developer.makes("name", "developer@acme.test - ci", "permissions/Prompts", "read", "expires_at", "365d")
	list := owner.get(keysPath).says(keysPath, 200, "Administers", "developer@acme.test - ci", "View prompts and snippets")
	if strings.Contains(list.text(), "Unused for 90 days Active") {
		t.Error("a new key is called unused")
	}
	s.Clock.Advance(91 * 24 * time.Hour)
	owner = s.as(s.SignIn("owner@acme.test"))
	owner.get(keysPath+"?unused=90d").says(keysPath+"?unused=90d", 200, "Unused for 90 days")
	owner.get(keysPath+"?unused=soon").says(keysPath+"?unused=soon", 422, "is not a duration")
	mine := keysPath + "?owner=" + acme.Owner().User
	if got := owner.get(mine).says(mine, 200, "Made by you"); strings.Contains(got.text(), "developer@acme.test - ci") {
		t.Error("the filter by owner does not hold")
	}
	if got := s.as(s.SignIn("developer@acme.test")).get(keysPath); strings.Contains(got.text(), "owner@acme.test") {
		t.Error("the developer sees the keys of others")
	}
	owner.get("/o/acme").says("/o/acme", 200, "Keys that ask for a look", "Nobody has used it for 90 days.", "Send a first request with the key")
	member := "/o/acme/settings/team/" + acme.People["developer"].Member
	owner.get(member).says(member, 200, "Keys that developer@acme.test made", "gld_live_...")
}

func TestTheVerbsOfKeysAreThoseThatWork(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		acme := s.Organization("acme")
		for _, maker := range acme.People {
			for _, person := range acme.People {
				for _, kind := range s.Charter().Rules.Keys.Kinds {
					key, err := credential.CreateKey.Call(maker.Ctx(), s.Service(), credential.CreateKeyInput{InOrganization: acme.In(), Name: "ci", Kind: kind})
					if err == nil {
						tryVerbs(t, s, person, key.ID)
					}
				}
			}
		}
		s.Sound()
	}
}

// tryVerbs compares what a key's page offers somebody with what is refused.
func tryVerbs(t *testing.T, s *site, p *guildhalltest.Person, id string) {
	t.Helper()
	b, one := s.as(p), keysPath+"/"+id
	offered := b.get(one).links()
	for _, c := range []struct {
		verb string
		form url.Values
	}{{"edit", url.Values{"name": {"cd"}}}, {"rotate", url.Values{"overlap": {"7d"}}}, {"revoke", url.Values{"reason": {"x"}}}} {
		got := b.post(one+"/"+c.verb, c.form)
		if may, refused := slices.Contains(offered, one+"/"+c.verb), got.Code == 403 || got.Code == 404; may == refused {
			t.Errorf("%s: %s is offered %s: %v, and answered %d: %s", s.Charter().Name, p.Email, c.verb, may, got.Code, got.text())
		}
	}
}
