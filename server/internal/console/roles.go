package console

import (
	"encoding/csv"
	"net/http"
	"slices"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func rolesPages() []page {
	return []page{{"GET /o/{slug}/settings/roles", member, showRoles}}
}

// showRoles shows which role holds what: as a page, or as CSV of exactly the same rows.
func showRoles(v *visit) error {
	roles, err := v.allRoles()
	if err != nil {
		return err
	}
	p := rolesPage{visit: v, roles: roles, matrix: matrixOf(v.Service.Charter(), roles, v.form.value("only") == "differences")}
	if v.form.value("format") == "csv" {
		return p.csv()
	}
	return v.page(ui.PageProps{Title: ui.T("Roles"), Lede: ui.T("What each role may do. Every check and every page follows this table."), Crumb: v.settingsCrumb(),
		Actions: p.actions(), Ways: v.same(directory.ListRoles)}, p.show())
}

// allRoles are the charter's roles and those that the organization made; a page asks for them once.
func (v *visit) allRoles() ([]directory.Role, error) {
	if v.roles == nil {
		roles, err := directory.ListRoles.Call(v.ctx, v.Service, directory.ListRolesInput{InOrganization: v.inOrg()})
		if err != nil {
			return nil, err
		}
		v.roles = roles.Data
	}
	return v.roles, nil
}

// actions are the page's verbs.
func (p rolesPage) actions() component {
	return ui.Join(ui.Button(ui.ButtonProps{Text: ui.T("Download CSV"), Icon: "download", Href: asking(p.visit.org("/settings/roles"), "format", "csv", "only", p.visit.form.value("only"))}),
		ui.Button(p.visit.verb(managesRoles, ui.ButtonProps{Text: ui.T("Make a role"), Icon: "plus", Kind: ui.Primary, Href: p.visit.org("/settings/roles/new"), Hotkey: "n"})))
}

// rolesPage is the matrix of roles and permissions.
type rolesPage struct {
	visit  *visit
	roles  []directory.Role
	matrix ui.MatrixProps
}

// switchTo is the other view of the matrix: everything, or only what differs.
func (p rolesPage) switchTo() ui.LinkProps {
	if p.visit.form.value("only") == "differences" {
		return ui.LinkProps{Text: ui.T("Show every permission"), Href: p.visit.org("/settings/roles")}
	}
	return ui.LinkProps{Text: ui.T("Show only what differs"), Href: asking(p.visit.org("/settings/roles"), "only", "differences")}
}

// csv writes the matrix as a file.
func (p rolesPage) csv() error {
	h := p.visit.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="roles.csv"`)
	h.Set("Cache-Control", "no-store")
	p.visit.w.WriteHeader(http.StatusOK)
	out := csv.NewWriter(p.visit.w)
	head := []string{"group", "permission", "title"}
	for _, role := range p.matrix.Roles {
		head = append(head, role.Title)
	}
	_ = out.Write(head) // the writer keeps the first error
	for _, group := range p.matrix.Groups {
		for _, row := range group.Rows {
			line := []string{group.Title, row.Permission, row.Text}
			for _, held := range row.Holdings {
				line = append(line, string(held))
			}
			_ = out.Write(line)
		}
	}
	out.Flush()
	return nil // half a file was sent: there is no page to show any more
}

// permissionGroup is a heading of the charter with its permissions.
type permissionGroup struct {
	title       string
	permissions []charter.Info
}

// permissionGroups are the charter's permissions under their headings, in its order; bundles, which are their parts, are
// left out.
func permissionGroups(c *charter.Charter) (groups []permissionGroup) {
	for _, info := range c.Permissions() {
		if len(info.Includes) > 0 {
			continue
		}
		at := slices.IndexFunc(groups, func(g permissionGroup) bool { return g.title == info.Group })
		if at < 0 {
			groups, at = append(groups, permissionGroup{title: info.Group}), len(groups)
		}
		groups[at].permissions = append(groups[at].permissions, info)
	}
	return groups
}

// matrixOf compares roles: all permissions, or only those that some have and others have not.
func matrixOf(c *charter.Charter, roles []directory.Role, differences bool) ui.MatrixProps {
	m := ui.MatrixProps{ID: "roles", Caption: ui.T("Roles and permissions")}
	for _, role := range roles {
		m.Roles = append(m.Roles, ui.MatrixRole{Key: role.ID, Title: role.Title, Note: ui.N(role.Members, "1 member", "%d members")})
	}
	for _, group := range permissionGroups(c) {
		shown := ui.MatrixGroup{Title: group.title}
		for _, info := range group.permissions {
			row := ui.MatrixRow{Permission: string(info.ID), Text: info.Title}
			for _, role := range roles {
				row.Holdings = append(row.Holdings, holding(role, info.ID))
			}
			if !differences || len(slices.Compact(slices.Clone(row.Holdings))) > 1 {
				shown.Rows = append(shown.Rows, row)
			}
		}
		if len(shown.Rows) > 0 {
			m.Groups = append(m.Groups, shown)
		}
	}
	return m
}

func holding(role directory.Role, p charter.Permission) ui.Holding {
	if slices.Contains(role.Permissions, p) {
		return ui.Holds
	}
	return ui.Lacks
}

// permissionSelect chooses a permission, by what it lets people do.
func permissionSelect(c *charter.Charter, chosen string) ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "can", Label: ui.T("Permission")}, Value: chosen}
	for _, info := range c.Permissions() {
		s.Options = append(s.Options, ui.Option{Value: string(info.ID), Text: ui.T("%s (%s)", info.Title, info.ID)})
	}
	return s
}

// table lists the roles with what each is for.
func (p rolesPage) table() ui.TableProps {
	t := ui.TableProps{ID: "the-roles", Caption: ui.T("The roles"),
		Columns: []ui.Column{{Title: ui.T("Role")}, {Title: ui.T("What for")}, {Title: ui.T("Made by")}, {Title: ui.T("Members"), Number: true}, {Title: ui.T("Service accounts"), Number: true}}}
	for _, role := range p.roles {
		t.Rows = append(t.Rows, ui.Row{ID: role.ID, Cells: []component{ui.Link(ui.LinkProps{Text: role.Title, Href: p.visit.roleHref(role.ID, "")}), ui.Text(role.Description),
			ui.Text(madeBy(role)), ui.Text(ui.T("%d", role.Members)), ui.Text(ui.T("%d", role.ServiceAccounts))}})
	}
	return t
}
