// Package docs is the documentation: Markdown files, which the binary carries and shows at /docs.
package docs

import (
	"embed"
	"strings"
)

//go:embed *.md
var files embed.FS

// Page is one page of the documentation.
type Page struct {
	Name   string // of the file without its ending, and in the page's address: "quick-start"
	Title  string // the page's first heading
	Source []byte // Markdown
}

// Index is the name of the page that leads to the others.
const Index = "index"

// order is that of the list of pages.
var order = []string{
	Index, "quick-start", "charter", "permissions",
	"organizations", "members", "roles", "invitations", "keys", "plans", "billing", "users", "reviews", "sso", "scim", "sign-in",
	"checks", "usage", "artifacts", "gates", "go", "typescript", "api", "errors", "limits", "cli",
	"configuration", "running", "servers", "audit-log", "request-log", "architecture",
}

// Pages are all pages, in the order in which they are read. The caller does not change them.
func Pages() []Page { return pages }

var pages = load()

func load() []Page {
	all := make([]Page, len(order))
	for i, name := range order {
		source, err := files.ReadFile(name + ".md")
		if err != nil {
			panic(err) // it is embedded, or the program does not build
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(source), "# "), "\n")
		all[i] = Page{Name: name, Title: title, Source: source}
	}
	return all
}

// Find is the page of a name; false: there is none.
func Find(name string) (Page, bool) {
	for _, p := range pages {
		if p.Name == name {
			return p, true
		}
	}
	return Page{}, false
}
