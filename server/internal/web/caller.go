package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/guildhall/guildhall/internal/secret"
	"github.com/guildhall/guildhall/op"
)

// unusable stands for a credential that came in a way that is refused: it is no credential's spelling, so the pipeline
// answers 401 without a look at the database.
const unusable = "unusable"

const maxAgent = 512

// Caller says who a request says it is from. What counts is one Authorization header with the scheme Bearer, else the
// session cookie; no other header, and no query: a credential there makes the request unauthenticated.
func Caller(r *http.Request) op.Caller {
	c := stateOf(r).caller(r)
	c.Agent = agent(r)
	return c
}

func (s *state) caller(r *http.Request) op.Caller {
	c := s.callerBy(r)
	if !c.Machine && credentialInQuery(r.URL.RawQuery) {
		c.Credential, c.Cookie = unusable, false
	}
	return c
}

// callerBy says who it is from by the headers alone.
func (s *state) callerBy(r *http.Request) op.Caller {
	c := op.Caller{Address: s.address, RequestID: s.id}
	if s.config.Operator {
		c.Machine = true
		return c
	}
	sent := r.Header["Authorization"]
	switch {
	case len(sent) == 1:
		c.Credential = bearer(sent[0])
	case len(sent) > 1:
		c.Credential = unusable
	default:
		c.Credential = sessionCookie(r, s.config)
		c.Cookie = c.Credential != ""
	}
	return c
}

func agent(r *http.Request) string {
	text := r.UserAgent()
	return strings.ToValidUTF8(text[:min(len(text), maxAgent)], "")
}

// bearer reads the header's value (RFC 6750, section 2.1).
func bearer(value string) string {
	scheme, token, found := strings.Cut(value, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return unusable
	}
	return token
}

// credentialInQuery reports whether the query holds what must not be in an address, which logs and histories keep.
func credentialInQuery(raw string) bool {
	if raw == "" {
		return false
	}
	query, _ := url.ParseQuery(raw)
	for name, values := range query {
		switch strings.ToLower(name) {
		case "access_token", "api_key", "apikey", "authorization":
			return true
		}
		for _, value := range values {
			if _, err := secret.Parse(value); err == nil {
				return true
			}
		}
	}
	return false
}

// The names of the session cookie. The plain one is for http on a loopback host only: browsers keep the other one from
// being set by anything but this very host over https.
const (
	securedCookie = "__Host-guildhall"
	plainCookie   = "guildhall"
)

func (c *Config) cookie() *http.Cookie {
	cookie := &http.Cookie{Name: securedCookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if c.loopback() {
		cookie.Name, cookie.Secure = plainCookie, false
	}
	return cookie
}

func (c *Config) loopback() bool {
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Scheme != "http" {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && address.IsLoopback()
}

// sessionCookie gives the session that a browser sent. Two of the same name are nobody's: one of them was planted.
func sessionCookie(r *http.Request, c *Config) string {
	sent := r.CookiesNamed(c.cookie().Name)
	if len(sent) != 1 {
		return ""
	}
	return sent[0].Value
}

// SetSession gives the browser a session that a call made. Only the console calls it: the API shows the secret instead.
func SetSession(w http.ResponseWriter, r *http.Request, s *op.NewSession) {
	cookie := stateOf(r).config.cookie()
	cookie.Value, cookie.Expires = s.Token, s.Until
	http.SetCookie(w, cookie)
}

// ClearSession makes the browser forget its session.
func ClearSession(w http.ResponseWriter, r *http.Request) {
	cookie := stateOf(r).config.cookie()
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
}
