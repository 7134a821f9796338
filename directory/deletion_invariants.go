package directory

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/op"
)

// brokenDeletions are organizations whose state, dates and ledger do not say the same.
func brokenDeletions(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id, CASE
			WHEN o.state = 'active' AND (o.deletion_at <> 0 OR o.delete_by <> 0) THEN 1
			WHEN o.state <> 'active' AND (o.deletion_at = 0 OR o.delete_by < o.deletion_at) THEN 2
			WHEN o.state IN ('active', 'deletion_scheduled') AND EXISTS (SELECT 1 FROM purge_steps p WHERE p.organization = o.id) THEN 3
			WHEN o.state IN ('deleting', 'gone') AND NOT EXISTS (SELECT 1 FROM purge_steps p WHERE p.organization = o.id) THEN 4
			ELSE 0 END
		FROM organizations o`)
	return each(rows, err, func(organization string, what int64) string {
		if what == 0 {
			return ""
		}
		return fmt.Sprintf("organization %s %s", organization, [...]string{1: "is active and has a date of deletion", 2: "is to be deleted, and nothing says when",
			3: "has steps of its end behind it, and exists", 4: "is ending without a ledger"}[what])
	})
}

// unfinishedDeletions are organizations that are gone, and of which something is left.
func unfinishedDeletions(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id, (SELECT count(*) FROM members m WHERE m.organization = o.id AND m.status <> 'removed')
			+ (SELECT count(*) FROM api_keys k WHERE k.organization = o.id) + (SELECT count(*) FROM scoped_tokens t WHERE t.organization = o.id)
			+ (SELECT count(*) FROM service_accounts a WHERE a.organization = o.id) + (SELECT count(*) FROM invitations i WHERE i.organization = o.id)
			+ (SELECT count(*) FROM purge_steps p WHERE p.organization = o.id AND p.state <> 'done')
			+ (SELECT count(*) FROM owner_recoveries w WHERE w.organization = o.id)
		FROM organizations o WHERE o.state = 'gone'`)
	return each(rows, err, func(organization string, n int64) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("organization %s is gone, and %d things of it are left", organization, n)
	})
}
