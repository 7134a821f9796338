package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/guildhalltest"
	"github.com/guildhall/guildhall/signin"
)

// TestAnEndpointWhoseOwnerLeftGetsAnother: it is marked as soon as the owner is gone, and an admin gives it to somebody.
func TestAnEndpointWhoseOwnerLeftGetsAnother(t *testing.T) {
	s := behind(t, (*street).nginx)
	admin, dev := s.acme.People["admin"], s.acme.Join("dev@acme.test", "developer")
	b := s.belongingsOf(s.acme, dev)
	left := func() bool {
		one := s.sends("GET", "/api/endpoints/"+b.endpoint, "", bearer(admin.Token))
		list := s.sends("GET", "/api/endpoints", "", bearer(admin.Token))
		if strings.Contains(list.body, `"owner_left":true`) != field[bool](t, one, "owner_left") {
			t.Errorf("the list says %s, and the endpoint %s", list.body, one.body)
		}
		return field[bool](t, one, "owner_left")
	}
	reassign := func(p, to *guildhalltest.Person) int {
		return s.sends("POST", "/api/endpoints/"+b.endpoint+"/owner", `{"member":"`+to.Member+`"}`, bearer(p.Token)).status
	}
	if left() {
		t.Error("marked while its owner is there")
	}
	if err := s.removes(dev); err != nil {
		t.Fatal(err)
	}
	if !left() {
		t.Error("not marked when its owner had left")
	}
	for _, c := range []struct {
		says   string
		by, to *guildhalltest.Person
		status int
	}{
		{"a developer takes it", s.acme.People["developer"], s.acme.People["developer"], http.StatusForbidden},
		{"an admin gives it to who has left", admin, dev, http.StatusUnprocessableEntity},
		{"an admin gives it to another organization", admin, s.globex().Owner(), http.StatusUnprocessableEntity},
		{"an admin gives it to a developer", admin, s.acme.People["developer"], http.StatusOK},
	} {
		if got := reassign(c.by, c.to); got != c.status {
			t.Errorf("%s: %d, want %d", c.says, got, c.status)
		}
	}
	if left() {
		t.Error("still marked")
	}
}

// TestEndpointsAnswerWithWhatIsLive: a new version changes nothing until it is promoted, and every call is logged.
func TestEndpointsAnswerWithWhatIsLive(t *testing.T) {
	s := behind(t, (*street).nginx)
	dev := s.acme.People["developer"]
	prompt := s.makes(dev.Token, "POST", "/api/prompts", `{"name":"greeting","text":"{{> hello}}, {{ name }}!"}`)
	endpoint := s.makes(dev.Token, "POST", "/api/endpoints", `{"name":"greet","prompt":"`+prompt+`"}`)
	s.makes(dev.Token, "POST", "/api/snippets", `{"name":"hello","text":"Good day"}`)
	call := func() answer {
		return s.sends("POST", "/api/endpoints/"+endpoint+"/call", `{"variables":{"name":"Ada"}}`, bearer(dev.Token))
	}
	if got := call(); got.status != http.StatusConflict {
		t.Errorf("with no version Live: %d %s", got.status, got.body)
	}
	promote := func(version string) {
		s.makes(dev.Token, "POST", "/api/prompts/"+prompt+"/promote", `{"version":`+version+`}`)
	}
	promote("1")
	s.makes(dev.Token, "POST", "/api/prompts/"+prompt+"/versions", `{"text":"{{ name }} and {{ other }}"}`)
	if got := field[string](t, call(), "output"); got != "Good day, Ada!" {
		t.Errorf("version 1: %q", got)
	}
	promote("2")
	if got := call(); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, "the variable other") {
		t.Errorf("version 2 without its variable: %d %s", got.status, got.body)
	}
	if got := s.sends("POST", "/api/prompts/"+prompt+"/promote", `{"version":3}`, bearer(dev.Token)); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a version that is none is Live: %d", got.status)
	}
	reader := bearer(s.acme.People["reader"].Token)
	if logged := field[[]any](t, s.sends("GET", "/api/logs", "", reader), "data"); len(logged) != 3 {
		t.Errorf("%d calls are logged, want 3", len(logged))
	}
	got := s.sends("GET", "/api/dashboard", "", reader)
	for name, want := range map[string]float64{"endpoints": 1, "prompts": 1, "live_prompts": 1, "requests": 3, "errors": 2, "callers": 1, "words": 3} {
		if n := field[float64](t, got, name); n != want {
			t.Errorf("the dashboard counts %v %s, want %v", n, name, want)
		}
	}
}

// browser is a browser's cookies.
type browser map[string]string

func (b browser) carries(r *http.Request) {
	for name, value := range b {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
}

func (b browser) takes(a answer) {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if b[c.Name] = c.Value; c.Value == "" {
			delete(b, c.Name)
		}
	}
}

// begins opens /signin and gives what the product asks Guildhall to bring back.
func (s *street) begins(b browser) (returnTo, state string) {
	s.t.Helper()
	got := s.sends("GET", "/signin", "", b.carries)
	b.takes(got)
	to, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.status != http.StatusSeeOther || to.Path != "/login" {
		s.t.Fatalf("/signin: %d %s", got.status, got.header.Get("Location"))
	}
	return to.Query().Get("return_to"), to.Query().Get("state")
}

// handOff is what Guildhall's sign-in page does for somebody: it gives the address to come back to.
func (s *street) handOff(p *guildhalltest.Person, returnTo, state string) string {
	s.t.Helper()
	done, err := signin.HandOff.Call(p.Ctx(), s.hall.Service(), signin.HandOffInput{ReturnTo: returnTo, State: state})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimPrefix(done.RedirectTo, public)
}

// TestPeopleSignInByHandOff goes to Guildhall and back, works in the browser, and signs out.
func TestPeopleSignInByHandOff(t *testing.T) {
	behindEach(t, func(t *testing.T, s *street) {
		b, dev := browser{}, s.acme.People["developer"]
		if got := s.sends("GET", "/api/dashboard", "", b.carries); got.status != http.StatusUnauthorized {
			t.Errorf("before: %d %s", got.status, got.body)
		}
		returnTo, state := s.begins(b)
		back := s.handOff(dev, returnTo, state)
		got := s.sends("GET", back, "", b.carries)
		if b.takes(got); got.status != http.StatusSeeOther || b[sessionCookie] == "" || b[stateCookie] != "" {
			t.Fatalf("callback: %d %s, cookies %v", got.status, got.body, b)
		}
		set := strings.Join(got.header.Values("Set-Cookie"), "\n")
		if strings.Count(set, "HttpOnly; SameSite=Lax") != 2 {
			t.Errorf("cookies: %s", set)
		}
		if got := s.sends("POST", "/api/prompts", `{"name":"mine","text":"x"}`, b.carries, header("Sec-Fetch-Site", "same-origin")); got.status != http.StatusCreated {
			t.Errorf("signed in: %d %s", got.status, got.body)
		}
		for _, site := range []string{"cross-site", "same-site"} { // T-054
			if got := s.sends("POST", "/api/prompts", `{"name":"theirs","text":"x"}`, b.carries, header("Sec-Fetch-Site", site)); got.status != http.StatusForbidden {
				t.Errorf("from a page that is %s: %d %s", site, got.status, got.body)
			}
		}
		session := cookie(b[sessionCookie])
		got = s.sends("POST", "/signout", "", b.carries)
		if b.takes(got); got.status != http.StatusSeeOther || b[sessionCookie] != "" {
			t.Errorf("sign-out: %d %s", got.status, got.body)
		}
		if got := s.sends("GET", "/api/dashboard", "", session); got.status != http.StatusUnauthorized {
			t.Errorf("the session after signing out: %d %s", got.status, got.body)
		}
	})
}

// TestACodeIsForOneBrowserAndOneUse brings codes to where they do not belong. T-056
func TestACodeIsForOneBrowserAndOneUse(t *testing.T) {
	s := behind(t, (*street).nginx)
	mine, other, dev := browser{}, browser{}, s.acme.People["developer"]
	returnTo, state := s.begins(mine)
	s.begins(other)
	back := s.handOff(dev, returnTo, state)
	for says, carries := range map[string]func(*http.Request){"no browser that asked": browser{}.carries, "another browser": other.carries} {
		if got := s.sends("GET", back, "", carries); got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
			t.Errorf("%s: %d %s", says, got.status, got.body)
		}
	}
	got := s.sends("GET", back, "", mine.carries)
	if got.status != http.StatusSeeOther {
		t.Fatalf("the browser that asked: %d %s", got.status, got.body)
	}
	if again := s.sends("GET", back, "", mine.carries); again.status != http.StatusBadRequest {
		t.Errorf("a second time: %d %s", again.status, again.body)
	}
	mine.takes(got)
	if got := s.sends("GET", "/api/dashboard", "", mine.carries); got.status != http.StatusUnauthorized {
		t.Errorf("the session of a code that came twice: %d", got.status)
	}
}

// TestThePageIsForEverybody: it holds nothing, and asks the API.
func TestThePageIsForEverybody(t *testing.T) {
	s := behind(t, (*street).nginx)
	for path, want := range map[string]string{"/": "Prompt gateway", "/assets/app.js": "/api/dashboard", "/assets/style.css": "body"} {
		got := s.sends("GET", path, "")
		if got.status != http.StatusOK || !strings.Contains(got.body, want) || got.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
