package console

import (
	"strings"
	"time"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func memberPages() []page {
	const one = "/o/{slug}/settings/team/{member}"
	return []page{
		{"GET " + one, member, showMember},
		{"GET " + one + "/role", member, askRole},
		{"POST " + one + "/role", member, changeRole},
		{"GET " + one + "/end", member, askEnd},
		{"POST " + one + "/end", member, setEnd},
		{"GET " + one + "/suspend", member, askSuspend},
		{"POST " + one + "/suspend", member, suspendMember},
		{"GET " + one + "/reactivate", member, askReactivate},
		{"POST " + one + "/reactivate", member, reactivateMember},
		{"GET " + one + "/remove", member, askRemove},
		{"POST " + one + "/remove", member, removeMember},
		{"GET /o/{slug}/settings/team/leave", member, askLeave},
		{"POST /o/{slug}/settings/team/leave", member, leave},
	}
}

// oneMember names the member of the address.
func (v *visit) oneMember() directory.MemberInput {
	return directory.MemberInput{InOrganization: v.inOrg(), Member: v.r.PathValue("member")}
}

func (v *visit) member() (directory.Member, error) {
	return directory.GetMember.Call(v.ctx, v.Service, v.oneMember())
}

// memberPage is one member: who it is, what they may do and where from, what they did.
type memberPage struct {
	visit    *visit
	member   directory.Member
	offer    *offer
	events   []audit.Event
	sessions []credential.Session
	keys     []credential.Key
}

// lookedAt leaves out of a short list that somebody looked at the log.
const lookedAt = "-action:audit.list -action:audit.get"

func showMember(v *visit) error {
	p := memberPage{visit: v}
	var err error
	if p.member, err = v.member(); err != nil {
		return err
	}
	if p.offer, err = v.pendingOffer(); err != nil {
		return err
	}
	if _, err = v.allRoles(); err != nil {
		return err
	}
	if p.own() {
		list, err := credential.ListSessions.Call(v.ctx, v.Service, credential.ListSessionsInput{})
		if err != nil {
			return err
		}
		p.sessions = list.Data
	}
	if p.keys, err = v.keysMadeBy(p.member); err != nil {
		return err
	}
	if v.can("audit.view") {
		list, err := audit.ListEvents.Call(v.ctx, v.Service, audit.ListEventsInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 20},
			Filter: audit.Filter{Actor: p.member.User, Query: lookedAt}})
		if err != nil {
			return err
		}
		p.events = list.Data
	}
	return v.page(ui.PageProps{Title: p.member.Label(), Crumb: v.teamCrumb(), Ways: v.same(directory.GetMember, "member", p.member.ID)}, p.show())
}

func (p memberPage) own() bool { return p.member.User == p.visit.actor.User }

func (p memberPage) identity() []ui.Fact {
	m := p.member
	facts := []ui.Fact{
		{Name: ui.T("E-mail"), Value: ui.Text(m.Email)},
		{Name: ui.T("Role"), Value: ui.Text(m.RoleTitle)},
		{Name: ui.T("Status"), Value: ui.Badge(statusBadge(m))},
		{Name: ui.T("Managed by"), Value: p.visit.managedBy(m)},
		{Name: ui.T("Joined"), Value: p.visit.at(m.JoinedAt)},
		{Name: ui.T("Last active"), Value: p.visit.maybe(m.LastActiveAt, ui.T("not yet"))},
		{Name: ui.T("Ends"), Value: p.visit.maybe(m.EndsAt, ui.T("no end date"))},
		{Name: ui.T("Member id"), Value: ui.Code(m.ID)},
		{Name: ui.T("User id"), Value: ui.Code(m.User)},
	}
	if m.ExternalID != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Id in the product"), Value: ui.Code(m.ExternalID)})
	}
	return facts
}

// managedBy says what manages a member, with a link for those who may configure it.
func (v *visit) managedBy(m directory.Member) component {
	if m.ManagedBy == "" {
		return ui.Muted(ui.T("people here"))
	}
	href := v.connectionHref(m.ManagedBy, "")
	if m.ManagedKind == "directory" {
		href = v.directoryHref(m.ManagedBy, "")
	}
	name := component(ui.Text(m.ManagedName))
	if v.can(managesSSO) {
		name = ui.Link(ui.LinkProps{Text: m.ManagedName, Href: href})
	}
	if !m.RoleManaged {
		return name
	}
	return ui.Join(name, ui.Muted(ui.T("a group there gives the role")))
}

// verbs are the member's verbs as buttons; nil without any.
func (p memberPage) verbs() component {
	var buttons []component
	for _, item := range p.visit.memberItems(p.member) {
		kind := ui.Default
		if item.Danger {
			kind = ui.Danger
		}
		buttons = append(buttons, ui.Button(ui.ButtonProps{Text: item.Text, Icon: item.Icon, Href: item.Href, Dialog: true, Kind: kind}))
	}
	if len(buttons) == 0 {
		return nil
	}
	return ui.Join(buttons...)
}

// notInForce says why the role's permissions do not count now; empty: they do.
func (p memberPage) notInForce() string {
	switch p.member.Status {
	case "suspended":
		return ui.T("Suspended: none of these permissions is in force until the member is reactivated.")
	case "ended":
		return ui.T("The membership has ended: none of these permissions is in force.")
	}
	return ""
}

// heldGroup is a heading with the permissions that a role holds under it.
type heldGroup struct {
	title string
	held  []ui.Fact
}

// permissions are what the member's role holds, and where it has each from.
func (p memberPage) permissions() (groups []heldGroup) {
	for _, role := range p.visit.roles {
		if role.ID == p.member.Role {
			return p.visit.held(role)
		}
	}
	return nil
}

// held are the permissions of a role under their headings, each with where the role has it from, and what the plan lacks.
func (v *visit) held(role directory.Role) (groups []heldGroup) {
	set, _ := v.Service.Charter().SetOf(role.Permissions)
	for _, group := range permissionGroups(v.Service.Charter()) {
		shown := heldGroup{title: group.title}
		for _, info := range group.permissions {
			if !set.Has(info.Bit) {
				continue
			}
			from := ui.Text(v.source(role, info.ID))
			if v.principal.Locked.Has(info.Bit) {
				from = ui.Join(from, ui.Badge(ui.BadgeProps{Text: ui.T("not in the plan"), Tone: ui.Warn, Icon: "lock"}))
			}
			shown.held = append(shown.held, ui.Fact{Name: info.Title, Value: from})
		}
		if len(shown.held) > 0 {
			groups = append(groups, shown)
		}
	}
	return groups
}

// source says in words where a role has a permission from.
func (v *visit) source(role directory.Role, id charter.Permission) string {
	if role.Custom {
		return ui.T("put into %s, which the organization made", role.Title)
	}
	text, err := v.Service.Charter().Explain(charter.RoleID(role.ID), id)
	if _, from, found := strings.Cut(text, ": "); err == nil && found {
		return from
	}
	return role.Title
}

// sessionFacts lists sessions by device.
func (p memberPage) sessionFacts() []ui.Fact {
	facts := make([]ui.Fact, len(p.sessions))
	for i, s := range p.sessions {
		name := s.Device
		if s.Current {
			name = ui.T("%s (this one)", s.Device)
		}
		facts[i] = ui.Fact{Name: name, Value: ui.Join(ui.Text(ui.T("last used")), p.visit.at(s.LastUsedAt))}
	}
	return facts
}

// roleOption is a role that a member could have, with what would change; or why it could not be theirs.
type roleOption struct {
	directory.Role
	impact  op.Impact
	refused string
}

// roleChange is the page on which a member's role is chosen.
type roleChange struct {
	visit   *visit
	member  directory.Member
	options []roleOption
}

// askRole shows every role with what it would change: the answers of dry runs.
func askRole(v *visit) error {
	p, err := v.roleChange()
	if err != nil {
		return err
	}
	d := ui.DialogProps{ID: "change-role", Title: ui.T("Change the role of %s", p.member.Label()), CancelHref: v.memberHref(p.member.ID, "")}
	if len(p.possible()) > 0 {
		d.Form = &ui.FormProps{Action: v.memberHref(p.member.ID, "role"), Hidden: p.hidden(p.member.ETag())}
		d.Submit = []ui.ButtonProps{{Text: ui.T("Change the role of %s", p.member.Label()), Kind: ui.Primary}}
	}
	return v.box(d, v.same(directory.UpdateMember, "member", p.member.ID, "role", p.suggested()), p.question())
}

func (v *visit) roleChange() (roleChange, error) {
	p := roleChange{visit: v}
	var err error
	if p.member, err = v.member(); err != nil {
		return p, err
	}
	roles, err := v.allRoles()
	for _, role := range roles {
		if role.ID == p.member.Role {
			continue
		}
		o, err := v.roleOption(role)
		if err != nil {
			return p, err
		}
		p.options = append(p.options, o)
	}
	return p, err
}

// roleOption asks what giving the role would do; a refusal is a reason to show.
func (v *visit) roleOption(role directory.Role) (roleOption, error) {
	impact, err := v.dryRun(directory.UpdateMember, directory.UpdateMemberInput{MemberInput: v.oneMember(), Role: &role.ID})
	return optionOf(role, impact, err)
}

// optionOf is a role with what a dry run says of it.
func optionOf(role directory.Role, impact op.Impact, err error) (roleOption, error) {
	e := op.AsError(err)
	switch {
	case err == nil:
		return roleOption{Role: role, impact: impact}, nil
	case e.Kind == op.Denied, e.Kind == op.Conflict, e.Kind == op.Invalid:
		return roleOption{Role: role, refused: sentence(e.Text)}, nil
	}
	return roleOption{}, err
}

// hidden are the form's hidden fields; after a conflict, with the version that is shown now.
func (p roleChange) hidden(etag string) []ui.Hidden {
	if p.visit.form.status == op.Stale.Status() {
		p.visit.form.values.Set(versionField, etag)
	}
	return p.visit.hidden(etag)
}

// choices is the picker of the new role: each with how much it changes, or with why it cannot be.
func (p roleChange) choices() ui.ChoicesProps {
	c := ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "role", Label: ui.T("New role"), Error: p.visit.form.error("role")}, Value: p.visit.form.value("role")}
	for _, o := range p.options {
		option := ui.Option{Value: o.ID, Text: o.Title, Hint: o.inWords(), Refused: o.refused}
		c.Options = append(c.Options, option)
	}
	return c
}

// suggested is a role for the ways to the same: the chosen one, else one that is possible.
func (p roleChange) suggested() string {
	if chosen := p.visit.form.value("role"); chosen != "" {
		return chosen
	}
	for _, o := range p.possible() {
		return o.ID
	}
	return p.member.Role
}

// possible are the roles that can be chosen.
func (p roleChange) possible() (open []roleOption) {
	for _, o := range p.options {
		if o.refused == "" {
			open = append(open, o)
		}
	}
	return open
}

// inWords says how much a change gives and takes.
func (o roleOption) inWords() string {
	gains, loses := ui.N(len(o.impact.Gains), "gains 1 permission", "gains %d permissions"), ui.N(len(o.impact.Loses), "loses 1 permission", "loses %d permissions")
	switch {
	case len(o.impact.Gains) == 0 && len(o.impact.Loses) == 0:
		return ui.T("changes no permission")
	case len(o.impact.Loses) == 0:
		return gains
	case len(o.impact.Gains) == 0:
		return loses
	}
	return ui.T("%s, %s", gains, loses)
}

// changeRole gives the role. What gives nobody a right to manage can be undone.
func changeRole(v *visit) error {
	in := directory.UpdateMemberInput{MemberInput: v.oneMember(), Role: new(v.form.value("role")), Reason: v.form.value("reason")}
	was, err := v.member()
	if err != nil {
		return err
	}
	if *in.Role == "" {
		v.form.say("role", ui.T("choose a role"))
		return askRole(v)
	}
	impact, err := v.dryRun(directory.UpdateMember, in)
	if err == nil {
		var now directory.Member
		if now, err = directory.UpdateMember.Call(v.ctx, v.Service, in, v.form.options()...); err == nil {
			return v.redirect(v.afterMember(), v.roleChanged(was, now, impact))
		}
	}
	if v.again(err) {
		return askRole(v)
	}
	return err
}

// afterMember is where a change of a member leads: the team, for those who may still see it.
func (v *visit) afterMember() string {
	if v.can("members.view") {
		return v.org("/settings/team")
	}
	return v.org("")
}

func (v *visit) roleChanged(was, now directory.Member, impact op.Impact) *flash {
	f := done(ui.T("%s is %s now, on every session.", now.Label(), now.RoleTitle))
	manages := func(list []charter.Permission) bool {
		for _, p := range list {
			if strings.HasSuffix(string(p), ".manage") {
				return true
			}
		}
		return false
	}
	if now.User != v.actor.User && !manages(impact.Gains) && !manages(impact.Loses) {
		f.Undo = &ui.FormProps{Action: v.memberHref(now.ID, "role"), Hidden: []ui.Hidden{{Name: "role", Value: was.Role}, {Name: versionField, Value: now.ETag()}}}
	}
	return f
}

// endDate is the field of an end date.
func (v *visit) endDateField(value string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "ends_at", Label: ui.T("Last day"), Error: v.form.error("ends_at"),
		Hint: ui.T("Access ends when this day is over in the organization's time zone. Empty: no end date.")}, Type: "date", Value: v.form.or("ends_at", value)}
}

func askEnd(v *visit) error {
	m, err := v.member()
	if err != nil {
		return err
	}
	current := "never"
	if m.EndsAt != nil {
		current = m.EndsAt.Format(time.RFC3339Nano)
	}
	_, err = v.dryRun(directory.UpdateMember, directory.UpdateMemberInput{MemberInput: v.oneMember(), EndsAt: &current})
	if err != nil && op.AsError(err).Kind == op.Denied {
		return err
	}
	c := confirmation{id: "end-membership", title: ui.T("Set an end date for %s", m.Label()), version: m.ETag(), cancel: v.memberHref(m.ID, ""),
		text:   []string{ui.T("At that moment the membership ends as if %s were removed: no session reaches %s any more.", m.Label(), v.organization.Name)},
		submit: ui.ButtonProps{Text: ui.T("Set the end date"), Kind: ui.Primary}, ways: v.same(directory.UpdateMember, "member", m.ID, "ends_at", "never")}
	c.fields = v.endFields(lastDay(m.EndsAt, v.zone()))
	return v.ask(c)
}

func setEnd(v *visit) error {
	ends := "never"
	if day := v.form.value("ends_at"); day != "" {
		ends = endOf(day, v.zone())
	}
	in := directory.UpdateMemberInput{MemberInput: v.oneMember(), EndsAt: &ends, Reason: v.form.value("reason")}
	m, err := directory.UpdateMember.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askEnd(v)
	}
	if err != nil {
		return err
	}
	text := ui.T("The membership of %s has no end date now.", m.Label())
	if m.EndsAt != nil {
		text = ui.T("The membership of %s ends after %s.", m.Label(), lastDay(m.EndsAt, v.zone()))
	}
	return v.redirect(v.afterMember(), done(text))
}

// endInput names the member of the address, and says why.
func (v *visit) endInput() directory.EndMemberInput {
	return directory.EndMemberInput{MemberInput: v.oneMember(), Reason: v.form.value("reason")}
}

// askToEnd shows what an operation that ends somebody's access would do, or why it cannot be done.
func (v *visit) askToEnd(o op.Any, c func(m directory.Member) confirmation) error {
	m, err := v.member()
	if err != nil {
		return err
	}
	impact, failed := v.dryRun(o, v.endInput())
	q := c(m)
	if q.impossible, err = impossible(failed); failed != nil && err != nil {
		return err
	}
	q.affected, q.lost = affectedBy(impact), v.permissions(impact.Loses)
	q.version, q.cancel, q.fields = m.ETag(), v.memberHref(m.ID, ""), v.reasonField()
	if q.impossible != "" {
		q.helps = v.ownerHelp(failed)
	}
	return v.ask(q)
}

// ownerHelp leads from "the only owner" to those who can become one.
func (v *visit) ownerHelp(err error) []ui.ButtonProps {
	if op.AsError(err).FullCode() != "last_owner" || !v.can("members.view") {
		return nil
	}
	return []ui.ButtonProps{{Text: ui.T("Members who can become owner"),
		Href: asking(v.org("/settings/team"), "role", string(v.Service.Charter().Rules.Ownership.TransferTo), "status", "active")}}
}

func askSuspend(v *visit) error {
	return v.askToEnd(directory.SuspendMember, func(m directory.Member) confirmation {
		return confirmation{id: "suspend-member", title: ui.T("Suspend %s", m.Label()), submit: ui.ButtonProps{Text: ui.T("Suspend %s", m.Label()), Kind: ui.Danger},
			text: []string{ui.T("Access ends at once, everywhere. The role, %s, is kept, and reactivating gives it back.", m.RoleTitle)},
			ways: v.same(directory.SuspendMember, "member", m.ID)}
	})
}

func suspendMember(v *visit) error {
	m, err := directory.SuspendMember.Call(v.ctx, v.Service, v.endInput(), v.form.options()...)
	if v.again(err) {
		return askSuspend(v)
	}
	if err != nil {
		return err
	}
	f := done(ui.T("%s is suspended. No session reaches %s any more.", m.Label(), v.organization.Name))
	f.Undo = &ui.FormProps{Action: v.memberHref(m.ID, "reactivate"), Hidden: []ui.Hidden{{Name: versionField, Value: m.ETag()}}}
	return v.redirect(v.afterMember(), f)
}

func askReactivate(v *visit) error {
	m, err := v.member()
	if err != nil {
		return err
	}
	// Who may suspend somebody may reactivate them, and only suspending has a dry run.
	if _, err := v.dryRun(directory.SuspendMember, v.endInput()); err != nil && op.AsError(err).Kind == op.Denied {
		return err
	}
	return v.ask(confirmation{id: "reactivate-member", title: ui.T("Reactivate %s", m.Label()), version: m.ETag(), cancel: v.memberHref(m.ID, ""),
		text: []string{ui.T("%s has access again, with the role %s.", m.Label(), m.RoleTitle)}, fields: v.reasonField(),
		submit: ui.ButtonProps{Text: ui.T("Reactivate %s", m.Label()), Kind: ui.Primary}, ways: v.same(directory.ReactivateMember, "member", m.ID)})
}

func reactivateMember(v *visit) error {
	m, err := directory.ReactivateMember.Call(v.ctx, v.Service, v.endInput(), v.form.options()...)
	if v.again(err) {
		return askReactivate(v)
	}
	if err != nil {
		return err
	}
	f := done(ui.T("%s has access again, as %s.", m.Label(), m.RoleTitle))
	f.Undo = &ui.FormProps{Action: v.memberHref(m.ID, "suspend"), Hidden: []ui.Hidden{{Name: versionField, Value: m.ETag()}}}
	return v.redirect(v.afterMember(), f)
}
