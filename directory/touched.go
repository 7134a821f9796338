package directory

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Touch is what a change of the charter does to things of one kind in one organization.
type Touch struct {
	Organization string  `json:"organization" doc:"The organization's id"`
	Text         string  `json:"text" doc:"What happens to them" example:"role Editor loses workflows.deploy"`
	Count        int     `json:"count" doc:"How many there are"`
	Named        []Named `json:"named" doc:"The first 20 of them"`
}

// Touches are what a change of the charter does to the data.
type Touches struct {
	Refused         []Touch `json:"refused" doc:"Why the change cannot be made"`
	Members         []Touch `json:"members"`
	Roles           []Touch `json:"roles" doc:"Roles that organizations made"`
	Keys            []Touch `json:"keys"`
	Tokens          []Touch `json:"tokens"`
	ServiceAccounts []Touch `json:"service_accounts"`
	Invitations     []Touch `json:"invitations"`
}

// Touched reads the whole database and says what a change of the charter from before to after would do, and what in the
// data forbids it: a role that somebody has and that is dropped, or an organization that would be without an owner.
func Touched(ctx context.Context, r *op.Reader, before, after *charter.Charter) (Touches, error) {
	change := newChange(before, after)
	var t Touches
	for _, read := range []struct {
		into *[]Touch
		find func(context.Context, *op.Reader) ([]Touch, error)
	}{
		{&t.Members, change.members}, {&t.ServiceAccounts, change.accounts}, {&t.Invitations, change.invitations},
		{&t.Roles, change.roles}, {&t.Keys, change.keys}, {&t.Tokens, change.tokens}, {&t.Refused, change.owners},
	} {
		found, err := read.find(ctx, r)
		if err != nil {
			return t, err
		}
		*read.into = found
	}
	t.Refused = append(change.droppedInUse(t), t.Refused...)
	return t, nil
}

// charterChange is a change of the charter, as far as the data is concerned.
type charterChange struct {
	before, after *charter.Charter
	shifts        map[string]charter.RoleChange // of roles that hold something else, by id
	organization  []charter.Permission          // what organization keys lose
}

func newChange(before, after *charter.Charter) charterChange {
	compared := charter.Compare(before, after)
	c := charterChange{before: before, after: after, shifts: map[string]charter.RoleChange{}, organization: compared.OrganizationKeys.Loses}
	for _, role := range compared.Roles {
		if role.Dropped || !role.Added && len(role.Gains)+len(role.Loses) > 0 {
			c.shifts[string(role.ID)] = role
		}
	}
	return c
}

// text says what becomes of a role; empty where nothing does.
func (c charterChange) text(role string) string {
	shift, ok := c.shifts[role]
	switch {
	case !ok:
		return ""
	case shift.Dropped:
		return fmt.Sprintf("role %s is dropped", shift.Title)
	case len(shift.Loses) == 0:
		return fmt.Sprintf("role %s gains %s", shift.Title, joined(shift.Gains, ", "))
	case len(shift.Gains) == 0:
		return fmt.Sprintf("role %s loses %s", shift.Title, joined(shift.Loses, ", "))
	}
	return fmt.Sprintf("role %s gains %s and loses %s", shift.Title, joined(shift.Gains, ", "), joined(shift.Loses, ", "))
}

// touched gathers what is found by organization and text, in the order in which it is read.
type touched []Touch

func (t *touched) add(organization, text string, one Named) {
	if text == "" {
		return
	}
	found := t.find(organization, text)
	if found.Count++; found.Count <= mentioned {
		found.Named = append(found.Named, one)
	}
}

// find gives the place of a text; those of one organization stand together.
func (t *touched) find(organization, text string) *Touch {
	for i := len(*t) - 1; i >= 0 && (*t)[i].Organization == organization; i-- {
		if (*t)[i].Text == text {
			return &(*t)[i]
		}
	}
	*t = append(*t, Touch{Organization: organization, Text: text})
	return &(*t)[len(*t)-1]
}

// rolesNamed gathers things that name a role which changes.
func (c charterChange) rolesNamed(rows *sql.Rows, err error) ([]Touch, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all touched
	for rows.Next() {
		var organization, role string
		var one Named
		if err := rows.Scan(&organization, &role, &one.ID, &one.Name); err != nil {
			return nil, err
		}
		all.add(organization, c.text(role), one)
	}
	return all, rows.Err()
}

// changing are the ids of the roles that change, as parameters from $1 on.
func (c charterChange) changing() (in string, args []any) {
	ids := []string{"-"} // no role's id
	for id := range c.shifts {
		ids = append(ids, id)
	}
	return sqldb.Placeholders(1, ids)
}

func (c charterChange) members(ctx context.Context, r *op.Reader) ([]Touch, error) {
	in, args := c.changing()
	return c.rolesNamed(r.Query(ctx, `SELECT m.organization, m.role, m.id, CASE u.name WHEN '' THEN u.email ELSE u.name END
		FROM members m JOIN users u ON u.id = m.user_id JOIN organizations o ON m.organization = o.id
		WHERE o.state <> 'gone' AND m.status <> 'removed' AND m.role IN (`+in+`) ORDER BY m.organization, m.role, m.sort_name, m.id`, args...))
}

func (c charterChange) accounts(ctx context.Context, r *op.Reader) ([]Touch, error) {
	in, args := c.changing()
	return c.rolesNamed(r.Query(ctx, `SELECT a.organization, a.role, a.id, a.name
		FROM service_accounts a JOIN organizations o ON a.organization = o.id
		WHERE o.state <> 'gone' AND a.deleted_at = 0 AND a.role IN (`+in+`) ORDER BY a.organization, a.role, a.id`, args...))
}

func (c charterChange) invitations(ctx context.Context, r *op.Reader) ([]Touch, error) {
	in, args := c.changing()
	return c.rolesNamed(r.Query(ctx, `SELECT i.organization, i.role, i.id, i.email
		FROM invitations i JOIN organizations o ON i.organization = o.id
		WHERE o.state <> 'gone' AND i.state = 'pending' AND i.role IN (`+in+`) ORDER BY i.organization, i.role, i.id`, args...))
}

// roles are the roles that organizations made with something in them that is dropped.
func (c charterChange) roles(ctx context.Context, r *op.Reader) ([]Touch, error) {
	rows, err := r.Query(ctx, `SELECT cr.organization, cr.id, cr.title, cr.permissions
		FROM organization_roles cr JOIN organizations o ON cr.organization = o.id
		WHERE o.state <> 'gone' ORDER BY cr.organization, cr.id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all touched
	for rows.Next() {
		var organization, permissions string
		var one Named
		if err := rows.Scan(&organization, &one.ID, &one.Name, &permissions); err != nil {
			return nil, err
		}
		all.add(organization, losesText(c.dropped(permissions)), one)
	}
	return all, rows.Err()
}

// dropped are the permissions of a list that the old charter has and the new one has not.
func (c charterChange) dropped(permissions string) []charter.Permission {
	var gone []charter.Permission
	for _, p := range permissionList(permissions) {
		_, had := c.before.Info(p)
		if _, has := c.after.Info(p); had && !has {
			gone = append(gone, p)
		}
	}
	return gone
}

func losesText(lost []charter.Permission) string {
	if len(lost) == 0 {
		return ""
	}
	return "loses " + joined(lost, ", ")
}

func (c charterChange) keys(ctx context.Context, r *op.Reader) ([]Touch, error) {
	rows, err := r.Query(ctx, `SELECT k.organization, k.id, k.name, k.kind, k.permissions, k.left_at, COALESCE(m.role, ''), COALESCE(a.role, '')
		FROM api_keys k LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
		LEFT JOIN service_accounts a ON a.organization = k.organization AND a.id = k.service_account
		WHERE k.revoked_at = 0 AND (k.expires_at = 0 OR k.expires_at > $1) ORDER BY k.organization, k.id`, r.Micros())
	return c.credentials(rows, err, func(kind charter.KeyKind) string {
		if c.before.Rules.Keys.Allows(kind) && !c.after.Rules.Keys.Allows(kind) {
			return fmt.Sprintf("goes on, and no more %s keys can be made", kind)
		}
		return ""
	})
}

func (c charterChange) tokens(ctx context.Context, r *op.Reader) ([]Touch, error) {
	rows, err := r.Query(ctx, `SELECT t.organization, t.id, t.name, COALESCE(k.kind, ''), t.permissions, COALESCE(k.left_at, 0), COALESCE(m.role, ''), COALESCE(a.role, '')
		FROM scoped_tokens t LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key
		LEFT JOIN members m ON m.organization = t.organization AND m.id = CASE WHEN k.id IS NULL THEN t.member ELSE k.member END
		LEFT JOIN service_accounts a ON a.organization = t.organization AND a.id = k.service_account
		WHERE t.revoked_at = 0 AND (t.expires_at = 0 OR t.expires_at > $1) ORDER BY t.organization, t.id`, r.Micros())
	return c.credentials(rows, err, func(charter.KeyKind) string { return "" })
}

// credentials gathers keys or tokens that lose something of their scopes, or that otherwise says something about.
func (c charterChange) credentials(rows *sql.Rows, err error, otherwise func(charter.KeyKind) string) ([]Touch, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all touched
	for rows.Next() {
		var organization, scopes, member, account string
		var kind charter.KeyKind
		var left int64
		var one Named
		if err := rows.Scan(&organization, &one.ID, &one.Name, &kind, &scopes, &left, &member, &account); err != nil {
			return nil, err
		}
		all.add(organization, losesText(c.lost(scopes, kind, left != 0, member, account)), one)
		all.add(organization, otherwise(kind), one)
	}
	return all, rows.Err()
}

// lost is what a credential loses of its scopes: what is dropped, and what stands behind it no longer holds.
func (c charterChange) lost(scopes string, kind charter.KeyKind, left bool, member, account string) []charter.Permission {
	gone := c.dropped(scopes)
	behind := c.shifts[member].Loses
	switch {
	case kind == charter.OrganizationKey:
		behind = slices.Concat(c.organization, c.shifts[account].Loses)
	case left:
		behind = nil // it stands on what its creator held
	}
	for one := range strings.FieldsSeq(scopes) {
		if p := charter.Permission(one); slices.Contains(behind, p) && !slices.Contains(gone, p) {
			gone = append(gone, p)
		}
	}
	return gone
}

// droppedInUse refuses to drop roles that somebody has.
func (c charterChange) droppedInUse(t Touches) []Touch {
	var refused []Touch
	for _, found := range slices.Concat(t.Members, t.ServiceAccounts) {
		for _, shift := range c.shifts {
			if shift.Dropped && found.Text == c.text(string(shift.ID)) {
				refused = append(refused, found)
			}
		}
	}
	return refused
}

// owners are the organizations that the new charter would leave without an owner, or with too many.
func (c charterChange) owners(ctx context.Context, r *op.Reader) ([]Touch, error) {
	owner := c.after.OwnerRole()
	if owner.ID == c.before.OwnerRole().ID && c.after.Rules.Owners == c.before.Rules.Owners {
		return nil, nil
	}
	rows, err := r.Query(ctx, `SELECT o.id, o.name, (SELECT count(*) FROM members m WHERE m.organization = o.id AND m.role = $1
			AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $2))
		FROM organizations o WHERE o.state = 'active' ORDER BY o.id`, string(owner.ID), r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all touched
	for rows.Next() {
		var one Named
		var owners int
		if err := rows.Scan(&one.ID, &one.Name, &owners); err != nil {
			return nil, err
		}
		switch {
		case owners == 0:
			all.add(one.ID, fmt.Sprintf("nobody has the new owner role %s", owner.Title), one)
		case owners > 1 && c.after.Rules.Owners == charter.OneOwner:
			all.add(one.ID, fmt.Sprintf("there are %d owners, and the new charter allows one", owners), one)
		}
	}
	return all, rows.Err()
}
