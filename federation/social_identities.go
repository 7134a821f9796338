package federation

import (
	"context"
	"fmt"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/signin"
)

// mostIdentities is how many accounts elsewhere a person may have linked.
const mostIdentities = 10

// Identity is an account at Google or GitHub that signs its person in here.
type Identity struct {
	ID         string    `json:"id" doc:"Its id here" example:"idn_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Provider   string    `json:"provider" doc:"Where the account is" enum:"google,github" example:"github"`
	Name       string    `json:"name" doc:"What people call the provider" example:"GitHub"`
	Email      string    `json:"email,omitzero" doc:"The address that the provider said last. It says nothing about who somebody is" example:"ada@acme.test"`
	CreatedAt  time.Time `json:"created_at" doc:"When it was linked"`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"When it last signed its person in; absent: never"`
}

const identityColumns = "id, provider, email, created_at, last_used_at"

// scanIdentity reads them.
func scanIdentity(row interface{ Scan(into ...any) error }) (Identity, error) {
	var i Identity
	var created, used int64
	err := row.Scan(&i.ID, &i.Provider, &i.Email, &created, &used)
	i.Name, i.CreatedAt = socialNames[i.Provider], time.UnixMicro(created).UTC()
	if used != 0 {
		i.LastUsedAt = time.UnixMicro(used).UTC()
	}
	return i, missing(err)
}

// ListIdentitiesInput asks for the accounts that the caller has linked.
type ListIdentitiesInput struct {
	op.Page
}

// ListIdentities lists the accounts at Google and GitHub that sign the caller in, the newest first.
var ListIdentities = &op.Op[ListIdentitiesInput, op.List[Identity]]{
	Name:    "identities.list",
	Route:   "GET /v1/me/identities",
	Summary: "List your accounts at Google and GitHub that sign you in",
	Scope:   op.Self,
	Allow:   op.SignedIn,
	Do:      listIdentities,
	Example: ListIdentitiesInput{Page: op.Page{Limit: 25}},
}

func listIdentities(ctx context.Context, tx *op.Tx, in ListIdentitiesInput) (op.List[Identity], error) {
	before, id := in.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+identityColumns+` FROM social_identities WHERE user_id = $1
		AND (created_at < $2 OR created_at = $2 AND id < $3) ORDER BY created_at DESC, id DESC LIMIT $4`, tx.Actor.User, before, id, in.Size()+1)
	if err != nil {
		return op.List[Identity]{}, err
	}
	defer rows.Close()
	var all []Identity
	for rows.Next() {
		i, err := scanIdentity(rows)
		if err != nil {
			return op.List[Identity]{}, err
		}
		all = append(all, i)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(i Identity) []string { return op.Newest(i.CreatedAt.UnixMicro(), i.ID) }), rows.Err()
}

// BeginIdentityInput says where the account is.
type BeginIdentityInput struct {
	SocialInput

	begun *socialAttempt
}

// BeginIdentity begins to link an account at Google or GitHub to the caller's.
var BeginIdentity = &op.Op[BeginIdentityInput, SocialBegun]{
	Name:    "identities.begin",
	Route:   "POST /v1/me/identities/begin",
	Summary: "Begin to link your account at Google or GitHub, which then signs you in",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.SignedIn,
	Fresh:   true,
	Limit:   op.RateLimit{Times: 60, Per: time.Hour},
	Target: func(_ context.Context, r *op.Reader, in BeginIdentityInput) (op.Target, error) {
		return in.target(r, r.Actor.User)
	},
	Prepare: func(ctx context.Context, in BeginIdentityInput) (BeginIdentityInput, error) {
		reach, err := reachOf(ctx)
		if err != nil {
			return in, err
		}
		in.begun = &socialAttempt{provider: in.Provider}
		return in, reach.goes(ctx, in.begun)
	},
	Do: func(ctx context.Context, tx *op.Tx, in BeginIdentityInput) (SocialBegun, error) {
		in.begun.user = tx.Actor.User
		return in.begun.begun(tx.Now), in.begun.store(ctx, tx)
	},
	Example: BeginIdentityInput{SocialInput: SocialInput{Provider: GitHub}},
}

// CreateIdentity links the account at a provider that has just answered, for the person and the browser that began. It is
// mailed. So both are proved: the session is the one account's, the answer the other's. T-026, T-061
var CreateIdentity = &op.Op[SocialAnswer, Identity]{
	Name:    "identities.create",
	Route:   "POST /v1/me/identities",
	Summary: "Link your account at Google or GitHub, with the answer that your browser brought back",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.SignedIn,
	Fresh:   true,
	Limit:   op.RateLimit{Times: 120, Per: time.Hour},
	Target:  identityAnswer,
	Prepare: exchangeIdentity,
	Do:      createIdentity,
	Example: exampleAnswer,
}

func identityAnswer(ctx context.Context, r *op.Reader, in SocialAnswer) (op.Target, error) {
	t, err := in.target(r, r.Actor.User)
	if err == nil && r.Actor.User == "" {
		err = op.ErrNotFound
	}
	if err == nil {
		t.Value, err = in.pending(ctx, r, r.Actor.User)
	}
	return t, err
}

// exchangeIdentity finds the person by the way itself, which names them: identityAnswer compares it with the caller.
func exchangeIdentity(ctx context.Context, in SocialAnswer) (SocialAnswer, error) {
	reach, err := reachOf(ctx)
	if err != nil {
		return in, err
	}
	var user string
	err = reach.Read(ctx, func(r *op.Reader) error {
		user, err = in.beganBy(ctx, r)
		return err
	})
	if err != nil {
		return in, err
	}
	return in.exchanged(ctx, user)
}

func createIdentity(ctx context.Context, tx *op.Tx, in SocialAnswer) (Identity, error) {
	if err := in.use(ctx, tx); err != nil {
		return Identity{}, err
	}
	made, err := in.link(ctx, tx, tx.Actor.User)
	if err != nil {
		return made, err
	}
	return made, signin.Notify(tx, tx.Actor.Email, made.Name+" linked to your account at "+tx.Charter.Product,
		fmt.Sprintf("An account at %s signs you in from now on.", made.Name))
}

// link remembers who somebody is at the provider: one account here for each account there.
func (in SocialAnswer) link(ctx context.Context, tx *op.Tx, user string) (Identity, error) {
	i := Identity{ID: tx.NewID("idn"), Provider: in.Provider, Name: socialNames[in.Provider], Email: in.said.Email, CreatedAt: tx.Now.UTC()}
	n, err := tx.Exec(ctx, `INSERT INTO social_identities (id, user_id, provider, issuer, subject, email, created_at, last_used_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, 0 WHERE (SELECT count(*) FROM social_identities WHERE user_id = $2) < $8`,
		i.ID, user, i.Provider, in.issuer, in.said.Subject, i.Email, tx.Micros(), mostIdentities)
	if _, taken := sqldb.Conflict(err); taken {
		return i, op.Errorf(op.Conflict, "identity_exists", "this account at %s is linked already, to yours or to another account here", i.Name)
	}
	if err == nil && n != 1 {
		return i, op.Errorf(op.Conflict, "too_many_identities", "you have linked %d accounts, which is as many as there can be: unlink one first", mostIdentities)
	}
	tx.Also("identity", i.ID, "")
	return i, err
}

// IdentityInput names an account that the caller has linked.
type IdentityInput struct {
	Identity string `json:"identity" doc:"Its id here" example:"idn_01k9v5x0w3m8q6t2c4h7n0r5sz" maxLength:"64"`
}

// DeleteIdentity unlinks an account of the caller's: it signs nobody in any more. A mail still does. That is mailed.
var DeleteIdentity = &op.Op[IdentityInput, Identity]{
	Name:    "identities.delete",
	Route:   "POST /v1/me/identities/{identity}/delete",
	Summary: "Unlink one of your accounts at Google and GitHub: it signs nobody in any more",
	Kind:    op.Write,
	Scope:   op.Self,
	Account: true,
	Allow:   op.Own(),
	Fresh:   true,
	Confirm: op.L2,
	Target: func(ctx context.Context, r *op.Reader, in IdentityInput) (op.Target, error) {
		i, err := scanIdentity(r.QueryRow(ctx, "SELECT "+identityColumns+" FROM social_identities WHERE id = $1 AND user_id = $2", in.Identity, r.Actor.User))
		return op.Target{Type: "identity", ID: i.ID, User: r.Actor.User, Current: i, Value: i}, err
	},
	Do: func(ctx context.Context, tx *op.Tx, _ IdentityInput) (Identity, error) {
		i := tx.Target().Value.(Identity)
		if _, err := tx.Exec(ctx, "DELETE FROM social_identities WHERE id = $1 AND user_id = $2", i.ID, tx.Actor.User); err != nil {
			return i, err
		}
		tx.Changed("provider", i.Provider, nil)
		return i, signin.Notify(tx, tx.Actor.Email, i.Name+" unlinked from your account at "+tx.Charter.Product,
			fmt.Sprintf("An account at %s does not sign you in any more. A mail still does.", i.Name))
	},
	Example: IdentityInput{Identity: "idn_01k9v5x0w3m8q6t2c4h7n0r5sz"},
}
