package signin

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// The second factors, as the method of a session names them behind the first one: "mail+totp".
const (
	totpMethod     = "totp"
	recoveryMethod = "recovery_code"
)

// secondStepLife is how long a person has for the second factor.
const secondStepLife = 10 * time.Minute

// SecondFactor is a sign-in whose address is proved, and that waits for a second factor. There is no session yet.
type SecondFactor struct {
	Token     string    `json:"token,omitempty" doc:"Send it to signin.second_factor with a code. Only its hash is kept"`
	ExpiresAt time.Time `json:"expires_at" doc:"When it ends: sign in again then"`
	Methods   []string  `json:"methods" doc:"What is taken: totp, recovery_code" example:"[\"totp\",\"recovery_code\"]"`
}

// pending keeps that the first factor is given, by a method, and asks for the second one.
func (s SignedIn) pending(ctx context.Context, tx *op.Tx, method string) (SignedIn, error) {
	token, until := secret.NewLink(), tx.Now.Add(secondStepLife)
	hash := token.Hash()
	_, err := tx.Exec(ctx, `INSERT INTO second_steps (id, user_id, token_hash, tries, return_to, method, expires_at, used_at, created_at)
		VALUES ($1, $2, $3, 0, $4, $5, $6, 0, $7)`, tx.NewID("sec"), s.User.ID, hash[:], s.ReturnTo, method, until.UnixMicro(), tx.Micros())
	tx.Changed("second_factor", nil, "asked for")
	// Who it is stays untold until the second factor is proved, beyond what the mailbox tells anyway.
	return SignedIn{User: directory.User{ID: s.User.ID, Email: s.User.Email, CreatedAt: s.User.CreatedAt, Version: s.User.Version},
		SecondFactor: &SecondFactor{Token: token.Reveal(), ExpiresAt: until, Methods: []string{"totp", "recovery_code"}}}, err
}

// SecondFactorInput is the second factor of a sign-in.
type SecondFactorInput struct {
	Token string `json:"token" doc:"The token that signin.complete answered in second_factor" minLength:"1" maxLength:"64"`
	Code  string `json:"code" doc:"The code that your authenticator app shows, or a recovery code" example:"123456" minLength:"1" maxLength:"32"`
}

// FinishSignIn takes the second factor of a sign-in by mail, or with Google or GitHub, and begins the session. A session that the browser had
// before ends.
var FinishSignIn = &op.Op[SecondFactorInput, SignedIn]{
	Name:    "signin.second_factor",
	Route:   "POST /v1/signin/second_factor",
	Summary: "Finish a sign-in with a code of your authenticator app, or a recovery code",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target:  secondTarget,
	Do:      finishSignIn,
	Example: SecondFactorInput{Token: "000000000000000000000000000", Code: "123456"},
}

// secondStep is a sign-in that waits, and the app of its person.
type secondStep struct {
	id, method, returnTo string
	tries, expires, used int64
	app                  totpRow
	user                 directory.User
	organizations        int64
}

func secondTarget(ctx context.Context, r *op.Reader, in SecondFactorInput) (op.Target, error) {
	if !secret.ValidLink(in.Token) {
		return op.Target{}, op.ErrNotFound
	}
	var s secondStep
	var created int64
	u, hash := &s.user, secret.HashOf(in.Token)
	into := append([]any{&s.id, &s.method, &s.returnTo, &s.tries, &s.expires, &s.used}, s.app.into()...)
	err := r.QueryRow(ctx, `SELECT s.id, s.method, s.return_to, s.tries, s.expires_at, s.used_at, `+totpColumns+`,
			u.id, COALESCE(u.external_id, ''), u.email, u.name, u.time_zone, u.version, u.created_at, `+belongings+`
		FROM second_steps s JOIN users u ON u.id = s.user_id JOIN totps t ON t.user_id = u.id
		WHERE s.token_hash = $1 AND t.confirmed_at <> 0 AND u.deleted_at = $2`, hash[:], 0, r.Micros()).
		Scan(append(into, &u.ID, &u.ExternalID, &u.Email, &u.Name, &u.TimeZone, &u.Version, &created, &s.organizations)...)
	if err != nil {
		return op.Target{}, notFound(err)
	}
	u.CreatedAt = time.UnixMicro(created).UTC()
	return op.Target{Type: "user", ID: u.ID, Name: u.Label(), Stream: u.ID, Value: s}, s.over(r)
}

// over says why a second step is over, if it is: to a right and to a wrong code alike.
func (s secondStep) over(r *op.Reader) error {
	switch {
	case s.used != 0:
		return op.Errorf(op.Gone, "proof_used", "this sign-in is done: sign in again")
	case r.Micros() >= s.expires:
		return op.Errorf(op.Gone, "proof_expired", "this took longer than 10 minutes: sign in again")
	case s.tries >= int64(r.Settings.CodeTries):
		return op.Errorf(op.Gone, "no_tries_left", "too many wrong codes: sign in again")
	}
	return nil
}

func finishSignIn(ctx context.Context, tx *op.Tx, in SecondFactorInput) (SignedIn, error) {
	s, _ := tx.Target().Value.(secondStep)
	method, err := s.prove(ctx, tx, in.Code)
	if err != nil {
		return SignedIn{}, err
	}
	if _, err := tx.Exec(ctx, "UPDATE second_steps SET used_at = $2 WHERE id = $1", s.id, tx.Micros()); err != nil {
		return SignedIn{}, err
	}
	out := SignedIn{User: s.user, Organizations: s.organizations}
	out.ReturnTo, _ = ReturnTo(tx.Settings, s.returnTo) // the list may be shorter by now
	tx.ProvedBy(s.user.ID, s.user.Name, s.user.Email)
	by := firstBy(s.method)
	by.Method, by.Second = s.method+"+"+method, true
	return out.begin(ctx, tx, by)
}

// prove takes the code, and says which second factor it is. A wrong one uses one try up. The person's log is locked, so the
// tries are those that were read.
func (s secondStep) prove(ctx context.Context, tx *op.Tx, code string) (string, error) {
	method, err := s.app.prove(ctx, tx, s.user.Email, code)
	if e := op.AsError(err); err != nil && e.FullCode() == "wrong_code" {
		if _, err := tx.Exec(ctx, "UPDATE second_steps SET tries = tries + 1 WHERE id = $1", s.id); err != nil {
			return "", err
		}
	}
	return method, err
}

// prove takes a code of the app, or a recovery code, and says which.
func (t totpRow) prove(ctx context.Context, tx *op.Tx, email, code string) (string, error) {
	if code = plain(code); isCode(code) {
		return totpMethod, t.take(ctx, tx, code)
	}
	return recoveryMethod, t.recover(ctx, tx, email, code)
}

// VerifyCodeInput is a second factor of the caller's own.
type VerifyCodeInput struct {
	Code     string `json:"code" doc:"The code that your authenticator app shows, or a recovery code" example:"123456" minLength:"1" maxLength:"32"`
	ReturnTo string `json:"return_to,omitzero" doc:"Where to go afterwards: a path of this server, or an absolute URL that its configuration lists; anything else is ignored" example:"/o/acme" maxLength:"1024" required:"false"`
}

// VerifyByTotp proves again who uses the current session. The session gets a new secret.
var VerifyByTotp = &op.Op[VerifyCodeInput, Verified]{
	Name:    "signin.verify_totp",
	Route:   "POST /v1/signin/verify_totp",
	Summary: "Verify that it is you with a code of your authenticator app, or a recovery code; your session gets a new token",
	Kind:    op.Access,
	Scope:   op.Self,
	Allow:   op.Own(),
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, _ VerifyCodeInput) (op.Target, error) {
		t, err := confirmedTarget(ctx, r, TotpInput{})
		if err != nil {
			return t, err
		}
		session := sessionTarget(r)
		session.Value = t.Value
		return session, nil
	},
	Fences: func(_ VerifyCodeInput, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceSession, ID: t.ID}}
	},
	Do:      verifyByTotp,
	Example: VerifyCodeInput{Code: "123456"},
}

func verifyByTotp(ctx context.Context, tx *op.Tx, in VerifyCodeInput) (Verified, error) {
	t, _ := tx.Target().Value.(totpRow)
	method, err := t.prove(ctx, tx, tx.Actor.Email, in.Code)
	if err != nil {
		return Verified{}, err
	}
	tx.Changed("method", nil, method)
	return rotated(ctx, tx, in.ReturnTo, true)
}

// errSecondFactor refuses a mail alone where more is asked for.
func errSecondFactor() error {
	e := op.Errorf(op.Denied, "second_factor_required", "you have an authenticator app: verify with a code of it, a recovery code or a passkey")
	e.FixURL = "/verify"
	return e
}

// hasTotp is true of a user u who has an authenticator app.
const hasTotp = "EXISTS (SELECT 1 FROM totps t WHERE t.user_id = u.id AND t.confirmed_at <> 0)"
