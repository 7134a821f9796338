package access_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/access"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
)

// TestASearchFindsWhomACheckAllows searches page by page, and compares with the check of each.
func TestASearchFindsWhomACheckAllows(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		globex, _ := h.Found("globex", "glen@globex.test")
		all := []string{ada.User}
		for i := range 12 {
			p := h.Join(acme, fmt.Sprintf("p%d@acme.test", i), []string{"viewer", "editor", "editor"}[i%3])
			all = append(all, p.User)
			switch i {
			case 4:
				h.Exec("UPDATE members SET status = 'suspended' WHERE id = $1", p.Member)
			case 5:
				h.Exec("UPDATE members SET ends_at = $2 WHERE id = $1", p.Member, h.Now().UnixMicro())
			}
		}
		h.Enter(globex, person{User: all[2], Email: "p1@acme.test"}, "viewer")
		slices.Sort(all)
		for _, resource := range []check.Resource{check.Whole("acme"), check.Whole(acme), check.On("workflow", "wf_1").In("acme")} {
			for _, permission := range []charter.Permission{"workflows.run", "workflows.view", "billing.manage", "workflows.juggle"} {
				var want []string
				for _, u := range all {
					if ask(t, h, user(u), permission, resource).Allow {
						want = append(want, u)
					}
				}
				got := pagesOf(t, 3, func(after string) ([]string, string, error) {
					return h.Access.SearchSubjects(t.Context(), access.SubjectSearch{Permission: permission, Resource: resource, After: after, Limit: 3})
				})
				if !slices.Equal(got, want) {
					t.Errorf("%s on %v: %v, want %v", permission, resource, got, want)
				}
			}
		}
		for _, r := range []check.Resource{check.Whole("initech"), check.Whole(""), check.On("workflow", "wf_1"), check.On("spaceship", "x").In("acme")} {
			if ids, _, err := h.Access.SearchSubjects(t.Context(), access.SubjectSearch{Permission: "workflows.run", Resource: r}); err != nil || len(ids) != 0 {
				t.Errorf("on %v: %v, %v", r, ids, err)
			}
		}
		organizations := pagesOf(t, 1, func(after string) ([]string, string, error) {
			return h.Access.SearchResources(t.Context(), access.ResourceSearch{Subject: user(all[2]), Permission: "workflows.view", Type: check.Organization, After: after, Limit: 1})
		})
		if want := []string{acme, globex}; !slices.Equal(organizations, want) {
			t.Errorf("organizations are %v, want %v", organizations, want)
		}
	})
}

// pagesOf goes through all pages. Each but the last is full.
func pagesOf(t *testing.T, full int, page func(after string) ([]string, string, error)) (all []string) {
	t.Helper()
	for after := ""; ; {
		ids, next, err := page(after)
		must(t, err)
		all = append(all, ids...)
		if next == "" {
			return all
		}
		if len(ids) != full || next <= after {
			t.Fatalf("a page of %v leads from %q to %q", ids, after, next)
		}
		after = next
	}
}

func TestResourcesAndActionsOfACredential(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, _ := h.Found("acme", "ada@acme.test")
	bob := h.Join(acme, "bob@acme.test", "editor")
	full := h.Key(acme, bob, nil).Secret
	one := h.Token(acme, bob, func(k *tokenRow) {
		k.Resources, k.Permissions, k.Budget = "artifact:* workflow:wf_1 workflow:wf_2", []charter.Permission{"workflows.run", "artifacts.view"}, 5
	}).Secret
	office := h.Key(acme, bob, func(k *keyRow) { k.Networks = "10.0.0.0/8" }).Secret
	for _, c := range []struct {
		name       string
		secret     string
		permission charter.Permission
		kind, from string
		want       []string
	}{
		{"a key on workflows", full, "workflows.run", "workflow", "", []string{"*"}},
		{"a key on organizations", full, "workflows.run", check.Organization, "", []string{acme}},
		{"a key beyond its role", full, "billing.manage", check.Organization, "", nil},
		{"a limited token", one, "workflows.run", "workflow", "", []string{"wf_1", "wf_2"}},
		{"a limited token on any of a type", one, "artifacts.view", "artifact", "", []string{"*"}},
		{"a limited token beyond its scopes", one, "workflows.edit", "workflow", "", nil},
		{"a limited token on organizations", one, "workflows.run", check.Organization, "", nil},
		{"a key from its network", office, "workflows.run", "workflow", "10.0.0.1", []string{"*"}},
		{"a key from elsewhere", office, "workflows.run", "workflow", "203.0.113.7", nil},
		{"a type that there is not", full, "workflows.run", "spaceship", "", nil},
		{"a session without an organization", bob.Token, "workflows.run", "workflow", "", nil},
		{"a session's organizations", bob.Token, "workflows.run", check.Organization, "", []string{acme}},
		{"nobody", "gld_live_nothing", "workflows.run", "workflow", "", nil},
	} {
		got, next, err := h.Access.SearchResources(t.Context(), access.ResourceSearch{Subject: sent(c.secret), Permission: c.permission, Type: c.kind, Address: c.from})
		if err != nil || next != "" || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %q, %v; want %v", c.name, got, next, err, c.want)
		}
	}
	for _, c := range []struct {
		name     string
		secret   string
		resource check.Resource
	}{
		{"a key", full, check.Whole("")}, {"a limited token", one, check.On("workflow", "wf_1")}, {"a limited token elsewhere", one, check.On("workflow", "wf_3")},
		{"a limited token on everything", one, check.Whole("")}, {"a session", bob.Token, check.Whole("acme")}, {"nobody", "gld_live_nothing", check.Whole("")},
	} {
		var want []charter.Permission
		for _, info := range h.Charter.Permissions() {
			if ask(t, h, sent(c.secret), info.ID, c.resource).Allow {
				want = append(want, info.ID)
			}
		}
		got, err := h.Access.SearchActions(t.Context(), access.ActionSearch{Subject: sent(c.secret), Resource: c.resource})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, want)
		}
	}
}

func TestASearchDoesNotSpend(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	token := h.Token(acme, ada, func(k *tokenRow) { k.Budget = 5 }).Secret
	a := access.New(access.Config{Charter: h.Charter, Now: h.Now, Spend: spendNothing(t)})
	a.Attach(h.Service)
	if got, err := a.SearchActions(t.Context(), access.ActionSearch{Subject: sent(token), Resource: check.Whole("")}); err != nil || len(got) == 0 {
		t.Errorf("%v, %v", got, err)
	}
	if got, _, err := a.SearchResources(t.Context(), access.ResourceSearch{Subject: sent(token), Permission: "workflows.run", Type: "workflow"}); err != nil || len(got) == 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestIntrospectionSaysWhatACredentialIs(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := newHall(t, db, "automation")
		acme, ada := h.Found("acme", "ada@acme.test")
		bob, sue := h.Join(acme, "bob@acme.test", "editor"), h.Join(acme, "sue@acme.test", "editor")
		id, service := h.ServiceKey()
		h.Exec("UPDATE organizations SET region = 'eu-west-1' WHERE id = $1", acme)
		key := h.Key(acme, bob, func(k *keyRow) {
			k.Permissions = []charter.Permission{"workflows.view", "workflows.run", "billing.manage"}
		})
		token := h.Token(acme, bob, func(k *tokenRow) {
			k.Resources, k.Networks, k.ReadOnly = "workflow:wf_1", "10.0.0.0/8 192.0.2.7/32", true
		})
		revoked, suspended := h.Key(acme, ada, nil), h.Key(acme, sue, nil)
		h.Exec("UPDATE api_keys SET revoked_at = 1 WHERE organization = $1 AND id = $2", acme, revoked.ID)
		h.Exec("UPDATE members SET status = 'suspended' WHERE id = $1", sue.Member)
		introspect := func(secret, from string) (access.Introspection, error) {
			return access.Introspect.Call(h.As(service), h.Service, access.IntrospectInput{Credential: secret, Address: from})
		}
		got, err := introspect(key.Secret, "203.0.113.7")
		must(t, err)
		if want := (access.Introspection{Active: true, Kind: op.KeyActor, ID: key.ID, Name: "CI", User: bob.User, ExternalID: "ext-bob", Member: bob.Member,
			Organization: acme, Role: "editor", Permissions: []charter.Permission{"workflows.view", "workflows.run"}, Plan: "free", Region: "eu-west-1"}); !same(got, want) {
			t.Errorf("a key: %+v, want %+v", got, want)
		}
		got, err = introspect(token.Secret, "10.0.0.1")
		must(t, err)
		if got.Kind != op.TokenActor || !got.ReadOnly || !slices.Equal(got.Resources, []string{"workflow:wf_1"}) || !slices.Equal(got.Networks, []string{"10.0.0.0/8 192.0.2.7/32"}) ||
			slices.Contains(got.Permissions, "workflows.run") || got.ExpiresAt.IsZero() {
			t.Errorf("a token: %+v", got)
		}
		got, err = introspect(bob.Token, "")
		must(t, err)
		if want := (access.Introspection{Active: true, Kind: op.UserActor, ID: bob.Session, Name: "Bob", User: bob.User, ExternalID: "ext-bob", ExpiresAt: got.ExpiresAt}); !same(got, want) {
			t.Errorf("a session: %+v, want %+v", got, want)
		}
		if got, err = introspect(service, ""); err != nil || got.Kind != op.ServiceActor || got.ID != id || len(got.Permissions) > 0 {
			t.Errorf("a service key: %+v, %v", got, err)
		}
		for name, c := range map[string][2]string{"revoked": {revoked.Secret}, "of somebody suspended": {suspended.Secret}, "from elsewhere": {token.Secret, "203.0.113.7"},
			"malformed": {"gld_live_nothing"}, "empty": {}} {
			if got, err := introspect(c[0], c[1]); err != nil || !same(got, access.Introspection{}) {
				t.Errorf("%s: %+v, %v; want that it is not active, and nothing else", name, got, err)
			}
		}
	})
}

func same(a, b access.Introspection) bool { return reflect.DeepEqual(a, b) }

func spendNothing(t *testing.T) func(context.Context, []string) (bool, error) {
	return func(context.Context, []string) (bool, error) {
		t.Error("a search is counted as a request")
		return true, nil
	}
}

// TestIntrospectionKeepsNoSecret looks for the secret in everything that is told, logged and stored.
func TestIntrospectionKeepsNoSecret(t *testing.T) {
	h := newHall(t, testdb.SQLite(t), "automation")
	acme, ada := h.Found("acme", "ada@acme.test")
	key := h.Key(acme, ada, nil).Secret
	_, service := h.ServiceKey()
	for name, as := range map[string]context.Context{"the back end": h.As(service), "a person": h.As(ada.Token), "the key itself": h.As(key)} {
		for _, sent := range []string{key, key + "x", strings.Repeat(key, 30)} {
			out, err := access.Introspect.Call(as, h.Service, access.IntrospectInput{Credential: sent, Address: "nowhere"})
			if told := fmt.Sprintf("%+v %+v", out, err); strings.Contains(told, key[9:30]) {
				t.Errorf("%s is told the secret: %s", name, told)
			}
			if name != "the back end" && err == nil {
				t.Errorf("%s is told %+v", name, out)
			}
		}
	}
	must(t, h.Service.WriteRefusals(t.Context()))
	if stored := h.Stored("detail FROM audit_rows", "body FROM audit_subjects", "output FROM idempotency"); strings.Contains(stored, key[9:30]) {
		t.Error("the secret is stored")
	}
}
