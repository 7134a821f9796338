package directory

import (
	"context"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// EndMemberInput names a member and says why.
type EndMemberInput struct {
	MemberInput
	RemovalChoices
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500" example:"left the company"`
}

var exampleEnd = EndMemberInput{MemberInput: exampleMember, Reason: "left the company"}

func endTarget(ctx context.Context, r *op.Reader, in EndMemberInput) (op.Target, error) {
	if err := in.refuse(); err != nil {
		return op.Target{}, err
	}
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
	Preview: previewSuspension,
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
	if err := lockedOut(&m); err != nil {
		return m, err
	}
	return setStatus(ctx, tx, m, "active")
}

func setStatus(ctx context.Context, tx *op.Tx, m Member, status string) (Member, error) {
	tx.Changed("status", m.Status, status)
	m.Status, m.principal.Standing = status, standing(status)
	m.Version++
	_, err := tx.Exec(ctx, "UPDATE members SET status = $3, version = $4, managed_suspended = FALSE WHERE organization = $1 AND id = $2", m.Organization, m.ID, status, m.Version)
	return m, err
}
