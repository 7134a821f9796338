package credential_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/decide"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/testdb"
)

var (
	someResources = map[string][]string{
		"automation": {"workflow:*", "workflow:wf_1", "workflow:wf_2", "artifact:*", "artifact:a_1"},
		"gateway":    {"prompt:*", "prompt:p_1", "endpoint:*", "endpoint:e_1"},
	}
	someNetworks  = []string{"203.0.113.0/24", "203.0.113.7/32", "203.0.113.0/25", "2001:db8::/32", "198.51.100.0/24"}
	someAddresses = []string{"203.0.113.7", "203.0.113.200", "198.51.100.1", "2001:db8::1", "192.0.2.1"}
	somethings    = []string{"", "workflow:wf_1", "workflow:wf_2", "workflow:wf_3", "artifact:a_1", "artifact:a_2", "prompt:p_1", "prompt:p_2", "endpoint:e_1"}
)

// family is a member's key and the line of tokens under it.
type family struct {
	*acme
	t       *rapid.T
	who     caller
	key     string   // its id
	secrets []string // of the key and each token, the parent before the child
}

// T-041
func TestAChildNeverMayWhatItsParentMayNot(t *testing.T) {
	// Deriving is about a type of resource here, so that what is limited to some can go on deriving.
	for _, c := range []*charter.Charter{
		with(t, "automation", "artifact: [artifacts.view, ", "artifact: [tokens.create, artifacts.view, "),
		with(t, "gateway", "prompt: [prompts.view, ", "prompt: [tokens.create, prompts.view, "),
	} {
		t.Run(c.Name, func(t *testing.T) {
			a := foundAcme(t, testdb.SQLite(t), c)
			families, tokens := 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				families++
				f := a.family(rt, fmt.Sprintf("p%d", families))
				tokens += len(f.secrets) - 1
				f.compare()
				for range rapid.IntRange(1, 5).Draw(rt, "changes") {
					f.change()
					f.compare()
				}
			})
			t.Logf("%d tokens under %d keys", tokens, families)
			if tokens < families {
				t.Error("the lines are too short to say anything")
			}
		})
	}
}

// some draws a part of a list; nil: nothing is said.
func some[T comparable](t *rapid.T, name string, among []T) []T {
	if !rapid.Bool().Draw(t, name+" said") {
		return nil
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(among), 1, len(among), rapid.ID[T]).Draw(t, name)
}

func (a *acme) scoping(t *rapid.T, among []charter.Permission) credential.Scoping {
	permissions := some(t, "permissions", among)
	if permissions != nil && rapid.IntRange(0, 3).Draw(t, "derives") > 0 {
		permissions = append(permissions, "tokens.create")
	}
	resources := some(t, "resources", someResources[a.Charter.Name])
	if resources != nil && permissions != nil { // what derives is about those
		resources = append(resources, a.Charter.ResourceTypes("tokens.create")[0]+":*")
	}
	return credential.Scoping{Permissions: permissions, Resources: resources,
		Networks: some(t, "networks", someNetworks), ExpiresAt: rapid.SampledFrom([]string{"", "", "2h", "1d"}).Draw(t, "end")}
}

// family makes a member with a key and up to six tokens in a line. What is refused is tried again with less, down to a
// bare token.
func (a *acme) family(t *rapid.T, name string) *family {
	roles := a.Charter.Roles()
	f := &family{acme: a, t: t, who: a.joins(name, string(roles[len(roles)-2].ID))}
	holds := a.Charter.IDs(roles[len(roles)-2].Holds)
	k := has(f.who.creates(credential.CreateKeyInput{Name: name, Kind: charter.PersonalKey, Scoping: a.scoping(t, holds)}))(a.T)
	f.key, f.secrets = k.ID, []string{k.Secret}
	by, parent := f.who, k.ID
	for range rapid.IntRange(1, 6).Draw(t, "depth") {
		token, err := by.derives(credential.CreateTokenInput{Parent: parent, ReadOnly: rapid.IntRange(0, 5).Draw(t, "reads") == 0, Scoping: a.scoping(t, holds)})
		if err != nil {
			if token, err = by.derives(credential.CreateTokenInput{Parent: parent}); err != nil {
				break // what it was derived from may not derive
			}
		}
		by, parent = a.holding(token.Secret).at(within(a.bearer(token.Secret).Networks)), ""
		f.secrets = append(f.secrets, token.Secret)
	}
	return f
}

// within is one of some addresses that the networks have; the first if none.
func within(networks string) string {
	for _, address := range someAddresses {
		if directory.Allows(networks, address) {
			return address
		}
	}
	return someAddresses[0]
}

// change narrows the key, moves its creator, or ends something.
func (f *family) change() {
	roles := f.Charter.Roles()
	switch rapid.SampledFrom([]string{"narrow", "narrow", "role", "suspend", "return", "leave", "revoke"}).Draw(f.t, "change") {
	case "narrow":
		_, _ = f.ada.narrows(f.key, f.scoping(f.t, f.Charter.IDs(f.Charter.All()))) // a wider one is refused, and changes nothing
	case "role":
		f.becomes(f.who, string(rapid.SampledFrom(roles).Draw(f.t, "role").ID))
	case "suspend":
		f.is(f.who, "suspended")
	case "return":
		f.is(f.who, "active")
	case "leave":
		f.is(f.who, "removed")
	case "revoke":
		_ = f.ada.endsToken(f.bearer(rapid.SampledFrom(f.secrets).Draw(f.t, "which")).ID) // the key's id is no token's
	}
}

// compare fails unless each child may only what its parent may, from where its parent may.
func (f *family) compare() {
	now := f.Now().UnixMicro()
	parent := f.bearer(f.secrets[0])
	for n, secret := range f.secrets[1:] {
		child := f.bearer(secret)
		if parent.Dead && !child.Dead {
			f.t.Fatalf("token %d lives and its parent is dead", n)
		}
		for _, info := range f.Charter.Permissions() {
			for _, thing := range somethings {
				q := decide.Ask(f.Charter, info.ID, thing)
				if !child.Dead && decide.Decide(&child.Principal, q, now).Allow && !decide.Decide(&parent.Principal, q, now).Allow {
					f.t.Fatalf("token %d may %s on %q, and its parent may not:\n%+v\n%+v", n, info.ID, thing, child, parent)
				}
			}
		}
		if i := slices.IndexFunc(someAddresses, func(from string) bool {
			return directory.Allows(child.Networks, from) && !directory.Allows(parent.Networks, from)
		}); i >= 0 {
			f.t.Fatalf("token %d may be used from %s, and its parent may not", n, someAddresses[i])
		}
		if parent.ExpiresAt != 0 && (child.ExpiresAt == 0 || child.ExpiresAt > parent.ExpiresAt) {
			f.t.Fatalf("token %d ends after its parent", n)
		}
		parent = child
	}
}
