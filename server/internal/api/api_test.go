package api_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/sqldb"
	"github.com/guildhall/guildhall/internal/testdb"
	"github.com/guildhall/guildhall/internal/testhall"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/api"
	"github.com/guildhall/guildhall/server/internal/web"
)

// house is an API that listens, and its log.
type house struct {
	*testhall.Hall
	t   *testing.T
	url string
	log *bytes.Buffer
}

func open(t *testing.T, db *sqldb.DB, change func(*op.Config)) *house {
	t.Helper()
	h := &house{Hall: testhall.New(t, db, change), t: t, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	server := httptest.NewServer(web.Handler(web.Config{BaseURL: "https://hall.test", Log: log},
		api.New(api.Config{Service: h.Service, Log: log})))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the problem's code.
func (a answer) code() string {
	var d struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal([]byte(a.body), &d)
	return d.Code
}

type option func(*http.Request)

func header(name, value string) option { return func(r *http.Request) { r.Header.Add(name, value) } }

func (h *house) call(as, method, path, body string, options ...option) answer {
	h.t.Helper()
	a, err := h.try(as, method, path, body, options...)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) try(as, method, path, body string, options ...option) (answer, error) {
	h.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, reader)
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+as)
	}
	for _, set := range options {
		set(r)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(raw)}, err
}

func (h *house) expect(a answer, status int, code string) {
	h.t.Helper()
	if a.status != status || a.code() != code {
		h.t.Errorf("got %d %q, want %d %q: %s", a.status, a.code(), status, code, a.body)
	}
}

const notes = "/v1/organizations/acme/notes"

func TestOperationsAnswerOverHTTP(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := open(t, db, nil)
		tests := []struct {
			name                   string
			as, method, path, body string
			status                 int
			contains               string
		}{
			{"a list", h.Vic, "GET", notes, "", 200, `"has_more":false`},
			{"a list by id", h.Vic, "GET", "/v1/organizations/org_acme/notes", "", 200, `"note_2"`},
			{"a filter", h.Vic, "GET", notes + "?contains=sec", "", 200, `"data":[{"id":"note_2"`},
			{"one", h.Vic, "GET", notes + "/note_1", "", 200, `"text":"first"`},
			{"a new one", h.Ada, "POST", notes, `{"text":"third"}`, 201, `"secret":"s3cret-of-note_101"`},
			{"a change", h.Ada, "PATCH", notes + "/note_1", `{"text":"other"}`, 200, `"version":2`},
			{"a dry run", h.Ada, "PATCH", notes + "/note_1?dry_run=true", `{"text":"x"}`, 200, `"dry_run":true`},
			{"not a dry run", h.Ada, "PATCH", notes + "/note_1?dry_run=false", `{"text":"x"}`, 200, `"version":3`},
			{"anybody", "", "POST", "/v1/echo", `{"word":"hi"}`, 200, `"word":"hi"`},
			{"the index", "", "GET", "/v1", "", 200, `"openapi": "/openapi.json"`},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				got := h.call(tt.as, tt.method, tt.path, tt.body)
				if got.status != tt.status || !strings.Contains(got.body, tt.contains) {
					t.Errorf("got %d %s, want %d with %s", got.status, got.body, tt.status, tt.contains)
				}
			})
		}
	})
}

func TestRefusals(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	note := notes + "/note_1"
	tests := []struct {
		name                   string
		as, method, path, body string
		status                 int
		code                   string
		options                []option
	}{
		{"nobody", "", "GET", notes, "", 401, "unauthenticated", nil},
		{"a wrong credential", "gld_ses_wrong", "GET", notes, "", 401, "unauthenticated", nil},
		{"a stranger", h.Glen, "GET", notes, "", 404, "not_found", nil},
		{"somebody without the right", h.Vic, "POST", notes, `{"text":"x"}`, 403, "denied", nil},
		{"a missing note", h.Vic, "GET", notes + "/note_0", "", 404, "not_found", nil},
		{"an unknown path", h.Vic, "GET", "/v1/nothing", "", 404, "not_found", nil},
		{"a conflict", h.Ada, "POST", notes, `{"text":"taken"}`, 409, "note_exists", nil},
		{"a lost update", h.Ada, "PATCH", note, `{"text":"x"}`, 412, "stale", []option{header("If-Match", `"9"`)}},
		{"a body that is text", h.Ada, "POST", notes, `{"text":"x"}`, 415, "unsupported_media_type", []option{contentType("text/plain")}},
		{"a body of a form", h.Ada, "POST", notes, `text=x`, 415, "unsupported_media_type", []option{contentType("application/x-www-form-urlencoded")}},
		{"a body in Latin-1", h.Ada, "POST", notes, `{"text":"x"}`, 415, "unsupported_media_type", []option{contentType("application/json; charset=latin1")}},
		{"a body for GET", h.Vic, "GET", notes, `{"contains":"x"}`, 400, "malformed", nil},
		{"a body of 2 MB", h.Ada, "POST", notes, `{"text":"` + strings.Repeat("x", 2<<20) + `"}`, 413, "too_large", nil},
		{"an internal error", h.Ada, "POST", notes + "/fail", "", 500, "internal", nil},
		{"a dry run of what has none", h.Ada, "POST", notes + "?dry_run=true", `{"text":"x"}`, 422, "invalid", nil},
		{"a dry run twice", h.Ada, "PATCH", note + "?dry_run=true&dry_run=false", `{}`, 422, "invalid", nil},
		{"a dry run of yes", h.Ada, "PATCH", note + "?dry_run=yes", `{}`, 422, "invalid", nil},
		{"a query for POST", h.Ada, "POST", notes + "?text=x", `{"text":"x"}`, 422, "invalid", nil},
		{"an unknown filter", h.Vic, "GET", notes + "?contain=x", "", 422, "invalid", nil},
		{"a filter twice", h.Vic, "GET", notes + "?contains=x&contains=y", "", 422, "invalid", nil},
		{"a limit of 1000", h.Vic, "GET", notes + "?limit=1000", "", 422, "invalid", nil},
		{"a limit of infinity", h.Vic, "GET", notes + "?limit=1e400", "", 422, "invalid", nil},
		{"a malformed query", h.Vic, "GET", notes + "?contains=%zz", "", 400, "malformed", nil},
		// T-002
		{"another organization in the body", h.Ada, "POST", notes, `{"text":"x","organization":"globex"}`, 422, "invalid", nil},
		{"another note in the body", h.Ada, "PATCH", note, `{"text":"x","note":"note_2"}`, 422, "invalid", nil},
		{"another organization in the query", h.Vic, "GET", notes + "?organization=globex", "", 422, "invalid", nil},
		// T-008
		{"a role in the body", h.Ada, "POST", notes, `{"text":"x","role":"owner"}`, 422, "invalid", nil},
		{"an id in the body", h.Ada, "POST", notes, `{"text":"x","id":"note_7","created_by":"me"}`, 422, "invalid", nil},
		{"a version in the body", h.Ada, "PATCH", note, `{"text":"x","version":7}`, 422, "invalid", nil},
		// T-047
		{"a credential in the query", "", "GET", notes + "?access_token=" + h.Vic, "", 401, "unauthenticated", nil},
		{"a credential as a filter", h.Vic, "GET", notes + "?contains=" + h.Vic, "", 401, "unauthenticated", nil},
		{"two credentials", h.Vic, "GET", notes, "", 401, "unauthenticated", []option{header("Authorization", "Bearer "+h.Vic)}},
		{"a basic credential", "", "GET", notes, "", 401, "unauthenticated", []option{header("Authorization", "Basic "+h.Vic)}},
		{"a credential without its scheme", "", "GET", notes, "", 401, "unauthenticated", []option{header("Authorization", h.Vic)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &house{Hall: h.Hall, t: t, url: h.url, log: h.log}
			got := h.call(tt.as, tt.method, tt.path, tt.body, tt.options...)
			h.expect(got, tt.status, tt.code)
			if strings.Contains(got.body, "hunter2") {
				t.Errorf("an internal error is told: %s", got.body)
			}
		})
	}
}

func contentType(value string) option {
	return func(r *http.Request) { r.Header.Set("Content-Type", value) }
}

// T-099
func TestMalformedJSON(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	tests := []struct {
		name, body string
		status     int
	}{
		{"a name twice", `{"text":"a","text":"b"}`, 400},
		{"a name twice, once escaped", `{"text":"a","\u0074ext":"b"}`, 400},
		{"another case", `{"Text":"a"}`, 422},
		{"an unknown name", `{"text":"a","colour":"red"}`, 422},
		{"something after it", `{"text":"a"} {}`, 400},
		{"a comma after it", `{"text":"a"},`, 400},
		{"no end", `{"text":"a"`, 400},
		{"a list", `[]`, 400},
		{"null", `null`, 400},
		{"a word", `"text"`, 400},
		{"a comment", `{"text":"a" /* x */}`, 400},
		{"a comma too much", `{"text":"a",}`, 400},
		{"depth 33", strings.Repeat(`{"text":`, 33) + "1" + strings.Repeat("}", 33), 400},
		{"depth 100000", strings.Repeat("[", 100_000), 400},
		{"a number beyond numbers", `{"text":1e400}`, 400},
		{"a number for text", `{"text":1}`, 422},
		{"null for text", `{"text":null}`, 422},
		{"invalid UTF-8", "{\"text\":\"\xff\xfe\"}", 400},
		{"half a surrogate", `{"text":"\ud800"}`, 400},
		{"a byte order mark", "\ufeff{\"text\":\"a\"}", 400},
		{"UTF-16", "{\x00\"\x00}\x00", 400},
		{"NUL in text", "{\"text\":\"a\x00b\"}", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := h.call(h.Ada, "POST", notes, tt.body); got.status != tt.status {
				t.Errorf("got %d, want %d: %s", got.status, tt.status, got.body)
			}
		})
	}
	if h.Made() != 0 {
		t.Errorf("%d notes were written", h.Made())
	}
}

// T-007
func TestEveryOtherSpellingOfARoute(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	const right = "/v1/organizations/acme/notes/note_1/remove"
	tests := []struct {
		name, method, path string
		options            []option
	}{
		{"a slash at the end", "POST", right + "/", nil},
		{"two slashes", "POST", "/v1//organizations/acme/notes/note_1/remove", nil},
		{"two slashes first", "POST", "//v1/organizations/acme/notes/note_1/remove", nil},
		{"a dot segment", "POST", "/v1/./organizations/acme/notes/note_1/remove", nil},
		{"two dots", "POST", "/v1/x/../organizations/acme/notes/note_1/remove", nil},
		{"encoded dots", "POST", "/v1/x/%2e%2e/organizations/acme/notes/note_1/remove", nil},
		{"an encoded slash", "POST", "/v1/organizations%2facme/notes/note_1/remove", nil},
		{"an encoded slash, upper case", "POST", "/v1/organizations/acme%2Fnotes/note_1/remove", nil},
		{"an encoded percent", "POST", "/v1/organizations/acme/notes/note_1%252fremove", nil},
		{"a backslash", "POST", "/v1/organizations/acme/notes\\note_1/remove", nil},
		{"an encoded backslash", "POST", "/v1/organizations/acme/notes%5cnote_1/remove", nil},
		{"dots and a semicolon", "POST", "/v1/x/..;/organizations/acme/notes/note_1/remove", nil},
		{"a parameter", "POST", "/v1/organizations/acme;a=b/notes/note_1/remove", nil},
		{"NUL", "POST", "/v1/organizations/acme/notes/note_1%00/remove", nil},
		{"upper case", "POST", "/V1/ORGANIZATIONS/acme/notes/note_1/remove", nil},
		{"a case of one segment", "POST", "/v1/organizations/acme/Notes/note_1/remove", nil},
		{"a format", "POST", right + ".json", nil},
		{"GET", "GET", right, nil},
		{"HEAD", "HEAD", right, nil},
		{"OPTIONS", "OPTIONS", right, nil},
		{"TRACE", "TRACE", right, nil},
		{"a made-up method", "SMASH", right, nil},
		{"lower-case post", "post", right, nil},
		{"another method by header", "GET", right, []option{header("X-HTTP-Method-Override", "POST")}},
		{"another method by another header", "GET", right, []option{header("X-Method-Override", "POST"), header("X-HTTP-Method", "POST")}},
		{"another method by query", "GET", right + "?_method=POST", nil},
		{"another path by header", "POST", "/v1/nothing", []option{header("X-Original-URL", right), header("X-Rewrite-URL", right)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := h.call(h.Ada, tt.method, tt.path, "", tt.options...)
			if got.status != 404 && got.status != 405 {
				t.Errorf("got %d, want 404 or 405: %s", got.status, got.body)
			}
			if got.status == 405 && got.header.Get("Allow") != "POST" {
				t.Errorf("got Allow %q, want POST", got.header.Get("Allow"))
			}
		})
	}
	for _, same := range []string{"/v1/organizations/acme/%6eotes/note_1/remove", "/v1/organizations/acme/notes/note%5F1/remove"} {
		h.expect(h.call(h.Vic, "POST", same, ""), 403, "denied")
	}
	if got := h.call(h.Ada, "POST", right, ""); got.status != 200 {
		t.Errorf("the right spelling: got %d %s, want 200", got.status, got.body)
	}
}

func TestHeadAnswersAsGetWithoutBody(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	if got := h.call(h.Vic, "HEAD", notes, ""); got.status != 200 || got.body != "" {
		t.Errorf("got %d %q, want 200 and no body", got.status, got.body)
	}
	if got := h.call(h.Glen, "HEAD", notes, ""); got.status != 404 {
		t.Errorf("a stranger got %d, want 404", got.status)
	}
}

// T-001, T-006
func TestNotFoundIsTheSameBytes(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	tests := []struct{ name, as, path string }{
		{"another organization's note", h.Ada, notes + "/note_9"},
		{"a note that is not", h.Ada, notes + "/note_0"},
		{"another organization", h.Ada, "/v1/organizations/globex/notes"},
		{"an organization that is not", h.Ada, "/v1/organizations/nowhere/notes"},
		{"a note of another organization", h.Ada, "/v1/organizations/globex/notes/note_9"},
		{"a path that is not", h.Ada, "/v1/organizations/acme/nothing"},
	}
	want := h.call(h.Ada, "GET", notes+"/note_00", "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := h.call(tt.as, "GET", tt.path, "")
			if got.status != 404 || got.body != want.body {
				t.Errorf("got %d %s, want %s", got.status, got.body, want.body)
			}
			if diff := cmp.Diff(settled(want.header), settled(got.header)); diff != "" {
				t.Errorf("headers differ:\n%s", diff)
			}
		})
	}
}

// settled is a header without what differs between any two answers.
func settled(h http.Header) http.Header {
	h = maps.Clone(h)
	h.Del("Request-Id")
	h.Del("Date")
	return h
}

// T-003
func TestACursorBelongsToItsList(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	first := h.call(h.Vic, "GET", notes+"?limit=1", "")
	var page op.List[testhall.Note]
	if err := json.Unmarshal([]byte(first.body), &page); err != nil || !page.HasMore {
		t.Fatalf("first page: %s %v", first.body, err)
	}
	cursor := "cursor=" + page.NextCursor
	if got := h.call(h.Vic, "GET", notes+"?limit=1&"+cursor, ""); !strings.Contains(got.body, "note_2") {
		t.Errorf("second page: %s", got.body)
	}
	tests := []struct{ name, as, path string }{
		{"in another organization", h.Glen, "/v1/organizations/globex/notes?" + cursor},
		{"by somebody else", h.Ada, notes + "?" + cursor},
		{"with another filter", h.Vic, notes + "?contains=x&" + cursor},
		{"altered", h.Vic, notes + "?" + cursor[:len(cursor)-2] + "AA"},
		{"made up", h.Vic, notes + "?cursor=bm90ZV8x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := h.call(tt.as, "GET", tt.path, ""); got.status != 422 {
				t.Errorf("got %d, want 422: %s", got.status, got.body)
			}
		})
	}
}

// T-102, T-044
func TestARepeatAnswersWhatTheFirstCallDid(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *sqldb.DB) {
		h := open(t, db, nil)
		key := header("Idempotency-Key", "once")
		first := h.call(h.Ada, "POST", notes, `{"text":"x"}`, key)
		again := h.call(h.Ada, "POST", notes, `{"text":"x"}`, key)
		if first.status != 201 || again.status != 201 || h.Made() != 1 {
			t.Fatalf("got %d and %d and %d notes, want 201 twice and 1 note", first.status, again.status, h.Made())
		}
		if got := again.header.Get("Idempotent-Replayed"); got != "true" || first.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("got Idempotent-Replayed %q on the repeat", got)
		}
		if strings.Contains(again.body, "s3cret") || !strings.Contains(again.body, `"secret_shown":false`) {
			t.Errorf("the repeat shows the secret: %s", again.body)
		}
		h.expect(h.call(h.Ada, "POST", notes, `{"text":"y"}`, key), 422, "idempotency_key_reused")
		h.expect(h.call(h.Vic, "POST", notes, `{"text":"x"}`, key), 403, "denied")
		for _, bad := range []string{"", "two words", strings.Repeat("k", 256), "schlüssel"} {
			h.expect(h.call(h.Ada, "POST", notes, `{"text":"z"}`, header("Idempotency-Key", bad)), 400, "invalid_idempotency_key")
		}
		h.expect(h.call(h.Ada, "POST", notes, `{"text":"z"}`, key, header("Idempotency-Key", "twice")), 400, "invalid_idempotency_key")
	})
}

func TestHeadersOfAnAnswer(t *testing.T) {
	h := open(t, testdb.SQLite(t), func(c *op.Config) { c.Limits.PerCredential = op.RateLimit{Times: 3, Per: time.Minute} })
	got := h.call(h.Ada, "GET", notes+"/note_1", "").header
	want := map[string]string{
		"Cache-Control": "no-store", "Vary": "Authorization, Cookie", "ETag": `"1"`, "Content-Type": "application/json",
		"RateLimit-Policy": `"credential";q=3;w=60`, "RateLimit": `"credential";r=2;t=20`,
		"X-Content-Type-Options": "nosniff", "Strict-Transport-Security": "max-age=31536000",
	}
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), value)
		}
	}
	if id := got.Get("Request-Id"); !strings.HasPrefix(id, "req_") {
		t.Errorf("got Request-Id %q", id)
	}
	h.call(h.Ada, "GET", notes, "")
	h.call(h.Ada, "GET", notes, "")
	limited := h.call(h.Ada, "GET", notes, "")
	h.expect(limited, 429, "limited")
	if after := limited.header.Get("Retry-After"); after != "21" {
		t.Errorf("got Retry-After %q, want 21", after)
	}
	if rate := limited.header.Get("RateLimit"); rate != `"credential";r=0;t=60` {
		t.Errorf("got RateLimit %q", rate)
	}
}

func TestNobodySetsTheRequestID(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	got := h.call(h.Vic, "GET", notes, "", header("Request-Id", "req_mine"), header("X-Request-Id", "req_mine")).header.Get("Request-Id")
	if got == "req_mine" || !strings.HasPrefix(got, "req_") {
		t.Errorf("got Request-Id %q", got)
	}
}

func TestTheAPISetsNoCookie(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	got := h.call("", "POST", "/v1/echo", `{"word":"hi"}`)
	if cookies := got.header.Values("Set-Cookie"); len(cookies) != 0 {
		t.Errorf("got %v", cookies)
	}
}

func TestADenialSaysWhatIsNeededAndWhoHasIt(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	got := h.call(h.Vic, "POST", notes, `{"text":"x"}`)
	var d web.Details
	if err := json.Unmarshal([]byte(got.body), &d); err != nil {
		t.Fatal(err)
	}
	want := web.Details{Type: "https://hall.test/docs/errors#denied", Title: "Forbidden", Status: 403, Code: "denied",
		Detail: "role Viewer lacks settings.update", Needs: "settings.update", Reason: "no_permission",
		FixURL: "https://hall.test/docs/permissions#settings-update", RequestID: got.header.Get("Request-Id"),
		Instance: "urn:guildhall:request:" + got.header.Get("Request-Id"),
		Holders:  []op.Holder{{Member: "mem_ada", Name: "Ada", Role: "owner"}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if kind := got.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("got Content-Type %q", kind)
	}
}

// T-054
func TestAnotherSiteCannotMakeABrowserAct(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	cookie := header("Cookie", "__Host-guildhall="+h.Ada)
	tests := []struct {
		name    string
		status  int
		options []option
	}{
		{"no Origin at all", 201, nil},
		{"the own origin", 201, []option{header("Origin", "https://hall.test")}},
		{"the own site says the browser", 201, []option{header("Sec-Fetch-Site", "same-origin")}},
		{"a foreign Origin", 403, []option{header("Origin", "https://evil.test")}},
		{"a null Origin", 403, []option{header("Origin", "null")}},
		{"the own host by another scheme", 403, []option{header("Origin", "http://hall.test")}},
		{"a host that ends alike", 403, []option{header("Origin", "https://evil-hall.test")}},
		{"another site says the browser", 403, []option{header("Sec-Fetch-Site", "cross-site")}},
		{"a neighbour says the browser", 403, []option{header("Sec-Fetch-Site", "same-site"), header("Origin", "https://other.hall.test")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := h.call("", "POST", notes, `{"text":"x"}`, append(tt.options, cookie)...)
			if got.status != tt.status {
				t.Errorf("got %d, want %d: %s", got.status, tt.status, got.body)
			}
			if tt.status == 403 && got.code() != "cross_origin" {
				t.Errorf("got code %q", got.code())
			}
		})
	}
}

func TestAStreamIsAFile(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	got := h.call(h.Ada, "GET", notes+".csv", "")
	if got.status != 200 || got.body != "id,text\nnote_1,first\n" {
		t.Errorf("got %d %q", got.status, got.body)
	}
	if d := got.header.Get("Content-Disposition"); d != `attachment; filename="notes.csv"` {
		t.Errorf("got Content-Disposition %q", d)
	}
	h.expect(h.call(h.Vic, "GET", notes+".csv", ""), 403, "denied")
	h.expect(h.call(h.Glen, "GET", notes+".csv", ""), 404, "not_found")
}

func TestABrokenStreamIsNoWholeFile(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	h.call(h.Ada, "POST", notes, `{"text":"poison"}`)
	if got, err := h.try(h.Ada, "GET", notes+".csv", ""); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %d %q %v, want a broken connection", got.status, got.body, err)
	}
}

func TestAPanicIsAnInternalError(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	got := h.call("", "POST", "/v1/echo", `{"word":"panic"}`)
	h.expect(got, 500, "internal")
	if !strings.Contains(h.log.String(), "a word that panics") || strings.Contains(got.body, "a word that panics") {
		t.Errorf("log %s\nbody %s", h.log, got.body)
	}
}

// T-033, T-050
func TestTheLogHoldsNoSecret(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	h.call(h.Ada, "POST", notes, `{"text":"x"}`)
	h.call(h.Ada, "GET", notes+"?contains="+h.Vic, "")
	h.call("", "GET", "/v1/organizations/"+h.Vic+"/notes", "")
	h.call("", "POST", "/v1/echo", `{"word":"panic"}`, header("Cookie", "__Host-guildhall="+h.Ada))
	for _, secret := range []string{h.Ada, h.Vic, "s3cret"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
	if routes := strings.Count(h.log.String(), "msg=request"); routes != 4 {
		t.Errorf("got %d access lines, want 4:\n%s", routes, h.log)
	}
}

func TestOptionsAndUnknownMethodsNameTheRightOnes(t *testing.T) {
	h := open(t, testdb.SQLite(t), nil)
	got := h.call(h.Ada, "OPTIONS", notes, "").header.Get("Allow")
	if want := "GET, HEAD, POST, DELETE"; got != want {
		t.Errorf("got Allow %q, want %q", got, want)
	}
	if names := slices.Collect(maps.Keys(h.call(h.Ada, "OPTIONS", notes, "", header("Origin", "https://evil.test")).header)); slices.ContainsFunc(names,
		func(name string) bool { return strings.HasPrefix(name, "Access-Control-") }) {
		t.Errorf("another origin is let in: %v", names)
	}
}
