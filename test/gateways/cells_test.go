package gateways_test

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/guildhalltest"
)

// TestEveryCellBehindEachGateway sends a request of each route of the three products as each role, with a session, a key
// and a scoped token: the product gets those that the role holds the permission for, and no others.
func TestEveryCellBehindEachGateway(t *testing.T) {
	for _, name := range charter.Names() {
		t.Run(name, func(t *testing.T) {
			c, err := charter.Ready(name)
			if err != nil {
				t.Fatal(err)
			}
			behindEach(t, c, func(t *testing.T, s *site) {
				for _, h := range s.holders() {
					s.everyRoute(h)
				}
				s.hall.Sound()
			})
		})
	}
}

// holder is somebody who sends a credential.
type holder struct {
	says   string
	secret string
	holds  charter.Set
	want   map[string]string // what the product is told of them
}

// holders are one for each role with each kind of credential that the product has.
func (s *site) holders() (all []holder) {
	s.t.Helper()
	acme, rules := s.hall.Organization("acme"), s.hall.Charter().Rules
	for _, role := range s.hall.Charter().Roles() {
		p := acme.People[role.ID]
		if !role.Owner {
			p = s.lowered(acme, role.ID)
		}
		told := func(kind string) map[string]string {
			return map[string]string{"Kind": kind, "User": p.User, "Member": p.Member, "Role": string(role.ID), "Organization": acme.ID}
		}
		all = append(all, holder{string(role.ID) + " by session", p.Token, role.Holds, told("user")},
			holder{string(role.ID) + " by token", s.token(acme, p, role), role.Holds, told("token")})
		if rules.Keys.Allows(charter.PersonalKey) {
			all = append(all, holder{string(role.ID) + " by key", s.key(acme, p, role, charter.PersonalKey), role.Holds, told("key")})
		}
	}
	if rules.Keys.Allows(charter.OrganizationKey) {
		all = append(all, holder{"a key of the organization", s.key(acme, acme.Owner(), nil, charter.OrganizationKey), rules.Keys.OrganizationKeys,
			map[string]string{"Kind": "key", "User": "", "Member": "", "Role": "", "Organization": acme.ID}})
	}
	return all
}

// lowered is somebody who can make keys and tokens, and gets a role that perhaps cannot as soon as one is made.
func (s *site) lowered(acme *guildhalltest.Organization, to charter.RoleID) *guildhalltest.Person {
	roles := s.hall.Charter().Roles()
	return acme.Join("once-high-"+string(to)+"@acme.test", roles[len(roles)-2].ID)
}

// as gives somebody a role, unless they have it.
func (s *site) as(acme *guildhalltest.Organization, p *guildhalltest.Person, role charter.RoleID) {
	s.t.Helper()
	if p.Role == role {
		return
	}
	in := directory.UpdateMemberInput{MemberInput: directory.MemberInput{InOrganization: acme.In(), Member: p.Member}, Role: new(string(role))}
	if _, err := directory.UpdateMember.Call(acme.Owner().Ctx(), s.hall.Service(), in); err != nil {
		s.t.Fatalf("%s becomes %s: %v", p.Email, role, err)
	}
	p.Role = role
}

// everything are the permissions of the role that somebody has now.
func (s *site) everything(p *guildhalltest.Person) credential.Scoping {
	role, _ := s.hall.Charter().Role(p.Role)
	return credential.Scoping{Permissions: s.hall.Charter().IDs(role.Holds)}
}

// token makes a token of all that somebody has, and then gives them the role.
func (s *site) token(acme *guildhalltest.Organization, p *guildhalltest.Person, role *charter.Role) string {
	s.t.Helper()
	s.raise(acme, p, role)
	made, err := credential.CreateToken.Call(p.Ctx(), s.hall.Service(), credential.CreateTokenInput{InOrganization: acme.In(), Scoping: s.everything(p)})
	if err != nil {
		s.t.Fatalf("a token of %s: %v", p.Email, err)
	}
	s.as(acme, p, role.ID)
	return made.Secret
}

// key makes a key of all that somebody has, or that an organization's key may, and then gives them the role.
func (s *site) key(acme *guildhalltest.Organization, p *guildhalltest.Person, role *charter.Role, kind charter.KeyKind) string {
	s.t.Helper()
	in := credential.CreateKeyInput{InOrganization: acme.In(), Name: "of " + p.Email, Kind: kind}
	if role != nil {
		s.raise(acme, p, role)
		in.Scoping = s.everything(p)
	}
	made, err := credential.CreateKey.Call(p.Ctx(), s.hall.Service(), in)
	if err != nil {
		s.t.Fatalf("a key of %s: %v", p.Email, err)
	}
	if role != nil {
		s.as(acme, p, role.ID)
	}
	return made.Secret
}

// raise gives somebody who is to have a lower role the highest below the owner's.
func (s *site) raise(acme *guildhalltest.Organization, p *guildhalltest.Person, role *charter.Role) {
	s.t.Helper()
	if roles := s.hall.Charter().Roles(); !role.Owner {
		s.as(acme, p, roles[len(roles)-2].ID)
	}
}

var variable = regexp.MustCompile(`\{[^}]+\}`)

// everyRoute sends a request of each route with somebody's credential.
func (s *site) everyRoute(h holder) {
	s.t.Helper()
	for i := range s.hall.Charter().Routes {
		route := &s.hall.Charter().Routes[i]
		if !strings.HasPrefix(route.Pattern, "/api/") {
			continue // the recipes' product has /api/ alone
		}
		need, _ := s.hall.Charter().Need(route.Needs)
		path := variable.ReplaceAllString(route.Pattern, "one")
		status := s.send(route.Method, path, h.secret)
		received, wrong := s.take()
		for _, w := range wrong {
			s.t.Errorf("%s: %s: the product received %s", h.says, route, w)
		}
		switch {
		case !need.SubsetOf(h.holds):
			if status != http.StatusForbidden || len(received) > 0 {
				s.t.Errorf("%s: %s: %d, received %v; want 403", h.says, route, status, received)
			}
		case status != http.StatusOK || len(received) != 1:
			s.t.Errorf("%s: %s: %d, received %v; want 200", h.says, route, status, received)
		default:
			s.told(h, route, path, received[0])
		}
	}
}

// told wants that the product received the request, and knows for whom it is.
func (s *site) told(h holder, route *charter.Route, path string, got passed) {
	s.t.Helper()
	resource, _, single := strings.Cut(route.On, "{")
	if single {
		resource += "one"
	}
	want := map[string]string{"Permission": string(route.Needs), "Resource": resource, "Method": route.Method, "Path": path}
	maps.Copy(want, h.want)
	said := map[string]string{"Method": got.Method, "Path": got.Path}
	for i, name := range identity {
		said[strings.TrimPrefix(name, "X-Guildhall-")] = got.Identity[i]
	}
	for name, value := range want {
		if said[name] != value {
			s.t.Errorf("%s: %s: the product was told %s %q, want %q", h.says, route, name, said[name], value)
		}
	}
	if said["Credential"] == "" {
		s.t.Errorf("%s: %s: the product was told no credential", h.says, route)
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
