package federation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/outbound"
	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/op"
)

// samlKind is the kind of connections that speak SAML 2.0.
const samlKind = "saml"

// Certificate is one that a provider signs by.
type Certificate struct {
	Fingerprint string    `json:"fingerprint" doc:"SHA-256 of the certificate, in hexadecimal: what providers show beside theirs"`
	Subject     string    `json:"subject" doc:"Whom it names"`
	BeginsAt    time.Time `json:"begins_at" doc:"From when it counts"`
	EndsAt      time.Time `json:"ends_at" doc:"Until when: nothing that is signed by it is believed after that"`
}

// SAMLSettings are what a connection that speaks SAML has beside what every connection has.
type SAMLSettings struct {
	Connection    string        `json:"connection" doc:"The connection's id" example:"con_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name          string        `json:"name" doc:"What people call it" example:"Okta"`
	State         string        `json:"state" doc:"As in connections.list" enum:"draft,tested,on"`
	ACSURL        string        `json:"acs_url" doc:"To set at the provider: where it sends answers to (ACS URL, reply URL, single sign-on URL)"`
	EntityID      string        `json:"entity_id" doc:"To set at the provider: for whom answers are (entity id, audience URI, identifier)"`
	SLOURL        string        `json:"slo_url" cli:"-" doc:"To set at the provider, if it has single logout: where it ends sessions (single logout URL), by HTTP-Redirect or HTTP-POST"`
	SignsRequests bool          `json:"signs_requests" cli:"-" doc:"Whether requests to sign in are signed, as the provider's metadata wants it"`
	EntityURL     string        `json:"entity_metadata_url" cli:"-" doc:"Where our own metadata stands, for providers that read it"`
	Issuer        string        `json:"issuer" doc:"The provider's entity id" example:"http://www.okta.com/exk1a2b3c"`
	SignOnURL     string        `json:"sign_on_url" cli:"-" doc:"Where people are sent to" example:"https://acme.okta.com/app/exk1a2b3c/sso/saml"`
	LogoutURL     string        `json:"logout_url,omitzero" cli:"-" doc:"Where the provider ends its sessions"`
	Certificates  []Certificate `json:"certificates" doc:"By which it signs: any of them counts"`
	CertificateTo time.Time     `json:"certificates_end_at" doc:"When the last of them ends: nobody signs in after that"`
	MetadataURL   string        `json:"metadata_url,omitzero" cli:"-" doc:"Where the provider's metadata stands; absent: it was given otherwise"`
	ReadAt        *time.Time    `json:"read_at,omitzero" cli:"-" doc:"When the metadata at that address was read last; it is read every day"`
	Problem       string        `json:"problem,omitzero" doc:"Why the metadata could not be read since; what is here stays as it was"`
	Version       int64         `json:"version" cli:"-" doc:"Counts the changes of the connection; the ETag"`
}

// ETag is the connection's version.
func (s SAMLSettings) ETag() string { return op.VersionTag(s.Version) }

// samlSettings are the settings as they are stored.
type samlSettings struct {
	signOn, logout, certificates, metadata string
	problem                                string // why the metadata could not be read since
	answer                                 string // where the provider takes answers to its logouts; empty: at logout
	wantsSigned                            bool
	sealedKey, ownCertificate              []byte // what we sign by; empty: nothing
	read, ends                             int64
	warn                                   int64 // when people are warned next of the end; 0: never again
}

const samlColumns = `s.sign_on_url, s.logout_url, s.certificates, s.metadata_url, s.problem, s.read_at, s.ends_at, s.warn_next,
	s.answer_url, s.wants_signed, k.private_key, k.certificate`

// samlTables are the tables of samlColumns, beside the connections.
const samlTables = `JOIN saml_settings s ON s.organization = c.organization AND s.connection = c.id
	LEFT JOIN saml_keys k ON k.organization = s.organization AND k.connection = s.connection`

func (s *samlSettings) fields() []any {
	return []any{&s.signOn, &s.logout, &s.certificates, &s.metadata, &s.problem, &s.read, &s.ends, &s.warn, &s.answer, &s.wantsSigned, &s.sealedKey, &s.ownCertificate}
}

// provider is what the settings say of an identity provider.
func (s samlSettings) provider(issuer string) (saml.Provider, error) {
	known, err := saml.ParseCertificates(s.certificates)
	return saml.Provider{EntityID: issuer, SignOnURL: s.signOn, LogoutURL: s.logout, AnswerURL: s.answer, WantsSigned: s.wantsSigned, Certificates: known}, err
}

// take takes what a provider says of itself.
func (s *samlSettings) take(p saml.Provider) {
	s.signOn, s.logout, s.certificates, s.ends = p.SignOnURL, p.LogoutURL, saml.FormatCertificates(p.Certificates), saml.Latest(p.Certificates).UnixMicro()
	s.answer, s.wantsSigned = p.AnswerURL, p.WantsSigned
}

// keyPurpose names what keys are sealed for.
const keyPurpose = "SAML key"

// newKey makes what we sign by, where there is nothing yet.
func (s *samlSettings) newKey(r *op.Reader, connection string, key *saml.Key) error {
	if key == nil || len(s.sealedKey) > 0 {
		return nil
	}
	private, err := key.Private()
	s.sealedKey, s.ownCertificate = r.Secrets.Seal(keyPurpose+connection, private), key.Certificate
	return err
}

// key opens what we sign by; nil: there is nothing.
func (s samlSettings) key(r *op.Reader, connection string) (*saml.Key, error) {
	if len(s.sealedKey) == 0 {
		return nil, nil
	}
	private, err := r.Secrets.Open(keyPurpose+connection, s.sealedKey)
	if err != nil {
		return nil, err
	}
	return saml.ParseKey(private, s.ownCertificate)
}

func (c samlRow) insertKey(ctx context.Context, tx *op.Tx) error {
	if len(c.saml.sealedKey) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, "INSERT INTO saml_keys (connection, organization, private_key, certificate, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (connection) DO NOTHING",
		c.id, c.organization, c.saml.sealedKey, c.saml.ownCertificate, tx.Micros())
	return err
}

// SAMLParty is what a connection's provider knows us by. It is another party for each connection, so that what one
// organization's provider says is for nobody else. T-058, T-078
func SAMLParty(url func(path string) string, connection string) saml.Party {
	return saml.Party{EntityID: url("/login/saml/" + connection + "/metadata"), ACS: url("/login/saml/" + connection + "/acs"), SLO: url("/login/saml/" + connection + "/slo")}
}

// samlRow is a connection with its settings.
type samlRow struct {
	connectionRow
	saml samlSettings
}

func (c samlRow) show(r *op.Reader) (SAMLSettings, error) {
	provider, err := c.saml.provider(c.issuer)
	us := SAMLParty(r.Settings.URL, c.id)
	shown := SAMLSettings{Connection: c.id, Name: c.name, State: c.state, ACSURL: us.ACS, EntityID: us.EntityID, SLOURL: us.SLO, SignsRequests: c.saml.wantsSigned, EntityURL: us.EntityID, Issuer: c.issuer, SignOnURL: c.saml.signOn,
		LogoutURL: c.saml.logout, CertificateTo: time.UnixMicro(c.saml.ends).UTC(), MetadataURL: c.saml.metadata, ReadAt: when(c.saml.read), Problem: c.saml.problem, Version: c.version}
	for _, one := range provider.Certificates {
		shown.Certificates = append(shown.Certificates, Certificate{Fingerprint: fingerprint(one), Subject: one.Subject.String(), BeginsAt: one.NotBefore.UTC(), EndsAt: one.NotAfter.UTC()})
	}
	return shown, err
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// samlConnection reads a connection of an organization that speaks SAML.
func samlConnection(ctx context.Context, r *op.Reader, organization, id string) (c samlRow, err error) {
	err = r.QueryRow(ctx, "SELECT "+connectionColumns+", "+samlColumns+` FROM connections c `+samlTables+`
		WHERE c.organization = $1 AND c.id = $2`, organization, id).Scan(append(c.connectionRow.fields(), c.saml.fields()...)...)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return c, err
}

func samlTarget(ctx context.Context, r *op.Reader, in ConnectionInput) (op.Target, error) {
	c, err := samlConnection(ctx, r, r.Organization(), in.Connection)
	if err != nil {
		return op.Target{}, err
	}
	shown, err := c.show(r)
	return op.Target{Organization: r.Organization(), Type: "connection", ID: c.id, Name: c.name, Version: c.version, Current: shown, Value: c}, err
}

// GetSAML shows what a connection that speaks SAML has set, and what has to be set at the provider.
var GetSAML = &op.Op[ConnectionInput, SAMLSettings]{
	Name:    "connections.get_saml",
	Route:   "GET /v1/organizations/{organization}/connections/{connection}/saml",
	Summary: "Show a SAML connection: its certificates with their ends, and what to set at the provider",
	Allow:   op.On("sso.configure"),
	Target:  samlTarget,
	Do: func(_ context.Context, tx *op.Tx, _ ConnectionInput) (SAMLSettings, error) {
		return tx.Target().Value.(samlRow).show(tx.Reader)
	},
	Example: exampleConnection,
}

// SAMLProvider says what an identity provider is: by its metadata, by where that stands, or by hand.
type SAMLProvider struct {
	Metadata     string   `json:"metadata,omitzero" doc:"The provider's metadata, as XML" maxLength:"900000" required:"false"`
	MetadataURL  string   `json:"metadata_url,omitzero" doc:"Or where the metadata stands, as an https address" maxLength:"1024" required:"false" example:"https://acme.okta.com/app/exk1a2b3c/sso/saml/metadata"`
	Issuer       string   `json:"issuer,omitzero" doc:"Or by hand: the provider's entity id" maxLength:"1024" required:"false" example:"http://www.okta.com/exk1a2b3c"`
	SignOnURL    string   `json:"sign_on_url,omitzero" doc:"By hand: where people sign in, as an https address that takes the HTTP-Redirect binding" maxLength:"1024" required:"false"`
	Certificates []string `json:"certificates,omitzero" doc:"By hand: the certificates that the provider signs by, in PEM" maxItems:"6" required:"false"`

	provider saml.Provider
	key      *saml.Key
	read     bool // from the address
}

// Validate checks what was given, once and in one way.
func (in SAMLProvider) Validate() []op.FieldError {
	ways := 0
	for _, given := range []bool{in.Metadata != "", in.MetadataURL != "", in.Issuer != "" || in.SignOnURL != "" || len(in.Certificates) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return []op.FieldError{{Pointer: "/metadata", Code: "required", Detail: "say what the provider is in one way: its metadata, where that stands, or its entity id with its address and certificates"}}
	}
	field, _, err := in.described()
	if err != nil {
		return []op.FieldError{{Pointer: "/" + field, Code: "invalid", Detail: err.Error()}}
	}
	return nil
}

// described is what was given without the network, and otherwise the field that is wrong.
func (in SAMLProvider) described() (field string, p saml.Provider, err error) {
	switch {
	case in.MetadataURL != "":
		if !saml.Secure(in.MetadataURL) {
			return "metadata_url", p, errors.New("the metadata has to stand at an https address")
		}
		return "", in.provider, nil
	case in.Metadata != "":
		p, err = saml.ParseMetadata([]byte(in.Metadata))
		return "metadata", p, err
	}
	p = saml.Provider{EntityID: in.Issuer, SignOnURL: in.SignOnURL}
	if p.Certificates, err = certificatesIn(in.Certificates); err != nil {
		return "certificates", p, err
	}
	return "issuer", p, p.Check()
}

func certificatesIn(texts []string) (all []*x509.Certificate, err error) {
	for _, text := range texts {
		more, err := saml.ParseCertificates(text)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// readMetadata reads what stands at a provider's address.
func (reach Reach) readMetadata(ctx context.Context, address string) (saml.Provider, error) {
	raw, err := outbound.Get(ctx, reach.Providers.client, address, "")
	if err != nil {
		return saml.Provider{}, &op.Error{Kind: op.Unavailable, Code: "provider_failed", Text: "the identity provider's metadata cannot be read: " + err.Error(), RetryAfter: time.Minute}
	}
	p, err := saml.ParseMetadata(raw)
	if err != nil {
		return p, op.InvalidField("metadata_url", "invalid", "what stands at this address is not taken: %v", err)
	}
	return p, nil
}

// prepare makes a key for a connection, and reads what stands at the provider's address, before the transaction begins.
func (in *SAMLProvider) prepare(ctx context.Context) error {
	reach, err := reachOf(ctx)
	if err == nil {
		in.key, err = saml.NewKey("Guildhall", reach.Providers.now())
	}
	if err == nil && in.MetadataURL != "" {
		in.provider, err = reach.readMetadata(ctx, in.MetadataURL)
		in.read = true
	}
	return err
}

// names makes a connection that of the provider, which has to be tested. A key that it has stays.
func (in SAMLProvider) names(tx *op.Tx, c *samlRow, name string) error {
	_, provider, err := in.described()
	if err != nil {
		return err
	}
	c.kind, c.name, c.issuer, c.state = samlKind, strings.TrimSpace(name), provider.EntityID, Draft
	c.saml.take(provider)
	c.saml.warn = nextWarning(c.saml.ends, tx.Now)
	if c.saml.metadata, c.saml.read = in.MetadataURL, 0; in.read {
		c.saml.read = tx.Micros()
	}
	return c.saml.newKey(tx.Reader, c.id, in.key)
}

// CreateSAMLInput says what an identity provider that speaks SAML is.
type CreateSAMLInput struct {
	op.InOrganization
	Name string         `json:"name" doc:"What people call it" minLength:"1" maxLength:"80" example:"Okta"`
	Role charter.RoleID `json:"role,omitzero" doc:"The role of people whom nobody invited; left out: they cannot join" maxLength:"64" required:"false"`
	SAMLProvider
}

// CreateSAML makes a connection that speaks SAML. It signs nobody in until it was tested and switched on.
var CreateSAML = &op.Op[CreateSAMLInput, SAMLSettings]{
	Name:    "connections.create_saml",
	Route:   "POST /v1/organizations/{organization}/connections/saml",
	Summary: "Name an identity provider that speaks SAML 2.0; it signs nobody in yet",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Prepare: func(ctx context.Context, in CreateSAMLInput) (CreateSAMLInput, error) {
		err := in.SAMLProvider.prepare(ctx)
		return in, err
	},
	Do:      createSAML,
	Example: CreateSAMLInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "Okta", SAMLProvider: SAMLProvider{Metadata: exampleMetadata}},
}

func createSAML(ctx context.Context, tx *op.Tx, in CreateSAMLInput) (SAMLSettings, error) {
	if in.Role != "" {
		if _, err := givable(ctx, tx, string(in.Role)); err != nil {
			return SAMLSettings{}, err
		}
	}
	c := samlRow{connectionRow: connectionRow{id: tx.NewID("con"), organization: tx.Organization(), role: string(in.Role), createdBy: tx.Actor.ID, created: tx.Micros(), version: 1}}
	if err := in.names(tx, &c, in.Name); err != nil {
		return SAMLSettings{}, err
	}
	tx.Also("connection", c.id, c.name)
	if err := c.insert(ctx, tx); err != nil {
		return SAMLSettings{}, connectionTaken(err)
	}
	return c.show(tx.Reader)
}

func (c samlRow) insert(ctx context.Context, tx *op.Tx) error {
	c.sealed = tx.Secrets.Seal(sealPurpose+c.id, nil)
	if err := c.connectionRow.insert(ctx, tx); err != nil {
		return err
	}
	return c.insertSettings(ctx, tx)
}

// insertSettings keeps what only those have that speak SAML. A connection that is named anew keeps its key.
func (c samlRow) insertSettings(ctx context.Context, tx *op.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO saml_settings (connection, organization, sign_on_url, logout_url, certificates, metadata_url, read_at, ends_at, read_next, warn_next, answer_url, wants_signed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (connection) DO UPDATE SET sign_on_url = $3, logout_url = $4, certificates = $5, metadata_url = $6, read_at = $7, ends_at = $8, read_next = $9, warn_next = $10, answer_url = $11,
			wants_signed = $12, problem = ''`, c.id, c.organization, c.saml.signOn, c.saml.logout, c.saml.certificates, c.saml.metadata, c.saml.read, c.saml.ends,
		nextReading(c.id, tx.Now), c.saml.warn, c.saml.answer, c.saml.wantsSigned)
	if err != nil {
		return err
	}
	return c.insertKey(ctx, tx)
}

// UpdateSAMLInput says what to change of a provider; what is left out stays.
type UpdateSAMLInput struct {
	ConnectionInput
	Metadata    string   `json:"metadata,omitzero" doc:"The provider's metadata as it is now, as XML: its addresses and certificates are taken, and its address is read no longer" maxLength:"900000" required:"false"`
	MetadataURL string   `json:"metadata_url,omitzero" doc:"Where the provider's metadata stands: it is read, now and every day" maxLength:"1024" required:"false"`
	Reread      bool     `json:"reread,omitzero" doc:"Read the metadata at its address again" required:"false"`
	SignOnURL   string   `json:"sign_on_url,omitzero" doc:"Another address at which people sign in; it has to be tested again" maxLength:"1024" required:"false"`
	Add         []string `json:"add_certificates,omitzero" doc:"Certificates that the provider is going to sign by, in PEM: they count beside those that are there" maxItems:"6" required:"false"`
	Remove      []string `json:"remove_certificates,omitzero" doc:"The fingerprints of certificates that count no longer" maxItems:"6" required:"false"`

	provider saml.Provider
	key      *saml.Key // for a connection that has none
	read     bool
}

// Validate checks what needs no data.
func (in UpdateSAMLInput) Validate() []op.FieldError {
	var wrong []op.FieldError
	say := func(field string, err error) {
		if err != nil {
			wrong = append(wrong, op.FieldError{Pointer: "/" + field, Code: "invalid", Detail: err.Error()})
		}
	}
	if in.Metadata != "" {
		_, err := saml.ParseMetadata([]byte(in.Metadata))
		say("metadata", err)
	}
	for field, address := range map[string]string{"metadata_url": in.MetadataURL, "sign_on_url": in.SignOnURL} {
		if address != "" && !saml.Secure(address) {
			say(field, errors.New("it has to be an https address"))
		}
	}
	_, err := certificatesIn(in.Add)
	say("add_certificates", err)
	if in.Metadata != "" && (in.MetadataURL != "" || in.Reread) {
		say("metadata", errors.New("give the metadata, or where it stands"))
	}
	return wrong
}

// UpdateSAML changes what is known of a provider that speaks SAML. A new certificate counts beside the old one, so that a
// provider changes its key while people go on signing in.
var UpdateSAML = &op.Op[UpdateSAMLInput, SAMLSettings]{
	Name:    "connections.update_saml",
	Route:   "PATCH /v1/organizations/{organization}/connections/{connection}/saml",
	Summary: "Change a SAML connection: add or remove certificates, or read the provider's metadata again",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: feature,
	Confirm: op.L2,
	Fresh:   true,
	Target: func(ctx context.Context, r *op.Reader, in UpdateSAMLInput) (op.Target, error) {
		return samlTarget(ctx, r, in.ConnectionInput)
	},
	Prepare: prepareSAML,
	Do:      updateSAML,
	Example: UpdateSAMLInput{ConnectionInput: exampleConnection, SignOnURL: "https://acme.okta.com/app/exk1a2b3c/sso/saml"},
}

// prepareSAML reads the metadata at its address.
func prepareSAML(ctx context.Context, in UpdateSAMLInput) (UpdateSAMLInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var c samlRow
	err = reach.Read(ctx, func(r *op.Reader) (err error) {
		c, err = samlConnection(ctx, r, in.Organization, in.Connection)
		return err
	})
	if err == nil && len(c.saml.sealedKey) == 0 {
		in.key, err = saml.NewKey("Guildhall", reach.Providers.now())
	}
	if err != nil || in.MetadataURL == "" && !in.Reread {
		return in, err
	}
	if in.MetadataURL == "" {
		if in.MetadataURL = c.saml.metadata; in.MetadataURL == "" {
			err = op.Errorf(op.Conflict, "no_metadata_url", "this provider's metadata has no address: give the metadata itself, or its certificates")
		}
		if err != nil {
			return in, err
		}
	}
	in.read = true
	in.provider, err = reach.readMetadata(ctx, in.MetadataURL)
	return in, err
}

func updateSAML(ctx context.Context, tx *op.Tx, in UpdateSAMLInput) (SAMLSettings, error) {
	c := tx.Target().Value.(samlRow)
	was := c
	if err := in.apply(tx, &c); err != nil {
		return SAMLSettings{}, err
	}
	if err := c.saml.newKey(tx.Reader, c.id, in.key); err != nil {
		return SAMLSettings{}, err
	}
	if len(was.saml.sealedKey) == 0 {
		if err := c.insertKey(ctx, tx); err != nil {
			return SAMLSettings{}, err
		}
	}
	if len(was.saml.sealedKey) == 0 {
		tx.Changed("own_key", false, len(c.saml.sealedKey) > 0)
	}
	tx.Changed("certificates", fingerprints(was.saml), fingerprints(c.saml))
	tx.Changed("sign_on_url", was.saml.signOn, c.saml.signOn)
	tx.Changed("metadata_url", was.saml.metadata, c.saml.metadata)
	tx.Changed("state", was.state, c.state)
	c.version++
	if _, err := tx.Exec(ctx, "UPDATE connections SET state = $3, version = $4 WHERE organization = $1 AND id = $2", c.organization, c.id, c.state, c.version); err != nil {
		return SAMLSettings{}, err
	}
	if c.saml.ends != was.saml.ends {
		c.saml.warn = nextWarning(c.saml.ends, tx.Now)
	}
	_, err := tx.Exec(ctx, `UPDATE saml_settings SET sign_on_url = $3, logout_url = $4, certificates = $5, metadata_url = $6, read_at = $7, ends_at = $8, problem = $9, warn_next = $10,
			read_next = $11, answer_url = $12, wants_signed = $13 WHERE organization = $1 AND connection = $2`, c.organization, c.id, c.saml.signOn, c.saml.logout, c.saml.certificates, c.saml.metadata, c.saml.read, c.saml.ends,
		c.saml.problem, c.saml.warn, nextReading(c.id, tx.Now), c.saml.answer, c.saml.wantsSigned)
	if err != nil {
		return SAMLSettings{}, err
	}
	return c.show(tx.Reader)
}

func (in UpdateSAMLInput) apply(tx *op.Tx, c *samlRow) error {
	p, err := c.saml.provider(c.issuer)
	if err != nil {
		return err
	}
	if said := in.provider; in.read || in.Metadata != "" {
		if !in.read {
			if said, err = saml.ParseMetadata([]byte(in.Metadata)); err != nil {
				return op.InvalidField("metadata", "invalid", "%v", err)
			}
		}
		if said.EntityID != c.issuer {
			return op.Errorf(op.Conflict, "other_provider", "this metadata is of another provider, %.200q: people would not be known there; name it as a connection of its own", said.EntityID)
		}
		p = said
	}
	switch {
	case in.read:
		c.saml.metadata, c.saml.read, c.saml.problem = in.MetadataURL, tx.Micros(), ""
	case in.Metadata != "": // it counts now, and would otherwise be replaced within a day
		c.saml.metadata, c.saml.read, c.saml.problem = "", 0, ""
	}
	if in.SignOnURL != "" && in.SignOnURL != p.SignOnURL {
		p.SignOnURL, c.state = in.SignOnURL, Draft
	}
	added, err := certificatesIn(in.Add)
	if err != nil {
		return op.InvalidField("add_certificates", "invalid", "%v", err)
	}
	for _, one := range added {
		if !slices.ContainsFunc(p.Certificates, one.Equal) {
			p.Certificates = append(p.Certificates, one)
		}
	}
	p.Certificates = slices.DeleteFunc(p.Certificates, func(one *x509.Certificate) bool { return slices.Contains(in.Remove, fingerprint(one)) })
	if err := p.Check(); err != nil {
		return op.Errorf(op.Conflict, "certificates_needed", "this cannot be: %v", err)
	}
	c.saml.take(p)
	return nil
}

// fingerprints name certificates in the audit log, by their beginnings.
func fingerprints(s samlSettings) string {
	all, _ := saml.ParseCertificates(s.certificates)
	var short []string
	for _, one := range all {
		short = append(short, fingerprint(one)[:16])
	}
	return strings.Join(short, " ")
}
