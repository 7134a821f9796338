package federation

import (
	"cmp"
	"context"
	"regexp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// OwnClient is an organization's own client at Google or GitHub, in place of the installation's.
type OwnClient struct {
	ClientID     string         `json:"client_id,omitzero" doc:"A client of your own; left out: the installation's" maxLength:"500" required:"false" example:"123.apps.googleusercontent.com"`
	ClientSecret string         `json:"client_secret,omitzero" doc:"Its secret; it is sealed, and never shown again" maxLength:"1000" required:"false" example:"s3cret"`
	Role         charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited; left out: they cannot join" maxLength:"64" required:"false"`

	issuer string
}

// Validate wants a client with its secret, or neither.
func (in OwnClient) Validate() []op.FieldError {
	if (in.ClientID == "") != (in.ClientSecret == "") {
		return []op.FieldError{{Pointer: "/client_secret", Code: "invalid", Detail: "give the client's id and its secret, or neither"}}
	}
	return nil
}

// CreateGoogleInput says whose client it is.
type CreateGoogleInput struct {
	op.InOrganization
	OwnClient
	Name string `json:"name,omitzero" doc:"What people call it; left out: Google" maxLength:"80" required:"false" example:"Google"`
}

// CreateGoogle lets the people of the organization's Google Workspace sign in: whoever Google says belongs to a domain that the
// organization has verified. It signs nobody in until it was tested and switched on.
var CreateGoogle = &op.Op[CreateGoogleInput, Connection]{
	Name:    "connections.create_google",
	Route:   "POST /v1/organizations/{organization}/connections/google",
	Summary: "Let the people of your Google Workspace sign in, if their domain is verified; it signs nobody in yet",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Prepare: func(ctx context.Context, in CreateGoogleInput) (CreateGoogleInput, error) {
		return in, in.offered(ctx, Google)
	},
	Do: func(ctx context.Context, tx *op.Tx, in CreateGoogleInput) (Connection, error) {
		return in.create(ctx, tx, connectionRow{kind: Google, name: cmp.Or(in.Name, "Google")}, "")
	},
	Example: CreateGoogleInput{InOrganization: op.InOrganization{Organization: "acme"}, OwnClient: OwnClient{ClientID: "123.apps.googleusercontent.com", ClientSecret: "s3cret"}},
}

// CreateGitHubInput says whose members sign in.
type CreateGitHubInput struct {
	op.InOrganization
	OwnClient
	Name               string `json:"name,omitzero" doc:"What people call it; left out: GitHub" maxLength:"80" required:"false" example:"GitHub"`
	GitHubOrganization string `json:"github_organization" doc:"The organization at GitHub whose active members sign in: its name in addresses" minLength:"1" maxLength:"39" example:"acme"`
}

// gitHubName is how GitHub names organizations.
var gitHubName = regexp.MustCompile(`^[A-Za-z0-9](-?[A-Za-z0-9])*$`)

// Validate checks the name at GitHub.
func (in CreateGitHubInput) Validate() []op.FieldError {
	wrong := in.OwnClient.Validate()
	if !gitHubName.MatchString(in.GitHubOrganization) {
		wrong = append(wrong, op.FieldError{Pointer: "/github_organization", Code: "invalid", Detail: "that is no name of an organization at GitHub: letters, digits and single hyphens"})
	}
	return wrong
}

// CreateGitHub lets the members of an organization at GitHub sign in. Whether somebody is one is read at every sign-in. It signs
// nobody in until it was tested and switched on.
var CreateGitHub = &op.Op[CreateGitHubInput, Connection]{
	Name:    "connections.create_github",
	Route:   "POST /v1/organizations/{organization}/connections/github",
	Summary: "Let the members of your organization at GitHub sign in; it signs nobody in yet",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Prepare: func(ctx context.Context, in CreateGitHubInput) (CreateGitHubInput, error) {
		return in, in.offered(ctx, GitHub)
	},
	Do: func(ctx context.Context, tx *op.Tx, in CreateGitHubInput) (Connection, error) {
		return in.create(ctx, tx, connectionRow{kind: GitHub, name: cmp.Or(in.Name, "GitHub")}, in.GitHubOrganization)
	},
	Example: CreateGitHubInput{InOrganization: op.InOrganization{Organization: "acme"}, OwnClient: OwnClient{ClientID: "Iv1.client", ClientSecret: "s3cret"}, GitHubOrganization: "acme"},
}

// offered wants a client: one of the organization's own, or the installation's.
func (in *OwnClient) offered(ctx context.Context, provider string) error {
	reach, err := reachOf(ctx)
	if err != nil {
		return err
	}
	if in.ClientID == "" && reach.Providers.social.client(provider).ID == "" {
		return op.InvalidField("client_id", "required", "this installation has no client at %s: make one of your own there, and give its id and secret", socialNames[provider])
	}
	in.issuer = reach.Providers.social.issuer(provider)
	return nil
}

func (in OwnClient) create(ctx context.Context, tx *op.Tx, c connectionRow, gitHub string) (Connection, error) {
	if in.Role != "" {
		if _, err := givable(ctx, tx, string(in.Role)); err != nil {
			return Connection{}, err
		}
	}
	c.id = tx.NewID("con")
	_, err := tx.Exec(ctx, `INSERT INTO connections (id, organization, kind, name, issuer, client_id, client_secret, state, role, github_organization, tested_at, created_by, created_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, 1)`, c.id, tx.Organization(), c.kind, c.name, in.issuer, in.ClientID,
		tx.Secrets.Seal(sealPurpose+c.id, []byte(in.ClientSecret)), Draft, string(in.Role), gitHub, tx.Actor.ID, tx.Micros())
	tx.Also("connection", c.id, c.name)
	if err != nil {
		return Connection{}, connectionTaken(err)
	}
	made, err := connectionTarget(ctx, tx.Reader, ConnectionInput{Connection: c.id})
	if err != nil {
		return Connection{}, err
	}
	return made.Current.(Connection), nil
}

// social reports whether a connection speaks with Google or GitHub.
func (c connectionRow) social() bool { return c.kind == Google || c.kind == GitHub }

// callback is the last part of the connection's redirect URI: another one for each client, as each is told its own.
func (c connectionRow) callback() string {
	if c.social() && c.clientID == "" {
		return c.kind
	}
	return c.id
}

// socialParty is what Google or GitHub knows us by for a connection: by a client of its own, or by the installation's, which
// Providers fills in.
func (c connectionRow) socialParty(ctx context.Context, r *op.Reader, secret string) (party, error) {
	who := party{issuer: c.issuer, clientID: c.clientID, secret: secret, redirect: redirectOf(r, c.callback()), social: c.kind}
	if c.kind != GitHub {
		return who, nil
	}
	who.github = &gitHub{}
	err := r.QueryRow(ctx, "SELECT github_organization, github_organization_id FROM connections WHERE organization = $1 AND id = $2", c.organization, c.id).
		Scan(&who.github.member, &who.github.number)
	return who, err
}

// filled is a party with the installation's client, where it has none of its own.
func (p *Providers) filled(who party) (party, error) {
	if who.clientID != "" || who.social == "" {
		return who, nil
	}
	installed, err := p.social.party(who.social, who.redirect)
	who.clientID, who.secret = installed.clientID, installed.secret
	if err != nil || installed.issuer != who.issuer {
		return who, op.Errorf(op.Conflict, "connection_off", "this installation has no client at %s any more: sign in by mail", socialNames[who.social])
	}
	return who, nil
}

// restricted refuses whom Google or GitHub knows and the organization has not let in: Google has to say a Workspace whose domain
// is verified, GitHub an active membership. A test that goes well fixes which organization at GitHub it is. T-062, T-063
func (a pendingAttempt) restricted(ctx context.Context, tx *op.Tx, said claims) error {
	c := a.connection
	switch {
	case c.kind == Google:
		domain, err := directory.FoldDomain(said.Hosted)
		if err != nil {
			domain = "" // which nobody has verified
		}
		var verified int64
		err = tx.QueryRow(ctx, "SELECT count(*) FROM domains d WHERE d.organization = $1 AND d.domain = $2 AND d.state = 'verified'", c.organization, domain).Scan(&verified)
		if err == nil && verified == 0 {
			err = op.Keep(op.Errorf(op.Denied, "not_of_workspace", "as Google says it, you belong to no Workspace whose domain this organization has verified"))
		}
		return err
	case c.kind == GitHub && said.refused != "":
		return op.Keep(op.Errorf(op.Denied, "not_a_github_member", "%s", said.refused))
	case c.kind == GitHub && a.purpose == "test":
		_, err := tx.Exec(ctx, "UPDATE connections SET github_organization_id = $3 WHERE organization = $1 AND id = $2", c.organization, c.id, said.Organization)
		return err
	}
	return nil
}
