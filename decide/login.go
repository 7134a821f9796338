package decide

import "strings"

// Way is how somebody proved who they are when a session began. The zero value is of what no sign-in began: a key.
type Way uint8

// The ways, as a set's bits.
const (
	ByMail Way = 1 << iota
	ByPasskey
	ByGoogle
	ByGitHub
	ByProvider // an organization's own identity provider
)

// Ways are all of them, by the names that an organization's sign-in policy knows them by. The order is that of a page.
var Ways = []struct {
	Way  Way
	Name string
}{{ByMail, "mail"}, {ByPasskey, "passkey"}, {ByGoogle, "google"}, {ByGitHub, "github"}, {ByProvider, "sso"}}

// ParseWays reads ways by their names with spaces between, as tables keep them. Names that are none count for nothing, and no
// name at all is 0, which a policy takes for all.
func ParseWays(text string) (ways Way) {
	for one := range strings.FieldsSeq(text) {
		for _, w := range Ways {
			if w.Name == one {
				ways |= w.Way
			}
		}
	}
	return ways
}

// SignIn is what is known of the sign-in behind a session. The zero value is of what no sign-in began.
type SignIn struct {
	Way     Way
	Second  bool  // a second factor was given, or a passkey, which is two
	Foreign bool  // the identity provider of another organization began it
	Life    int64 // microseconds that the session lasts at most
	Idle    int64 // microseconds without use after which it ends; 0: any time
}

// LoginPolicy is what an organization asks of the sign-ins of one of its members. The zero value asks nothing.
type LoginPolicy struct {
	Enforced   bool  // by its own identity provider only, whatever Ways says
	BreakGlass bool  // the member may come in by passkey whatever the policy says
	Ways       Way   // those that are allowed; 0: all
	MFAFrom    int64 // Unix microseconds from which on a second factor is asked for; 0: it is not
	Life       int64 // microseconds that a session may last; 0: what the server allows
	Idle       int64 // microseconds without use; 0: what the server allows
}

// Bar says that a sign-in gives no access in an organization, from when on (Unix microseconds), and why. The zero value
// bars nobody.
type Bar struct {
	From int64
	Why  BarKind
}

// BarKind is why a sign-in gives no access.
type BarKind uint8

// The reasons why a sign-in gives no access, and the zero value for none.
const (
	NoBar BarKind = iota
	BarForeign
	BarEnforced
	BarWay
	BarTooLong
	BarMFA
)

var barReasons = [...]Reason{BarForeign: SignedInElsewhere, BarEnforced: SSORequired, BarWay: WayNotAllowed, BarTooLong: SignInAgain, BarMFA: MFARequired}

// Reason is the reason of answers.
func (k BarKind) Reason() Reason { return barReasons[k] }

// Exempt reports whether a sign-in is the way out that an organization keeps open for itself.
func (p LoginPolicy) Exempt(s SignIn) bool { return p.BreakGlass && s.Way == ByPasskey && !s.Foreign }

// Bar says what the policy makes of a sign-in. What no sign-in began is not its business.
//
// An identity provider of the organization asks for second factors itself, so its sign-ins count as having one.
func (p LoginPolicy) Bar(s SignIn) Bar {
	switch {
	case s.Way == 0:
		return Bar{}
	case s.Foreign:
		return Bar{Why: BarForeign}
	case p.Exempt(s):
		return Bar{}
	case p.Enforced && s.Way != ByProvider:
		return Bar{Why: BarEnforced}
	case !p.Enforced && p.Ways != 0 && p.Ways&s.Way == 0:
		return Bar{Why: BarWay}
	case p.Life != 0 && s.Life > p.Life, p.Idle != 0 && (s.Idle == 0 || s.Idle > p.Idle):
		return Bar{Why: BarTooLong}
	case p.MFAFrom != 0 && !s.Second && s.Way != ByProvider:
		return Bar{From: p.MFAFrom, Why: BarMFA}
	}
	return Bar{}
}

// bars reports whether it does at this moment.
func (b Bar) bars(now int64) bool { return b.Why != NoBar && now >= b.From }
