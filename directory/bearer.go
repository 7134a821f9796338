package directory

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// Bearer is a key or a scoped token with whoever stands behind it, as one statement reads them.
type Bearer struct {
	Kind         op.ActorKind // KeyActor or TokenActor
	ID           string
	Name         string
	User         string // on whose behalf it acts; empty for an organization key
	Email        string
	UserName     string
	Organization string
	Region, Plan string
	Residency    string // where the organization's data may be: regions with spaces between, the default one first
	// Principal is what it may in its organization now, scopes and limits included. It does not know from where a
	// request comes: see Allows.
	Principal decide.Principal
	ExpiresAt int64         // the first end of its own and of what it hangs on; 0: none
	Idle      int64         // of a token under a session: how long that may go unused; 0: any time
	LastUsed  int64         // of that session
	SignIn    decide.SignIn // behind that session
	Budgets   []string      // tokens whose requests are counted, itself and those above it
	Networks  string        // groups of networks, "|" between; the address has to be within one of each group
	Root      op.Fence      // the session or key that a token dies with; of a key, itself
	Dead      bool          // revoked, ended or over: it never becomes valid again
}

// LoadBearer reads a key or token by the hash of its secret. An unknown one is op.ErrUnauthenticated; one that is dead
// is returned, and says so.
func LoadBearer(ctx context.Context, r *op.Reader, hash secret.Hash, kind string, lock bool) (Bearer, error) {
	if kind == credential.TokenKind {
		return loadToken(ctx, r, hash, lock)
	}
	return loadKey(ctx, r, hash, lock)
}

// keyState is a key with its creator's membership, as the loader reads it. Without an id there is none.
type keyState struct {
	id, name, kind, user, userName, email, account string
	scopes, resources, networks, frozen            string
	left, expires, revoked                         int64
	member                                         memberState
	accountRole, accountPermissions, allowed       string
	accountDeleted                                 int64
	login                                          loginState
}

const keyStateColumns = `COALESCE(k.id, ''), COALESCE(k.name, ''), COALESCE(k.kind, ''), COALESCE(k.service_account, ''),
	COALESCE(k.permissions, ''), COALESCE(k.resources, ''), COALESCE(k.networks, ''), COALESCE(k.frozen, ''),
	COALESCE(k.left_at, 0), COALESCE(k.expires_at, 0), COALESCE(k.revoked_at, 0),
	COALESCE(u.id, ''), COALESCE(u.name, ''), COALESCE(u.email, ''),
	COALESCE(m.id, ''), COALESCE(m.role, ''), COALESCE(m.status, ''), COALESCE(m.ends_at, 0), COALESCE(mr.permissions, ''),
	COALESCE(a.role, ''), COALESCE(a.deleted_at, 0), COALESCE(ar.permissions, ''),
	o.id, o.state, o.plan, o.region, o.allowed_regions, ` + loginColumns

const keyStateJoins = `
	LEFT JOIN users u ON u.id = m.user_id
	LEFT JOIN organization_roles mr ON mr.organization = m.organization AND mr.id = m.role
	LEFT JOIN service_accounts a ON a.organization = k.organization AND a.id = k.service_account
	LEFT JOIN organization_roles ar ON ar.organization = a.organization AND ar.id = a.role`

// into are the places of keyStateColumns.
func (k *keyState) into(b *Bearer) []any {
	m := &k.member
	return append([]any{&k.id, &k.name, &k.kind, &k.account, &k.scopes, &k.resources, &k.networks, &k.frozen, &k.left, &k.expires, &k.revoked,
		&k.user, &k.userName, &k.email, &m.id, &m.role, &m.status, &m.endsAt, &m.permissions,
		&k.accountRole, &k.accountDeleted, &k.accountPermissions, &b.Organization, &m.state, &b.Plan, &b.Region, &k.allowed}, k.login.into()...)
}

func loadKey(ctx context.Context, r *op.Reader, hash secret.Hash, lock bool) (Bearer, error) {
	var b Bearer
	var k keyState
	err := r.QueryRow(ctx, `SELECT `+keyStateColumns+`
		FROM api_keys k
		JOIN instance i ON i.recovery_epoch = k.recovery_epoch
		JOIN organizations o ON o.id = k.organization
		LEFT JOIN members m ON m.organization = k.organization AND m.id = k.member AND k.kind = 'personal'`+keyStateJoins+`
		WHERE k.hash = $1`+r.Acting(lock, "k"), hash[:]).Scan(k.into(&b)...)
	if errors.Is(err, sql.ErrNoRows) {
		return b, op.ErrUnauthenticated
	}
	if err != nil {
		return b, err
	}
	b.Kind, b.ID, b.Name, b.Root = op.KeyActor, k.id, k.name, op.Fence{Kind: op.FenceKey, ID: k.id}
	b.Residency = residency(r.Charter, b.Plan, b.Region, k.allowed)
	k.stand(r.Charter, &b, r.Micros())
	k.admit(r.Charter, &b)
	return b, nil
}

// admit adds what the organization asks of whoever acts there.
func (k *keyState) admit(c *charter.Charter, b *Bearer) {
	b.Dead = b.Dead || over(k.member.state)
	policy, networks := k.login.policy(c, b.Plan, string(c.OwnerRole().ID) == k.member.role)
	b.Principal.Bar = policy.Bar(b.SignIn)
	if networks != "" && !policy.Exempt(b.SignIn) {
		b.Networks = strings.TrimPrefix(b.Networks+"|"+networks, "|")
	}
}

// stand works out what the key is now.
func (k *keyState) stand(c *charter.Charter, b *Bearer, now int64) {
	b.User, b.UserName, b.Email = k.user, k.userName, k.email
	b.ExpiresAt, b.Networks = k.expires, k.networks
	b.Principal = k.base(c, b, now).Within(scopeOf(c, k.scopes, k.resources))
	b.Dead = b.Dead || k.revoked != 0 || k.expires != 0 && now >= k.expires
}

// base is what stands behind the key, before its scopes: a member, what a former one left, or the organization.
func (k *keyState) base(c *charter.Charter, b *Bearer, now int64) decide.Principal {
	k.member.plan = b.Plan
	if k.kind == string(charter.OrganizationKey) {
		return k.organization(c, b)
	}
	p := k.member.principal(c, b.Organization, k.user)
	switch {
	case k.left != 0:
		p.Holds, _ = c.SetOf(permissionList(k.frozen))
		p.Standing, p.EndsAt, p.Owner, p.Role = decide.Active, 0, false, ""
	case k.member.status == "removed":
		b.Dead = true
	case c.Rules.Keys.AfterCreatorLeaves == charter.KeepKeys && p.EndsAt != 0 && now >= p.EndsAt && p.Standing == decide.Active:
		p.EndsAt = 0 // the end of a membership is a removal, and these keys stay
	}
	return p
}

// organization is what an organization key stands for: what the charter lists, within the role of its service account.
func (k *keyState) organization(c *charter.Charter, b *Bearer) decide.Principal {
	p := decide.Principal{Organization: b.Organization, Standing: decide.Active, Holds: c.Rules.Keys.OrganizationKeys,
		Closed: k.member.state != "active", Locked: c.Locked(b.Plan), Plan: b.Plan}
	if k.account != "" {
		b.Dead = k.accountDeleted != 0
		holds, _ := holdsOf(c, k.accountRole, k.accountPermissions)
		p.Holds = p.Holds.Intersect(holds)
	}
	return p
}

// scopeOf reads a scope as the tables keep it. A permission that the charter does not have allows nothing.
func scopeOf(c *charter.Charter, permissions, resources string) decide.Scope {
	set, _ := c.SetOf(permissionList(permissions))
	return decide.Scope{Permissions: set, Limits: decide.Limits(resources)}
}

// loadToken reads a scoped token with its root, a key or a session: what it may is cut out of what that may now.
func loadToken(ctx context.Context, r *op.Reader, hash secret.Hash, lock bool) (Bearer, error) {
	var b Bearer
	var k keyState
	var t tokenState
	err := r.QueryRow(ctx, `SELECT t.id, t.name, t.budgets, t.permissions, t.resources, t.networks, t.read_only,
			t.expires_at, t.revoked_at, COALESCE(s.id, ''), COALESCE(s.ended_at, 0), COALESCE(s.expires_at, 0),
			COALESCE(s.idle_limit, 0), COALESCE(s.last_used_at, 0), COALESCE(s.created_at, 0), COALESCE(s.way, 0), COALESCE(s.second_factor, FALSE),
			COALESCE(s.organization, ''), `+keyStateColumns+`
		FROM scoped_tokens t
		JOIN instance i ON i.recovery_epoch = t.recovery_epoch
		JOIN organizations o ON o.id = t.organization
		LEFT JOIN api_keys k ON k.organization = t.organization AND k.id = t.api_key AND k.recovery_epoch = i.recovery_epoch
		LEFT JOIN sessions s ON s.id = t.session AND s.recovery_epoch = i.recovery_epoch
		LEFT JOIN members m ON m.organization = t.organization
			AND m.id = CASE WHEN k.kind = 'personal' THEN k.member WHEN k.id IS NULL THEN t.member ELSE '' END`+keyStateJoins+`
		WHERE t.hash = $1`+r.Acting(lock, "t"), hash[:]).Scan(append(t.into(), k.into(&b)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return b, op.ErrUnauthenticated
	}
	if err != nil {
		return b, err
	}
	b.Residency = residency(r.Charter, b.Plan, b.Region, k.allowed)
	t.stand(r.Charter, &b, &k, r.Micros())
	k.admit(r.Charter, &b)
	return b, nil
}

// tokenState is a scoped token with the session that it may hang on, as the loader reads them.
type tokenState struct {
	id, name, budgets, scopes, resources, networks string
	readOnly                                       bool
	expires, revoked                               int64
	session                                        string
	sessionEnded, sessionAt                        int64
	began                                          signInState
}

func (t *tokenState) into() []any {
	return []any{&t.id, &t.name, &t.budgets, &t.scopes, &t.resources, &t.networks, &t.readOnly, &t.expires, &t.revoked,
		&t.session, &t.sessionEnded, &t.began.ends, &t.began.idle, &t.sessionAt, &t.began.created, &t.began.way, &t.began.second, &t.began.organization}
}

// stand works out what the token is now.
func (t *tokenState) stand(c *charter.Charter, b *Bearer, k *keyState, now int64) {
	switch {
	case k.id != "":
		k.stand(c, b, now)
		b.Root = op.Fence{Kind: op.FenceKey, ID: k.id}
	case t.session != "":
		t.fromSession(c, b, k, now)
	default:
		b.Dead = true // its root is of an earlier life of the data
	}
	b.Kind, b.ID, b.Name = op.TokenActor, t.id, t.name
	b.ExpiresAt = sooner(b.ExpiresAt, t.expires)
	if t.networks != "" {
		b.Networks = strings.TrimPrefix(b.Networks+"|"+t.networks, "|")
	}
	scope := scopeOf(c, t.scopes, t.resources)
	if t.readOnly {
		scope.Permissions = scope.Permissions.Intersect(c.Reads())
	}
	b.Principal = b.Principal.Within(scope)
	b.Budgets = strings.Fields(t.budgets)
	b.Dead = b.Dead || t.revoked != 0 || b.ExpiresAt != 0 && now >= b.ExpiresAt
}

// fromSession is what a token stands for that was derived from a person's session.
func (t *tokenState) fromSession(c *charter.Charter, b *Bearer, k *keyState, now int64) {
	k.member.plan = b.Plan
	b.Principal = k.member.principal(c, b.Organization, k.user)
	b.User, b.UserName, b.Email = k.user, k.userName, k.email
	b.Root = op.Fence{Kind: op.FenceSession, ID: t.session}
	b.ExpiresAt, b.Idle, b.LastUsed, b.SignIn = t.began.ends, t.began.idle, t.sessionAt, t.began.signIn(b.Organization)
	b.Dead = t.sessionEnded != 0 || k.member.status == "removed" || b.Idle != 0 && now >= b.LastUsed+b.Idle
}

// sooner is the earlier of two ends; 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Allows reports whether a request from the address is within the networks of the credential. Without networks any is;
// with them, an address that is not known is not.
func Allows(networks, address string) bool {
	if networks == "" {
		return true
	}
	from, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for group := range strings.SplitSeq(networks, "|") {
		if !withinOne(group, from.Unmap().WithZone("")) {
			return false
		}
	}
	return true
}

func withinOne(group string, from netip.Addr) bool {
	for one := range strings.FieldsSeq(group) {
		if prefix, err := netip.ParsePrefix(one); err == nil && prefix.Contains(from) {
			return true
		}
	}
	return false
}

// permissionList reads permissions as the tables keep them, with spaces between.
func permissionList(text string) []charter.Permission {
	var ids []charter.Permission
	for one := range strings.FieldsSeq(text) {
		ids = append(ids, charter.Permission(one))
	}
	return ids
}

// loadBearer makes an actor of a key or token, in the organization that the call names. In another one than its own it
// is a stranger.
func loadBearer(ctx context.Context, r *op.Reader, w op.Who, organization string) (op.Actor, error) {
	b, err := LoadBearer(ctx, r, w.Hash, w.Kind, w.Lock)
	if err != nil {
		return op.Actor{}, err
	}
	if b.Dead {
		return op.Actor{}, op.ErrUnauthenticated
	}
	a := op.Actor{Kind: b.Kind, ID: b.ID, Name: b.Name, User: b.User,
		Credential: op.Credential{ID: b.ID, ExpiresAt: b.ExpiresAt, Budgets: b.Budgets}, Principal: decide.Principal{User: b.User}}
	a.Principal.Closed = b.Principal.Closed // a key is nothing outside of its organization either
	if organization == b.Organization {
		a.Principal = b.Principal
	}
	a.Principal.Elsewhere = !Allows(b.Networks, r.Caller.Address)
	return a, nil
}
