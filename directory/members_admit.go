package directory

import (
	"context"
	"errors"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Admission is somebody who joins without having been asked one by one: whose address is of a domain that the
// organization has verified, or whom its identity provider vouches for.
type Admission struct {
	User User
	Role charter.RoleID // the role of those whom nobody invited; empty: only the invited join

	By      string // the connection that vouches
	ByGroup bool   // a group there gives the role, which goes before an invitation's
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
	if in.ByGroup && n.EndsAt != 0 && n.EndsAt <= tx.Micros() {
		n.EndsAt = 0 // the invitation was for a time that is over
	}
	m, err := a.join(ctx, tx, AddMemberInput{}, n, invitation)
	if err == nil && in.ByGroup {
		m.ManagedBy, m.RoleManaged = in.By, true
		_, err = tx.Exec(ctx, "UPDATE members SET managed_by = $3, managed_access = TRUE, managed_role = TRUE WHERE organization = $1 AND id = $2", tx.Organization(), m.ID, in.By)
	}
	return m, err
}

// Holds reports whether a user holds a permission in an organization now: who answers for something that others use.
func Holds(ctx context.Context, r *op.Reader, organization, user string, p charter.Permission) (bool, error) {
	m, err := scanMember(r, r.QueryRow(ctx, "SELECT "+memberColumns+membersJoined+"WHERE m.organization = $1 AND m.user_id = $2 AND m.status <> 'removed'", organization, user))
	if errors.Is(err, op.ErrNotFound) {
		return false, nil
	}
	return err == nil && decide.Decide(&m.principal, decide.Ask(r.Charter, p, ""), r.Micros()).Allow, err
}

// Provision is what an identity provider says of a member's role, each time that the member signs in there.
type Provision struct {
	By      string         // the connection
	User    string         // who signs in
	Role    charter.RoleID // what a group gives, else what the connection gives whom no group names; empty: nothing
	ByGroup bool
}

// Provide gives a member the role that a group at their identity provider gives, which nobody changes by hand from then on. A
// member to whom it gave one, and whom no group names any more, gets the connection's; where that gives none it is Denied,
// no_group. It changes no owner's role and nobody whom a company's directory manages. Without a change it takes one statement.
func Provide(ctx context.Context, tx *op.Tx, in Provision) error {
	m, err := memberOfUser(ctx, tx.Reader, in.User)
	if err != nil || m.Owner || m.ManagedKind == "directory" {
		return err
	}
	mine := m.RoleManaged && m.ManagedBy == in.By
	switch {
	case in.ByGroup && mine && m.Role == string(in.Role), !in.ByGroup && !mine:
		return nil
	case in.Role == "":
		return op.Keep(op.Errorf(op.Denied, "no_group", "none of your groups at the identity provider gives you a role here any more: ask somebody who manages them"))
	}
	role, err := RoleOf(ctx, tx.Reader, string(in.Role))
	if err != nil || role.Owner {
		return op.Errorf(op.Conflict, "role_gone", "the role %q does not exist any more: somebody has to choose another one for this group", in.Role)
	}
	return Manage(ctx, tx, in.By, []ManagedChange{{Member: m.ID, User: m.User, Name: m.Label(), WasRole: m.Role, Role: string(in.Role),
		WasStatus: m.Status, Status: m.Status, Access: true, ByMapping: in.ByGroup, Released: !in.ByGroup}})
}

// role is the invitation's, if there is one, else the one that is given.
func (in Admission) role(ctx context.Context, tx *op.Tx, invitation *offer) (*charter.Role, error) {
	if invitation.id != "" && !in.ByGroup {
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
