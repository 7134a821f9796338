package console

import (
	"slices"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/governance"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func overviewPages() []page {
	return []page{{"GET /o/{slug}", member, showOverview}}
}

// overviewPage is where an organization's pages begin: what is left to set up, who is waited for, what happened last.
// Each part needs its own permission and is left out without it.
type overviewPage struct {
	visit        *visit
	organization directory.Organization
	offer        *offer
	members      int
	pending      []directory.Invitation
	events       []audit.Event
	keys         []credential.Key
	findings     []governance.Finding // the gravest
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
	if p.organization, err = directory.GetOrganization.Call(p.visit.ctx, p.visit.Service, directory.GetOrganizationInput{InOrganization: p.visit.inOrg()}); err != nil {
		return err
	}
	if _, p.members, err = p.visit.countedRoles(); err != nil {
		return err
	}
	if p.offer, err = p.visit.pendingOffer(); err != nil {
		return err
	}
	if err := p.readPending(); err != nil {
		return err
	}
	if err := p.readKeys(); err != nil {
		return err
	}
	if err := p.readFindings(); err != nil {
		return err
	}
	return p.readEvents()
}

func (p *overviewPage) readPending() error {
	if !p.visit.can("members.invite") {
		return nil
	}
	list, err := directory.ListInvitations.Call(p.visit.ctx, p.visit.Service, directory.ListInvitationsInput{InOrganization: p.visit.inOrg(),
		Page: op.Page{Limit: 5}, State: directory.Pending})
	p.pending = list.Data
	return err
}

// readKeys reads the keys that live, for those who may see more of them than names.
func (p *overviewPage) readKeys() error {
	if !p.visit.can("keys.inspect") && !p.visit.canAny(creating) {
		return nil
	}
	list, err := credential.ListKeys.Call(p.visit.ctx, p.visit.Service, credential.ListKeysInput{InOrganization: p.visit.inOrg(), Page: op.Page{Limit: 100}})
	for _, k := range list.Data {
		if !over(k) && k.ID != "" {
			p.keys = append(p.keys, p.visit.withUse(k))
		}
	}
	return err
}

// readFindings reads what good practice would change first.
func (p *overviewPage) readFindings() error {
	if !p.visit.can("reviews.manage") {
		return nil
	}
	list, err := governance.ListFindings.Call(p.visit.ctx, p.visit.Service, governance.ListFindingsInput{InOrganization: p.visit.inOrg(), Page: op.Page{Limit: 3}})
	p.findings = list.Data
	return err
}

// found are the findings as facts, each with where it is mended.
func (p overviewPage) found() []ui.Fact {
	facts := make([]ui.Fact, len(p.findings))
	for i, f := range p.findings {
		facts[i] = ui.Fact{Name: sentence(f.Text), Value: ui.Badge(severityBadge(f.Severity))}
	}
	return facts
}

func (p *overviewPage) readEvents() error {
	if !p.visit.can("audit.view") {
		return nil
	}
	list, err := audit.ListEvents.Call(p.visit.ctx, p.visit.Service, audit.ListEventsInput{InOrganization: p.visit.inOrg(), Page: op.Page{Limit: 10},
		Filter: audit.Filter{Query: lookedAt}})
	p.events = list.Data
	return err
}

// step is something that is left to set up.
type step struct{ text, verb, href string }

// steps are those that are left, and that the viewer may do.
func (p overviewPage) steps() (left []step) {
	if p.visit.can("settings.update") && p.organization.Version == 1 {
		left = append(left, step{ui.T("Look over the name, the time zone and where data stays."), ui.T("Open the settings"), p.visit.org("/settings/general")})
	}
	if p.visit.can("members.invite") && p.members == 1 && len(p.pending) == 0 {
		left = append(left, step{ui.T("Invite the people that you work with."), ui.T("Invite people"), p.visit.org("/settings/team/invite")})
	}
	switch {
	case !p.visit.canAny(creating) || slices.ContainsFunc(p.keys, func(k credential.Key) bool { return !k.LastUsedAt.IsZero() }):
	case len(p.keys) == 0:
		left = append(left, step{ui.T("Make a key for the programs that call %s.", p.visit.Service.Charter().Product), ui.T("Create a key"), p.visit.keysHref("/new")})
	default:
		left = append(left, step{ui.T("Send a first request with the key %s.", p.keys[0].Name), ui.T("Open the key"), p.visit.keyHref(p.keys[0].ID, "")})
	}
	return left
}

// attention are the keys that ask for a look, with why.
func (p overviewPage) attention() (facts []ui.Fact) {
	for _, k := range p.keys {
		if warnings := p.visit.keyTroubles(k); len(warnings) > 0 {
			facts = append(facts, ui.Fact{Name: k.Name, Value: ui.Join(ui.Link(ui.LinkProps{Text: k.Display, Href: p.visit.keyHref(k.ID, "")}), ui.Text(warnings[0].text))})
		}
	}
	return facts[:min(len(facts), 5)]
}

// waiting are the pending invitations as facts.
func (p overviewPage) waiting() []ui.Fact {
	facts := make([]ui.Fact, len(p.pending))
	for i, inv := range p.pending {
		facts[i] = ui.Fact{Name: inv.Email, Value: ui.Join(ui.Text(inv.RoleTitle), ui.Muted(ui.T("expires")), p.visit.at(inv.ExpiresAt))}
	}
	return facts
}

// numbers are the organization in short.
func (p overviewPage) numbers() []ui.Fact {
	facts := []ui.Fact{{Name: ui.T("Members"), Value: ui.Text(ui.N(p.members, "1 person", "%d people"))}}
	if p.organization.Region != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Default region"), Value: ui.Code(p.organization.Region)})
	}
	return append(facts, ui.Fact{Name: ui.T("Your role"), Value: ui.Link(ui.LinkProps{Text: p.visit.roleTitle(), Href: p.visit.org("/settings/roles")})})
}
