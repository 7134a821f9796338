package console_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/server/internal/scim"
)

const directoriesPath = "/o/acme/settings/directory"

// A directory is connected, its token is shown once, its groups give roles, and it is deleted, all of it on pages.
func TestADirectoryIsConnectedMappedAndDeleted(t *testing.T) {
	s, acme, _ := domainSite(t, "automation")
	b := s.as(acme.Owner())
	b.get(directoriesPath).says(directoriesPath, 200, "No directory is connected.")
	path := directoriesPath + "/new"
	page := b.get(path)
	bound(t, s, page, path, "directories.create")
	made := b.submit(page, path, "name", "Okta", "default_role", "viewer", "deactivation", "suspend").says(path, 200, "this is the one time", "/scim/v2/dir_")
	_, token, _ := strings.Cut(made.text(), "gld_scim_")
	token = "gld_scim_" + strings.Fields(token)[0]
	one := made.providerLink(directoriesPath + "/dir_")
	shown := b.get(one).says(one, 200, "not yet", "No group gives a role.", "Tenant URL", "Nothing that the directory sent was refused.")
	if strings.Contains(shown.whole(), token) {
		t.Error("the page shows the token")
	}
	id := one[strings.LastIndex(one, "/")+1:]
	protocol := scim.New(scim.Config{Service: s.Service(), BaseURL: host, Log: slog.New(slog.DiscardHandler)})
	provisions := func(method, path, body string, want int) {
		t.Helper()
		r := httptest.NewRequest(method, "/scim/v2/"+id+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/scim+json")
		w := httptest.NewRecorder()
		protocol.ServeHTTP(w, r)
		if w.Code != want {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, w.Code, want, w.Body)
		}
	}
	provisions("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"zoe@acme.test","active":true,"emails":[{"value":"zoe@acme.test","primary":true}]}`, 201)
	provisions("POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Engineering","members":[]}`, 201)
	provisions("GET", "/Users?filter=nonsense", "", 400)
	b.get(one).says(one, 200, "1 people, 1 groups", "400:")

	mapping := one + "/mapping"
	page = b.get(mapping).says(mapping, 200, "Engineering (0)")
	bound(t, s, page, mapping, "directories.update")
	group := optionNamed(page, "Engineering (0)")
	tried := b.submit(page, mapping, "mapping/0/group", group, "mapping/0/role", "editor", "step", "preview").says(mapping, 200, "If you save this", "0 of 1 people change")
	b.submit(tried, mapping, "step", "save").says(one, 200, "is in force", "Engineering")
	b.get("/o/acme/settings/team").says("/o/acme/settings/team", 200, "by Okta")

	named := ssoPath + "/connections/new"
	connection := b.submit(b.get(named), named, "name", "Keycloak", "issuer", "https://idp.test", "client_id", "x", "client_secret", "y").url
	page = b.get(connection).says(connection, 200, "Group 1 of the pilot")
	bound(t, s, page, connection+"/rollout", "connections.update")
	chosen := optionNamed(page, "Engineering of Okta (0)")
	b.submit(page, connection+"/rollout", "rollout", "pilot", "pilot_groups/0", chosen).says(connection, 200, "Keycloak is saved.", "Group 3 of the pilot")
	if kept := b.get(connection).form(connection + "/rollout").Get("pilot_groups/0"); kept != chosen || chosen == "" {
		t.Errorf("the pilot is %q, and %q was chosen", kept, chosen)
	}

	page = b.get(one+"/rotate").says(one+"/rotate", 200, "refused at once")
	b.submit(page, one+"/rotate").says(one+"/rotate", 200, "gld_scim_")
	provisions("GET", "/Users", "", http.StatusUnauthorized)
	for _, p := range []string{directoriesPath, path, one, mapping, one + "/rotate", one + "/delete"} {
		tellsWays(t, b, p)
	}
	page = b.get(one+"/delete").says(one+"/delete", 200, "cannot be taken back")
	b.submit(page, one+"/delete", "confirm", "okta").says(one+"/delete", 422, "Type Okta to confirm.")
	b.submit(page, one+"/delete", "confirm", "Okta").says(directoriesPath, 200, "Okta is deleted.")
	b.get(connection).says(connection, 200, "Engineering (gone: it leads nobody)")
	s.as(acme.People["viewer"]).get(path).says(path, 403)
	s.Sound()
}

// optionNamed is the value of a choice by what it says.
func optionNamed(page *sight, text string) (value string) {
	page.each(func(n *html.Node, attrs map[string]string) {
		if n.Data == "option" && textOf(n) == text {
			value = attrs["value"]
		}
	})
	return value
}
