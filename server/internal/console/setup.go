package console

import (
	"cmp"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// setupPage is what whoever has a set-up link sees.
type setupPage struct {
	visit *visit
	setup federation.Setup
}

func (v *visit) byLink() federation.ByLink { return federation.ByLink{Link: v.r.PathValue("link")} }

func (v *visit) setupHref(verb string) string {
	return v.href("/setup/" + v.r.PathValue("link") + verb)
}

func showSetup(v *visit) error {
	v.private = true
	p := setupPage{visit: v}
	var err error
	if p.setup, err = federation.OpenSetup.Call(v.ctx, v.Service, v.byLink()); err != nil {
		return v.noSetup(err)
	}
	lede := ui.T("You name the identity provider here, and test it. It signs nobody in until %s switches it on.", p.setup.Organization)
	if p.setup.SAML != nil {
		v.formsTo = foreignOrigin(p.setup.SAML.SignOnURL)
	}
	return v.hosted(ui.HostedProps{Title: ui.T("Set up single sign-on for %s", p.setup.Organization), Lede: lede, Wide: true}, p.show())
}

// noSetup answers a link that opens nothing.
func (v *visit) noSetup(err error) error {
	e := op.AsError(err)
	if e.Kind != op.NotFound && e.Kind != op.Gone && e.Kind != op.Invalid {
		return err
	}
	why := ui.T("The link was not copied whole. Ask whoever sent it.")
	if v.form.status = op.NotFound.Status(); e.Kind == op.Gone {
		v.form.status, why = e.Kind.Status(), sentence(e.Text)
	}
	return v.hosted(ui.HostedProps{Title: ui.T("This link opens nothing"), Lede: why}, templ.NopComponent)
}

// saml reports whether the page is about a provider that speaks SAML: what was chosen, else what it is.
func (p setupPage) saml() bool {
	kind := "oidc"
	if p.setup.Connection != nil {
		kind = p.setup.Connection.Kind
	}
	return p.visit.form.or("kind", kind) == "saml"
}

// kinds are the ways in which a provider may speak.
func (p setupPage) kinds() ui.TabsProps {
	return ui.TabsProps{Label: ui.T("How the provider speaks"), Tabs: []ui.Tab{
		{Text: ui.T("OpenID Connect"), Href: p.visit.setupHref("?kind=oidc"), Current: !p.saml()}, {Text: ui.T("SAML"), Href: p.visit.setupHref("?kind=saml"), Current: p.saml()}}}
}

// isKind reports whether the connection is named, and of the kind that the page is about.
func (p setupPage) isKind() bool {
	c := p.setup.Connection
	return c != nil && (c.Kind == "saml") == p.saml()
}

// samlForm are the fields of a provider that speaks SAML, as those of the organization's own page.
func (p setupPage) samlForm() samlForm {
	f := samlForm{visit: p.visit}
	if p.setup.SAML != nil {
		f.settings = *p.setup.SAML
		return f
	}
	f.settings.ACSURL, f.settings.EntityID, f.settings.SLOURL = p.setup.Values.ACSURL, p.setup.Values.EntityID, p.setup.Values.SLOURL
	if p.setup.Connection != nil {
		f.settings.Name = p.setup.Connection.Name
	}
	return f
}

// theirs is what is known of the provider, with the end of its certificates.
func (p setupPage) theirs() []ui.Fact {
	return append(p.samlForm().theirs(), ui.Fact{Name: ui.T("Its last certificate ends"), Value: p.visit.at(p.setup.SAML.CertificateTo)})
}

// form are the fields of the provider, as those of the organization's own page.
func (p setupPage) form() connectionForm {
	f := connectionForm{visit: p.visit}
	if p.setup.Connection != nil {
		f.connection = *p.setup.Connection
	}
	return f
}

func (p setupPage) issuer() ui.InputProps {
	i := p.form().issuer()
	i.Value = p.visit.form.or("issuer", p.form().connection.Issuer)
	return i
}

func (p setupPage) clientID() ui.InputProps {
	i := p.form().clientID()
	i.Value = p.visit.form.or("client_id", p.form().connection.ClientID)
	return i
}

// clientSecret is asked for each time: it is not shown again.
func (p setupPage) clientSecret() ui.InputProps {
	return connectionForm{visit: p.visit}.clientSecret()
}

// finished reports whether nothing is left to do for whoever has the link.
func (p setupPage) finished() bool {
	return p.setup.Connection != nil && p.setup.Connection.State == federation.Tested
}

// steps are the way of whoever sets it up.
func (p setupPage) steps() []wayStep {
	c := p.form().connection
	return []wayStep{{ui.T("Named"), c.ID != ""}, {ui.T("Tested"), c.ID != "" && c.State != federation.Draft}, {ui.T("Finished: somebody switches it on"), false}}
}

func (p setupPage) record(d federation.SetupDomain) []ui.Fact {
	return []ui.Fact{{Name: ui.T("State"), Value: ui.Badge(domainBadge(federation.Domain{State: d.State}))}, {Name: ui.T("Type"), Value: ui.Code(d.Record.Type)},
		{Name: ui.T("Name"), Value: ui.CodeLine(d.Record.Name)}, {Name: ui.T("Value"), Value: ui.CodeLine(d.Record.Value)}}
}

func configureSetup(v *visit) error {
	v.private = true
	_, err := federation.ConfigureSetup.Call(v.ctx, v.Service, federation.ConfigureSetupInput{ByLink: v.byLink(), Name: v.form.value("name"), Issuer: v.form.value("issuer"),
		ClientID: v.form.value("client_id"), ClientSecret: v.form.value("client_secret")})
	return v.setUp(err, "oidc", ui.T("It is named. Set its redirect URI at the provider, then test it."))
}

func configureSAMLSetup(v *visit) error {
	v.private = true
	if v.form.whole != "" { // it did not arrive
		v.form.values.Set("kind", "saml")
		return showSetup(v)
	}
	_, err := federation.ConfigureSAML.Call(v.ctx, v.Service, federation.ConfigureSAMLInput{ByLink: v.byLink(), Name: v.form.value("name"), SAMLProvider: v.form.samlProvider()})
	return v.setUp(err, "saml", ui.T("It is named. Set our addresses at the provider, then test it."))
}

// setUp goes on after a provider was named, or shows the page of a kind again with what is wrong.
func (v *visit) setUp(err error, kind, text string) error {
	if v.again(err) || v.form.unreached(err) {
		v.form.values.Set("kind", kind)
		return showSetup(v)
	}
	if err != nil {
		return v.noSetup(err)
	}
	return v.redirect(v.setupHref(""), done(text))
}

func testSetup(v *visit) error {
	v.private = true
	begun, err := federation.TestSetup.Call(v.ctx, v.Service, federation.TestSetupInput{ByLink: v.byLink()})
	if v.again(err) || v.form.unreached(err) {
		return showSetup(v)
	}
	if err != nil {
		return v.noSetup(err)
	}
	return v.onTheWay(federated{Connection: begun.Connection, Browser: begun.Browser, Setup: v.r.PathValue("link")}, begun)
}

// setupMapping is the form of what the answers of a link's provider mean, with what comes of the link's last test.
func (v *visit) setupMapping() (mappingForm, error) {
	f := mappingForm{visit: v, action: v.setupHref("/mapping"), back: v.setupHref(""), byLink: true}
	setup, err := federation.OpenSetup.Call(v.ctx, v.Service, v.byLink())
	if err != nil || setup.Connection == nil {
		return f, cmp.Or(err, error(op.ErrNotFound))
	}
	f.was.Connection = *setup.Connection
	in := federation.PreviewSetupInput{ByLink: v.byLink()}
	if v.form.values.Has("mapping/groups") {
		in.Mapping = v.mapping()
	}
	f.preview.AnswerRead, err = federation.PreviewSetup.Call(v.ctx, v.Service, in)
	if err != nil && v.form.refuse(err) {
		err = nil
	}
	return f, err
}

func showSetupMapping(v *visit) error {
	v.private = true
	f, err := v.setupMapping()
	if err != nil {
		return v.noSetup(err)
	}
	if ui.Fragment(v.r) {
		return v.render(v.form.statusCode(), f.effect())
	}
	return v.hosted(ui.HostedProps{Title: ui.T("What %s says", f.was.Name), Lede: ui.T("Which claim or attribute means what.")}, f.fields())
}

// saveSetupMapping saves what the form says, or shows what would come of it.
func saveSetupMapping(v *visit) error {
	v.private = true
	if v.form.value(stepField) == "try" {
		return showSetupMapping(v)
	}
	_, err := federation.MapSetup.Call(v.ctx, v.Service, federation.MapSetupInput{ByLink: v.byLink(), Mapping: *v.mapping()})
	if v.again(err) {
		return showSetupMapping(v)
	}
	if err != nil {
		return v.noSetup(err)
	}
	return v.redirect(v.setupHref(""), done(ui.T("What it says is read this way from now on.")))
}
