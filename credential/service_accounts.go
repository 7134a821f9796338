package credential

import (
	"context"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// ServiceAccount is a program of the organization's: its keys may what its role holds, of what organization keys may.
type ServiceAccount struct {
	ID          string         `json:"id" doc:"The service account's id" example:"sva_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name        string         `json:"name" doc:"What people call it; no two have the same" example:"nightly build"`
	Description string         `json:"description,omitzero" cli:"-" doc:"What it does"`
	Role        charter.RoleID `json:"role" doc:"Its role's id" example:"editor"`
	RoleTitle   string         `json:"role_title" cli:"-" doc:"Its role's title" example:"Editor"`
	Manager     string         `json:"manager,omitzero" doc:"The member who looks after it; absent: nobody"`
	Keys        int            `json:"keys" doc:"How many living keys it has"`
	CreatedAt   time.Time      `json:"created_at" doc:"When it was made"`
	CreatedBy   string         `json:"created_by" cli:"-" doc:"Who made it: the id of a user or key, or operator"`
	DeletedAt   time.Time      `json:"deleted_at,omitzero" cli:"-" doc:"When it was deleted"`
	Version     int64          `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
}

// ETag is the service account's version.
func (a ServiceAccount) ETag() string { return op.VersionTag(a.Version) }

const accountColumns = `a.id, a.name, a.description, a.role, COALESCE(r.title, ''), COALESCE(r.permissions, ''), a.manager, a.version,
	a.created_by, a.created_at, a.deleted_at, (SELECT count(*) FROM api_keys k WHERE k.organization = a.organization
		AND k.service_account = a.id AND k.revoked_at = 0 AND (k.expires_at = 0 OR k.expires_at > $2))`

const accountTables = " FROM service_accounts a LEFT JOIN organization_roles r ON r.organization = a.organization AND r.id = a.role"

// accountRow is a service account as it is stored, with what its role holds now.
type accountRow struct {
	id, name, description, roleTitle, manager, createdBy string
	role                                                 charter.RoleID
	holds                                                charter.Set
	version, created, deleted                            int64
	keys                                                 int
}

// scanAccount reads the columns of accountColumns.
func scanAccount(c *charter.Charter, from row) (a accountRow, err error) {
	var permissions string
	err = from.Scan(&a.id, &a.name, &a.description, &a.role, &a.roleTitle, &permissions, &a.manager, &a.version, &a.createdBy, &a.created,
		&a.deleted, &a.keys)
	a.holds = setOf(c, permissions)
	if role, ok := c.Role(a.role); ok {
		a.roleTitle, a.holds = role.Title, role.Holds
	}
	return a, found(err)
}

// accountByID reads a service account of the call's organization, a deleted one too.
func accountByID(ctx context.Context, r *op.Reader, id string) (accountRow, error) {
	return scanAccount(r.Charter, r.QueryRow(ctx, "SELECT "+accountColumns+accountTables+" WHERE a.organization = $1 AND a.id = $3",
		r.Organization(), r.Micros(), id))
}

func (a accountRow) show() ServiceAccount {
	return ServiceAccount{ID: a.id, Name: a.name, Description: a.description, Role: a.role, RoleTitle: a.roleTitle, Manager: a.manager,
		Keys: a.keys, CreatedAt: timeOf(a.created), CreatedBy: a.createdBy, DeletedAt: timeOf(a.deleted), Version: a.version}
}

// ServiceAccountInput names a service account.
type ServiceAccountInput struct {
	op.InOrganization
	ServiceAccount string `json:"service_account" doc:"The service account's id" example:"sva_00000000000000000000000000" maxLength:"64"`
}

var exampleAccount = ServiceAccountInput{op.InOrganization{Organization: "acme"}, "sva_00000000000000000000000000"}

// accountTarget loads a service account. Nobody acts on one that holds what they do not.
func accountTarget(ctx context.Context, r *op.Reader, in ServiceAccountInput) (op.Target, error) {
	a, err := accountByID(ctx, r, in.ServiceAccount)
	if err != nil {
		return op.Target{}, err
	}
	return op.Target{Organization: r.Organization(), Type: "service_account", ID: a.id, Name: a.name, Version: a.version,
		Current: a.show(), Principal: &decide.Principal{Organization: r.Organization(), Holds: a.holds}, Value: a}, nil
}

// ListServiceAccountsInput asks for the service accounts of an organization.
type ListServiceAccountsInput struct {
	op.InOrganization
	op.Page
}

// ListServiceAccounts lists the service accounts, the newest first.
var ListServiceAccounts = &op.Op[ListServiceAccountsInput, op.List[ServiceAccount]]{
	Name:    "service_accounts.list",
	Route:   "GET /v1/organizations/{organization}/service_accounts",
	Summary: "List the service accounts",
	Allow:   op.On("service_accounts.manage"),
	Do:      listServiceAccounts,
	Example: ListServiceAccountsInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listServiceAccounts(ctx context.Context, tx *op.Tx, in ListServiceAccountsInput) (op.List[ServiceAccount], error) {
	before, id := in.Page.AfterNewest()
	rows, err := tx.Query(ctx, "SELECT "+accountColumns+accountTables+` WHERE a.organization = $1 AND a.deleted_at = 0
		AND (a.created_at < $3 OR a.created_at = $3 AND a.id < $4) ORDER BY a.created_at DESC, a.id DESC LIMIT $5`,
		tx.Organization(), tx.Micros(), before, id, in.Size()+1)
	if err != nil {
		return op.List[ServiceAccount]{}, err
	}
	defer rows.Close()
	var accounts []accountRow
	for rows.Next() {
		a, err := scanAccount(tx.Charter, rows)
		if err != nil {
			return op.List[ServiceAccount]{}, err
		}
		accounts = append(accounts, a)
	}
	page := op.Listed(tx.Reader, &in.Page, accounts, func(a accountRow) []string { return op.Newest(a.created, a.id) })
	return shownAs(page, accountRow.show), rows.Err()
}

// CreateServiceAccountInput says what a new service account is to be.
type CreateServiceAccountInput struct {
	op.InOrganization
	Name        string         `json:"name" doc:"What people call it; no two have the same" example:"nightly build" minLength:"1" maxLength:"100"`
	Description string         `json:"description,omitzero" doc:"What it does" maxLength:"500" required:"false"`
	Role        charter.RoleID `json:"role" doc:"Its role: one that holds nothing that you do not, and never the owner role" example:"editor" maxLength:"64"`
	Manager     string         `json:"manager,omitzero" doc:"The member who looks after it; not said: you" maxLength:"64" required:"false"`
}

// Validate refuses a name that nobody could read.
func (in *CreateServiceAccountInput) Validate() []op.FieldError { return checkName(in.Name) }

// CreateServiceAccount makes a service account. It has no key yet: keys.create makes one for it.
var CreateServiceAccount = &op.Op[CreateServiceAccountInput, ServiceAccount]{
	Name:    "service_accounts.create",
	Route:   "POST /v1/organizations/{organization}/service_accounts",
	Summary: "Make a service account",
	Kind:    op.Write,
	Allow:   op.On("service_accounts.manage"),
	Do:      createServiceAccount,
	Example: CreateServiceAccountInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "nightly build", Role: "editor"},
}

func createServiceAccount(ctx context.Context, tx *op.Tx, in CreateServiceAccountInput) (ServiceAccount, error) {
	if !tx.Charter.Rules.Keys.Allows(charter.OrganizationKey) {
		return ServiceAccount{}, op.Errorf(op.Conflict, "no_organization_keys",
			"this product has no organization keys, and only those act for a service account")
	}
	a := accountRow{id: tx.NewID("sva"), name: strings.TrimSpace(in.Name), description: strings.TrimSpace(in.Description),
		manager: in.Manager, version: 1, createdBy: tx.Actor.ID, created: tx.Micros()}
	if err := a.assign(ctx, tx, in.Role, in.Manager); err != nil {
		return ServiceAccount{}, err
	}
	if a.manager == "" {
		a.manager = tx.Actor.Principal.Member
	}
	_, err := tx.Exec(ctx, `INSERT INTO service_accounts (id, organization, name, name_folded, description, role, manager, version,
			created_by, created_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, 0)`,
		a.id, tx.Organization(), a.name, strings.ToLower(a.name), a.description, string(a.role), a.manager, a.createdBy, a.created)
	if err != nil {
		return ServiceAccount{}, nameTaken(err, a.name)
	}
	tx.Also("service_account", a.id, a.name)
	tx.Changed("role", nil, string(a.role))
	return a.show(), nil
}

// nameTaken tells that a name is another's, if that is what the error says.
func nameTaken(err error, name string) error {
	if _, clash := sqldb.Conflict(err); clash {
		return op.Errorf(op.Conflict, "name_taken", "another service account is called %q", name)
	}
	return err
}

// assign gives a service account a role and a manager, if there are such and the actor may give the role. An empty
// manager is not looked for.
func (a *accountRow) assign(ctx context.Context, tx *op.Tx, role charter.RoleID, manager string) error {
	var roles, managers int
	var permissions string
	err := tx.QueryRow(ctx, `SELECT COUNT(r.id), COALESCE(MAX(r.title), ''), COALESCE(MAX(r.permissions), ''),
			(SELECT COUNT(*) FROM members m WHERE m.organization = $1 AND m.id = $3 AND m.status <> 'removed')
		FROM organization_roles r WHERE r.organization = $1 AND r.id = $2`, tx.Organization(), string(role), manager).Scan(
		&roles, &a.roleTitle, &permissions, &managers)
	if err != nil {
		return err
	}
	own := &charter.Role{ID: role, Title: a.roleTitle, Holds: setOf(tx.Charter, permissions)}
	if shipped, ok := tx.Charter.Role(role); ok {
		own = shipped
	} else if roles == 0 {
		return unknownWord("role", "role", string(role), roleIDs(tx.Charter))
	}
	if manager != "" && managers == 0 {
		return op.InvalidField("manager", "unknown", "there is no member %q", manager)
	}
	a.role, a.roleTitle, a.holds = role, own.Title, own.Holds
	return mayAssign(ctx, tx, own)
}

// mayAssign refuses a role that the actor may not give, and the owner role: a program owns nothing.
func mayAssign(ctx context.Context, tx *op.Tx, role *charter.Role) error {
	if role.Owner {
		return op.InvalidField("role", "owner", "a service account is never an owner")
	}
	if d := decide.Grant(tx.Charter, &tx.Actor.Principal, role); !d.Allow {
		return tx.Refuse(ctx, d)
	}
	return nil
}

func roleIDs(c *charter.Charter) (ids []string) {
	for _, role := range c.Roles() {
		ids = append(ids, string(role.ID))
	}
	return ids
}

// UpdateServiceAccountInput says what to change.
type UpdateServiceAccountInput struct {
	ServiceAccountInput
	Name        *string         `json:"name,omitzero" doc:"What people call it; no two have the same" example:"nightly build" maxLength:"100" required:"false"`
	Description *string         `json:"description,omitzero" doc:"What it does" maxLength:"500" required:"false"`
	Role        *charter.RoleID `json:"role,omitzero" doc:"Its role: its keys have the rights of the new one at once" maxLength:"64" required:"false"`
	Manager     *string         `json:"manager,omitzero" doc:"The member who looks after it" maxLength:"64" required:"false"`
}

// Validate refuses a name that nobody could read.
func (in *UpdateServiceAccountInput) Validate() []op.FieldError {
	if in.Name == nil {
		return nil
	}
	return checkName(*in.Name)
}

// UpdateServiceAccount changes a service account. A new role holds for its keys from the moment of the call's return.
var UpdateServiceAccount = &op.Op[UpdateServiceAccountInput, ServiceAccount]{
	Name:    "service_accounts.update",
	Route:   "PATCH /v1/organizations/{organization}/service_accounts/{service_account}",
	Summary: "Change a service account's name, role or manager",
	Kind:    op.Access,
	Allow:   op.On("service_accounts.manage"),
	Target: func(ctx context.Context, r *op.Reader, in UpdateServiceAccountInput) (op.Target, error) {
		return accountTarget(ctx, r, in.ServiceAccountInput)
	},
	Fences:  func(UpdateServiceAccountInput, op.Target) []op.Fence { return nil }, // its keys are found in the transaction
	Do:      updateServiceAccount,
	Example: UpdateServiceAccountInput{ServiceAccountInput: exampleAccount, Name: new("nightly build")},
}

func updateServiceAccount(ctx context.Context, tx *op.Tx, in UpdateServiceAccountInput) (ServiceAccount, error) {
	a, _ := tx.Target().Value.(accountRow)
	if a.deleted != 0 {
		return ServiceAccount{}, op.Errorf(op.Conflict, "deleted", "this service account is deleted")
	}
	was := a
	if err := in.apply(ctx, tx, &a); err != nil {
		return ServiceAccount{}, err
	}
	if a == was {
		tx.Unchanged()
		return a.show(), nil
	}
	a.noteChanges(tx, was)
	a.version++
	_, err := tx.Exec(ctx, `UPDATE service_accounts SET name = $3, name_folded = $4, description = $5, role = $6, manager = $7, version = $8
		WHERE organization = $1 AND id = $2`, tx.Organization(), a.id, a.name, strings.ToLower(a.name), a.description, string(a.role),
		a.manager, a.version)
	if err != nil {
		return ServiceAccount{}, nameTaken(err, a.name)
	}
	if a.role == was.role {
		return a.show(), nil
	}
	return a.show(), a.fenceKeys(ctx, tx)
}

// fenceKeys fences the keys that act for a service account.
func (a accountRow) fenceKeys(ctx context.Context, tx *op.Tx) error {
	return fenceEach(ctx, tx, op.FenceKey, `SELECT id FROM api_keys WHERE organization = $1 AND service_account = $2 AND revoked_at = 0`,
		tx.Organization(), a.id)
}

// GiveAccountRole gives a service account of the call's organization another role in the call's transaction: one that the actor
// may give. Whoever calls it has asked whether the actor may act on it, and names the change in the audit row.
func GiveAccountRole(ctx context.Context, tx *op.Tx, id string, role charter.RoleID) error {
	a, err := accountByID(ctx, tx.Reader, id)
	if err != nil {
		return err
	}
	if err := a.assign(ctx, tx, role, ""); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE service_accounts SET role = $3, version = version + 1 WHERE organization = $1 AND id = $2 AND deleted_at = 0",
		tx.Organization(), a.id, string(a.role)); err != nil {
		return err
	}
	return a.fenceKeys(ctx, tx)
}

// EndServiceAccount deletes a service account of the call's organization and ends its keys, in the call's transaction. Whoever
// calls it has asked whether the actor may, and names the change in the audit row.
func EndServiceAccount(ctx context.Context, tx *op.Tx, id string) error {
	a, err := accountByID(ctx, tx.Reader, id)
	if err != nil || a.deleted != 0 {
		return err
	}
	return a.end(ctx, tx)
}

// apply takes the new values over.
func (in UpdateServiceAccountInput) apply(ctx context.Context, tx *op.Tx, a *accountRow) error {
	if in.Name != nil {
		a.name = strings.TrimSpace(*in.Name)
	}
	if in.Description != nil {
		a.description = strings.TrimSpace(*in.Description)
	}
	role := a.role
	if in.Role != nil {
		role = *in.Role
	}
	manager := ""
	if in.Manager != nil {
		a.manager, manager = *in.Manager, *in.Manager
	}
	if role == a.role && manager == "" {
		return nil
	}
	return a.assign(ctx, tx, role, manager)
}

// noteChanges notes for the audit row what is different.
func (a accountRow) noteChanges(tx *op.Tx, was accountRow) {
	for _, f := range []struct{ field, before, after string }{
		{"name", was.name, a.name}, {"description", was.description, a.description},
		{"role", string(was.role), string(a.role)}, {"manager", was.manager, a.manager},
	} {
		if f.before != f.after {
			tx.Changed(f.field, f.before, f.after)
		}
	}
}

// fenceEach fences everything whose id a statement gives.
func fenceEach(ctx context.Context, tx *op.Tx, kind op.FenceKind, query string, args ...any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		tx.Fence(op.Fence{Kind: kind, ID: id})
	}
	return rows.Err()
}

// DeleteServiceAccount ends a service account and all of its keys. Deleting it again changes nothing.
var DeleteServiceAccount = &op.Op[ServiceAccountInput, ServiceAccount]{
	Name:    "service_accounts.delete",
	Route:   "DELETE /v1/organizations/{organization}/service_accounts/{service_account}",
	Summary: "Delete a service account; its keys end at once",
	Kind:    op.Access,
	Allow:   op.On("service_accounts.manage"),
	Confirm: op.L2,
	Fresh:   true,
	Target:  accountTarget,
	Fences:  func(ServiceAccountInput, op.Target) []op.Fence { return nil }, // its keys are found in the transaction
	Do:      deleteServiceAccount,
	Example: exampleAccount,
}

func deleteServiceAccount(ctx context.Context, tx *op.Tx, _ ServiceAccountInput) (ServiceAccount, error) {
	a, _ := tx.Target().Value.(accountRow)
	if a.deleted != 0 {
		tx.Unchanged()
		return a.show(), nil
	}
	tx.Changed("deleted", false, true)
	tx.Changed("keys", a.keys, 0)
	err := a.end(ctx, tx)
	return a.show(), err
}

// end deletes a service account and ends its keys.
func (a *accountRow) end(ctx context.Context, tx *op.Tx) error {
	a.deleted, a.keys, a.version = tx.Micros(), 0, a.version+1
	if _, err := tx.Exec(ctx, "UPDATE service_accounts SET deleted_at = $3, version = $4 WHERE organization = $1 AND id = $2",
		tx.Organization(), a.id, a.deleted, a.version); err != nil {
		return err
	}
	return fenceEach(ctx, tx, op.FenceKey, `UPDATE api_keys SET revoked_at = $3, revoked_by = $4,
		revoked_reason = 'service account deleted', version = version + 1
		WHERE organization = $1 AND service_account = $2 AND revoked_at = 0`+tx.Quiet()+` RETURNING id`, tx.Organization(), a.id, a.deleted, tx.Actor.ID)
}
