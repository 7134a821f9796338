package access

import (
	"cmp"
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
)

// Holder is an active member who holds a permission.
type Holder struct {
	Member    string `json:"member" doc:"The member's id" example:"mem_01k..."`
	User      string `json:"user" doc:"The user's id" example:"usr_01k..."`
	Name      string `json:"name" doc:"The person's name, or address where there is none" example:"Ada"`
	Email     string `json:"email" doc:"The person's e-mail address" example:"ada@acme.test"`
	Role      string `json:"role" doc:"The role that holds it" example:"owner"`
	RoleTitle string `json:"role_title" doc:"The role as people read it" example:"Owner"`

	sortName string
}

// HoldersInput asks who may do something.
type HoldersInput struct {
	op.InOrganization
	op.Page
	Permission charter.Permission `json:"permission" doc:"What" maxLength:"81" example:"billing.manage"`
}

// Holders lists the active members who hold a permission, by name.
var Holders = &op.Op[HoldersInput, op.List[Holder]]{
	Name:    "access.holders",
	Route:   "GET /v1/organizations/{organization}/access/holders",
	Summary: "List who may do something",
	Allow:   op.AnyOf(op.On("members.view"), op.ByService),
	Do:      holders,
	Example: HoldersInput{InOrganization: op.InOrganization{Organization: "acme"}, Permission: "billing.manage"},
}

func holders(ctx context.Context, tx *op.Tx, in HoldersInput) (op.List[Holder], error) {
	if err := known(tx.Charter, in.Permission); err != nil {
		return op.List[Holder]{}, err
	}
	found, err := holdersAfter(ctx, tx.Reader, in)
	if err != nil {
		return op.List[Holder]{}, err
	}
	return op.Listed(tx.Reader, &in.Page, found, func(h Holder) []string { return []string{h.sortName, h.Member} }), nil
}

// holdersAfter reads one page. The roles narrow the search; who holds it is decided as everywhere.
func holdersAfter(ctx context.Context, r *op.Reader, in HoldersInput) ([]Holder, error) {
	roles, err := directory.RolesHolding(ctx, r, in.Permission)
	if err != nil || len(roles) == 0 {
		return nil, err
	}
	args := []any{r.Organization(), r.Micros(), in.Size() + 1}
	marks := make([]string, len(roles))
	for i, role := range roles {
		args = append(args, role)
		marks[i] = "$" + strconv.Itoa(len(args))
	}
	after := ""
	if position := in.After(); len(position) == 2 {
		args = append(args, position[0], position[1])
		name, id := "$"+strconv.Itoa(len(args)-1), "$"+strconv.Itoa(len(args))
		after = " AND (m.sort_name > " + name + " OR m.sort_name = " + name + " AND m.id > " + id + ")"
	}
	rows, err := r.Query(ctx, `SELECT m.id, m.user_id, u.name, u.email, m.role, COALESCE(cr.title, ''), m.ends_at, m.sort_name,
			o.state, o.plan, COALESCE(cr.permissions, '')
		FROM members m JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.organization
		LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
		WHERE m.organization = $1 AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $2)
		AND m.role IN (`+strings.Join(marks, ", ")+`)`+after+` ORDER BY m.sort_name, m.id LIMIT $3`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return scanHolders(r, rows, decide.Ask(r.Charter, in.Permission, ""))
}

// scanHolders gives those of the rows who may.
func scanHolders(r *op.Reader, rows *sql.Rows, question decide.Question) (found []Holder, err error) {
	for rows.Next() {
		var h Holder
		p := decide.Principal{Standing: decide.Active}
		var state, plan, permissions string
		if err := rows.Scan(&h.Member, &h.User, &h.Name, &h.Email, &h.Role, &h.RoleTitle, &p.EndsAt, &h.sortName, &state, &plan, &permissions); err != nil {
			return nil, err
		}
		h.Name, p.Closed, p.Locked = cmp.Or(h.Name, h.Email), state != "active", r.Charter.Locked(plan)
		if role, ok := r.Charter.Role(charter.RoleID(h.Role)); ok {
			p.Holds, h.RoleTitle = role.Holds, role.Title
		} else {
			p.Holds = setOf(r.Charter, permissions)
		}
		if decide.Decide(&p, question, r.Micros()).Allow {
			found = append(found, h)
		}
	}
	return found, rows.Err()
}

// setOf reads permissions as the tables keep them, with spaces between.
func setOf(c *charter.Charter, permissions string) charter.Set {
	var ids []charter.Permission
	for one := range strings.FieldsSeq(permissions) {
		ids = append(ids, charter.Permission(one))
	}
	set, _ := c.SetOf(ids)
	return set
}
