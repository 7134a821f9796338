package federation

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/op"
)

// samlParty is what a provider that speaks SAML knows us by, and what we know of it.
func (c connectionRow) samlParty(ctx context.Context, r *op.Reader) (party, error) {
	row, err := samlConnection(ctx, r, c.organization, c.id)
	if err != nil {
		return party{}, err
	}
	provider, err := row.saml.provider(c.issuer)
	if err != nil {
		return party{}, err
	}
	var key *saml.Key
	if provider.WantsSigned {
		key, err = row.saml.key(r, c.id)
	}
	return party{issuer: c.issuer, saml: &samlPeer{us: SAMLParty(r.Settings.URL, c.id), provider: provider, settings: row.saml, key: key}}, err
}

// samlPeer is a provider that speaks SAML.
type samlPeer struct {
	us       saml.Party
	provider saml.Provider
	settings samlSettings
	key      *saml.Key // by which requests are signed; nil: they are not
}

// request is the id of the request of an attempt. An answer has to name it.
func request(nonce string) string { return "_" + nonce }

// redirect is where a browser begins to sign in.
func (p *samlPeer) redirect(a *attempt, now time.Time) (string, error) {
	return p.us.Redirect(p.provider, request(a.nonce.Reveal()), a.state.Reveal(), p.key, now.UTC())
}

// CompleteSAMLInput is what a browser brought back from a provider that speaks SAML.
type CompleteSAMLInput struct {
	Connection string `json:"connection" doc:"The connection whose ACS URL was called" maxLength:"64" example:"con_00000000000000000000000000"`
	State      string `json:"relay_state" doc:"The answer's RelayState" maxLength:"64" example:"000000000000000000000000000"`
	Browser    string `json:"browser" doc:"The secret of signin.federated_begin, from the same browser" maxLength:"64" example:"000000000000000000000000000"`
	Response   string `json:"saml_response" doc:"The answer's SAMLResponse, in base64" maxLength:"400000" example:"PHNhbWxwOlJlc3BvbnNlLz4="`

	said     claims
	taken    saml.Assertion
	settings samlSettings // by which it was believed
	failed   error
}

// CompleteSAML takes a SAML provider's answer, once and from the browser that began, and begins a session. Whom it names is
// found as in signin.federated.
var CompleteSAML = &op.Op[CompleteSAMLInput, FederatedSignIn]{
	Name:    "signin.saml",
	Route:   "POST /v1/signin/saml",
	Summary: "Sign in with the answer of an identity provider that speaks SAML",
	Kind:    op.Access,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in CompleteSAMLInput) (op.Target, error) {
		a, err := in.attempt(ctx, r)
		return op.Target{Organization: a.connection.organization, Type: "connection", ID: a.connection.id, Name: a.connection.name, Value: a}, err
	},
	Fences:  func(CompleteSAMLInput, op.Target) []op.Fence { return nil }, // the member is found in the transaction
	Prepare: verifySAML,
	Do:      completeSAML,
	Example: CompleteSAMLInput{Connection: "con_00000000000000000000000000", State: "000000000000000000000000000", Browser: "000000000000000000000000000", Response: "PHNhbWxwOlJlc3BvbnNlLz4="},
}

// attempt finds the attempt that is answered, of a connection that speaks SAML.
func (in CompleteSAMLInput) attempt(ctx context.Context, r *op.Reader) (pendingAttempt, error) {
	a, err := attemptOf(ctx, r, CompleteFederatedInput{Connection: in.Connection, State: in.State, Browser: in.Browser})
	if err == nil && a.connection.kind != samlKind {
		return pendingAttempt{}, op.ErrNotFound
	}
	return a, err
}

// verifySAML believes the answer or not, before the transaction begins: that takes a moment. A failure is kept for the
// transaction, which uses the attempt up.
func verifySAML(ctx context.Context, in CompleteSAMLInput) (CompleteSAMLInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var who party
	var a pendingAttempt
	err = reach.Read(ctx, func(r *op.Reader) (err error) {
		if a, err = in.attempt(ctx, r); err == nil {
			who, err = a.connection.samlParty(ctx, r)
		}
		return err
	})
	if err != nil {
		return in, err
	}
	in.settings = who.saml.settings
	in.taken, in.failed = saml.Verify(in.Response, saml.Expectations{Party: who.saml.us, Issuer: who.issuer, Certificates: who.saml.provider.Certificates,
		Request: request(a.nonce), Now: reach.Providers.now().UTC()})
	if in.failed == nil {
		in.said, in.failed = saidBy(in.taken, a.connection.mapping.Subject)
	}
	return in, nil
}

// saidBy turns an assertion into what every kind of connection says of a person: the attributes by their names, and the NameID
// beside them.
func saidBy(a saml.Assertion, subject string) (claims, error) {
	raw := map[string]any{}
	for name, values := range a.Attributes {
		raw[name] = values
	}
	for name, value := range map[string]string{"NameID": a.Name, "NameID format": a.Format} {
		if _, there := raw[name]; !there {
			raw[name] = []string{value}
		}
	}
	who, err := a.Subject(subject)
	at := atProvider{name: a.Name, format: a.Format, qualifiers: a.Qualifier + "\n" + a.OurQualifier, session: a.SessionIndex}
	return claims{Subject: who, Email: a.Email(), Name: a.FullName(), raw: raw, at: at}, err
}

func completeSAML(ctx context.Context, tx *op.Tx, in CompleteSAMLInput) (FederatedSignIn, error) {
	a := tx.Target().Value.(pendingAttempt)
	if err := a.use(ctx, tx); err != nil {
		return FederatedSignIn{}, err
	}
	if in.failed == nil {
		if err := a.takeOnce(ctx, tx, in); err != nil {
			return FederatedSignIn{}, err
		}
	}
	return a.complete(ctx, tx, in.said, in.failed)
}

// takeOnce remembers an assertion, wherever it arrives: a second time it counts for nothing. It also makes sure that the
// certificates are still those by which it was believed. T-077
func (a pendingAttempt) takeOnce(ctx context.Context, tx *op.Tx, in CompleteSAMLInput) error {
	n, err := tx.Exec(ctx, `INSERT INTO saml_assertions (connection, organization, assertion, expires_at)
		SELECT s.connection, s.organization, $3, $4 FROM saml_settings s WHERE s.organization = $1 AND s.connection = $2 AND s.certificates = $5
		ON CONFLICT (connection, assertion) DO NOTHING`, a.connection.organization, a.connection.id, in.taken.ID, in.taken.Until.UnixMicro(), in.settings.certificates)
	if err == nil && n != 1 {
		err = op.Keep(op.Errorf(op.Gone, "assertion_used", "the identity provider's answer was taken before: begin again"))
	}
	return err
}
