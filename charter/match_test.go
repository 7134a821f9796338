package charter_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/guildhall/guildhall/charter"
)

// routed is the small charter with routes that lie close together.
const routed = small + `resources: {file: [files.view, files.edit]}
routes:
  - {route: GET /, public: true}
  - {route: GET /files, needs: files.view}
  - {route: GET /files/, needs: files.edit}
  - {route: "GET /files/{id}", needs: files.view, on: "file:{id}"}
  - {route: GET /files/new, needs: files.edit}
  - {route: "PUT /files/{id}", needs: files.edit, on: "file:{id}"}
  - {route: "GET /o/{organization}/files/{file}/pages/{page}", needs: files.view, on: "file:{file}"}
  - {route: "GET /o/{organization}/files/{rest...}", needs: files.edit}
  - {route: "GET /assets/{rest...}", public: true}
  - {route: "GET /assets/{name}", needs: files.view}
  - {route: "HEAD /assets/{name}", public: true}
  - {route: OPTIONS /files, public: true}
`

// request is one request and what it matches: the route, the organization and the resource that are asked about.
type request struct{ line, route, organization, resource string }

func matches(line, route string) request               { return request{line, route, "", ""} }
func matchesOn(line, route, resource string) request   { return request{line, route, "", resource} }
func matchesIn(line, route, org, about string) request { return request{line, route, org, about} }
func matchesNothing(line string) request               { return request{line: line} }

// T-007
func TestTheMostSpecificRouteMatches(t *testing.T) {
	c := parse(t, routed)
	for _, want := range []request{
		matches("GET /", "GET /"),
		matches("GET /files", "GET /files"),
		matches("GET /files/", "GET /files/"),
		matches("GET /files/new", "GET /files/new"),
		matchesOn("GET /files/fil_1", "GET /files/{id}", "file:fil_1"),
		matchesOn("GET /files/newer", "GET /files/{id}", "file:newer"),
		matchesOn("GET /files/NEW", "GET /files/{id}", "file:NEW"),
		matchesOn("GET /files/.hidden", "GET /files/{id}", "file:.hidden"),
		matchesOn("GET /files/...", "GET /files/{id}", "file:..."),
		matchesOn("GET /files/a.b_c~d@e-F9", "GET /files/{id}", "file:a.b_c~d@e-F9"),
		matchesOn("GET /files/"+strings.Repeat("i", 200), "GET /files/{id}", "file:"+strings.Repeat("i", 200)),
		matchesOn("PUT /files/new", "PUT /files/{id}", "file:new"),
		matchesOn("HEAD /files/fil_1", "GET /files/{id}", "file:fil_1"),
		matches("HEAD /files/new", "GET /files/new"),
		matches("HEAD /assets/app.css", "HEAD /assets/{name}"),
		matches("HEAD /assets/img/logo@2x.png", "GET /assets/{rest...}"),
		matches("GET /assets/app.css", "GET /assets/{name}"),
		matches("GET /assets/img/logo@2x.png", "GET /assets/{rest...}"),
		matches("OPTIONS /files", "OPTIONS /files"),
		matchesIn("GET /o/acme/files/fil_1/pages/3", "GET /o/{organization}/files/{file}/pages/{page}", "acme", "file:fil_1"),
		matchesIn("GET /o/org_1/files/fil_1/pages", "GET /o/{organization}/files/{rest...}", "org_1", ""),
		matchesIn("GET /o/org_1/files/fil_1/pages/3/4", "GET /o/{organization}/files/{rest...}", "org_1", ""),
	} {
		wantMatch(t, c, want)
	}
}

// T-007: what is for another method, or is spelt almost like a route, is not it.
// T-098: what a proxy and a product could read differently is nothing.
func TestHostileSpellingsMatchNothing(t *testing.T) {
	c := parse(t, routed)
	for _, line := range []string{
		// The method
		"POST /files", "DELETE /files/fil_1", "get /files", "Get /files", " /files", "GET\t /files", "TRACE /files", "PROPFIND /files",
		"HEAD /files/fil_1/pages", "OPTIONS /files/fil_1", "HEADGET /files", "*  /files",
		// Slashes
		"GET ", "GET files", "GET //", "GET //files", "GET /files//", "GET /files//fil_1", "GET /files///new", "GET ///",
		"GET /files/fil_1/", "GET /files/new/", "GET /assets/", "GET /assets", "GET /assets/img/", "GET /assets//img", "GET /o//files/x",
		`GET \files`, `GET /files\fil_1`, `GET /files/..\new`, `GET /\files`,
		// Dots
		"GET /.", "GET /..", "GET /./files", "GET /files/.", "GET /files/..", "GET /files/./new", "GET /files/../files", "GET /../files",
		"GET /assets/../files", "GET /assets/./app.css", "GET /assets/img/..", "GET /assets/x/../../files/new",
		"GET /files/..;/new", "GET /files/..;", "GET /files/.;a", "GET /files;a=b", "GET /files/new;", "GET /;/files", "GET /files/fil_1;v=1",
		// Encodings
		"GET /%66iles", "GET /files%2ffil_1", "GET /files%2Ffil_1", "GET /files/%2e%2e/new", "GET /files/%2e", "GET /files/fil%5f1",
		"GET /files/%00", "GET /files/new%20", "GET /files/%252e%252e", "GET /files/%", "GET /files/%c0%ae", "GET /files%5cnew",
		"GET /%2e%2e/files", "GET /assets/%2e%2e/files", "GET /files/\u002e\u002e", "GET /files/+", "GET /files/a+b",
		// Queries and fragments
		"GET /files?", "GET /files?a=b", "GET /?/files", "GET /files#", "GET /files#/new", "GET /files/new?x", "GET ?/files",
		// Bytes
		"GET /files/\x00", "GET /files\x00/new", "GET /files/a\nb", "GET /files/a\rb", "GET /files/a\tb", "GET /files/a b", "GET /files ",
		"GET /files/\x7f", "GET /files/é", "GET /ﬁles", "GET /files/\uFF0E\uFF0E", "GET /files/\u2215new", "GET /files\u200b", "GET /files/\xff",
		"GET /files/a:b", "GET /files/a,b", "GET /files/a*b", "GET /files/{id}", "GET /files/a|b", `GET /files/"new"`, "GET /files/<new>",
		"GET /files/a&b", "GET /files/a=b", "GET /files/$a", "GET /files/!a", "GET /files/(a)", "GET /files/'a'", "GET /files/a^b", "GET /files/`a`",
		"GET /files/[a]",
		// Other paths
		"GET http://files.example.com/files", "GET /FILES", "GET /Files", "GET /file", "GET /filess", "GET /files/a/b", "GET /o/acme/files",
		"GET /files/" + strings.Repeat("i", 201), "GET /assets/" + strings.Repeat("i", 201) + "/a", "GET /{rest...}", "GET *",
	} {
		wantMatch(t, c, matchesNothing(line))
	}
}

func wantMatch(t *testing.T, c *charter.Charter, want request) {
	t.Helper()
	method, path, _ := strings.Cut(want.line, " ")
	m, ok := c.Match(method, path)
	got := request{line: want.line, organization: m.Organization, resource: m.Resource}
	if ok {
		got.route = m.Route.String()
	}
	if got != want {
		t.Errorf("%.80q matches %q in %q on %.30q, want %q in %q on %.30q",
			want.line, got.route, got.organization, got.resource, want.route, want.organization, want.resource)
	}
}

func TestACharterWithoutRoutesMatchesNothing(t *testing.T) {
	wantMatch(t, parse(t, small), matchesNothing("GET /files"))
	wantMatch(t, parse(t, small+"routes: []\n"), matchesNothing("GET /"))
}

func TestMatchingAllocatesNothing(t *testing.T) {
	c := parse(t, routed)
	for line, most := range map[string]float64{
		"GET /files":                   0,
		"GET /o/acme/files/a/b/c":      0,
		"GET /files/%2e%2e":            0,
		"HEAD /files/fil_1":            1, // the resource's name
		"GET /o/acme/files/f_1/pages/": 0,
	} {
		method, path, _ := strings.Cut(line, " ")
		if got := testing.AllocsPerRun(100, func() { c.Match(method, path) }); got > most {
			t.Errorf("%s allocates %v times, want at most %v", line, got, most)
		}
	}
}

// TestRoutesHaveThePrecedenceOfNetHTTP draws routes, gives them to http.ServeMux too, and compares what both say:
// whether two of them conflict, and which of them each request is for.
func TestRoutesHaveThePrecedenceOfNetHTTP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := rapid.SliceOfN(drawnRoute, 1, 6).Draw(t, "routes")
		mux, conflict := muxOf(routes)
		src := small + "routes:\n"
		for _, route := range routes {
			src += fmt.Sprintf("  - {route: %q, public: true}\n", route)
		}
		c, err := charter.Parse("studio.yaml", []byte(src))
		if (err != nil) != conflict {
			t.Fatalf("%q: error %v; net/http finds a conflict: %t", routes, err, conflict)
		}
		if conflict {
			return
		}
		for range 20 {
			method, path := rapid.SampledFrom(drawnMethods).Draw(t, "method"), drawnPath.Draw(t, "path")
			want, redirected := served(mux, method, path)
			got := ""
			if m, ok := c.Match(method, path); ok {
				got = m.Route.String()
			}
			if got != want && !redirected {
				t.Fatalf("%q: %s %s is for %q, and net/http says %q", routes, method, path, got, want)
			}
		}
	})
}

var (
	drawnMethods = []string{"GET", "HEAD", "POST"}
	drawnPath    = rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 4).Draw(t, "segments"), "/")
	})
	drawnRoute = rapid.Custom(func(t *rapid.T) string {
		segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "{}"}), 0, 3).Draw(t, "segments")
		for i, s := range segments {
			if s == "{}" {
				segments[i] = fmt.Sprintf("{v%d}", i)
			}
		}
		segments = append(segments, rapid.SampledFrom([]string{"a", "b", "{last}", "{rest...}"}).Draw(t, "last"))
		return rapid.SampledFrom(drawnMethods).Draw(t, "method") + " /" + strings.Join(segments, "/")
	})
)

// muxOf registers routes and reports whether net/http refuses one of them.
func muxOf(routes []string) (mux *http.ServeMux, conflict bool) {
	defer func() { conflict = recover() != nil }()
	mux = http.NewServeMux()
	for _, route := range routes {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Pattern", r.Pattern) })
	}
	return mux, false
}

// served returns the pattern that serves a request, "": none does; and whether it is sent to the path with a slash at its
// end instead, which net/http does before it looks at wider patterns.
func served(mux *http.ServeMux, method, path string) (pattern string, redirected bool) {
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Header().Get("Pattern"), w.Header().Get("Location") != ""
}

// FuzzMatch looks for a path that matches and that an HTTP server would not serve as it stands.
func FuzzMatch(f *testing.F) {
	c, err := charter.Parse("studio.yaml", []byte(routed))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"/", "/files/fil_1", "/assets/a/b", "/o/acme/files/f/pages/1", "/files/../files", "/files/%2e", "/a//b", "/files;", "*", ""} {
		f.Add("GET", seed)
		f.Add("HEAD", seed)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		m, ok := c.Match(method, path)
		if !ok {
			return
		}
		r := httptest.NewRequest(method, path, nil)
		if r.URL.Path != path || r.URL.EscapedPath() != path || r.URL.RawQuery != "" || r.RequestURI != path {
			t.Fatalf("%s %q matches %s, and a server reads it as %q", method, path, m.Route, r.URL)
		}
		if clean, err := url.JoinPath("/", path); err != nil || clean != path {
			t.Fatalf("%s %q matches %s, and a proxy cleans it to %q", method, path, m.Route, clean)
		}
		if m.Route.Method != method && (method != "HEAD" || m.Route.Method != "GET") {
			t.Fatalf("%s %q matches %s", method, path, m.Route)
		}
		if strings.ContainsAny(m.Organization+strings.TrimPrefix(m.Resource, "file:"), ":/%*") {
			t.Fatalf("%s %q names %q and %q", method, path, m.Organization, m.Resource)
		}
	})
}

// BenchmarkMatch finds one of five hundred routes.
func BenchmarkMatch(b *testing.B) {
	src := small + "resources: {file: [files.view]}\nroutes:\n"
	for i := range 500 {
		src += fmt.Sprintf("  - {route: \"GET /api/v%d/{organization}/files/{id}\", needs: files.view, on: \"file:{id}\"}\n", i)
	}
	c, err := charter.Parse("studio.yaml", []byte(src))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Match("GET", "/api/v417/acme/files/fil_1"); !ok {
			b.Fatal("no match")
		}
	}
}
