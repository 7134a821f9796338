package guildhall_test

import (
	"strings"
	"testing"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/op"
)

// spelling is another way to write the request of a route.
type spelling struct {
	name   string
	change func(ask) ask
}

// spellings are the ways to write a request that some layer somewhere takes for another one.
var spellings = []spelling{
	{"as it is", func(a ask) ask { return a }},
	{"HEAD", method("HEAD")},
	{"OPTIONS", method("OPTIONS")},
	{"TRACE", method("TRACE")},
	{"PUT", method("PUT")},
	{"DELETE", method("DELETE")},
	{"a method nobody knows", method("PROPFIND")},
	{"the method in lower case", func(a ask) ask { a.method = strings.ToLower(a.method); return a }},
	{"X-HTTP-Method-Override: DELETE", sent("X-HTTP-Method-Override: DELETE")},
	{"X-HTTP-Method-Override: GET", sent("X-HTTP-Method-Override: GET")},
	{"X-HTTP-Method and X-Method-Override", sent("X-HTTP-Method: PUT", "X-Method-Override: PUT")},
	{"_method in the query", query("_method=DELETE")},
	{"X-Original-URL", sent("X-Original-URL: /v1/me", "X-Rewrite-URL: /v1/me")},
	{"X-Forwarded-Uri", sent("X-Forwarded-Uri: /v1/me", "X-Forwarded-Method: GET")},
	{"claims of a gateway", sent("X-Org-Id: globex", "X_Org_Id: globex", "X-User-Id: usr_1", "X-Forwarded-User: ada", "X-Guildhall-Machine: true")},
	{"hop-by-hop claims", sent("Connection: keep-alive, Authorization-Info, X-Org-Id", "X-Org-Id: globex")},
	{"HTTP/1.0", func(a ask) ask { a.version = "HTTP/1.0"; return a }},
	{"a whole URL", func(a ask) ask { a.target = "http://elsewhere.test" + a.target; return a }},
	{"a slash at the end", path(func(p string) string { return p + "/" })},
	{"two slashes at the end", path(func(p string) string { return p + "//" })},
	{"two slashes within", path(func(p string) string { return strings.Replace(p, "/v1/", "/v1//", 1) })},
	{"two slashes at the start", path(func(p string) string { return "/" + p })},
	{"a dot segment", path(func(p string) string { return strings.Replace(p, "/v1/", "/v1/./", 1) })},
	{"two dot segments", path(func(p string) string { return "/v1/x/.." + strings.TrimPrefix(p, "/v1") })},
	{"encoded dot segments", path(func(p string) string { return "/v1/x/%2e%2e" + strings.TrimPrefix(p, "/v1") })},
	{"..;", path(func(p string) string { return "/v1/x/..;" + strings.TrimPrefix(p, "/v1") })},
	{"a parameter", path(func(p string) string { return p + ";a=b" })},
	{"an encoded slash", path(func(p string) string { return encodeLast(p, "%2f") })},
	{"an encoded slash in capitals", path(func(p string) string { return encodeLast(p, "%2F") })},
	{"an encoded backslash", path(func(p string) string { return encodeLast(p, "%5c") })},
	{"a doubly encoded slash", path(func(p string) string { return encodeLast(p, "%252f") })},
	{"a NUL", path(func(p string) string { return p + "%00" })},
	{"a line end", path(func(p string) string { return p + "%0d%0a" })},
	{"a space", path(func(p string) string { return p + "%20" })},
	{"an encoded letter", path(func(p string) string { return strings.Replace(p, "/v1/", "/%761/", 1) })},
	{"upper case", path(func(p string) string { return strings.Replace(p, "/v1/", "/V1/", 1) })},
	{"upper case at the end", path(func(p string) string { return encodeLastSegment(p, strings.ToUpper) })},
	{"an extension", path(func(p string) string { return p + ".json" })},
	{"another version", path(func(p string) string { return strings.Replace(p, "/v1/", "/v2/", 1) })},
	{"a prefix", path(func(p string) string { return "/api" + p })},
}

func method(m string) func(ask) ask { return func(a ask) ask { a.method = m; return a } }

func sent(headers ...string) func(ask) ask { return func(a ask) ask { return a.with(headers...) } }

// path changes the path and leaves the query.
func path(change func(string) string) func(ask) ask {
	return func(a ask) ask {
		before, after, found := strings.Cut(a.target, "?")
		if a.target = change(before); found {
			a.target += "?" + after
		}
		return a
	}
}

func query(more string) func(ask) ask {
	return func(a ask) ask {
		separator := "?"
		if strings.Contains(a.target, "?") {
			separator = "&"
		}
		a.target += separator + more
		return a
	}
}

// encodeLast writes the last slash otherwise.
func encodeLast(p, as string) string {
	i := strings.LastIndex(p, "/")
	return p[:i] + as + p[i+1:]
}

func encodeLastSegment(p string, change func(string) string) string {
	i := strings.LastIndex(p, "/")
	return p[:i+1] + change(p[i+1:])
}

// TestEverySpellingOfEveryRoute: a request that is spelled otherwise is decided as the route itself is, or finds
// nothing; it never runs another operation, and never one for somebody who may not. T-007, T-098
func TestEverySpellingOfEveryRoute(t *testing.T) {
	if len(spellings) < 20 {
		t.Fatalf("only %d spellings", len(spellings))
	}
	eachSite(t, func(t *testing.T, s *site) {
		r := routes{site: s, byRoute: map[string]string{}}
		for _, o := range guildhall.Operations() {
			r.byRoute[o.Info().Method+" "+o.Info().Path] = o.Info().Name
		}
		for _, o := range guildhall.Operations() {
			for _, by := range r.denied(o) {
				r.asDenied(t, o, by)
			}
			if by, ok := s.mayCall(o); ok {
				r.asAllowed(t, o, by)
			}
		}
		t.Logf("%d requests", r.sent)
		s.Sound()
	})
}

// routes tries the spellings of a site's routes.
type routes struct {
	*site
	byRoute map[string]string // "GET /v1/me" to the operation's name
	sent    int
}

// denied are callers who may not call an operation: of its people, of strangers, and of those with a wrong credential.
func (r *routes) denied(o op.Any) []caller {
	var found []caller
	lowest := string(r.Charter().Roles()[0].ID)
	for _, name := range []string{lowest, "outsider", "nobody", "bad token"} {
		if got := r.call(o, r.called(name)); got.status == 401 || got.status == 403 || got.status == 404 {
			found = append(found, r.called(name))
		}
		r.mend()
	}
	return found
}

// asDenied tries all spellings as somebody who may not: nothing of it may go well, and nothing else may run.
func (r *routes) asDenied(t *testing.T, o op.Any, by caller) {
	t.Helper()
	info := o.Info()
	a := request(info, r.fill(info, r.acme, by), by.Credential)
	want := r.shoot(a)
	for _, spelled := range spellings {
		b := spelled.change(a)
		before := r.Stats().Writes
		got := r.shoot(b)
		ran := r.check(t, info, by, spelled, b, got)
		if ran != info.Name && ran != "" {
			continue // HEAD of a path that is also read: a route of its own
		}
		content := info.Allow.Everyone() && got.status == 422 // where everybody may call, what was refused is what was sent
		if got.ok() || ran != "" && got.status != want.status && got.status != 404 && !content {
			t.Errorf("%s as %s, %s: %s; as it is: %s", info.Name, by.name, spelled.name, got.outcome(), want.outcome())
		}
		if wrote := r.Stats().Writes - before; wrote != 0 && !info.Allow.Everyone() {
			t.Errorf("%s as %s, %s: wrote %d times", info.Name, by.name, spelled.name, wrote)
		}
	}
}

// asAllowed tries all spellings as somebody who may: each finds nothing, or the very same operation.
func (r *routes) asAllowed(t *testing.T, o op.Any, by caller) {
	t.Helper()
	info := o.Info()
	a := request(info, r.fill(info, r.acme, by), by.Credential)
	for _, spelled := range spellings {
		b := spelled.change(a)
		got := r.shoot(b)
		ran := r.check(t, info, by, spelled, b, got)
		if ran == "" {
			continue
		}
		if ran == info.Name && !got.ok() && got.status != 404 && got.status != 422 {
			t.Errorf("%s as %s, %s: %s", info.Name, by.name, spelled.name, got.outcome())
		}
		r.mend() // what was called is done: the next one gets things of its own
		by = r.called(by.name)
		a = request(info, r.fill(info, r.acme, by), by.Credential)
	}
}

// shoot sends a request on its own, and forgets what ran before.
func (r *routes) shoot(a ask) answer {
	r.seen.take()
	r.sent++
	return r.send(a)
}

// check wants at most one operation to have run, and well only the one that the request's method names: "export%20" is
// the name of an event that there is not. Else there is a plain refusal. It gives the operation's name.
func (r *routes) check(t *testing.T, info op.Info, by caller, spelled spelling, a ask, got answer) string {
	t.Helper()
	ran := r.seen.take()
	if len(ran) == 0 {
		if got.status != 400 && got.status != 404 && got.status != 405 && got.status != 501 {
			t.Errorf("%s as %s, %s: nothing ran, and %s", info.Name, by.name, spelled.name, got.outcome())
		}
		return ""
	}
	verb := a.method
	if verb == "HEAD" {
		verb = "GET"
	}
	want := r.byRoute[verb+" "+info.Path]
	if len(ran) != 1 || ran[0].Operation != want && got.ok() {
		t.Errorf("%s as %s, %s: ran %v, want %q", info.Name, by.name, spelled.name, ran, want)
	}
	if got.status >= 500 || got.status/100 == 3 {
		t.Errorf("%s as %s, %s: %s", info.Name, by.name, spelled.name, got.outcome())
	}
	return ran[0].Operation
}
