package server

import (
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/billing/stripe"
	"github.com/guildhall/guildhall/requestlog"
	"github.com/guildhall/guildhall/server/internal/console"
	"github.com/guildhall/guildhall/server/internal/gate"
	"github.com/guildhall/guildhall/server/internal/hooks"
)

// HallConfig says how a hall is served.
type HallConfig struct {
	BaseURL        string                  // the one of the hall's settings
	TrustedProxies []netip.Prefix          // whose X-Forwarded-For is believed; none: nobody's
	Gateways       []netip.Prefix          // who may ask forward-auth and ext_authz about requests that it holds; none: nobody
	Extra          map[string]http.Handler // further ServeMux patterns
	Metrics        *Metrics                // counts checks; nil: nobody does
	Demo           bool                    // the console shows the page of its components
	DocsEditURL    string                  // where a page of the documentation is changed, with {page} for its file; empty: nowhere
	Stripe         *stripe.Provider        // whose events are taken in at StripePath; nil: none are
	Log            *slog.Logger            // nil: slog.Default
}

// StripePath is where Stripe sends its events.
const StripePath = "/webhooks/stripe"

// ForHall makes the handler of everything that a hall has: its operations, its checks and its console.
func ForHall(h *guildhall.Hall, c HallConfig) http.Handler {
	pages := console.New(console.Config{Service: h.Service(), Access: h.Access(), BaseURL: c.BaseURL, Secure: secure(c.BaseURL),
		Demo: c.Demo, OpenAPI: OpenAPI(h.Service()), DocsEditURL: c.DocsEditURL, LastUse: h.LastUse, Log: c.Log})
	return New(Config{Service: h.Service(), BaseURL: c.BaseURL, TrustedProxies: c.TrustedProxies, Console: pages, Refuse: pages.Refuse,
		Gate:  c.gate(h),
		Extra: c.extra(h), Ready: h.Ready, Log: c.Log})
}

// gate makes what answers checks about a hall.
func (c *HallConfig) gate(h *guildhall.Hall) *gate.Gate {
	return gate.New(gate.Config{Access: h.Access(), Service: h.Service(), BaseURL: c.BaseURL, Gateways: c.Gateways, TrustedProxies: c.TrustedProxies,
		Record: func(r *gate.Record) { c.record(h.Requests(), r) }, Log: c.Log})
}

// extra are the further patterns, with those of a payment provider.
func (c *HallConfig) extra(h *guildhall.Hall) map[string]http.Handler {
	if c.Stripe == nil {
		return c.Extra
	}
	all := map[string]http.Handler{StripePath: hooks.Stripe(h.Service(), c.Stripe, c.Log)}
	maps.Copy(all, c.Extra)
	return all
}

// record counts a check, and gives it its line in the request log.
func (c *HallConfig) record(log *requestlog.Log, r *gate.Record) {
	log.Add(&requestlog.Entry{Organization: r.Who.Organization, At: r.At, Face: r.Face, Kind: r.Who.Kind, Credential: r.Who.Credential,
		User: r.Who.User, Member: r.Who.Member, Permission: r.Permission, Resource: r.Resource, Method: r.Method, Route: r.Route,
		Allowed: r.Allow, Code: r.Code, Took: r.Took, Address: r.Address, RequestID: r.RequestID})
	if c.Metrics != nil {
		c.Metrics.check(r)
	}
}

// secure reports whether browsers come over https.
func secure(base string) bool {
	u, err := url.Parse(base)
	return err == nil && u.Scheme == "https"
}
