package console

import (
	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// loginSSOPages are where people of an organization choose a provider, whatever their address.
func loginSSOPages() []page {
	return []page{
		{"GET /login/sso/{slug}", anybody, showProviders},
		{"POST /login/sso/{slug}", anybody, chooseProvider},
	}
}

// providersPage are the providers of an organization.
type providersPage struct {
	visit *visit
	slug  string
	found federation.SignInConnections
}

func showProviders(v *visit) error {
	p := providersPage{visit: v, slug: v.r.PathValue("slug")}
	var err error
	if p.found, err = federation.ListSignInConnections.Call(v.ctx, v.Service, federation.SignInConnectionsInput{Slug: p.slug}); err != nil {
		return err
	}
	return v.hosted(ui.HostedProps{Title: ui.T("Sign in to %s", p.found.Organization), Lede: ui.T("Choose where you sign in.")}, p.show())
}

func (p providersPage) path() string { return p.visit.href("/login/sso/" + p.slug) }

// chooseProvider leads to a provider of the organization.
func chooseProvider(v *visit) error {
	begun, err := federation.BeginFederated.Call(v.ctx, v.Service, federation.BeginFederatedInput{Connection: v.form.value("connection"), ReturnTo: v.form.value("return_to")}, v.form.options()...)
	if v.again(err) {
		return showProviders(v)
	}
	if err != nil {
		return err
	}
	return v.onTheWay(federated{Connection: begun.Connection, Browser: begun.Browser}, begun)
}

// onTheWay goes on to a provider. The answer to a form may not lead to another site, so the next page does.
func (v *visit) onTheWay(kept federated, begun federation.FederatedBegun) error {
	kept.Callback = begun.Callback
	v.keep(federatedCookie, kept, begun.ExpiresAt.Sub(v.now))
	v.w.Header().Set("Refresh", "0; url="+begun.URL)
	return v.hosted(ui.HostedProps{Title: ui.T("On the way to %s", begun.Name), Lede: ui.T("You sign in there, and come back here.")}, providerLink(begun))
}
