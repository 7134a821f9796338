package op

import (
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

type ruleKind uint8

const (
	ruleNone ruleKind = iota
	ruleOn
	ruleOwn
	ruleAnyOf
	ruleMember
	ruleSignedIn
	ruleAnyone
	ruleService
	ruleOperator
	ruleCredential
	ruleDirectory
	ruleClosed
)

// Rule says who may run an operation. The zero value allows nobody, and a table that has one does not start.
type Rule struct {
	kind        ruleKind
	permissions []charter.Permission
	any         []Rule
}

// On allows those whose role holds the permission in the organization.
func On(p charter.Permission) Rule { return Rule{kind: ruleOn, permissions: []charter.Permission{p}} }

// Own allows whoever the target belongs to; with permissions, only if they hold one of them.
func Own(anyOf ...charter.Permission) Rule { return Rule{kind: ruleOwn, permissions: anyOf} }

// AnyOf allows whom one of the rules allows.
func AnyOf(rules ...Rule) Rule { return Rule{kind: ruleAnyOf, any: rules} }

// AnyMember allows every active member of the organization.
var AnyMember = Rule{kind: ruleMember}

// SignedIn allows every signed-in person, for what is their own.
var SignedIn = Rule{kind: ruleSignedIn}

// Anyone allows everybody, signed in or not.
var Anyone = Rule{kind: ruleAnyone}

// ByService allows the product's back end, by a service key.
var ByService = Rule{kind: ruleService}

// ByOperator allows the operator at the machine, and Guildhall's own scheduled work.
var ByOperator = Rule{kind: ruleOperator}

// ByCredential allows every living key and scoped token, whatever its scopes, for what is about the credential itself.
var ByCredential = Rule{kind: ruleCredential}

// ByDirectory allows a directory, by its own token, and nobody else. No route of the API, no command and no page has such
// an operation: only the adapter of the directory's protocol calls it.
var ByDirectory = Rule{kind: ruleDirectory}

// AlsoClosed allows what a rule allows, and in an organization whose deletion is scheduled too, where every other rule
// allows nobody: those whose role holds a permission hold it still.
func AlsoClosed(r Rule) Rule { return Rule{kind: ruleClosed, any: []Rule{r}} }

// Permissions are those that the rule asks about, in order, without those of Own.
func (r Rule) Permissions() []charter.Permission {
	var all []charter.Permission
	r.each(func(r Rule) {
		if r.kind == ruleOn {
			all = append(all, r.permissions...)
		}
	})
	return all
}

// Asked are all permissions that the rule asks about, in order, those of Own too.
func (r Rule) Asked() []charter.Permission {
	var all []charter.Permission
	r.each(func(r Rule) {
		for _, p := range r.permissions {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	})
	return all
}

// Everyone reports whether the rule asks for no credential at all.
func (r Rule) Everyone() bool { return r.has(ruleAnyone) }

// Owning reports whether the rule allows people their own things.
func (r Rule) Owning() bool { return r.has(ruleOwn) }

func (r Rule) has(kind ruleKind) (found bool) {
	r.each(func(r Rule) { found = found || r.kind == kind })
	return found
}

func (r Rule) each(visit func(Rule)) {
	visit(r)
	for _, part := range r.any {
		part.each(visit)
	}
}

// String says the rule in words: "keys.revoke, or own with keys.create".
func (r Rule) String() string {
	switch r.kind {
	case ruleOn:
		return string(r.permissions[0])
	case ruleOwn:
		if len(r.permissions) == 0 {
			return "own"
		}
		return "own with " + join(r.permissions, " or ")
	case ruleAnyOf:
		parts := make([]string, len(r.any))
		for i, part := range r.any {
			parts[i] = part.String()
		}
		return strings.Join(parts, ", or ")
	case ruleMember:
		return "any member"
	case ruleSignedIn:
		return "signed in"
	case ruleAnyone:
		return "anyone"
	case ruleService:
		return "service key"
	case ruleOperator:
		return "operator"
	case ruleCredential:
		return "any key or token"
	case ruleDirectory:
		return "directory token"
	case ruleClosed:
		return r.any[0].String() + "; also while the deletion is scheduled"
	}
	return "nobody"
}

func join(permissions []charter.Permission, by string) string {
	parts := make([]string, len(permissions))
	for i, p := range permissions {
		parts[i] = string(p)
	}
	return strings.Join(parts, by)
}

// decide answers whether the actor may, for this target.
func (r Rule) decide(c *charter.Charter, a *Actor, t *Target, now int64) decide.Decision {
	switch r.kind {
	case ruleOn:
		return decide.Decide(&a.Principal, decide.Ask(c, r.permissions[0], t.Resource), now)
	case ruleOwn:
		return r.decideOwn(c, a, t, now)
	case ruleAnyOf:
		return r.decideAny(c, a, t, now)
	case ruleMember:
		if a.Principal.Power == decide.Operator && !a.Principal.Closed {
			return decide.Decision{Allow: true, Reason: decide.ByPower}
		}
		reason, ok := a.Principal.Access(now)
		return decide.Decision{Allow: ok, Reason: reason}
	case ruleSignedIn:
		return decideKind(a.Kind == UserActor, decide.PeopleOnly)
	case ruleAnyone:
		return decide.Decision{Allow: true, Reason: decide.ByPower}
	case ruleService:
		return decideOpen(a, a.Kind == ServiceActor, decide.ServiceOnly)
	case ruleOperator:
		return decideOpen(a, a.Kind == OperatorActor || a.Kind == SystemActor, decide.OperatorOnly)
	case ruleCredential:
		return decideOpen(a, a.derived(), decide.NoPermission)
	case ruleDirectory:
		return decideOpen(a, a.Kind == DirectoryActor, decide.DirectoryOnly)
	case ruleClosed:
		open := *a
		open.Principal.Closed = false
		return r.any[0].decide(c, &open, t, now)
	}
	return decide.Decision{Reason: decide.NoPermission}
}

// decideKind allows a kind of actor, or says which it would have to be.
func decideKind(is bool, otherwise decide.Reason) decide.Decision {
	if is {
		return decide.Decision{Allow: true, Reason: decide.ByPower}
	}
	return decide.Decision{Reason: otherwise}
}

// decideOpen is decideKind within an organization that is not about to be deleted, or outside of any.
func decideOpen(a *Actor, is bool, otherwise decide.Reason) decide.Decision {
	if is && a.Principal.Closed {
		return decide.Decision{Reason: decide.OrganizationGone}
	}
	return decideKind(is, otherwise)
}

func (r Rule) decideOwn(c *charter.Charter, a *Actor, t *Target, now int64) decide.Decision {
	no := decide.Decision{Reason: decide.NoPermission}
	if a.User == "" || t.User != a.User {
		return no
	}
	if a.derived() && len(r.permissions) == 0 {
		return decide.Decision{Reason: decide.PeopleOnly} // a key is not its creator: see its scopes
	}
	if a.Principal.Organization != "" {
		if reason, ok := a.Principal.Access(now); !ok {
			return decide.Decision{Reason: reason}
		}
	}
	if len(r.permissions) == 0 {
		return decide.Decision{Allow: true, Reason: decide.ByOwnership}
	}
	for _, p := range r.permissions {
		if decide.Decide(&a.Principal, decide.Ask(c, p, ""), now).Allow {
			return decide.Decision{Allow: true, Reason: decide.ByOwnership}
		}
	}
	return no
}

// decideAny gives the first allow, else that the organization is to be deleted, else the first denial that names a
// permission, else the first denial.
func (r Rule) decideAny(c *charter.Charter, a *Actor, t *Target, now int64) decide.Decision {
	var denial decide.Decision
	for _, part := range r.any {
		d := part.decide(c, a, t, now)
		if d.Allow {
			return d
		}
		if denial.Reason == "" || denial.Needs == "" && d.Needs != "" || d.Reason == decide.OrganizationGone {
			denial = d
		}
	}
	return denial
}
