package console

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// blankGroups is how many further groups the form of a mapping has room for.
const blankGroups = 3

// mappingForm is the form of what a provider's answer means, with what comes of the last one by it.
type mappingForm struct {
	visit   *visit
	was     federation.ConnectionDetails
	roles   []ui.Option
	preview federation.ConnectionPreview

	action, back string // where the form leads, and where it was come from
	byLink       bool   // by a set-up link: it gives nobody a role
}

func mappingPages() []page {
	const mapping = "/o/{slug}/settings/sso/connections/{connection}/mapping"
	return []page{{"GET " + mapping, member, showMapping}, {"POST " + mapping, member, saveMapping}}
}

// mappingForm is the form with what was typed; before anything was, with the mapping as it is.
func (v *visit) mappingForm() (mappingForm, error) {
	one := v.r.PathValue("connection")
	f := mappingForm{visit: v, action: v.connectionHref(one, "mapping"), back: v.connectionHref(one, "")}
	var err error
	if f.was, err = v.connectionDetails(); err != nil {
		return f, err
	}
	roles, err := v.allRoles()
	if err != nil {
		return f, err
	}
	for _, r := range roles {
		if !r.Owner {
			f.roles = append(f.roles, ui.Option{Value: r.ID, Text: r.Title})
		}
	}
	in := federation.PreviewConnectionInput{ConnectionInput: v.oneConnection()}
	if typed := v.mappingInput(); v.form.values.Has("mapping/groups") {
		in.Mapping, in.GroupRoles = typed.Mapping, typed.GroupRoles
		if v.form.values.Has("role") {
			in.Role = typed.Role
		}
	}
	f.preview, err = federation.PreviewConnection.Call(v.ctx, v.Service, in)
	if err != nil && v.form.refuse(err) {
		err = nil
	}
	return f, err
}

// mappingInput is what the form says.
func (v *visit) mappingInput() federation.UpdateConnectionInput {
	in := federation.UpdateConnectionInput{ConnectionInput: v.oneConnection(), Role: new(charter.RoleID(v.form.value("role"))), GroupRoles: []federation.GroupRole{},
		Mapping: v.mapping()}
	for i := 0; v.form.values.Has(groupField(i, "group")); i++ {
		if group := v.form.value(groupField(i, "group")); group != "" {
			in.GroupRoles = append(in.GroupRoles, federation.GroupRole{Group: group, Role: charter.RoleID(v.form.value(groupField(i, "role")))})
		}
	}
	return in
}

// mapping is what the form says that claims and attributes mean.
func (v *visit) mapping() *federation.Mapping {
	return &federation.Mapping{Address: v.form.value("mapping/address"), Name: v.form.value("mapping/name"), Subject: v.form.value("mapping/subject"), Groups: v.form.value("mapping/groups")}
}

// hidden are the fields that make the form safe to send twice; by a link it says all that it changes.
func (f mappingForm) hidden() []ui.Hidden {
	if f.byLink {
		return nil
	}
	return f.visit.hidden(f.was.ETag())
}

func groupField(i int, name string) string { return "group_roles/" + strconv.Itoa(i) + "/" + name }

func (f mappingForm) says(name, label, value, hint string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "mapping/" + name, Label: label, Hint: hint, Optional: true}, Value: f.visit.form.or("mapping/"+name, value),
		Placeholder: federation.Usual(f.was.Kind, name), MaxLength: "200"}
}

// names are the fields that say which claim says what.
func (f mappingForm) names() []ui.InputProps {
	m := f.was.Mapping
	return []ui.InputProps{
		f.says("address", ui.T("Address"), m.Address, ""), f.says("name", ui.T("Name"), m.Name, ""),
		f.says("subject", ui.T("Who it is for good"), m.Subject, ui.T("Never a name or an address. It stays as it is once somebody has signed in.")),
		f.says("groups", ui.T("Groups"), m.Groups, ui.T("With dots for what is nested: realm_access.roles."))}
}

// groupPlace is a group with its role, in the order in which they count.
type groupPlace struct {
	group ui.InputProps
	role  ui.SelectProps
}

func (f mappingForm) places() (all []groupPlace) {
	n := len(f.was.GroupRoles) + blankGroups
	for f.visit.form.values.Has(groupField(n, "group")) {
		n++
	}
	for i := range n {
		var g federation.GroupRole
		if i < len(f.was.GroupRoles) {
			g = f.was.GroupRoles[i]
		}
		all = append(all, groupPlace{
			group: ui.InputProps{FieldProps: ui.FieldProps{Name: groupField(i, "group"), Label: ui.T("Group %d", i+1)}, Value: f.visit.form.or(groupField(i, "group"), g.Group), MaxLength: "256"},
			role: ui.SelectProps{FieldProps: ui.FieldProps{Name: groupField(i, "role"), Label: ui.T("gives the role")}, Options: f.roles,
				Value: f.visit.form.or(groupField(i, "role"), string(g.Role))}})
	}
	return all
}

// role is what people get whose groups give none.
func (f mappingForm) role() ui.SelectProps {
	p := connectionForm{visit: f.visit, connection: f.was.Connection}.role()
	p.Label, p.Options = ui.T("Role of everybody else"), append(p.Options, f.roles...)
	return p
}

// comes are what comes of the last test.
func (f mappingForm) comes() []ui.Fact {
	p := f.preview
	none := ui.Muted(ui.T("nothing"))
	text := func(s string) component {
		if s == "" {
			return none
		}
		return ui.Text(s)
	}
	facts := []ui.Fact{{Name: ui.T("Address"), Value: text(p.Address)}, {Name: ui.T("Name"), Value: text(p.Name)}, {Name: ui.T("Who it is for good"), Value: text(p.Subject)},
		{Name: ui.T("Groups"), Value: text(strings.Join(p.Groups, ", "))}}
	if f.byLink {
		return facts
	}
	role := component(ui.Muted(ui.T("none: an invitation is needed")))
	switch {
	case p.Group != "":
		role = ui.Text(ui.T("%s, by the group %s", cmp.Or(p.RoleTitle, string(p.Role)), p.Group))
	case p.Role != "":
		role = ui.Text(ui.T("%s, by no group", cmp.Or(p.RoleTitle, string(p.Role))))
	}
	return append(facts, ui.Fact{Name: ui.T("Role"), Value: role})
}

func (f mappingForm) problems() (all []string) {
	for _, p := range f.preview.Problems {
		all = append(all, sentence(p))
	}
	return all
}

func showMapping(v *visit) error {
	f, err := v.mappingForm()
	if err != nil {
		return err
	}
	return f.page()
}

// page is the form; while it is filled in, only what comes of it.
func (f mappingForm) page() error {
	v := f.visit
	if ui.Fragment(v.r) {
		return v.render(v.form.statusCode(), f.effect())
	}
	return v.page(ui.PageProps{Title: ui.T("What %s says", f.was.Name), Lede: ui.T("Which claim or attribute means what, and which group gives which role."),
		Crumb: ui.LinkProps{Text: f.was.Name, Href: v.connectionHref(f.was.ID, "")}, Ways: v.same(federation.PreviewConnection, "connection", f.was.ID)}, f.fields())
}

// saveMapping saves what the form says, or shows what would come of it.
func saveMapping(v *visit) error {
	if v.form.value(stepField) == "try" {
		return showMapping(v)
	}
	c, err := federation.UpdateConnection.Call(v.ctx, v.Service, v.mappingInput(), v.form.options()...)
	if v.again(err) {
		return showMapping(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.connectionHref(c.ID, ""), done(ui.T("What %s says is read this way from now on.", c.Name)))
}

// connectionDetails is the connection of the address, with everything that is set about it.
func (v *visit) connectionDetails() (federation.ConnectionDetails, error) {
	return federation.GetConnection.Call(v.ctx, v.Service, v.oneConnection())
}

// verifiedDomains are the organization's, as choices of a connection.
func (v *visit) verifiedDomains() (names []string, err error) {
	domains, err := all(func(p op.Page) (op.List[federation.Domain], error) {
		return federation.ListDomains.Call(v.ctx, v.Service, federation.ListDomainsInput{InOrganization: v.inOrg(), Page: p})
	})
	for _, d := range domains {
		if d.State == federation.Verified {
			names = append(names, d.Domain)
		}
	}
	return names, err
}
