package decide_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/decide"
)

func TestLimitsCoverSingleResources(t *testing.T) {
	c := ready(t, "automation")
	tests := []struct {
		limits     string
		permission charter.Permission
		resource   string
		want       decide.Reason
	}{
		{"", "workflows.run", "workflow:wf_1", decide.ByRole},
		{"", "workflows.run", "", decide.ByRole},
		{"workflow:wf_1", "workflows.run", "workflow:wf_1", decide.ByRole},
		{"workflow:wf_1", "workflows.run", "workflow:wf_2", decide.OtherResource},
		{"workflow:wf_1", "workflows.run", "workflow:wf_10", decide.OtherResource},
		{"workflow:wf_10", "workflows.run", "workflow:wf_1", decide.OtherResource},
		{"workflow:wf_1", "workflows.run", "workflow:wf_1 workflow:wf_2", decide.OtherResource},
		{"workflow:wf_1", "workflows.run", "workflow:*", decide.OtherResource},
		{"workflow:wf_1", "workflows.run", "", decide.OtherResource},
		{"workflow:*", "workflows.run", "workflow:wf_2", decide.ByRole},
		{"workflow:*", "workflows.run", "", decide.ByRole},
		{"workflow:*", "artifacts.view", "artifact:a_1", decide.OtherResource},
		{"workflow:*", "usage.view", "", decide.OtherResource},
		{"artifact:a_1 workflow:wf_1", "artifacts.view", "artifact:a_1", decide.ByRole},
		{"work:*", "workflows.run", "workflow:wf_1", decide.OtherResource},
		{"-", "workflows.run", "workflow:wf_1", decide.OtherResource},
		{"-", "workflows.run", "-", decide.OtherResource},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%q asked %s on %q", test.limits, test.permission, test.resource), func(t *testing.T) {
			p := member(c, c.OwnerRole())
			p.Limits = decide.Limits(test.limits)
			if got := decide.Decide(&p, decide.Ask(c, test.permission, test.resource), 0).Reason; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestACredentialSaysWhyNot(t *testing.T) {
	c := ready(t, "automation")
	owner := member(c, c.OwnerRole())
	scoped := owner.Within(decide.Scope{Permissions: setOf(t, c, "workflows.view")})
	tests := []struct {
		name       string
		who        decide.Principal
		permission charter.Permission
		want       decide.Reason
	}{
		{"within its scopes", scoped, "workflows.view", decide.ByRole},
		{"outside of its scopes, within the role", scoped, "workflows.run", decide.OutOfScope},
		{"outside of both", member(c, c.Roles()[0]).Within(decide.Scope{Permissions: c.All()}), "workflows.run", decide.NoPermission},
		{"from elsewhere", with(scoped, func(p *decide.Principal) { p.Elsewhere = true }), "workflows.view", decide.WrongAddress},
		{"locked by the plan", with(owner, func(p *decide.Principal) { p.Locked = setOf(t, c, "sso.configure") }), "sso.configure", decide.PlanRequired},
		{"not locked by the plan", with(owner, func(p *decide.Principal) { p.Locked = setOf(t, c, "sso.configure") }), "workflows.run", decide.ByRole},
		{"its member is suspended", with(scoped, func(p *decide.Principal) { p.Standing = decide.Suspended }), "workflows.view", decide.IsSuspended},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := decide.Decide(&test.who, decide.Ask(c, test.permission, ""), 0).Reason; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if scoped.Owner {
		t.Error("a key with scopes stands as an owner")
	}
}

func setOf(t testing.TB, c *charter.Charter, ids ...charter.Permission) charter.Set {
	t.Helper()
	set, unknown := c.SetOf(ids)
	if len(unknown) > 0 {
		t.Fatalf("unknown %v", unknown)
	}
	return set
}

// TestAChildIsWithinItsParent asks random chains of credentials, whose root changes in between, random questions: what a
// child may, its parent may too, and so everybody above. T-041.
func TestAChildIsWithinItsParent(t *testing.T) {
	chains := 100_000
	if os.Getenv("GUILDHALL_SOAK") != "" {
		chains = 1_000_000
	}
	random := rand.New(rand.NewPCG(1, 2026))
	allowed := 0
	for _, name := range charter.Names() {
		w := newLattice(t, ready(t, name), random)
		for range chains / len(charter.Names()) {
			allowed += w.tryChain(t)
		}
	}
	if allowed < chains {
		t.Errorf("only %d questions were answered yes: the test asks too little", allowed)
	}
	t.Logf("%d chains, %d questions answered yes", chains, allowed)
}

// lattice makes random scopes of one charter.
type lattice struct {
	c         *charter.Charter
	random    *rand.Rand
	questions []decide.Question
	resources []string
}

func newLattice(t *testing.T, c *charter.Charter, random *rand.Rand) *lattice {
	w := &lattice{c: c, random: random}
	for kind := range c.Resources {
		for _, id := range []string{"*", "1", "2", "12"} {
			w.resources = append(w.resources, kind+":"+id)
		}
	}
	for _, info := range c.Permissions() {
		w.questions = append(w.questions, decide.Ask(c, info.ID, ""))
		for _, resource := range w.resources {
			w.questions = append(w.questions, decide.Ask(c, info.ID, resource))
		}
	}
	return w
}

func (w *lattice) scope() decide.Scope {
	s := decide.Scope{}
	for i := range s.Permissions {
		s.Permissions[i] = w.random.Uint64() | w.random.Uint64()
	}
	var limits []string
	for range w.random.IntN(4) {
		limits = append(limits, w.resources[w.random.IntN(len(w.resources))])
	}
	s.Limits = decide.MakeLimits(limits)
	return s
}

// tryChain says how many questions the last of a chain was answered yes.
func (w *lattice) tryChain(t *testing.T) (allowed int) {
	roles := w.c.Roles()
	root := member(w.c, roles[w.random.IntN(len(roles))])
	scopes := make([]decide.Scope, 1+w.random.IntN(5))
	for i := range scopes {
		scopes[i] = w.scope()
	}
	for range 2 { // as it is, and after a change of the root
		parent := root
		for _, s := range scopes {
			child := parent.Within(s)
			for range 8 {
				q := w.questions[w.random.IntN(len(w.questions))]
				if !decide.Decide(&child, q, 0).Allow {
					continue
				}
				allowed++
				if d := decide.Decide(&parent, q, 0); !d.Allow {
					t.Fatalf("the child may %s on %q and its parent may not (%s)\nparent %+v\nscope %+v", q.Permission, q.Resource, d.Reason, parent, s)
				}
			}
			parent = child
		}
		root = member(w.c, roles[w.random.IntN(len(roles))])
		scopes[0] = scopes[0].And(w.scope())
	}
	return allowed
}
