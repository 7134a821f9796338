package gate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

// searches are the exchanges of section 4. The fixture's results that it names for subjects are ids of its own, and here
// they are Guildhall's; those of resources are the product's, which Guildhall knows as "all of them".
var searches = []exchange{
	{"c-4-2-1 subjects", subjects, `{"subject":{"type":"user"},` + reads + `,` + record1 + `}`, 200, "user ALICE, user BOB, user OWNER, user READER, user WRITER"},
	{"c-4-2-1 subjects who may more", subjects, `{"subject":{"type":"user"},"action":{"name":"WRITE"},` + record1 + `}`, 200, "user ALICE, user OWNER, user WRITER"},
	{"c-4-2-2 with a context", subjects, `{"subject":{"type":"user"},"action":{"name":"DELETE"},` + record1 + `,"context":{"time":"x"}}`, 200, "user OWNER"},
	{"c-4-2-3 an id is ignored", subjects, `{"subject":{"type":"user","id":"bob"},"action":{"name":"DELETE"},` + record1 + `}`, 200, "user OWNER"},
	{"c-4-3-1 resources", resources, `{` + alice + `,` + reads + `,"resource":{"type":"record",ORG}}`, 200, "record *"},
	{"c-4-3-1 resources of nobody", resources, `{"subject":{"type":"user","id":"bob"},"action":{"name":"WRITE"},"resource":{"type":"record",ORG}}`, 200, ""},
	{"c-4-3-2 an id is ignored", resources, `{` + alice + `,` + reads + `,` + record1 + `}`, 200, "record *"},
	{"organizations", resources, `{` + alice + `,` + reads + `,"resource":{"type":"organization"}}`, 200, "organization ACME"},
	{"c-4-4-1 actions", actions, `{` + alice + `,` + record1 + `}`, 200, "records.read, records.write"},
	{"c-4-4-2 with a context", actions, `{"subject":{"type":"user","id":"bob"},` + record1 + `,"context":{"time":"x"}}`, 200, "records.read"},
	{"c-4-6-1 nobody", actions, `{"subject":{"type":"user","id":"nonexistent-user"},` + record1 + `}`, 200, ""},
	{"c-4-6-1 nobody's resources", resources, `{"subject":{"type":"user","id":"nonexistent-user"},` + reads + `,"resource":{"type":"record",ORG}}`, 200, ""},
	{"c-4-6-2 an unknown type of subject", subjects, `{"subject":{"type":"spaceship"},` + reads + `,` + record1 + `}`, 200, ""},
	{"c-4-6-2 an unknown type of resource", resources, `{` + alice + `,` + reads + `,"resource":{"type":"spaceship",ORG}}`, 200, ""},
	{"an unknown action", subjects, `{"subject":{"type":"user"},"action":{"name":"fly"},` + record1 + `}`, 200, ""},
	{"another organization", subjects, `{"subject":{"type":"user"},` + reads + `,"resource":{"type":"record","id":"record-1","properties":{"organization":"globex"}}}`, 200, "user GLOBEX OWNER, user GLOBEX READER, user GLOBEX WRITER"},
	{"no organization", subjects, `{"subject":{"type":"user"},` + reads + `,"resource":{"type":"record","id":"record-1"}}`, 200, ""},
	{"c-4-7-1 subjects of no action", subjects, `{"subject":{"type":"user"},` + record1 + `}`, 400, ""},
	{"c-4-7-1 resources of no subject", resources, `{` + reads + `,"resource":{"type":"record"}}`, 400, ""},
	{"c-4-7-1 actions on no resource", actions, `{` + alice + `}`, 400, ""},
	{"c-4-7-2 subjects of a resource without id", subjects, `{"subject":{"type":"user"},` + reads + `,"resource":{"type":"record"}}`, 400, ""},
	{"c-4-7-2 resources of a subject without id", resources, `{"subject":{"type":"user"},` + reads + `,"resource":{"type":"record"}}`, 400, ""},
	{"a negative limit", subjects, `{"subject":{"type":"user"},` + reads + `,` + record1 + `,"page":{"limit":-1}}`, 400, ""},
	{"a token that is none", subjects, `{"subject":{"type":"user"},` + reads + `,` + record1 + `,"page":{"token":"` + strings.Repeat("x", 300) + `"}}`, 400, ""},
	{"a page that is text", subjects, `{"subject":{"type":"user"},` + reads + `,` + record1 + `,"page":"2"}`, 400, ""},
}

const subjects, resources, actions = "/access/v1/search/subject", "/access/v1/search/resource", "/access/v1/search/action"

// TestTheSearchesOfTheCertificationScenario goes through section 4 by its numbers.
func TestTheSearchesOfTheCertificationScenario(t *testing.T) {
	d := certification(t)
	names := d.namesOfIDs(d.hall.Organization("globex"))
	for _, c := range searches {
		got := d.exchange(c)
		if c.status != 200 || got.status != 200 {
			continue
		}
		found, next := resultsIn(t, got.body)
		for i, one := range found {
			found[i] = names.Replace(one)
		}
		slices.Sort(found)
		if strings.Join(found, ", ") != c.want || next != "" {
			t.Errorf("%s: %v, next %q, want %s", c.name, found, next, c.want)
		}
	}
}

// namesOfIDs writes the fixture's names for ids.
func (d *door) namesOfIDs(other *guildhalltest.Organization) *strings.Replacer {
	d.t.Helper()
	pairs := []string{d.acme.ID, "ACME"}
	for role, p := range other.People {
		pairs = append(pairs, p.User, "GLOBEX "+strings.ToUpper(string(role)))
	}
	for role, p := range d.acme.People {
		pairs = append(pairs, p.User, strings.ToUpper(string(role)))
	}
	for _, id := range []string{"alice", "bob"} {
		pairs = append(pairs, d.hall.SignIn(id+"@acme.test").User, strings.ToUpper(id))
	}
	return strings.NewReplacer(pairs...)
}

// resultsIn are the results of a search as text, and where to go on.
func resultsIn(t *testing.T, body string) (found []string, next string) {
	t.Helper()
	var out struct {
		Results []struct{ Type, ID, Name string } `json:"results"`
		Page    struct {
			NextToken *string `json:"next_token"`
			Count     int     `json:"count"`
		} `json:"page"`
	}
	if err := json.Unmarshal([]byte(body), &out, json.MatchCaseInsensitiveNames(true)); err != nil || out.Results == nil || out.Page.NextToken == nil {
		t.Fatalf("no results in %s: %v", body, err)
	}
	for _, r := range out.Results {
		found = append(found, strings.TrimSpace(r.Type+" "+r.ID+r.Name))
	}
	if out.Page.Count != len(found) {
		t.Errorf("%d results, and %d are said", len(found), out.Page.Count)
	}
	return found, *out.Page.NextToken
}

// TestASearchGoesOnWhereItEnded: c-4-5
func TestASearchGoesOnWhereItEnded(t *testing.T) {
	d := certification(t)
	ask := func(page string) ([]string, string) {
		return resultsIn(t, d.post(subjects, fixtureWords.Replace(`{"subject":{"type":"user"},`+reads+`,`+record1+`,"page":`+page+`}`)).body)
	}
	all, next := ask(`{}`)
	if len(all) != 5 || next != "" {
		t.Fatalf("%v, next %q", all, next)
	}
	var some []string
	for pages, token := 0, ""; pages == 0 || token != ""; pages++ {
		found, next := ask(fmt.Sprintf(`{"limit":2,"token":%q}`, token))
		if len(found) > 2 || pages > 3 {
			t.Fatalf("page %d has %v", pages, found)
		}
		some, token = append(some, found...), next
	}
	if !slices.Equal(all, some) {
		t.Errorf("pages gave %v, and one %v", some, all)
	}
}

// TestASearchKnowsWhatAKeyIsLimitedTo: a key that is for single records finds these, and needs no organization to be named.
func TestASearchKnowsWhatAKeyIsLimitedTo(t *testing.T) {
	d := open(t, "automation")
	editor := d.acme.People["editor"]
	in := credential.CreateTokenInput{InOrganization: op.InOrganization{Organization: "acme"}}
	in.Permissions, in.Resources = []charter.Permission{"workflows.view"}, []string{"workflow:wf_1", "workflow:wf_2"}
	made, err := credential.CreateToken.Call(editor.Ctx(), d.hall.Service(), in)
	if err != nil {
		t.Fatal(err)
	}
	subject := fmt.Sprintf(`"subject":{"type":"credential","id":%q}`, made.Secret)
	for _, c := range []struct{ path, body, want string }{
		{resources, `"action":{"name":"workflows.view"},"resource":{"type":"workflow"}`, "workflow wf_1 workflow wf_2"},
		{resources, `"action":{"name":"workflows.run"},"resource":{"type":"workflow"}`, ""},
		{actions, `"resource":{"type":"workflow","id":"wf_1"}`, "workflows.view"},
		{actions, `"resource":{"type":"workflow","id":"wf_3"}`, ""},
		{actions, `"resource":{"type":"organization"}`, ""},
	} {
		found, _ := resultsIn(t, d.post(c.path, "{"+subject+","+c.body+"}").body)
		if got := strings.Join(found, " "); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.path, c.body, got, c.want)
		}
	}
}

// TestOnlyKeysForChecksAsk: a service key whose scopes leave checks out asks nothing.
func TestOnlyKeysForChecksAsk(t *testing.T) {
	d := open(t, "automation")
	for scope, want := range map[string]int{"checks": 200, "users.*": 403} {
		made, err := credential.CreateServiceKey.Call(d.hall.Operator(), d.hall.Service(), credential.CreateServiceKeyInput{Name: scope, Scopes: []string{scope}})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/access/v1/evaluation", actions} {
			got := d.post(path, question("user", d.acme.Owner().User, "workflows.run", "acme"), header("Authorization", "Bearer "+made.Secret))
			if got.status != want {
				t.Errorf("%s with %s: %d %s, want %d", path, scope, got.status, got.body, want)
			}
		}
	}
}
