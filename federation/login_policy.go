package federation

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/op"
)

// What an organization may ask of sessions, in seconds: as short as work allows, as long as a year.
const (
	shortestLife, longestLife = 15 * 60, 366 * 24 * 60 * 60
	shortestIdle              = 5 * 60
	mostNetworks              = 100
)

// LoginPolicy is what an organization asks of the sign-ins of its members.
type LoginPolicy struct {
	SSO         string        `json:"sso" doc:"enforced: only sign-ins by the organization's own identity provider give access" enum:"optional,enforced"`
	MFARequired bool          `json:"mfa_required" doc:"Whether a second factor or a passkey is asked for. Sign-ins by the identity provider count as having one"`
	MFAFrom     *time.Time    `json:"mfa_from,omitzero" cli:"-" doc:"From when on"`
	Methods     []string      `json:"methods" doc:"The ways of signing in that give access: mail, passkey, google, github, sso"`
	SessionLife int64         `json:"session_life" doc:"Seconds that a session may last; 0: what the server allows" example:"43200"`
	SessionIdle int64         `json:"session_idle" doc:"Seconds without use after which a session ends; 0: what the server allows" example:"3600"`
	Networks    []string      `json:"networks" doc:"The networks that sessions, keys and tokens are taken from; none: any" example:"[\"203.0.113.0/24\"]"`
	BreakGlass  []string      `json:"break_glass" doc:"The owners, by member id, who come in by passkey whatever this policy says"`
	Owners      []PolicyOwner `json:"owners" cli:"-" doc:"The active owners"`
	Version     int64         `json:"version" cli:"-" doc:"Counts the changes of the organization; the ETag"`
}

// ETag is the organization's version.
func (p LoginPolicy) ETag() string { return op.VersionTag(p.Version) }

// PolicyOwner is an active owner, as a policy has to know them.
type PolicyOwner struct {
	Member   string `json:"member" doc:"The member" example:"mem_01k9v5x0w3m8q6t2c4h7n0r5sz"`
	Name     string `json:"name" doc:"As people know them" example:"Ada Lovelace"`
	Passkeys int64  `json:"passkeys" doc:"How many passkeys they have; without one they cannot come in past the policy" example:"1"`
}

// loginRow is a policy as it is stored, beside what it depends on.
type loginRow struct {
	enforced           bool
	from, life, idle   int64
	ways, networks     string
	version            int64
	connections        int64 // that sign everybody in
	owners             []ownerRow
	organizationName   string
	plan, organization string
}

// ownerRow is an active owner.
type ownerRow struct {
	PolicyOwner
	breakGlass bool
}

func (l loginRow) waysIn() (n int) {
	for _, o := range l.owners {
		if o.breakGlass && o.Passkeys > 0 {
			n++
		}
	}
	return n
}

func (l loginRow) show() LoginPolicy {
	p := LoginPolicy{SSO: "optional", MFARequired: l.from != 0, MFAFrom: when(l.from), Methods: strings.Fields(l.ways), SessionLife: l.life / 1e6,
		SessionIdle: l.idle / 1e6, Networks: strings.Fields(l.networks), BreakGlass: []string{}, Owners: []PolicyOwner{}, Version: l.version}
	if l.enforced {
		p.SSO = "enforced"
	}
	if len(p.Methods) == 0 {
		p.Methods = allMethods()
	}
	for _, o := range l.owners {
		p.Owners = append(p.Owners, o.PolicyOwner)
		if o.breakGlass {
			p.BreakGlass = append(p.BreakGlass, o.Member)
		}
	}
	return p
}

func allMethods() (all []string) {
	for _, w := range decide.Ways {
		all = append(all, w.Name)
	}
	return all
}

// policy is what decides, for somebody who is no way out.
func (l loginRow) policy() decide.LoginPolicy {
	return decide.LoginPolicy{Enforced: l.enforced, MFAFrom: l.from, Life: l.life, Idle: l.idle, Ways: decide.ParseWays(l.ways)}
}

// readLogin reads the policy of the call's organization, and its owners.
func readLogin(ctx context.Context, r *op.Reader) (l loginRow, err error) {
	l.organization = r.Organization()
	err = r.QueryRow(ctx, `SELECT o.sso_enforced, o.mfa_from, o.sign_in_ways, o.session_life, o.session_idle, o.networks, o.version, o.name, o.plan,
			(SELECT count(*) FROM connections c WHERE c.organization = o.id AND c.state = 'on' AND c.rollout = 'everyone')
		FROM organizations o WHERE o.id = $1`, l.organization).
		Scan(&l.enforced, &l.from, &l.ways, &l.life, &l.idle, &l.networks, &l.version, &l.organizationName, &l.plan, &l.connections)
	if err != nil {
		return l, err
	}
	rows, err := r.Query(ctx, `SELECT m.id, u.name, u.email, m.break_glass, (SELECT count(*) FROM passkeys p WHERE p.user_id = u.id)
		FROM members m JOIN users u ON u.id = m.user_id WHERE m.organization = $1 AND m.role = $2 AND m.status = 'active' ORDER BY m.sort_name, m.id`,
		l.organization, string(r.Charter.OwnerRole().ID))
	if err != nil {
		return l, err
	}
	defer rows.Close()
	for rows.Next() {
		var o ownerRow
		var u directory.User
		if err := rows.Scan(&o.Member, &u.Name, &u.Email, &o.breakGlass, &o.Passkeys); err != nil {
			return l, err
		}
		o.Name = u.Label()
		l.owners = append(l.owners, o)
	}
	return l, rows.Err()
}

// GetLoginPolicyInput names an organization.
type GetLoginPolicyInput struct{ op.InOrganization }

// GetLoginPolicy shows what the organization asks of sign-ins.
var GetLoginPolicy = &op.Op[GetLoginPolicyInput, LoginPolicy]{
	Name:    "login_policy.get",
	Route:   "GET /v1/organizations/{organization}/login_policy",
	Summary: "Show what the organization asks of its members' sign-ins",
	Allow:   op.On("sso.configure"),
	Do: func(ctx context.Context, tx *op.Tx, _ GetLoginPolicyInput) (LoginPolicy, error) {
		l, err := readLogin(ctx, tx.Reader)
		return l.show(), err
	},
	Example: GetLoginPolicyInput{op.InOrganization{Organization: "acme"}},
}

// UpdateLoginPolicyInput says what to change; what is left out stays.
type UpdateLoginPolicyInput struct {
	op.InOrganization
	SSO         *string    `json:"sso,omitzero" doc:"enforced: only sign-ins by the organization's own identity provider give access" enum:"optional,enforced" required:"false"`
	MFARequired *bool      `json:"mfa_required,omitzero" doc:"Whether to ask for a second factor or a passkey" required:"false"`
	MFAFrom     *time.Time `json:"mfa_from,omitzero" doc:"From when on; left out: from now on" required:"false"`
	Methods     *[]string  `json:"methods,omitzero" doc:"The ways of signing in that give access: mail, passkey, google, github, sso; none: all" maxItems:"5" required:"false"`
	SessionLife *int64     `json:"session_life,omitzero" doc:"Seconds that a session may last, from 900; 0: what the server allows" minimum:"0" maximum:"31622400" required:"false"`
	SessionIdle *int64     `json:"session_idle,omitzero" doc:"Seconds without use after which a session ends, from 300; 0: what the server allows" minimum:"0" maximum:"31622400" required:"false"`
	Networks    *[]string  `json:"networks,omitzero" doc:"The networks that sessions, keys and tokens are taken from, as prefixes; none: any" maxItems:"100" required:"false"`
	BreakGlass  *[]string  `json:"break_glass,omitzero" doc:"The owners, by member id, who come in by passkey whatever this policy says" maxItems:"100" required:"false"`
}

// Validate checks lengths of time, ways and networks.
func (in UpdateLoginPolicyInput) Validate() (wrong []op.FieldError) {
	if in.SessionLife != nil && *in.SessionLife != 0 && *in.SessionLife < shortestLife {
		wrong = append(wrong, op.FieldError{Pointer: "/session_life", Code: "invalid", Detail: "a session lasts 900 seconds or more, or 0 for what the server allows"})
	}
	if in.SessionIdle != nil && *in.SessionIdle != 0 && *in.SessionIdle < shortestIdle {
		wrong = append(wrong, op.FieldError{Pointer: "/session_idle", Code: "invalid", Detail: "a session may be unused for 300 seconds or more, or 0 for what the server allows"})
	}
	if in.MFAFrom != nil && (in.MFARequired == nil || !*in.MFARequired) {
		wrong = append(wrong, op.FieldError{Pointer: "/mfa_from", Code: "invalid", Detail: "mfa_from goes with mfa_required: true"})
	}
	if in.Methods != nil {
		for _, m := range *in.Methods {
			if !slices.Contains(allMethods(), m) {
				wrong = append(wrong, op.FieldError{Pointer: "/methods", Code: "unknown", Detail: "methods are of " + strings.Join(allMethods(), ", ")})
				break
			}
		}
	}
	if in.Networks != nil {
		if _, err := networksOf(*in.Networks); err != "" {
			wrong = append(wrong, op.FieldError{Pointer: "/networks", Code: "invalid", Detail: err})
		}
	}
	return wrong
}

// networksOf reads prefixes, or single addresses, and writes them as the table keeps them.
func networksOf(all []string) (text, wrong string) {
	var out []string
	for _, one := range all {
		one = strings.TrimSpace(one)
		if a, err := netip.ParseAddr(one); err == nil {
			one = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String()
		}
		p, err := netip.ParsePrefix(one)
		if err != nil || p.Addr().Zone() != "" {
			return "", "networks are prefixes such as 203.0.113.0/24, or single addresses; this is none: " + one
		}
		if p = p.Masked(); !slices.Contains(out, p.String()) {
			out = append(out, p.String())
		}
	}
	return strings.Join(out, " "), ""
}

// UpdateLoginPolicy changes what the organization asks of sign-ins, from its commit on, of every session, key and token. A
// policy that would leave no owner able to come in is refused.
var UpdateLoginPolicy = &op.Op[UpdateLoginPolicyInput, LoginPolicy]{
	Name:    "login_policy.update",
	Route:   "PATCH /v1/organizations/{organization}/login_policy",
	Summary: "Change what the organization asks of its members' sign-ins: single sign-on, second factors, session lengths, networks",
	Kind:    op.Access,
	Allow:   op.On("sso.configure"),
	Confirm: op.L2,
	Fresh:   true,
	Target: func(ctx context.Context, r *op.Reader, _ UpdateLoginPolicyInput) (op.Target, error) {
		l, err := readLogin(ctx, r)
		return op.Target{Organization: r.Organization(), Type: "organization", ID: l.organization, Name: l.organizationName, Version: l.version, Current: l.show(), Value: l}, err
	},
	Fences: func(_ UpdateLoginPolicyInput, t op.Target) []op.Fence {
		return []op.Fence{{Kind: op.FenceOrganization, ID: t.ID}}
	},
	Preview: previewLoginPolicy,
	Do:      updateLoginPolicy,
	Example: UpdateLoginPolicyInput{InOrganization: op.InOrganization{Organization: "acme"}, MFARequired: new(true), MFAFrom: new(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))},
}

func updateLoginPolicy(ctx context.Context, tx *op.Tx, in UpdateLoginPolicyInput) (LoginPolicy, error) {
	was := tx.Target().Value.(loginRow)
	l, err := in.applied(tx.Reader, was)
	if err != nil {
		return LoginPolicy{}, err
	}
	if !was.changes(tx, l) {
		tx.Unchanged()
		return l.show(), nil
	}
	l.version++
	_, err = tx.Exec(ctx, `UPDATE organizations SET sso_enforced = $2, mfa_from = $3, sign_in_ways = $4, session_life = $5, session_idle = $6, networks = $7,
			version = $8 WHERE id = $1`, l.organization, l.enforced, l.from, l.ways, l.life, l.idle, l.networks, l.version)
	if err == nil && in.BreakGlass != nil {
		err = l.storeBreakGlass(ctx, tx)
	}
	if err == nil {
		err = l.shorten(ctx, tx)
	}
	return l.show(), err
}

// storeBreakGlass marks the owners who are a way in, and nobody else.
func (l loginRow) storeBreakGlass(ctx context.Context, tx *op.Tx) error {
	marked := []string{"-"}
	for _, o := range l.owners {
		if o.breakGlass {
			marked = append(marked, o.Member)
		}
	}
	in, args := sqldb.Placeholders(2, marked)
	_, err := tx.Exec(ctx, `UPDATE members SET break_glass = (id IN (`+in+`)), version = version + 1 WHERE organization = $1 AND break_glass <> (id IN (`+in+`))`,
		append([]any{l.organization}, args...)...)
	return err
}

// shorten keeps the session of whoever makes the change, as short as it now has to be: everybody else with a longer one signs
// in again.
func (l loginRow) shorten(ctx context.Context, tx *op.Tx) error {
	id := tx.Actor.Credential.ID
	if tx.Actor.Kind != op.UserActor || l.life == 0 && l.idle == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE sessions SET expires_at = CASE WHEN CAST($2 AS bigint) > 0 AND created_at + CAST($2 AS bigint) < expires_at THEN created_at + CAST($2 AS bigint) ELSE expires_at END,
			idle_limit = CASE WHEN CAST($3 AS bigint) > 0 AND (idle_limit = 0 OR idle_limit > CAST($3 AS bigint)) THEN CAST($3 AS bigint) ELSE idle_limit END
		WHERE id = $1`+tx.Quiet(), id, l.life, l.idle)
	tx.Fence(op.Fence{Kind: op.FenceSession, ID: id})
	return err
}

// changes notes what is another now, and reports whether anything is.
func (l loginRow) changes(tx *op.Tx, now loginRow) bool {
	was, is := l.show(), now.show()
	changed := false
	for _, c := range []struct {
		field         string
		before, after any
		differ        bool
	}{
		{"sso", was.SSO, is.SSO, was.SSO != is.SSO}, {"mfa_from", was.MFAFrom, is.MFAFrom, l.from != now.from}, {"methods", was.Methods, is.Methods, l.ways != now.ways},
		{"session_life", was.SessionLife, is.SessionLife, l.life != now.life}, {"session_idle", was.SessionIdle, is.SessionIdle, l.idle != now.idle},
		{"networks", was.Networks, is.Networks, l.networks != now.networks}, {"break_glass", was.BreakGlass, is.BreakGlass, !slices.Equal(was.BreakGlass, is.BreakGlass)},
	} {
		if c.differ {
			tx.Changed(c.field, c.before, c.after)
			changed = true
		}
	}
	return changed
}

// applied is the policy after the change, if an owner can still come in.
func (in UpdateLoginPolicyInput) applied(r *op.Reader, l loginRow) (loginRow, error) {
	l.owners = slices.Clone(l.owners)
	if err := in.features(r); err != nil {
		return l, err
	}
	in.times(r, &l)
	if in.SSO != nil {
		l.enforced = *in.SSO == "enforced"
	}
	if in.Methods != nil {
		l.ways = waysText(*in.Methods)
	}
	if in.Networks != nil {
		l.networks, _ = networksOf(*in.Networks)
	}
	if in.BreakGlass != nil {
		if err := l.mark(*in.BreakGlass); err != nil {
			return l, err
		}
	}
	return l, l.open(r)
}

// features asks for what the plan has to have. To give up what it does not have is always allowed.
func (in UpdateLoginPolicyInput) features(r *op.Reader) error {
	if in.SSO != nil && *in.SSO == "enforced" {
		if err := r.DemandFeature(feature); err != nil {
			return err
		}
	}
	controls := in.MFARequired != nil && *in.MFARequired || in.Methods != nil && waysText(*in.Methods) != "" || in.SessionLife != nil && *in.SessionLife != 0 ||
		in.SessionIdle != nil && *in.SessionIdle != 0 || in.Networks != nil && len(*in.Networks) > 0
	if !controls {
		return nil
	}
	return r.DemandFeature(directory.SecurityControls)
}

func (in UpdateLoginPolicyInput) times(r *op.Reader, l *loginRow) {
	switch {
	case in.MFARequired == nil:
	case !*in.MFARequired:
		l.from = 0
	case in.MFAFrom != nil:
		l.from = in.MFAFrom.UnixMicro()
	case l.from == 0:
		l.from = r.Micros()
	}
	if in.SessionLife != nil {
		l.life = *in.SessionLife * 1e6
	}
	if in.SessionIdle != nil {
		l.idle = *in.SessionIdle * 1e6
	}
}

// waysText writes ways as the table keeps them: empty for all.
func waysText(methods []string) string {
	var out []string
	for _, w := range allMethods() {
		if slices.Contains(methods, w) {
			out = append(out, w)
		}
	}
	if len(out) == len(decide.Ways) {
		return ""
	}
	return strings.Join(out, " ")
}

// mark says which owners are a way in. Each has to be an active owner with a passkey.
func (l *loginRow) mark(members []string) error {
	for i := range l.owners {
		l.owners[i].breakGlass = slices.Contains(members, l.owners[i].Member)
	}
	for _, m := range members {
		i := slices.IndexFunc(l.owners, func(o ownerRow) bool { return o.Member == m })
		switch {
		case i < 0:
			return op.InvalidField("break_glass", "invalid", "%s is no active owner of this organization", m)
		case l.owners[i].Passkeys == 0:
			return op.Errorf(op.Conflict, "no_passkey", "to come in past the policy takes a passkey, and %s has none: they add one under Your account → Passkeys first", l.owners[i].Name)
		}
	}
	return nil
}

// keepEnforced refuses to take away the last provider that is on for everybody, while only providers give access.
func keepEnforced(ctx context.Context, r *op.Reader, connection string) error {
	var closes bool
	err := r.QueryRow(ctx, `SELECT o.sso_enforced AND NOT EXISTS (SELECT 1 FROM connections c WHERE c.organization = o.id AND c.id <> $2 AND c.state = 'on' AND c.rollout = 'everyone')
		FROM organizations o WHERE o.id = $1`, r.Organization(), connection).Scan(&closes)
	if err == nil && closes {
		err = op.Errorf(op.Conflict, "sso_enforced", "single sign-on is enforced, and no other provider is on for everybody: make it optional in the sign-in policy first")
	}
	return err
}

// open refuses a policy under which no owner can come in, or that locks out whoever makes it.
func (l loginRow) open(r *op.Reader) error {
	p := l.policy()
	switch {
	case l.enforced && l.connections == 0:
		return op.Errorf(op.Conflict, "no_connection", "no identity provider is on for everybody: set one up, test it and switch it on first")
	case l.enforced && l.waysIn() == 0:
		return op.Errorf(op.Conflict, "no_way_in", "nobody could come in if the identity provider failed: name an owner with a passkey in break_glass")
	case p.Ways == 0 || p.Ways&decide.ByMail != 0 || l.waysIn() > 0 || l.enforced:
	case p.Ways&decide.ByPasskey != 0 && slices.ContainsFunc(l.owners, func(o ownerRow) bool { return o.Passkeys > 0 }):
	default:
		return op.Errorf(op.Conflict, "no_way_in", "no owner is sure to come in by these methods: add mail, or passkey once an owner has one, or name an owner with a passkey in break_glass")
	}
	if r.Actor.Kind == op.UserActor && !directory.Allows(l.networks, r.Caller.Address) {
		return op.Errorf(op.Conflict, "locks_you_out", "your own address, %s, is in none of these networks: add it", r.Caller.Address)
	}
	return nil
}
