package decide_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

func ready(t testing.TB, name string) *charter.Charter {
	t.Helper()
	c, err := charter.Ready(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func member(c *charter.Charter, role *charter.Role) decide.Principal {
	return decide.Principal{User: "usr_" + string(role.ID), Member: "mem_" + string(role.ID), Organization: "org_1", Role: role.ID,
		Owner: role.Owner, Holds: role.Holds, Standing: decide.Active}
}

func with(p decide.Principal, change func(*decide.Principal)) decide.Principal {
	change(&p)
	return p
}

func TestDecideSaysWhy(t *testing.T) {
	c := ready(t, "automation")
	owner := member(c, c.OwnerRole())
	viewer := member(c, c.Roles()[0])
	const now = 1_000
	tests := []struct {
		name       string
		who        decide.Principal
		permission charter.Permission
		want       decide.Reason
	}{
		{"an owner runs workflows", owner, "workflows.run", decide.ByRole},
		{"a viewer views", viewer, "workflows.view", decide.ByRole},
		{"a viewer does not run", viewer, "workflows.run", decide.NoPermission},
		{"nobody may what does not exist", owner, "workflows.fly", decide.UnknownPermission},
		{"a stranger", decide.Principal{User: "usr_x"}, "workflows.view", decide.NotMember},
		{"a suspended owner", with(owner, func(p *decide.Principal) { p.Standing = decide.Suspended }), "workflows.view", decide.IsSuspended},
		{"one microsecond before the end", with(viewer, func(p *decide.Principal) { p.EndsAt = now + 1 }), "workflows.view", decide.ByRole},
		{"at the end", with(viewer, func(p *decide.Principal) { p.EndsAt = now }), "workflows.view", decide.HasEnded},
		{"after the end", with(viewer, func(p *decide.Principal) { p.EndsAt = now - 1 }), "workflows.view", decide.HasEnded},
		{"in a closed organization", with(owner, func(p *decide.Principal) { p.Closed = true }), "workflows.view", decide.OrganizationGone},
		{"the operator", decide.Principal{Power: decide.Operator}, "organization.delete", decide.ByPower},
		{"the operator, of what does not exist", decide.Principal{Power: decide.Operator}, "x.y", decide.UnknownPermission},
		{"a service key is no member", decide.Principal{Power: decide.Service}, "workflows.view", decide.NotMember},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := decide.Decide(&test.who, decide.Ask(c, test.permission, ""), now)
			allowed := test.want == decide.ByRole || test.want == decide.ByPower
			if got.Reason != test.want || got.Allow != allowed {
				t.Errorf("got %+v, want %s", got, test.want)
			}
			if !got.Allow && got.Needs != test.permission {
				t.Errorf("needs %q, want %q", got.Needs, test.permission)
			}
		})
	}
}

// A bundle is held when all its parts are.
func TestDecideAsksAllPartsOfABundle(t *testing.T) {
	c := ready(t, "gateway")
	for _, role := range c.Roles() {
		p := member(c, role)
		parts := true
		info, _ := c.Info("members.manage")
		for _, part := range info.Includes {
			parts = parts && decide.Decide(&p, decide.Ask(c, part, ""), 0).Allow
		}
		if got := decide.Decide(&p, decide.Ask(c, "members.manage", ""), 0).Allow; got != parts {
			t.Errorf("%s: bundle %v, parts %v", role.ID, got, parts)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	c := ready(t, "gateway")
	p := member(c, c.Roles()[1])
	q := decide.Ask(c, "prompts.promote", "prompt:p_1")
	if n := testing.AllocsPerRun(100, func() { decide.Decide(&p, q, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// T-013, T-014, T-015: the whole cube of actor, from and to, on every ready-made charter.
func TestNobodyActsAboveTheirLevel(t *testing.T) {
	for _, name := range charter.Names() {
		c := ready(t, name)
		for _, actor := range c.Roles() {
			for _, from := range c.Roles() {
				for _, to := range c.Roles() {
					checkCube(t, c, actor, from, to)
				}
			}
		}
	}
}

// checkCube says the rule again, in other words: ranks instead of sets, which is the same for a chain of roles.
func checkCube(t *testing.T, c *charter.Charter, actor, from, to *charter.Role) {
	t.Helper()
	who, target := member(c, actor), member(c, from)
	target.Member += "_other"
	if got, want := decide.ActOn(&who, &target).Allow, from.Rank <= actor.Rank; got != want {
		t.Errorf("%s: %s acts on %s: %v, want %v", c.Name, actor.ID, from.ID, got, want)
	}
	want := to.Rank <= actor.Rank && !(to.Owner && c.Rules.Owners == charter.OneOwner)
	if got := decide.Grant(c, &who, to).Allow; got != want {
		t.Errorf("%s: %s grants %s: %v, want %v", c.Name, actor.ID, to.ID, got, want)
	}
}

// T-023: whatever somebody may grant, they hold; also for roles that are no chain.
func TestNobodyGrantsWhatTheyLack(t *testing.T) {
	c := ready(t, "automation")
	set := rapid.Custom(func(t *rapid.T) charter.Set {
		return charter.Set{rapid.Uint64().Draw(t, "low"), rapid.Uint64Range(0, 15).Draw(t, "high")}
	})
	rapid.Check(t, func(t *rapid.T) {
		actor := decide.Principal{Member: "mem_1", Standing: decide.Active, Holds: set.Draw(t, "actor"), Owner: rapid.Bool().Draw(t, "owner")}
		role := &charter.Role{ID: "x", Holds: set.Draw(t, "role"), Owner: rapid.Bool().Draw(t, "owner role")}
		if !decide.Grant(c, &actor, role).Allow {
			return
		}
		if !role.Holds.SubsetOf(actor.Holds) || role.Owner && !actor.Owner {
			t.Fatalf("%+v grants %+v", actor, role)
		}
	})
}

// T-015: a role that holds as much as the owner role is still not the owner role.
func TestOnlyOwnersTouchOwners(t *testing.T) {
	c := ready(t, "documents")
	admin := member(c, c.Roles()[1])
	admin.Holds = c.All()
	owner := member(c, c.OwnerRole())
	if d := decide.ActOn(&admin, &owner); d.Allow || d.Reason != decide.OwnersOnly {
		t.Errorf("acting on an owner: %+v", d)
	}
	if d := decide.Grant(c, &admin, c.OwnerRole()); d.Allow || d.Reason != decide.OwnersOnly {
		t.Errorf("making an owner: %+v", d)
	}
}
