package governance

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
)

// person is a member as findings see one.
type person struct {
	id, user, name, email, status string
	role                          *charter.Role
	ends, active, joined          int64
}

// AboutMember is the type of a subject that is a member.
const AboutMember = "member"

func (p person) subject() Subject { return Subject{Type: AboutMember, ID: p.id, Name: p.label()} }

func (p person) label() string { return nameOf(p.name, p.email) }

// principal is what the member holds, as far as acting on them needs it.
func (p person) principal() *decide.Principal {
	return &decide.Principal{Member: p.id, User: p.user, Owner: p.role.Owner, Holds: p.role.Holds}
}

// domain is the domain of the member's address; empty without one.
func (p person) domain() string {
	_, domain, _ := strings.Cut(p.email, "@")
	return strings.ToLower(domain)
}

// readRoles reads the organization's roles, once.
func (l *look) readRoles(ctx context.Context) (err error) {
	if l.roles == nil {
		l.roles, err = directory.RolesIn(ctx, l.Reader)
	}
	return err
}

// readMembers reads the organization's members and roles, once.
func (l *look) readMembers(ctx context.Context) (err error) {
	if l.members != nil {
		return nil
	}
	if err = l.readRoles(ctx); err != nil {
		return err
	}
	rows, err := l.Query(ctx, `SELECT m.id, m.user_id, u.name, u.email, m.role, m.status, m.ends_at, m.last_active_at, m.joined_at
		FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization = $1 AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2) ORDER BY m.id LIMIT $3`,
		l.Organization(), l.Micros(), mostLooked)
	l.members, err = rowsOf(rows, err, func(rows *sql.Rows) (p person, err error) {
		var role string
		err = rows.Scan(&p.id, &p.user, &p.name, &p.email, &role, &p.status, &p.ends, &p.active, &p.joined)
		p.role = l.role(role)
		return p, err
	})
	return err
}

// role is a role by its id; one that does not exist any more holds nothing.
func (l *look) role(id string) *charter.Role {
	for _, role := range l.roles {
		if string(role.ID) == id {
			return role
		}
	}
	return &charter.Role{ID: charter.RoleID(id), Title: id}
}

// working are the active members whom keep says yes to.
func (l *look) working(keep func(person) bool) []person {
	var all []person
	for _, p := range l.members {
		if p.status == "active" && keep(p) {
			all = append(all, p)
		}
	}
	return all
}

// atOwners finds that everything hangs on one person. Whoever is alone in an organization has nobody to share with.
func (l *look) atOwners(ctx context.Context) error {
	if err := l.readMembers(ctx); err != nil {
		return err
	}
	if len(l.members) < 2 {
		return nil
	}
	if l.Charter.Rules.Owners == charter.OneOwner {
		l.atAdmins()
		return nil
	}
	if owners := l.working(func(p person) bool { return p.role.Owner }); len(owners) == 1 {
		l.add(SingleOwner, owners[0].subject(), 0,
			owners[0].label()+" is the only owner: nobody could take over", l.promote(owners[0], l.Charter.OwnerRole()))
	}
	return nil
}

// assigning is the permission on which everything else hangs: whoever holds it can give the others.
const assigning = charter.Permission("members.assign_role")

// atAdmins finds that one person alone assigns roles, and proposes the lowest role that does too.
func (l *look) atAdmins() {
	need, _ := l.Charter.Need(assigning)
	admins := l.working(func(p person) bool { return need.SubsetOf(p.role.Holds) })
	if len(admins) != 1 {
		return
	}
	var proposed *Remedy
	for _, role := range l.roles {
		if need.SubsetOf(role.Holds) && !role.Owner {
			proposed = l.promote(admins[0], role)
			break
		}
	}
	l.add(SingleAdmin, admins[0].subject(), 0, admins[0].label()+" is the only one who can change roles: nobody could stand in", proposed)
}

// promote proposes to give a role to whoever holds most beside one person; nil where there is nobody.
func (l *look) promote(beside person, role *charter.Role) *Remedy {
	others := l.working(func(p person) bool { return p.id != beside.id && p.ends == 0 && p.role.Holds != role.Holds })
	if len(others) == 0 {
		return nil
	}
	best := slices.MaxFunc(others, func(a, b person) int {
		return cmp.Or(a.role.Holds.Len()-b.role.Holds.Len(), cmp.Compare(a.active, b.active), strings.Compare(b.id, a.id))
	})
	return l.changeRole(best, role, fmt.Sprintf("Make %s %s", best.label(), role.Title))
}

// changeRole proposes another role for a member.
func (l *look) changeRole(p person, role *charter.Role, text string) *Remedy {
	return remedy("members.update", text, map[string]string{"member": p.id, "role": string(role.ID)},
		l.May(assigning), decide.ActOn(&l.Actor.Principal, p.principal()), decide.Grant(l.Charter, &l.Actor.Principal, role))
}

// atMembers finds members whom nobody saw, and outside addresses without an end date.
func (l *look) atMembers(ctx context.Context) error {
	if err := l.readMembers(ctx); err != nil {
		return err
	}
	inside := l.domains()
	for _, p := range l.working(func(person) bool { return true }) {
		if seen := cmp.Or(p.active, p.joined); l.before(seen, UnusedAfter) {
			l.add(UnusedMember, p.subject(), seen, l.unusedText(p), l.remove(p))
		}
		if p.ends == 0 && !p.role.Owner && p.email != "" && !inside[p.domain()] {
			ends := l.Now.Add(GuestStay).Truncate(time.Second).UTC()
			l.add(OutsideMember, p.subject(), p.joined, fmt.Sprintf("%s has an address at %s, outside of the organization, and no end date", p.label(), p.domain()),
				remedy("members.update", fmt.Sprintf("Let it end on %s", ends.Format("2 Jan 2006")),
					map[string]string{"member": p.id, "ends_at": ends.Format(time.RFC3339)},
					l.May("members.remove"), decide.ActOn(&l.Actor.Principal, p.principal())))
		}
	}
	return nil
}

func (l *look) unusedText(p person) string {
	if p.active == 0 {
		return fmt.Sprintf("%s, %s, joined %s and was never active", p.label(), p.role.Title, l.ago(p.joined))
	}
	return fmt.Sprintf("%s, %s, was last active %s", p.label(), p.role.Title, l.ago(p.active))
}

// remove proposes to remove a member: not the only owner, who cannot go.
func (l *look) remove(p person) *Remedy {
	if p.role.Owner && len(l.working(func(o person) bool { return o.role.Owner })) == 1 {
		return nil
	}
	return remedy("members.remove", "Remove "+p.label(), map[string]string{"member": p.id},
		l.May("members.remove"), decide.ActOn(&l.Actor.Principal, p.principal()))
}

// domains are those that belong to the organization: the one that most members have, and the owners'.
func (l *look) domains() map[string]bool {
	counts, inside, most := map[string]int{}, map[string]bool{}, 0
	for _, p := range l.members {
		if p.email == "" {
			continue
		}
		counts[p.domain()]++
		most = max(most, counts[p.domain()])
		if p.role.Owner {
			inside[p.domain()] = true
		}
	}
	var common []string
	for domain, n := range counts {
		if n == most {
			common = append(common, domain)
		}
	}
	if len(common) == 1 {
		inside[common[0]] = true // where two are as common, only the owners' counts
	}
	return inside
}

// atRoles finds members for whose work, by the audit log of LookedBack, a lower role would have done. The log knows
// Guildhall's own operations only, so a role is proposed only if it keeps every permission of the product itself.
func (l *look) atRoles(ctx context.Context) error {
	if err := l.readMembers(ctx); err != nil {
		return err
	}
	used, err := l.usedPermissions(ctx)
	if err != nil {
		return err
	}
	for _, p := range l.working(func(p person) bool { return l.before(p.joined, LookedBack) && !l.before(p.active, UnusedAfter) }) {
		lower := l.lowerRole(p, l.productPart(p.role.Holds).Union(used[p.user]))
		if lower == nil || l.standsIn(p) {
			continue
		}
		l.add(WideRole, p.subject(), l.Now.Add(-LookedBack).UnixMicro(), fmt.Sprintf(
			"%s is %s; by the audit log of the last 90 days, %s would have been enough", p.label(), p.role.Title, lower.Title),
			l.changeRole(p, lower, fmt.Sprintf("Make %s %s", p.label(), lower.Title)))
	}
	return nil
}

// standsIn reports whether a member is one of two on whom the organization hangs: lowering one would leave it to a single
// person. An only owner is lowered by a transfer alone.
func (l *look) standsIn(p person) bool {
	hangs := func(o person) bool { return o.role.Owner }
	if l.Charter.Rules.Owners == charter.OneOwner {
		if p.role.Owner {
			return true
		}
		need, _ := l.Charter.Need(assigning)
		hangs = func(o person) bool { return need.SubsetOf(o.role.Holds) }
	}
	return hangs(p) && len(l.working(hangs)) <= 2
}

// lowerRole is the lowest of the charter's roles below a member's that holds what is needed; nil: there is none.
func (l *look) lowerRole(p person, needed charter.Set) *charter.Role {
	for _, role := range l.Charter.Roles() {
		if role.Holds != p.role.Holds && role.Holds.SubsetOf(p.role.Holds) && needed.Intersect(p.role.Holds).SubsetOf(role.Holds) {
			return role
		}
	}
	return nil
}

// productPart are the permissions of a set that are the product's and none of Guildhall's own.
func (l *look) productPart(set charter.Set) charter.Set {
	var product charter.Set
	for _, info := range l.Charter.Permissions() {
		if !info.Own && info.Bit >= 0 {
			product = product.With(info.Bit)
		}
	}
	return set.Intersect(product)
}

// usedPermissions are the permissions that people's operations asked for within LookedBack, by user: their own calls and
// those of their keys.
func (l *look) usedPermissions(ctx context.Context) (map[string]charter.Set, error) {
	rows, err := l.Query(ctx, `SELECT DISTINCT CASE WHEN on_behalf <> '' THEN on_behalf ELSE actor END, action FROM audit_rows
		WHERE stream = $1 AND at >= $2 AND outcome <> 'denied'`, l.Organization(), l.Now.Add(-LookedBack).UnixMicro())
	type use struct{ who, operation string }
	uses, err := rowsOf(rows, err, func(rows *sql.Rows) (u use, err error) {
		err = rows.Scan(&u.who, &u.operation)
		return u, err
	})
	used := map[string]charter.Set{}
	for _, u := range uses {
		set, _ := l.Charter.SetOf(l.Asks(u.operation))
		used[u.who] = used[u.who].Union(set)
	}
	return used, err
}
