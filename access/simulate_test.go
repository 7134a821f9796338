package access_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

func TestASimulationSaysWhoGainsAndLoses(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		bob, cyd, vic := h.Join(acme, "bob@acme.test", "editor"), h.Join(acme, "cyd@acme.test", "editor"), h.Join(acme, "vic@acme.test", "viewer")
		gone := h.Join(acme, "gone@acme.test", "editor")
		h.Exec("UPDATE members SET status = 'removed' WHERE id = $1", gone.Member)
		h.Key(acme, gone, func(k *keyRow) { k.Name = "dead" })
		h.Key(acme, bob, func(k *keyRow) { k.Name = "bob-all" })
		h.Key(acme, bob, func(k *keyRow) { k.Name, k.Permissions = "bob-views", []charter.Permission{"workflows.view"} })
		h.Token(acme, cyd, func(k *tokenRow) { k.Name, k.Permissions = "cyd-runs", []charter.Permission{"workflows.run"} })
		h.Token(acme, cyd, func(k *tokenRow) { k.Name, k.ReadOnly = "cyd-reads", true })
		h.Exec(`INSERT INTO service_accounts (id, organization, name, name_folded, description, role, manager, version, created_by, created_at, deleted_at)
			VALUES ('sva_1', $1, 'robot', 'robot', '', 'editor', '', 1, '', 0, 0)`, acme)
		without := func(role string, gone charter.Permission) *access.SimulatedRole {
			r, _ := h.Charter.Role(charter.RoleID(role))
			var left []charter.Permission
			for _, p := range h.Charter.IDs(r.Holds) {
				if p != gone {
					left = append(left, p)
				}
			}
			return &access.SimulatedRole{ID: role, Permissions: left}
		}
		text := string(charter.Source("automation"))
		for _, c := range []struct {
			name                 string
			in                   access.SimulateInput
			gains, loses, breaks string // names with what they gain or lose, or that they end
		}{
			{"a role loses something", access.SimulateInput{Role: without("editor", "workflows.run")}, "",
				"Bob workflows.run; Cyd workflows.run", "bob-all workflows.run; cyd-runs workflows.run"},
			{"a role gains something", access.SimulateInput{Role: &access.SimulatedRole{ID: "viewer", Permissions: append(h.Charter.IDs(mustRole(h, "viewer").Holds), "logs.view")}},
				"Vic logs.view", "", ""},
			{"a member is raised", access.SimulateInput{Member: &access.SimulatedMember{ID: vic.Member, Role: "owner"}}, "Vic *", "", ""},
			{"a member is lowered", access.SimulateInput{Member: &access.SimulatedMember{ID: bob.Member, Role: "viewer"}}, "", "Bob *", "bob-all *"},
			{"a member is removed", access.SimulateInput{RemoveMember: cyd.Member}, "", "Cyd *", "cyd-reads ends; cyd-runs ends"},
			{"the same charter", access.SimulateInput{Charter: text}, "", "", ""},
			{"another charter", access.SimulateInput{Charter: strings.Replace(text, "      - workflows.run\n", "", 1)}, "",
				"Bob workflows.run; Cyd workflows.run", "bob-all workflows.run; cyd-runs workflows.run"},
		} {
			c.in.InOrganization = in("acme")
			if c.name == "another charter" {
				c.in.Charter = text[:strings.Index(text, "\ntests:")]
				c.in.Charter = strings.Replace(c.in.Charter, "      - workflows.run\n", "", 1)
			}
			got, err := access.Simulate.Call(h.As(ada.Token), h.Service, c.in)
			must(t, err)
			for what, pair := range map[string][2]string{"gains": {changed(got.Gains, c.gains), c.gains}, "loses": {changed(got.Loses, c.loses), c.loses}, "breaks": {broken(got.Breaks, c.breaks), c.breaks}} {
				if pair[0] != pair[1] {
					t.Errorf("%s: %s %q, want %q", c.name, what, pair[0], pair[1])
				}
			}
			if (len(got.Charter) > 0) != (c.name == "another charter") || got.Summary == "" {
				t.Errorf("%s: the charter's changes are %v, and in short %q", c.name, got.Charter, got.Summary)
			}
		}
	})
}

// TestASimulationSeesServiceAccounts takes from a role what a service account and its key live by.
func TestASimulationSeesServiceAccounts(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "documents")
	acme, ada := h.Found("acme", "ada@acme.test")
	h.Exec(`INSERT INTO service_accounts (id, organization, name, name_folded, description, role, manager, version, created_by, created_at, deleted_at)
		VALUES ('sva_1', $1, 'robot', 'robot', '', 'member', '', 1, '', 0, 0)`, acme)
	h.Key(acme, ada, func(k *keyRow) { k.Name, k.Kind, k.Member, k.Account = "robot's", "organization", "", "sva_1" })
	h.Key(acme, ada, func(k *keyRow) { k.Name, k.Kind, k.Member = "everybody's", "organization", "" })
	got, err := access.Simulate.Call(h.As(ada.Token), h.Service, access.SimulateInput{InOrganization: in("acme"),
		Role: &access.SimulatedRole{ID: "member", Permissions: []charter.Permission{"pipelines.use", "processors.use", "files.use", "usage.view"}}})
	must(t, err)
	if want, got := "robot's api.call; robot api.call", broken(got.Breaks, ""); got != want {
		t.Errorf("breaks %q, want %q", got, want)
	}
}

func mustRole(h *hall, id charter.RoleID) *charter.Role {
	role, _ := h.Charter.Role(id)
	return role
}

// changed names members with what changes; want may say * for anything.
func changed(m access.MembersChanged, want string) string {
	var all []string
	for _, one := range m.Data {
		all = append(all, one.Name+" "+said(one.Permissions, strings.Contains(want, "*")))
	}
	return strings.Join(all, "; ")
}

func broken(b access.ThingsBroken, want string) string {
	var all []string
	for _, one := range b.Data {
		if one.Ends {
			all = append(all, one.Name+" ends")
			continue
		}
		all = append(all, one.Name+" "+said(one.Permissions, strings.Contains(want, "*")))
	}
	return strings.Join(all, "; ")
}

func said(permissions []charter.Permission, any bool) string {
	if any && len(permissions) > 0 {
		return "*"
	}
	return spaced(permissions)
}

// TestASimulationIsWhatThenHappens simulates, makes the change, and compares what everybody holds.
func TestASimulationIsWhatThenHappens(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	key := h.Key(acme, bob, func(k *keyRow) { k.Permissions = []charter.Permission{"workflows.run", "workflows.view", "keys.view"} })
	holds := func(s check.Subject) map[charter.Permission]bool {
		all, err := h.Access.SearchActions(t.Context(), access.ActionSearch{Subject: s, Resource: check.Whole(acme)})
		must(t, err)
		set := map[charter.Permission]bool{}
		for _, p := range all {
			set[p] = true
		}
		return set
	}
	lost := func(before, after map[charter.Permission]bool) (n int) {
		for p := range before {
			if !after[p] {
				n++
			}
		}
		return n
	}
	person, robot := holds(user(bob.User)), holds(sent(key.Secret))
	got, err := access.Simulate.Call(h.As(ada.Token), h.Service, access.SimulateInput{InOrganization: in("acme"), Member: &access.SimulatedMember{ID: bob.Member, Role: "viewer"}})
	must(t, err)
	_, err = directory.UpdateMember.Call(h.As(ada.Token), h.Service, directory.UpdateMemberInput{
		MemberInput: directory.MemberInput{InOrganization: in(acme), Member: bob.Member}, Role: new("viewer")})
	must(t, err)
	if n := lost(person, holds(user(bob.User))); len(got.Loses.Data) != 1 || len(got.Loses.Data[0].Permissions) != n {
		t.Errorf("%d permissions are lost, and the simulation said %+v", n, got.Loses)
	}
	if n := lost(robot, holds(sent(key.Secret))); len(got.Breaks.Data) != 1 || len(got.Breaks.Data[0].Permissions) != n || n == 0 {
		t.Errorf("the key loses %d permissions, and the simulation said %+v", n, got.Breaks)
	}
}

func TestASimulationIsRefused(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	_, glen := h.Found("globex", "glen@globex.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	lower := access.SimulateInput{Member: &access.SimulatedMember{ID: bob.Member, Role: "viewer"}}
	for _, c := range []struct {
		name string
		as   string
		in   access.SimulateInput
		want string
	}{
		{"an editor", bob.Token, lower, "denied"}, {"a stranger", glen.Token, lower, "not_found"},
		{"nothing to change", ada.Token, access.SimulateInput{}, "invalid"},
		{"no such member", ada.Token, access.SimulateInput{RemoveMember: glen.Member}, "invalid"},
		{"no such role", ada.Token, access.SimulateInput{Role: &access.SimulatedRole{ID: "king"}}, "invalid"},
		{"no such role for a member", ada.Token, access.SimulateInput{Member: &access.SimulatedMember{ID: bob.Member, Role: "king"}}, "invalid"},
		{"no such permission", ada.Token, access.SimulateInput{Role: &access.SimulatedRole{ID: "editor", Permissions: []charter.Permission{"workflows.juggle"}}}, "invalid"},
		{"a charter that is none", ada.Token, access.SimulateInput{Charter: "product: [}"}, "invalid"},
		{"two members", ada.Token, access.SimulateInput{Member: lower.Member, RemoveMember: bob.Member}, "invalid"},
	} {
		c.in.InOrganization = in("acme")
		_, err := access.Simulate.Call(h.As(c.as), h.Service, c.in)
		h.Refused(c.name, err, c.want)
	}
}

// TestASimulationNamesTwenty bounds what is named, and counts the rest.
func TestASimulationNamesTwenty(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	for i := range 25 {
		h.Key(acme, h.Join(acme, "p"+string(rune('a'+i))+"@acme.test", "editor"), nil)
	}
	got, err := access.Simulate.Call(h.As(ada.Token), h.Service, access.SimulateInput{InOrganization: in("acme"),
		Role: &access.SimulatedRole{ID: "editor", Permissions: []charter.Permission{"workflows.view"}}})
	must(t, err)
	if len(got.Loses.Data) != 20 || got.Loses.More != 5 || len(got.Breaks.Data) != 20 || got.Breaks.More != 5 || got.Gains.More != 0 {
		t.Errorf("%d and %d more lose, %d and %d more break", len(got.Loses.Data), got.Loses.More, len(got.Breaks.Data), got.Breaks.More)
	}
	if want := "0 members gain, 25 lose, 25 keys, tokens or service accounts break"; got.Summary != want {
		t.Errorf("in short: %q, want %q", got.Summary, want)
	}
}
