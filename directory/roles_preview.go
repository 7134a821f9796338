package directory

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// PreviewRoleInput says what a role would hold: one that there is, or a new one.
type PreviewRoleInput struct {
	op.InOrganization
	Role        string               `json:"role,omitzero" doc:"The role that would be changed; left out: a new one" maxLength:"64"`
	Permissions []charter.Permission `json:"permissions" doc:"All that it would hold, beside organization.view" maxItems:"300" example:"[\"billing.view\"]"`
}

// PreviewRole says, before a role is saved, who would gain and who would lose what.
var PreviewRole = &op.Op[PreviewRoleInput, op.Impact]{
	Name:    "roles.preview",
	Route:   "POST /v1/organizations/{organization}/roles/preview",
	Summary: "Show who would gain and who would lose what, before a role is saved",
	Allow:   op.On("roles.manage"),
	Target: func(ctx context.Context, r *op.Reader, in PreviewRoleInput) (op.Target, error) {
		if in.Role == "" {
			return op.Target{Organization: r.Organization()}, nil
		}
		return customTarget(ctx, r, in.Role)
	},
	Do: func(ctx context.Context, tx *op.Tx, in PreviewRoleInput) (op.Impact, error) {
		impact, err := previewRole(ctx, tx.Reader, in, tx.Target())
		impact.DryRun = true
		return impact, err
	},
	Example: PreviewRoleInput{InOrganization: op.InOrganization{Organization: "acme"}, Permissions: []charter.Permission{"billing.view"}},
}

func previewRole(ctx context.Context, r *op.Reader, in PreviewRoleInput, t *op.Target) (op.Impact, error) {
	if in.Role == "" {
		set, err := withEverybodys(r.Charter, in.Permissions)
		if err != nil {
			return op.Impact{}, err
		}
		return op.Impact{Summary: "a new role, which nobody has yet", Gains: r.Charter.IDs(set)}, demandAll(ctx, r, set)
	}
	c, err := customOf(t)
	if err != nil {
		return op.Impact{}, err
	}
	if err := r.MayActOn(ctx, t.Principal); err != nil {
		return op.Impact{}, err
	}
	now, err := c.changed(ctx, r, UpdateRoleInput{Permissions: in.Permissions})
	if err != nil {
		return op.Impact{}, err
	}
	return c.impact(ctx, r, now.Holds)
}

// previewRoleUpdate is the dry run of a change of a role.
func previewRoleUpdate(ctx context.Context, r *op.Reader, in UpdateRoleInput) (op.Impact, error) {
	c, err := previewedRole(ctx, r, in.Role)
	if err != nil {
		return op.Impact{}, err
	}
	now, err := c.changed(ctx, r, in)
	if err != nil {
		return op.Impact{}, err
	}
	return c.impact(ctx, r, now.Holds)
}

// previewRoleDelete is the dry run of a role's end.
func previewRoleDelete(ctx context.Context, r *op.Reader, in DeleteRoleInput) (op.Impact, error) {
	c, err := previewedRole(ctx, r, in.Role)
	if err != nil {
		return op.Impact{}, err
	}
	if err := c.notGiven(ctx, r); err != nil {
		return op.Impact{}, err
	}
	to, err := c.movable(ctx, r, in.MoveTo)
	if err != nil {
		return op.Impact{}, err
	}
	if c.members+c.accounts == 0 {
		return op.Impact{Summary: fmt.Sprintf("nobody has the role %s", c.title)}, nil
	}
	impact, err := c.impact(ctx, r, to.Holds)
	impact.Summary = fmt.Sprintf("%s become %s", c.holders(), to.Title)
	if c.members+c.accounts == 1 {
		impact.Summary = fmt.Sprintf("%s becomes %s", c.holders(), to.Title)
	}
	return impact, err
}

func previewedRole(ctx context.Context, r *op.Reader, role string) (customRow, error) {
	t, err := customTarget(ctx, r, role)
	if err != nil {
		return customRow{}, err
	}
	return customOf(&t)
}

// impact says what happens to those who have the role when they hold something else.
func (c customRow) impact(ctx context.Context, r *op.Reader, holds charter.Set) (op.Impact, error) {
	gained, lost := holds.Minus(c.Holds), c.Holds.Minus(holds)
	impact := op.Impact{Gains: r.Charter.IDs(gained), Loses: r.Charter.IDs(lost)}
	impact.Summary = fmt.Sprintf("%s gain %s and lose %d", c.holders(), plural(gained.Len(), "permission", "permissions"), lost.Len())
	switch c.members + c.accounts {
	case 0:
		impact.Summary = fmt.Sprintf("nobody has the role %s", c.title)
	case 1:
		impact.Summary = fmt.Sprintf("%s gains %s and loses %d", c.holders(), plural(gained.Len(), "permission", "permissions"), lost.Len())
	}
	if gained.Empty() && lost.Empty() {
		return impact, nil
	}
	all, err := c.reached(ctx, r)
	for _, h := range all {
		if h.kind == "key" || h.kind == "token" {
			impact.Effects = append(impact.Effects, loss(r.Charter, h, lost)...)
			continue
		}
		impact.Effects = append(impact.Effects, fate{actionChanges, changeText(impact)}.effect(h))
	}
	return impact, err
}

// holders are those who have the role, in words.
func (c customRow) holders() string {
	text := plural(c.members, "member", "members")
	if c.accounts > 0 {
		text += " and " + plural(c.accounts, "service account", "service accounts")
	}
	return text
}

// changeText says what somebody gains and loses.
func changeText(i op.Impact) string {
	switch {
	case len(i.Loses) == 0:
		return "gains " + joined(i.Gains, ", ")
	case len(i.Gains) == 0:
		return "loses " + joined(i.Loses, ", ")
	}
	return "gains " + joined(i.Gains, ", ") + "; loses " + joined(i.Loses, ", ")
}

// reached lists who has the role, and the keys and tokens that stand on it, up to 300.
func (c customRow) reached(ctx context.Context, r *op.Reader) ([]hanging, error) {
	rows, err := r.Query(ctx, `SELECT 'member', m.id, CASE u.name WHEN '' THEN u.email ELSE u.name END, '' FROM members m JOIN users u ON u.id = m.user_id
			WHERE m.organization = $1 AND m.role = $2 AND m.status <> 'removed'
		UNION ALL SELECT 'service_account', a.id, a.name, '' FROM service_accounts a
			WHERE a.organization = $1 AND a.role = $2 AND a.deleted_at = 0
		UNION ALL SELECT 'key', k.id, k.name, k.permissions FROM api_keys k
			LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
			LEFT JOIN service_accounts a ON a.organization = k.organization AND a.id = k.service_account
			WHERE k.organization = $1 AND k.revoked_at = 0 AND k.left_at = 0 AND (k.expires_at = 0 OR k.expires_at > $3)
			AND (k.kind = 'personal' AND m.role = $2 AND m.status <> 'removed' OR k.kind = 'organization' AND a.role = $2 AND a.deleted_at = 0)
		UNION ALL SELECT 'token', t.id, t.name, t.permissions FROM scoped_tokens t
			LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key
			LEFT JOIN members m ON m.organization = t.organization AND m.id = CASE WHEN k.id IS NULL THEN t.member ELSE k.member END
			LEFT JOIN service_accounts a ON a.organization = t.organization AND a.id = k.service_account
			WHERE t.organization = $1 AND t.revoked_at = 0 AND (t.expires_at = 0 OR t.expires_at > $3)
			AND (m.role = $2 AND m.status <> 'removed' OR a.role = $2 AND a.deleted_at = 0)
		ORDER BY 1, 2 LIMIT 300`, r.Organization(), c.id, r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []hanging
	for rows.Next() {
		var h hanging
		if err := rows.Scan(&h.kind, &h.id, &h.name, &h.permissions); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, rows.Err()
}
