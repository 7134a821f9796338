package console

import (
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func samlPages() []page {
	const one = "/o/{slug}/settings/sso/connections/{connection}/saml"
	return []page{
		{"GET /o/{slug}/settings/sso/connections/new/saml", member, askSAML},
		{"POST /o/{slug}/settings/sso/connections/new/saml", member, addSAML},
		{"GET " + one, member, showSAML},
		{"POST " + one, member, saveSAML},
		{"GET " + one + "/certificates/{certificate}", member, askCertificateEnd},
		{"POST " + one + "/certificates/{certificate}", member, removeCertificate},
	}
}

// endsSoon is how long before its end a certificate is pointed out.
const endsSoon = 30 * 24 * time.Hour

func (v *visit) newSAMLVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("It speaks SAML"), Icon: "arrow-right", Href: v.ssoHref("/connections/new/saml")}
}

func (v *visit) samlVerb(connection string) ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Addresses and certificates"), Icon: "pencil", Href: v.connectionHref(connection, "saml")}
}

// samlForm is the form of a provider that speaks SAML, new or there.
type samlForm struct {
	visit    *visit
	roles    []directory.Role
	settings federation.SAMLSettings
}

func (f samlForm) input(name, label, hint, placeholder string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: f.visit.form.error(name)}, Value: f.visit.form.value(name), Placeholder: placeholder, MaxLength: "1024"}
}

func (f samlForm) text(name, label, hint, placeholder string) ui.TextareaProps {
	return ui.TextareaProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: f.visit.form.error(name)}, Value: f.visit.form.value(name), Placeholder: placeholder, Mono: true}
}

func (f samlForm) name() ui.InputProps {
	p := f.input("name", ui.T("Name"), ui.T("People see it when they sign in."), "Okta")
	p.MaxLength, p.Required, p.Value = "80", true, f.visit.form.or("name", f.settings.Name)
	return p
}

// role is what people get whom nobody invited.
func (f samlForm) role() ui.SelectProps { return connectionForm{visit: f.visit, roles: f.roles}.role() }

func (f samlForm) metadataURL() ui.InputProps {
	return f.input("metadata_url", ui.T("Address of its metadata"), ui.T("It is read now, every day, and with one press."), "https://acme.okta.com/app/exk1a2b3c/sso/saml/metadata")
}

// file is the metadata as a file: what was in it is not shown again, but what is wrong with it is.
func (f samlForm) file(label string) ui.InputProps {
	p := ui.InputProps{FieldProps: ui.FieldProps{Name: metadataFile, ID: "f-metadata-file", Label: label, Hint: ui.T("XML, at most 900 kilobytes.")}, Type: "file",
		Accept: ".xml,application/xml,text/xml,application/samlmetadata+xml"}
	if f.visit.form.value(metadataFile) != "" {
		p.ID, p.Error = "f-metadata", f.visit.form.error("metadata")
	}
	return p
}

// metadata is the metadata as it was pasted.
func (f samlForm) metadata(label string) ui.TextareaProps {
	p := f.text("metadata", label, ui.T("The XML that the provider lets you download."), "<EntityDescriptor …>")
	if f.visit.form.value(metadataFile) != "" { // its error is the file's
		p.ID, p.Error = "f-metadata-text", ""
	}
	return p
}

func (f samlForm) certificates(name, label string) ui.TextareaProps {
	return f.text(name, label, ui.T("In PEM, several one behind the other."), "-----BEGIN CERTIFICATE-----")
}

func askSAML(v *visit) error {
	if err := v.demandSSO(); err != nil {
		return err
	}
	f := samlForm{visit: v}
	var err error
	if f.roles, err = v.allRoles(); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Connect a provider by SAML"), Lede: ui.T("Make an application for this product at the provider. The next page has what to set there; what is asked here the provider shows beside it."),
		Crumb: v.ssoCrumb(), Ways: v.same(federation.CreateSAML, "name", v.form.or("name", "Okta"), "metadata_url", v.form.or("metadata_url", "https://acme.okta.com/app/exk1a2b3c/sso/saml/metadata"))}, f.fields())
}

func addSAML(v *visit) error {
	if v.form.whole != "" { // it did not arrive
		return askSAML(v)
	}
	in := federation.CreateSAMLInput{InOrganization: v.inOrg(), Name: v.form.value("name"), Role: charter.RoleID(v.form.value("role")), SAMLProvider: v.form.samlProvider()}
	c, err := federation.CreateSAML.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) || v.form.unreached(err) {
		return askSAML(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.connectionHref(c.Connection, "saml"), done(ui.T("%s is named. Set these at the provider, then test it.", c.Name)))
}

// samlProvider is what the form says that a provider is.
func (f *form) samlProvider() federation.SAMLProvider {
	p := federation.SAMLProvider{Metadata: f.metadata(), MetadataURL: f.value("metadata_url"), Issuer: f.value("issuer"), SignOnURL: f.value("sign_on_url")}
	if pasted := f.value("certificates"); pasted != "" {
		p.Certificates = []string{pasted}
	}
	return p
}

// unreached keeps the error of a provider that could not be asked: the form is shown again, with what was typed.
func (f *form) unreached(err error) bool {
	e := op.AsError(err)
	if err == nil || e.Code != "provider_failed" {
		return false
	}
	f.status, f.whole = e.Kind.Status(), sentence(e.Text)
	return true
}

// metadataFile is the field of a file with metadata.
const metadataFile = "metadata/file"

// metadata is what was chosen as a file, else what was pasted. Both at once are one behind the other, and so no metadata.
func (f *form) metadata() string { return f.value(metadataFile) + f.value("metadata") }

func (v *visit) samlSettings() (federation.SAMLSettings, error) {
	return federation.GetSAML.Call(v.ctx, v.Service, v.oneConnection())
}

func showSAML(v *visit) error {
	settings, err := v.samlSettings()
	if err != nil {
		return err
	}
	f := samlForm{visit: v, settings: settings}
	return v.page(ui.PageProps{Title: ui.T("%s: addresses and certificates", settings.Name), Crumb: ui.LinkProps{Text: settings.Name, Href: v.connectionHref(settings.Connection, "")},
		Ways: v.same(federation.GetSAML, "connection", settings.Connection)}, f.show())
}

// ours is what to set at the provider.
func (f samlForm) ours() []ui.Fact {
	s := f.settings
	facts := append(samlAddresses(s.ACSURL, s.EntityID, s.SLOURL),
		ui.Fact{Name: ui.T("NameID format"), Value: ui.Text(ui.T("Persistent where there is one, else e-mail address; never transient"))},
		ui.Fact{Name: ui.T("Attribute of the address"), Value: ui.Code("email")})
	if s.Connection == "" { // it has none before it is named
		return facts
	}
	return append(facts, ui.Fact{Name: ui.T("Our metadata"), Value: ui.Link(ui.LinkProps{Text: ui.T("Download"), Href: f.visit.href("/login/saml/" + s.Connection + "/metadata")})})
}

func samlAddresses(acs, entity, slo string) []ui.Fact {
	return []ui.Fact{{Name: ui.T("ACS URL"), Value: ui.CodeLine(acs)}, {Name: ui.T("Entity id, audience"), Value: ui.CodeLine(entity)}, {Name: ui.T("Single logout URL, if it has one"), Value: ui.CodeLine(slo)}}
}

// guides say where these belong at the usual providers.
func (f samlForm) guides() []providerGuide {
	return samlGuides(samlAddresses(f.settings.ACSURL, f.settings.EntityID, f.settings.SLOURL))
}

// theirs is what is known of the provider.
func (f samlForm) theirs() []ui.Fact {
	s := f.settings
	facts := []ui.Fact{{Name: ui.T("Its entity id"), Value: ui.Code(s.Issuer)}, {Name: ui.T("Where people sign in"), Value: ui.Code(s.SignOnURL)}}
	if s.MetadataURL != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Its metadata"), Value: ui.Code(s.MetadataURL)}, ui.Fact{Name: ui.T("Read"), Value: f.visit.maybe(s.ReadAt, ui.T("not yet"))})
	}
	return facts
}

// unread says why the metadata could not be read; empty: it could.
func (f samlForm) unread() string {
	if f.settings.Problem == "" {
		return ""
	}
	return ui.T("The metadata could not be read again; what is below stays as it was. %s", sentence(f.settings.Problem))
}

// warning says that nobody will sign in soon; empty: the certificates hold for a while.
func (f samlForm) warning() string { return f.visit.endWarning(&f.settings.CertificateTo) }

// endWarning says that a provider's last certificate ends, and nobody will sign in; empty: not soon, or it has none.
func (v *visit) endWarning(end *time.Time) string {
	if end == nil {
		return ""
	}
	switch left := end.Sub(v.now); {
	case left <= 0:
		return ui.T("All certificates are past their end: nobody can sign in there. Add the provider's new one.")
	case left < endsSoon:
		return ui.T("The last certificate ends soon, and nobody can sign in there afterwards. Add the provider's new one.")
	}
	return ""
}

func (f samlForm) certificateTable() ui.TableProps {
	t := ui.TableProps{ID: "certificates", Caption: ui.T("Certificates"), Columns: []ui.Column{{Title: ui.T("Fingerprint (SHA-256)")}, {Title: ui.T("Names")}, {Title: ui.T("Ends")}, {Title: ui.T("State")},
		{Title: ui.T("Actions"), Acts: true}}}
	for _, c := range f.settings.Certificates {
		var remove component = ui.Muted(ui.T("The only one"))
		if len(f.settings.Certificates) > 1 {
			remove = ui.Button(ui.ButtonProps{Text: ui.T("Remove"), Small: true, Href: f.visit.connectionHref(f.settings.Connection, "saml/certificates/"+c.Fingerprint), Dialog: true})
		}
		t.Rows = append(t.Rows, ui.Row{ID: c.Fingerprint[:16], Cells: []templ.Component{ui.Code(c.Fingerprint[:32] + "…"), ui.Text(c.Subject), f.visit.at(c.EndsAt), ui.Badge(certificateBadge(c, f.visit.now)), remove}})
	}
	return t
}

func certificateBadge(c federation.Certificate, now time.Time) ui.BadgeProps {
	switch left := c.EndsAt.Sub(now); {
	case left <= 0:
		return ui.BadgeProps{Text: ui.T("Ended"), Tone: ui.Bad}
	case now.Before(c.BeginsAt):
		return ui.BadgeProps{Text: ui.T("Not yet"), Tone: ui.Warn}
	case left < endsSoon:
		return ui.BadgeProps{Text: ui.T("Ends soon"), Tone: ui.Warn}
	}
	return ui.BadgeProps{Text: ui.T("Counts"), Tone: ui.OK}
}

func saveSAML(v *visit) error {
	if v.form.whole != "" {
		return showSAML(v)
	}
	in := federation.UpdateSAMLInput{ConnectionInput: v.oneConnection(), Metadata: v.form.metadata(), MetadataURL: v.form.value("metadata_url"), SignOnURL: v.form.value("sign_on_url"),
		Reread: v.form.value("reread") != ""}
	if pasted := v.form.value("add_certificates"); pasted != "" {
		in.Add = []string{pasted}
	}
	c, err := federation.UpdateSAML.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) || v.form.unreached(err) {
		return showSAML(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.connectionHref(c.Connection, "saml"), done(ui.T("%s is saved.", c.Name)))
}

// certificate is the one of the address.
func (v *visit) certificate(s federation.SAMLSettings) (federation.Certificate, error) {
	for _, c := range s.Certificates {
		if c.Fingerprint == v.r.PathValue("certificate") {
			return c, nil
		}
	}
	return federation.Certificate{}, op.ErrNotFound
}

func askCertificateEnd(v *visit) error {
	s, err := v.samlSettings()
	if err != nil {
		return err
	}
	c, err := v.certificate(s)
	if err != nil {
		return err
	}
	ask := confirmation{id: "remove-certificate", title: ui.T("Remove a certificate of %s", s.Name), version: s.ETag(), cancel: v.connectionHref(s.Connection, "saml"),
		text:     []string{ui.T("Nothing that the provider signs by it is believed any more, also of sign-ins that have begun."), ui.T("Make sure that the provider signs by another one that is listed.")},
		affected: []ui.Fact{{Name: ui.T("Fingerprint"), Value: ui.Code(c.Fingerprint)}, {Name: ui.T("Ends"), Value: v.at(c.EndsAt)}},
		submit:   ui.ButtonProps{Text: ui.T("Remove it"), Kind: ui.Danger}, ways: v.same(federation.UpdateSAML, "connection", s.Connection, "remove_certificates", c.Fingerprint)}
	if len(s.Certificates) == 1 {
		ask.impossible = ui.T("It is the only one: add the provider's new one first.")
		ask.helps = []ui.ButtonProps{{Text: ui.T("To the certificates"), Href: v.connectionHref(s.Connection, "saml")}}
	}
	return v.ask(ask)
}

func removeCertificate(v *visit) error {
	in := federation.UpdateSAMLInput{ConnectionInput: v.oneConnection(), Remove: []string{v.r.PathValue("certificate")}}
	c, err := federation.UpdateSAML.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askCertificateEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.connectionHref(c.Connection, "saml"), done(ui.T("The certificate is removed.")))
}

// showsSAML adds to the page of a connection what only those have that speak SAML. The form that begins a test leads to the
// provider.
func (v *visit) showsSAML(p *ui.PageProps, c federation.Connection) error {
	s, err := v.samlSettings()
	if err != nil {
		return err
	}
	v.formsTo = foreignOrigin(s.SignOnURL)
	verb := ui.Button(v.samlVerb(c.ID))
	if p.Actions != nil {
		verb = join(verb, p.Actions)
	}
	p.Actions = verb
	return nil
}
