package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/guildhalltest"
)

// platform is the whole example for one test: Guildhall in process, an organization, and the product in front.
type platform struct {
	*product
	t      *testing.T
	hall   *guildhalltest.Hall
	url    string
	acme   *guildhalltest.Organization
	other  *guildhalltest.Organization // see globex
	things belongings                  // of Acme, which cells are about
}

func start(t *testing.T) *platform {
	t.Helper()
	f := &platform{t: t, hall: guildhalltest.New(t, "automation")}
	var err error
	if f.product, err = open(t.TempDir(), f.hall.Charter().Regions); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.product.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	f.now = f.hall.Clock.Now
	s := httptest.NewServer(handler(f.hall.Hall, f.product, guildhalltest.BaseURL))
	t.Cleanup(s.Close)
	f.url, f.acme = s.URL, f.hall.Organization("acme")
	return f
}

// globex is another organization.
func (f *platform) globex() *guildhalltest.Organization {
	if f.other == nil {
		f.other = f.hall.Organization("globex")
	}
	return f.other
}

// answer is what a request was answered.
type answer struct {
	status int
	body   string
	header http.Header
}

// id is the answer's id.
func (a answer) id(t *testing.T) string { return field[string](t, a, "id") }

func field[T any](t *testing.T, a answer, name string) T {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(a.body), &all); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	value, ok := all[name].(T)
	if !ok {
		t.Fatalf("no %s in %s", name, a.body)
	}
	return value
}

// sends sends a request with a credential; "" sends none.
func (f *platform) sends(credential, method, path, body string) answer {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	f.jobs.Wait() // what the request began has ended
	return answer{response.StatusCode, string(bytes.TrimSpace(raw)), response.Header}
}

// makes sends a request that has to succeed.
func (f *platform) makes(credential, method, path, body string) answer {
	f.t.Helper()
	got := f.sends(credential, method, path, body)
	if got.status/100 != 2 {
		f.t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	return got
}

// belongings are one of each kind of thing of an organization, all of them named after it.
type belongings struct{ workflow, execution, artifact, server, credential string }

// belongingsOf makes them, in the owner's name.
func (f *platform) belongingsOf(o *guildhalltest.Organization) belongings {
	f.t.Helper()
	owner, in := o.Owner().Token, "?organization="+o.Slug
	name := fmt.Sprintf("of %s %d", o.Slug, f.next())
	b := belongings{
		workflow:   f.makes(owner, "POST", "/api/workflows"+in, fmt.Sprintf(`{"name":%q,"steps":[{"do":"write","text":%q}]}`, name, name)).id(f.t),
		server:     f.makes(owner, "POST", "/api/mcp_servers"+in, fmt.Sprintf(`{"name":%q,"url":"https://mcp.test"}`, name)).id(f.t),
		credential: f.makes(owner, "POST", "/api/credentials"+in, fmt.Sprintf(`{"name":%q,"value":"hidden"}`, name)).id(f.t),
	}
	b.execution = f.makes(owner, "POST", "/api/workflows/"+b.workflow+"/run"+in, "").id(f.t)
	if err := f.db.QueryRow("SELECT id FROM artifacts WHERE execution = $1", b.execution).Scan(&b.artifact); err != nil {
		f.t.Fatal(err)
	}
	return b
}

var counter int

// next is a number that no name had before.
func (f *platform) next() int { counter++; return counter }

// path is a route's path with the ids of belongings in it.
func (b belongings) path(r *charter.Route) string {
	kind, _, _ := strings.Cut(r.On, ":")
	id := map[string]string{"workflow": b.workflow, "artifact": b.artifact, "mcp_server": b.server, "credential": b.credential}[kind]
	return strings.NewReplacer("{id}", id, "{execution}", b.execution).Replace(r.Pattern)
}

// body is a body that a route accepts.
func (f *platform) body(r *charter.Route) string {
	switch r.String() {
	case "POST /api/workflows", "PATCH /api/workflows/{id}":
		return `{"name":"another","steps":[{"do":"write","text":"another"}]}`
	case "POST /api/mcp_servers":
		return fmt.Sprintf(`{"name":"server %d","url":"https://mcp.test/sse"}`, f.next())
	case "POST /api/credentials":
		return fmt.Sprintf(`{"name":"credential %d","value":"s3cret"}`, f.next())
	}
	return ""
}
