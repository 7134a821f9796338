package federation

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// BeginSocialInput says where somebody wants to sign in.
type BeginSocialInput struct {
	SocialInput
	ReturnTo string `json:"return_to,omitzero" doc:"Where to go afterwards, as in signin.begin" maxLength:"1024" required:"false"`

	begun *socialAttempt
}

// BeginSocial begins a sign-in with Google or GitHub. A provider that the installation has no client at is op.ErrNotFound.
var BeginSocial = &op.Op[BeginSocialInput, SocialBegun]{
	Name:    "signin.social_begin",
	Route:   "POST /v1/signin/social/begin",
	Summary: "Begin to sign in with Google or GitHub",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(_ context.Context, r *op.Reader, in BeginSocialInput) (op.Target, error) {
		return in.target(r, op.InstanceStream)
	},
	Prepare: prepareSocial,
	Do: func(ctx context.Context, tx *op.Tx, in BeginSocialInput) (SocialBegun, error) {
		in.begun.returnTo, _ = signin.ReturnTo(tx.Settings, in.ReturnTo)
		return in.begun.begun(tx.Now), in.begun.store(ctx, tx)
	},
	Example: BeginSocialInput{SocialInput: SocialInput{Provider: Google}, ReturnTo: "/o/acme"},
}

func prepareSocial(ctx context.Context, in BeginSocialInput) (BeginSocialInput, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	in.begun = &socialAttempt{provider: in.Provider}
	return in, reach.goes(ctx, in.begun)
}

// CompleteSocial takes the answer of Google or GitHub, once and from the browser that began, and begins a session; of whoever
// has an authenticator app it asks its code first. It knows people by issuer and subject. An address that the provider has
// verified makes an account where there is none, and opens none that is there.
var CompleteSocial = &op.Op[SocialAnswer, signin.SignedIn]{
	Name:    "signin.social",
	Route:   "POST /v1/signin/social",
	Summary: "Sign in with the answer of Google or GitHub",
	Kind:    op.Write,
	Scope:   op.Public,
	Allow:   op.Anyone,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target: func(ctx context.Context, r *op.Reader, in SocialAnswer) (op.Target, error) {
		t, err := in.target(r, op.InstanceStream)
		if err == nil {
			t.Value, err = in.pending(ctx, r, "")
		}
		return t, err
	},
	Prepare: func(ctx context.Context, in SocialAnswer) (SocialAnswer, error) { return in.exchanged(ctx, "") },
	Do:      completeSocial,
	Example: exampleAnswer,
}

func completeSocial(ctx context.Context, tx *op.Tx, in SocialAnswer) (signin.SignedIn, error) {
	if err := in.use(ctx, tx); err != nil {
		return signin.SignedIn{}, err
	}
	k, err := in.lookUp(ctx, tx)
	if err != nil {
		return signin.SignedIn{}, err
	}
	created := k.user == ""
	switch {
	case k.identity != "":
		_, err = tx.Exec(ctx, "UPDATE social_identities SET last_used_at = $3, email = $4 WHERE id = $1 AND user_id = $2", k.identity, k.user, tx.Micros(), in.said.Email)
	case !created:
		return signin.SignedIn{}, op.Keep(op.Errorf(op.Denied, "link_required",
			"there is an account with this address: sign in to it by mail first, and then link %s to it under Ways to sign in", socialNames[in.Provider]))
	default:
		k.user, err = in.make(ctx, tx, k)
	}
	if err != nil {
		return signin.SignedIn{}, err
	}
	return signin.Vouch(ctx, tx, signin.Vouched{User: k.user, Method: in.Provider, Created: created, ReturnTo: tx.Target().Value.(socialPending).returnTo})
}

// acquaintance is what is known of somebody whom a provider that anybody may sign in with names.
type acquaintance struct {
	user     string // empty: nobody
	identity string // by which they are known; empty: only the address is
	invited  int64  // pending invitations of the address
}

// lookUp finds the user by issuer and subject, else by the address. T-061
func (in SocialAnswer) lookUp(ctx context.Context, tx *op.Tx) (acquaintance, error) {
	var k acquaintance
	folded, _ := directory.Fold(in.said.Email) // no address: nobody has it
	err := tx.QueryRow(ctx, `SELECT COALESCE((SELECT s.user_id FROM social_identities s WHERE s.issuer = $2 AND s.subject = $3),
			(SELECT u.id FROM users u WHERE u.email_folded = $1 AND u.email_folded <> '' AND u.deleted_at = 0), ''),
			COALESCE((SELECT s.id FROM social_identities s WHERE s.issuer = $2 AND s.subject = $3), ''),
			(SELECT count(*) FROM invitations i WHERE i.email_folded = $1 AND i.email_folded <> '' AND i.state = 'pending' AND i.expires_at > $4)`,
		folded, in.issuer, in.said.Subject, tx.Micros()).Scan(&k.user, &k.identity, &k.invited)
	return k, err
}

// make makes an account for somebody new, whose address the provider has verified.
func (in SocialAnswer) make(ctx context.Context, tx *op.Tx, k acquaintance) (string, error) {
	switch {
	case in.said.Email == "" || in.said.Verified == nil || !*in.said.Verified:
		return "", op.Keep(op.Errorf(op.Denied, "address_not_verified", "there is no main address of yours that %s has verified: verify it there, or sign in by mail", socialNames[in.Provider]))
	case k.invited == 0 && tx.Charter.Rules.Organizations.Create == charter.ServiceCreates:
		return "", op.Keep(op.Errorf(op.Denied, "no_account", "there is no account for this address, and no invitation is waiting: ask whoever uses this with you to invite it"))
	}
	name := in.said.Name
	if len(name) > 200 {
		name = ""
	}
	user, err := directory.InsertUser(ctx, tx, tx.NewID("usr"), in.said.Email, name)
	if _, taken := sqldb.Conflict(err); taken {
		return "", &op.Error{Kind: op.Unavailable, Text: "an account was made for this address at the same moment: try again", RetryAfter: time.Second}
	}
	if err != nil {
		return "", err
	}
	tx.Changed("created", false, true)
	_, err = in.link(ctx, tx, user.ID)
	return user.ID, err
}

// missing is op.ErrNotFound for a row that there is not.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return op.ErrNotFound
	}
	return err
}
