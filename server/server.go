// Package server is the HTTP face of Guildhall: one handler of everything, for the binary and for products that have it
// in process, and a listener that starts and ends well.
package server

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/api"
	"github.com/guildhall/guildhall/server/internal/console"
	"github.com/guildhall/guildhall/server/internal/gate"
	"github.com/guildhall/guildhall/server/internal/scim"
	"github.com/guildhall/guildhall/server/internal/web"
)

// Config is what the handler is made of.
type Config struct {
	Service        *op.Service
	BaseURL        string                  // "https://accounts.example.com": decides about cookies and links
	TrustedProxies []netip.Prefix          // whose X-Forwarded-For is believed; none: nobody's
	Console        http.Handler            // everything that is not named otherwise; nil: no console
	Gate           *gate.Gate              // answers checks; nil: nobody does
	Extra          map[string]http.Handler // further ServeMux patterns, such as "/dev/"
	// Refuse answers a browser whose request is refused before any page sees it; nil: problem+json for everybody.
	Refuse func(w http.ResponseWriter, r *http.Request, e *op.Error)
	Ready  func(ctx context.Context) error // whether requests can be answered; nil: always
	Log    *slog.Logger                    // nil: slog.Default
}

// New makes the handler of everything.
func New(c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	operations := api.New(api.Config{Service: c.Service, Log: c.Log})
	mux := http.NewServeMux()
	for _, pattern := range []string{"/v1", "/v1/", "/openapi.json"} {
		mux.Handle(pattern, operations)
	}
	mux.Handle("/scim/v2/", scim.New(scim.Config{Service: c.Service, BaseURL: c.BaseURL, Log: c.Log}))
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /readyz", c.ready)
	mux.HandleFunc("GET /charter.schema.json", charterSchema)
	mux.Handle("/", orNotFound(c.Console))
	mux.Handle("/access/v1/", orNotFound(nil))
	for pattern, handler := range c.Extra {
		mux.Handle(pattern, handler)
	}
	all := web.Config{BaseURL: c.BaseURL, TrustedProxies: c.TrustedProxies, Refuse: c.refuse, Log: c.Log, Anonymous: console.FromProvider}
	if c.Gate != nil {
		all.Direct, all.Below = c.Gate.Direct(), c.Gate.Below()
		all.Bypass = []string{gate.ForwardAuthPath, gate.ExtAuthzPath} // what browsers sent there is looked at by the gate
	}
	return web.Handler(all, mux)
}

func orNotFound(h http.Handler) http.Handler {
	if h != nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { web.Problem(w, r, op.ErrNotFound) })
}

// refuse answers browsers with a page and everybody else with problem details.
func (c *Config) refuse(w http.ResponseWriter, r *http.Request, e *op.Error) {
	if c.Refuse != nil && !machine(r) {
		c.Refuse(w, r, e)
		return
	}
	web.Problem(w, r, e)
}

// machine reports whether a program asks: by a path of the API, or since it does not say that it reads HTML.
func machine(r *http.Request) bool {
	for _, prefix := range []string{"/v1/", "/scim/v2/", "/access/v1/", "/.well-known/", gate.ForwardAuthPath, gate.ExtAuthzPath} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return true
		}
	}
	return !strings.Contains(r.Header.Get("Accept"), "text/html")
}

// charterSchema gives editors what they complete a charter's file with: the same for everybody who asks.
func charterSchema(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/schema+json")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(charter.Schema())
}

// healthy answers as long as the process serves.
func healthy(w http.ResponseWriter, _ *http.Request) { plain(w, "ok\n") }

// readyTimeout bounds how long a readiness question may take.
const readyTimeout = 2 * time.Second

// ready answers 503 while requests could not be answered: the database does not, or is not migrated.
func (c *Config) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if c.Ready == nil {
		plain(w, "ready\n")
		return
	}
	if err := c.Ready(ctx); err != nil {
		c.Log.LogAttrs(ctx, slog.LevelError, "not ready", slog.Any("error", err))
		web.Problem(w, r, &op.Error{Kind: op.Unavailable, Code: "not_ready", Text: "not ready: the log says why", RetryAfter: time.Second})
		return
	}
	plain(w, "ready\n")
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
}

// OpenAPI describes every operation of a service (OpenAPI 3.1, JSON).
func OpenAPI(s *op.Service) []byte { return api.OpenAPI(s) }

// OperationTable lists every operation with its route, kind, scope and rule, one a line.
func OperationTable(s *op.Service) string { return api.Table(s) }

// PermissionTable lists every permission with the roles that hold it and the operations that ask for it, one a line.
func PermissionTable(s *op.Service) string { return api.Permissions(s) }
