package signin

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// passkeyMethod is the method of a session that a passkey began.
const passkeyMethod = "passkey"

// BeginPasskeySignInInput says what a passkey is asked for.
type BeginPasskeySignInInput struct {
	Purpose string `json:"purpose,omitzero" doc:"sign_in begins a session; verify proves again who uses this one" enum:"sign_in,verify" default:"sign_in" required:"false"`
}

// BeginPasskeySignIn gives what a browser needs to ask for a passkey. To sign in it names nobody and no passkey: the
// person's device knows which it has.
var BeginPasskeySignIn = &op.Op[BeginPasskeySignInInput, PasskeyOptions]{
	Name:    "signin.passkey_begin",
	Route:   "POST /v1/signin/passkey_begin",
	Summary: "Ask for the options with which your browser uses a passkey, to sign in or to verify that it is you",
	Kind:    op.Read,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Target: func(ctx context.Context, r *op.Reader, in BeginPasskeySignInInput) (op.Target, error) {
		return beginTarget(ctx, r, BeginSignInInput{Purpose: in.Purpose})
	},
	Do: beginPasskeySignIn,
}

func beginPasskeySignIn(ctx context.Context, tx *op.Tx, in BeginPasskeySignInInput) (PasskeyOptions, error) {
	w, err := party(tx.Settings)
	if err != nil {
		return PasskeyOptions{}, err
	}
	ceremony, options := ceremonySignIn, []webauthn.LoginOption{}
	if in.Purpose == purposeVerify {
		ceremony = ceremonyVerify
		h, err := holderOf(ctx, tx.Reader)
		if err != nil {
			return PasskeyOptions{}, err
		}
		options = append(options, webauthn.WithAllowedCredentials(webauthn.Credentials(h.credentials).CredentialDescriptors()))
	}
	challenge := newChallengeBytes(tx.Reader, ceremony)
	assertion, _, err := w.BeginDiscoverableLogin(append(options, webauthn.WithChallenge(challenge))...)
	if err != nil {
		return PasskeyOptions{}, err
	}
	return passkeyOptions(tx.Reader, assertion.Response)
}

// PasskeyProof is what the browser answered to the options of signin.passkey_begin.
type PasskeyProof struct {
	Credential string `json:"credential" doc:"What navigator.credentials.get answered: JSON.stringify(credential)" minLength:"2" maxLength:"16384"`
	ReturnTo   string `json:"return_to,omitzero" doc:"Where to go afterwards: a path of this server, or an absolute URL that its configuration lists; anything else is ignored" example:"/o/acme" maxLength:"1024" required:"false"`
}

// PasskeySignIn takes the answer of a passkey and begins a session. A session that the browser had before ends. What does
// not verify is not found, whatever is wrong with it: the answer tells nothing of accounts.
var PasskeySignIn = &op.Op[PasskeyProof, SignedIn]{
	Name:    "signin.passkey",
	Route:   "POST /v1/signin/passkey",
	Summary: "Sign in with a passkey, by your browser's answer to signin.passkey_begin",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in PasskeyProof) (op.Target, error) {
		a, err := findAssertion(ctx, r, ceremonySignIn, in)
		return op.Target{Type: "user", ID: a.user.ID, Name: a.user.Label(), Stream: a.user.ID, Value: a}, err
	},
	Do:      passkeySignIn,
	Example: PasskeyProof{Credential: exampleCredential, ReturnTo: "/o/acme"},
}

func passkeySignIn(ctx context.Context, tx *op.Tx, in PasskeyProof) (SignedIn, error) {
	a, _ := tx.Target().Value.(assertion)
	tx.ProvedBy(a.user.ID, a.user.Name, a.user.Email)
	tx.Also("passkey", a.passkey.id, "")
	if err := a.count(ctx, tx); err != nil {
		return SignedIn{}, err
	}
	if err := alarm(ctx, tx, a.user); err != nil {
		return SignedIn{}, err
	}
	out := SignedIn{User: a.user, Organizations: a.organizations}
	out.ReturnTo, _ = ReturnTo(tx.Settings, in.ReturnTo)
	return out.begin(ctx, tx, credential.SignIn{Method: passkeyMethod, Way: decide.ByPasskey, Second: true})
}

// VerifyByPasskey proves again who uses the current session. The session gets a new secret.
var VerifyByPasskey = &op.Op[PasskeyProof, Verified]{
	Name:    "signin.verify_passkey",
	Route:   "POST /v1/signin/verify_passkey",
	Summary: "Verify that it is you with a passkey; your session gets a new token",
	Kind:    op.Access,
	Scope:   op.Self,
	Allow:   op.Own(),
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target:  verifyPasskeyTarget,
	Fences: func(_ PasskeyProof, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceSession, ID: t.ID}}
	},
	Do:      verifyByPasskey,
	Example: PasskeyProof{Credential: exampleCredential, ReturnTo: "/o/acme"},
}

// verifyPasskeyTarget wants a passkey of the person themselves, asked for by this very session.
func verifyPasskeyTarget(ctx context.Context, r *op.Reader, in PasskeyProof) (op.Target, error) {
	a, err := findAssertion(ctx, r, ceremonyVerify, in)
	if err == nil && a.user.ID != r.Actor.User {
		err = op.ErrNotFound
	}
	t := sessionTarget(r)
	t.Value = a
	return t, err
}

// sessionTarget is the session that asks.
func sessionTarget(r *op.Reader) op.Target {
	return op.Target{Type: "session", ID: r.Actor.Credential.ID, Name: credential.Device(r.Caller.Agent), User: r.Actor.User}
}

func verifyByPasskey(ctx context.Context, tx *op.Tx, in PasskeyProof) (Verified, error) {
	a, _ := tx.Target().Value.(assertion)
	tx.Also("passkey", a.passkey.id, "")
	if err := a.count(ctx, tx); err != nil {
		return Verified{}, err
	}
	tx.Changed("method", nil, passkeyMethod)
	return rotated(ctx, tx, in.ReturnTo, true)
}

// assertion is the verified answer of a passkey, and whose it is.
type assertion struct {
	answered
	passkey       passkeyRow
	user          directory.User
	organizations int64
	back          bool // its counter did not go forward
}

// findAssertion finds the passkey that answered, and verifies the answer. Everything that is wrong is told alike, but for
// a challenge of ours that is over.
func findAssertion(ctx context.Context, r *op.Reader, ceremony string, in PasskeyProof) (assertion, error) {
	var a assertion
	w, err := party(r.Settings)
	if err != nil {
		return a, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(in.Credential))
	if err != nil {
		return a, op.ErrNotFound
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	if a.answered, err = readChallenge(r, ceremony, challenge); err != nil {
		return a, err
	}
	if err := a.find(ctx, r, parsed.RawID); err != nil {
		return a, err
	}
	return a, a.verify(w, challenge, parsed)
}

// find reads the passkey with an authenticator's id, and whose it is.
func (a *assertion) find(ctx context.Context, r *op.Reader, key []byte) error {
	var created int64
	u := &a.user
	err := r.QueryRow(ctx, `SELECT p.id, p.user_id, p.name, p.credential, p.public_key, p.aaguid, p.transports, p.sign_count, p.backup_eligible,
			p.backed_up, p.created_at, p.last_used_at, p.version,
			u.id, COALESCE(u.external_id, ''), u.email, u.name, u.time_zone, u.version, u.created_at, `+belongings+`
		FROM passkeys p JOIN users u ON u.id = p.user_id
		WHERE p.credential = $1 AND u.deleted_at = $2`, key, 0, r.Micros()).
		Scan(append(a.passkey.into(), &u.ID, &u.ExternalID, &u.Email, &u.Name, &u.TimeZone, &u.Version, &created, &a.organizations)...)
	u.CreatedAt = time.UnixMicro(created).UTC()
	return notFound(err)
}

// verify compares the answer with the public key and the challenge, and reads its flags. The user handle that the
// authenticator says has to be that of the passkey's person.
func (a *assertion) verify(w *webauthn.WebAuthn, challenge string, parsed *protocol.ParsedCredentialAssertionData) error {
	h := holder{id: a.user.ID, credentials: []webauthn.Credential{a.passkey.credential()}}
	seen, err := w.ValidateLogin(h, ceremonyOf(challenge, h.WebAuthnID()), parsed)
	if err != nil {
		return op.ErrNotFound
	}
	a.back = seen.Authenticator.CloneWarning
	a.passkey.count, a.passkey.backedUp = int64(seen.Authenticator.SignCount), seen.Flags.BackupState
	return nil
}

// count uses the challenge up, and keeps what the authenticator said. A counter that went back is refused, for good and
// with a mail: there may be a copy of the key (Web Authentication Level 3, section 6.1.1).
func (a *assertion) count(ctx context.Context, tx *op.Tx) error {
	if err := a.use(ctx, tx); err != nil {
		return err
	}
	if a.back {
		if err := copiedLetter(tx, a.passkey.name).send(tx, a.user.Email); err != nil {
			return err
		}
		return op.Keep(op.Errorf(op.Denied, "passkey_copied", "the counter of this passkey went back, so there may be a copy of it: sign in another way, and remove it"))
	}
	_, err := tx.Exec(ctx, "UPDATE passkeys SET sign_count = $3, backed_up = $4, last_used_at = $5 WHERE id = $1 AND user_id = $2",
		a.passkey.id, a.passkey.user, a.passkey.count, a.passkey.backedUp, tx.Micros())
	return err
}

// notFound is ErrNotFound for a row that there is not.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return op.ErrNotFound
	}
	return err
}
