package signin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Proof is the mailed proof: the link's token alone, or a challenge and its code.
type Proof struct {
	Token     string `json:"token,omitzero" doc:"The token of the mailed link" maxLength:"64" required:"false"`
	Challenge string `json:"challenge,omitzero" doc:"The challenge that the code was mailed for" example:"chl_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64" required:"false"`
	Code      string `json:"code,omitzero" doc:"The mailed code: six digits; spaces between them do not matter" example:"123456" maxLength:"32" required:"false"`
}

// Validate wants one of the two, whole.
func (p Proof) Validate() []op.FieldError {
	switch {
	case p.Token != "" && p.Challenge+p.Code != "":
		return []op.FieldError{{Pointer: "/token", Code: "invalid", Detail: "send a token, or a challenge and its code, not both"}}
	case p.Token != "":
		return nil
	case p.Challenge == "":
		return []op.FieldError{{Pointer: "/challenge", Code: "required", Detail: "send the link's token, or a challenge and its code"}}
	case !isCode(p.digits()):
		return []op.FieldError{{Pointer: "/code", Code: "invalid", Detail: "code has to be the six digits of the mail"}}
	}
	return nil
}

// digits is the code without what people put between its digits.
func (p Proof) digits() string { return strings.NewReplacer(" ", "", "-", "").Replace(p.Code) }

func isCode(s string) bool { return len(s) == 6 && strings.Trim(s, "0123456789") == "" }

// mailMethod is the method of a session that a mail alone began.
const mailMethod = "mail"

// CompleteSignInInput is the proof of an address.
type CompleteSignInInput struct {
	Proof
}

// SignedIn is a sign-in: who it is, and the session that began.
type SignedIn struct {
	User          directory.User     `json:"user" doc:"Who signed in"`
	Created       bool               `json:"created" doc:"Whether this sign-in made the account"`
	Organizations int64              `json:"organizations" doc:"How many organizations the person belongs to; me.get lists them" example:"1"`
	Session       credential.Session `json:"session,omitzero" doc:"The session; absent where second_factor is asked for"`
	SecondFactor  *SecondFactor      `json:"second_factor,omitempty" doc:"The person has an authenticator app: finish with signin.second_factor. There is no session yet"`
	ReturnTo      string             `json:"return_to,omitempty" doc:"Where to go now, if signin.begin named an allowed address"`
	Secret        string             `json:"secret,omitempty" doc:"The session's token, to be sent as Authorization: Bearer. Only its hash is kept"`
	SecretShown   bool               `json:"secret_shown" doc:"Whether secret is here. A repeat of the same request does not show it again: sign in again"`
}

// WithoutSecret is what a repeat of the request is answered.
func (s SignedIn) WithoutSecret() any {
	s.Secret, s.SecretShown = "", false
	if s.SecondFactor != nil {
		second := *s.SecondFactor
		second.Token = ""
		s.SecondFactor = &second
	}
	return s
}

// CompleteSignIn takes the proof of an address and begins a session. An address without an account gets one. A session
// that the browser had before ends. Of whoever has an authenticator app it asks a second factor first: see FinishSignIn.
var CompleteSignIn = &op.Op[CompleteSignInInput, SignedIn]{
	Name:    "signin.complete",
	Route:   "POST /v1/signin/complete",
	Summary: "Sign in with the mailed link's token, or with the mailed code",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target:  completeTarget,
	Do:      complete,
	Example: CompleteSignInInput{Proof{Challenge: "chl_01k9v5x0w3m8q6t2c4h7n0r5sz", Code: "123456"}},
}

// completeTarget finds the challenge and whose it is. The row goes to the person's own stream; a new person's is founded
// with the account, which takes the right proof.
func completeTarget(ctx context.Context, r *op.Reader, in CompleteSignInInput) (op.Target, error) {
	if len(in.Validate()) > 0 {
		return op.Target{}, nil // validation says what is wrong
	}
	f, err := find(ctx, r, purposeSignIn, in.Proof)
	if err == nil {
		err = f.over(r)
	}
	switch {
	case err != nil:
		return op.Target{}, err
	case f.user.ID != "":
		return op.Target{Type: "user", ID: f.user.ID, Name: f.user.Label(), Stream: f.user.ID, Value: f}, nil
	case f.right:
		return op.Target{Stream: op.NewStream, Value: f}, nil
	}
	return op.Target{Stream: op.InstanceStream, Value: f}, nil
}

func complete(ctx context.Context, tx *op.Tx, _ CompleteSignInInput) (SignedIn, error) {
	f, _ := tx.Target().Value.(found)
	if err := f.claim(ctx, tx); err != nil {
		return SignedIn{}, err
	}
	out := SignedIn{User: f.user, Organizations: f.organizations}
	out.ReturnTo, _ = ReturnTo(tx.Settings, f.returnTo) // the list may be shorter by now
	if f.user.ID == "" {
		user, err := firstSignIn(ctx, tx, f)
		if err != nil {
			return SignedIn{}, err
		}
		out.User, out.Created = user, true
	}
	tx.ProvedBy(out.User.ID, out.User.Name, out.User.Email)
	if f.totp {
		return out.pending(ctx, tx, mailMethod)
	}
	return out.begin(ctx, tx, credential.ByMail(mailMethod))
}

// Begin begins the session of somebody whom the call has proved to be the user in another way than by mail, and says which, and
// whose identity provider it was. A session that the browser had before ends. Whoever calls it has said tx.ProvedBy.
func Begin(ctx context.Context, tx *op.Tx, user directory.User, by credential.SignIn) (SignedIn, error) {
	return SignedIn{User: user}.begin(ctx, tx, by)
}

// begin begins the session of a proved sign-in. A session that the browser had before ends.
func (s SignedIn) begin(ctx context.Context, tx *op.Tx, by credential.SignIn) (SignedIn, error) {
	if err := endReplaced(ctx, tx); err != nil {
		return SignedIn{}, err
	}
	session, err := credential.BeginSession(ctx, tx, s.User.ID, by)
	if err != nil {
		return SignedIn{}, err
	}
	tx.Also("session", session.ID, session.Device)
	tx.Changed("method", nil, by.Method)
	s.Session, s.Secret, s.SecretShown = session, session.Secret.Reveal(), true
	return s, nil
}

// firstSignIn makes the account of an address that is proved, with its audit stream.
func firstSignIn(ctx context.Context, tx *op.Tx, f found) (directory.User, error) {
	id := tx.NewID("usr")
	if err := tx.Found(ctx, id); err != nil {
		return directory.User{}, err
	}
	user, err := directory.InsertUser(ctx, tx, id, f.email, "")
	if _, taken := sqldb.Conflict(err); taken {
		return user, &op.Error{Kind: op.Unavailable, RetryAfter: time.Second,
			Text: "an account for this address was made at the same moment: nothing was changed; try again"}
	}
	tx.Also("user", id, f.email)
	tx.Changed("created", false, true)
	return user, err
}

// endReplaced ends the session whose cookie the new session's replaces. T-053.
func endReplaced(ctx context.Context, tx *op.Tx) error {
	old := tx.Actor.Credential
	if tx.Actor.User == "" || !old.Cookie {
		return nil
	}
	tx.Fence(op.Fence{Kind: op.FenceSession, ID: old.ID})
	return credential.EndSession(ctx, tx, old.ID)
}

// found is a challenge that somebody answers, and the account of its address.
type found struct {
	id, email, session, returnTo string
	codeHash                     []byte
	tries, expires, used         int64
	user                         directory.User // without an ID: there is none
	organizations                int64
	byCode, right                bool
	totp                         bool // the person has an authenticator app
}

// belongings counts the organizations of the user u; $3 is the time.
const belongings = `(SELECT count(*) FROM members m JOIN organizations o ON o.id = m.organization
			WHERE m.user_id = u.id AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $3) AND o.state = 'active')`

const findChallenge = `SELECT c.id, c.email, c.session, c.return_to, c.code_hash, c.tries, c.expires_at, c.used_at,
		COALESCE(u.id, ''), COALESCE(u.external_id, ''), COALESCE(u.email, ''), COALESCE(u.name, ''), COALESCE(u.time_zone, ''),
		COALESCE(u.version, 0), COALESCE(u.created_at, 0),
		` + belongings + `, ` + hasTotp + `
	FROM challenges c LEFT JOIN users u ON u.email_folded = c.email_folded
	WHERE c.purpose = $2 AND `

// find reads the challenge that a proof answers.
func find(ctx context.Context, r *op.Reader, purpose string, p Proof) (found, error) {
	f := found{byCode: p.Token == "", right: true}
	where, key := "c.id = $1", any(p.Challenge)
	if !f.byCode {
		if !secret.ValidLink(p.Token) {
			return f, op.ErrNotFound
		}
		hash := secret.HashOf(p.Token)
		where, key = "c.token_hash = $1", hash[:]
	}
	var created int64
	u := &f.user
	err := r.QueryRow(ctx, findChallenge+where, key, purpose, r.Micros()).Scan(&f.id, &f.email, &f.session, &f.returnTo, &f.codeHash,
		&f.tries, &f.expires, &f.used, &u.ID, &u.ExternalID, &u.Email, &u.Name, &u.TimeZone, &u.Version, &created, &f.organizations, &f.totp)
	if errors.Is(err, sql.ErrNoRows) {
		return f, op.ErrNotFound
	}
	if err != nil {
		return f, err
	}
	u.CreatedAt = time.UnixMicro(created).UTC()
	if f.byCode { // compared in constant time
		f.right = r.Secrets.Verify(f.codeHash, "signin code", []byte(f.id), []byte(p.digits()))
	}
	return f, nil
}

// over says why a challenge is over, if it is. It says so to a right and to a wrong code alike.
func (f found) over(r *op.Reader) error {
	switch {
	case f.used != 0:
		return errUsed
	case r.Micros() >= f.expires:
		return op.Errorf(op.Gone, "proof_expired", "this link or code has expired: ask for a new mail")
	case f.byCode && (len(f.codeHash) == 0 || f.tries >= int64(r.Settings.CodeTries)):
		return errNoTries
	}
	return nil
}

var (
	errUsed    = op.Errorf(op.Gone, "proof_used", "this link or code was used, or replaced by a newer one: ask for a new mail")
	errNoTries = op.Errorf(op.Gone, "no_tries_left", "too many wrong codes: ask for a new mail, or open the link of the last one")
)

// claim uses the challenge up, in one statement that only one call can win. A wrong code uses one try up instead, and
// is kept although the call fails.
func (f found) claim(ctx context.Context, tx *op.Tx) error {
	if !f.right {
		return f.wrong(ctx, tx)
	}
	tries := int64(1<<31 - 1)
	if f.byCode {
		tries = int64(tx.Settings.CodeTries)
	}
	n, err := tx.Exec(ctx, "UPDATE challenges SET used_at = $2 WHERE id = $1 AND used_at = 0 AND expires_at > $2 AND tries < $3",
		f.id, tx.Micros(), tries)
	if err != nil {
		return err
	}
	if n != 1 {
		return errUsed
	}
	return nil
}

func (f found) wrong(ctx context.Context, tx *op.Tx) error {
	most := tx.Settings.CodeTries
	var tries int
	err := tx.QueryRow(ctx, `UPDATE challenges SET tries = tries + 1 WHERE id = $1 AND used_at = 0 AND expires_at > $2 AND tries < $3
		RETURNING tries`, f.id, tx.Micros(), most).Scan(&tries)
	if errors.Is(err, sql.ErrNoRows) {
		return errNoTries
	}
	if err != nil {
		return err
	}
	switch left := most - tries; left {
	case 0:
		return op.Keep(op.Errorf(op.Gone, "no_tries_left", "the code is wrong, and that was the last try: ask for a new mail"))
	case 1:
		return wrongCode("the code is wrong: 1 try left")
	default:
		return wrongCode(fmt.Sprintf("the code is wrong: %d tries left", left))
	}
}

// wrongCode is told after the try is counted for good.
func wrongCode(text string) error {
	e := op.InvalidField("code", "wrong_code", "%s", text)
	e.Code = "wrong_code"
	return op.Keep(e)
}
