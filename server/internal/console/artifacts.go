package console

import (
	"slices"
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func artifactsPages() []page {
	return []page{{"GET /o/{slug}/settings/artifacts", member, showArtifacts}}
}

// artifactsHref is the address of the stored files, or of what stands below them.
func (v *visit) artifactsHref(below string) string { return v.org("/settings/artifacts" + below) }

func (v *visit) artifactsCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Files"), Href: v.artifactsHref("")}
}

// artifactsPage is a page of the stored files.
type artifactsPage struct {
	visit   *visit
	list    op.List[artifacts.Artifact]
	regions []string
	names   map[string]string // of members, by their id, as far as the viewer may know
	stored  artifacts.Preview
}

// artifactFields are the filters of the list.
var artifactFields = []string{"q", "resource", "region", "held", "created_after", "created_before"}

func showArtifacts(v *visit) error {
	p := artifactsPage{visit: v, regions: v.Service.Charter().Regions}
	if err := p.read(); err != nil {
		return err
	}
	props := ui.PageProps{Title: ui.T("Files"), Lede: ui.T("What work has made. Each file is deleted when its time is over, unless a legal hold keeps it."), Crumb: v.settingsCrumb(),
		Ways: v.same(artifacts.List, v.form.filters(artifactFields...)...)}
	if v.can("settings.update") {
		props.Actions = ui.Join(ui.Button(ui.ButtonProps{Text: ui.T("Legal holds"), Href: v.artifactsHref("/holds")}),
			ui.Button(ui.ButtonProps{Text: ui.T("Retention"), Href: v.retentionHref("")}))
	}
	return v.page(props, p.show())
}

// read reads the page that the address asks for. A filter that cannot be understood comes back with what is wrong.
func (p *artifactsPage) read() (err error) {
	v := p.visit
	p.list, err = artifacts.List.Call(v.ctx, v.Service, artifacts.ListInput{InOrganization: v.inOrg(), Page: v.pageOf(), Q: v.form.value("q"),
		Resource: v.form.value("resource"), Region: v.form.value("region"), Held: v.form.value("held"),
		CreatedAfter: v.form.value("created_after"), CreatedBefore: v.form.value("created_before")})
	if err != nil && !v.again(err) {
		return err
	}
	if p.names, err = v.storers(p.list.Data...); err != nil {
		return err
	}
	p.stored, err = artifacts.PreviewRetention.Call(v.ctx, v.Service, artifacts.PreviewInput{InOrganization: v.inOrg()})
	return err
}

// storers are the names of the members that stored files, by their id; nil for those who may not see members.
func (v *visit) storers(files ...artifacts.Artifact) (map[string]string, error) {
	byMember := func(a artifacts.Artifact) bool {
		return strings.HasPrefix(a.CreatedBy, "mem_") && a.CreatedBy != v.organization.Member
	}
	if !slices.ContainsFunc(files, byMember) {
		return nil, nil
	}
	return v.memberNames()
}

func (p artifactsPage) filters() ui.FilterBarProps {
	path := p.visit.artifactsHref("")
	bar := ui.FilterBarProps{Action: path, ClearHref: path, Total: ui.T("%s, %s", artifacts.Files(p.stored.StoredFiles), artifacts.Size(p.stored.StoredBytes)),
		Search: ui.InputProps{FieldProps: ui.FieldProps{Name: "q", Label: ui.T("Search files by name"), HideLabel: true, Error: p.visit.form.error("q")}, Type: "search",
			Value: p.visit.form.value("q"), Placeholder: ui.T("Part of a name"), Hotkey: "/"}}
	for _, f := range []struct{ name, label string }{{"q", ui.T("Name")}, {"resource", ui.T("Belongs to")}, {"region", ui.T("Region")}, {"held", ui.T("Legal hold")},
		{"created_after", ui.T("Stored from")}, {"created_before", ui.T("Stored before")}} {
		bar.Chips = append(bar.Chips, p.visit.chip(path, f.name, ui.T("%s: %s", f.label, p.visit.form.value(f.name)))...)
	}
	return bar
}

// selects are the filters with few values.
func (p artifactsPage) selects() []ui.SelectProps {
	held := ui.SelectProps{FieldProps: ui.FieldProps{Name: "held", Label: ui.T("Legal hold"), HideLabel: true}, Value: p.visit.form.value("held"),
		Options: []ui.Option{{Text: ui.T("Held or not")}, {Value: "true", Text: ui.T("Under a legal hold")}, {Value: "false", Text: ui.T("Under none")}}}
	if len(p.regions) < 2 {
		return []ui.SelectProps{held}
	}
	regions := ui.SelectProps{FieldProps: ui.FieldProps{Name: "region", Label: ui.T("Region"), HideLabel: true}, Value: p.visit.form.value("region"), Options: []ui.Option{{Text: ui.T("Any region")}}}
	for _, region := range p.regions {
		regions.Options = append(regions.Options, ui.Option{Value: region, Text: region})
	}
	return []ui.SelectProps{regions, held}
}

func (p artifactsPage) table() ui.TableProps {
	t := ui.TableProps{ID: "files", Caption: ui.T("Files"), Empty: p.none(), Pager: pagerOf(p.visit.artifactsHref(""), p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("Belongs to")}, {Title: ui.T("Size"), Number: true}, {Title: ui.T("Region")}, {Title: ui.T("Stored")},
			{Title: ui.T("Deletion")}, {Title: ui.T("Actions"), Acts: true}}}
	for _, a := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: a.ID, Cells: []templ.Component{p.visit.fileName(a), ui.Code(orDash(a.Resource)), ui.Text(artifacts.Size(a.Size)), ui.Text(orDash(a.Region)),
			p.visit.stored(a, p.names), p.visit.goneAt(a), ui.Menu(ui.MenuProps{ID: "menu-" + a.ID, Label: ui.T("Actions for %s", a.Name), Items: p.visit.fileItems(a)})}})
	}
	return t
}

func (p artifactsPage) none() component {
	if len(p.visit.form.filters(artifactFields...)) > 0 {
		return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No file matches these filters.")})
	}
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("There are no files yet. %s stores here what its work makes.", p.visit.Service.Charter().Product),
		Docs: ui.LinkProps{Text: ui.T("How files are stored and kept"), Href: p.visit.href("/docs/artifacts")}, Command: "guildhall artifacts put report.pdf --org " + quoted(p.visit.organization.Slug)})
}

// storedBy says who stored a file, as far as the viewer may know.
func (v *visit) storedBy(a artifacts.Artifact, names map[string]string) component {
	kind, _, _ := strings.Cut(a.CreatedBy, "_")
	switch {
	case a.CreatedBy == v.organization.Member:
		return ui.Text(ui.T("You"))
	case names[a.CreatedBy] != "":
		return ui.Link(ui.LinkProps{Text: names[a.CreatedBy], Href: v.memberHref(a.CreatedBy, "")})
	case kind == "mem":
		return ui.Text(ui.T("A member"))
	case kind == "key" && v.canAny(readingKeys):
		return ui.Link(ui.LinkProps{Text: ui.T("An API key"), Href: v.keyHref(a.CreatedBy, "")})
	case kind == "key":
		return ui.Text(ui.T("An API key"))
	case kind == "tok":
		return ui.Text(ui.T("A scoped token"))
	}
	return ui.Text(v.Service.Charter().Product)
}

// goneAt says when retention deletes a file.
func (v *visit) goneAt(a artifacts.Artifact) component {
	switch {
	case a.Held:
		return ui.Badge(ui.BadgeProps{Text: ui.T("Legal hold"), Tone: ui.Warn, Icon: "lock"})
	case a.ExpiresAt == nil:
		return ui.Muted(ui.T("never"))
	}
	return v.at(*a.ExpiresAt)
}

// fileItems are what the viewer may do with a file.
func (v *visit) fileItems(a artifacts.Artifact) []ui.MenuItem {
	one := v.artifactsHref("/" + a.ID)
	items := []ui.MenuItem{{Text: ui.T("Download"), Icon: "download", Href: one + "/content"}, {Text: ui.T("Make a link"), Icon: "copy", Href: one + "/link", Dialog: true}}
	if v.can("artifacts.manage") && !a.Held {
		items = append(items, ui.MenuItem{Text: ui.T("Delete"), Icon: "trash-2", Href: one + "/delete", Dialog: true, Danger: true})
	}
	return items
}
