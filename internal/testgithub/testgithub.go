// Package testgithub is GitHub on this machine, for tests: its OAuth apps, and as much of its API as tells who somebody is, what
// their addresses are and whose members they are. It behaves as GitHub Enterprise Server does, whose API stands at /api/v3.
package testgithub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ClientID and ClientSecret are what the OAuth app is known by.
const ClientID, ClientSecret = "Iv1.client", "gh-s3cret"

// Server is a GitHub on this machine, at which one person is signed in: see Set.
type Server struct {
	*httptest.Server

	mu     sync.Mutex
	codes  map[string]url.Values // what was asked when each code was given
	tokens map[string][]string   // the scopes of each token
	User   User
}

// User is the person who is signed in at GitHub.
type User struct {
	ID          int64
	Login, Name string
	Emails      []Email
	Memberships map[string]Membership // by the account's name
}

// Email is one of a person's addresses.
type Email struct {
	Email    string `json:"email"`
	Primary  bool   `json:"primary"`
	Verified bool   `json:"verified"`
}

// Membership is a person's membership of an account, which others may see or not.
type Membership struct {
	State  string // "active", "pending"
	ID     int64  // the account's number
	Hidden bool   // the account does not let the OAuth app ask
}

// New starts one, which ends with the test. Zoe is signed in there, with an address that is verified.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{codes: map[string]url.Values{}, tokens: map[string][]string{},
		User: User{ID: 4711, Login: "zoe", Name: "Zoe Zimmermann", Emails: []Email{{"zoe@acme.test", true, true}}}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/oauth/access_token", s.token)
	mux.HandleFunc("GET /api/v3/user", s.api("read:user", s.user))
	mux.HandleFunc("GET /api/v3/user/emails", s.api("user:email", func(*http.Request) any { return s.User.Emails }))
	mux.HandleFunc("GET /api/v3/user/memberships/orgs/{org}", s.api("read:org", s.membership))
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}

// Set changes what there is.
func (s *Server) Set(change func(u *User)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.User)
}

// Revoke takes every token back, as a person can under Settings, Applications.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Authorizes is what the person does at GitHub: it gives the answer that the browser brings back. GitHub names no issuer.
func (s *Server) Authorizes(t testing.TB, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Path != "/login/oauth/authorize" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("state") == "" {
		t.Errorf("the browser is sent to %s", address)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	code := rand.Text()
	s.codes[code] = q
	return url.Values{"state": {q.Get("state")}, "code": {code}}
}

// token answers as GitHub does: a refusal is a 200 with an error in it.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked, ok := s.codes[r.FormValue("code")]
	delete(s.codes, r.FormValue("code"))
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	refuse := ""
	switch {
	case r.FormValue("client_id") != ClientID || r.FormValue("client_secret") != ClientSecret:
		refuse = "incorrect_client_credentials"
	case !ok || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge"):
		refuse = "bad_verification_code"
	case r.FormValue("redirect_uri") != asked.Get("redirect_uri"):
		refuse = "redirect_uri_mismatch"
	}
	answer := url.Values{"error": {refuse}}
	if refuse == "" {
		token, scopes := "gho_"+rand.Text(), strings.Fields(asked.Get("scope"))
		s.tokens[token] = scopes
		answer = url.Values{"access_token": {token}, "token_type": {"bearer"}, "scope": {strings.Join(scopes, ",")}}
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(answer.Encode()))
}

// api answers whoever has a token with a scope; nil is not found.
func (s *Server) api(scope string, answer func(r *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		scopes, ok := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
		found := any(nil)
		switch {
		case !ok:
			w.WriteHeader(http.StatusUnauthorized)
		case !slices.Contains(scopes, scope):
			w.WriteHeader(http.StatusForbidden)
		default:
			if found = answer(r); found == nil {
				w.WriteHeader(http.StatusNotFound)
			}
		}
		_ = json.NewEncoder(w).Encode(found)
	}
}

func (s *Server) user(*http.Request) any {
	return map[string]any{"id": s.User.ID, "login": s.User.Login, "name": s.User.Name, "email": "public@elsewhere.test"}
}

func (s *Server) membership(r *http.Request) any {
	name := r.PathValue("org")
	m, ok := s.User.Memberships[name]
	if !ok || m.Hidden {
		return nil
	}
	return map[string]any{"state": m.State, "role": "member", "organization": map[string]any{"login": name, "id": m.ID}}
}
