package console

import (
	"cmp"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func federatedPages() []page {
	return append(append(loginSSOPages(), samlLoginPages()...), page{"GET /login/callback/{connection}", anybody, federatedCallback})
}

// federatedCookie keeps what the answer of a provider has to come back with, in the browser that began.
const federatedCookie = "federated"

// federated is a sign-in that was sent to a provider.
type federated struct {
	Connection, Browser string
	Callback            string // the last part of the redirect URI; empty: the connection
	Organization        string // whose test it is, by its slug
	Setup               string // the set-up link that tests it
}

// atProvider shows the way to the identity provider that is on for the address's domain; false: there is none, or it cannot
// be asked now.
func (v *visit) atProvider() (bool, error) {
	in := federation.BeginFederatedInput{Email: v.form.value("email"), ReturnTo: v.form.value("return_to")}
	if v.form.value("by") != "" || in.Email == "" {
		return false, nil
	}
	begun, err := federation.BeginFederated.Call(v.ctx, v.Service, in)
	if err != nil || begun.URL == "" {
		return false, nil
	}
	v.keep(federatedCookie, federated{Connection: begun.Connection, Browser: begun.Browser, Callback: begun.Callback}, begun.ExpiresAt.Sub(v.now))
	return true, v.hosted(ui.HostedProps{Title: ui.T("Sign in with %s", begun.Name), Lede: ui.T("Your organization signs people in there.")}, providerChoice(v, begun))
}

// federatedCallback takes the answer of a provider. The state, the browser's secret and the connection of the address have to
// belong together.
func federatedCallback(v *visit) error {
	v.private = true
	var kept federated
	known, at := v.kept(federatedCookie, &kept), v.r.PathValue("connection")
	if v.socialName(at) != "" && !(known && kept.Callback == at) {
		return socialCallback(v)
	}
	if !known || cmp.Or(kept.Callback, kept.Connection) != at {
		return v.providerRefused(&op.Error{Kind: op.Gone, Text: "this sign-in was begun in another browser, or took too long: begin again"})
	}
	v.drop(federatedCookie)
	in := federation.CompleteFederatedInput{Connection: kept.Connection, Browser: kept.Browser, State: v.form.value("state"), Code: v.form.value("code"), Issuer: v.form.value("iss"), Error: v.form.value("error")}
	answer, err := v.Service.Invoke(v.ctx, federation.CompleteFederated, op.Request{Caller: v.caller, Input: in})
	return v.federatedEnd(kept, answer, err)
}

// federatedEnd shows what came of a provider's answer, or goes on as whom it signed in.
func (v *visit) federatedEnd(kept federated, answer op.Response, err error) error {
	if back := v.testedAt(kept); err != nil && back != "" {
		return v.refusedBy(op.AsError(err), testEnded(v, back))
	}
	if err != nil {
		return v.providerRefused(op.AsError(err))
	}
	out, _ := answer.Output.(federation.FederatedSignIn)
	if out.Test {
		return v.tested(kept, out)
	}
	v.begin(answer.Session)
	return v.away(v.afterSignIn(out.ReturnTo, answer.Session))
}

// providerRefused says why nobody is signed in, and the other way.
func (v *visit) providerRefused(e *op.Error) error {
	return v.refusedBy(e, linkEnded(v, loginProof()))
}

// testedAt is where whoever tests came from; empty: it is no test.
func (v *visit) testedAt(kept federated) string {
	switch {
	case kept.Setup != "":
		return v.href("/setup/" + kept.Setup)
	case kept.Organization != "":
		return v.href("/o/" + kept.Organization + "/settings/sso/connections/" + kept.Connection)
	}
	return ""
}

func (v *visit) refusedBy(e *op.Error, helps component) error {
	if e.Kind == op.Internal {
		return e
	}
	v.form.status, v.form.whole = e.Kind.Status(), sentence(e.Text)
	if e.Kind == op.NotFound || e.Kind == op.Invalid {
		v.form.whole = ui.T("The answer does not belong to a sign-in of this browser. Begin again.")
	}
	return v.hosted(ui.HostedProps{Title: ui.T("You are not signed in")}, helps)
}
