package gate_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
	"github.com/guildhall/guildhall/server/internal/gate"
)

// TestEveryCheckIsRecorded asks through both faces, and wants one record of each check, also of a no.
func TestEveryCheckIsRecorded(t *testing.T) {
	h := guildhalltest.WithCharter(t, changed(t, `  - {route: "GET /assets/{rest...}", public: true}`), guildhalltest.With(func(c *guildhall.Config) {
		c.Limits = op.Limits{PerCredential: op.RateLimit{Times: 4, Per: time.Minute}}
	}))
	acme := h.Organization("acme")
	editor, service := acme.People["editor"], h.ServiceKey("back end")
	key := keyOf(t, h, acme, editor, credential.Scoping{Resources: []string{"workflow:wf_1"}})
	var told []gate.Record
	handler := server.New(server.Config{Service: h.Service(), BaseURL: guildhalltest.BaseURL, Log: slog.New(slog.DiscardHandler),
		Gate: gate.New(gate.Config{Access: h.Access(), Service: h.Service(), Gateways: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			Record: func(r *gate.Record) { told = append(told, *r) }})})
	ask := func(path, body string, headers ...string) http.Header {
		r := httptest.NewRequest(map[bool]string{true: "GET", false: "POST"}[body == ""], path, strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Header()
	}
	evaluate := func(path, body string) http.Header {
		return ask(path, body, "Authorization", "Bearer "+service, "Content-Type", "application/json")
	}
	forward := func(line, credential string) http.Header {
		method, uri, _ := strings.Cut(line, " ")
		return ask("/forward-auth", "", "X-Forwarded-Method", method, "X-Forwarded-Uri", uri, "X-Forwarded-For", "203.0.113.7", "Authorization", "Bearer "+credential)
	}
	for _, c := range []struct {
		says string
		ask  func() http.Header
		want []string
	}{
		{"a yes", func() http.Header {
			return evaluate("/access/v1/evaluation", question("user", editor.User, "workflows.run", "acme"))
		},
			[]string{"authzen role workflows.run   user/" + editor.User + "/ true"}},
		{"a no", func() http.Header {
			return evaluate("/access/v1/evaluation", question("credential", editor.Token, "billing.manage", "acme"))
		}, []string{"authzen no_permission billing.manage   user/" + editor.User + "/ses_ true"}},
		{"two of a batch, of which one is malformed", func() http.Header {
			return evaluate("/access/v1/evaluations", fmt.Sprintf(`{"subject":{"type":"credential","id":%q},"action":{"name":"workflows.run"},"context":{"address":"198.51.100.1"},
				"evaluations":[{"resource":{"type":"workflow","id":"wf_1"}},{"resource":1},{"resource":{"type":"workflow","id":"wf_2"}}]}`, key.Secret))
		}, []string{"authzen role workflows.run workflow:wf_1 198.51.100.1 key/" + editor.User + "/key_ true",
			"authzen other_resource workflows.run workflow:wf_2 198.51.100.1 key/" + editor.User + "/key_ true"}},
		{"a search", func() http.Header {
			return evaluate("/access/v1/search/subject", `{"subject":{"type":"user"},"action":{"name":"workflows.run"},"resource":{"type":"organization","id":"acme"}}`)
		}, nil},
		{"what is malformed", func() http.Header { return evaluate("/access/v1/evaluation", `{}`) }, nil},
		{"a request that may pass", func() http.Header { return forward("POST /api/workflows/wf_1/run?x=secret", key.Secret) },
			[]string{"forward-auth role workflows.run workflow:wf_1 POST /api/workflows/{id}/run 203.0.113.7 key/" + editor.User + "/key_ true"}},
		{"one that may not", func() http.Header { return forward("POST /api/workflows/wf_2/run", key.Secret) },
			[]string{"forward-auth other_resource workflows.run workflow:wf_2 POST /api/workflows/{id}/run 203.0.113.7 key/" + editor.User + "/key_ true"}},
		{"of nobody", func() http.Header { return forward("GET /api/workflows", "gld_live_x") },
			[]string{"forward-auth unauthenticated workflows.view  GET /api/workflows 203.0.113.7 // false"}},
		{"of no route", func() http.Header { return forward("GET /api/nothing", key.Secret) },
			[]string{"forward-auth unknown_route   GET  203.0.113.7 // false"}},
		{"of a public route", func() http.Header { return forward("GET /assets/app.css", key.Secret) },
			[]string{"forward-auth public   GET /assets/{rest...} 203.0.113.7 // false"}},
		{"one too many", func() http.Header {
			forward("GET /api/workflows", key.Secret)
			forward("GET /api/workflows", key.Secret)
			told = told[:0]
			return forward("GET /api/workflows", key.Secret)
		}, []string{"forward-auth limited workflows.view  GET /api/workflows 203.0.113.7 key/" + editor.User + "/key_ true"}},
	} {
		told = told[:0]
		id := c.ask().Get("Request-Id")
		var got []string
		for _, r := range told {
			if r.RequestID != id || r.At != h.Clock.Now() || r.Took <= 0 {
				t.Errorf("%s: request %q, at %v, took %v", c.says, r.RequestID, r.At, r.Took)
			}
			credential, _, _ := strings.Cut(r.Who.Credential.String(), "_")
			if credential != "" {
				credential += "_"
			}
			got = append(got, fmt.Sprintf("%s %s %s %s %s %s/%s/%s %v", r.Face, r.Code, r.Permission, r.Resource,
				strings.TrimSpace(r.Method+" "+r.Route+" "+r.Address), r.Who.Kind, r.Who.User, credential, r.Who.Organization.String() == acme.ID))
			if r.Allow != (r.Code == "role" || r.Code == "public") {
				t.Errorf("%s: allowed %v, %s", c.says, r.Allow, r.Code)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.says, diff)
		}
	}
}

// TestARecordSaysWhereTheAnswerCameFrom: the database is asked about whoever asks first, and again after a change.
func TestARecordSaysWhereTheAnswerCameFrom(t *testing.T) {
	h := guildhalltest.New(t, "automation")
	acme := h.Organization("acme")
	p := acme.Join("zoe@acme.test", "editor")
	var told []bool
	g := gate.New(gate.Config{Access: h.Access(), Service: h.Service(), Gateways: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Record: func(r *gate.Record) { told = append(told, r.Read) }})
	handler := server.New(server.Config{Service: h.Service(), BaseURL: guildhalltest.BaseURL, Log: slog.New(slog.DiscardHandler), Gate: g})
	service := h.ServiceKey("back end")
	asks := func() {
		r := httptest.NewRequest("GET", "/forward-auth", nil)
		for name, value := range map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/api/workflows", "Authorization": "Bearer " + p.Token} {
			r.Header.Set(name, value)
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		r = httptest.NewRequest("POST", "/access/v1/evaluation", strings.NewReader(question("credential", p.Token, "workflows.run", "acme")))
		r.Header.Set("Authorization", "Bearer "+service)
		r.Header.Set("Content-Type", "application/json")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	asks()
	asks()
	in := directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: acme.In(), Member: p.Member}}
	if _, err := directory.RemoveMember.Call(acme.Owner().Ctx(), h.Service(), in); err != nil {
		t.Fatal(err)
	}
	asks()
	// Both have to ask: one names the organization by its id and the other by its slug, and each is remembered by itself.
	if diff := cmp.Diff([]bool{true, true, false, false, true, true}, told); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
