package scim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// MapGroup says which role a group gives.
type MapGroup struct {
	Group string `json:"group" doc:"The group's id, or what the directory calls it now: its id is kept, so that no other group gets the role by a name" maxLength:"256" example:"Engineering"`
	Role  string `json:"role" doc:"The role; you may give only what you hold, and nobody becomes an owner" maxLength:"64" example:"editor"`
}

// UpdateDirectoryInput says what to change; what is left out stays.
type UpdateDirectoryInput struct {
	DirectoryInput
	Name         *string    `json:"name,omitzero" doc:"What people call it" maxLength:"80"`
	DefaultRole  *string    `json:"default_role,omitzero" doc:"The role of whom no mapped group names; empty: they have no access" maxLength:"64" example:"viewer"`
	Deactivation *string    `json:"deactivation,omitzero" doc:"What becomes of a member who is not active there any more" enum:"suspend,remove"`
	Mapping      []MapGroup `json:"mapping,omitzero" doc:"Which group gives which role, all of it: of somebody in several groups the first counts" maxItems:"200" required:"false"`
}

// Validate checks the name.
func (in UpdateDirectoryInput) Validate() []op.FieldError {
	if in.Name == nil {
		return nil
	}
	return checkName(*in.Name)
}

// UpdateDirectory changes a directory's name, mapping and policy. What the new mapping gives and takes is done when it
// returns.
var UpdateDirectory = &op.Op[UpdateDirectoryInput, DirectoryDetails]{
	Name:    "directories.update",
	Route:   "PATCH /v1/organizations/{organization}/directories/{directory}",
	Summary: "Change which group gives which role, the default role, and what deactivation means",
	Kind:    op.Access,
	Allow:   op.On("sso.configure"),
	Feature: directory.SSO,
	Target: func(ctx context.Context, r *op.Reader, in UpdateDirectoryInput) (op.Target, error) {
		return directoryTarget(ctx, r, in.DirectoryInput)
	},
	Fences:  nobody[UpdateDirectoryInput],
	Preview: previewUpdate,
	Fresh:   true,
	Confirm: op.L2,
	Do:      updateDirectory,
	Example: UpdateDirectoryInput{DirectoryInput: exampleDirectory, DefaultRole: new("viewer")},
}

func updateDirectory(ctx context.Context, tx *op.Tx, in UpdateDirectoryInput) (DirectoryDetails, error) {
	was := tx.Target().Value.(Directory)
	now, mapping, err := in.changed(ctx, tx.Reader, was)
	if err != nil {
		return DirectoryDetails{}, err
	}
	out := DirectoryDetails{Directory: now, Mapping: mapping, Errors: []SyncError{}}
	if err := out.note(ctx, tx, was, in.Mapping != nil); err != nil {
		return out, err
	}
	if in.Mapping != nil {
		if err := writeMapping(ctx, tx, now.ID, mapping); err != nil {
			return out, err
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE directories SET name = $3, name_folded = $4, default_role = $5, deactivation = $6, version = $7 WHERE organization = $1 AND id = $2",
		tx.Organization(), now.ID, now.Name, strings.ToLower(now.Name), now.DefaultRole, now.Deactivation, now.Version); err != nil {
		return out, nameTaken(err, now.Name)
	}
	if in.Mapping == nil && in.DefaultRole == nil {
		return out, nil
	}
	p := now.policy(tx.Reader)
	all, err := standings(ctx, tx.Reader, p, "1 = 1")
	if err != nil {
		return out, err
	}
	return out, p.carryOut(ctx, tx, p.settle(movedTo(all, was.DefaultRole, now.DefaultRole)), "the mapping was changed")
}

// movedTo marks who had the old default role by the directory, so that they get the new one.
func movedTo(all []standing, was, now string) []standing {
	for i, s := range all {
		if was != now && s.mapped == "" && s.role == was {
			all[i].byMapping = true
		}
	}
	return all
}

// note writes the change down for the log.
func (out *DirectoryDetails) note(_ context.Context, tx *op.Tx, was Directory, mapping bool) error {
	now := out.Directory
	for _, f := range []struct{ name, before, after string }{{"name", was.Name, now.Name}, {"default_role", was.DefaultRole, now.DefaultRole},
		{"deactivation", was.Deactivation, now.Deactivation}} {
		if f.before != f.after {
			tx.Changed(f.name, f.before, f.after)
		}
	}
	if mapping {
		pairs := make([]string, len(out.Mapping))
		for i, m := range out.Mapping {
			pairs[i] = m.Group + " " + m.Role
		}
		tx.Changed("mapping", nil, pairs)
	}
	return nil
}

// changed is the directory and its mapping as the input wants them, if the caller may have them so.
func (in UpdateDirectoryInput) changed(ctx context.Context, r *op.Reader, d Directory) (Directory, []MappedGroup, error) {
	if in.Name != nil {
		d.Name = strings.TrimSpace(*in.Name)
	}
	if in.Deactivation != nil {
		d.Deactivation = *in.Deactivation
	}
	d.Version++
	current, err := mappingOf(ctx, r, d.ID)
	if err != nil {
		return d, nil, err
	}
	given := map[string]bool{}
	if in.DefaultRole != nil && *in.DefaultRole != d.DefaultRole {
		for _, role := range []string{*in.DefaultRole, d.DefaultRole} {
			if err := mayMap(ctx, r, "default_role", role); err != nil && !goneRole(err, role != *in.DefaultRole) {
				return d, nil, err
			}
		}
		d.DefaultRole = *in.DefaultRole
	}
	if in.Mapping == nil {
		return d, current, nil
	}
	wanted, err := in.resolve(ctx, r, d.ID)
	if err != nil {
		return d, nil, err
	}
	for i, m := range wanted { // what is new has to be within what the caller holds, and so has what is taken
		if !slices.Contains(current, m) && !given[m.Role] {
			if err := mayMap(ctx, r, "mapping/"+strconv.Itoa(i)+"/role", m.Role); err != nil {
				return d, nil, err
			}
			given[m.Role] = true
		}
	}
	for _, m := range current {
		if !slices.Contains(wanted, m) && !given[m.Role] {
			if err := mayMap(ctx, r, "mapping", m.Role); err != nil && !goneRole(err, true) {
				return d, nil, err
			}
			given[m.Role] = true
		}
	}
	return d, wanted, nil
}

// goneRole reports whether a role that is taken away does not exist any more: anybody may take that away.
func goneRole(err error, taken bool) bool {
	e := op.AsError(err)
	return taken && e.Kind == op.Invalid
}

// resolve finds the groups by their ids or by what they are called now.
func (in UpdateDirectoryInput) resolve(ctx context.Context, r *op.Reader, id string) ([]MappedGroup, error) {
	if len(in.Mapping) == 0 {
		return []MappedGroup{}, nil
	}
	names := make([]string, len(in.Mapping))
	for i, m := range in.Mapping {
		names[i] = m.Group
	}
	folded := make([]string, len(names))
	for i, name := range names {
		folded[i] = strings.ToLower(name)
	}
	ids, args := sqldb.Placeholders(3, names)
	displays, more := sqldb.Placeholders(3+len(names), folded)
	rows, err := r.Query(ctx, "SELECT g.id, g.display, g.display_folded FROM directory_groups g WHERE g.organization = $1 AND g.directory = $2 AND (g.id IN ("+ids+
		") OR g.display_folded IN ("+displays+"))", slices.Concat([]any{r.Organization(), id}, args, more)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	known := map[string]MappedGroup{}
	for rows.Next() {
		var m MappedGroup
		var display string
		if err := rows.Scan(&m.Group, &m.Name, &display); err != nil {
			return nil, err
		}
		known[m.Group] = m
		if _, taken := known[display]; !taken {
			known[display] = m
		}
	}
	wanted := []MappedGroup{}
	for i, m := range in.Mapping {
		group, ok := known[m.Group]
		if !ok {
			group, ok = known[strings.ToLower(m.Group)]
		}
		switch {
		case !ok:
			return nil, op.InvalidField(fmt.Sprintf("mapping/%d/group", i), "unknown", "the directory has told of no group %q", m.Group)
		case slices.ContainsFunc(wanted, func(w MappedGroup) bool { return w.Group == group.Group }):
			return nil, op.InvalidField(fmt.Sprintf("mapping/%d/group", i), "repeated", "the group %q stands in the mapping twice", group.Name)
		}
		group.Role = m.Role
		wanted = append(wanted, group)
	}
	return wanted, rows.Err()
}

func writeMapping(ctx context.Context, tx *op.Tx, id string, mapping []MappedGroup) error {
	if _, err := tx.Exec(ctx, "DELETE FROM directory_mappings WHERE organization = $1 AND directory = $2", tx.Organization(), id); err != nil {
		return err
	}
	if len(mapping) == 0 {
		return nil
	}
	args := []any{tx.Organization(), id}
	rows := make([]string, len(mapping))
	for i, m := range mapping {
		args = append(args, m.Group, i, m.Role)
		rows[i] = fmt.Sprintf("($1, $2, $%d, $%d, $%d)", len(args)-2, len(args)-1, len(args))
	}
	_, err := tx.Exec(ctx, "INSERT INTO directory_mappings (organization, directory, group_id, place, role) VALUES "+strings.Join(rows, ", "), args...)
	return err
}

// previewUpdate says for whom the new mapping changes something. It reads as the change would, with the mapping as it
// would be.
func previewUpdate(ctx context.Context, r *op.Reader, in UpdateDirectoryInput) (op.Impact, error) {
	t, err := directoryTarget(ctx, r, in.DirectoryInput)
	if err != nil {
		return op.Impact{}, err
	}
	was := t.Value.(Directory)
	now, mapping, err := in.changed(ctx, r, was)
	if err != nil {
		return op.Impact{}, err
	}
	p := now.policy(r)
	all, err := standings(ctx, r, p, "1 = 1")
	if err != nil {
		return op.Impact{}, err
	}
	if in.Mapping != nil {
		if err := remap(ctx, r, now.ID, mapping, all); err != nil {
			return op.Impact{}, err
		}
	}
	return p.settle(movedTo(all, was.DefaultRole, now.DefaultRole)).impact(all), nil
}

// remap gives people the roles that another mapping would.
func remap(ctx context.Context, r *op.Reader, id string, mapping []MappedGroup, all []standing) error {
	rows, err := r.Query(ctx, `SELECT gm.directory_user, gm.group_id FROM directory_group_members gm
		JOIN directory_groups g ON g.organization = gm.organization AND g.id = gm.group_id WHERE gm.organization = $1 AND g.directory = $2`, r.Organization(), id)
	if err != nil {
		return err
	}
	defer rows.Close()
	groups := map[string]map[string]bool{}
	for rows.Next() {
		var user, group string
		if err := rows.Scan(&user, &group); err != nil {
			return err
		}
		if groups[user] == nil {
			groups[user] = map[string]bool{}
		}
		groups[user][group] = true
	}
	for i := range all {
		all[i].mapped = ""
		for _, m := range mapping {
			if groups[all[i].id][m.Group] {
				all[i].mapped = m.Role
				break
			}
		}
	}
	return rows.Err()
}

// shownEffects bounds the effects that a dry run names.
const shownEffects = 100

// impact says a plan in words.
func (out plan) impact(all []standing) op.Impact {
	i := op.Impact{Effects: []op.Effect{}}
	changed := len(out.joining) + len(out.leaving)
	for _, n := range out.joining {
		i.Effects = append(i.Effects, op.Effect{Type: "member", Name: n.Name, Text: "becomes a member as " + n.Role, Action: "changes"})
	}
	for _, c := range out.changes {
		text, action := "", "changes"
		switch {
		case c.Status != c.WasStatus && c.Status == "suspended":
			text, action = "is suspended: no group gives a role", "ends"
		case c.Status != c.WasStatus:
			text = "has access again, as " + c.Role
		case c.Role != c.WasRole:
			text = fmt.Sprintf("goes from %s to %s", c.WasRole, c.Role)
		default:
			continue
		}
		changed++
		i.Effects = append(i.Effects, op.Effect{Type: "member", ID: c.Member, Name: c.Name, Text: text, Action: action})
	}
	i.Effects = i.Effects[:min(len(i.Effects), shownEffects)]
	i.Summary = fmt.Sprintf("%d of %d people change", changed, len(all))
	return i
}
