package audit

import (
	"context"

	"github.com/guildhall/guildhall/op"
)

// Erase takes what the log keeps about a subject (a user, a member, an invitation) out of every stream: names,
// addresses and personal changes, with the salt that commits to them. The rows stay, and every stream still verifies.
// Operations that erase a person call it once for each id that names them.
func Erase(ctx context.Context, tx *op.Tx, subject string) error {
	_, err := tx.Exec(ctx, "UPDATE audit_subjects SET body = '', salt = '' WHERE stream IN (SELECT id FROM streams) AND id = $1", subject)
	return err
}
