package console

import (
	"slices"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func adminsPages() []page {
	return []page{{"GET /o/{slug}/settings/admins", member, showAdmins}}
}

// helpful are the permissions that people go and ask somebody about.
func helpful() []charter.Permission {
	return []charter.Permission{"members.invite", "members.assign_role", "settings.update", "billing.manage", "keys.revoke", "sso.configure", "audit.view", "organization.transfer"}
}

// adminsPage says whom to ask.
type adminsPage struct {
	visit  *visit
	people []admin
}

// admin is somebody who can help, and with what.
type admin struct {
	access.Holder
	with []ui.Permission
}

// showAdmins is for every member. Whoever may not see the team learns no names.
func showAdmins(v *visit) error {
	p := adminsPage{visit: v}
	if v.can("members.view") {
		if err := p.read(); err != nil {
			return err
		}
	}
	return v.page(ui.PageProps{Title: ui.T("View admins"), Lede: ui.T("Whom to ask in %s.", v.organization.Name), Crumb: v.settingsCrumb(),
		Ways: v.same(access.Holders, "permission", "members.invite")}, p.show())
}

func (p *adminsPage) read() error {
	for _, permission := range helpful() {
		if _, ok := p.visit.Service.Charter().Info(permission); !ok {
			continue
		}
		list, err := access.Holders.Call(p.visit.ctx, p.visit.Service, access.HoldersInput{InOrganization: p.visit.inOrg(), Page: op.Page{Limit: pageSize}, Permission: permission})
		if err != nil {
			return err
		}
		for _, h := range list.Data {
			p.add(h, permission)
		}
	}
	return nil
}

func (p *adminsPage) add(h access.Holder, permission charter.Permission) {
	at := slices.IndexFunc(p.people, func(a admin) bool { return a.Member == h.Member })
	if at < 0 {
		p.people, at = append(p.people, admin{Holder: h}), len(p.people)
	}
	p.people[at].with = append(p.people[at].with, permissionOf(p.visit.Service.Charter(), permission))
}

func (p adminsPage) table() ui.TableProps {
	t := ui.TableProps{ID: "admins", Caption: ui.T("Admins"), Columns: []ui.Column{{Title: ui.T("Person")}, {Title: ui.T("Role")}, {Title: ui.T("Can help with")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nobody here can help. Ask the product's support.")})}
	for _, a := range p.people {
		t.Rows = append(t.Rows, ui.Row{Cells: []templ.Component{
			ui.Person(ui.PersonProps{Name: a.Name, Detail: a.Email, Href: p.visit.memberHref(a.Member, "")}), ui.Text(a.RoleTitle), helpsWith(a.with)}})
	}
	return t
}
