package federation

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"

	"github.com/guildhall/guildhall/internal/outbound"
)

// gitHubURL is where GitHub is, and how it is called in what is stored of people.
const gitHubURL = "https://github.com"

// gitHub says that a party is GitHub, or a GitHub Enterprise Server, which speaks OAuth 2 and no OpenID Connect: who somebody is
// has to be asked of its API.
type gitHub struct {
	member string // the account whose members alone are believed; empty: anybody
	number string // by which it was known when the connection was tested; empty: it was not yet
}

// gitHubConfig is what GitHub is asked.
func (who party) gitHubConfig() *oauth2.Config {
	scopes := []string{"read:user", "user:email"}
	if who.github.member != "" {
		scopes = append(scopes, "read:org")
	}
	return &oauth2.Config{ClientID: who.clientID, ClientSecret: who.secret, RedirectURL: who.redirect, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: who.issuer + "/login/oauth/authorize", TokenURL: who.issuer + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams}}
}

// authorizeGitHub is where a browser begins. PKCE is asked for, by S256.
func (who party) authorizeGitHub(state, verifier, hint string) string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	if hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login", hint))
	}
	return who.gitHubConfig().AuthCodeURL(state, options...)
}

// exchangeGitHub turns an answer into who the person is now: by a number that stays when a name is given to somebody else. The
// address is the primary one, if GitHub has verified it; any other counts for nothing. The token is not kept. T-063
func (p *Providers) exchangeGitHub(ctx context.Context, who party, a answer) (claims, error) {
	if a.issuer != "" && a.issuer != who.issuer && a.issuer != who.issuer+"/login/oauth" {
		return claims{}, fmt.Errorf("the answer is of %.200q, and %q was asked", a.issuer, who.issuer)
	}
	token, err := who.gitHubConfig().Exchange(oidc.ClientContext(ctx, p.client), a.code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		return claims{}, fmt.Errorf("it takes the code for no token: %w", short(err))
	}
	ask := gitHubAPI{at: apiOf(who.issuer), client: p.client, token: token.AccessToken}
	said, err := ask.person(ctx)
	if err == nil && who.github.member != "" {
		ask.membership(ctx, *who.github, &said)
	}
	return said, err
}

// gitHubAPI asks the API as the person who has just signed in.
type gitHubAPI struct {
	at     string
	client *outbound.Client
	token  string
}

// apiOf is where the API is: of GitHub itself on a host of its own, of a server of somebody else below it.
func apiOf(at string) string {
	if at == gitHubURL {
		return "https://api.github.com"
	}
	return at + "/api/v3"
}

func (ask gitHubAPI) get(ctx context.Context, path string, into any) error {
	raw, err := outbound.Get(ctx, ask.client, ask.at+path, ask.token)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s is answered with something else", path)
	}
	return nil
}

// person reads who signed in, with their primary address.
func (ask gitHubAPI) person(ctx context.Context) (claims, error) {
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Name  string `json:"name"`
	}
	if err := ask.get(ctx, "/user", &user); err != nil {
		return claims{}, fmt.Errorf("who signed in: %w", err)
	}
	if user.ID <= 0 {
		return claims{}, errors.New("it names nobody")
	}
	var addresses []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := ask.get(ctx, "/user/emails", &addresses); err != nil {
		return claims{}, fmt.Errorf("the addresses: %w", err)
	}
	said := claims{Subject: strconv.FormatInt(user.ID, 10), Name: user.Name, Verified: new(false)}
	for _, a := range addresses {
		if a.Primary && a.Verified && !strings.HasSuffix(strings.ToLower(a.Email), "@users.noreply.github.com") {
			said.Email, said.Verified = a.Email, new(true)
		}
	}
	said.raw = map[string]any{"sub": said.Subject, "login": user.Login, "name": user.Name, "email": said.Email, "email_verified": *said.Verified}
	return said, nil
}

// membership reads whether the person is an active member of the account now: also where nobody else can see that. The account
// is the one that the connection was tested with: a name that is given up can be taken by somebody else. T-063
func (ask gitHubAPI) membership(ctx context.Context, g gitHub, said *claims) {
	var m struct {
		State        string `json:"state"`
		Organization struct {
			ID    int64  `json:"id"`
			Login string `json:"login"`
		} `json:"organization"`
	}
	if err := ask.get(ctx, "/user/memberships/orgs/"+url.PathEscape(g.member), &m); err != nil {
		said.refused = fmt.Sprintf("you are no member of %s at GitHub, or it does not let this product ask: %v", g.member, err)
		return
	}
	said.Organization = strconv.FormatInt(m.Organization.ID, 10)
	switch {
	case m.State != "active" || !strings.EqualFold(m.Organization.Login, g.member) || m.Organization.ID <= 0:
		said.refused = fmt.Sprintf("you are no active member of %s at GitHub", g.member)
	case g.number != "" && g.number != said.Organization:
		said.refused = fmt.Sprintf("the organization %s at GitHub is another one than this was tested with", g.member)
	}
	said.raw["organization"], said.raw["organization_id"] = m.Organization.Login, said.Organization
}
