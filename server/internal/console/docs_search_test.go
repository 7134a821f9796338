package console_test

import (
	"slices"
	"testing"
)

func TestTheDocumentationIsSearched(t *testing.T) {
	s := newSite(t, "automation")
	b := s.browser()
	page := b.get("/docs/search?q=rotating+overlap").says("/docs/search?q=rotating+overlap", 200, "1 place has these words", "API keys: Rotating")
	if !slices.Contains(page.links(), "/docs/keys#rotating") {
		t.Errorf("the section is not among %v", page.links())
	}
	if links := b.get("/docs/search?q=keys.revoke").links(); !slices.Contains(links, "/docs/api/keys#keys.revoke") {
		t.Errorf("the operation is not among %v", links)
	}
	b.get("/docs/search").says("/docs/search", 200, "0 places have these words")
	b.get("/docs/search?q=%3Cscript%3E").says("/docs/search?q=%3Cscript%3E", 200, "0 places")
	b.get("/docs/keys").form("/docs/keys#feedback") // each page still asks
}
