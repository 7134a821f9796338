package directory

import (
	"context"
	"fmt"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// EndMemberInput names a member and says why.
type EndMemberInput struct {
	MemberInput
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500" example:"left the company"`
}

var exampleEnd = EndMemberInput{MemberInput: exampleMember, Reason: "left the company"}

func endTarget(ctx context.Context, r *op.Reader, in EndMemberInput) (op.Target, error) {
	return present(ctx, r, in.Member)
}

func endFences(_ EndMemberInput, t op.Target) []op.Fence { return fenceMember(t) }

// SuspendMember ends a member's access and keeps the role.
var SuspendMember = &op.Op[EndMemberInput, Member]{
	Name:    "members.suspend",
	Route:   "POST /v1/organizations/{organization}/members/{member}/suspend",
	Summary: "Suspend a member: access ends at once, the role is kept",
	Kind:    op.Access,
	Allow:   op.On("members.suspend"),
	Target:  endTarget,
	Fences:  endFences,
	Preview: previewEnd("loses access until reactivated"),
	Do:      suspendMember,
	Confirm: op.L1,
	Example: exampleEnd,
}

func suspendMember(ctx context.Context, tx *op.Tx, in EndMemberInput) (Member, error) {
	m := tx.Target().Value.(Member)
	tx.Because(in.Reason)
	switch {
	case m.User == tx.Actor.User && m.User != "":
		return m, op.Errorf(op.Conflict, "yourself", "you cannot suspend yourself: leave, or ask somebody else")
	case m.Status == "suspended":
		tx.Unchanged()
		return m, nil
	}
	will := m.principal
	will.Standing = decide.Suspended
	if err := keepOwner(ctx, tx.Reader, m, will); err != nil {
		return m, err
	}
	return setStatus(ctx, tx, m, "suspended")
}

// ReactivateMember gives a suspended member access again.
var ReactivateMember = &op.Op[EndMemberInput, Member]{
	Name:    "members.reactivate",
	Route:   "POST /v1/organizations/{organization}/members/{member}/reactivate",
	Summary: "Give a suspended member access again",
	Kind:    op.Access,
	Allow:   op.On("members.suspend"),
	Target:  endTarget,
	Fences:  endFences,
	Do:      reactivateMember,
	Example: exampleEnd,
}

func reactivateMember(ctx context.Context, tx *op.Tx, in EndMemberInput) (Member, error) {
	m := tx.Target().Value.(Member)
	tx.Because(in.Reason)
	if m.Status != "suspended" {
		tx.Unchanged()
		return m, nil
	}
	return setStatus(ctx, tx, m, "active")
}

func setStatus(ctx context.Context, tx *op.Tx, m Member, status string) (Member, error) {
	tx.Changed("status", m.Status, status)
	m.Status, m.principal.Standing = status, standing(status)
	m.Version++
	_, err := tx.Exec(ctx, "UPDATE members SET status = $3, version = $4 WHERE organization = $1 AND id = $2", m.Organization, m.ID, status, m.Version)
	return m, err
}

// Removal is what came of a removal.
type Removal struct {
	Member               Member `json:"member"`
	InvitationsCancelled int64  `json:"invitations_cancelled" doc:"Invitations by which the person could have come back"`
	TransfersCancelled   int64  `json:"transfers_cancelled" doc:"Pending hand-overs of ownership with this person"`
}

// RemoveMember ends a membership: access is gone when it returns. Repeating it changes nothing.
var RemoveMember = &op.Op[EndMemberInput, Removal]{
	Name:    "members.remove",
	Route:   "POST /v1/organizations/{organization}/members/{member}/remove",
	Summary: "Remove a member: access ends at once, everywhere",
	Kind:    op.Access,
	Allow:   op.On("members.remove"),
	Target: func(ctx context.Context, r *op.Reader, in EndMemberInput) (op.Target, error) {
		m, err := memberByID(ctx, r, in.Member)
		return m.target(), err
	},
	Fences:  endFences,
	Preview: previewEnd("is no longer a member"),
	Do: func(ctx context.Context, tx *op.Tx, in EndMemberInput) (Removal, error) {
		tx.Because(in.Reason)
		return removeMember(ctx, tx, tx.Target().Value.(Member))
	},
	Confirm: op.L2,
	Fresh:   true,
	Example: exampleEnd,
}

// LeaveInput names the organization to leave.
type LeaveInput struct {
	op.InOrganization
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500"`
}

// Leave ends the caller's own membership.
var Leave = &op.Op[LeaveInput, Removal]{
	Name:    "members.leave",
	Route:   "POST /v1/organizations/{organization}/members/leave",
	Summary: "Leave an organization",
	Kind:    op.Access,
	Allow:   op.Own(),
	Target: func(ctx context.Context, r *op.Reader, _ LeaveInput) (op.Target, error) {
		if r.Actor.Principal.Member == "" {
			return op.Target{}, op.ErrNotFound
		}
		return present(ctx, r, r.Actor.Principal.Member)
	},
	Fences: func(_ LeaveInput, t op.Target) []op.Fence { return fenceMember(t) },
	Do: func(ctx context.Context, tx *op.Tx, in LeaveInput) (Removal, error) {
		tx.Because(in.Reason)
		return removeMember(ctx, tx, tx.Target().Value.(Member))
	},
	Confirm: op.L1,
	Example: LeaveInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

// removeMember ends a membership and whatever would lead back to it, in the call's transaction.
func removeMember(ctx context.Context, tx *op.Tx, m Member) (Removal, error) {
	if m.Status == "removed" {
		tx.Unchanged()
		return Removal{Member: m}, nil
	}
	will := m.principal
	will.Standing = decide.NoMember
	if err := keepOwner(ctx, tx.Reader, m, will); err != nil {
		return Removal{}, err
	}
	out := Removal{}
	tx.Changed("status", m.Status, "removed")
	if _, err := tx.Exec(ctx, "UPDATE members SET status = 'removed', removed_at = $3, version = version + 1 WHERE organization = $1 AND id = $2",
		m.Organization, m.ID, tx.Micros()); err != nil {
		return out, err
	}
	m.Status, m.Version = "removed", m.Version+1
	out.Member = m
	var err error
	if out.InvitationsCancelled, err = cancelInvitationsOf(ctx, tx, m.Email); err != nil {
		return out, err
	}
	out.TransfersCancelled, err = cancelTransfersOf(ctx, tx, m.ID)
	return out, err
}

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
		impact, err := impactOfEnd(ctx, tx.Reader, tx.Target().Value.(Member), "is no longer a member")
		impact.DryRun = true
		return impact, err
	},
	Example: exampleMember,
}

// previewEnd is the dry run of what ends somebody's access.
func previewEnd(effect string) func(context.Context, *op.Reader, EndMemberInput) (op.Impact, error) {
	return func(ctx context.Context, r *op.Reader, in EndMemberInput) (op.Impact, error) {
		m, err := memberByID(ctx, r, in.Member)
		if err != nil {
			return op.Impact{}, err
		}
		return impactOfEnd(ctx, r, m, effect)
	}
}

// impactOfEnd lists what ends with a membership and what stays.
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
		impact.Effects = append(impact.Effects, op.Effect{Type: "session", Text: plural(sessions, "open session no longer reaches", "open sessions no longer reach") + " this organization"})
	}
	sent, err := sentInvitations(ctx, r, m.ID)
	for _, invitation := range sent {
		invitation.Text = "stays, and is checked again when it is accepted"
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
	impact := op.Impact{Summary: fmt.Sprintf("%s becomes %s", m.Label(), m.RoleTitle),
		Gains: r.Charter.IDs(m.principal.Holds.Minus(was.principal.Holds)), Loses: r.Charter.IDs(was.principal.Holds.Minus(m.principal.Holds))}
	if m.Role == was.Role {
		impact.Summary = fmt.Sprintf("%s stays %s", m.Label(), m.RoleTitle)
	}
	sessions, err := credential.CountSessions(ctx, r, m.User)
	if sessions > 0 {
		impact.Effects = append(impact.Effects, op.Effect{Type: "session", Text: plural(sessions, "open session has", "open sessions have") + " the new rights at once"})
	}
	return impact, err
}

// Ended lists up to 1,000 members whose end date has come and who are not removed yet.
func Ended(ctx context.Context, r *op.Reader) ([]MemberInput, error) {
	rows, err := r.Query(ctx, "SELECT organization, id FROM members WHERE ends_at <> 0 AND ends_at <= $1 AND status <> 'removed' ORDER BY ends_at LIMIT 1000", r.Micros())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []MemberInput
	for rows.Next() {
		var in MemberInput
		if err := rows.Scan(&in.Organization, &in.Member); err != nil {
			return nil, err
		}
		all = append(all, in)
	}
	return all, rows.Err()
}
