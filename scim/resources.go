package scim

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/op"
)

// InDirectory is the input of every operation of a directory: it is about the caller itself.
type InDirectory struct {
	op.InOrganization
	Directory string `json:"directory" doc:"The directory's id, as in its address" maxLength:"64"`
}

// own loads the directory that calls. Of another one, whatever organization it is of, there is nothing. T-083.
func (in InDirectory) own(ctx context.Context, r *op.Reader) (policy, error) {
	p := policy{directory: in.Directory, owner: string(r.Charter.OwnerRole().ID)}
	if r.Actor.Kind != op.DirectoryActor || r.Actor.ID != in.Directory {
		return p, op.ErrNotFound
	}
	err := r.QueryRow(ctx, "SELECT d.default_role, d.deactivation FROM directories d WHERE d.organization = $1 AND d.id = $2",
		r.Organization(), in.Directory).Scan(&p.defaultRole, &p.deactivation)
	return p, missing(err)
}

func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return op.ErrNotFound
	}
	return err
}

// Resource is a person or a group as its directory sees it (RFC 7643, section 3).
type Resource struct {
	ID         string         `json:"id"`
	Type       string         `json:"type" enum:"User,Group"`
	Attributes map[string]any `json:"attributes"`
	CreatedAt  time.Time      `json:"created_at"`
	UpdatedAt  time.Time      `json:"updated_at"`
	Version    int64          `json:"version"`
}

// ETag is the resource's version.
func (s Resource) ETag() string { return op.VersionTag(s.Version) }

// Nothing is the output of what has none.
type Nothing struct{}

// ListInput asks for people or groups.
type ListInput struct {
	InDirectory
	Type    string `json:"type" enum:"User,Group"`
	Filter  string `json:"filter,omitzero" doc:"RFC 7644, section 3.4.2.2" maxLength:"4000"`
	Start   int    `json:"start,omitzero" doc:"Which is the first, from 1" maximum:"1000000000" required:"false"`
	Count   int    `json:"count,omitzero" doc:"How many at most" minimum:"0" maximum:"1000000000" required:"false"`
	Members bool   `json:"members,omitzero" doc:"Whether members of groups, and groups of people, are shown"`
}

// maxCount bounds a page.
const maxCount = 200

// Found is a page of resources.
type Found struct {
	Total     int        `json:"total"`
	Resources []Resource `json:"resources"`
}

// ListResources lists a directory's people or groups, in the order in which they came: a page is a place in that order,
// as SCIM has it.
var ListResources = &op.Op[ListInput, Found]{
	Name:    "scim.list",
	Route:   "GET /scim/v2/{directory}/{type}",
	Summary: "List people or groups of a directory",
	Allow:   op.ByDirectory,
	Target: func(ctx context.Context, r *op.Reader, in ListInput) (op.Target, error) {
		_, err := in.own(ctx, r)
		return op.Target{Organization: r.Organization(), Type: "directory", ID: in.Directory}, err
	},
	Do:      listResources,
	Example: ListInput{Type: "User"},
}

func listResources(ctx context.Context, tx *op.Tx, in ListInput) (Found, error) {
	q := &query{columns: userColumns, args: []any{tx.Organization(), in.Directory}}
	from := "directory_users s"
	if in.Type == "Group" {
		q.columns, from = groupColumns, "directory_groups s"
	}
	where := " FROM " + from + " WHERE s.organization = $1 AND s.directory = $2"
	if strings.TrimSpace(in.Filter) != "" {
		f, err := parseFilter(in.Filter)
		if err != nil {
			return Found{}, err
		}
		condition, err := q.where(f)
		if err != nil {
			return Found{}, err
		}
		where += " AND " + condition
	}
	out := Found{Resources: []Resource{}}
	if err := tx.QueryRow(ctx, "SELECT COUNT(*)"+where, q.args...).Scan(&out.Total); err != nil || in.Count == 0 || out.Total == 0 {
		return out, err
	}
	where += " ORDER BY s.id LIMIT " + q.param(min(in.Count, maxCount)) + " OFFSET " + q.param(max(in.Start, 1)-1)
	var err error
	if in.Type == "Group" {
		out.Resources, err = readGroups(ctx, tx.Reader, in.Members, where, q.args)
	} else {
		out.Resources, err = readUsers(ctx, tx.Reader, in.Members, where, q.args)
	}
	return out, err
}

// PatchOperation is one operation of a PATCH (RFC 7644, section 3.5.2).
type PatchOperation struct {
	Op    string `json:"op" maxLength:"20"`
	Path  string `json:"path,omitzero" maxLength:"4000" required:"false"`
	Value any    `json:"value,omitzero" required:"false"`
}

// verb is add, replace or remove, in whatever case it was sent.
func (o PatchOperation) verb() (string, error) {
	switch verb := strings.ToLower(o.Op); verb {
	case "add", "replace", "remove":
		return verb, nil
	}
	return "", op.Errorf(op.Malformed, "invalid_syntax", "op is add, replace or remove, and not %q", o.Op)
}

// object is the value of an operation without a path. Some directories send it as text.
func (o PatchOperation) object() (map[string]any, error) {
	switch v := o.Value.(type) {
	case map[string]any:
		return v, nil
	case string:
		var object map[string]any
		if json.Unmarshal([]byte(v), &object) == nil && object != nil {
			return object, nil
		}
	}
	return nil, op.Errorf(op.Malformed, "invalid_syntax", "an operation without a path has an object as its value")
}

// NoteInput is how a request of a directory went.
type NoteInput struct {
	InDirectory
	Request string `json:"request,omitzero" maxLength:"300" required:"false"`
	Status  int    `json:"status,omitzero" required:"false"`
	Detail  string `json:"detail,omitzero" maxLength:"1000" required:"false"`
}

// NoteSync notes that a directory sent something, and what was refused: people who look after it see that.
var NoteSync = &op.Op[NoteInput, Nothing]{
	Name:    "scim.note",
	Route:   "POST /scim/v2/{directory}/note",
	Summary: "Note how a request of a directory went",
	Kind:    op.Count,
	Allow:   op.ByDirectory,
	Target: func(ctx context.Context, r *op.Reader, in NoteInput) (op.Target, error) {
		_, err := in.own(ctx, r)
		return op.Target{Organization: r.Organization(), Type: "directory", ID: in.Directory}, err
	},
	Do:      noteSync,
	Example: NoteInput{},
}

// keptErrors is how many refused requests of a directory are kept.
const keptErrors = 20

func noteSync(ctx context.Context, tx *op.Tx, in NoteInput) (Nothing, error) {
	if _, err := tx.Exec(ctx, "UPDATE directories SET last_sync_at = $3 WHERE organization = $1 AND id = $2", tx.Organization(), in.Directory, tx.Micros()); err != nil || in.Status == 0 {
		return Nothing{}, err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO directory_errors (id, organization, directory, at, request, status, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		tx.NewID("sce"), tx.Organization(), in.Directory, tx.Micros(), in.Request, in.Status, in.Detail); err != nil {
		return Nothing{}, err
	}
	_, err := tx.Exec(ctx, `DELETE FROM directory_errors WHERE organization = $1 AND directory = $2 AND id NOT IN
		(SELECT id FROM directory_errors WHERE organization = $1 AND directory = $2 ORDER BY id DESC LIMIT $3)`, tx.Organization(), in.Directory, keptErrors)
	return Nothing{}, err
}
