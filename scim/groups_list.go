package scim

import (
	"context"
	"strings"

	"github.com/guildhall/guildhall/op"
)

// DirectoryGroup is a group of a directory, as whoever maps it sees it.
type DirectoryGroup struct {
	ID      string `json:"id" doc:"The group's id" example:"scg_01k..."`
	Name    string `json:"name" doc:"What the directory calls it now"`
	Members int    `json:"members" doc:"How many people are in it"`
}

// ListGroupsInput asks for the groups of a directory.
type ListGroupsInput struct {
	DirectoryInput
	op.Page
}

// ListGroups lists the groups that a directory has told of, for those who map them.
var ListGroups = &op.Op[ListGroupsInput, op.List[DirectoryGroup]]{
	Name:    "directories.groups",
	Route:   "GET /v1/organizations/{organization}/directories/{directory}/groups",
	Summary: "List the groups that a directory has told of",
	Allow:   op.On("sso.configure"),
	Target: func(ctx context.Context, r *op.Reader, in ListGroupsInput) (op.Target, error) {
		return directoryTarget(ctx, r, in.DirectoryInput)
	},
	Do:      listGroups,
	Example: ListGroupsInput{DirectoryInput: exampleDirectory},
}

func listGroups(ctx context.Context, tx *op.Tx, in ListGroupsInput) (op.List[DirectoryGroup], error) {
	after := []string{"", ""}
	if position := in.After(); len(position) == 2 {
		after = position
	}
	rows, err := tx.Query(ctx, `SELECT g.id, g.display, g.display_folded, (SELECT COUNT(*) FROM directory_group_members gm WHERE gm.organization = g.organization AND gm.group_id = g.id)
		FROM directory_groups g WHERE g.organization = $1 AND g.directory = $2 AND (g.display_folded > $3 OR g.display_folded = $3 AND g.id > $4)
		ORDER BY g.display_folded, g.id LIMIT $5`, tx.Organization(), in.Directory, after[0], after[1], in.Size()+1)
	if err != nil {
		return op.List[DirectoryGroup]{}, err
	}
	defer rows.Close()
	var all []DirectoryGroup
	for rows.Next() {
		var k DirectoryGroup
		var folded string
		if err := rows.Scan(&k.ID, &k.Name, &folded, &k.Members); err != nil {
			return op.List[DirectoryGroup]{}, err
		}
		all = append(all, k)
	}
	return op.Listed(tx.Reader, &in.Page, all, func(k DirectoryGroup) []string { return []string{strings.ToLower(k.Name), k.ID} }), rows.Err()
}
