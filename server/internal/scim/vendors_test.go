package scim_test

import (
	"fmt"
	"strings"
	"testing"
)

// step is one request of a recorded sequence. In path and body, {name} stands for an id that a step before saved.
type step struct {
	what, method, path, body string
	status                   int
	save                     string // the name of the id that the answer has
	has                      []string
}

func (c *company) plays(steps []step) {
	ids := map[string]string{}
	fill := func(s string) string {
		for name, id := range ids {
			s = strings.ReplaceAll(s, "{"+name+"}", id)
		}
		return s
	}
	for _, s := range steps {
		r := c.does(s.method, fill(s.path), fill(s.body))
		if r.status != s.status {
			c.t.Fatalf("%s: got %d %s, want %d", s.what, r.status, r.text, s.status)
		}
		if r.text != "" && r.header.Get("Content-Type") != "application/scim+json" {
			c.t.Errorf("%s: %s", s.what, r.header.Get("Content-Type"))
		}
		for _, has := range s.has {
			if !strings.Contains(r.text, fill(has)) {
				c.t.Errorf("%s: %s does not have %s", s.what, r.text, fill(has))
			}
		}
		if s.save != "" {
			if ids[s.save] = r.id(); ids[s.save] == "" {
				if ids[s.save], _ = r.at("Resources", 0, "id").(string); ids[s.save] == "" {
					c.t.Fatalf("%s: no id in %s", s.what, r.text)
				}
			}
		}
	}
}

const listResponse = `"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"]`

// TestOkta plays what Okta sends: the checks of its SCIM 2.0 SPEC suite, and the life of a person and a group.
func TestOkta(t *testing.T) {
	each(t, func(c *company) {
		c.plays([]step{
			{what: "required test: users exist", method: "GET", path: "/Users?count=1&startIndex=1", status: 200, has: []string{listResponse, `"itemsPerPage":0`, `"startIndex":1`, `"totalResults":0`, `"Resources":[]`}},
			{what: "an invalid id", method: "GET", path: "/Users/abcdefgh12345", status: 404, has: []string{`"detail":"not found"`, `urn:ietf:params:scim:api:messages:2.0:Error`, `"status":"404"`}},
			{what: "make sure that the random user does not exist", method: "GET", path: `/Users?filter=userName%20eq%20%22runscope%40acme.test%22&startIndex=1&count=100`, status: 200, has: []string{`"totalResults":0`}},
			{what: "create", method: "POST", path: "/Users", status: 201, save: "user", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"Runscope@acme.test",
				"name":{"givenName":"Run","familyName":"Scope"},"emails":[{"primary":true,"value":"runscope@acme.test","type":"work"}],"displayName":"Run Scope","locale":"en-US",
				"externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}`,
				has: []string{`"userName":"Runscope@acme.test"`, `"active":true`, `"givenName":"Run"`, `"resourceType":"User"`, `"version":"W/\"1\""`}},
			{what: "it is there", method: "GET", path: "/Users/{user}", status: 200, has: []string{`"id":"{user}"`, `"familyName":"Scope"`}},
			{what: "create it again", method: "POST", path: "/Users", status: 409, body: `{"userName":"runscope@ACME.test","emails":[{"value":"runscope@acme.test"}],"active":true}`, has: []string{`"scimType":"uniqueness"`, `{user}`}},
			{what: "find by userName in another case", method: "GET", path: `/Users?filter=userName%20eq%20%22RUNSCOPE%40acme.test%22`, status: 200, save: "found", has: []string{`"totalResults":1`, `{user}`}},
			{what: "update by PUT", method: "PUT", path: "/Users/{user}", status: 200, body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"{user}","userName":"runscope@acme.test",
				"name":{"givenName":"Another","middleName":"Excited","familyName":"User"},"emails":[{"primary":true,"value":"runscope@acme.test","type":"work","display":"runscope@acme.test"}],
				"active":true,"groups":[],"meta":{"resourceType":"User"}}`, has: []string{`"givenName":"Another"`, `"middleName":"Excited"`}},
			{what: "deactivate", method: "PATCH", path: "/Users/{user}", status: 200, body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`, has: []string{`"active":false`}},
			{what: "reactivate", method: "PATCH", path: "/Users/{user}", status: 200, body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":true}}]}`, has: []string{`"active":true`}},
			{what: "push a group", method: "POST", path: "/Groups", status: 201, save: "group", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Test SCIMv2","members":[]}`, has: []string{`"displayName":"Test SCIMv2"`}},
			{what: "push it again", method: "POST", path: "/Groups", status: 409, body: `{"displayName":"test scimv2"}`, has: []string{`"scimType":"uniqueness"`, "{group}"}},
			{what: "find the group", method: "GET", path: `/Groups?filter=displayName%20eq%20%22Test%20SCIMv2%22`, status: 200, save: "found", has: []string{`"totalResults":1`}},
			{what: "a member joins", method: "PATCH", path: "/Groups/{group}", status: 204, body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"members","value":[{"value":"{user}","display":"runscope@acme.test"}]}]}`},
			{what: "rename", method: "PATCH", path: "/Groups/{group}", status: 204, body: `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"id":"{group}","displayName":"Renamed"}}]}`},
			{what: "the group", method: "GET", path: "/Groups/{group}", status: 200, has: []string{`"displayName":"Renamed"`, `"value":"{user}"`}},
			{what: "the person's groups", method: "GET", path: "/Users/{user}", status: 200, has: []string{`"display":"Renamed"`}},
			{what: "replace the members", method: "PATCH", path: "/Groups/{group}", status: 204, body: `{"Operations":[{"op":"replace","path":"members","value":[]}]}`},
			{what: "nobody is left", method: "GET", path: "/Groups/{group}", status: 200, has: []string{`"members":[]`}},
			{what: "the group goes", method: "DELETE", path: "/Groups/{group}", status: 204},
			{what: "it is gone", method: "GET", path: "/Groups/{group}", status: 404},
		})
	})
}

// TestEntra plays what Entra ID sends, as its validator lists it, with the names and cases that it uses.
func TestEntra(t *testing.T) {
	const patch = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[%s]}`
	ops := func(operations string) string { return fmt.Sprintf(patch, operations) }
	each(t, func(c *company) {
		c.plays([]step{
			{what: "test the connection", method: "GET", path: `/Users?filter=userName+eq+%22non-existent%22`, status: 200, has: []string{`"totalResults":0`, listResponse}},
			{what: "create", method: "POST", path: "/Users", status: 201, save: "user", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
				"externalId":"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef","userName":"Test_User_ab6490ee@acme.test","active":true,"displayName":"lennay","addresses":[],"emails":[{"primary":true,"type":"work","value":"testing@acme.test"}],
				"meta":{"resourceType":"User"},"name":{"formatted":"givenName familyName","familyName":"familyName","givenName":"givenName"},"roles":[],
				"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"bob","employeeNumber":"42","manager":"26118915-6090-4610-87e4-49d8ca9f808d","unheardOf":{"a":[1]}},
				"somethingElse":{"x":1}}`, has: []string{`"department":"bob"`, `"externalId":"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"`}},
			{what: "by externalId", method: "GET", path: `/Users?filter=externalId+eq+%220a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef%22`, status: 200, save: "found", has: []string{`"totalResults":1`}},
			{what: "by an address", method: "GET", path: `/Users?filter=emails%5Btype+eq+%22work%22%5D.value+eq+%22TESTING@acme.test%22`, status: 200, has: []string{`"totalResults":1`}},
			{what: "and", method: "GET", path: `/Users?filter=externalId+eq+%220a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef%22+and+userName+eq+%22test_user_ab6490ee@acme.test%22`, status: 200, has: []string{`"totalResults":1`}},
			{what: "one attribute", method: "GET", path: `/Users?filter=userName+eq+%22Test_User_ab6490ee@acme.test%22&attributes=id`, status: 200, has: []string{`"Resources":[{"id":"{user}","schemas":`}},
			{what: "dotted names without a path", method: "PATCH", path: "/Users/{user}", status: 200, body: ops(`{"op":"Replace","value":{"name.givenName":"updated","displayName":"new","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department":"sales","emails[type eq \"work\"].value":"updated@acme.test"}}`),
				has: []string{`"givenName":"updated"`, `"displayName":"new"`, `"department":"sales"`, `"value":"updated@acme.test"`}},
			{what: "paths", method: "PATCH", path: "/Users/{user}", status: 200, body: ops(`{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1 555"},{"op":"Add","path":"name.familyName","value":"Smith"},
				{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":"abc"},{"op":"Replace","path":"title","value":"Boss"}`), has: []string{`"+1 555"`, `"mobile"`, `"Smith"`, `"title":"Boss"`}},
			{what: "remove", method: "PATCH", path: "/Users/{user}", status: 200, body: ops(`{"op":"Remove","path":"title"},{"op":"Remove","path":"phoneNumbers[type eq \"mobile\"]"}`)},
			{what: "what is unknown", method: "PATCH", path: "/Users/{user}", status: 200, body: ops(`{"op":"Add","path":"urn:example:2.0:User:shoe","value":"44"},{"op":"Add","path":"shoeSize","value":44}`)},
			{what: "disable", method: "PATCH", path: "/Users/{user}", status: 200, body: ops(`{"op":"Replace","path":"active","value":"False"}`), has: []string{`"active":false`}},
			{what: "the inactive", method: "GET", path: `/Users?filter=active+eq+false`, status: 200, has: []string{`"totalResults":1`}},
			{what: "enable", method: "PATCH", path: "/Users/{user}", status: 200, body: ops(`{"op":"Replace","path":"active","value":"True"}`), has: []string{`"active":true`}},
			{what: "a group", method: "POST", path: "/Groups", status: 201, save: "group", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
				"externalId":"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159","displayName":"displayName","meta":{"resourceType":"Group"}}`, has: []string{`"externalId":"8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159"`}},
			{what: "without members", method: "GET", path: `/Groups/{group}?excludedAttributes=members`, status: 200, has: []string{`"displayName":"displayName"`}},
			{what: "by displayName", method: "GET", path: `/Groups?excludedAttributes=members&filter=displayName+eq+%22displayName%22`, status: 200, has: []string{`"totalResults":1`}},
			{what: "a member", method: "PATCH", path: "/Groups/{group}", status: 204, body: ops(`{"op":"Add","path":"members","value":[{"$ref":null,"value":"{user}"}]}`)},
			{what: "is the member there", method: "GET", path: `/Groups?excludedAttributes=members&filter=id+eq+%22{group}%22+and+members+eq+%22{user}%22`, status: 200, has: []string{`"totalResults":1`}},
			{what: "the member goes", method: "PATCH", path: "/Groups/{group}", status: 204, body: ops(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"{user}"}]}`)},
			{what: "a new name", method: "PATCH", path: "/Groups/{group}", status: 204, body: ops(`{"op":"Replace","path":"displayName","value":"1879db59-3bdf-4490-ad68-ab880a269474updatedDisplayName"}`)},
			{what: "the group goes", method: "DELETE", path: "/Groups/{group}", status: 204},
			{what: "the person goes", method: "DELETE", path: "/Users/{user}", status: 204},
			{what: "gone", method: "GET", path: "/Users/{user}", status: 404},
			{what: "gone twice", method: "DELETE", path: "/Users/{user}", status: 404},
		})
	})
}

// TestTheProtocolItself: discovery, versions, pages, and what is refused.
func TestTheProtocolItself(t *testing.T) {
	each(t, func(c *company) {
		c.wants(200, "GET", "/ServiceProviderConfig", "")
		c.wants(200, "GET", "/Schemas", "")
		c.wants(200, "GET", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User", "")
		c.wants(200, "GET", "/ResourceTypes", "")
		c.wants(200, "GET", "/ResourceTypes/User", "")
		c.wants(404, "GET", "/ResourceTypes/Car", "")
		c.wants(404, "POST", "/Bulk", "{}")
		ids := map[string]bool{}
		for i := range 5 {
			ids[c.hires(fmt.Sprintf("p%d", i))] = true
		}
		for start := 1; start <= 5; start += 2 {
			r := c.wants(200, "GET", fmt.Sprintf("/Users?startIndex=%d&count=2", start), "")
			for i := range 2 {
				id, _ := r.at("Resources", i, "id").(string)
				delete(ids, id)
			}
		}
		if len(ids) != 0 {
			t.Errorf("pages leave out %v", ids)
		}
		user := c.hires("zoe")
		r := c.wants(200, "GET", "/Users/"+user, "")
		etag := r.header.Get("ETag")
		if etag != `W/"1"` {
			t.Errorf("the ETag is %s", etag)
		}
		c.wants(304, "GET", "/Users/"+user, "", "If-None-Match", etag)
		c.wants(200, "PATCH", "/Users/"+user, `{"Operations":[{"op":"add","path":"title","value":"x"}]}`, "If-Match", etag)
		c.wants(412, "PATCH", "/Users/"+user, `{"Operations":[{"op":"add","path":"title","value":"y"}]}`, "If-Match", etag)
		r = c.wants(200, "POST", "/Users/.search", `{"filter":"userName sw \"ZOE\"","attributes":["userName"]}`)
		if r.at("totalResults") != 1.0 {
			t.Errorf("search: %s", r.text)
		}
		for _, wrong := range []struct{ filter, kind string }{
			{`userName eq`, "invalidFilter"}, {`title eq "x"`, "invalidFilter"}, {`active eq "maybe"`, "invalidFilter"},
			{`userName eq "x" or 1=1`, "invalidFilter"}, {`(userName pr`, "invalidFilter"}, {`meta.created gt "yesterday"`, "invalidFilter"},
			{strings.Repeat("(", 50) + "userName pr" + strings.Repeat(")", 50), "invalidFilter"}, {`userName eq "` + strings.Repeat("x", 3000) + `"`, "invalidFilter"},
		} {
			r := c.wants(400, "POST", "/Users/.search", fmt.Sprintf(`{"filter":%q}`, wrong.filter))
			if r.at("scimType") != wrong.kind {
				t.Errorf("%.40s: %s", wrong.filter, r.text)
			}
		}
		for filter, n := range map[string]float64{
			`userName co "'; DROP TABLE members; --"`: 0, `userName co "%"`: 0, `userName pr`: 6, `not (userName eq "zoe@acme.test")`: 5,
			`userName sw "p" and (userName ew "1@acme.test" or externalId eq "ext-p2")`: 2, `emails co "acme"`: 6, `emails.value eq "P1@acme.test"`: 1,
			`emails[type eq "work" and value co "zoe"]`: 1, `active eq true`: 6, `meta.created le "2999-01-01T00:00:00Z"`: 6, `meta.resourceType eq "User"`: 6,
			`displayName eq "ZOE test" and active eq True`: 1, `id eq "` + user + `"`: 1, `userName ne "zoe@acme.test"`: 5,
			`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "zoe@acme.test"`: 1,
		} {
			r := c.wants(200, "POST", "/Users/.search", fmt.Sprintf(`{"filter":%q}`, filter))
			if r.at("totalResults") != n {
				t.Errorf("%s: %v, want %v", filter, r.at("totalResults"), n)
			}
		}
		for _, wrong := range []struct{ body, kind string }{
			{`{"Operations":[{"op":"move","path":"title","value":"x"}]}`, "invalidSyntax"}, {`{"Operations":[{"op":"remove"}]}`, "noTarget"},
			{`{"Operations":[{"op":"replace","path":"id","value":"x"}]}`, "mutability"}, {`{"Operations":[{"op":"replace","path":"a[b","value":"x"}]}`, "invalidPath"},
			{`{"Operations":[{"op":"replace","path":"active","value":"perhaps"}]}`, "invalidValue"}, {`[]`, "invalidSyntax"}, {`{"x":1}`, "invalidSyntax"},
			{`{"Operations":[{"op":"replace","path":"userName","value":"not an address"},{"op":"remove","path":"emails"}]}`, "invalidValue"},
		} {
			r := c.wants(400, "PATCH", "/Users/"+user, wrong.body)
			if r.at("scimType") != wrong.kind {
				t.Errorf("%s: %s", wrong.body, r.text)
			}
		}
		c.wants(400, "POST", "/Users", `{"userName":"nobody"}`)
		c.wants(400, "POST", "/Users", `{"emails":[{"value":"x@acme.test"}]}`)
	})
}
