package scim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/scim"
)

// spellings are the ways in which directories say that somebody has no access any more. T-082.
var spellings = map[string]func(c *company, user, group string){
	"PATCH with a path": func(c *company, user, _ string) {
		c.wants(200, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"active","value":false}]}`)
	},
	"PATCH without a path": func(c *company, user, _ string) {
		c.wants(200, "PATCH", "/Users/"+user, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`)
	},
	"the text False of Entra": func(c *company, user, _ string) {
		c.wants(200, "PATCH", "/Users/"+user, `{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`)
	},
	"Add, in capitals": func(c *company, user, _ string) {
		c.wants(200, "PATCH", "/Users/"+user, `{"operations":[{"OP":"ADD","Path":"Active","VALUE":"false"}]}`)
	},
	"PATCH by the schema's name": func(c *company, user, _ string) {
		c.wants(200, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":[{"value":"False"}]}]}`)
	},
	"PUT": func(c *company, user, _ string) {
		c.wants(200, "PUT", "/Users/"+user, strings.Replace(newUser("zoe"), `"active":true`, `"active":false`, 1))
	},
	"DELETE": func(c *company, user, _ string) { c.wants(204, "DELETE", "/Users/"+user, "") },
	"the group is taken away": func(c *company, user, group string) {
		c.wants(204, "PATCH", "/Groups/"+group, fmt.Sprintf(`{"Operations":[{"op":"remove","path":"members[value eq \"%s\"]"}]}`, user))
	},
	"the group is deleted": func(c *company, _, group string) { c.wants(204, "DELETE", "/Groups/"+group, "") },
}

// TestEverySpellingEndsAccessBeforeItAnswers: a session, a key and a token are refused by the first request after. T-082,
// T-040.
func TestEverySpellingEndsAccessBeforeItAnswers(t *testing.T) {
	for name, ends := range spellings {
		for _, policy := range []string{"suspend", "remove"} {
			t.Run(name+", "+policy, func(t *testing.T) {
				each(t, func(c *company) { c.endsAccess(policy, ends) })
			})
		}
	}
}

func (c *company) endsAccess(policy string, ends func(c *company, user, group string)) {
	c.connects("Entra", "", policy)
	user := c.hires("zoe")
	if got := c.member("zoe@acme.test").ID; got != "" {
		c.t.Fatalf("without a group and a default role zoe is the member %s", got)
	}
	group := c.groups("Engineers", user)
	c.mustMap(group, "editor")
	c.is("zoe@acme.test", "editor", "active")
	zoe := c.hall.SignIn("zoe@acme.test")
	key, err := credential.CreateKey.Call(zoe.Ctx(), c.hall.Service(), credential.CreateKeyInput{InOrganization: c.acme.In(), Name: "night",
		Scoping: credential.Scoping{Permissions: []charter.Permission{"workflows.view"}}})
	if err != nil {
		c.t.Fatal(err)
	}
	secrets := map[string]string{"session": zoe.Token, "key": key.Secret}
	for what, secret := range secrets {
		if !c.may(secret, "workflows.view") {
			c.t.Fatalf("the %s does not work to begin with", what)
		}
	}
	path := "/v1/organizations/" + c.acme.ID
	if r := c.sends(zoe.Token, "GET", path, ""); r.status != 200 {
		c.t.Fatalf("the session: %d %s", r.status, r.text)
	}

	ends(c, user, group)

	for what, secret := range secrets {
		if c.may(secret, "workflows.view") {
			c.t.Errorf("the %s works still", what)
		}
	}
	if r := c.sends(zoe.Token, "GET", path, ""); r.status < 400 {
		c.t.Errorf("the session opens the organization: %d", r.status)
	}
	if r := c.sends(key.Secret, "GET", path, ""); r.status < 400 {
		c.t.Errorf("the key opens the organization: %d", r.status)
	}
}

// TestAccessComesBack: somebody who is active again has the role again; whom a person suspended, that person reactivates.
func TestAccessComesBack(t *testing.T) {
	each(t, func(c *company) {
		user := c.hires("zoe")
		c.is("zoe@acme.test", "viewer", "active")
		m := c.member("zoe@acme.test")
		if m.ManagedBy != c.id {
			t.Errorf("managed by %q, want %q", m.ManagedBy, c.id)
		}
		c.active(user, false)
		c.is("zoe@acme.test", "viewer", "suspended")
		end := directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: c.acme.In(), Member: m.ID}}
		_, err := directory.ReactivateMember.Call(c.acme.Owner().Ctx(), c.hall.Service(), end)
		c.refused("a person reactivates whom the directory has not", err, "managed_elsewhere")
		c.active(user, true)
		c.is("zoe@acme.test", "viewer", "active")

		if _, err := directory.SuspendMember.Call(c.acme.Owner().Ctx(), c.hall.Service(), end); err != nil {
			t.Fatal(err)
		}
		c.wants(200, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"title","value":"Boss"}]}`)
		c.is("zoe@acme.test", "viewer", "suspended")
		c.active(user, false)
		c.active(user, true)
		c.is("zoe@acme.test", "viewer", "suspended") // a suspension by a person holds
	})
}

func (c *company) active(user string, is bool) {
	c.t.Helper()
	c.wants(200, "PATCH", "/Users/"+user, fmt.Sprintf(`{"Operations":[{"op":"replace","path":"active","value":%t}]}`, is))
}

func (c *company) refused(what string, err error, code string) {
	c.t.Helper()
	if err == nil {
		c.t.Errorf("%s: it went well, want %s", what, code)
	} else if e := op.AsError(err); e.FullCode() != code {
		c.t.Errorf("%s: got %s (%v), want %s", what, e.FullCode(), err, code)
	}
}

// TestADirectorysTokenOpensNothingElse. T-083.
func TestADirectorysTokenOpensNothingElse(t *testing.T) {
	each(t, func(c *company) {
		user, mine, token := c.hires("zoe"), c.base, c.token
		other := &company{t: t, hall: c.hall, acme: c.hall.Organization("globex"), url: c.url}
		other.connects("Okta", "viewer", "suspend")
		for _, path := range []string{"/Users", "/Users/" + user, "/Groups"} {
			if r := c.sends(other.token, "GET", mine+path, ""); r.status != 404 {
				t.Errorf("the token of Globex at Acme's %s: %d %s", path, r.status, r.text)
			}
			if r := c.sends(token, "GET", other.base+path, ""); r.status != 404 {
				t.Errorf("Acme's token at Globex's %s: %d %s", path, r.status, r.text)
			}
		}
		if r := other.does("GET", "/Users/"+user, ""); r.status != 404 {
			t.Errorf("Acme's person at Globex: %d", r.status)
		}
		if r := other.does("DELETE", "/Users/"+user, ""); r.status != 404 {
			t.Errorf("Globex deletes Acme's person: %d", r.status)
		}
		if r := other.does("POST", "/Groups", fmt.Sprintf(`{"displayName":"Thieves","members":[{"value":%q}]}`, user)); r.status != 400 {
			t.Errorf("Globex puts Acme's person into a group: %d", r.status)
		}
		c.tokenIsNobody(token)
		for _, secret := range []string{"", "gld_scim_x", c.acme.Owner().Token, c.hall.ServiceKey("back end")} {
			if r := c.sends(secret, "GET", mine+"/Users", ""); r.status != 401 && r.status != 403 && r.status != 404 {
				t.Errorf("the credential %.8s at the directory: %d", secret, r.status)
			}
		}
	})
}

// tokenIsNobody tries every operation of the API, and a check.
func (c *company) tokenIsNobody(token string) {
	for _, o := range guildhall.Operations() {
		info := o.Info()
		path := strings.NewReplacer("{organization}", c.acme.ID).Replace(info.Path)
		for _, field := range info.PathFields() {
			path = strings.ReplaceAll(path, "{"+field+"}", "x")
		}
		body := ""
		if info.Method != http.MethodGet {
			body = "{}"
		}
		if r := c.sends(token, info.Method, path, body, "Content-Type", "application/json"); r.status != 401 {
			c.t.Errorf("%s by the token of a directory: %d %s", info.Name, r.status, r.text)
		}
	}
	if c.may(token, "workflows.view") {
		c.t.Error("a check says yes to the token of a directory")
	}
}

// TestNobodyElseCallsTheProtocol: its operations are for a directory's token, whoever calls in process.
func TestNobodyElseCallsTheProtocol(t *testing.T) {
	each(t, func(c *company) {
		for _, o := range scim.Protocol() {
			for who, caller := range map[string]op.Caller{"the owner": c.acme.Owner().Caller(), "the operator": {Machine: true},
				"a job": {System: "test"}, "a service key": {Credential: c.hall.ServiceKey(o.Info().Name)}, "nobody": {}} {
				_, err := c.hall.Service().Invoke(t.Context(), o, op.Request{Caller: caller, Body: fmt.Appendf(nil, `{"organization":%q,"directory":%q}`, c.acme.ID, c.id)})
				if e := op.AsError(err); err == nil || e.Kind != op.Denied && e.Kind != op.NotFound && e.Kind != op.Unauthenticated {
					t.Errorf("%s by %s: %v", o.Info().Name, who, err)
				}
			}
		}
	})
}

// TestTokensEnd: a rotated one, and that of a directory that is deleted. T-011.
func TestTokensEnd(t *testing.T) {
	each(t, func(c *company) {
		c.hires("zoe")
		in := scim.DirectoryInput{InOrganization: c.acme.In(), Directory: c.id}
		fresh, err := scim.RotateToken.Call(c.acme.Owner().Ctx(), c.hall.Service(), in)
		if err != nil {
			t.Fatal(err)
		}
		c.wants(401, "GET", "/Users", "")
		c.token = fresh.Secret
		c.wants(200, "GET", "/Users", "")
		out, err := scim.DeleteDirectory.Call(c.acme.Owner().Ctx(), c.hall.Service(), scim.DeleteDirectoryInput{DirectoryInput: in})
		if err != nil || out.Released != 1 {
			t.Fatalf("deleted: %v %v", out, err)
		}
		c.wants(401, "GET", "/Users", "")
		c.is("zoe@acme.test", "viewer", "active")
		if by := c.member("zoe@acme.test").ManagedBy; by != "" {
			t.Errorf("managed by %s, which is deleted", by)
		}
	})
}

// TestGroupsGiveRoles: by the order of the mapping, by ids and never by names; people cannot change what a group gives.
func TestGroupsGiveRoles(t *testing.T) {
	each(t, func(c *company) {
		zoe, ann := c.hires("zoe"), c.hires("ann")
		editors, viewers := c.groups("Editors", zoe), c.groups("Viewers", zoe, ann)
		c.is("zoe@acme.test", "viewer", "active")
		c.mustMap(editors, "editor", "viewers", "viewer")
		c.is("zoe@acme.test", "editor", "active")
		c.mustMap(viewers, "viewer", editors, "editor") // the first place counts
		c.is("zoe@acme.test", "viewer", "active")
		c.mustMap(editors, "editor")
		c.is("zoe@acme.test", "editor", "active")

		_, err := directory.UpdateMember.Call(c.acme.Owner().Ctx(), c.hall.Service(), directory.UpdateMemberInput{
			MemberInput: directory.MemberInput{InOrganization: c.acme.In(), Member: c.member("zoe@acme.test").ID}, Role: new("viewer")})
		c.refused("a person changes the role that a group gives", err, "managed_elsewhere")

		c.wants(204, "PATCH", "/Groups/"+viewers, `{"Operations":[{"op":"replace","value":{"displayName":"Owner"}}]}`)
		c.wants(204, "PATCH", "/Groups/"+editors, `{"Operations":[{"op":"replace","path":"displayName","value":"Old editors"}]}`)
		c.wants(204, "PATCH", "/Groups/"+viewers, `{"Operations":[{"op":"replace","path":"displayName","value":"Editors"}]}`)
		c.is("ann@acme.test", "viewer", "active") // a name gives nothing
		c.is("zoe@acme.test", "editor", "active")

		c.wants(204, "PATCH", "/Groups/"+editors, fmt.Sprintf(`{"Operations":[{"op":"Remove","path":"members","value":[{"value":%q}]},{"op":"Add","path":"members","value":[{"value":%q}]}]}`, zoe, ann))
		c.is("zoe@acme.test", "viewer", "active") // the default role
		c.is("ann@acme.test", "editor", "active")
		c.wants(204, "DELETE", "/Groups/"+editors, "")
		c.is("ann@acme.test", "viewer", "active")
	})
}

// TestMappingGivesNoMoreThanOnesOwn. T-013, T-083.
func TestMappingGivesNoMoreThanOnesOwn(t *testing.T) {
	each(t, func(c *company) {
		group := c.groups("Bosses")
		c.refused("the owner role", c.maps(c.acme.Owner(), group, "owner"), "invalid")
		c.refused("a role that there is not", c.maps(c.acme.Owner(), group, "emperor"), "invalid")
		c.refused("a group that there is not", c.maps(c.acme.Owner(), "Nobodies", "viewer"), "invalid")
		c.refused("an editor", c.maps(c.acme.People["editor"], group, "editor"), "denied")
	})
}

// TestTheLastOwnerStays on every path of a directory. T-017.
func TestTheLastOwnerStays(t *testing.T) {
	for _, policy := range []string{"suspend", "remove"} {
		t.Run(policy, func(t *testing.T) {
			each(t, func(c *company) {
				c.connects("Entra", "viewer", policy)
				user := c.wants(201, "POST", "/Users", strings.ReplaceAll(newUser("owner"), "Owner Test", "Boss")).id()
				c.is("owner@acme.test", "owner", "active") // linked, and what they were
				group := c.groups("Viewers", user)
				c.mustMap(group, "viewer")
				c.is("owner@acme.test", "owner", "active")
				for _, r := range []reply{
					c.does("PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"active","value":false}]}`),
					c.does("PUT", "/Users/"+user, strings.Replace(newUser("owner"), `"active":true`, `"active":false`, 1)),
					c.does("DELETE", "/Users/"+user, ""),
				} {
					if r.status != 409 {
						t.Errorf("the last owner: %d %s", r.status, r.text)
					}
				}
				c.is("owner@acme.test", "owner", "active")
			})
		})
	}
}

// TestAnAddressTakesNobodyOver: whoever a person of a directory is, is settled once. T-083, T-061.
func TestAnAddressTakesNobodyOver(t *testing.T) {
	each(t, func(c *company) {
		user := c.hires("zoe")
		account := c.member("zoe@acme.test").User
		victim := c.hall.SignIn("victim@elsewhere.test")
		c.wants(200, "PATCH", "/Users/"+user, `{"Operations":[{"op":"replace","path":"userName","value":"victim@elsewhere.test"},
			{"op":"replace","path":"emails[type eq \"work\"].value","value":"victim@elsewhere.test"}]}`)
		c.active(user, false)
		c.active(user, true)
		if m := c.member("zoe@acme.test"); m.User != account || m.Status != "active" {
			t.Errorf("zoe is %+v", m)
		}
		if m := c.member("victim@elsewhere.test"); m.ID != "" {
			t.Errorf("the victim became a member: %+v", m)
		}
		me, err := directory.GetMe.Call(victim.Ctx(), c.hall.Service(), directory.GetMeInput{})
		if err != nil || me.User.Email != "victim@elsewhere.test" || len(me.Organizations) != 0 {
			t.Errorf("the victim: %+v %v", me, err)
		}
		owner := c.acme.Owner().Email
		if r := c.does("POST", "/Users", `{"userName":"other","emails":[{"value":"zoe@acme.test"}]}`); r.status != 409 {
			t.Errorf("a second person with zoe's account: %d %s", r.status, r.text)
		}
		c.is(owner, "owner", "active")
	})
}

// TestAnInvitationIsConsumed, and gives its role.
func TestAnInvitationIsConsumed(t *testing.T) {
	each(t, func(c *company) {
		if _, err := directory.CreateInvitation.Call(c.acme.Owner().Ctx(), c.hall.Service(), directory.CreateInvitationInput{InOrganization: c.acme.In(),
			Email: "zoe@acme.test", Role: "editor"}); err != nil {
			t.Fatal(err)
		}
		c.hires("zoe")
		c.is("zoe@acme.test", "editor", "active")
		all, err := directory.ListInvitations.Call(c.acme.Owner().Ctx(), c.hall.Service(), directory.ListInvitationsInput{InOrganization: c.acme.In()})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all.Data {
			if i.Email == "zoe@acme.test" && i.State != directory.Accepted {
				t.Errorf("the invitation is %s", i.State)
			}
		}
	})
}

// TestAGroupOfAThousand is read and written without a query for each.
func TestAGroupOfAThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand people")
	}
	each(t, func(c *company) {
		c.connects("Entra", "", "suspend")
		var people []string
		for i := range 1000 {
			people = append(people, c.hires(fmt.Sprintf("p%04d", i)))
		}
		group := c.groups("Everybody")
		c.mustMap(group, "viewer")
		before := c.hall.Stats()
		c.wants(204, "PATCH", "/Groups/"+group, fmt.Sprintf(`{"Operations":[{"op":"add","path":"members","value":[%s]}]}`, named(people)))
		r := c.wants(200, "GET", "/Groups/"+group, "")
		if members, _ := r.at("members").([]any); len(members) != 1000 {
			t.Errorf("%d members", len(members))
		}
		if n := c.hall.Stats().Statements - before.Statements; n > 60 {
			t.Errorf("%d statements for a group of 1,000: some are asked for each person", n)
		} else {
			t.Logf("%d statements", n)
		}
		c.is("p0999@acme.test", "viewer", "active")
	})
}
