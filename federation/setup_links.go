package federation

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// setupKind is the kind of a set-up link's token: "gld_setup_...".
const setupKind = "setup"

// byOperator is who made a link that the operator made.
const byOperator = "operator"

// The states of a set-up link.
const (
	LinkOpen    = "open"
	LinkExpired = "expired"
	LinkEnded   = "ended"
)

// SetupLink lets somebody without an account set one connection up, and nothing else.
type SetupLink struct {
	ID           string     `json:"id" doc:"The link's id" example:"stl_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	State        string     `json:"state" doc:"Whether it can be used" enum:"open,expired,ended"`
	EndedBecause string     `json:"ended_because,omitzero" doc:"Why it has ended: it was revoked, or its connection was switched on or deleted" enum:"revoked,switched_on,deleted"`
	Connection   string     `json:"connection,omitzero" doc:"The connection that it sets up; absent: none is named yet"`
	CreatedBy    string     `json:"created_by" cli:"-" doc:"Whose link it is: a user's id, or operator. It counts while that person holds sso.configure"`
	CreatedAt    time.Time  `json:"created_at" cli:"-" doc:"When it was made"`
	ExpiresAt    time.Time  `json:"expires_at" doc:"Until when it can be used"`
	UsedAt       *time.Time `json:"used_at,omitzero" doc:"When it was used last; absent: never"`
}

// linkRow is a link as it is stored.
type linkRow struct {
	id, organization, connection, createdBy, because string
	created, expires, used, ended                    int64
}

const linkColumns = "l.id, l.organization, l.connection, l.created_by, l.ended_because, l.created_at, l.expires_at, l.used_at, l.ended_at"

func (l *linkRow) fields() []any {
	return []any{&l.id, &l.organization, &l.connection, &l.createdBy, &l.because, &l.created, &l.expires, &l.used, &l.ended}
}

func (l linkRow) show(now int64) SetupLink {
	s := SetupLink{ID: l.id, State: LinkOpen, EndedBecause: l.because, Connection: l.connection, CreatedBy: l.createdBy, CreatedAt: time.UnixMicro(l.created).UTC(),
		ExpiresAt: time.UnixMicro(l.expires).UTC(), UsedAt: when(l.used)}
	switch {
	case l.ended != 0:
		s.State = LinkEnded
	case now >= l.expires:
		s.State = LinkExpired
	}
	return s
}

// ListSetupLinksInput asks for the set-up links of an organization.
type ListSetupLinksInput struct {
	op.InOrganization
	op.Page
}

// ListSetupLinks lists the set-up links, the newest first.
var ListSetupLinks = &op.Op[ListSetupLinksInput, op.List[SetupLink]]{
	Name:    "setup_links.list",
	Route:   "GET /v1/organizations/{organization}/setup_links",
	Summary: "List the links by which others set an identity provider up",
	Allow:   op.On("sso.configure"),
	Do:      listSetupLinks,
	Example: ListSetupLinksInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listSetupLinks(ctx context.Context, tx *op.Tx, in ListSetupLinksInput) (op.List[SetupLink], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+linkColumns+` FROM setup_links l WHERE l.organization = $1 AND (l.created_at < $2 OR l.created_at = $2 AND l.id < $3)
		ORDER BY l.created_at DESC, l.id DESC LIMIT $4`, tx.Organization(), before, id, in.Size()+1)
	if err != nil {
		return op.List[SetupLink]{}, err
	}
	defer rows.Close()
	var found []SetupLink
	for rows.Next() {
		var l linkRow
		if err := rows.Scan(l.fields()...); err != nil {
			return op.List[SetupLink]{}, err
		}
		found = append(found, l.show(tx.Micros()))
	}
	return op.Listed(tx.Reader, &in.Page, found, func(l SetupLink) []string { return op.Newest(l.CreatedAt.UnixMicro(), l.ID) }), rows.Err()
}

// CreateSetupLinkInput says what the link is for.
type CreateSetupLinkInput struct {
	op.InOrganization
	Connection string `json:"connection,omitzero" doc:"A connection that is there and not on; left out: the link makes one" maxLength:"64" required:"false"`
	Hours      int64  `json:"hours,omitzero" doc:"For how many hours it can be used, up to 30 days" minimum:"1" maximum:"720" default:"168" required:"false"`
}

// NewSetupLink is a link with its address, which is shown once.
type NewSetupLink struct {
	SetupLink
	Link        string `json:"link,omitzero" doc:"The address to hand on: it is shown this once" example:"https://accounts.example.com/setup/gld_setup_..."`
	SecretShown bool   `json:"secret_shown" doc:"Whether link is there: a repeat of the request does not show it again"`
}

// WithoutSecret is what a repeat of the request is answered.
func (l NewSetupLink) WithoutSecret() any { l.Link, l.SecretShown = "", false; return l }

// CreateSetupLink makes a link for somebody without an account, who sets one connection up by it. It counts while whoever made
// it holds sso.configure, and ends when the connection is switched on.
var CreateSetupLink = &op.Op[CreateSetupLinkInput, NewSetupLink]{
	Name:    "setup_links.create",
	Route:   "POST /v1/organizations/{organization}/setup_links",
	Summary: "Make a link by which somebody without an account sets an identity provider up; it is shown once",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Confirm: op.L1,
	Fresh:   true,
	Do:      createSetupLink,
	Example: CreateSetupLinkInput{InOrganization: op.InOrganization{Organization: "acme"}, Hours: 24},
}

func createSetupLink(ctx context.Context, tx *op.Tx, in CreateSetupLinkInput) (NewSetupLink, error) {
	l := linkRow{id: tx.NewID("stl"), organization: tx.Organization(), connection: in.Connection, createdBy: tx.Actor.User, created: tx.Micros()}
	if l.createdBy == "" {
		if tx.Actor.Kind != op.OperatorActor {
			return NewSetupLink{}, op.Errorf(op.Conflict, "nobody_answers", "a set-up link counts while the person who made it may configure single sign-on: a person has to make it")
		}
		l.createdBy = byOperator
	}
	if in.Connection != "" {
		if err := l.maySetUp(ctx, tx); err != nil {
			return NewSetupLink{}, err
		}
	}
	hours := in.Hours
	if hours == 0 {
		hours = 168
	}
	l.expires = tx.Now.Add(time.Duration(hours) * time.Hour).UnixMicro()
	token := secret.New(nil, tx.Charter.KeyPrefix, setupKind)
	hash := token.Hash()
	_, err := tx.Exec(ctx, `INSERT INTO setup_links (id, organization, connection, token_hash, recovery_epoch, created_by, created_at, expires_at, used_at, ended_at, ended_because)
		VALUES ($1, $2, $3, $4, (SELECT recovery_epoch FROM instance WHERE id = 'instance'), $5, $6, $7, 0, 0, '')`,
		l.id, l.organization, l.connection, hash[:], l.createdBy, l.created, l.expires)
	tx.Also("setup_link", l.id, "set-up link")
	tx.Changed("expires_at", nil, time.UnixMicro(l.expires).UTC().Format(time.RFC3339))
	return NewSetupLink{SetupLink: l.show(tx.Micros()), Link: tx.Settings.URL("/setup/" + token.Reveal()), SecretShown: true}, err
}

// maySetUp refuses a link to a connection that is not there, or is on.
func (l linkRow) maySetUp(ctx context.Context, tx *op.Tx) error {
	c, err := readConnection(ctx, tx.Reader, l.connection)
	switch {
	case errors.Is(err, op.ErrNotFound):
		return op.InvalidField("connection", "unknown", "there is no connection %q", l.connection)
	case err == nil && c.state == On:
		return op.Errorf(op.Conflict, "connection_on", "this connection signs people in: switch it off before somebody else sets it up")
	case err == nil:
		tx.Also("connection", c.id, c.name)
	}
	return err
}

// SetupLinkInput names a set-up link.
type SetupLinkInput struct {
	op.InOrganization
	SetupLink string `json:"setup_link" doc:"The link's id" maxLength:"64" example:"stl_00000000000000000000000000"`
}

// RevokeSetupLink ends a link before its time. What was set up by it stays.
var RevokeSetupLink = &op.Op[SetupLinkInput, SetupLink]{
	Name:    "setup_links.revoke",
	Route:   "POST /v1/organizations/{organization}/setup_links/{setup_link}/revoke",
	Summary: "End a set-up link; what was set up by it stays",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Confirm: op.L1,
	Target: func(ctx context.Context, r *op.Reader, in SetupLinkInput) (op.Target, error) {
		var l linkRow
		err := r.QueryRow(ctx, "SELECT "+linkColumns+" FROM setup_links l WHERE l.organization = $1 AND l.id = $2", r.Organization(), in.SetupLink).Scan(l.fields()...)
		if errors.Is(err, sql.ErrNoRows) {
			err = op.ErrNotFound
		}
		return op.Target{Organization: r.Organization(), Type: "setup_link", ID: l.id, Name: "set-up link", Value: l}, err
	},
	Do: func(ctx context.Context, tx *op.Tx, _ SetupLinkInput) (SetupLink, error) {
		l := tx.Target().Value.(linkRow)
		if l.ended != 0 {
			tx.Unchanged()
			return l.show(tx.Micros()), nil
		}
		l.ended, l.because = tx.Micros(), "revoked"
		_, err := tx.Exec(ctx, "UPDATE setup_links SET ended_at = $3, ended_because = $4 WHERE organization = $1 AND id = $2", tx.Organization(), l.id, l.ended, l.because)
		return l.show(tx.Micros()), err
	},
	Example: SetupLinkInput{op.InOrganization{Organization: "acme"}, "stl_00000000000000000000000000"},
}

// endLinks ends the links of a connection.
func endLinks(ctx context.Context, tx *op.Tx, connection, because string) error {
	_, err := tx.Exec(ctx, "UPDATE setup_links SET ended_at = $3, ended_because = $4 WHERE organization = $1 AND connection = $2 AND ended_at = 0",
		tx.Organization(), connection, tx.Micros(), because)
	return err
}

// ByLink carries the secret of a set-up link, which is all that its operations ask for.
type ByLink struct {
	Link string `json:"link" doc:"The secret of the link: what follows /setup/" minLength:"1" maxLength:"200" example:"gld_setup_0000000000000000000000000000000000000000000000000"`
}

// usedLink is a link that somebody uses, with what it is for.
type usedLink struct {
	linkRow
	organizationName, maker, plan string
	shown                         shownConnection // of the connection, once it is named
}

var errLinkOver = op.Errorf(op.Gone, "link_over", "this link is over: ask whoever sent it for another one")

// linkOf finds a living link by its secret. Whoever made it has to hold sso.configure still, now. A link of before a restored
// backup is none.
func linkOf(ctx context.Context, r *op.Reader, in ByLink) (l usedLink, err error) {
	hash := secret.HashOf(in.Link)
	err = r.QueryRow(ctx, "SELECT "+linkColumns+`, o.name, o.plan, COALESCE(NULLIF(u.name, ''), u.email, '') FROM setup_links l
		JOIN instance i ON i.recovery_epoch = l.recovery_epoch JOIN organizations o ON o.id = l.organization AND o.state = 'active'
		LEFT JOIN users u ON u.id = l.created_by WHERE l.token_hash = $1`, hash[:]).Scan(append(l.fields(), &l.organizationName, &l.plan, &l.maker)...)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !r.Charter.Unlocked(l.plan, feature) {
		err = op.ErrNotFound
	}
	if err != nil {
		return l, err
	}
	if l.ended != 0 || r.Micros() >= l.expires {
		return l, errLinkOver
	}
	return l, l.stands(ctx, r)
}

// linkTarget makes the link's organization the call's, and reads what the link is for.
func linkTarget(ctx context.Context, r *op.Reader, in ByLink) (op.Target, error) {
	l, err := linkOf(ctx, r, in)
	return op.Target{Organization: l.organization, Type: "setup_link", ID: l.id, Name: "set-up link", Value: l}, err
}

// using says that the link makes the call, and reads its connection.
func using(ctx context.Context, tx *op.Tx) (usedLink, error) {
	l := tx.Target().Value.(usedLink)
	tx.ProvedByLink(l.id)
	if l.createdBy != byOperator {
		tx.Also("user", l.createdBy, l.maker)
	}
	if l.connection == "" {
		return l, nil
	}
	var err error
	if l.shown, err = readConnection(ctx, tx.Reader, l.connection); err == nil && l.shown.state == On {
		err = errLinkOver
	}
	return l, err
}

// stands refuses a link whose maker may not configure single sign-on any more.
func (l usedLink) stands(ctx context.Context, r *op.Reader) error {
	if l.createdBy == byOperator {
		return nil
	}
	holds, err := directory.Holds(ctx, r, l.organization, l.createdBy, "sso.configure")
	if err == nil && !holds {
		err = op.Errorf(op.Gone, "link_over", "whoever made this link may not set single sign-on up any more: ask for another one")
	}
	return err
}

// used notes that the link was used.
func (l usedLink) used(ctx context.Context, tx *op.Tx, connection string) error {
	_, err := tx.Exec(ctx, "UPDATE setup_links SET used_at = $3, connection = $4 WHERE organization = $1 AND id = $2", l.organization, l.id, tx.Micros(), connection)
	return err
}

// Setup is what whoever has a set-up link sees.
type Setup struct {
	Organization string        `json:"organization" doc:"Whose provider is set up"`
	MadeBy       string        `json:"made_by,omitzero" doc:"Who made the link"`
	ExpiresAt    time.Time     `json:"expires_at" doc:"Until when it can be used"`
	Connection   *Connection   `json:"connection,omitzero" doc:"The connection as it is; absent: none is named yet"`
	Domains      []SetupDomain `json:"domains" doc:"The organization's domains, with the DNS record that each needs"`
}

// SetupDomain is a domain with its record.
type SetupDomain struct {
	Domain string `json:"domain" doc:"The domain" example:"acme.test"`
	State  string `json:"state" doc:"Whether its record was seen" enum:"pending,verified,lapsed"`
	Record Record `json:"record" doc:"The DNS record that proves it"`
}

// OpenSetup shows what a set-up link is for. Opening it uses nothing up.
var OpenSetup = &op.Op[ByLink, Setup]{
	Name:    "setup.open",
	Route:   "POST /v1/setup/open",
	Summary: "Show what a set-up link is for, and how far it is",
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 600, Per: time.Hour},
	Target:  linkTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ ByLink) (Setup, error) {
		return tx.Target().Value.(usedLink).setup(ctx, tx.Reader)
	},
	Example: ByLink{"gld_setup_0000000000000000000000000000000000000000000000000"},
}

func (l usedLink) setup(ctx context.Context, r *op.Reader) (Setup, error) {
	s := Setup{Organization: l.organizationName, MadeBy: l.maker, ExpiresAt: time.UnixMicro(l.expires).UTC(), Domains: []SetupDomain{}}
	if l.connection != "" {
		c, err := readConnection(ctx, r, l.connection)
		if err != nil {
			return s, err
		}
		shown := c.show(r)
		s.Connection = &shown
	}
	rows, err := r.Query(ctx, "SELECT "+domainColumns+domainTables+" WHERE d.organization = $1 ORDER BY d.domain LIMIT 100", l.organization)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		d, err := scanDomain(r.Charter, rows)
		if err != nil {
			return s, err
		}
		s.Domains = append(s.Domains, SetupDomain{Domain: d.domain, State: d.state, Record: d.show().Record})
	}
	return s, rows.Err()
}

// ConfigureSetupInput says what the identity provider is.
type ConfigureSetupInput struct {
	ByLink
	Name         string `json:"name" doc:"What people call it" minLength:"1" maxLength:"80" example:"Okta"`
	Issuer       string `json:"issuer" doc:"The provider's issuer, letter by letter" minLength:"1" maxLength:"500" example:"https://acme.okta.com"`
	ClientID     string `json:"client_id" doc:"The client id that the provider gave" minLength:"1" maxLength:"500" example:"0oa1b2c3"`
	ClientSecret string `json:"client_secret" doc:"The client secret that the provider gave; it is sealed, and never shown again" minLength:"1" maxLength:"1000" example:"s3cret"`
}

// Validate checks the issuer.
func (in ConfigureSetupInput) Validate() []op.FieldError { return checkIssuer(in.Issuer) }

// ConfigureSetup names the link's connection, or changes it while it is not on. It has to be tested again, gives nobody a role,
// and signs nobody in until somebody of the organization switches it on.
var ConfigureSetup = &op.Op[ConfigureSetupInput, Setup]{
	Name:    "setup.configure",
	Route:   "POST /v1/setup/configure",
	Summary: "By a set-up link: say what the identity provider is; it signs nobody in yet",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in ConfigureSetupInput) (op.Target, error) {
		return linkTarget(ctx, r, in.ByLink)
	},
	Do: configureSetup,
	Example: ConfigureSetupInput{ByLink: ByLink{"gld_setup_0000000000000000000000000000000000000000000000000"}, Name: "Okta", Issuer: "https://acme.okta.com", ClientID: "0oa1b2c3",
		ClientSecret: "s3cret"},
}

func configureSetup(ctx context.Context, tx *op.Tx, in ConfigureSetupInput) (Setup, error) {
	l, err := using(ctx, tx)
	if err != nil {
		return Setup{}, err
	}
	if l.connection == "" {
		l.connection = tx.NewID("con")
		_, err = tx.Exec(ctx, `INSERT INTO connections (id, organization, kind, name, issuer, client_id, client_secret, state, role, tested_at, created_by, created_at, version)
			VALUES ($1, $2, 'oidc', $3, $4, $5, $6, 'draft', '', 0, $7, $8, 1)`, l.connection, l.organization, strings.TrimSpace(in.Name), in.Issuer, in.ClientID,
			tx.Secrets.Seal(sealPurpose+l.connection, []byte(in.ClientSecret)), l.id, tx.Micros())
	} else {
		_, err = tx.Exec(ctx, `UPDATE connections SET name = $3, issuer = $4, client_id = $5, client_secret = $6, state = 'draft', version = version + 1
			WHERE organization = $1 AND id = $2 AND kind = 'oidc'`, l.organization, l.connection, strings.TrimSpace(in.Name), in.Issuer, in.ClientID,
			tx.Secrets.Seal(sealPurpose+l.connection, []byte(in.ClientSecret)))
	}
	if err != nil {
		return Setup{}, connectionTaken(err)
	}
	tx.Also("connection", l.connection, strings.TrimSpace(in.Name))
	if err := l.used(ctx, tx, l.connection); err != nil {
		return Setup{}, err
	}
	return l.setup(ctx, tx.Reader)
}

// TestSetupInput carries the link whose connection is tested.
type TestSetupInput struct {
	ByLink

	begun *attempt
}

// TestSetup begins a test of the link's connection, as connections.test does.
var TestSetup = &op.Op[TestSetupInput, FederatedBegun]{
	Name:    "setup.test",
	Route:   "POST /v1/setup/test",
	Summary: "By a set-up link: begin a test sign-in, which affects nobody",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in TestSetupInput) (op.Target, error) {
		return linkTarget(ctx, r, in.ByLink)
	},
	Prepare: func(ctx context.Context, in TestSetupInput) (TestSetupInput, error) {
		reach, err := reachOf(ctx)
		if err != nil {
			return in, err
		}
		in.begun = &attempt{purpose: "test"}
		var who party
		err = reach.Read(ctx, func(r *op.Reader) error {
			c := &in.begun.connection
			l, err := linkOf(ctx, r, in.ByLink)
			if err == nil {
				in.begun.link = l.id
				err = r.QueryRow(ctx, "SELECT "+connectionColumns+" FROM connections c WHERE c.organization = $1 AND c.id = $2", l.organization, l.connection).Scan(c.fields()...)
			}
			if errors.Is(err, sql.ErrNoRows) {
				err = op.Errorf(op.Conflict, "not_configured", "say first what the identity provider is")
			}
			if err == nil {
				who, err = c.party(ctx, r)
			}
			return err
		})
		if err == nil {
			err = reach.begin(ctx, in.begun, who)
		}
		return in, err
	},
	Do: func(ctx context.Context, tx *op.Tx, in TestSetupInput) (FederatedBegun, error) {
		l, err := using(ctx, tx)
		if err != nil {
			return FederatedBegun{}, err
		}
		tx.Also("connection", l.shown.id, l.shown.name)
		if err := l.used(ctx, tx, l.connection); err != nil {
			return FederatedBegun{}, err
		}
		return in.begun.begun(tx.Now), in.begun.store(ctx, tx)
	},
	Example: TestSetupInput{ByLink: ByLink{"gld_setup_0000000000000000000000000000000000000000000000000"}},
}
