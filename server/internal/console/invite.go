package console

import (
	"fmt"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func invitePages() []page {
	return []page{
		{"GET /o/{slug}/settings/team/invite", member, askInvite},
		{"POST /o/{slug}/settings/team/invite", member, invite},
	}
}

// invitePage asks whom to invite. With a preview it is the second step: a verdict for each address.
type invitePage struct {
	visit   *visit
	roles   []directory.Role
	preview *directory.InvitationPreview
}

// askInvite is the first step. The address may fill it in.
func askInvite(v *visit) error {
	if err := v.demandInvite(); err != nil {
		return err
	}
	p := invitePage{visit: v}
	if err := p.readRoles(); err != nil {
		return err
	}
	return p.show(p.first())
}

// demandInvite asks the operation itself whether the viewer may invite at all, so that the page says who may.
func (v *visit) demandInvite() error {
	_, err := directory.ListInvitations.Call(v.ctx, v.Service, directory.ListInvitationsInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 1}})
	return err
}

func (p *invitePage) readRoles() error {
	roles, err := directory.ListRoles.Call(p.visit.ctx, p.visit.Service, directory.ListRolesInput{InOrganization: p.visit.inOrg()})
	p.roles = roles.Data
	return err
}

func (p invitePage) show(content component) error {
	return p.visit.page(ui.PageProps{Title: ui.T("Invite people"), Lede: ui.T("They get a mail with a link that is good for %s.", p.lifetime()),
		Crumb: p.visit.teamCrumb(), Ways: p.visit.same(directory.CreateInvitation, "email", "zoe@example.com", "role", p.rolePicker().Value)}, content)
}

// lifetime says how long an invitation can be accepted, by the charter.
func (p invitePage) lifetime() string {
	life := p.visit.Service.Charter().Rules.Invitations.ExpireAfter
	if life%(24*time.Hour) == 0 {
		return ui.N(int(life/(24*time.Hour)), "1 day", "%d days")
	}
	return ui.N(int(life/time.Hour), "1 hour", "%d hours")
}

// invite judges the list. One address that can be invited, to a role below the owner's, is invited at once; everything
// else is shown first.
func invite(v *visit) error {
	p := invitePage{visit: v}
	if err := p.readRoles(); err != nil {
		return err
	}
	if v.form.value("step") == "edit" {
		return p.show(p.first())
	}
	preview, err := directory.PreviewInvitations.Call(v.ctx, v.Service, directory.PreviewInvitationsInput{InOrganization: v.inOrg(),
		Text: v.form.value("text"), Role: charter.RoleID(v.form.value("role"))})
	if v.again(err) {
		return p.show(p.first())
	}
	if err != nil {
		return err
	}
	p.preview = &preview
	if v.form.value("step") != "send" && !p.atOnce() || preview.OK == 0 {
		return p.show(p.second())
	}
	return p.send()
}

// atOnce reports whether the list needs no second look.
func (p invitePage) atOnce() bool {
	return len(p.preview.Data) == 1 && p.preview.OK == 1 && !p.owning()
}

// owning reports whether the role owns the organization.
func (p invitePage) owning() bool {
	for _, role := range p.roles {
		if role.ID == p.visit.form.value("role") {
			return role.Owner
		}
	}
	return false
}

// send invites those who can be.
func (p invitePage) send() error {
	in, err := p.input()
	if err == nil {
		var results directory.InvitationResults
		if results, err = directory.CreateInvitations.Call(p.visit.ctx, p.visit.Service, in, p.visit.form.options()...); err == nil {
			return p.visit.redirect(p.visit.invitationsHref(), p.sent(results))
		}
	}
	if p.visit.again(err) {
		return p.show(p.first())
	}
	return err
}

// input is what is sent of the list: the addresses that can be invited.
func (p invitePage) input() (directory.CreateInvitationsInput, error) {
	in := directory.CreateInvitationsInput{InOrganization: p.visit.inOrg(), Message: p.visit.form.value("message")}
	var ends *time.Time
	if day := p.visit.form.value("ends_at"); day != "" {
		at, err := time.Parse(time.RFC3339, endOf(day, p.visit.zone()))
		if err != nil {
			return in, op.InvalidField("ends_at", "invalid", "%q is not a day such as 2027-01-31", day)
		}
		ends = &at
	}
	for _, a := range p.preview.Data {
		if a.Verdict == directory.VerdictOK {
			in.Invitations = append(in.Invitations, directory.NewInvitation{Email: addressOf(a), Role: charter.RoleID(p.visit.form.value("role")), EndsAt: ends})
		}
	}
	return in, nil
}

// addressOf is an entry as it is sent: with the name, where there is one.
func addressOf(a directory.PreviewedAddress) string {
	if a.Name == "" {
		return a.Email
	}
	return fmt.Sprintf("%s <%s>", strconv.Quote(a.Name), a.Email)
}

// sent says how many were invited, and why others were not after all.
func (p invitePage) sent(results directory.InvitationResults) *flash {
	if len(results.Data) == 1 && results.Invited == 1 {
		return done(ui.T("%s is invited. The mail is on its way.", results.Data[0].Email))
	}
	f := done(ui.T("%d of %d are invited. The mails are on their way.", results.Invited, len(p.preview.Data)))
	for _, r := range results.Data {
		if r.Verdict != directory.VerdictOK {
			f.Tone, f.Text = ui.Warn, f.Text+" "+sentence(r.Email+": "+r.Detail)
			break
		}
	}
	return f
}

// textField is where anything can be pasted.
func (p invitePage) textField() ui.TextareaProps {
	return ui.TextareaProps{FieldProps: ui.FieldProps{Name: "text", Label: ui.T("People"), Error: p.visit.form.error("text"),
		Hint: ui.T("One address, or paste any list: commas, lines, Name <mail>, a CSV. Up to %d.", directory.MaxAddresses)},
		Value: p.visit.form.values.Get("text"), Placeholder: "zoe@example.com", Mono: true}
}

func (p invitePage) messageField() ui.TextareaProps {
	return ui.TextareaProps{FieldProps: ui.FieldProps{Name: "message", Label: ui.T("Message"), Optional: true, Error: p.visit.form.error("message"),
		Hint: ui.T("A few words for the mail. Plain text.")}, Value: p.visit.form.value("message")}
}

func (p invitePage) endField() ui.InputProps {
	f := p.visit.endDateField("")
	f.Optional, f.Label = true, ui.T("Last day of the membership")
	f.Hint = ui.T("For contractors: access ends when this day is over in the organization's time zone.")
	return f
}

// rolePicker chooses the lowest role unless the address or the form says another.
func (p invitePage) rolePicker() ui.ChoicesProps {
	lowest := ""
	for _, role := range p.roles {
		if role.Grantable && lowest == "" {
			lowest = role.ID
		}
	}
	return p.visit.roleChoices(p.roles, p.visit.form.or("role", lowest))
}

// verdicts is the table of the second step.
func (p invitePage) verdicts() ui.TableProps {
	t := ui.TableProps{ID: "verdicts", Caption: ui.T("What would happen with each address"),
		Columns: []ui.Column{{Title: ui.T("Address")}, {Title: ui.T("Verdict")}, {Title: ui.T("Why")}}}
	for _, a := range p.preview.Data {
		shown := a.Email
		if shown == "" {
			shown = a.Text
		}
		t.Rows = append(t.Rows, ui.Row{Over: a.Verdict != directory.VerdictOK, Cells: []templ.Component{
			ui.Text(shown), ui.Badge(verdictBadge(a.Verdict)), p.why(a)}})
	}
	return t
}

// why says what a verdict means, and what to do about an address that is invited already.
func (p invitePage) why(a directory.PreviewedAddress) component {
	if a.Verdict == directory.VerdictOK {
		return ui.Muted(ui.T("Will be invited."))
	}
	if a.Invitation == "" {
		return ui.Muted(sentence(a.Detail))
	}
	return ui.Join(ui.Muted(sentence(a.Detail)), ui.Link(ui.LinkProps{Text: ui.T("Send again"), Href: p.visit.invitationHref(a.Invitation, "resend")}),
		ui.Link(ui.LinkProps{Text: ui.T("Change role"), Href: p.visit.invitationHref(a.Invitation, "role")}))
}

// verdictBadge says a verdict in words.
func verdictBadge(verdict directory.Verdict) ui.BadgeProps {
	switch verdict {
	case directory.VerdictOK:
		return ui.BadgeProps{Text: ui.T("OK"), Tone: ui.OK}
	case directory.VerdictAlreadyMember:
		return ui.BadgeProps{Text: ui.T("Member already")}
	case directory.VerdictPending:
		return ui.BadgeProps{Text: ui.T("Invited already"), Tone: ui.Info}
	case directory.VerdictDuplicate:
		return ui.BadgeProps{Text: ui.T("Twice in the list")}
	case directory.VerdictWorkEmailOnly:
		return ui.BadgeProps{Text: ui.T("No work address"), Tone: ui.Bad}
	case directory.VerdictNoSeat:
		return ui.BadgeProps{Text: ui.T("No seat"), Tone: ui.Warn}
	case directory.VerdictRoleAboveYours:
		return ui.BadgeProps{Text: ui.T("Role above yours"), Tone: ui.Bad}
	case directory.VerdictLimited:
		return ui.BadgeProps{Text: ui.T("Too many mails"), Tone: ui.Warn}
	}
	return ui.BadgeProps{Text: ui.T("Not an address"), Tone: ui.Bad}
}

// summary says how many will be sent.
func (p invitePage) summary() string {
	return ui.T("%d of %d will be sent, with the role %s.", p.preview.OK, len(p.preview.Data), titleOfRole(p.roles, p.visit.form.value("role")))
}

func (p invitePage) seats() string {
	if p.preview.SeatsLeft == nil {
		return ""
	}
	return ui.N(int(*p.preview.SeatsLeft), "1 seat is free.", "%d seats are free.")
}

// carried are the first step's values, for the second step's form.
func (p invitePage) carried(step string) []ui.Hidden {
	all := []ui.Hidden{{Name: keyField, Value: p.visit.newKey()}, {Name: "step", Value: step}}
	for _, name := range []string{"text", "role", "message", "ends_at"} {
		all = append(all, ui.Hidden{Name: name, Value: p.visit.form.values.Get(name)})
	}
	return all
}

// sendVerb is the button of the second step.
func (p invitePage) sendVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.N(p.preview.OK, "Send 1 invitation", "Send %d invitations"), Kind: ui.Primary}
}
