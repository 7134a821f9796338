// Package web holds what all edges share: from a request to its caller, the client's address, cookies, problem+json,
// and the layers that every request passes before an edge sees it.
package web

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/id"
	"github.com/guildhall/guildhall/internal/peer"
	"github.com/guildhall/guildhall/op"
)

// The limits of the listener. http.Server's ReadTimeout is not among them, since it would end long answers too: a
// request with a body has ReadBodyTimeout instead.
const (
	ReadHeaderTimeout = 10 * time.Second
	ReadBodyTimeout   = time.Minute
	WriteTimeout      = 2 * time.Minute // streams lift it for themselves
	IdleTimeout       = 2 * time.Minute
	MaxHeaderBytes    = 32 << 10
)

// Config says how requests are read.
type Config struct {
	BaseURL        string         // "https://accounts.example.com"; with http on a loopback host, cookies are plain ones
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed; none: nobody's
	Operator       bool           // every request is the operator's: only who may open the listener's socket reaches it
	// Direct are paths, and what answers them without an edge. Their requests are a line of the log at debug level only,
	// unless they fail.
	Direct map[string]Direct
	// Below are beginnings of addresses, each ending in a slash, and what answers all that begin so, in whatever spelling:
	// the rest of the address is of a request that a gateway holds.
	Below map[string]Direct
	// Bypass are those of the paths and beginnings that other sites may send to, since the answer itself looks at what
	// browsers sent.
	Bypass []string
	// Anonymous reports which requests of other sites are answered all the same: those whose page has to be reached from
	// there. They reach it without cookies and credentials, so that it cannot know who sends them: see Foreign. Nil: none.
	Anonymous func(r *http.Request) bool
	// Refuse answers what is refused before any edge sees it: a forged request, a path with a second spelling, a
	// panic. Nil: Problem.
	Refuse func(w http.ResponseWriter, r *http.Request, e *op.Error)
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: slog.Default

	origins *http.CrossOriginProtection
	secure  bool // browsers come over https
}

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Refuse == nil {
		c.Refuse = Problem
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.secure = strings.HasPrefix(c.BaseURL, "https:")
	return c
}

// state is what the layers found out about a request.
type state struct {
	config  *Config
	id      string
	address string
	body    io.ReadCloser // as it came, without a bound; nil: none
	foreign bool          // another site sent it
}

type stateKey struct{}

// stateOf gives the state of a request; one that did not come through Handler has no id and no trusted proxies.
func stateOf(r *http.Request) *state {
	if s, ok := r.Context().Value(stateKey{}).(*state); ok {
		return s
	}
	c := Config{}.withDefaults()
	return &state{config: &c, address: peer.Text(peer.Remote(r))}
}

// RequestID is the id of the request, which is on its response and in the audit log.
func RequestID(r *http.Request) string { return stateOf(r).id }

// Foreign reports whether another site made a browser send a request, which says nothing of who sends it then.
func Foreign(r *http.Request) bool { return stateOf(r).foreign }

// Handler puts the shared layers around an edge: request id, access log, recovery from panics, security headers, one
// spelling of each path, the protection against forged requests, and the limit of a body.
func Handler(config Config, edge http.Handler) http.Handler {
	c := config.withDefaults()
	c.origins = c.protection()
	guarded := canonical(&c, sameOrigin(&c, limitBody(edge)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if direct := c.direct(r); direct != nil {
			c.answerDirectly(direct, w, r)
			return
		}
		s := &state{config: &c, id: id.New("req", c.Now()), address: peer.Text(peer.Address(r, c.TrustedProxies))}
		r = r.WithContext(context.WithValue(r.Context(), stateKey{}, s))
		rec := &recorder{ResponseWriter: w}
		secureHeaders(w.Header(), s)
		began := time.Now()
		defer logAccess(r, rec, began)
		defer recoverPanic(rec, r)
		guarded.ServeHTTP(rec, r)
	})
}

// The headers of every answer. They are shared by all of them, and never written to.
var (
	strictPolicy = []string{"default-src 'none'; frame-ancestors 'none'"}
	sameOnly     = []string{"same-origin"}
	alwaysTLS    = []string{"max-age=31536000"}
)

// secureHeaders are those of every answer. Pages loosen the policy for themselves.
func secureHeaders(h http.Header, s *state) {
	h["Request-Id"] = []string{s.id}
	h["Content-Security-Policy"] = strictPolicy
	h["Cross-Origin-Opener-Policy"] = sameOnly
	h["Cross-Origin-Resource-Policy"] = sameOnly
	h["Referrer-Policy"] = sameOnly
	h["X-Content-Type-Options"] = nosniff
	if s.config.secure {
		h["Strict-Transport-Security"] = alwaysTLS
	}
}

// canonical refuses every second spelling of a path, so that no layer before or behind reads another path than the mux:
// T-007.
func canonical(c *Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !canonicalPath(r.URL.EscapedPath()) {
			c.Refuse(w, r, op.ErrNotFound)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hidden are the encodings of characters that must not hide in a path: the separators, the dot and what is no text.
var hidden = []string{"%2f", "%5c", "%2e", "%3b", "%25", "%00", "%0a", "%0d", "\\", "//", ";"}

func canonicalPath(path string) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	folded := strings.ToLower(path)
	for _, h := range hidden {
		if strings.Contains(folded, h) {
			return false
		}
	}
	for segment := range strings.SplitSeq(folded, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// protection tells what another site makes a browser send: T-054.
func (c *Config) protection() *http.CrossOriginProtection {
	protection := http.NewCrossOriginProtection()
	if u, err := url.Parse(c.BaseURL); err == nil && u.Host != "" {
		// Behind a proxy that rewrites Host, the own origin is told by the configuration.
		_ = protection.AddTrustedOrigin(u.Scheme + "://" + u.Host)
	}
	return protection
}

func errForeign() *op.Error {
	return op.Errorf(op.Denied, "cross_origin", "another site sent this request: open it here")
}

// foreign reports whether another site sent a request.
func (c *Config) foreign(r *http.Request) bool { return c.origins.Check(r) != nil }

// foreignAllowed reports whether other sites may send to a direct path.
func (c *Config) foreignAllowed(path string) bool { return slices.Contains(c.Bypass, path) }

// sameOrigin refuses what another site makes a browser send: T-054.
func sameOrigin(c *Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.foreign(r) {
			if c.Anonymous == nil || !c.Anonymous(r) {
				c.Refuse(w, r, errForeign())
				return
			}
			stateOf(r).foreign = true
			r.Header.Del("Cookie")
			r.Header.Del("Authorization")
		}
		next.ServeHTTP(w, r)
	})
}

// limitBody bounds the bytes of a body, and the time that it may take to arrive: T-100.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(ReadBodyTimeout))
			stateOf(r).body = r.Body
			r.Body = http.MaxBytesReader(w, r.Body, op.MaxBody)
		}
		next.ServeHTTP(w, r)
	})
}
