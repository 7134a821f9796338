package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

// TestTheRoutesAreTheCharters compares what the product wants granted with what Guildhall is asked.
func TestTheRoutesAreTheCharters(t *testing.T) {
	c, err := charter.Ready("gateway")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range (*product)(nil).routes() {
		got[r.pattern] = string(r.needs) + " on " + r.on
	}
	for _, r := range c.Routes {
		if r.Public {
			continue
		}
		want := string(r.Needs) + " on " + strings.TrimSuffix(r.On, ":{id}")
		if got[r.String()] != want {
			t.Errorf("%s: the product wants %q, and the charter says %q", r.String(), got[r.String()], want)
		}
		delete(got, r.String())
	}
	for pattern := range got {
		t.Errorf("%s is not in the charter", pattern)
	}
}

// TestEveryCellOfTheCharter drives each request of the product as each role, with a session, a browser's cookie, a key and a
// scoped token of that role. What they may is read from the charter.
func TestEveryCellOfTheCharter(t *testing.T) {
	behindEach(t, func(t *testing.T, s *street) {
		asked := charter.Set{}
		for _, role := range s.hall.Charter().Roles() {
			for name, carrying := range s.credentialsOf(s.acme.People[role.ID]) {
				for _, route := range s.routesOfCharter() {
					need, _ := s.hall.Charter().Need(route.Needs)
					s.cell(string(role.ID)+"'s "+name, carrying, &route, need.SubsetOf(role.Holds))
					asked = asked.Union(need)
				}
			}
		}
		for _, p := range s.hall.Charter().Permissions() {
			if !p.Own && p.Bit >= 0 && !asked.Has(p.Bit) {
				t.Errorf("no request of the product needs %s", p.ID)
			}
		}
		s.hall.Sound()
	})
}

// routesOfCharter are the charter's routes that need anything.
func (s *street) routesOfCharter() []charter.Route {
	return slices.DeleteFunc(slices.Clone(s.hall.Charter().Routes), func(r charter.Route) bool { return r.Public })
}

// cell sends one request about things of Acme.
func (s *street) cell(who string, carrying func(*http.Request), r *charter.Route, allowed bool) {
	s.t.Helper()
	if s.things == (belongings{}) {
		s.things = s.belongingsOf(s.acme, s.acme.Owner())
	}
	got := s.sends(r.Method, s.things.path(r), s.body(r, s.things), carrying)
	if r.Method == http.MethodDelete && got.status == http.StatusNoContent {
		s.things = belongings{} // one of them is gone
	}
	if allowed && got.status/100 != 2 {
		s.t.Errorf("%s may not %s: %d %s", who, r, got.status, got.body)
	}
	if !allowed && (got.status != http.StatusForbidden || field[string](s.t, got, "needs") != string(r.Needs)) {
		s.t.Errorf("%s may %s: %d %s; want 403, needs %s", who, r, got.status, got.body, r.Needs)
	}
}

// credentialsOf are all kinds of credentials that a person can have, and the ways to send them. The key has every
// permission of its creator that a request of the product needs.
func (s *street) credentialsOf(p *guildhalltest.Person) map[string]func(*http.Request) {
	all := map[string]func(*http.Request){"session": bearer(p.Token), "cookie": cookie(p.Token)}
	scoping := credential.Scoping{Permissions: s.held(p)}
	if s.holds(p, "keys.create_own") {
		all["key"] = bearer(s.key(p, scoping).Secret)
	}
	if s.holds(p, "tokens.create") {
		made, err := credential.CreateToken.Call(p.Ctx(), s.hall.Service(), credential.CreateTokenInput{InOrganization: s.acme.In(), Scoping: scoping})
		if err != nil {
			s.t.Fatalf("token of %s: %v", p.Email, err)
		}
		all["token"] = bearer(made.Secret)
	}
	return all
}

func (s *street) holds(p *guildhalltest.Person, permission charter.Permission) bool {
	role, _ := s.hall.Charter().Role(p.Role)
	need, _ := s.hall.Charter().Need(permission)
	return need.SubsetOf(role.Holds)
}

// held are the permissions that requests of the product need and a person holds.
func (s *street) held(p *guildhalltest.Person) (held []charter.Permission) {
	for _, r := range s.routesOfCharter() {
		if s.holds(p, r.Needs) && !slices.Contains(held, r.Needs) {
			held = append(held, r.Needs)
		}
	}
	return held
}

func (s *street) key(p *guildhalltest.Person, scoping credential.Scoping) credential.NewKey {
	s.t.Helper()
	made, err := credential.CreateKey.Call(p.Ctx(), s.hall.Service(), credential.CreateKeyInput{InOrganization: s.acme.In(), Name: "laptop", Kind: charter.PersonalKey, Scoping: scoping})
	if err != nil {
		s.t.Fatalf("key of %s: %v", p.Email, err)
	}
	return made
}

// TestAnOrganizationsKeyCallsAndMakesNothing: it does what the charter lets keys of an organization do, and nothing else.
func TestAnOrganizationsKeyCallsAndMakesNothing(t *testing.T) {
	s := behind(t, (*street).nginx)
	made, err := credential.CreateKey.Call(s.acme.Owner().Ctx(), s.hall.Service(), credential.CreateKeyInput{InOrganization: s.acme.In(), Name: "production", Kind: charter.OrganizationKey})
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range s.routesOfCharter() {
		need, _ := s.hall.Charter().Need(route.Needs)
		s.cell("a key of the organization", bearer(made.Secret), &route, need.SubsetOf(s.hall.Charter().Rules.Keys.OrganizationKeys))
	}
}

// TestNobodySeesAnotherOrganization sends every request about Acme's things with Globex's credentials, and without any.
func TestNobodySeesAnotherOrganization(t *testing.T) {
	behindEach(t, func(t *testing.T, s *street) {
		acme, boss := s.belongingsOf(s.acme, s.acme.Owner()), s.globex().Owner()
		key, err := credential.CreateKey.Call(boss.Ctx(), s.hall.Service(), credential.CreateKeyInput{InOrganization: s.globex().In(), Name: "globex", Kind: charter.PersonalKey})
		if err != nil {
			t.Fatal(err)
		}
		own := s.belongingsOf(s.globex(), boss)
		for _, route := range s.routesOfCharter() {
			for _, c := range []struct {
				who      string
				carrying func(*http.Request)
				status   int
			}{
				{"nobody", func(*http.Request) {}, http.StatusUnauthorized},
				{"a mistyped key", bearer(key.Secret + "x"), http.StatusUnauthorized},
				{"Globex's owner", bearer(boss.Token), http.StatusNotFound},
				{"Globex's owner who says that they are of Acme", func(r *http.Request) {
					bearer(boss.Token)(r)
					header(organizationHeader, s.acme.ID)(r)
				}, http.StatusNotFound},
			} {
				got := s.sends(route.Method, acme.path(&route), s.body(&route, own), c.carrying)
				if !strings.Contains(route.Pattern, "{") && c.status == http.StatusNotFound {
					c.status = got.status // their own list
				}
				if got.status != c.status || strings.Contains(got.body, "of_acme") {
					t.Errorf("%s: %s answers %d %s, want %d", c.who, &route, got.status, got.body, c.status)
				}
			}
		}
	})
}

// TestWhoeverLosesAccessIsRefusedAtTheNextRequest ends access in every way. T-038
func TestWhoeverLosesAccessIsRefusedAtTheNextRequest(t *testing.T) {
	s := behind(t, (*street).nginx)
	owner, service := s.acme.Owner(), s.hall.Service()
	revoked := func(key credential.NewKey) func() error {
		return func() error {
			_, err := credential.RevokeKey.Call(owner.Ctx(), service, credential.RevokeKeyInput{KeyInput: credential.KeyInput{InOrganization: s.acme.In(), Key: key.ID}})
			return err
		}
	}
	for i, c := range []struct {
		way    string
		made   func(p *guildhalltest.Person) (carrying func(*http.Request), end func() error)
		status int
	}{
		{"a member is removed", func(p *guildhalltest.Person) (func(*http.Request), func() error) {
			return cookie(p.Token), func() error { return s.removes(p) }
		}, http.StatusForbidden},
		{"a member becomes a reader", func(p *guildhalltest.Person) (func(*http.Request), func() error) {
			return bearer(s.key(p, credential.Scoping{}).Secret), func() error {
				_, err := directory.UpdateMember.Call(owner.Ctx(), service, directory.UpdateMemberInput{MemberInput: s.member(p), Role: new("reader")})
				return err
			}
		}, http.StatusForbidden},
		{"a key is revoked", func(p *guildhalltest.Person) (func(*http.Request), func() error) {
			key := s.key(p, credential.Scoping{})
			return bearer(key.Secret), revoked(key)
		}, http.StatusUnauthorized},
		{"a key that was left behind is revoked", func(p *guildhalltest.Person) (func(*http.Request), func() error) {
			key := s.key(p, credential.Scoping{})
			if err := s.removes(p); err != nil {
				t.Fatal(err)
			}
			return bearer(key.Secret), revoked(key)
		}, http.StatusUnauthorized},
		{"a person signs out", func(p *guildhalltest.Person) (func(*http.Request), func() error) {
			return cookie(p.Token), func() error {
				_, err := credential.RevokeSessions.Call(p.Ctx(), service, credential.RevokeSessionsInput{})
				return err
			}
		}, http.StatusUnauthorized},
	} {
		carrying, end := c.made(s.acme.Join(fmt.Sprintf("leaver%d@acme.test", i), "developer"))
		if got := s.sends("POST", "/api/prompts", `{"name":"last","text":"x"}`, carrying); got.status != http.StatusCreated {
			t.Fatalf("before %s: %d %s", c.way, got.status, got.body)
		}
		if err := end(); err != nil {
			t.Fatalf("%s: %v", c.way, err)
		}
		if got := s.sends("POST", "/api/prompts", `{"name":"late","text":"x"}`, carrying); got.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.way, got.status, got.body, c.status)
		}
	}
	s.hall.Sound()
}

func (s *street) member(p *guildhalltest.Person) directory.MemberInput {
	return directory.MemberInput{InOrganization: s.acme.In(), Member: p.Member}
}

func (s *street) removes(p *guildhalltest.Person) error {
	_, err := directory.RemoveMember.Call(s.acme.Owner().Ctx(), s.hall.Service(), directory.EndMemberInput{MemberInput: s.member(p)})
	return err
}
