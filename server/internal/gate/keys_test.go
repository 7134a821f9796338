package gate_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/guildhalltest"
)

// keyOf makes a personal key for everything that its maker may, within a scoping.
func keyOf(t *testing.T, h *guildhalltest.Hall, o *guildhalltest.Organization, p *guildhalltest.Person, within credential.Scoping) credential.NewKey {
	t.Helper()
	made, err := credential.CreateKey.Call(p.Ctx(), h.Service(), credential.CreateKeyInput{InOrganization: o.In(), Name: "nightly", Scoping: within})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAKeySaysItsOwnOrganization(t *testing.T) {
	f := inFront(t, guildhalltest.WithCharter(t, routed(t)))
	globex, editor := f.hall.Organization("globex"), f.acme.People["editor"]
	joins(t, f.hall, globex, editor)
	key := keyOf(t, f.hall, f.acme, editor, credential.Scoping{})
	w := f.asks("POST /api/workflows/wf_1/run", bearing(key.Secret))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	want := map[string]string{"User": editor.User, "Member": editor.Member, "Organization": f.acme.ID, "Role": "editor", "Credential": key.ID, "Kind": "key",
		"Region": "us-east-1", "Plan": "free", "Features": "mcp", "Permission": "workflows.run", "Resource": "workflow:wf_1"}
	if diff := cmp.Diff(want, whom(t, w)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for line, want := range map[string]int{"GET /o/acme/workflows": 200, "GET /o/globex/workflows": 403} {
		if w := f.asks(line, bearing(key.Secret)); w.Code != want {
			t.Errorf("%s: %d %s, want %d", line, w.Code, w.Body, want)
		}
	}
	if _, err := credential.RevokeKey.Call(editor.Ctx(), f.hall.Service(), credential.RevokeKeyInput{KeyInput: credential.KeyInput{InOrganization: f.acme.In(), Key: key.ID}}); err != nil {
		t.Fatal(err)
	}
	if w := f.asks("GET /o/acme/workflows", bearing(key.Secret)); w.Code != http.StatusUnauthorized {
		t.Errorf("after it was revoked: %d %s", w.Code, w.Body)
	}
}

// TestWhatAKeyIsLimitedToHoldsAtTheGate: scopes, single resources, networks by the client's address and not the gateway's.
func TestWhatAKeyIsLimitedToHoldsAtTheGate(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	key := keyOf(t, f.hall, f.acme, f.acme.People["editor"], credential.Scoping{Permissions: []charter.Permission{"workflows.view", "workflows.run"},
		Resources: []string{"workflow:wf_1"}, Networks: []string{"198.51.100.0/24"}})
	from := func(address string) func(*http.Request) { return header("X-Forwarded-For", address) }
	for _, c := range []struct{ says, line, address, want string }{
		{"what it is for", "POST /api/workflows/wf_1/run", "198.51.100.7", "200"},
		{"another resource", "POST /api/workflows/wf_2/run", "198.51.100.7", "other_resource"},
		{"the organization as a whole", "GET /api/workflows", "198.51.100.7", "other_resource"},
		{"out of its scopes", "PATCH /api/workflows/wf_1", "198.51.100.7", "out_of_scope"},
		{"another address", "POST /api/workflows/wf_1/run", "203.0.113.7", "wrong_address"},
		{"an address that the client claims", "POST /api/workflows/wf_1/run", "198.51.100.7, 203.0.113.7", "wrong_address"},
		{"no address", "POST /api/workflows/wf_1/run", "", "wrong_address"},
	} {
		w := f.asks(c.line, bearing(key.Secret), from(c.address))
		got := fmt.Sprint(w.Code)
		if w.Code == http.StatusForbidden {
			got = w.Header().Get("X-Guildhall-Reason")
		}
		if got != c.want {
			t.Errorf("%s: %s %s, want %s", c.says, got, w.Body, c.want)
		}
	}
}

func TestATokensRequestsAreCountedAtTheGate(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	in := credential.CreateTokenInput{InOrganization: f.acme.In(), Budget: 3}
	made, err := credential.CreateToken.Call(f.acme.People["editor"].Ctx(), f.hall.Service(), in)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, line := range []string{"GET /api/workflows", "GET /api/nothing", "GET /api/workflows", "GET /api/workflows", "GET /api/workflows"} {
		got = append(got, f.asks(line, bearing(made.Secret)).Code)
	}
	if diff := cmp.Diff([]int{200, 403, 200, 200, 403}, got); diff != "" { // what is refused is not counted
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestAnEvaluationTellsForWhomAYesIs over HTTP, for a user, a session and a key, which needs no organization to be named.
func TestAnEvaluationTellsForWhomAYesIs(t *testing.T) {
	d := open(t, "automation")
	editor := d.acme.People["editor"]
	key := keyOf(t, d.hall, d.acme, editor, credential.Scoping{Networks: []string{"198.51.100.0/24"}})
	const from = `,"context":{"address":"198.51.100.7"}`
	for _, c := range []struct{ says, kind, id, resource, context, wantKind, wantCredential string }{
		{"a user", "user", editor.User, `{"type":"organization","id":"acme"}`, "", "user", ""},
		{"a session", "credential", editor.Token, `{"type":"workflow","id":"wf_1","properties":{"organization":"acme"}}`, "", "user", "ses_"},
		{"a key", "credential", key.Secret, `{"type":"workflow","id":"wf_1"}`, from, "key", key.ID},
		{"a key about its organization", "credential", key.Secret, `{"type":"organization"}`, from, "key", key.ID},
	} {
		got := d.toldOf(fmt.Sprintf(`{"subject":{"type":%q,"id":%q},"action":{"name":"workflows.run"},"resource":%s%s}`, c.kind, c.id, c.resource, c.context))
		if credential := got["credential"]; !strings.HasPrefix(credential, c.wantCredential) || c.wantCredential == "" && credential != "" {
			t.Errorf("%s: credential %q, want %q", c.says, credential, c.wantCredential)
		}
		delete(got, "credential")
		want := map[string]string{"reason": "role", "kind": c.wantKind, "user": editor.User, "member": editor.Member, "organization": d.acme.ID,
			"role": "editor", "region": "us-east-1", "plan": "free", "features": "mcp"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.says, diff)
		}
	}
	for context, want := range map[string]string{"": "wrong_address", `,"context":{"address":"203.0.113.7"}`: "wrong_address", `,"context":{"address":"here"}`: "wrong_address"} {
		body := fmt.Sprintf(`{"subject":{"type":"credential","id":%q},"action":{"name":"workflows.run"},"resource":{"type":"organization"}%s}`, key.Secret, context)
		if yes, reason := d.asks(body); yes || reason != want {
			t.Errorf("from elsewhere (%s): %v %s", context, yes, reason)
		}
	}
	if got := d.post("/access/v1/evaluation", question("user", editor.User, "billing.manage", "acme")); !strings.Contains(got.body, `"needs":"billing.manage","fix_url":"https://guildhall.test/docs/permissions#billing-manage"`) {
		t.Errorf("a no: %s", got.body)
	}
}

// toldOf is the context of an answer yes.
func (d *door) toldOf(body string) map[string]string {
	d.t.Helper()
	got := d.post("/access/v1/evaluation", body)
	var out struct {
		Decision bool           `json:"decision"`
		Context  map[string]any `json:"context"`
	}
	if err := json.Unmarshal([]byte(got.body), &out); err != nil || !out.Decision {
		d.t.Fatalf("%s: %s: %v", body, got.body, err)
	}
	told := map[string]string{}
	for name, value := range out.Context {
		told[name] = strings.Trim(fmt.Sprint(value), "[]")
	}
	return told
}

// TestTheAddressOfABatchIsEachEvaluations, unless it has a context of its own.
func TestTheAddressOfABatchIsEachEvaluations(t *testing.T) {
	d := open(t, "automation")
	key := keyOf(t, d.hall, d.acme, d.acme.People["editor"], credential.Scoping{Networks: []string{"198.51.100.0/24"}})
	got := d.post("/access/v1/evaluations", fmt.Sprintf(`{"subject":{"type":"credential","id":%q},"action":{"name":"workflows.run"},
		"resource":{"type":"organization"},"context":{"address":"198.51.100.7"},
		"evaluations":[{},{"context":{"address":"203.0.113.7"}},{"context":{}}]}`, key.Secret))
	if want := "yes no no"; decisions(t, got.body) != want {
		t.Errorf("got %s, want %s", got.body, want)
	}
}
