package usage

import (
	"context"
	"slices"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// namesOf are what people call members or keys, by their ids, as far as the caller may see them. Ids that the product made
// up have no name.
func namesOf(ctx context.Context, r *op.Reader, organization string, d charter.Dimension, ids []string) (map[string]string, error) {
	query := ""
	switch {
	case d == charter.ByMember && maySee(r, "members.view"):
		query = `SELECT m.id, COALESCE(NULLIF(u.name, ''), u.email) FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization = $1 AND m.id IN (`
	case d == charter.ByKey && maySee(r, "keys.view", "keys.inspect"):
		query = "SELECT id, name FROM api_keys WHERE organization = $1 AND id IN ("
	}
	if query == "" || len(ids) == 0 {
		return nil, nil
	}
	in, args := listOf(ids, 2)
	rows, err := r.Query(ctx, query+in+")", append([]any{organization}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := map[string]string{}
	for rows.Next() {
		var id, name string
		if err := rows.Scan(&id, &name); err != nil {
			return nil, err
		}
		names[id] = name
	}
	return names, rows.Err()
}

// maySee reports whether the caller holds one of the permissions, or is the product's back end.
func maySee(r *op.Reader, anyOf ...charter.Permission) bool {
	return r.Actor.Kind == op.ServiceActor || slices.ContainsFunc(anyOf, func(p charter.Permission) bool { return r.May(p).Allow })
}

// name puts names beside the values of the dimension.
func (s *Series) name(ctx context.Context, r *op.Reader, organization string, by charter.Dimension) error {
	var ids []string
	for _, p := range s.Parts {
		ids = append(ids, p.Value)
	}
	for _, m := range s.Movers {
		ids = append(ids, m.Value)
	}
	slices.Sort(ids)
	names, err := namesOf(ctx, r, organization, by, slices.Compact(ids))
	for i := range s.Parts {
		s.Parts[i].Name = names[s.Parts[i].Value]
	}
	for i := range s.Movers {
		s.Movers[i].Name = names[s.Movers[i].Value]
	}
	return err
}
