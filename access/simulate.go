package access

import (
	"context"
	"fmt"
	"slices"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
)

// Simulation says what a change would do, before it is made.
type Simulation struct {
	Summary string         `json:"summary" doc:"The effect in one line" example:"1 member gains, 2 lose, 1 key, token or service account breaks"`
	Gains   MembersChanged `json:"gains" doc:"Members who would gain permissions"`
	Loses   MembersChanged `json:"loses" doc:"Members who would lose permissions"`
	Breaks  ThingsBroken   `json:"breaks" doc:"Keys, scoped tokens and service accounts that would lose permissions, or end"`
	Charter []string       `json:"charter,omitempty" doc:"What the other charter changes, in words" example:"[\"editor loses keys.create\"]"`
}

// MembersChanged are members who gain or lose, by name.
type MembersChanged struct {
	Data []MemberChanged `json:"data" doc:"The first of them"`
	More int             `json:"more" doc:"How many there are besides"`
}

// MemberChanged is a member who gains or loses.
type MemberChanged struct {
	Member      string               `json:"member" doc:"The member's id" example:"mem_01k..."`
	Name        string               `json:"name" doc:"The person's name, or address where there is none" example:"Ada"`
	Role        string               `json:"role" doc:"The role that they have now" example:"editor"`
	Permissions []charter.Permission `json:"permissions" doc:"What they would gain, or lose"`
}

// ThingsBroken are keys, tokens and service accounts that lose something.
type ThingsBroken struct {
	Data []ThingBroken `json:"data" doc:"The first of them"`
	More int           `json:"more" doc:"How many there are besides"`
}

// ThingBroken is a key, token or service account that loses something.
type ThingBroken struct {
	Type        string               `json:"type" doc:"What it is" enum:"key,token,service_account"`
	ID          string               `json:"id" doc:"Its id" example:"key_01k..."`
	Name        string               `json:"name" doc:"Its name" example:"nightly build"`
	Permissions []charter.Permission `json:"permissions" doc:"What it would lose"`
	Ends        bool                 `json:"ends,omitzero" doc:"Whether it would be dead"`
}

// SimulatedRole is a role with other permissions than it has.
type SimulatedRole struct {
	ID          string               `json:"id" doc:"The role's id, of the charter's or the organization's own" maxLength:"64" example:"editor"`
	Permissions []charter.Permission `json:"permissions" doc:"All that it would hold" example:"[\"workflows.view\"]"`
}

// SimulatedMember is a member with another role.
type SimulatedMember struct {
	ID   string `json:"id" doc:"The member's id" maxLength:"64" example:"mem_01k..."`
	Role string `json:"role" doc:"The role that they would have" maxLength:"64" example:"viewer"`
}

// SimulateInput says what would be changed: one of these, or several at once.
type SimulateInput struct {
	op.InOrganization
	Role         *SimulatedRole   `json:"role,omitzero" doc:"A role with other permissions" required:"false"`
	Member       *SimulatedMember `json:"member,omitzero" doc:"A member with another role" required:"false"`
	RemoveMember string           `json:"remove_member,omitzero" doc:"A member who would be removed" maxLength:"64" required:"false" example:"mem_01k..."`
	Charter      string           `json:"charter,omitzero" doc:"The YAML text of another charter" maxLength:"1048576" required:"false"`
}

// Validate wants something to be changed.
func (in SimulateInput) Validate() []op.FieldError {
	if in.Role == nil && in.Member == nil && in.RemoveMember == "" && in.Charter == "" {
		return []op.FieldError{{Pointer: "/role", Code: "required", Detail: "say what would be changed: role, member, remove_member or charter"}}
	}
	return nil
}

// Simulate says who would gain, who would lose and what would break if something were changed. It changes nothing.
var Simulate = &op.Op[SimulateInput, Simulation]{
	Name:    "access.simulate",
	Route:   "POST /v1/organizations/{organization}/access/simulate",
	Summary: "Say who would gain, who would lose and what would break",
	Allow:   op.AnyOf(op.On("roles.manage"), op.On("members.assign_role"), op.ByService),
	Do:      simulate,
	Example: SimulateInput{InOrganization: op.InOrganization{Organization: "acme"}, Role: &SimulatedRole{ID: "editor", Permissions: []charter.Permission{"organization.view"}}},
}

// shown is how many of a kind a simulation names.
const shown = 20

func simulate(ctx context.Context, tx *op.Tx, in SimulateInput) (Simulation, error) {
	var out Simulation
	w, err := newWhatIf(ctx, tx.Reader, in)
	if err != nil {
		return out, err
	}
	if in.Charter != "" {
		out.Charter = charter.Diff(w.before.charter, w.after.charter)
	}
	if out.Gains, err = w.members(ctx, tx.Reader, func(c change) []charter.Permission { return c.gains }); err != nil {
		return out, err
	}
	if out.Loses, err = w.members(ctx, tx.Reader, func(c change) []charter.Permission { return c.loses }); err != nil {
		return out, err
	}
	for _, find := range []func(context.Context, *op.Reader, *ThingsBroken) error{w.keys, w.tokens, w.accounts} {
		if err := find(ctx, tx.Reader, &out.Breaks); err != nil {
			return out, err
		}
	}
	out.Summary = fmt.Sprintf("%s, %s, %s", some(len(out.Gains.Data)+out.Gains.More, "member gains", "members gain"),
		some(len(out.Loses.Data)+out.Loses.More, "loses", "lose"),
		some(len(out.Breaks.Data)+out.Breaks.More, "key, token or service account breaks", "keys, tokens or service accounts break"))
	return out, nil
}

func some(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// state is who holds what: now, or if the change were made.
type state struct {
	charter *charter.Charter
	roles   map[string]charter.Set // by id
	locked  charter.Set
}

// change is what somebody gains and loses.
type change struct{ gains, loses []charter.Permission }

// whatIf compares what is with what would be.
type whatIf struct {
	before, after state
	moved         *SimulatedMember // somebody whose role would be another one; with the role "" they would be gone
	now           string           // the role that they have now
	removed       bool
}

// newWhatIf reads the organization's roles and plan, and makes the change in memory.
func newWhatIf(ctx context.Context, r *op.Reader, in SimulateInput) (*whatIf, error) {
	var plan string
	if err := r.QueryRow(ctx, "SELECT plan FROM organizations WHERE id = $1", r.Organization()).Scan(&plan); err != nil {
		return nil, err
	}
	own, err := ownRoles(ctx, r)
	if err != nil {
		return nil, err
	}
	other := r.Charter
	if in.Charter != "" {
		if other, err = charter.Parse("charter.yaml", []byte(in.Charter)); err != nil {
			return nil, op.InvalidField("charter", "invalid", "%v", err)
		}
	}
	w := &whatIf{before: stateOf(r.Charter, own, plan), after: stateOf(other, own, plan)}
	if err := w.changeRole(in.Role); err != nil {
		return nil, err
	}
	return w, w.changeMember(ctx, r, in)
}

// stateOf compiles the roles of a charter and of the organization.
func stateOf(c *charter.Charter, own map[string]string, plan string) state {
	s := state{charter: c, roles: map[string]charter.Set{}, locked: c.Locked(plan)}
	for id, permissions := range own {
		s.roles[id] = setOf(c, permissions)
	}
	for _, role := range c.Roles() {
		s.roles[string(role.ID)] = role.Holds
	}
	return s
}

func (w *whatIf) changeRole(role *SimulatedRole) error {
	if role == nil {
		return nil
	}
	if _, ok := w.after.roles[role.ID]; !ok {
		return op.InvalidField("role/id", "unknown", "there is no role %q", role.ID)
	}
	set, unknown := w.after.charter.SetOf(role.Permissions)
	if len(unknown) > 0 {
		return op.InvalidField("role/permissions", "unknown", "there is no permission %q", unknown[0])
	}
	seen, _ := w.after.charter.Need("organization.view") // every role holds it
	w.after.roles[role.ID] = set.Union(seen)
	return nil
}

func (w *whatIf) changeMember(ctx context.Context, r *op.Reader, in SimulateInput) error {
	field := "member/id"
	switch {
	case in.RemoveMember != "" && in.Member != nil:
		return op.InvalidField("remove_member", "invalid", "one member at a time: member or remove_member")
	case in.RemoveMember != "":
		w.moved, w.removed, field = &SimulatedMember{ID: in.RemoveMember}, true, "remove_member"
	case in.Member != nil:
		w.moved = in.Member
		if _, ok := w.after.roles[in.Member.Role]; !ok {
			return op.InvalidField("member/role", "unknown", "there is no role %q", in.Member.Role)
		}
	default:
		return nil
	}
	role, err := roleOfMember(ctx, r, w.moved.ID)
	if err == op.ErrNotFound {
		return op.InvalidField(field, "unknown", "there is no member %q", w.moved.ID)
	}
	w.now = role
	return err
}

// compare says what changes from one set to another, of two charters. Nothing is gained or lost that the plan locks.
func (w *whatIf) compare(before, after charter.Set) change {
	was := w.before.charter.IDs(before.Minus(w.before.locked))
	is := w.after.charter.IDs(after.Minus(w.after.locked))
	return change{gains: without(is, was), loses: without(was, is)}
}

// without gives what is in one list and not in the other.
func without(all, others []charter.Permission) []charter.Permission {
	return slices.DeleteFunc(slices.Clone(all), func(p charter.Permission) bool { return slices.Contains(others, p) })
}

// ofRole is what changes for those who have a role.
func (w *whatIf) ofRole(role string) change {
	return w.compare(w.before.roles[role], w.after.roles[role])
}

// holds is what a member with a role would hold.
func (w *whatIf) holds(member, role string) charter.Set {
	if w.moved != nil && w.moved.ID == member {
		role = w.moved.Role
	}
	return w.after.roles[role]
}
