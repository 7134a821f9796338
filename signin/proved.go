package signin

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Vouched is a first factor that somebody else has taken: Google, GitHub.
type Vouched struct {
	User     string // who it is, by their id here
	Method   string // of the session: "google"
	ReturnTo string // where to go; ignored where that is not allowed
	Created  bool   // whether the account was made just now
}

// Vouch goes on where the first factor of a person is given: it begins a session, or asks whoever has an authenticator app for
// the second factor first, just as after a mail. A session that the browser had before ends. It says tx.ProvedBy.
func Vouch(ctx context.Context, tx *op.Tx, by Vouched) (SignedIn, error) {
	out := SignedIn{Created: by.Created}
	var totp bool
	var created int64
	u := &out.User
	err := tx.QueryRow(ctx, `SELECT u.id, COALESCE(u.external_id, ''), u.email, u.name, u.time_zone, u.version, u.created_at, `+belongings+`, `+hasTotp+`
		FROM users u WHERE u.id = $1 AND u.deleted_at = $2`, by.User, 0, tx.Micros()).
		Scan(&u.ID, &u.ExternalID, &u.Email, &u.Name, &u.TimeZone, &u.Version, &created, &out.Organizations, &totp)
	if err != nil {
		return SignedIn{}, notFound(err)
	}
	u.CreatedAt = time.UnixMicro(created).UTC()
	out.ReturnTo, _ = ReturnTo(tx.Settings, by.ReturnTo)
	tx.Also("user", u.ID, u.Label())
	tx.ProvedBy(u.ID, u.Name, u.Email)
	if totp {
		return out.pending(ctx, tx, by.Method)
	}
	return out.begin(ctx, tx, firstBy(by.Method))
}

// firstBy is a sign-in by one factor, which a method names: the mail, or a provider that anybody may sign in with.
func firstBy(method string) credential.SignIn {
	by := credential.ByMail(method)
	switch method {
	case "google":
		by.Way = decide.ByGoogle
	case "github":
		by.Way = decide.ByGitHub
	}
	return by
}

// Notify mails somebody what was changed about how they sign in, and what to do if it was not them.
func Notify(tx *op.Tx, to, subject, happened string) error {
	return noticeLetter(tx, subject, happened).send(tx, to)
}
