package federation

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// Broken lists the rules about domains that do not hold. An empty list is the only good answer.
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
	return broken, rows.Err()
}
