package console

import (
	"net/url"
	"slices"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
	"github.com/guildhall/guildhall/signin"
)

func loginPages() []page {
	return append([]page{
		{"GET /login", anybody, showLogin},
		{"POST /login", anybody, beginLogin},
		{"GET /login/code", anybody, showLoginCode},
		{"POST /login/code", anybody, loginByCode},
		{"GET /login/link", anybody, showLoginLink},
		{"POST /login/link", anybody, loginByLink},
	}, slices.Concat(logoutPages(), federatedPages(), socialPages(), factorPages(), handOffPages())...)
}

// proofPages are the three pages of a proof by mail: for signing in, and for verifying who uses a session.
type proofPages struct {
	path    string // of the first; the others stand below it
	purpose string // as signin.begin knows it
	title   string
	verb    string
}

func loginProof() proofPages {
	return proofPages{path: "/login", purpose: "sign_in", title: ui.T("Sign in"), verb: ui.T("Sign in")}
}

// challenge is a mail that is waited for. It is kept in the browser that asked, so a code counts there only.
type challenge struct {
	ID, Masked, Email, ReturnTo string
	ExpiresAt                   time.Time
}

func showLogin(v *visit) error {
	if v.form.values.Get("state") != "" {
		return v.toHandOff()
	}
	if v.actor.Kind == op.UserActor && v.form.value("again") == "" {
		return v.away(v.back(v.form.value("return_to"), v.href("/")))
	}
	return v.showLogin()
}

func (v *visit) showLogin() error {
	v.formsTo = v.originAfter(v.form.value("return_to")) // where a passkey leads at once
	return v.hosted(ui.HostedProps{Title: ui.T("Sign in"), Lede: ui.T("We send you a mail with a code. There is no password.")}, loginForm(v, v.askForPasskey("sign_in")))
}

// beginLogin leads to the identity provider of the address's domain, if one is on, else to a mail.
func beginLogin(v *visit) error {
	if shown, err := v.atProvider(); shown || err != nil {
		return err
	}
	return v.beginProof(loginProof(), v.showLogin)
}

// beginProof has the mail sent, and leads to the page that asks for its code. The answer is the same for every address.
func (v *visit) beginProof(p proofPages, again func() error) error {
	in := signin.BeginSignInInput{Email: v.form.value("email"), ReturnTo: v.form.value("return_to"), Purpose: p.purpose}
	c, err := signin.BeginSignIn.Call(v.ctx, v.Service, in)
	if err != nil {
		if v.form.refuse(err) {
			return again()
		}
		return err
	}
	v.keep(p.purpose, challenge{c.ID, c.Email, in.Email, in.ReturnTo, c.ExpiresAt}, c.ExpiresAt.Sub(v.now))
	return v.away(v.href(p.path + "/code"))
}

func showLoginCode(v *visit) error { return v.showCode(loginProof()) }

// showCode asks for the mailed code, of whoever asked for the mail.
func (v *visit) showCode(p proofPages) error {
	var c challenge
	if !v.kept(p.purpose, &c) {
		return v.away(v.href(p.path))
	}
	v.formsTo = v.originAfter(c.ReturnTo) // where the answer to the form leads
	return v.hosted(ui.HostedProps{Title: ui.T("Look into your mail")}, codeForm(v, p, c))
}

// foreignOrigin is the origin of an absolute address; empty for a path.
func foreignOrigin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func loginByCode(v *visit) error {
	p := loginProof()
	var c challenge
	if !v.kept(p.purpose, &c) {
		return v.away(v.href(p.path))
	}
	err := v.completeLogin(signin.Proof{Challenge: c.ID, Code: v.form.value("code")})
	return v.proofAgain(p, err)
}

// proofAgain shows the page of the code again after a wrong code, or one that is over.
func (v *visit) proofAgain(p proofPages, err error) error {
	if e := op.AsError(err); err != nil && (v.form.refuse(err) || v.form.over(e)) {
		return v.showCode(p)
	}
	return err
}

// over keeps the error of a mail that no longer counts: the next step is another one.
func (f *form) over(e *op.Error) bool {
	if e.Kind != op.Gone && e.Kind != op.NotFound {
		return false
	}
	f.status, f.gone = e.Kind.Status(), true
	f.whole = ui.T("This code no longer counts. Ask for a new one.")
	if e.Kind == op.Gone {
		f.whole = sentence(e.Text)
	}
	return true
}

// completeLogin signs in with a proof, and leads to where the person wanted to go.
func (v *visit) completeLogin(proof signin.Proof) error {
	answer, err := v.Service.Invoke(v.ctx, signin.CompleteSignIn, op.Request{Caller: v.caller, Input: signin.CompleteSignInInput{Proof: proof}})
	if err != nil {
		return err
	}
	return v.signedIn(answer)
}

// begin gives the browser a session that a call made.
func (v *visit) begin(s *op.NewSession) {
	if s != nil {
		web.SetSession(v.w, v.r, s)
	}
}

func showLoginLink(v *visit) error {
	v.formsTo = v.originsAfter()
	return v.showLink(loginProof())
}

// showLink has a button only: opening a link uses nothing up, as scanners of mails open all of them. T-033
func (v *visit) showLink(p proofPages) error {
	v.private = true
	return v.hosted(ui.HostedProps{Title: p.title}, linkForm(v, p))
}

func loginByLink(v *visit) error {
	p := loginProof()
	return v.linkAgain(p, v.completeLogin(signin.Proof{Token: v.form.value("token")}))
}

// linkAgain shows why a link does not work any more, and the way to a new one.
func (v *visit) linkAgain(p proofPages, err error) error {
	if e := op.AsError(err); err != nil && (v.form.refuse(err) || v.form.over(e)) {
		v.private = true
		v.form.whole = linkOver(e)
		return v.hosted(ui.HostedProps{Title: ui.T("This link no longer works")}, linkEnded(v, p))
	}
	return err
}

func linkOver(e *op.Error) string {
	if e.Kind == op.NotFound {
		return ui.T("It was not copied whole, was replaced by a newer one, or belongs to another browser.")
	}
	return sentence(e.Text)
}

func (v *visit) endSession() error {
	if v.actor.Kind != op.UserActor {
		return nil
	}
	if _, err := credential.RevokeSession.Call(v.ctx, v.Service, credential.RevokeSessionInput{Session: "current"}); err != nil {
		return err
	}
	web.ClearSession(v.w, v.r)
	v.actor = op.Actor{Kind: op.NobodyActor}
	return nil
}

// backQuery keeps where a person wants to go while another address is typed.
func backQuery(c challenge) string { return url.Values{"return_to": {c.ReturnTo}}.Encode() }
