package gateways_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/guildhalltest"
)

// TestEveryCellBehindEachGateway sends a request of each route of the three products as each role: the product gets those
// of roles that hold what the route needs, and no others.
func TestEveryCellBehindEachGateway(t *testing.T) {
	for _, name := range charter.Names() {
		t.Run(name, func(t *testing.T) {
			c, err := charter.Ready(name)
			if err != nil {
				t.Fatal(err)
			}
			behindEach(t, c, func(t *testing.T, s *site) {
				acme := s.hall.Organization("acme")
				for _, role := range c.Roles() {
					s.everyRoute(acme, role)
				}
				s.hall.Sound()
			})
		})
	}
}

var variable = regexp.MustCompile(`\{[^}]+\}`)

// everyRoute sends a request of each route with each kind of credential of the person with a role.
func (s *site) everyRoute(acme *guildhalltest.Organization, role *charter.Role) {
	s.t.Helper()
	p := acme.People[role.ID]
	for kind, secret := range map[string]string{"user": p.Token} {
		for i := range s.hall.Charter().Routes {
			route := &s.hall.Charter().Routes[i]
			if !strings.HasPrefix(route.Pattern, "/api/") {
				continue // the recipes' product has /api/ alone
			}
			need, _ := s.hall.Charter().Need(route.Needs)
			path := variable.ReplaceAllString(route.Pattern, "one")
			status := s.send(route.Method, path, secret)
			received, wrong := s.take()
			for _, w := range wrong {
				s.t.Errorf("%s by %s: %s: the product received %s", role.ID, kind, route, w)
			}
			if need.SubsetOf(role.Holds) {
				s.passes(role, kind, route, path, status, received, p)
			} else if status != http.StatusForbidden || len(received) > 0 {
				s.t.Errorf("%s by %s: %s: %d, received %v; want 403", role.ID, kind, route, status, received)
			}
		}
	}
}

// passes wants that the product received the request, and for whom it is.
func (s *site) passes(role *charter.Role, kind string, route *charter.Route, path string, status int, received []passed, p *guildhalltest.Person) {
	s.t.Helper()
	if status != http.StatusOK || len(received) != 1 {
		s.t.Errorf("%s by %s: %s: %d, received %v; want 200", role.ID, kind, route, status, received)
		return
	}
	got := received[0]
	said := map[string]string{}
	for i, name := range identity {
		said[strings.TrimPrefix(name, "X-Guildhall-")] = got.Identity[i]
	}
	resource, _, _ := strings.Cut(route.On, "{")
	if resource != "" {
		resource += "one"
	}
	if got.Method != route.Method || got.Path != path || said["User"] != p.User || said["Member"] != p.Member || said["Role"] != string(role.ID) ||
		said["Kind"] != kind || said["Permission"] != string(route.Needs) || said["Resource"] != resource || said["Credential"] == "" {
		s.t.Errorf("%s by %s: %s: received %+v", role.ID, kind, route, got)
	}
}

// send sends a request with a credential, and gives the status of the answer.
func (s *site) send(method, path, secret string) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// TestWhatClientsAreTold: a no says what is needed, a browser is led to the sign-in, and without an answer nothing passes.
func TestWhatClientsAreTold(t *testing.T) {
	behindEach(t, automation(t), func(t *testing.T, s *site) {
		viewer := s.hall.Organization("acme").People["viewer"].Token
		for _, c := range []struct {
			says, sent, status, text string
		}{
			{"what is needed", request("POST /api/workflows HTTP/1.1", "Connection: close", "Content-Length: 0"), "403", `"needs":"workflows.edit"`},
			{"to sign in", "GET /api/workflows HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "401", `"code":"unauthenticated"`},
			{"how to sign in", "GET /api/workflows HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "401", "Www-Authenticate: Bearer"},
		} {
			answer := s.sendRaw(strings.ReplaceAll(c.sent, "VIEWER", viewer))
			if !strings.HasPrefix(answer, "HTTP/1.1 "+c.status) || !strings.Contains(strings.ToLower(answer), strings.ToLower(c.text)) {
				t.Errorf("%s: %s", c.says, answer)
			}
		}
		browser := s.sendRaw("GET /api/workflows?a=1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		if led := strings.Contains(browser, "/login?return_to=/api/workflows?a=1\r\n"); led != (s.kind == "nginx") {
			t.Errorf("a browser: %s", browser)
		}
		s.guild.down.Store(true)
		if status := s.send(http.MethodGet, "/api/workflows", viewer); status < 500 {
			t.Errorf("without an answer: %d", status)
		}
		if received, _ := s.take(); len(received) > 0 {
			t.Errorf("without an answer the product received %v", received)
		}
	})
}
