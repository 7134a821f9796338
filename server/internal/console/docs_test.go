package console_test

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/docs"
)

func addressOf(p docs.Page) string {
	if p.Name == docs.Index {
		return "/docs"
	}
	return "/docs/" + p.Name
}

// ids are the anchors of a page. No two elements have the same.
func (s *sight) ids() map[string]bool {
	s.t.Helper()
	all := map[string]bool{}
	s.each(func(_ *html.Node, attrs map[string]string) {
		id := attrs["id"]
		if all[id] && id != "" {
			s.t.Errorf("%s has two elements with the id %s", s.url, id)
		}
		all[id] = true
	})
	return all
}

func TestTheDocumentationIsForEverybody(t *testing.T) {
	s := newSite(t, "automation")
	acme := s.Organization("acme")
	readers := map[string]*browser{"nobody": s.browser(), "a member": s.as(acme.People["viewer"]), "somebody without an organization": s.as(s.SignIn("eve@evil.test"))}
	for _, p := range docs.Pages() {
		for who, b := range readers {
			page := b.get(addressOf(p)).says(addressOf(p), 200, p.Title, "Quick start")
			if t.Failed() {
				t.Fatalf("as %s", who)
			}
			page.ids()
		}
	}
}

func TestEveryLinkOfTheDocumentationLeadsSomewhere(t *testing.T) {
	for _, base := range []string{"", "/console"} {
		s := newSiteAt(t, "gateway", base)
		b := s.browser()
		anchors := map[string]map[string]bool{}
		for _, p := range docs.Pages() {
			anchors[base+addressOf(p)] = b.get(base + addressOf(p)).ids()
		}
		for noun := range s.reference() {
			anchors[base+"/docs/api/"+noun] = b.get(base + "/docs/api/" + noun).ids()
		}
		for address := range anchors {
			for _, link := range b.get(address).links() {
				path, fragment, _ := strings.Cut(link, "#")
				if path == "" {
					path = address
				}
				switch {
				case strings.Contains(link, "://"):
				case strings.HasSuffix(path, ".md"):
					if w := b.send("GET", path, nil); w.Code != 200 {
						t.Errorf("%s leads to %s: %d", address, link, w.Code)
					}
				case anchors[path] == nil || fragment != "" && !anchors[path][fragment]:
					t.Errorf("%s leads to %s, which is not there", address, link)
				}
			}
		}
	}
}

// The fix_url of a refusal leads to the permission's own row.
func TestEveryPermissionOfTheCharterHasItsAnchor(t *testing.T) {
	for _, name := range charter.Names() {
		s := newSite(t, name)
		page := s.browser().get("/docs/permissions")
		ids := page.ids()
		for _, info := range s.Charter().Permissions() {
			if !ids[strings.ReplaceAll(string(info.ID), ".", "-")] {
				t.Errorf("%s: %s has no anchor", name, info.ID)
			}
			page.says("/docs/permissions", 200, info.Title)
		}
		for _, role := range s.Charter().Roles() {
			page.says("/docs/permissions", 200, role.Title)
		}
	}
}

func TestAPageIsThereAsMarkdown(t *testing.T) {
	s := newSite(t, "documents")
	for _, p := range docs.Pages() {
		w := s.browser().send("GET", "/docs/"+p.Name+".md", nil)
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/markdown; charset=utf-8" || !strings.HasPrefix(w.Body.String(), string(p.Source)) {
			t.Errorf("%s: %d, %s", p.Name, w.Code, w.Header().Get("Content-Type"))
		}
	}
	if w := s.browser().send("GET", "/docs/permissions.md", nil); !strings.Contains(w.Body.String(), "| `pipelines.use` | Use pipelines | Member, Admin, Owner |") {
		t.Errorf("the permissions of the charter are missing: %s", w.Body)
	}
	if w := s.browser().send("GET", "/docs/api.md", nil); !strings.Contains(w.Body.String(), "| [`members.remove`](/docs/api/members.md) | `POST /v1/") {
		t.Errorf("the operations are missing: %s", w.Body)
	}
}

func TestAPageThatIsNotThereIsNotFound(t *testing.T) {
	s := newSite(t, "automation")
	for _, path := range []string{"/docs/nothing", "/docs/nothing.md", "/docs/docs.go", "/docs/.md"} {
		if w := s.browser().send("GET", path, nil); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
