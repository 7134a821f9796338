package directory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Role is a role with what it holds: one of the charter's, or one that the organization made.
type Role struct {
	ID              string               `json:"id" doc:"The role's id" example:"editor"`
	Title           string               `json:"title" doc:"What people call it" example:"Editor"`
	Description     string               `json:"description,omitzero" doc:"What it is for"`
	Rank            int                  `json:"rank" doc:"Orders roles on a page, lowest first; rights compare by subset, not by rank"`
	Owner           bool                 `json:"owner" doc:"Whether this is the owner role"`
	Custom          bool                 `json:"custom" doc:"Whether the organization made it; the charter's own roles cannot be changed"`
	Permissions     []charter.Permission `json:"permissions" doc:"What it holds, in the charter's order"`
	Members         int                  `json:"members" doc:"How many members have it"`
	ServiceAccounts int                  `json:"service_accounts" doc:"How many service accounts have it"`
	Grantable       bool                 `json:"grantable" doc:"Whether the caller may give it"`
	Why             string               `json:"why,omitzero" doc:"If not, why" enum:"above_your_level,owners_only,transfer_only"`
	Version         int64                `json:"version,omitzero" cli:"-" doc:"Of a custom role: counts the changes; the ETag"`
}

// ETag is a custom role's version; the charter's roles have none.
func (r Role) ETag() string {
	if r.Version == 0 {
		return ""
	}
	return op.VersionTag(r.Version)
}

// Roles are all roles of an organization.
type Roles struct {
	Data []Role `json:"data" doc:"The roles, lowest first"`
}

// ListRolesInput names the organization.
type ListRolesInput struct{ op.InOrganization }

// ListRoles lists the roles, the charter's and the organization's own, lowest first, with what each holds.
var ListRoles = &op.Op[ListRolesInput, Roles]{
	Name:    "roles.list",
	Route:   "GET /v1/organizations/{organization}/roles",
	Summary: "List the roles and what each holds",
	Allow:   op.AnyOf(op.On("organization.view"), op.ByService),
	Do:      listRoles,
	Example: ListRolesInput{op.InOrganization{Organization: "acme"}},
}

func listRoles(ctx context.Context, tx *op.Tx, _ ListRolesInput) (Roles, error) {
	roles, err := rolesOf(ctx, tx.Reader)
	if err != nil {
		return Roles{}, err
	}
	counts, err := roleCounts(ctx, tx.Reader)
	var all Roles
	for _, role := range roles {
		all.Data = append(all.Data, role.show(tx.Reader, counts[string(role.ID)]))
	}
	return all, err
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
	Target: func(ctx context.Context, r *op.Reader, in GetRoleInput) (op.Target, error) {
		role, err := placeOf(ctx, r, in.Role)
		if err != nil {
			return op.Target{}, err
		}
		return op.Target{Organization: r.Organization(), Type: "role", ID: in.Role, Name: role.Title, Value: role}, nil
	},
	Do: func(ctx context.Context, tx *op.Tx, _ GetRoleInput) (Role, error) {
		role := tx.Target().Value.(placedRole)
		counts, err := roleCounts(ctx, tx.Reader)
		return role.show(tx.Reader, counts[string(role.ID)]), err
	},
	Example: GetRoleInput{op.InOrganization{Organization: "acme"}, "editor"},
}

// placedRole is a role of an organization at its place on a page.
type placedRole struct {
	*charter.Role
	place   int
	custom  bool
	version int64
}

// rolesOf reads the roles of the reader's organization, lowest first. Those that it made stand among the charter's by
// how many permissions they hold, and below the owner role.
func rolesOf(ctx context.Context, r *op.Reader) ([]placedRole, error) {
	own, err := customRoles(ctx, r)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(own, func(a, b placedRole) int {
		return cmp.Or(a.Holds.Len()-b.Holds.Len(), strings.Compare(a.Title, b.Title))
	})
	var all []placedRole
	for _, role := range r.Charter.Roles() {
		for len(own) > 0 && (role.Owner || own[0].Holds.Len() < role.Holds.Len()) {
			all, own = append(all, own[0]), own[1:]
		}
		all = append(all, placedRole{Role: role})
	}
	for i := range all {
		all[i].place = i
	}
	return all, nil
}

// RolesIn are the roles of the reader's organization, lowest first: the charter's, and those that it made.
func RolesIn(ctx context.Context, r *op.Reader) ([]*charter.Role, error) {
	placed, err := rolesOf(ctx, r)
	roles := make([]*charter.Role, len(placed))
	for i, role := range placed {
		roles[i] = role.Role
	}
	return roles, err
}

// customRoles reads the roles that the organization made.
func customRoles(ctx context.Context, r *op.Reader) ([]placedRole, error) {
	rows, err := r.Query(ctx, `SELECT cr.id, cr.title, cr.description, cr.permissions, cr.version
		FROM organization_roles cr WHERE cr.organization = $1 ORDER BY cr.id`, r.Organization())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []placedRole
	for rows.Next() {
		var n namedRole
		p := placedRole{custom: true}
		if err := rows.Scan(&n.id, &n.title, &n.description, &n.permissions, &p.version); err != nil {
			return nil, err
		}
		p.Role, _ = n.role(r.Charter)
		all = append(all, p)
	}
	return all, rows.Err()
}

// placeOf reads a role of the organization with its place.
func placeOf(ctx context.Context, r *op.Reader, id string) (placedRole, error) {
	all, err := rolesOf(ctx, r)
	if err != nil {
		return placedRole{}, err
	}
	for _, role := range all {
		if string(role.ID) == id {
			return role, nil
		}
	}
	return placedRole{}, op.ErrNotFound
}

// show is the role for the caller.
func (p placedRole) show(r *op.Reader, n holderCount) Role {
	d := decide.Grant(r.Charter, &r.Actor.Principal, p.Role)
	out := Role{ID: string(p.ID), Title: p.Title, Description: p.Description, Rank: p.place, Owner: p.Owner, Custom: p.custom,
		Permissions: r.Charter.IDs(p.Holds), Members: n.members, ServiceAccounts: n.accounts, Grantable: d.Allow, Version: p.version}
	if !d.Allow {
		out.Why = string(d.Reason)
	}
	return out
}

// holderCount is how many have a role.
type holderCount struct{ members, accounts int }

func roleCounts(ctx context.Context, r *op.Reader) (map[string]holderCount, error) {
	rows, err := r.Query(ctx, `SELECT m.role, count(*), 0 FROM members m
			WHERE m.organization = $1 AND m.status <> 'removed' GROUP BY m.role
		UNION ALL SELECT a.role, 0, count(*) FROM service_accounts a WHERE a.organization = $1 AND a.deleted_at = 0 GROUP BY a.role`,
		r.Organization())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[string]holderCount{}
	for rows.Next() {
		var role string
		var n holderCount
		if err := rows.Scan(&role, &n.members, &n.accounts); err != nil {
			return nil, err
		}
		counts[role] = holderCount{counts[role].members + n.members, counts[role].accounts + n.accounts}
	}
	return counts, rows.Err()
}
