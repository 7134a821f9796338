package console

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func teamPages() []page {
	return []page{{"GET /o/{slug}/settings/team", member, showTeam}}
}

// showTeam shows the members, or in its other tab the invitations.
func showTeam(v *visit) error {
	if v.form.value("tab") == "invitations" {
		return showInvitations(v)
	}
	p := teamPage{visit: v}
	if err := p.read(); err != nil {
		return v.refusedTeam(err)
	}
	return v.page(ui.PageProps{
		Title: ui.T("Team"), Lede: ui.T("Who belongs to %s, and with which role.", v.organization.Name),
		Crumb: v.settingsCrumb(), Actions: ui.Button(p.visit.inviteVerb()),
		Ways: v.same(directory.ListMembers, v.form.filters("q", "role", "status", "sort")...),
	}, p.members())
}

// refusedTeam answers whoever may not see the team: whom to ask stands on a page of its own.
func (v *visit) refusedTeam(err error) error {
	e := op.AsError(err)
	if e.Kind != op.Denied {
		return err
	}
	return v.pageAs(http.StatusForbidden, ui.PageProps{Title: ui.T("Team"), OwnHeading: true}, v.deniedTeam(v.errorProps(e)))
}

// teamPage is the list of members, with what the viewer may do about each.
type teamPage struct {
	visit *visit
	tabs  ui.TabsProps
	offer *offer
	roles []directory.Role
	list  op.List[directory.Member]
	total int
}

func (v *visit) listInput() directory.ListMembersInput {
	return directory.ListMembersInput{InOrganization: v.inOrg(), Page: v.pageOf(), Query: v.form.value("q"),
		Role: v.form.value("role"), Status: v.form.value("status"), Sort: v.form.value("sort")}
}

// filters are the values of fields, as names and values.
func (f *form) filters(names ...string) (pairs []string) {
	for _, name := range names {
		pairs = append(pairs, name, f.value(name))
	}
	return pairs
}

func (p *teamPage) read() (err error) {
	if p.list, err = directory.ListMembers.Call(p.visit.ctx, p.visit.Service, p.visit.listInput()); err != nil {
		return err
	}
	if p.roles, p.total, err = p.visit.countedRoles(); err != nil {
		return err
	}
	if p.offer, err = p.visit.pendingOffer(); err != nil {
		return err
	}
	p.tabs, err = p.visit.teamTabs("members", p.total)
	return err
}

// countedRoles are the roles, and how many members there are in all of them.
func (v *visit) countedRoles() (all []directory.Role, members int, err error) {
	all, err = v.allRoles()
	for _, role := range all {
		members += role.Members
	}
	return all, members, err
}

// teamTabs are the tabs of the team, with counts; without the right to invite there is only the first.
func (v *visit) teamTabs(current string, members int) (ui.TabsProps, error) {
	tabs := ui.TabsProps{Label: ui.T("Team")}
	if v.can("members.view") {
		tabs.Tabs = append(tabs.Tabs, ui.Tab{Text: ui.T("Members"), Count: strconv.Itoa(members), Href: v.org("/settings/team"), Current: current == "members"})
	}
	if !v.can("members.invite") {
		return tabs, nil
	}
	pending, err := v.pendingCount()
	tabs.Tabs = append(tabs.Tabs, ui.Tab{Text: ui.T("Invitations"), Count: pending, Href: asking(v.org("/settings/team"), "tab", "invitations"),
		Current: current == "invitations"})
	return tabs, err
}

// pendingCount says how many invitations are pending, up to a hundred.
func (v *visit) pendingCount() (string, error) {
	list, err := directory.ListInvitations.Call(v.ctx, v.Service, directory.ListInvitationsInput{InOrganization: v.inOrg(),
		Page: op.Page{Limit: 100}, State: directory.Pending})
	if err != nil || len(list.Data) == 0 {
		return "", err
	}
	if list.HasMore {
		return "100+", nil
	}
	return strconv.Itoa(len(list.Data)), nil
}

// inviteVerb is the verb that the page exists for.
func (v *visit) inviteVerb() ui.ButtonProps {
	return v.verb("members.invite", ui.ButtonProps{Text: ui.T("Invite people"), Icon: "plus", Kind: ui.Primary,
		Href: v.org("/settings/team/invite"), Hotkey: "i"})
}

// memberVerbs are the verbs of one member that the viewer may use.
type memberVerbs struct{ role, end, suspend, reactivate, transfer, remove, leave bool }

// verbsOn says what the viewer may do about a member, by the decisions that guard the operations.
func (v *visit) verbsOn(m directory.Member) memberVerbs {
	if m.User == v.actor.User {
		return memberVerbs{role: v.mayLower(m), end: m.EndsAt != nil && v.can("members.remove"), leave: true}
	}
	on := decide.ActOn(&v.principal, &decide.Principal{Member: m.ID, Owner: m.Owner, Holds: v.holdsOf(m)}).Allow
	return memberVerbs{
		role:       on && v.can("members.assign_role"),
		end:        on && v.can("members.remove") && !m.Owner,
		suspend:    on && v.can("members.suspend") && m.Status != "suspended",
		reactivate: on && v.can("members.suspend") && m.Status == "suspended",
		remove:     on && v.can("members.remove"),
		transfer:   v.can("organization.transfer") && v.mayReceive(m),
	}
}

// holdsOf is what a member's role holds; of a role that cannot be read, everything, so that no verb is offered.
func (v *visit) holdsOf(m directory.Member) charter.Set {
	if role, ok := v.Service.Charter().Role(charter.RoleID(m.Role)); ok {
		return role.Holds
	}
	roles, err := v.allRoles()
	for _, role := range roles {
		if role.ID == m.Role {
			set, _ := v.Service.Charter().SetOf(role.Permissions)
			return set
		}
	}
	if err != nil {
		return v.Service.Charter().All()
	}
	return charter.Set{}
}

// mayLower reports whether there is a role with less than the viewer's own.
func (v *visit) mayLower(m directory.Member) bool {
	own := v.holdsOf(m)
	roles, err := v.allRoles()
	return err == nil && slices.ContainsFunc(roles, func(role directory.Role) bool {
		set, _ := v.Service.Charter().SetOf(role.Permissions)
		return set != own && set.SubsetOf(own)
	})
}

// mayReceive reports whether ownership can pass to a member by the charter, as the operation asks again.
func (v *visit) mayReceive(m directory.Member) bool {
	to := v.Service.Charter().Rules.Ownership.TransferTo
	return m.Role == string(to) && m.Status == "active" && m.EndsAt == nil
}

// memberHref is the address of a member's page, or of one of its verbs.
func (v *visit) memberHref(id, verb string) string {
	if verb == "" {
		return v.org("/settings/team/" + id)
	}
	return v.org("/settings/team/" + id + "/" + verb)
}

// memberItems are the verbs of a member as entries of a menu.
func (v *visit) memberItems(m directory.Member) (items []ui.MenuItem) {
	verbs := v.verbsOn(m)
	role := ui.T("Change role")
	if m.User == v.actor.User {
		role = ui.T("Lower or give up your role")
	}
	for _, i := range []struct {
		allowed          bool
		text, icon, verb string
		danger           bool
	}{
		{verbs.role, role, "user-cog", "role", false},
		{verbs.end, ui.T("Set an end date"), "bell", "end", false},
		{verbs.transfer, ui.T("Transfer ownership"), "shield-check", "transfer", false},
		{verbs.reactivate, ui.T("Reactivate"), "rotate-ccw", "reactivate", false},
		{verbs.suspend, ui.T("Suspend"), "lock", "suspend", false},
		{verbs.remove, ui.T("Remove"), "trash-2", "remove", true},
	} {
		if i.allowed {
			items = append(items, ui.MenuItem{Text: i.text, Icon: i.icon, Href: v.memberHref(m.ID, i.verb), Dialog: true, Danger: i.danger})
		}
	}
	if verbs.leave {
		items = append(items, ui.MenuItem{Text: ui.T("Leave the organization"), Icon: "log-out", Href: v.org("/settings/team/leave"), Dialog: true, Danger: true})
	}
	return items
}

// statusBadge says a member's status as a word.
func statusBadge(m directory.Member) ui.BadgeProps {
	switch m.Status {
	case "active":
		return ui.BadgeProps{Text: ui.T("Active"), Tone: ui.OK}
	case "suspended":
		return ui.BadgeProps{Text: ui.T("Suspended"), Tone: ui.Bad}
	case "ended":
		return ui.BadgeProps{Text: ui.T("Ended")}
	}
	return ui.BadgeProps{Text: ui.T("Removed")}
}

// endBadge shows when a membership ends, and warns of an end that is near.
func (v *visit) endBadge(m directory.Member) component {
	if m.EndsAt == nil {
		return ui.Muted(ui.T("none"))
	}
	if left := m.EndsAt.Sub(v.now); left > 0 && left < 14*24*time.Hour {
		return ui.Badge(ui.BadgeProps{Text: ui.Relative(*m.EndsAt, v.now, time.UTC), Tone: ui.Warn})
	}
	return v.at(*m.EndsAt)
}

func (p teamPage) path() string { return p.visit.org("/settings/team") }

// column is the head of a column that can be sorted by.
func (p teamPage) column(title, sort string) ui.Column {
	sorted := func(by string) string {
		query := cloned(p.visit.form.values, "cursor", "trail")
		query.Set("sort", by)
		return withQuery(p.path(), query)
	}
	c := ui.Column{Title: title, SortHref: sorted(sort)}
	switch p.visit.form.or("sort", "name") {
	case sort:
		c.Sort, c.SortHref = ui.Ascending, sorted("-"+sort)
	case "-" + sort:
		c.Sort = ui.Descending
	}
	return c
}

func (p teamPage) table() ui.TableProps {
	t := ui.TableProps{ID: "members", Caption: ui.T("Members"), Columns: []ui.Column{
		p.column(ui.T("Person"), "name"), p.column(ui.T("Role"), "role"), {Title: ui.T("Status")}, p.column(ui.T("Joined"), "joined"),
		p.column(ui.T("Last active"), "last_active"), {Title: ui.T("Ends")}, {Title: ui.T("Actions"), Acts: true}},
		Empty: ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("Nobody matches these filters."),
			Verb: &ui.ButtonProps{Text: ui.T("Clear filters"), Href: p.path()}}),
		Pager: pagerOf(p.path(), p.visit.form.values, p.list.NextCursor)}
	for _, m := range p.list.Data {
		t.Rows = append(t.Rows, p.row(m))
	}
	return t
}

func (p teamPage) row(m directory.Member) ui.Row {
	var menu component = templ.NopComponent
	if items := p.visit.memberItems(m); len(items) > 0 {
		menu = ui.Menu(ui.MenuProps{ID: "menu-" + m.ID, Label: ui.T("Actions for %s", m.Label()), Items: items})
	}
	detail := m.Email
	if m.User == p.visit.actor.User {
		detail = ui.T("%s · you", detail)
	}
	return ui.Row{ID: m.ID, Over: m.Status != "active", Cells: []templ.Component{
		ui.Person(ui.PersonProps{Name: m.Label(), Detail: detail, Href: p.visit.memberHref(m.ID, "")}),
		roleCell(m), ui.Badge(statusBadge(m)), p.visit.at(m.JoinedAt), p.visit.maybe(m.LastActiveAt, ui.T("not yet")), p.visit.endBadge(m), menu,
	}}
}

// roleCell is a member's role, with what manages the member.
func roleCell(m directory.Member) component {
	if m.ManagedBy == "" {
		return ui.Text(m.RoleTitle)
	}
	return ui.Join(ui.Text(m.RoleTitle), ui.Muted(ui.T("by %s", m.ManagedName)))
}

// alone says whether the viewer is the only member.
func (p teamPage) alone() bool { return p.total == 1 }

func (p teamPage) filters() ui.FilterBarProps {
	bar := ui.FilterBarProps{Action: p.path(), ClearHref: p.path(), Total: ui.N(p.total, "1 member", "%d members"),
		Search: ui.InputProps{FieldProps: ui.FieldProps{Name: "q", Label: ui.T("Search members"), HideLabel: true}, Type: "search",
			Value: p.visit.form.value("q"), Placeholder: ui.T("Name or e-mail"), Hotkey: "/"}}
	for _, filter := range []struct{ name, text string }{
		{"q", ui.T("Text: %s", p.visit.form.value("q"))},
		{"role", ui.T("Role: %s", titleOfRole(p.roles, p.visit.form.value("role")))},
		{"status", ui.T("Status: %s", p.visit.form.value("status"))},
	} {
		bar.Chips = append(bar.Chips, p.visit.chip(p.path(), filter.name, filter.text)...)
	}
	return bar
}

// chip is a filter in force; none if the address does not have it.
func (v *visit) chip(path, name, text string) []ui.Chip {
	if v.form.value(name) == "" {
		return nil
	}
	return []ui.Chip{{Text: text, RemoveHref: withQuery(path, cloned(v.form.values, name, "cursor", "trail"))}}
}

func (p teamPage) roleFilter() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "role", Label: ui.T("Role"), HideLabel: true}, Value: p.visit.form.value("role"),
		Options: []ui.Option{{Text: ui.T("Any role")}}}
	for _, role := range p.roles {
		s.Options = append(s.Options, ui.Option{Value: role.ID, Text: role.Title})
	}
	return s
}

func (p teamPage) statusFilter() ui.SelectProps {
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "status", Label: ui.T("Status"), HideLabel: true}, Value: p.visit.form.value("status"),
		Options: []ui.Option{{Text: ui.T("Any status")}, {Value: "active", Text: ui.T("Active")},
			{Value: "suspended", Text: ui.T("Suspended")}, {Value: "ended", Text: ui.T("Ended")}}}
}

func titleOfRole(roles []directory.Role, id string) string {
	for _, role := range roles {
		if role.ID == id {
			return role.Title
		}
	}
	return id
}
