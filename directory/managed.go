package directory

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// DirectoryTokenKind is the kind of a directory's token: "gld_scim_...".
const DirectoryTokenKind = "scim"

// loadDirectory makes an actor of a directory's token. It is of one organization, and a stranger in every other.
func loadDirectory(ctx context.Context, r *op.Reader, w op.Who, organization string) (op.Actor, error) {
	a := op.Actor{Kind: op.DirectoryActor}
	var state string
	p := &a.Principal
	err := r.QueryRow(ctx, `SELECT d.id, d.name, o.id, o.plan, o.state FROM directories d
		JOIN instance i ON i.recovery_epoch = d.recovery_epoch
		JOIN organizations o ON o.id = d.organization
		WHERE d.token_hash = $1`+r.Acting(w.Lock, "d"), w.Hash[:]).Scan(&a.ID, &a.Name, &p.Organization, &p.Plan, &state)
	if errors.Is(err, sql.ErrNoRows) || err == nil && over(state) {
		return op.Actor{}, op.ErrUnauthenticated
	}
	a.Credential.ID, p.Closed, p.Locked = a.ID, state != "active", r.Charter.Locked(p.Plan)
	if organization != "" && organization != p.Organization {
		*p = decide.Principal{}
	}
	return a, err
}

// Newcomer is somebody whom a company's directory makes a member.
type Newcomer struct {
	User      string // the account that is linked already; empty: that of the address, or a new one
	Email     string // valid: see ParseAddress
	Name      string // of a new account
	Role      string // what the directory gives
	ByMapping bool   // whether a group gives it, and so no invitation's role goes before it
}

// newcomer is one with what is known of them here.
type newcomer struct {
	Newcomer
	address    Address
	user       User
	current    memberState
	managed    string
	suspended  bool // by a directory
	invitation offer
}

// SSO is the feature that a plan has to have for domains, connections and directories.
const SSO = "sso"

// Welcome makes people members on the word of a company's directory: a pending invitation of the address is consumed
// and gives its role, seats hold, nobody becomes an owner. Somebody who is a member already is linked and keeps what they
// are, unless a group gives the role. It takes a handful of statements, whatever the number of people, and one for each
// invitation that is consumed and each membership whose end has passed.
func Welcome(ctx context.Context, tx *op.Tx, directory string, all []Newcomer) error {
	if len(all) == 0 {
		return nil
	}
	people, err := readNewcomers(ctx, tx.Reader, all)
	if err != nil {
		return err
	}
	var changes []ManagedChange
	var joining []*newcomer
	for _, n := range people {
		if n.managed != "" && n.managed != directory {
			return op.Errorf(op.Conflict, "managed_elsewhere", "another directory manages %s", n.user.Label())
		}
		if n.stands(tx.Micros()) {
			changes = append(changes, n.link())
		} else {
			joining = append(joining, n)
		}
	}
	if err := joinAll(ctx, tx, directory, joining); err != nil {
		return err
	}
	return Manage(ctx, tx, directory, changes)
}

// stands reports whether somebody is a member whose end has not come.
func (n *newcomer) stands(now int64) bool {
	return n.current.id != "" && (n.current.endsAt == 0 || now < n.current.endsAt)
}

// link is what becomes of somebody who is a member already. A suspension by a person holds.
func (n *newcomer) link() ManagedChange {
	c := ManagedChange{Member: n.current.id, User: n.user.ID, Name: n.user.Label(), WasRole: n.current.role, Role: n.current.role,
		WasStatus: n.current.status, Status: n.current.status, Access: true, ByMapping: n.ByMapping, Suspended: n.suspended}
	if n.ByMapping {
		c.Role = n.Role
	}
	if n.suspended && c.Status == "suspended" {
		c.Status, c.Suspended = "active", false
	}
	return c
}

// seatsFor refuses what is more than the organization has seats for.
func seatsFor(all []*newcomer, seats, taken int64) error {
	invited := int64(0)
	for _, n := range all {
		if n.invitation.id != "" {
			invited++
		}
	}
	if seats > 0 && taken-invited+int64(len(all)) > seats {
		return noSeat(seats)
	}
	return nil
}

func readNewcomers(ctx context.Context, r *op.Reader, all []Newcomer) ([]*newcomer, error) {
	people := make([]*newcomer, len(all))
	var users, addresses []string
	for i, n := range all {
		address, err := ParseAddress(n.Email)
		if err != nil {
			return nil, op.InvalidField("email", "invalid", "%v", err)
		}
		people[i] = &newcomer{Newcomer: n, address: address}
		users, addresses = append(users, cmp.Or(n.User, "-")), append(addresses, address.Folded)
	}
	known, args := sqldb.Placeholders(2, users)
	folded, more := sqldb.Placeholders(2+len(users), addresses)
	rows, err := r.Query(ctx, `SELECT u.id, u.name, u.email, u.email_folded, COALESCE(m.id, ''), COALESCE(m.role, ''), COALESCE(m.status, ''),
			COALESCE(m.ends_at, 0), COALESCE((SELECT d.id FROM directories d WHERE d.organization = m.organization AND d.id = m.managed_by), ''), COALESCE(m.managed_suspended, FALSE), COALESCE(cr.permissions, '')
		FROM users u LEFT JOIN members m ON m.organization = $1 AND m.user_id = u.id AND m.status <> 'removed'
		LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
		WHERE u.deleted_at = 0 AND (u.id IN (`+known+`) OR u.email_folded IN (`+folded+`))`, slices.Concat([]any{r.Organization()}, args, more)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f newcomer
		var address string
		if err := rows.Scan(&f.user.ID, &f.user.Name, &f.user.Email, &address, &f.current.id, &f.current.role, &f.current.status,
			&f.current.endsAt, &f.managed, &f.suspended, &f.current.permissions); err != nil {
			return nil, err
		}
		for _, n := range people {
			if n.User == f.user.ID || n.User == "" && n.address.Folded == address {
				n.user, n.current, n.managed, n.suspended = f.user, f.current, f.managed, f.suspended
			}
		}
	}
	return people, rows.Err()
}

// joinAll makes those members who are none.
func joinAll(ctx context.Context, tx *op.Tx, directory string, all []*newcomer) error {
	if len(all) == 0 {
		return nil
	}
	seats, taken, err := invitedAmong(ctx, tx.Reader, all)
	if err != nil {
		return err
	}
	if err := seatsFor(all, seats, taken); err != nil {
		return err
	}
	if err := insertAccounts(ctx, tx, all); err != nil {
		return err
	}
	users := tableInsert("members", "id", "organization", "user_id", "role", "status", "sort_name", "ends_at", "last_active_at", "joined_at",
		"removed_at", "version", "managed_by", "managed_access", "managed_role")
	known := map[string]*charter.Role{}
	for _, n := range all {
		if err := endFormer(ctx, tx, tx.Organization(), n.user, n.current); err != nil {
			return err
		}
		role, endsAt, err := n.terms(ctx, tx.Reader, known)
		if err != nil {
			return err
		}
		n.current = memberState{id: tx.NewID("mem"), role: string(role.ID)}
		users.row(n.current.id, tx.Organization(), n.user.ID, n.current.role, "active", sortName(n.user), endsAt, 0, tx.Micros(), 0, 1, directory, true, n.ByMapping)
		tx.Fence(op.Fence{Kind: op.FenceUser, ID: n.user.ID})
	}
	if err := users.exec(ctx, tx); err != nil {
		if _, twice := sqldb.Conflict(err); twice {
			return errSameMoment
		}
		return err
	}
	return settleAll(ctx, tx, all)
}

// invitedAmong finds the pending invitations of people who join, and how many seats there are and are taken.
func invitedAmong(ctx context.Context, r *op.Reader, all []*newcomer) (seats, taken int64, err error) {
	var invited int64
	addresses := make([]string, len(all))
	for i, n := range all {
		addresses[i] = n.address.Folded
	}
	in, args := sqldb.Placeholders(3, addresses)
	err = r.QueryRow(ctx, `SELECT o.seats,
			(SELECT COUNT(*) FROM members m WHERE m.organization = o.id AND m.status <> 'removed' AND (m.ends_at = 0 OR m.ends_at > $2))
			+ (SELECT COUNT(*) FROM invitations i WHERE i.organization = o.id AND i.state = 'pending' AND i.expires_at > $2),
			(SELECT COUNT(*) FROM invitations i WHERE i.organization = o.id AND i.state = 'pending' AND i.expires_at > $2 AND i.email_folded IN (`+in+`))
		FROM organizations o WHERE o.id = $1`, append([]any{r.Organization(), r.Micros()}, args...)...).Scan(&seats, &taken, &invited)
	if err != nil || invited == 0 {
		return seats, taken, err
	}
	rows, err := r.Query(ctx, offerQuery+"WHERE i.organization = $2 AND i.state = 'pending' AND i.expires_at > $1 AND i.email_folded IN ("+in+")",
		append([]any{r.Micros(), r.Organization()}, args...)...)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		o, err := scanOffer(r, rows)
		if err != nil {
			return 0, 0, err
		}
		for _, n := range all {
			if n.address.Folded == o.folded {
				n.invitation = o
			}
		}
	}
	return seats, taken, rows.Err()
}

// insertAccounts makes accounts for those who have none, and holds those of the others: a user who is deleted at the same
// moment becomes a member nowhere.
func insertAccounts(ctx context.Context, tx *op.Tx, all []*newcomer) error {
	made := tableInsert("users", "id", "email", "email_folded", "name", "time_zone", "version", "created_at", "updated_at")
	var held []string
	for _, n := range all {
		if n.user.ID != "" {
			held = append(held, n.user.ID)
			continue
		}
		n.user = User{ID: tx.NewID("usr"), Email: n.address.Email, Name: cleanDisplay(cmp.Or(n.Name, n.address.Name))}
		made.row(n.user.ID, n.user.Email, n.address.Folded, n.user.Name, "", 1, tx.Micros(), tx.Micros())
	}
	if err := made.exec(ctx, tx); err != nil {
		if _, taken := sqldb.Conflict(err); taken {
			return errSameMoment
		}
		return err
	}
	if lock := tx.ForShare(true, "u"); lock != "" && len(held) > 0 {
		in, args := sqldb.Placeholders(1, held)
		rows, err := tx.Query(ctx, "SELECT u.id, 0 FROM users u WHERE u.deleted_at = 0 AND u.id IN ("+in+")"+lock, args...)
		there, err := each(rows, err, func(id string, _ int64) string { return id })
		if err == nil && len(there) < len(held) {
			err = errSameMoment
		}
		return err
	}
	return nil
}

// terms are role and end date of somebody who joins: a group's role, else those of an invitation that still stands, else
// the directory's. Nobody becomes an owner.
func (n *newcomer) terms(ctx context.Context, r *op.Reader, known map[string]*charter.Role) (*charter.Role, int64, error) {
	o := &n.invitation
	if o.id != "" && !n.ByMapping && !o.needsApproval {
		role, ok := o.named.role(r.Charter)
		if ok && !role.Owner && decide.Decide(&o.inviterNow, decide.Ask(r.Charter, "members.invite", ""), r.Micros()).Allow &&
			decide.Grant(r.Charter, &o.inviterNow, role).Allow && (o.endsAt == 0 || o.endsAt > r.Micros()) {
			return role, o.endsAt, nil
		}
	}
	if role, ok := known[n.Role]; ok {
		return role, 0, nil
	}
	role, err := RoleOf(ctx, r, n.Role)
	known[n.Role] = role
	if errors.Is(err, op.ErrNotFound) {
		return nil, 0, op.Errorf(op.Conflict, "role_gone", "the role %q does not exist any more: somebody has to map another one", n.Role)
	}
	if err == nil && role.Owner {
		return nil, 0, op.Errorf(op.Conflict, "owner_role", "a directory makes nobody an owner")
	}
	return role, 0, err
}

// settleAll consumes the invitations, and names everybody in the log.
func settleAll(ctx context.Context, tx *op.Tx, all []*newcomer) error {
	for i, n := range all {
		if n.invitation.id != "" {
			if err := n.invitation.settle(ctx, tx, Accepted, n.current.id); err != nil {
				return err
			}
		}
		if i < mentioned {
			tx.Also("member", n.current.id, n.user.Label())
			tx.Changed("role", nil, n.current.role)
		}
	}
	return nil
}

// ManagedChange is what a directory makes of a member.
type ManagedChange struct {
	Member, User, Name string
	WasRole, Role      string
	WasStatus, Status  string
	Access             bool // whether the directory gives access
	ByMapping          bool // whether a group gives the role
	Suspended          bool // whether a directory suspended, and nobody else
	Released           bool // the directory has nothing more to do with the member
}

// Manage writes what a directory makes of members, and fences them. It takes the last active owner from nobody, and makes
// no owner. Members who become the same are written in one statement.
func Manage(ctx context.Context, tx *op.Tx, directory string, all []ManagedChange) error {
	if err := keepOwnersOf(ctx, tx.Reader, all); err != nil {
		return err
	}
	groups := map[ManagedChange][]string{}
	var order []ManagedChange
	for i, c := range all {
		if i < mentioned {
			tx.Also("member", c.Member, c.Name)
		}
		if c.WasRole != c.Role {
			tx.Changed("role", c.WasRole, c.Role)
		}
		if c.WasStatus != c.Status {
			tx.Changed("status", c.WasStatus, c.Status)
		}
		tx.Fence(op.Fence{Kind: op.FenceUser, ID: c.User})
		same := ManagedChange{Role: c.Role, Status: c.Status, Access: c.Access, ByMapping: c.ByMapping, Suspended: c.Suspended, Released: c.Released}
		if groups[same] == nil {
			order = append(order, same)
		}
		groups[same] = append(groups[same], c.Member)
	}
	for _, c := range order {
		by := directory
		if c.Released {
			by = ""
		}
		in, args := sqldb.Placeholders(8, groups[c])
		if _, err := tx.Exec(ctx, `UPDATE members SET role = $2, status = $3, managed_access = $4, managed_role = $5, managed_suspended = $6,
				managed_by = $7, version = version + 1
			WHERE organization = $1 AND id IN (`+in+")", append([]any{tx.Organization(), c.Role, c.Status, c.Access, c.ByMapping, c.Suspended, by}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// keepOwnersOf refuses changes after which no active owner is left, and those of an owner's role. T-017.
func keepOwnersOf(ctx context.Context, r *op.Reader, all []ManagedChange) error {
	owner := string(r.Charter.OwnerRole().ID)
	var ends []string
	name := ""
	for _, c := range all {
		if c.Role != c.WasRole && (c.Role == owner || c.WasRole == owner) {
			return op.Errorf(op.Conflict, "owner_role", "a directory makes nobody an owner, and changes no owner's role")
		}
		if c.WasRole == owner && c.WasStatus == "active" && c.Status != "active" {
			ends, name = append(ends, c.Member), c.Name
		}
	}
	if len(ends) == 0 {
		return nil
	}
	left, err := remainingOwners(ctx, r, r.Organization(), ends...)
	switch {
	case err != nil:
		return err
	case left.owners == 0:
		return LastOwner(r.Charter, name)
	case left.closesWayIn():
		return LastWayIn(name)
	}
	return nil
}

// Depart ends a membership on the word of a company's directory, as a removal does, with the charter's choices about
// keys. Of somebody who is gone already it changes nothing.
func Depart(ctx context.Context, tx *op.Tx, member, reason string) error {
	l, err := leaverByID(ctx, tx.Reader, member)
	if err != nil || l.Status == "removed" {
		return err
	}
	will := l.principal
	will.Standing = decide.NoMember
	if err := keepOwner(ctx, tx.Reader, l.Member, will); err != nil {
		return err
	}
	tx.Also("member", l.ID, l.Label())
	tx.Fence(fenceMember(l.target())...)
	return l.end(ctx, tx, RemovalChoices{}, reason, &Removal{})
}

// ReleaseManaged lets go of every member whom a directory manages: they stay what they are.
func ReleaseManaged(ctx context.Context, tx *op.Tx, directory string) (int64, error) {
	return tx.Exec(ctx, `UPDATE members SET managed_by = '', managed_access = FALSE, managed_role = FALSE, version = version + 1
		WHERE organization = $1 AND managed_by = $2`, tx.Organization(), directory)
}

// lockedRole refuses to change a role that a company's directory, or its identity provider, gives.
func lockedRole(m *Member) error {
	if !m.RoleManaged || m.principal.Owner {
		return nil
	}
	return &op.Error{Kind: op.Conflict, Code: "managed_elsewhere", Reason: decide.ManagedElsewhere, Refers: map[string]string{m.ManagedKind: m.ManagedBy},
		Text: fmt.Sprintf("a group of %s gives %s this role: change the groups there, or the mapping", m.ManagedName, m.Label())}
}

// lockedOut refuses to give back an access that a company's directory has ended.
func lockedOut(m *Member) error {
	if m.ManagedBy == "" || m.managedAccess {
		return nil
	}
	return &op.Error{Kind: op.Conflict, Code: "managed_elsewhere", Reason: decide.ManagedElsewhere, Refers: map[string]string{m.ManagedKind: m.ManagedBy},
		Text: fmt.Sprintf("the directory says that %s is not active: that is changed there", m.Label())}
}

// rowsInsert builds one INSERT of several rows.
type rowsInsert struct {
	table   string
	columns []string
	args    []any
}

func tableInsert(table string, columns ...string) *rowsInsert {
	return &rowsInsert{table: table, columns: columns}
}

func (i *rowsInsert) row(values ...any) { i.args = append(i.args, values...) }

// exec writes the rows; of none it does nothing.
func (i *rowsInsert) exec(ctx context.Context, tx *op.Tx) error {
	if len(i.args) == 0 {
		return nil
	}
	rows := make([]string, 0, len(i.args)/len(i.columns))
	for n := 0; n < len(i.args); n += len(i.columns) {
		names := make([]string, len(i.columns))
		for c := range names {
			names[c] = "$" + strconv.Itoa(n+c+1)
		}
		rows = append(rows, "("+strings.Join(names, ", ")+")")
	}
	_, err := tx.Exec(ctx, "INSERT INTO "+i.table+" ("+strings.Join(i.columns, ", ")+") VALUES "+strings.Join(rows, ", "), i.args...)
	return err
}
