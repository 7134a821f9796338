package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/server"
)

// public is where browsers find the proxy, as Guildhall's configuration lists it.
const public = "http://localhost:8081"

// street is the whole example for one test: Guildhall, the product, and a real proxy in front of it.
type street struct {
	*product
	t             *testing.T
	hall          *guildhalltest.Hall
	inside, front string // the addresses of the product and of the proxy
	guildhall     string // and of Guildhall
	acme          *guildhalltest.Organization
	other         *guildhalltest.Organization // see globex
	client        http.Client
	things        belongings // of Acme, which cells are about
}

// behind starts everything behind a proxy.
func behind(t *testing.T, proxy func(*street) string) *street {
	t.Helper()
	s := &street{t: t, hall: guildhalltest.New(t, "gateway", guildhalltest.With(func(c *guildhall.Config) {
		c.Settings.ReturnTo = []string{public + callbackPath}
	}))}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	hall := httptest.NewServer(server.ForHall(s.hall.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL, Gateways: loopback}))
	t.Cleanup(hall.Close)
	s.guildhall = hall.URL
	o := options{data: t.TempDir(), public: public, guildhall: hall.URL, proxySecret: strings.Repeat("s", minSecret)}
	var err error
	if s.product, err = open(o, client.New(hall.URL, s.hall.ServiceKey("gateway"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.product.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	s.now = s.hall.Clock.Now
	inside := httptest.NewServer(s.handler())
	t.Cleanup(inside.Close)
	s.inside, s.acme = inside.URL, s.hall.Organization("acme")
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.front = proxy(s)
	return s
}

// globex is another organization.
func (s *street) globex() *guildhalltest.Organization {
	if s.other == nil {
		s.other = s.hall.Organization("globex")
	}
	return s.other
}

// answer is what a request was answered.
type answer struct {
	status int
	body   string
	header http.Header
}

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

// bearer sends a credential, and cookie a session as a browser does.
func bearer(secret string) func(*http.Request) { return header("Authorization", "Bearer "+secret) }

func cookie(secret string) func(*http.Request) { return header("Cookie", sessionCookie+"="+secret) }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = []string{value} }
}

// sends sends a request to the proxy.
func (s *street) sends(method, path, body string, changes ...func(*http.Request)) answer {
	s.t.Helper()
	return s.sendsTo(s.front, method, path, body, changes...)
}

func (s *street) sendsTo(base, method, path, body string, changes ...func(*http.Request)) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, base, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if r.URL.Opaque = path; strings.HasPrefix(path, "//") { // as it stands: nothing is cleaned or encoded
		r.URL.Opaque, r.URL.Path = "", path
	}
	for _, change := range changes {
		change(r)
	}
	response, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, string(bytes.TrimSpace(raw)), response.Header}
}

// makes sends a request that has to succeed, and gives the answer's id.
func (s *street) makes(secret, method, path, body string) string {
	s.t.Helper()
	got := s.sends(method, path, body, bearer(secret))
	if got.status/100 != 2 {
		s.t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	return field[string](s.t, got, "id")
}

// belongings are one of each kind of thing of an organization, all of them named after it.
type belongings struct{ prompt, endpoint, snippet string }

// belongingsOf makes them, in the name of somebody of the organization.
func (s *street) belongingsOf(o *guildhalltest.Organization, p *guildhalltest.Person) belongings {
	s.t.Helper()
	name := fmt.Sprintf("of_%s_%d", o.Slug, s.next())
	var b belongings
	b.prompt = s.makes(p.Token, "POST", "/api/prompts", fmt.Sprintf(`{"name":%q,"text":"text %s"}`, name, name))
	s.makes(p.Token, "POST", "/api/prompts/"+b.prompt+"/promote", `{"version":1}`)
	b.endpoint = s.makes(p.Token, "POST", "/api/endpoints", fmt.Sprintf(`{"name":%q,"prompt":%q}`, name, b.prompt))
	b.snippet = s.makes(p.Token, "POST", "/api/snippets", fmt.Sprintf(`{"name":%q,"text":"text"}`, name))
	return b
}

var counter int

// next is a number that no name had before.
func (s *street) next() int { counter++; return counter }

// path is a route's path with the ids of belongings in it.
func (b belongings) path(r *charter.Route) string {
	id := b.snippet
	switch {
	case strings.HasPrefix(r.Pattern, "/api/endpoints"):
		id = b.endpoint
	case strings.HasPrefix(r.Pattern, "/api/prompts"):
		id = b.prompt
	}
	return strings.Replace(r.Pattern, "{id}", id, 1)
}

// body is a body that a route accepts.
func (s *street) body(r *charter.Route, b belongings) string {
	switch r.String() {
	case "POST /api/endpoints", "PATCH /api/endpoints/{id}":
		return fmt.Sprintf(`{"name":"another","prompt":%q}`, b.prompt)
	case "POST /api/endpoints/{id}/call":
		return `{}`
	case "POST /api/endpoints/{id}/owner":
		return fmt.Sprintf(`{"member":%q}`, s.acme.Owner().Member)
	case "POST /api/prompts":
		return `{"name":"another","text":"another"}`
	case "POST /api/prompts/{id}/versions":
		return `{"text":"better"}`
	case "POST /api/prompts/{id}/promote":
		return `{"version":1}`
	case "POST /api/snippets", "PUT /api/snippets/{id}":
		return fmt.Sprintf(`{"name":"snippet_%d","text":"another"}`, s.next())
	}
	return ""
}
