package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// DeleteUserInput names a user and says why.
type DeleteUserInput struct {
	UserInput
	Reason string `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500" example:"asked for it"`
}

// DeletedUser is what came of deleting a user.
type DeletedUser struct {
	User        string            `json:"user" doc:"The user's id, which is not used again"`
	Memberships []EndedMembership `json:"memberships" doc:"The memberships that ended"`
}

// EndedMembership is one membership of a deleted user.
type EndedMembership struct {
	Organization   string  `json:"organization" doc:"The organization's id"`
	Member         string  `json:"member" doc:"The member's id"`
	KeysEnded      []Named `json:"keys_ended" doc:"Personal keys that ended with it"`
	KeysLeftBehind []Named `json:"keys_left_behind" doc:"Personal keys that stay until somebody revokes them"`
}

// DeleteUser erases a person: every membership ends as in a removal, every session ends, name and address are taken out
// of the data and of the audit log. It is refused while the person is the only active owner of an organization.
var DeleteUser = &op.Op[DeleteUserInput, DeletedUser]{
	Name:    "users.delete",
	Route:   "POST /v1/users/{user}/delete",
	Summary: "Erase a user: memberships, sessions, name and address, everywhere",
	Kind:    op.Access,
	Scope:   op.Instance,
	Allow:   op.AnyOf(op.ByService, op.ByOperator),
	Target:  deleteTarget,
	Fences:  func(_ DeleteUserInput, t op.Target) []op.Fence { return []op.Fence{{Kind: op.FenceUser, ID: t.ID}} },
	Preview: previewDelete,
	Do:      deleteUser,
	Confirm: op.L3,
	Example: DeleteUserInput{UserInput: UserInput{User: "42"}, Reason: "asked for it"},
}

// deleteTarget finds the user, whose own log it is written to. The row does not name who is erased.
func deleteTarget(ctx context.Context, r *op.Reader, in DeleteUserInput) (op.Target, error) {
	t, err := userTarget(ctx, r, in.UserInput)
	t.Name, t.Current, t.Stream = "", nil, t.ID
	return t, err
}

func deleteUser(ctx context.Context, tx *op.Tx, in DeleteUserInput) (DeletedUser, error) {
	u := tx.Target().Value.(User)
	tx.Because(in.Reason)
	tx.Changed("deleted", false, true)
	// The user's row is held from here on: whoever makes this person a member somewhere waits, and then finds nobody.
	if err := anonymize(ctx, tx, u); err != nil {
		return DeletedUser{}, err
	}
	found, err := tracesOf(ctx, tx.Reader, u)
	if err != nil {
		return DeletedUser{}, err
	}
	if err := found.lock(ctx, tx); err != nil {
		return DeletedUser{}, err
	}
	ended, err := endMemberships(ctx, tx, u, in.Reason)
	if err != nil {
		return DeletedUser{}, err
	}
	return DeletedUser{User: u.ID, Memberships: ended}, found.erase(ctx, tx, u)
}

// anonymize takes name, address and external id out of the user's row, which stays for those that name it.
func anonymize(ctx context.Context, tx *op.Tx, u User) error {
	n, err := tx.Exec(ctx, `UPDATE users SET external_id = NULL, email = '', email_folded = $2, name = '', time_zone = '', deleted_at = $3,
		version = version + 1, updated_at = $3 WHERE id = $1 AND deleted_at = 0`, u.ID, nobodys(u.ID), tx.Micros())
	if err == nil && n == 0 {
		err = op.ErrNotFound
	}
	return err
}

// nobodys is the folded address of a user without one. Nobody can write it.
func nobodys(user string) string { return "none:" + user }

// trace is a member, an invitation or a recovery of ownership that names a person.
type trace struct {
	organization, kind, id string
	live                   bool // a membership, a pending invitation, or a recovery that waits
}

type traces []trace

// tracesOf finds the person's memberships, the invitations of the address, and the recoveries for them, that there are or
// ever were.
func tracesOf(ctx context.Context, r *op.Reader, u User) (traces, error) {
	folded, _ := Fold(u.Email) // whoever has no address was never invited
	rows, err := r.Query(ctx, `SELECT m.organization, 'member', m.id, CASE m.status WHEN 'removed' THEN 0 ELSE 1 END FROM members m WHERE m.user_id = $2
		UNION ALL SELECT i.organization, 'invitation', i.id, CASE i.state WHEN 'pending' THEN 1 ELSE 0 END FROM invitations i WHERE i.email_folded = $1
		UNION ALL SELECT s.organization, 'directory_user', s.id, 0 FROM directory_users s WHERE s.user_id = $2
		UNION ALL SELECT w.organization, 'recovery', w.id, CASE w.state WHEN 'waiting' THEN 1 ELSE 0 END FROM owner_recoveries w WHERE `+forPerson,
		folded, u.ID, u.Email)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all traces
	for rows.Next() {
		var t trace
		var live int
		if err := rows.Scan(&t.organization, &t.kind, &t.id, &live); err != nil {
			return nil, err
		}
		t.live = live == 1
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b trace) int { return strings.Compare(a.organization+a.id, b.organization+b.id) })
	return all, rows.Err()
}

// forPerson is true of a recovery w whose heir is the user $2, or has the address $1, which is $3 as it was written.
const forPerson = "(w.member IN (SELECT id FROM members WHERE user_id = $2) OR w.email <> '' AND (w.email = $3 OR lower(w.email) = $1))"

// lock locks every organization in which something will end, in the order of their ids, and begins its row there.
func (all traces) lock(ctx context.Context, tx *op.Tx) error {
	for _, t := range all {
		if !t.live {
			continue
		}
		if err := tx.AlsoIn(ctx, t.organization, t.kind, t.id, ""); err != nil {
			return err
		}
	}
	return nil
}

// membership is one of a user's, with its organization.
type membership struct {
	leaver
	organizationName, state string
}

// endMemberships ends every membership of a user as a removal does. The organizations are locked.
func endMemberships(ctx context.Context, tx *op.Tx, u User, reason string) ([]EndedMembership, error) {
	all, err := membershipsOf(ctx, tx.Reader, u)
	if err != nil {
		return nil, err
	}
	if err := keepOwners(ctx, tx.Reader, all); err != nil {
		return nil, err
	}
	ended := []EndedMembership{}
	for _, m := range all {
		var out Removal
		if err := m.end(ctx, tx, RemovalChoices{}, reason, &out); err != nil {
			return nil, err
		}
		ended = append(ended, EndedMembership{Organization: m.Organization, Member: m.ID, KeysEnded: named(out.KeysEnded), KeysLeftBehind: named(out.KeysLeftBehind)})
	}
	return ended, nil
}

// named is a list that is empty where there is none.
func named(all []Named) []Named {
	if all == nil {
		return []Named{}
	}
	return all
}

func membershipsOf(ctx context.Context, r *op.Reader, u User) ([]membership, error) {
	rows, err := r.Query(ctx, "SELECT "+leaverColumns+", o.name, o.state"+membersJoined+`JOIN organizations o ON o.id = m.organization
		WHERE m.user_id = $1 AND m.status <> 'removed' ORDER BY o.name, o.id`, u.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []membership
	for rows.Next() {
		var m membership
		if m.Member, err = scanMember(r, rows, &m.invitations, &m.keys, &m.accounts, &m.organizationName, &m.state); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// keepOwners refuses to end memberships of which one is an organization's only active owner's, and names them all. T-017.
func keepOwners(ctx context.Context, r *op.Reader, all []membership) error {
	var names []string
	for _, m := range all {
		if !m.principal.Owner || m.Status != "active" || m.state != "active" {
			continue
		}
		left, err := remainingOwners(ctx, r, m.Organization, m.ID)
		if err != nil {
			return err
		}
		if left.owners > 0 && left.closesWayIn() {
			return LastWayIn(m.Label())
		}
		if left.owners == 0 {
			names = append(names, m.organizationName)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &op.Error{Kind: op.Conflict, Code: "last_owner", Reason: decide.LastOwner,
		Text: fmt.Sprintf("the user is the only active owner of %s: somebody else has to be owner there first", strings.Join(names, ", "))}
}

// erase takes the person's name and address out of everything that is kept beside the user's row, and out of the log.
func (all traces) erase(ctx context.Context, tx *op.Tx, u User) error {
	if err := all.eraseInvitations(ctx, tx, u); err != nil {
		return err
	}
	if err := all.eraseRecoveries(ctx, tx, u); err != nil {
		return err
	}
	if _, err := credential.EndAll(ctx, tx, u.ID, "", ""); err != nil {
		return err
	}
	for _, statement := range []string{
		"UPDATE members SET sort_name = '' WHERE user_id = $1",
		"UPDATE sessions SET address = '', agent = '' WHERE user_id = $1",
		"DELETE FROM handoffs WHERE user_id = $1",
		"DELETE FROM passkeys WHERE user_id = $1",
		"DELETE FROM recovery_codes WHERE user_id = $1",
		"DELETE FROM totps WHERE user_id = $1",
		"DELETE FROM second_steps WHERE user_id = $1",
		"DELETE FROM identities WHERE user_id = $1", // a provider that still has them makes somebody new
		"DELETE FROM connection_sessions WHERE user_id = $1",
		"DELETE FROM social_identities WHERE user_id = $1",
		"DELETE FROM social_attempts WHERE user_id = $1",
		"DELETE FROM join_requests WHERE user_id = $1",
		"DELETE FROM directory_users WHERE user_id = $1", // a directory that still has them makes somebody new
	} {
		if _, err := tx.Exec(ctx, statement, u.ID); err != nil {
			return err
		}
	}
	subjects := []string{u.ID}
	for _, t := range all {
		subjects = append(subjects, t.id)
	}
	return tx.Erase(ctx, subjects...)
}

// eraseInvitations takes the address out of every invitation, and ends those that were pending; and what was mailed to it
// to prove it; and what identity providers said of it in tests.
func (all traces) eraseInvitations(ctx context.Context, tx *op.Tx, u User) error {
	folded, err := Fold(u.Email)
	if err != nil {
		return nil // there never was an address
	}
	done := ""
	for _, t := range all {
		if t.kind != "invitation" || t.organization == done {
			continue
		}
		done = t.organization
		if _, err := tx.Exec(ctx, `UPDATE invitations SET email = '', email_folded = $3, message = '', version = version + 1,
				settled_at = CASE state WHEN 'pending' THEN $4 ELSE settled_at END, state = CASE state WHEN 'pending' THEN 'cancelled' ELSE state END
			WHERE organization = $1 AND email_folded = $2`, t.organization, folded, nobodys(u.ID), tx.Micros()); err != nil {
			return err
		}
	}
	for _, statement := range []string{"DELETE FROM challenges WHERE email_folded = $1", "DELETE FROM connection_pilots WHERE email_folded = $1",
		"UPDATE connection_tests SET email_folded = '', answer = '' WHERE email_folded = $1"} {
		if _, err := tx.Exec(ctx, statement, folded); err != nil {
			return err
		}
	}
	return nil
}

// eraseRecoveries takes the address out of every recovery for the person, and ends those that wait: nobody is left to be
// the owner.
func (all traces) eraseRecoveries(ctx context.Context, tx *op.Tx, u User) error {
	if !slices.ContainsFunc(all, func(t trace) bool { return t.kind == "recovery" }) {
		return nil
	}
	folded, _ := Fold(u.Email)
	_, err := tx.Exec(ctx, `UPDATE owner_recoveries AS w SET email = '', outcome = CASE state WHEN 'waiting' THEN 'the person was erased' ELSE outcome END,
		settled_by = CASE state WHEN 'waiting' THEN $4 ELSE settled_by END, settled_at = CASE state WHEN 'waiting' THEN $5 ELSE settled_at END,
		state = CASE state WHEN 'waiting' THEN 'cancelled' ELSE state END WHERE `+forPerson, folded, u.ID, u.Email, tx.Actor.ID, tx.Micros())
	return err
}

// previewDelete is the dry run of a user's end.
func previewDelete(ctx context.Context, r *op.Reader, in DeleteUserInput) (op.Impact, error) {
	t, err := userTarget(ctx, r, in.UserInput)
	if err != nil {
		return op.Impact{}, err
	}
	u := t.Value.(User)
	impact := op.Impact{Summary: u.Label() + " is erased, and a member nowhere"}
	all, err := membershipsOf(ctx, r, u)
	if err != nil {
		return impact, err
	}
	for _, m := range all {
		impact.Effects = append(impact.Effects, op.Effect{Type: "member", ID: m.ID, Name: m.organizationName, Text: "ends", Action: actionEnds})
	}
	sessions, err := credential.CountSessions(ctx, r, u.ID)
	if err != nil {
		return impact, err
	}
	if sessions > 0 {
		impact.Effects = append(impact.Effects, op.Effect{Type: "session", Text: plural(sessions, "session ends", "sessions end"), Action: actionEnds})
	}
	return impact, keepOwners(ctx, r, all)
}
