package credential

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/op"
)

// Scoping says what a key or token is for, and until when. What is not said is said by the operation.
type Scoping struct {
	Permissions []charter.Permission `json:"permissions,omitzero" doc:"What it may, at most; a bundle stands for its parts" example:"[\"workflows.view\"]" minItems:"1" maxItems:"300" required:"false"`
	Resources   []string             `json:"resources,omitzero" doc:"The single resources that it is for, each a type and an id or *; not said: any. A permission that is about no type of resource is refused to what is limited so" example:"[\"workflow:wf_1\"]" maxItems:"200" required:"false"`
	Networks    []string             `json:"networks,omitzero" doc:"The addresses and ranges that it may be used from; not said: any" example:"[\"203.0.113.0/24\"]" maxItems:"50" required:"false"`
	ExpiresAt   string               `json:"expires_at,omitzero" doc:"When it ends: a time (RFC 3339), a duration from now such as 30d, or never" example:"90d" maxLength:"64" required:"false"`
}

// check says what is wrong with the form of what is said.
func (in *Scoping) check() (wrong []op.FieldError) {
	if _, err := networks(in.Networks); err != nil {
		wrong = append(wrong, op.FieldError{Pointer: "/networks", Code: "invalid", Detail: err.Error()})
	}
	if _, err := until(in.ExpiresAt, time.Time{}); in.ExpiresAt != "" && err != nil {
		wrong = append(wrong, op.FieldError{Pointer: "/expires_at", Code: "invalid", Detail: err.Error()})
	}
	return wrong
}

// ceiling is the most that something may be that is made with a credential, or out of one.
type ceiling struct {
	scopes   charter.Set
	limits   decide.Limits
	networks string // groups, | between
	expires  int64  // 0: never
}

// scoped is what a key or token is for, as it is stored.
type scoped struct {
	scopes    charter.Set
	resources decide.Limits
	networks  string
	expires   int64
}

// settle works out what is asked for: within the ceiling, and nothing that the actor may not. Without permissions it is
// the usual ones.
func (in *Scoping) settle(ctx context.Context, r *op.Reader, usual charter.Set, most ceiling) (s scoped, err error) {
	if s.scopes, err = in.scopes(ctx, r, usual, most); err != nil {
		return s, err
	}
	if s.resources, err = in.limits(r.Charter, most.limits); err != nil {
		return s, err
	}
	s.networks, err = in.ranges(most.networks)
	return s, err
}

func (in *Scoping) scopes(ctx context.Context, r *op.Reader, usual charter.Set, most ceiling) (charter.Set, error) {
	switch {
	case in.Permissions == nil && usual.Empty():
		return usual, op.InvalidField("permissions", "required", "there is nothing that it could do unless permissions say what")
	case in.Permissions == nil:
		return usual, nil
	}
	set, err := permissionSet(r.Charter, in.Permissions)
	if err != nil {
		return set, err
	}
	return set, mayGive(ctx, r, set, most.scopes)
}

// permissionSet reads permissions that somebody named, bundles as their parts. One that the charter does not have is
// refused with the nearest that it has.
func permissionSet(c *charter.Charter, named []charter.Permission) (charter.Set, error) {
	set, unknown := c.SetOf(named)
	if len(unknown) == 0 {
		return set, nil
	}
	var ids []string
	for _, info := range c.Permissions() {
		ids = append(ids, string(info.ID))
	}
	return set, unknownWord("permissions", "permission", string(unknown[0]), ids)
}

// unknownWord refuses a word, and names the nearest that would do.
func unknownWord(field, what, word string, among []string) error {
	if near := charter.Nearest(word, among); near != "" {
		return op.InvalidField(field, "unknown", "there is no %s %q; did you mean %q?", what, word, near)
	}
	return op.InvalidField(field, "unknown", "there is no %s %q", what, word)
}

// mayGive refuses permissions that the actor does not hold, or that are outside of scopes. The limits of the actor's own
// credential are compared with the new one's, and what the plan lacks is asked whenever the new one is used.
func mayGive(ctx context.Context, r *op.Reader, set, scopes charter.Set) error {
	p := r.Actor.Principal
	p.Limits, p.Locked = "", charter.Set{}
	for _, id := range r.Charter.IDs(set) {
		d := decide.Decide(&p, decide.Ask(r.Charter, id, ""), r.Micros())
		if need, _ := r.Charter.Need(id); d.Allow && !need.SubsetOf(scopes) {
			d = decide.Decision{Reason: decide.OutOfScope, Needs: id}
		}
		if !d.Allow {
			return r.Refuse(ctx, d)
		}
	}
	return nil
}

// limits are the resources that are asked for; unsaid, those of the ceiling.
func (in *Scoping) limits(c *charter.Charter, most decide.Limits) (decide.Limits, error) {
	if in.Resources == nil {
		return most, nil
	}
	for _, resource := range in.Resources {
		if err := checkResource(c, resource); err != nil {
			return "", err
		}
	}
	limits := decide.MakeLimits(in.Resources)
	if !limits.Within(most) {
		return "", op.InvalidField("resources", "wider", "resources may only be some of %s", strings.Join(most.Resources(), ", "))
	}
	return limits, nil
}

// checkResource refuses what names no resource of the charter.
func checkResource(c *charter.Charter, resource string) error {
	kind, name, _ := strings.Cut(resource, ":")
	if _, ok := c.Resources[kind]; !ok {
		return unknownWord("resources", "type of resource", kind, slices.Sorted(maps.Keys(c.Resources)))
	}
	odd := func(r rune) bool { return r == '*' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if name != "*" && (name == "" || len(name) > 200 || strings.ContainsFunc(name, odd)) {
		return op.InvalidField("resources", "invalid", "%q has to be a type, a colon, and an id without spaces or *", resource)
	}
	return nil
}

// ranges are the networks that are asked for; unsaid, the narrowest of the ceiling's.
func (in *Scoping) ranges(most string) (string, error) {
	if in.Networks == nil {
		return lastGroup(most), nil
	}
	asked, err := networks(in.Networks)
	if err != nil {
		return "", op.InvalidField("networks", "invalid", "%v", err)
	}
	if out := outside(asked, most); out != "" {
		return "", op.InvalidField("networks", "wider", "%s is outside of what the credential may be used from: %s", out, lastGroup(most))
	}
	return asked, nil
}

// end is when something ends that has to end by latest (0: need not); unsaid, at the time given.
func (in *Scoping) end(now time.Time, unsaid, latest int64) (int64, error) {
	if in.ExpiresAt == "" {
		return unsaid, nil
	}
	at, err := until(in.ExpiresAt, now)
	switch {
	case err != nil:
		return 0, op.InvalidField("expires_at", "invalid", "%v", err)
	case at != 0 && at <= now.UnixMicro():
		return 0, op.InvalidField("expires_at", "past", "expires_at is not in the future")
	case latest != 0 && (at == 0 || at > latest):
		return 0, op.InvalidField("expires_at", "too_late", "expires_at can be %s at the latest", timeOf(latest).Format(time.RFC3339))
	}
	return at, nil
}

// text writes permissions as the tables keep them: in charter order, spaces between.
func text(c *charter.Charter, set charter.Set) string { return words(c.IDs(set), " ") }

// words writes permissions one after the other.
func words(ids []charter.Permission, between string) string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = string(id)
	}
	return strings.Join(all, between)
}

// permissionsOf reads permissions as the tables keep them. One that the charter no longer has stays in the list.
func permissionsOf(text string) []charter.Permission {
	var ids []charter.Permission
	for one := range strings.FieldsSeq(text) {
		ids = append(ids, charter.Permission(one))
	}
	return ids
}

// setOf is what permissions, as the tables keep them, hold.
func setOf(c *charter.Charter, text string) charter.Set {
	set, _ := c.SetOf(permissionsOf(text))
	return set
}
