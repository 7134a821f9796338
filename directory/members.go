package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Member is a user in one organization, with one role.
type Member struct {
	ID           string     `json:"id" doc:"The member's id" example:"mem_01k..."`
	Organization string     `json:"organization" cli:"-"`
	User         string     `json:"user" cli:"-" doc:"The user's id"`
	ExternalID   string     `json:"external_id,omitzero" cli:"-" doc:"The product's own id of this person"`
	Name         string     `json:"name"`
	Email        string     `json:"email"`
	Role         string     `json:"role" cli:"-" example:"editor"`
	RoleTitle    string     `json:"role_title" example:"Editor"`
	Owner        bool       `json:"owner" cli:"-" doc:"Whether the role is the owner role"`
	Status       string     `json:"status" enum:"active,suspended,ended,removed" doc:"Suspended keeps the role and has no access; ended: the end date has come"`
	JoinedAt     time.Time  `json:"joined_at"`
	EndsAt       *time.Time `json:"ends_at,omitzero" doc:"When the membership ends; access ends at that moment"`
	LastActiveAt *time.Time `json:"last_active_at,omitzero"`
	Version      int64      `json:"version" cli:"-" doc:"Counts the changes; the ETag"`
	ManagedBy    string     `json:"managed_by,omitzero" cli:"-" doc:"Id of the company's directory, or of the identity provider's connection, that manages this member; absent: none"`
	ManagedName  string     `json:"managed_name,omitzero" cli:"-" doc:"What that is called"`
	ManagedKind  string     `json:"managed_kind,omitzero" cli:"-" doc:"What that is" enum:"directory,connection"`
	RoleManaged  bool       `json:"role_managed,omitzero" cli:"-" doc:"Whether a group there gives the role, so that nobody changes it here"`

	principal     decide.Principal
	managedAccess bool // whether the directory gives access
}

// ETag is the member's version.
func (m Member) ETag() string { return op.VersionTag(m.Version) }

// Label is what the member is called where one name is shown.
func (m Member) Label() string {
	if m.Name != "" {
		return m.Name
	}
	return m.Email
}

const memberColumns = `m.id, m.organization, m.user_id, COALESCE(u.external_id, ''), u.name, u.email, m.role, m.status, m.joined_at,
	m.ends_at, m.last_active_at, m.version, m.managed_by, m.managed_role, m.managed_access,
	COALESCE((SELECT d.name FROM directories d WHERE d.organization = m.organization AND d.id = m.managed_by), ''),
	COALESCE((SELECT c.name FROM connections c WHERE c.organization = m.organization AND c.id = m.managed_by), ''), COALESCE(cr.title, ''), COALESCE(cr.permissions, '')`

const membersJoined = ` FROM members m JOIN users u ON u.id = m.user_id
	LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
	`

func scanMember(r *op.Reader, row interface{ Scan(...any) error }, more ...any) (Member, error) {
	var m Member
	var joined, ends, active int64
	var role namedRole
	var byDirectory, byConnection string
	err := row.Scan(append([]any{&m.ID, &m.Organization, &m.User, &m.ExternalID, &m.Name, &m.Email, &m.Role, &m.Status, &joined,
		&ends, &active, &m.Version, &m.ManagedBy, &m.RoleManaged, &m.managedAccess, &byDirectory, &byConnection, &role.title, &role.permissions}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return m, op.ErrNotFound
	}
	switch {
	case byDirectory != "":
		m.ManagedName, m.ManagedKind = byDirectory, "directory"
	case byConnection != "":
		m.ManagedName, m.ManagedKind = byConnection, "connection"
	}
	role.id = m.Role
	m.principal = memberState{id: m.ID, role: m.Role, status: m.Status, state: "active", endsAt: ends, permissions: role.permissions}.principal(r.Charter, m.Organization, m.User)
	m.JoinedAt, m.EndsAt, m.LastActiveAt = time.UnixMicro(joined).UTC(), when(ends), when(active)
	m.RoleTitle, m.Owner = role.label(r.Charter), m.principal.Owner
	if ends != 0 && r.Micros() >= ends && m.Status == "active" {
		m.Status = "ended"
	}
	return m, err
}

// memberByID reads a member of the call's organization; one that was removed too, with that status.
func memberByID(ctx context.Context, r *op.Reader, id string) (Member, error) {
	return scanMember(r, r.QueryRow(ctx, "SELECT "+memberColumns+membersJoined+"WHERE m.organization = $1 AND m.id = $2", r.Organization(), id))
}

// memberOfUser reads the member that a user is now, by the user's id or the product's own.
func memberOfUser(ctx context.Context, r *op.Reader, user string) (Member, error) {
	return scanMember(r, r.QueryRow(ctx, "SELECT "+memberColumns+membersJoined+
		"WHERE m.organization = $1 AND (u.id = $2 OR u.external_id = $2) AND m.status <> 'removed'", r.Organization(), user))
}

// target makes the operation's target of a member.
func (m Member) target() op.Target {
	return op.Target{Organization: m.Organization, Type: "member", ID: m.ID, Name: m.Label(), User: m.User, Version: m.Version,
		Current: m, Principal: &m.principal, Value: m}
}

// present loads a member who has not been removed, as a target.
func present(ctx context.Context, r *op.Reader, id string) (op.Target, error) {
	m, err := memberByID(ctx, r, id)
	if err == nil && m.Status == "removed" {
		err = op.ErrNotFound
	}
	if err != nil {
		return op.Target{}, err
	}
	return m.target(), nil
}

// fenceMember names the person whose decisions change with their membership.
func fenceMember(t op.Target) []op.Fence { return []op.Fence{{Kind: op.FenceUser, ID: t.User}} }

// newMember is somebody who joins.
type newMember struct {
	User   User
	Role   *charter.Role
	EndsAt int64
}

// insertMember makes a user a member of the call's organization. Somebody who is one already is a Conflict.
func insertMember(ctx context.Context, tx *op.Tx, n newMember) (Member, error) {
	m := Member{ID: tx.NewID("mem"), Organization: tx.Organization(), User: n.User.ID, Name: n.User.Name, Email: n.User.Email,
		Role: string(n.Role.ID), RoleTitle: n.Role.Title, Owner: n.Role.Owner, Status: "active", JoinedAt: tx.Now, EndsAt: when(n.EndsAt), Version: 1}
	made, err := tx.Exec(ctx, `INSERT INTO members (id, organization, user_id, role, status, sort_name, ends_at, last_active_at, joined_at, removed_at, version)
		SELECT $1, $2, u.id, $4, 'active', $5, $6, 0, $7, 0, 1 FROM users u WHERE u.id = $3 AND u.deleted_at = 0`+tx.ForShare(true, "u"),
		m.ID, m.Organization, m.User, m.Role, sortName(n.User), n.EndsAt, tx.Micros())
	if _, twice := sqldb.Conflict(err); twice {
		return m, op.Errorf(op.Conflict, codeAlreadyMember, "%s is a member already", n.User.Label())
	}
	if err == nil && made == 0 {
		return m, op.ErrNotFound // the user was deleted at the same moment
	}
	tx.Fence(op.Fence{Kind: op.FenceUser, ID: m.User})
	return m, err
}

// ListMembersInput says which members, and in what order.
type ListMembersInput struct {
	op.InOrganization
	op.Page
	Query  string `json:"q,omitzero" doc:"Part of a name or address" maxLength:"200"`
	Status string `json:"status,omitzero" doc:"Only those with this status" enum:"active,suspended,ended"`
	Role   string `json:"role,omitzero" doc:"Only those with this role" maxLength:"64"`
	Sort   string `json:"sort,omitzero" doc:"Order; with a hyphen in front the other way round" enum:"name,-name,role,-role,joined,-joined,last_active,-last_active" default:"name"`
}

// ListMembers lists the members of an organization.
var ListMembers = &op.Op[ListMembersInput, op.List[Member]]{
	Name:    "members.list",
	Route:   "GET /v1/organizations/{organization}/members",
	Summary: "List the members",
	Allow:   op.AnyOf(op.On("members.view"), op.ByService),
	Do:      listMembers,
	Example: ListMembersInput{InOrganization: op.InOrganization{Organization: "acme"}, Sort: "-joined"},
}

// memberOrder is how a list is sorted: a column and the member's id.
type memberOrder struct {
	column  string
	numeric bool
	down    bool
}

func orderOf(roles []placedRole, sort string) memberOrder {
	name, down := strings.CutPrefix(sort, "-")
	switch name {
	case "joined":
		return memberOrder{"m.joined_at", true, down}
	case "last_active":
		return memberOrder{"m.last_active_at", true, down}
	case "role":
		return memberOrder{rankColumn(roles), true, down}
	}
	return memberOrder{"m.sort_name", false, down}
}

// rankColumn is the rank of a member's role, as SQL.
func rankColumn(roles []placedRole) string {
	var b strings.Builder
	b.WriteString("CASE m.role")
	for _, role := range roles {
		fmt.Fprintf(&b, " WHEN '%s' THEN %d", role.ID, role.place) // ids are lower-case words: see charter and internal/id
	}
	b.WriteString(" ELSE -1 END")
	return b.String()
}

// after adds the condition for what comes after a position.
func (o memberOrder) after(c *conditions, position []string) {
	if len(position) != 2 {
		return
	}
	var value any = position[0]
	if o.numeric {
		value, _ = strconv.ParseInt(position[0], 10, 64)
	}
	sign := ">"
	if o.down {
		sign = "<"
	}
	v, id := c.param(value), c.param(position[1])
	c.parts = append(c.parts, fmt.Sprintf("(%s %s %s OR %s = %s AND m.id %s %s)", o.column, sign, v, o.column, v, sign, id))
}

func (o memberOrder) text() string {
	if o.down {
		return o.column + " DESC, m.id DESC"
	}
	return o.column + ", m.id"
}

func listMembers(ctx context.Context, tx *op.Tx, in ListMembersInput) (op.List[Member], error) {
	order, err := in.order(ctx, tx.Reader)
	if err != nil {
		return op.List[Member]{}, err
	}
	var c conditions
	c.param(tx.Organization())
	c.parts = append(c.parts, "m.status <> 'removed'")
	in.filter(&c, tx.Micros())
	order.after(&c, in.After())
	rows, err := tx.Query(ctx, "SELECT "+memberColumns+", "+order.column+membersJoined+"WHERE m.organization = $1 AND "+c.where()+
		" ORDER BY "+order.text()+" LIMIT "+c.param(in.Size()+1), c.args...)
	if err != nil {
		return op.List[Member]{}, err
	}
	defer rows.Close()
	var found []Member
	positions := map[string]string{}
	for rows.Next() {
		var at string
		m, err := scanMember(tx.Reader, rows, &at)
		if err != nil {
			return op.List[Member]{}, err
		}
		positions[m.ID] = at
		found = append(found, m)
	}
	return op.Listed(tx.Reader, &in.Page, found, func(m Member) []string { return []string{positions[m.ID], m.ID} }), rows.Err()
}

// order is the order that the caller asked for. It refuses a role that there is not.
func (in ListMembersInput) order(ctx context.Context, r *op.Reader) (memberOrder, error) {
	if in.Role != "" {
		if _, err := knownRole(ctx, r, in.Role); err != nil {
			return memberOrder{}, err
		}
	}
	if strings.TrimPrefix(in.Sort, "-") != "role" {
		return orderOf(nil, in.Sort), nil
	}
	roles, err := rolesOf(ctx, r)
	return orderOf(roles, in.Sort), err
}

// filter adds the conditions that the caller asked for.
func (in ListMembersInput) filter(c *conditions, now int64) {
	if q := strings.TrimSpace(in.Query); q != "" {
		c.add("(m.sort_name LIKE ? ESCAPE '!' OR u.email_folded LIKE ? ESCAPE '!')", contains(strings.ToLower(q)))
	}
	if in.Role != "" {
		c.add("m.role = ?", in.Role)
	}
	switch in.Status {
	case "active":
		c.add("m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > ?)", now)
	case "suspended":
		c.add("m.status = ?", "suspended")
	case "ended":
		c.add("m.ends_at <> 0 AND m.ends_at <= ?", now)
	}
}

// MemberInput names a member.
type MemberInput struct {
	op.InOrganization
	Member string `json:"member" doc:"The member's id" maxLength:"64" example:"mem_01k..."`
}

var exampleMember = MemberInput{op.InOrganization{Organization: "acme"}, "mem_00000000000000000000000000"}

// GetMember shows one member, by the member's id, the user's, or the product's own. Everybody may see themselves.
var GetMember = &op.Op[MemberInput, Member]{
	Name:    "members.get",
	Route:   "GET /v1/organizations/{organization}/members/{member}",
	Summary: "Show a member",
	Allow:   op.AnyOf(op.On("members.view"), op.Own(), op.ByService),
	Target: func(ctx context.Context, r *op.Reader, in MemberInput) (op.Target, error) {
		if strings.HasPrefix(in.Member, "mem_") {
			return present(ctx, r, in.Member)
		}
		m, err := memberOfUser(ctx, r, in.Member)
		return m.target(), err
	},
	Do: func(_ context.Context, tx *op.Tx, _ MemberInput) (Member, error) {
		return tx.Target().Value.(Member), nil
	},
	Example: exampleMember,
}

// UpdateMemberInput says what to change: the role, the end date, or both.
type UpdateMemberInput struct {
	MemberInput
	Role   *string `json:"role,omitzero" doc:"The new role; you may give only what you hold" maxLength:"64" example:"viewer"`
	EndsAt *string `json:"ends_at,omitzero" doc:"When the membership is to end (RFC 3339), or never" maxLength:"64" example:"never"`
	Reason string  `json:"reason,omitzero" doc:"Why, for the audit log" maxLength:"500"`
}

// Validate checks the end date's form, and that there is something to do.
func (in UpdateMemberInput) Validate() []op.FieldError {
	if in.Role == nil && in.EndsAt == nil {
		return []op.FieldError{{Pointer: "", Code: "required", Detail: "say role, ends_at or both"}}
	}
	if in.EndsAt == nil {
		return nil
	}
	if _, err := parseEnd(*in.EndsAt); err != nil {
		return []op.FieldError{{Pointer: "/ends_at", Code: "invalid", Detail: err.Error()}}
	}
	return nil
}

// parseEnd reads an end date: RFC 3339, or never.
func parseEnd(s string) (int64, error) {
	if s == "never" || s == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time such as 2027-01-31T18:00:00Z, nor never", s)
	}
	return t.UnixMicro(), nil
}

// UpdateMember changes a member's role, which needs members.assign_role, or end date, which needs members.remove.
// Everybody may lower their own role.
var UpdateMember = &op.Op[UpdateMemberInput, Member]{
	Name:    "members.update",
	Route:   "PATCH /v1/organizations/{organization}/members/{member}",
	Summary: "Change a member's role or end date",
	Kind:    op.Access,
	Allow:   op.AnyOf(op.On("members.assign_role"), op.On("members.remove"), op.Own()),
	Target: func(ctx context.Context, r *op.Reader, in UpdateMemberInput) (op.Target, error) {
		return present(ctx, r, in.Member)
	},
	Fences:  func(_ UpdateMemberInput, t op.Target) []op.Fence { return fenceMember(t) },
	Preview: previewUpdate,
	Do:      updateMember,
	Confirm: op.L1,
	Example: UpdateMemberInput{MemberInput: exampleMember, Role: new("viewer")},
}

func updateMember(ctx context.Context, tx *op.Tx, in UpdateMemberInput) (Member, error) {
	m := tx.Target().Value.(Member)
	was := m
	if in.Role != nil {
		if err := changeRole(ctx, tx.Reader, &m, *in.Role); err != nil {
			return m, err
		}
	}
	if in.EndsAt != nil {
		if err := changeEnd(ctx, tx.Reader, &m, *in.EndsAt); err != nil {
			return m, err
		}
	}
	if m.principal.Owner && m.EndsAt != nil {
		return m, op.Errorf(op.Conflict, "owner_with_end", "an owner's membership has no end date: take it away first")
	}
	tx.Because(in.Reason)
	if m.Role == was.Role && m.principal.EndsAt == was.principal.EndsAt {
		tx.Unchanged()
		return m, nil
	}
	if err := keepOwner(ctx, tx.Reader, was, m.principal); err != nil {
		return m, err
	}
	if m.Role != was.Role {
		tx.Changed("role", was.Role, m.Role)
	}
	if m.principal.EndsAt != was.principal.EndsAt {
		tx.Changed("ends_at", was.EndsAt, m.EndsAt)
	}
	m.Version++
	return m, m.save(ctx, tx, was)
}

// save writes a member's role and end date, and tells the owners of one more or less of them.
func (m Member) save(ctx context.Context, tx *op.Tx, was Member) error {
	if _, err := tx.Exec(ctx, "UPDATE members SET role = $3, ends_at = $4, version = $5 WHERE organization = $1 AND id = $2",
		m.Organization, m.ID, m.Role, m.principal.EndsAt, m.Version); err != nil {
		return err
	}
	switch {
	case m.Owner && !was.Owner:
		return tellOfOwner(ctx, tx, m.Label(), "by a change of role")
	case was.Owner && !m.Owner:
		return tellOfFormerOwner(ctx, tx, m)
	}
	return nil
}

// changeRole gives the member a role, if the actor may: one's own role can be lowered by anybody.
func changeRole(ctx context.Context, r *op.Reader, m *Member, wanted string) error {
	role, err := knownRole(ctx, r, wanted)
	if err != nil {
		return err
	}
	if wanted == m.Role {
		return demandUnlessOwn(ctx, r, m, "members.assign_role")
	}
	if err := lockedRole(m); err != nil {
		return err
	}
	lowersOwn := m.User == r.Actor.User && role.Holds.SubsetOf(m.principal.Holds) && role.Holds != m.principal.Holds
	if !lowersOwn {
		if err := r.Demand(ctx, "members.assign_role"); err != nil {
			return err
		}
		if d := decide.Grant(r.Charter, &r.Actor.Principal, role); !d.Allow {
			return r.Refuse(ctx, d)
		}
	}
	if role.Owner && m.Status != "active" {
		return op.Errorf(op.Conflict, "not_active", "%s is %s: only an active member can be owner", m.Label(), m.Status)
	}
	m.Role, m.RoleTitle, m.Owner = wanted, role.Title, role.Owner
	m.principal.Role, m.principal.Holds, m.principal.Owner = role.ID, role.Holds, role.Owner
	return nil
}

func demandUnlessOwn(ctx context.Context, r *op.Reader, m *Member, p charter.Permission) error {
	if m.User == r.Actor.User {
		return nil
	}
	return r.Demand(ctx, p)
}

// changeEnd sets the end date, which is a removal at a time.
func changeEnd(ctx context.Context, r *op.Reader, m *Member, wanted string) error {
	if err := r.Demand(ctx, "members.remove"); err != nil {
		return err
	}
	ends, err := parseEnd(wanted)
	if err != nil {
		return op.InvalidField("ends_at", "invalid", "%v", err)
	}
	if ends != 0 && ends <= r.Micros() {
		return op.InvalidField("ends_at", "past", "ends_at is in the past: remove the member instead")
	}
	m.EndsAt, m.principal.EndsAt = when(ends), ends
	return nil
}

// keepOwner refuses a change after which the organization would have no active owner. The organization is locked, so
// nobody else can take the last one away at the same time.
func keepOwner(ctx context.Context, r *op.Reader, was Member, will decide.Principal) error {
	if !was.principal.Owner || was.Status != "active" || will.Owner && will.Standing == decide.Active && will.EndsAt == 0 {
		return nil
	}
	left, err := remainingOwners(ctx, r, was.Organization, was.ID)
	switch {
	case err != nil:
		return err
	case left.owners == 0:
		return LastOwner(r.Charter, was.Label())
	case left.closesWayIn():
		return LastWayIn(was.Label())
	}
	return nil
}

// LastOwner refuses to leave an organization without an active owner.
func LastOwner(c *charter.Charter, name string) *op.Error {
	remedy := "make somebody else an owner first"
	if c.Rules.Owners == charter.OneOwner {
		remedy = "transfer ownership first"
	}
	return &op.Error{Kind: op.Conflict, Code: "last_owner", Reason: decide.LastOwner,
		Text: fmt.Sprintf("%s is the only active owner: %s", name, remedy)}
}
