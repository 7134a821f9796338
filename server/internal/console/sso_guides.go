package console

import (
	"slices"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// providerGuide says what to do at one provider, with the values to copy.
type providerGuide struct {
	name   string
	lines  []string
	values []ui.Fact
}

// guidesOf are those that a connection may need.
func guidesOf(c federation.Connection) []providerGuide {
	all := providerGuides(c)
	switch c.Kind {
	case federation.Google:
		return slices.DeleteFunc(all, func(g providerGuide) bool { return g.name != "Google Workspace" })
	case federation.GitHub:
		return []providerGuide{{"GitHub", []string{ui.T("Your organization's Settings → Developer settings → OAuth Apps → New OAuth app."), ui.T("Authorization callback URL: the redirect URI."),
			ui.T("Generate a new client secret, and give it here."), ui.T("Third-party access: the organization has to let the app ask, or nobody is known as a member.")},
			[]ui.Fact{{Name: ui.T("Authorization callback URL"), Value: ui.CodeLine(c.RedirectURI)}}}}
	}
	return all
}

// providerGuides are those for connections that speak OpenID Connect; docs/sso.md has the same.
func providerGuides(c federation.Connection) []providerGuide {
	redirect := []ui.Fact{{Name: ui.T("Redirect URI"), Value: ui.CodeLine(c.RedirectURI)}, {Name: ui.T("Page to start on"), Value: ui.CodeLine(c.SignInURL)},
		{Name: ui.T("Scopes"), Value: ui.Code("openid email profile")}}
	return []providerGuide{
		{"Okta", []string{ui.T("Applications → Create App Integration → OIDC, Web Application."), ui.T("Sign-in redirect URIs: the redirect URI. Initiate login URI: the page to start on."),
			ui.T("Assignments: give it the people or groups who may use this product."), ui.T("For groups: Sign On → OpenID Connect ID Token → Groups claim type Filter, groups, matches regex .*"),
			ui.T("The issuer is https://YOUR.okta.com, or the one of a custom authorization server.")}, redirect},
		{"Entra ID", []string{ui.T("App registrations → New registration, with the redirect URI as type Web."), ui.T("Certificates & secrets → New client secret: copy its value, not its id."),
			ui.T("Token configuration → Add optional claim → ID: email. Add groups claim for groups, which come as ids."),
			ui.T("Enterprise applications → the application → Users and groups: give it the people."), ui.T("The issuer is https://login.microsoftonline.com/TENANT-ID/v2.0. Who it is for good can be oid.")}, redirect},
		{"Google Workspace", []string{ui.T("APIs & Services → OAuth consent screen: Internal."), ui.T("Credentials → Create credentials → OAuth client ID → Web application, with the redirect URI."),
			ui.T("The issuer is https://accounts.google.com. Google says no groups: give roles here, or by directory sync.")}, redirect},
		{"OneLogin", []string{ui.T("Applications → Add App → OpenId Connect (OIDC)."), ui.T("Configuration: the redirect URI. SSO: Web, Token Endpoint POST or Basic."), ui.T("Access: give it the roles whose people may use this product."),
			ui.T("For groups: Parameters → Groups, and choose what it says."), ui.T("The issuer is https://YOUR.onelogin.com/oidc/2.")}, redirect},
		{"Keycloak", []string{ui.T("Clients → Create client → OpenID Connect, with client authentication, and the standard flow alone."), ui.T("Valid redirect URIs: the redirect URI."),
			ui.T("For groups: Client scopes → the dedicated one → Add mapper → Group Membership, claim groups, without the full path. Realm roles are realm_access.roles in an ID token that has them."),
			ui.T("The issuer is https://HOST/realms/REALM.")}, redirect},
	}
}

// mappingText says how much of what the provider says is set here.
func (f connectionForm) mappingText() string {
	if f.groups == 0 {
		return ui.T("No group gives a role.")
	}
	return ui.N(f.groups, "1 group gives a role.", "%d groups give roles.")
}
