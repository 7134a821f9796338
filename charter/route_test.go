package charter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/charter"
)

// routing says what adding routes to the small charter, which has files as resources then, leads to.
func routing(routes, want string) mistake {
	return adding("resources: {file: [files.view]}\nroutes:\n"+routes, want)
}

func TestMistakesInRoutesAreNamedWithTheirPlace(t *testing.T) {
	for _, m := range []mistake{
		// What a route has
		routing("  - GET /\n", `studio.yaml:11:5: a route must be a mapping, not the text "GET /"`),
		routing("  - {needs: files.view}\n", `studio.yaml:11:5: a route needs a route, such as GET /files/{id}`),
		routing("  - {route: GET /}\n", `studio.yaml:11:5: a route needs either needs, with a permission, or public: true`),
		routing("  - {route: GET /, public: false}\n", `studio.yaml:11:5: a route needs either needs, with a permission, or public: true`),
		routing("  - {route: GET /, public: true, needs: files.view}\n",
			`studio.yaml:11:5: a route needs either needs, with a permission, or public: true`),
		routing("  - {route: \"GET /{id}\", public: true, on: \"file:{id}\"}\n", `studio.yaml:11:44: a public route is on nothing`),
		routing("  - {rout: GET /}\n", `studio.yaml:11:6: unknown key "rout" in a route; did you mean "route"?`),
		adding("routes: {}\n", `studio.yaml:9:9: a list is needed here, not a mapping`),

		// The request
		routing("  - {route: PSOT /, public: true}\n",
			`studio.yaml:11:13: unknown method "PSOT"; did you mean "POST"?`),
		routing("  - {route: TRACE /, public: true}\n",
			`studio.yaml:11:13: unknown method "TRACE"; it is one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS`),
		routing("  - {route: post /, public: true}\n", `studio.yaml:11:13: unknown method "post"; did you mean "POST"?`),
		routing("  - {route: /files, public: true}\n",
			`studio.yaml:11:13: unknown method "/files"; it is one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS`),
		routing("  - {route: GET, public: true}\n", `studio.yaml:11:13: path "" does not begin with /`),
		routing("  - {route: GET files, public: true}\n", `studio.yaml:11:13: path "files" does not begin with /`),
		routing("  - {route: GET  /files, public: true}\n", `studio.yaml:11:13: path " /files" does not begin with /`),
		routing("  - {route: GET /files//new, public: true}\n", `studio.yaml:11:13: path "/files//new" has an empty segment`),
		routing("  - {route: GET /files/../new, public: true}\n", segmentMistake("..")),
		routing("  - {route: GET /fi%6Ces, public: true}\n", segmentMistake("fi%6Ces")),
		routing("  - {route: GET /files;a, public: true}\n", segmentMistake("files;a")),
		routing("  - {route: GET /été, public: true}\n", segmentMistake("été")),
		routing("  - {route: 'GET /files?a=b', public: true}\n", segmentMistake("files?a=b")),
		routing("  - {route: \"GET /files/{id}.pdf\", public: true}\n", segmentMistake("{id}.pdf")),
		routing("  - {route: GET /"+strings.Repeat("a", 400)+", public: true}\n", `studio.yaml:11:13: this route is longer than 400 bytes`),

		// Variables
		routing("  - {route: \"GET /{}\", public: true}\n", variableMistake("")),
		routing("  - {route: \"GET /{File}\", public: true}\n", variableMistake("File")),
		routing("  - {route: \"GET /{$}\", public: true}\n", variableMistake("$")),
		routing("  - {route: \"GET /{...}\", public: true}\n", variableMistake("")),
		routing("  - {route: \"GET /{id}/{id}\", public: true}\n", `studio.yaml:11:13: variable "id" is in the path twice`),
		routing("  - {route: \"GET /{id...}/a\", public: true}\n", `studio.yaml:11:13: {id...} can only be the last segment`),
		routing("  - {route: \"GET /{organization...}\", public: true}\n",
			`studio.yaml:11:13: {organization...} is more than one segment; an organization is named by one`),

		// What it needs, and on what
		routing("  - {route: GET /, needs: files.vew}\n", `studio.yaml:11:27: unknown permission "files.vew"; did you mean "files.view"?`),
		routing("  - {route: \"GET /{id}\", needs: files.view, on: file}\n",
			`studio.yaml:11:49: on "file" is not a resource and a variable, such as "file:{id}"`),
		routing("  - {route: \"GET /{id}\", needs: files.view, on: \"flie:{id}\"}\n",
			`studio.yaml:11:49: unknown resource "flie"; did you mean "file"?`),
		routing("  - {route: \"GET /{id}\", needs: files.edit, on: \"file:{id}\"}\n",
			`studio.yaml:11:49: resource "file" is not listed with "files.edit"; add it to resources.file`),
		routing("  - {route: \"GET /{file}\", needs: files.view, on: \"file:{fil}\"}\n",
			`studio.yaml:11:51: the path has no variable {fil}; did you mean "file"?`),
		routing("  - {route: \"GET /{id...}\", needs: files.view, on: \"file:{id}\"}\n",
			`studio.yaml:11:52: the path has no variable {id}`),
		adding("absent: [keys.view]\nroutes: [{route: GET /, needs: keys.view}]\n",
			`studio.yaml:10:32: permission "keys.view" is declared absent`),
	} {
		wantMistake(t, m)
	}
}

func segmentMistake(s string) string {
	return fmt.Sprintf("studio.yaml:11:13: segment %q is not a variable such as {id}, nor letters, digits and . _ ~ @ - alone, "+
		"which is all that a route can match", s)
}

func variableMistake(name string) string {
	return fmt.Sprintf("studio.yaml:11:13: variable %q is not a name of lower-case letters, digits and underscores, a letter first, at most 40", name)
}

// ambiguous says what two routes of which neither goes first lead to; equal, what two for the same requests do.
func ambiguous(first, second string) mistake {
	return routing(fmt.Sprintf("  - {route: %q, public: true}\n  - {route: %q, needs: files.view}\n", first, second),
		fmt.Sprintf("studio.yaml:12:13: %q and %q on line 11 are for some requests in common, and neither is more specific", second, first))
}

func equal(first, second string) mistake {
	return routing(fmt.Sprintf("  - {route: %q, public: true}\n  - {route: %q, needs: files.view}\n", first, second),
		fmt.Sprintf("studio.yaml:12:13: %q is for the same requests as %q on line 11", second, first))
}

// T-007: whatever a request's spelling, one route decides it.
func TestAmbiguousRoutesAreRefused(t *testing.T) {
	for _, m := range []mistake{
		equal("GET /", "GET /"),
		equal("GET /files/{id}", "GET /files/{name}"),
		equal("GET /files/", "GET /files/"),
		equal("GET /{a}/{b...}", "GET /{c}/{d...}"),
		ambiguous("GET /files/{id}", "GET /{kind}/new"),
		ambiguous("GET /{a}/b/{c}", "GET /a/{b}/{c}"),
		ambiguous("GET /{a}/b", "GET /a/{rest...}"),
		ambiguous("GET /a/{rest...}", "GET /{a}/{b}"),
		ambiguous("HEAD /files/{id}", "GET /files/new"),
		ambiguous("GET /files/new", "HEAD /{rest...}"),
	} {
		wantMistake(t, m)
	}
}

func TestRoutesThatAreNotAmbiguous(t *testing.T) {
	for _, pair := range [][2]string{
		{"GET /files", "GET /files/"},
		{"GET /files", "POST /files"},
		{"GET /files/{id}", "GET /files/new"},
		{"GET /files/{id}", "PUT /{kind}/new"},
		{"GET /files/{id}", "GET /files/{rest...}"},
		{"GET /{rest...}", "GET /{a}/{b}"},
		{"GET /a/{rest...}", "GET /a/b/{rest...}"},
		{"GET /{rest...}", "GET /a/"},
		{"GET /a/{rest...}", "GET /{b}/c/"},
		{"GET /{a}/b", "GET /a/{b}/"},
		{"GET /files/{id}", "HEAD /files/{id}"},
		{"GET /files/{id}", "HEAD /files/new"},
	} {
		src := fmt.Sprintf("%sroutes:\n  - {route: %q, public: true}\n  - {route: %q, needs: files.view}\n", small, pair[0], pair[1])
		if _, err := charter.Parse("studio.yaml", []byte(src)); err != nil {
			t.Errorf("%q: %v", pair, err)
		}
	}
}

func TestRoutesAreReadWhole(t *testing.T) {
	c := parse(t, small+`routes:
  - {route: GET /, public: true}
  - {route: "PUT /{organization}/files/{id}", needs: files.edit, on: "file:{id}"}
resources: {file: [files.edit]}
`)
	want := []charter.Route{
		{Method: "GET", Pattern: "/", Public: true, Line: 10},
		{Method: "PUT", Pattern: "/{organization}/files/{id}", Needs: "files.edit", On: "file:{id}", Line: 11},
	}
	if diff := cmp.Diff(want, c.Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if m, _ := c.Match("PUT", "/acme/files/fil_1"); m.Route != &c.Routes[1] {
		t.Errorf("a match's route is %+v, want that of the list", m.Route)
	}
}

// asks is a request to a product with a shipped charter, and what it needs and on what; needs "" is a public one.
type asks struct{ line, needs, on string }

func TestRoutesOfTheShippedCharters(t *testing.T) {
	for name, rows := range map[string][]asks{
		"automation": {
			{"GET /api/workflows", "workflows.view", ""},
			{"POST /api/workflows", "workflows.edit", ""},
			{"GET /api/workflows/wf_1", "workflows.view", "workflow:wf_1"},
			{"PATCH /api/workflows/wf_1", "workflows.edit", "workflow:wf_1"},
			{"DELETE /api/workflows/wf_1", "workflows.edit", "workflow:wf_1"},
			{"POST /api/workflows/wf_1/run", "workflows.run", "workflow:wf_1"},
			{"POST /api/workflows/wf_1/deploy", "workflows.deploy", "workflow:wf_1"},
			{"GET /api/executions", "workflows.view", ""},
			{"GET /api/executions/exe_1", "workflows.view", ""},
			{"GET /api/artifacts", "artifacts.view", ""},
			{"GET /api/artifacts/art_1", "artifacts.view", "artifact:art_1"},
			{"DELETE /api/artifacts/art_1", "artifacts.manage", "artifact:art_1"},
			{"GET /api/reports", "artifacts.view", ""},
			{"GET /api/mcp_servers", "workflows.view", ""},
			{"POST /api/mcp_servers", "mcp_servers.register", ""},
			{"DELETE /api/mcp_servers/mcp_1", "mcp_servers.register", "mcp_server:mcp_1"},
			{"GET /api/credentials", "credentials.manage", ""},
			{"POST /api/credentials", "credentials.manage", ""},
			{"DELETE /api/credentials/cre_1", "credentials.manage", "credential:cre_1"},
			{"GET /api/assistants", "workflows.view", ""},
		},
		"gateway": {
			{"GET /api/endpoints", "endpoints.view", ""},
			{"POST /api/endpoints", "endpoints.edit", ""},
			{"GET /api/endpoints/ep_1", "endpoints.view", "endpoint:ep_1"},
			{"PATCH /api/endpoints/ep_1", "endpoints.edit", "endpoint:ep_1"},
			{"DELETE /api/endpoints/ep_1", "endpoints.edit", "endpoint:ep_1"},
			{"POST /api/endpoints/ep_1/call", "endpoints.call", "endpoint:ep_1"},
			{"POST /api/endpoints/ep_1/owner", "members.manage", ""},
			{"GET /api/prompts", "prompts.view", ""},
			{"POST /api/prompts", "prompts.edit", ""},
			{"GET /api/prompts/pr_1", "prompts.view", "prompt:pr_1"},
			{"POST /api/prompts/pr_1/versions", "prompts.edit", "prompt:pr_1"},
			{"POST /api/prompts/pr_1/promote", "prompts.promote", "prompt:pr_1"},
			{"GET /api/snippets", "prompts.view", ""},
			{"POST /api/snippets", "snippets.edit", ""},
			{"PUT /api/snippets/sn_1", "snippets.edit", "snippet:sn_1"},
			{"DELETE /api/snippets/sn_1", "snippets.edit", "snippet:sn_1"},
			{"GET /api/logs", "logs.view", ""},
			{"GET /api/dashboard", "usage.view", ""},
			{"GET /assets/app.css", "", ""},
		},
		"documents": {
			{"GET /api/pipelines", "pipelines.use", ""},
			{"POST /api/pipelines", "pipelines.use", ""},
			{"GET /api/pipelines/pl_1", "pipelines.use", "pipeline:pl_1"},
			{"POST /api/pipelines/pl_1", "pipelines.use", "pipeline:pl_1"},
			{"POST /api/pipelines/pl_1/run", "pipelines.use", "pipeline:pl_1"},
			{"GET /api/processors", "processors.use", ""},
			{"POST /api/processors", "processors.use", ""},
			{"GET /api/files", "files.use", ""},
			{"POST /api/files", "files.use", ""},
			{"GET /api/files/fil_1", "files.use", "file:fil_1"},
			{"DELETE /api/files/fil_1", "files.use", "file:fil_1"},
			{"POST /api/extract", "api.call", ""},
			{"GET /api/usage", "usage.view", ""},
			{"GET /api/logs", "logs.view", ""},
		},
	} {
		c := ready(t, name)
		if len(c.Routes) != len(rows) {
			t.Errorf("%s has %d routes, and %d are in the table", name, len(c.Routes), len(rows))
		}
		for _, want := range rows {
			wantAsks(t, c, want)
		}
	}
}

func wantAsks(t *testing.T, c *charter.Charter, want asks) {
	t.Helper()
	method, path, _ := strings.Cut(want.line, " ")
	m, ok := c.Match(method, path)
	if !ok {
		t.Errorf("%s: nothing is for %s", c.Name, want.line)
		return
	}
	got := asks{want.line, string(m.Route.Needs), m.Resource}
	if got != want || m.Route.Public != (want.needs == "") || m.Organization != "" {
		t.Errorf("%s: %s asks %+v of %q, want %+v", c.Name, want.line, got, m.Organization, want)
	}
}
