package console

import (
	"cmp"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// managesRoles is what making, changing and deleting roles needs.
const managesRoles charter.Permission = "roles.manage"

func rolePages() []page {
	const one = "/o/{slug}/settings/roles/{role}"
	return []page{
		{"GET /o/{slug}/settings/roles/new", member, askNewRole},
		{"POST /o/{slug}/settings/roles/new", member, createRole},
		{"GET " + one, member, showRole},
		{"GET " + one + "/edit", member, askRoleEdit},
		{"POST " + one + "/edit", member, saveRole},
		{"GET " + one + "/delete", member, askRoleEnd},
		{"POST " + one + "/delete", member, deleteRole},
	}
}

// roleHref is the address of a role's page, or of one of its verbs.
func (v *visit) roleHref(id, verb string) string {
	if verb == "" {
		return v.org("/settings/roles/" + id)
	}
	return v.org("/settings/roles/" + id + "/" + verb)
}

func (v *visit) rolesCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Roles"), Href: v.org("/settings/roles")}
}

// oneRole names the role of the address.
func (v *visit) oneRole() directory.GetRoleInput {
	return directory.GetRoleInput{InOrganization: v.inOrg(), Role: v.r.PathValue("role")}
}

func (v *visit) role() (directory.Role, error) {
	return directory.GetRole.Call(v.ctx, v.Service, v.oneRole())
}

// rolePage is one role: what it holds, who has it, and what can be done about it.
type rolePage struct {
	visit *visit
	role  directory.Role
}

func showRole(v *visit) error {
	role, err := v.role()
	if err != nil {
		return err
	}
	p := rolePage{visit: v, role: role}
	return v.page(ui.PageProps{Title: role.Title, Lede: role.Description, Crumb: v.rolesCrumb(), Ways: v.same(directory.GetRole, "role", role.ID)}, p.show())
}

func (p rolePage) identity() []ui.Fact {
	facts := []ui.Fact{{Name: ui.T("Made by"), Value: ui.Text(madeBy(p.role))}, {Name: ui.T("Members"), Value: p.members()},
		{Name: ui.T("Service accounts"), Value: ui.Text(ui.T("%d", p.role.ServiceAccounts))}}
	return append(facts, ui.Fact{Name: ui.T("Role id"), Value: ui.Code(p.role.ID)})
}

func madeBy(r directory.Role) string {
	if r.Custom {
		return ui.T("the organization")
	}
	return ui.T("the product")
}

// members is how many have the role, with the way to them for those who may see the team.
func (p rolePage) members() component {
	text := ui.N(p.role.Members, "1 member", "%d members")
	if !p.visit.can("members.view") {
		return ui.Text(text)
	}
	return ui.Link(ui.LinkProps{Text: text, Href: asking(p.visit.org("/settings/team"), "role", p.role.ID)})
}

// verbs are what can be done about the role: one that the organization made is changed and deleted, and every one can be
// the beginning of another.
func (p rolePage) verbs() component {
	buttons := []component{ui.Button(p.visit.verb(managesRoles, ui.ButtonProps{Text: ui.T("Make a role from it"), Icon: "plus", Href: asking(p.visit.org("/settings/roles/new"), "from", p.role.ID)}))}
	if p.role.Custom && p.visit.can(managesRoles) {
		change := ui.ButtonProps{Text: ui.T("Change it"), Icon: "pencil", Href: p.visit.roleHref(p.role.ID, "edit")}
		end := ui.ButtonProps{Text: ui.T("Delete it"), Icon: "trash-2", Href: p.visit.roleHref(p.role.ID, "delete"), Kind: ui.Danger}
		if why := p.beyond(); why != "" {
			change.Refused, end.Refused = why, why
		}
		buttons = append(buttons, ui.Button(change), ui.Button(end))
	}
	return ui.Join(buttons...)
}

// beyond says why the viewer, who manages roles, cannot change this one; empty: they can.
func (p rolePage) beyond() string {
	set, _ := p.visit.Service.Charter().SetOf(p.role.Permissions)
	if decide.ActOn(&p.visit.principal, &decide.Principal{Holds: set}).Allow {
		return ""
	}
	return ui.T("It holds more than you do.")
}

// roleForm is a role as somebody would like it: a new one, or one that there is.
type roleForm struct {
	visit  *visit
	was    directory.Role // as it is now; empty: a new one
	roles  []directory.Role
	scopes scopeForm
	stale  bool // somebody else saved it in the meantime
}

// roleForm reads what can be put into a role. What the plan does not have can: it counts once the plan has it.
func (v *visit) roleForm(was directory.Role) (roleForm, error) {
	f := roleForm{visit: v, was: was}
	var err error
	if f.roles, err = v.allRoles(); err != nil {
		return f, err
	}
	if f.scopes, err = v.scopeForm(func(i charter.Info) string { return f.given(i.ID) }); err != nil {
		return f, err
	}
	for id := range f.scopes.refused {
		if v.may(id).Reason == decide.PlanRequired {
			delete(f.scopes.refused, id)
		}
	}
	if !f.says() {
		v.form.values.Set(permissionsField, joinedIDs(f.begins(), ","))
	}
	return f, nil
}

// given says why there is no choice about a permission: every role has what the operations put into one with nothing.
func (f roleForm) given(id charter.Permission) string {
	if id == "organization.view" {
		return ui.T("Every role holds it.")
	}
	return ""
}

// says reports whether the form or the address says what the role holds.
func (f roleForm) says() bool {
	for name := range f.visit.form.values {
		if strings.HasPrefix(name, permissionsField) {
			return true
		}
	}
	return false
}

// begins is what the role holds before anybody chose: what it holds now, or what the role holds that it is made from.
func (f roleForm) begins() []charter.Permission {
	if f.was.ID != "" {
		return f.was.Permissions
	}
	for _, role := range f.roles {
		if role.ID == f.visit.form.value("from") {
			return role.Permissions
		}
	}
	return nil
}

func joinedIDs(ids []charter.Permission, by string) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = string(id)
	}
	return strings.Join(words, by)
}

// leftOut are the permissions of the role that it is made from which the viewer cannot put in.
func (f roleForm) leftOut() []string {
	return slices.DeleteFunc(f.scopes.notGiven(), func(id string) bool { return f.given(charter.Permission(id)) != "" })
}

func (f roleForm) titleField() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "title", Label: ui.T("Name"), Error: f.visit.form.error("title")}, Value: f.visit.form.or("title", f.was.Title),
		MaxLength: "60", Placeholder: ui.T("Billing clerk")}
}

func (f roleForm) descriptionField() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "description", Label: ui.T("What it is for"), Optional: true, Error: f.visit.form.error("description")},
		Value: f.visit.form.or("description", f.was.Description), MaxLength: "300"}
}

// fromField chooses the role to begin with.
func (f roleForm) fromField() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "from", Label: ui.T("Begin with what a role holds")}, Value: f.visit.form.value("from"),
		Options: []ui.Option{{Text: ui.T("Nothing")}}}
	for _, role := range f.roles {
		s.Options = append(s.Options, ui.Option{Value: role.ID, Text: role.Title})
	}
	return s
}

// permissionsChoice is the choice of what the role holds.
func (f roleForm) permissionsChoice() ui.ScopesProps {
	p := f.scopes.props(ui.T("What it holds"), ui.T("You can put in only what you hold yourself."))
	for _, g := range p.Groups {
		for i, s := range g.Scopes {
			if id := charter.Permission(s.ID); f.given(id) != "" {
				g.Scopes[i].Checked = true
			} else if f.visit.may(id).Reason == decide.PlanRequired {
				g.Scopes[i].Note = ui.T("counts once the plan has it")
			}
		}
	}
	return p
}

// bundlesToAdd lead to the same form with all of a bundle in it, as far as the viewer can put it in.
func (f roleForm) bundlesToAdd() (links []ui.LinkProps) {
	c := f.visit.Service.Charter()
	chosen, _ := c.SetOf(f.scopes.chosen())
	for _, info := range c.Permissions() {
		parts, _ := c.Need(info.ID)
		if len(info.Includes) == 0 || parts.SubsetOf(chosen) || slices.ContainsFunc(c.IDs(parts), func(id charter.Permission) bool { return f.scopes.refused[id] != "" }) {
			continue
		}
		links = append(links, ui.LinkProps{Text: info.Title, Href: asking(f.path(), "title", f.visit.form.or("title", f.was.Title), "description", f.visit.form.or("description", f.was.Description),
			permissionsField, joinedIDs(c.IDs(chosen.Union(parts)), ","))})
	}
	return links
}

// implied are the bundles that the choice holds whole or in part.
func (f roleForm) implied() (facts []ui.Fact) {
	c := f.visit.Service.Charter()
	chosen, _ := c.SetOf(f.scopes.chosen())
	for _, info := range c.Permissions() {
		parts, _ := c.Need(info.ID)
		if held := parts.Intersect(chosen); len(info.Includes) > 0 && !held.Empty() {
			text := ui.T("%d of %d", held.Len(), parts.Len())
			if held == parts {
				text = ui.N(parts.Len(), "the whole of it: 1 permission", "the whole of it: %d permissions")
			}
			facts = append(facts, ui.Fact{Name: info.Title, Value: ui.Text(text)})
		}
	}
	return facts
}

// path is the path of this form.
func (f roleForm) path() string { return f.visit.r.URL.Path }

// preview asks what saving would do.
func (f roleForm) preview() (op.Impact, error) {
	return directory.PreviewRole.Call(f.visit.ctx, f.visit.Service, directory.PreviewRoleInput{InOrganization: f.visit.inOrg(), Role: f.was.ID, Permissions: f.scopes.chosen()})
}

// show is the form; while it is filled in, only what saving would do.
func (f roleForm) show() error {
	impact, err := f.preview()
	if err != nil && !f.visit.form.refuse(err) {
		return err
	}
	if ui.Fragment(f.visit.r) {
		return f.visit.render(f.visit.form.statusCode(), f.effect(impact))
	}
	if f.was.ID == "" {
		return f.visit.page(ui.PageProps{Title: ui.T("Make a role"), Lede: ui.T("A role of the organization's own, out of permissions that you hold."), Crumb: f.visit.rolesCrumb(),
			Ways: f.visit.same(directory.CreateRole, "title", cmp.Or(f.visit.form.value("title"), "Billing clerk"), "from", f.visit.form.value("from"))}, f.fields(impact))
	}
	return f.visit.page(ui.PageProps{Title: ui.T("Change %s", f.was.Title), Lede: ui.T("Whoever has the role gains and loses at once what it gains and loses."),
		Crumb: ui.LinkProps{Text: f.was.Title, Href: f.visit.roleHref(f.was.ID, "")}, Ways: f.visit.same(directory.UpdateRole, "role", f.was.ID, "title", f.visit.form.or("title", f.was.Title))}, f.fields(impact))
}

// summary is the last look before saving: who gains and who loses what.
func (f roleForm) summary(impact op.Impact) error {
	props := ui.PageProps{Title: ui.T("Save %s?", f.visit.form.value("title")), Crumb: f.visit.rolesCrumb(),
		Ways: f.visit.same(directory.CreateRole, "title", f.visit.form.value("title"), "description", f.visit.form.value("description"))}
	if f.was.ID != "" {
		props.Crumb = ui.LinkProps{Text: f.was.Title, Href: f.visit.roleHref(f.was.ID, "")}
		props.Ways = f.visit.same(directory.UpdateRole, "role", f.was.ID, "title", f.visit.form.value("title"))
	}
	return f.visit.page(props, f.confirm(impact))
}

// carried are the values of the form as hidden fields; step says where it goes on.
func (f roleForm) carried(step string) []ui.Hidden {
	all := append(f.visit.hidden(f.was.ETag()), ui.Hidden{Name: stepField, Value: step}, ui.Hidden{Name: permissionsField, Value: joinedIDs(f.scopes.chosen(), ",")})
	for _, name := range []string{"title", "description", "reason"} {
		if f.visit.form.values.Has(name) {
			all = append(all, ui.Hidden{Name: name, Value: f.visit.form.value(name)})
		}
	}
	return all
}

// action is where the form posts.
func (f roleForm) action() string {
	if f.was.ID == "" {
		return f.visit.org("/settings/roles/new")
	}
	return f.visit.roleHref(f.was.ID, "edit")
}

// cancel is where giving up leads.
func (f roleForm) cancel() string {
	if f.was.ID == "" {
		return f.visit.rolesCrumb().Href
	}
	return f.visit.roleHref(f.was.ID, "")
}

func askNewRole(v *visit) error {
	if err := v.demandAny([]charter.Permission{managesRoles}); err != nil {
		return err
	}
	f, err := v.roleForm(directory.Role{})
	if err != nil {
		return err
	}
	return f.show()
}

// createRole shows the summary, and makes the role from there.
func createRole(v *visit) error {
	if err := v.demandAny([]charter.Permission{managesRoles}); err != nil {
		return err
	}
	f, err := v.roleForm(directory.Role{})
	if err != nil {
		return err
	}
	if v.form.value(stepField) == "edit" {
		return f.show()
	}
	in := directory.CreateRoleInput{InOrganization: v.inOrg(), Title: v.form.value("title"), Description: v.form.value("description"), Permissions: f.scopes.chosen()}
	for _, w := range in.Validate() {
		v.form.say(fieldOf(w), w.Detail)
	}
	if len(v.form.wrong) > 0 {
		return f.show()
	}
	if v.form.value(stepField) != "save" {
		return f.toSummary(f.preview())
	}
	role, err := directory.CreateRole.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return f.show()
	}
	if err != nil {
		return err
	}
	return v.redirect(v.roleHref(role.ID, ""), done(ui.T("The role %s is there. Give it to somebody on the team's page.", role.Title)))
}

// toSummary goes on to the summary, or back to the form with what is wrong.
func (f roleForm) toSummary(impact op.Impact, err error) error {
	switch {
	case err == nil:
		return f.summary(impact)
	case f.visit.again(err):
		return f.show()
	}
	return err
}

// changedRole is the role of the address with the form over it, if the viewer may change it.
func (v *visit) changedRole() (roleForm, error) {
	was, err := v.role()
	if err != nil {
		return roleForm{}, err
	}
	if _, err := v.dryRun(directory.UpdateRole, directory.UpdateRoleInput{GetRoleInput: v.oneRole(), Title: &was.Title}); err != nil {
		return roleForm{}, err
	}
	return v.roleForm(was)
}

func askRoleEdit(v *visit) error {
	f, err := v.changedRole()
	if err != nil {
		return err
	}
	return f.show()
}

// saveRole shows the summary, and changes the role from there.
func saveRole(v *visit) error {
	f, err := v.changedRole()
	if err != nil {
		return err
	}
	if v.form.value(stepField) == "edit" {
		return f.show()
	}
	in := directory.UpdateRoleInput{GetRoleInput: v.oneRole(), Title: new(v.form.value("title")), Description: new(v.form.value("description")),
		Permissions: f.scopes.chosen(), Reason: v.form.value("reason")}
	if v.form.value(stepField) != "save" {
		return f.toSummary(v.dryRun(directory.UpdateRole, in))
	}
	role, err := directory.UpdateRole.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return f.refused(err)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.roleHref(role.ID, ""), done(ui.T("The role %s is saved, and in force for %s.", role.Title, ui.N(role.Members, "1 member", "%d members"))))
}

// refused shows the form again; after a lost update, made from what is there now.
func (f roleForm) refused(err error) error {
	if f.stale = op.AsError(err).Kind == op.Stale; f.stale {
		f.visit.form.values.Set(versionField, f.was.ETag())
	}
	return f.show()
}

// yours compares what is there now with what is typed.
func (f roleForm) yours() ui.DiffProps {
	c := f.visit.Service.Charter()
	theirs, _ := c.SetOf(f.was.Permissions)
	yours, _ := c.SetOf(append(f.scopes.chosen(), "organization.view"))
	return ui.DiffProps{Added: f.visit.permissions(c.IDs(yours.Minus(theirs))), Removed: f.visit.permissions(c.IDs(theirs.Minus(yours)))}
}

// roleEnd is the question before a role is deleted.
type roleEnd struct {
	visit   *visit
	role    directory.Role
	options []roleOption
}

func askRoleEnd(v *visit) error {
	role, err := v.role()
	if err != nil {
		return err
	}
	c := confirmation{id: "delete-role", title: ui.T("Delete the role %s", role.Title), version: role.ETag(), cancel: v.roleHref(role.ID, ""),
		text: []string{ui.T("It cannot be taken back.")}, fields: v.reasonField(),
		submit: ui.ButtonProps{Text: ui.T("Delete %s", role.Title), Kind: ui.Danger}, ways: v.same(directory.DeleteRole, "role", role.ID)}
	_, err = v.dryRun(directory.DeleteRole, directory.DeleteRoleInput{GetRoleInput: v.oneRole()})
	switch {
	case err == nil:
		c.text = append(c.text, ui.T("Nobody has it."))
	case op.AsError(err).FullCode() == "role_in_use":
		return v.askRoleMove(c, role)
	default:
		if c.impossible, err = impossible(err); err != nil {
			return err
		}
	}
	return v.ask(c)
}

// askRoleMove asks which role those get who have the one that ends.
func (v *visit) askRoleMove(c confirmation, role directory.Role) error {
	q := roleEnd{visit: v, role: role}
	roles, err := v.allRoles()
	if err != nil {
		return err
	}
	for _, to := range roles {
		if to.ID == role.ID {
			continue
		}
		o, err := v.moveOption(to)
		if err != nil {
			return err
		}
		q.options = append(q.options, o)
	}
	c.text = append(c.text, ui.T("%s, and get the role that you choose, at once.", q.used()))
	c.submit.Text = ui.T("Move them and delete %s", role.Title)
	c.fields, c.ways = q.fields(), v.same(directory.DeleteRole, "role", role.ID, "move_to", q.chosen())
	return v.ask(c)
}

// moveOption asks what moving everybody to a role would do; a refusal is a reason to show.
func (v *visit) moveOption(to directory.Role) (roleOption, error) {
	impact, err := v.dryRun(directory.DeleteRole, directory.DeleteRoleInput{GetRoleInput: v.oneRole(), MoveTo: to.ID})
	return optionOf(to, impact, err)
}

// used says who has the role.
func (q roleEnd) used() string {
	var who []string
	if q.role.Members > 0 {
		who = append(who, ui.N(q.role.Members, "1 member", "%d members"))
	}
	if q.role.ServiceAccounts > 0 {
		who = append(who, ui.N(q.role.ServiceAccounts, "1 service account", "%d service accounts"))
	}
	if q.role.Members+q.role.ServiceAccounts == 1 {
		return ui.T("%s has it", who[0])
	}
	return ui.T("%s have it", listed(who))
}

// chosen is the role that they move to: the one that is chosen, else the first that is possible.
func (q roleEnd) chosen() string {
	if to := q.visit.form.value("move_to"); to != "" {
		return to
	}
	for _, o := range q.options {
		if o.refused == "" {
			return o.ID
		}
	}
	return ""
}

func (q roleEnd) choices() ui.ChoicesProps {
	c := ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "move_to", Label: ui.T("Move %s to", q.moved()), Error: q.visit.form.error("move_to")}, Value: q.visit.form.value("move_to")}
	for _, o := range q.options {
		c.Options = append(c.Options, ui.Option{Value: o.ID, Text: o.Title, Hint: o.inWords(), Refused: o.refused})
	}
	return c
}

func (q roleEnd) moved() string {
	return ui.N(q.role.Members+q.role.ServiceAccounts, "it", "all %d")
}

func deleteRole(v *visit) error {
	was, err := v.role()
	if err != nil {
		return err
	}
	out, err := directory.DeleteRole.Call(v.ctx, v.Service, directory.DeleteRoleInput{GetRoleInput: v.oneRole(), MoveTo: v.form.value("move_to"), Reason: v.form.value("reason")}, v.form.options()...)
	if v.again(err) {
		return askRoleEnd(v)
	}
	if err != nil {
		return err
	}
	text := ui.T("The role %s is deleted.", was.Title)
	if out.MovedTo != "" {
		roles, err := v.allRoles()
		if err != nil {
			return err
		}
		text += " " + ui.T("%s: %s now.", ui.N(out.Members+out.ServiceAccounts, "1 moved", "%d moved"), titleOfRole(roles, out.MovedTo))
	}
	return v.redirect(v.rolesCrumb().Href, done(text))
}
