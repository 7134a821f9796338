package directory

import (
	"context"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Role is a role with what it holds.
type Role struct {
	ID          string               `json:"id" example:"editor"`
	Title       string               `json:"title" example:"Editor"`
	Description string               `json:"description,omitzero"`
	Rank        int                  `json:"rank" doc:"Orders roles on a page, lowest first; rights compare by subset, not by rank"`
	Owner       bool                 `json:"owner" doc:"Whether this is the owner role"`
	Permissions []charter.Permission `json:"permissions" doc:"What it holds, in the charter's order"`
	Members     int                  `json:"members" doc:"How many members have it"`
	Grantable   bool                 `json:"grantable" doc:"Whether the caller may give it"`
	Why         string               `json:"why,omitzero" doc:"If not, why" enum:"above_your_level,owners_only,transfer_only"`
}

// Roles are all roles of an organization.
type Roles struct {
	Data []Role `json:"data"`
}

// ListRolesInput names the organization.
type ListRolesInput struct{ op.InOrganization }

// ListRoles lists the roles, lowest first, with what each holds.
var ListRoles = &op.Op[ListRolesInput, Roles]{
	Name:    "roles.list",
	Route:   "GET /v1/organizations/{organization}/roles",
	Summary: "List the roles and what each holds",
	Allow:   op.AnyOf(op.On("organization.view"), op.ByService),
	Do:      listRoles,
	Example: ListRolesInput{op.InOrganization{Organization: "acme"}},
}

func listRoles(ctx context.Context, tx *op.Tx, _ ListRolesInput) (Roles, error) {
	counts, err := roleCounts(ctx, tx.Reader)
	if err != nil {
		return Roles{}, err
	}
	var all Roles
	for _, role := range tx.Charter.Roles() {
		all.Data = append(all.Data, describeRole(tx.Reader, role, counts[string(role.ID)]))
	}
	return all, nil
}

func describeRole(r *op.Reader, role *charter.Role, members int) Role {
	d := decide.Grant(r.Charter, &r.Actor.Principal, role)
	out := Role{ID: string(role.ID), Title: role.Title, Description: role.Description, Rank: role.Rank, Owner: role.Owner,
		Permissions: r.Charter.IDs(role.Holds), Members: members, Grantable: d.Allow}
	if !d.Allow {
		out.Why = string(d.Reason)
	}
	return out
}

func roleCounts(ctx context.Context, r *op.Reader) (map[string]int, error) {
	rows, err := r.Query(ctx, "SELECT role, count(*) FROM members WHERE organization = $1 AND status <> 'removed' GROUP BY role", r.Organization())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var role string
		var n int
		if err := rows.Scan(&role, &n); err != nil {
			return nil, err
		}
		counts[role] = n
	}
	return counts, rows.Err()
}

// GetRoleInput names a role.
type GetRoleInput struct {
	op.InOrganization
	Role string `json:"role" doc:"The role's id" maxLength:"64" example:"editor"`
}

// GetRole shows one role.
var GetRole = &op.Op[GetRoleInput, Role]{
	Name:    "roles.get",
	Route:   "GET /v1/organizations/{organization}/roles/{role}",
	Summary: "Show a role and what it holds",
	Allow:   op.AnyOf(op.On("organization.view"), op.ByService),
	Target: func(_ context.Context, r *op.Reader, in GetRoleInput) (op.Target, error) {
		role, ok := r.Charter.Role(charter.RoleID(in.Role))
		if !ok {
			return op.Target{}, op.ErrNotFound
		}
		return op.Target{Organization: r.Organization(), Type: "role", ID: in.Role, Name: role.Title, Value: role}, nil
	},
	Do: func(ctx context.Context, tx *op.Tx, _ GetRoleInput) (Role, error) {
		role := tx.Target().Value.(*charter.Role)
		counts, err := roleCounts(ctx, tx.Reader)
		return describeRole(tx.Reader, role, counts[string(role.ID)]), err
	},
	Example: GetRoleInput{op.InOrganization{Organization: "acme"}, "editor"},
}
