package console

import (
	"github.com/guildhall/guildhall/docs"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// searchPage is what a search of the documentation finds.
type searchPage struct {
	visit      *visit
	hits       []docs.Hit
	operations reference
}

// searchDocs looks for words in the pages that the program carries, and in the operations.
func searchDocs(v *visit) error {
	p := searchPage{visit: v, hits: docs.Search(v.form.value("q"))}
	if v.form.value("q") != "" {
		p.operations = v.reference.matching(v.form.value("q"))
	}
	return v.docFrame(ui.T("Search the documentation"), p.show())
}

// hitHref is the address of a section.
func (p searchPage) hitHref(h docs.Hit) string {
	if h.Anchor == "" {
		return p.visit.href("/docs/" + h.Page.Name)
	}
	return p.visit.href("/docs/" + h.Page.Name + "#" + h.Anchor)
}

// hitTitle names a section with its page.
func hitTitle(h docs.Hit) string {
	if h.Heading == "" {
		return h.Page.Title
	}
	return ui.T("%s: %s", h.Page.Title, h.Heading)
}
