package scim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Directory is a company's own directory, which makes and ends members.
type Directory struct {
	ID           string     `json:"id" doc:"The directory's id" example:"dir_01k..."`
	Name         string     `json:"name" doc:"What people call it" example:"Okta"`
	BaseURL      string     `json:"base_url" cli:"-" doc:"What the directory is given as its SCIM address, with its token"`
	DefaultRole  string     `json:"default_role,omitzero" doc:"The role of whom no mapped group names; absent: they have no access" example:"viewer"`
	Deactivation string     `json:"deactivation" enum:"suspend,remove" doc:"What becomes of a member who is not active there any more"`
	TokenLast4   string     `json:"token_last4" cli:"-" doc:"The last four characters of the token"`
	TokenAt      time.Time  `json:"token_at" cli:"-" doc:"When the token was made"`
	LastSyncAt   *time.Time `json:"last_sync_at,omitzero" doc:"When the directory last sent something; to the minute"`
	Users        int        `json:"users" doc:"How many people it has told of"`
	Groups       int        `json:"groups" doc:"How many groups"`
	Version      int64      `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
	CreatedAt    time.Time  `json:"created_at" cli:"-"`
}

// ETag is the directory's version.
func (d Directory) ETag() string { return op.VersionTag(d.Version) }

func (d Directory) policy(r *op.Reader) policy {
	return policy{directory: d.ID, defaultRole: d.DefaultRole, deactivation: d.Deactivation, owner: string(r.Charter.OwnerRole().ID)}
}

const directoryColumns = `d.id, d.name, d.default_role, d.deactivation, d.token_last4, d.token_at, d.last_sync_at, d.version, d.created_at,
	(SELECT COUNT(*) FROM directory_users s WHERE s.organization = d.organization AND s.directory = d.id),
	(SELECT COUNT(*) FROM directory_groups g WHERE g.organization = d.organization AND g.directory = d.id)`

func scanDirectory(r *op.Reader, row interface{ Scan(...any) error }) (Directory, error) {
	var d Directory
	var token, synced, created int64
	err := row.Scan(&d.ID, &d.Name, &d.DefaultRole, &d.Deactivation, &d.TokenLast4, &token, &synced, &d.Version, &created, &d.Users, &d.Groups)
	if errors.Is(err, sql.ErrNoRows) {
		return d, op.ErrNotFound
	}
	d.BaseURL = r.Settings.BaseURL + "/scim/v2/" + d.ID
	d.TokenAt, d.CreatedAt = time.UnixMicro(token).UTC(), time.UnixMicro(created).UTC()
	if synced != 0 {
		at := time.UnixMicro(synced).UTC()
		d.LastSyncAt = &at
	}
	return d, err
}

func directoryByID(ctx context.Context, r *op.Reader, id string) (Directory, error) {
	return scanDirectory(r, r.QueryRow(ctx, "SELECT "+directoryColumns+" FROM directories d WHERE d.organization = $1 AND d.id = $2", r.Organization(), id))
}

// DirectoryInput names a directory.
type DirectoryInput struct {
	op.InOrganization
	Directory string `json:"directory" doc:"The directory's id" maxLength:"64" example:"dir_01k..."`
}

var exampleDirectory = DirectoryInput{op.InOrganization{Organization: "acme"}, "dir_00000000000000000000000000"}

func directoryTarget(ctx context.Context, r *op.Reader, in DirectoryInput) (op.Target, error) {
	d, err := directoryByID(ctx, r, in.Directory)
	return op.Target{Organization: r.Organization(), Type: "directory", ID: d.ID, Name: d.Name, Version: d.Version, Current: d, Value: d}, err
}

func nobody[In any](In, op.Target) []op.Fence { return nil } // whom it concerns: see directory.Manage

// CreateDirectoryInput says how a directory is called and what it gives.
type CreateDirectoryInput struct {
	op.InOrganization
	Name         string `json:"name" doc:"What people call it" minLength:"1" maxLength:"80" cli:"arg" example:"Okta"`
	DefaultRole  string `json:"default_role,omitzero" doc:"The role of whom no mapped group names; left out: they have no access. You may give only what you hold" maxLength:"64" example:"viewer"`
	Deactivation string `json:"deactivation,omitzero" doc:"What becomes of a member who is not active there any more" enum:"suspend,remove" default:"suspend" required:"false"`
}

// Validate checks the name.
func (in CreateDirectoryInput) Validate() []op.FieldError { return checkName(in.Name) }

func checkName(name string) []op.FieldError {
	if strings.TrimSpace(name) == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return []op.FieldError{{Pointer: "/name", Code: "invalid", Detail: "a name has to have letters, and no line breaks"}}
	}
	return nil
}

// NewDirectory is a directory with its token, which is shown once.
type NewDirectory struct {
	Directory
	Secret      string `json:"secret,omitzero" doc:"The bearer token that the directory is given: it is shown this once"`
	SecretShown bool   `json:"secret_shown" doc:"Whether secret is there: a repeat of the request does not show it again"`
}

// WithoutSecret is what a repeat of the request is answered.
func (d NewDirectory) WithoutSecret() any {
	d.Secret, d.SecretShown = "", false
	return d
}

// CreateDirectory makes a directory and its token. Until it is told of somebody, nothing changes for anybody.
var CreateDirectory = &op.Op[CreateDirectoryInput, NewDirectory]{
	Name:    "directories.create",
	Route:   "POST /v1/organizations/{organization}/directories",
	Summary: "Let a company's directory manage members by SCIM; its token is shown once",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: directory.SSO,
	Fresh:   true,
	Confirm: op.L1,
	Do:      createDirectory,
	Example: CreateDirectoryInput{InOrganization: op.InOrganization{Organization: "acme"}, Name: "Okta", DefaultRole: "viewer", Deactivation: "suspend"},
}

func createDirectory(ctx context.Context, tx *op.Tx, in CreateDirectoryInput) (NewDirectory, error) {
	if err := mayMap(ctx, tx.Reader, "default_role", in.DefaultRole); err != nil {
		return NewDirectory{}, err
	}
	if in.Deactivation == "" {
		in.Deactivation = "suspend"
	}
	token := secret.New(nil, tx.Charter.KeyPrefix, directory.DirectoryTokenKind)
	hash := token.Hash()
	d := Directory{ID: tx.NewID("dir"), Name: strings.TrimSpace(in.Name), DefaultRole: in.DefaultRole, Deactivation: in.Deactivation,
		TokenLast4: token.Last4(), TokenAt: tx.Now, Version: 1, CreatedAt: tx.Now}
	d.BaseURL = tx.Settings.BaseURL + "/scim/v2/" + d.ID
	_, err := tx.Exec(ctx, `INSERT INTO directories (id, organization, name, name_folded, default_role, deactivation, token_hash, token_last4, token_at,
			recovery_epoch, last_sync_at, version, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (SELECT recovery_epoch FROM instance WHERE id = 'instance'), 0, 1, $10, $9)`,
		d.ID, tx.Organization(), d.Name, strings.ToLower(d.Name), d.DefaultRole, d.Deactivation, hash[:], d.TokenLast4, tx.Micros(), tx.Actor.ID)
	tx.Also("directory", d.ID, d.Name)
	tx.Changed("default_role", nil, d.DefaultRole)
	tx.Changed("deactivation", nil, d.Deactivation)
	return NewDirectory{Directory: d, Secret: token.Reveal(), SecretShown: true}, nameTaken(err, d.Name)
}

func nameTaken(err error, name string) error {
	if _, taken := sqldb.Conflict(err); taken {
		return op.Errorf(op.Conflict, "name_taken", "another directory is called %q", name)
	}
	return err
}

// mayMap refuses a role that a directory may not give, or of which whoever configures it holds less. T-013, T-083.
func mayMap(ctx context.Context, r *op.Reader, field, role string) error {
	if role == "" {
		return nil
	}
	found, err := directory.RoleOf(ctx, r, role)
	switch {
	case errors.Is(err, op.ErrNotFound):
		return op.InvalidField(field, "unknown", "there is no role %q", role)
	case err != nil:
		return err
	case found.Owner:
		return op.InvalidField(field, "owner", "a directory makes nobody an owner: name another role")
	}
	if d := decide.Grant(r.Charter, &r.Actor.Principal, found); !d.Allow {
		return r.Refuse(ctx, d)
	}
	return nil
}

// ListDirectoriesInput asks for the directories of an organization.
type ListDirectoriesInput struct {
	op.InOrganization
	op.Page
}

// ListDirectories lists the directories, in the order in which they were made.
var ListDirectories = &op.Op[ListDirectoriesInput, op.List[Directory]]{
	Name:    "directories.list",
	Route:   "GET /v1/organizations/{organization}/directories",
	Summary: "List the directories that manage members by SCIM",
	Allow:   op.On("sso.configure"),
	Do:      listDirectories,
	Example: ListDirectoriesInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

func listDirectories(ctx context.Context, tx *op.Tx, in ListDirectoriesInput) (op.List[Directory], error) {
	after := ""
	if position := in.After(); len(position) == 1 {
		after = position[0]
	}
	rows, err := tx.Query(ctx, "SELECT "+directoryColumns+" FROM directories d WHERE d.organization = $1 AND d.id > $2 ORDER BY d.id LIMIT $3",
		tx.Organization(), after, in.Size()+1)
	if err != nil {
		return op.List[Directory]{}, err
	}
	defer rows.Close()
	var all []Directory
	for rows.Next() {
		d, err := scanDirectory(tx.Reader, rows)
		if err != nil {
			return op.List[Directory]{}, err
		}
		all = append(all, d)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(d Directory) []string { return []string{d.ID} }), rows.Err()
}

// DirectoryDetails are a directory with its mapping and what went wrong last.
type DirectoryDetails struct {
	Directory
	Mapping []MappedGroup `json:"mapping" doc:"Which group gives which role: the first that names one of somebody's groups counts"`
	Errors  []SyncError   `json:"errors" doc:"The last 20 requests of the directory that were refused, the newest first"`
}

// MappedGroup is a group and the role that it gives.
type MappedGroup struct {
	Group string `json:"group" doc:"The group's id" example:"scg_01k..."`
	Name  string `json:"name" doc:"What the directory calls it now"`
	Role  string `json:"role" example:"editor"`
}

// SyncError is a request of a directory that was refused.
type SyncError struct {
	At      time.Time `json:"at"`
	Request string    `json:"request" doc:"What was asked" example:"PATCH /Users/scu_01k..."`
	Status  int       `json:"status" doc:"What it was answered"`
	Detail  string    `json:"detail" doc:"Why"`
}

// GetDirectory shows a directory with its mapping and last errors.
var GetDirectory = &op.Op[DirectoryInput, DirectoryDetails]{
	Name:    "directories.get",
	Route:   "GET /v1/organizations/{organization}/directories/{directory}",
	Summary: "Show a directory, with its mapping and last errors",
	Allow:   op.On("sso.configure"),
	Target:  directoryTarget,
	Do: func(ctx context.Context, tx *op.Tx, _ DirectoryInput) (DirectoryDetails, error) {
		return details(ctx, tx.Reader, tx.Target().Value.(Directory))
	},
	Example: exampleDirectory,
}

func details(ctx context.Context, r *op.Reader, d Directory) (DirectoryDetails, error) {
	out := DirectoryDetails{Directory: d, Errors: []SyncError{}}
	var err error
	if out.Mapping, err = mappingOf(ctx, r, d.ID); err != nil {
		return out, err
	}
	rows, err := r.Query(ctx, `SELECT e.at, e.request, e.status, e.detail FROM directory_errors e WHERE e.organization = $1 AND e.directory = $2
		ORDER BY e.id DESC LIMIT 20`, r.Organization(), d.ID)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var e SyncError
		var at int64
		if err := rows.Scan(&at, &e.Request, &e.Status, &e.Detail); err != nil {
			return out, err
		}
		e.At = time.UnixMicro(at).UTC()
		out.Errors = append(out.Errors, e)
	}
	return out, rows.Err()
}

func mappingOf(ctx context.Context, r *op.Reader, id string) ([]MappedGroup, error) {
	rows, err := r.Query(ctx, `SELECT dm.group_id, g.display, dm.role FROM directory_mappings dm
		JOIN directory_groups g ON g.organization = dm.organization AND g.id = dm.group_id
		WHERE dm.organization = $1 AND dm.directory = $2 ORDER BY dm.place`, r.Organization(), id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []MappedGroup{}
	for rows.Next() {
		var m MappedGroup
		if err := rows.Scan(&m.Group, &m.Name, &m.Role); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// RotateToken gives a directory a new token. The old one is dead when it returns.
var RotateToken = &op.Op[DirectoryInput, NewDirectory]{
	Name:    "directories.rotate_token",
	Route:   "POST /v1/organizations/{organization}/directories/{directory}/rotate_token",
	Summary: "Give a directory a new token, shown once; the old one is dead at once",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Feature: directory.SSO,
	Target:  directoryTarget,
	Fresh:   true,
	Confirm: op.L2,
	Do:      rotateToken,
	Example: exampleDirectory,
}

func rotateToken(ctx context.Context, tx *op.Tx, in DirectoryInput) (NewDirectory, error) {
	d := tx.Target().Value.(Directory)
	token := secret.New(nil, tx.Charter.KeyPrefix, directory.DirectoryTokenKind)
	hash := token.Hash()
	d.TokenLast4, d.TokenAt = token.Last4(), tx.Now
	d.Version++
	_, err := tx.Exec(ctx, `UPDATE directories SET token_hash = $3, token_last4 = $4, token_at = $5, version = $6,
			recovery_epoch = (SELECT recovery_epoch FROM instance WHERE id = 'instance') WHERE organization = $1 AND id = $2`+tx.Quiet(),
		tx.Organization(), d.ID, hash[:], d.TokenLast4, tx.Micros(), d.Version)
	return NewDirectory{Directory: d, Secret: token.Reveal(), SecretShown: true}, err
}

// DeleteDirectoryInput names a directory and says why it ends.
type DeleteDirectoryInput struct {
	DirectoryInput
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500"`
}

// DeletedDirectory is what came of deleting a directory.
type DeletedDirectory struct {
	Directory string `json:"directory" doc:"The directory's id, which is not used again"`
	Released  int64  `json:"released" doc:"How many members it managed: they stay as they are, and people manage them from now on"`
}

// DeleteDirectory ends a directory: its token is dead, and what it told of people and groups is deleted. Members stay as
// they are: who has access keeps it with the same role, and who is suspended stays suspended.
var DeleteDirectory = &op.Op[DeleteDirectoryInput, DeletedDirectory]{
	Name:    "directories.delete",
	Route:   "POST /v1/organizations/{organization}/directories/{directory}/delete",
	Summary: "Delete a directory; its members stay as they are, and people manage them",
	Kind:    op.Write,
	Allow:   op.On("sso.configure"),
	Target: func(ctx context.Context, r *op.Reader, in DeleteDirectoryInput) (op.Target, error) {
		return directoryTarget(ctx, r, in.DirectoryInput)
	},
	Preview: previewDeletion,
	Fresh:   true,
	Confirm: op.L3,
	Do:      deleteDirectory,
	Example: DeleteDirectoryInput{DirectoryInput: exampleDirectory},
}

func deleteDirectory(ctx context.Context, tx *op.Tx, in DeleteDirectoryInput) (DeletedDirectory, error) {
	tx.Because(in.Reason)
	released, err := directory.ReleaseManaged(ctx, tx, in.Directory)
	if err != nil {
		return DeletedDirectory{}, err
	}
	tx.Changed("released", nil, released)
	_, err = tx.Exec(ctx, "DELETE FROM directories WHERE organization = $1 AND id = $2"+tx.Quiet(), tx.Organization(), in.Directory) // the rest goes with it
	return DeletedDirectory{Directory: in.Directory, Released: released}, err
}

func previewDeletion(ctx context.Context, r *op.Reader, in DeleteDirectoryInput) (op.Impact, error) {
	t, err := directoryTarget(ctx, r, in.DirectoryInput)
	if err != nil {
		return op.Impact{}, err
	}
	d := t.Value.(Directory)
	var active, suspended int
	err = r.QueryRow(ctx, `SELECT COALESCE(SUM(CASE WHEN m.status = 'active' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN m.status = 'suspended' THEN 1 ELSE 0 END), 0)
		FROM members m WHERE m.organization = $1 AND m.managed_by = $2 AND m.status <> 'removed'`, r.Organization(), d.ID).Scan(&active, &suspended)
	return op.Impact{Summary: d.Name + " manages nobody any more, and its token is dead", Effects: []op.Effect{
		{Type: "member", Text: fmt.Sprintf("%d with access keep it, with the role that they have", active), Action: "stays"},
		{Type: "member", Text: fmt.Sprintf("%d suspended ones stay suspended until somebody reactivates them", suspended), Action: "stays"},
		{Type: "directory_user", Text: fmt.Sprintf("what it told of %d people and %d groups is deleted", d.Users, d.Groups), Action: "ends"},
	}}, err
}
