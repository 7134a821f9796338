package directory

import (
	"context"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Admission is somebody who joins without having been asked one by one: whose address is of a domain that the
// organization has verified, or whom its identity provider vouches for.
type Admission struct {
	User User
	Role charter.RoleID // the role of those whom nobody invited; empty: only the invited join
}

// Admit makes a user a member of the call's organization. A pending invitation of the user's address is consumed and gives
// the role. Who is a member already is a Conflict, already_member, which refers to the member. No seat, a role that is
// gone, and an invitation that nobody may vouch for any more are Conflicts too. Nobody becomes an owner without an
// invitation. It takes two statements, and two more with an invitation.
func Admit(ctx context.Context, tx *op.Tx, in Admission) (Member, error) {
	a, err := readArrival(ctx, tx.Reader, AddMemberInput{User: in.User.ID})
	if err != nil {
		return Member{}, err
	}
	if a.current.id != "" && (a.current.endsAt == 0 || tx.Micros() < a.current.endsAt) {
		return Member{}, &op.Error{Kind: op.Conflict, Code: codeAlreadyMember, Text: "this person is a member already",
			Refers: map[string]string{"member": a.current.id}}
	}
	invitation, err := a.invitation(ctx, tx.Reader)
	if err != nil {
		return Member{}, err
	}
	n := newMember{User: a.user, EndsAt: invitation.endsAt}
	if n.Role, err = in.role(ctx, tx, &invitation); err != nil {
		return Member{}, err
	}
	if taken := a.members + a.pending - min(a.invited, 1); a.seats > 0 && taken >= a.seats {
		return Member{}, noSeat(a.seats)
	}
	return a.join(ctx, tx, AddMemberInput{}, n, invitation)
}

// role is the invitation's, if there is one, else the one that is given.
func (in Admission) role(ctx context.Context, tx *op.Tx, invitation *offer) (*charter.Role, error) {
	if invitation.id != "" {
		return invitation.vouched(ctx, tx)
	}
	if in.Role == "" {
		return nil, op.Errorf(op.Conflict, "not_invited", "nobody has invited this address: ask somebody who manages the team for an invitation")
	}
	role, err := RoleOf(ctx, tx.Reader, string(in.Role))
	if err != nil || role.Owner {
		return nil, op.Errorf(op.Conflict, "role_gone", "the role for people who join in this way does not exist any more: somebody has to choose another one first")
	}
	return role, nil
}
