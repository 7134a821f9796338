package console

import (
	"strings"

	"github.com/guildhall/guildhall/docs"
)

// referenceText is the reference of a noun as Markdown.
func (v *visit) referenceText(n refNoun) string {
	var b strings.Builder
	b.WriteString("# " + n.title() + "\n\nHow to send requests, and what all of them have in common: [API](" + v.href("/docs/api.md") + ").\n")
	for _, o := range n.Operations {
		v.operationText(&b, o)
	}
	return b.String()
}

func (v *visit) operationText(b *strings.Builder, o refOperation) {
	b.WriteString("\n## " + o.Name + "\n\n" + o.Summary + ".\n\n    " + o.Method + " " + o.Path + "\n\n- Who may: " + o.Allow.String() + "\n")
	for _, r := range v.rights(o) {
		b.WriteString("- `" + string(r.ID) + "` is held by: " + cellText(r.Held) + "\n")
	}
	for _, note := range o.notes() {
		b.WriteString("- " + note + "\n")
	}
	fieldsText(b, "Request", o.Fields)
	fieldsText(b, "Answer "+o.Status, o.Answer)
	var errors []string
	for _, e := range o.Errors {
		errors = append(errors, e.Status+" `"+e.Code+"`")
	}
	b.WriteString("\nErrors: " + strings.Join(errors, ", ") + "\n")
	for _, sample := range v.samples(o).Samples {
		b.WriteString("\n" + sample.Title + ":\n\n```" + fences[sample.Title] + "\n" + sample.Code + "\n```\n")
	}
}

// fences are the languages of samples, as Markdown names them.
var fences = map[string]string{"curl": "sh", "Go": "go", "TypeScript": "ts", "CLI": "sh"}

func fieldsText(b *strings.Builder, title string, fields []refField) {
	if len(fields) == 0 {
		return
	}
	b.WriteString("\n| " + title + " | in | type | required | what |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range fields {
		required := ""
		if f.Required {
			required = "yes"
		}
		b.WriteString("| `" + f.Name + "` | " + f.In + " | " + f.Type + " | " + required + " | " + cellText(f.about()) + " |\n")
	}
}

// about is what a field is, and its bounds.
func (f refField) about() string {
	if f.Facts == "" || f.Doc == "" {
		return f.Doc + f.Facts
	}
	return f.Doc + " (" + f.Facts + ")"
}

// showIndexForMachines lists the documentation for programs that read it: llms.txt.
func showIndexForMachines(v *visit) error {
	var b strings.Builder
	b.WriteString("# Guildhall\n\n> Organizations for a B2B product: members, invitations, roles and permissions, keys, sign-in and an audit log, " +
		"driven by one charter file. This server runs the charter of " + v.Service.Charter().Product + ".\n\n## Documentation\n\n")
	for _, p := range docs.Pages() {
		b.WriteString("- [" + p.Title + "](" + v.BaseURL + "/docs/" + p.Name + ".md)\n")
	}
	b.WriteString("\n## API reference\n\n- [Description for machines](" + v.BaseURL + "/openapi.json): OpenAPI 3.1\n")
	for _, n := range v.reference {
		names := make([]string, len(n.Operations))
		for i, o := range n.Operations {
			names[i] = o.Name
		}
		b.WriteString("- [" + n.title() + "](" + v.BaseURL + "/docs/api/" + n.Name + ".md): " + strings.Join(names, ", ") + "\n")
	}
	return v.text("text/plain", b.String())
}
