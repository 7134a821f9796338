package console

import (
	"strings"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/signin"
)

func passkeysPages() []page {
	return []page{
		{"GET /account/passkeys", signedIn, showPasskeys},
		{"GET /account/passkeys/new", signedIn, askPasskey},
		{"POST /account/passkeys/new", signedIn, addPasskey},
		{"GET /account/passkeys/{passkey}/rename", signedIn, askPasskeyName},
		{"POST /account/passkeys/{passkey}/rename", signedIn, renamePasskey},
		{"GET /account/passkeys/{passkey}/delete", signedIn, askPasskeyEnd},
		{"POST /account/passkeys/{passkey}/delete", signedIn, deletePasskey},
	}
}

// passkeysPage is the list of a person's passkeys, their authenticator app, and their accounts elsewhere.
type passkeysPage struct {
	visit      *visit
	list       op.List[signin.Passkey]
	app        signin.Totp
	identities []federation.Identity
}

func showPasskeys(v *visit) error {
	p := passkeysPage{visit: v}
	var err error
	if p.list, err = signin.ListPasskeys.Call(v.ctx, v.Service, signin.ListPasskeysInput{Page: op.Page{Limit: 50, Cursor: v.form.value("cursor")}}); err != nil {
		return err
	}
	if p.app, err = signin.GetTotp.Call(v.ctx, v.Service, signin.TotpInput{}); err != nil {
		return err
	}
	if p.identities, err = v.identities(); err != nil {
		return err
	}
	return v.accountPage(ui.PageProps{Title: ui.T("Ways to sign in"), Lede: ui.T("A mail gets you in. A passkey is faster and safer; an authenticator app makes the mail safer."),
		Ways: v.way("GET /v1/me/passkeys", "guildhall passkeys list")}, p.show())
}

func (p passkeysPage) table() ui.TableProps {
	add := ui.ButtonProps{Text: ui.T("Add a passkey"), Icon: "plus", Href: p.visit.href("/account/passkeys/new")}
	t := ui.TableProps{ID: "passkeys", Caption: ui.T("Passkeys"), Pager: ui.Pager{NextHref: p.visit.next(p.list.NextCursor)},
		Columns: []ui.Column{{Title: ui.T("Name")}, {Title: ui.T("Kept")}, {Title: ui.T("Added")}, {Title: ui.T("Last used")}, {Title: ui.T("Actions"), Acts: true}},
		Empty:   ui.EmptyState(ui.EmptyStateProps{Sentence: ui.T("A passkey signs you in with your fingerprint, your face or a PIN, without a mail."), Verb: &add})}
	for _, k := range p.list.Data {
		t.Rows = append(t.Rows, p.row(k))
	}
	return t
}

func (p passkeysPage) row(k signin.Passkey) ui.Row {
	kept, used := ui.T("on one device"), ui.Muted(ui.T("not yet"))
	if k.Synced {
		kept = ui.T("on your devices")
	}
	if !k.LastUsedAt.IsZero() {
		used = p.visit.at(k.LastUsedAt)
	}
	return ui.Row{ID: k.ID, Cells: []component{ui.Text(k.Name), ui.Text(kept), p.visit.at(k.CreatedAt), used, p.acts(k)}}
}

// askPasskey shows the form of a new passkey.
func askPasskey(v *visit) error {
	if v.stale() {
		return v.away(v.signInAddress("/verify"))
	}
	o, err := signin.BeginPasskey.Call(v.ctx, v.Service, signin.BeginPasskeyInput{})
	if err != nil {
		return err
	}
	return v.accountPage(ui.PageProps{Title: ui.T("Add a passkey"), Crumb: v.passkeysCrumb(),
		Lede: ui.T("Your browser asks where to keep it: in this device, on your phone, in a security key or a password manager.")}, newPasskey(v, o))
}

// stale reports whether something that needs a fresh proof would be refused: it is asked for before a device is.
func (v *visit) stale() bool {
	err := v.Service.View(v.ctx, v.caller, "", func(r *op.Reader) error { return r.DemandFresh() })
	return op.AsError(err).FullCode() == "verification_required"
}

func (v *visit) passkeysCrumb() ui.LinkProps {
	return ui.LinkProps{Text: ui.T("Ways to sign in"), Href: v.href("/account/passkeys")}
}

func addPasskey(v *visit) error {
	in := signin.CreatePasskeyInput{Credential: v.form.value("credential"), Name: v.form.value("name")}
	made, err := signin.CreatePasskey.Call(v.ctx, v.Service, in, v.form.options()...)
	if err != nil {
		if v.form.refuse(err) {
			v.form.values.Del("credential")
			return askPasskey(v)
		}
		if op.AsError(err).Kind == op.Gone {
			v.form.whole, v.form.status = sentence(op.AsError(err).Text), op.Gone.Status()
			return askPasskey(v)
		}
		return err
	}
	return v.redirect(v.href("/account/passkeys"), done(ui.T("The passkey %s is added. Next time, use it to sign in.", made.Name)))
}

// passkey is the one that the address names.
func (v *visit) passkey() (signin.Passkey, error) {
	list, err := signin.ListPasskeys.Call(v.ctx, v.Service, signin.ListPasskeysInput{Page: op.Page{Limit: 50}})
	if err != nil {
		return signin.Passkey{}, err
	}
	for _, k := range list.Data {
		if k.ID == v.r.PathValue("passkey") {
			return k, nil
		}
	}
	return signin.Passkey{}, op.ErrNotFound
}

func (v *visit) passkeyHref(id, verb string) string {
	return v.href("/account/passkeys/" + id + "/" + verb)
}

func askPasskeyName(v *visit) error {
	k, err := v.passkey()
	if err != nil {
		return err
	}
	return v.dialog(ui.DialogProps{
		Title:      ui.T("Rename the passkey %s", k.Name),
		CancelHref: v.href("/account/passkeys"),
		Form:       &ui.FormProps{Action: v.passkeyHref(k.ID, "rename"), Hidden: v.hidden(k.ETag())},
		Submit:     []ui.ButtonProps{{Text: ui.T("Rename"), Kind: ui.Primary}},
	}, passkeyName(v, v.form.or("name", k.Name)))
}

func renamePasskey(v *visit) error {
	in := signin.UpdatePasskeyInput{PasskeyInput: signin.PasskeyInput{Passkey: v.r.PathValue("passkey")}, Name: v.form.value("name")}
	k, err := signin.UpdatePasskey.Call(v.ctx, v.Service, in, v.form.options()...)
	if err != nil {
		if v.form.refuse(err) {
			return askPasskeyName(v)
		}
		return err
	}
	return v.redirect(v.href("/account/passkeys"), done(ui.T("The passkey is called %s now.", k.Name)))
}

func askPasskeyEnd(v *visit) error {
	k, err := v.passkey()
	if err != nil {
		return err
	}
	return v.dialog(ui.DialogProps{
		Title:      ui.T("Remove the passkey %s", k.Name),
		CancelHref: v.href("/account/passkeys"),
		Form:       &ui.FormProps{Action: v.passkeyHref(k.ID, "delete"), Hidden: v.hidden("")},
		Submit:     []ui.ButtonProps{{Text: ui.T("Remove the passkey"), Kind: ui.Danger}},
	}, ui.Text(ui.T("It signs nobody in any more. Sessions that it began stay. Your device keeps its half until you delete it there, too. You get a mail about it.")))
}

func deletePasskey(v *visit) error {
	k, err := signin.DeletePasskey.Call(v.ctx, v.Service, signin.PasskeyInput{Passkey: v.r.PathValue("passkey")}, v.form.options()...)
	if err != nil {
		return err
	}
	return v.redirect(v.href("/account/passkeys"), done(ui.T("The passkey %s is removed.", k.Name)))
}

// methodName says how a session began.
func methodName(method string) string {
	names := map[string]string{"mail": ui.T("by mail"), "passkey": ui.T("by passkey"), "mail+totp": ui.T("by mail and authenticator app"),
		"mail+recovery_code": ui.T("by mail and recovery code"), "invitation": ui.T("by an invitation"), "handoff": ui.T("handed over"),
		"oidc": ui.T("by single sign-on"), "saml": ui.T("by single sign-on"), "google": ui.T("with Google"), "google+totp": ui.T("with Google and authenticator app"),
		"google+recovery_code": ui.T("with Google and recovery code"), "github": ui.T("with GitHub"),
		"github+totp": ui.T("with GitHub and authenticator app"), "github+recovery_code": ui.T("with GitHub and recovery code")}
	if name := names[method]; name != "" {
		return name
	}
	return ui.T("by %s", strings.ReplaceAll(method, "_", " "))
}
