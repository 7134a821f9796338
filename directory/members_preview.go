package directory

import (
	"context"
	"fmt"
	"slices"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// PreviewRemoval says what a removal would do.
var PreviewRemoval = &op.Op[MemberInput, op.Impact]{
	Name:    "members.preview_removal",
	Route:   "GET /v1/organizations/{organization}/members/{member}/removal",
	Summary: "Show what removing a member would do",
	Allow:   op.AnyOf(op.On("members.remove"), op.Own()),
	Target: func(ctx context.Context, r *op.Reader, in MemberInput) (op.Target, error) {
		return present(ctx, r, in.Member)
	},
	Do: func(ctx context.Context, tx *op.Tx, _ MemberInput) (op.Impact, error) {
		impact, err := impactOfRemoval(ctx, tx.Reader, tx.Target().Value.(Member), RemovalChoices{})
		impact.DryRun = true
		return impact, err
	},
	Example: exampleMember,
}

// What becomes of something, for programs: op.Effect.Action.
const (
	actionEnds       = "ends"
	actionStays      = "stays"
	actionLeftBehind = "left_behind"
	actionChanges    = "changes"
)

// previewRemoval is the dry run of a removal.
func previewRemoval(ctx context.Context, r *op.Reader, in EndMemberInput) (op.Impact, error) {
	m, err := memberByID(ctx, r, in.Member)
	if err != nil {
		return op.Impact{}, err
	}
	return impactOfRemoval(ctx, r, m, in.RemovalChoices)
}

// impactOfRemoval lists what ends with a membership and what stays.
func impactOfRemoval(ctx context.Context, r *op.Reader, m Member, c RemovalChoices) (op.Impact, error) {
	impact, err := impactOfEnd(ctx, r, m, "is no longer a member")
	if err != nil {
		return impact, err
	}
	all, err := hangingOn(ctx, r, m)
	if err != nil {
		return impact, err
	}
	for i, key := range c.RevokeKeys {
		if !slices.ContainsFunc(all, func(h hanging) bool { return h.kind == "key" && h.keyKind == charter.PersonalKey && h.id == key }) {
			return impact, notTheirs(i, key)
		}
	}
	for _, h := range all {
		impact.Effects = append(impact.Effects, h.fate(r.Charter, m, c).effect(h))
	}
	return impact, nil
}

// previewSuspension is the dry run of a suspension.
func previewSuspension(ctx context.Context, r *op.Reader, in EndMemberInput) (op.Impact, error) {
	m, err := memberByID(ctx, r, in.Member)
	if err != nil {
		return op.Impact{}, err
	}
	impact, err := impactOfEnd(ctx, r, m, "loses access until reactivated")
	if err != nil {
		return impact, err
	}
	all, err := hangingOn(ctx, r, m)
	for _, h := range all {
		if h.acts() {
			impact.Effects = append(impact.Effects, fate{actionStays, "is refused until " + m.Label() + " is reactivated"}.effect(h))
		}
	}
	return impact, err
}

// impactOfEnd is what is the same for everybody whose access ends: permissions, sessions, and invitations sent.
func impactOfEnd(ctx context.Context, r *op.Reader, m Member, effect string) (op.Impact, error) {
	impact := op.Impact{Summary: m.Label() + " " + effect, Loses: r.Charter.IDs(m.principal.Holds)}
	gone := m.principal
	gone.Standing = decide.NoMember
	if err := keepOwner(ctx, r, m, gone); err != nil {
		return impact, err
	}
	sessions, err := credential.CountSessions(ctx, r, m.User)
	if err != nil {
		return impact, err
	}
	if sessions > 0 {
		impact.Effects = append(impact.Effects, op.Effect{Type: "session", Action: actionEnds,
			Text: plural(sessions, "open session no longer reaches", "open sessions no longer reach") + " this organization"})
	}
	sent, err := sentInvitations(ctx, r, m.ID)
	for _, invitation := range sent {
		invitation.Text, invitation.Action = "stays, and is checked again when it is accepted", actionStays
		impact.Effects = append(impact.Effects, invitation)
	}
	return impact, err
}

// plural writes a number with what it counts.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// sentInvitations are the pending invitations that a member sent.
func sentInvitations(ctx context.Context, r *op.Reader, member string) ([]op.Effect, error) {
	rows, err := r.Query(ctx, `SELECT i.id, i.email FROM invitations i WHERE i.organization = $1 AND i.invited_by = $2
		AND i.state = 'pending' AND i.expires_at > $3 ORDER BY i.id LIMIT 100`, r.Organization(), member, r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []op.Effect
	for rows.Next() {
		e := op.Effect{Type: "invitation"}
		if err := rows.Scan(&e.ID, &e.Name); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// hanging is a key, token or service account that hangs on a membership, or that its person made.
type hanging struct {
	kind, id, name string
	keyKind        charter.KeyKind
	permissions    string // its scopes
	root           string // the key that a token is derived from; empty: a session
}

// acts reports whether it acts in the person's name.
func (h hanging) acts() bool {
	return h.kind == "token" || h.kind == "key" && h.keyKind == charter.PersonalKey
}

// hangingOn reads what hangs on a membership, up to 300 things.
func hangingOn(ctx context.Context, r *op.Reader, m Member) ([]hanging, error) {
	rows, err := r.Query(ctx, `SELECT 'key', k.id, k.name, k.kind, k.permissions, '' FROM api_keys k
			WHERE k.organization = $1 AND (k.kind = 'personal' AND k.member = $2 OR k.kind = 'organization' AND k.creator = $3)
			AND k.revoked_at = 0 AND k.left_at = 0 AND (k.expires_at = 0 OR k.expires_at > $4)
		UNION ALL
		SELECT 'token', t.id, t.name, '', t.permissions, t.api_key FROM scoped_tokens t
			LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key
			WHERE t.organization = $1 AND t.revoked_at = 0 AND (t.expires_at = 0 OR t.expires_at > $4)
			AND (t.session <> '' AND t.member = $2 OR k.kind = 'personal' AND k.member = $2 AND k.revoked_at = 0 AND k.left_at = 0)
		UNION ALL
		SELECT 'service_account', a.id, a.name, '', '', '' FROM service_accounts a
			WHERE a.organization = $1 AND a.manager = $2 AND a.deleted_at = 0
		ORDER BY 1, 2 LIMIT 300`, m.Organization, m.ID, m.User, r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []hanging
	for rows.Next() {
		var h hanging
		if err := rows.Scan(&h.kind, &h.id, &h.name, &h.keyKind, &h.permissions, &h.root); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, rows.Err()
}

// fate is what becomes of something.
type fate struct{ action, text string }

func (f fate) effect(h hanging) op.Effect {
	return op.Effect{Type: h.kind, ID: h.id, Name: h.name, Text: f.text, Action: f.action}
}

// fate is what a removal does.
func (h hanging) fate(c *charter.Charter, m Member, choices RemovalChoices) fate {
	switch {
	case h.kind == "service_account" && choices.ServiceAccountsTo != "":
		return fate{actionStays, "stays, looked after by the member whom you named"}
	case h.kind == "service_account":
		return fate{actionStays, "stays, looked after by whoever removes"}
	case h.kind == "key" && h.keyKind == charter.OrganizationKey:
		return fate{actionStays, "stays: it belongs to the organization"}
	case h.kind == "token" && h.root == "":
		return fate{actionEnds, "ends with the membership"}
	case h.kind == "token":
		return personalKeyFate(c, m, h.root, choices, "goes on as its key does")
	}
	return personalKeyFate(c, m, h.id, choices, "stays, left behind with what "+m.Label()+" holds at that moment")
}

// personalKeyFate is what becomes of a personal key, and so of its tokens.
func personalKeyFate(c *charter.Charter, m Member, key string, choices RemovalChoices, left string) fate {
	switch {
	case c.Rules.Keys.AfterCreatorLeaves == charter.RevokeKeys:
		return fate{actionEnds, "ends with the membership"}
	case m.Status == "suspended":
		return fate{actionEnds, "is revoked: its creator is suspended"}
	case slices.Contains(choices.RevokeKeys, key):
		return fate{actionEnds, "is revoked"}
	}
	return fate{actionLeftBehind, left}
}

// previewUpdate is the dry run of a change of role or end date.
func previewUpdate(ctx context.Context, r *op.Reader, in UpdateMemberInput) (op.Impact, error) {
	m, err := memberByID(ctx, r, in.Member)
	if err != nil {
		return op.Impact{}, err
	}
	was := m
	if in.Role != nil {
		if err := changeRole(ctx, r, &m, *in.Role); err != nil {
			return op.Impact{}, err
		}
	}
	if in.EndsAt != nil {
		if err := changeEnd(ctx, r, &m, *in.EndsAt); err != nil {
			return op.Impact{}, err
		}
	}
	if err := keepOwner(ctx, r, was, m.principal); err != nil {
		return op.Impact{}, err
	}
	return impactOfChange(ctx, r, was, m)
}

// impactOfChange says what a change of role or end date does.
func impactOfChange(ctx context.Context, r *op.Reader, was, m Member) (op.Impact, error) {
	lost := was.principal.Holds.Minus(m.principal.Holds)
	impact := op.Impact{Summary: fmt.Sprintf("%s becomes %s", m.Label(), m.RoleTitle),
		Gains: r.Charter.IDs(m.principal.Holds.Minus(was.principal.Holds)), Loses: r.Charter.IDs(lost)}
	if m.Role == was.Role {
		impact.Summary = fmt.Sprintf("%s stays %s", m.Label(), m.RoleTitle)
	}
	sessions, err := credential.CountSessions(ctx, r, m.User)
	if err != nil {
		return impact, err
	}
	if sessions > 0 {
		impact.Effects = append(impact.Effects, op.Effect{Type: "session", Action: actionChanges,
			Text: plural(sessions, "open session has", "open sessions have") + " the new rights at once"})
	}
	all, err := hangingOn(ctx, r, m)
	for _, h := range all {
		if h.acts() {
			impact.Effects = append(impact.Effects, loss(r.Charter, h, lost)...)
		}
	}
	return impact, err
}

// loss is the effect on a credential whose scopes have something in them that whoever is behind it loses; none if not.
func loss(c *charter.Charter, h hanging, lost charter.Set) []op.Effect {
	scopes, _ := c.SetOf(permissionList(h.permissions))
	gone := scopes.Intersect(lost)
	if gone.Empty() {
		return nil
	}
	return []op.Effect{fate{actionChanges, "loses " + joined(c.IDs(gone), ", ")}.effect(h)}
}
