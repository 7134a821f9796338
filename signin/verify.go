package signin

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/op"
)

// VerifyInput is the proof of the caller's own address.
type VerifyInput struct {
	Proof
}

// Verified is a session whose sign-in is fresh again.
type Verified struct {
	Session     credential.Session `json:"session" doc:"The session"`
	ReturnTo    string             `json:"return_to,omitempty" doc:"Where to go now, if signin.begin named an allowed address"`
	Secret      string             `json:"secret,omitempty" doc:"The session's new token: the one before is dead. Only its hash is kept"`
	SecretShown bool               `json:"secret_shown" doc:"Whether secret is here. A repeat of the same request does not show it again: sign in again"`
}

// WithoutSecret is what a repeat of the request is answered.
func (v Verified) WithoutSecret() any {
	v.Secret, v.SecretShown = "", false
	return v
}

// Verify proves again who uses the current session, before something dangerous. The session gets a new secret. Whoever
// has an authenticator app does it by VerifyByTotp or VerifyByPasskey: a mailbox alone would undo the second factor.
var Verify = &op.Op[VerifyInput, Verified]{
	Name:    "signin.verify",
	Route:   "POST /v1/signin/verify",
	Summary: "Verify that it is you, with the mailed link's token or code; your session gets a new token",
	Kind:    op.Access,
	Scope:   op.Self,
	Allow:   op.Own(),
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target:  verifyTarget,
	Fences: func(_ VerifyInput, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceSession, ID: t.ID}}
	},
	Do:      verify,
	Example: VerifyInput{Proof{Challenge: "chl_01k9v5x0w3m8q6t2c4h7n0r5sz", Code: "123456"}},
}

// verifyTarget finds the challenge, which has to be of the session that answers it, and of its person's address.
func verifyTarget(ctx context.Context, r *op.Reader, in VerifyInput) (op.Target, error) {
	t := sessionTarget(r)
	if len(in.Validate()) > 0 {
		return t, nil // validation says what is wrong
	}
	f, err := find(ctx, r, purposeVerify, in.Proof)
	if err != nil {
		return op.Target{}, err
	}
	if f.session == "" || f.session != r.Actor.Credential.ID || f.user.ID != r.Actor.User {
		return op.Target{}, op.ErrNotFound
	}
	if f.totp {
		return op.Target{}, errSecondFactor()
	}
	t.Value = f
	return t, f.over(r)
}

func verify(ctx context.Context, tx *op.Tx, _ VerifyInput) (Verified, error) {
	f, _ := tx.Target().Value.(found)
	if err := f.claim(ctx, tx); err != nil {
		return Verified{}, err
	}
	tx.Changed("method", nil, mailMethod)
	return rotated(ctx, tx, f.returnTo, false)
}

// rotated gives the session that is the target its new secret, and says where to go.
func rotated(ctx context.Context, tx *op.Tx, returnTo string, second bool) (Verified, error) {
	s, err := credential.Rotate(ctx, tx, tx.Target().ID, second)
	if err != nil {
		return Verified{}, err
	}
	s.Current = true
	out := Verified{Session: s, Secret: s.Secret.Reveal(), SecretShown: true}
	out.ReturnTo, _ = ReturnTo(tx.Settings, returnTo)
	return out, nil
}
