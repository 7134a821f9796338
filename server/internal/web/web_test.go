package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/web"
)

// through gives what an edge sees of a request that came through the layers.
func through(t *testing.T, c web.Config, r *http.Request) (caller op.Caller, w *httptest.ResponseRecorder) {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	w = httptest.NewRecorder()
	web.Handler(c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { caller = web.Caller(r) })).ServeHTTP(w, r)
	return caller, w
}

// T-101
func TestTheClientsAddress(t *testing.T) {
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"nobody forwards", "203.0.113.7:999", nil, "203.0.113.7"},
		{"a stranger forwards", "203.0.113.7:999", []string{"198.51.100.1"}, "203.0.113.7"},
		{"a proxy forwards", "10.0.0.1:999", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy forwards for one with a port", "10.0.0.1:999", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"the client claims another", "10.0.0.1:999", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"the client claims another in a header of its own", "10.0.0.1:999", []string{"1.1.1.1", "198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:999", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1:999", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"no address", "10.0.0.1:999", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"nothing", "10.0.0.1:999", []string{""}, "10.0.0.1"},
		{"IPv6", "[2001:db8::1]:999", []string{"198.51.100.1"}, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:999", []string{"[2001:db8::9]:1"}, "2001:db8::9"},
	}
	config := web.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.forwarded
			if got, _ := through(t, config, r); got.Address != tt.want {
				t.Errorf("got %s, want %s", got.Address, tt.want)
			}
		})
	}
}

func TestTheCallersCredential(t *testing.T) {
	token := secret.New(nil, "gld", "ses").Reveal()
	tests := []struct {
		name, base    string
		authorization []string
		cookie, query string
		want          op.Caller
	}{
		{name: "none", want: op.Caller{}},
		{name: "a bearer", authorization: []string{"Bearer " + token}, want: op.Caller{Credential: token}},
		{name: "a bearer in lower case", authorization: []string{"bearer " + token}, want: op.Caller{Credential: token}},
		{name: "two", authorization: []string{"Bearer " + token, "Bearer " + token}, want: op.Caller{Credential: "unusable"}},
		{name: "an empty one", authorization: []string{"Bearer "}, want: op.Caller{Credential: "unusable"}},
		{name: "another scheme", authorization: []string{"Basic x"}, want: op.Caller{Credential: "unusable"}},
		{name: "a cookie", base: "https://a.test", cookie: "__Host-guildhall=" + token, want: op.Caller{Credential: token, Cookie: true}},
		{name: "a plain cookie over https", base: "https://a.test", cookie: "guildhall=" + token, want: op.Caller{}},
		{name: "a plain cookie over http", base: "http://a.test", cookie: "guildhall=" + token, want: op.Caller{}},
		{name: "a plain cookie at home", base: "http://localhost:8080", cookie: "guildhall=" + token, want: op.Caller{Credential: token, Cookie: true}},
		{name: "a plain cookie at 127.0.0.1", base: "http://127.0.0.1:8080", cookie: "guildhall=" + token, want: op.Caller{Credential: token, Cookie: true}},
		{name: "two cookies", base: "https://a.test", cookie: "__Host-guildhall=x; __Host-guildhall=" + token, want: op.Caller{}},
		{name: "a bearer and a cookie", base: "https://a.test", authorization: []string{"Bearer " + token}, cookie: "__Host-guildhall=x", want: op.Caller{Credential: token}},
		{name: "a wrong bearer and a cookie", base: "https://a.test", authorization: []string{"x"}, cookie: "__Host-guildhall=" + token, want: op.Caller{Credential: "unusable"}},
		{name: "in the query", query: "?q=" + token, authorization: []string{"Bearer " + token}, want: op.Caller{Credential: "unusable"}},
		{name: "in the query by name", query: "?Access_Token=x", want: op.Caller{Credential: "unusable"}},
		{name: "a harmless query", query: "?token=x&q=gld_live_x", want: op.Caller{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/"+tt.query, nil)
			r.Header["Authorization"] = tt.authorization
			if tt.cookie != "" {
				r.Header.Set("Cookie", tt.cookie)
			}
			got, _ := through(t, web.Config{BaseURL: tt.base}, r)
			got.Address, got.RequestID = "", ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestNoHeaderMakesAnOperator(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for _, name := range []string{"X-Guildhall-Machine", "X-Machine", "X-System", "X-Remote-User", "X-Forwarded-User", "X-Org-Id"} {
		r.Header.Set(name, "true")
	}
	r.Header.Set("User-Agent", strings.Repeat("é", 400))
	got, _ := through(t, web.Config{}, r)
	if got.Machine || got.System != "" || got.Credential != "" {
		t.Errorf("got %+v", got)
	}
	if len(got.Agent) > 512 || !strings.HasSuffix(got.Agent, "é") {
		t.Errorf("got an agent of %d bytes", len(got.Agent))
	}
}

func TestTheSessionCookie(t *testing.T) {
	session := &op.NewSession{Token: "gld_ses_x", Until: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	tests := []struct{ name, base, want string }{
		{"https", "https://a.test", "__Host-guildhall=gld_ses_x; Path=/; Expires=Wed, 02 Jan 2030 03:04:05 GMT; HttpOnly; Secure; SameSite=Lax"},
		{"http elsewhere", "http://a.test", "__Host-guildhall=gld_ses_x; Path=/; Expires=Wed, 02 Jan 2030 03:04:05 GMT; HttpOnly; Secure; SameSite=Lax"},
		{"http at home", "http://localhost:8080", "guildhall=gld_ses_x; Path=/; Expires=Wed, 02 Jan 2030 03:04:05 GMT; HttpOnly; SameSite=Lax"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			web.Handler(web.Config{BaseURL: tt.base, Log: slog.New(slog.DiscardHandler)}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				web.SetSession(w, r, session)
				web.ClearSession(w, r)
			})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			cookies := w.Result().Header.Values("Set-Cookie")
			if len(cookies) != 2 || cookies[0] != tt.want || !strings.Contains(cookies[1], "Max-Age=0") {
				t.Errorf("got %q, want %q and its end", cookies, tt.want)
			}
		})
	}
}

func TestAPathWithAnotherSpellingReachesNoEdge(t *testing.T) {
	for _, path := range []string{"//", "/a//b", "/./a", "/a/..", "/a/../b", "/%2e%2e/a", "/a%2fb", "/a%2Fb", "/a%5cb", "/a;b", "/a%3bb", "/a%00", "/a%0d%0ab", "/%252e"} {
		t.Run(path, func(t *testing.T) {
			reached := false
			h := web.Handler(web.Config{Log: slog.New(slog.DiscardHandler)}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != 404 || reached {
				t.Errorf("got %d, reached %v", w.Code, reached)
			}
		})
	}
}
