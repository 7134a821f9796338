package console

import (
	"net/http"
	"strconv"

	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func tokensPages() []page {
	return []page{
		{"GET /o/{slug}/settings/tokens", member, showTokens},
		{"GET /o/{slug}/settings/tokens/new", member, askToken},
		{"POST /o/{slug}/settings/tokens/new", member, newToken},
		{"GET /o/{slug}/settings/tokens/{scoped}/revoke", member, askTokenEnd},
		{"POST /o/{slug}/settings/tokens/{scoped}/revoke", member, revokeToken},
	}
}

// readingTokens are the permissions of which one is enough to see tokens.
var readingTokens = []charter.Permission{"tokens.create", "keys.inspect"}

// tokensPage is the list of scoped tokens.
type tokensPage struct {
	visit *visit
	list  op.List[credential.Token]
}

func showTokens(v *visit) error {
	p := tokensPage{visit: v}
	var err error
	p.list, err = credential.ListTokens.Call(v.ctx, v.Service, credential.ListTokensInput{InOrganization: v.inOrg(), Page: v.pageOf(),
		State: v.form.value("state"), Key: v.form.value("key")})
	if err != nil && !v.again(err) {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Scoped tokens"), Lede: ui.T("Derived from a session or a key: narrower, shorter-lived, and never more than what they are derived from."),
		Crumb: v.settingsCrumb(), Actions: ui.Button(v.newTokenVerb()), Ways: v.same(credential.ListTokens, v.form.filters("state", "key")...)}, p.show())
}

func (v *visit) tokensHref(path string) string { return v.org("/settings/tokens" + path) }

func (v *visit) newTokenVerb() ui.ButtonProps {
	return v.verb("tokens.create", ui.ButtonProps{Text: ui.T("Derive a token"), Icon: "plus", Kind: ui.Primary, Href: v.tokensHref("/new"), Hotkey: "n"})
}

// tokenName is what a token is called; one without a name by how it begins and ends.
func tokenName(t credential.Token) string {
	if t.Name == "" {
		return t.Display
	}
	return t.Name
}

func (p tokensPage) table() ui.TableProps {
	t := ui.TableProps{ID: "tokens", Caption: ui.T("Scoped tokens"), Empty: p.none(), Pager: pagerOf(p.visit.tokensHref(""), p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("May")}, {Title: ui.T("Derived from")}, {Title: ui.T("Made by")}, {Title: ui.T("Expires")}, {Title: ui.T("Last used")}, {Title: ui.T("State")}, {Title: ui.T("Actions"), Acts: true}}}
	for _, token := range p.list.Data {
		t.Rows = append(t.Rows, p.row(token))
	}
	return t
}

func (p tokensPage) row(t credential.Token) ui.Row {
	var act component = templ.NopComponent
	if t.State == "active" && (p.visit.ownsToken(t) || p.visit.can("keys.revoke")) {
		act = ui.Button(ui.ButtonProps{Text: ui.T("Revoke"), Small: true, Dialog: true, Href: p.visit.tokensHref("/" + t.ID + "/revoke")})
	}
	used := p.visit.maybe(nil, ui.T("not yet"))
	if !t.LastUsedAt.IsZero() {
		used = p.visit.at(t.LastUsedAt)
	}
	return ui.Row{ID: t.ID, Over: t.State != "active", Cells: []templ.Component{
		ui.Text(tokenName(t)), ui.Text(p.visit.tokenScopes(t)), p.visit.tokenRoot(t), ui.Text(p.visit.tokenMaker(t)), p.visit.at(t.ExpiresAt), used,
		ui.Badge(keyState(credential.Key{State: t.State})), act}}
}

func (v *visit) ownsToken(t credential.Token) bool {
	return t.Creator != nil && t.Creator.User == v.actor.User
}

func (v *visit) tokenMaker(t credential.Token) string {
	if v.ownsToken(t) {
		return ui.T("You")
	}
	return creatorName(credential.Key{Creator: t.Creator})
}

// tokenScopes says in a few words what a token may.
func (v *visit) tokenScopes(t credential.Token) string {
	text := v.shortScopes(credential.Key{Permissions: t.Permissions, Resources: t.Resources})
	if t.ReadOnly {
		text = ui.T("%s; reads only", text)
	}
	if t.Budget > 0 {
		text = ui.T("%s; %s of %s requests", text, strconv.FormatInt(t.BudgetUsed, 10), strconv.FormatInt(t.Budget, 10))
	}
	return text
}

// tokenRoot leads to what a token dies with.
func (v *visit) tokenRoot(t credential.Token) component {
	switch {
	case t.Key != "":
		return ui.Link(ui.LinkProps{Text: ui.T("a key"), Href: v.keyHref(t.Key, "")})
	case v.ownsToken(t):
		return ui.Link(ui.LinkProps{Text: ui.T("a session of yours"), Href: v.href("/account/sessions")})
	}
	return ui.Text(ui.T("a session"))
}

// tokenFacts list tokens by name.
func (v *visit) tokenFacts(tokens []credential.Token) []ui.Fact {
	facts := make([]ui.Fact, len(tokens))
	for i, t := range tokens {
		facts[i] = ui.Fact{Name: tokenName(t), Value: ui.Join(ui.Text(v.tokenScopes(t)), ui.Text(ui.T("expires")), v.at(t.ExpiresAt))}
	}
	return facts
}

func (p tokensPage) none() component {
	if p.visit.form.value("state") != "" || p.visit.form.value("key") != "" {
		return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No token matches these filters."), Verb: &ui.ButtonProps{Text: ui.T("Clear filters"), Href: p.visit.tokensHref("")}})
	}
	verb := repeated(p.visit.newTokenVerb())
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("A token is for one job: a few permissions, single resources, an end within 30 days, a number of requests."), Verb: &verb,
		Command: p.visit.same(credential.CreateToken, "name", "preview", "expires_at", "1h").Command})
}

func (p tokensPage) filters() ui.FilterBarProps {
	bar := ui.FilterBarProps{Action: p.visit.tokensHref(""), ClearHref: p.visit.tokensHref("")}
	bar.Chips = append(p.visit.chip(p.visit.tokensHref(""), "state", ui.T("State: %s", keyState(credential.Key{State: p.visit.form.value("state")}).Text)),
		p.visit.chip(p.visit.tokensHref(""), "key", ui.T("Derived from %s", p.visit.form.value("key")))...)
	return bar
}

func (p tokensPage) stateFilter() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "state", Label: ui.T("State"), HideLabel: true, Error: p.visit.form.error("state")}, Value: p.visit.form.value("state"), Options: []ui.Option{{Text: ui.T("Any state")}}}
	for _, name := range []string{"active", "expired", "revoked"} {
		s.Options = append(s.Options, ui.Option{Value: name, Text: keyState(credential.Key{State: name}).Text})
	}
	return s
}

// newTokenPage asks what a token of the session is to be.
type newTokenPage struct {
	visit  *visit
	scopes scopeForm
}

func (v *visit) newTokenPage() (newTokenPage, error) {
	p := newTokenPage{visit: v}
	if err := v.demandAny([]charter.Permission{"tokens.create"}); err != nil {
		return p, err
	}
	var err error
	p.scopes, err = v.scopeForm(func(charter.Info) string { return "" })
	return p, err
}

func askToken(v *visit) error {
	p, err := v.newTokenPage()
	if err != nil {
		return err
	}
	return p.show()
}

func (p newTokenPage) show() error {
	return p.visit.page(ui.PageProps{Title: ui.T("Derive a token"), Lede: ui.T("It acts as you, ends with this session at the latest, and never lives longer than 30 days."),
		Crumb: ui.LinkProps{Text: ui.T("Scoped tokens"), Href: p.visit.tokensHref("")}, Ways: p.ways()}, p.first())
}

func (p newTokenPage) ways() ui.Ways {
	return p.visit.same(credential.CreateToken, "name", p.visit.form.or("name", "preview"), "expires_at", p.life())
}

// life is how long the token lives.
func (p newTokenPage) life() string { return p.visit.form.or("expires_at", "1h") }

func (p newTokenPage) lifeField() ui.SelectProps {
	return ui.SelectProps{FieldProps: ui.FieldProps{Name: "expires_at", Label: ui.T("Expires"), Error: p.visit.form.error("expires_at")}, Value: p.life(),
		Options: []ui.Option{{Value: "15m", Text: ui.T("after 15 minutes")}, {Value: "1h", Text: ui.T("after 1 hour")}, {Value: "24h", Text: ui.T("after 24 hours")},
			{Value: "7d", Text: ui.T("after 7 days")}, {Value: "30d", Text: ui.T("after 30 days")}}}
}

func (p newTokenPage) budgetField() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "budget", Label: ui.T("Number of requests"), Optional: true, Hint: ui.T("It ends when they are made. Empty: any number."), Error: p.visit.form.error("budget")},
		Value: p.visit.form.value("budget"), InputMode: "numeric"}
}

func newToken(v *visit) error {
	p, err := v.newTokenPage()
	if err != nil {
		return err
	}
	in, ok := p.input()
	if !ok {
		return p.show()
	}
	made, err := credential.CreateToken.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return p.show()
	}
	if err != nil {
		return err
	}
	return v.pageAs(http.StatusOK, ui.PageProps{Title: ui.T("Store the token %s", tokenName(made.Token)), Crumb: ui.LinkProps{Text: ui.T("Scoped tokens"), Href: v.tokensHref("")},
		Ways: p.ways()}, v.tokenShown(made))
}

// input reads the form; false: a field is not what it should be.
func (p newTokenPage) input() (credential.CreateTokenInput, bool) {
	in := credential.CreateTokenInput{InOrganization: p.visit.inOrg(), Name: p.visit.form.value("name"), Scoping: p.visit.scoping(p.scopes.chosen()), ReadOnly: p.visit.form.checked("read_only")}
	in.ExpiresAt = p.life()
	if len(in.Permissions) == 0 {
		p.visit.form.say(permissionsField, ui.T("choose at least one permission"))
	}
	if text := p.visit.form.value("budget"); text != "" {
		var err error
		if in.Budget, err = strconv.ParseInt(text, 10, 64); err != nil || in.Budget < 1 {
			p.visit.form.say("budget", ui.T("%q is not a number of requests", text))
		}
	}
	return in, len(p.visit.form.wrong) == 0
}

// token is the token of the address, among those that the viewer sees.
func (v *visit) token() (credential.Token, error) {
	tokens, err := all(func(p op.Page) (op.List[credential.Token], error) {
		return credential.ListTokens.Call(v.ctx, v.Service, credential.ListTokensInput{InOrganization: v.inOrg(), Page: p, State: "active"})
	})
	for _, t := range tokens {
		if t.ID == v.r.PathValue("scoped") {
			return t, nil
		}
	}
	if err == nil {
		err = op.ErrNotFound
	}
	return credential.Token{}, err
}

func askTokenEnd(v *visit) error {
	t, err := v.token()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "revoke-token", title: ui.T("Revoke %s", tokenName(t)), cancel: v.tokensHref(""), fields: v.reasonField(),
		text:   []string{ui.T("It and every token derived from it are refused everywhere when this returns.")},
		submit: ui.ButtonProps{Text: ui.T("Revoke %s", tokenName(t)), Kind: ui.Danger}, ways: v.same(credential.RevokeToken, "token", t.ID)})
}

func revokeToken(v *visit) error {
	in := credential.RevokeTokenInput{InOrganization: v.inOrg(), Token: v.r.PathValue("scoped"), Reason: v.form.value("reason")}
	t, err := credential.RevokeToken.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askTokenEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.tokensHref(""), done(ui.T("The token %s is revoked, with all derived from it.", tokenName(t))))
}
