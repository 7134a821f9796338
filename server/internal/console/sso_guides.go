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
	all := providerGuides(c.RedirectURI, c.SignInURL)
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
func providerGuides(redirectURI, signIn string) []providerGuide {
	redirect := []ui.Fact{{Name: ui.T("Redirect URI"), Value: ui.CodeLine(redirectURI)}, {Name: ui.T("Page to start on"), Value: ui.CodeLine(signIn)},
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

// samlGuides are those for connections that speak SAML; docs/sso.md has the same.
func samlGuides(ours []ui.Fact) []providerGuide {
	return []providerGuide{
		{"Okta", []string{ui.T("Applications → Create App Integration → SAML 2.0."), ui.T("Single sign-on URL: the ACS URL. Audience URI: the entity id. Name ID format: Persistent or EmailAddress."),
			ui.T("Attribute Statements: email is user.email. For groups: Group Attribute Statements, groups, matches regex .*"), ui.T("Assignments: give it the people or groups who may use this product."),
			ui.T("The address of its metadata is under Sign On → Metadata URL.")}, ours},
		{"Entra ID", []string{ui.T("Enterprise applications → New application → Create your own → Single sign-on → SAML."), ui.T("Identifier: the entity id. Reply URL: the ACS URL."),
			ui.T("Attributes & Claims: Unique User Identifier is user.objectid, format Persistent; email is user.mail. Add a group claim for groups, which come as ids."),
			ui.T("SAML Certificates → Signing option: Sign SAML assertion, or both."), ui.T("The address of its metadata is App Federation Metadata Url."), ui.T("Users and groups: give it the people.")}, ours},
		{"Google Workspace", []string{ui.T("Apps → Web and mobile apps → Add app → Add custom SAML app."), ui.T("Download its metadata, and give it here as a file."), ui.T("ACS URL and Entity ID as below. Name ID format: EMAIL."),
			ui.T("Attribute mapping: Primary email is email. Group membership: groups."), ui.T("User access: on for those who may use this product.")}, ours},
		{"OneLogin", []string{ui.T("Applications → Add App → SAML Custom Connector (Advanced)."), ui.T("Configuration: the ACS (Consumer) URL, its pattern as the validator, and the entity id as Audience. SAML signature element: Assertion, or Both."),
			ui.T("Parameters: email is Email; groups if wanted, each included in the assertion."), ui.T("SSO: signature algorithm SHA-256. The address of its metadata is the Issuer URL."), ui.T("Access: give it the roles whose people may use this product.")}, ours},
		{"Keycloak", []string{ui.T("Clients → Create client → SAML. Client ID: the entity id. Master SAML Processing URL: the ACS URL."), ui.T("Sign assertions on; client signature required and encrypt assertions off. Name ID format: persistent."),
			ui.T("Client scopes → the dedicated one → Add mapper: User Property email as email; Group list as groups."), ui.T("Its metadata: https://HOST/realms/REALM/protocol/saml/descriptor")}, ours},
	}
}

// mappingText says how much of what the provider says is set here.
func (f connectionForm) mappingText() string {
	if f.groups == 0 {
		return ui.T("No group gives a role.")
	}
	return ui.N(f.groups, "1 group gives a role.", "%d groups give roles.")
}
