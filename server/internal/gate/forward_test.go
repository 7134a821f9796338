package gate_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testroom"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server"
)

// front is a hall as a gateway at an address sees it.
type front struct {
	t       *testing.T
	hall    *guildhalltest.Hall
	acme    *guildhalltest.Organization
	handler http.Handler
	log     bytes.Buffer
}

// gatewayAddress is where the tests' gateway is.
const gatewayAddress = "10.1.2.3"

func inFront(t *testing.T, h *guildhalltest.Hall) *front { return atGate(t, h, h.Organization("acme")) }

func atGate(t *testing.T, h *guildhalltest.Hall, acme *guildhalltest.Organization) *front {
	f := &front{t: t, hall: h, acme: acme}
	f.handler = server.ForHall(h.Hall, server.HallConfig{BaseURL: guildhalltest.BaseURL, Gateways: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
		Log: slog.New(slog.NewTextHandler(&f.log, nil))})
	return f
}

// asks sends what a gateway asks about a request: method and address, as the client sent them.
func (f *front) asks(line string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	f.t.Helper()
	method, uri, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(http.MethodGet, "/forward-auth", nil)
	r.RemoteAddr = gatewayAddress + ":4711"
	r.Header.Set("X-Forwarded-Method", method)
	r.Header.Set("X-Forwarded-Uri", uri)
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

func bearing(credential string) func(*http.Request) {
	return header("Authorization", "Bearer "+credential)
}

// cookie sends a session as a browser does.
func cookie(session string) func(*http.Request) { return header("Cookie", "__Host-guildhall="+session) }

// all are the headers of an answer yes.
var all = []string{"User", "Member", "Organization", "Role", "Credential", "Kind", "Region", "Plan", "Features", "Permission", "Resource"}

// whom is what the answer says of the caller: all headers, with a space between.
func whom(t *testing.T, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	said := map[string]string{}
	for _, name := range all {
		values, ok := w.Header()["X-Guildhall-"+name]
		if !ok || len(values) != 1 {
			t.Errorf("X-Guildhall-%s is there %d times, want once", name, len(values))
			continue
		}
		said[name] = values[0]
	}
	return said
}

func TestAYesSaysForWhomItIs(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	editor := f.acme.People["editor"]
	w := f.asks("POST /api/workflows/wf_1/run?dry=1", bearing(editor.Token))
	if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	got := whom(t, w)
	if !strings.HasPrefix(got["Credential"], "ses_") {
		t.Errorf("credential %q", got["Credential"])
	}
	delete(got, "Credential")
	want := map[string]string{"User": editor.User, "Member": editor.Member, "Organization": f.acme.ID, "Role": "editor", "Kind": "user",
		"Region": "us-east-1", "Plan": "free", "Features": "mcp", "Permission": "workflows.run", "Resource": "workflow:wf_1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEverybodyTakesAPublicRouteForNobody(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "gateway"))
	w := f.asks("GET /assets/app.css", cookie("anything"))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	for name, value := range whom(t, w) {
		if value != "" {
			t.Errorf("X-Guildhall-%s: %s, want nothing", name, value)
		}
	}
}

func TestANoSaysWhy(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	viewer, editor := bearing(f.acme.People["viewer"].Token), bearing(f.acme.People["editor"].Token)
	for _, c := range []struct {
		says, line string
		changes    []func(*http.Request)
		status     int
		code       string
	}{
		{"nobody", "GET /api/workflows", nil, 401, "unauthenticated"},
		{"nobody's browser", "GET /api/workflows", []func(*http.Request){header("Accept", "text/html")}, 401, "unauthenticated"},
		{"the role lacks it", "POST /api/workflows", []func(*http.Request){viewer}, 403, "denied"},
		{"a key mistyped", "GET /api/workflows", []func(*http.Request){bearing("gld_live_x")}, 401, "unauthenticated"},
		{"two credentials", "GET /api/workflows", []func(*http.Request){editor, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }}, 401, "unauthenticated"},
		{"Basic", "GET /api/workflows", []func(*http.Request){header("Authorization", "Basic YTpi")}, 401, "unauthenticated"},
		{"a service key", "GET /api/workflows", []func(*http.Request){bearing(f.hall.ServiceKey("back end"))}, 401, "unauthenticated"},
		{"no such request", "GET /api/nothing", []func(*http.Request){editor}, 403, "unknown_route"},
		{"no such method", "PUT /api/workflows", []func(*http.Request){editor}, 403, "unknown_route"},
		{"a method in lower case", "get /api/workflows", []func(*http.Request){editor}, 403, "unknown_route"},
		{"another method by header", "GET /api/workflows/wf_1/run", []func(*http.Request){editor, header("X-Http-Method-Override", "POST")}, 403, "unknown_route"},
		{"no method", " /api/workflows", []func(*http.Request){editor}, 403, "unknown_route"},
		{"no method header", "GET /api/workflows", []func(*http.Request){editor, func(r *http.Request) { r.Header.Del("X-Forwarded-Method") }}, 400, "malformed"},
		{"two method headers", "GET /api/workflows", []func(*http.Request){editor, func(r *http.Request) { r.Header.Add("X-Forwarded-Method", "GET") }}, 400, "malformed"},
		{"no address", "GET /api/workflows", []func(*http.Request){editor, func(r *http.Request) { r.Header.Del("X-Forwarded-Uri") }}, 400, "malformed"},
		{"two addresses", "GET /api/workflows", []func(*http.Request){editor, func(r *http.Request) { r.Header.Add("X-Forwarded-Uri", "/api/workflows") }}, 400, "malformed"},
		{"two hosts", "GET /api/workflows", []func(*http.Request){editor, func(r *http.Request) { r.Header["X-Forwarded-Host"] = []string{"a", "b"} }}, 400, "malformed"},
	} {
		w := f.asks(c.line, c.changes...)
		if w.Code != c.status || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("X-Guildhall-Reason") != c.code ||
			!strings.Contains(w.Body.String(), `"code":"`+c.code+`"`) {
			t.Errorf("%s: %d %q %s, want %d %s", c.says, w.Code, w.Header().Get("X-Guildhall-Reason"), w.Body, c.status, c.code)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (c.status == 401) {
			t.Errorf("%s: %d with WWW-Authenticate %q", c.says, w.Code, challenge)
		}
		if w.Header().Get("X-Guildhall-User") != "" {
			t.Errorf("%s: a no for %s", c.says, w.Header().Get("X-Guildhall-User"))
		}
	}
	if w := f.asks("POST /api/workflows", viewer); w.Header().Get("X-Guildhall-Needs") != "workflows.edit" || !strings.Contains(w.Body.String(), `"needs":"workflows.edit"`) {
		t.Errorf("a no does not say what is needed: %v %s", w.Header(), w.Body)
	}
}

// TestOnlyGatewaysAreBelieved asks from other addresses, however they are dressed up. T-098
func TestOnlyGatewaysAreBelieved(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	owner := bearing(f.acme.Owner().Token)
	from := func(address string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = address }
	}
	for says, change := range map[string]func(*http.Request){
		"a neighbour":               from("10.2.0.1:1"),
		"this machine":              from("127.0.0.1:1"),
		"IPv6":                      from("[2001:db8::1]:1"),
		"a Unix socket":             from("@"),
		"somebody who claims to be": func(r *http.Request) { r.RemoteAddr = "203.0.113.1:1"; r.Header.Set("X-Forwarded-For", gatewayAddress) },
	} {
		f.log.Reset()
		w := f.asks("GET /api/workflows", owner, change)
		if w.Code != http.StatusForbidden || w.Header().Get("X-Guildhall-Reason") != "gateway_not_trusted" || w.Header().Get("X-Guildhall-User") != "" {
			t.Errorf("%s: got %d %s", says, w.Code, w.Body)
		}
		if !strings.Contains(f.log.String(), "not among the gateways") {
			t.Errorf("%s: not logged: %s", says, f.log.String())
		}
	}
	if w := f.asks("GET /api/workflows", owner, from("[::ffff:10.1.9.9]:1")); w.Code != http.StatusOK {
		t.Errorf("a gateway by IPv4 in IPv6: %d", w.Code)
	}
}

// TestTheOrganizationComesFromTheRouteOrTheCredential, and from nothing else that a client can send.
func TestTheOrganizationComesFromTheRouteOrTheCredential(t *testing.T) {
	f := inFront(t, guildhalltest.WithCharter(t, routed(t)))
	globex := f.hall.Organization("globex")
	ann := f.acme.People["editor"]
	say := func(line string, changes ...func(*http.Request)) string {
		t.Helper()
		w := f.asks(line, append([]func(*http.Request){bearing(ann.Token)}, changes...)...)
		if w.Code == http.StatusOK {
			return whom(t, w)["Organization"]
		}
		return w.Header().Get("X-Guildhall-Reason")
	}
	for _, c := range []struct{ says, got, want string }{
		{"her only one", say("GET /api/workflows"), f.acme.ID},
		{"a header", say("GET /api/workflows", header("X-Guildhall-Organization", globex.ID), header("X-Org-Id", globex.ID)), f.acme.ID},
		{"a query", say("GET /api/workflows?organization=" + globex.ID), f.acme.ID},
		{"the path, by slug", say("GET /o/acme/workflows"), f.acme.ID},
		{"the path, by id", say("GET /o/" + f.acme.ID + "/workflows"), f.acme.ID},
		{"another one's path", say("GET /o/globex/workflows"), "not_a_member"},
		{"nobody's path", say("GET /o/nowhere/workflows"), "not_a_member"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.says, c.got, c.want)
		}
	}
	joins(t, f.hall, globex, ann)
	f.hall.Clock.Advance(5 * time.Second)
	for line, want := range map[string]string{
		"GET /api/workflows":      "organization_unknown",
		"GET /o/acme/workflows":   f.acme.ID,
		"GET /o/globex/workflows": globex.ID,
	} {
		if got := say(line); got != want {
			t.Errorf("in two organizations, %s: %s, want %s", line, got, want)
		}
	}
}

// A session that an organization's provider began is about that organization, however many its person belongs to. T-065
func TestASessionOfAProviderIsAboutItsOrganization(t *testing.T) {
	dsn := testdb.DSN(t, sqldb.PostgreSQL)
	f := inFront(t, guildhalltest.New(t, "automation", guildhalltest.OnDatabase(dsn)))
	ann := f.acme.People["editor"]
	joins(t, f.hall, f.hall.Organization("globex"), ann)
	ask := func() *httptest.ResponseRecorder { return f.asks("GET /api/workflows", bearing(ann.Token)) }
	if w := ask(); w.Header().Get("X-Guildhall-Reason") != "organization_unknown" {
		t.Errorf("by mail, in two organizations: %d %v", w.Code, w.Header())
	}
	err := testdb.Connect(t, dsn).Write(t.Context(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE sessions SET organization = $1 WHERE user_id = $2", f.acme.ID, ann.User)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.hall.Access().Reset()
	if w := ask(); w.Code != http.StatusOK || whom(t, w)["Organization"] != f.acme.ID {
		t.Errorf("by a provider: %d %v", w.Code, w.Header())
	}
}

// joins adds somebody who has an account already to another organization.
func joins(t *testing.T, h *guildhalltest.Hall, o *guildhalltest.Organization, p *guildhalltest.Person) {
	t.Helper()
	if _, err := directory.CreateInvitation.Call(h.Operator(), h.Service(), directory.CreateInvitationInput{InOrganization: o.In(), Email: p.Email, Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	in := directory.AcceptInvitationInput{}
	in.Token = h.MailedToken(p.Email)
	if _, err := directory.AcceptInvitation.Call(p.Ctx(), h.Service(), in); err != nil {
		t.Fatal(err)
	}
}

// routed is the automation charter with routes that name the organization.
func routed(t *testing.T) *charter.Charter {
	t.Helper()
	return changed(t, `  - {route: "GET /o/{organization}/workflows", needs: workflows.view}`)
}

// changed is the automation charter with one route more.
func changed(t *testing.T, route string) *charter.Charter {
	t.Helper()
	return testroom.With(t, "automation", "\nroutes:\n", "\nroutes:\n"+route+"\n")
}

// TestAnotherSiteCannotUseABrowsersSession: T-054
func TestAnotherSiteCannotUseABrowsersSession(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	token := f.acme.People["editor"].Token
	host := header("X-Forwarded-Host", "product.test")
	for _, c := range []struct {
		says, line string
		changes    []func(*http.Request)
		status     int
	}{
		{"the product's own page", "POST /api/workflows", []func(*http.Request){cookie(token), header("Sec-Fetch-Site", "same-origin")}, 200},
		{"an old browser on the product's page", "POST /api/workflows", []func(*http.Request){cookie(token), host, header("Origin", "https://product.test")}, 200},
		{"another site", "POST /api/workflows", []func(*http.Request){cookie(token), header("Sec-Fetch-Site", "cross-site")}, 403},
		{"a site beside it", "POST /api/workflows", []func(*http.Request){cookie(token), header("Sec-Fetch-Site", "same-site")}, 403},
		{"an old browser on another site", "POST /api/workflows", []func(*http.Request){cookie(token), host, header("Origin", "https://evil.test")}, 403},
		{"an old browser, and a gateway that does not name the host", "POST /api/workflows", []func(*http.Request){cookie(token), header("Origin", "https://product.test")}, 403},
		{"two words about the site", "POST /api/workflows", []func(*http.Request){cookie(token), func(r *http.Request) { r.Header["Sec-Fetch-Site"] = []string{"same-origin", "cross-site"} }}, 403},
		{"a link on another site", "GET /api/workflows", []func(*http.Request){cookie(token), header("Sec-Fetch-Site", "cross-site")}, 200},
		{"another site with a key of its own", "POST /api/workflows", []func(*http.Request){bearing(token), header("Sec-Fetch-Site", "cross-site")}, 200},
	} {
		w := f.asks(c.line, c.changes...)
		if w.Code != c.status || w.Code == 403 && w.Header().Get("X-Guildhall-Reason") != "cross_origin" {
			t.Errorf("%s: got %d %s, want %d", c.says, w.Code, w.Body, c.status)
		}
	}
}

// TestWhoeverLosesAccessIsStoppedAtTheGate: T-038
func TestWhoeverLosesAccessIsStoppedAtTheGate(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	for range 3 {
		p := f.acme.Join("mallory@acme.test", "editor")
		if w := f.asks("GET /api/workflows", bearing(p.Token)); w.Code != http.StatusOK {
			t.Fatalf("before: %d %s", w.Code, w.Body)
		}
		in := directory.EndMemberInput{MemberInput: directory.MemberInput{InOrganization: f.acme.In(), Member: p.Member}}
		if _, err := directory.RemoveMember.Call(f.acme.Owner().Ctx(), f.hall.Service(), in); err != nil {
			t.Fatal(err)
		}
		if w := f.asks("GET /api/workflows", bearing(p.Token)); w.Code != http.StatusForbidden {
			t.Errorf("after being removed: %d", w.Code)
		}
		if _, err := credential.RevokeSessions.Call(p.Ctx(), f.hall.Service(), credential.RevokeSessionsInput{}); err != nil {
			t.Fatal(err)
		}
		if w := f.asks("GET /api/workflows", bearing(p.Token)); w.Code != http.StatusUnauthorized {
			t.Errorf("after being signed out: %d", w.Code)
		}
	}
}

// TestFailuresAreLimitedAndNothingElse: whoever sprays credentials has to wait; a good one from the same address passes, and
// so does the address beside it. T-048, T-101
func TestFailuresAreLimitedAndNothingElse(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation", guildhalltest.With(func(c *guildhall.Config) {
		c.Limits = op.Limits{Failures: op.RateLimit{Times: 10, Per: time.Minute}}
	})))
	good, late := f.acme.People["viewer"], f.acme.People["editor"]
	at := func(address string) func(*http.Request) { return header("X-Forwarded-For", address) }
	if w := f.asks("GET /api/workflows", bearing(good.Token), at("2001:db8::1")); w.Code != http.StatusOK {
		t.Fatalf("before: %d", w.Code)
	}
	for i, want := range []int{401, 429} {
		for range 10 {
			w := f.asks("GET /api/workflows", bearing("gld_live_nobody"), at("2001:db8::bad"))
			if w.Code != want || (w.Header().Get("Retry-After") != "") != (want == 429) {
				t.Fatalf("spraying, %d: %d %v", i, w.Code, w.Header())
			}
		}
	}
	for _, c := range []struct {
		says, token, address string
		want                 int
	}{
		{"a credential that was good before, in the same network", good.Token, "2001:db8::2", 200},
		{"a good one that was not seen yet, in the same network", late.Token, "2001:db8::2", 429},
		{"the network beside it", late.Token, "2001:db8:0:1::2", 200},
		{"the same network, now that it was seen", late.Token, "2001:db8::2", 200},
		{"the address that a client claims", "gld_live_nobody", "2001:db8:1::1, 2001:db8::bad", 429},
	} {
		if w := f.asks("GET /api/workflows", bearing(c.token), at(c.address)); w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.says, w.Code, c.want)
		}
	}
	f.hall.Clock.Advance(time.Minute)
	if w := f.asks("GET /api/workflows", bearing("gld_live_nobody"), at("2001:db8::bad")); w.Code != http.StatusUnauthorized {
		t.Errorf("a minute later: %d", w.Code)
	}
}

func TestRequestsOfACredentialAreLimited(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation", guildhalltest.With(func(c *guildhall.Config) {
		c.Limits = op.Limits{PerCredential: op.RateLimit{Times: 5, Per: time.Second}}
	})))
	f.hall.Clock.Advance(time.Second)
	var got []int
	for range 7 {
		got = append(got, f.asks("GET /api/workflows", bearing(f.acme.People["editor"].Token)).Code)
	}
	if diff := cmp.Diff([]int{200, 200, 200, 200, 200, 429, 429}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestNothingPassesWithoutAnAnswer closes the database under the gate.
func TestNothingPassesWithoutAnAnswer(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := f.asks("GET /api/workflows", bearing(f.acme.Owner().Token), func(r *http.Request) { *r = *r.WithContext(ctx) })
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("X-Guildhall-User") != "" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestTheBodyIsNotRead: a gateway that passes bodies on has nobody wait for them.
func TestTheBodyIsNotRead(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	w := f.asks("POST /api/workflows", bearing(f.acme.Owner().Token), func(r *http.Request) {
		r.Method, r.ContentLength, r.Body = http.MethodPost, -1, io.NopCloser(unreadable{f.t})
	})
	if w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body is read")
	return 0, io.EOF
}

// TestAKnownCallerCostsNoDatabase: once it has passed, a request is decided from memory.
func TestAKnownCallerCostsNoDatabase(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation"))
	editor := f.acme.People["editor"]
	key := keyOf(t, f.hall, f.acme, editor, credential.Scoping{})
	for _, sent := range []string{editor.Token, key.Secret} {
		f.asks("GET /api/workflows", bearing(sent))
		before := f.hall.Stats()
		for range 10 {
			if w := f.asks("GET /api/workflows", bearing(sent)); w.Code != http.StatusOK {
				t.Fatalf("got %d", w.Code)
			}
		}
		if got := f.hall.Stats().Statements - before.Statements; got != 0 {
			t.Errorf("ten requests cost %d statements", got)
		}
	}
}

// TestSprayedKeysCostNoDatabase: keys that look right cost a look-up each until the address has used up its failures. T-048
func TestSprayedKeysCostNoDatabase(t *testing.T) {
	f := inFront(t, guildhalltest.New(t, "automation", guildhalltest.With(func(c *guildhall.Config) {
		c.Limits = op.Limits{Failures: op.RateLimit{Times: 10, Per: time.Minute}}
	})))
	before := f.hall.Stats()
	for range 200 {
		if w := f.asks("GET /api/workflows", bearing(secret.New(nil, "gld", "live").Reveal())); w.Code == http.StatusOK {
			t.Fatal("a made-up key passed")
		}
	}
	if got := f.hall.Stats().Statements - before.Statements; got < 10 || got > 20 {
		t.Errorf("200 made-up keys cost %d statements, want about 10", got)
	}
}
