package console

import (
	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func overviewPages() []page {
	return []page{{"GET /o/{slug}", member, showOverview}}
}

// overviewPage is where an organization's pages begin: what is left to set up, who is waited for, what happened last.
// Each part needs its own permission and is left out without it.
type overviewPage struct {
	*visit
	organization directory.Organization
	offer        *offer
	members      int
	pending      []directory.Invitation
	events       []audit.Event
}

func showOverview(v *visit) error {
	p := overviewPage{visit: v}
	if err := p.read(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Overview"), Lede: ui.T("You are %s in %s.", v.roleTitle(), v.organization.Name),
		Ways: v.same(directory.GetOrganization)}, p.show())
}

func (p *overviewPage) read() (err error) {
	if p.organization, err = directory.GetOrganization.Call(p.ctx, p.Service, directory.GetOrganizationInput{InOrganization: p.inOrg()}); err != nil {
		return err
	}
	if _, p.members, err = p.countedRoles(); err != nil {
		return err
	}
	if p.offer, err = p.pendingOffer(); err != nil {
		return err
	}
	if err := p.readPending(); err != nil {
		return err
	}
	return p.readEvents()
}

func (p *overviewPage) readPending() error {
	if !p.can("members.invite") {
		return nil
	}
	list, err := directory.ListInvitations.Call(p.ctx, p.Service, directory.ListInvitationsInput{InOrganization: p.inOrg(),
		Page: op.Page{Limit: 5}, State: directory.Pending})
	p.pending = list.Data
	return err
}

func (p *overviewPage) readEvents() error {
	if !p.can("audit.view") {
		return nil
	}
	list, err := audit.ListEvents.Call(p.ctx, p.Service, audit.ListEventsInput{InOrganization: p.inOrg(), Page: op.Page{Limit: 10},
		Filter: audit.Filter{Query: lookedAt}})
	p.events = list.Data
	return err
}

// step is something that is left to set up.
type step struct{ text, verb, href string }

// steps are those that are left, and that the viewer may do.
func (p overviewPage) steps() (left []step) {
	if p.can("settings.update") && p.organization.Version == 1 {
		left = append(left, step{ui.T("Look over the name, the time zone and where data stays."), ui.T("Open the settings"), p.org("/settings/general")})
	}
	if p.can("members.invite") && p.members == 1 && len(p.pending) == 0 {
		left = append(left, step{ui.T("Invite the people that you work with."), ui.T("Invite people"), p.org("/settings/team/invite")})
	}
	return left
}

// waiting are the pending invitations as facts.
func (p overviewPage) waiting() []ui.Fact {
	facts := make([]ui.Fact, len(p.pending))
	for i, inv := range p.pending {
		facts[i] = ui.Fact{Name: inv.Email, Value: ui.Join(ui.Text(inv.RoleTitle), ui.Muted(ui.T("expires")), p.at(inv.ExpiresAt))}
	}
	return facts
}

// numbers are the organization in short.
func (p overviewPage) numbers() []ui.Fact {
	facts := []ui.Fact{{Name: ui.T("Members"), Value: ui.Text(ui.N(p.members, "1 person", "%d people"))}}
	if p.organization.Region != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Default region"), Value: ui.Code(p.organization.Region)})
	}
	return append(facts, ui.Fact{Name: ui.T("Your role"), Value: ui.Link(ui.LinkProps{Text: p.roleTitle(), Href: p.org("/settings/roles")})})
}
