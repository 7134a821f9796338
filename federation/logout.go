package federation

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

const (
	tokenPurpose = "provider's token"
	// longestToken is how long an ID token may be to be kept for signing out: it goes into an address.
	longestToken = 4096
	// leftPath is where providers of OpenID Connect send people back to who have signed out there.
	leftPath = "/login/left"
)

// atProvider is who somebody is in their session at a provider.
type atProvider struct {
	name, format, qualifiers string
	session                  string // sid, SessionIndex; empty: the provider names none
	token                    string // the ID token
	logout                   string // where OpenID Connect signs out; empty: it does not say
}

// remember keeps who somebody is at the provider that began a session, to end it there or from there.
func (a pendingAttempt) remember(ctx context.Context, tx *op.Tx, session, user string, at atProvider) error {
	if at.name == "" || session == "" {
		return nil
	}
	var sealed []byte
	if at.token != "" && at.logout != "" && len(at.token) <= longestToken {
		sealed = tx.Secrets.Seal(tokenPurpose+session, []byte(at.token))
	}
	_, err := tx.Exec(ctx, `INSERT INTO connection_sessions
		(session, organization, connection, user_id, name, format, qualifiers, provider_sid, token, logout_url, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, session, a.connection.organization, a.connection.id, user, at.name, at.format, at.qualifiers, at.session,
		append([]byte{}, sealed...), at.logout, tx.Micros())
	return err
}

// endNamed ends the sessions that a connection began for somebody: those of the sessions at the provider that are named, else
// all. Without a name they are somebody's of those sessions. It says how many.
func (c connectionRow) endNamed(ctx context.Context, tx *op.Tx, name string, sessions []string) (int, error) {
	query, args := "SELECT p.session FROM connection_sessions p WHERE p.organization = $1 AND p.connection = $2", []any{c.organization, c.id}
	if name != "" {
		query, args = query+" AND p.name = $3", append(args, name)
	}
	if len(sessions) > 0 {
		in, named := sqldb.Placeholders(len(args)+1, sessions)
		query, args = query+" AND p.provider_sid IN ("+in+")", append(args, named...)
	}
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	ids, err := texts(rows)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return credential.EndSessions(ctx, tx, c.organization, ids)
}

// takeLogout remembers a logout: a second time it counts for nothing.
func (c connectionRow) takeLogout(ctx context.Context, tx *op.Tx, message string, until time.Time) error {
	n, err := tx.Exec(ctx, "INSERT INTO connection_logouts (connection, organization, message, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT (connection, message) DO NOTHING",
		c.id, c.organization, message, until.UnixMicro())
	if err == nil && n != 1 {
		err = op.Errorf(op.Gone, "logout_used", "this logout was taken before")
	}
	return err
}

// purgeLogouts deletes the logouts that nobody would believe any more, and who somebody was in sessions that are over.
func purgeLogouts(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	if _, err := tx.Exec(ctx, "DELETE FROM connection_logouts WHERE expires_at <= $1", now.UnixMicro()); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "DELETE FROM connection_sessions WHERE session IN (SELECT s.id FROM sessions s WHERE s.connection <> '' AND (s.ended_at <> 0 OR s.expires_at <= $1))", now.UnixMicro())
	return err
}

// connectionAlive is a connection of an organization that is there, whatever its state.
func connectionAlive(ctx context.Context, r *op.Reader, id string) (c connectionRow, err error) {
	err = r.QueryRow(ctx, "SELECT "+connectionColumns+` FROM connections c JOIN organizations o ON o.id = c.organization AND o.state = 'active' WHERE c.id = $1 AND c.kind <> ''`, id).
		Scan(c.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return c, err
}

// ProviderLogout is where somebody signs out who came by a provider.
type ProviderLogout struct {
	Name string `json:"name,omitzero" doc:"What people call the provider; absent: it signs nobody out, or no provider began this session" example:"Okta"`
	URL  string `json:"url,omitzero" doc:"Where to send the browser, after this session has ended"`
}

// GetProviderLogout says where the provider signs out that began the caller's session. It asks nobody, and ends nothing: the
// session here ends first, by sessions.revoke, whatever the provider says afterwards.
var GetProviderLogout = &op.Op[struct{}, ProviderLogout]{
	Name:    "sessions.provider_logout",
	Route:   "GET /v1/me/provider_logout",
	Summary: "Say where to sign out at the identity provider that began your session, after you signed out here",
	Kind:    op.Read,
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Do:      getProviderLogout,
}

func getProviderLogout(ctx context.Context, tx *op.Tx, _ struct{}) (out ProviderLogout, err error) {
	var c connectionRow
	var at atProvider
	var sealed []byte
	session := tx.Actor.Credential.ID
	err = tx.QueryRow(ctx, "SELECT "+connectionColumns+`, p.name, p.format, p.qualifiers, p.provider_sid, p.token, p.logout_url
		FROM connection_sessions p JOIN connections c ON c.organization = p.organization AND c.id = p.connection WHERE p.session = $1 AND p.user_id = $2`, session, tx.Actor.User).
		Scan(append(c.fields(), &at.name, &at.format, &at.qualifiers, &at.session, &sealed, &at.logout)...)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if len(sealed) > 0 {
		plain, err := tx.Secrets.Open(tokenPurpose+session, sealed)
		if err != nil {
			return out, err
		}
		at.token = string(plain)
	}
	if c.kind == samlKind {
		out.URL, err = c.samlLogout(ctx, tx.Reader, at)
	} else {
		out.URL = at.oidcLogout(c.clientID, tx.Settings.URL(leftPath))
	}
	if out.URL != "" {
		out.Name = c.name
	}
	return out, err
}

// oidcLogout is the end session endpoint, with what it takes (OpenID Connect RP-Initiated Logout 1.0, section 2).
func (at atProvider) oidcLogout(client, back string) string {
	if at.logout == "" {
		return ""
	}
	q := url.Values{"client_id": {client}, "post_logout_redirect_uri": {back}}
	if at.token != "" {
		q.Set("id_token_hint", at.token)
	}
	if strings.Contains(at.logout, "?") {
		return at.logout + "&" + q.Encode()
	}
	return at.logout + "?" + q.Encode()
}

// samlLogout is where a provider that speaks SAML signs somebody out; empty: it does not, or there is nothing to sign by.
func (c connectionRow) samlLogout(ctx context.Context, r *op.Reader, at atProvider) (string, error) {
	row, err := samlConnection(ctx, r, c.organization, c.id)
	if err != nil {
		return "", err
	}
	key, err := row.saml.key(r, c.id)
	if err != nil || key == nil || row.saml.logout == "" {
		return "", err
	}
	theirs, ours, _ := strings.Cut(at.qualifiers, "\n")
	provider, err := row.saml.provider(c.issuer)
	if err != nil {
		return "", err
	}
	return SAMLParty(r.Settings.URL, c.id).LogoutRedirect(provider, saml.Leaver{Name: at.name, Format: at.format, Qualifier: theirs, OurQualifier: ours, Session: at.session},
		messageID(), key, r.Now)
}

// messageID is the id of a message of ours.
func messageID() string { return "_" + secret.NewLink().Reveal() }

// LoggedOut is what came of a provider's logout.
type LoggedOut struct {
	Ended int    `json:"ended" doc:"How many sessions ended here"`
	URL   string `json:"url,omitzero" doc:"SAML: where to send the browser, with the answer to the provider"`
}

// SAMLLogoutInput is a logout as a browser brings it from a provider that speaks SAML.
type SAMLLogoutInput struct {
	Connection string `json:"connection" doc:"The connection whose logout address was called" maxLength:"64" example:"con_00000000000000000000000000"`
	Query      string `json:"query,omitzero" doc:"HTTP-Redirect: the address's query as it came, letter by letter" maxLength:"100000" required:"false" example:"SAMLRequest=x"`
	Request    string `json:"saml_request,omitzero" doc:"HTTP-POST: the SAMLRequest, in base64" maxLength:"400000" required:"false"`
	State      string `json:"relay_state,omitzero" doc:"HTTP-POST: the RelayState" maxLength:"1024" required:"false"`

	said   saml.Logout
	failed error
}

// Validate asks for one of the two.
func (in SAMLLogoutInput) Validate() []op.FieldError {
	if (in.Query == "") == (in.Request == "") {
		return []op.FieldError{{Pointer: "/query", Code: "required", Detail: "give the query, or the SAMLRequest that was posted"}}
	}
	return nil
}

// SAMLLogout ends the sessions of whom a provider that speaks SAML has signed out. The logout has to be signed by one of the
// connection's certificates, and counts once; it ends nothing that another connection began.
var SAMLLogout = &op.Op[SAMLLogoutInput, LoggedOut]{
	Name:    "signin.saml_logout",
	Route:   "POST /v1/signin/saml/logout",
	Summary: "Take the logout of an identity provider that speaks SAML: the person's sessions that it began end",
	Kind:    op.Access,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 600, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in SAMLLogoutInput) (op.Target, error) {
		c, err := in.connection(ctx, r)
		return op.Target{Organization: c.organization, Type: "connection", ID: c.id, Name: c.name, Value: c}, err
	},
	Fences:  func(SAMLLogoutInput, op.Target) []op.Fence { return nil }, // of the sessions that end
	Prepare: verifySAMLLogout,
	Do:      samlLogout,
	Example: SAMLLogoutInput{Connection: "con_00000000000000000000000000", Query: "SAMLRequest=x"},
}

func (in SAMLLogoutInput) connection(ctx context.Context, r *op.Reader) (samlRow, error) {
	c, err := connectionAlive(ctx, r, in.Connection)
	if err != nil {
		return samlRow{}, err
	}
	return samlConnection(ctx, r, c.organization, c.id)
}

// verifySAMLLogout believes the logout or not, before the transaction begins.
func verifySAMLLogout(ctx context.Context, in SAMLLogoutInput) (SAMLLogoutInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var e saml.Expectations
	err = reach.Read(ctx, func(r *op.Reader) error {
		c, err := in.connection(ctx, r)
		if err != nil {
			return err
		}
		p, err := c.saml.provider(c.issuer)
		e = saml.Expectations{Party: SAMLParty(r.Settings.URL, c.id), Issuer: c.issuer, Certificates: p.Certificates, Now: reach.Providers.now().UTC()}
		return err
	})
	switch {
	case err != nil:
		return in, err
	case in.Query != "":
		in.said, in.failed = saml.VerifyLogoutQuery(in.Query, e)
	default:
		in.said, in.failed = saml.VerifyLogout(in.Request, in.State, e)
	}
	return in, nil
}

func samlLogout(ctx context.Context, tx *op.Tx, in SAMLLogoutInput) (out LoggedOut, err error) {
	c := tx.Target().Value.(samlRow)
	if in.failed != nil {
		return out, logoutRefused(in.failed)
	}
	if err := c.takeLogout(ctx, tx, in.said.ID, tx.Now.Add(saml.LogoutLife+2*saml.Skew)); err != nil {
		return out, err
	}
	if out.Ended, err = c.endNamed(ctx, tx, in.said.Name, in.said.Sessions); err != nil {
		return out, err
	}
	tx.Changed("ended", nil, out.Ended)
	key, err := c.saml.key(tx.Reader, c.id)
	if err != nil || key == nil {
		return out, err
	}
	provider, err := c.saml.provider(c.issuer)
	if err != nil {
		return out, err
	}
	out.URL, err = SAMLParty(tx.Settings.URL, c.id).LogoutAnswer(provider, in.said, messageID(), key, tx.Now)
	return out, err
}

// logoutRefused says that a logout is not believed; why is for the log.
func logoutRefused(failed error) error {
	e := op.Errorf(op.Denied, "not_believed", "the identity provider's logout is not believed")
	e.Cause = failed
	return e
}

// SAMLMetadataInput names a connection.
type SAMLMetadataInput struct {
	Connection string `json:"connection" doc:"The connection's id" maxLength:"64" example:"con_00000000000000000000000000"`
}

// OwnMetadata is what we are to a connection's provider.
type OwnMetadata struct {
	XML string `json:"xml" doc:"The metadata, as providers read it"`
}

// GetOwnMetadata says what a connection's provider has to know of us. Everybody may know it who knows the connection's id.
var GetOwnMetadata = &op.Op[SAMLMetadataInput, OwnMetadata]{
	Name:    "signin.saml_metadata",
	Route:   "GET /v1/signin/saml/{connection}/metadata",
	Summary: "Show our own SAML metadata for a connection, as its identity provider reads it",
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 600, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in SAMLMetadataInput) (op.Target, error) {
		c, err := SAMLLogoutInput{Connection: in.Connection}.connection(ctx, r)
		return op.Target{Value: c}, err
	},
	Do: func(_ context.Context, tx *op.Tx, _ SAMLMetadataInput) (OwnMetadata, error) {
		c, ok := tx.Target().Value.(samlRow)
		if !ok {
			return OwnMetadata{}, op.ErrNotFound
		}
		raw, err := SAMLParty(tx.Settings.URL, c.id).Metadata(c.saml.ownCertificate, c.saml.wantsSigned)
		return OwnMetadata{XML: string(raw)}, err
	},
	Example: SAMLMetadataInput{Connection: "con_00000000000000000000000000"},
}

// BackchannelInput is a logout as a provider of OpenID Connect sends it.
type BackchannelInput struct {
	Connection string `json:"connection" doc:"The connection whose back-channel logout URI was called" maxLength:"64" example:"con_00000000000000000000000000"`
	Token      string `json:"logout_token" doc:"The logout token" minLength:"1" maxLength:"16384" example:"x.y.z"`

	said   logoutToken
	failed error
}

// BackchannelLogout ends the sessions of whom a provider of OpenID Connect has signed out (OpenID Connect Back-Channel Logout 1.0).
// A logout token counts once; it ends nothing that another connection began.
var BackchannelLogout = &op.Op[BackchannelInput, LoggedOut]{
	Name:    "signin.backchannel_logout",
	Route:   "POST /v1/signin/backchannel_logout",
	Summary: "Take the logout token of an identity provider: the person's sessions that it began end",
	Kind:    op.Access,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 600, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in BackchannelInput) (op.Target, error) {
		c, err := in.connection(ctx, r)
		return op.Target{Organization: c.organization, Type: "connection", ID: c.id, Name: c.name, Value: c}, err
	},
	Fences:  func(BackchannelInput, op.Target) []op.Fence { return nil }, // of the sessions that end
	Prepare: verifyBackchannel,
	Do: func(ctx context.Context, tx *op.Tx, in BackchannelInput) (out LoggedOut, err error) {
		c := tx.Target().Value.(connectionRow)
		if in.failed != nil {
			return out, logoutRefused(in.failed)
		}
		if err := c.takeLogout(ctx, tx, in.said.ID, tx.Now.Add(oldest)); err != nil {
			return out, err
		}
		var sessions []string
		if in.said.Session != "" {
			sessions = []string{in.said.Session}
		}
		if out.Ended, err = c.endNamed(ctx, tx, in.said.Subject, sessions); err == nil {
			tx.Changed("ended", nil, out.Ended)
		}
		return out, err
	},
	Example: BackchannelInput{Connection: "con_00000000000000000000000000", Token: "x.y.z"},
}

// connection is one that speaks OpenID Connect.
func (in BackchannelInput) connection(ctx context.Context, r *op.Reader) (connectionRow, error) {
	c, err := connectionAlive(ctx, r, in.Connection)
	if err == nil && c.kind != oidcKind {
		return connectionRow{}, op.ErrNotFound
	}
	return c, err
}

func verifyBackchannel(ctx context.Context, in BackchannelInput) (BackchannelInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var who party
	err = reach.Read(ctx, func(r *op.Reader) error {
		c, err := in.connection(ctx, r)
		who = party{issuer: c.issuer, clientID: c.clientID}
		return err
	})
	if err == nil {
		in.said, in.failed = reach.Providers.verifyLogout(ctx, who, in.Token)
	}
	return in, err
}
