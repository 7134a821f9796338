package directory

import (
	"context"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// RemovalChoices are what whoever removes somebody decides about what hangs on the membership.
type RemovalChoices struct {
	RevokeKeys        []string `json:"revoke_keys,omitzero" doc:"Of a removal, where the charter keeps keys: ids of the person's personal keys that end with it; the others stay, left behind with what the person held" maxItems:"1000" required:"false"`
	ServiceAccountsTo string   `json:"service_accounts_to,omitzero" doc:"Of a removal: id of the member who looks after the person's service accounts from now on; left out: whoever removes" maxLength:"64"`
}

// refuse refuses choices where nobody is removed.
func (c RemovalChoices) refuse() error {
	switch {
	case len(c.RevokeKeys) > 0:
		return op.InvalidField("revoke_keys", "unknown", "keys are revoked with a removal only: a suspended member's are refused until the member is reactivated")
	case c.ServiceAccountsTo != "":
		return op.InvalidField("service_accounts_to", "unknown", "service accounts change hands with a removal only")
	}
	return nil
}

// Named is something by its id and name.
type Named struct {
	ID   string `json:"id" doc:"Its id"`
	Name string `json:"name" doc:"Its name"`
}

// Removal is what came of a removal.
type Removal struct {
	Member               Member  `json:"member" doc:"Who was removed"`
	InvitationsCancelled int64   `json:"invitations_cancelled" doc:"Invitations by which the person could have come back"`
	TransfersCancelled   int64   `json:"transfers_cancelled" doc:"Pending hand-overs of ownership with this person"`
	KeysEnded            []Named `json:"keys_ended" doc:"Personal keys that ended with the membership"`
	KeysLeftBehind       []Named `json:"keys_left_behind" doc:"Personal keys that stay until somebody revokes them, with what the person held at this moment"`
	ServiceAccounts      []Named `json:"service_accounts" doc:"Service accounts that somebody else looks after now"`
	ServiceAccountsTo    string  `json:"service_accounts_to,omitzero" doc:"Id of the member who does; absent: nobody"`
}

// RemoveMember ends a membership: access is gone when it returns. Repeating it changes nothing.
var RemoveMember = &op.Op[EndMemberInput, Removal]{
	Name:    "members.remove",
	Route:   "POST /v1/organizations/{organization}/members/{member}/remove",
	Summary: "Remove a member: access ends at once, everywhere",
	Kind:    op.Access,
	Allow:   op.On("members.remove"),
	Target: func(ctx context.Context, r *op.Reader, in EndMemberInput) (op.Target, error) {
		l, err := leaverByID(ctx, r, in.Member)
		return l.target(), err
	},
	Fences:  endFences,
	Preview: previewRemoval,
	Do: func(ctx context.Context, tx *op.Tx, in EndMemberInput) (Removal, error) {
		tx.Because(in.Reason)
		return tx.Target().Value.(leaver).remove(ctx, tx, in.RemovalChoices, in.Reason)
	},
	Confirm: op.L2,
	Fresh:   true,
	Example: exampleEnd,
}

// LeaveInput names the organization to leave.
type LeaveInput struct {
	op.InOrganization
	RemovalChoices
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
		l, err := leaverByID(ctx, r, r.Actor.Principal.Member)
		return l.target(), err
	},
	Fences: func(_ LeaveInput, t op.Target) []op.Fence { return fenceMember(t) },
	Do: func(ctx context.Context, tx *op.Tx, in LeaveInput) (Removal, error) {
		tx.Because(in.Reason)
		return tx.Target().Value.(leaver).remove(ctx, tx, in.RemovalChoices, in.Reason)
	},
	Confirm: op.L1,
	Example: LeaveInput{InOrganization: op.InOrganization{Organization: "acme"}},
}

// leaver is a member who goes, with how much hangs on the membership.
type leaver struct {
	Member
	invitations, keys, accounts int64
}

const leaverColumns = memberColumns + `,
	(SELECT count(*) FROM invitations i WHERE i.organization = m.organization AND i.email_folded = u.email_folded AND i.state = 'pending'),
	(SELECT count(*) FROM api_keys k WHERE k.organization = m.organization AND k.member = m.id AND k.kind = 'personal'
		AND k.revoked_at = 0 AND k.left_at = 0),
	(SELECT count(*) FROM service_accounts a WHERE a.organization = m.organization AND a.manager = m.id AND a.deleted_at = 0)`

// leaverByID reads a member of the call's organization; one that was removed too, with that status.
func leaverByID(ctx context.Context, r *op.Reader, id string) (leaver, error) {
	return scanLeaver(r, r.QueryRow(ctx, "SELECT "+leaverColumns+membersJoined+"WHERE m.organization = $1 AND m.id = $2", r.Organization(), id))
}

func scanLeaver(r *op.Reader, row interface{ Scan(...any) error }) (l leaver, err error) {
	l.Member, err = scanMember(r, row, &l.invitations, &l.keys, &l.accounts)
	return l, err
}

func (l leaver) target() op.Target {
	t := l.Member.target()
	t.Value = l
	return t
}

// remove ends a membership and whatever would lead back to it, in the call's transaction.
func (l leaver) remove(ctx context.Context, tx *op.Tx, c RemovalChoices, reason string) (Removal, error) {
	out := Removal{Member: l.Member, KeysEnded: []Named{}, KeysLeftBehind: []Named{}, ServiceAccounts: []Named{}}
	if l.Status == "removed" {
		tx.Unchanged()
		return out, nil
	}
	will := l.principal
	will.Standing = decide.NoMember
	if err := keepOwner(ctx, tx.Reader, l.Member, will); err != nil {
		return out, err
	}
	return out, l.end(ctx, tx, c, reason, &out)
}

// end writes the end of a membership that may end, and what becomes of all that hangs on it.
func (l leaver) end(ctx context.Context, tx *op.Tx, c RemovalChoices, reason string, out *Removal) (err error) {
	tx.ChangedIn(l.Organization, "status", l.Status, "removed")
	if _, err := tx.Exec(ctx, "UPDATE members SET status = 'removed', removed_at = $3, version = version + 1 WHERE organization = $1 AND id = $2",
		l.Organization, l.ID, tx.Micros()); err != nil {
		return err
	}
	out.Member.Status, out.Member.Version = "removed", l.Version+1
	if l.invitations > 0 {
		if out.InvitationsCancelled, err = cancelInvitationsOf(ctx, tx, l.Organization, l.Email); err != nil {
			return err
		}
	}
	if out.TransfersCancelled, err = cancelTransfersOf(ctx, tx, l.Member); err != nil {
		return err
	}
	if l.keys > 0 || len(c.RevokeKeys) > 0 {
		if out.KeysLeftBehind, out.KeysEnded, err = l.leaveKeys(ctx, tx, c.RevokeKeys, reason); err != nil {
			return err
		}
	}
	out.ServiceAccountsTo, out.ServiceAccounts, err = l.handOver(ctx, tx, c.ServiceAccountsTo)
	return err
}

// handOver gives the service accounts that the person looked after to another member: the one who is named, else
// whoever removes.
func (l leaver) handOver(ctx context.Context, tx *op.Tx, to string) (string, []Named, error) {
	if to != "" {
		if err := l.takesOver(ctx, tx.Reader, to); err != nil {
			return "", nil, err
		}
	}
	if l.accounts == 0 {
		return "", []Named{}, nil
	}
	if by := tx.Actor.Principal.Member; to == "" && by != l.ID {
		to = by
	}
	moved, err := namedRows(tx.Query(ctx, `UPDATE service_accounts SET manager = $3, version = version + 1
		WHERE organization = $1 AND manager = $2 AND deleted_at = 0 RETURNING id, name`, l.Organization, l.ID, to))
	if err != nil {
		return "", nil, err
	}
	tx.ChangedIn(l.Organization, "service_accounts_to", l.ID, to)
	return to, moved, mention(ctx, tx, l.Organization, "service_account", moved)
}

// takesOver refuses a member who cannot look after service accounts.
func (l leaver) takesOver(ctx context.Context, r *op.Reader, member string) error {
	var n int
	err := r.QueryRow(ctx, `SELECT count(*) FROM members WHERE organization = $1 AND id = $2 AND id <> $3 AND status = 'active'
		AND (ends_at = 0 OR ends_at > $4)`, l.Organization, member, l.ID, r.Micros()).Scan(&n)
	if err == nil && n == 0 {
		err = op.InvalidField("service_accounts_to", "unknown", "%q is no other active member of this organization", member)
	}
	return err
}

// mentioned bounds how many things of one kind a row of the log names; it counts them all.
const mentioned = 20

// mention names things in the row of an organization's log.
func mention(ctx context.Context, tx *op.Tx, organization, kind string, all []Named) error {
	for _, one := range all[:min(len(all), mentioned)] {
		if err := tx.AlsoIn(ctx, organization, kind, one.ID, one.Name); err != nil {
			return err
		}
	}
	return nil
}

// Ended lists up to 1,000 members whose end date has come and who are not removed yet; not in an organization that is to
// be deleted, which nothing changes.
func Ended(ctx context.Context, r *op.Reader) ([]MemberInput, error) {
	rows, err := r.Query(ctx, `SELECT organization, id FROM members WHERE ends_at <> 0 AND ends_at <= $1 AND status <> 'removed'
		AND EXISTS (SELECT 1 FROM organizations o WHERE o.id = members.organization AND o.state = 'active') ORDER BY ends_at LIMIT 1000`, r.Micros())
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
