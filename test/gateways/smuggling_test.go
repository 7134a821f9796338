package gateways_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/charter"
)

// attempt is what somebody with a viewer's session sends, byte for byte, to be taken for the owner, or to have another
// request carried out than the one that was asked about. In it, VIEWER, OWNER and OWNERS stand for the viewer's session, the
// owner's id and the owner's session; END is a last request that closes the connection.
type attempt struct {
	says, sent string
	product    outcome
}

// outcome is how often the product hears of an attempt. Whatever it hears has to be what Guildhall let pass.
type outcome string

const (
	once    outcome = "once"    // it passes, as what it is
	never   outcome = "never"   // it is refused
	depends outcome = "depends" // gateways differ in whether they take such a thing at all
)

// get is a plain request of the viewer's, with further headers.
func get(headers ...string) string { return request("GET /api/workflows HTTP/1.1", headers...) }

func request(line string, headers ...string) string {
	return line + "\r\nHost: product.test\r\nAuthorization: Bearer VIEWER\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
}

// run is what a viewer may not.
const run = "POST /api/workflows/wf_1/run HTTP/1.1"

var attempts = []attempt{
	{"a plain request", get() + "END", once},
	{"with a query", request("GET /api/workflows?page=2&x=%2f%2e HTTP/1.1") + "END", once},
	{"what the role lacks", request(run, "Content-Length: 0") + "END", never},
	{"no credential", "GET /api/workflows HTTP/1.1\r\nHost: product.test\r\n\r\nEND", never},

	// Headers that say who it is.
	{"the owner's id", get("X-Guildhall-User: OWNER") + "END", once},
	{"in lower case", get("x-guildhall-user: OWNER", "x-guildhall-role: owner") + "END", once},
	{"twice", get("X-Guildhall-User: OWNER", "X-Guildhall-User: OWNER") + "END", once},
	{"with underscores", get("X_Guildhall_User: OWNER", "X_GUILDHALL_ROLE: owner") + "END", once},
	{"with one underscore", get("X-Guildhall_User: OWNER") + "END", once},
	{"with the other underscore", get("X_Guildhall-User: OWNER") + "END", once},
	{"a header that there is none of", get("X-Guildhall-Reason: role") + "END", once},
	{"with a space before the colon", get("X-Guildhall-User : OWNER") + "END", depends},
	{"with a tab before the colon", get("X-Guildhall-User\t: OWNER") + "END", depends},
	{"folded into the line before", get("X-Other: a\r\n X-Guildhall-User: OWNER") + "END", depends},
	{"after a bare carriage return", get("X-Other: a\rX-Guildhall-User: OWNER") + "END", depends},
	{"after a bare line feed", get("X-Other: a\nX-Guildhall-User: OWNER") + "END", depends},
	{"behind a NUL", get("X-Other: a\x00\r\nX-Guildhall-User: OWNER") + "END", depends},
	{"in a trailer", request("GET /api/workflows HTTP/1.1", "Trailer: X-Guildhall-User", "Transfer-Encoding: chunked") +
		"1\r\na\r\n0\r\nX-Guildhall-User: OWNER\r\n\r\nEND", depends},

	// Headers that would have others taken away on the way.
	{"hop by hop", get("Connection: X-Guildhall-User") + "END", once},
	{"hop by hop, with a close", get("Connection: close, X-Guildhall-User, X-Guildhall-Role, X-Guildhall-Organization"), once},
	{"hop by hop in a second header", get("Connection: keep-alive", "Connection: X-Guildhall-Organization") + "END", once},
	{"hop by hop of the asked request", get("Connection: X-Forwarded-Uri, X-Forwarded-Method") + "END", once},
	{"hop by hop of the credential", get("Connection: Authorization") + "END", depends},
	{"hop by hop of the credential, with another", get("Connection: Authorization", "Cookie: guildhall=OWNERX") + "END", depends},

	// Headers that describe the request.
	{"an address of its own", get("X-Forwarded-Uri: /api/reports") + "END", once},
	{"an address that may pass", request(run, "X-Forwarded-Uri: /api/workflows", "Content-Length: 0") + "END", never},
	{"a method that may pass", request("POST /api/workflows HTTP/1.1", "X-Forwarded-Method: GET", "Content-Length: 0") + "END", never},
	{"both, twice", request(run, "X-Forwarded-Uri: /api/workflows", "X-Forwarded-Uri: /api/workflows", "X-Forwarded-Method: GET", "Content-Length: 0") + "END", never},
	{"with underscores too", request(run, "X_Forwarded_Uri: /api/workflows", "X_Forwarded_Method: GET", "Content-Length: 0") + "END", never},
	{"as another proxy says it", request(run, "X-Original-URL: /api/workflows", "X-Rewrite-URL: /api/workflows", "Content-Length: 0") + "END", never},
	{"another address for the product", get("X-Original-URL: /api/credentials", "X-Rewrite-URL: /api/credentials", "X-Original-URI: /x") + "END", once},
	{"another method for the product", request("GET /api/workflows/wf_1 HTTP/1.1", "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE") + "END", once},
	{"another method with underscores", get("X_HTTP_METHOD_OVERRIDE: DELETE") + "END", once},
	{"another client", get("X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1;host=evil") + "END", once},

	// Credentials.
	{"a cookie beside the credential", get("Cookie: guildhall=OWNERS") + "END", once},
	{"two credentials", get("Authorization: Bearer OWNERS") + "END", depends},
	{"two credentials in one", "GET /api/workflows HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer VIEWER, Bearer OWNERS\r\n\r\nEND", never},
	{"two cookies", "GET /api/workflows HTTP/1.1\r\nHost: a\r\nCookie: guildhall=VIEWER; guildhall=OWNERS\r\n\r\nEND", never},
	{"a credential in the query", "GET /api/workflows?access_token=VIEWER HTTP/1.1\r\nHost: a\r\n\r\nEND", never},
	{"a cookie from another site", "POST /api/workflows/wf_1/run HTTP/1.1\r\nHost: product.test\r\nCookie: guildhall=OWNERS\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\nEND", never},
	{"a cookie from another site that claims our host", "POST /api/workflows/wf_1/run HTTP/1.1\r\nHost: product.test\r\nX-Forwarded-Host: evil.test\r\nOrigin: http://evil.test\r\nCookie: guildhall=OWNERS\r\nContent-Length: 0\r\n\r\nEND", never},

	// Request lines.
	{"two hosts", get("Host: evil.test") + "END", depends},
	{"no host", "GET /api/workflows HTTP/1.1\r\nAuthorization: Bearer VIEWER\r\n\r\nEND", depends},
	{"HTTP/1.0", "GET /api/workflows HTTP/1.0\r\nAuthorization: Bearer VIEWER\r\nX-Guildhall-User: OWNER\r\n\r\n", once},
	{"HTTP/1.0 that goes on", "GET /api/workflows HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer VIEWER\r\n\r\nEND", once},
	{"HTTP/1.0 in chunks", "POST /api/workflows HTTP/1.0\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer VIEWER\r\n\r\n0\r\n\r\n" + request(run, "Content-Length: 0") + "END", never},
	{"an absolute address", request("GET http://product.test/api/workflows HTTP/1.1") + "END", depends},
	{"an absolute address elsewhere", request("GET http://evil.test/api/workflows HTTP/1.1") + "END", depends},
	{"an absolute address with another path in its host", request("POST http://product.test/api/workflows/wf_1/run HTTP/1.1", "Content-Length: 0") + "END", never},
	{"an encoded slash", request("GET /api%2fworkflows HTTP/1.1") + "END", never},
	{"an encoded letter", request("GET /api/%77orkflows HTTP/1.1") + "END", never},
	{"an encoding encoded", request("GET /api/%2577orkflows HTTP/1.1") + "END", never},
	{"two slashes before", request("GET //api/workflows HTTP/1.1") + "END", never},
	{"two slashes within", request("GET /api//workflows HTTP/1.1") + "END", never},
	{"a dot", request("GET /api/./workflows HTTP/1.1") + "END", never},
	{"two dots", request("GET /api/x/../workflows HTTP/1.1") + "END", never},
	{"two dots from elsewhere", request("GET /login/../api/workflows HTTP/1.1") + "END", never},
	{"two dots to elsewhere", request("GET /api/../healthz HTTP/1.1") + "END", never},
	{"two dots, encoded", request("GET /api/workflows/%2e%2e/credentials HTTP/1.1") + "END", never},
	{"two dots and a semicolon", request("GET /api/x/..;/workflows HTTP/1.1") + "END", never},
	{"a parameter", request("GET /api/workflows;jsessionid=1 HTTP/1.1") + "END", never},
	{"a backslash", request("GET /api\\workflows HTTP/1.1") + "END", never},
	{"a fragment", request("GET /api/workflows#/run HTTP/1.1") + "END", never},
	{"an encoded NUL", request("GET /api/workflows%00 HTTP/1.1") + "END", never},
	{"an encoded line feed", request("GET /api/workflows%0d%0aX-Guildhall-User:%20OWNER HTTP/1.1") + "END", never},
	{"in capital letters", request("GET /API/workflows HTTP/1.1") + "END", never},
	{"a slash at the end", request("GET /api/workflows/ HTTP/1.1") + "END", never},
	{"a byte that is no ASCII", request("GET /api/workflows/\xff HTTP/1.1") + "END", never},
	{"a method in lower case", request("get /api/workflows HTTP/1.1") + "END", never},
	{"a method of its own", request("RUN /api/workflows HTTP/1.1") + "END", never},
	{"TRACE", request("TRACE /api/workflows HTTP/1.1") + "END", never},
	{"CONNECT", request("CONNECT /api/workflows HTTP/1.1") + "END", never},
	{"the whole server", request("OPTIONS * HTTP/1.1") + "END", never},
	{"a blank within", request("GET /api/workflows /run HTTP/1.1") + "END", never},

	// Two requests in one.
	{"one behind another", get() + request(run, "Content-Length: 0") + "END", once},
	{"length and chunks", request("POST /api/workflows HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n" + request(run, "Content-Length: 0") + "END", never},
	{"chunks and length", request("GET /api/workflows HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 6") + "0\r\n\r\nG" + "END", depends},
	{"chunks that are not quite", request("POST /api/workflows HTTP/1.1", "Transfer-Encoding: xchunked", "Content-Length: 4") + "0\r\n\r" + "END", never},
	{"chunks twice", request("POST /api/workflows HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\nEND", never},
	{"two lengths", request("POST /api/workflows HTTP/1.1", "Content-Length: 0", "Content-Length: 30") + request(run, "Content-Length: 0") + "END", never},
	{"a request as the body of one that passes", request("GET /api/workflows HTTP/1.1", "Content-Length: LENGTH") + "SMUGGLED" + "END", once},
	{"another protocol", get("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings") + "END", depends},
	{"a body that waits", request(run, "Content-Length: 2", "Expect: 100-continue") + "{}END", never},
}

// TestNobodyIsTakenForAnotherBehindEachGateway: T-098, T-007
func TestNobodyIsTakenForAnotherBehindEachGateway(t *testing.T) {
	behindEach(t, automation(t), func(t *testing.T, s *site) {
		for says, wrong := range s.tryAll() {
			t.Errorf("%s: %s", says, wrong)
		}
	})
}

func automation(t *testing.T) *charter.Charter {
	t.Helper()
	c, err := charter.Ready("automation")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryAll makes each attempt, and gives those that succeed: what the product heard, by what the attempt is.
func (s *site) tryAll() map[string]string {
	s.t.Helper()
	acme := s.hall.Organization("acme")
	viewer := acme.People["viewer"]
	smuggled := request(run, "Content-Length: 0")
	fill := strings.NewReplacer("LENGTH", "200", "SMUGGLED", (smuggled + strings.Repeat(" ", 200))[:200])
	who := strings.NewReplacer("VIEWER", viewer.Token, "OWNERS", acme.Owner().Token, "OWNER", acme.Owner().User,
		"END", "GET /end HTTP/1.1\r\nHost: product.test\r\nConnection: close\r\n\r\n")
	succeeded := map[string]string{}
	for _, a := range attempts {
		answer := s.sendRaw(who.Replace(fill.Replace(a.sent)))
		received, wrong := s.take()
		for _, r := range received {
			if r.Identity[0] != viewer.User {
				wrong = append(wrong, fmt.Sprintf("it as %v", r.Identity))
			}
		}
		if a.product == once && len(received) != 1 || a.product == never && len(received) > 0 {
			wrong = append(wrong, fmt.Sprintf("%v, want %s; the answer was %q", received, a.product, answer))
		}
		if len(wrong) > 0 {
			succeeded[a.says] = "the product received " + strings.Join(wrong, "; ")
		}
	}
	return succeeded
}

// TestEachPrecautionOfTheRecipesIsNeeded takes one after another out of a recipe, and wants the attempt to succeed that it
// is there for: the attempts would find a recipe that lacks it.
func TestEachPrecautionOfTheRecipesIsNeeded(t *testing.T) {
	for _, c := range []struct{ kind, line, instead, succeeds string }{
		{"nginx", "underscores_in_headers off;", "underscores_in_headers on;", "with underscores"},
		{"nginx", "proxy_set_header        X-Forwarded-Uri    $request_uri;", "", "an address of its own"},
		{"nginx", "proxy_set_header        X-Forwarded-Method $request_method;", "", "a method that may pass"},
		{"nginx", "proxy_set_header        X-Forwarded-Host   $http_host;", "", "a cookie from another site that claims our host"},
		{"nginx", "proxy_set_header  X-Guildhall-User         $guildhall_user;", "", "the owner's id"},
		{"nginx", `proxy_set_header  X-Http-Method-Override   "";`, "", "another method for the product"},
		{"nginx", `proxy_set_header  Authorization            "";`, "", "a plain request"},
		{"Caddy", "request_header -*guildhall*", "", "a header that there is none of"},
		{"Caddy", "request_header -*_*", "", "another method with underscores"},
		{"Caddy", "request_header @named -Connection", "", "hop by hop"},
		{"Caddy", "request_header -X-Original-*", "", "another address for the product"},
		{"Caddy", "route /api/* {", "handle /api/* {", "a plain request"},
		{"Caddy", "header_up -Authorization", "", "a plain request"},
		{"Traefik", `Connection: ""`, "", "hop by hop"},
		{"Traefik", `(?i)^x[-_]guildhall[-_]`, `^X-Guildhall-`, "with underscores"},
		{"Traefik", `X-Rewrite-Url: ""`, "", "another address for the product"},
		{"Traefik", `Cookie: ""`, "", "a cookie beside the credential"},
	} {
		t.Run(c.kind+": "+c.succeeds, func(t *testing.T) {
			if !strings.Contains(recipeOf(t, c.kind), c.line) {
				t.Fatalf("the recipe has no %q", c.line)
			}
			if _, ok := behind(t, c.kind, automation(t), c.line, c.instead).tryAll()[c.succeeds]; !ok {
				t.Errorf("without %q, this does not succeed either", c.line)
			}
		})
	}
}

// TestCaddyDecidesOnWhatWasSent: a path that the product gets in another form was decided in the client's. T-098
func TestCaddyDecidesOnWhatWasSent(t *testing.T) {
	const begin = "route /api/* {\n"
	s := behind(t, "Caddy", automation(t), begin, begin+"uri replace /v2/ /\nrewrite /api/workflows /internal/list\n")
	viewer := s.hall.Organization("acme").People["viewer"].Token
	for path, want := range map[string]int{"/api/workflows": 200, "/api/v2/workflows": 403, "/api/reports": 200} {
		status := s.send("GET", path, viewer)
		yes := s.guild.take()
		if received, _ := s.take(); status != want || want == 200 && (len(received) != 1 || len(yes) != 1 || yes[0].Path != path) || want != 200 && len(received) > 0 {
			t.Errorf("%s: %d, decided %v, received %v; want %d", path, status, yes, received, want)
		}
	}
}

// sendRaw sends bytes, and gives what comes back until the connection is closed.
func (s *site) sendRaw(sent string) string {
	s.t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(connection, sent)
	answer, err := io.ReadAll(connection)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		s.t.Errorf("no end after 5 s of %q: %q", sent, answer)
	}
	return string(answer)
}
