package console

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/audit"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/requestlog"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func keyPages() []page {
	const one = "/o/{slug}/settings/api-keys/{key}"
	return []page{
		{"GET " + one, member, showKey},
		{"GET " + one + "/edit", member, askKey},
		{"POST " + one + "/edit", member, editKey},
		{"GET " + one + "/rotate", member, askRotate},
		{"POST " + one + "/rotate", member, rotateKey},
		{"GET " + one + "/revoke", member, askRevoke},
		{"POST " + one + "/revoke", member, revokeKey},
	}
}

// keyPage is one key: what it may, how it is used, what became of it.
type keyPage struct {
	visit    *visit
	key      credential.Key
	tokens   []credential.Token
	requests []requestlog.Request
	events   []audit.Event
}

func showKey(v *visit) error {
	p := keyPage{visit: v}
	var err error
	if p.key, err = v.key(); err != nil {
		return err
	}
	if p.tokens, err = v.tokensOf(p.key); err != nil {
		return err
	}
	if v.can("logs.view") {
		list, err := requestlog.ListRequests.Call(v.ctx, v.Service, requestlog.ListRequestsInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 10},
			Filter: requestlog.Filter{Key: p.key.ID}})
		if err != nil {
			return err
		}
		p.requests = list.Data
	}
	if v.can("audit.view") {
		list, err := audit.ListEvents.Call(v.ctx, v.Service, audit.ListEventsInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 20},
			Filter: audit.Filter{Target: p.key.ID, Query: lookedAt}})
		if err != nil {
			return err
		}
		p.events = list.Data
	}
	return v.page(ui.PageProps{Title: p.key.Name, Crumb: v.keysCrumb(), Ways: v.same(credential.GetKey, "key", p.key.ID)}, p.show())
}

// tokensOf are the living tokens that are derived from a key, as far as the viewer sees them.
func (v *visit) tokensOf(k credential.Key) ([]credential.Token, error) {
	if !v.canAny(readingTokens) {
		return nil, nil
	}
	list, err := credential.ListTokens.Call(v.ctx, v.Service, credential.ListTokensInput{InOrganization: v.inOrg(), Page: op.Page{Limit: 100},
		State: "active", Key: k.ID})
	return list.Data, err
}

// identity says what the key is.
func (p keyPage) identity() []ui.Fact {
	k := p.key
	facts := []ui.Fact{
		{Name: ui.T("State"), Value: ui.Badge(keyState(k))},
		{Name: ui.T("Begins and ends"), Value: ui.Code(k.Display)},
		{Name: ui.T("Kind"), Value: ui.Text(kindWord(k.Kind))},
		{Name: ui.T("Made by"), Value: ui.Join(p.creator(), p.visit.at(k.CreatedAt))},
		{Name: ui.T("Expires"), Value: p.visit.expiryOf(k)},
	}
	if k.ServiceAccount != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Acts as"), Value: p.accountLink(k.ServiceAccount)})
	}
	for _, other := range []struct{ name, id string }{{ui.T("Took the place of"), k.RotatedFrom}, {ui.T("Its place took"), k.RotatedTo}} {
		if other.id != "" {
			facts = append(facts, ui.Fact{Name: other.name, Value: ui.Link(ui.LinkProps{Text: other.id, Href: p.visit.keyHref(other.id, "")})})
		}
	}
	if !k.RevokedAt.IsZero() {
		facts = append(facts, ui.Fact{Name: ui.T("Revoked"), Value: p.visit.at(k.RevokedAt)})
	}
	if k.RevokedReason != "" {
		facts = append(facts, ui.Fact{Name: ui.T("Because"), Value: ui.Text(k.RevokedReason)})
	}
	return append(facts, ui.Fact{Name: ui.T("Key id"), Value: ui.Code(k.ID)})
}

// creator leads to who made the key, where that is a member whom the viewer may see.
func (p keyPage) creator() component {
	if p.key.Member != "" && p.key.State != "left_behind" && p.visit.can("members.view") {
		return ui.Link(ui.LinkProps{Text: creatorName(p.key), Href: p.visit.memberHref(p.key.Member, "")})
	}
	return ui.Text(creatorName(p.key))
}

func (p keyPage) accountLink(id string) component {
	if p.visit.can("service_accounts.manage") {
		return ui.Link(ui.LinkProps{Text: id, Href: p.visit.accountHref(id, "")})
	}
	return ui.Code(id)
}

// use says when the key was used last, from where and with what.
func (p keyPage) use() []ui.Fact {
	if p.key.LastUsedAt.IsZero() {
		return nil
	}
	return []ui.Fact{{Name: ui.T("When"), Value: p.visit.at(p.key.LastUsedAt)}, {Name: ui.T("From"), Value: ui.Code(p.key.LastAddress)},
		{Name: ui.T("With"), Value: ui.Text(p.key.LastAgent)}}
}

// latest are the last requests that were made with the key.
func (p keyPage) latest() ui.TableProps {
	t := requestsTable(p.visit, p.requests)
	t.Empty = ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("No request was made with it lately.")})
	return t
}

// says is what the key may, in words.
func (p keyPage) says() string {
	k := p.key
	said := p.visit.limitsInWords(credential.Scoping{Permissions: k.Permissions, Resources: k.Resources, Networks: k.Networks, ExpiresAt: "never"})
	return strings.Join(said[:len(said)-1], " ") // when it expires stands among the facts
}

// verbs are the key's verbs as buttons; nil without any.
func (p keyPage) verbs() component { return verbButtons(p.visit.keyItems(p.key)) }

// verbButtons are entries of a menu as buttons; nil without any.
func verbButtons(items []ui.MenuItem) component {
	var buttons []component
	for _, item := range items {
		kind := ui.Default
		if item.Danger {
			kind = ui.Danger
		}
		buttons = append(buttons, ui.Button(ui.ButtonProps{Text: item.Text, Icon: item.Icon, Href: item.Href, Dialog: item.Dialog, Kind: kind}))
	}
	if len(buttons) == 0 {
		return nil
	}
	return ui.Join(buttons...)
}

// editPage renames a key, and takes away from it: as much of both as the viewer may.
type editPage struct {
	visit          *visit
	key            credential.Key
	rename, narrow bool
}

func (v *visit) editPage() (editPage, error) {
	p := editPage{visit: v}
	var err error
	if p.key, err = v.key(); err != nil {
		return p, err
	}
	mine := v.owns(p.key) && v.can(v.makes(p.key.Kind))
	p.rename, p.narrow = mine || v.can("keys.rename"), mine || v.can("keys.revoke")
	if !p.rename && !p.narrow {
		return p, v.demandAny([]charter.Permission{"keys.rename"})
	}
	return p, nil
}

func askKey(v *visit) error {
	p, err := v.editPage()
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Change %s", p.key.Name), Crumb: ui.LinkProps{Text: p.key.Name, Href: v.keyHref(p.key.ID, "")},
		Lede: ui.T("A key can be renamed and narrowed, never widened: make a new key for more."), Ways: v.same(credential.UpdateKey, "key", p.key.ID, "name", p.key.Name)}, p.edit())
}

func editKey(v *visit) error {
	p, err := v.editPage()
	if err != nil {
		return err
	}
	in := p.input()
	if in.Permissions != nil && len(in.Permissions) == 0 {
		v.form.say(permissionsField, ui.T("leave it at least one permission, or revoke it"))
		return askKey(v)
	}
	k, err := credential.UpdateKey.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askKey(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.keyHref(k.ID, ""), done(ui.T("The key %s is changed. What was taken from it is refused from now on.", k.Name)))
}

// input is what is different from the key: what stays the same is not said, so that it needs no right.
func (p editPage) input() credential.UpdateKeyInput {
	in := credential.UpdateKeyInput{KeyInput: p.visit.oneKey()}
	if name := p.visit.form.value("name"); p.rename && name != p.key.Name {
		in.Name = &name
	}
	if !p.narrow {
		return in
	}
	asked := p.visit.scoping(p.ticked())
	if !slices.Equal(asked.Permissions, p.key.Permissions) {
		in.Permissions = asked.Permissions
	}
	if !sameWords(asked.Resources, p.key.Resources) {
		in.Resources = append([]string{}, asked.Resources...) // none is more than some, and refused
	}
	if !sameWords(asked.Networks, p.key.Networks) {
		in.Networks = append([]string{}, asked.Networks...)
	}
	if end := p.visit.form.value("expires_at"); end != lastDay(p.ends(), p.visit.zone()) {
		in.ExpiresAt = cmp.Or(asked.ExpiresAt, "never")
	}
	return in
}

func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// ticked are the permissions that stay, in the key's order.
func (p editPage) ticked() []charter.Permission {
	kept := []charter.Permission{}
	for _, id := range p.key.Permissions {
		if slices.Contains(p.visit.form.values[permissionsField], string(id)) {
			kept = append(kept, id)
		}
	}
	return kept
}

// ends is when the key expires; nil: never.
func (p editPage) ends() *time.Time {
	if p.key.ExpiresAt.IsZero() {
		return nil
	}
	return &p.key.ExpiresAt
}

// boxes are the key's permissions, each of which can be taken away.
func (p editPage) boxes() []ui.CheckboxProps {
	first := !p.sent()
	all := make([]ui.CheckboxProps, len(p.key.Permissions))
	for i, shown := range p.visit.permissions(p.key.Permissions) {
		all[i] = ui.CheckboxProps{FieldProps: ui.FieldProps{Name: permissionsField, ID: "f-permissions-" + strings.ReplaceAll(shown.ID, ".", "-"), Label: shown.Text, Hint: shown.ID},
			Value: shown.ID, Checked: first || slices.Contains(p.visit.form.values[permissionsField], shown.ID)}
	}
	return all
}

// etag is the version that the form is made from: after a lost update, the present one.
func (p editPage) etag() string {
	if p.visit.form.status == op.Stale.Status() {
		p.visit.form.values.Set(versionField, p.key.ETag())
	}
	return p.key.ETag()
}

// sent reports whether the form came back.
func (p editPage) sent() bool { return p.visit.form.values.Has(versionField) }

// filled are the words of a list, one a line: those of the form, else the key's.
func (p editPage) filled(f ui.TextareaProps, current []string) ui.TextareaProps {
	if !p.sent() {
		f.Value = strings.Join(current, "\n")
	}
	return f
}

func (p editPage) dayField() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "expires_at", Label: ui.T("Last day"), Error: p.visit.form.error("expires_at"),
		Hint: ui.T("The key ends when this day is over in the organization's time zone. It can only come earlier.")}, Type: "date",
		Value: p.visit.form.or("expires_at", lastDay(p.ends(), p.visit.zone()))}
}

// rotation asks how long the key goes on that another takes the place of.
func askRotate(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "rotate-key", title: ui.T("Rotate %s", k.Name), version: k.ETag(), cancel: v.keyHref(k.ID, ""),
		text:   []string{ui.T("A new key takes its place, with the same name, rights and length of life. Its secret is shown once, on the next page."), v.lastUseText(k)},
		fields: v.rotateFields(), submit: ui.ButtonProps{Text: ui.T("Rotate %s", k.Name), Kind: ui.Primary},
		ways: v.same(credential.RotateKey, "key", k.ID, "overlap", v.form.or("overlap", "24h"))})
}

// overlaps are how long the key before may go on.
func (v *visit) overlaps() ui.ChoicesProps {
	return ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "overlap", Label: ui.T("The present key goes on for"), Error: v.form.error("overlap"),
		Hint: ui.T("Long enough for every program that uses it to get the new one. It never outlives its own end.")}, Value: v.form.or("overlap", "24h"),
		Options: []ui.Option{{Value: "0s", Text: ui.T("No time: it is refused at once")}, {Value: "1h", Text: ui.T("1 hour")},
			{Value: "24h", Text: ui.T("24 hours")}, {Value: "7d", Text: ui.T("7 days")}}}
}

// lastUseText says when a key was used last, as a sentence.
func (v *visit) lastUseText(k credential.Key) string {
	if k.LastUsedAt.IsZero() {
		return ui.T("It has not been used yet.")
	}
	return ui.T("It was last used %s, from %s.", ui.Relative(k.LastUsedAt, v.now, time.UTC), k.LastAddress)
}

func rotateKey(v *visit) error {
	in := credential.RotateKeyInput{KeyInput: v.oneKey(), Overlap: v.form.value("overlap")}
	made, err := credential.RotateKey.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askRotate(v)
	}
	if err != nil {
		return err
	}
	old, err := v.key()
	if err != nil {
		return err
	}
	return v.showSecret(secretPage{visit: v, key: made, old: &old, ways: v.same(credential.RotateKey, "key", old.ID, "overlap", in.Overlap)})
}

// askRevoke says what ends with the key.
func askRevoke(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	tokens, err := v.tokensOf(k)
	if err != nil {
		return err
	}
	c := confirmation{id: "revoke-key", title: ui.T("Revoke %s", k.Name), version: k.ETag(), cancel: v.keyHref(k.ID, ""), fields: v.reasonField(),
		text:   []string{ui.T("It is refused everywhere when this returns, and cannot be taken back."), v.lastUseText(k)},
		submit: ui.ButtonProps{Text: ui.T("Revoke %s", k.Name), Kind: ui.Danger}, ways: v.same(credential.RevokeKey, "key", k.ID, "reason", v.form.value("reason"))}
	c.affected = v.endsWith(k, tokens)
	if slices.ContainsFunc(v.keyItems(k), func(i ui.MenuItem) bool { return i.Href == v.keyHref(k.ID, "rotate") }) {
		c.helps = []ui.ButtonProps{{Text: ui.T("Rotate instead"), Small: true, Href: v.keyHref(k.ID, "rotate")}}
	}
	return v.ask(c)
}

// endsWith lists what stops with a key: what used it within the last hour, and its tokens.
func (v *visit) endsWith(k credential.Key, tokens []credential.Token) (facts []ui.Fact) {
	if !k.LastUsedAt.IsZero() && v.now.Sub(k.LastUsedAt) < time.Hour {
		facts = append(facts, ui.Fact{Name: ui.T("In use now"), Value: ui.Text(ui.T("what runs at %s is refused", k.LastAddress))})
	}
	for _, t := range tokens {
		facts = append(facts, ui.Fact{Name: ui.T("Token %s", tokenName(t)), Value: ui.Text(ui.T("ends"))})
	}
	return facts
}

func revokeKey(v *visit) error {
	in := credential.RevokeKeyInput{KeyInput: v.oneKey(), Reason: v.form.value("reason")}
	k, err := credential.RevokeKey.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askRevoke(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.keysHref(""), done(ui.T("The key %s is revoked. Every request with it is refused.", k.Name)))
}
