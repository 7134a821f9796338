package signin

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/op"
)

// Broken lists the rules about passkeys and second factors that do not hold. An empty list is the only good answer.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	var broken []string
	for _, rule := range []struct{ query, text string }{
		{"SELECT p.id FROM passkeys p JOIN users u ON u.id = p.user_id WHERE u.deleted_at <> 0", "passkey %s is of a deleted user"},
		{"SELECT t.user_id FROM totps t JOIN users u ON u.id = t.user_id WHERE u.deleted_at <> 0", "deleted user %s has an authenticator app"},
		{"SELECT c.id FROM recovery_codes c LEFT JOIN totps t ON t.user_id = c.user_id WHERE COALESCE(t.confirmed_at, 0) = 0",
			"recovery code %s is of somebody without an authenticator app"},
	} {
		rows, err := r.Query(ctx, rule.query)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				rows.Close()
				return nil, err
			}
			broken = append(broken, fmt.Sprintf(rule.text, id))
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		rows.Close()
	}
	return broken, nil
}
