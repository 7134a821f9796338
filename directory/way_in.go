package directory

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// remaining are the active owners of an organization beside some members.
type remaining struct {
	owners  int
	waysIn  int  // of them, those who may come in by passkey whatever the sign-in policy says, and have one
	needed  bool // the organization takes sign-ins by its own identity provider only
	leaving int  // of the others, those who are such a way in
}

// remainingOwners counts the active owners beside some members. The organization is locked, so nobody else takes one away at
// the same time.
func remainingOwners(ctx context.Context, r *op.Reader, organization string, members ...string) (left remaining, err error) {
	in, args := sqldb.Placeholders(4, members)
	err = r.QueryRow(ctx, `SELECT COALESCE(sum(CASE WHEN m.id IN (`+in+`) THEN 0 ELSE 1 END), 0),
			COALESCE(sum(CASE WHEN m.id NOT IN (`+in+`) AND `+isWayIn+` THEN 1 ELSE 0 END), 0),
			COALESCE(sum(CASE WHEN m.id IN (`+in+`) AND `+isWayIn+` THEN 1 ELSE 0 END), 0),
			(SELECT o.sso_enforced FROM organizations o WHERE o.id = $1)
		FROM members m WHERE m.organization = $1 AND m.role = $2 AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $3)`,
		append([]any{organization, string(r.Charter.OwnerRole().ID), r.Micros()}, args...)...).
		Scan(&left.owners, &left.waysIn, &left.leaving, &left.needed)
	return left, err
}

// isWayIn is true of a member m who may come in by passkey whatever the policy says, and can.
const isWayIn = "m.break_glass AND EXISTS (SELECT 1 FROM passkeys p WHERE p.user_id = m.user_id)"

// closesWayIn reports whether the last way in beside the identity provider is among the others.
func (left remaining) closesWayIn() bool { return left.needed && left.leaving > 0 && left.waysIn == 0 }

// LastWayIn refuses what would leave nobody who comes in when the identity provider fails.
func LastWayIn(name string) *op.Error {
	return &op.Error{Kind: op.Conflict, Code: "last_way_in",
		Text: fmt.Sprintf("nobody but %s comes in when the identity provider fails: let another owner with a passkey do so first, or stop enforcing single sign-on", name)}
}

// BreakGlassOf are the organizations that a user may enter by passkey alone while everybody else needs the identity provider,
// with the membership: those that notice when the user does, or has no passkey any more.
func BreakGlassOf(ctx context.Context, r *op.Reader, user string) (all []BreakGlassSeat, err error) {
	rows, err := r.Query(ctx, `SELECT m.organization, m.id,
			(SELECT count(*) FROM members m WHERE m.organization = o.id AND m.user_id <> $1 AND m.role = $2 AND m.status = 'active' AND `+isWayIn+`)
		FROM members m JOIN organizations o ON o.id = m.organization AND o.state = 'active' AND o.sso_enforced
		WHERE m.user_id = $1 AND m.break_glass AND m.status = 'active' AND m.role = $2 ORDER BY m.organization`, user, string(r.Charter.OwnerRole().ID))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s BreakGlassSeat
		if err := rows.Scan(&s.Organization, &s.Member, &s.Others); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

// BreakGlassSeat is an organization that somebody may enter whatever its sign-in policy says.
type BreakGlassSeat struct {
	Organization, Member string
	Others               int // owners beside them who are such a way in
}

// closedWays are the organizations that enforce single sign-on, and that nobody could enter if the identity provider failed.
func closedWays(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT o.id, 0 FROM organizations o WHERE o.sso_enforced AND o.state = 'active' AND NOT EXISTS
		(SELECT 1 FROM members m WHERE m.organization = o.id AND m.role = $1 AND m.status = 'active' AND `+isWayIn+")", string(r.Charter.OwnerRole().ID))
	return each(rows, err, func(organization string, _ int64) string {
		return fmt.Sprintf("organization %s enforces single sign-on, and no owner comes in when the identity provider fails", organization)
	})
}
