// Package signin proves that an address is somebody's: by a link or a code that was mailed to it. That proof begins a
// session, or makes one fresh again before something dangerous. There are no passwords.
package signin

import (
	"context"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Operations are the operations of signing in.
func Operations() []op.Any {
	return []op.Any{BeginSignIn, CompleteSignIn, Verify}
}

// Purge deletes the challenges that ended more than a day ago. Younger ones still count against whoever guesses codes.
func Purge(ctx context.Context, db *sqldb.DB, now time.Time) error {
	return db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM challenges WHERE expires_at <= $1", now.Add(-day).UnixMicro())
		return err
	})
}
