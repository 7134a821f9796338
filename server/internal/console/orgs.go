package console

import (
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func orgsPages() []page {
	return []page{
		{"GET /orgs", signedIn, chooseOrganization},
		{"GET /orgs/new", signedIn, showNewOrganization},
		{"POST /orgs/new", signedIn, createOrganization},
		{"POST /orgs/join", signedIn, joinOrganization},
	}
}

func chooseOrganization(v *visit) error {
	invitations, err := directory.ListMyInvitations.Call(v.ctx, v.Service, directory.ListMyInvitationsInput{Page: op.Page{Limit: 100}})
	if err != nil {
		return err
	}
	joinable, err := federation.ListJoinable.Call(v.ctx, v.Service, federation.ListJoinableInput{})
	if err != nil {
		return err
	}
	closed, err := v.closedOrganizations()
	if err != nil {
		return err
	}
	return v.hosted(ui.HostedProps{Title: ui.T("Choose an organization"), Wide: true}, join(joinableList(v, joinable.Data), organizationList(v, v.foundOrganizations(), closed, invitations.Data)))
}

// foundOrganizations are those whose name has the text that is looked for.
func (v *visit) foundOrganizations() (found []directory.Belonging) {
	for _, o := range v.organizations {
		if strings.Contains(strings.ToLower(o.Name), strings.ToLower(v.form.value("q"))) {
			found = append(found, o)
		}
	}
	return found
}

// mayFound reports whether the charter lets people make organizations.
func (v *visit) mayFound() bool {
	return v.Service.Charter().Rules.Organizations.Create == charter.AnyoneCreates
}

func showNewOrganization(v *visit) error {
	if !v.mayFound() {
		return op.Errorf(op.Denied, "created_by_product", "in this product organizations are created by the product itself")
	}
	return v.newOrganization()
}

func (v *visit) newOrganization() error {
	return v.hosted(ui.HostedProps{Title: ui.T("Create an organization"), Lede: ui.T("You become its owner.")}, newOrganizationForm(v))
}

func createOrganization(v *visit) error {
	in := directory.CreateOrganizationInput{Name: v.form.value("name"), Slug: v.form.value("slug"), TimeZone: v.form.value("time_zone")}
	o, err := directory.CreateOrganization.Call(v.ctx, v.Service, in, v.form.options()...)
	if err != nil {
		if v.form.refuse(err) {
			return v.newOrganization()
		}
		return err
	}
	return v.redirect(v.href("/o/"+o.Slug), done(ui.T("%s is there, and you own it.", o.Name)))
}

// joinOrganization joins, or asks to, by the domain of the person's address.
func joinOrganization(v *visit) error {
	out, err := federation.JoinDomain.Call(v.ctx, v.Service, federation.JoinDomainInput{Organization: v.form.value("organization")}, v.form.options()...)
	if err != nil {
		if v.form.refuse(err) {
			return chooseOrganization(v)
		}
		return err
	}
	if out.State != "joined" {
		return v.redirect(v.href("/orgs"), done(ui.T("You asked to join %s. A mail tells you what came of it.", out.Name)))
	}
	return v.redirect(v.href("/o/"+out.Slug), done(ui.T("You are %s of %s now.", out.RoleTitle, out.Name)))
}
