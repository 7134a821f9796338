package console

import (
	"net/http"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
)

func logoutPages() []page {
	return []page{
		{"POST /logout", anybody, logOut},
		{"GET /login/left", anybody, leftThere},
		{"GET /login/saml/{connection}/slo", anybody, takeSAMLLogout},
		{"POST /login/saml/{connection}/slo", anybody, takeSAMLLogout},
		{"POST /login/backchannel/{connection}", anybody, takeBackchannel},
	}
}

// logOut ends the session and forgets it. Whoever came by a provider is told where to sign out there, too: that is theirs to
// do, since it ends other products' sessions as well.
func logOut(v *visit) error {
	var at federation.ProviderLogout
	if v.actor.Kind == op.UserActor {
		at, _ = federation.GetProviderLogout.Call(v.ctx, v.Service, struct{}{}) // the session here ends whatever comes of it
	}
	if err := v.endSession(); err != nil {
		return err
	}
	if at.URL == "" || ui.Fragment(v.r) {
		return v.redirect(v.href("/login"), done(ui.T("You are signed out.")))
	}
	v.private = true
	return v.hosted(ui.HostedProps{Title: ui.T("You are signed out"), Lede: ui.T("At %s you are still signed in: whoever uses this browser may come in again without a password.", at.Name)}, leftHere(v, at))
}

// leftThere is where providers of OpenID Connect send people back to who have signed out there.
func leftThere(v *visit) error {
	return v.redirect(v.href("/login"), done(ui.T("You are signed out.")))
}

// takeSAMLLogout takes a provider's logout, by an address or a form, and sends the browser back with the answer. What a provider
// answers to a logout of ours changes nothing: the session here has ended before. The request says itself, by its signature, whom
// it is of: no cookie is looked at.
func takeSAMLLogout(v *visit) error {
	v.private = true
	if v.form.value("SAMLResponse") != "" {
		return leftThere(v)
	}
	in := federation.SAMLLogoutInput{Connection: v.r.PathValue("connection"), Request: v.form.value("SAMLRequest"), State: v.form.value("RelayState")}
	if v.r.Method != http.MethodPost {
		in = federation.SAMLLogoutInput{Connection: in.Connection, Query: v.r.URL.RawQuery}
	}
	out, err := federation.SAMLLogout.Call(v.ctx, v.Service, in)
	if e := op.AsError(err); err != nil && e.Kind != op.Internal {
		v.form.status, v.form.whole = e.Kind.Status(), sentence(e.Text)
		return v.hosted(ui.HostedProps{Title: ui.T("Nobody was signed out")}, linkEnded(v, loginProof()))
	}
	if err != nil {
		return err
	}
	if out.URL == "" {
		return leftThere(v)
	}
	return v.away(out.URL)
}

// takeBackchannel takes a provider's logout token, which its server sends (OpenID Connect Back-Channel Logout 1.0, section 2.8).
func takeBackchannel(v *visit) error {
	v.w.Header().Set("Cache-Control", "no-store")
	if web.Foreign(v.r) {
		return op.ErrNotFound
	}
	_, err := federation.BackchannelLogout.Call(v.ctx, v.Service, federation.BackchannelInput{Connection: v.r.PathValue("connection"), Token: v.form.value("logout_token")})
	if e := op.AsError(err); err != nil && e.Kind != op.Internal && e.Code != "logout_used" {
		v.w.Header().Set("Content-Type", "application/json")
		v.w.WriteHeader(http.StatusBadRequest)
		_, err = v.w.Write([]byte(`{"error":"invalid_request"}` + "\n"))
		return err
	} else if err != nil && e.Kind == op.Internal {
		return err
	}
	v.w.WriteHeader(http.StatusOK)
	return nil
}
