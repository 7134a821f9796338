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

// ByLink carries the secret of a set-up link, which is all that its operations ask for.
type ByLink struct {
	Link string `json:"link" doc:"The secret of the link: what follows /setup/" minLength:"1" maxLength:"200" example:"gld_setup_0000000000000000000000000000000000000000000000000"`
}

// usedLink is a link that somebody uses, with what it is for.
type usedLink struct {
	linkRow
	organizationName, slug, maker, plan string
	shown                               shownConnection // of the connection, once it is named
}

var (
	errNotConfigured = op.Errorf(op.Conflict, "not_configured", "say first what the identity provider is")
	errOtherKind     = op.Errorf(op.Conflict, "other_kind", "a set-up link is for providers that speak OpenID Connect or SAML: Google and GitHub are set up by the organization itself")
)

var errLinkOver = op.Errorf(op.Gone, "link_over", "this link is over: ask whoever sent it for another one")

// linkOf finds a living link by its secret. Whoever made it has to hold sso.configure still, now. A link of before a restored
// backup is none.
func linkOf(ctx context.Context, r *op.Reader, in ByLink) (l usedLink, err error) {
	hash := secret.HashOf(in.Link)
	err = r.QueryRow(ctx, "SELECT "+linkColumns+`, o.name, o.slug, o.plan, COALESCE(NULLIF(u.name, ''), u.email, '') FROM setup_links l
		JOIN instance i ON i.recovery_epoch = l.recovery_epoch JOIN organizations o ON o.id = l.organization AND o.state = 'active'
		LEFT JOIN users u ON u.id = l.created_by WHERE l.token_hash = $1`, hash[:]).Scan(append(l.fields(), &l.organizationName, &l.slug, &l.plan, &l.maker)...)
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
	l.shown, err = readConnection(ctx, tx.Reader, l.connection)
	switch {
	case err != nil:
	case l.shown.state == On:
		err = errLinkOver
	case l.shown.social():
		err = errOtherKind
	default:
		tx.Also("connection", l.shown.id, l.shown.name)
	}
	return l, err
}

// going is the id that the link's connection has, or is going to have: its addresses can be set at the provider before it is
// named here.
func (l linkRow) going() string {
	if l.connection != "" {
		return l.connection
	}
	return "con" + strings.TrimPrefix(l.id, "stl")
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
	SAML         *SAMLSettings `json:"saml,omitzero" doc:"Of a connection that speaks SAML: what is known of the provider"`
	Values       SetupValues   `json:"values" doc:"What to set at the provider; it is the same before the provider is named here"`
	Domains      []SetupDomain `json:"domains" doc:"The organization's domains, with the DNS record that each needs"`
}

// SetupValues are what to set at a provider that is set up by a link.
type SetupValues struct {
	RedirectURI string `json:"redirect_uri" doc:"OpenID Connect: the redirect URI"`
	SignInURL   string `json:"sign_in_url" doc:"The page on which people of the organization choose where to sign in"`
	ACSURL      string `json:"acs_url" doc:"SAML: where it sends answers to"`
	EntityID    string `json:"entity_id" doc:"SAML: for whom answers are; also where our metadata stands, once the provider is named"`
	SLOURL      string `json:"slo_url" doc:"SAML: where it ends sessions, if it has single logout"`
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
	Example: exampleLink,
}

func (l usedLink) setup(ctx context.Context, r *op.Reader) (Setup, error) {
	s := Setup{Organization: l.organizationName, MadeBy: l.maker, ExpiresAt: time.UnixMicro(l.expires).UTC(), Domains: []SetupDomain{}, Values: l.values(r)}
	if err := l.about(ctx, r, &s); err != nil {
		return s, err
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

func (l usedLink) values(r *op.Reader) SetupValues {
	us := SAMLParty(r.Settings.URL, l.going())
	return SetupValues{RedirectURI: redirectOf(r, l.going()), SignInURL: signInPage(r, l.slug), ACSURL: us.ACS, EntityID: us.EntityID, SLOURL: us.SLO}
}

// about says what the link's connection is, if one is named.
func (l usedLink) about(ctx context.Context, r *op.Reader, s *Setup) error {
	if l.connection == "" {
		return nil
	}
	c, err := readConnection(ctx, r, l.connection)
	if err != nil {
		return err
	}
	shown := c.show(r)
	if s.Connection = &shown; c.kind != samlKind {
		return nil
	}
	row, err := samlConnection(ctx, r, l.organization, l.connection)
	if err != nil {
		return err
	}
	settings, err := row.show(r)
	s.SAML = &settings
	return err
}

// named is the link's connection as it is going to be, of a kind: the one that is there, or a new one. What the answers of another
// kind meant says nothing of it.
func (l usedLink) named(ctx context.Context, tx *op.Tx, kind string) (connectionRow, error) {
	if l.connection == "" {
		return connectionRow{id: l.going(), organization: l.organization, kind: kind, createdBy: l.id, created: tx.Micros()}, nil
	}
	c := l.shown.connectionRow
	if c.kind == kind {
		return c, nil
	}
	tx.Changed("kind", c.kind, kind)
	c.kind, c.mapping = kind, Mapping{}
	return c, c.unlinked(ctx, tx)
}

// store keeps the link's connection, which has to be tested now.
func (l usedLink) store(ctx context.Context, tx *op.Tx, c connectionRow) (err error) {
	c.state = Draft
	if l.connection == "" {
		err = c.insert(ctx, tx)
	} else {
		m := c.mapping
		_, err = tx.Exec(ctx, `UPDATE connections SET kind = $3, name = $4, issuer = $5, client_id = $6, client_secret = $7, state = $8, version = version + 1,
				map_address = $9, map_name = $10, map_subject = $11, map_groups = $12 WHERE organization = $1 AND id = $2`,
			c.organization, c.id, c.kind, c.name, c.issuer, c.clientID, c.sealed, c.state, m.Address, m.Name, m.Subject, m.Groups)
	}
	if err != nil {
		return connectionTaken(err)
	}
	tx.Also("connection", c.id, c.name)
	return l.used(ctx, tx, c.id)
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
	Example: ConfigureSetupInput{ByLink: exampleLink, Name: "Okta", Issuer: "https://acme.okta.com", ClientID: "0oa1b2c3",
		ClientSecret: "s3cret"},
}

func configureSetup(ctx context.Context, tx *op.Tx, in ConfigureSetupInput) (Setup, error) {
	l, err := using(ctx, tx)
	if err != nil {
		return Setup{}, err
	}
	c, err := l.named(ctx, tx, oidcKind)
	if err != nil {
		return Setup{}, err
	}
	c.name, c.issuer, c.clientID, c.sealed = strings.TrimSpace(in.Name), in.Issuer, in.ClientID, tx.Secrets.Seal(sealPurpose+c.id, []byte(in.ClientSecret))
	if l.shown.kind == samlKind {
		if err := c.forgetSAML(ctx, tx); err != nil {
			return Setup{}, err
		}
	}
	if err := l.store(ctx, tx, c); err != nil {
		return Setup{}, err
	}
	l.connection = c.id
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
				err = errNotConfigured
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
		if err := l.used(ctx, tx, l.connection); err != nil {
			return FederatedBegun{}, err
		}
		return in.begun.begun(tx.Now), in.begun.store(ctx, tx)
	},
	Example: TestSetupInput{ByLink: exampleLink},
}
