package check

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/internal/peer"
)

// ErrNoCredential is the refusal of a request that carries no credential, several, or one that is not a Bearer.
var ErrNoCredential = errors.New("no credential")

// ErrCrossOrigin is the refusal of a request that another site made a browser send with its cookie.
var ErrCrossOrigin = errors.New("another site sent this request")

// Option changes what Require does.
type Option func(*guard)

// WithCookie also takes the credential from a cookie, where there is no Authorization header: for products on the same
// host as Guildhall, whose session cookie it is. What another site makes a browser send is refused.
func WithCookie(name string) Option { return func(g *guard) { g.cookie = name } }

// WithProxies believes the X-Forwarded-For of the proxies in these networks. Without it nobody's is believed: the
// client's address is that of the connection.
func WithProxies(networks ...netip.Prefix) Option { return func(g *guard) { g.proxies = networks } }

// WithServer says where Guildhall is, such as "https://accounts.example.com": a refusal's fix_url leads there. Without it
// an answer that names only a path has no fix_url.
func WithServer(baseURL string) Option {
	return func(g *guard) { g.server = strings.TrimRight(baseURL, "/") }
}

// WithRegion asks too whether the organization's data may be in the region that of names: where a request runs, or would
// run. Empty asks nothing.
func WithRegion(of func(*http.Request) string) Option { return func(g *guard) { g.region = of } }

// WithRefusal answers refused requests in another way than by problem details. The error is ErrNoCredential,
// ErrCrossOrigin, a *Denied, or whatever kept the Checker from answering.
func WithRefusal(refuse func(w http.ResponseWriter, r *http.Request, err error)) Option {
	return func(g *guard) { g.refuse = refuse }
}

// guard is what Require makes.
type guard struct {
	checker    Checker
	permission charter.Permission
	on         func(*http.Request) Resource

	cookie  string
	proxies []netip.Prefix
	server  string
	region  func(*http.Request) string
	refuse  func(w http.ResponseWriter, r *http.Request, err error)
	origins *http.CrossOriginProtection
}

// Require makes middleware that lets a request through if its credential holds a permission on the resource that on
// names, and puts the answer into the request's context: see From. Every other request is answered with problem details
// (RFC 9457): 401 without a valid credential, 403 on a no, 503 without an answer. With on nil it is the organization that
// the credential is for.
func Require(c Checker, p charter.Permission, on func(*http.Request) Resource, options ...Option) func(http.Handler) http.Handler {
	g := &guard{checker: c, permission: p, on: on, origins: http.NewCrossOriginProtection()}
	if on == nil {
		g.on = func(*http.Request) Resource { return Whole("") }
	}
	g.refuse = g.tell
	for _, set := range options {
		set(g)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, err := g.ask(r)
			if err != nil {
				g.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), decisionKey{}, d)))
		})
	}
}

type decisionKey struct{}

// From gives the decision that let a request through Require; false where there was none.
func From(ctx context.Context) (Decision, bool) {
	d, ok := ctx.Value(decisionKey{}).(Decision)
	return d, ok
}

// ask asks about one request.
func (g *guard) ask(r *http.Request) (Decision, error) {
	secret, err := g.credential(r)
	if err != nil {
		return Decision{}, err
	}
	q := Request{Subject: ByCredential(secret), Permission: g.permission, Resource: g.on(r),
		Address: peer.Text(peer.Address(r, g.proxies))}
	if g.region != nil {
		q.Region = g.region(r)
	}
	d, err := g.checker.Check(r.Context(), q)
	if err == nil && !d.Allow {
		err = &Denied{Request: q, Decision: d}
	}
	return d, err
}

// credential reads the one credential of a request. Two cookies of the same name are nobody's: one of them was planted.
func (g *guard) credential(r *http.Request) (string, error) {
	sent := r.Header.Values("Authorization")
	if len(sent) == 0 && g.cookie != "" {
		cookies := r.CookiesNamed(g.cookie)
		if len(cookies) != 1 || cookies[0].Value == "" {
			return "", ErrNoCredential
		}
		if g.origins.Check(r) != nil {
			return "", ErrCrossOrigin
		}
		return cookies[0].Value, nil
	}
	if len(sent) != 1 {
		return "", ErrNoCredential
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if token = strings.TrimLeft(token, " "); !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " ,\t") {
		return "", ErrNoCredential
	}
	return token, nil
}
