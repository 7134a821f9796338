package signin

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// mostPasskeys is how many passkeys a person may have.
const mostPasskeys = 25

// Passkey is a person's passkey: a key pair in a device or a password manager, of which this server has the public half.
type Passkey struct {
	ID         string    `json:"id" doc:"The passkey's id" example:"pky_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name       string    `json:"name" doc:"What its person calls it" example:"Laptop"`
	Synced     bool      `json:"synced" doc:"Whether it may be copied to the person's other devices (backup eligible). It never changes"`
	BackedUp   bool      `json:"backed_up" doc:"Whether it was copied when it was last used (backup state)"`
	Transports []string  `json:"transports" doc:"How the authenticator is reached, as it says of itself" example:"[\"internal\"]"`
	CreatedAt  time.Time `json:"created_at" doc:"When it was added"`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"When it last signed its person in or verified them; absent: never"`
	Version    int64     `json:"version" doc:"Goes up with each change of its name" example:"1"`
}

// ETag is the version, for If-Match.
func (p Passkey) ETag() string { return op.VersionTag(p.Version) }

// PasskeyOptions are what a browser is given to ask an authenticator.
type PasskeyOptions struct {
	Options   string    `json:"options" doc:"JSON: give it, parsed, to PublicKeyCredential.parseCreationOptionsFromJSON or parseRequestOptionsFromJSON, and the result to navigator.credentials as publicKey"`
	ExpiresAt time.Time `json:"expires_at" doc:"When its challenge ends. It is good once"`
}

func passkeyOptions(r *op.Reader, options any) (PasskeyOptions, error) {
	text, err := json.Marshal(options)
	return PasskeyOptions{Options: string(text), ExpiresAt: r.Now.Add(ceremonyLife)}, err
}

// BeginPasskeyInput asks for the options of a new passkey.
type BeginPasskeyInput struct{}

// BeginPasskey gives what a browser needs to make a passkey. It is bound to the session that asks, and good once.
var BeginPasskey = &op.Op[BeginPasskeyInput, PasskeyOptions]{
	Name:    "passkeys.begin",
	Route:   "POST /v1/me/passkeys/begin",
	Summary: "Ask for the options with which your browser makes a passkey",
	Kind:    op.Read,
	Scope:   op.Self,
	Account: true,
	Allow:   op.SignedIn,
	Do:      beginPasskey,
}

func beginPasskey(ctx context.Context, tx *op.Tx, _ BeginPasskeyInput) (PasskeyOptions, error) {
	w, err := party(tx.Settings)
	if err != nil {
		return PasskeyOptions{}, err
	}
	h, err := holderOf(ctx, tx.Reader)
	if err != nil {
		return PasskeyOptions{}, err
	}
	creation, _, err := w.BeginRegistration(h, webauthn.WithExclusions(webauthn.Credentials(h.credentials).CredentialDescriptors()),
		webauthn.WithRegistrationRelyingPartyName(tx.Charter.Product),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = newChallengeBytes(tx.Reader, ceremonyRegister)
			return nil
		})
	if err != nil {
		return PasskeyOptions{}, err
	}
	return passkeyOptions(tx.Reader, creation.Response)
}

// holderOf is the actor with all their passkeys.
func holderOf(ctx context.Context, r *op.Reader) (holder, error) {
	h := holder{id: r.Actor.User, name: r.Actor.Email, shown: r.Actor.Name}
	if h.shown == "" {
		h.shown = h.name
	}
	rows, err := r.Query(ctx, "SELECT "+passkeyColumns+" FROM passkeys WHERE user_id = $1 ORDER BY created_at, id", r.Actor.User)
	if err != nil {
		return h, err
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanPasskey(rows)
		if err != nil {
			return h, err
		}
		h.credentials = append(h.credentials, p.credential())
	}
	return h, rows.Err()
}

// CreatePasskeyInput is what the browser answered to the options of passkeys.begin.
type CreatePasskeyInput struct {
	Credential string `json:"credential" doc:"What navigator.credentials.create answered: JSON.stringify(credential)" minLength:"2" maxLength:"16384"`
	Name       string `json:"name,omitzero" doc:"What to call it; empty: the device's name" example:"Laptop" maxLength:"100" required:"false"`
}

// CreatePasskey adds a passkey to the caller's account, and mails that it did.
var CreatePasskey = &op.Op[CreatePasskeyInput, Passkey]{
	Name:    "passkeys.create",
	Route:   "POST /v1/me/passkeys",
	Summary: "Add a passkey to your account, with your browser's answer to passkeys.begin",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.SignedIn,
	Fresh:   true,
	Do:      createPasskey,
	Example: CreatePasskeyInput{Credential: exampleCredential, Name: "Laptop"},
}

const exampleCredential = `{"id":"…","rawId":"…","type":"public-key","response":{"clientDataJSON":"…"}}`

func createPasskey(ctx context.Context, tx *op.Tx, in CreatePasskeyInput) (Passkey, error) {
	p, a, err := newPasskey(tx, in)
	if err != nil {
		return Passkey{}, err
	}
	if err := a.use(ctx, tx); err != nil {
		return Passkey{}, err
	}
	if err := p.insert(ctx, tx); err != nil {
		return Passkey{}, err
	}
	tx.Also("passkey", p.id, "") // names of devices are personal, and stay out of the log
	tx.Changed("backup_eligible", nil, p.eligible)
	return p.show(), passkeyLetter(tx, "Passkey added to your account at ", "A passkey was added to your account: "+p.name+".").send(tx, tx.Actor.Email)
}

// newPasskey verifies what a browser answered.
func newPasskey(tx *op.Tx, in CreatePasskeyInput) (passkeyRow, answered, error) {
	w, err := party(tx.Settings)
	if err != nil {
		return passkeyRow{}, answered{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(in.Credential))
	if err != nil {
		return passkeyRow{}, answered{}, notVerified(err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	a, err := readChallenge(tx.Reader, ceremonyRegister, challenge)
	if errors.Is(err, op.ErrNotFound) {
		err = op.InvalidField("credential", "not_verified", "credential answers no challenge that passkeys.begin gave this session")
	}
	if err != nil {
		return passkeyRow{}, a, err
	}
	made, err := w.CreateCredential(holder{id: tx.Actor.User}, ceremonyOf(challenge, []byte(tx.Actor.User)), parsed)
	if err != nil {
		return passkeyRow{}, a, notVerified(err)
	}
	p := passkeyRow{id: tx.NewID("pky"), user: tx.Actor.User, name: strings.TrimSpace(in.Name), key: made.ID, public: made.PublicKey,
		aaguid: made.Authenticator.AAGUID, transports: transportNames(made.Transport), count: int64(made.Authenticator.SignCount),
		eligible: made.Flags.BackupEligible, backedUp: made.Flags.BackupState, created: tx.Micros(), version: 1}
	if p.name == "" {
		p.name = credential.Device(tx.Caller.Agent)
	}
	return p, a, nil
}

// notVerified says why an answer does not count, in the library's words.
func notVerified(err error) error {
	text := err.Error()
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		text = e.Details
	}
	return op.InvalidField("credential", "not_verified", "credential does not verify: %s", strings.ToLower(text))
}

// transportNames keeps the names that have the form of one.
func transportNames(all []protocol.AuthenticatorTransport) string {
	var names []string
	for _, t := range all {
		if name := string(t); len(names) < 8 && name != "" && len(name) <= 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// insert stores a new passkey. One that is registered already stays whose it is: two accounts never share one. T-026
func (p passkeyRow) insert(ctx context.Context, tx *op.Tx) error {
	n, err := tx.Exec(ctx, `INSERT INTO passkeys (id, user_id, name, credential, public_key, aaguid, transports, sign_count, backup_eligible,
			backed_up, created_at, last_used_at, version)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 1 WHERE (SELECT count(*) FROM passkeys WHERE user_id = $2) < $12`,
		p.id, p.user, p.name, p.key, p.public, p.aaguid, p.transports, p.count, p.eligible, p.backedUp, p.created, mostPasskeys)
	if _, taken := sqldb.Conflict(err); taken {
		return op.Errorf(op.Conflict, "passkey_exists", "this passkey is registered already")
	}
	if err == nil && n != 1 {
		return op.Errorf(op.Conflict, "too_many_passkeys", "you have %d passkeys, which is as many as there can be: delete one that you do not use", mostPasskeys)
	}
	return err
}

// ListPasskeysInput asks for the caller's passkeys.
type ListPasskeysInput struct {
	op.Page
}

// ListPasskeys lists the passkeys of the caller, the newest first.
var ListPasskeys = &op.Op[ListPasskeysInput, op.List[Passkey]]{
	Name:    "passkeys.list",
	Route:   "GET /v1/me/passkeys",
	Summary: "List your passkeys",
	Kind:    op.Read,
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Do:      listPasskeys,
	Example: ListPasskeysInput{Page: op.Page{Limit: 25}},
}

func listPasskeys(ctx context.Context, tx *op.Tx, in ListPasskeysInput) (op.List[Passkey], error) {
	before, id := in.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+passkeyColumns+` FROM passkeys WHERE user_id = $1
		AND (created_at < $2 OR created_at = $2 AND id < $3) ORDER BY created_at DESC, id DESC LIMIT $4`, tx.Actor.User, before, id, in.Size()+1)
	if err != nil {
		return op.List[Passkey]{}, err
	}
	defer rows.Close()
	var all []Passkey
	for rows.Next() {
		p, err := scanPasskey(rows)
		if err != nil {
			return op.List[Passkey]{}, err
		}
		all = append(all, p.show())
	}
	return op.Listed(tx.Reader, &in.Page, all, func(p Passkey) []string {
		return op.Newest(p.CreatedAt.UnixMicro(), p.ID)
	}), rows.Err()
}

// PasskeyInput names a passkey of the caller.
type PasskeyInput struct {
	Passkey string `json:"passkey" doc:"The passkey's id" example:"pky_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64"`
}

var examplePasskey = PasskeyInput{Passkey: "pky_01k9v5x0w3m8q6t2c4h7n0r5sz"}

// passkeyTarget finds a passkey of the caller. Somebody else's is not found.
func passkeyTarget(ctx context.Context, r *op.Reader, id string) (op.Target, error) {
	p, err := scanPasskey(r.QueryRow(ctx, "SELECT "+passkeyColumns+" FROM passkeys WHERE id = $1 AND user_id = $2", id, r.Actor.User))
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Type: "passkey", ID: p.id, User: p.user, Version: p.version, Current: p.show(), Value: p}, nil
}

// UpdatePasskeyInput renames a passkey.
type UpdatePasskeyInput struct {
	PasskeyInput
	Name string `json:"name" doc:"What to call it" example:"Laptop" minLength:"1" maxLength:"100"`
}

// Validate wants a name that is one.
func (in UpdatePasskeyInput) Validate() []op.FieldError {
	if strings.TrimSpace(in.Name) == "" {
		return []op.FieldError{{Pointer: "/name", Code: "required", Detail: "say what to call the passkey"}}
	}
	return nil
}

// UpdatePasskey renames a passkey of the caller.
var UpdatePasskey = &op.Op[UpdatePasskeyInput, Passkey]{
	Name:    "passkeys.update",
	Route:   "PATCH /v1/me/passkeys/{passkey}",
	Summary: "Rename one of your passkeys",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.Own(),
	Target: func(ctx context.Context, r *op.Reader, in UpdatePasskeyInput) (op.Target, error) {
		return passkeyTarget(ctx, r, in.Passkey)
	},
	Do:      updatePasskey,
	Example: UpdatePasskeyInput{PasskeyInput: examplePasskey, Name: "Laptop"},
}

func updatePasskey(ctx context.Context, tx *op.Tx, in UpdatePasskeyInput) (Passkey, error) {
	p, _ := tx.Target().Value.(passkeyRow)
	name := strings.TrimSpace(in.Name)
	if name == p.name {
		tx.Unchanged()
		return p.show(), nil
	}
	tx.ChangedPersonal(p.user, "name", p.name, name)
	p.name, p.version = name, p.version+1
	_, err := tx.Exec(ctx, "UPDATE passkeys SET name = $3, version = $4 WHERE id = $1 AND user_id = $2", p.id, p.user, p.name, p.version)
	return p.show(), err
}

// DeletePasskey removes a passkey of the caller: it signs nobody in any more. That is mailed.
var DeletePasskey = &op.Op[PasskeyInput, Passkey]{
	Name:    "passkeys.delete",
	Route:   "POST /v1/me/passkeys/{passkey}/delete",
	Summary: "Remove one of your passkeys: it signs nobody in any more",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.Own(),
	Fresh:   true,
	Confirm: op.L2,
	Target: func(ctx context.Context, r *op.Reader, in PasskeyInput) (op.Target, error) {
		return passkeyTarget(ctx, r, in.Passkey)
	},
	Do:      deletePasskey,
	Example: examplePasskey,
}

func deletePasskey(ctx context.Context, tx *op.Tx, _ PasskeyInput) (Passkey, error) {
	p, _ := tx.Target().Value.(passkeyRow)
	if err := keepWayIn(ctx, tx, p); err != nil {
		return Passkey{}, err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM passkeys WHERE id = $1 AND user_id = $2", p.id, p.user); err != nil {
		return Passkey{}, err
	}
	tx.Changed("deleted", false, true)
	return p.show(), passkeyLetter(tx, "Passkey removed from your account at ", "A passkey was removed from your account: "+p.name+".").send(tx, tx.Actor.Email)
}

// passkeyRow is a passkey as it is stored.
type passkeyRow struct {
	id, user, name, transports        string
	key, public, aaguid               []byte
	count, created, lastUsed, version int64
	eligible, backedUp                bool
}

const passkeyColumns = "id, user_id, name, credential, public_key, aaguid, transports, sign_count, backup_eligible, backed_up, created_at, last_used_at, version"

func (p *passkeyRow) into() []any {
	return []any{&p.id, &p.user, &p.name, &p.key, &p.public, &p.aaguid, &p.transports, &p.count, &p.eligible, &p.backedUp, &p.created, &p.lastUsed, &p.version}
}

// scanPasskey reads the columns of passkeyColumns. Without a row it is ErrNotFound.
func scanPasskey(row interface{ Scan(...any) error }) (passkeyRow, error) {
	var p passkeyRow
	err := row.Scan(p.into()...)
	if errors.Is(err, sql.ErrNoRows) {
		return p, op.ErrNotFound
	}
	return p, err
}

func (p passkeyRow) show() Passkey {
	out := Passkey{ID: p.id, Name: p.name, Synced: p.eligible, BackedUp: p.backedUp, Transports: []string{},
		CreatedAt: time.UnixMicro(p.created).UTC(), Version: p.version}
	out.Transports = append(out.Transports, strings.Fields(p.transports)...)
	if p.lastUsed != 0 {
		out.LastUsedAt = time.UnixMicro(p.lastUsed).UTC()
	}
	return out
}

// credential is the passkey as the library verifies with it.
func (p passkeyRow) credential() webauthn.Credential {
	c := webauthn.Credential{ID: p.key, PublicKey: p.public, Flags: webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: p.eligible, BackupState: p.backedUp},
		Authenticator: webauthn.Authenticator{AAGUID: p.aaguid, SignCount: uint32(p.count)}}
	for _, t := range strings.Fields(p.transports) {
		c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
	}
	return c
}
