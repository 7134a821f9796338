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

// oidcKind is the kind of connections that speak OpenID Connect.
const oidcKind = "oidc"

// sealPurpose names what client secrets are sealed for.
const sealPurpose = "connection secret"

// Whom an address leads to a connection that is on.
const (
	Everyone = "everyone"
	Pilot    = "pilot"
)

// Connection is an organization's identity provider.
type Connection struct {
	ID          string         `json:"id" doc:"The connection's id" example:"con_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Kind        string         `json:"kind" doc:"How it speaks" enum:"oidc,saml,google,github"`
	Name        string         `json:"name" doc:"What people call it" example:"Okta"`
	Issuer      string         `json:"issuer" doc:"The provider's issuer" example:"https://acme.okta.com"`
	ClientID    string         `json:"client_id" cli:"-" doc:"What the provider knows us by" example:"0oa1b2c3"`
	RedirectURI string         `json:"redirect_uri" doc:"What has to be set at the provider as the redirect URI" example:"https://accounts.example.com/login/callback/con_01k..."`
	LogoutURI   string         `json:"backchannel_logout_uri,omitzero" cli:"-" doc:"OpenID Connect: what may be set at the provider as the back-channel logout URI, so that who signs out there is signed out here"`
	LeftURI     string         `json:"post_logout_redirect_uri,omitzero" cli:"-" doc:"OpenID Connect: what has to be set there as the post logout redirect URI, where people may sign out there, too"`
	SignInURL   string         `json:"sign_in_url" cli:"-" doc:"The page on which people of the organization choose where to sign in, whatever their address"`
	State       string         `json:"state" doc:"draft: not tested as it is now; tested: a test went well; on: it signs people in" enum:"draft,tested,on"`
	Rollout     string         `json:"rollout" doc:"Whom an address leads there while it is on: everyone, or only the people of the pilot" enum:"everyone,pilot"`
	Domains     []string       `json:"domains" doc:"The verified domains that are this connection's alone; empty: all verified ones that no other connection names"`
	Role        charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited and whose groups give none; absent: they cannot join" example:"viewer"`
	Mapping     Mapping        `json:"mapping" cli:"-" doc:"Which claim or attribute says what; what is absent is as the provider's kind has it"`
	Guests      bool           `json:"guests" cli:"-" doc:"Whether members whose address is at no organization's domain may be linked and sign in here"`
	TestedAt    *time.Time     `json:"tested_at,omitzero" cli:"-" doc:"When a test last went well"`
	LastTest    *TestOutcome   `json:"last_test,omitzero" doc:"What came of the last test; absent: there was none"`
	GitHub      string         `json:"github_organization,omitzero" cli:"-" doc:"Of GitHub: the organization there whose active members sign in"`
	EndsAt      *time.Time     `json:"certificates_end_at,omitzero" cli:"-" doc:"Of SAML: when the last certificate of the provider ends, and nobody signs in any more"`
	CreatedAt   time.Time      `json:"created_at" cli:"-" doc:"When it was made"`
	CreatedBy   string         `json:"created_by" cli:"-" doc:"Who made it: the id of a user, key or set-up link, or operator"`
	Version     int64          `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
}

// TestOutcome is what came of a test.
type TestOutcome struct {
	At      time.Time `json:"at" doc:"When"`
	Went    string    `json:"went" doc:"Whether it went well" enum:"well,badly"`
	Problem string    `json:"problem,omitzero" doc:"Why it did not"`
}

// ETag is the connection's version.
func (c Connection) ETag() string { return op.VersionTag(c.Version) }

// ForEverybody reports whether the connection signs everybody in whom it is for: it is on, and not only tried out by a few.
func (c Connection) ForEverybody() bool { return c.State == On && c.Rollout == Everyone }

// connectionRow is a connection as it is stored.
type connectionRow struct {
	id, organization, kind, name, issuer, clientID, state, role, rollout, createdBy string
	sealed                                                                          []byte
	mapping                                                                         Mapping
	guests                                                                          bool
	tested, created, version                                                        int64
}

const connectionColumns = `c.id, c.organization, c.kind, c.name, c.issuer, c.client_id, c.client_secret, c.state, c.role, c.rollout, c.guests,
	c.map_address, c.map_name, c.map_subject, c.map_groups, c.tested_at, c.created_by, c.created_at, c.version`

func (c *connectionRow) fields() []any {
	m := &c.mapping
	return []any{&c.id, &c.organization, &c.kind, &c.name, &c.issuer, &c.clientID, &c.sealed, &c.state, &c.role, &c.rollout, &c.guests,
		&m.Address, &m.Name, &m.Subject, &m.Groups, &c.tested, &c.createdBy, &c.created, &c.version}
}

// shownConnection is a connection with what the lists show of it.
type shownConnection struct {
	connectionRow
	slug, problem    string
	gitHub           string // the organization there
	testedLast, ends int64
	domains          []string
}

const connectionsShown = "SELECT " + connectionColumns + `, o.slug, c.github_organization, COALESCE(t.at, 0), COALESCE(t.problem, ''), COALESCE(s.ends_at, 0) FROM connections c
	JOIN organizations o ON o.id = c.organization LEFT JOIN connection_tests t ON t.organization = c.organization AND t.connection = c.id
	LEFT JOIN saml_settings s ON s.organization = c.organization AND s.connection = c.id
	WHERE c.organization = $1 AND `

func (c *shownConnection) fields() []any {
	return append(c.connectionRow.fields(), &c.slug, &c.gitHub, &c.testedLast, &c.problem, &c.ends)
}

func (c shownConnection) show(r *op.Reader) Connection {
	shown := Connection{ID: c.id, Kind: c.kind, Name: c.name, Issuer: c.issuer, ClientID: c.clientID, RedirectURI: c.redirect(r), SignInURL: signInPage(r, c.slug),
		State: c.state, Rollout: c.rollout, Domains: append([]string{}, c.domains...), Role: charter.RoleID(c.role), Mapping: c.mapping, Guests: c.guests, TestedAt: when(c.tested), GitHub: c.gitHub, EndsAt: when(c.ends),
		CreatedAt: time.UnixMicro(c.created).UTC(), CreatedBy: c.createdBy, Version: c.version}
	if c.kind == oidcKind {
		shown.LogoutURI, shown.LeftURI = r.Settings.URL("/login/backchannel/"+c.id), r.Settings.URL(leftPath)
	}
	if c.testedLast != 0 {
		shown.LastTest = &TestOutcome{At: *when(c.testedLast), Went: "well", Problem: c.problem}
		if c.problem != "" {
			shown.LastTest.Went = "badly"
		}
	}
	return shown
}

// signInPage is where an organization's people choose where to sign in.
func signInPage(r *op.Reader, slug string) string { return r.Settings.URL("/login/sso/" + slug) }

// redirectOf is where a provider sends people back to: another address for each connection, so that one provider's answer
// cannot be taken for another's. T-058
func redirectOf(r *op.Reader, connection string) string {
	return r.Settings.URL("/login/callback/" + connection)
}

// redirect is where the connection's provider sends people back to.
func (c connectionRow) redirect(r *op.Reader) string {
	if c.kind == samlKind {
		return SAMLParty(r.Settings.URL, c.id).ACS
	}
	return redirectOf(r, c.callback())
}

// party is what the provider knows us by, with the opened secret.
func (c connectionRow) party(ctx context.Context, r *op.Reader) (party, error) {
	if c.kind == samlKind {
		return c.samlParty(ctx, r)
	}
	plain, err := r.Secrets.Open(sealPurpose+c.id, c.sealed)
	if err == nil && c.social() {
		return c.socialParty(ctx, r, string(plain))
	}
	return party{issuer: c.issuer, clientID: c.clientID, secret: string(plain), redirect: redirectOf(r, c.id)}, err
}

// ConnectionInput names a connection.
type ConnectionInput struct {
	op.InOrganization
	Connection string `json:"connection" doc:"The connection's id" example:"con_00000000000000000000000000" maxLength:"64"`
}

var exampleConnection = ConnectionInput{op.InOrganization{Organization: "acme"}, "con_00000000000000000000000000"}

func connectionTarget(ctx context.Context, r *op.Reader, in ConnectionInput) (op.Target, error) {
	c, err := readConnection(ctx, r, in.Connection)
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Organization: r.Organization(), Type: "connection", ID: c.id, Name: c.name, Version: c.version, Current: c.show(r), Value: c}, nil
}

// readConnection reads a connection of the call's organization with its domains.
func readConnection(ctx context.Context, r *op.Reader, id string) (c shownConnection, err error) {
	err = r.QueryRow(ctx, connectionsShown+"c.id = $2", r.Organization(), id).Scan(c.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	if err != nil {
		return c, err
	}
	named, err := namedDomains(ctx, r)
	c.domains = named[c.id]
	return c, err
}

// namedDomains are the domains that connections of the call's organization name, by connection.
func namedDomains(ctx context.Context, r *op.Reader) (map[string][]string, error) {
	rows, err := r.Query(ctx, `SELECT n.connection, d.domain FROM connection_domains n JOIN domains d ON d.organization = n.organization AND d.id = n.domain
		WHERE n.organization = $1 ORDER BY d.domain`, r.Organization())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	named := map[string][]string{}
	for rows.Next() {
		var connection, domain string
		if err := rows.Scan(&connection, &domain); err != nil {
			return nil, err
		}
		named[connection] = append(named[connection], domain)
	}
	return named, rows.Err()
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
	named, err := namedDomains(ctx, tx.Reader)
	if err != nil {
		return op.List[Connection]{}, err
	}
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, connectionsShown+"(c.created_at < $2 OR c.created_at = $2 AND c.id < $3) ORDER BY c.created_at DESC, c.id DESC LIMIT $4",
		tx.Organization(), before, id, in.Size()+1)
	if err != nil {
		return op.List[Connection]{}, err
	}
	defer rows.Close()
	var found []Connection
	for rows.Next() {
		var c shownConnection
		if err := rows.Scan(c.fields()...); err != nil {
			return op.List[Connection]{}, err
		}
		c.domains = named[c.id]
		found = append(found, c.show(tx.Reader))
	}
	return op.Listed(tx.Reader, &in.Page, found, func(c Connection) []string { return op.Newest(c.CreatedAt.UnixMicro(), c.ID) }), rows.Err()
}

// ConnectionDetails are a connection with whom it gives which role, and who tries it out.
type ConnectionDetails struct {
	Connection
	GroupRoles []GroupRole `json:"group_roles" doc:"Which of the provider's groups gives which role: the first that is one of somebody's counts"`
	Pilot      []string    `json:"pilot" doc:"The addresses of those who are led there while the roll-out is a pilot"`

	PilotGroups []PilotGroup `json:"pilot_groups" doc:"The groups of directories whose people are led there, too"`
}

// GetConnection shows a connection, with what came of its last test.
var GetConnection = &op.Op[ConnectionInput, ConnectionDetails]{
	Name:    "connections.get",
	Route:   "GET /v1/organizations/{organization}/connections/{connection}",
	Summary: "Show an identity provider, with its groups, its pilot and what came of the last test",
	Allow:   op.On("sso.configure"),
	Target:  connectionTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ ConnectionInput) (out ConnectionDetails, err error) {
		c := tx.Target().Value.(shownConnection)
		out.Connection = c.show(tx.Reader)
		if out.GroupRoles, err = c.groupRoles(ctx, tx.Reader); err == nil {
			out.Pilot, err = c.pilot(ctx, tx.Reader)
		}
		if err == nil {
			out.PilotGroups, err = c.pilotGroups(ctx, tx.Reader)
		}
		return out, err
	},
	Example: exampleConnection,
}

// CreateConnectionInput says what an identity provider is.
type CreateConnectionInput struct {
	op.InOrganization
	Name         string         `json:"name" doc:"What people call it" minLength:"1" maxLength:"80" example:"Okta"`
	Issuer       string         `json:"issuer" doc:"The provider's issuer, letter by letter" minLength:"1" maxLength:"500" example:"https://acme.okta.com"`
	ClientID     string         `json:"client_id" doc:"The client id that the provider gave" minLength:"1" maxLength:"500" example:"0oa1b2c3"`
	ClientSecret string         `json:"client_secret" doc:"The client secret that the provider gave; it is sealed, and never shown again" minLength:"1" maxLength:"1000" example:"s3cret"`
	Role         charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited and whose groups give none; left out: they cannot join" maxLength:"64" required:"false"`
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
	c := connectionRow{id: tx.NewID("con"), organization: tx.Organization(), kind: oidcKind, name: strings.TrimSpace(in.Name), issuer: in.Issuer, clientID: in.ClientID, state: Draft, role: string(in.Role),
		createdBy: tx.Actor.ID, created: tx.Micros()}
	c.sealed = tx.Secrets.Seal(sealPurpose+c.id, []byte(in.ClientSecret))
	err := c.insert(ctx, tx)
	tx.Also("connection", c.id, c.name)
	if err != nil {
		return Connection{}, connectionTaken(err)
	}
	shown, err := readConnection(ctx, tx.Reader, c.id)
	return shown.show(tx.Reader), err
}

// insert keeps a new connection.
func (c connectionRow) insert(ctx context.Context, tx *op.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO connections (id, organization, kind, name, issuer, client_id, client_secret, state, role, tested_at, created_by, created_at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, 1)`, c.id, c.organization, c.kind, c.name, c.issuer, c.clientID, c.sealed, c.state, c.role, c.createdBy, c.created)
	return err
}

// connectionTaken tells a conflict of two connections.
func connectionTaken(err error) error {
	if _, clash := sqldb.Conflict(err); clash {
		return op.Errorf(op.Conflict, "connection_exists", "another connection has this issuer and client")
	}
	return err
}
