package console

import (
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func keysPages() []page {
	return []page{{"GET /o/{slug}/settings/api-keys", member, showKeys}}
}

// creating are the permissions of which one is enough to create a key of some kind.
var creating = []charter.Permission{"keys.create", "keys.create_own"}

// readingKeys are those of which one is enough to see keys, if only one's own.
var readingKeys = append([]charter.Permission{"keys.view", "keys.inspect"}, creating...)

// canAny reports whether the viewer holds one of the permissions.
func (v *visit) canAny(permissions []charter.Permission) bool {
	return slices.ContainsFunc(permissions, v.can)
}

// keyPolicy says how long keys live at most, in a few words; empty: there is no limit.
func (v *visit) keyPolicy() string {
	most := v.Service.Charter().Rules.Keys.MaxAge
	if most == 0 {
		return ""
	}
	return ui.N(int(most/(24*time.Hour)), "keys live 1 day at most", "keys live %d days at most")
}

// firstOf is the first of the permissions that the viewer holds, else the first of all.
func (v *visit) firstOf(permissions []charter.Permission) charter.Permission {
	for _, p := range permissions {
		if v.can(p) {
			return p
		}
	}
	return permissions[0]
}

// demandAny refuses viewers who hold none of the permissions, in the words of the first that the charter has.
func (v *visit) demandAny(permissions []charter.Permission) error {
	if v.canAny(permissions) {
		return nil
	}
	needed := permissions[0]
	for _, p := range slices.Backward(permissions) {
		if _, ok := v.Service.Charter().Info(p); ok {
			needed = p
		}
	}
	return v.Service.View(v.ctx, v.caller, v.organization.Slug, func(r *op.Reader) error { return r.Demand(v.ctx, needed) })
}

// keysPage is the list of keys, with what the viewer may do about each.
type keysPage struct {
	visit *visit
	list  op.List[credential.Key]
}

func showKeys(v *visit) error {
	p := keysPage{visit: v}
	var err error
	p.list, err = credential.ListKeys.Call(v.ctx, v.Service, credential.ListKeysInput{InOrganization: v.inOrg(), Page: v.pageOf(),
		Kind: charter.KeyKind(v.form.value("kind")), State: v.form.value("state"), Owner: v.form.value("owner"),
		Unused: v.form.value("unused"), Query: v.form.value("q")})
	if err != nil && !v.again(err) {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("API keys"), Lede: ui.T("What programs prove themselves with to %s.", v.organization.Name), Crumb: v.settingsCrumb(),
		Actions: ui.Button(v.createKeyVerb()), Ways: v.same(credential.ListKeys, v.form.filters(keyFilters...)...)}, p.show())
}

// keyFilters are the filters of the list.
var keyFilters = []string{"q", "kind", "state", "owner", "unused"}

// createKeyVerb is the verb that the page exists for.
func (v *visit) createKeyVerb() ui.ButtonProps {
	b := ui.ButtonProps{Text: ui.T("Create a key"), Icon: "plus", Kind: ui.Primary, Href: v.keysHref("/new"), Hotkey: "n"}
	if v.canAny(creating) {
		return b
	}
	return v.verb(creating[0], b)
}

// keysHref is the address of a path below the list of keys: keysHref("/new").
func (v *visit) keysHref(path string) string { return v.org("/settings/api-keys" + path) }

// keyHref is the address of a key's page, or of one of its verbs.
func (v *visit) keyHref(id, verb string) string {
	return strings.TrimSuffix(v.keysHref("/"+id+"/"+verb), "/")
}

func (v *visit) keysCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("API keys"), Href: v.keysHref("")}
}

// wholeRows reports whether the list can have rows that are shown in full.
func (p keysPage) wholeRows() bool { return p.visit.can("keys.inspect") || p.visit.canAny(creating) }

func (p keysPage) table() ui.TableProps {
	t := ui.TableProps{ID: "keys", Caption: ui.T("API keys"), Empty: p.none(), Pager: pagerOf(p.visit.keysHref(""), p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("Created")}, {Title: ui.T("Expires")}}}
	if p.wholeRows() {
		t.Columns = []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("May")}, {Title: ui.T("Made by")}, {Title: ui.T("Expires")}, {Title: ui.T("Last used")},
			{Title: ui.T("State")}, {Title: ui.T("Actions"), Acts: true}}
	}
	for _, k := range p.list.Data {
		t.Rows = append(t.Rows, p.row(p.visit.withUse(k)))
	}
	return t
}

// row is as much of a key as the viewer was given.
func (p keysPage) row(k credential.Key) ui.Row {
	if !p.wholeRows() {
		return ui.Row{Cells: []templ.Component{ui.Text(k.Name), p.visit.at(k.CreatedAt), p.visit.expiryOf(k)}}
	}
	if k.ID == "" {
		hidden := ui.Muted(ui.T("not shown to you"))
		return ui.Row{Cells: []templ.Component{ui.Text(k.Name), hidden, ui.Join(ui.Muted(ui.T("made")), p.visit.at(k.CreatedAt)), p.visit.expiryOf(k), hidden, hidden, templ.NopComponent}}
	}
	return ui.Row{ID: k.ID, Over: over(k), Cells: []templ.Component{
		p.visit.keyName(k), ui.Text(p.visit.shortScopes(k)), p.visit.madeBy(k), p.visit.expiryOf(k), p.visit.lastUse(k), p.visit.keyBadges(k), p.keyMenu(k)}}
}

// over reports whether a key does not work any more.
func over(k credential.Key) bool { return k.State == "expired" || k.State == "revoked" }

// shortScopes says in a few words what a key may.
func (v *visit) shortScopes(k credential.Key) string {
	said := v.inWords(k.Permissions)
	if len(said) == 0 {
		return ui.T("nothing")
	}
	text := said[0]
	if len(said) > 1 {
		text = ui.T("%s, and %d more", text, len(said)-1)
	}
	if len(k.Resources) > 0 {
		text = ui.T("%s; on %s only", text, ui.N(len(k.Resources), "1 resource", "%d resources"))
	}
	return capitalised(text)
}

// creatorName is who made a key.
func creatorName(k credential.Key) string {
	if k.Creator == nil {
		return ui.T("no person")
	}
	return k.Creator.Name
}

// expiryOf shows when a key ends, and warns of an end that is near.
func (v *visit) expiryOf(k credential.Key) component {
	switch {
	case k.ExpiresAt.IsZero():
		return ui.Muted(ui.T("never"))
	case expiresSoon(k, v.now):
		return ui.Badge(ui.BadgeProps{Text: ui.Relative(k.ExpiresAt, v.now, time.UTC), Tone: ui.Warn})
	}
	return v.at(k.ExpiresAt)
}

// soon is how long before its end a key is warned about, and unusedFor how long an unused one is left alone.
const (
	soon      = 14 * 24 * time.Hour
	unusedFor = 90 * 24 * time.Hour
)

func expiresSoon(k credential.Key, now time.Time) bool {
	return !over(k) && !k.ExpiresAt.IsZero() && k.ExpiresAt.After(now) && k.ExpiresAt.Sub(now) < soon
}

// keyState is a key's state as a word.
func keyState(k credential.Key) ui.BadgeProps {
	switch k.State {
	case "active":
		return ui.BadgeProps{Text: ui.T("Active"), Tone: ui.OK}
	case "left_behind":
		return ui.BadgeProps{Text: ui.T("Left behind"), Tone: ui.Warn}
	case "expired":
		return ui.BadgeProps{Text: ui.T("Expired")}
	}
	return ui.BadgeProps{Text: ui.T("Revoked")}
}

// warning is something about a key that asks for a look.
type warning struct{ short, text string } // short: empty where a list shows it otherwise

// keyWarnings are those of a key that lives.
func (v *visit) keyWarnings(k credential.Key) []warning {
	all := v.keyTroubles(k)
	if !over(k) && v.administers(k.Permissions) {
		all = append(all, warning{ui.T("Administers"), ui.T("It may change who has access, or other settings of the organization. Narrow it if it need not.")})
	}
	return all
}

// keyTroubles are the warnings that somebody has to see to.
func (v *visit) keyTroubles(k credential.Key) (all []warning) {
	if over(k) {
		return nil
	}
	if k.State == "left_behind" {
		all = append(all, warning{ui.T("Left behind"), ui.T("%s, who made it, is no longer a member. It keeps what they held then, until somebody revokes it.", creatorName(k))})
	}
	if k.Creator != nil && (k.Creator.Status == "suspended" || k.Creator.Status == "ended") {
		all = append(all, warning{ui.T("Does not work now"), ui.T("The membership of %s, who made it, is not active: the key is refused until it is.", creatorName(k))})
	}
	if k.RotatedTo != "" {
		all = append(all, warning{ui.T("Rotated"), ui.T("Another key has taken its place. It goes on until it expires, so that programs can move over.")})
	}
	if expiresSoon(k, v.now) {
		all = append(all, warning{"", ui.T("It expires %s.", ui.Relative(k.ExpiresAt, v.now, time.UTC))})
	}
	if unused(k, v.now) {
		all = append(all, warning{ui.T("Unused for 90 days"), ui.T("Nobody has used it for 90 days. Revoke it if nothing needs it.")})
	}
	return all
}

func unused(k credential.Key, now time.Time) bool {
	last := k.LastUsedAt
	if last.IsZero() {
		last = k.CreatedAt
	}
	return now.Sub(last) >= unusedFor
}

// owns reports whether the viewer made a key.
func (v *visit) owns(k credential.Key) bool {
	return k.Creator != nil && k.Creator.User == v.actor.User
}

// makes is the permission with which the viewer may make keys of a kind; without any, the one that is asked for.
func (v *visit) makes(kind charter.KeyKind) charter.Permission {
	_, own := v.Service.Charter().Info("keys.create_own")
	if kind == charter.OrganizationKey || !own || v.can("keys.create") {
		return "keys.create"
	}
	return "keys.create_own"
}

// keyItems are the verbs of a key that the viewer may use, by the permissions of the operations; what the key itself
// stands against, the operation says.
func (v *visit) keyItems(k credential.Key) (items []ui.MenuItem) {
	mine := v.owns(k) && v.can(v.makes(k.Kind))
	for _, i := range []struct {
		allowed          bool
		text, icon, verb string
		danger           bool
	}{
		{!over(k) && (mine || v.can("keys.rename") || v.can("keys.revoke")), ui.T("Rename or narrow"), "pencil", "edit", false},
		{!over(k) && k.RotatedTo == "" && k.State == "active" && v.mayRotate(k, mine), ui.T("Rotate"), "rotate-ccw", "rotate", false},
		{k.State != "revoked" && (mine || v.can("keys.revoke")), ui.T("Revoke"), "trash-2", "revoke", true},
	} {
		if i.allowed {
			items = append(items, ui.MenuItem{Text: i.text, Icon: i.icon, Href: v.keyHref(k.ID, i.verb), Dialog: i.verb == "revoke", Danger: i.danger})
		}
	}
	return items
}

// keysMadeBy are the latest keys of a member, for those who may look into keys, and for the member.
func (v *visit) keysMadeBy(m directory.Member) ([]credential.Key, error) {
	if !v.can("keys.inspect") && (m.User != v.actor.User || !v.canAny(creating)) {
		return nil, nil
	}
	list, err := credential.ListKeys.Call(v.ctx, v.Service, credential.ListKeysInput{InOrganization: v.inOrg(), Owner: m.User})
	return list.Data, err
}

// keyFacts list keys by name, each with its state and last use.
func (v *visit) keyFacts(keys []credential.Key) []ui.Fact {
	facts := make([]ui.Fact, len(keys))
	for i, k := range keys {
		facts[i] = ui.Fact{Name: k.Name, Value: ui.Join(ui.Link(ui.LinkProps{Text: k.Display, Href: v.keyHref(k.ID, "")}), v.keyBadges(k))}
	}
	return facts
}

// mayRotate reports whether the viewer may be shown the secret of a key's successor, as the operation asks again.
func (v *visit) mayRotate(k credential.Key, mine bool) bool {
	if k.Kind == charter.PersonalKey {
		return mine
	}
	return v.can("keys.create") && (mine || v.can("keys.revoke"))
}

func (p keysPage) keyMenu(k credential.Key) component {
	items := p.visit.keyItems(k)
	if len(items) == 0 {
		return templ.NopComponent
	}
	return ui.Menu(ui.MenuProps{ID: "menu-" + k.ID, Label: ui.T("Actions for %s", k.Name), Items: items})
}

// filtered reports whether the address filters the list.
func (p keysPage) filtered() bool {
	return slices.ContainsFunc(keyFilters, func(name string) bool { return p.visit.form.value(name) != "" })
}

// repeated is the page's main verb where it stands a second time.
func repeated(b ui.ButtonProps) ui.ButtonProps {
	b.Kind, b.Hotkey, b.ID = ui.Default, "", "again"
	return b
}

func (p keysPage) none() component {
	if p.filtered() {
		return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No key matches these filters."), Verb: &ui.ButtonProps{Text: ui.T("Clear filters"), Href: p.visit.keysHref("")}})
	}
	verb := repeated(p.visit.createKeyVerb())
	return ui.EmptyState(ui.EmptyStateProps{Sentence: p.visit.aboutKinds(), Verb: &verb,
		Docs:    ui.LinkProps{Text: ui.T("How keys work"), Href: p.visit.href("/docs/keys")},
		Command: p.visit.same(credential.CreateKey, "name", "ci", "expires_at", "90d").Command})
}

// aboutKinds says which keys the charter has.
func (v *visit) aboutKinds() string {
	rules := v.Service.Charter().Rules.Keys
	text := ui.T("There are no keys yet.")
	if rules.Allows(charter.PersonalKey) {
		text += " " + aboutPersonal(rules.AfterCreatorLeaves)
	}
	if rules.Allows(charter.OrganizationKey) {
		text += " " + ui.T("An organization key acts as the organization or a service account, and stays whoever leaves.")
	}
	return text
}

func aboutPersonal(after charter.AfterLeaving) string {
	if after == charter.KeepKeys {
		return ui.T("A personal key acts as you, cut down to what you choose; when you leave it stays until somebody revokes it.")
	}
	return ui.T("A personal key acts as you, cut down to what you choose, and ends with your membership.")
}

func (p keysPage) filters() ui.FilterBarProps {
	bar := ui.FilterBarProps{Action: p.visit.keysHref(""), ClearHref: p.visit.keysHref(""), Search: ui.InputProps{
		FieldProps: ui.FieldProps{Name: "q", Label: ui.T("Search keys"), HideLabel: true}, Type: "search",
		Value: p.visit.form.value("q"), Placeholder: ui.T("Name"), Hotkey: "/"}}
	for _, f := range []struct{ name, text string }{
		{"q", ui.T("Text: %s", p.visit.form.value("q"))}, {"kind", ui.T("Kind: %s", p.visit.form.value("kind"))},
		{"state", ui.T("State: %s", keyState(credential.Key{State: p.visit.form.value("state")}).Text)},
		{"owner", p.ownerChip()}, {"unused", ui.T("Unused for %s", p.visit.form.value("unused"))},
	} {
		bar.Chips = append(bar.Chips, p.visit.chip(p.visit.keysHref(""), f.name, f.text)...)
	}
	return bar
}

func (p keysPage) ownerChip() string {
	if p.visit.form.value("owner") == p.visit.actor.User {
		return ui.T("Made by you")
	}
	return ui.T("Made by %s", p.visit.form.value("owner"))
}

// filter is a select of the filters that stays without a label.
func (p keysPage) filter(name, label string, options ...ui.Option) ui.SelectProps {
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: name, Label: label, HideLabel: true, Error: p.visit.form.error(name)}, Value: p.visit.form.value(name), Options: options}
}

// selects are the filters beside the text.
func (p keysPage) selects() (all []ui.SelectProps) {
	if len(p.visit.Service.Charter().Rules.Keys.Kinds) > 1 {
		all = append(all, p.filter("kind", ui.T("Kind"), ui.Option{Text: ui.T("Any kind")},
			ui.Option{Value: string(charter.PersonalKey), Text: ui.T("Personal")}, ui.Option{Value: string(charter.OrganizationKey), Text: ui.T("Organization")}))
	}
	state := p.filter("state", ui.T("State"), ui.Option{Text: ui.T("Any state")})
	for _, name := range []string{"active", "left_behind", "expired", "revoked"} {
		state.Options = append(state.Options, ui.Option{Value: name, Text: keyState(credential.Key{State: name}).Text})
	}
	all = append(all, state)
	if p.visit.can("keys.inspect") {
		owner := p.filter("owner", ui.T("Made by"), ui.Option{Text: ui.T("Anybody")}, ui.Option{Value: p.visit.actor.User, Text: ui.T("You")})
		if other := p.visit.form.value("owner"); other != "" && other != p.visit.actor.User {
			owner.Options = append(owner.Options, ui.Option{Value: other, Text: other})
		}
		all = append(all, owner)
	}
	return append(all, p.filter("unused", ui.T("Use"), ui.Option{Text: ui.T("Used or not")}, ui.Option{Value: "90d", Text: ui.T("Unused for 90 days")}))
}
