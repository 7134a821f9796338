package console

import (
	"cmp"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/docs"
	"github.com/guildhall/guildhall/feedback"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func docsPages() []page {
	return []page{
		{"GET /docs", anybody, showDoc},
		{"GET /docs/llms.txt", anybody, showIndexForMachines},
		{"GET /docs/search", anybody, searchDocs},
		{"GET /docs/{page}", anybody, showDoc},
		{"POST /docs/{page}", anybody, answerDoc},
	}
}

// showDoc shows a page of the documentation, or with .md at its end the text that it is made of.
func showDoc(v *visit) error {
	name, raw := strings.CutSuffix(cmp.Or(v.r.PathValue("page"), docs.Index), ".md")
	found, ok := docs.Find(name)
	if !ok {
		return op.ErrNotFound
	}
	if raw {
		return v.docSource(found)
	}
	return v.doc(found, nil)
}

// doc shows a page with what the reader has just said of it; nil: nothing.
func (v *visit) doc(found docs.Page, answered *feedback.Recorded) error {
	text, err := renderDoc(v.BasePath, found.Source)
	if err != nil {
		return err
	}
	p := docPage{visit: v, Page: found, text: text, answered: answered}
	return v.docFrame(found.Title, p.show())
}

// docFrame shows a part of the documentation: in the organization's frame to whoever has one.
func (v *visit) docFrame(title string, content component) error {
	if v.actor.Kind == op.UserActor {
		return v.page(ui.PageProps{Title: title, OwnHeading: true}, content)
	}
	return v.hosted(ui.HostedProps{Title: title, OwnHeading: true, Wide: true}, content)
}

// docPage is a page of the documentation.
type docPage struct {
	visit *visit
	docs.Page
	text     renderedDoc
	answered *feedback.Recorded
}

// foot is the page's end.
func (p docPage) foot() docFoot {
	return docFoot{visit: p.visit, page: p.Name, path: "/" + p.Name, answered: p.answered}
}

// address is where a page of the documentation stands.
func (p docPage) address(of docs.Page) string {
	if of.Name == docs.Index {
		return p.visit.href("/docs")
	}
	return p.visit.href("/docs/" + of.Name)
}

// own is the heading of the table that the running program adds to the page; without an id it adds none.
func (p docPage) own() docHeading {
	switch p.Name {
	case docPermissions:
		return docHeading{"all", ui.T("Permissions of %s", p.visit.Service.Charter().Product)}
	case docOperations:
		return docHeading{"operations", ui.T("Operations")}
	}
	return docHeading{}
}

// headings are those of the page's list of contents.
func (p docPage) headings() []docHeading {
	if own := p.own(); own.id != "" {
		return append(slices.Clone(p.text.headings), own)
	}
	return p.text.headings
}

// docSource answers with the page's Markdown, and with what the running charter adds to it.
func (v *visit) docSource(p docs.Page) error {
	text := string(p.Source)
	if own := (docPage{visit: v, Page: p}).own(); own.id != "" {
		text += "\n## " + own.text + "\n\n"
	}
	switch p.Name {
	case docPermissions:
		text += v.permissionsText()
	case docOperations:
		text += v.operationsText()
	}
	return v.text("text/markdown", text)
}

// The pages that end with a table of the running program.
const (
	docPermissions = "permissions"
	docOperations  = "api"
)

// anchorOf is the anchor of a permission: members-invite for members.invite.
func anchorOf(p charter.Permission) string { return strings.ReplaceAll(string(p), ".", "-") }

// heldBy are the titles of the roles that hold a permission, the lowest first.
func heldBy(c *charter.Charter, p charter.Permission) string {
	var titles []string
	for _, role := range c.Roles() {
		if c.Can(role, p) {
			titles = append(titles, role.Title)
		}
	}
	return strings.Join(titles, ", ")
}

// partsOf says what a bundle is made of.
func partsOf(info charter.Info) string {
	parts := make([]string, len(info.Includes))
	for i, id := range info.Includes {
		parts[i] = string(id)
	}
	return strings.Join(parts, ", ")
}

// permissionsText is the table of permissions as Markdown.
func (v *visit) permissionsText() string {
	var b strings.Builder
	c := v.Service.Charter()
	b.WriteString("| permission | title | roles |\n| --- | --- | --- |\n")
	for _, info := range c.Permissions() {
		b.WriteString("| `" + string(info.ID) + "` | " + cellText(info.Title) + " | " + cellText(heldBy(c, info.ID)) + " |\n")
	}
	for _, id := range c.Absent() {
		b.WriteString("| `" + string(id) + "` | does not exist in this charter | nobody |\n")
	}
	return b.String()
}

// operationsText is the table of operations as Markdown.
func (v *visit) operationsText() string {
	var b strings.Builder
	b.WriteString("| operation | request | who may |\n| --- | --- | --- |\n")
	for _, n := range v.reference {
		for _, o := range n.Operations {
			b.WriteString("| [`" + o.Name + "`](" + v.href("/docs/api/"+n.Name+".md") + ") | `" + o.Method + " " + o.Path + "` | " + cellText(o.Allow.String()) + " |\n")
		}
	}
	return b.String()
}

// cellText keeps a charter's words within one cell of a table.
func cellText(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ").Replace(text)
}
