package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func newKeyPages() []page {
	return []page{
		{"GET /o/{slug}/settings/api-keys/new", member, askNewKey},
		{"POST /o/{slug}/settings/api-keys/new", member, newKey},
	}
}

// newKeyPage asks what a new key is to be. Its first step is a form that the address can fill in, its second a summary;
// only the form of the summary makes the key.
type newKeyPage struct {
	visit    *visit
	kind     charter.KeyKind
	accounts []credential.ServiceAccount // those that the key could act for
	scopes   scopeForm
}

// askNewKey shows the form, or to a form that has changed only what the key would be.
func askNewKey(v *visit) error {
	p, err := v.newKeyPage()
	if err != nil {
		return err
	}
	if ui.Fragment(v.r) {
		return v.render(http.StatusOK, p.says())
	}
	return p.show(p.first())
}

// newKey goes on to the summary, back to the form, or makes the key.
func newKey(v *visit) error {
	p, err := v.newKeyPage()
	if err != nil {
		return err
	}
	switch {
	case v.form.value(stepField) == "edit" || !p.ready():
		return p.show(p.first())
	case v.form.value(stepField) != "create":
		return p.show(p.second())
	}
	made, err := credential.CreateKey.Call(v.ctx, v.Service, p.input(), v.form.options()...)
	if v.again(err) {
		return p.show(p.first())
	}
	if err != nil {
		return err
	}
	return v.showSecret(secretPage{visit: v, key: made, ways: p.ways()})
}

func (v *visit) newKeyPage() (newKeyPage, error) {
	p := newKeyPage{visit: v, kind: v.newKind()}
	if err := v.demandAny([]charter.Permission{v.makes(p.kind)}); err != nil {
		return p, err
	}
	if p.kind == charter.OrganizationKey && v.can("service_accounts.manage") {
		var err error
		if p.accounts, err = v.serviceAccounts(); err != nil {
			return p, err
		}
	}
	beyond, err := p.beyond()
	if err == nil {
		p.scopes, err = v.scopeForm(beyond)
	}
	return p, err
}

// newKind is the kind that the form or the address says, else the first that the viewer may make.
func (v *visit) newKind() charter.KeyKind {
	kinds := v.Service.Charter().Rules.Keys.Kinds
	if kind := charter.KeyKind(v.form.value("kind")); slices.Contains(kinds, kind) {
		return kind
	}
	if v.form.value("service_account") != "" && slices.Contains(kinds, charter.OrganizationKey) {
		return charter.OrganizationKey
	}
	for _, kind := range kinds {
		if v.can(v.makes(kind)) {
			return kind
		}
	}
	return kinds[0]
}

// beyond says which permissions a key of this kind cannot have, whoever makes it.
func (p newKeyPage) beyond() (func(charter.Info) string, error) {
	if p.kind == charter.PersonalKey {
		return func(charter.Info) string { return "" }, nil
	}
	roles, err := p.visit.allRoles()
	if err != nil {
		return nil, err
	}
	most, account := p.visit.Service.Charter().Rules.Keys.OrganizationKeys, p.account()
	return func(info charter.Info) string {
		switch {
		case len(info.Includes) > 0:
			return ""
		case !most.Has(info.Bit):
			return ui.T("Not for organization keys.")
		case account != nil && !slices.Contains(idsOfRoles(roles, info.ID), string(account.Role)):
			return ui.T("The service account's role, %s, lacks it.", account.RoleTitle)
		}
		return ""
	}, nil
}

// account is the service account that is chosen; nil: none.
func (p newKeyPage) account() *credential.ServiceAccount {
	for i, a := range p.accounts {
		if a.ID == p.visit.form.value("service_account") {
			return &p.accounts[i]
		}
	}
	return nil
}

// ready reports whether there is something to sum up; otherwise the form says what is missing.
func (p newKeyPage) ready() bool {
	if p.name() == "" {
		p.visit.form.say("name", ui.T("say what the key is for"))
	}
	if lost := p.scopes.notGiven(); len(lost) > 0 {
		p.visit.form.say(permissionsField, ui.T("not to be given here: %s", listed(lost)))
	} else if len(p.scopes.chosen()) == 0 {
		p.visit.form.say(permissionsField, ui.T("choose at least one permission"))
	}
	return len(p.visit.form.wrong) == 0
}

func (p newKeyPage) show(content component) error {
	return p.visit.page(ui.PageProps{Title: ui.T("Create a key"), Lede: p.aboutKind(), Crumb: p.visit.keysCrumb(), Ways: p.ways()}, content)
}

func (p newKeyPage) ways() ui.Ways {
	return p.visit.same(credential.CreateKey, "name", p.visit.form.or("name", "ci"), "kind", string(p.kind), "expires_at", p.visit.expiry(), "service_account", p.visit.form.value("service_account"))
}

func (p newKeyPage) aboutKind() string {
	if p.kind == charter.OrganizationKey {
		return ui.T("An organization key acts as the organization or a service account, and stays whoever leaves.")
	}
	return aboutPersonal(p.visit.Service.Charter().Rules.Keys.AfterCreatorLeaves)
}

// input is the key that is asked for.
func (p newKeyPage) input() credential.CreateKeyInput {
	return credential.CreateKeyInput{InOrganization: p.visit.inOrg(), Name: p.name(), Kind: p.kind, ServiceAccount: p.visit.form.value("service_account"),
		Scoping: p.visit.scoping(p.scopes.chosen())}
}

// scoping are the limits that a form says.
func (v *visit) scoping(permissions []charter.Permission) credential.Scoping {
	s := credential.Scoping{Permissions: permissions, Resources: words(v.form.values["resources"]), Networks: words(v.form.values["networks"]), ExpiresAt: v.expiry()}
	if _, err := time.Parse(time.DateOnly, s.ExpiresAt); err == nil {
		s.ExpiresAt = endOf(s.ExpiresAt, v.zone())
	}
	return s
}

// expiry is what the form says of the end: a day, or one of the lengths of life.
func (v *visit) expiry() string {
	said := ""
	for _, value := range v.form.values["expires_at"] {
		if value = strings.TrimSpace(value); value != "" {
			said = value
		}
	}
	if said == "" && !v.form.values.Has("expires_at") {
		return v.usualLife()
	}
	return said
}

// lives are the lengths of life that are offered.
var lives = []struct {
	value string
	days  int
}{{"7d", 7}, {"30d", 30}, {"90d", 90}, {"365d", 365}}

// usualLife is 90 days, or the longest that the charter allows below that.
func (v *visit) usualLife() string {
	usual := lives[0].value
	for _, l := range lives {
		if l.days <= 90 && !v.tooLong(l.days) {
			usual = l.value
		}
	}
	return usual
}

// tooLong reports whether a life is longer than the charter allows; 0 days is one without end.
func (v *visit) tooLong(days int) bool {
	most := v.Service.Charter().Rules.Keys.MaxAge
	return most > 0 && (days == 0 || time.Duration(days)*24*time.Hour > most)
}

// lifeField chooses how long the key lives.
func (p newKeyPage) lifeField() ui.SelectProps {
	f := ui.SelectProps{FieldProps: ui.FieldProps{Name: "expires_at", Label: ui.T("Expires"), Error: p.visit.form.error("expires_at")}, Value: p.visit.expiry()}
	option := func(value, text string, days int) {
		o := ui.Option{Value: value, Text: text}
		if p.visit.tooLong(days) {
			o.Refused = ui.T("longer than this product allows")
		}
		f.Options = append(f.Options, o)
	}
	for _, l := range lives {
		option(l.value, ui.T("after %d days", l.days), l.days)
	}
	option("never", ui.T("never"), 0)
	if p.day() != "" {
		f.Options, f.Value = append(f.Options, ui.Option{Text: ui.T("on the day below")}), ""
	} else if !slices.ContainsFunc(f.Options, func(o ui.Option) bool { return o.Value == f.Value }) {
		f.Options = append(f.Options, ui.Option{Value: f.Value, Text: f.Value})
	}
	return f
}

// day is the end, if it is said as a day.
func (p newKeyPage) day() string {
	if _, err := time.Parse(time.DateOnly, p.visit.expiry()); err != nil {
		return ""
	}
	return p.visit.expiry()
}

// dayField is the other way to say the end; it counts when it is filled in.
func (p newKeyPage) dayField() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "expires_at", ID: "f-expires-at-day", Label: ui.T("Or after this day"), Optional: true,
		Hint: ui.T("In the organization's time zone. Filled in, it counts instead.")}, Type: "date", Value: p.day()}
}

// template is the name that the charter suggests, with the person filled in; empty without one.
func (p newKeyPage) template() string {
	return strings.ReplaceAll(p.visit.Service.Charter().Rules.Keys.NameTemplate, "{person}", p.visit.personName())
}

// name is the key's name. One that says no more than the template does not say what the key is for.
func (p newKeyPage) name() string {
	name := p.visit.form.value("name")
	if begin, _, ok := strings.Cut(p.template(), "{purpose}"); ok && name == strings.TrimSpace(begin) {
		return ""
	}
	return name
}

func (p newKeyPage) nameField() ui.InputProps {
	begin, _, _ := strings.Cut(p.template(), "{purpose}")
	f := ui.InputProps{FieldProps: ui.FieldProps{Name: "name", Label: ui.T("Name"), Error: p.visit.form.error("name"), Hint: ui.T("What the key is for, so that others can tell.")},
		Value: p.visit.form.or("name", begin), MaxLength: "100", Placeholder: ui.T("nightly build")}
	if p.template() != "" {
		f.Hint = ui.T("Names here read: %s", p.nameHint())
	}
	return f
}

// nameHint is the charter's template as people read it.
func (p newKeyPage) nameHint() string {
	return strings.ReplaceAll(p.template(), "{purpose}", ui.T("what it is for"))
}

// limited reports whether the form limits the key to something.
func (p newKeyPage) limited() bool {
	return p.visit.form.value("resources") != "" || p.visit.form.value("networks") != "" || p.visit.form.error("resources") != "" || p.visit.form.error("networks") != ""
}

// namesNobody reports whether the charter wants the owner's name in a key's, and it is not there.
func (p newKeyPage) namesNobody() bool {
	return strings.Contains(p.visit.Service.Charter().Rules.Keys.NameTemplate, "{person}") && !strings.Contains(strings.ToLower(p.name()), strings.ToLower(p.visit.personName()))
}

// kindTabs lead from one kind to the other; none where there is one.
func (p newKeyPage) kindTabs() ui.TabsProps {
	tabs := ui.TabsProps{Label: ui.T("Kind of key")}
	for _, kind := range p.visit.Service.Charter().Rules.Keys.Kinds {
		if p.visit.can(p.visit.makes(kind)) {
			tabs.Tabs = append(tabs.Tabs, ui.Tab{Text: kindWord(kind), Current: kind == p.kind,
				Href: asking(p.visit.keysHref("/new"), "kind", string(kind), "name", p.visit.form.value("name"))})
		}
	}
	return tabs
}

// otherKinds say why the viewer cannot make keys of another kind that the charter has.
func (p newKeyPage) otherKinds() (all []string) {
	for _, kind := range p.visit.Service.Charter().Rules.Keys.Kinds {
		if d := p.visit.may(p.visit.makes(kind)); !d.Allow {
			all = append(all, ui.T("%s keys: %s", kindWord(kind), refusalText(p.visit, d)))
		}
	}
	return all
}

func (p newKeyPage) accountField() ui.SelectProps {
	f := ui.SelectProps{FieldProps: ui.FieldProps{Name: "service_account", Label: ui.T("Acts as"), Error: p.visit.form.error("service_account"),
		Hint: ui.T("The keys of a service account may at most what its role holds, and end with it.")}, Value: p.visit.form.value("service_account"),
		Options: []ui.Option{{Text: ui.T("The organization itself")}}}
	for _, a := range p.accounts {
		f.Options = append(f.Options, ui.Option{Value: a.ID, Text: ui.T("%s (%s)", a.Name, a.RoleTitle)})
	}
	return f
}

// resourceField limits a key to single resources, where the charter has types of them.
func (v *visit) resourceField() ui.TextareaProps {
	kinds := v.resourceKinds()
	return ui.TextareaProps{FieldProps: ui.FieldProps{Name: "resources", Label: ui.T("Only on these resources"), Optional: true, Error: v.form.error("resources"),
		Hint: ui.T("A type and an id, or * for all of a type; types are %s. Permissions that are about none of them are then refused.", strings.Join(kinds, ", "))},
		Value: strings.Join(words(v.form.values["resources"]), "\n"), Placeholder: kinds[0] + ":...", Mono: true}
}

// resourceKinds are the charter's types of resource, in order.
func (v *visit) resourceKinds() (kinds []string) {
	for kind := range v.Service.Charter().Resources {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

func (v *visit) networkField() ui.TextareaProps {
	return ui.TextareaProps{FieldProps: ui.FieldProps{Name: "networks", Label: ui.T("Only from these addresses"), Optional: true, Error: v.form.error("networks"),
		Hint: ui.T("Addresses and ranges, one a line. Empty: from anywhere.")},
		Value: strings.Join(words(v.form.values["networks"]), "\n"), Placeholder: "203.0.113.0/24", Mono: true}
}

// actsAs says for whom the key acts.
func (p newKeyPage) actsAs() string {
	switch a := p.account(); {
	case p.kind == charter.PersonalKey:
		return ui.T("This key acts as you in %s.", p.visit.organization.Name)
	case a != nil:
		return ui.T("This key acts as the service account %s in %s.", a.Name, p.visit.organization.Name)
	}
	return ui.T("This key acts as %s itself.", p.visit.organization.Name)
}

// sentence says what the key would be that the form asks for.
func (p newKeyPage) sentence() string {
	return strings.Join(append([]string{p.actsAs()}, p.visit.limitsInWords(p.visit.scoping(p.scopes.chosen()))...), " ")
}

// limitsInWords says what something may, where, from where and until when.
func (v *visit) limitsInWords(s credential.Scoping) []string {
	said := v.inWords(s.Permissions)
	if len(said) == 0 {
		return []string{ui.T("It may do nothing yet.")}
	}
	all := []string{ui.T("It may: %s.", shortened(said, "; "))}
	if len(s.Resources) > 0 {
		all = append(all, ui.T("Only on %s.", listed(s.Resources)))
	}
	if len(s.Networks) > 0 {
		all = append(all, ui.T("Only from %s.", listed(s.Networks)))
	}
	return append(all, v.endInWords(s.ExpiresAt))
}

// endInWords says when something ends that a form asks for.
func (v *visit) endInWords(end string) string {
	if at, err := time.Parse(time.RFC3339, end); err == nil {
		return ui.T("Until %s.", at.In(v.zone()).Add(-time.Microsecond).Format("2 Jan 2006"))
	}
	for _, l := range lives {
		if end == l.value {
			return ui.T("Until %s, in %d days.", v.now.AddDate(0, 0, l.days).Format("2 Jan 2006"), l.days)
		}
	}
	if end == "never" {
		return ui.T("It never expires.")
	}
	return ui.T("For %s.", end)
}

// shortened puts parts one after the other, and counts the rest after a dozen.
func shortened(parts []string, between string) string {
	const most = 12
	if len(parts) > most {
		parts = append(slices.Clone(parts[:most-1]), ui.T("%d more", len(parts)-most+1))
	}
	return strings.Join(parts, between)
}

// listed puts parts of a sentence together.
func listed(parts []string) string {
	if last := len(parts) - 1; last > 0 {
		return ui.T("%s and %s", strings.Join(parts[:last], ", "), parts[last])
	}
	return strings.Join(parts, "")
}

// carried are the form's values for the form of the summary.
func (p newKeyPage) carried(step string) []ui.Hidden {
	in := p.input()
	all := []ui.Hidden{{Name: keyField, Value: p.visit.newKey()}, {Name: stepField, Value: step}, {Name: "name", Value: p.visit.form.value("name")},
		{Name: "kind", Value: string(p.kind)}, {Name: "service_account", Value: in.ServiceAccount}, {Name: "expires_at", Value: p.visit.expiry()},
		{Name: "resources", Value: strings.Join(in.Resources, "\n")}, {Name: "networks", Value: strings.Join(in.Networks, "\n")}}
	for _, id := range in.Permissions {
		all = append(all, ui.Hidden{Name: permissionsField, Value: string(id)})
	}
	return all
}

// chosenPermissions are those that the key gets, as people read them.
func (p newKeyPage) chosenPermissions() ui.DiffProps {
	return ui.DiffProps{Added: p.visit.permissions(p.scopes.chosen())}
}
