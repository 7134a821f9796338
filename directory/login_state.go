package directory

import (
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

// SecurityControls is the feature that a plan has to have for a sign-in policy beyond single sign-on.
const SecurityControls = "security_controls"

// loginState is what an organization asks of sign-ins, as the loaders read it beside a membership.
type loginState struct {
	enforced, breakGlass bool
	mfaFrom, life, idle  int64
	ways, networks       string
}

// loginColumns are of the organization o and its member m; either may be missing.
const loginColumns = `COALESCE(o.sso_enforced, FALSE), COALESCE(o.mfa_from, 0), COALESCE(o.sign_in_ways, ''), COALESCE(o.session_life, 0),
	COALESCE(o.session_idle, 0), COALESCE(o.networks, ''), COALESCE(m.break_glass, FALSE)`

func (l *loginState) into() []any {
	return []any{&l.enforced, &l.mfaFrom, &l.ways, &l.life, &l.idle, &l.networks, &l.breakGlass}
}

// policy is what of it the organization's plan has for a member, with the networks that requests may come from: none is any.
func (l loginState) policy(c *charter.Charter, plan string, owner bool) (p decide.LoginPolicy, networks string) {
	if l == (loginState{}) {
		return p, ""
	}
	p.Enforced, p.BreakGlass = l.enforced && c.Unlocked(plan, SSO), l.breakGlass && owner
	if !c.Unlocked(plan, SecurityControls) {
		return p, ""
	}
	p.MFAFrom, p.Life, p.Idle, p.Ways = l.mfaFrom, l.life, l.idle, decide.ParseWays(l.ways)
	return p, l.networks
}

// signInState is how a session began, as the loaders read it.
type signInState struct {
	way           int64
	second        bool
	organization  string // whose provider began it
	created, ends int64
	idle          int64
}

// signIn is what of it a policy looks at, in an organization.
func (s signInState) signIn(organization string) decide.SignIn {
	return decide.SignIn{Way: decide.Way(s.way), Second: s.second, Foreign: s.organization != "" && s.organization != organization,
		Life: s.ends - s.created, Idle: s.idle}
}
