package scim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/billing"
	"github.com/guildhall/guildhall/check"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/scim"
)

// company is an organization whose directory talks to a hall over HTTP.
type company struct {
	t     *testing.T
	hall  *guildhalltest.Hall
	acme  *guildhalltest.Organization
	url   string // of the server
	id    string // of the directory
	base  string // its path
	token string
}

// each runs a test on both databases, with a directory of Acme that gives everybody the role viewer.
func each(t *testing.T, test func(c *company)) {
	t.Helper()
	for _, dialect := range []sqldb.Dialect{sqldb.SQLite, sqldb.PostgreSQL} {
		t.Run(dialect.String(), func(t *testing.T) {
			h := guildhalltest.New(t, "automation", guildhalltest.OnDatabase(testdb.DSN(t, dialect)))
			c := &company{t: t, hall: h, acme: h.Organization("acme"), url: h.URL()}
			c.connects("Okta", "viewer", "suspend")
			test(c)
			if !t.Failed() {
				h.Sound()
			}
		})
	}
}

// buys gives the company the plan that has single sign-on.
func (c *company) buys() {
	c.t.Helper()
	plan, _ := c.hall.Charter().PlanWith(directory.SSO)
	if mine, err := billing.GetSubscription.Call(c.hall.Operator(), c.hall.Service(), billing.GetSubscriptionInput{InOrganization: c.acme.In()}); err != nil {
		c.t.Fatal(err)
	} else if mine.Plan == plan.ID {
		return
	}
	if _, err := billing.ChangeSubscription.Call(c.hall.Operator(), c.hall.Service(), billing.ChangeInput{
		WantedPlan: billing.WantedPlan{InOrganization: c.acme.In(), Plan: plan.ID}}); err != nil {
		c.t.Fatal(err)
	}
}

// connects makes a directory, which the company speaks by from now on.
func (c *company) connects(name, role, deactivation string) {
	c.t.Helper()
	c.buys()
	d, err := scim.CreateDirectory.Call(c.acme.Owner().Ctx(), c.hall.Service(), scim.CreateDirectoryInput{InOrganization: c.acme.In(), Name: name,
		DefaultRole: role, Deactivation: deactivation})
	if err != nil {
		c.t.Fatal(err)
	}
	c.id, c.token = d.ID, d.Secret
	c.base = strings.TrimPrefix(d.BaseURL, guildhalltest.BaseURL)
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at follows names and places into a body: at("emails", 0, "value").
func (r reply) at(way ...any) any {
	var v any = r.body
	for _, step := range way {
		switch s := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[s]
		case int:
			list, _ := v.([]any)
			if s >= len(list) {
				return nil
			}
			v = list[s]
		}
	}
	return v
}

func (r reply) id() string { s, _ := r.body["id"].(string); return s }

// does sends a request with the directory's token.
func (c *company) does(method, path, body string, headers ...string) reply {
	c.t.Helper()
	return c.sends(c.token, method, c.base+path, body, headers...)
}

func (c *company) sends(token, method, path, body string, headers ...string) reply {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/scim+json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	out := reply{status: answer.StatusCode, header: answer.Header, text: string(raw)}
	_ = json.Unmarshal(raw, &out.body)
	return out
}

// wants fails the test unless a request is answered with a status.
func (c *company) wants(status int, method, path, body string, headers ...string) reply {
	c.t.Helper()
	r := c.does(method, path, body, headers...)
	if r.status != status {
		c.t.Fatalf("%s %s %s: got %d %s, want %d", method, path, body, r.status, r.text, status)
	}
	return r
}

// hires tells of somebody, as Okta does, and gives their id there.
func (c *company) hires(name string) string {
	c.t.Helper()
	return c.wants(201, "POST", "/Users", newUser(name)).id()
}

func newUser(name string) string {
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%[1]s@acme.test","externalId":"ext-%[1]s",
		"name":{"givenName":"%[2]s","familyName":"Test"},"emails":[{"primary":true,"value":"%[1]s@acme.test","type":"work"}],
		"displayName":"%[2]s Test","active":true}`, name, strings.ToUpper(name[:1])+name[1:])
}

// groups tells of a group with people in it.
func (c *company) groups(name string, people ...string) string {
	c.t.Helper()
	return c.wants(201, "POST", "/Groups", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":%q,"members":[%s]}`, name, named(people))).id()
}

func named(people []string) string {
	all := make([]string, len(people))
	for i, p := range people {
		all[i] = fmt.Sprintf(`{"value":%q}`, p)
	}
	return strings.Join(all, ",")
}

// maps says which groups give which roles: pairs of a group and a role.
func (c *company) maps(by *guildhalltest.Person, pairs ...string) error {
	in := scim.UpdateDirectoryInput{DirectoryInput: scim.DirectoryInput{InOrganization: c.acme.In(), Directory: c.id}, Mapping: []scim.MapGroup{}}
	for i := 0; i < len(pairs); i += 2 {
		in.Mapping = append(in.Mapping, scim.MapGroup{Group: pairs[i], Role: pairs[i+1]})
	}
	_, err := scim.UpdateDirectory.Call(by.Ctx(), c.hall.Service(), in)
	return err
}

func (c *company) mustMap(pairs ...string) {
	c.t.Helper()
	if err := c.maps(c.acme.Owner(), pairs...); err != nil {
		c.t.Fatal(err)
	}
}

// member is what somebody is in Acme; the zero Member: none.
func (c *company) member(email string) directory.Member {
	c.t.Helper()
	all, err := directory.ListMembers.Call(c.acme.Owner().Ctx(), c.hall.Service(), directory.ListMembersInput{InOrganization: c.acme.In(), Query: email})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, m := range all.Data {
		if m.Email == email {
			return m
		}
	}
	return directory.Member{}
}

// is fails the test unless somebody has a role and a status.
func (c *company) is(email, role, status string) {
	c.t.Helper()
	m := c.member(email)
	if got := m.Role + " " + m.Status; got != role+" "+status {
		c.t.Errorf("%s is %q, want %q", email, got, role+" "+status)
	}
}

// may asks a check about a credential.
func (c *company) may(secret, permission string) bool {
	c.t.Helper()
	d, err := c.hall.Check(c.t.Context(), check.Request{Subject: check.ByCredential(secret), Permission: "workflows.view", Resource: check.Whole(c.acme.ID)})
	if err != nil && op.AsError(err).Kind == op.Internal {
		c.t.Fatal(err)
	}
	return d.Allow
}
