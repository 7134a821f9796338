package federation

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// Broken lists the rules about domains, connections and identities that do not hold. An empty list is the only good answer.
func Broken(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT d.id, d.domain, d.joining, d.role, COALESCE(cr.id, '') FROM domains d
		LEFT JOIN organization_roles cr ON cr.organization = d.organization AND cr.id = d.role ORDER BY d.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var broken []string
	for rows.Next() {
		var d domainRow
		var own string
		if err := rows.Scan(&d.id, &d.domain, &d.joining, &d.role, &own); err != nil {
			return nil, err
		}
		if folded, err := directory.FoldDomain(d.domain); err != nil || folded != d.domain {
			broken = append(broken, fmt.Sprintf("domain %s is stored as %q, which is not how domains are compared", d.id, d.domain))
		}
		if d.joining != JoinOff && d.role == string(r.Charter.OwnerRole().ID) {
			broken = append(broken, fmt.Sprintf("domain %s makes owners of everybody with an address there", d.id))
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	more, err := brokenConnections(ctx, r)
	if err != nil {
		return nil, err
	}
	ofSAML, err := brokenSAML(ctx, r)
	if err != nil {
		return nil, err
	}
	return brokenIdentities(ctx, r, append(append(broken, more...), ofSAML...))
}

// brokenIdentities adds the identities by which somebody who is erased could still sign in.
func brokenIdentities(ctx context.Context, r *op.Reader, broken []string) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT s.id FROM social_identities s JOIN users u ON u.id = s.user_id WHERE u.deleted_at <> 0 ORDER BY s.id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		broken = append(broken, fmt.Sprintf("identity %s is of a deleted user", id))
	}
	return broken, rows.Err()
}

// brokenConnections are connections that are for a domain of somebody else, or make owners.
func brokenConnections(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, `SELECT n.connection, 'is for the domain of another organization' FROM connection_domains n
			JOIN connections c ON c.id = n.connection JOIN domains d ON d.id = n.domain WHERE d.organization <> n.organization OR c.organization <> n.organization
		UNION ALL SELECT g.connection, 'makes owners of a group' FROM connection_roles g WHERE g.role = $1
		UNION ALL SELECT pg.connection, 'is tried out by a group of another organization' FROM connection_pilot_groups pg JOIN connections c ON c.id = pg.connection
			LEFT JOIN directory_groups dg ON dg.id = pg.group_id WHERE c.organization <> pg.organization OR dg.organization <> pg.organization
		UNION ALL SELECT c.id, 'makes owners' FROM connections c WHERE c.role = $1`, string(r.Charter.OwnerRole().ID))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var broken []string
	for rows.Next() {
		var id, what string
		if err := rows.Scan(&id, &what); err != nil {
			return nil, err
		}
		broken = append(broken, "connection "+id+" "+what)
	}
	return broken, rows.Err()
}
