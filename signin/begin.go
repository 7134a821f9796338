package signin

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// What a challenge proves an address for.
const (
	purposeSignIn = "sign_in"
	purposeVerify = "verify"
)

const (
	// mailsPerHour is how many challenges one address gets within an hour. Past that the answer is the same, and no
	// mail is sent.
	mailsPerHour = 10
	// wrongPerDay is how many wrong codes are taken for one address within a day. Past that its mails have the link
	// alone, so codes cannot be guessed by asking for ever new ones.
	wrongPerDay = 25
	day         = 24 * time.Hour
)

// BeginSignInInput says whose address is to be proved, and what for.
type BeginSignInInput struct {
	Email    string `json:"email,omitzero" doc:"The address to sign in with; not needed to verify, which goes to the account's own" example:"ada@acme.test" maxLength:"320" required:"false"`
	ReturnTo string `json:"return_to,omitzero" doc:"Where to go afterwards: a path of this server, or an absolute URL that its configuration lists; anything else is ignored" example:"/o/acme" maxLength:"1024" required:"false"`
	Purpose  string `json:"purpose,omitzero" doc:"sign_in begins a session; verify proves again who uses this one" enum:"sign_in,verify" default:"sign_in" required:"false"`
}

// Validate checks the address.
func (in BeginSignInInput) Validate() []op.FieldError {
	if in.Purpose == purposeVerify {
		return nil
	}
	if _, err := directory.ParseAddress(in.Email); err != nil {
		return []op.FieldError{{Pointer: "/email", Code: "invalid", Detail: err.Error()}}
	}
	return nil
}

// Challenge is a proof that is waited for.
type Challenge struct {
	ID        string    `json:"challenge" doc:"Send it with the mailed code" example:"chl_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Email     string    `json:"email" doc:"Where the mail goes, in part" example:"a••@acme.test"`
	ExpiresAt time.Time `json:"expires_at" doc:"When link and code end"`
}

// BeginSignIn mails a link and a code. The answer is the same for every address, known or not. Beginning again ends the
// link and the code before.
var BeginSignIn = &op.Op[BeginSignInInput, Challenge]{
	Name:    "signin.begin",
	Route:   "POST /v1/signin/begin",
	Summary: "Ask for a mail with a link and a code to sign in, or to verify that it is you",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target:  beginTarget,
	Do:      begin,
	Example: BeginSignInInput{Email: "ada@acme.test", ReturnTo: "/o/acme"},
}

// beginTarget asks those who want to verify to be signed in.
func beginTarget(_ context.Context, r *op.Reader, in BeginSignInInput) (op.Target, error) {
	if in.Purpose == purposeVerify && r.Actor.User == "" {
		return op.Target{}, op.ErrUnauthenticated
	}
	return op.Target{}, nil
}

// begin runs the same statements for every address, known or not. T-006.
func begin(ctx context.Context, tx *op.Tx, in BeginSignInInput) (Challenge, error) {
	c, err := newChallenge(tx, in)
	if err != nil {
		return Challenge{}, err
	}
	known, err := lookUp(ctx, tx, c.address)
	if err != nil {
		return Challenge{}, err
	}
	tx.Also("challenge", c.id, directory.Mask(c.address.Email))
	tx.Changed("purpose", nil, c.purpose)
	if known.challenges >= mailsPerHour {
		tx.Unchanged()
		return c.show(), nil
	}
	if known.wrong >= wrongPerDay {
		c.code, c.codeHash = "", []byte{} // the link alone
	}
	if err := c.store(ctx, tx); err != nil {
		return Challenge{}, err
	}
	return c.show(), c.send(tx, known)
}

// challenge is a proof that is about to be mailed.
type challenge struct {
	id, purpose, session, returnTo string
	address                        directory.Address
	token, code                    string
	codeHash                       []byte
	expires                        time.Time
}

func newChallenge(tx *op.Tx, in BeginSignInInput) (challenge, error) {
	c := challenge{id: tx.NewID("chl"), purpose: purposeSignIn, token: secret.NewLink().Reveal(), code: secret.NewCode().Reveal(),
		expires: tx.Now.Add(tx.Settings.LinkLife)}
	c.codeHash = codeMAC(tx.Reader, c.id, c.code)
	c.returnTo, _ = ReturnTo(tx.Settings, in.ReturnTo)
	if in.Purpose == purposeVerify {
		c.purpose, c.session, in.Email = purposeVerify, tx.Actor.Credential.ID, tx.Actor.Email
	}
	var err error
	if c.address, err = directory.ParseAddress(in.Email); err != nil {
		return c, op.InvalidField("email", "invalid", "%v", err)
	}
	return c, nil
}

// codeMAC is what is stored of a code. Six digits are no secret against a plain hash, so it is keyed with the instance's
// secret, and bound to its challenge.
func codeMAC(r *op.Reader, challenge, code string) []byte {
	return r.Secrets.MAC("signin code", []byte(challenge), []byte(code))
}

func (c challenge) show() Challenge {
	return Challenge{ID: c.id, Email: directory.Mask(c.address.Email), ExpiresAt: c.expires}
}

// standing is what is known of an address.
type standing struct {
	email      string // as the account has it; empty without one
	invited    int64  // pending invitations
	challenges int64  // within the hour
	wrong      int64  // wrong codes within the day
}

// lookUp reads what is known of an address, in one statement.
func lookUp(ctx context.Context, tx *op.Tx, a directory.Address) (standing, error) {
	var s standing
	err := tx.QueryRow(ctx, `SELECT COALESCE((SELECT u.email FROM users u WHERE u.email_folded = $1), ''),
			(SELECT count(*) FROM invitations i WHERE i.email_folded = $1 AND i.state = 'pending' AND i.expires_at > $2),
			CAST(COALESCE(sum(CASE WHEN c.created_at > $3 THEN 1 ELSE 0 END), 0) AS bigint),
			CAST(COALESCE(sum(c.tries), 0) AS bigint)
		FROM challenges c WHERE c.email_folded = $1 AND c.created_at > $4`,
		a.Folded, tx.Micros(), tx.Now.Add(-time.Hour).UnixMicro(), tx.Now.Add(-day).UnixMicro()).
		Scan(&s.email, &s.invited, &s.challenges, &s.wrong)
	return s, err
}

// store keeps the challenge's hashes, and ends those before it of the same address and purpose.
func (c challenge) store(ctx context.Context, tx *op.Tx) error {
	_, err := tx.Exec(ctx, "UPDATE challenges SET used_at = $3 WHERE email_folded = $1 AND purpose = $2 AND session = $4 AND used_at = 0",
		c.address.Folded, c.purpose, tx.Micros(), c.session)
	if err != nil {
		return err
	}
	hash := secret.HashOf(c.token)
	_, err = tx.Exec(ctx, `INSERT INTO challenges (id, purpose, email, email_folded, session, invitation, token_hash, code_hash,
			tries, return_to, expires_at, used_at, created_at)
		VALUES ($1, $2, $3, $4, $5, '', $6, $7, 0, $8, $9, 0, $10)`,
		c.id, c.purpose, c.address.Email, c.address.Folded, c.session, hash[:], c.codeHash, c.returnTo,
		c.expires.UnixMicro(), tx.Micros())
	return err
}

// send mails the proof to the address as the account has it. Who has no account and cannot get one here is told so.
func (c challenge) send(tx *op.Tx, known standing) error {
	to := known.email
	if to == "" {
		to = c.address.Email
	}
	if known.email == "" && known.invited == 0 && tx.Charter.Rules.Organizations.Create == charter.ServiceCreates {
		return unknownLetter(tx).send(tx, to)
	}
	link := tx.Settings.URL("/login/link?token=" + c.token)
	if c.purpose == purposeVerify {
		link = tx.Settings.URL("/verify/link?token=" + c.token)
	}
	return proofLetter(tx, c.purpose, link, c.code).send(tx, to)
}
