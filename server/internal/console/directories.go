package console

import (
	"net/http"
	"strconv"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/scim"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func directoriesPages() []page {
	const one = "/o/{slug}/settings/directory/{directory}"
	return []page{
		{"GET /o/{slug}/settings/directory", member, showDirectories},
		{"GET /o/{slug}/settings/directory/new", member, askDirectory},
		{"POST /o/{slug}/settings/directory/new", member, newDirectory},
		{"GET " + one, member, showDirectory},
		{"GET " + one + "/mapping", member, askDirectoryMapping},
		{"POST " + one + "/mapping", member, saveDirectoryMapping},
		{"GET " + one + "/rotate", member, askRotation},
		{"POST " + one + "/rotate", member, rotateDirectory},
		{"GET " + one + "/delete", member, askDirectoryEnd},
		{"POST " + one + "/delete", member, deleteDirectory},
	}
}

// directoryHref is the address of the directories, of one, or of one of its verbs.
func (v *visit) directoryHref(id, verb string) string {
	href := v.org("/settings/directory")
	if id != "" {
		href += "/" + id
	}
	if verb != "" {
		href += "/" + verb
	}
	return href
}

func (v *visit) directoriesCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Directory sync"), Href: v.directoryHref("", "")}
}

// directoriesPage is the list of directories.
type directoriesPage struct {
	visit *visit
	list  op.List[scim.Directory]
	roles map[string]string
}

func showDirectories(v *visit) error {
	p := directoriesPage{visit: v}
	var err error
	props := ui.PageProps{Title: ui.T("Directory sync"), Lede: ui.T("Members come from your company's directory, and go with it (SCIM)."), Crumb: v.settingsCrumb(), Ways: v.same(scim.ListDirectories)}
	if p.list, err = scim.ListDirectories.Call(v.ctx, v.Service, scim.ListDirectoriesInput{InOrganization: v.inOrg(), Page: v.pageOf()}); err != nil {
		return err
	}
	if p.roles, err = v.roleTitles(); err != nil {
		return err
	}
	if len(v.locks("sso")) > 0 {
		return v.page(props, v.seenWithLock(ui.Table(p.table())))
	}
	if len(p.list.Data) > 0 {
		props.Actions = ui.Button(v.newDirectoryVerb())
	}
	return v.page(props, ui.Table(p.table()))
}

func (v *visit) newDirectoryVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Connect a directory"), Icon: "plus", Kind: ui.Primary, Href: v.directoryHref("new", ""), Hotkey: "n"}
}

// seenWithLock is what is there beside what a plan would bring: what was set up stays to be seen and ended.
func (v *visit) seenWithLock(content component) component {
	return ui.Join(v.lockedFeatures("sso"), content)
}

// roleTitles are the titles of the roles by their ids.
func (v *visit) roleTitles() (map[string]string, error) {
	roles, err := v.allRoles()
	titles := map[string]string{}
	for _, role := range roles {
		titles[role.ID] = role.Title
	}
	return titles, err
}

func (p directoriesPage) table() ui.TableProps {
	t := ui.TableProps{ID: "directories", Caption: ui.T("Directories"), Pager: pagerOf(p.visit.directoryHref("", ""), p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("Last sync")}, {Title: ui.T("People"), Number: true}, {Title: ui.T("Groups"), Number: true}, {Title: ui.T("Default role")}}}
	verb := repeated(p.visit.newDirectoryVerb())
	empty := ui.EmptyStateProps{Sentence: ui.T("No directory is connected. With one, whoever leaves your company has no access here at once."), Verb: &verb,
		Docs: ui.LinkProps{Text: ui.T("How directory sync works"), Href: p.visit.href("/docs/scim")}, Command: p.visit.same(scim.CreateDirectory, "name", "Okta").Command}
	if len(p.visit.locks("sso")) > 0 {
		empty = ui.EmptyStateProps{Sentence: ui.T("No directory is connected.")}
	}
	t.Empty = ui.EmptyState(empty)
	for _, d := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: d.ID, Cells: []templ.Component{ui.Link(ui.LinkProps{Text: d.Name, Href: p.visit.directoryHref(d.ID, "")}), p.visit.maybe(d.LastSyncAt, ui.T("not yet")),
			ui.Text(ui.T("%d", d.Users)), ui.Text(ui.T("%d", d.Groups)), defaultRole(p.roles, d.DefaultRole)}})
	}
	return t
}

// defaultRole says the role of whom no group names.
func defaultRole(titles map[string]string, role string) component {
	switch {
	case role == "":
		return ui.Muted(ui.T("none: no access"))
	case titles[role] == "":
		return ui.Code(role)
	}
	return ui.Text(titles[role])
}

// directoryForm are the fields of a directory, with its mapping.
type directoryForm struct {
	visit  *visit
	was    scim.DirectoryDetails // as it is now; empty: a new one
	groups []scim.DirectoryGroup
	titles []ui.Option // roles to choose from
	impact *op.Impact  // what saving it would do
}

func (v *visit) directoryForm(was scim.DirectoryDetails) (directoryForm, error) {
	f := directoryForm{visit: v, was: was}
	roles, err := v.allRoles()
	for _, role := range roles {
		if !role.Owner {
			f.titles = append(f.titles, ui.Option{Value: role.ID, Text: role.Title})
		}
	}
	return f, err
}

func (f directoryForm) name() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "name", Label: ui.T("Name"), Error: f.visit.form.error("name")},
		Value: f.visit.form.or("name", f.was.Name), MaxLength: "80", Placeholder: "Okta"}
}

func (f directoryForm) role() ui.SelectProps {
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "default_role", Label: ui.T("Default role"), Hint: ui.T("Of whom no mapped group names."), Error: f.visit.form.error("default_role")},
		Value: f.visit.form.or("default_role", f.was.DefaultRole), Options: append([]ui.Option{{Text: ui.T("None: no access without a group")}}, f.titles...)}
}

func (f directoryForm) deactivation() ui.SelectProps {
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "deactivation", Label: ui.T("Whoever is not active there any more is"), Error: f.visit.form.error("deactivation")},
		Value: f.visit.form.or("deactivation", f.was.Deactivation), Options: []ui.Option{{Value: "suspend", Text: ui.T("suspended: the role is kept")}, {Value: "remove", Text: ui.T("removed: the membership ends")}}}
}

func askDirectory(v *visit) error {
	if err := v.demandAny([]charter.Permission{managesSSO}); err != nil {
		return err
	}
	f, err := v.directoryForm(scim.DirectoryDetails{})
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Connect a directory"), Lede: ui.T("You get an address and a token for it. Nothing changes for anybody until it tells of people."), Crumb: v.directoriesCrumb(),
		Ways: v.same(scim.CreateDirectory, "name", v.form.or("name", "Okta"))}, f.fields())
}

func newDirectory(v *visit) error {
	d, err := scim.CreateDirectory.Call(v.ctx, v.Service, scim.CreateDirectoryInput{InOrganization: v.inOrg(), Name: v.form.value("name"),
		DefaultRole: v.form.value("default_role"), Deactivation: v.form.value("deactivation")}, v.form.options()...)
	if v.again(err) {
		return askDirectory(v)
	}
	if err != nil {
		return err
	}
	return v.showToken(d, ui.T("Connect %s", d.Name), v.same(scim.CreateDirectory, "name", d.Name))
}

// tokenPage shows a directory's address and token. The token is shown in this answer, and is kept nowhere.
type tokenPage struct {
	visit *visit
	made  scim.NewDirectory
}

func (v *visit) showToken(d scim.NewDirectory, title string, ways ui.Ways) error {
	return v.pageAs(http.StatusOK, ui.PageProps{Title: title, Crumb: v.directoriesCrumb(), Ways: ways}, tokenPage{v, d}.shown())
}

func (p tokenPage) samples() []ui.Sample {
	return []ui.Sample{{Title: ui.T("Base URL"), Code: p.made.BaseURL}, {Title: "curl", Code: "curl -sS '" + p.made.BaseURL + "/Users?count=1' \\\n  -H \"Authorization: Bearer " + p.made.Secret + "\""}}
}

// directoryPage is one directory.
type directoryPage struct {
	visit  *visit
	d      scim.DirectoryDetails
	titles map[string]string
}

func (v *visit) oneDirectory() scim.DirectoryInput {
	return scim.DirectoryInput{InOrganization: v.inOrg(), Directory: v.r.PathValue("directory")}
}

func (v *visit) theDirectory() (scim.DirectoryDetails, error) {
	return scim.GetDirectory.Call(v.ctx, v.Service, v.oneDirectory())
}

func showDirectory(v *visit) error {
	p := directoryPage{visit: v}
	var err error
	if p.d, err = v.theDirectory(); err != nil {
		return err
	}
	if p.titles, err = v.roleTitles(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: p.d.Name, Lede: ui.T("What this directory tells of people is done here before it has its answer."), Crumb: v.directoriesCrumb(),
		Ways: v.same(scim.GetDirectory, "directory", p.d.ID)}, p.show())
}

func (p directoryPage) facts() []ui.Fact {
	d := p.d
	ends := ui.T("suspended")
	if d.Deactivation == "remove" {
		ends = ui.T("removed")
	}
	return []ui.Fact{{Name: ui.T("Base URL"), Value: ui.Code(d.BaseURL)},
		{Name: ui.T("Token"), Value: ui.Join(ui.Code("…"+d.TokenLast4), p.visit.at(d.TokenAt))},
		{Name: ui.T("Last sync"), Value: p.visit.maybe(d.LastSyncAt, ui.T("not yet"))},
		{Name: ui.T("It told of"), Value: ui.Text(ui.T("%d people, %d groups", d.Users, d.Groups))},
		{Name: ui.T("Default role"), Value: defaultRole(p.titles, d.DefaultRole)},
		{Name: ui.T("Whoever is not active there is"), Value: ui.Text(ends)},
		{Name: ui.T("Directory id"), Value: ui.Code(d.ID)}}
}

func (p directoryPage) verbs() []ui.MenuItem {
	return []ui.MenuItem{{Text: ui.T("Rotate the token"), Icon: "rotate-ccw", Href: p.visit.directoryHref(p.d.ID, "rotate"), Dialog: true},
		{Text: ui.T("Delete"), Icon: "trash-2", Href: p.visit.directoryHref(p.d.ID, "delete"), Dialog: true, Danger: true}}
}

func (p directoryPage) mapping() ui.TableProps {
	t := ui.TableProps{ID: "mapping", Caption: ui.T("Groups and roles"), ShowCaption: true, Columns: []ui.Column{{Title: ui.T("Place"), Number: true}, {Title: ui.T("Group")}, {Title: ui.T("Role")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No group gives a role. Everybody has the default role.")})}
	for i, m := range p.d.Mapping {
		t.Rows = append(t.Rows, ui.Row{ID: m.Group, Cells: []templ.Component{ui.Text(ui.T("%d", i+1)), ui.Text(m.Name), defaultRole(p.titles, m.Role)}})
	}
	return t
}

func (p directoryPage) refused() ui.TableProps {
	t := ui.TableProps{ID: "errors", Caption: ui.T("Refused lately"), ShowCaption: true, Columns: []ui.Column{{Title: ui.T("When")}, {Title: ui.T("Request")}, {Title: ui.T("Why")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nothing that the directory sent was refused.")})}
	for _, e := range p.d.Errors {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{p.visit.at(e.At), ui.Code(e.Request), ui.Text(ui.T("%d: %s", e.Status, sentence(e.Detail)))}})
	}
	return t
}

// blankPlaces is how many further places the form of a mapping has.
const blankPlaces = 3

func askDirectoryMapping(v *visit) error { return v.directoryMapping(nil) }

// directoryMapping is the form of a directory's mapping, with what saving it would do.
func (v *visit) directoryMapping(impact *op.Impact) error {
	d, err := v.theDirectory()
	if err != nil {
		return err
	}
	f, err := v.directoryForm(d)
	if err != nil {
		return err
	}
	f.impact = impact
	if f.groups, err = all(func(p op.Page) (op.List[scim.DirectoryGroup], error) {
		return scim.ListGroups.Call(v.ctx, v.Service, scim.ListGroupsInput{DirectoryInput: v.oneDirectory(), Page: p})
	}); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Groups and roles of %s", d.Name), Lede: ui.T("Of somebody in several groups the first place counts. You may give only what you hold."),
		Crumb: ui.LinkProps{Text: d.Name, Href: v.directoryHref(d.ID, "")}, Ways: v.same(scim.UpdateDirectory, "directory", d.ID, "default_role", d.DefaultRole)}, f.mapping())
}

func mapField(i int, name string) string { return "mapping/" + strconv.Itoa(i) + "/" + name }

// place is one place of the mapping in the form.
type place struct{ group, role ui.SelectProps }

func (f directoryForm) places() (all []place) {
	groups := []ui.Option{{Text: ui.T("No group")}}
	for _, g := range f.groups {
		groups = append(groups, ui.Option{Value: g.ID, Text: ui.T("%s (%d)", g.Name, g.Members)})
	}
	for i := range len(f.was.Mapping) + blankPlaces {
		var m scim.MappedGroup
		if i < len(f.was.Mapping) {
			m = f.was.Mapping[i]
		}
		all = append(all, place{
			group: ui.SelectProps{FieldProps: ui.FieldProps{Name: mapField(i, "group"), Label: ui.T("Group %d", i+1)}, Value: f.visit.form.or(mapField(i, "group"), m.Group), Options: groups},
			role:  ui.SelectProps{FieldProps: ui.FieldProps{Name: mapField(i, "role"), Label: ui.T("gives the role")}, Value: f.visit.form.or(mapField(i, "role"), m.Role), Options: f.titles},
		})
	}
	return all
}

// directoryInput is what the form of a mapping says.
func (v *visit) directoryInput() scim.UpdateDirectoryInput {
	in := scim.UpdateDirectoryInput{DirectoryInput: v.oneDirectory(), Mapping: []scim.MapGroup{},
		Name: new(v.form.value("name")), DefaultRole: new(v.form.value("default_role")), Deactivation: new(v.form.value("deactivation"))}
	for i := 0; v.form.values.Has(mapField(i, "group")); i++ {
		if group := v.form.value(mapField(i, "group")); group != "" {
			in.Mapping = append(in.Mapping, scim.MapGroup{Group: group, Role: v.form.value(mapField(i, "role"))})
		}
	}
	return in
}

// saveDirectoryMapping shows for whom the mapping changes something, and then saves it.
func saveDirectoryMapping(v *visit) error {
	in := v.directoryInput()
	if v.form.value(stepField) != "save" {
		impact, err := v.dryRun(scim.UpdateDirectory, in)
		if v.again(err) {
			return askDirectoryMapping(v)
		}
		if err != nil {
			return err
		}
		return v.directoryMapping(&impact)
	}
	d, err := scim.UpdateDirectory.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askDirectoryMapping(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.directoryHref(d.ID, ""), done(ui.T("What the groups of %s give is in force.", d.Name)))
}

// effects are what saving a mapping would do, by name.
func (f directoryForm) effects() []ui.Fact {
	facts := make([]ui.Fact, len(f.impact.Effects))
	for i, e := range f.impact.Effects {
		facts[i] = ui.Fact{Name: e.Name, Value: ui.Text(e.Text)}
	}
	return facts
}

func askRotation(v *visit) error {
	d, err := v.theDirectory()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "rotate-directory", title: ui.T("Rotate the token of %s", d.Name), version: d.ETag(), cancel: v.directoryHref(d.ID, ""),
		text:   []string{ui.T("The token that ends with %s is refused at once. Until the new one is pasted there, nothing is synchronized: nobody is let go either.", d.TokenLast4)},
		submit: ui.ButtonProps{Text: ui.T("Rotate the token"), Kind: ui.Danger}, ways: v.same(scim.RotateToken, "directory", d.ID)})
}

func rotateDirectory(v *visit) error {
	d, err := scim.RotateToken.Call(v.ctx, v.Service, v.oneDirectory(), v.form.options()...)
	if v.again(err) {
		return askRotation(v)
	}
	if err != nil {
		return err
	}
	return v.showToken(d, ui.T("The new token of %s", d.Name), v.same(scim.RotateToken, "directory", d.ID))
}

// askDirectoryEnd says what becomes of the members, and asks for the name.
func askDirectoryEnd(v *visit) error {
	d, err := v.theDirectory()
	if err != nil {
		return err
	}
	impact, err := v.dryRun(scim.DeleteDirectory, scim.DeleteDirectoryInput{DirectoryInput: v.oneDirectory()})
	if err != nil {
		return err
	}
	c := confirmation{id: "delete-directory", title: ui.T("Delete %s", d.Name), version: d.ETag(), cancel: v.directoryHref(d.ID, ""),
		text: []string{ui.T("It cannot be taken back."), sentence(impact.Summary)}, fields: ui.Input(v.nameTyped(d.Name)),
		submit: ui.ButtonProps{Text: ui.T("Delete %s", d.Name), Kind: ui.Danger}, ways: v.same(scim.DeleteDirectory, "directory", d.ID)}
	for _, e := range impact.Effects {
		c.affected = append(c.affected, ui.Fact{Name: sentence(e.Text), Value: ui.Text("")})
	}
	return v.ask(c)
}

func deleteDirectory(v *visit) error {
	d, err := v.theDirectory()
	if err != nil {
		return err
	}
	if !v.typed(d.Name) {
		return askDirectoryEnd(v)
	}
	_, err = scim.DeleteDirectory.Call(v.ctx, v.Service, scim.DeleteDirectoryInput{DirectoryInput: v.oneDirectory()}, v.form.options()...)
	if v.again(err) {
		return askDirectoryEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.directoryHref("", ""), done(ui.T("%s is deleted. Its members stay, and you manage them.", d.Name)))
}
