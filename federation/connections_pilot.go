package federation

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// PilotGroup is a group of a directory whose people are led to a provider that is tried out. It is known by its id, whatever it
// is called.
type PilotGroup struct {
	Group     string `json:"group" doc:"The group's id" example:"scg_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name      string `json:"name" doc:"What it is called there now, or was called when it was chosen" example:"Engineering"`
	Directory string `json:"directory,omitzero" doc:"The directory's id; absent: the group is gone"`
	Gone      bool   `json:"gone" doc:"Whether the directory has deleted it: it leads nobody any more"`
}

// ofPilot is the condition that an address ($2) is of the pilot of a connection (c): it is named, or its person is in one of the
// groups, by the address that the directory says or by their account's.
const ofPilot = `(EXISTS (SELECT 1 FROM connection_pilots p WHERE p.organization = c.organization AND p.connection = c.id AND p.email_folded = $2)
	OR EXISTS (SELECT 1` + pilotPeople + `s.email_folded = $2)
	OR EXISTS (SELECT 1` + pilotPeople + `s.user_id = (SELECT u.id FROM users u WHERE u.email_folded = $2 AND u.deleted_at = 0)))`

const pilotPeople = ` FROM connection_pilot_groups pg JOIN directory_groups g ON g.organization = pg.organization AND g.id = pg.group_id
	JOIN directory_users s ON s.organization = g.organization AND s.directory = g.directory AND s.active
	JOIN directory_group_members gm ON gm.organization = g.organization AND gm.group_id = g.id AND gm.directory_user = s.id
	WHERE pg.organization = c.organization AND pg.connection = c.id AND `

// pilotGroups are the groups of the pilot, also those that are gone.
func (c connectionRow) pilotGroups(ctx context.Context, r *op.Reader) ([]PilotGroup, error) {
	rows, err := r.Query(ctx, `SELECT pg.group_id, COALESCE(g.display, pg.name), COALESCE(g.directory, '') FROM connection_pilot_groups pg
		LEFT JOIN directory_groups g ON g.organization = pg.organization AND g.id = pg.group_id WHERE pg.organization = $1 AND pg.connection = $2 ORDER BY 2, 1`, c.organization, c.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []PilotGroup{}
	for rows.Next() {
		var g PilotGroup
		if err := rows.Scan(&g.Group, &g.Name, &g.Directory); err != nil {
			return nil, err
		}
		g.Gone = g.Directory == ""
		all = append(all, g)
	}
	return all, rows.Err()
}

// writePilotGroups says which groups try the connection out. One that is gone may stay until it is left out.
func (in UpdateConnectionInput) writePilotGroups(ctx context.Context, tx *op.Tx, c *shownConnection) error {
	if in.PilotGroups == nil {
		return nil
	}
	groups, err := c.pilotGroups(ctx, tx.Reader)
	if err != nil {
		return err
	}
	was := []string{}
	for _, g := range groups {
		was = append(was, g.Group)
	}
	wanted := slices.Compact(slices.Sorted(slices.Values(in.PilotGroups)))
	slices.Sort(was)
	if slices.Equal(was, wanted) {
		return nil
	}
	tx.Changed("pilot_groups", was, wanted)
	if err := c.dropPilotGroups(ctx, tx, wanted); err != nil {
		return err
	}
	return c.addPilotGroups(ctx, tx, slices.DeleteFunc(slices.Clone(wanted), func(id string) bool { return slices.Contains(was, id) }))
}

// dropPilotGroups takes the groups away that are not wanted any more.
func (c connectionRow) dropPilotGroups(ctx context.Context, tx *op.Tx, wanted []string) error {
	others, args := "", []any{}
	if len(wanted) > 0 {
		var in string
		in, args = sqldb.Placeholders(3, wanted)
		others = " AND group_id NOT IN (" + in + ")"
	}
	_, err := tx.Exec(ctx, "DELETE FROM connection_pilot_groups WHERE organization = $1 AND connection = $2"+others, append([]any{c.organization, c.id}, args...)...)
	return err
}

// addPilotGroups adds groups, each of which a directory of the organization has.
func (c connectionRow) addPilotGroups(ctx context.Context, tx *op.Tx, groups []string) error {
	if len(groups) == 0 {
		return nil
	}
	in, args := sqldb.Placeholders(3, groups)
	n, err := tx.Exec(ctx, `INSERT INTO connection_pilot_groups (connection, organization, group_id, name) SELECT $2, g.organization, g.id, g.display FROM directory_groups g
		WHERE g.organization = $1 AND g.id IN (`+in+")", append([]any{c.organization, c.id}, args...)...)
	if err == nil && n != int64(len(groups)) {
		err = op.InvalidField("pilot_groups", "unknown", "one of these is no group of the organization's directories")
	}
	return err
}

// writePilot says who tries the connection out.
func (in UpdateConnectionInput) writePilot(ctx context.Context, tx *op.Tx, c *shownConnection) error {
	if in.Pilot == nil {
		return nil
	}
	was, err := c.pilot(ctx, tx.Reader)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM connection_pilots WHERE organization = $1 AND connection = $2", tx.Organization(), c.id); err != nil {
		return err
	}
	tx.Changed("pilot", len(was), len(in.Pilot)) // addresses are not for the log
	args := []any{tx.Organization(), c.id}
	var rows []string
	seen := map[string]bool{}
	for _, email := range in.Pilot {
		address, err := directory.ParseAddress(email)
		if err != nil {
			return op.InvalidField("pilot", "invalid", "%v", err)
		}
		if !seen[address.Folded] {
			seen[address.Folded] = true
			args = append(args, address.Email, address.Folded)
			rows = append(rows, "($1, $2, $"+strconv.Itoa(len(args)-1)+", $"+strconv.Itoa(len(args))+")")
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, "INSERT INTO connection_pilots (organization, connection, email, email_folded) VALUES "+strings.Join(rows, ", "), args...)
	return err
}

func (c connectionRow) pilot(ctx context.Context, r *op.Reader) ([]string, error) {
	rows, err := r.Query(ctx, "SELECT p.email FROM connection_pilots p WHERE p.organization = $1 AND p.connection = $2 ORDER BY p.email_folded", c.organization, c.id)
	if err != nil {
		return nil, err
	}
	return texts(rows)
}
