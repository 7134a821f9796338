package governance

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/guildhall/guildhall/op"
)

// rules are what holds of the tables of this room, each as a query for what breaks it and what to say of that.
var rules = []struct{ query, text string }{
	{`SELECT r.id FROM reviews r JOIN review_items i ON i.organization = r.organization AND i.review = r.id
		WHERE r.state = 'completed' AND i.outcome = '' OR r.state <> 'completed' AND i.outcome <> '' GROUP BY r.id`, "review %s has rows with an outcome and is not complete, or the other way round"},
	{`SELECT r.id FROM reviews r WHERE (r.state = 'open') <> (r.settled_at = 0) OR r.state = 'cancelled' AND r.repeats_at <> 0 OR r.next <> '' AND r.repeats_at <> 0`,
		"review %s is settled or repeated otherwise than its state says"},
	{`SELECT r.id FROM reviews r LEFT JOIN reviews n ON n.organization = r.organization AND n.id = r.next WHERE r.next <> '' AND n.id IS NULL`,
		"review %s is repeated by one that does not exist in its organization"},
	{`SELECT i.subject FROM review_items i WHERE (i.decision = '') <> (i.decided_at = 0) OR (i.decision = 'reduce') <> (i.to_role <> '')
		OR i.decision IN ('reduce', 'remove') AND i.reason = ''`, "the row of %s in a review is decided by half"},
	{`SELECT i.subject FROM review_items i WHERE i.decided_by <> '' AND i.decided_by = i.person`, "the row of %s in a review was decided by the person themselves"},
	{`SELECT i.subject FROM review_items i LEFT JOIN members m ON i.kind = 'member' AND m.organization = i.organization AND m.id = i.subject
		LEFT JOIN service_accounts a ON i.kind = 'service_account' AND a.organization = i.organization AND a.id = i.subject
		LEFT JOIN api_keys k ON i.kind = 'key' AND k.organization = i.organization AND k.id = i.subject
		WHERE m.id IS NULL AND a.id IS NULL AND k.id IS NULL`, "%s stands in a review and does not exist in its organization"},
	{`SELECT d.finding FROM dismissals d WHERE d.reason = '' OR d.until_at <= d.dismissed_at OR d.until_at > d.dismissed_at + 31622400000000`,
		"finding %s is dismissed without a reason, or for longer than anything may be"},
}

// Broken reads the reviews and dismissals of every organization and lists the rules that do not hold. An empty list is
// the only good answer.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	var broken []string
	for _, rule := range rules {
		rows, err := r.Query(ctx, rule.query)
		found, err := rowsOf(rows, err, func(rows *sql.Rows) (id string, err error) {
			err = rows.Scan(&id)
			return fmt.Sprintf(rule.text, id), err
		})
		if err != nil {
			return nil, err
		}
		broken = append(broken, found...)
	}
	return broken, nil
}
