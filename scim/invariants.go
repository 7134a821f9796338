package scim

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/op"
)

// Broken lists what does not hold about directories: whoever a directory gives access is a member with access, unless a
// person suspended or removed them; whoever it does not, is not.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT s.id, s.active, s.access, COALESCE(m.status, ''), COALESCE(m.managed_access, FALSE), COALESCE(m.managed_suspended, FALSE)
		FROM directory_users s LEFT JOIN members m ON m.organization = s.organization AND m.user_id = s.user_id AND m.status <> 'removed' AND m.managed_by = s.directory
		WHERE s.user_id <> '' OR s.access ORDER BY s.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var broken []string
	for rows.Next() {
		var id, status string
		var active, access, managed, suspended bool
		if err := rows.Scan(&id, &active, &access, &status, &managed, &suspended); err != nil {
			return nil, err
		}
		switch {
		case access && !active:
			broken = append(broken, fmt.Sprintf("directory user %s is not active and has access", id))
		case status != "" && managed != access:
			broken = append(broken, fmt.Sprintf("directory user %s has access: %t, and its member by the directory: %t", id, access, managed))
		case status == "active" && !access:
			broken = append(broken, fmt.Sprintf("directory user %s has no access, and its member is active", id))
		case access && suspended:
			broken = append(broken, fmt.Sprintf("directory user %s has access, and its member is suspended by the directory", id))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	orphans, err := orphanMembers(ctx, r)
	return append(broken, orphans...), err
}

// orphanMembers are members of whom no directory knows that is said to manage them.
func orphanMembers(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT m.id FROM members m LEFT JOIN directory_users s ON s.organization = m.organization AND s.user_id = m.user_id AND s.directory = m.managed_by
		WHERE m.managed_by <> '' AND m.status <> 'removed' AND s.id IS NULL
		AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.organization = m.organization AND c.id = m.managed_by) ORDER BY m.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var broken []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		broken = append(broken, fmt.Sprintf("member %s is managed by a directory that does not know them", id))
	}
	return broken, rows.Err()
}
