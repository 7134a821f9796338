package signin

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"image/png"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/guildhall/guildhall/op"
)

// stepLife is how long a code of an authenticator app is shown (RFC 6238, section 4).
const stepLife = 30 * time.Second

// Totp is how a person's authenticator app stands.
type Totp struct {
	Enabled           bool      `json:"enabled" doc:"Whether signing in by mail asks for a code"`
	ConfirmedAt       time.Time `json:"confirmed_at,omitzero" doc:"Since when; absent: it does not"`
	RecoveryCodesLeft int64     `json:"recovery_codes_left" doc:"How many recovery codes are not used" example:"10"`
}

// TotpInput asks about the caller's authenticator app.
type TotpInput struct{}

// GetTotp says whether the caller has an authenticator app.
var GetTotp = &op.Op[TotpInput, Totp]{
	Name:    "totp.get",
	Route:   "GET /v1/me/totp",
	Summary: "See whether you have an authenticator app, and how many recovery codes are left",
	Kind:    op.Read,
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Target:  totpTarget,
	Do: func(_ context.Context, tx *op.Tx, _ TotpInput) (Totp, error) {
		t, _ := tx.Target().Value.(totpRow)
		return t.show(), nil
	},
}

// totpTarget is the caller's authenticator app, or that they have none.
func totpTarget(ctx context.Context, r *op.Reader, _ TotpInput) (op.Target, error) {
	t, err := totpOf(ctx, r, r.Actor.User)
	return op.Target{Type: "user", ID: r.Actor.User, Name: r.Actor.Name, User: r.Actor.User, Value: t}, err
}

// confirmedTarget wants one that is set up.
func confirmedTarget(ctx context.Context, r *op.Reader, in TotpInput) (op.Target, error) {
	t, err := totpTarget(ctx, r, in)
	if found, _ := t.Value.(totpRow); err == nil && found.confirmed == 0 {
		err = op.ErrNotFound
	}
	return t, err
}

// TotpSetup is a secret for an authenticator app. It counts for nothing until a code of it came back.
type TotpSetup struct {
	Secret      string `json:"secret,omitempty" doc:"The secret, to be typed into the app" example:"JBSWY3DPEHPK3PXP"`
	URL         string `json:"otpauth_url,omitempty" doc:"The same as an otpauth address" example:"otpauth://totp/…"`
	QR          string `json:"qr,omitempty" doc:"The address as a picture to scan: a data URL"`
	SecretShown bool   `json:"secret_shown" doc:"Whether the secret is here. A repeat of the same request does not show it again: begin again"`
}

// WithoutSecret is what a repeat of the request is answered.
func (TotpSetup) WithoutSecret() any { return TotpSetup{} }

// BeginTotp makes a secret for an authenticator app, in place of one that was never confirmed.
var BeginTotp = &op.Op[TotpInput, TotpSetup]{
	Name:    "totp.begin",
	Route:   "POST /v1/me/totp/begin",
	Summary: "Ask for a secret for your authenticator app",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.SignedIn,
	Fresh:   true,
	Target:  totpTarget,
	Do:      beginTotp,
}

func beginTotp(ctx context.Context, tx *op.Tx, _ TotpInput) (TotpSetup, error) {
	if t, _ := tx.Target().Value.(totpRow); t.confirmed != 0 {
		return TotpSetup{}, op.Errorf(op.Conflict, "totp_exists", "you have an authenticator app already: remove it first")
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: strings.ReplaceAll(tx.Charter.Product, ":", " "), AccountName: tx.Actor.Email})
	if err != nil {
		return TotpSetup{}, err
	}
	out := TotpSetup{Secret: key.Secret(), URL: key.URL(), SecretShown: true}
	if out.QR, err = picture(key); err != nil {
		return TotpSetup{}, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO totps (user_id, secret, confirmed_at, last_step, wrong, wrong_since, created_at) VALUES ($1, $2, 0, 0, 0, 0, $3)
		ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, created_at = excluded.created_at`,
		tx.Actor.User, tx.Secrets.Seal(sealedFor(tx.Actor.User), []byte(key.Secret())), tx.Micros())
	return out, err
}

// sealedFor binds a sealed secret to its person.
func sealedFor(user string) string { return "totp:" + user }

// picture is an address as a QR code.
func picture(key *otp.Key) (string, error) {
	image, err := key.Image(240, 240)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := png.Encode(&out, image); err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(out.Bytes()), nil
}

// CodeInput is a code of the caller's authenticator app.
type CodeInput struct {
	Code string `json:"code" doc:"The code that the app shows: six digits; spaces between them do not matter" example:"123456" minLength:"1" maxLength:"32"`
}

// Validate wants six digits.
func (in CodeInput) Validate() []op.FieldError {
	if !isCode(plain(in.Code)) {
		return []op.FieldError{{Pointer: "/code", Code: "invalid", Detail: "code has to be the six digits that the app shows"}}
	}
	return nil
}

// RecoveryCodes stand in for an authenticator app that is lost. Each counts once.
type RecoveryCodes struct {
	Codes       []string `json:"codes" doc:"Ten codes, of which each counts once. Only their hashes are kept" example:"[\"7k2mq-x4t9c\"]"`
	SecretShown bool     `json:"secret_shown" doc:"Whether the codes are here. A repeat of the same request does not show them again: make new ones"`
}

// WithoutSecret is what a repeat of the request is answered.
func (RecoveryCodes) WithoutSecret() any { return RecoveryCodes{Codes: []string{}} }

// CreateTotp sets the authenticator app up whose secret totp.begin gave: from now on signing in by mail asks for a code.
// The recovery codes are shown here and never again. That is mailed.
var CreateTotp = &op.Op[CodeInput, RecoveryCodes]{
	Name:    "totp.create",
	Account: true,
	Route:   "POST /v1/me/totp",
	Summary: "Set your authenticator app up, with a code that it shows; the answer has your recovery codes",
	Kind:    op.Write,
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Target: func(ctx context.Context, r *op.Reader, _ CodeInput) (op.Target, error) {
		return totpTarget(ctx, r, TotpInput{})
	},
	Do:      createTotp,
	Example: CodeInput{Code: "123456"},
}

func createTotp(ctx context.Context, tx *op.Tx, in CodeInput) (RecoveryCodes, error) {
	t, _ := tx.Target().Value.(totpRow)
	switch {
	case t.confirmed != 0:
		return RecoveryCodes{}, op.Errorf(op.Conflict, "totp_exists", "you have an authenticator app already: remove it first")
	case t.user == "":
		return RecoveryCodes{}, op.ErrNotFound
	}
	if err := t.take(ctx, tx, plain(in.Code)); err != nil {
		return RecoveryCodes{}, err
	}
	tx.Changed("enabled", false, true)
	out, err := newRecoveryCodes(ctx, tx)
	if err != nil {
		return out, err
	}
	return out, noticeLetter(tx, "Authenticator app set up at "+tx.Charter.Product,
		"An authenticator app was set up for your account. From now on signing in by mail asks for its code.").send(tx, tx.Actor.Email)
}

// DeleteTotp removes the caller's authenticator app with its recovery codes: mail alone signs in again. That is mailed.
var DeleteTotp = &op.Op[TotpInput, Totp]{
	Name:    "totp.delete",
	Route:   "POST /v1/me/totp/delete",
	Summary: "Remove your authenticator app and its recovery codes",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.Own(),
	Fresh:   true,
	Confirm: op.L2,
	Target:  confirmedTarget,
	Do:      deleteTotp,
}

func deleteTotp(ctx context.Context, tx *op.Tx, _ TotpInput) (Totp, error) {
	for _, statement := range []string{"DELETE FROM recovery_codes WHERE user_id = $1", "DELETE FROM totps WHERE user_id = $1"} {
		if _, err := tx.Exec(ctx, statement, tx.Actor.User); err != nil {
			return Totp{}, err
		}
	}
	tx.Changed("enabled", true, false)
	return Totp{}, noticeLetter(tx, "Authenticator app removed at "+tx.Charter.Product,
		"The authenticator app was removed from your account. Signing in by mail asks for no code any more.").send(tx, tx.Actor.Email)
}

// NewRecoveryCodes makes ten new recovery codes. Those before end. That is mailed.
var NewRecoveryCodes = &op.Op[TotpInput, RecoveryCodes]{
	Name:    "totp.recovery_codes",
	Route:   "POST /v1/me/totp/recovery_codes",
	Summary: "Make new recovery codes; those before end",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.Own(),
	Fresh:   true,
	Confirm: op.L1,
	Target:  confirmedTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ TotpInput) (RecoveryCodes, error) {
		if _, err := tx.Exec(ctx, "DELETE FROM recovery_codes WHERE user_id = $1", tx.Actor.User); err != nil {
			return RecoveryCodes{}, err
		}
		out, err := newRecoveryCodes(ctx, tx)
		if err != nil {
			return out, err
		}
		return out, noticeLetter(tx, "New recovery codes at "+tx.Charter.Product, "New recovery codes were made for your account. Those before do not work any more.").send(tx, tx.Actor.Email)
	},
}

// totpRow is an authenticator app as it is stored; without a user there is none.
type totpRow struct {
	user                                   string
	secret                                 []byte
	confirmed, lastStep, wrong, wrongSince int64
	codesLeft                              int64
}

// totpColumns are read of the row t.
const totpColumns = `t.user_id, t.secret, t.confirmed_at, t.last_step, t.wrong, t.wrong_since,
	(SELECT count(*) FROM recovery_codes c WHERE c.user_id = t.user_id AND c.used_at = 0)`

func (t *totpRow) into() []any {
	return []any{&t.user, &t.secret, &t.confirmed, &t.lastStep, &t.wrong, &t.wrongSince, &t.codesLeft}
}

func totpOf(ctx context.Context, r *op.Reader, user string) (totpRow, error) {
	var t totpRow
	err := r.QueryRow(ctx, "SELECT "+totpColumns+" FROM totps t WHERE t.user_id = $1", user).Scan(t.into()...)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return t, err
}

func (t totpRow) show() Totp {
	if t.confirmed == 0 {
		return Totp{}
	}
	return Totp{Enabled: true, ConfirmedAt: time.UnixMicro(t.confirmed).UTC(), RecoveryCodesLeft: t.codesLeft}
}

// step finds the time step of a code: the present one, or the one before or after it, and none that is not later than the
// last one that was taken. 0: it is no code of the app.
func (t totpRow) step(r *op.Reader, code string) (int64, error) {
	secret, err := r.Secrets.Open(sealedFor(t.user), t.secret)
	if err != nil {
		return 0, err
	}
	found, now := int64(0), r.Now.Unix()/int64(stepLife/time.Second)
	for step := now - 1; step <= now+1; step++ { // all three, so that the time tells nothing
		ok, err := hotp.ValidateCustom(code, uint64(step), string(secret), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, err
		}
		if ok && step > t.lastStep {
			found = step
		}
	}
	return found, nil
}

// take takes a code of the app: once. The first one sets the app up. A wrong one is counted for good, and past so many
// within a day no code is taken, so that they cannot be guessed.
func (t totpRow) take(ctx context.Context, tx *op.Tx, code string) error {
	if t.wrongToday(tx.Reader) >= wrongPerDay {
		return op.Errorf(op.Gone, "no_tries_left", "too many wrong codes within a day: use a recovery code or a passkey, or wait")
	}
	step, err := t.step(tx.Reader, code)
	if err != nil {
		return err
	}
	if step == 0 {
		return t.mistaken(ctx, tx)
	}
	n, err := tx.Exec(ctx, `UPDATE totps SET last_step = $2, confirmed_at = CASE confirmed_at WHEN 0 THEN $3 ELSE confirmed_at END
		WHERE user_id = $1 AND last_step < $2`, t.user, step, tx.Micros())
	if err == nil && n != 1 {
		return t.mistaken(ctx, tx)
	}
	return err
}

func (t totpRow) wrongToday(r *op.Reader) int64 {
	if t.wrongSince <= r.Now.Add(-day).UnixMicro() {
		return 0
	}
	return t.wrong
}

// mistaken counts a wrong code.
func (t totpRow) mistaken(ctx context.Context, tx *op.Tx) error {
	since := t.wrongSince
	if t.wrongToday(tx.Reader) == 0 {
		since = tx.Micros()
	}
	if _, err := tx.Exec(ctx, "UPDATE totps SET wrong = $2, wrong_since = $3 WHERE user_id = $1", t.user, t.wrongToday(tx.Reader)+1, since); err != nil {
		return err
	}
	return wrongCode("the code is wrong, or was used: wait for the next one that the app shows")
}
