package console

import (
	"strings"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/signin"
)

func totpPages() []page {
	return []page{
		{"GET /account/totp", signedIn, showTotpCode},
		{"POST /account/totp", signedIn, finishTotp},
		{"POST /account/totp/begin", signedIn, beginTotp},
		{"GET /account/totp/delete", signedIn, askTotpEnd},
		{"POST /account/totp/delete", signedIn, deleteTotp},
		{"GET /account/totp/codes", signedIn, askRecoveryCodes},
		{"POST /account/totp/codes", signedIn, newRecoveryCodes},
	}
}

// beginTotp shows the secret of an authenticator app, once.
func beginTotp(v *visit) error {
	if v.stale() {
		return v.away(v.href("/verify") + "?return_to=" + v.href("/account/passkeys"))
	}
	setup, err := signin.BeginTotp.Call(v.ctx, v.Service, signin.TotpInput{})
	if err != nil {
		return err
	}
	return v.accountPage(ui.PageProps{Title: ui.T("Set up an authenticator app"), Crumb: v.passkeysCrumb()}, totpSetup(v, setup))
}

// showTotpCode asks for the code again, without the secret, which was shown.
func showTotpCode(v *visit) error {
	return v.accountPage(ui.PageProps{Title: ui.T("Set up an authenticator app"), Crumb: v.passkeysCrumb()}, totpAgain(v))
}

func finishTotp(v *visit) error {
	out, err := signin.CreateTotp.Call(v.ctx, v.Service, signin.CodeInput{Code: v.form.value("code")}, v.form.options()...)
	if err != nil {
		if v.form.refuse(err) || v.form.over(op.AsError(err)) {
			return showTotpCode(v)
		}
		return err
	}
	return v.showRecoveryCodes(ui.T("Your authenticator app is set up"), out)
}

func (v *visit) showRecoveryCodes(title string, out signin.RecoveryCodes) error {
	return v.accountPage(ui.PageProps{Title: title, Crumb: v.passkeysCrumb()}, recoveryCodes(v, out))
}

// codesFile is the codes as a file to keep.
func codesFile(v *visit, codes []string) string {
	text := ui.T("Recovery codes for %s, %s", v.Service.Charter().Product, v.actor.Email) + "\n\n" + strings.Join(codes, "\n") + "\n"
	return "data:text/plain;charset=utf-8," + strings.NewReplacer("%", "%25", " ", "%20", "\n", "%0A", "#", "%23", "&", "%26").Replace(text)
}

func askTotpEnd(v *visit) error {
	return v.dialog(ui.DialogProps{
		Title:      ui.T("Remove your authenticator app"),
		CancelHref: v.href("/account/passkeys"),
		Form:       &ui.FormProps{Action: v.href("/account/totp/delete"), Hidden: v.hidden("")},
		Submit:     []ui.ButtonProps{{Text: ui.T("Remove the app"), Kind: ui.Danger}},
	}, ui.Text(ui.T("Whoever reads your mail can sign in as you then. Your recovery codes end with it. You get a mail about it.")))
}

func deleteTotp(v *visit) error {
	if _, err := signin.DeleteTotp.Call(v.ctx, v.Service, signin.TotpInput{}, v.form.options()...); err != nil {
		return err
	}
	return v.redirect(v.href("/account/passkeys"), done(ui.T("Your authenticator app is removed.")))
}

func askRecoveryCodes(v *visit) error {
	return v.dialog(ui.DialogProps{
		Title:      ui.T("Make new recovery codes"),
		CancelHref: v.href("/account/passkeys"),
		Form:       &ui.FormProps{Action: v.href("/account/totp/codes"), Hidden: v.hidden("")},
		Submit:     []ui.ButtonProps{{Text: ui.T("Make new codes"), Kind: ui.Primary}},
	}, ui.Text(ui.T("The codes that you have end at once, used or not.")))
}

func newRecoveryCodes(v *visit) error {
	out, err := signin.NewRecoveryCodes.Call(v.ctx, v.Service, signin.TotpInput{}, v.form.options()...)
	if err != nil {
		return err
	}
	return v.showRecoveryCodes(ui.T("Your new recovery codes"), out)
}
