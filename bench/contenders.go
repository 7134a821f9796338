package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/casbin/casbin/v3"
	"github.com/casbin/casbin/v3/model"
	"github.com/cedar-policy/cedar-go"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/internal/secret"
)

// contender answers questions in process.
type contender struct {
	name   string
	answer func(q *question) bool
}

// contenders are the floor, ourselves in three ways, and the libraries beside.
func contenders(ctx context.Context, f *fixture, h *guildhall.Hall) ([]contender, error) {
	all := []contender{
		{"floor: a map of members and a bit", floorMember(f)},
		{"Guildhall, principal resolved", resolved(f)},
		{"Guildhall, by user", byUser(ctx, f, h)},
		{"floor: SHA-256, a map and a bit", floorKey(f)},
		{"Guildhall, from the raw key", byKey(ctx, f, h)},
	}
	for _, make := range []func(context.Context, *fixture) (contender, error){newCedar, newOPA, newCasbin} {
		c, err := make(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, c)
	}
	return all, nil
}

type place struct{ organization, member int }

// floorMember is the least that any answer takes: who, and whether.
func floorMember(f *fixture) func(*question) bool {
	holds := map[place]charter.Set{}
	for o := range f.organizations {
		for m := range f.members {
			holds[place{o, m}] = f.role(m).Holds
		}
	}
	need := needs(f)
	return func(q *question) bool { return need[q.permission].SubsetOf(holds[place{q.organization, q.member}]) }
}

func needs(f *fixture) map[charter.Permission]charter.Set {
	need := map[charter.Permission]charter.Set{}
	for _, p := range f.permissions {
		need[p], _ = f.charter.Need(p)
	}
	return need
}

// floorKey is the least that an answer takes which begins with a secret.
func floorKey(f *fixture) func(*question) bool {
	holds := map[secret.Hash]charter.Set{}
	secrets := f.secrets()
	for n, text := range secrets {
		holds[secret.HashOf(text)] = f.role(n % f.members).Holds
	}
	need := needs(f)
	return func(q *question) bool {
		return need[q.permission].SubsetOf(holds[secret.HashOf(secrets[q.organization*f.members+q.member])])
	}
}

func (f *fixture) secrets() []string {
	all := make([]string, f.organizations*f.members)
	for n := range all {
		all[n] = f.key(n).Reveal()
	}
	return all
}

// resolved decides about a principal that the request already has.
func resolved(f *fixture) func(*question) bool {
	questions := map[charter.Permission]decide.Question{}
	for _, p := range f.permissions {
		questions[p] = decide.Ask(f.charter, p, "")
	}
	principals := make([]decide.Principal, len(f.roles))
	for i, role := range f.roles {
		principals[i] = decide.Principal{User: "usr_1", Member: "mem_1", Organization: "org_1", Role: role.ID, Owner: role.Owner,
			Holds: role.Holds, Standing: decide.Active}
	}
	return func(q *question) bool {
		return decide.Decide(&principals[q.member%len(principals)], questions[q.permission], 1).Allow
	}
}

func byUser(ctx context.Context, f *fixture, h *guildhall.Hall) func(*question) bool {
	organizations, users := make([]string, f.organizations), make([]string, f.organizations*f.members)
	for o := range organizations {
		organizations[o] = f.organizationID(o)
		for m := range f.members {
			users[o*f.members+m] = f.userID(o, m)
		}
	}
	return func(q *question) bool {
		d, err := h.Access().Check(ctx, check.Request{Subject: check.ByUser(users[q.organization*f.members+q.member]),
			Permission: q.permission, Resource: check.Whole(organizations[q.organization])})
		return err == nil && d.Allow
	}
}

func byKey(ctx context.Context, f *fixture, h *guildhall.Hall) func(*question) bool {
	secrets := f.secrets()
	return func(q *question) bool {
		d, err := h.Access().Check(ctx, check.Request{Subject: check.ByCredential(secrets[q.organization*f.members+q.member]),
			Permission: q.permission, Resource: check.Whole("")})
		return err == nil && d.Allow
	}
}

// newCasbin is casbin's role-based model with domains: the organization is the domain.
func newCasbin(_ context.Context, f *fixture) (contender, error) {
	c := contender{name: "casbin v3.10.0"}
	m, err := model.NewModelFromString(`
[request_definition]
r = sub, dom, act
[policy_definition]
p = sub, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.act == p.act
`)
	if err != nil {
		return c, err
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return c, err
	}
	var policies, groups [][]string
	for _, role := range f.roles {
		for _, p := range f.permissions {
			if f.charter.Can(role, p) {
				policies = append(policies, []string{string(role.ID), string(p)})
			}
		}
	}
	users, organizations := make([]string, f.organizations*f.members), make([]string, f.organizations)
	for o := range f.organizations {
		organizations[o] = f.organizationID(o)
		for n := range f.members {
			users[o*f.members+n] = f.userID(o, n)
			groups = append(groups, []string{f.userID(o, n), string(f.role(n).ID), f.organizationID(o)})
		}
	}
	if _, err := e.AddPolicies(policies); err != nil {
		return c, err
	}
	if _, err := e.AddGroupingPolicies(groups); err != nil {
		return c, err
	}
	c.answer = func(q *question) bool {
		ok, err := e.Enforce(users[q.organization*f.members+q.member], organizations[q.organization], string(q.permission))
		return err == nil && ok
	}
	return c, nil
}

// newCedar has one policy a role, and members whose parents are their organization's roles.
func newCedar(_ context.Context, f *fixture) (contender, error) {
	c := contender{name: "cedar-go v1.9.0"}
	var text strings.Builder
	for _, role := range f.roles {
		var actions []string
		for _, p := range f.permissions {
			if f.charter.Can(role, p) {
				actions = append(actions, fmt.Sprintf("Action::%q", p))
			}
		}
		fmt.Fprintf(&text, "permit(principal in Role::%q, action in [%s], resource) when { principal.organization == resource };\n", role.ID, strings.Join(actions, ", "))
	}
	policies, err := cedar.NewPolicySetFromBytes("bench.cedar", []byte(text.String()))
	if err != nil {
		return c, err
	}
	entities := cedar.EntityMap{}
	uid := func(kind, id string) cedar.EntityUID {
		return cedar.NewEntityUID(cedar.EntityType(kind), cedar.String(id))
	}
	for _, role := range f.roles {
		entities[uid("Role", string(role.ID))] = cedar.Entity{UID: uid("Role", string(role.ID))}
	}
	members, organizations := make([]cedar.EntityUID, f.organizations*f.members), make([]cedar.EntityUID, f.organizations)
	for o := range f.organizations {
		organizations[o] = uid("Organization", f.organizationID(o))
		for m := range f.members {
			member := uid("Member", f.userID(o, m))
			members[o*f.members+m] = member
			entities[member] = cedar.Entity{UID: member, Parents: cedar.NewEntityUIDSet(uid("Role", string(f.role(m).ID))),
				Attributes: cedar.NewRecord(cedar.RecordMap{"organization": organizations[o]})}
		}
	}
	actions := map[charter.Permission]cedar.EntityUID{}
	for _, p := range f.permissions {
		actions[p] = uid("Action", string(p))
	}
	c.answer = func(q *question) bool {
		decision, _ := cedar.Authorize(policies, entities, cedar.Request{Principal: members[q.organization*f.members+q.member],
			Action: actions[q.permission], Resource: organizations[q.organization]})
		return decision == cedar.Allow
	}
	return c, nil
}

const policy = `package bench
default allow = false
allow if data.roles[data.members[input.organization][input.user]][input.permission]
`

// newOPA keeps the table and the members as data, and asks one prepared query.
func newOPA(ctx context.Context, f *fixture) (contender, error) {
	c := contender{name: "OPA v1.22.2"}
	roles, members := map[string]any{}, map[string]any{}
	for _, role := range f.roles {
		table := map[string]any{}
		for _, p := range f.permissions {
			if f.charter.Can(role, p) {
				table[string(p)] = true
			}
		}
		roles[string(role.ID)] = table
	}
	users, organizations := make([]string, f.organizations*f.members), make([]string, f.organizations)
	for o := range f.organizations {
		organizations[o] = f.organizationID(o)
		in := map[string]any{}
		for m := range f.members {
			users[o*f.members+m] = f.userID(o, m)
			in[f.userID(o, m)] = string(f.role(m).ID)
		}
		members[f.organizationID(o)] = in
	}
	query, err := rego.New(rego.Query("data.bench.allow"), rego.Module("bench.rego", policy),
		rego.Store(inmem.NewFromObject(map[string]any{"roles": roles, "members": members}))).PrepareForEval(ctx)
	if err != nil {
		return c, err
	}
	c.answer = func(q *question) bool {
		result, err := query.Eval(ctx, rego.EvalInput(map[string]any{"organization": organizations[q.organization],
			"user": users[q.organization*f.members+q.member], "permission": string(q.permission)}))
		return err == nil && result.Allowed()
	}
	return c, nil
}
