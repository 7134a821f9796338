package access

import (
	"context"
	"database/sql"
	"errors"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// roleOf names a role of the charter, or one that the organization made.
func roleOf(ctx context.Context, r *op.Reader, role string) (namedRole, error) {
	if of, ok := r.Charter.Role(charter.RoleID(role)); ok || role == "" {
		if ok {
			return namedRole{title: of.Title}, nil
		}
		return namedRole{}, nil
	}
	named := namedRole{custom: true}
	err := r.QueryRow(ctx, "SELECT title FROM organization_roles WHERE organization = $1 AND id = $2", r.Organization(), role).Scan(&named.title)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return named, err
}

// rolesHolding are the roles, the charter's and those that the organization made, that hold a permission.
func rolesHolding(ctx context.Context, r *op.Reader, p charter.Permission) ([]string, error) {
	need, known := r.Charter.Need(p)
	if !known {
		return nil, nil
	}
	var holding []string
	for _, role := range r.Charter.Roles() {
		if need.SubsetOf(role.Holds) {
			holding = append(holding, string(role.ID))
		}
	}
	rows, err := r.Query(ctx, "SELECT id, permissions FROM organization_roles WHERE organization = $1 ORDER BY id", r.Organization())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, permissions string
		if err := rows.Scan(&id, &permissions); err != nil {
			return nil, err
		}
		if need.SubsetOf(setOf(r.Charter, permissions)) {
			holding = append(holding, id)
		}
	}
	return holding, rows.Err()
}
