package decide

import (
	"slices"
	"strings"

	"github.com/guildhall/guildhall/charter"
)

// Limits are the single resources that a credential is limited to, as it stores them: "workflow:wf_1 artifact:*", with a
// space between. Empty means any. It is text so that a Principal can be compared and copied.
type Limits string

// MakeLimits writes resources, each a type and an id or *, as Limits. They are sorted, and each is there once.
func MakeLimits(resources []string) Limits {
	sorted := slices.Clone(resources)
	slices.Sort(sorted)
	return Limits(strings.Join(slices.Compact(sorted), " "))
}

// Resources are the resources, one by one; nil for any.
func (l Limits) Resources() []string {
	if l == "" {
		return nil
	}
	return strings.Split(string(l), " ")
}

// cover reports whether the question is about what the credential is for. The organization as a whole is, if the
// permission is asked about types of resource and the credential is for every one of each of them.
func (l Limits) cover(q Question) bool {
	if q.Resource != "" {
		return l.Has(q.Resource)
	}
	for _, kind := range q.types {
		if !l.every(kind) {
			return false
		}
	}
	return len(q.types) > 0
}

// Scope is what a credential is for: it takes away from whoever is behind it, and never adds.
type Scope struct {
	Permissions charter.Set
	Limits      Limits
}

// And is what both scopes are for.
func (s Scope) And(t Scope) Scope {
	return Scope{Permissions: s.Permissions.Intersect(t.Permissions), Limits: s.Limits.Intersect(t.Limits)}
}

// Within is the principal of a credential with a scope, derived from one that is p: a key of a member, or a token of a
// key. It never may what p may not.
func (p Principal) Within(s Scope) Principal {
	full := p.Holds
	p.Holds = full.Intersect(s.Permissions)
	p.Beyond = p.Beyond.Union(full.Minus(s.Permissions))
	p.Owner = p.Owner && p.Holds == full && s.Limits == ""
	p.Limits = p.Limits.Intersect(s.Limits)
	return p
}

// Has reports whether the limits name the resource, itself or as one of its type.
func (l Limits) Has(resource string) bool {
	kind, _, ok := strings.Cut(resource, ":")
	if !ok {
		return false
	}
	for rest := string(l); rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, " ")
		if one == resource || len(one) == len(kind)+2 && one[:len(kind)] == kind && one[len(kind):] == ":*" {
			return true
		}
	}
	return false
}

// every reports whether the limits name every resource of a type.
func (l Limits) every(kind string) bool { return l.Has(kind + ":*") }

// nothing limits a credential to no resource at all. No resource is spelled so.
const nothing Limits = "-"

// Intersect is what both limits allow.
func (l Limits) Intersect(m Limits) Limits {
	switch {
	case l == "":
		return m
	case m == "":
		return l
	}
	var both []string
	for _, one := range l.Resources() {
		if m.Has(one) {
			both = append(both, one)
		}
	}
	for _, one := range m.Resources() {
		if l.Has(one) {
			both = append(both, one)
		}
	}
	if len(both) == 0 {
		return nothing
	}
	return MakeLimits(both)
}

// Within reports whether these limits allow nothing that the others do not.
func (l Limits) Within(of Limits) bool {
	if of == "" {
		return true
	}
	if l == "" {
		return false
	}
	for _, one := range l.Resources() {
		if !of.Has(one) {
			return false
		}
	}
	return true
}
