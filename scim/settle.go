package scim

import (
	"context"
	"slices"
	"strings"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// standing is a person of a directory with what they are here and what the directory makes of them.
type standing struct {
	id, user, email, name string
	active, access        bool   // as the directory says; and whether that gave access until now
	mapped                string // the role that a group gives; empty: none
	member, role, status  string // what they are here; without a member: nothing
	byMapping             bool   // whether a group gave the role until now
	suspended             bool   // by a directory
	manages               bool   // the member is this directory's
}

// policy is what a directory does with those whom no group names, and with those who are not active.
type policy struct {
	directory, defaultRole, deactivation string
	owner                                string
}

// standings reads people of a directory by a condition, whose values begin at parameter 3.
func standings(ctx context.Context, r *op.Reader, p policy, condition string, args ...any) ([]standing, error) {
	rows, err := r.Query(ctx, `SELECT s.id, s.user_id, s.email, s.document, s.active, s.access,
			COALESCE((SELECT dm.role FROM directory_mappings dm JOIN directory_group_members gm ON gm.organization = dm.organization AND gm.group_id = dm.group_id
				WHERE dm.organization = s.organization AND dm.directory = s.directory AND gm.directory_user = s.id ORDER BY dm.place LIMIT 1), ''),
			COALESCE(m.id, ''), COALESCE(m.role, ''), COALESCE(m.status, ''), COALESCE(m.managed_by, ''), COALESCE(m.managed_role, FALSE), COALESCE(m.managed_suspended, FALSE)
		FROM directory_users s LEFT JOIN members m ON m.organization = s.organization AND m.user_id = s.user_id AND m.status <> 'removed'
		WHERE s.organization = $1 AND s.directory = $2 AND `+condition+" ORDER BY s.id", append([]any{r.Organization(), p.directory}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []standing
	for rows.Next() {
		var s standing
		var text, by string
		if err := rows.Scan(&s.id, &s.user, &s.email, &text, &s.active, &s.access, &s.mapped, &s.member, &s.role, &s.status, &by, &s.byMapping, &s.suspended); err != nil {
			return nil, err
		}
		s.name, s.manages = nameOf(parseDocument(text)), by == p.directory
		all = append(all, s)
	}
	return all, rows.Err()
}

// wants is the role that somebody has by the directory; empty: no access.
func (p policy) wants(s standing) (role string, byMapping bool) {
	switch {
	case !s.active:
		return "", false
	case s.mapped != "":
		return s.mapped, true
	}
	return p.defaultRole, false
}

// plan is what becomes of people: what is to be written, and nothing is written yet.
type plan struct {
	joining []directory.Newcomer
	changes []directory.ManagedChange
	leaving []string // members whose membership ends
	gain    []string // people of the directory who have access from now on
	lose    []string // and who have it no more
}

// settle works out what becomes of people. Only a change counts: who was removed or suspended by a person stays so until
// the directory takes access away and gives it again.
func (p policy) settle(all []standing) plan {
	var out plan
	for _, s := range all {
		role, byMapping := p.wants(s)
		if role == "" {
			p.takeAway(&out, s)
			continue
		}
		if !s.access {
			out.gain = append(out.gain, s.id)
		}
		if s.member == "" || !s.manages {
			if !s.access { // else a person removed them
				out.joining = append(out.joining, directory.Newcomer{User: s.user, Email: s.email, Name: s.name, Role: role, ByMapping: byMapping})
			}
			continue
		}
		p.keep(&out, s, role, byMapping)
	}
	return out
}

// keep brings a member up to date who has access.
func (p policy) keep(out *plan, s standing, role string, byMapping bool) {
	c := s.change()
	c.Access, c.ByMapping = true, byMapping
	switch {
	case s.role == p.owner:
		c.ByMapping = false // owners are made and changed by people only
	case byMapping || s.byMapping:
		c.Role = role
	}
	if !s.access && s.suspended && s.status == "suspended" {
		c.Status, c.Suspended = "active", false
	}
	if c.Role != s.role || c.Status != s.status || c.ByMapping != s.byMapping || !s.access {
		out.changes = append(out.changes, c)
	}
}

// takeAway ends the access of somebody who is not active, or has no role.
func (p policy) takeAway(out *plan, s standing) {
	if s.access {
		out.lose = append(out.lose, s.id)
	}
	if s.member == "" || !s.manages {
		return
	}
	if !s.active && p.deactivation == "remove" {
		out.leaving = append(out.leaving, s.member)
		return
	}
	c := s.change()
	c.Access, c.ByMapping = false, false
	if s.status == "active" {
		c.Status, c.Suspended = "suspended", true
	}
	if s.access || s.status == "active" {
		out.changes = append(out.changes, c)
	}
}

func (s standing) change() directory.ManagedChange {
	return directory.ManagedChange{Member: s.member, User: s.user, Name: s.name, WasRole: s.role, Role: s.role, WasStatus: s.status, Status: s.status,
		Access: s.access, ByMapping: s.byMapping, Suspended: s.suspended}
}

// carryOut does what was planned, in the call's transaction.
func (p policy) carryOut(ctx context.Context, tx *op.Tx, out plan, reason string) error {
	if err := out.noteAccess(ctx, tx); err != nil {
		return err
	}
	if len(out.joining) > 0 {
		if err := tx.DemandFeature(directory.SSO); err != nil { // access ends on any plan, and begins where the plan has it
			return err
		}
		if err := directory.Welcome(ctx, tx, p.directory, out.joining); err != nil {
			return err
		}
		if err := linkAccounts(ctx, tx, out.gain); err != nil {
			return err
		}
	}
	for _, member := range out.leaving {
		if err := directory.Depart(ctx, tx, member, reason); err != nil {
			return err
		}
	}
	return directory.Manage(ctx, tx, p.directory, out.changes)
}

// noteAccess notes who has access by the directory from now on.
func (out plan) noteAccess(ctx context.Context, tx *op.Tx) error {
	for _, one := range []struct {
		people []string
		access bool
	}{{out.gain, true}, {out.lose, false}} {
		if len(one.people) == 0 {
			continue
		}
		in, args := sqldb.Placeholders(3, one.people)
		if _, err := tx.Exec(ctx, "UPDATE directory_users SET access = $2 WHERE organization = $1 AND id IN ("+in+")",
			append([]any{tx.Organization(), one.access}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// linkAccounts links people to the accounts that they have now. It is done once: from then on the account is found by its
// id, whatever address the directory says.
func linkAccounts(ctx context.Context, tx *op.Tx, people []string) error {
	in, args := sqldb.Placeholders(2, people)
	_, err := tx.Exec(ctx, `UPDATE directory_users SET user_id = (SELECT u.id FROM users u WHERE u.email_folded = directory_users.email_folded AND u.deleted_at = 0)
		WHERE organization = $1 AND user_id = '' AND id IN (`+in+")", append([]any{tx.Organization()}, args...)...)
	if _, taken := sqldb.Conflict(err); taken {
		return op.Errorf(op.Conflict, "uniqueness", "another person of a directory has the account of this address already")
	}
	return err
}

// nameOf is what a person is called: displayName, else the parts of the name.
func nameOf(d document) string {
	if s := d.text("displayName"); s != "" {
		return s
	}
	name, _ := d["name"].(map[string]any)
	part := func(p string) string { s, _ := name[p].(string); return s }
	if s := strings.TrimSpace(part("givenName") + " " + part("familyName")); s != "" {
		return s
	}
	return part("formatted")
}

// settleNow reads people, works out what becomes of them and does it.
func (p policy) settleNow(ctx context.Context, tx *op.Tx, people []string, reason string) error {
	people = distinct(people)
	for chunk := range slices.Chunk(people, 5000) {
		in, args := sqldb.Placeholders(3, chunk)
		all, err := standings(ctx, tx.Reader, p, "s.id IN ("+in+")", args...)
		if err != nil {
			return err
		}
		if err := p.carryOut(ctx, tx, p.settle(all), reason); err != nil {
			return err
		}
	}
	return nil
}
