// Package signin proves that an address is somebody's: by a link or a code that was mailed to it. That proof begins a
// session, or makes one fresh again before something dangerous; and a signed-in person is handed on to the product. There
// are no passwords.
package signin

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations of signing in.
func Operations() []op.Any {
	return []op.Any{BeginSignIn, CompleteSignIn, Verify, HandOff, Exchange}
}

// Purge deletes the challenges and hand-offs that ended more than a day ago. Younger challenges still count against
// whoever guesses codes, and younger hand-offs tell of a code that comes twice.
func Purge(ctx context.Context, db *sqldb.DB, now time.Time) error {
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		before := now.Add(-day).UnixMicro()
		if _, err := tx.Exec(ctx, "DELETE FROM challenges WHERE expires_at <= $1", before); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM handoffs WHERE expires_at <= $1", before)
		return err
	})
}
