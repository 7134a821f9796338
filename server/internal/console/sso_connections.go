package console

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/scim"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func connectionPages() []page {
	const one = "/o/{slug}/settings/sso/connections/{connection}"
	return append([]page{
		{"GET /o/{slug}/settings/sso/connections/new", member, askConnection},
		{"POST /o/{slug}/settings/sso/connections/new", member, addConnection},
		{"GET " + one, member, showConnection},
		{"POST " + one, member, saveConnection},
		{"POST " + one + "/test", member, testConnection},
		{"GET " + one + "/switch", member, askSwitch},
		{"POST " + one + "/switch", member, switchConnection},
		{"GET " + one + "/delete", member, askConnectionEnd},
		{"POST " + one + "/delete", member, deleteConnection},
		{"POST " + one + "/reach", member, saveReach},
		{"POST " + one + "/rollout", member, saveRollout},
	}, slices.Concat(mappingPages(), samlPages(), socialConnectionPages())...)
}

func (v *visit) connectionHref(id, verb string) string {
	if verb == "" {
		return v.ssoHref("/connections/" + id)
	}
	return v.ssoHref("/connections/" + id + "/" + verb)
}

func (v *visit) newConnectionVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Connect a provider"), Icon: "plus", Href: v.ssoHref("/connections/new")}
}

// connectionsTable lists the identity providers.
func (v *visit) connectionsTable(list []federation.Connection) ui.TableProps {
	t := ui.TableProps{ID: "connections", Caption: ui.T("Identity providers"), Columns: []ui.Column{{Title: ui.T("Provider")}, {Title: ui.T("State")},
		{Title: ui.T("For")}, {Title: ui.T("Tested")}, {Title: ui.T("Actions"), Acts: true}}}
	verb := repeated(v.newConnectionVerb())
	empty := ui.EmptyStateProps{Sentence: ui.T("No provider is connected. With one, people with an address at a verified domain sign in there."), Verb: &verb,
		Docs: ui.LinkProps{Text: ui.T("How to connect one"), Href: v.href("/docs/sso")}}
	if len(v.locks("sso")) > 0 {
		empty = ui.EmptyStateProps{Sentence: ui.T("No provider is connected.")}
	}
	t.Empty = ui.EmptyState(empty)
	for _, c := range list {
		t.Rows = append(t.Rows, ui.Row{ID: c.ID, Cells: []templ.Component{ui.Link(ui.LinkProps{Text: c.Name, Href: v.connectionHref(c.ID, "")}), ui.Badge(connectionBadge(c)),
			ui.Text(connectionReach(c)), v.maybe(c.TestedAt, ui.T("not yet")), ui.Menu(ui.MenuProps{ID: "menu-" + c.ID, Label: ui.T("Actions for %s", c.Name), Items: v.connectionVerbs(c)})}})
	}
	return t
}

// endWarnings say which providers that are on will sign nobody in soon.
func (v *visit) endWarnings(list []federation.Connection) (all []string) {
	for _, c := range list {
		if text := v.endWarning(c.EndsAt); text != "" && c.State == federation.On {
			all = append(all, c.Name+": "+text)
		}
	}
	return all
}

func (v *visit) connectionVerbs(c federation.Connection) []ui.MenuItem {
	items := []ui.MenuItem{{Text: ui.T("Open"), Icon: "pencil", Href: v.connectionHref(c.ID, "")}}
	if text := switchText(c); text != "" {
		items = append(items, ui.MenuItem{Text: text, Icon: "power", Href: v.connectionHref(c.ID, "switch"), Dialog: true})
	}
	return append(items, ui.MenuItem{Text: ui.T("Delete"), Icon: "trash-2", Href: v.connectionHref(c.ID, "delete"), Dialog: true, Danger: true})
}

// switchText is what can be switched; nothing on a connection that was not tested.
func switchText(c federation.Connection) string {
	switch c.State {
	case federation.On:
		return ui.T("Switch off")
	case federation.Tested:
		return ui.T("Switch on")
	}
	return ""
}

func connectionBadge(c federation.Connection) ui.BadgeProps {
	switch c.State {
	case federation.On:
		if !c.ForEverybody() {
			return ui.BadgeProps{Text: ui.T("Tried out by a pilot"), Tone: ui.Info}
		}
		return ui.BadgeProps{Text: ui.T("Signs people in"), Tone: ui.OK}
	case federation.Tested:
		return ui.BadgeProps{Text: ui.T("Tested, off")}
	}
	return ui.BadgeProps{Text: ui.T("Not tested"), Tone: ui.Warn}
}

// connectionReach says which domains a connection is for.
func connectionReach(c federation.Connection) string {
	if len(c.Domains) == 0 {
		return ui.T("all other domains")
	}
	return strings.Join(c.Domains, ", ")
}

// connectionForm is the form of a new connection, or of one that is there.
type connectionForm struct {
	visit      *visit
	connection federation.Connection
	roles      []directory.Role
	pilot      []string
	groups     int
	verified   []string

	pilotGroups []federation.PilotGroup
	told        []ui.Option // the groups that directories have told of
}

func (v *visit) connectionForm(c federation.Connection) (connectionForm, error) {
	f := connectionForm{visit: v, connection: c}
	var err error
	f.roles, err = v.allRoles()
	return f, err
}

func (f connectionForm) input(name, label, value, hint string) ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: name, Label: label, Hint: hint, Error: f.visit.form.error(name)}, Value: f.visit.form.or(name, value), Required: true}
}

func (f connectionForm) name() ui.InputProps {
	p := f.input("name", ui.T("Name"), f.connection.Name, ui.T("People see it when they sign in."))
	p.MaxLength, p.Placeholder = "80", "Okta"
	return p
}

func (f connectionForm) issuer() ui.InputProps {
	p := f.input("issuer", ui.T("Issuer"), "", ui.T("Letter by letter as the provider says it, without /.well-known/openid-configuration."))
	p.MaxLength, p.Placeholder = "500", "https://acme.okta.com"
	return p
}

func (f connectionForm) clientID() ui.InputProps {
	p := f.input("client_id", ui.T("Client id"), "", "")
	p.MaxLength = "500"
	return p
}

// clientSecret is never filled in: it is sealed, and not shown again.
func (f connectionForm) clientSecret() ui.InputProps {
	p := ui.InputProps{FieldProps: ui.FieldProps{Name: "client_secret", Label: ui.T("Client secret"), Error: f.visit.form.error("client_secret")}, Type: "password", MaxLength: "1000", Required: true}
	if f.connection.ID != "" {
		p.Label, p.Hint, p.Required = ui.T("Another client secret"), ui.T("Leave it empty to keep the one that is there. With another one the connection has to be tested again."), false
	}
	return p
}

// role is what people get whom nobody invited.
func (f connectionForm) role() ui.SelectProps {
	options := []ui.Option{{Value: "", Text: ui.T("None: they need an invitation")}}
	for _, r := range f.roles {
		if !r.Owner {
			options = append(options, ui.Option{Value: r.ID, Text: r.Title})
		}
	}
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "role", Label: ui.T("Role of people whom nobody invited"), Error: f.visit.form.error("role")}, Options: options,
		Value: f.visit.form.or("role", string(f.connection.Role))}
}

func askConnection(v *visit) error {
	if err := v.demandSSO(); err != nil {
		return err
	}
	f, err := v.connectionForm(federation.Connection{})
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Connect a provider"), Actions: v.otherWays(), Lede: ui.T("Register this product there as a web application that speaks OpenID Connect. The next page has the redirect URI to set."),
		Crumb: v.ssoCrumb(), Ways: v.same(federation.CreateConnection, "name", v.form.or("name", "Okta"), "issuer", v.form.or("issuer", "https://acme.okta.com"))}, f.fields())
}

func addConnection(v *visit) error {
	c, err := federation.CreateConnection.Call(v.ctx, v.Service, federation.CreateConnectionInput{InOrganization: v.inOrg(), Name: v.form.value("name"), Issuer: v.form.value("issuer"),
		ClientID: v.form.value("client_id"), ClientSecret: v.form.value("client_secret"), Role: charter.RoleID(v.form.value("role"))}, v.form.options()...)
	if v.again(err) {
		return askConnection(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.connectionHref(c.ID, ""), done(ui.T("%s is named. Set its redirect URI, then test it.", c.Name)))
}

// connection is the connection of the address.
func (v *visit) connection() (federation.Connection, error) {
	connections, err := v.connections()
	for _, c := range connections {
		if c.ID == v.r.PathValue("connection") {
			return c, nil
		}
	}
	return federation.Connection{}, cmp.Or(err, error(op.ErrNotFound))
}

func (v *visit) connections() ([]federation.Connection, error) {
	return all(func(p op.Page) (op.List[federation.Connection], error) {
		return federation.ListConnections.Call(v.ctx, v.Service, federation.ListConnectionsInput{InOrganization: v.inOrg(), Page: p})
	})
}

func (v *visit) oneConnection() federation.ConnectionInput {
	return federation.ConnectionInput{InOrganization: v.inOrg(), Connection: v.r.PathValue("connection")}
}

func showConnection(v *visit) error {
	d, err := v.connectionDetails()
	if err != nil {
		return err
	}
	c := d.Connection
	f, err := v.connectionForm(c)
	if err != nil {
		return err
	}
	f.pilot, f.groups, f.pilotGroups = d.Pilot, len(d.GroupRoles), d.PilotGroups
	if f.told, err = v.toldGroups(); err != nil {
		return err
	}
	if f.verified, err = v.verifiedDomains(); err != nil {
		return err
	}
	p := ui.PageProps{Title: c.Name, Crumb: v.ssoCrumb(), Ways: v.same(federation.TestConnection, "connection", c.ID)}
	if text := switchText(c); text != "" {
		p.Actions = ui.Button(ui.ButtonProps{Text: text, Icon: "power", Href: v.connectionHref(c.ID, "switch"), Dialog: true})
	}
	if c.Kind == "saml" {
		if err := v.showsSAML(&p, c); err != nil {
			return err
		}
	}
	return v.page(p, f.show())
}

// wayStep is a step on the way of a connection, with whether it is behind it.
type wayStep struct {
	text string
	done bool
}

// steps are the way from a draft to a provider for everybody.
func (f connectionForm) steps() []wayStep {
	c := f.connection
	return []wayStep{{ui.T("Named"), true}, {ui.T("Tested"), c.State != federation.Draft}, {ui.T("A domain is verified"), len(f.verified) > 0},
		{ui.T("Tried out by a pilot, if you like"), c.State == federation.On}, {ui.T("On for everybody"), c.ForEverybody()}}
}

// lastTest is what came of the last test, if it went badly.
func (f connectionForm) lastTest() string {
	if t := f.connection.LastTest; t != nil && t.Problem != "" {
		return ui.T("The last test went badly: %s", t.Problem)
	}
	return ""
}

func (f connectionForm) facts() []ui.Fact {
	c := f.connection
	facts := []ui.Fact{{Name: ui.T("State"), Value: ui.Badge(connectionBadge(c))}, {Name: ui.T("Issuer"), Value: ui.Code(c.Issuer)}}
	if c.GitHub != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Organization at GitHub"), Value: ui.Code(c.GitHub)})
	}
	if c.ClientID != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Redirect URI"), Value: ui.CodeLine(c.RedirectURI)}, ui.Fact{Name: ui.T("Client id"), Value: ui.Code(c.ClientID)})
	}
	if c.LogoutURI != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Back-channel logout URI"), Value: ui.CodeLine(c.LogoutURI)}, ui.Fact{Name: ui.T("Post logout redirect URI"), Value: ui.CodeLine(c.LeftURI)})
	}
	return append(facts, []ui.Fact{{Name: ui.T("For"), Value: ui.Text(connectionReach(c))}, {Name: ui.T("Page to choose it on"), Value: ui.CodeLine(c.SignInURL)},
		{Name: ui.T("Last test that went well"), Value: f.visit.maybe(c.TestedAt, ui.T("none yet"))}, {Name: ui.T("Named"), Value: f.visit.at(c.CreatedAt)}}...)
}

// lede says what is left to do at the provider.
func (f connectionForm) lede() string {
	if f.connection.ClientID == "" {
		return ui.T("Give it the people who may use this product.")
	}
	return ui.T("Set the redirect URI at the provider, and give it the people who may use this product.")
}

// domains are the choice of those that are the connection's alone, one to a line.
func (f connectionForm) domains() ui.TextareaProps {
	hint := ui.T("One to a line. Left empty, it is for all verified domains that no other connection names.")
	if len(f.verified) > 0 {
		hint = ui.T("One to a line: %s. Left empty, it is for all of them that no other connection names.", listed(f.verified))
	}
	return ui.TextareaProps{FieldProps: ui.FieldProps{Name: "domains", Label: ui.T("Domains that are its own"), Hint: hint, Error: f.visit.form.error("domains"), Optional: true},
		Value: f.visit.form.or("domains", strings.Join(f.connection.Domains, "\n"))}
}

func (f connectionForm) guests() ui.CheckboxProps {
	return ui.CheckboxProps{FieldProps: ui.FieldProps{Name: "guests", Label: ui.T("Guests may be linked"),
		Hint: ui.T("Members whose address is at no organization's domain. They choose the provider on the page above.")}, Checked: f.connection.Guests}
}

func (f connectionForm) rollout() ui.ChoicesProps {
	return ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "rollout", Label: ui.T("Who is led there by their address"), Error: f.visit.form.error("rollout")}, Value: f.visit.form.or("rollout", f.connection.Rollout),
		Options: []ui.Option{{Value: federation.Pilot, Text: ui.T("Only the pilot"), Hint: ui.T("Everybody else signs in as before.")}, {Value: federation.Everyone, Text: ui.T("Everybody at its domains")}}}
}

func (f connectionForm) pilots() ui.TextareaProps {
	return ui.TextareaProps{FieldProps: ui.FieldProps{Name: "pilot", Label: ui.T("The pilot"), Hint: ui.T("One address to a line, at most 500."), Error: f.visit.form.error("pilot"), Optional: true},
		Value: f.visit.form.or("pilot", strings.Join(f.pilot, "\n"))}
}

// blankPilots is how many further groups the roll-out has room for.
const blankPilots = 2

func pilotField(i int) string { return "pilot_groups/" + strconv.Itoa(i) }

// groupChoices are the groups of the pilot. Without a directory there are none to choose.
func (f connectionForm) groupChoices() (all []ui.SelectProps) {
	if len(f.told) == 0 && len(f.pilotGroups) == 0 {
		return nil
	}
	options := append([]ui.Option{{Text: ui.T("No group")}}, f.told...)
	for _, g := range f.pilotGroups {
		if g.Gone {
			options = append(options, ui.Option{Value: g.Group, Text: ui.T("%s (gone: it leads nobody)", g.Name)})
		}
	}
	for i := range len(f.pilotGroups) + blankPilots {
		value := ""
		if i < len(f.pilotGroups) {
			value = f.pilotGroups[i].Group
		}
		all = append(all, ui.SelectProps{FieldProps: ui.FieldProps{Name: pilotField(i), Label: ui.T("Group %d of the pilot", i+1)}, Options: options, Value: f.visit.form.or(pilotField(i), value)})
	}
	return all
}

// toldGroups are the groups of all directories, as choices.
func (v *visit) toldGroups() (options []ui.Option, err error) {
	directories, err := all(func(p op.Page) (op.List[scim.Directory], error) {
		return scim.ListDirectories.Call(v.ctx, v.Service, scim.ListDirectoriesInput{InOrganization: v.inOrg(), Page: p})
	})
	for _, d := range directories {
		groups, err := all(func(p op.Page) (op.List[scim.DirectoryGroup], error) {
			return scim.ListGroups.Call(v.ctx, v.Service, scim.ListGroupsInput{DirectoryInput: scim.DirectoryInput{InOrganization: v.inOrg(), Directory: d.ID}, Page: p})
		})
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			options = append(options, ui.Option{Value: g.ID, Text: ui.T("%s of %s (%d)", g.Name, d.Name, g.Members)})
		}
	}
	return options, err
}

// pilotGroups are the groups that the form names; nil: it has no room for them.
func (v *visit) pilotGroups() (groups []string) {
	for i := 0; v.form.values.Has(pilotField(i)); i++ {
		if groups == nil {
			groups = []string{}
		}
		if group := v.form.value(pilotField(i)); group != "" {
			groups = append(groups, group)
		}
	}
	return groups
}

// lines are the lines of a field, without the empty ones.
func (v *visit) lines(name string) []string {
	all := []string{}
	for line := range strings.FieldsFuncSeq(v.form.value(name), func(r rune) bool { return r == '\n' || r == '\r' || r == ',' }) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// saveReach says whom the connection is for.
func saveReach(v *visit) error {
	return v.saved(federation.UpdateConnectionInput{ConnectionInput: v.oneConnection(), Domains: v.lines("domains"), Guests: new(v.form.checked("guests"))})
}

// saveRollout says who is led there.
func saveRollout(v *visit) error {
	return v.saved(federation.UpdateConnectionInput{ConnectionInput: v.oneConnection(), Rollout: new(v.form.value("rollout")), Pilot: v.lines("pilot"), PilotGroups: v.pilotGroups()})
}

func (v *visit) saved(in federation.UpdateConnectionInput) error {
	c, err := federation.UpdateConnection.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return showConnection(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.connectionHref(c.ID, ""), done(ui.T("%s is saved.", c.Name)))
}

func saveConnection(v *visit) error {
	in := federation.UpdateConnectionInput{ConnectionInput: v.oneConnection(), Name: new(v.form.value("name"))}
	if secret := v.form.value("client_secret"); secret != "" {
		in.ClientSecret = &secret
	}
	return v.saved(in)
}

// testConnection sends the browser to the provider. What it brings back affects nobody.
func testConnection(v *visit) error {
	begun, err := federation.TestConnection.Call(v.ctx, v.Service, federation.TestConnectionInput{ConnectionInput: v.oneConnection()}, v.form.options()...)
	if v.again(err) || v.form.unreached(err) {
		return showConnection(v)
	}
	if err != nil {
		return err
	}
	if begun.URL == "" || !begun.SecretShown {
		return v.redirect(v.connectionHref(v.r.PathValue("connection"), ""), done(ui.T("That test was begun already: begin another one.")))
	}
	return v.onTheWay(federated{Connection: begun.Connection, Browser: begun.Browser, Organization: v.organization.Slug}, begun)
}

// tested shows what a provider said in a test.
func (v *visit) tested(kept federated, out federation.FederatedSignIn) error {
	return v.hosted(ui.HostedProps{Title: ui.T("The test went well"), Lede: ui.T("Nobody was signed in. This is what the provider said:")}, testedAnswer(answerFacts(out.Claims), v.testedAt(kept)))
}

// answerFacts are everything that a provider said, by name.
func answerFacts(answer map[string]any) []ui.Fact {
	facts := make([]ui.Fact, 0, len(answer))
	for _, name := range slices.Sorted(maps.Keys(answer)) {
		facts = append(facts, ui.Fact{Name: name, Value: ui.Code(claimText(answer[name]))})
	}
	return facts
}

func claimText(claim any) string {
	if text, ok := claim.(string); ok {
		return text
	}
	raw, _ := json.Marshal(claim)
	return string(raw)
}

func askSwitch(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	ask := confirmation{id: "switch-connection", title: ui.T("Switch %s on", c.Name), version: c.ETag(), cancel: v.connectionHref(c.ID, ""), ways: v.same(federation.UpdateConnection, "connection", c.ID, "on", "true"),
		text:   []string{ui.T("People with an address at %s are led there when they sign in.", connectionReach(c)), ui.T("While it is tried out by a pilot, only those of the pilot are. Signing in by mail stays possible.")},
		submit: ui.ButtonProps{Text: ui.T("Switch it on"), Kind: ui.Primary}}
	switch c.State {
	case federation.On:
		ask.title, ask.submit = ui.T("Switch %s off", c.Name), ui.ButtonProps{Text: ui.T("Switch it off"), Kind: ui.Danger}
		ask.text = []string{ui.T("Nobody signs in there any more, and sessions that began there end.")}
		ask.ways = v.same(federation.UpdateConnection, "connection", c.ID, "on", "false")
	case federation.Draft:
		ask.impossible = ui.T("It has not been tested as it is now: test it first.")
		ask.helps = []ui.ButtonProps{{Text: ui.T("To the connection"), Href: v.connectionHref(c.ID, "")}}
	}
	return v.ask(ask)
}

func switchConnection(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	c, err = federation.UpdateConnection.Call(v.ctx, v.Service, federation.UpdateConnectionInput{ConnectionInput: v.oneConnection(), On: new(c.State != federation.On)}, v.form.options()...)
	if v.again(err) {
		return askSwitch(v)
	}
	if err != nil {
		return err
	}
	text := ui.T("%s is off.", c.Name)
	if c.State == federation.On {
		text = ui.T("%s signs people in now.", c.Name)
	}
	return v.redirect(v.connectionHref(c.ID, ""), done(text))
}

func askConnectionEnd(v *visit) error {
	c, err := v.connection()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "delete-connection", title: ui.T("Delete %s", c.Name), version: c.ETag(), cancel: v.connectionHref(c.ID, ""),
		text:   []string{ui.T("People sign in in another way, and whoever was known by this provider has to be linked again."), ui.T("Members stay members.")},
		fields: ui.Input(v.nameTyped(c.Name)), submit: ui.ButtonProps{Text: ui.T("Delete %s", c.Name), Kind: ui.Danger}, ways: v.same(federation.DeleteConnection, "connection", c.ID)})
}

func deleteConnection(v *visit) error {
	asked, err := v.connection()
	if err != nil {
		return err
	}
	if !v.typed(asked.Name) {
		return askConnectionEnd(v)
	}
	c, err := federation.DeleteConnection.Call(v.ctx, v.Service, v.oneConnection(), v.form.options()...)
	if v.again(err) {
		return askConnectionEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.ssoHref(""), done(ui.T("%s is deleted.", c.Name)))
}
