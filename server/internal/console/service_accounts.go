package console

import (
	"github.com/a-h/templ"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func serviceAccountsPages() []page {
	const one = "/o/{slug}/settings/service-accounts/{account}"
	return []page{
		{"GET /o/{slug}/settings/service-accounts", member, showServiceAccounts},
		{"GET /o/{slug}/settings/service-accounts/new", member, askServiceAccount},
		{"POST /o/{slug}/settings/service-accounts/new", member, newServiceAccount},
		{"GET " + one, member, showServiceAccount},
		{"GET " + one + "/edit", member, askServiceAccountChange},
		{"POST " + one + "/edit", member, changeServiceAccount},
		{"GET " + one + "/delete", member, askServiceAccountEnd},
		{"POST " + one + "/delete", member, deleteServiceAccount},
	}
}

// accountHref is the address of a service account's page, or of one of its verbs.
func (v *visit) accountHref(id, verb string) string {
	if verb == "" {
		return v.org("/settings/service-accounts/" + id)
	}
	return v.org("/settings/service-accounts/" + id + "/" + verb)
}

func (v *visit) accountsCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Service accounts"), Href: v.org("/settings/service-accounts")}
}

// accountsPage is the list of service accounts.
type accountsPage struct {
	visit    *visit
	list     op.List[credential.ServiceAccount]
	managers map[string]string
}

func showServiceAccounts(v *visit) error {
	p := accountsPage{visit: v}
	var err error
	if p.list, err = credential.ListServiceAccounts.Call(v.ctx, v.Service, credential.ListServiceAccountsInput{InOrganization: v.inOrg(), Page: v.pageOf()}); err != nil {
		return err
	}
	if p.managers, err = v.memberNames(); err != nil {
		return err
	}
	props := ui.PageProps{Title: ui.T("Service accounts"), Lede: ui.T("Programs of the organization's own: their keys stay whoever leaves."), Crumb: v.settingsCrumb(),
		Ways: v.same(credential.ListServiceAccounts)}
	if v.hasOrganizationKeys() {
		props.Actions = ui.Button(v.newAccountVerb())
	}
	return v.page(props, p.show())
}

// hasOrganizationKeys reports whether the charter has the keys that act for service accounts.
func (v *visit) hasOrganizationKeys() bool {
	return v.Service.Charter().Rules.Keys.Allows(charter.OrganizationKey)
}

func (v *visit) newAccountVerb() ui.ButtonProps {
	return ui.ButtonProps{Text: ui.T("Create a service account"), Icon: "plus", Kind: ui.Primary, Href: v.org("/settings/service-accounts/new"), Hotkey: "n"}
}

func (p accountsPage) table() ui.TableProps {
	t := ui.TableProps{ID: "service-accounts", Caption: ui.T("Service accounts"), Empty: p.none(), Pager: pagerOf(p.visit.accountsCrumb().Href, p.visit.form.values, p.list.NextCursor),
		Columns: []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("Role")}, {Title: ui.T("Looked after by")}, {Title: ui.T("Keys"), Number: true}, {Title: ui.T("Created")}, {Title: ui.T("Actions"), Acts: true}}}
	for _, a := range p.list.Data {
		t.Rows = append(t.Rows, ui.Row{ID: a.ID, Cells: []templ.Component{
			ui.Person(ui.PersonProps{Name: a.Name, Detail: a.Description, Href: p.visit.accountHref(a.ID, ""), Square: true}), ui.Text(a.RoleTitle), managerOf(a, p.managers),
			ui.Text(ui.T("%d", a.Keys)), p.visit.at(a.CreatedAt),
			ui.Menu(ui.MenuProps{ID: "menu-" + a.ID, Label: ui.T("Actions for %s", a.Name), Items: p.visit.accountItems(a)})}})
	}
	return t
}

// accountItems are the verbs of a service account: whoever may see one may use them.
func (v *visit) accountItems(a credential.ServiceAccount) (items []ui.MenuItem) {
	if v.can("keys.create") {
		items = append(items, ui.MenuItem{Text: ui.T("Create a key"), Icon: "key-round", Href: asking(v.keysHref("/new"), "kind", string(charter.OrganizationKey), "service_account", a.ID)})
	}
	return append(items, ui.MenuItem{Text: ui.T("Change"), Icon: "pencil", Href: v.accountHref(a.ID, "edit")},
		ui.MenuItem{Text: ui.T("Delete"), Icon: "trash-2", Href: v.accountHref(a.ID, "delete"), Dialog: true, Danger: true})
}

func (p accountsPage) none() component {
	if !p.visit.hasOrganizationKeys() {
		return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("This product has personal keys only, and a service account needs keys of the organization.")})
	}
	verb := repeated(p.visit.newAccountVerb())
	return ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("A service account has a role of its own. Its keys go on when people leave, and end together."), Verb: &verb,
		Docs: ui.LinkProps{Text: ui.T("How keys work"), Href: p.visit.href("/docs/keys")}, Command: p.visit.same(credential.CreateServiceAccount, "name", "nightly build", "role", p.visit.lowestRole()).Command})
}

// lowestRole is the role that an example names.
func (v *visit) lowestRole() string { return string(v.Service.Charter().Roles()[0].ID) }

// memberNames are the names of the members by their ids, of as many as one page of the team has; nil for those who may
// not see the team.
func (v *visit) memberNames() (map[string]string, error) {
	if !v.can("members.view") {
		return nil, nil
	}
	list, err := directory.ListMembers.Call(v.ctx, v.Service, directory.ListMembersInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 100}})
	names := map[string]string{}
	for _, m := range list.Data {
		names[m.ID] = m.Label()
	}
	return names, err
}

// managerOf is who looks after a service account.
func managerOf(a credential.ServiceAccount, names map[string]string) component {
	switch {
	case a.Manager == "":
		return ui.Badge(ui.BadgeProps{Text: ui.T("Nobody"), Tone: ui.Warn})
	case names[a.Manager] == "":
		return ui.Code(a.Manager)
	}
	return ui.Text(names[a.Manager])
}

// serviceAccounts are all service accounts.
func (v *visit) serviceAccounts() ([]credential.ServiceAccount, error) {
	return all(func(p op.Page) (op.List[credential.ServiceAccount], error) {
		return credential.ListServiceAccounts.Call(v.ctx, v.Service, credential.ListServiceAccountsInput{InOrganization: v.inOrg(), Page: p})
	})
}

// all reads a list to its end.
func all[T any](list func(op.Page) (op.List[T], error)) (rows []T, err error) {
	for p := (op.Page{Limit: 100}); ; {
		page, err := list(p)
		if err != nil {
			return nil, err
		}
		if rows = append(rows, page.Data...); !page.HasMore {
			return rows, nil
		}
		p.Cursor = page.NextCursor
	}
}

// account is the service account of the address.
func (v *visit) account() (credential.ServiceAccount, error) {
	accounts, err := v.serviceAccounts()
	if err != nil {
		return credential.ServiceAccount{}, err
	}
	for _, a := range accounts {
		if a.ID == v.r.PathValue("account") {
			return a, nil
		}
	}
	return credential.ServiceAccount{}, op.ErrNotFound
}

func (v *visit) oneAccount() credential.ServiceAccountInput {
	return credential.ServiceAccountInput{InOrganization: v.inOrg(), ServiceAccount: v.r.PathValue("account")}
}

// keysOf are the living keys of a service account, as far as the viewer sees them.
func (v *visit) keysOf(a credential.ServiceAccount) ([]credential.Key, error) {
	if !v.canAny(readingKeys) {
		return nil, nil
	}
	keys, err := all(func(p op.Page) (op.List[credential.Key], error) {
		return credential.ListKeys.Call(v.ctx, v.Service, credential.ListKeysInput{InOrganization: v.inOrg(), Page: p, Kind: charter.OrganizationKey, State: "active"})
	})
	var own []credential.Key
	for _, k := range keys {
		if k.ServiceAccount == a.ID {
			own = append(own, v.withUse(k))
		}
	}
	return own, err
}

// accountPage is one service account with its keys.
type accountPage struct {
	visit   *visit
	account credential.ServiceAccount
	keys    []credential.Key
	manager component
}

func showServiceAccount(v *visit) error {
	p := accountPage{visit: v}
	var err error
	if p.account, err = v.account(); err != nil {
		return err
	}
	if p.keys, err = v.keysOf(p.account); err != nil {
		return err
	}
	names, err := v.memberNames()
	if err != nil {
		return err
	}
	p.manager = managerOf(p.account, names)
	return v.page(ui.PageProps{Title: p.account.Name, Lede: p.account.Description, Crumb: v.accountsCrumb(), Ways: v.same(credential.ListServiceAccounts)}, p.show())
}

func (p accountPage) identity() []ui.Fact {
	a := p.account
	return []ui.Fact{{Name: ui.T("Role"), Value: ui.Link(ui.LinkProps{Text: a.RoleTitle, Href: p.visit.org("/settings/roles")})}, {Name: ui.T("Looked after by"), Value: p.manager},
		{Name: ui.T("Created"), Value: p.visit.at(a.CreatedAt)}, {Name: ui.T("Service account id"), Value: ui.Code(a.ID)}}
}

func (p accountPage) table() ui.TableProps {
	t := ui.TableProps{ID: "keys", Caption: ui.T("Its keys"), ShowCaption: true,
		Columns: []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("May")}, {Title: ui.T("Expires")}, {Title: ui.T("Last used")}, {Title: ui.T("State")}},
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: p.noKeys()})}
	for _, k := range p.keys {
		t.Rows = append(t.Rows, ui.Row{ID: k.ID, Cells: []templ.Component{p.visit.keyName(k), ui.Text(p.visit.shortScopes(k)), p.visit.expiryOf(k), p.visit.lastUse(k), p.visit.keyBadges(k)}})
	}
	return t
}

// noKeys says that there are no keys, or that they are not for the viewer to see.
func (p accountPage) noKeys() string {
	if p.account.Keys > 0 {
		return ui.N(p.account.Keys, "It has 1 key, which you may not see.", "It has %d keys, which you may not see.")
	}
	return ui.T("It has no key yet, so nothing acts as it.")
}

// accountForm is the form of a service account, new or not.
type accountForm struct {
	visit *visit
	was   credential.ServiceAccount // as it is now; empty: a new one
	roles []directory.Role
	names map[string]string
}

func (v *visit) accountForm(was credential.ServiceAccount) (accountForm, error) {
	f := accountForm{visit: v, was: was}
	var err error
	if f.roles, err = v.allRoles(); err != nil {
		return f, err
	}
	f.names, err = v.memberNames()
	return f, err
}

func (f accountForm) name() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "name", Label: ui.T("Name"), Hint: ui.T("What it does, so that others can tell."), Error: f.visit.form.error("name")},
		Value: f.visit.form.or("name", f.was.Name), MaxLength: "100", Placeholder: ui.T("nightly build")}
}

func (f accountForm) description() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "description", Label: ui.T("Description"), Optional: true, Error: f.visit.form.error("description")},
		Value: f.visit.form.or("description", f.was.Description), MaxLength: "500"}
}

// role chooses a role: never the owner's, which a program cannot have.
func (f accountForm) role() ui.ChoicesProps {
	var fit []directory.Role
	for _, role := range f.roles {
		if !role.Owner {
			fit = append(fit, role)
		}
	}
	chosen := f.visit.form.or("role", string(f.was.Role))
	if chosen == "" && len(fit) > 0 {
		chosen = fit[0].ID
	}
	p := f.visit.roleChoices(fit, chosen)
	p.Hint = ui.T("Its keys may at most what the role holds, of what organization keys may.")
	return p
}

// manager chooses who looks after it.
func (f accountForm) manager() ui.SelectProps {
	s := ui.SelectProps{FieldProps: ui.FieldProps{Name: "manager", Label: ui.T("Looked after by"), Error: f.visit.form.error("manager")}, Value: f.visit.form.or("manager", f.was.Manager)}
	if s.Value == "" {
		s.Value = f.visit.principal.Member
	}
	for _, id := range sortedByValue(f.names) {
		s.Options = append(s.Options, ui.Option{Value: id, Text: f.names[id]})
	}
	if f.names[s.Value] == "" {
		s.Options = append(s.Options, ui.Option{Value: s.Value, Text: s.Value})
	}
	return s
}

func askServiceAccount(v *visit) error {
	if err := v.demandAny([]charter.Permission{"service_accounts.manage"}); err != nil {
		return err
	}
	f, err := v.accountForm(credential.ServiceAccount{})
	if err != nil {
		return err
	}
	content := f.fields(v.org("/settings/service-accounts/new"), ui.T("Create the service account"))
	if !v.hasOrganizationKeys() {
		content = accountsPage{visit: v}.none()
	}
	return v.page(ui.PageProps{Title: ui.T("Create a service account"), Lede: ui.T("A program of the organization's, with a role of its own."), Crumb: v.accountsCrumb(),
		Ways: v.same(credential.CreateServiceAccount, "name", v.form.or("name", "nightly build"), "role", f.role().Value)}, content)
}

func newServiceAccount(v *visit) error {
	in := credential.CreateServiceAccountInput{InOrganization: v.inOrg(), Name: v.form.value("name"), Description: v.form.value("description"),
		Role: charter.RoleID(v.form.value("role")), Manager: v.form.value("manager")}
	a, err := credential.CreateServiceAccount.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askServiceAccount(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.accountHref(a.ID, ""), done(ui.T("The service account %s is there. Make a key for it next.", a.Name)))
}

func askServiceAccountChange(v *visit) error {
	a, err := v.account()
	if err != nil {
		return err
	}
	f, err := v.accountForm(a)
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Change %s", a.Name), Lede: ui.T("A change of its role is in force on its keys when you save."), Crumb: ui.LinkProps{Text: a.Name, Href: v.accountHref(a.ID, "")},
		Ways: v.same(credential.UpdateServiceAccount, "service_account", a.ID, "role", f.role().Value)}, f.fields(v.accountHref(a.ID, "edit"), ui.T("Save")))
}

func changeServiceAccount(v *visit) error {
	in := credential.UpdateServiceAccountInput{ServiceAccountInput: v.oneAccount()}
	for name, field := range map[string]**string{"name": &in.Name, "description": &in.Description, "manager": &in.Manager} {
		if v.form.values.Has(name) {
			*field = new(v.form.value(name))
		}
	}
	if role := charter.RoleID(v.form.value("role")); role != "" {
		in.Role = &role
	}
	a, err := credential.UpdateServiceAccount.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askServiceAccountChange(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.accountHref(a.ID, ""), done(ui.T("The service account %s is changed, and its keys with it.", a.Name)))
}

// askServiceAccountEnd lists the keys that end with it.
func askServiceAccountEnd(v *visit) error {
	a, err := v.account()
	if err != nil {
		return err
	}
	keys, err := v.keysOf(a)
	if err != nil {
		return err
	}
	c := confirmation{id: "delete-account", title: ui.T("Delete %s", a.Name), version: a.ETag(), cancel: v.accountHref(a.ID, ""),
		text:   []string{ui.T("It cannot be taken back."), ui.N(a.Keys, "1 key ends with it, at once.", "%d keys end with it, at once.")},
		submit: ui.ButtonProps{Text: ui.T("Delete %s", a.Name), Kind: ui.Danger}, ways: v.same(credential.DeleteServiceAccount, "service_account", a.ID)}
	for _, k := range keys {
		c.affected = append(c.affected, ui.Fact{Name: k.Name, Value: ui.Join(ui.Code(k.Display), ui.Text(v.lastUseText(k)))})
	}
	return v.ask(c)
}

func deleteServiceAccount(v *visit) error {
	a, err := credential.DeleteServiceAccount.Call(v.ctx, v.Service, v.oneAccount(), v.form.options()...)
	if v.again(err) {
		return askServiceAccountEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.accountsCrumb().Href, done(ui.T("The service account %s is deleted, and its keys are refused.", a.Name)))
}
