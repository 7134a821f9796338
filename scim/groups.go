package scim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// maxMembers bounds the members that one request names.
const maxMembers = 10_000

// group is a group of a directory, as stored.
type group struct {
	id, display, externalID   string
	version, created, updated int64
	mapped                    int64 // how many places of the mapping name it: 0 or 1
	members                   []any // nil: not asked for
}

const groupFields = `s.id, s.display, s.external_id, s.version, s.created_at, s.updated_at,
	(SELECT COUNT(*) FROM directory_mappings dm WHERE dm.organization = s.organization AND dm.group_id = s.id)`

func scanGroup(row interface{ Scan(...any) error }) (g group, err error) {
	err = row.Scan(&g.id, &g.display, &g.externalID, &g.version, &g.created, &g.updated, &g.mapped)
	return g, missing(err)
}

func (g group) resource() Resource {
	all := map[string]any{"displayName": g.display}
	if g.externalID != "" {
		all["externalId"] = g.externalID
	}
	if g.members != nil {
		all["members"] = g.members
	}
	return Resource{ID: g.id, Type: "Group", Attributes: all, Version: g.version,
		CreatedAt: time.UnixMicro(g.created).UTC(), UpdatedAt: time.UnixMicro(g.updated).UTC()}
}

func readGroups(ctx context.Context, r *op.Reader, members bool, where string, args []any) ([]Resource, error) {
	rows, err := r.Query(ctx, "SELECT "+groupFields+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var groups []group
	for rows.Next() {
		g, err := scanGroup(rows)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if members {
		if err := withMembers(ctx, r, groups); err != nil {
			return nil, err
		}
	}
	all := make([]Resource, len(groups))
	for i, g := range groups {
		all[i] = g.resource()
	}
	return all, nil
}

// withMembers adds the members of groups: one query for all.
func withMembers(ctx context.Context, r *op.Reader, groups []group) error {
	if len(groups) == 0 {
		return nil
	}
	ids := make([]string, len(groups))
	for i, g := range groups {
		ids[i], groups[i].members = g.id, []any{}
	}
	in, args := sqldb.Placeholders(2, ids)
	rows, err := r.Query(ctx, `SELECT gm.group_id, s.id, s.user_name FROM directory_group_members gm
		JOIN directory_users s ON s.organization = gm.organization AND s.id = gm.directory_user
		WHERE gm.organization = $1 AND gm.group_id IN (`+in+") ORDER BY s.id", append([]any{r.Organization()}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var of, user, name string
		if err := rows.Scan(&of, &user, &name); err != nil {
			return err
		}
		i := slices.Index(ids, of)
		groups[i].members = append(groups[i].members, map[string]any{"value": user, "display": name, "type": "User"})
	}
	return rows.Err()
}

// GroupInput names a group of a directory.
type GroupInput struct {
	InDirectory
	Group   string `json:"group" maxLength:"64"`
	Members bool   `json:"members,omitzero" doc:"Whether the members are shown"`
}

// loadedGroup is what Target found.
type loadedGroup struct {
	group
	policy policy
	taken  string // which group has the displayName that the call wants
}

func (in GroupInput) target(ctx context.Context, r *op.Reader) (op.Target, error) {
	p, err := in.own(ctx, r)
	if err != nil {
		return op.Target{}, err
	}
	g, err := scanGroup(r.QueryRow(ctx, "SELECT "+groupFields+" FROM directory_groups s WHERE s.organization = $1 AND s.directory = $2 AND s.id = $3",
		r.Organization(), in.Directory, in.Group))
	return op.Target{Organization: r.Organization(), Type: "directory_group", ID: g.id, Name: g.display, Version: g.version,
		Value: loadedGroup{group: g, policy: p}}, err
}

var exampleGroup = GroupInput{Group: "scg_00000000000000000000000000"}

// GetGroup shows a group of a directory.
var GetGroup = &op.Op[GroupInput, Resource]{
	Name:    "scim_groups.get",
	Route:   "GET /scim/v2/{directory}/Groups/{group}",
	Summary: "Show a group of a directory",
	Allow:   op.ByDirectory,
	Target:  func(ctx context.Context, r *op.Reader, in GroupInput) (op.Target, error) { return in.target(ctx, r) },
	Do: func(ctx context.Context, tx *op.Tx, in GroupInput) (Resource, error) {
		return tx.Target().Value.(loadedGroup).shown(ctx, tx, in.Members)
	},
	Example: exampleGroup,
}

func (g group) shown(ctx context.Context, tx *op.Tx, members bool) (Resource, error) {
	if !members {
		return g.resource(), nil
	}
	one := []group{g}
	err := withMembers(ctx, tx.Reader, one)
	return one[0].resource(), err
}

// CreateGroupInput is a group as a directory tells of it.
type CreateGroupInput struct {
	InDirectory
	Resource map[string]any `json:"resource"`
}

// CreateGroup takes a group in. It gives nobody anything before somebody maps it to a role, by its id.
var CreateGroup = &op.Op[CreateGroupInput, Resource]{
	Name:    "scim_groups.create",
	Route:   "POST /scim/v2/{directory}/Groups",
	Summary: "Take in a group of a directory",
	Kind:    op.Write,
	Allow:   op.ByDirectory,
	Target:  createGroupTarget,
	Do:      createGroup,
	Example: CreateGroupInput{Resource: map[string]any{"displayName": "Engineering"}},
}

func createGroupTarget(ctx context.Context, r *op.Reader, in CreateGroupInput) (op.Target, error) {
	p, err := in.own(ctx, r)
	if err != nil {
		return op.Target{}, err
	}
	l := loadedGroup{policy: p}
	c := newChange()
	if c.merge("add", in.Resource) == nil && c.display != nil {
		l.taken, err = groupCalled(ctx, r, p, *c.display, "")
	}
	return op.Target{Organization: r.Organization(), Value: l}, err
}

// groupCalled is the id of another group with a name; empty: there is none.
func groupCalled(ctx context.Context, r *op.Reader, p policy, display, but string) (string, error) {
	var taken string
	err := r.QueryRow(ctx, "SELECT s.id FROM directory_groups s WHERE s.organization = $1 AND s.directory = $2 AND s.display_folded = $3 AND s.id <> $4",
		r.Organization(), p.directory, strings.ToLower(display), but).Scan(&taken)
	if missing(err) == op.ErrNotFound {
		return "", nil
	}
	return taken, err
}

func displayInUse(display, by string) error {
	return &op.Error{Kind: op.Conflict, Code: "uniqueness", Refers: map[string]string{"group": by},
		Text: fmt.Sprintf("displayName %q is that of %s already", display, by)}
}

func createGroup(ctx context.Context, tx *op.Tx, in CreateGroupInput) (Resource, error) {
	l := tx.Target().Value.(loadedGroup)
	c := newChange()
	if err := c.merge("add", in.Resource); err != nil {
		return Resource{}, err
	}
	switch {
	case c.display == nil:
		return Resource{}, invalidValue("displayName is required")
	case l.taken != "":
		return Resource{}, displayInUse(*c.display, l.taken)
	}
	g := group{id: tx.NewID("scg"), display: *c.display, version: 1, created: tx.Micros(), updated: tx.Micros()}
	if c.externalID != nil {
		g.externalID = *c.externalID
	}
	tx.Also("directory_group", g.id, g.display)
	if _, err := tx.Exec(ctx, `INSERT INTO directory_groups (id, organization, directory, display, display_folded, external_id, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7)`, g.id, tx.Organization(), in.Directory, g.display, strings.ToLower(g.display), g.externalID, tx.Micros()); err != nil {
		return Resource{}, err
	}
	if err := addMembers(ctx, tx, l.policy, g.id, sortedKeys(c.add)); err != nil {
		return Resource{}, err
	}
	return g.shown(ctx, tx, true)
}

// addMembers puts people into a group: one statement for up to 5,000. Somebody whom the directory has not told of is
// refused.
func addMembers(ctx context.Context, tx *op.Tx, p policy, group string, people []string) error {
	for chunk := range slices.Chunk(people, 5000) {
		in, ids := sqldb.Placeholders(3, chunk)
		args := append([]any{tx.Organization(), p.directory}, ids...)
		var known int
		if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM directory_users s WHERE s.organization = $1 AND s.directory = $2 AND s.id IN ("+in+")",
			args...).Scan(&known); err != nil {
			return err
		}
		if known < len(chunk) {
			return invalidValue("members names somebody whom this directory has not told of")
		}
		if _, err := tx.Exec(ctx, `INSERT INTO directory_group_members (organization, group_id, directory_user)
			SELECT g.organization, g.id, s.id FROM directory_users s JOIN directory_groups g ON g.organization = s.organization AND g.id = $`+strconv.Itoa(len(args)+1)+`
			WHERE s.organization = $1 AND s.directory = $2 AND s.id IN (`+in+") ON CONFLICT DO NOTHING", append(args, group)...); err != nil {
			return err
		}
	}
	return nil
}

// ReplaceGroupInput is a group as it is to be, all of it.
type ReplaceGroupInput struct {
	GroupInput
	Resource map[string]any `json:"resource"`
}

// ReplaceGroup changes a group to what is sent.
var ReplaceGroup = &op.Op[ReplaceGroupInput, Resource]{
	Name:    "scim_groups.replace",
	Route:   "PUT /scim/v2/{directory}/Groups/{group}",
	Summary: "Replace what a directory says of a group",
	Kind:    op.Access,
	Allow:   op.ByDirectory,
	Target: func(ctx context.Context, r *op.Reader, in ReplaceGroupInput) (op.Target, error) {
		return in.target(ctx, r)
	},
	Fences: nobody[ReplaceGroupInput],
	Do: func(ctx context.Context, tx *op.Tx, in ReplaceGroupInput) (Resource, error) {
		c := newChange()
		c.clear = true
		if err := c.merge("add", in.Resource); err != nil {
			return Resource{}, err
		}
		return tx.Target().Value.(loadedGroup).become(ctx, tx, c, in.Members)
	},
	Example: ReplaceGroupInput{GroupInput: exampleGroup, Resource: map[string]any{"displayName": "Engineering"}},
}

// PatchGroupInput is what changes of a group.
type PatchGroupInput struct {
	GroupInput
	Operations []PatchOperation `json:"operations" maxItems:"10000"`
}

// PatchGroup changes parts of a group: all of the operations, or none.
var PatchGroup = &op.Op[PatchGroupInput, Resource]{
	Name:    "scim_groups.patch",
	Route:   "PATCH /scim/v2/{directory}/Groups/{group}",
	Summary: "Change a group's name or members",
	Kind:    op.Access,
	Allow:   op.ByDirectory,
	Target: func(ctx context.Context, r *op.Reader, in PatchGroupInput) (op.Target, error) {
		return in.target(ctx, r)
	},
	Fences: nobody[PatchGroupInput],
	Do: func(ctx context.Context, tx *op.Tx, in PatchGroupInput) (Resource, error) {
		c := newChange()
		for _, o := range in.Operations {
			if err := c.patch(o); err != nil {
				return Resource{}, err
			}
		}
		return tx.Target().Value.(loadedGroup).become(ctx, tx, c, in.Members)
	},
	Example: PatchGroupInput{GroupInput: exampleGroup, Operations: []PatchOperation{{Op: "replace", Path: "displayName", Value: "Engineers"}}},
}

// become writes what a group is now. Where the mapping names it, the roles and the access of those who came and went
// follow.
func (l loadedGroup) become(ctx context.Context, tx *op.Tx, c *groupChange, members bool) (Resource, error) {
	g := l.group
	if err := l.rename(ctx, tx, c, &g); err != nil {
		return Resource{}, err
	}
	gone, err := l.leavers(ctx, tx, c)
	if err != nil {
		return Resource{}, err
	}
	if err := l.removeMembers(ctx, tx, gone); err != nil {
		return Resource{}, err
	}
	if err := addMembers(ctx, tx, l.policy, g.id, sortedKeys(c.add)); err != nil {
		return Resource{}, err
	}
	if len(gone)+len(c.add) > 0 {
		tx.Changed("members", nil, map[string]any{"added": len(c.add), "removed": len(gone)})
	}
	g.version, g.updated = g.version+1, tx.Micros()
	if _, err := tx.Exec(ctx, "UPDATE directory_groups SET display = $3, display_folded = $4, external_id = $5, version = $6, updated_at = $7 WHERE organization = $1 AND id = $2",
		tx.Organization(), g.id, g.display, strings.ToLower(g.display), g.externalID, g.version, g.updated); err != nil {
		return Resource{}, err
	}
	if g.mapped > 0 {
		if err := l.policy.settleNow(ctx, tx, append(gone, sortedKeys(c.add)...), "the directory took them out of their groups"); err != nil {
			return Resource{}, err
		}
	}
	return g.shown(ctx, tx, members)
}

// rename takes over name and external id. The mapping names groups by their ids, so no name gives a role.
func (l loadedGroup) rename(ctx context.Context, tx *op.Tx, c *groupChange, g *group) error {
	if c.externalID != nil {
		g.externalID = *c.externalID
	}
	if c.display == nil || *c.display == g.display {
		return nil
	}
	taken, err := groupCalled(ctx, tx.Reader, l.policy, *c.display, g.id)
	if err == nil && taken != "" {
		err = displayInUse(*c.display, taken)
	}
	tx.Changed("display", g.display, *c.display)
	g.display = *c.display
	return err
}

// leavers are those who go: named ones, or all who are not added.
func (l loadedGroup) leavers(ctx context.Context, tx *op.Tx, c *groupChange) ([]string, error) {
	if !c.clear {
		return sortedKeys(c.remove), nil
	}
	rows, err := tx.Query(ctx, "SELECT gm.directory_user FROM directory_group_members gm WHERE gm.organization = $1 AND gm.group_id = $2", tx.Organization(), l.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var gone []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		if !c.add[id] {
			gone = append(gone, id)
		}
	}
	return gone, rows.Err()
}

func (l loadedGroup) removeMembers(ctx context.Context, tx *op.Tx, gone []string) error {
	for chunk := range slices.Chunk(gone, 5000) {
		in, args := sqldb.Placeholders(3, chunk)
		if _, err := tx.Exec(ctx, "DELETE FROM directory_group_members WHERE organization = $1 AND group_id = $2 AND directory_user IN ("+in+")",
			append([]any{tx.Organization(), l.id}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// DeleteGroup forgets a group, and its place in the mapping.
var DeleteGroup = &op.Op[GroupInput, Nothing]{
	Name:    "scim_groups.delete",
	Route:   "DELETE /scim/v2/{directory}/Groups/{group}",
	Summary: "Forget a group of a directory, and the role that it gives",
	Kind:    op.Access,
	Allow:   op.ByDirectory,
	Target:  func(ctx context.Context, r *op.Reader, in GroupInput) (op.Target, error) { return in.target(ctx, r) },
	Fences:  nobody[GroupInput],
	Do: func(ctx context.Context, tx *op.Tx, in GroupInput) (Nothing, error) {
		l := tx.Target().Value.(loadedGroup)
		gone, err := l.leavers(ctx, tx, &groupChange{clear: true})
		if err != nil {
			return Nothing{}, err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM directory_groups WHERE organization = $1 AND id = $2", tx.Organization(), in.Group); err != nil || l.mapped == 0 {
			return Nothing{}, err
		}
		return Nothing{}, l.policy.settleNow(ctx, tx, gone, "the directory deleted their group")
	},
	Example: exampleGroup,
}
