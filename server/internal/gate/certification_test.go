package gate_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
)

// openFixture opens a hall with a charter of testdata, and people in it whom the product knows by ids of its own.
func openFixture(t *testing.T, file string, people map[string]string) *door {
	t.Helper()
	source, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := charter.Parse(file, source)
	if err != nil {
		t.Fatal(err)
	}
	h := guildhalltest.WithCharter(t, c)
	d := &door{t: t, hall: h, acme: h.Organization("acme"), url: h.URL(), key: h.ServiceKey("back end")}
	back := op.As(t.Context(), op.Caller{Credential: d.key, Address: "192.0.2.1"})
	for id, role := range people {
		if _, err := directory.UpsertUser.Call(back, h.Service(), directory.UpsertUserInput{ExternalID: id, Email: strings.ToLower(id) + "@acme.test"}); err != nil {
			t.Fatal(err)
		}
		in := directory.AddMemberInput{InOrganization: d.acme.In(), User: id, Role: role}
		if _, err := directory.AddMember.Call(back, h.Service(), in); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// certification opens the fixture of the certification scenario (its section 1).
func certification(t *testing.T) *door {
	t.Helper()
	return openFixture(t, "certification.yaml", map[string]string{"alice": "writer", "bob": "reader"})
}

// fixtureWords puts in what the scenario cannot say: actions are permissions, which have a noun, and a user belongs to
// organizations, of which the question names one.
var fixtureWords = strings.NewReplacer("READ", "records.read", "WRITE", "records.write", "DELETE", "records.delete", "ORG", `"properties":{"organization":"acme"}`)

// exchange is a request of the scenario, by its number there, and what has to come back.
type exchange struct {
	name, path, body string
	status           int
	want             string // the decisions: "yes no"
}

// The parts of the scenario's requests, in fixtureWords.
const (
	one, many = "/access/v1/evaluation", "/access/v1/evaluations"
	alice     = `"subject":{"type":"user","id":"alice"}`
	reads     = `"action":{"name":"READ"}`
	record1   = `"resource":{"type":"record","id":"record-1",ORG}`
	all3      = "{" + alice + "," + reads + "," + record1 + "}"
)

// basic are the exchanges of section 2.
var basic = []exchange{
	{"c-2-2-1 permit", one, all3, 200, "yes"},
	{"c-2-2-2 deny", one, `{"subject":{"type":"user","id":"bob"},"action":{"name":"WRITE"},` + record1 + `}`, 200, "no"},
	{"c-2-2-3 context", one, `{` + alice + `,` + reads + `,` + record1 + `,"context":{"time":"2025-06-27T18:03-07:00","ip":"192.168.1.1"}}`, 200, "yes"},
	{"c-2-2-4 properties of the resource decide nothing", one, `{` + alice + `,"action":{"name":"WRITE"},"resource":{"type":"record","id":"record-2","properties":{"organization":"acme","status":"archived"}}}`, 200, "yes"},
	{"c-2-2-5 properties of the subject decide nothing", one, `{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},"action":{"name":"WRITE"},"resource":{"type":"record","id":"record-2",ORG}}`, 200, "no"},
	{"c-2-2-6 properties of the action decide nothing", one, `{` + alice + `,"action":{"name":"DELETE","properties":{"soft":true}},` + record1 + `}`, 200, "no"},
	{"c-2-2-8 more properties", one, `{"subject":{"type":"user","id":"alice","properties":{"department":"Sales"}},"action":{"name":"READ","properties":{"method":"GET"}},"resource":{"type":"record","id":"record-1","properties":{"organization":"acme","owner":"bob"}}}`, 200, "yes"},
	{"c-2-2-9 unknown fields", one, `{` + alice + `,` + reads + `,` + record1 + `,"foo":"bar","futureField":{"nested":true}}`, 200, "yes"},
	{"c-2-4-1 no subject", one, `{` + reads + `,` + record1 + `}`, 400, ""},
	{"c-2-4-1 no action", one, `{` + alice + `,` + record1 + `}`, 400, ""},
	{"c-2-4-1 no resource", one, `{` + alice + `,` + reads + `}`, 400, ""},
	{"c-2-4-1 a null subject", one, `{"subject":null,` + reads + `,` + record1 + `}`, 400, ""},
	{"c-2-4-2 no type of subject", one, `{"subject":{"id":"alice"},` + reads + `,` + record1 + `}`, 400, ""},
	{"c-2-4-2 no id of subject", one, `{"subject":{"type":"user"},` + reads + `,` + record1 + `}`, 400, ""},
	{"c-2-4-2 no name of action", one, `{` + alice + `,"action":{},` + record1 + `}`, 400, ""},
	{"c-2-4-2 no type of resource", one, `{` + alice + `,` + reads + `,"resource":{"id":"record-1"}}`, 400, ""},
	{"c-2-4-2 no id of resource", one, `{` + alice + `,` + reads + `,"resource":{"type":"record"}}`, 400, ""},
	{"c-2-4-4 malformed", one, `{"subject":`, 400, ""},
	{"c-2-4-4 something behind it", one, all3 + `{}`, 400, ""},
	{"c-2-4-4 a name twice", one, `{` + alice + `,` + alice + `,` + reads + `,` + record1 + `}`, 400, ""},
	{"c-2-4-4 too deep", one, `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, 400, ""},
	{"c-2-4-5 empty", one, "", 400, ""},
	{"c-2-4-6 a subject that is text", one, `{"subject":"alice",` + reads + `,` + record1 + `}`, 400, ""},
	{"c-2-4-6 a name that is a number", one, `{` + alice + `,"action":{"name":123},` + record1 + `}`, 400, ""},
	{"c-2-4-6 a list", one, `[]`, 400, ""},
	{"c-2-4-6 a context that is text", one, `{` + alice + `,` + reads + `,` + record1 + `,"context":"now"}`, 400, ""},
	{"too large", one, `{"x":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
}

// batch are the exchanges of section 3.
var batch = []exchange{
	{"c-3-2-1 batch", many, `{` + alice + `,` + reads + `,"evaluations":[{` + record1 + `},{"resource":{"type":"record","id":"record-2",ORG}}]}`, 200, "yes yes"},
	{"c-3-2-2 order", many, `{"subject":{"type":"user","id":"bob"},` + record1 + `,"evaluations":[{` + reads + `},{"action":{"name":"WRITE"}}]}`, 200, "yes no"},
	{"c-3-2-5 no defaults", many, `{"evaluations":[` + all3 + `,{"subject":{"type":"user","id":"bob"},"action":{"name":"WRITE"},` + record1 + `}]}`, 200, "yes no"},
	{"c-3-2-6 context inherited", many, `{` + alice + `,` + reads + `,"context":{"time":"x"},"evaluations":[{` + record1 + `},{` + record1 + `,"context":{"source":"y"}}]}`, 200, "yes yes"},
	{"c-3-2-7 a type is inherited", many, `{` + alice + `,` + reads + `,"resource":{"type":"record"},"evaluations":[{"resource":{"id":"record-1",ORG}}]}`, 200, "yes"},
	{"c-3-2-7 properties are replaced as a whole", many, `{` + alice + `,` + reads + `,` + record1 + `,"evaluations":[{"resource":{"type":"record","id":"record-1"}},{}]}`, 200, "no yes"},
	{"c-3-4-1 one without resource", many, `{` + alice + `,` + reads + `,"evaluations":[{` + record1 + `},{}]}`, 200, "yes no"},
	{"c-3-4-1 one of another type", many, `{` + alice + `,` + reads + `,"evaluations":[{"resource":7},{` + record1 + `},"x",null]}`, 200, "no yes no no"},
	{"c-3-4-2 no evaluations", many, all3, 200, "yes"},
	{"c-3-4-3 empty evaluations", many, `{` + alice + `,` + reads + `,` + record1 + `,"evaluations":[]}`, 200, "yes"},
	{"execute all", many, `{` + alice + `,` + record1 + `,"options":{"evaluations_semantic":"execute_all"},"evaluations":[{` + reads + `},{"action":{"name":"records.delete"}},{` + reads + `}]}`, 200, "yes no yes"},
	{"deny on first deny", many, `{` + alice + `,` + record1 + `,"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[{` + reads + `},{"action":{"name":"records.delete"}},{` + reads + `}]}`, 200, "yes no"},
	{"deny on first failure", many, `{` + alice + `,` + record1 + `,"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[{"action":{"name":7}},{` + reads + `}]}`, 200, "no"},
	{"permit on first permit", many, `{` + alice + `,` + record1 + `,"options":{"evaluations_semantic":"permit_on_first_permit"},"evaluations":[{"action":{"name":"records.delete"}},{` + reads + `},{` + reads + `}]}`, 200, "no yes"},
	{"another semantic", many, `{` + alice + `,` + record1 + `,"options":{"evaluations_semantic":"coin"},"evaluations":[{` + reads + `}]}`, 400, ""},
	{"too many", many, `{` + alice + `,` + reads + `,` + record1 + `,"evaluations":[{}` + strings.Repeat(",{}", 1000) + `]}`, 400, ""},
}

// TestTheCertificationScenario goes through AuthZEN's certification scenario by its numbers: Basic Core and Batch Core. Of
// the levels "Properties" (2-2-4 to 2-2-7, 3-2-3, 3-2-4, 3-2-7) the rules cannot hold here by design, since what a caller
// says of somebody decides nothing: there is the answer that properties do not change it.
func TestTheCertificationScenario(t *testing.T) {
	d, fill := certification(t), fixtureWords.Replace
	for _, c := range slices.Concat(basic, batch) {
		got := d.exchange(c)
		if c.status == 200 && got.status == 200 && decisions(t, got.body) != c.want {
			t.Errorf("%s: %s, want %s: %s", c.name, decisions(t, got.body), c.want, got.body)
		}
	}
	for range 5 { // c-2-6
		if yes, _ := d.asks(fill(all3)); !yes {
			t.Error("c-2-6: the same question has another answer")
		}
	}
	if got := d.post(one, fill(all3), header("Content-Type", "text/plain")); got.status != http.StatusBadRequest {
		t.Errorf("c-2-4-3 content type: %d", got.status)
	}
}

// exchange sends a request, and checks what every answer has to be: of the status and form, with the request's id.
func (d *door) exchange(c exchange) reply {
	d.t.Helper()
	got := d.post(c.path, fixtureWords.Replace(c.body), header("X-Request-ID", "from the caller"))
	if got.status != c.status || got.header.Get("X-Request-ID") != "from the caller" {
		d.t.Errorf("%s: %d with id %q, want %d: %s", c.name, got.status, got.header.Get("X-Request-ID"), c.status, got.body)
	}
	if wantType := map[bool]string{true: "application/json", false: "application/problem+json"}[c.status == 200]; got.header.Get("Content-Type") != wantType {
		d.t.Errorf("%s: %s, want %s", c.name, got.header.Get("Content-Type"), wantType)
	}
	return got
}

// TestTheGatewaysScenario asks the decisions of AuthZEN's interop scenario for API gateways, of which there are 25, twice: as
// evaluations about the permission that the charter has for the route, and as a gateway does, with the person's session. The
// scenario's own form, an action GET on a resource of type route, is what the charter's routes are for here.
func TestTheGatewaysScenario(t *testing.T) {
	people := map[string]string{
		"CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": "admin",
		"CiRmZDE2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": "editor",
		"CiRmZDI2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": "editor",
		"CiRmZDM2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": "viewer",
		"CiRmZDQ2MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs": "viewer",
	}
	d := openFixture(t, "todo.yaml", people)
	f := atGate(t, d.hall, d.acme)
	asked := 0
	for id, role := range people {
		session := d.hall.SignIn(strings.ToLower(id) + "@acme.test").Token
		for route, want := range map[string]bool{
			"GET /users/{userId}": true, "GET /todos": true, "POST /todos": role != "viewer",
			"PUT /todos/{todoId}": role != "viewer", "DELETE /todos/{todoId}": role != "viewer",
		} {
			line := strings.NewReplacer("{userId}", "1", "{todoId}", "2").Replace(route)
			method, path, _ := strings.Cut(line, " ")
			match, ok := d.hall.Charter().Match(method, path)
			if !ok {
				t.Fatalf("%s has no route", line)
			}
			if yes, reason := d.asks(question("user", id, string(match.Route.Needs), "acme")); yes != want {
				t.Errorf("%s %s: evaluation %v (%s), want %v", role, route, yes, reason, want)
			}
			if got := f.asks(line, bearing(session)); (got.Code == http.StatusOK) != want {
				t.Errorf("%s %s: gateway %d, want %v", role, route, got.Code, want)
			}
			asked++
		}
	}
	if asked != 25 {
		t.Errorf("%d decisions, want 25", asked)
	}
}
