// Package decide holds the one decision function of Guildhall.
//
// Every way of asking (an operation, a check over HTTP, a proxy's question, the library in process, the explanation
// on a page) builds a Principal and a Question and calls Decide. The package is pure: no clock, no database, no
// allocation on the path of an answer.
package decide

import (
	"github.com/guildhall/guildhall/charter"
)

// Standing says whether a membership gives access. The zero value is none at all.
type Standing uint8

// The standings of a membership.
const (
	NoMember  Standing = iota // not a member, or a former one
	Active                    // access by role
	Suspended                 // keeps the role, has no access
)

// Power says what kind of principal stands behind a credential. The zero value is a person.
type Power uint8

// The powers.
const (
	Person   Power = iota // a person, by a session
	Service               // the product's own back end, by a service key
	Operator              // the operator at the machine that holds the data
	System                // scheduled work of Guildhall itself
)

// Principal is who asks, in one organization: a copy of what the database said at one moment. It holds no pointers to
// anything that changes, so it may be kept, compared and passed by value.
type Principal struct {
	Power        Power
	User         string         // user id, empty for anything but a person
	Member       string         // member id in Organization
	Organization string         // the organization that the question is about; empty outside of any
	Role         charter.RoleID // the member's role now
	Owner        bool           // the role is the owner role
	Holds        charter.Set    // what the role holds now
	Standing     Standing
	EndsAt       int64 // Unix microseconds at which the membership ends; 0 means never
	Closed       bool  // the organization is scheduled for deletion
	Bar          Bar   // the sign-in behind the session is not one that the organization takes

	// What a key or a scoped token adds. All of it only takes away: the zero values limit nothing.

	Limits    Limits      // the single resources that the credential is for
	Beyond    charter.Set // what stands behind the credential holds and its scopes leave out: it makes the reason finer
	Locked    charter.Set // what the organization's plan does not have
	Plan      string      // the organization's plan
	Elsewhere bool        // the request came from an address that the credential is not for
}

// Question is what is asked. Build it with Ask, which compiles the permission.
type Question struct {
	Permission charter.Permission
	Resource   string // "workflow:wf_1"; empty for the organization as a whole
	need       charter.Set
	types      []string // the types of resource that the permission is asked about
	known      bool
}

// Ask compiles a question about a permission of the charter, or about a bundle, which is held when all its parts are.
// A permission that the charter does not have is asked without error and answered with UnknownPermission.
func Ask(c *charter.Charter, p charter.Permission, resource string) Question {
	need, known := c.Need(p)
	return Question{Permission: p, Resource: resource, need: need, types: c.ResourceTypes(p), known: known}
}

// Reason says why an answer is what it is. The values are part of the API: they are never renamed.
type Reason string

// The reasons.
const (
	ByRole            Reason = "role"                 // allowed: the role holds the permission
	ByOwnership       Reason = "own"                  // allowed: the thing belongs to whoever asks
	ByPower           Reason = "power"                // allowed: the operator, a service key or Guildhall itself
	NoPermission      Reason = "no_permission"        // the role lacks it
	NotMember         Reason = "not_a_member"         // no membership in this organization
	IsSuspended       Reason = "suspended"            // the membership is suspended
	HasEnded          Reason = "membership_ended"     // the membership's end date has come
	OrganizationGone  Reason = "organization_deleted" // the organization is scheduled for deletion
	UnknownPermission Reason = "unknown_permission"   // the charter has no such permission
	UnknownSubject    Reason = "unknown_subject"      // no such user, or a credential that is unknown or dead
	UnknownResource   Reason = "unknown_resource"     // the charter has no such type of resource, or not with this permission
	AboveYourLevel    Reason = "above_your_level"     // the other person, or the role, holds what the actor does not
	OwnersOnly        Reason = "owners_only"          // only owners make or lower owners
	ByTransferOnly    Reason = "transfer_only"        // the charter has one owner: ownership moves by transfer
	LastOwner         Reason = "last_owner"           // the organization would be left without an active owner
	PeopleOnly        Reason = "people_only"          // for signed-in people, not for keys or the operator
	ServiceOnly       Reason = "service_only"         // for the product's back end, by a service key
	DirectoryOnly     Reason = "directory_only"       // for a company's directory, by its own token
	ManagedElsewhere  Reason = "managed_elsewhere"    // a company's directory decides it, and not people here
	OperatorOnly      Reason = "operator_only"        // for the operator at the machine that holds the data
	SignedInElsewhere Reason = "signed_in_elsewhere"  // the identity provider of another organization began the session
	SSORequired       Reason = "sso_required"         // the organization takes sign-ins by its own identity provider only
	WayNotAllowed     Reason = "way_not_allowed"      // the organization does not take this way of signing in
	MFARequired       Reason = "mfa_required"         // the organization asks for a second factor
	SignInAgain       Reason = "sign_in_again"        // the organization wants shorter sessions than this one
	OutOfScope        Reason = "out_of_scope"         // whoever is behind the credential may, and its scopes leave it out
	OtherResource     Reason = "other_resource"       // the credential is limited to other resources
	WrongAddress      Reason = "wrong_address"        // the credential, or the organization, is not for requests from this address
	BudgetSpent       Reason = "budget_spent"         // the scoped token has made all of its requests
	QuotaExceeded     Reason = "quota_exceeded"       // less is left of a limit than the question would use up
	RegionNotAllowed  Reason = "region_not_allowed"   // the organization's data may not be in the region that is asked about
	PlanRequired      Reason = "plan_required"        // the organization's plan does not have it
	UnknownRoute      Reason = "unknown_route"        // the charter's routes have no such request: nobody may
)

// Decision is an answer with its reason.
type Decision struct {
	Allow  bool
	Reason Reason
	Needs  charter.Permission // what would be needed; set on every denial about a permission
}

// Decide answers one question about one principal at one moment (Unix microseconds). It never allocates. An end date
// is over at its own microsecond, not after it.
func Decide(p *Principal, q Question, now int64) Decision {
	if !q.known {
		return Decision{Reason: UnknownPermission, Needs: q.Permission}
	}
	if p.Closed {
		return Decision{Reason: OrganizationGone, Needs: q.Permission}
	}
	if p.Power == Operator || p.Power == System {
		return Decision{Allow: true, Reason: ByPower}
	}
	if r, ok := p.access(now); !ok {
		return Decision{Reason: r, Needs: q.Permission}
	}
	if r, ok := p.holds(q); !ok {
		return Decision{Reason: r, Needs: q.Permission}
	}
	return Decision{Allow: true, Reason: ByRole}
}

// holds answers for a principal whose membership gives access.
func (p *Principal) holds(q Question) (Reason, bool) {
	switch {
	case p.Elsewhere:
		return WrongAddress, false
	case !q.need.SubsetOf(p.Holds):
		if q.need.SubsetOf(p.Holds.Union(p.Beyond)) {
			return OutOfScope, false
		}
		return NoPermission, false
	case q.need.Minus(p.Locked) != q.need:
		return PlanRequired, false
	case p.Limits != "" && !p.Limits.cover(q):
		return OtherResource, false
	}
	return ByRole, true
}

// Access says whether the principal's membership gives access at all at this moment, and why not. In an organization
// whose deletion is scheduled none does.
func (p *Principal) Access(now int64) (Reason, bool) { return p.access(now) }

func (p *Principal) access(now int64) (Reason, bool) {
	switch {
	case p.Closed:
		return OrganizationGone, false
	case p.Standing == Suspended:
		return IsSuspended, false
	case p.Standing != Active:
		return NotMember, false
	case p.EndsAt != 0 && now >= p.EndsAt:
		return HasEnded, false
	case p.Bar.bars(now):
		return p.Bar.Why.Reason(), false
	}
	return ByRole, true
}

// all reports whether the principal stands above roles.
func (p *Principal) all() bool { return p.Power == Operator || p.Power == System }

// ActOn says whether the actor may act on a member at all: nobody acts on somebody who holds what they do not, and only
// owners touch owners. It does not say whether the actor may do the act itself: that is a question of a permission.
func ActOn(actor, target *Principal) Decision {
	switch {
	case actor.all() || actor.Member != "" && actor.Member == target.Member:
		return Decision{Allow: true, Reason: ByPower}
	case target.Owner && !actor.Owner:
		return Decision{Reason: OwnersOnly}
	case !target.Holds.SubsetOf(actor.Holds):
		return Decision{Reason: AboveYourLevel}
	}
	return Decision{Allow: true, Reason: ByRole}
}

// Grant says whether the actor may give a role to somebody: never what the actor does not hold, the owner role only by
// owners, and not at all where the charter has one owner.
func Grant(c *charter.Charter, actor *Principal, role *charter.Role) Decision {
	switch {
	case role.Owner && c.Rules.Owners == charter.OneOwner:
		return Decision{Reason: ByTransferOnly}
	case actor.all():
		return Decision{Allow: true, Reason: ByPower}
	case role.Owner && !actor.Owner:
		return Decision{Reason: OwnersOnly}
	case !role.Holds.SubsetOf(actor.Holds):
		return Decision{Reason: AboveYourLevel}
	}
	return Decision{Allow: true, Reason: ByRole}
}
