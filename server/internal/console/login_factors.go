package console

import (
	"net/url"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/signin"
)

func factorPages() []page {
	return []page{
		{"POST /login/passkey", anybody, loginByPasskey},
		{"GET /login/mfa", anybody, showSecondFactor},
		{"POST /login/mfa", anybody, loginBySecondFactor},
		{"POST /verify/passkey", signedIn, verifyByPasskey},
		{"POST /verify/totp", signedIn, verifyByTotp},
	}
}

// askForPasskey are the options to use a passkey; without them the page offers none.
func (v *visit) askForPasskey(purpose string) signin.PasskeyOptions {
	o, err := signin.BeginPasskeySignIn.Call(v.ctx, v.Service, signin.BeginPasskeySignInInput{Purpose: purpose})
	if err != nil {
		return signin.PasskeyOptions{}
	}
	return o
}

func loginByPasskey(v *visit) error {
	in := signin.PasskeyProof{Credential: v.form.value("credential"), ReturnTo: v.form.value("return_to")}
	answer, err := v.Service.Invoke(v.ctx, signin.PasskeySignIn, op.Request{Caller: v.caller, Input: in})
	if err != nil {
		if v.refusePasskey(err) {
			return v.showLogin()
		}
		return err
	}
	return v.signedIn(answer)
}

// refusePasskey keeps why a passkey did not count, for the page that asked.
func (v *visit) refusePasskey(err error) bool {
	e := op.AsError(err)
	switch {
	case e.Kind == op.NotFound || e.Kind == op.Invalid:
		v.form.status, v.form.whole = op.NotFound.Status(), ui.T("This passkey is not known here, or did not verify. Try again, or choose another way.")
	case e.Kind == op.Gone || e.FullCode() == "passkey_copied":
		v.form.status, v.form.whole = e.Kind.Status(), sentence(e.Text)
	default:
		return v.form.refuse(err)
	}
	return true
}

// signedIn leads whoever has signed in to where they wanted to go; or asks for the second factor first.
func (v *visit) signedIn(answer op.Response) error {
	v.begin(answer.Session)
	v.drop(loginProof().purpose)
	in, _ := answer.Output.(signin.SignedIn)
	if in.SecondFactor != nil {
		v.keep(secondKept, second{in.SecondFactor.Token}, in.SecondFactor.ExpiresAt.Sub(v.now))
		return v.away(v.href("/login/mfa"))
	}
	v.drop(secondKept)
	if in.ReturnTo != "" {
		return v.away(v.afterSignIn(in.ReturnTo, answer.Session))
	}
	return v.away(v.href("/"))
}

// second is a sign-in that waits for its second factor. It is kept in the browser that proved the address.
type second struct{ Token string }

const secondKept = "second"

func showSecondFactor(v *visit) error {
	var s second
	if !v.kept(secondKept, &s) {
		return v.away(v.href("/login"))
	}
	v.formsTo = v.originsAfter()
	return v.hosted(ui.HostedProps{Title: ui.T("One more step")}, secondFactor(v))
}

func loginBySecondFactor(v *visit) error {
	var s second
	if !v.kept(secondKept, &s) {
		return v.away(v.href("/login"))
	}
	in := signin.SecondFactorInput{Token: s.Token, Code: v.form.value("code")}
	answer, err := v.Service.Invoke(v.ctx, signin.FinishSignIn, op.Request{Caller: v.caller, Input: in})
	if err != nil {
		if v.form.refuse(err) || v.form.over(op.AsError(err)) {
			return showSecondFactor(v)
		}
		return err
	}
	return v.signedIn(answer)
}

// waysToVerify are the ways in which a person can prove again that it is them.
type waysToVerify struct {
	passkey signin.PasskeyOptions
	app     bool
}

func (v *visit) waysToVerify() (w waysToVerify, err error) {
	app, err := signin.GetTotp.Call(v.ctx, v.Service, signin.TotpInput{})
	if err != nil {
		return w, err
	}
	w.app = app.Enabled
	list, err := signin.ListPasskeys.Call(v.ctx, v.Service, signin.ListPasskeysInput{Page: op.Page{Limit: 1}})
	if err == nil && len(list.Data) > 0 {
		w.passkey = v.askForPasskey("verify")
	}
	return w, err
}

// mailKind is how the button of the mail looks: a passkey comes first.
func (w waysToVerify) mailKind() ui.ButtonKind {
	if w.passkey.Options != "" {
		return ui.Default
	}
	return ui.Primary
}

// verifyHere is the path of the page that verifies, with where it leads.
func (v *visit) verifyHere() string {
	return "/verify?" + url.Values{"return_to": {v.form.value("return_to")}}.Encode()
}

func verifyByPasskey(v *visit) error {
	in := signin.PasskeyProof{Credential: v.form.value("credential"), ReturnTo: v.form.value("return_to")}
	answer, err := v.Service.Invoke(v.ctx, signin.VerifyByPasskey, op.Request{Caller: v.caller, Input: in})
	if err != nil {
		if v.refusePasskey(err) {
			return showVerify(v)
		}
		return err
	}
	return v.verified(answer)
}

func verifyByTotp(v *visit) error {
	in := signin.VerifyCodeInput{Code: v.form.value("code"), ReturnTo: v.form.value("return_to")}
	answer, err := v.Service.Invoke(v.ctx, signin.VerifyByTotp, op.Request{Caller: v.caller, Input: in})
	if err != nil {
		if v.form.refuse(err) || v.form.over(op.AsError(err)) {
			return showVerify(v)
		}
		return err
	}
	return v.verified(answer)
}

// verified leads back to what was being done, with the session's new secret.
func (v *visit) verified(answer op.Response) error {
	v.begin(answer.Session)
	v.drop(verifyProof().purpose)
	to := v.href("/")
	if out, ok := answer.Output.(signin.Verified); ok && out.ReturnTo != "" {
		to = out.ReturnTo
	}
	return v.away(to)
}
