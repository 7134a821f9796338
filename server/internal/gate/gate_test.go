package gate_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
)

// door is a hall behind its server, and whoever asks there.
type door struct {
	t    *testing.T
	hall *guildhalltest.Hall
	acme *guildhalltest.Organization
	url  string
	key  string
}

func open(t *testing.T, product string, options ...guildhalltest.Option) *door {
	t.Helper()
	h := guildhalltest.New(t, product, options...)
	return &door{t: t, hall: h, acme: h.Organization("acme"), url: h.URL(), key: h.ServiceKey("back end")}
}

// onBoth runs a test on both databases.
func onBoth(t *testing.T, product string, test func(t *testing.T, d *door)) {
	t.Helper()
	for _, dialect := range []sqldb.Dialect{sqldb.SQLite, sqldb.PostgreSQL} {
		t.Run(dialect.String(), func(t *testing.T) {
			test(t, open(t, product, guildhalltest.OnDatabase(testdb.DSN(t, dialect))))
		})
	}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// post sends a body with the door's key; changes change the request.
func (d *door) post(path, body string, changes ...func(*http.Request)) reply {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.key)
	r.Header.Set("Content-Type", "application/json")
	for _, change := range changes {
		change(r)
	}
	return d.do(r)
}

func (d *door) do(r *http.Request) reply {
	d.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(body)}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// question writes an evaluation about an organization as a whole.
func question(kind, id, action, organization string) string {
	return fmt.Sprintf(`{"subject":{"type":%q,"id":%q},"action":{"name":%q},"resource":{"type":"organization","id":%q}}`, kind, id, action, organization)
}

// asks is the decision and reason of one evaluation.
func (d *door) asks(body string) (bool, string) {
	d.t.Helper()
	got := d.post("/access/v1/evaluation", body)
	if got.status != http.StatusOK {
		d.t.Fatalf("%s: %d %s", body, got.status, got.body)
	}
	return decision(d.t, got.body)
}

func decision(t *testing.T, body string) (bool, string) {
	t.Helper()
	var out struct {
		Decision *bool `json:"decision"`
		Context  struct {
			Reason string `json:"reason"`
		} `json:"context"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil || out.Decision == nil {
		t.Fatalf("no decision in %s: %v", body, err)
	}
	return *out.Decision, out.Context.Reason
}

// decisions are those of one answer or of several, in order.
func decisions(t *testing.T, body string) string {
	t.Helper()
	type one struct {
		Decision *bool `json:"decision"`
	}
	var out struct {
		one
		Evaluations []one `json:"evaluations"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if out.Decision != nil {
		out.Evaluations = append(out.Evaluations, out.one)
	}
	var words []string
	for _, e := range out.Evaluations {
		if e.Decision == nil {
			t.Fatalf("an answer without a decision: %s", body)
		}
		words = append(words, map[bool]string{true: "yes", false: "no"}[*e.Decision])
	}
	return strings.Join(words, " ")
}

func TestDiscoveryNamesTheConfiguredAddresses(t *testing.T) {
	d := open(t, "automation")
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/.well-known/authzen-configuration", nil)
	r.Host = "evil.test"
	got := d.do(r)
	want := strings.ReplaceAll(`{"policy_decision_point":"BASE","access_evaluation_endpoint":"BASE/access/v1/evaluation",`+
		`"access_evaluations_endpoint":"BASE/access/v1/evaluations","search_subject_endpoint":"BASE/access/v1/search/subject",`+
		`"search_resource_endpoint":"BASE/access/v1/search/resource","search_action_endpoint":"BASE/access/v1/search/action"}`, "BASE", "https://guildhall.test")
	if got.status != http.StatusOK || got.body != want || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestOnlyALivingServiceKeyAsks(t *testing.T) {
	d := open(t, "automation")
	body := question("user", d.acme.Owner().User, "workflows.run", "acme")
	for name, change := range map[string]func(*http.Request){
		"nobody":   func(r *http.Request) { r.Header.Del("Authorization") },
		"a person": header("Authorization", "Bearer "+d.acme.Owner().Token),
		"a person's cookie": func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Set("Cookie", "__Host-guildhall="+d.acme.Owner().Token)
		},
		"the key as Basic":     header("Authorization", "Basic "+d.key),
		"a key mistyped":       header("Authorization", "Bearer "+d.key+"x"),
		"two keys":             func(r *http.Request) { r.Header.Add("Authorization", "Bearer "+d.key) },
		"the key in the query": func(r *http.Request) { r.URL.RawQuery = "access_token=" + d.key },
	} {
		got := d.post("/access/v1/evaluation", body, change)
		if got.status != http.StatusUnauthorized || got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+"/access/v1/evaluation", nil)
	if got := d.do(r); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodPost {
		t.Errorf("GET: %d %s", got.status, got.body)
	}

	keys, err := credential.ListServiceKeys.Call(d.hall.Operator(), d.hall.Service(), credential.ListServiceKeysInput{})
	if err != nil {
		t.Fatal(err)
	}
	if yes, _ := d.asks(body); !yes {
		t.Fatal("refused before the key is revoked")
	}
	if _, err := credential.RevokeServiceKey.Call(d.hall.Operator(), d.hall.Service(), credential.RevokeServiceKeyInput{Key: keys.Data[0].ID}); err != nil {
		t.Fatal(err)
	}
	if got := d.post("/access/v1/evaluation", body); got.status != http.StatusUnauthorized {
		t.Errorf("after the key was revoked: %d %s", got.status, got.body)
	}
}

// TestEveryCellOverHTTP asks every permission for every role of the three charters, as a user and as a session.
func TestEveryCellOverHTTP(t *testing.T) {
	for _, product := range charter.Names() {
		t.Run(product, func(t *testing.T) {
			onBoth(t, product, func(t *testing.T, d *door) {
				for _, role := range d.hall.Charter().Roles() {
					d.everyCell(role, d.acme.People[role.ID])
				}
			})
		})
	}
}

func (d *door) everyCell(role *charter.Role, p *guildhalltest.Person) {
	d.t.Helper()
	var evaluations, want []string
	for _, info := range d.hall.Charter().Permissions() {
		evaluations = append(evaluations, fmt.Sprintf(`{"action":{"name":%q}}`, info.ID))
		holds := role.Holds.Has(info.Bit)
		if need, _ := d.hall.Charter().Need(info.ID); info.Bit < 0 {
			holds = need.SubsetOf(role.Holds)
		}
		want = append(want, map[bool]string{true: "yes", false: "no"}[holds])
	}
	for _, subject := range []string{fmt.Sprintf(`{"type":"user","id":%q}`, p.User), fmt.Sprintf(`{"type":"credential","id":%q}`, p.Token)} {
		got := d.post("/access/v1/evaluations", fmt.Sprintf(`{"subject":%s,"resource":{"type":"organization","id":"acme"},"evaluations":[%s]}`,
			subject, strings.Join(evaluations, ",")))
		if decisions(d.t, got.body) != strings.Join(want, " ") {
			d.t.Errorf("%s: %s, want %s", role.ID, got.body, strings.Join(want, " "))
		}
	}
}

// TestWhoeverLosesAccessIsRefusedAtTheNextRequest ends access in every way, again and again. T-038
func TestWhoeverLosesAccessIsRefusedAtTheNextRequest(t *testing.T) {
	onBoth(t, "automation", func(t *testing.T, d *door) {
		h, owner := d.hall, d.acme.Owner()
		ends := func(p *guildhalltest.Person) directory.EndMemberInput {
			return directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: d.acme.In(), Member: p.Member}}
		}
		updates := func(p *guildhalltest.Person, role, end *string) error {
			_, err := directory.UpdateMember.Call(owner.Ctx(), h.Service(), directory.UpdateMemberInput{MemberInput: ends(p).MemberInput, Role: role, EndsAt: end})
			return err
		}
		for name, way := range map[string]struct {
			reason string
			end    func(p *guildhalltest.Person) error
		}{
			"removed": {"not_a_member", func(p *guildhalltest.Person) error {
				_, err := directory.RemoveMember.Call(owner.Ctx(), h.Service(), ends(p))
				return err
			}},
			"suspended": {"suspended", func(p *guildhalltest.Person) error {
				_, err := directory.SuspendMember.Call(owner.Ctx(), h.Service(), ends(p))
				return err
			}},
			"demoted": {"no_permission", func(p *guildhalltest.Person) error { return updates(p, new("viewer"), nil) }},
			"ended": {"membership_ended", func(p *guildhalltest.Person) error {
				end := h.Clock.Now().Add(time.Hour)
				err := updates(p, nil, new(end.Format(time.RFC3339Nano)))
				h.Clock.Advance(time.Hour)
				return err
			}},
			"signed out": {"unknown_subject", func(p *guildhalltest.Person) error {
				_, err := credential.RevokeSessions.Call(p.Ctx(), h.Service(), credential.RevokeSessionsInput{})
				return err
			}},
		} {
			for i := range 3 {
				p := d.acme.Join(fmt.Sprintf("%s%d@acme.test", strings.ReplaceAll(name, " ", ""), i), "editor")
				body := question("credential", p.Token, "workflows.run", "acme")
				if yes, reason := d.asks(body); !yes {
					t.Fatalf("before being %s: %s", name, reason)
				}
				if err := way.end(p); err != nil {
					t.Fatalf("being %s: %v", name, err)
				}
				if yes, reason := d.asks(body); yes || reason != way.reason {
					t.Errorf("%s: %v, %s; want %s", name, yes, reason, way.reason)
				}
			}
		}
		h.Sound()
	})
}

// TestManyAskAtOnce is for the race detector: questions about people whose roles go to and fro.
func TestManyAskAtOnce(t *testing.T) {
	d := open(t, "automation")
	p := d.acme.People["viewer"]
	var askers sync.WaitGroup
	for _, body := range []string{question("user", p.User, "workflows.run", "acme"), question("credential", p.Token, "workflows.run", d.acme.ID)} {
		for range 2 {
			askers.Go(func() {
				for range 40 {
					if got := d.post("/access/v1/evaluation", body); got.status != http.StatusOK {
						t.Errorf("%d %s", got.status, got.body)
					}
				}
			})
		}
	}
	for i := range 10 {
		role := []string{"editor", "viewer"}[i%2]
		if _, err := directory.UpdateMember.Call(d.acme.Owner().Ctx(), d.hall.Service(), directory.UpdateMemberInput{
			MemberInput: directory.MemberInput{InOrganization: d.acme.In(), Member: p.Member}, Role: &role}); err != nil {
			t.Fatal(err)
		}
	}
	askers.Wait()
}
