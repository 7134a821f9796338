package directory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Broken reads every organization and lists the rules that do not hold. An empty list is the only good answer.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	var broken []string
	for _, check := range []func(context.Context, *op.Reader) ([]string, error){
		brokenOwners, UnknownRoles, UnknownGiven, unknownAccountRoles, endingOwners, closedWays, brokenTransfers, unfoldedUsers, lateInvitations, deletedUsers,
		orphanKeys, wronglyLeftKeys, rootlessTokens, widerTokens, brokenDeletions, unfinishedDeletions,
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

// UnknownRoles are the roles of members that neither the charter has nor their organization made.
func UnknownRoles(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT m.role, count(*) FROM members m
		LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
		WHERE m.status <> 'removed' AND cr.id IS NULL GROUP BY m.role`)
	return each(rows, err, func(role string, n int64) string { return unknownTo(r.Charter, role, n, "members") })
}

// UnknownGiven are the same of directories, domains and connections, which give them to newcomers.
func UnknownGiven(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT g.role, count(*) FROM ("+rolesGiven+`) g
		LEFT JOIN organization_roles cr ON cr.organization = g.organization AND cr.id = g.role
		WHERE cr.id IS NULL GROUP BY g.role`)
	return each(rows, err, func(role string, n int64) string {
		return unknownTo(r.Charter, role, n, "directories, domains and connections")
	})
}

// unknownAccountRoles are the same of service accounts.
func unknownAccountRoles(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT a.role, count(*) FROM service_accounts a
		LEFT JOIN organization_roles cr ON cr.organization = a.organization AND cr.id = a.role
		WHERE a.deleted_at = 0 AND cr.id IS NULL GROUP BY a.role`)
	return each(rows, err, func(role string, n int64) string { return unknownTo(r.Charter, role, n, "service accounts") })
}

func unknownTo(c *charter.Charter, role string, n int64, who string) string {
	if _, ok := c.Role(charter.RoleID(role)); ok {
		return ""
	}
	return fmt.Sprintf("%d %s have the role %q, which the charter does not have", n, who, role)
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
	rows, err := r.Query(ctx, "SELECT email, 0 FROM users WHERE email <> ''")
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

// deletedUsers are erased people of whom something is left.
func deletedUsers(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT u.id, (SELECT count(*) FROM members m WHERE m.user_id = u.id AND m.status <> 'removed')
			+ (SELECT count(*) FROM sessions s WHERE s.user_id = u.id AND s.ended_at = 0)
		FROM users u WHERE u.deleted_at <> 0 AND (u.name <> '' OR u.email <> '' OR u.external_id IS NOT NULL
			OR EXISTS (SELECT 1 FROM members m WHERE m.user_id = u.id AND m.status <> 'removed')
			OR EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id AND s.ended_at = 0))`)
	return each(rows, err, func(user string, n int64) string {
		return fmt.Sprintf("user %s was deleted, and is named still or has %d memberships and sessions", user, n)
	})
}

// orphanKeys are keys whose creator, membership or service account does not exist.
func orphanKeys(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT k.id, CASE WHEN k.kind = 'personal' AND m.id IS NULL THEN 1 WHEN k.service_account <> '' AND a.id IS NULL THEN 2
			WHEN k.creator <> '' AND u.id IS NULL THEN 3 ELSE 0 END
		FROM api_keys k LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
		LEFT JOIN service_accounts a ON a.organization = k.organization AND a.id = k.service_account
		LEFT JOIN users u ON u.id = k.creator`)
	return each(rows, err, func(key string, what int64) string {
		if what == 0 {
			return ""
		}
		return fmt.Sprintf("key %s has no %s", key, [...]string{1: "membership", 2: "service account", 3: "creator"}[what])
	})
}

// wronglyLeftKeys are keys that are left behind by somebody who is there, or without what they were left with.
func wronglyLeftKeys(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT k.id, k.left_at FROM api_keys k LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
		WHERE k.left_at <> 0 AND (k.frozen = '' OR m.status IS NULL OR m.status <> 'removed') OR k.left_at = 0 AND k.frozen <> ''`)
	return each(rows, err, func(key string, left int64) string {
		if left == 0 {
			return fmt.Sprintf("key %s is frozen, and nobody left it behind", key)
		}
		return fmt.Sprintf("key %s is left behind by a member who is there, or with nothing", key)
	})
}

// rootlessTokens are tokens that hang on nothing, or on a session and a key at once.
func rootlessTokens(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT t.id, 0 FROM scoped_tokens t LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key
		LEFT JOIN sessions s ON s.id = t.session WHERE (k.id IS NULL) = (s.id IS NULL)`)
	return each(rows, err, func(token string, _ int64) string { return fmt.Sprintf("token %s has not exactly one root", token) })
}

// widerTokens are tokens with a permission in their scopes that those of the token above leave out: neither ever changes.
// A key can be narrowed, so what is derived from it is cut down at each use. T-041.
func widerTokens(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT t.id, t.permissions, p.permissions FROM scoped_tokens t
		JOIN scoped_tokens p ON p.organization = t.organization AND p.id = t.parent`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var token, scopes, above string
		if err := rows.Scan(&token, &scopes, &above); err != nil {
			return nil, err
		}
		held := strings.Fields(above)
		for one := range strings.FieldsSeq(scopes) {
			if !slices.Contains(held, one) {
				all = append(all, fmt.Sprintf("token %s has %s, which is outside of what it is derived from", token, one))
			}
		}
	}
	return all, rows.Err()
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
