package console

import (
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func socialConnectionPages() []page {
	const one = "/o/{slug}/settings/sso/connections/new"
	return []page{
		{"GET " + one + "/google", member, askGoogle},
		{"POST " + one + "/google", member, addGoogle},
		{"GET " + one + "/github", member, askGitHub},
		{"POST " + one + "/github", member, addGitHub},
	}
}

// otherWays lead from the form of a provider that speaks OpenID Connect to those of the others.
func (v *visit) otherWays() component {
	return ui.Join(ui.Button(v.newSAMLVerb()),
		ui.Button(ui.ButtonProps{Text: "Google", Icon: "arrow-right", Href: v.ssoHref("/connections/new/google")}),
		ui.Button(ui.ButtonProps{Text: "GitHub", Icon: "arrow-right", Href: v.ssoHref("/connections/new/github")}))
}

// socialForm is the form of Google or GitHub for the people of one organization.
type socialForm struct {
	visit     *visit
	kind      string
	installed bool // the installation has a client there
	roles     []directory.Role
}

func (v *visit) socialForm(kind string) (f socialForm, err error) {
	if err := v.demandSSO(); err != nil {
		return f, err
	}
	f = socialForm{visit: v, kind: kind, installed: v.socialName(kind) != ""}
	f.roles, err = v.allRoles()
	return f, err
}

func (f socialForm) href() string { return f.visit.ssoHref("/connections/new/" + f.kind) }

func (f socialForm) input(name, label, hint, placeholder string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: f.visit.form.error(name)}, Value: f.visit.form.value(name), Placeholder: placeholder}
}

func (f socialForm) gitHubOrganization() ui.InputProps {
	p := f.input("github_organization", ui.T("Organization at GitHub"), ui.T("Its name in addresses, as in github.com/acme. Whether somebody is an active member is read at every sign-in."), "acme")
	p.MaxLength, p.Required = "39", true
	return p
}

// client are the id and the secret of a client of the organization's own.
func (f socialForm) client() (id, secret ui.InputProps) {
	id, secret = f.input("client_id", ui.T("Client id"), "", ""), f.input("client_secret", ui.T("Client secret"), ui.T("It is sealed, and never shown again."), "")
	id.MaxLength, secret.MaxLength, secret.Type, secret.Value = "500", "1000", "password", ""
	id.Required, secret.Required = !f.installed, !f.installed
	id.Optional, secret.Optional = f.installed, f.installed
	return id, secret
}

// clientLede says whether the organization needs one.
func (f socialForm) clientLede() string {
	if f.installed {
		return ui.T("Leave it empty to use the one of this installation.")
	}
	return ui.T("This installation has none. Make one there; the next page has the redirect URI to set.")
}

// role is what people get whom nobody invited.
func (f socialForm) role() ui.SelectProps {
	return connectionForm{visit: f.visit, roles: f.roles}.role()
}

func (f socialForm) own() federation.OwnClient {
	return federation.OwnClient{ClientID: f.visit.form.value("client_id"), ClientSecret: f.visit.form.value("client_secret"), Role: charter.RoleID(f.visit.form.value("role"))}
}

func askGoogle(v *visit) error {
	f, err := v.socialForm(federation.Google)
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Connect Google"), Lede: ui.T("Whoever Google says belongs to a Workspace whose domain you have verified signs in, and nobody else with an account at Google."),
		Crumb: v.ssoCrumb(), Ways: v.same(federation.CreateGoogle)}, f.fields())
}

func addGoogle(v *visit) error {
	c, err := federation.CreateGoogle.Call(v.ctx, v.Service, federation.CreateGoogleInput{InOrganization: v.inOrg(), OwnClient: socialForm{visit: v}.own()}, v.form.options()...)
	return v.addedSocial(c, err, askGoogle)
}

func askGitHub(v *visit) error {
	f, err := v.socialForm(federation.GitHub)
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Connect GitHub"), Lede: ui.T("The active members of your organization at GitHub sign in, and nobody else with an account there."),
		Crumb: v.ssoCrumb(), Ways: v.same(federation.CreateGitHub, "github_organization", v.form.or("github_organization", "acme"))}, f.fields())
}

func addGitHub(v *visit) error {
	c, err := federation.CreateGitHub.Call(v.ctx, v.Service, federation.CreateGitHubInput{InOrganization: v.inOrg(), OwnClient: socialForm{visit: v}.own(),
		GitHubOrganization: v.form.value("github_organization")}, v.form.options()...)
	return v.addedSocial(c, err, askGitHub)
}

// addedSocial leads to what was made, or back to the form.
func (v *visit) addedSocial(c federation.Connection, err error, ask func(*visit) error) error {
	if v.again(err) {
		return ask(v)
	}
	if err != nil {
		return err
	}
	text := ui.T("%s is named. Test it now.", c.Name)
	if c.ClientID != "" {
		text = ui.T("%s is named. Set its redirect URI, then test it.", c.Name)
	}
	return v.redirect(v.connectionHref(c.ID, ""), done(text))
}
