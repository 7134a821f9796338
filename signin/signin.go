// Package signin proves who somebody is: by a link or a code that was mailed to their address, or by a passkey of theirs.
// Whoever has an authenticator app is asked for its code after the mail. That proof begins a session, or makes one fresh again before something dangerous; and a signed-in person is handed on
// to the product. There are no passwords.
package signin

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations of signing in.
func Operations() []op.Any {
	return []op.Any{BeginSignIn, CompleteSignIn, Verify, HandOff, Exchange,
		BeginPasskey, CreatePasskey, ListPasskeys, UpdatePasskey, DeletePasskey, BeginPasskeySignIn, PasskeySignIn, VerifyByPasskey,
		BeginTotp, CreateTotp, GetTotp, DeleteTotp, NewRecoveryCodes, FinishSignIn, VerifyByTotp}
}

// Purge deletes the challenges and hand-offs that ended more than a day ago. Younger challenges still count against
// whoever guesses codes, and younger hand-offs tell of a code that comes twice.
func Purge(ctx context.Context, db *sqldb.DB, now time.Time) error {
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, table := range []string{"challenges", "handoffs", "passkey_challenges", "second_steps"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE expires_at <= $1", now.Add(-day).UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}
