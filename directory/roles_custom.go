package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// MaxRoles is how many roles of its own an organization can have.
const MaxRoles = 100

// everybodys is the permission without which no role is of use: every role has it.
const everybodys charter.Permission = "organization.view"

// CreateRoleInput says what a new role is called and what it holds.
type CreateRoleInput struct {
	op.InOrganization
	Title       string               `json:"title" doc:"What people call it; no other role of the organization has this title" minLength:"1" maxLength:"60" example:"Billing clerk"`
	Description string               `json:"description,omitzero" doc:"What it is for" maxLength:"300"`
	Permissions []charter.Permission `json:"permissions,omitzero" doc:"What it holds, beside organization.view, which every role does; you may put in only what you hold yourself" maxItems:"300" required:"false" example:"[\"billing.view\"]"`
	From        string               `json:"from,omitzero" doc:"A role to begin with: the new one holds what that one does, and permissions besides" maxLength:"64" example:"viewer"`
}

// Validate checks title and description, and that there is something to make the role of.
func (in CreateRoleInput) Validate() []op.FieldError {
	wrong := append(checkDisplay("title", in.Title, 1), checkDisplay("description", in.Description, 0)...)
	if len(in.Permissions) == 0 && in.From == "" {
		wrong = append(wrong, op.FieldError{Pointer: "/permissions", Code: "required", Detail: "say permissions, from or both"})
	}
	return wrong
}

// CreateRole makes a role of an organization's own, out of permissions of the charter that the author holds.
var CreateRole = &op.Op[CreateRoleInput, Role]{
	Name:    "roles.create",
	Route:   "POST /v1/organizations/{organization}/roles",
	Summary: "Make a role of your own out of permissions that you hold",
	Kind:    op.Write,
	Allow:   op.On("roles.manage"),
	Do:      createRole,
	Confirm: op.L1,
	Example: CreateRoleInput{InOrganization: op.InOrganization{Organization: "acme"}, Title: "Billing clerk", Permissions: []charter.Permission{"billing.view"}},
}

func createRole(ctx context.Context, tx *op.Tx, in CreateRoleInput) (Role, error) {
	roles, err := rolesOf(ctx, tx.Reader)
	if err != nil {
		return Role{}, err
	}
	if len(roles) >= MaxRoles+len(tx.Charter.Roles()) {
		return Role{}, op.Errorf(op.Conflict, "too_many_roles", "an organization has at most %d roles of its own", MaxRoles)
	}
	holds, err := in.holds(ctx, tx.Reader, roles)
	if err != nil {
		return Role{}, err
	}
	title, description := cleanDisplay(in.Title), cleanDisplay(in.Description)
	if err := titleFree(tx.Charter, title); err != nil {
		return Role{}, err
	}
	made := placedRole{Role: &charter.Role{ID: charter.RoleID(tx.NewID("rol")), Title: title, Description: description, Holds: holds}, custom: true, version: 1}
	permissions := permissionText(tx.Charter, holds)
	_, err = tx.Exec(ctx, `INSERT INTO organization_roles (id, organization, title, title_folded, description, permissions, version, created_by,
		created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $8)`, string(made.ID), tx.Organization(), title,
		strings.ToLower(title), description, permissions, tx.Actor.ID, tx.Micros())
	if _, taken := sqldb.Conflict(err); taken {
		return Role{}, titleTaken(title)
	}
	tx.Also("role", string(made.ID), title)
	tx.Changed("permissions", nil, permissions)
	return made.show(tx.Reader, holderCount{}), err
}

// holds is what the new role would hold, if the author may put that in.
func (in CreateRoleInput) holds(ctx context.Context, r *op.Reader, roles []placedRole) (charter.Set, error) {
	set, err := withEverybodys(r.Charter, in.Permissions)
	if err != nil {
		return set, err
	}
	if in.From == "" {
		return set, demandAll(ctx, r, set)
	}
	for _, role := range roles {
		if string(role.ID) == in.From {
			set = set.Union(role.Holds)
			return set, demandAll(ctx, r, set)
		}
	}
	return set, op.InvalidField("from", "unknown", "there is no role %q", in.From)
}

// withEverybodys reads the permissions of a role.
func withEverybodys(c *charter.Charter, named []charter.Permission) (charter.Set, error) {
	set, err := permissionsNamed(c, "permissions", named)
	every, _ := c.Need(everybodys)
	return set.Union(every), err
}

// demandAll refuses a set in which there is something that the actor does not hold, and names it. T-023.
func demandAll(ctx context.Context, r *op.Reader, set charter.Set) error {
	lacks := set.Minus(r.Actor.Principal.Holds)
	if lacks.Empty() {
		return nil
	}
	return r.Demand(ctx, r.Charter.IDs(lacks)[0])
}

// titleFree refuses a title by which one of the charter's roles is known.
func titleFree(c *charter.Charter, title string) error {
	for _, role := range c.Roles() {
		if strings.EqualFold(role.Title, title) {
			return titleTaken(title)
		}
	}
	return nil
}

func titleTaken(title string) error {
	e := op.InvalidField("title", "taken", "there is a role called %q already", title)
	e.Kind, e.Code = op.Conflict, "title_taken"
	return e
}

// customRow is a role that the organization made, with how many have it.
type customRow struct {
	namedRole
	version int64
	holderCount
	*charter.Role
}

// customTarget loads a role to be changed. The charter's own cannot be, and nobody changes one that holds more than
// they do.
func customTarget(ctx context.Context, r *op.Reader, role string) (op.Target, error) {
	if known, ok := r.Charter.Role(charter.RoleID(role)); ok {
		return op.Target{Organization: r.Organization(), Type: "role", ID: role, Name: known.Title}, nil
	}
	if !id.Valid("rol", role) {
		return op.Target{}, op.ErrNotFound
	}
	c := customRow{namedRole: namedRole{id: role}}
	err := r.QueryRow(ctx, `SELECT cr.title, cr.description, cr.permissions, cr.version,
			(SELECT count(*) FROM members m WHERE m.organization = $1 AND m.role = cr.id AND m.status <> 'removed'),
			(SELECT count(*) FROM service_accounts a WHERE a.organization = $1 AND a.role = cr.id AND a.deleted_at = 0)
		FROM organization_roles cr WHERE cr.organization = $1 AND cr.id = $2`, r.Organization(), role).Scan(
		&c.title, &c.description, &c.permissions, &c.version, &c.members, &c.accounts)
	if err != nil {
		return op.Target{}, missing(err)
	}
	c.Role, _ = c.role(r.Charter)
	return op.Target{Organization: r.Organization(), Type: "role", ID: role, Name: c.title, Version: c.version,
		Current: c.shown(r), Principal: &decide.Principal{Holds: c.Holds}, Value: c}, nil
}

// shown is the role for the caller, but for its place among the others.
func (c customRow) shown(r *op.Reader) Role {
	return placedRole{Role: c.Role, custom: true, version: c.version}.show(r, c.holderCount)
}

// customOf is the role that Target loaded, unless it is the charter's.
func customOf(t *op.Target) (customRow, error) {
	c, ok := t.Value.(customRow)
	if !ok {
		return c, op.Errorf(op.Conflict, "charter_role", "the role %s is one of the product itself, which nobody changes: make one of your own from it", t.Name)
	}
	return c, nil
}

// UpdateRoleInput says what to change of a role; what is left out stays.
type UpdateRoleInput struct {
	GetRoleInput
	Title       *string              `json:"title,omitzero" doc:"What people call it" minLength:"1" maxLength:"60"`
	Description *string              `json:"description,omitzero" doc:"What it is for" maxLength:"300"`
	Permissions []charter.Permission `json:"permissions,omitzero" doc:"All that it holds from now on, beside organization.view; you may put in only what you hold yourself" maxItems:"300" required:"false"`
	Reason      string               `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500"`
}

// Validate checks title and description, and that there is something to do.
func (in UpdateRoleInput) Validate() []op.FieldError {
	var wrong []op.FieldError
	if in.Title != nil {
		wrong = append(wrong, checkDisplay("title", *in.Title, 1)...)
	}
	if in.Description != nil {
		wrong = append(wrong, checkDisplay("description", *in.Description, 0)...)
	}
	if in.Title == nil && in.Description == nil && in.Permissions == nil {
		wrong = append(wrong, op.FieldError{Pointer: "", Code: "required", Detail: "say title, description or permissions"})
	}
	return wrong
}

// UpdateRole changes a role of the organization's own. Whoever has it gains and loses at once what it gains and loses.
var UpdateRole = &op.Op[UpdateRoleInput, Role]{
	Name:    "roles.update",
	Route:   "PATCH /v1/organizations/{organization}/roles/{role}",
	Summary: "Change a role of your own: whoever has it gains and loses at once",
	Kind:    op.Access,
	Allow:   op.On("roles.manage"),
	Target: func(ctx context.Context, r *op.Reader, in UpdateRoleInput) (op.Target, error) {
		return customTarget(ctx, r, in.Role)
	},
	Fences:  func(UpdateRoleInput, op.Target) []op.Fence { return nil }, // whoever has the role: see fenceHolders
	Preview: previewRoleUpdate,
	Do:      updateRole,
	Confirm: op.L1,
	Example: UpdateRoleInput{GetRoleInput: exampleRole, Title: new("Accounting")},
}

var exampleRole = GetRoleInput{op.InOrganization{Organization: "acme"}, "rol_00000000000000000000000000"}

func updateRole(ctx context.Context, tx *op.Tx, in UpdateRoleInput) (Role, error) {
	was, err := customOf(tx.Target())
	if err != nil {
		return Role{}, err
	}
	tx.Because(in.Reason)
	now, err := was.changed(ctx, tx.Reader, in)
	if err != nil {
		return Role{}, err
	}
	if now.namedRole == was.namedRole {
		tx.Unchanged()
		return was.shown(tx.Reader), nil
	}
	for _, f := range []struct{ name, before, after string }{{"title", was.title, now.title},
		{"description", was.description, now.description}, {"permissions", was.permissions, now.permissions}} {
		note(tx, f.name, &f.before, &f.after)
	}
	now.version++
	if _, err = tx.Exec(ctx, `UPDATE organization_roles SET title = $3, title_folded = $4, description = $5, permissions = $6, version = $7,
		updated_at = $8 WHERE organization = $1 AND id = $2`, tx.Organization(), was.id, now.title, strings.ToLower(now.title), now.description,
		now.permissions, now.version, tx.Micros()); err != nil {
		if _, taken := sqldb.Conflict(err); taken {
			err = titleTaken(now.title)
		}
		return Role{}, err
	}
	now.Role, _ = now.role(tx.Charter)
	if now.Holds != was.Holds {
		err = was.fenceHolders(ctx, tx)
	}
	return now.shown(tx.Reader), err
}

// changed is the role as the input wants it, if the author may have it so.
func (c customRow) changed(ctx context.Context, r *op.Reader, in UpdateRoleInput) (customRow, error) {
	if in.Title != nil {
		c.title = cleanDisplay(*in.Title)
	}
	if in.Description != nil {
		c.description = cleanDisplay(*in.Description)
	}
	if err := titleFree(r.Charter, c.title); err != nil {
		return c, err
	}
	if in.Permissions == nil {
		return c, nil
	}
	set, err := withEverybodys(r.Charter, in.Permissions)
	if err != nil {
		return c, err
	}
	c.permissions = permissionText(r.Charter, set)
	c.Role, _ = c.role(r.Charter)
	return c, demandAll(ctx, r, set)
}

// fenceHolders fences everybody who has the role: members, and the keys of service accounts.
func (c customRow) fenceHolders(ctx context.Context, tx *op.Tx) error {
	if c.members+c.accounts == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `SELECT 0, m.user_id FROM members m WHERE m.organization = $1 AND m.role = $2 AND m.status <> 'removed'
		UNION ALL SELECT 1, k.id FROM api_keys k JOIN service_accounts a ON a.organization = k.organization AND a.id = k.service_account
			WHERE k.organization = $1 AND a.role = $2 AND k.revoked_at = 0`, tx.Organization(), c.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var account int
		var holder string
		if err := rows.Scan(&account, &holder); err != nil {
			return err
		}
		tx.Fence(op.Fence{Kind: [...]op.FenceKind{op.FenceUser, op.FenceKey}[account], ID: holder})
	}
	return rows.Err()
}

// DeleteRoleInput names a role and where those go who have it.
type DeleteRoleInput struct {
	GetRoleInput
	MoveTo string `json:"move_to,omitzero" doc:"The role that its members and service accounts have from now on; needed where there are some" maxLength:"64" example:"viewer"`
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500"`
}

// DeletedRole is what came of deleting a role.
type DeletedRole struct {
	Role            string `json:"role" doc:"The role's id, which is not used again"`
	MovedTo         string `json:"moved_to,omitzero" doc:"The role that those have who had it"`
	Members         int    `json:"members" doc:"How many members moved"`
	ServiceAccounts int    `json:"service_accounts" doc:"How many service accounts moved"`
}

// DeleteRole deletes a role of the organization's own, after moving whoever has it to another one. Invitations to the
// role wait until somebody chooses another for them.
var DeleteRole = &op.Op[DeleteRoleInput, DeletedRole]{
	Name:    "roles.delete",
	Route:   "POST /v1/organizations/{organization}/roles/{role}/delete",
	Summary: "Delete a role of your own, and move whoever has it to another",
	Kind:    op.Access,
	Allow:   op.On("roles.manage"),
	Target: func(ctx context.Context, r *op.Reader, in DeleteRoleInput) (op.Target, error) {
		return customTarget(ctx, r, in.Role)
	},
	Fences:  func(DeleteRoleInput, op.Target) []op.Fence { return nil }, // whoever has the role: see fenceHolders
	Preview: previewRoleDelete,
	Do:      deleteRole,
	Confirm: op.L2,
	Fresh:   true,
	Example: DeleteRoleInput{GetRoleInput: exampleRole, MoveTo: "viewer"},
}

func deleteRole(ctx context.Context, tx *op.Tx, in DeleteRoleInput) (DeletedRole, error) {
	c, err := customOf(tx.Target())
	if err != nil {
		return DeletedRole{}, err
	}
	tx.Because(in.Reason)
	if _, err := c.movable(ctx, tx.Reader, in.MoveTo); err != nil {
		return DeletedRole{}, err
	}
	if err := c.move(ctx, tx, in.MoveTo); err != nil {
		return DeletedRole{}, err
	}
	tx.Changed("permissions", c.permissions, nil)
	n, err := tx.Exec(ctx, "DELETE FROM organization_roles WHERE organization = $1 AND id = $2 AND NOT EXISTS (SELECT 1 FROM ("+rolesGiven+
		") g WHERE g.organization = $1 AND g.role = $2)", tx.Organization(), c.id)
	if err == nil && n == 0 {
		err = c.notGiven(ctx, tx.Reader)
	}
	out := DeletedRole{Role: c.id, Members: c.members, ServiceAccounts: c.accounts}
	if c.members+c.accounts > 0 {
		out.MovedTo = in.MoveTo
		tx.Changed("moved_to", c.id, in.MoveTo)
	}
	return out, err
}

// movable finds the role that those get who have this one. A role in use is not deleted without.
func (c customRow) movable(ctx context.Context, r *op.Reader, to string) (*charter.Role, error) {
	if to == "" {
		if c.members+c.accounts == 0 {
			return &charter.Role{}, nil
		}
		return nil, op.Errorf(op.Conflict, "role_in_use", "%s: say in move_to which role they get", c.used())
	}
	role, err := RoleOf(ctx, r, to)
	switch {
	case errors.Is(err, op.ErrNotFound):
		return nil, op.InvalidField("move_to", "unknown", "there is no role %q", to)
	case err != nil:
		return nil, err
	case to == c.id:
		return nil, op.InvalidField("move_to", "invalid", "move_to is the role that is deleted")
	case role.Owner:
		return nil, op.InvalidField("move_to", "owner", "nobody becomes an owner this way: name another role")
	}
	if d := decide.Grant(r.Charter, &r.Actor.Principal, role); !d.Allow {
		return nil, r.Refuse(ctx, d)
	}
	return role, nil
}

// rolesGiven are the roles that newcomers get by a directory, a domain or a provider, whatever becomes of members.
const rolesGiven = `SELECT organization, role, 'a directory' AS giver FROM directory_mappings
	UNION ALL SELECT organization, default_role, 'a directory' FROM directories WHERE default_role <> ''
	UNION ALL SELECT organization, role, 'a domain' FROM domains WHERE role <> ''
	UNION ALL SELECT organization, role, 'a connection' FROM connections WHERE role <> ''
	UNION ALL SELECT organization, role, 'a connection' FROM connection_roles`

// notGiven refuses to delete a role that something goes on to give: whoever set that up chooses another one first.
func (c customRow) notGiven(ctx context.Context, r *op.Reader) error {
	var giver string
	err := r.QueryRow(ctx, "SELECT g.giver FROM ("+rolesGiven+") g WHERE g.organization = $1 AND g.role = $2 LIMIT 1", r.Organization(), c.id).Scan(&giver)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return op.Errorf(op.Conflict, "role_given", "%s of the organization gives this role: choose another one there first", giver)
}

// used says who has the role.
func (c customRow) used() string {
	var parts []string
	if c.members > 0 {
		parts = append(parts, plural(c.members, "member", "members"))
	}
	if c.accounts > 0 {
		parts = append(parts, plural(c.accounts, "service account", "service accounts"))
	}
	verb := "have"
	if c.members+c.accounts == 1 {
		verb = "has"
	}
	return fmt.Sprintf("%s %s this role", strings.Join(parts, " and "), verb)
}

// move gives members and service accounts another role, and fences them.
func (c customRow) move(ctx context.Context, tx *op.Tx, to string) error {
	if c.members > 0 {
		if err := c.moveMembers(ctx, tx, to); err != nil {
			return err
		}
	}
	if c.accounts == 0 {
		return nil
	}
	if err := c.fenceHolders(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "UPDATE service_accounts SET role = $3, version = version + 1 WHERE organization = $1 AND role = $2 AND deleted_at = 0",
		tx.Organization(), c.id, to)
	return err
}

func (c customRow) moveMembers(ctx context.Context, tx *op.Tx, to string) error {
	rows, err := tx.Query(ctx, `UPDATE members SET role = $3, version = version + 1
		WHERE organization = $1 AND role = $2 AND status <> 'removed' RETURNING user_id`, tx.Organization(), c.id, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var user string
		if err := rows.Scan(&user); err != nil {
			return err
		}
		tx.Fence(op.Fence{Kind: op.FenceUser, ID: user})
	}
	return rows.Err()
}
