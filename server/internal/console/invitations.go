package console

import (
	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func invitationsPages() []page {
	const one = "/o/{slug}/settings/team/invitations/{invitation}/"
	return []page{
		{"GET " + one + "resend", member, askResend},
		{"POST " + one + "resend", member, resendInvitation},
		{"GET " + one + "cancel", member, askCancel},
		{"POST " + one + "cancel", member, cancelInvitation},
		{"GET " + one + "link", member, askLink},
		{"POST " + one + "link", member, linkInvitation},
		{"GET " + one + "role", member, askInvitationRole},
		{"POST " + one + "role", member, changeInvitationRole},
		{"GET " + one + "reapprove", member, askReapprove},
		{"POST " + one + "reapprove", member, reapproveInvitation},
	}
}

// invitationsPage is the tab of the invitations.
type invitationsPage struct {
	visit *visit
	tabs  ui.TabsProps
	offer *offer
	list  op.List[directory.Invitation]
}

func showInvitations(v *visit) error {
	p := invitationsPage{visit: v}
	var err error
	if p.list, err = directory.ListInvitations.Call(v.ctx, v.Service, directory.ListInvitationsInput{InOrganization: v.inOrg(), Page: v.pageOf(),
		State: directory.InvitationState(v.form.value("state")), Q: v.form.value("q")}); err != nil {
		return err
	}
	_, members, err := v.countedRoles()
	if err != nil {
		return err
	}
	if p.tabs, err = v.teamTabs("invitations", members); err != nil {
		return err
	}
	if p.offer, err = v.pendingOffer(); err != nil {
		return err
	}
	return v.page(ui.PageProps{
		Title: ui.T("Invitations"), Lede: ui.T("Who was asked to join %s, and what became of it.", v.organization.Name),
		Crumb: v.settingsCrumb(), Actions: ui.Button(v.inviteVerb()),
		Ways: v.same(directory.ListInvitations, "q", v.form.value("q"), "state", v.form.value("state")),
	}, p.invitations())
}

func (v *visit) invitationsHref() string {
	return asking(v.org("/settings/team"), "tab", "invitations")
}

func (v *visit) invitationHref(id, verb string) string {
	return v.org("/settings/team/invitations/" + id + "/" + verb)
}

func (p invitationsPage) filters() ui.FilterBarProps {
	path := p.visit.org("/settings/team")
	bar := ui.FilterBarProps{Action: path, ClearHref: p.visit.invitationsHref(), Search: ui.InputProps{
		FieldProps: ui.FieldProps{Name: "q", Label: ui.T("Search invitations"), HideLabel: true}, Type: "search",
		Value: p.visit.form.value("q"), Placeholder: ui.T("E-mail"), Hotkey: "/"}}
	bar.Chips = append(p.visit.chip(path, "q", ui.T("Text: %s", p.visit.form.value("q"))), p.visit.chip(path, "state", ui.T("State: %s", p.visit.form.value("state")))...)
	return bar
}

func (p invitationsPage) stateFilter() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "state", Label: ui.T("State"), HideLabel: true}, Value: p.visit.form.value("state"),
		Options: []ui.Option{{Text: ui.T("Any state")}}}
	for _, state := range []directory.InvitationState{directory.Pending, directory.Accepted, directory.Declined, directory.Cancelled, directory.Expired} {
		s.Options = append(s.Options, ui.Option{Value: string(state), Text: stateBadge(directory.Invitation{State: state}).Text})
	}
	return s
}

// stateBadge says an invitation's state as a word.
func stateBadge(i directory.Invitation) ui.BadgeProps {
	switch {
	case i.State == directory.Pending && i.NeedsApproval:
		return ui.BadgeProps{Text: ui.T("Needs re-approval"), Tone: ui.Warn}
	case i.State == directory.Pending:
		return ui.BadgeProps{Text: ui.T("Pending"), Tone: ui.Info}
	case i.State == directory.Accepted:
		return ui.BadgeProps{Text: ui.T("Accepted"), Tone: ui.OK}
	case i.State == directory.Declined:
		return ui.BadgeProps{Text: ui.T("Declined")}
	case i.State == directory.Cancelled:
		return ui.BadgeProps{Text: ui.T("Cancelled")}
	}
	return ui.BadgeProps{Text: ui.T("Expired")}
}

// delivery says what became of the last mail.
func delivery(i directory.Invitation) component {
	switch i.Delivery {
	case "sent":
		return ui.Text(ui.T("Sent"))
	case "failed":
		return ui.Join(ui.Badge(ui.BadgeProps{Text: ui.T("Failed"), Tone: ui.Bad}), ui.Muted(i.DeliveryError))
	}
	return ui.Muted(ui.T("Being sent"))
}

func (p invitationsPage) table() ui.TableProps {
	t := ui.TableProps{ID: "invitations", Caption: ui.T("Invitations"), Empty: p.none(),
		Columns: []ui.Column{{Title: ui.T("Address")}, {Title: ui.T("Role")}, {Title: ui.T("State")}, {Title: ui.T("Mail")},
			{Title: ui.T("Invited by")}, {Title: ui.T("Sent")}, {Title: ui.T("Expires")}, {Title: ui.T("Actions"), Acts: true}},
		Pager: pagerOf(p.visit.org("/settings/team"), p.visit.form.values, p.list.NextCursor)}
	for _, i := range p.list.Data {
		t.Rows = append(t.Rows, p.row(i))
	}
	return t
}

func (p invitationsPage) row(i directory.Invitation) ui.Row {
	return ui.Row{ID: i.ID, Over: i.State != directory.Pending, Cells: []templ.Component{
		ui.Text(i.Email), ui.Text(i.RoleTitle), ui.Badge(stateBadge(i)), delivery(i), ui.Text(i.InvitedBy.Name), p.visit.at(i.SentAt), p.expiry(i),
		ui.Menu(ui.MenuProps{ID: "menu-" + i.ID, Label: ui.T("Actions for %s", i.Email), Items: p.items(i)}),
	}}
}

// expiry shows when an invitation expires, or when it was settled.
func (p invitationsPage) expiry(i directory.Invitation) component {
	if i.State == directory.Pending || i.SettledAt == nil {
		return p.visit.at(i.ExpiresAt)
	}
	return ui.Join(ui.Text(ui.T("settled")), p.visit.at(*i.SettledAt))
}

// items are the entries of an invitation's menu: what is over can only be begun anew.
func (p invitationsPage) items(i directory.Invitation) []ui.MenuItem {
	if i.State != directory.Pending {
		return []ui.MenuItem{{Text: ui.T("Invite again"), Icon: "mail", Href: asking(p.visit.org("/settings/team/invite"), "text", i.Email, "role", string(i.Role))}}
	}
	items := []ui.MenuItem{
		{Text: ui.T("Send again"), Icon: "mail", Href: p.visit.invitationHref(i.ID, "resend"), Post: true},
		{Text: ui.T("Change role"), Icon: "user-cog", Href: p.visit.invitationHref(i.ID, "role"), Dialog: true},
		{Text: ui.T("Copy link"), Icon: "copy", Href: p.visit.invitationHref(i.ID, "link"), Dialog: true},
	}
	if i.NeedsApproval {
		items = append(items, ui.MenuItem{Text: ui.T("Approve again"), Icon: "check", Href: p.visit.invitationHref(i.ID, "reapprove"), Dialog: true})
	}
	return append(items, ui.MenuItem{Text: ui.T("Cancel the invitation"), Icon: "x", Href: p.visit.invitationHref(i.ID, "cancel"), Dialog: true, Danger: true})
}

func (p invitationsPage) none() component {
	if p.visit.form.value("q") != "" || p.visit.form.value("state") != "" {
		return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No invitation matches these filters."),
			Verb: &ui.ButtonProps{Text: ui.T("Clear filters"), Href: p.visit.invitationsHref()}})
	}
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No one is waiting. Invitations that are sent stand here until they are accepted."),
		Command: "guildhall invitations create zoe@example.com --org " + p.visit.organization.Slug})
}

// oneInvitation names the invitation of the address.
func (v *visit) oneInvitation() directory.InvitationInput {
	return directory.InvitationInput{InOrganization: v.inOrg(), Invitation: v.r.PathValue("invitation")}
}

func (v *visit) invitation() (directory.Invitation, error) {
	return directory.GetInvitation.Call(v.ctx, v.Service, v.oneInvitation())
}

// askAbout shows a question about the invitation of the address. One that is no longer pending has only its state.
func (v *visit) askAbout(o op.Any, question func(i directory.Invitation) confirmation) error {
	i, err := v.invitation()
	if err != nil {
		return err
	}
	c := question(i)
	c.id, c.cancel = "about-invitation", v.invitationsHref()
	c.ways = v.same(o, append([]string{"invitation", i.ID}, c.says...)...)
	if i.State != directory.Pending {
		c.impossible = ui.T("The invitation of %s is not pending any more: %s.", i.Email, stateBadge(i).Text)
		c.helps = []ui.ButtonProps{{Text: ui.T("Invite again"), Href: asking(v.org("/settings/team/invite"), "text", i.Email, "role", string(i.Role))}}
	}
	return v.ask(c)
}

// settled answers what was done to an invitation: the list says so, or the question comes back with what is wrong.
func (v *visit) settled(err error, again func(*visit) error, text string) error {
	if v.again(err) {
		return again(v)
	}
	if e := op.AsError(err); err != nil && e.Kind == op.Gone {
		return v.redirect(v.invitationsHref(), &flash{Text: sentence(e.Text), Tone: ui.Bad})
	}
	if err != nil {
		return err
	}
	return v.redirect(v.invitationsHref(), done(text))
}

func askResend(v *visit) error {
	return v.askAbout(directory.ResendInvitation, func(i directory.Invitation) confirmation {
		return confirmation{title: ui.T("Send the invitation of %s again", i.Email), submit: ui.ButtonProps{Text: ui.T("Send again"), Kind: ui.Primary},
			text: []string{ui.T("A new mail goes out with a new link and a later expiry. Links that were sent or copied before end.")}}
	})
}

func resendInvitation(v *visit) error {
	i, err := directory.ResendInvitation.Call(v.ctx, v.Service, v.oneInvitation(), v.form.options()...)
	return v.settled(err, askResend, ui.T("The invitation of %s was sent again. The old links have ended.", i.Email))
}

func askCancel(v *visit) error {
	return v.askAbout(directory.CancelInvitation, func(i directory.Invitation) confirmation {
		return confirmation{title: ui.T("Cancel the invitation of %s", i.Email), submit: ui.ButtonProps{Text: ui.T("Cancel the invitation"), Kind: ui.Danger},
			text: []string{ui.T("Its links end at once, and nobody joins by them. This is final; you can invite the address again.")}}
	})
}

func cancelInvitation(v *visit) error {
	i, err := directory.CancelInvitation.Call(v.ctx, v.Service, v.oneInvitation(), v.form.options()...)
	return v.settled(err, askCancel, ui.T("The invitation of %s is cancelled. Its links have ended.", i.Email))
}

func askReapprove(v *visit) error {
	return v.askAbout(directory.ReapproveInvitation, func(i directory.Invitation) confirmation {
		return confirmation{title: ui.T("Approve the invitation of %s again", i.Email), submit: ui.ButtonProps{Text: ui.T("Approve again"), Kind: ui.Primary},
			text: []string{ui.T("%s sent it and may no longer give the role %s. You become the inviter; the links stay.", i.InvitedBy.Name, i.RoleTitle)}}
	})
}

func reapproveInvitation(v *visit) error {
	i, err := directory.ReapproveInvitation.Call(v.ctx, v.Service, v.oneInvitation(), v.form.options()...)
	return v.settled(err, askReapprove, ui.T("You stand for the invitation of %s now.", i.Email))
}

func askLink(v *visit) error {
	return v.askAbout(directory.LinkInvitation, func(i directory.Invitation) confirmation {
		return confirmation{title: ui.T("Copy a link for %s", i.Email), submit: ui.ButtonProps{Text: ui.T("Make a link"), Kind: ui.Primary}, text: []string{
			ui.T("The link is shown once. Whoever opens it has to prove that %s is theirs before they can join.", i.Email),
			ui.T("A link that was copied before ends. The mailed one stays.")}}
	})
}

// linkPage shows an invitation's link, which is shown once: the answer to the form is the page, and is kept nowhere.
type linkPage struct {
	visit      *visit
	invitation directory.Invitation
	link       directory.InvitationLink
}

func linkInvitation(v *visit) error {
	link, err := directory.LinkInvitation.Call(v.ctx, v.Service, v.oneInvitation(), v.form.options()...)
	if err != nil {
		return v.settled(err, askLink, "")
	}
	i, err := v.invitation()
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Link for %s", i.Email), Crumb: ui.LinkProps{Text: ui.T("Invitations"), Href: v.invitationsHref()},
		Ways: v.same(directory.LinkInvitation, "invitation", i.ID)}, linkPage{v, i, link}.shown())
}

func askInvitationRole(v *visit) error {
	roles, err := directory.ListRoles.Call(v.ctx, v.Service, directory.ListRolesInput{InOrganization: v.inOrg()})
	if err != nil {
		return err
	}
	return v.askAbout(directory.UpdateInvitation, func(i directory.Invitation) confirmation {
		chosen := v.form.or("role", string(i.Role))
		return confirmation{title: ui.T("Change the role of the invitation of %s", i.Email), submit: ui.ButtonProps{Text: ui.T("Change the role"), Kind: ui.Primary},
			text:    []string{ui.T("The invitation is sent again with the new role, and the old links end. You become the inviter.")},
			fields:  ui.Choices(v.roleChoices(roles.Data, chosen)),
			version: i.ETag(), says: []string{"role", chosen}}
	})
}

func changeInvitationRole(v *visit) error {
	role := charter.RoleID(v.form.value("role"))
	i, err := directory.UpdateInvitation.Call(v.ctx, v.Service, directory.UpdateInvitationInput{InvitationInput: v.oneInvitation(), Role: &role}, v.form.options()...)
	return v.settled(err, askInvitationRole, ui.T("%s is invited as %s now, with a new link.", i.Email, i.RoleTitle))
}

// roleChoices is the picker of a role: those that the viewer may not give are shown with the reason.
func (v *visit) roleChoices(roles []directory.Role, chosen string) ui.ChoicesProps {
	p := ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "role", Label: ui.T("Role"), Error: v.form.error("role")}, Value: chosen}
	for _, role := range roles {
		o := ui.Option{Value: role.ID, Text: role.Title, Hint: role.Description}
		if !role.Grantable {
			o.Refused = whyNotGrantable(role.Why)
		}
		p.Options = append(p.Options, o)
	}
	return p
}

// whyNotGrantable says why a role cannot be given.
func whyNotGrantable(reason string) string {
	switch reason {
	case "above_your_level":
		return ui.T("Holds permissions that you do not hold.")
	case "owners_only":
		return ui.T("Only owners make owners.")
	case "transfer_only":
		return ui.T("There is one owner: ownership moves by transfer only.")
	}
	return ui.T("You cannot give this role.")
}
