package directory

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// Load finds who stands behind a credential, and what they are in an organization: it is the op.Load of every service,
// and the only loader. The organization may be named by its id or by a slug that it has or had.
func Load(ctx context.Context, r *op.Reader, w op.Who) (op.Actor, error) {
	organization, err := organizationID(ctx, r, w.Organization)
	if err != nil {
		return op.Actor{}, err
	}
	switch w.Kind {
	case credential.SessionKind:
		return loadSession(ctx, r, w, organization)
	case credential.KeyKind, credential.TokenKind:
		return loadBearer(ctx, r, w, organization)
	case credential.ServiceKeyKind:
		return loadServiceKey(ctx, r, w, organization)
	case DirectoryTokenKind:
		return loadDirectory(ctx, r, w, organization)
	case "operator":
		return loadMachine(ctx, r, organization, op.Actor{Kind: op.OperatorActor, ID: "operator", Principal: decide.Principal{Power: decide.Operator}})
	case "system":
		return loadMachine(ctx, r, organization, op.Actor{Kind: op.SystemActor, ID: r.Caller.System, Principal: decide.Principal{Power: decide.System}})
	}
	return op.Actor{}, op.ErrUnauthenticated
}

// organizationID gives the id of an organization that is named by id or slug; empty for an unknown slug.
func organizationID(ctx context.Context, r *op.Reader, named string) (string, error) {
	if named == "" || id.Valid("org", named) {
		return named, nil
	}
	var found string
	err := r.QueryRow(ctx, "SELECT organization FROM slugs WHERE slug = $1", named).Scan(&found)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return found, err
}

// loadSession reads a session, its user and, in an organization, the membership: one query.
func loadSession(ctx context.Context, r *op.Reader, w op.Who, organization string) (op.Actor, error) {
	a := op.Actor{Kind: op.UserActor}
	var ended, lastUsed int64
	var m memberState
	var s signInState
	var l loginState
	err := r.QueryRow(ctx, `SELECT s.id, s.signed_in_at, s.expires_at, s.ended_at, s.last_used_at, s.idle_limit, s.created_at, s.way,
			s.second_factor, s.organization, `+loginColumns+`, u.id, u.name, u.email, COALESCE(m.id, ''), COALESCE(m.role, ''), COALESCE(m.status, ''),
			COALESCE(m.ends_at, 0), COALESCE(o.state, ''), COALESCE(o.plan, ''), COALESCE(cr.permissions, '')
		FROM sessions s
		JOIN users u ON u.id = s.user_id AND u.deleted_at = 0
		JOIN instance i ON i.recovery_epoch = s.recovery_epoch
		LEFT JOIN members m ON m.organization = $2 AND m.user_id = s.user_id AND m.status <> 'removed'
		LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
		LEFT JOIN organizations o ON o.id = m.organization
		WHERE s.hash = $1`+r.Acting(w.Lock, "s"), w.Hash[:], organization).Scan(
		&a.Credential.ID, &a.Credential.SignedInAt, &a.Credential.ExpiresAt, &ended, &lastUsed, &s.idle, &s.created, &s.way, &s.second, &s.organization,
		&l.enforced, &l.mfaFrom, &l.ways, &l.life, &l.idle, &l.networks, &l.breakGlass, &a.User, &a.Name, &a.Email, &m.id, &m.role, &m.status, &m.endsAt, &m.state, &m.plan, &m.permissions)
	if errors.Is(err, sql.ErrNoRows) {
		return op.Actor{}, op.ErrUnauthenticated
	}
	if err != nil {
		return op.Actor{}, err
	}
	if ended != 0 || w.Now >= a.Credential.ExpiresAt || s.idle > 0 && w.Now >= lastUsed+s.idle {
		return op.Actor{}, op.ErrUnauthenticated
	}
	a.ID, a.Credential.Organization = a.User, s.organization
	a.Principal = m.principal(r.Charter, organization, a.User)
	if m.id != "" {
		s.ends = a.Credential.ExpiresAt
		policy, networks := l.policy(r.Charter, m.plan, a.Principal.Owner)
		by := s.signIn(organization)
		a.Principal.Bar = policy.Bar(by)
		a.Principal.Elsewhere = !policy.Exempt(by) && !Allows(networks, r.Caller.Address)
	}
	return a, nil
}

// memberState is a membership as the loader reads it; without an id there is none.
type memberState struct {
	id, role, status, state string
	endsAt                  int64
	plan                    string // the organization's
	permissions             string // of a role that the organization made
}

// principal is what a member holds. Somebody who is no member has no principal in the organization.
func (m memberState) principal(c *charter.Charter, organization, user string) decide.Principal {
	p := decide.Principal{User: user}
	if m.id == "" || over(m.state) {
		return p
	}
	p.Member, p.Organization, p.Role, p.EndsAt = m.id, organization, charter.RoleID(m.role), m.endsAt
	p.Closed = m.state != "active"
	p.Holds, p.Owner = holdsOf(c, m.role, m.permissions)
	p.Locked, p.Plan = c.Locked(m.plan), m.plan
	p.Standing = standing(m.status)
	return p
}

// over reports whether an organization in this state is none for anybody but the operator: it cannot be restored.
func over(state string) bool { return state == "deleting" || state == "gone" }

// holdsOf is what a role holds, the charter's own or one that the organization made of these permissions; and whether it
// is the owner role.
func holdsOf(c *charter.Charter, role, permissions string) (holds charter.Set, owner bool) {
	if role, ok := c.Role(charter.RoleID(role)); ok {
		return role.Holds, role.Owner
	}
	holds, _ = c.SetOf(permissionList(permissions))
	return holds, false
}

func standing(status string) decide.Standing {
	switch status {
	case "active":
		return decide.Active
	case "suspended":
		return decide.Suspended
	}
	return decide.NoMember
}

func loadServiceKey(ctx context.Context, r *op.Reader, w op.Who, organization string) (op.Actor, error) {
	a := op.Actor{Kind: op.ServiceActor, Principal: decide.Principal{Power: decide.Service}}
	var revoked, expires int64
	var state string
	err := r.QueryRow(ctx, `SELECT k.id, k.name, k.revoked_at, k.expires_at, k.scopes, COALESCE(o.id, ''), COALESCE(o.plan, ''), COALESCE(o.state, 'active')
		FROM service_keys k
		JOIN instance i ON i.recovery_epoch = k.recovery_epoch
		LEFT JOIN organizations o ON o.id = $2 AND o.state IN ('active', 'deletion_scheduled')
		WHERE k.hash = $1`+r.Acting(w.Lock, "k"), w.Hash[:], organization).Scan(
		&a.ID, &a.Name, &revoked, &expires, &a.Credential.Operations, &a.Principal.Organization, &a.Principal.Plan, &state)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (revoked != 0 || expires != 0 && w.Now >= expires) {
		return op.Actor{}, op.ErrUnauthenticated
	}
	a.Credential.ID, a.Credential.ExpiresAt, a.Principal.Closed = a.ID, expires, state != "active"
	return a, err
}

// loadMachine is the operator or scheduled work: it holds everything, in every organization that exists or ever did.
func loadMachine(ctx context.Context, r *op.Reader, organization string, a op.Actor) (op.Actor, error) {
	a.Principal.Holds, a.Principal.Owner, a.Principal.Standing = r.Charter.All(), true, decide.Active
	if organization == "" {
		return a, nil
	}
	var state string
	err := r.QueryRow(ctx, "SELECT id, state FROM organizations WHERE id = $1", organization).Scan(&a.Principal.Organization, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil
	}
	a.Principal.Closed = state != "active"
	return a, err
}

// Seat is what a user is in an organization, with what the organization asks of the sign-ins that act there.
type Seat struct {
	decide.Principal
	Regions  string // of the organization's residency, spaces between and the default one first; empty of no member
	Login    decide.LoginPolicy
	Networks string // that requests may come from, as Allows reads them
}

// PrincipalOf reads what a user (by our id or the product's external id) is in an organization (by id or slug). Without
// such a user it returns op.ErrNotFound; somebody who is no member has a Principal without Member.
func PrincipalOf(ctx context.Context, r *op.Reader, organization, user string) (decide.Principal, error) {
	s, err := SeatOf(ctx, r, organization, user)
	return s.Principal, err
}

// SeatOf is PrincipalOf with all that a seat has.
func SeatOf(ctx context.Context, r *op.Reader, organization, user string) (s Seat, err error) {
	organization, err = organizationID(ctx, r, organization)
	if err != nil {
		return s, err
	}
	var m memberState
	var l loginState
	var found, region, allowed string
	err = r.QueryRow(ctx, `SELECT `+loginColumns+`, u.id, COALESCE(m.id, ''), COALESCE(m.role, ''), COALESCE(m.status, ''),
			COALESCE(m.ends_at, 0), COALESCE(o.state, ''), COALESCE(o.plan, ''), COALESCE(o.region, ''), COALESCE(o.allowed_regions, ''), COALESCE(cr.permissions, '')
		FROM users u
		LEFT JOIN members m ON m.organization = $2 AND m.user_id = u.id AND m.status <> 'removed'
		LEFT JOIN organization_roles cr ON cr.organization = m.organization AND cr.id = m.role
		LEFT JOIN organizations o ON o.id = m.organization
		WHERE (u.id = $1 OR u.external_id = $1) AND u.deleted_at = 0`, user, organization).Scan(append(l.into(),
		&found, &m.id, &m.role, &m.status, &m.endsAt, &m.state, &m.plan, &region, &allowed, &m.permissions)...)
	if errors.Is(err, sql.ErrNoRows) {
		return s, op.ErrNotFound
	}
	s.Principal, s.Regions = m.principal(r.Charter, organization, found), residency(r.Charter, m.plan, region, allowed)
	s.Login, s.Networks = l.policy(r.Charter, m.plan, s.Owner)
	return s, err
}

// residency is where an organization's data may be, with spaces between.
func residency(c *charter.Charter, plan, region, allowed string) string {
	return strings.Join(c.Residency(plan, region, allowed), " ")
}

// Holders names up to five active members who hold a permission in the reader's organization, for refusals.
func Holders(ctx context.Context, r *op.Reader, p charter.Permission) ([]op.Holder, error) {
	roles, err := RolesHolding(ctx, r, p)
	if err != nil || len(roles) == 0 {
		return nil, err
	}
	in, args := sqldb.Placeholders(3, roles)
	rows, err := r.Query(ctx, `SELECT m.id, u.name, u.email, m.role FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization = $1 AND m.status = 'active' AND (m.ends_at = 0 OR m.ends_at > $2) AND m.role IN (`+in+`)
		ORDER BY m.sort_name, m.id LIMIT 5`, append([]any{r.Organization(), r.Micros()}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var holders []op.Holder
	for rows.Next() {
		var h op.Holder
		var email string
		if err := rows.Scan(&h.Member, &h.Name, &email, &h.Role); err != nil {
			return nil, err
		}
		if h.Name == "" {
			h.Name = email
		}
		holders = append(holders, h)
	}
	return holders, rows.Err()
}
