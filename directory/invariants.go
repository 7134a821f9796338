package directory

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Broken reads every organization and lists the rules that do not hold. An empty list is the only good answer.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	var broken []string
	for _, check := range []func(context.Context, *op.Reader) ([]string, error){
		brokenOwners, UnknownRoles, endingOwners, brokenTransfers, unfoldedUsers, lateInvitations,
	} {
		found, err := check(ctx, r)
		if err != nil {
			return nil, err
		}
		broken = append(broken, found...)
	}
	return broken, nil
}

// brokenOwners are the organizations without an active owner, or with two where the charter has one.
func brokenOwners(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id, (SELECT count(*) FROM members m WHERE m.organization = o.id AND m.role = $1 AND m.status = 'active')
		FROM organizations o WHERE o.state = 'active'`, string(r.Charter.OwnerRole().ID))
	return each(rows, err, func(organization string, owners int64) string {
		switch {
		case owners == 0:
			return fmt.Sprintf("organization %s has no active owner", organization)
		case owners > 1 && r.Charter.Rules.Owners == charter.OneOwner:
			return fmt.Sprintf("organization %s has %d owners, and the charter allows one", organization, owners)
		}
		return ""
	})
}

// UnknownRoles are the roles of members that the charter does not have.
func UnknownRoles(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT role, count(*) FROM members WHERE status <> 'removed' GROUP BY role")
	return each(rows, err, func(role string, n int64) string {
		if _, ok := r.Charter.Role(charter.RoleID(role)); ok {
			return ""
		}
		return fmt.Sprintf("%d members have the role %q, which the charter does not have", n, role)
	})
}

func endingOwners(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT id, ends_at FROM members WHERE role = $1 AND ends_at <> 0 AND status <> 'removed'", string(r.Charter.OwnerRole().ID))
	return each(rows, err, func(member string, _ int64) string { return fmt.Sprintf("owner %s has an end date", member) })
}

func brokenTransfers(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT t.id, count(*) FROM transfers t JOIN members m ON m.organization = t.organization AND m.id IN (t.from_member, t.to_member)
		WHERE t.state = 'pending' AND m.status = 'removed' GROUP BY t.id`)
	return each(rows, err, func(transfer string, _ int64) string {
		return fmt.Sprintf("transfer %s waits for a removed member", transfer)
	})
}

func unfoldedUsers(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT email, 0 FROM users")
	return each(rows, err, func(email string, _ int64) string {
		if _, err := Fold(email); err != nil {
			return fmt.Sprintf("a user's address cannot be folded: %v", err)
		}
		return ""
	})
}

// lateInvitations are pending invitations whose person was removed after the invitation was made: it died with that.
func lateInvitations(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT i.id, m.removed_at FROM invitations i JOIN users u ON u.email_folded = i.email_folded
		JOIN members m ON m.organization = i.organization AND m.user_id = u.id
		WHERE i.state = 'pending' AND m.status = 'removed' AND m.removed_at > i.created_at`)
	return each(rows, err, func(invitation string, _ int64) string {
		return fmt.Sprintf("invitation %s outlived the removal of its person", invitation)
	})
}

// each turns rows of a text and a number into the sentences that are not empty.
func each(rows *sql.Rows, err error, say func(string, int64) string) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		var n int64
		if err := rows.Scan(&text, &n); err != nil {
			return nil, err
		}
		if sentence := say(text, n); sentence != "" {
			all = append(all, sentence)
		}
	}
	return all, rows.Err()
}
