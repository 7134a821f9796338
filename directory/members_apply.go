package directory

import (
	"context"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// GiveRole gives a member of the call's organization another role in the call's transaction, by every rule of members.update:
// the actor may act on the member and give the role, and an active owner stays. Whoever calls it names the change in the
// audit row.
func GiveRole(ctx context.Context, tx *op.Tx, member, role string) error {
	m, err := memberByID(ctx, tx.Reader, member)
	if err != nil {
		return err
	}
	if err := tx.MayActOn(ctx, &m.principal); err != nil {
		return err
	}
	was := m
	if err := changeRole(ctx, tx.Reader, &m, role); err != nil {
		return err
	}
	if err := keepOwner(ctx, tx.Reader, was, m.principal); err != nil {
		return err
	}
	m.Version++
	tx.Fence(fenceMember(m.target())...)
	return m.save(ctx, tx, was)
}

// EndMembership ends a membership of the call's organization in the call's transaction, by every rule of members.remove, with
// the charter's choices about what hangs on it. Of somebody who is gone already it changes nothing.
func EndMembership(ctx context.Context, tx *op.Tx, member, reason string) error {
	l, err := leaverByID(ctx, tx.Reader, member)
	if err != nil || l.Status == "removed" {
		return err
	}
	if err := tx.Demand(ctx, "members.remove"); err != nil {
		return err
	}
	if err := tx.MayActOn(ctx, &l.principal); err != nil {
		return err
	}
	will := l.principal
	will.Standing = decide.NoMember
	if err := keepOwner(ctx, tx.Reader, l.Member, will); err != nil {
		return err
	}
	tx.Fence(fenceMember(l.target())...)
	return l.end(ctx, tx, RemovalChoices{}, reason, &Removal{})
}

// HangingOn says what becomes of the keys, tokens and service accounts that hang on a membership if it ends, with the
// charter's choices.
func HangingOn(ctx context.Context, r *op.Reader, member string) ([]op.Effect, error) {
	m, err := memberByID(ctx, r, member)
	if err != nil {
		return nil, err
	}
	all, err := hangingOn(ctx, r, m)
	effects := make([]op.Effect, len(all))
	for i, h := range all {
		effects[i] = h.fate(r.Charter, m, RemovalChoices{}).effect(h)
	}
	return effects, err
}
