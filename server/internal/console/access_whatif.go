package console

import (
	"cmp"
	"strings"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// The changes that are tried out.
const (
	whatRole   = "role"   // a role holds something else
	whatMember = "member" // a member has another role
	whatRemove = "remove" // a member is removed
)

// simulating lets somebody try changes out.
var simulating = []charter.Permission{managesRoles, "members.assign_role"}

// whatIfPage says who would gain, who would lose and what would break, if something were changed.
type whatIfPage struct {
	visit   *visit
	what    string
	scopes  scopeForm
	names   map[string]string // the members that can be chosen
	outcome *access.Simulation
}

// showWhatIf tries out what the address says. It changes nothing.
func showWhatIf(v *visit) error {
	if err := v.demandAny(simulating); err != nil {
		return err
	}
	p := whatIfPage{visit: v, what: v.form.value("what"), scopes: scopeForm{visit: v}}
	if err := p.read(); err != nil {
		return err
	}
	if in, whole := p.input(); whole {
		outcome, err := access.Simulate.Call(v.ctx, v.Service, in)
		if err != nil && !v.again(err) {
			return err
		}
		if err == nil {
			p.outcome = &outcome
		}
	}
	return v.page(ui.PageProps{Title: ui.T("What if ...?"), Lede: ui.T("Who would gain, who would lose and what would break. Nothing is changed."), Crumb: v.settingsCrumb(),
		Ways: v.same(access.Simulate, "remove_member", cmp.Or(v.form.value("member"), v.principal.Member))}, p.show())
}

// read reads what can be chosen. A role begins with what it holds now.
func (p *whatIfPage) read() (err error) {
	if _, err = p.visit.allRoles(); err != nil {
		return err
	}
	if p.names, err = p.visit.memberNames(); err != nil {
		return err
	}
	if p.what != whatRole || p.chosePermissions() {
		return nil
	}
	for _, role := range p.visit.roles {
		if role.ID == p.visit.form.value("role") {
			p.visit.form.values.Set(permissionsField, joinedIDs(role.Permissions, ","))
		}
	}
	return nil
}

// chosePermissions reports whether the address says what the role would hold.
func (p whatIfPage) chosePermissions() bool { return roleForm{visit: p.visit}.says() }

// input is the change; false: there is something left to choose.
func (p whatIfPage) input() (access.SimulateInput, bool) {
	in, role, who := access.SimulateInput{InOrganization: p.visit.inOrg()}, p.visit.form.value("role"), p.visit.form.value("member")
	switch {
	case p.what == whatRole && role != "":
		in.Role = &access.SimulatedRole{ID: role, Permissions: p.scopes.chosen()}
	case p.what == whatMember && role != "" && who != "":
		in.Member = &access.SimulatedMember{ID: who, Role: role}
	case p.what == whatRemove && who != "":
		in.RemoveMember = who
	default:
		return in, false
	}
	return in, true
}

// accessTabs lead from explaining to trying out, for those who may.
func (v *visit) accessTabs() ui.TabsProps {
	href, what := v.org("/settings/access"), v.form.value("what")
	tabs := ui.TabsProps{Label: ui.T("Questions about access"), Tabs: []ui.Tab{{Text: ui.T("Why can or can't ...?"), Href: href, Current: what == ""}}}
	if !v.canAny(simulating) {
		return tabs
	}
	for _, t := range []struct{ what, text string }{
		{whatRole, ui.T("What if a role held ...?")}, {whatMember, ui.T("What if somebody had another role?")}, {whatRemove, ui.T("What if somebody were removed?")},
	} {
		tabs.Tabs = append(tabs.Tabs, ui.Tab{Text: t.text, Href: asking(href, "what", t.what, "member", v.form.value("member")), Current: what == t.what})
	}
	return tabs
}

func (p whatIfPage) roleField(label string) ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "role", Label: label, Error: p.visit.form.error("role")}, Value: p.visit.form.value("role"), Options: []ui.Option{{Text: ui.T("Choose a role")}}}
	for _, role := range p.visit.roles {
		s.Options = append(s.Options, ui.Option{Value: role.ID, Text: role.Title})
	}
	return s
}

func (p whatIfPage) memberField() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "member", Label: ui.T("Member"), Error: p.visit.form.error("member")}, Value: p.visit.form.value("member"), Options: []ui.Option{{Text: ui.T("Choose a member")}}}
	for _, id := range sortedByValue(p.names) {
		s.Options = append(s.Options, ui.Option{Value: id, Text: p.names[id]})
	}
	if s.Value != "" && p.names[s.Value] == "" {
		s.Options = append(s.Options, ui.Option{Value: s.Value, Text: s.Value})
	}
	return s
}

// members lists those who would gain, or lose.
func (p whatIfPage) members(id, caption, none string, changed access.MembersChanged) ui.TableProps {
	t := ui.TableProps{ID: id, Caption: caption, ShowCaption: true, Columns: []ui.Column{{Title: ui.T("Member")}, {Title: ui.T("Role now")}, {Title: ui.T("Permissions")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: none}), Pager: more(changed.More)}
	for _, m := range changed.Data {
		t.Rows = append(t.Rows, ui.Row{Cells: []component{ui.Link(ui.LinkProps{Text: m.Name, Href: p.visit.memberHref(m.Member, "")}), ui.Text(titleOfRole(p.visit.roles, m.Role)), p.several(m.Permissions)}})
	}
	return t
}

// several are permissions in a cell: by number, and all of them on request.
func (p whatIfPage) several(ids []charter.Permission) component {
	return severalPermissions(ui.N(len(ids), "1 permission", "%d permissions"), p.visit.permissions(ids))
}

// more says how many rows are not shown.
func more(n int) ui.Pager {
	if n == 0 {
		return ui.Pager{}
	}
	return ui.Pager{Text: ui.N(n, "and 1 more", "and %d more")}
}

// broken lists the keys, tokens and service accounts that would lose something, or end.
func (p whatIfPage) broken() ui.TableProps {
	t := ui.TableProps{ID: "breaks", Caption: ui.T("Breaks"), ShowCaption: true, Columns: []ui.Column{{Title: ui.T("What")}, {Title: ui.T("Effect")}, {Title: ui.T("Permissions")}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No key, scoped token or service account loses anything.")}), Pager: more(p.outcome.Breaks.More)}
	for _, b := range p.outcome.Breaks.Data {
		effect := ui.BadgeProps{Text: ui.T("Loses"), Tone: ui.Warn}
		if b.Ends {
			effect = ui.BadgeProps{Text: ui.T("Ends"), Tone: ui.Bad}
		}
		t.Rows = append(t.Rows, ui.Row{Cells: []component{p.thing(b), ui.Badge(effect), p.several(b.Permissions)}})
	}
	return t
}

// thing leads to what breaks, if it has a page.
func (p whatIfPage) thing(b access.ThingBroken) component {
	name := effectName(op.Effect{Type: b.Type, Name: b.Name})
	switch b.Type {
	case "key":
		return ui.Link(ui.LinkProps{Text: name, Href: p.visit.keyHref(b.ID, "")})
	case "service_account":
		return ui.Link(ui.LinkProps{Text: name, Href: p.visit.accountHref(b.ID, "")})
	}
	return ui.Text(name)
}

// nameOf is what somebody who is asked about is called.
func nameOf(s access.ExplainedSubject) string { return cmp.Or(s.Name, s.Email) }

// because is the reason of an answer without those who could help.
func because(e access.Explanation) string {
	reason, _, _ := strings.Cut(e.Text, " · ")
	_, reason, _ = strings.Cut(reason, ": ")
	return sentence(reason)
}
