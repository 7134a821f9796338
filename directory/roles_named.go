package directory

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/op"
)

// namedRole is a role as a row names it: one of the charter's by its id alone, one that the organization made with what
// the table keeps of it.
type namedRole struct{ id, title, description, permissions string }

// role is the role that is named; false: there is none of that name any more.
func (n namedRole) role(c *charter.Charter) (*charter.Role, bool) {
	if role, ok := c.Role(charter.RoleID(n.id)); ok {
		return role, true
	}
	if n.title == "" {
		return nil, false
	}
	holds, _ := holdsOf(c, n.id, n.permissions)
	return &charter.Role{ID: charter.RoleID(n.id), Title: n.title, Description: n.description, Holds: holds}, true
}

// label is the role's title; one that does not exist any more keeps its id.
func (n namedRole) label(c *charter.Charter) string {
	if role, ok := n.role(c); ok {
		return role.Title
	}
	return n.id
}

// namedAs names a role as a row would.
func namedAs(role *charter.Role) namedRole {
	return namedRole{id: string(role.ID), title: role.Title, description: role.Description}
}

// RoleOf is a role of the reader's organization by its id: the charter's, or one that the organization made. Without
// such a role it returns op.ErrNotFound.
func RoleOf(ctx context.Context, r *op.Reader, role string) (*charter.Role, error) {
	if known, ok := r.Charter.Role(charter.RoleID(role)); ok {
		return known, nil
	}
	if !id.Valid("rol", role) {
		return nil, op.ErrNotFound
	}
	n := namedRole{id: role}
	err := r.QueryRow(ctx, "SELECT cr.title, cr.description, cr.permissions FROM organization_roles cr WHERE cr.organization = $1 AND cr.id = $2",
		r.Organization(), role).Scan(&n.title, &n.description, &n.permissions)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, op.ErrNotFound
	}
	found, _ := n.role(r.Charter)
	return found, err
}

// knownRole is a role that an input names, or says which there are.
func knownRole(ctx context.Context, r *op.Reader, named string) (*charter.Role, error) {
	role, err := RoleOf(ctx, r, named)
	if errors.Is(err, op.ErrNotFound) {
		return nil, unknownRole(ctx, r, named)
	}
	return role, err
}

func unknownRole(ctx context.Context, r *op.Reader, named string) error {
	roles, err := rolesOf(ctx, r)
	if err != nil {
		return err
	}
	ids := make([]string, len(roles))
	for i, role := range roles {
		ids[i] = string(role.ID)
	}
	if near := charter.Nearest(named, ids); near != "" {
		return op.InvalidField("role", "unknown", "there is no role %q; did you mean %q?", named, near)
	}
	return op.InvalidField("role", "unknown", "there is no role %q: the roles are %s", named, strings.Join(ids, ", "))
}

// RolesHolding are the ids of the roles of the reader's organization that hold a permission or all parts of a bundle,
// those that it made among them. A permission that the charter does not have is held by none.
func RolesHolding(ctx context.Context, r *op.Reader, p charter.Permission) ([]string, error) {
	need, ok := r.Charter.Need(p)
	if !ok {
		return nil, nil
	}
	roles, err := rolesOf(ctx, r)
	var ids []string
	for _, role := range roles {
		if need.SubsetOf(role.Holds) {
			ids = append(ids, string(role.ID))
		}
	}
	return ids, err
}

// permissionText writes a set as the tables keep it: ids in the charter's order, with spaces between.
func permissionText(c *charter.Charter, set charter.Set) string { return joined(c.IDs(set), " ") }

func joined(permissions []charter.Permission, by string) string {
	words := make([]string, len(permissions))
	for i, p := range permissions {
		words[i] = string(p)
	}
	return strings.Join(words, by)
}

// permissionsNamed reads permissions that an input names, bundles as their parts.
func permissionsNamed(c *charter.Charter, field string, named []charter.Permission) (charter.Set, error) {
	set, unknown := c.SetOf(named)
	if len(unknown) == 0 {
		return set, nil
	}
	var ids []string
	for _, info := range c.Permissions() {
		ids = append(ids, string(info.ID))
	}
	hint := charter.Nearest(string(unknown[0]), ids)
	if hint != "" {
		return set, op.InvalidField(field, "unknown", "this product has no permission %q; did you mean %q?", unknown[0], hint)
	}
	return set, op.InvalidField(field, "unknown", "this product has no permission %q", unknown[0])
}
