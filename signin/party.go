package signin

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// What the challenge of a passkey is answered for; it is bound to it.
const (
	ceremonyRegister = "register"
	ceremonySignIn   = purposeSignIn
	ceremonyVerify   = purposeVerify
)

// ceremonyLife is how long a person has to answer.
const ceremonyLife = 5 * time.Minute

// party is this installation as authenticators know it: the host of its base URL. A passkey of another host does not
// verify here, whatever a page shows. User verification is always required, so a passkey is two factors.
func party(s op.Settings) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(s.BaseURL)
	if err != nil || protocol.ValidateRPID(u.Hostname()) != nil {
		return nil, op.Errorf(op.Conflict, "passkeys_unavailable", "passkeys need a server with a host name, and this one's base_url has none")
	}
	limit := webauthn.TimeoutConfig{Timeout: ceremonyLife}
	return webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: u.Hostname(), RPOrigins: []string{u.Scheme + "://" + u.Host},
		AttestationPreference:             protocol.PreferNoAttestation,
		AuthenticatorSelection:            protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: new(true), UserVerification: protocol.VerificationRequired},
		Timeouts:                          webauthn.TimeoutsConfig{Login: limit, Registration: limit},
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore, // some password managers send what nobody asked for
	})
}

// challenges of passkeys are random, have an end, and are authenticated by the instance's secret together with what and
// whose session they are for. So nothing is stored until one is answered, and then its use.
const nonceSize, challengeSize = 16, 16 + 8 + 36

// newChallengeBytes makes a challenge.
func newChallengeBytes(r *op.Reader, ceremony string) protocol.URLEncodedBase64 {
	random := secret.NewLink().Hash()
	body := append([]byte{}, random[:nonceSize]...)
	body = binary.BigEndian.AppendUint64(body, uint64(r.Now.Add(ceremonyLife).UnixMicro()))
	return append(body, challengeMAC(r, ceremony, body)...)
}

func challengeMAC(r *op.Reader, ceremony string, body []byte) []byte {
	return r.Secrets.MAC("passkey challenge", []byte(ceremony), []byte(sessionFor(r, ceremony)), body)
}

// sessionFor is the session that a ceremony belongs to; signing in has none yet.
func sessionFor(r *op.Reader, ceremony string) string {
	if ceremony == ceremonySignIn {
		return ""
	}
	return r.Actor.Credential.ID
}

// answered is a challenge that came back.
type answered struct {
	nonce   []byte
	expires int64
}

// readChallenge takes a challenge apart that was made here for this ceremony and session. Any other is not found.
func readChallenge(r *op.Reader, ceremony, challenge string) (answered, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil || len(raw) != challengeSize {
		return answered{}, op.ErrNotFound
	}
	body, mac := raw[:nonceSize+8], raw[nonceSize+8:]
	if !r.Secrets.Verify(mac, "passkey challenge", []byte(ceremony), []byte(sessionFor(r, ceremony)), body) {
		return answered{}, op.ErrNotFound
	}
	a := answered{nonce: body[:nonceSize], expires: int64(binary.BigEndian.Uint64(body[nonceSize:]))}
	if r.Micros() >= a.expires {
		return a, op.Errorf(op.Gone, "proof_expired", "this took longer than 5 minutes: try again")
	}
	return a, nil
}

// use uses the challenge up: of two calls with one challenge, one wins.
func (a answered) use(ctx context.Context, tx *op.Tx) error {
	n, err := tx.Exec(ctx, "INSERT INTO passkey_challenges (nonce, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", a.nonce, a.expires)
	if err == nil && n != 1 {
		err = op.Errorf(op.Gone, "proof_used", "this answer of a passkey was used before: try again")
	}
	return err
}

// ceremonyOf is what the library compares an answer with. The challenge is proved to be ours.
func ceremonyOf(challenge string, user []byte) webauthn.SessionData {
	return webauthn.SessionData{Challenge: challenge, UserID: user, UserVerification: protocol.VerificationRequired,
		CredParams: webauthn.CredentialParametersDefault()}
}

// holder is a person as authenticators know them: their id here, which is no name and no address.
type holder struct {
	id, name, shown string
	credentials     []webauthn.Credential
}

// WebAuthnID is the user handle.
func (h holder) WebAuthnID() []byte { return []byte(h.id) }

// WebAuthnName tells accounts apart in an authenticator's list.
func (h holder) WebAuthnName() string { return h.name }

// WebAuthnDisplayName is what the person is called.
func (h holder) WebAuthnDisplayName() string { return h.shown }

// WebAuthnCredentials are those that may answer.
func (h holder) WebAuthnCredentials() []webauthn.Credential { return h.credentials }
