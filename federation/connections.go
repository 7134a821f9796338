package federation

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// The states of a connection: it signs people in while it is on, and can be switched on after a test has gone well.
const (
	Draft  = "draft"
	Tested = "tested"
	On     = "on"
)

// sealPurpose names what client secrets are sealed for.
const sealPurpose = "connection secret"

// Connection is an organization's identity provider.
type Connection struct {
	ID          string         `json:"id" doc:"The connection's id" example:"con_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Kind        string         `json:"kind" doc:"How it speaks" enum:"oidc"`
	Name        string         `json:"name" doc:"What people call it" example:"Okta"`
	Issuer      string         `json:"issuer" doc:"The provider's issuer" example:"https://acme.okta.com"`
	ClientID    string         `json:"client_id" cli:"-" doc:"What the provider knows us by" example:"0oa1b2c3"`
	RedirectURI string         `json:"redirect_uri" doc:"What has to be set at the provider as the redirect URI" example:"https://accounts.example.com/login/callback/con_01k..."`
	State       string         `json:"state" doc:"draft: not tested as it is now; tested: a test went well; on: it signs people in" enum:"draft,tested,on"`
	Role        charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited; absent: they cannot join" example:"viewer"`
	TestedAt    *time.Time     `json:"tested_at,omitzero" cli:"-" doc:"When a test last went well"`
	CreatedAt   time.Time      `json:"created_at" cli:"-" doc:"When it was made"`
	CreatedBy   string         `json:"created_by" cli:"-" doc:"Who made it: the id of a user or key, or operator"`
	Version     int64          `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
}

// ETag is the connection's version.
func (c Connection) ETag() string { return op.VersionTag(c.Version) }

// connectionRow is a connection as it is stored.
type connectionRow struct {
	id, organization, kind, name, issuer, clientID, state, role, createdBy string
	sealed                                                                 []byte
	tested, created, version                                               int64
}

const connectionColumns = `c.id, c.organization, c.kind, c.name, c.issuer, c.client_id, c.client_secret, c.state, c.role, c.tested_at, c.created_by,
	c.created_at, c.version`

func (c *connectionRow) fields() []any {
	return []any{&c.id, &c.organization, &c.kind, &c.name, &c.issuer, &c.clientID, &c.sealed, &c.state, &c.role, &c.tested, &c.createdBy, &c.created, &c.version}
}

func (c connectionRow) show(r *op.Reader) Connection {
	return Connection{ID: c.id, Kind: c.kind, Name: c.name, Issuer: c.issuer, ClientID: c.clientID, RedirectURI: redirectOf(r, c.id), State: c.state,
		Role: charter.RoleID(c.role), TestedAt: when(c.tested), CreatedAt: time.UnixMicro(c.created).UTC(), CreatedBy: c.createdBy, Version: c.version}
}

// redirectOf is where a provider sends people back to: another address for each connection, so that one provider's answer
// cannot be taken for another's. T-058
func redirectOf(r *op.Reader, connection string) string {
	return r.Settings.URL("/login/callback/" + connection)
}

// party is what the provider knows us by, with the opened secret.
func (c connectionRow) party(r *op.Reader) (party, error) {
	plain, err := r.Secrets.Open(sealPurpose+c.id, c.sealed)
	return party{issuer: c.issuer, clientID: c.clientID, secret: string(plain), redirect: redirectOf(r, c.id)}, err
}

// ConnectionInput names a connection.
type ConnectionInput struct {
	op.InOrganization
	Connection string `json:"connection" doc:"The connection's id" example:"con_00000000000000000000000000" maxLength:"64"`
}

var exampleConnection = ConnectionInput{op.InOrganization{Organization: "acme"}, "con_00000000000000000000000000"}

func connectionTarget(ctx context.Context, r *op.Reader, in ConnectionInput) (op.Target, error) {
	var c connectionRow
	err := r.QueryRow(ctx, "SELECT "+connectionColumns+" FROM connections c WHERE c.organization = $1 AND c.id = $2", r.Organization(), in.Connection).Scan(c.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Organization: r.Organization(), Type: "connection", ID: c.id, Name: c.name, Version: c.version, Current: c.show(r), Value: c}, nil
}

// ListConnectionsInput asks for the connections of an organization.
type ListConnectionsInput struct {
	op.InOrganization
	op.Page
}

// ListConnections lists the identity providers, the newest first.
var ListConnections = &op.Op[ListConnectionsInput, op.List[Connection]]{
	Name:    "connections.list",
	Route:   "GET /v1/organizations/{organization}/connections",
	Summary: "List the organization's identity providers",
	Allow:   op.On("sso.configure"),
	Do:      listConnections,
	Example: ListConnectionsInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listConnections(ctx context.Context, tx *op.Tx, in ListConnectionsInput) (op.List[Connection], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+connectionColumns+` FROM connections c WHERE c.organization = $1
		AND (c.created_at < $2 OR c.created_at = $2 AND c.id < $3) ORDER BY c.created_at DESC, c.id DESC LIMIT $4`, tx.Organization(), before, id, in.Size()+1)
	if err != nil {
		return op.List[Connection]{}, err
	}
	defer rows.Close()
	var found []Connection
	for rows.Next() {
		var c connectionRow
		if err := rows.Scan(c.fields()...); err != nil {
			return op.List[Connection]{}, err
		}
		found = append(found, c.show(tx.Reader))
	}
	return op.Listed(tx.Reader, &in.Page, found, func(c Connection) []string { return op.Newest(c.CreatedAt.UnixMicro(), c.ID) }), rows.Err()
}

// CreateConnectionInput says what an identity provider is.
type CreateConnectionInput struct {
	op.InOrganization
	Name         string         `json:"name" doc:"What people call it" minLength:"1" maxLength:"80" example:"Okta"`
	Issuer       string         `json:"issuer" doc:"The provider's issuer, letter by letter" minLength:"1" maxLength:"500" example:"https://acme.okta.com"`
	ClientID     string         `json:"client_id" doc:"The client id that the provider gave" minLength:"1" maxLength:"500" example:"0oa1b2c3"`
	ClientSecret string         `json:"client_secret" doc:"The client secret that the provider gave; it is sealed, and never shown again" minLength:"1" maxLength:"1000" example:"s3cret"`
	Role         charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited; left out: they cannot join" maxLength:"64" required:"false"`
}

// Validate checks the issuer.
func (in CreateConnectionInput) Validate() []op.FieldError { return checkIssuer(in.Issuer) }

func checkIssuer(issuer string) []op.FieldError {
	if !secureURL(issuer) || strings.ContainsAny(issuer, "?#") {
		return []op.FieldError{{Pointer: "/issuer", Code: "invalid", Detail: "the issuer has to be an https address without a query, such as https://acme.okta.com"}}
	}
	return nil
}

// CreateConnection makes a connection, which signs nobody in until it was tested and switched on.
var CreateConnection = &op.Op[CreateConnectionInput, Connection]{
	Name:    "connections.create",
	Route:   "POST /v1/organizations/{organization}/connections",
	Summary: "Name an identity provider that speaks OpenID Connect; it signs nobody in yet",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Do:      createConnection,
	Example: CreateConnectionInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "Okta", Issuer: "https://acme.okta.com", ClientID: "0oa1b2c3", ClientSecret: "s3cret"},
}

func createConnection(ctx context.Context, tx *op.Tx, in CreateConnectionInput) (Connection, error) {
	if in.Role != "" {
		if _, err := givable(ctx, tx, string(in.Role)); err != nil {
			return Connection{}, err
		}
	}
	c := connectionRow{id: tx.NewID("con"), kind: "oidc", name: strings.TrimSpace(in.Name), issuer: in.Issuer, clientID: in.ClientID, state: Draft, role: string(in.Role),
		createdBy: tx.Actor.ID, created: tx.Micros(), version: 1}
	_, err := tx.Exec(ctx, `INSERT INTO connections (id, organization, kind, name, issuer, client_id, client_secret, state, role, tested_at, created_by, created_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, 1)`, c.id, tx.Organization(), c.kind, c.name, c.issuer, c.clientID,
		tx.Secrets.Seal(sealPurpose+c.id, []byte(in.ClientSecret)), c.state, c.role, c.createdBy, c.created)
	tx.Also("connection", c.id, c.name)
	return c.show(tx.Reader), connectionTaken(err)
}

// connectionTaken tells a conflict of two connections.
func connectionTaken(err error) error {
	if _, clash := sqldb.Conflict(err); clash {
		return op.Errorf(op.Conflict, "connection_exists", "another connection has this issuer and client, or is on: one connection at a time signs people in")
	}
	return err
}

// UpdateConnectionInput says what to change; what is left out stays.
type UpdateConnectionInput struct {
	ConnectionInput
	Name         *string         `json:"name,omitzero" doc:"What people call it" minLength:"1" maxLength:"80" required:"false" example:"Okta"`
	ClientSecret *string         `json:"client_secret,omitzero" doc:"Another client secret" minLength:"1" maxLength:"1000" required:"false"`
	Role         *charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited; empty: they cannot join" maxLength:"64" required:"false"`
	On           *bool           `json:"on,omitzero" doc:"Whether it signs people in; only after a test has gone well" required:"false"`
}

// UpdateConnection changes a connection, or switches it on and off. With another secret it has to be tested again.
var UpdateConnection = &op.Op[UpdateConnectionInput, Connection]{
	Name:    "connections.update",
	Route:   "PATCH /v1/organizations/{organization}/connections/{connection}",
	Summary: "Change an identity provider, or switch it on or off",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Confirm: op.L2,
	Fresh:   true,
	Target: func(ctx context.Context, r *op.Reader, in UpdateConnectionInput) (op.Target, error) {
		return connectionTarget(ctx, r, in.ConnectionInput)
	},
	Do:      updateConnection,
	Example: UpdateConnectionInput{ConnectionInput: exampleConnection, Name: new("Okta")},
}

func updateConnection(ctx context.Context, tx *op.Tx, in UpdateConnectionInput) (Connection, error) {
	c := tx.Target().Value.(connectionRow)
	if err := in.apply(ctx, tx, &c); err != nil {
		return Connection{}, err
	}
	c.version++
	_, err := tx.Exec(ctx, "UPDATE connections SET name = $3, client_secret = $4, state = $5, role = $6, version = $7 WHERE organization = $1 AND id = $2",
		tx.Organization(), c.id, c.name, c.sealed, c.state, c.role, c.version)
	return c.show(tx.Reader), connectionTaken(err)
}

func (in UpdateConnectionInput) apply(ctx context.Context, tx *op.Tx, c *connectionRow) error {
	was := *c
	if in.Name != nil {
		c.name = strings.TrimSpace(*in.Name)
	}
	if in.ClientSecret != nil {
		c.sealed, c.state = tx.Secrets.Seal(sealPurpose+c.id, []byte(*in.ClientSecret)), Draft
		tx.Changed("client_secret", false, true)
	}
	if in.Role != nil && *in.Role != "" {
		if _, err := givable(ctx, tx, string(*in.Role)); err != nil {
			return err
		}
	}
	if in.Role != nil {
		c.role = string(*in.Role)
		tx.Changed("role", was.role, c.role)
	}
	if in.On != nil {
		if *in.On && c.state == Draft {
			return op.Errorf(op.Conflict, "not_tested", "test this connection first: nobody knows yet whether it can sign anybody in")
		}
		switch {
		case *in.On:
			c.state = On
		case c.state == On:
			c.state = Tested
		}
		tx.Changed("state", was.state, c.state)
	}
	return nil
}

// DeleteConnection ends a connection. People sign in in another way; members stay.
var DeleteConnection = &op.Op[ConnectionInput, Connection]{
	Name:    "connections.delete",
	Route:   "DELETE /v1/organizations/{organization}/connections/{connection}",
	Summary: "Delete an identity provider: people sign in in another way, members stay",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Confirm: op.L3,
	Fresh:   true,
	Target:  connectionTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ ConnectionInput) (Connection, error) {
		c := tx.Target().Value.(connectionRow)
		for _, table := range []string{"DELETE FROM identities WHERE organization = $1 AND connection = $2", "DELETE FROM federated_attempts WHERE organization = $1 AND connection = $2",
			"DELETE FROM connections WHERE organization = $1 AND id = $2"} {
			if _, err := tx.Exec(ctx, table, tx.Organization(), c.id); err != nil {
				return Connection{}, err
			}
		}
		return c.show(tx.Reader), nil
	},
	Example: exampleConnection,
}
