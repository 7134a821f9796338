package main

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/guildhall/guildhall/charter"
	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// proxyHeader carries the secret that the proxy and the product share. The proxy sets it on everything that it passes
// on, over whatever a client has sent under this name.
const proxyHeader = "X-Gateway-Proxy"

// fromProxy lets requests through that the proxy passed on. What it says of them (who, in which organization, with which
// permission) is headers, and headers can be written by anybody: so nobody else gets here. The listener is on this
// machine alone, and since other programs are on this machine too, the proxy proves itself with a secret.
func (p *product) fromProxy(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Values(proxyHeader)
		if !onThisMachine(r) || len(sent) != 1 || subtle.ConstantTimeCompare([]byte(sent[0]), []byte(p.options.proxySecret)) != 1 {
			slog.WarnContext(r.Context(), "a request that did not come through the proxy", "address", r.RemoteAddr)
			jsonapi.Refuse(w, r, &jsonapi.Error{Status: http.StatusForbidden, Code: "not_the_proxy", Text: "requests come through the proxy"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func onThisMachine(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// The headers that the proxy copies from Guildhall's answer. It has more; see docs/gates.md.
const (
	userHeader         = "X-Guildhall-User"
	memberHeader       = "X-Guildhall-Member"
	organizationHeader = "X-Guildhall-Organization"
	credentialHeader   = "X-Guildhall-Credential"
	regionHeader       = "X-Guildhall-Region"
	permissionHeader   = "X-Guildhall-Permission"
	resourceHeader     = "X-Guildhall-Resource"
)

// caller is who sent a request that Guildhall allowed, and in which organization. Every query of the product is on that
// organization's rows only.
type caller struct {
	organization string
	user, member string // empty for a key of the organization
	credential   string
	region       string
}

type callerKey struct{}

// callerOf gives the caller of a request that granted let through.
func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// granted answers requests that Guildhall allowed for what this handler does, and for what it does it to. The proxy asked
// about the request as it saw it. Should the two ever read a request differently, by a mistake in the proxy's
// configuration or in the charter's routes, the answer is for something else and the request ends here.
func granted(needs charter.Permission, kind string, do jsonapi.Handler) http.Handler {
	return jsonapi.Handler(func(r *http.Request) (any, error) {
		resource := ""
		if kind != "" {
			resource = kind + ":" + r.PathValue("id")
		}
		c := caller{organization: said(r, organizationHeader), user: said(r, userHeader), member: said(r, memberHeader),
			credential: said(r, credentialHeader), region: said(r, regionHeader)}
		if said(r, permissionHeader) != string(needs) || said(r, resourceHeader) != resource || c.organization == "" {
			slog.WarnContext(r.Context(), "the proxy was answered for another request", "path", r.URL.Path, "needs", needs,
				"permission", said(r, permissionHeader), "resource", said(r, resourceHeader))
			return nil, &jsonapi.Error{Status: http.StatusForbidden, Code: "not_granted", Text: "this needs " + string(needs)}
		}
		return do(r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
	})
}

// said is what the proxy said under a name. Of two, one is not the proxy's, so it is nothing.
func said(r *http.Request, name string) string {
	if values := r.Header.Values(name); len(values) == 1 {
		return values[0]
	}
	return ""
}
