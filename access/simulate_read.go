package access

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// ownRoles are the permissions of the roles that the organization made, by id.
func ownRoles(ctx context.Context, r *op.Reader) (map[string]string, error) {
	rows, err := r.Query(ctx, "SELECT id, permissions FROM organization_roles WHERE organization = $1", r.Organization())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	own := map[string]string{}
	for rows.Next() {
		var id, permissions string
		if err := rows.Scan(&id, &permissions); err != nil {
			return nil, err
		}
		own[id] = permissions
	}
	return own, rows.Err()
}

// roleOfMember is the role of somebody who is a member now.
func roleOfMember(ctx context.Context, r *op.Reader, member string) (role string, err error) {
	err = r.QueryRow(ctx, "SELECT role FROM members WHERE organization = $1 AND id = $2 AND status <> 'removed'", r.Organization(), member).Scan(&role)
	if errors.Is(err, sql.ErrNoRows) {
		err = op.ErrNotFound
	}
	return role, err
}

// present are the members who have access, or have it again when they are reactivated.
const present = " FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2)"

// members finds who gains, or who loses, as pick says: everybody with a role that changes, and whoever is moved.
func (w *whatIf) members(ctx context.Context, r *op.Reader, pick func(change) []charter.Permission) (MembersChanged, error) {
	out := MembersChanged{Data: []MemberChanged{}}
	changed := map[string][]charter.Permission{}
	for role := range maps.Keys(w.before.roles) {
		if permissions := pick(w.ofRole(role)); len(permissions) > 0 {
			changed[role] = permissions
		}
	}
	var moved []charter.Permission
	if w.moved != nil {
		moved = pick(w.ofMoved())
	}
	where, args := w.whose(slices.Sorted(maps.Keys(changed)), len(moved) > 0)
	args = append([]any{r.Organization(), r.Micros()}, args...)
	count := 0
	if err := r.QueryRow(ctx, "SELECT count(*)"+present+where, args...).Scan(&count); err != nil {
		return out, err
	}
	rows, err := r.Query(ctx, "SELECT m.id, m.role, u.name, u.email"+present+where+" ORDER BY m.sort_name, m.id LIMIT "+strconv.Itoa(shown), args...)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var m MemberChanged
		var email string
		if err := rows.Scan(&m.Member, &m.Role, &m.Name, &email); err != nil {
			return out, err
		}
		m.Name, m.Permissions = cmp.Or(m.Name, email), changed[m.Role]
		if w.moved != nil && m.Member == w.moved.ID {
			m.Permissions = moved
		}
		out.Data = append(out.Data, m)
	}
	out.More = count - len(out.Data)
	return out, rows.Err()
}

// whose is the condition of the members with one of the roles but the one who is moved, and of that one as well or not;
// with its arguments from $3 on.
func (w *whatIf) whose(roles []string, movedToo bool) (where string, args []any) {
	places := make([]string, len(roles))
	for i, role := range roles {
		args = append(args, role)
		places[i] = "$" + strconv.Itoa(2+len(args))
	}
	if len(roles) == 0 {
		places = []string{"''"} // nobody's role
	}
	where = "m.role IN (" + strings.Join(places, ", ") + ")"
	if w.moved == nil {
		return " AND " + where, args
	}
	args = append(args, w.moved.ID)
	id := "$" + strconv.Itoa(2+len(args))
	if where = "m.id <> " + id + " AND " + where; movedToo {
		where += " OR m.id = " + id
	}
	return " AND (" + where + ")", args
}

// ofMoved is what changes for whoever would have another role, or be gone.
func (w *whatIf) ofMoved() change {
	return w.compare(w.before.roles[w.now], w.after.roles[w.moved.Role])
}

// keptKey is a living key as a simulation reads it, without its secret.
type keptKey struct {
	kind, member, role, status string
	scopes, frozen, account    string // the account's role; empty for none
	left                       int64
}

const keptKeyColumns = `COALESCE(k.kind, ''), COALESCE(k.member, ''), COALESCE(m.role, ''), COALESCE(m.status, ''), COALESCE(k.permissions, ''),
	COALESCE(k.frozen, ''), COALESCE(a.role, ''), COALESCE(k.left_at, 0)`

func (k *keptKey) into() []any {
	return []any{&k.kind, &k.member, &k.role, &k.status, &k.scopes, &k.frozen, &k.account, &k.left}
}

// change is what a key may now and what it would: two sets, of the two charters.
func (k *keptKey) change(w *whatIf) (before, after charter.Set, ends bool) {
	b, a := &w.before, &w.after
	switch {
	case k.kind == string(charter.OrganizationKey):
		before, after = b.charter.Rules.Keys.OrganizationKeys, a.charter.Rules.Keys.OrganizationKeys
		if k.account != "" {
			before, after = before.Intersect(b.roles[k.account]), after.Intersect(a.roles[k.account])
		}
	case k.left != 0:
		before, after = setOf(b.charter, k.frozen), setOf(a.charter, k.frozen)
	case w.removed && k.member == w.moved.ID && a.charter.Rules.Keys.AfterCreatorLeaves == charter.KeepKeys:
		before, after = b.roles[k.role], setOf(a.charter, spaced(b.charter.IDs(b.roles[k.role])))
	default:
		before, after = b.roles[k.role], w.holds(k.member, k.role)
		ends = w.removed && k.member == w.moved.ID
	}
	return before.Intersect(setOf(b.charter, k.scopes)), after.Intersect(setOf(a.charter, k.scopes)), ends
}

// spaced writes permissions as the tables keep them.
func spaced(permissions []charter.Permission) string {
	words := make([]string, len(permissions))
	for i, p := range permissions {
		words[i] = string(p)
	}
	return strings.Join(words, " ")
}

// add notes something that loses permissions or ends.
func (b *ThingsBroken) add(thing ThingBroken) {
	switch {
	case len(thing.Permissions) == 0 && !thing.Ends:
	case len(b.Data) < shown:
		b.Data = append(b.Data, thing)
	default:
		b.More++
	}
}

// keys finds the living keys that lose something.
func (w *whatIf) keys(ctx context.Context, r *op.Reader, out *ThingsBroken) error {
	out.Data = []ThingBroken{}
	rows, err := r.Query(ctx, `SELECT k.id, k.name, `+keptKeyColumns+`
		FROM api_keys k JOIN instance i ON i.recovery_epoch = k.recovery_epoch
		LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member
		LEFT JOIN service_accounts a ON a.organization = k.organization AND a.id = k.service_account
		WHERE k.organization = $1 AND k.revoked_at = 0 AND (k.expires_at = 0 OR k.expires_at > $2)
		AND (k.kind = 'organization' OR k.left_at <> 0 OR m.status <> 'removed') AND COALESCE(a.deleted_at, 0) = 0
		ORDER BY k.name, k.id`, r.Organization(), r.Micros())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		thing := ThingBroken{Type: "key"}
		var k keptKey
		if err := rows.Scan(append([]any{&thing.ID, &thing.Name}, k.into()...)...); err != nil {
			return err
		}
		before, after, ends := k.change(w)
		thing.Permissions, thing.Ends = w.compare(before, after).loses, ends
		out.add(thing)
	}
	return rows.Err()
}

// tokens finds the living scoped tokens that lose something, or whose root would be dead.
func (w *whatIf) tokens(ctx context.Context, r *op.Reader, out *ThingsBroken) error {
	rows, err := r.Query(ctx, `SELECT t.id, t.name, t.permissions, t.read_only, t.session, t.member, `+keptKeyColumns+`
		FROM scoped_tokens t JOIN instance i ON i.recovery_epoch = t.recovery_epoch
		LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key
		LEFT JOIN sessions s ON s.id = t.session
		LEFT JOIN members m ON m.organization = t.organization AND m.id = CASE WHEN t.session = '' THEN k.member ELSE t.member END
		LEFT JOIN service_accounts a ON a.organization = t.organization AND a.id = k.service_account
		WHERE t.organization = $1 AND t.revoked_at = 0 AND t.expires_at > $2
		AND COALESCE(k.revoked_at, 0) = 0 AND COALESCE(s.ended_at, 0) = 0 AND COALESCE(a.deleted_at, 0) = 0
		AND (k.kind = 'organization' OR k.left_at <> 0 OR m.status <> 'removed')
		ORDER BY t.name, t.id`, r.Organization(), r.Micros())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		thing := ThingBroken{Type: "token"}
		var scopes, session, member string
		var readOnly bool
		var k keptKey
		if err := rows.Scan(append([]any{&thing.ID, &thing.Name, &scopes, &readOnly, &session, &member}, k.into()...)...); err != nil {
			return err
		}
		if session != "" { // it stands for the member, within its own scopes
			k.kind, k.member, k.scopes = string(charter.PersonalKey), member, scopes
		}
		before, after, ends := k.change(w)
		if session != "" {
			ends = w.removed && w.moved.ID == member
		}
		before, after = before.Intersect(setOf(w.before.charter, scopes)), after.Intersect(setOf(w.after.charter, scopes))
		if readOnly {
			before, after = before.Intersect(w.before.charter.Reads()), after.Intersect(w.after.charter.Reads())
		}
		thing.Permissions, thing.Ends = w.compare(before, after).loses, ends
		out.add(thing)
	}
	return rows.Err()
}

// accounts finds the service accounts that lose something of what their keys may.
func (w *whatIf) accounts(ctx context.Context, r *op.Reader, out *ThingsBroken) error {
	rows, err := r.Query(ctx, "SELECT id, name, role FROM service_accounts WHERE organization = $1 AND deleted_at = 0 ORDER BY name, id", r.Organization())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		thing := ThingBroken{Type: "service_account"}
		var role string
		if err := rows.Scan(&thing.ID, &thing.Name, &role); err != nil {
			return err
		}
		before := w.before.roles[role].Intersect(w.before.charter.Rules.Keys.OrganizationKeys)
		after := w.after.roles[role].Intersect(w.after.charter.Rules.Keys.OrganizationKeys)
		thing.Permissions = w.compare(before, after).loses
		out.add(thing)
	}
	return rows.Err()
}
