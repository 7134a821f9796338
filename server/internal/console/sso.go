package console

import (
	"slices"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// connectVerb leads to the form of a further provider, where the plan has them.
func (p domainsPage) connectVerb() component {
	if len(p.visit.locks("sso")) > 0 {
		return nil
	}
	if len(p.connections) == 0 { // the empty list has the other one
		return ui.Button(ui.ButtonProps{Text: ui.T("Let somebody else set it up"), Href: p.visit.ssoHref("/links")})
	}
	return ui.Join(ui.Button(p.visit.newConnectionVerb()), ui.Button(ui.ButtonProps{Text: ui.T("Let somebody else set it up"), Href: p.visit.ssoHref("/links")}))
}

// managesSSO is what the pages of domains and connections need.
const managesSSO charter.Permission = "sso.configure"

func ssoPages() []page {
	const one = "/o/{slug}/settings/sso/domains/{domain}"
	return append([]page{
		{"GET /o/{slug}/settings/sso", member, showDomains},
		{"GET /o/{slug}/settings/sso/domains/new", member, askDomain},
		{"POST /o/{slug}/settings/sso/domains/new", member, addDomain},
		{"GET " + one, member, showDomain},
		{"POST " + one, member, saveDomain},
		{"POST " + one + "/verify", member, verifyDomain},
		{"GET " + one + "/remove", member, askDomainEnd},
		{"POST " + one + "/remove", member, removeDomain},
	}, slices.Concat(connectionPages(), loginPolicyPages())...)
}

// ssoHref is the address of a page below single sign-on: ssoHref("/domains/new").
func (v *visit) ssoHref(path string) string { return v.org("/settings/sso" + path) }

func (v *visit) domainHref(id, verb string) string {
	if verb == "" {
		return v.ssoHref("/domains/" + id)
	}
	return v.ssoHref("/domains/" + id + "/" + verb)
}

func (v *visit) ssoCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("SSO and domains"), Href: v.ssoHref("")}
}

// domainsPage is the list of domains.
type domainsPage struct {
	visit       *visit
	list        op.List[federation.Domain]
	connections []federation.Connection
	policy      federation.LoginPolicy
}

func showDomains(v *visit) error {
	p := domainsPage{visit: v}
	var err error
	if p.list, err = federation.ListDomains.Call(v.ctx, v.Service, federation.ListDomainsInput{InOrganization: v.inOrg(), Page: v.pageOf()}); err != nil {
		return err
	}
	if p.connections, err = v.connections(); err != nil {
		return err
	}
	if p.policy, err = v.loginPolicy(); err != nil {
		return err
	}
	props := ui.PageProps{Title: ui.T("SSO and domains"), Lede: ui.T("A domain that is verified is yours alone: people with an address there can join, and your identity provider speaks for them."),
		Crumb: v.settingsCrumb(), Ways: v.same(federation.ListDomains)}
	if len(v.locks("sso")) == 0 && len(p.list.Data) > 0 {
		props.Actions = ui.Button(v.newDomainVerb())
	}
	return v.page(props, p.show())
}

func (v *visit) newDomainVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Add a domain"), Icon: "plus", Kind: ui.Primary, Href: v.ssoHref("/domains/new"), Hotkey: "n"}
}

func (p domainsPage) table() ui.TableProps {
	v := p.visit
	t := ui.TableProps{ID: "domains", Caption: ui.T("Domains"), Pager: pagerOf(v.ssoHref(""), v.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Domain")}, {Title: ui.T("State")}, {Title: ui.T("People with an address there")}, {Title: ui.T("Last looked at")}, {Title: ui.T("Actions"), Acts: true}}}
	verb := repeated(v.newDomainVerb())
	empty := ui.EmptyStateProps{Sentence: ui.T("No domain is named yet. One record in DNS proves that it is yours."), Verb: &verb,
		Docs: ui.LinkProps{Text: ui.T("How domains work"), Href: v.href("/docs/sso")}, Command: v.same(federation.AddDomain, "domain", "example.com").Command}
	if len(v.locks("sso")) > 0 {
		empty = ui.EmptyStateProps{Sentence: ui.T("No domain is named.")}
	}
	t.Empty = ui.EmptyState(empty)
	for _, d := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: d.ID, Cells: []templ.Component{ui.Link(ui.LinkProps{Text: d.Domain, Href: v.domainHref(d.ID, "")}), ui.Badge(domainBadge(d)),
			ui.Text(joiningText(d)), v.maybe(d.CheckedAt, ui.T("not yet")),
			ui.Menu(ui.MenuProps{ID: "menu-" + d.ID, Label: ui.T("Actions for %s", d.Domain), Items: []ui.MenuItem{
				{Text: ui.T("Open"), Icon: "pencil", Href: v.domainHref(d.ID, "")},
				{Text: ui.T("Remove"), Icon: "trash-2", Href: v.domainHref(d.ID, "remove"), Dialog: true, Danger: true}}})}})
	}
	return t
}

func domainBadge(d federation.Domain) ui.BadgeProps {
	switch d.State {
	case federation.Verified:
		return ui.BadgeProps{Text: ui.T("Verified"), Tone: ui.OK}
	case federation.Lapsed:
		return ui.BadgeProps{Text: ui.T("Lapsed"), Tone: ui.Bad}
	}
	return ui.BadgeProps{Text: ui.T("Waits for its record"), Tone: ui.Warn}
}

// joiningText says what a domain does for people with an address there.
func joiningText(d federation.Domain) string {
	switch {
	case d.Joining == federation.JoinOff:
		return ui.T("need an invitation")
	case d.State != federation.Verified:
		return ui.T("need an invitation until it is verified")
	case d.Joining == federation.JoinAutomatic:
		return ui.T("join at once as %s", d.RoleTitle)
	}
	return ui.T("ask to join as %s", d.RoleTitle)
}

// demandSSO refuses whoever may not configure single sign-on, before a form is shown.
func (v *visit) demandSSO() error { return v.demandAny([]charter.Permission{managesSSO}) }

func askDomain(v *visit) error {
	if err := v.demandSSO(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Add a domain"), Lede: ui.T("What stands after the @ in your addresses. The next page has the record that proves it."), Crumb: v.ssoCrumb(),
		Ways: v.same(federation.AddDomain, "domain", v.form.or("domain", "example.com"))}, domainForm{v}.fields())
}

// domainForm names a new domain.
type domainForm struct{ visit *visit }

func (f domainForm) domain() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "domain", Label: ui.T("Domain"), Error: f.visit.form.error("domain")}, Value: f.visit.form.value("domain"),
		Placeholder: "example.com", MaxLength: "260", Required: true, Autofocus: true}
}

func addDomain(v *visit) error {
	d, err := federation.AddDomain.Call(v.ctx, v.Service, federation.AddDomainInput{InOrganization: v.inOrg(), Domain: v.form.value("domain")}, v.form.options()...)
	if v.again(err) {
		return askDomain(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.domainHref(d.ID, ""), done(ui.T("The domain %s is named. Set its record next.", d.Domain)))
}

// domain is the domain of the address.
func (v *visit) domain() (federation.Domain, error) {
	domains, err := all(func(p op.Page) (op.List[federation.Domain], error) {
		return federation.ListDomains.Call(v.ctx, v.Service, federation.ListDomainsInput{InOrganization: v.inOrg(), Page: p})
	})
	if err != nil {
		return federation.Domain{}, err
	}
	for _, d := range domains {
		if d.ID == v.r.PathValue("domain") {
			return d, nil
		}
	}
	return federation.Domain{}, op.ErrNotFound
}

func (v *visit) oneDomain() federation.DomainInput {
	return federation.DomainInput{InOrganization: v.inOrg(), Domain: v.r.PathValue("domain")}
}

// domainPage is one domain: its record, and who may join by it.
type domainPage struct {
	visit  *visit
	domain federation.Domain
	roles  []directory.Role
}

func showDomain(v *visit) error {
	d, err := v.domain()
	if err != nil {
		return err
	}
	return v.domainPage(d)
}

func (v *visit) domainPage(d federation.Domain) error {
	p := domainPage{visit: v, domain: d}
	var err error
	if p.roles, err = v.allRoles(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: d.Domain, Lede: capitalised(joiningText(d)) + ".", Crumb: v.ssoCrumb(), Ways: v.same(federation.VerifyDomain, "domain", d.ID),
		Actions: ui.Button(ui.ButtonProps{Text: ui.T("Remove"), Icon: "trash-2", Href: v.domainHref(d.ID, "remove"), Dialog: true})}, p.show())
}

func (p domainPage) record() []ui.Fact {
	r := p.domain.Record
	return []ui.Fact{{Name: ui.T("Type"), Value: ui.Code(r.Type)}, {Name: ui.T("Name"), Value: ui.CodeLine(r.Name)}, {Name: ui.T("Value"), Value: ui.CodeLine(r.Value)}}
}

func (p domainPage) state() []ui.Fact {
	v, d := p.visit, p.domain
	facts := []ui.Fact{{Name: ui.T("State"), Value: ui.Badge(domainBadge(d))}, {Name: ui.T("Last looked at"), Value: v.maybe(d.CheckedAt, ui.T("not yet"))}}
	if d.VerifiedAt != nil {
		facts = append(facts, ui.Fact{Name: ui.T("Verified"), Value: v.at(*d.VerifiedAt)})
	}
	return append(facts, ui.Fact{Name: ui.T("Added"), Value: v.at(d.CreatedAt)})
}

// found is what stands in the record's place, as the answer of a check told it.
func (p domainPage) found() []ui.Fact {
	var facts []ui.Fact
	for _, text := range p.domain.Found {
		facts = append(facts, ui.Fact{Name: ui.T("Found"), Value: ui.Code(text)})
	}
	return facts
}

func (p domainPage) joining() ui.ChoicesProps {
	return ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "joining", Label: ui.T("People with an address there"), Error: p.visit.form.error("joining")}, Value: p.visit.form.or("joining", p.domain.Joining),
		Options: []ui.Option{{Value: federation.JoinOff, Text: ui.T("Need an invitation")},
			{Value: federation.JoinRequest, Text: ui.T("Ask to join"), Hint: ui.T("Whoever may invite people decides.")},
			{Value: federation.JoinAutomatic, Text: ui.T("Join at once"), Hint: ui.T("While there is a seat. Whoever was removed before asks.")}}}
}

// role chooses the role of those who join: never the owner's.
func (p domainPage) role() ui.ChoicesProps {
	var fit []directory.Role
	for _, role := range p.roles {
		if !role.Owner {
			fit = append(fit, role)
		}
	}
	chosen := p.visit.form.or("role", string(p.domain.Role))
	if chosen == "" && len(fit) > 0 {
		chosen = fit[0].ID
	}
	return p.visit.roleChoices(fit, chosen)
}

// saveDomain says who may join. What is wider than before is asked about nowhere else: the form names the effect.
func saveDomain(v *visit) error {
	in := federation.UpdateDomainInput{DomainInput: v.oneDomain(), Joining: new(v.form.value("joining"))}
	if role := charter.RoleID(v.form.value("role")); role != "" {
		in.Role = &role
	}
	d, err := federation.UpdateDomain.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return showDomain(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.ssoHref(""), done(ui.T("People with an address at %s %s.", d.Domain, joiningText(d))))
}

func verifyDomain(v *visit) error {
	d, err := federation.VerifyDomain.Call(v.ctx, v.Service, federation.VerifyDomainInput{DomainInput: v.oneDomain()}, v.form.options()...)
	if v.again(err) {
		return showDomain(v)
	}
	if err != nil {
		return err
	}
	if d.State == federation.Verified && d.Problem == "" {
		return v.redirect(v.domainHref(d.ID, ""), done(ui.T("The domain %s is verified.", d.Domain)))
	}
	return v.domainPage(d)
}

func askDomainEnd(v *visit) error {
	d, err := v.domain()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "remove-domain", title: ui.T("Remove %s", d.Domain), version: d.ETag(), cancel: v.domainHref(d.ID, ""),
		text: []string{ui.T("Nobody joins by it any more, and another organization can verify it."), ui.T("Members stay members.")}, submit: ui.ButtonProps{Text: ui.T("Remove %s", d.Domain), Kind: ui.Danger},
		ways: v.same(federation.RemoveDomain, "domain", d.ID)})
}

func removeDomain(v *visit) error {
	d, err := federation.RemoveDomain.Call(v.ctx, v.Service, v.oneDomain(), v.form.options()...)
	if v.again(err) {
		return askDomainEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.ssoHref(""), done(ui.T("The domain %s is removed.", d.Domain)))
}
