package federation

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// attemptLife is how long a sign-in at a provider may take.
const attemptLife = 10 * time.Minute

// attempt is a sign-in that is sent to a provider.
type attempt struct {
	connection              connectionRow
	state, browser, nonce   secret.Text
	verifier, hint, purpose string
	returnTo, url, link     string // link: the set-up link that tests it
}

// begin makes an attempt, and asks the provider where it begins.
func (reach Reach) begin(ctx context.Context, a *attempt, who party) error {
	a.state, a.browser, a.nonce, a.verifier = secret.Hide(secret.NewLink().Reveal()), secret.Hide(secret.NewLink().Reveal()), secret.Hide(secret.NewLink().Reveal()), oauth2.GenerateVerifier()
	var err error
	if who.saml != nil {
		a.url, err = who.saml.redirect(a, reach.Providers.now())
		return err
	}
	a.url, err = reach.Providers.authorize(ctx, who, a.state.Reveal(), a.nonce.Reveal(), a.verifier, a.hint)
	if err != nil {
		return &op.Error{Kind: op.Unavailable, Code: "provider_failed", Text: "the identity provider cannot be asked: " + err.Error(), RetryAfter: time.Minute}
	}
	return nil
}

func (a *attempt) store(ctx context.Context, tx *op.Tx) error {
	state, browser := a.state.Hash(), a.browser.Hash()
	id := tx.NewID("fat")
	_, err := tx.Exec(ctx, `INSERT INTO federated_attempts (id, organization, connection, purpose, state_hash, browser_hash, nonce, verifier, return_to, expires_at, used_at, created_at, link)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12)`, id, a.connection.organization, a.connection.id, a.purpose, state[:], browser[:], a.nonce.Reveal(),
		tx.Secrets.Seal("federated verifier", []byte(a.verifier)), a.returnTo, tx.Now.Add(attemptLife).UnixMicro(), tx.Micros(), a.link)
	return err
}

// FederatedBegun is where to send a browser, and what it has to bring back.
type FederatedBegun struct {
	Connection  string    `json:"connection" doc:"The connection"`
	Name        string    `json:"name" doc:"What people call the provider" example:"Okta"`
	URL         string    `json:"url" doc:"Where to send the browser"`
	Browser     string    `json:"browser,omitempty" doc:"A secret that the same browser sends to signin.federated: keep it in a cookie"`
	SecretShown bool      `json:"secret_shown" doc:"Whether browser is here"`
	Callback    string    `json:"callback" doc:"The last part of the redirect URI that the provider sends the browser back to" example:"con_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	ExpiresAt   time.Time `json:"expires_at" doc:"Until when the sign-in has to come back"`
}

// WithoutSecret is what a repeat of the request is answered.
func (b FederatedBegun) WithoutSecret() any { b.Browser, b.SecretShown = "", false; return b }

func (a *attempt) begun(now time.Time) FederatedBegun {
	return FederatedBegun{Connection: a.connection.id, Name: a.connection.name, URL: a.url, Browser: a.browser.Reveal(), SecretShown: true, Callback: a.connection.callback(), ExpiresAt: now.Add(attemptLife)}
}

// BeginFederatedInput says who wants to sign in.
type BeginFederatedInput struct {
	Email      string `json:"email,omitzero" doc:"The person's address: its domain leads to the provider" maxLength:"320" required:"false" example:"ada@acme.test"`
	Connection string `json:"connection,omitzero" doc:"The provider itself, of signin.connections, whatever the address" maxLength:"64" required:"false"`
	ReturnTo   string `json:"return_to,omitzero" doc:"Where to go afterwards, as in signin.begin" maxLength:"1024" required:"false"`

	begun *attempt
}

// Validate asks for an address or a connection.
func (in BeginFederatedInput) Validate() []op.FieldError {
	if in.Email == "" && in.Connection == "" {
		return []op.FieldError{{Pointer: "/email", Code: "required", Detail: "say the person's address, or the connection"}}
	}
	return nil
}

// wanted is the connection that was chosen, else the one that the address leads to.
func (in BeginFederatedInput) wanted(ctx context.Context, r *op.Reader) (connectionRow, error) {
	if in.Connection != "" {
		return connectionOn(ctx, r, in.Connection)
	}
	return connectionFor(ctx, r, in.Email)
}

// BeginFederated begins a sign-in at the identity provider that an address's domain leads to, or that was chosen. The answer
// says nothing about the address itself: it is the same for every one of a domain, but while a provider is tried out by some.
// Without a provider it is op.ErrNotFound.
var BeginFederated = &op.Op[BeginFederatedInput, FederatedBegun]{
	Name:    "signin.federated_begin",
	Route:   "POST /v1/signin/federated/begin",
	Summary: "Begin to sign in at the identity provider that is on for the address's domain",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in BeginFederatedInput) (op.Target, error) {
		if in.Email == "" && in.Connection == "" {
			return op.Target{}, nil // validation says what is wrong
		}
		_, err := in.wanted(ctx, r)
		return op.Target{}, err
	},
	Prepare: prepareFederated,
	Do:      beginFederated,
	Example: BeginFederatedInput{Email: "ada@acme.test"},
}

// connectionFor is the connection to which an address leads: the one that names its domain, else the oldest of those of the
// organization that name none. One that is tried out is for the people of its pilot.
func connectionFor(ctx context.Context, r *op.Reader, email string) (connectionRow, error) {
	folded, err := directory.Fold(email)
	if err != nil {
		return connectionRow{}, op.ErrNotFound
	}
	return scanOn(r, r.QueryRow(ctx, "SELECT "+connectionColumns+`, o.plan FROM domains d JOIN connections c ON c.organization = d.organization AND c.state = 'on'
		JOIN organizations o ON o.id = d.organization AND o.state = 'active'
		LEFT JOIN connection_domains n ON n.organization = d.organization AND n.domain = d.id
		WHERE d.domain = $1 AND d.state = 'verified'
		AND (n.connection = c.id OR n.connection IS NULL AND NOT EXISTS (SELECT 1 FROM connection_domains own WHERE own.organization = c.organization AND own.connection = c.id))
		AND (c.rollout = 'everyone' OR `+ofPilot+`)
		ORDER BY c.created_at, c.id LIMIT 1`, directory.DomainOf(folded), folded))
}

// connectionOn is a connection that is on.
func connectionOn(ctx context.Context, r *op.Reader, id string) (connectionRow, error) {
	return scanOn(r, r.QueryRow(ctx, "SELECT "+connectionColumns+`, o.plan FROM connections c JOIN organizations o ON o.id = c.organization AND o.state = 'active'
		WHERE c.id = $1 AND c.state = 'on'`, id))
}

// scanOn reads a connection of an organization whose plan has single sign-on.
func scanOn(r *op.Reader, row *sql.Row) (c connectionRow, err error) {
	var plan string
	err = row.Scan(append(c.fields(), &plan)...)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !r.Charter.Unlocked(plan, feature) {
		err = op.ErrNotFound
	}
	return c, err
}

func prepareFederated(ctx context.Context, in BeginFederatedInput) (BeginFederatedInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	a := &attempt{purpose: "sign_in", hint: in.Email}
	var who party
	err = reach.Read(ctx, func(r *op.Reader) (err error) {
		if a.connection, err = in.wanted(ctx, r); err == nil {
			a.returnTo, _ = signin.ReturnTo(r.Settings, in.ReturnTo)
			who, err = a.connection.party(ctx, r)
		}
		return err
	})
	if err == nil {
		err = reach.begin(ctx, a, who)
	}
	in.begun = a
	return in, err
}

func beginFederated(ctx context.Context, tx *op.Tx, in BeginFederatedInput) (FederatedBegun, error) {
	tx.Also("connection", in.begun.connection.id, in.begun.connection.name)
	return in.begun.begun(tx.Now), in.begun.store(ctx, tx)
}

// TestConnectionInput names the connection to test.
type TestConnectionInput struct {
	ConnectionInput

	begun *attempt
}

// TestConnection begins a sign-in that signs nobody in: it comes back with what the provider says.
var TestConnection = &op.Op[TestConnectionInput, FederatedBegun]{
	Name:    "connections.test",
	Route:   "POST /v1/organizations/{organization}/connections/{connection}/test",
	Summary: "Begin a test sign-in, which affects nobody and shows what the provider says",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Target: func(ctx context.Context, r *op.Reader, in TestConnectionInput) (op.Target, error) {
		return connectionTarget(ctx, r, in.ConnectionInput)
	},
	Prepare: prepareTest,
	Do: func(ctx context.Context, tx *op.Tx, in TestConnectionInput) (FederatedBegun, error) {
		return in.begun.begun(tx.Now), in.begun.store(ctx, tx)
	},
	Example: TestConnectionInput{ConnectionInput: exampleConnection},
}

func prepareTest(ctx context.Context, in TestConnectionInput) (TestConnectionInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	in.begun = &attempt{purpose: "test"}
	var who party
	err = reach.Read(ctx, func(r *op.Reader) error {
		c := &in.begun.connection
		err := r.QueryRow(ctx, "SELECT "+connectionColumns+" FROM connections c WHERE c.organization = $1 AND c.id = $2", in.Organization, in.Connection).Scan(c.fields()...)
		if err == nil {
			who, err = c.party(ctx, r)
		}
		return err
	})
	if err == nil {
		err = reach.begin(ctx, in.begun, who)
	}
	return in, err
}

// CompleteFederatedInput is what the browser brought back.
type CompleteFederatedInput struct {
	Connection string `json:"connection" doc:"The connection whose redirect URI was called" maxLength:"64" example:"con_00000000000000000000000000"`
	State      string `json:"state" doc:"The answer's state" maxLength:"64" example:"000000000000000000000000000"`
	Browser    string `json:"browser" doc:"The secret of signin.federated_begin, from the same browser" maxLength:"64" example:"000000000000000000000000000"`
	Code       string `json:"code,omitzero" doc:"The answer's code" maxLength:"4096" required:"false"`
	Issuer     string `json:"iss,omitzero" doc:"The answer's issuer (RFC 9207)" maxLength:"1024" required:"false"`
	Error      string `json:"error,omitzero" doc:"The answer's error instead of a code" maxLength:"200" required:"false"`

	said   claims
	failed error
}

// FederatedSignIn is what came of a sign-in at a provider.
type FederatedSignIn struct {
	signin.SignedIn
	Test   bool           `json:"test" doc:"It was a test: nobody is signed in"`
	Claims map[string]any `json:"claims,omitempty" doc:"Of a test: what the provider said"`
}

// WithoutSecret is what a repeat of the request is answered.
func (s FederatedSignIn) WithoutSecret() any { s.Secret, s.SecretShown = "", false; return s }

// CompleteFederated takes a provider's answer, once and from the browser that began, and begins a session. It knows people by
// issuer and subject. Whoever is new joins with a waiting invitation's role, else with the connection's.
var CompleteFederated = &op.Op[CompleteFederatedInput, FederatedSignIn]{
	Name:    "signin.federated",
	Route:   "POST /v1/signin/federated",
	Summary: "Sign in with the answer of an identity provider",
	Kind:    op.Access,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target:  federatedTarget,
	Fences:  func(CompleteFederatedInput, op.Target) []op.Fence { return nil }, // the member is found in the transaction
	Prepare: exchangeFederated,
	Do:      completeFederated,
	Example: CompleteFederatedInput{Connection: "con_00000000000000000000000000", State: "000000000000000000000000000", Browser: "000000000000000000000000000", Code: "x"},
}

// pendingAttempt is an attempt that is answered.
type pendingAttempt struct {
	connection                   connectionRow
	id, purpose, nonce, returnTo string
	verifier                     []byte
	plan, slug, byLink           string
}

// attemptOf finds the attempt of a state, for the connection and the browser that it was begun for. T-056
func attemptOf(ctx context.Context, r *op.Reader, in CompleteFederatedInput) (pendingAttempt, error) {
	var a pendingAttempt
	var expires, used int64
	state, browser := secret.HashOf(in.State), secret.HashOf(in.Browser)
	err := r.QueryRow(ctx, "SELECT "+connectionColumns+`, a.id, a.purpose, a.nonce, a.return_to, a.verifier, a.expires_at, a.used_at, o.plan, o.slug, a.link
		FROM federated_attempts a JOIN connections c ON c.organization = a.organization AND c.id = a.connection
		JOIN organizations o ON o.id = a.organization AND o.state = 'active'
		WHERE a.state_hash = $1 AND a.browser_hash = $2 AND a.connection = $3`, state[:], browser[:], in.Connection).
		Scan(append(a.connection.fields(), &a.id, &a.purpose, &a.nonce, &a.returnTo, &a.verifier, &expires, &used, &a.plan, &a.slug, &a.byLink)...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return a, op.ErrNotFound
	case err == nil && (used != 0 || r.Micros() >= expires):
		err = errAttemptOver
	case err == nil && a.purpose == "sign_in" && (a.connection.state != On || !r.Charter.Unlocked(a.plan, feature)):
		err = op.Errorf(op.Conflict, "connection_off", "this way of signing in was switched off: sign in by mail")
	}
	return a, err
}

var errAttemptOver = op.Errorf(op.Gone, "attempt_over", "this sign-in was answered already, or took too long: begin again")

func federatedTarget(ctx context.Context, r *op.Reader, in CompleteFederatedInput) (op.Target, error) {
	a, err := attemptOf(ctx, r, in)
	if err == nil && a.connection.kind == samlKind {
		err = op.ErrNotFound // its answers are signed, and come to signin.saml
	}
	return op.Target{Organization: a.connection.organization, Type: "connection", ID: a.connection.id, Name: a.connection.name, Value: a}, err
}

// exchangeFederated asks the provider for what its code stands for. A failure is kept for the transaction, which uses the
// attempt up.
func exchangeFederated(ctx context.Context, in CompleteFederatedInput) (CompleteFederatedInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var who party
	a := answer{code: in.Code, issuer: in.Issuer}
	err = reach.Read(ctx, func(r *op.Reader) error {
		p, err := attemptOf(ctx, r, in)
		if err != nil {
			return err
		}
		verifier, err := r.Secrets.Open("federated verifier", p.verifier)
		if err != nil {
			return err
		}
		a.nonce, a.verifier = p.nonce, string(verifier)
		who, err = p.connection.party(ctx, r)
		return err
	})
	switch {
	case err != nil:
		return in, err
	case in.Error != "" || in.Code == "":
		in.failed = errors.New("the provider refused")
	default:
		in.said, in.failed = reach.Providers.exchange(ctx, who, a)
	}
	return in, nil
}

func completeFederated(ctx context.Context, tx *op.Tx, in CompleteFederatedInput) (FederatedSignIn, error) {
	a := tx.Target().Value.(pendingAttempt)
	if err := a.use(ctx, tx); err != nil {
		return FederatedSignIn{}, err
	}
	return a.complete(ctx, tx, in.said, in.failed)
}

// use uses the attempt up: an answer is taken once.
func (a pendingAttempt) use(ctx context.Context, tx *op.Tx) error {
	n, err := tx.Exec(ctx, "UPDATE federated_attempts SET used_at = $3 WHERE organization = $1 AND id = $2 AND used_at = 0", a.connection.organization, a.id, tx.Micros())
	if err == nil && n != 1 {
		err = errAttemptOver
	}
	return err
}

// complete signs in whom a provider has named, or tells whoever tests what it said.
func (a pendingAttempt) complete(ctx context.Context, tx *op.Tx, said claims, failed error) (FederatedSignIn, error) {
	if a.byLink != "" {
		tx.ProvedByLink(a.byLink)
	}
	if failed != nil && a.purpose == "test" {
		if err := a.keepTest(ctx, tx, claims{}, clipped(failed.Error())); err != nil {
			return FederatedSignIn{}, err
		}
	}
	if failed != nil {
		return FederatedSignIn{}, op.Keep(a.notBelieved(failed))
	}
	if err := a.restricted(ctx, tx, said); err != nil {
		return FederatedSignIn{}, err
	}
	if a.purpose == "test" {
		return a.tested(ctx, tx, said)
	}
	user, err := a.person(ctx, tx, said)
	if err != nil {
		return FederatedSignIn{}, err
	}
	tx.ProvedBy(user.ID, user.Name, user.Email)
	out, err := signin.Begin(ctx, tx, user, credential.SignIn{Method: a.connection.kind, Way: decide.ByProvider, Organization: a.connection.organization, Connection: a.connection.id})
	if err != nil {
		return FederatedSignIn{}, err
	}
	if err := a.remember(ctx, tx, out.Session.ID, user.ID, said.at); err != nil {
		return FederatedSignIn{}, err
	}
	out.ReturnTo, _ = signin.ReturnTo(tx.Settings, a.returnTo)
	if out.ReturnTo == "" {
		out.ReturnTo = "/o/" + a.slug
	}
	return FederatedSignIn{SignedIn: out}, err
}

// notBelieved says why an answer is not believed: to whoever tests the connection, and to the log. Who brought it otherwise is
// not told.
func (a pendingAttempt) notBelieved(failed error) *op.Error {
	told := op.Errorf(op.Denied, "not_believed", "the identity provider's answer is not believed: ask whoever looks after the sign-in of your organization")
	if a.purpose == "test" {
		told.Text = "the identity provider's answer is not believed: " + failed.Error()
	}
	told.Cause = failed
	return told
}

// tested notes that a test went well.
func (a pendingAttempt) tested(ctx context.Context, tx *op.Tx, said claims) (FederatedSignIn, error) {
	_, err := tx.Exec(ctx, `UPDATE connections SET state = CASE WHEN state = 'draft' THEN 'tested' ELSE state END, tested_at = $3, version = version + 1
		WHERE organization = $1 AND id = $2`, a.connection.organization, a.connection.id, tx.Micros())
	tx.Changed("tested", nil, true)
	if err == nil {
		err = a.keepTest(ctx, tx, said, "")
	}
	return FederatedSignIn{Test: true, Claims: said.raw}, err
}

// clipped is a text of a provider, of which not more is kept than can be read.
func clipped(text string) string { return strings.ToValidUTF8(text[:min(len(text), 500)], "") }

// known is what is known of somebody whom a provider names.
type known struct {
	user               directory.User
	identity           int64 // 1: the provider has named this user before
	here               int64 // memberships in the connection's organization
	suspended, proving int64 // here; and whether the address's domain is the connection's
	guest              bool  // a member whose address is at a domain of no organization, where the connection takes such
}

// person finds or makes the user whom a provider names. Issuer and subject say who it is; an address only says who may be new
// here, and never opens an account that is there already. A refusal uses the attempt up for good. T-061, T-065, T-081
func (a pendingAttempt) person(ctx context.Context, tx *op.Tx, answer claims) (directory.User, error) {
	said, groups := a.connection.read(answer)
	if said.Subject == "" || len(said.Subject) > longestSubject {
		return directory.User{}, op.Keep(op.Errorf(op.Denied, "not_believed", "the identity provider's answer names nobody for good: it says nothing as %q", a.connection.mapping.Subject))
	}
	k, err := a.lookUp(ctx, tx, said)
	if err != nil {
		return k.user, err
	}
	if err := k.refused(tx, said); err != nil {
		return k.user, err
	}
	if k.user.ID == "" {
		if k.user, err = a.make(ctx, tx, said); err != nil {
			return k.user, err
		}
	}
	if k.identity == 0 {
		if err := a.link(ctx, tx, said, k.user); err != nil {
			return k.user, err
		}
	}
	return k.user, a.place(ctx, tx, k, groups)
}

// refused says why somebody is not signed in.
func (k known) refused(tx *op.Tx, said claims) error {
	switch {
	case k.proving == 0 && !k.guest || said.Verified != nil && !*said.Verified:
		return op.Keep(op.Errorf(op.Denied, "foreign_address", "the provider says an address that is not at a verified domain of its organization, or not verified by the provider itself"))
	case k.identity == 0 && k.user.ID != "" && tx.Actor.User != k.user.ID:
		return op.Keep(op.Errorf(op.Denied, "link_required", "there is an account with this address: sign in to it by mail first, and then once more here to link the two"))
	case k.suspended > 0:
		return op.Keep(op.Errorf(op.Denied, "suspended", "this membership is suspended: ask an owner"))
	}
	return nil
}

// place makes somebody a member, or gives a member the role of their groups as they are now.
func (a pendingAttempt) place(ctx context.Context, tx *op.Tx, k known, groups []string) error {
	mapping, err := a.connection.groupRoles(ctx, tx.Reader)
	if err != nil {
		return err
	}
	g := gives(mapping, groups, a.connection.roleID())
	if k.here == 0 {
		_, err = directory.Admit(ctx, tx, directory.Admission{User: k.user, Role: g.role, By: a.connection.id, ByGroup: g.group != ""})
		return err
	}
	return directory.Provide(ctx, tx, directory.Provision{By: a.connection.id, User: k.user.ID, Role: g.role, ByGroup: g.group != ""})
}

// lookUp finds the user by issuer and subject, else by the address, whose domain has to be the connection's: also of
// somebody who is known.
func (a pendingAttempt) lookUp(ctx context.Context, tx *op.Tx, said claims) (known, error) {
	var k known
	c := a.connection
	folded, err := directory.Fold(said.Email)
	if err != nil {
		return k, op.Keep(op.Errorf(op.Denied, "foreign_address", "the provider says no address: it has to send the claim email"))
	}
	err = tx.QueryRow(ctx, `SELECT f.id, f.email, f.name, f.known,
			(SELECT count(*) FROM members m WHERE m.organization = $2 AND m.user_id = f.id AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $6)),
			(SELECT count(*) FROM members m WHERE m.organization = $2 AND m.user_id = f.id AND m.status = 'suspended')
		FROM (SELECT u.id, u.email, u.name, 1 AS known FROM identities i JOIN users u ON u.id = i.user_id AND u.deleted_at = 0
				WHERE i.organization = $2 AND i.connection = $1 AND i.issuer = $3 AND i.subject = $4
			UNION ALL SELECT u.id, u.email, u.name, 0 AS known FROM users u WHERE u.email_folded = $5 AND u.deleted_at = 0) f ORDER BY f.known DESC LIMIT 1`,
		c.id, c.organization, c.issuer, said.Subject, folded, tx.Micros()).Scan(&k.user.ID, &k.user.Email, &k.user.Name, &k.identity, &k.here, &k.suspended)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return k, err
	}
	address := said.Email
	if k.identity == 1 {
		address = k.user.Email
	}
	var owned int64
	err = tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM domains d WHERE d.organization = $1 AND d.state = 'verified' AND d.domain = $3 AND `+ofConnection+`),
		(SELECT count(*) FROM domains d WHERE d.domain = $3 AND d.state = 'verified')`, c.organization, c.id, directory.DomainOf(address)).Scan(&k.proving, &owned)
	k.guest = c.guests && owned == 0 && k.here > 0
	return k, err
}

// make makes an account for somebody new.
func (a pendingAttempt) make(ctx context.Context, tx *op.Tx, said claims) (directory.User, error) {
	name := said.Name
	if len(name) > 200 {
		name = ""
	}
	user, err := directory.InsertUser(ctx, tx, tx.NewID("usr"), said.Email, name)
	if _, taken := sqldb.Conflict(err); taken {
		return user, &op.Error{Kind: op.Unavailable, Text: "an account was made for this address at the same moment: try again", RetryAfter: time.Second}
	}
	tx.Also("user", user.ID, user.Label())
	return user, err
}

// link remembers who somebody is at the provider. Only a deleted account was linked to the same before.
func (a pendingAttempt) link(ctx context.Context, tx *op.Tx, said claims, user directory.User) error {
	_, err := tx.Exec(ctx, `INSERT INTO identities (connection, organization, issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (connection, issuer, subject) DO UPDATE SET user_id = $5, created_at = $6`,
		a.connection.id, a.connection.organization, a.connection.issuer, said.Subject, user.ID, tx.Micros())
	tx.Changed("linked", nil, true)
	return err
}

// Purge deletes the sign-ins that ended more than a day ago, the assertions that nobody would believe any more, and what
// providers said in tests long ago.
func Purge(ctx context.Context, db *sqldb.DB, now time.Time) error {
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := purgeAnswers(ctx, tx, now); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM saml_assertions WHERE expires_at <= $1", now.UnixMicro()); err != nil {
			return err
		}
		if err := purgeLogouts(ctx, tx, now); err != nil {
			return err
		}
		for _, statement := range []string{"DELETE FROM federated_attempts WHERE expires_at <= $1", "DELETE FROM social_attempts WHERE expires_at <= $1"} {
			if _, err := tx.Exec(ctx, statement, now.Add(-day).UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}
