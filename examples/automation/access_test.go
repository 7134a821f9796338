package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

// TestEveryCellOfTheCharter drives each request of the product as each role, with a session, a key and a scoped token of
// that role. What they may is read from the charter.
func TestEveryCellOfTheCharter(t *testing.T) {
	f := start(t)
	asked := charter.Set{}
	for _, role := range f.hall.Charter().Roles() {
		for name, secret := range f.credentialsOf(f.acme.People[role.ID]) {
			for _, route := range f.hall.Charter().Routes {
				need, _ := f.hall.Charter().Need(route.Needs)
				f.cell(string(role.ID)+"'s "+name, secret, &route, need.SubsetOf(role.Holds))
				asked = asked.Union(need)
			}
		}
	}
	for _, p := range f.hall.Charter().Permissions() {
		if !p.Own && p.Bit >= 0 && !asked.Has(p.Bit) {
			t.Errorf("no request of the product needs %s", p.ID)
		}
	}
	f.hall.Sound()
}

// cell sends one request about things of Acme.
func (f *platform) cell(who, secret string, r *charter.Route, allowed bool) {
	f.t.Helper()
	if f.things == (belongings{}) {
		f.things = f.belongingsOf(f.acme)
	}
	got := f.sends(secret, r.Method, f.things.path(r)+"?organization=acme", f.body(r))
	if r.Method == http.MethodDelete && got.status == http.StatusNoContent {
		f.things = belongings{} // one of them is gone
	}
	if allowed && got.status/100 != 2 {
		f.t.Errorf("%s may not %s: %d %s", who, r, got.status, got.body)
	}
	if !allowed && (got.status != http.StatusForbidden || field[string](f.t, got, "needs") != string(r.Needs)) {
		f.t.Errorf("%s may %s: %d %s; want 403, needs %s", who, r, got.status, got.body, r.Needs)
	}
}

// credentialsOf are all kinds of credentials that a person can have.
func (f *platform) credentialsOf(p *guildhalltest.Person) map[string]string {
	all := map[string]string{"session": p.Token}
	role, _ := f.hall.Charter().Role(p.Role)
	if need, _ := f.hall.Charter().Need("keys.create_own"); need.SubsetOf(role.Holds) {
		all["key"] = f.key(p, nil).Secret
	}
	if need, _ := f.hall.Charter().Need("tokens.create"); need.SubsetOf(role.Holds) {
		all["token"] = f.token(p, credential.CreateTokenInput{}).Secret
	}
	return all
}

func (f *platform) key(p *guildhalltest.Person, permissions []charter.Permission) credential.NewKey {
	f.t.Helper()
	made, err := credential.CreateKey.Call(p.Ctx(), f.hall.Service(), credential.CreateKeyInput{InOrganization: f.acme.In(), Name: "ci", Scoping: credential.Scoping{Permissions: permissions}})
	if err != nil {
		f.t.Fatalf("key of %s: %v", p.Email, err)
	}
	return made
}

func (f *platform) token(p *guildhalltest.Person, in credential.CreateTokenInput) credential.NewToken {
	f.t.Helper()
	in.InOrganization = f.acme.In()
	made, err := credential.CreateToken.Call(p.Ctx(), f.hall.Service(), in)
	if err != nil {
		f.t.Fatalf("token of %s: %v", p.Email, err)
	}
	return made
}

// TestAKeyDoesWhatItsScopesSay gives a key of the owner one permission after the other.
func TestAKeyDoesWhatItsScopesSay(t *testing.T) {
	f := start(t)
	for _, p := range f.hall.Charter().Permissions() {
		if p.Own {
			continue
		}
		secret := f.key(f.acme.Owner(), []charter.Permission{p.ID}).Secret
		for _, route := range f.hall.Charter().Routes {
			f.cell("a key for "+string(p.ID), secret, &route, route.Needs == p.ID)
		}
	}
}

// TestATokenForOneWorkflowSeesNoOther: and no list either.
func TestATokenForOneWorkflowSeesNoOther(t *testing.T) {
	f := start(t)
	mine, other := f.belongingsOf(f.acme), f.belongingsOf(f.acme)
	secret := f.token(f.acme.Owner(), credential.CreateTokenInput{Scoping: credential.Scoping{
		Permissions: []charter.Permission{"workflows.view", "workflows.run"}, Resources: []string{"workflow:" + mine.workflow}}}).Secret
	for _, c := range []struct {
		method, path string
		status       int
		reason       string
	}{
		{"POST", "/api/workflows/" + mine.workflow + "/run", http.StatusAccepted, ""},
		{"GET", "/api/workflows/" + mine.workflow, http.StatusOK, ""},
		{"GET", "/api/executions/" + mine.execution, http.StatusOK, ""},
		{"GET", "/api/executions/" + other.execution, http.StatusForbidden, "other_resource"},
		{"GET", "/api/executions/ex_unknown", http.StatusForbidden, "other_resource"},
		{"GET", "/api/workflows/" + other.workflow, http.StatusForbidden, "other_resource"},
		{"POST", "/api/workflows/" + other.workflow + "/run", http.StatusForbidden, "other_resource"},
		{"GET", "/api/workflows", http.StatusForbidden, "other_resource"},
		{"GET", "/api/executions", http.StatusForbidden, "other_resource"},
		{"DELETE", "/api/workflows/" + mine.workflow, http.StatusForbidden, "out_of_scope"},
		{"GET", "/api/artifacts/" + mine.artifact, http.StatusForbidden, "out_of_scope"},
	} {
		got := f.sends(secret, c.method, c.path, "")
		if got.status != c.status || c.reason != "" && field[string](t, got, "reason") != c.reason {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.path, got.status, got.body, c.status, c.reason)
		}
	}
}

// TestNobodySeesAnotherOrganization sends every request about Acme's things with Globex's credentials, and without any.
func TestNobodySeesAnotherOrganization(t *testing.T) {
	f := start(t)
	acme, boss := f.belongingsOf(f.acme), f.globex().Owner()
	key, err := credential.CreateKey.Call(boss.Ctx(), f.hall.Service(), credential.CreateKeyInput{InOrganization: f.globex().In(), Name: "globex"})
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range f.hall.Charter().Routes {
		path, named := acme.path(&route), strings.Contains(route.Pattern, "{")
		for _, c := range []struct {
			who, secret, query string
			status             int
		}{
			{"nobody", "", "?organization=acme", http.StatusUnauthorized},
			{"a mistyped key", key.Secret + "x", "", http.StatusUnauthorized},
			{"a person of Globex who names Acme", boss.Token, "?organization=acme", http.StatusForbidden},
			{"a person of Globex who names nobody", boss.Token, "", http.StatusForbidden},
			{"a key of Globex that names Acme", key.Secret, "?organization=acme", http.StatusForbidden},
			{"a person of Globex", boss.Token, "?organization=globex", http.StatusNotFound},
			{"a key of Globex", key.Secret, "", http.StatusNotFound},
		} {
			got := f.sends(c.secret, route.Method, path+c.query, f.body(&route))
			if !named && c.status == http.StatusNotFound {
				c.status = got.status // their own list
			}
			if got.status != c.status || strings.Contains(got.body, "of acme") {
				t.Errorf("%s: %s answers %d %s, want %d", c.who, &route, got.status, got.body, c.status)
			}
		}
	}
}

// TestWhoeverLosesAccessIsRefusedAtTheNextRequest ends access in every way. T-038
func TestWhoeverLosesAccessIsRefusedAtTheNextRequest(t *testing.T) {
	f := start(t)
	owner, service := f.acme.Owner(), f.hall.Service()
	member := func(p *guildhalltest.Person) directory.MemberInput {
		return directory.MemberInput{InOrganization: f.acme.In(), Member: p.Member}
	}
	for i, c := range []struct {
		way    string
		made   func(p *guildhalltest.Person) (secret string, end func() error)
		status int
	}{
		{"a member is removed", func(p *guildhalltest.Person) (string, func() error) {
			return p.Token, func() error {
				_, err := directory.RemoveMember.Call(owner.Ctx(), service, directory.EndMemberInput{MemberInput: member(p)})
				return err
			}
		}, http.StatusForbidden},
		{"a key's creator is removed", func(p *guildhalltest.Person) (string, func() error) {
			return f.key(p, nil).Secret, func() error {
				_, err := directory.RemoveMember.Call(owner.Ctx(), service, directory.EndMemberInput{MemberInput: member(p)})
				return err
			}
		}, http.StatusUnauthorized},
		{"a member becomes a viewer", func(p *guildhalltest.Person) (string, func() error) {
			return f.key(p, nil).Secret, func() error {
				_, err := directory.UpdateMember.Call(owner.Ctx(), service, directory.UpdateMemberInput{MemberInput: member(p), Role: new("viewer")})
				return err
			}
		}, http.StatusForbidden},
		{"a key is revoked", func(p *guildhalltest.Person) (string, func() error) {
			key := f.key(p, nil)
			return key.Secret, func() error {
				_, err := credential.RevokeKey.Call(owner.Ctx(), service, credential.RevokeKeyInput{KeyInput: credential.KeyInput{InOrganization: f.acme.In(), Key: key.ID}})
				return err
			}
		}, http.StatusUnauthorized},
		{"a token is revoked", func(p *guildhalltest.Person) (string, func() error) {
			token := f.token(p, credential.CreateTokenInput{})
			return token.Secret, func() error {
				_, err := credential.RevokeToken.Call(owner.Ctx(), service, credential.RevokeTokenInput{InOrganization: f.acme.In(), Token: token.ID})
				return err
			}
		}, http.StatusUnauthorized},
		{"a person signs out", func(p *guildhalltest.Person) (string, func() error) {
			return p.Token, func() error {
				_, err := credential.RevokeSessions.Call(p.Ctx(), service, credential.RevokeSessionsInput{})
				return err
			}
		}, http.StatusUnauthorized},
	} {
		secret, end := c.made(f.acme.Join(fmt.Sprintf("leaver%d@acme.test", i), "editor"))
		f.makes(secret, "POST", "/api/workflows?organization=acme", `{"name":"last","steps":[{"do":"write"}]}`)
		if err := end(); err != nil {
			t.Fatalf("%s: %v", c.way, err)
		}
		got := f.sends(secret, "POST", "/api/workflows?organization=acme", `{"name":"late","steps":[{"do":"write"}]}`)
		if got.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.way, got.status, got.body, c.status)
		}
	}
	f.hall.Sound()
}
